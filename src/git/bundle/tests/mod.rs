//! Bundles of real repositories, judged by the git program: it verifies them, unpacks them, and
//! `git status` says the same in the repository that they came from and in the one that was
//! restored from them.
#![cfg(unix)]

mod limits;
mod odd;
mod restored;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::git::tests::{git, put, tree};

/// A repository whose first two commits are on a remote, and its third is not.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self::without_remote();
        let (root, dir) = (world.root(), world.dir.path());
        git(dir, &["init", "-q", "--bare", "-b", "main", "remote.git"]);
        git(&root, &["remote", "add", "origin", "../remote.git"]);
        git(&root, &["push", "-q", "-u", "origin", "main"]);
        put(&root.join("src/unpushed.rs"), "// not on the remote\n");
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "Third: naïve ✓"]);
        world
    }

    fn without_remote() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        let root = world.dir.path().join("work");
        git(world.dir.path(), &["init", "-q", "-b", "main", "work"]);
        for (path, content) in [
            ("src/main.rs", "fn main() {}\n"),
            ("src/deep/er/lib.rs", "pub fn lib() {}\n"),
            ("docs/a.md", "one\ntwo\nthree\nfour\nfive\n"),
            ("docs/b.md", "b\n"),
            ("run.sh", "#!/bin/sh\n"),
            ("data.bin", "\0\u{1}\u{2}binary"),
            (".gitignore", "target/\n*.log\n"),
        ] {
            put(&root.join(path), content);
        }
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "First"]);
        put(&root.join("src/second.rs"), "");
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "Second"]);
        world
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("work").canonicalize().unwrap()
    }

    fn put(&self, path: &str, content: &str) {
        put(&self.root().join(path), content);
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.root(), arguments)
    }

    /// Bundles the repository for the session `one`.
    fn bundle(&self, options: &Options) -> Bundled {
        Bundled::of(&self.root(), &["one"], options)
    }

    /// A clone of what was pushed.
    fn clone(&self) -> PathBuf {
        let target = self.dir.path().join("target");
        git(self.dir.path(), &["clone", "-q", "remote.git", "target"]);
        target
    }
}

const PARTLY: Options = Options { full: false, max_work: MAX_WORK };
const WHOLLY: Options = Options { full: true, max_work: MAX_WORK };

/// A bundle and what is said of it.
struct Bundled {
    bytes: Vec<u8>,
    carried: Carried,
}

impl Bundled {
    /// Makes a bundle, twice, and looks that it is the same and that nothing changed: no name, no byte
    /// and no time in the repository.
    fn of(dir: &Path, sessions: &[&str], options: &Options) -> Self {
        let repository = Repository::discover(dir).unwrap();
        let places = [repository.commondir().to_owned(), repository.path().to_owned(), dir.to_owned()];
        let before = places.each_ref().map(|place| tree(place));
        let (mut bytes, mut again) = (Vec::new(), Vec::new());
        let carried = write(dir, sessions, options, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(write(dir, sessions, options, &mut again).ok().flatten(), carried);
        assert!(bytes == again, "the same state has the same bytes");
        assert!(before == places.each_ref().map(|place| tree(place)), "the repository was changed");
        Self { bytes, carried: carried.unwrap_or_default() }
    }

    /// Puts the bundle into a file beside the repository.
    fn save(&self, target: &Path) -> String {
        let path = target.with_extension("bundle");
        fs::File::create_new(&path).unwrap().write_all(&self.bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Restores the state in a repository, with nothing but git, and returns what references there
    /// are in the bundle.
    fn restore(&self, target: &Path, branch: Option<&str>, commit: Option<&str>) -> BTreeMap<String, String> {
        let file = self.save(target);
        git(target, &["bundle", "verify", "-q", &file]);
        let heads = git(target, &["bundle", "list-heads", &file]);
        git(target, &["bundle", "unbundle", &file]);
        match (branch, commit) {
            (Some(branch), Some(commit)) => git(target, &["checkout", "-q", "-B", branch, commit]),
            (None, Some(commit)) => git(target, &["checkout", "-q", "--detach", commit]),
            _ => String::new(),
        };
        if let Some(work) = &self.carried.work {
            let parents = git(target, &["log", "-1", "--format=%P", work]);
            let index = parents.split(' ').find(|parent| !parent.is_empty() && Some(*parent) != commit);
            git(target, &["read-tree", "--reset", "-u", work]);
            match index.or(commit) {
                Some(index) => git(target, &["read-tree", index]),
                None => git(target, &["read-tree", "--empty"]),
            };
        }
        git(target, &["fsck", "--strict", "--no-dangling"]);
        heads
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect()
    }
}

/// What `git status` says, without writing a refreshed index.
fn status(root: &Path) -> Vec<String> {
    let output = Command::new("git")
        .args(["status", "--porcelain=v2", "-z", "--untracked-files=all"])
        .current_dir(root)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|byte| *byte == 0).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// Every file of the working directory that git does not ignore: its content or target, and whether
/// it may be run.
fn files(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, bool)> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .unwrap();
    let paths = output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    let mut files = BTreeMap::new();
    for path in paths {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let Ok(meta) = root.join(path).symlink_metadata() else { continue };
        let content = match meta.is_symlink() {
            true => fs::read_link(root.join(path)).unwrap().as_os_str().as_bytes().to_vec(),
            false => fs::read(root.join(path)).unwrap_or_default(),
        };
        files.insert(path.to_owned(), (content, meta.permissions().mode() & 0o100 != 0));
    }
    files
}

/// Looks that both are in the same state.
fn assert_same(source: &Path, target: &Path) {
    assert_eq!(status(source), status(target));
    assert_eq!(files(source), files(target));
    assert_eq!(
        git(source, &["ls-files", "--stage"]),
        git(target, &["ls-files", "--stage"]),
        "what is staged"
    );
}
