//! Which of the repositories that are here is the recorded one.

use super::super::find::{self, Likeness, choose, clones};
use super::*;

/// A workspace with repositories, made by the git program.
struct Workspace {
    dir: tempfile::TempDir,
    root: PathBuf,
}

impl Workspace {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("code");
        fs::DirBuilder::new().create(&root).unwrap();
        Self { dir, root }
    }

    /// A repository with one commit of this text and a remote of this address.
    fn add(&self, path: &str, text: &str, url: Option<&str>) -> PathBuf {
        let root = self.root.join(path);
        put(&root.join("file"), text);
        git(&root, &["init", "-q", "-b", "main"]);
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "First"]);
        if let Some(url) = url {
            git(&root, &["remote", "add", "origin", url]);
        }
        root
    }

    fn clones(&self) -> Vec<String> {
        let (clones, complete) = clones(&self.root);
        assert!(complete);
        let relative =
            |clone: &find::Clone| clone.root.strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
        clones.iter().map(relative).collect()
    }

    fn chosen(&self, recorded: &Repo) -> Option<(String, Likeness, usize)> {
        let found = choose(recorded, &clones(&self.root).0)?;
        let root = found.root.strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
        Some((root, found.likeness, found.others.len()))
    }
}

fn recorded(root: &str, url: Option<&str>, commit: Option<String>) -> Repo {
    let remotes = url.map(|url| Remote { name: "origin".into(), url: url.into() });
    Repo {
        root: root.into(),
        remotes: remotes.into_iter().collect(),
        root_commit: commit.clone(),
        commit,
        ..Repo::default()
    }
}

fn head(root: &Path) -> String {
    git(root, &["rev-parse", "HEAD"])
}

#[test]
fn a_workspace_is_looked_through_but_not_what_is_in_repositories() {
    let work = Workspace::new();
    for path in [
        "a",
        "team/b",
        "team/deep/er/c",
        "team/deep/er/still/d",
        ".hidden/e",
        "web/node_modules/f",
        "a/inner",
    ] {
        work.add(path, path, None);
    }
    git(&work.root.join("a"), &["worktree", "add", "-q", "-b", "side", "../a-side"]);
    put(&work.root.join("team/file"), "");
    std::os::unix::fs::symlink(work.root.join("a"), work.root.join("link")).unwrap();
    assert_eq!(work.clones(), ["a", "a-side", "team/b", "team/deep/er/c"]);
    assert_eq!(clones(&work.root.join("a")).0.len(), 1);
    assert_eq!(clones(&work.dir.path().join("none")).0.len(), 0);
}

#[test]
fn every_spelling_of_an_address_is_the_same() {
    let work = Workspace::new();
    work.add("other", "other", Some("https://github.com/ada/other"));
    let spellings = [
        "git@github.com:ada/app.git",
        "ssh://git@github.com:22/ada/app",
        "https://github.com/Ada/App.git",
        "https://user@github.com:443/ada/app/",
        "git://GitHub.com/ada/app.git",
    ];
    let root = work.add("x", "x", None);
    git(&root, &["remote", "add", "origin", "none"]);
    for here in spellings {
        git(&root, &["remote", "set-url", "origin", here]);
        for there in spellings {
            let found = work.chosen(&recorded("/r/app", Some(there), None));
            assert_eq!(found, Some(("x".into(), Likeness::Remote, 0)), "{there} at {here}");
        }
    }
    assert_eq!(work.chosen(&recorded("/r/app", Some("git@github.com:ada/more"), None)), None);
    // Of a relative path nobody knows what it means.
    git(&root, &["remote", "set-url", "origin", "../origin.git"]);
    assert_eq!(work.chosen(&recorded("/r/app", Some("../origin.git"), None)), None);
}

#[test]
fn a_remote_goes_before_a_history_and_a_commit_before_a_name() {
    let work = Workspace::new();
    let url = "git@host:ada/app.git";
    let fork = work.add("app", "same", Some("git@host:eve/app.git"));
    let commit = head(&fork);
    let wanted = recorded("/r/app", Some(url), Some(commit.clone()));
    assert_eq!(work.chosen(&wanted), Some(("app".into(), Likeness::History, 0)));
    // Another history, but the remote.
    work.add("elsewhere/mine", "new", Some("https://host/ada/app"));
    assert_eq!(work.chosen(&wanted), Some(("elsewhere/mine".into(), Likeness::Remote, 0)));
    // The name of the directory, and then the commit.
    work.add("deep/app", "newer", Some(url));
    assert_eq!(work.chosen(&wanted), Some(("deep/app".into(), Likeness::Remote, 1)));
    work.add("elsewhere/far/off", "same", Some(url));
    assert_eq!(work.chosen(&wanted), Some(("elsewhere/far/off".into(), Likeness::Remote, 2)));
}

#[test]
fn a_linked_worktree_is_for_a_linked_worktree() {
    let work = Workspace::new();
    let url = "git@host:ada/app.git";
    let root = work.add("some", "same", Some(url));
    git(&root, &["worktree", "add", "-q", "-b", "side", "../s"]);
    let wanted = recorded("/r/app", Some(url), Some(head(&root)));
    assert_eq!(work.chosen(&wanted).unwrap().0, "some");
    assert_eq!(work.chosen(&Repo { worktree: true, ..wanted }).unwrap().0, "s");
}

#[test]
fn the_repository_of_a_directory_begins_there() {
    let work = Workspace::new();
    let root = work.add("app", "same", Some("git@host:ada/app.git"));
    let wanted = recorded("/r/app", Some("https://host/ada/app"), None);
    assert_eq!(find::is_at(&wanted, &root), Some(Likeness::Remote));
    put(&root.join("src/file"), "");
    assert_eq!(find::is_at(&wanted, &root.join("src")), None);
    assert_eq!(find::is_at(&wanted, &root.join("none")), None);
    assert_eq!(find::head(&root), Some((Some("main".into()), Some(head(&root)))));
    let other = recorded("/r/app", None, Some(head(&root)));
    assert_eq!(find::is_at(&other, &root), Some(Likeness::History));
    assert!(find::is_same(&wanted, &recorded("/s/x", Some("git@host:Ada/app"), None)));
    assert!(!find::is_same(&wanted, &other));
}
