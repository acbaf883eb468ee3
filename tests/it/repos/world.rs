//! A repository with a remote on one machine, and another machine that archives of it come to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cases::{self, CWD};
use crate::support::holdall::Holdall;
use crate::support::programs::{Home, run};

/// The session in every archive.
pub const SESSION: &str = "8dd9110b-80ab-44ee-b4c8-56e3d33cde7e";

/// The source and its remote, and the home of the other machine.
pub struct World {
    pub dir: TempDir,
    pub source: PathBuf,
    pub remote: PathBuf,
    pub home: Home,
    plain: PathBuf,
}

/// Runs git without any configuration of this machine, and returns what it says.
#[track_caller]
pub fn git(dir: &Path, args: &[&str]) -> String {
    git_with(dir, args, &[])
}

#[track_caller]
fn git_with(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> String {
    let output = command(dir, args).envs(vars.iter().copied()).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Whether git refuses this.
pub fn git_fails(dir: &Path, args: &[&str]) -> bool {
    !command(dir, args).output().unwrap().status.success()
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(args).current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.invalid");
        command.env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
    }
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "init.defaultBranch");
    command.env("GIT_CONFIG_VALUE_0", "main");
    command
}

#[track_caller]
pub fn shell(dir: &Path, script: &str) {
    let mut shell = Command::new("sh");
    shell.current_dir(dir).args(["-ec", script]);
    for (name, value) in command(dir, &[]).get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    assert!(shell.status().unwrap().success(), "{script}");
}

/// What git says of a repository.
#[track_caller]
pub fn status(root: &Path) -> String {
    git(root, &["status", "--porcelain=v2", "--branch", "--untracked-files=all"])
}

impl World {
    /// A repository with one commit that was pushed and one that was not, and uncommitted work of
    /// every kind.
    pub fn new() -> Self {
        let world = Self::empty();
        let (root, remote) = (&world.source, world.remote.to_str().unwrap().to_owned());
        git(world.dir.path(), &["init", "-q", "--bare", &remote]);
        shell(
            root,
            "mkdir -p dir/deep && echo a > a.txt && echo run > run.sh && echo gone > gone.txt && echo x > dir/deep/x
             echo staged > staged-away.txt && ln -s a.txt link && echo '*.log' > .gitignore
             git add . && git commit -q -m First && echo more > a.txt && git commit -q -am Second",
        );
        git(root, &["remote", "add", "origin", &world.url()]);
        git(root, &["push", "-q", "-u", "origin", "main"]);
        shell(root, "echo b > b.txt && git add b.txt && git commit -q -m Unpushed");
        shell(
            root,
            "echo 'staged once' >> a.txt && git add a.txt && echo 'and again' >> a.txt
             echo added > added.txt && git add added.txt
             git rm -q staged-away.txt
             rm gone.txt && chmod +x run.sh && ln -sf dir link
             mkdir new && echo deep > new/deep.txt && echo untracked > untracked.txt && echo 'ü' > 'naïve file.txt'
             echo ignored > ignored.log",
        );
        world
    }

