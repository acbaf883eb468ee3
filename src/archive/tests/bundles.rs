//! Git bundles in an archive: written, read, and forged.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::forge::{Entry, Forge, members};
use super::hostile::both;
use super::*;
use crate::archive::manifest::Carried;
use crate::archive::reader::hex;
use crate::archive::temporary;
use crate::progress::Progress;

/// A repository of which something is carried.
fn carrying(root: &str) -> Repo {
    let carried = Carried { commits: 2, work: Some("a".repeat(40)), ..Carried::default() };
    Repo { root: root.to_owned(), carried: Some(carried), ..Repo::default() }
}

fn spooled(content: &[u8]) -> File {
    let mut file = temporary().unwrap();
    file.write_all(content).unwrap();
    file
}

fn pack(threads: usize, sessions: &[Memory], repos: &[(Repo, Option<&File>)]) -> Result<(Vec<u8>, Written)> {
    let inputs: Vec<SessionInput<'_>> = sessions
        .iter()
        .map(|session| SessionInput {
            head: session.head.clone(),
            repo: Some(0),
            payload: session,
            continues: None,
        })
        .collect();
    let repos: Vec<RepoInput<'_>> =
        repos.iter().map(|(repo, bundle)| RepoInput { repo: repo.clone(), bundle: *bundle }).collect();
    let mut out = Vec::new();
    let written = write_on(threads, &mut out, &inputs, &repos, &WriteOptions::new(source()), &Silent)?;
    Ok((out, written))
}

