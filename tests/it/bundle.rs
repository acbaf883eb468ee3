//! `export --git bundle`: what the binary packs is what the git program takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::holdall::Holdall;
use crate::support::programs::{Ended, Home, run};

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

/// A home with a repository and a session in it.
struct World {
    dir: TempDir,
    home: Home,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let world = Self { dir, home };
        let remote = world.home.dir().with_file_name("remote.git");
        git(world.dir.path(), &["init", "-q", "--bare", "-b", "main", remote.to_str().unwrap()]);
        let root = world.root();
        fs::create_dir_all(root.join("sub/dir")).unwrap();
        git(&root, &["init", "-q", "-b", "main"]);
        fs::write(root.join("a.txt"), "a\n").unwrap();
        fs::write(root.join("sub/dir/b.txt"), "b\n").unwrap();
        world.commit("First");
        git(&root, &["remote", "add", "origin", remote.to_str().unwrap()]);
        git(&root, &["push", "-q", "-u", "origin", "main"]);
        // Where others find it.
        git(&root, &["remote", "set-url", "origin", "https://host.invalid/app.git"]);
        world.session(ONE, &root);
        world
    }

    fn root(&self) -> PathBuf {
        self.home.dir().join("src/app")
    }

    fn commit(&self, message: &str) {
        git(&self.root(), &["add", "."]);
        git(&self.root(), &["commit", "-qm", message]);
    }

    /// Changes of each kind, and a commit that was not pushed.
    fn work(&self) {
        let root = self.root();
        fs::write(root.join("c.txt"), "c\n").unwrap();
        self.commit("Unpushed");
        fs::write(root.join("a.txt"), "staged\n").unwrap();
        git(&root, &["add", "a.txt"]);
        fs::write(root.join("a.txt"), "changed\n").unwrap();
        fs::remove_file(root.join("sub/dir/b.txt")).unwrap();
        fs::write(root.join("new\nline ✓.txt"), "new\n").unwrap();
    }

    /// A session of Claude Code in a directory.
    fn session(&self, id: &str, cwd: &Path) {
        let slug: String =
            cwd.to_str().unwrap().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let project = self.home.dir().join(".claude/projects").join(slug);
        fs::create_dir_all(&project).unwrap();
        let line = |kind: &str, uuid: &str, parent: Value, message: Value| {
            json!({
                "parentUuid": parent, "isSidechain": false, "userType": "external", "cwd": cwd, "sessionId": id,
                "version": "2.1.329", "type": kind, "message": message, "uuid": uuid,
                "timestamp": "2026-01-01T00:00:00.000Z",
            })
        };
        let (first, second) =
            ("aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002");
        let said = json!({"role": "user", "content": "hello"});
        let answer = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [{"type": "text", "text": "good day"}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        });
        let lines = [line("user", first, Value::Null, said), line("assistant", second, json!(first), answer)];
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(project.join(format!("{id}.jsonl")), text).unwrap();
    }

    fn archive(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn holdall(&self) -> Holdall<'_> {
        Holdall::new(&self.home, self.home.dir())
    }

    /// Exports everything; nothing in the repository may change by it.
    fn export(&self, name: &str, more: &[&str]) -> Value {
        let file = self.archive(name);
        let before = snapshot(&self.root());
        let report = self.holdall().done(&[&["export", "--all", "-o", &file], more].concat()).unwrap();
        assert!(before == snapshot(&self.root()), "the repository was changed");
        report
    }

    fn talk(&self, args: &[&str]) -> Ended {
        let mut command = self.home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), self.home.dir());
        command.env("PATH", "/usr/bin:/bin").args(args);
        run(&mut command, Duration::from_secs(60)).unwrap()
    }

    /// Unpacks an archive with the tools of the system and returns its manifest.
    fn unpack(&self, name: &str) -> (PathBuf, Value) {
        let to = self.dir.path().join(format!("{name}.d"));
        fs::create_dir(&to).unwrap();
        shell(&to, &format!("tar xzf '{}' && sha256sum --quiet -c SHA256SUMS", self.archive(name)));
        let manifest = serde_json::from_slice(&fs::read(to.join("manifest.json")).unwrap()).unwrap();
        (to, manifest)
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(args).current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.invalid");
        command.env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
    }
    let output = command.env("GIT_OPTIONAL_LOCKS", "0").output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn shell(dir: &Path, script: &str) {
    let status = Command::new("sh").current_dir(dir).args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

/// Every file below a directory, `.git` included: its bytes and its time.
fn snapshot(dir: &Path) -> Vec<(PathBuf, SystemTime, Vec<u8>)> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let small = meta.is_file() && meta.len() < 1 << 20;
            let bytes = if small { fs::read(&path).unwrap() } else { Vec::new() };
            if meta.is_dir() {
                open.push(path.clone());
            }
            all.push((path, meta.modified().unwrap(), bytes));
        }
    }
    all.sort();
    all
}