    /// A repository without a commit and without a remote.
    pub fn unborn() -> Self {
        let world = Self::empty();
        shell(&world.source, "echo a > a.txt && git add a.txt && echo b >> a.txt && echo new > new.txt");
        world
    }

    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("there"));
        let base = home.dir().parent().unwrap().to_owned();
        let source = base.join("here/src/app");
        fs::create_dir_all(&source).unwrap();
        git(&source, &["init", "-q"]);
        let plain = base.join("plain.tar.gz");
        let here = Home::at(base.join("recorded"));
        cases::of("claude").into_iter().find(|case| case.id == SESSION).unwrap().unpack(here.dir());
        let args = ["export", SESSION, "-o", plain.to_str().unwrap()];
        Holdall::new(&here, here.dir()).done(&args).unwrap();
        Self { source, remote: base.join("remote/app.git"), home, plain, dir }
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.remote.display())
    }

    /// Where clones are to be on the other machine.
    pub fn workspace(&self) -> PathBuf {
        self.home.dir().join("code")
    }

    pub fn workspace_text(&self) -> &'static str {
        "code"
    }

    /// Where a clone would be made.
    pub fn there(&self) -> PathBuf {
        self.workspace().join("app")
    }

    /// The names beside a path.
    pub fn beside(&self, path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    pub fn command(&self, args: &[&str], vars: &[(&str, &str)]) -> Command {
        let mut command = self.home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), self.home.dir());
        command.arg("--json").args(args);
        command.envs(vars.iter().copied());
        command
    }

    pub fn run(&self, args: &[&str], vars: &[(&str, &str)]) -> (Value, i32) {
        let ended = run(&mut self.command(args, vars), Duration::from_secs(60)).unwrap();
        let report = serde_json::from_str(&ended.stdout).unwrap_or(Value::String(ended.stderr));
        (report, ended.status.code().unwrap_or(-1))
    }

    #[track_caller]
    pub fn holdall(&self, args: &[&str], expected: i32) -> Value {
        let (report, code) = self.run(args, &[]);
        assert_eq!(code, expected, "{args:?}: {report:#}");
        report
    }

    #[track_caller]
    pub fn import(&self, file: &str, more: &[&str], expected: i32) -> Value {
        let args = ["import", file, "--workspace-root", self.workspace_text()];
        self.holdall(&[&args[..], more].concat(), expected)
    }

    /// An archive with the session and the repository. `what`: the bundle holds what is `unpushed`, what
    /// is not committed (`pushed`, after a push), or `full`.
    pub fn archive(&self, what: &str) -> String {
        self.archive_with(what, |_| {})
    }

    pub fn archive_with(&self, what: &str, change: impl FnOnce(&mut Value)) -> String {
        if what == "pushed" {
            git(&self.source, &["push", "-q", "origin", "main"]);
        }
        let (repo, bundle) = self.record(what == "full");
        self.pack(repo, bundle, change)
    }

    /// The same with a changed bundle.
    pub fn archive_of_bundle(&self, what: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let (repo, mut bundle) = self.record(what == "full");
        change(bundle.as_mut().unwrap());
        self.pack(repo, bundle, |_| {})
    }

    /// What the manifest says of the repository, and its bundle; made in a copy.
    fn record(&self, full: bool) -> (Value, Option<Vec<u8>>) {
        let copy = self.dir.path().join("copy");
        shell(self.dir.path(), &format!("rm -rf copy && cp -a '{}' copy", self.source.display()));
        let ask = |args: &[&str]| {
            let output = command(&copy, args).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
            (output.status.success() && !text.is_empty()).then_some(text)
        };
        let commit = ask(&["rev-parse", "-q", "--verify", "HEAD"]);
        let upstream = ask(&["rev-parse", "--abbrev-ref", "@{upstream}"]).filter(|_| commit.is_some());
        let is_dirty = ask(&["status", "--porcelain"]).is_some();
        let work = is_dirty.then(|| work(&copy, commit.as_deref()));
        let refs: Vec<String> = work.iter().map(|_| format!("refs/holdall/{SESSION}")).collect();
        let needs: Vec<String> = match (&upstream, full) {
            (None, true) => Vec::new(),
            (_, true) => Vec::new(),
            (_, false) => {
                let bases = ask(&["merge-base", "HEAD", "origin/main"]);
                bases.into_iter().collect()
            }
        };
        let count = commit.as_ref().map_or(0, |_| {
            let not: Vec<String> = needs.iter().map(|need| format!("^{need}")).collect();
            let args: Vec<&str> =
                ["rev-list", "--count", "HEAD"].into_iter().chain(not.iter().map(String::as_str)).collect();
            git(&copy, &args).parse::<u64>().unwrap()
        });
        let branch = ask(&["symbolic-ref", "-q", "--short", "HEAD"]);
        let mut bundle = None;
        if count > 0 || work.is_some() {
            let file = self.dir.path().join("made.bundle");
            let tip = branch
                .clone()
                .filter(|_| commit.is_some())
                .map_or("HEAD".to_owned(), |name| format!("refs/heads/{name}"));
            let mut args =
                vec!["bundle".to_owned(), "create".to_owned(), "-q".to_owned(), "--version=2".to_owned()];
            args.push(file.to_str().unwrap().to_owned());
            args.extend((count > 0).then_some(tip));
            args.extend(refs);
            args.extend(needs.iter().map(|need| format!("^{need}")));
            git(&copy, &args.iter().map(String::as_str).collect::<Vec<_>>());
            bundle = Some(fs::read(file).unwrap());
        }
        let remotes = ask(&["config", "remote.origin.url"]);
        let root_commit = commit.as_ref().and_then(|_| ask(&["rev-list", "--max-parents=0", "HEAD"]));
        let repo = json!({
            "root": CWD, "worktree": false,
            "remotes": remotes.iter().map(|url| json!({"name": "origin", "url": url})).collect::<Vec<_>>(),
            "branch": branch, "commit": commit, "subject": null, "upstream": upstream,
            "ahead": null, "behind": null, "modified": u64::from(is_dirty), "untracked": 0,
            "root_commit": root_commit,
            "carried": bundle.as_ref().map(|_| json!({"needs": needs, "commits": count, "work": work})),
        });
        (repo, bundle)
    }

    /// Packs the session with a repository, or several, as other programs would.
    fn pack(&self, mut repo: Value, bundle: Option<Vec<u8>>, change: impl FnOnce(&mut Value)) -> String {
        change(&mut repo);
        let repos = if repo.is_array() { repo } else { json!([repo]) };
        let dir = self.dir.path().join("packing");
        shell(
            self.dir.path(),
            &format!("rm -rf packing && mkdir packing && tar xzf '{}' -C packing", self.plain.display()),
        );
        let path = dir.join("manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        manifest["source"]["home"] = "/home/dev".into();
        manifest["sessions"][0]["repo"] = 0.into();
        if repos.as_array().unwrap().len() > 1 {
            // Another session for the other repository.
            let mut other = manifest["sessions"][0].clone();
            let other_id = "00000000-80ab-44ee-b4c8-56e3d33cde7e";
            other["id"] = other_id.into();
            other["repo"] = 1.into();
            other["cwd"] = repos[1]["root"].clone();
            shell(&dir, "cp -r s/0001 s/0002");
            for file in other["files"].as_array_mut().unwrap() {
                file["name"] = file["name"].as_str().unwrap().replace("s/0001", "s/0002").into();
                file["path"] = file["path"].as_str().unwrap().replace(SESSION, other_id).into();
            }
            manifest["sessions"].as_array_mut().unwrap().push(other);
        }
        manifest["repos"] = repos;
        let mut members = "s/*/*".to_owned();
        if let Some(bundle) = bundle {
            fs::create_dir_all(dir.join("r/0001")).unwrap();
            fs::write(dir.join("r/0001/repository.bundle"), &bundle).unwrap();
            let sum = Command::new("sha256sum").arg(dir.join("r/0001/repository.bundle")).output().unwrap();
            let sum = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
            manifest["bundles"] =
                json!([{"repo": 0, "name": "r/0001/repository.bundle", "size": bundle.len(), "sha256": sum}]);
            members.push_str(" r/*/*");
        }
        fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
        let out = self.dir.path().join("archive.tar.gz");
        shell(
            &dir,
            &format!(
                "sha256sum manifest.json {members} > SHA256SUMS
                 tar --format=ustar -cf - manifest.json SHA256SUMS {members} | gzip > '{}'",
                out.display()
            ),
        );
        out.to_str().unwrap().to_owned()
    }

    /// An archive whose work has this tree, given in the form of `git mktree`.
    fn archive_of_tree(&self, make: impl FnOnce(&Path) -> String) -> String {
        let (mut repo, _) = self.record(false);
        let copy = self.dir.path().join("copy");
        let tree = make(&copy);
        let head = git(&copy, &["rev-parse", "HEAD"]);
        let work = git(&copy, &["commit-tree", &tree, "-p", &head, "-m", "Work"]);
        git(&copy, &["update-ref", &format!("refs/holdall/{SESSION}"), &work]);
        // Without looking at it: git itself refuses some of these trees.
        let need = git(&copy, &["rev-parse", "origin/main"]);
        let missing = blob(&copy, MISSING);
        let list = format!("git rev-list --objects {work} ^{need} | cut -c1-40 | grep -v {missing}");
        let pack = format!("{list} | git pack-objects --stdout -q");
        let pack = Command::new("sh").current_dir(&copy).args(["-ec", &pack]).output().unwrap();
        assert!(pack.status.success(), "{}", String::from_utf8_lossy(&pack.stderr));
        let header = format!("# v2 git bundle\n-{need} \n{work} refs/holdall/{SESSION}\n\n");
        repo["carried"]["work"] = work.into();
        self.pack(repo, Some([header.as_bytes(), &pack.stdout].concat()), |_| {})
    }
}

