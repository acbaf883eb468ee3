//! What may not be read or written: as an ordinary user, to whom modes and owners mean something.
//!
//! Each case ends with the right exit code and a message that names the path and says what to do;
//! what could not be done has changed nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::crash::points::tally;
use crate::crash::scratch;
use crate::support::cases;
use crate::support::programs::{Ended, Home, run};
use crate::support::tree::{self, Node, Tree};

/// Who holdall runs as where the tests run as root.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Two homes of a user, one with sessions and one for them, and an archive.
struct Scene {
    dir: TempDir,
    from: Home,
    to: Home,
}

impl Scene {
    fn new(harness: &str) -> Self {
        let dir = scratch();
        let from = Home::at(dir.path().join("from"));
        let to = Home::at(dir.path().join("to"));
        let all = cases::of(harness);
        let unpack = |home: &Home, names: [&str; 2]| {
            all.iter().filter(|case| names.contains(&&*case.case)).for_each(|case| case.unpack(home.dir()));
        };
        unpack(&from, ["chat", "edit"]);
        if harness == "opencode" {
            unpack(&to, ["fail", "fail"]);
        }
        fs::create_dir(to.dir().join("project")).unwrap();
        let scene = Self { dir, from, to };
        fs::copy(env!("CARGO_BIN_EXE_holdall"), scene.path("holdall")).unwrap();
        let mut everybody = fs::metadata(scene.path("holdall")).unwrap().permissions();
        everybody.set_mode(0o755);
        fs::set_permissions(scene.path("holdall"), everybody.clone()).unwrap();
        fs::set_permissions(scene.dir.path(), everybody).unwrap();
        fs::create_dir(scene.path("out")).unwrap();
        scene.own(scene.dir.path());
        scene.done(&scene.from, &["export", "--all", "-o", scene.text("a.tar.gz").as_str()]);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Gives everything below `dir` to the user.
    fn own(&self, dir: &Path) {
        if is_root() {
            let status = Command::new("chown").args(["-hR", "65534:65534"]).arg(dir).status();
            assert!(status.unwrap().success());
        }
    }

    /// Makes a directory of the user's.
    fn make_dir(&self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        self.own(self.from.dir());
        self.own(self.to.dir());
    }

    /// holdall as the user, after a piece of shell.
    fn command(&self, home: &Home, shell: &str, args: &[&str]) -> Ended {
        let script = format!("{shell}\nexec \"$@\"");
        let mut command = if is_root() {
            let mut command = home.command(Path::new("setpriv"), home.dir());
            command.args([
                &format!("--reuid={NOBODY}"),
                &format!("--regid={NOBODY}"),
                "--clear-groups",
                "sh",
            ]);
            command
        } else {
            home.command(Path::new("sh"), home.dir())
        };
        command.env("PATH", "/usr/bin:/bin").args(["-c", &script, "sh"]).arg(self.path("holdall")).args(args);
        run(&mut command, Duration::from_secs(60)).unwrap()
    }

    #[track_caller]
    fn done(&self, home: &Home, args: &[&str]) -> String {
        let ended = self.command(home, "", args);
        assert!(ended.status.success(), "{args:?}: {}", ended.stderr);
        ended.stdout
    }

    fn import(&self, more: &[&str]) -> Vec<String> {
        let map = format!("/home/dev/src/app={}", self.to.dir().join("project").display());
        let first = ["import", &self.text("a.tar.gz"), "--cwd-map", &map].map(str::to_owned);
        first.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
    }

    /// Imports, which must end like that, naming `path`; then there must be nothing new.
    #[track_caller]
    fn import_fails(&self, more: &[&str], code: i32, path: &Path) {
        let before = self.stores();
        let args = self.import(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = self.command(&self.to, "", &args);
        expect(&ended, code, path);
        assert!(self.stores() == before, "something has changed: {}", ended.stderr);
        tally("import, refused", "permissions", "cases", 1);
    }

    #[track_caller]
    fn imported(&self, more: &[&str]) {
        let args = self.import(more);
        self.done(&self.to, &args.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// The home without holdall's own state.
    fn stores(&self) -> Tree {
        let mut tree = tree::read(self.to.dir());
        tree.retain(|path, _| {
            let name = path.to_str().unwrap();
            // SQLite makes its log when it looks into the database.
            let log = name.ends_with("-wal") || name.ends_with("-shm");
            !path.starts_with(".local/state") && path != Path::new(".local") && !log
        });
        tree
    }

    /// The transcripts of Claude Code in a home.
    fn transcripts(home: &Home) -> Vec<PathBuf> {
        let projects = home.dir().join(".claude/projects");
        let all = tree::read(&projects).into_keys();
        all.filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .map(|path| projects.join(path))
            .collect()
    }
}

/// It ended like that, and said where, and what to do.
#[track_caller]
fn expect(ended: &Ended, code: i32, path: &Path) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.status.code(), Some(code), "{said}");
    assert!(said.contains(path.to_str().unwrap()), "{} is not named: {said}", path.display());
    assert!(
        ["denied", "permitted", "read-only"].iter().any(|why| said.contains(why)),
        "it does not say why: {said}"
    );
}

#[track_caller]
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn append(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, text + "{\"type\":\"mode\",\"mode\":\"went another way\"}\n").unwrap();
}

#[test]
fn a_store_that_is_read_only() {
    let scene = Scene::new("claude");
    let projects = scene.to.dir().join(".claude/projects");
    scene.make_dir(&projects);
    set_mode(&projects, 0o555);
    scene.import_fails(&[], 1, &projects);
    set_mode(&projects, 0o755);
    scene.imported(&[]);
}

/// A session whose file is read-only is replaced as it was asked for, keeps its mode, and comes back.
#[test]
fn a_file_that_is_read_only() {
    let scene = Scene::new("claude");
    scene.imported(&[]);
    let file = Scene::transcripts(&scene.to).remove(0);
    append(&file);
    set_mode(&file, 0o444);
    let before = scene.stores();
    scene.imported(&["--on-conflict", "replace"]);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o444);
    assert!(scene.stores() != before);
    scene.done(&scene.to, &["undo"]);
    assert!(scene.stores() == before);
    tally("import, refused", "permissions", "cases", 1);
}

