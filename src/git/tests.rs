//! Real repositories, made with the git program.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

mod find;

/// Runs git without any configuration of this machine.
pub(in crate::git) fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "a@b"),
            ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
        ])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "a@b")])
        .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

pub(in crate::git) fn put(path: &Path, content: &str) {
    fs::DirBuilder::new().recursive(true).create(path.parent().unwrap()).unwrap();
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
}

/// A repository with two commits and a remote whose branch is one commit behind.
struct Sample {
    dir: tempfile::TempDir,
}

impl Sample {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        put(&root.join("src/main.rs"), "fn main() {}\n");
        put(&root.join(".gitignore"), "target/\n*.log\n");
        git(dir.path(), &["init", "-q", "-b", "main", "work"]);
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "First\n\nwith a body"]);
        git(&root, &["remote", "add", "origin", "https://ada:SECRET@host/ada/work.git"]);
        git(&root, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
        git(&root, &["branch", "-q", "--set-upstream-to", "origin/main"]);
        put(&root.join("src/lib.rs"), "");
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "Second: naïve ✓"]);
        Self { dir }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("work").canonicalize().unwrap()
    }

    fn head(&self) -> String {
        git(&self.root(), &["rev-parse", "HEAD"])
    }
}

/// Every file below a directory, with its content and modification time.
pub(in crate::git) fn tree(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            files.insert(entry.path(), (Vec::new(), meta.modified().unwrap()));
            files.extend(tree(&entry.path()));
        } else {
            // Nobody writes to a pipe, so reading one would never end.
            let content =
                if meta.is_file() { fs::read(entry.path()).unwrap_or_default() } else { Vec::new() };
            files.insert(entry.path(), (content, meta.modified().unwrap()));
        }
    }
    files
}

#[test]
fn a_repository_is_described() {
    let sample = Sample::new();
    let root = sample.root();
    let expected = Repo {
        root: root.to_str().unwrap().to_owned(),
        worktree: false,
        remotes: vec![Remote { name: "origin".to_owned(), url: "https://host/ada/work.git".to_owned() }],
        branch: Some("main".to_owned()),
        commit: Some(sample.head()),
        subject: Some("Second: naïve ✓".to_owned()),
        upstream: Some("origin/main".to_owned()),
        ahead: Some(1),
        behind: Some(0),
        modified: 0,
        untracked: 0,
        root_commit: Some(git(&root, &["rev-list", "--max-parents=0", "HEAD"])),
        carried: None,
    };
    assert_eq!(describe(&root).unwrap(), Some(expected.clone()));
    assert_eq!(describe(&root.join("src")).unwrap(), Some(expected));
}

#[test]
fn changes_are_counted() {
    let sample = Sample::new();
    let root = sample.root();
    put(&root.join("src/main.rs"), "fn main() { loop {} }\n");
    put(&root.join("staged.rs"), "");
    git(&root, &["add", "staged.rs"]);
    git(&root, &["rm", "-q", "src/lib.rs"]);
    put(&root.join("new.txt"), "");
    put(&root.join("dir/a.txt"), "");
    put(&root.join("dir/deep/b.txt"), "");
    put(&root.join("dir/deep/c.log"), "");
    put(&root.join("dir/target/d"), "");
    put(&root.join("target/debug/e"), "");
    put(&root.join("logs/only.log"), "");
    git(&root, &["init", "-q", "dir/inner"]);
    put(&root.join("dir/inner/f"), "");
    let repo = describe(&root).unwrap().unwrap();
    assert_eq!((repo.modified, repo.untracked), (3, 4));
    let all = git(&root, &["status", "--porcelain", "--untracked-files=all"]);
    assert_eq!(all.lines().filter(|line| line.starts_with("??")).count(), 4, "{all}");
    git(&root, &["config", "status.showUntrackedFiles", "no"]);
    let repo = describe(&root).unwrap().unwrap();
    assert_eq!((repo.modified, repo.untracked), (3, 0));
}

#[test]
fn nothing_is_written_and_nothing_is_run() {
    let sample = Sample::new();
    let root = sample.root();
    let trap = root.join(".git/trap");
    let command = format!("touch {}", trap.display());
    for key in
        ["core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "diff.external", "core.sshCommand"]
    {
        git(&root, &["config", key, &command]);
    }
    git(&root, &["config", "filter.trap.process", &command]);
    put(&root.join(".git/info/attributes"), "* filter=trap diff=trap\n");
    // The times in the index are out of date, so that a refresh would have something to write, and
    // contents have to be compared.
    let main = fs::OpenOptions::new().write(true).open(root.join("src/main.rs")).unwrap();
    let later = main.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(100);
    main.set_modified(later).unwrap();
    put(&root.join("src/lib.rs"), "changed");
    put(&root.join("new/file"), "");
    let before = tree(&root);
    let repo = describe(&root).unwrap().unwrap();
    assert_eq!((repo.modified, repo.untracked), (1, 1));
    compare(&repo, &root);
    assert!(before == tree(&root));
    assert!(!trap.exists());
}

#[test]
fn a_detached_head_and_a_new_repository_have_what_they_have() {
    let sample = Sample::new();
    git(&sample.root(), &["checkout", "-q", "--detach", "HEAD^"]);
    let repo = describe(&sample.root()).unwrap().unwrap();
    assert_eq!((repo.branch, repo.subject.as_deref(), repo.upstream), (None, Some("First"), None));

    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "-b", "trunk/new"]);
    put(&dir.path().join("a"), "");
    let repo = describe(dir.path()).unwrap().unwrap();
    assert_eq!((repo.branch.as_deref(), repo.commit, repo.untracked), (Some("trunk/new"), None, 1));
}