/// A commit of everything that is not committed, as an export makes it.
fn work(copy: &Path, commit: Option<&str>) -> String {
    let with = |index: &str, args: &[&str]| git_with(copy, args, &[("GIT_INDEX_FILE", index)]);
    let staged = with(".git/index", &["write-tree"]);
    let committed = commit.map(|commit| git(copy, &["rev-parse", &format!("{commit}^{{tree}}")]));
    let has_staged = committed.as_ref() != Some(&staged);
    fs::copy(copy.join(".git/index"), copy.join(".git/other-index")).unwrap();
    with(".git/other-index", &["add", "-A"]);
    let tree = with(".git/other-index", &["write-tree"]);
    let head: Vec<&str> = commit.map(|commit| vec!["-p", commit]).unwrap_or_default();
    let index =
        has_staged.then(|| git(copy, &[&["commit-tree", &staged, "-m", "Index"], &head[..]].concat()));
    let index: Vec<&str> = index.iter().flat_map(|index| ["-p", index.as_str()]).collect();
    let work = git(copy, &[&["commit-tree", &tree, "-m", "Work"], &head[..], &index[..]].concat());
    git(copy, &["update-ref", &format!("refs/holdall/{SESSION}"), &work]);
    work
}

/// A tree of entries that git's own commands would refuse: mode, name, object.
fn raw_tree(dir: &Path, entries: &[(&str, &str, &str)]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, object) in entries {
        bytes.extend(format!("{mode} {name}\0").bytes());
        bytes.extend((0..20).map(|byte| u8::from_str_radix(&object[2 * byte..2 * byte + 2], 16).unwrap()));
    }
    let file = dir.join(".git/raw-tree");
    fs::write(&file, bytes).unwrap();
    git(dir, &["hash-object", "-t", "tree", "-w", "--literally", file.to_str().unwrap()])
}