fn bundle(archive: &Archive, repo: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.bundle(repo).unwrap()?.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

#[test]
fn bundles_come_out_as_they_went_in() {
    let sessions = samples();
    let (first, second) = (lines(7, 3_000_000), lines(8, 700));
    let (one, two) = (spooled(&first), spooled(&second));
    let repos = [(carrying("/a"), Some(&one)), (Repo::default(), None), (carrying("/c"), Some(&two))];
    let (bytes, written) = pack(2, &sessions, &repos).unwrap();
    assert!(pack(1, &sessions, &repos).unwrap().0 == bytes, "the number of threads does not show");
    assert_eq!((written.manifest.version.major, written.manifest.version.minor), (1, 1));
    let declared: Vec<(usize, &str, u64)> = written
        .manifest
        .bundles
        .iter()
        .map(|bundle| (bundle.repo, bundle.name.as_str(), bundle.size))
        .collect();
    assert_eq!(declared, [(0, "r/0001/repository.bundle", 3_000_000), (2, "r/0003/repository.bundle", 700)]);
    let archive = open(&bytes).unwrap();
    assert_eq!(*archive.manifest(), written.manifest);
    assert_eq!(verify(&archive), []);
    assert_holds(&archive, &sessions);
    assert!(bundle(&archive, 0).unwrap() == first);
    assert_eq!(bundle(&archive, 1), None);
    assert!(bundle(&archive, 2).unwrap() == second);
    assert_eq!(archive.bundle(3).err().unwrap().kind(), Kind::NotFound);
    let mut reader = archive.bundle(0).unwrap().unwrap();
    reader.seek(SeekFrom::Start(1_500_000)).unwrap();
    let mut piece = [0; 64];
    reader.read_exact(&mut piece).unwrap();
    assert_eq!(piece, first[1_500_000..1_500_064]);
}

#[derive(Default)]
struct Bytes(Mutex<u64>);

impl Progress for Bytes {
    fn begin(&self, _task: &str, total: u64) {
        *self.0.lock().unwrap() += total;
    }
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}

#[test]
fn a_bundle_is_verified_alone_and_sessions_without_it() {
    let content = lines(7, 5_000_000);
    let file = spooled(&content);
    let (mut bytes, written) = pack(2, &samples(), &[(carrying("/a"), Some(&file))]).unwrap();
    let archive = open(&bytes).unwrap();
    let read = Bytes::default();
    assert_eq!(archive.verify(Some(&[0, 1, 2]), &read).unwrap(), []);
    assert!(*read.0.lock().unwrap() < 4_000_000, "the bundle is not read for the sessions");
    assert_eq!(archive.verify_bundle(0, &Silent).unwrap(), []);
    assert_eq!(archive.verify_bundle(1, &Silent).unwrap_err().kind(), Kind::NotFound);
    drop(archive);

    // Damage in the middle of the bundle.
    let place = bytes.len() - bytes.len() / 4;
    bytes[place] ^= 1;
    let archive = open(&bytes).unwrap();
    assert_eq!(archive.verify(Some(&[0, 1, 2]), &Silent).unwrap(), []);
    for problems in [archive.verify_bundle(0, &Silent).unwrap(), verify(&archive)] {
        assert_eq!(problems[0].entry, written.manifest.bundles[0].name);
    }
    assert!(archive.bundle(0).unwrap().unwrap().read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn an_archive_never_says_that_more_or_less_is_carried_than_there_is() {
    let file = spooled(b"x");
    let nothing = Carried { left_out: vec!["a reason".to_owned()], ..Carried::default() };
    let without = Repo { carried: Some(nothing), ..Repo::default() };
    for (repo, bundle) in
        [(carrying("/a"), None), (Repo::default(), Some(&file)), (without.clone(), Some(&file))]
    {
        let text = error_text(pack(1, &samples(), &[(repo, bundle)]));
        assert!(text.contains("and its bundle do not agree"), "{text}");
    }
    pack(1, &samples(), &[(without, None)]).unwrap();
}

const BUNDLES: [(&str, &[u8]); 2] =
    [("r/0001/repository.bundle", b"# v2 git bundle\n"), ("r/0003/repository.bundle", &[b'p'; 600])];

/// The manifest of a good archive with two bundles.
fn manifest() -> Value {
    let mut manifest = Forge::manifest();
    let repo = manifest["repos"][0].clone();
    let mut carrying = repo.clone();
    carrying["carried"] = json!({"needs": ["b".repeat(40)], "commits": 1, "work": null});
    manifest["repos"] = json!([carrying, repo, carrying]);
    let declared = |repo: usize, (name, content): (&str, &[u8])| json!({"repo": repo, "name": name, "size": content.len(), "sha256": hex(&Sha256::digest(content))});
    manifest["bundles"] = json!([declared(0, BUNDLES[0]), declared(2, BUNDLES[1])]);
    manifest
}

fn forged(change: impl FnOnce(&mut Value), more: impl FnOnce(&mut Forge)) -> Vec<u8> {
    let mut manifest = manifest();
    change(&mut manifest);
    let mut forge = Forge::with_more(serde_json::to_vec(&manifest).unwrap(), &BUNDLES);
    more(&mut forge);
    forge.tar()
}

#[test]
fn the_forged_archive_is_good() {
    let archive = open(&members(&forged(|_| {}, |_| {}))).unwrap();
    assert_eq!(verify(&archive), []);
    assert_eq!(bundle(&archive, 2).as_deref(), Some(BUNDLES[1].1));
}

#[test]
fn bundles_are_what_the_manifest_says_and_nothing_else() {
    type Change = fn(&mut Forge);
    // The entries: manifest, sums, four files, two bundles.
    let cases: [(&str, Change, &str); 11] = [
        ("missing", |forge| drop(forge.entries.remove(6)), "stands where this one belongs"),
        ("last missing", |forge| drop(forge.entries.pop()), "the tar ends where this entry belongs"),
        ("order", |forge| forge.entries.swap(6, 7), "stands where this one belongs"),
        ("before the sessions", |forge| forge.entries[2..].rotate_right(2), "stands where this one belongs"),
        ("twice", |forge| forge.entries.push(forge.entries[7].clone()), "does not declare it"),
        (
            "undeclared",
            |forge| forge.entries.push(Entry::new("r/0002/repository.bundle", b"x")),
            "does not declare it",
        ),
        ("content", |forge| forge.entries[7].content[599] = b'q', "its SHA-256 is"),
        (
            "longer",
            |forge| forge.entries[7] = Entry::new(BUNDLES[1].0, &[b'p'; 601]),
            "it has 601 bytes in the tar and 600 in the manifest",
        ),
        ("link", |forge| forge.entries[6] = forge.entries[6].clone().kind(b'2'), "a symbolic link"),
        ("padding", |forge| forge.entries[7].content.push(1), "between its end and the next entry"),
        (
            "sums without it",
            |forge| {
                let sums = String::from_utf8(forge.entries[1].content.clone()).unwrap();
                let lines: Vec<&str> = sums.lines().filter(|line| !line.contains("r/0003")).collect();
                forge.entries[1] = Entry::new("SHA256SUMS", (lines.join("\n") + "\n").as_bytes());
            },
            "bytes in the tar and",
        ),
    ];
    for (case, change, reason) in cases {
        both(case, &forged(|_| {}, change), reason);
    }
}

#[test]
fn declarations_of_bundles_keep_the_rules() {
    type Change = Box<dyn FnOnce(&mut Value)>;
    let set = |pointer: &'static str, value: Value| -> Change {
        Box::new(move |manifest| *manifest.pointer_mut(pointer).unwrap() = value)
    };
    let swapped: Change = Box::new(|manifest| manifest["bundles"].as_array_mut().unwrap().swap(0, 1));
    let undeclared: Change = Box::new(|manifest| drop(manifest["bundles"].as_array_mut().unwrap().pop()));
    let none: Change = Box::new(|manifest| drop(manifest.as_object_mut().unwrap().remove("bundles")));
    let cases: Vec<(&str, Change, &str)> = vec![
        ("no such repository", set("/bundles/1/repo", json!(3)), "there are only 3 repositories"),
        ("repository 2^64", set("/bundles/1/repo", json!(u64::MAX)), "there are only 3 repositories"),
        ("repository -1", set("/bundles/1/repo", json!(-1)), "not a manifest"),
        ("two for one", set("/bundles/1/repo", json!(0)), "it is there twice"),
        ("order", swapped, "not in the order of the repositories"),
        ("of one that carries nothing", set("/bundles/1/repo", json!(1)), "is not r/0002/repository.bundle"),
        ("name of another", set("/bundles/1/name", json!(BUNDLES[0].0)), "is not r/0003/repository.bundle"),
        ("name up", set("/bundles/0/name", json!("r/../../evil")), "is not r/0001/repository.bundle"),
        ("name of a session", set("/bundles/0/name", json!("s/0001/0001-transcript.jsonl")), "is not r/0001"),
        ("name escape", set("/bundles/0/name", json!("\u{1b}[31m")), "is not r/0001/repository.bundle"),
        ("sha upper", set("/bundles/0/sha256", json!("A".repeat(64))), "64 lower-case hexadecimal digits"),
        ("sha short", set("/bundles/0/sha256", json!("a")), "64 lower-case hexadecimal digits"),
        ("sha other", set("/bundles/0/sha256", json!("a".repeat(64))), "does not agree with the manifest"),
        ("size", set("/bundles/1/size", json!(601)), "it has 600 bytes in the tar and 601 in the manifest"),
        ("size 0", set("/bundles/1/size", json!(0)), "it has 600 bytes in the tar and 0 in the manifest"),
        ("size 2^64", set("/bundles/1/size", json!(u64::MAX)), "the limit is"),
        ("undeclared", undeclared, "and its bundle do not agree"),
        ("none declared", none, "and its bundle do not agree"),
        ("nothing carried", set("/repos/2/carried", json!(null)), "and its bundle do not agree"),
        ("no commits", set("/repos/2/carried/commits", json!(0)), "and its bundle do not agree"),
        ("commits", set("/repos/2/carried/commits", json!("all")), "not a manifest"),
        ("needs", set("/repos/2/carried/needs", json!(["--all"])), "not 40 or 64 lower-case"),
        ("work", set("/repos/2/carried/work", json!("HEAD")), "not 40 or 64 lower-case"),
        ("bundles object", set("/bundles", json!({})), "not a manifest"),
    ];
    for (case, change, reason) in cases {
        both(case, &forged(change, |_| {}), reason);
    }
}

#[test]
fn the_first_version_of_the_format_is_read() {
    let mut old = Forge::manifest();
    old["version"]["minor"] = json!(0);
    let archive = open(&members(&Forge::of(&old).tar())).unwrap();
    assert_eq!(verify(&archive), []);
    assert!(archive.bundle(0).unwrap().is_none());
}
