//! An archive gives back what it was made of; a manifest reads as it was printed.

use std::io::Read;

use holdall::archive::manifest::{
    BundleFile, Carried, Continues, File, Grown, Kept, Remote, Repo, SourceMachine, Tool, Version,
};
use holdall::archive::manifest::{Session as Declared, VERSION};
use holdall::archive::{Archive, Limits, Manifest, SessionInput, WriteOptions, write};
use holdall::git::strip_credentials;
use holdall::harness::common::files::Source;
use holdall::model::{Agent, FileMeta, GitRef, Head, Payload, Role, Time, time};
use holdall::progress::Silent;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::config;
use super::conversion::{harness, named, written};
use super::dialogue::turns;
use crate::fuzz::targets::record::{self, Session};

fn instant() -> impl Strategy<Value = Time> {
    (0..4_000_000_000_000_i64).prop_map(|millis| time::from_millis(millis).expect("in this century"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", "[\u{0}-\u{1f}\"\\\\/\u{202e}\u{e9}]{0,6}"]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9-]{1,20}", "[^\\p{Cc}]{1,20}"]
}

fn sha() -> impl Strategy<Value = String> {
    "[0-9a-f]{64}"
}

fn commit() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9a-f]{40}", "[0-9a-f]{64}"]
}

/// An address without credentials, as a manifest that was read has it.
fn url() -> impl Strategy<Value = String> {
    prop_oneof!["https://[a-z]{1,5}\\.[a-z]{2}/[a-z/]{0,8}", "git@[a-z]{2,5}:[a-z]{1,5}", text()]
        .prop_map(|url| strip_credentials(&url))
        .prop_filter("it runs nothing", |url| !holdall::git::url::runs_command(url))
}

prop_compose! {
    fn head()(
        (harness, id, title, cwd) in ("[a-z][a-z0-9-]{0,9}", id(), of(text()), of(text())),
        (created, updated) in (of(instant()), of(instant())),
        (model, harness_version, parent) in (of(text()), of(text()), of(id())),
        git in of((of(text()), of(text()), of(url()))),
    ) -> Head {
        let git = git.map(|(branch, commit, remote)| GitRef { branch, commit, remote });
        Head { harness, id, title, cwd, created, updated, model, harness_version, git, parent }
    }
}

prop_compose! {
    fn file(role: Role)(
        path in "[^\u{0}]{0,30}", size in 0..1_u64 << 40, modified in of(instant()), sha256 in sha(),
        agent in of((text(), of(text()), of(text()), of(text()))),
    ) -> File {
        let agent = agent.map(|(id, call_id, kind, title)| Agent { id, call_id, kind, title });
        File { name: String::new(), sha256, meta: FileMeta { role, path, size, modified, agent } }
    }
}

prop_compose! {
    fn continues(files: usize)(
        archive in (instant(), 1..100_u32), grown in vec(of((any::<u64>(), sha())), files),
        kept in of((sha(), vec(text(), 0..3))),
    ) -> Continues {
        let number = if archive.1 > 1 { format!("-{}", archive.1) } else { String::new() };
        let archive = format!("holdall-{}{number}.tar.gz", archive.0.format("%Y%m%dT%H%M%SZ"));
        let grown = grown.into_iter().enumerate();
        let grown = grown.filter_map(|(file, grown)| grown.map(|(after, sha256)| Grown { file, after, sha256 }));
        Continues { archive, grown: grown.collect(), kept: kept.map(|(sha256, gone)| Kept { sha256, gone }) }
    }
}

prop_compose! {
    fn declared()(
        head in head(), transcript in file(Role::Transcript),
        others in vec(prop_oneof![file(Role::Attachment), file(Role::Subagent)], 0..3),
    )(
        continues in of(continues(others.len() + 1)), head in Just(head), repo in of(any::<prop::sample::Index>()),
        files in Just([vec![transcript], others].concat()),
    ) -> (Declared, Option<prop::sample::Index>) {
        (Declared { head, repo: None, files, continues }, repo)
    }
}

prop_compose! {
    fn repo()(
        (root, worktree, subject) in (text(), any::<bool>(), of(text())),
        remotes in vec((text(), url()), 0..3),
        (branch, commit, upstream) in (of(text()), of(text()), of(text())),
        (ahead, behind, modified, untracked) in (of(any::<u16>()), of(any::<u16>()), any::<u16>(), any::<u16>()),
        root_commit in of(commit()),
        carried in of((vec(commit(), 0..3), 0..3_u16, of(commit()), vec(text(), 0..2))),
    ) -> Repo {
        let remotes = remotes.into_iter().map(|(name, url)| Remote { name, url }).collect();
        let carried = carried.map(|(needs, commits, work, left_out)| Carried {
            needs, commits: commits.into(), work, left_out,
        });
        Repo {
            root, worktree, remotes, branch, commit, subject, upstream,
            ahead: ahead.map(Into::into), behind: behind.map(Into::into),
            modified: modified.into(), untracked: untracked.into(), root_commit, carried,
        }
    }
}