fn blob(dir: &Path, text: &str) -> String {
    let file = dir.join(".git/raw-blob");
    fs::write(&file, text).unwrap();
    git(dir, &["hash-object", "-w", "--no-filters", file.to_str().unwrap()])
}

/// What is in the file that is left out of bundles.
const MISSING: &str = "this is never carried";

type Make = fn(&World) -> String;

/// Archives whose bundle must not come into a repository.
pub const HOSTILE: [(&str, Make); 13] = [
    ("a truncated pack", |world| {
        world.archive_of_bundle("unpushed", |bundle| bundle.truncate(bundle.len() - 30))
    }),
    ("a pack with a flipped bit", |world| {
        world.archive_of_bundle("unpushed", |bundle| {
            let middle = bundle.len() - 60;
            bundle[middle] ^= 1;
        })
    }),
    ("no bundle", |world| world.archive_of_bundle("unpushed", |bundle| *bundle = b"hello".to_vec())),
    ("a header without an end", |world| {
        world.archive_of_bundle("unpushed", |bundle| *bundle = b"# v2 git bundle\n".to_vec())
    }),
    ("a pack without objects", |world| {
        world.archive_of_bundle("unpushed", |bundle| {
            let end = bundle.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
            bundle.truncate(end);
            bundle.extend(b"PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e");
        })
    }),
    (".git/hooks in the tree", |world| inner(world, ".git")),
    (".GIT/hooks in the tree", |world| inner(world, ".GIT")),
    ("git~1/hooks in the tree", |world| inner(world, "git~1")),
    ("..", |world| inner(world, "..")),
    ("a name with slashes", |world| {
        world.archive_of_tree(|dir| raw_tree(dir, &[("100644", "../../escaped", &blob(dir, "x"))]))
    }),
    ("a link and a directory of one name", |world| {
        let outside = world.dir.path().join("outside").to_str().unwrap().to_owned();
        world.archive_of_tree(|dir| {
            let inner = raw_tree(dir, &[("100644", "file", &blob(dir, "x"))]);
            raw_tree(dir, &[("120000", "way", &blob(dir, &outside)), ("40000", "way", &inner)])
        })
    }),
    ("a tree whose file is missing", |world| {
        world.archive_of_tree(|dir| raw_tree(dir, &[("100644", "file", &blob(dir, MISSING))]))
    }),
    ("work on another commit", |world| {
        let (_, _) = world.record(false);
        world.archive_with("unpushed", |repo| {
            let commit = git(&world.source, &["rev-parse", "HEAD"]);
            let copy = world.dir.path().join("copy");
            // What was staged is a commit of the bundle that is not built as work is.
            let other = git(&copy, &["rev-parse", &format!("refs/holdall/{SESSION}^2^")]);
            assert_eq!(other, commit);
            repo["carried"]["work"] = git(&copy, &["rev-parse", "HEAD"]).into();
        })
    }),
];

fn inner(world: &World, name: &str) -> String {
    world.archive_of_tree(|dir| {
        let hook = raw_tree(dir, &[("100755", "post-checkout", &blob(dir, "#!/bin/sh\n"))]);
        let hooks = raw_tree(dir, &[("40000", "hooks", &hook)]);
        raw_tree(dir, &[("40000", name, &hooks)])
    })
}