fn status(root: &Path) -> String {
    git(root, &["status", "--porcelain=v2", "--untracked-files=all"])
}

#[test]
fn commits_and_work_of_two_sessions_travel() {
    let world = World::new();
    world.work();
    world.session(TWO, &world.root().join("sub/dir"));
    let report = world.export("a.tar.gz", &["--git", "bundle"]);
    assert_eq!(report["warnings"], json!([]));
    assert_eq!(report["repos"].as_array().unwrap().len(), 1);
    let carried = &report["repos"][0]["carried"];
    assert_eq!(carried["commits"], 1);
    assert!(carried["work"].is_string() && carried.get("left_out").is_none(), "{carried}");

    // The same state has the same bytes.
    world.export("b.tar.gz", &["--git", "bundle"]);
    assert!(fs::read(world.archive("a.tar.gz")).unwrap() == fs::read(world.archive("b.tar.gz")).unwrap());

    let (unpacked, manifest) = world.unpack("a.tar.gz");
    assert_eq!(manifest["version"], json!({"major": 1, "minor": 1}));
    assert_eq!(manifest["repos"][0]["root_commit"], git(&world.root(), &["rev-parse", "HEAD^"]));
    let bundle = unpacked.join("r/0001/repository.bundle");
    assert_eq!(manifest["bundles"][0]["size"], fs::metadata(&bundle).unwrap().len());

    let target = world.dir.path().join("target");
    git(world.dir.path(), &["clone", "-q", "remote.git", "target"]);
    let bundle = bundle.to_str().unwrap();
    git(&target, &["bundle", "verify", "-q", bundle]);
    let heads = git(&target, &["bundle", "list-heads", bundle]);
    let names: Vec<&str> = heads.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
    let refs = [ONE, TWO].map(|id| format!("refs/holdall/{id}"));
    assert_eq!(names, ["refs/heads/main", &refs[0], &refs[1]]);
    git(
        &target,
        &["fetch", "-q", bundle, "+refs/heads/main:refs/carried/main", "refs/holdall/*:refs/holdall/*"],
    );
    git(&target, &["reset", "-q", "--hard", "refs/carried/main"]);
    git(&target, &["read-tree", "--reset", "-u", &refs[0]]);
    git(&target, &["read-tree", &format!("{}^2", refs[0])]);
    assert_eq!(status(&world.root()), status(&target));
    assert_eq!(fs::read(target.join("a.txt")).unwrap(), b"changed\n");

    let file = world.archive("a.tar.gz");
    assert_eq!(world.holdall().done(&["verify", &file]).unwrap()["ok"], true);
    let inspected = world.holdall().done(&["inspect", &file]).unwrap();
    assert_eq!(inspected["repos"][0]["carried"], *carried);
    let told = world.talk(&["inspect", &file]).stdout;
    assert!(
        told.contains("and 1 git bundle, ") && told.contains("carries 1 commit and 3 changed files"),
        "{told}"
    );
}

#[test]
fn the_summary_says_what_is_carried_and_warnings_what_is_not() {
    let world = World::new();
    world.work();
    git(&world.root(), &["init", "-q", "inner"]);
    fs::write(world.root().join("inner/x"), "x").unwrap();
    let told = world.talk(&["export", "--all", "-o", &world.archive("a.tar.gz"), "--git", "bundle"]);
    assert_eq!(told.status.code(), Some(0), "{}", told.stderr);
    assert!(told.stdout.contains("carries 1 commit and "), "{}", told.stdout);
    assert!(told.stdout.contains(" of ~/src/app\n"), "{}", told.stdout);
    assert!(told.stderr.contains("inner/: a repository of its own"), "{}", told.stderr);
    let told = world.talk(&["inspect", &world.archive("a.tar.gz")]);
    assert!(told.stdout.contains("not carried: inner/: a repository of its own"), "{}", told.stdout);
}