prop_compose! {
    fn manifest()(
        minor in 0..5_u32, (name, version) in (text(), text()), created in of(instant()),
        (os, home) in (text(), text()), sessions in vec(declared(), 1..4), repos in vec(repo(), 0..3),
        bundles in vec((any::<u32>(), sha()), 3),
    ) -> Manifest {
        let sessions = sessions.into_iter().enumerate().map(|(index, (mut session, repo))| {
            session.head.id.push_str(&index.to_string());
            session.repo = repo.filter(|_| !repos.is_empty()).map(|repo| repo.index(repos.len()));
            for (place, file) in session.files.iter_mut().enumerate() {
                file.name = format!("s/{:04}/{:04}-file.x", index + 1, place + 1);
            }
            session
        });
        let sessions = sessions.collect();
        let carries = |repo: &Repo| repo.carried.as_ref().is_some_and(|it| it.commits > 0 || it.work.is_some());
        let bundles = repos.iter().zip(bundles).enumerate().filter(|(_, (repo, _))| carries(repo));
        let bundles = bundles.map(|(repo, (_, (size, sha256)))| BundleFile {
            repo, name: format!("r/{:04}/repository.bundle", repo + 1), size: size.into(), sha256,
        });
        let bundles = bundles.collect();
        Manifest {
            schema: "holdall.manifest/1".to_owned(),
            version: Version { major: VERSION.major, minor },
            tool: Tool { name, version },
            created,
            source: SourceMachine { os, home },
            sessions,
            repos,
            bundles,
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_manifest_reads_as_it_was_printed(manifest in manifest()) {
        let limits = Limits { max_size: u64::MAX };
        let printed = manifest.print();
        let read = Manifest::parse(&printed, printed.len() as u64, limits);
        prop_assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(&printed));
        prop_assert_eq!(read.expect("it was looked at"), manifest);
    }

    /// Of sessions as the harnesses write them; `archive::tests::laws` has files of any bytes.
    #[test]
    fn sessions_come_out_of_an_archive_as_they_went_in(
        sessions in vec((harness(), turns(0..3), ".{0,20}"), 1..4),
        attachment in vec(any::<u8>(), 0..2000),
        level in 1..=9_u32,
    ) {
        let mut payloads = Vec::new();
        for (index, (harness, turns, title)) in sessions.iter().enumerate() {
            let harness = named(harness);
            let bytes = written(harness, turns);
            let session = Session::new(harness, record::File::Transcript, &bytes);
            let mut files = session.payload();
            let meta = FileMeta {
                role: Role::Attachment, path: title.replace('\0', ""), size: attachment.len() as u64,
                modified: None, agent: None,
            };
            files.push(meta, Source::Bytes(attachment.clone()));
            let mut head = record::head(harness, title);
            head.id = index.to_string();
            head.title = Some(title.clone());
            payloads.push((head, files));
        }
        let inputs: Vec<SessionInput<'_>> = payloads
            .iter()
            .map(|(head, payload)| SessionInput { head: head.clone(), repo: None, payload, continues: None })
            .collect();
        let source = SourceMachine { os: "linux".to_owned(), home: "/home/dev".to_owned() };
        let options = WriteOptions { level, ..WriteOptions::new(source) };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        write(&mut first, &inputs, &[], &options, &Silent).expect("memory");
        write(&mut second, &inputs, &[], &options, &Silent).expect("memory");
        prop_assert!(first == second, "the same sessions give the same bytes");

        let archive = Archive::read(&mut first.as_slice()).expect("our own");
        prop_assert_eq!(archive.verify(None, &Silent).expect("it can be read"), []);
        for (index, (head, payload)) in payloads.iter().enumerate() {
            prop_assert_eq!(&archive.manifest().sessions[index].head, head);
            let archived = archive.session(index).expect("it is declared");
            prop_assert_eq!(archived.files(), payload.files());
            for file in 0..payload.files().len() {
                prop_assert!(all(&archived, file) == all(payload, file), "file {file} of session {index}");
            }
        }
    }
}

fn all(payload: &dyn Payload, file: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    payload.open(file).expect("it is there").read_to_end(&mut bytes).expect("it can be read");
    bytes
}