/// A file that sessions share, and that no line can be added to.
#[test]
fn an_index_that_is_read_only() {
    let scene = Scene::new("claude");
    let index = scene.to.dir().join(".codex/session_index.jsonl");
    scene.make_dir(index.parent().unwrap());
    fs::write(&index, "{\"id\":\"other\",\"thread_name\":\"other\"}\n").unwrap();
    scene.own(&index);
    set_mode(&index, 0o444);
    scene.import_fails(&["--to", "codex"], 3, &index);
    set_mode(&index, 0o644);
    scene.imported(&["--to", "codex"]);
}

#[test]
fn a_database_that_is_read_only() {
    let scene = Scene::new("opencode");
    let database = scene.to.dir().join(".local/share/opencode/opencode.db");
    let dir = database.parent().unwrap();
    for (path, closed, open) in [(database.as_path(), 0o444, 0o644), (dir, 0o555, 0o755)] {
        set_mode(path, closed);
        scene.import_fails(&[], 3, &database);
        set_mode(path, open);
    }
    for log in ["opencode.db-wal", "opencode.db-shm"] {
        let _ = fs::remove_file(dir.join(log));
    }
    scene.imported(&[]);
}

#[test]
fn a_state_directory_that_is_read_only() {
    let scene = Scene::new("claude");
    let state = scene.to.dir().join(".local/state/holdall");
    scene.make_dir(&state);
    set_mode(&state, 0o555);
    scene.import_fails(&[], 1, &state);
    // What only reads does not need it.
    scene.done(&scene.to, &["list", "--all"]);
    // Neither can an import that is there be taken back without it.
    set_mode(&state, 0o755);
    scene.imported(&[]);
    let imported = scene.stores();
    set_mode(&state, 0o555);
    set_mode(&state.join("lock"), 0o444);
    expect(&scene.command(&scene.to, "", &["undo"]), 1, &state);
    assert!(scene.stores() == imported);
}

#[test]
fn a_directory_for_archives_that_is_read_only() {
    let scene = Scene::new("claude");
    let out = scene.path("out");
    set_mode(&out, 0o555);
    for args in [
        ["export", "--all", "-o", &scene.text("out/b.tar.gz")].as_slice(),
        &["backup", &scene.text("out")],
        &["backup", &scene.text("out/more")],
    ] {
        expect(&scene.command(&scene.from, "", args), 1, &out);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
        tally("export, refused", "permissions", "cases", 1);
    }
}

/// One of many cannot be read, by its mode or because it is another user's: the others are packed,
/// and the exit code tells.
#[test]
fn a_session_that_cannot_be_read() {
    for harness in ["claude", "codex", "gemini"] {
        let scene = Scene::new(harness);
        let is_session = |path: &PathBuf| path.extension().is_some_and(|end| end == "jsonl");
        let files: Vec<PathBuf> = tree::read(scene.from.dir()).into_keys().filter(is_session).collect();
        assert_eq!(files.len(), 2, "{files:?}");
        let file = scene.from.dir().join(&files[0]);
        set_mode(&file, 0o600);
        if is_root() {
            chown(&file, Some(0), Some(0)).unwrap();
        } else {
            set_mode(&file, 0);
        }
        let archive = scene.text("out/some.tar.gz");
        let backups = scene.text("out/backups");
        let listed = scene.command(&scene.from, "", &["list", "--all"]);
        expect(&listed, 0, &file);
        expect(&scene.command(&scene.from, "", &["export", "--all", "-o", &archive]), 3, &file);
        expect(&scene.command(&scene.from, "", &["backup", &backups]), 3, &file);
        let shown = scene.done(&scene.from, &["--json", "inspect", &archive]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["sessions"].as_array().unwrap().len(), 1);
        tally("export, refused", "permissions", "cases", 2);
    }
}