#[test]
fn nothing_is_carried_that_nobody_asked_for_or_that_is_elsewhere() {
    let world = World::new();
    let report = world.export("clean.tar.gz", &["--git", "bundle"]);
    assert!(report["repos"][0].get("carried").is_none(), "{report}");
    let (unpacked, manifest) = world.unpack("clean.tar.gz");
    assert!(manifest.get("bundles").is_none() && !unpacked.join("r").exists());

    world.work();
    for (name, git) in [("meta.tar.gz", &["--git", "meta"][..]), ("default.tar.gz", &[])] {
        let report = world.export(name, git);
        assert_eq!((&report["repos"][0]["modified"], report["repos"][0].get("carried")), (&json!(2), None));
    }
    let read = |name: &str| fs::read(world.archive(name)).unwrap();
    assert!(read("meta.tar.gz") == read("default.tar.gz"));
    assert_eq!(world.export("none.tar.gz", &["--git", "none"])["repos"], json!([]));
}

#[test]
fn the_whole_history_serves_where_no_remote_does() {
    let world = World::new();
    world.work();
    git(&world.root(), &["remote", "set-url", "origin", "../../../remote.git"]);
    let report = world.export("part.tar.gz", &["--git", "bundle"]);
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(warning.contains("no other machine can clone it") && warning.contains("--git full"), "{warning}");
    let report = world.export("full.tar.gz", &["--git", "full"]);
    assert_eq!(report["warnings"], json!([]));
    assert_eq!(
        (&report["repos"][0]["carried"]["commits"], &report["repos"][0]["carried"]["needs"]),
        (&json!(2), &json!([]))
    );
    let (unpacked, _) = world.unpack("full.tar.gz");
    let bundle = unpacked.join("r/0001/repository.bundle");
    git(world.dir.path(), &["clone", "-q", "-b", "main", bundle.to_str().unwrap(), "target"]);
    let target = world.dir.path().join("target");
    assert_eq!(git(&target, &["log", "--format=%H"]), git(&world.root(), &["log", "--format=%H"]));
}

#[test]
fn work_that_is_too_large_is_refused_with_advice() {
    let world = World::new();
    let big = world.root().join("big.img");
    fs::File::create(&big).unwrap().set_len(1 << 30).unwrap();
    let file = world.archive("a.tar.gz");
    let begun = Instant::now();
    let told = world.talk(&["export", "--all", "-o", &file, "--git", "bundle"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(told.status.code(), Some(1));
    for part in ["1 GiB", "100 MiB", "big.img", ".gitignore", "--max-work", "--git meta"] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
    assert!(!Path::new(&file).exists());
    assert_eq!(world.talk(&["export", "--all", "-o", &file, "--max-work", "much"]).status.code(), Some(2));
    fs::File::options().write(true).open(&big).unwrap().set_len(3 << 20).unwrap();
    let small = world.talk(&["export", "--all", "-o", &file, "--git", "bundle", "--max-work", "2M"]);
    assert_eq!(small.status.code(), Some(1));
    world.export("a.tar.gz", &["--git", "bundle", "--max-work", "3MiB"]);
}

#[test]
fn a_repository_that_cannot_be_bundled_does_not_keep_the_sessions_here() {
    let world = World::new();
    world.work();
    // Another branch of the remote is damaged: everything else of the repository can be read.
    let tree = git(&world.root(), &["rev-parse", "HEAD:sub/dir"]);
    fs::remove_file(world.root().join(".git/objects").join(&tree[..2]).join(&tree[2..])).unwrap();
    let report =
        world.holdall().done(&["export", "--all", "-o", &world.archive("a.tar.gz"), "--git", "bundle"]);
    match report {
        Ok(report) => {
            assert!(report["warnings"][0].as_str().unwrap().contains("cannot be read"), "{report}");
            assert_eq!(report["sessions"].as_array().unwrap().len(), 1);
        }
        Err(error) => panic!("{error}"),
    }
}