#[test]
fn worktrees_and_bare_repositories_are_described() {
    let sample = Sample::new();
    git(&sample.root(), &["worktree", "add", "-q", "-b", "side", "../side"]);
    let side = sample.root().with_file_name("side");
    put(&side.join("x"), "");
    let repo = describe(&side).unwrap().unwrap();
    assert_eq!(repo.root, side.to_str().unwrap());
    assert_eq!((repo.worktree, repo.branch.as_deref(), repo.untracked), (true, Some("side"), 1));
    assert_eq!(repo.remotes.len(), 1);

    git(sample.dir.path(), &["clone", "-q", "--bare", "work", "bare.git"]);
    let bare = sample.root().with_file_name("bare.git");
    let repo = describe(&bare).unwrap().unwrap();
    assert_eq!(
        (repo.root.as_str(), repo.worktree, repo.commit),
        (bare.to_str().unwrap(), false, Some(sample.head()))
    );
}

#[test]
fn no_repository_is_nothing_and_a_damaged_one_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(describe(dir.path()).unwrap(), None);
    assert_eq!(describe(&dir.path().join("none")).unwrap(), None);

    let sample = Sample::new();
    let loose = sample.head();
    let object = sample.root().join(".git/objects").join(&loose[..2]).join(&loose[2..]);
    fs::set_permissions(&object, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    put(&object, "garbage");
    let error = describe(&sample.root()).unwrap_err().to_string();
    assert!(error.contains("cannot be read") && error.contains("work"), "{error}");
    assert!(matches!(compare(&Repo::default(), &sample.root()), Comparison::Unreadable(_)));
    put(&sample.root().join(".git/HEAD"), "nonsense");
    assert!(describe(&sample.root()).is_err());
}

#[test]
fn a_remote_that_would_run_something_is_left_out() {
    let sample = Sample::new();
    for (name, url) in
        [("a", "ext::sh -c id"), ("b", "--upload-pack=id"), ("c", "git:pw@host:x.git"), ("d", "")]
    {
        git(&sample.root(), &["config", &format!("remote.{name}.url"), url]);
    }
    git(&sample.root(), &["config", "url.https://TOKEN@mirror/.insteadOf", "https://"]);
    let remotes = describe(&sample.root()).unwrap().unwrap().remotes;
    let remotes: Vec<(&str, &str)> =
        remotes.iter().map(|remote| (remote.name.as_str(), remote.url.as_str())).collect();
    assert_eq!(remotes, [("c", "git@host:x.git"), ("origin", "https://host/ada/work.git")]);
}

/// Only root can give files away.
#[test]
fn a_repository_of_another_user_is_read() {
    let sample = Sample::new();
    git(&sample.root(), &["worktree", "add", "-q", "-b", "side", "../side"]);
    let side = sample.root().with_file_name("side");
    let expected = [describe(&sample.root()).unwrap(), describe(&side).unwrap()];
    if chown(sample.dir.path()).is_err() {
        return;
    }
    assert_eq!([describe(&sample.root()).unwrap(), describe(&side).unwrap()], expected);
    assert_eq!(describe(&side.join("src")).unwrap(), expected[1]);
    assert_eq!(compare(expected[0].as_ref().unwrap(), &sample.root()), Comparison::Same);
}

fn chown(path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(65534), Some(65534))?;
    if path.symlink_metadata()?.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| chown(&entry?.path()))?;
    }
    Ok(())
}

#[test]
fn recorded_and_found_are_compared() {
    let sample = Sample::new();
    let root = sample.root();
    let recorded = describe(&root).unwrap().unwrap();
    assert_eq!(compare(&recorded, &root), Comparison::Same);
    assert_eq!(compare(&recorded, &root.join("none")), Comparison::Missing);
    assert_eq!(compare(&recorded, &root.join("src")), Comparison::Same);

    put(&root.join("new"), "");
    put(&root.join("src/lib.rs"), "x");
    let dirty = compare(&recorded, &root);
    assert_eq!(dirty, Comparison::Dirty { modified: 1, untracked: 1 });
    assert_eq!(dirty.to_string(), "1 modified and 1 untracked files are there");

    git(&root, &["checkout", "-qf", "HEAD^"]);
    let first = git(&root, &["rev-parse", "HEAD"]);
    let other = compare(&recorded, &root);
    assert_eq!(
        other,
        Comparison::OtherCommit { recorded: recorded.commit.clone(), here: Some(first.clone()) }
    );
    let told = format!(
        "the session was at commit {}; checked out is commit {}",
        &sample_commit(&recorded),
        &first[..10]
    );
    assert_eq!(other.to_string(), told);

    // The same repository under another address.
    git(&root, &["remote", "set-url", "origin", "git@host:Ada/work"]);
    assert_eq!(compare(&recorded, &root), other);
    // Without any address in common, the commit tells.
    git(&root, &["remote", "set-url", "origin", "git@host:ada/other"]);
    assert_eq!(compare(&recorded, &root), other);
    // Or the first one of the history.
    let later = Repo { commit: Some("1".repeat(40)), ..recorded.clone() };
    assert!(matches!(compare(&later, &root), Comparison::OtherCommit { .. }));
    let stranger = Repo { root_commit: None, ..later };
    assert_eq!(compare(&stranger, &root), Comparison::OtherRepository);
    assert_eq!(compare(&Repo { commit: None, ..recorded }, &root), Comparison::OtherRepository);
}

fn sample_commit(repo: &Repo) -> String {
    repo.commit.as_ref().unwrap()[..10].to_owned()
}

#[test]
fn repositories_without_remotes_are_taken_for_the_same() {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q"]);
    assert_eq!(compare(&Repo::default(), dir.path()), Comparison::Same);
}