#[test]
fn a_store_that_cannot_be_read() {
    // With mode 0444 the names in a directory can be read, and nothing else of what is in it.
    for (harness, store, mode) in [
        ("claude", ".claude/projects", 0),
        ("claude", ".claude/projects/-home-dev-src-app", 0o444),
        ("codex", ".codex/sessions", 0),
        ("codex", ".codex/sessions/2026/11/20", 0o444),
        ("gemini", ".gemini/tmp", 0),
        ("gemini", ".gemini/tmp/app/chats", 0o444),
        ("opencode", ".local/share/opencode/opencode.db", 0),
    ] {
        let scene = Scene::new(harness);
        let store = scene.from.dir().join(store);
        set_mode(&store, mode);
        expect(&scene.command(&scene.from, "", &["list", "--all"]), 0, &store);
        let archive = scene.text("out/none.tar.gz");
        expect(&scene.command(&scene.from, "", &["export", "--all", "-o", &archive]), 1, &store);
        assert!(!Path::new(&archive).exists());
        set_mode(&store, 0o755);
        tally("export, refused", "permissions", "cases", 1);
    }
}

/// One project of many, and the first of them.
#[test]
fn a_project_that_cannot_be_read_hides_no_other() {
    let scene = Scene::new("claude");
    let closed = scene.from.dir().join(".claude/projects/-closed");
    fs::create_dir(&closed).unwrap();
    set_mode(&closed, 0);
    let listed = scene.command(&scene.from, "", &["--json", "list", "--all"]);
    expect(&listed, 0, &closed);
    let rows: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(rows["sessions"].as_array().unwrap().len(), 2, "{}", listed.stderr);
    set_mode(&closed, 0o755);
}

/// What tells a program where its sessions belong: without it they could come to a place where it
/// does not look.
#[test]
fn a_registry_that_cannot_be_read() {
    let scene = Scene::new("gemini");
    let registry = scene.to.dir().join(".gemini/projects.json");
    scene.make_dir(registry.parent().unwrap());
    let project = scene.to.dir().join("project");
    fs::write(&registry, serde_json::json!({"projects": {project.to_str().unwrap(): "app"}}).to_string())
        .unwrap();
    set_mode(&registry, 0o600);
    if is_root() {
        chown(&registry, Some(0), Some(0)).unwrap();
    } else {
        set_mode(&registry, 0);
    }
    scene.import_fails(&[], 3, &registry);
}

/// What is known of a sub-agent is beside its transcript.
#[test]
fn a_side_file_that_cannot_be_read() {
    let scene = Scene::new("claude");
    cases::of("claude").iter().find(|case| case.case == "subagent").unwrap().unpack(scene.from.dir());
    scene.own(scene.from.dir());
    let projects = scene.from.dir().join(".claude/projects");
    let is_side = |path: &PathBuf| path.to_str().is_some_and(|path| path.ends_with(".meta.json"));
    let file = projects.join(tree::read(&projects).into_keys().find(is_side).unwrap());
    if is_root() {
        chown(&file, Some(0), Some(0)).unwrap();
    }
    set_mode(&file, if is_root() { 0o600 } else { 0 });
    let archive = scene.text("out/some.tar.gz");
    expect(&scene.command(&scene.from, "", &["export", "--all", "-o", &archive]), 3, &file);
    tally("export, refused", "permissions", "cases", 1);
}

/// In a directory with the sticky bit only the owner of a file may rename it.
#[test]
fn a_sticky_directory_of_another_user() {
    if !is_root() {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    let scene = Scene::new("claude");
    scene.imported(&[]);
    let file = Scene::transcripts(&scene.to).remove(0);
    append(&file);
    chown(&file, Some(0), Some(0)).unwrap();
    set_mode(&file, 0o644);
    chown(file.parent().unwrap(), Some(0), Some(0)).unwrap();
    set_mode(file.parent().unwrap(), 0o1777);
    scene.import_fails(&["--on-conflict", "replace"], 3, file.parent().unwrap());
}

#[test]
fn an_immutable_directory() {
    let scene = Scene::new("claude");
    let projects = scene.to.dir().join(".claude/projects");
    scene.make_dir(&projects);
    let chattr = |flag: &str| {
        Command::new("chattr").arg(flag).arg(&projects).output().is_ok_and(|output| output.status.success())
    };
    if !chattr("+i") {
        assert!(std::env::var_os("HOLDALL_CI").is_none(), "chattr has to work here");
        eprintln!("skipped: nothing can be made immutable here");
        return;
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        scene.import_fails(&[], 1, &projects);
    }));
    assert!(chattr("-i"));
    result.unwrap();
    scene.imported(&[]);
}

/// Whatever the user's mask: conversations are for nobody else.
#[test]
fn what_is_made_is_private() {
    for mask in ["000", "077", "022"] {
        let scene = Scene::new("claude");
        let umask = format!("umask {mask}");
        let before = tree::read(scene.dir.path());
        let run = |home: &Home, args: &[&str]| {
            let ended = scene.command(home, &umask, args);
            assert!(ended.status.success(), "{}", ended.stderr);
        };
        let args = scene.import(&[]);
        run(&scene.to, &args.iter().map(String::as_str).collect::<Vec<_>>());
        run(&scene.from, &["export", "--all", "-o", &scene.text("out/b.tar.gz")]);
        run(&scene.from, &["backup", &scene.text("out/backups")]);
        let file = Scene::transcripts(&scene.to).remove(0);
        append(&file);
        let args = scene.import(&["--on-conflict", "replace"]);
        run(&scene.to, &args.iter().map(String::as_str).collect::<Vec<_>>());
        let mut made = 0;
        for (path, node) in tree::read(scene.dir.path()) {
            let mode = match node {
                _ if before.contains_key(&path) => continue,
                Node::Directory { mode } | Node::File { mode, .. } => mode & 0o777,
                Node::Link(_) => panic!("{} is a link", path.display()),
            };
            made += 1;
            let is_dir = scene.path(path.to_str().unwrap()).is_dir();
            assert_eq!(mode, if is_dir { 0o700 } else { 0o600 }, "umask {mask}: {}", path.display());
        }
        assert!(made > 10, "{made}");
        tally("import, export, backup", "permissions", "cases", 1);
    }
}

/// The store is a link to somewhere else, perhaps on another disk, where no file of ours could be
/// renamed to.
#[test]
fn a_store_behind_a_link() {
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for on_other_disk in [false, true] {
        let scene = Scene::new("claude");
        let elsewhere =
            if on_other_disk { other.path().join("store") } else { scene.to.dir().join("elsewhere") };
        fs::create_dir_all(elsewhere.join("projects")).unwrap();
        let device = |path: &Path| fs::metadata(path).unwrap().dev();
        if on_other_disk && device(&elsewhere) == device(scene.to.dir()) {
            eprintln!("skipped: there is only one disk here");
            continue;
        }
        symlink(&elsewhere, scene.to.dir().join(".claude")).unwrap();
        // As the one who runs the tests: the other disk may be closed to others.
        let run = |args: &[&str]| {
            let mut command = scene.to.command(Path::new(env!("CARGO_BIN_EXE_holdall")), scene.to.dir());
            run(command.env("PATH", "/usr/bin:/bin").args(args), Duration::from_secs(60)).unwrap()
        };
        let done = |args: &[&str]| {
            let ended = run(args);
            assert!(ended.status.success(), "{args:?}: {}", ended.stderr);
        };
        let args = scene.import(&[]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        done(&args);
        let imported = tree::read(&elsewhere);
        assert!(imported.len() > 2 && scene.to.dir().join(".claude").is_symlink());
        let transcripts = || {
            let all = tree::read(&elsewhere).into_keys();
            all.filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        };
        append(&elsewhere.join(transcripts().next().unwrap()));
        let went_on = tree::read(&elsewhere);
        done(&[&args[..], &["--on-conflict", "replace"]].concat());
        assert!(tree::read(&elsewhere) != went_on);
        done(&["undo"]);
        assert!(tree::read(&elsewhere) == went_on);
        if on_other_disk {
            // A folder cannot be renamed to another disk; nothing is moved then.
            let (old, new) = (scene.to.dir().join("project"), other.path().join("moved"));
            let ended = run(&["move", old.to_str().unwrap(), new.to_str().unwrap(), "--and-folder"]);
            assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
            assert!(
                ended.stderr.contains("two file systems") && ended.stderr.contains(old.to_str().unwrap())
            );
            assert!(tree::read(&elsewhere) == went_on && old.is_dir() && !new.exists());
        }
        tally("import, move", "permissions", "cases", 1);
    }
}
