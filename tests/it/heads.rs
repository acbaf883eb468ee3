//! What `list` keeps for the next list: a list shows the same with it and without it, whatever happens to
//! the sessions in between, and a file that is damaged or cannot be written is as good as none.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cases;
use crate::support::programs::{Home, run};

/// Copies of each recorded session, besides itself.
const COPIES: usize = 16;

/// Recorded transcripts above this size are not copied.
const SMALL: u64 = 48 << 10;

/// A home with hundreds of sessions of Claude Code and Codex, half of them of one directory.
struct Scene {
    dir: TempDir,
    home: Home,
    claude: Vec<PathBuf>,
    codex: Vec<PathBuf>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        fs::create_dir_all(home.dir().join("here")).unwrap();
        let (mut claude, mut codex) = (Vec::new(), Vec::new());
        for case in ["claude", "codex"].into_iter().flat_map(cases::of) {
            case.unpack(home.dir());
        }
        let here = home.dir().join("here").to_str().unwrap().to_owned();
        let project = here.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let projects = home.dir().join(".claude/projects");
        fs::create_dir(projects.join(&project)).unwrap();
        for path in transcripts(&projects.join("-home-dev-src-app")) {
            copies(&path, COPIES, |number, id, text| {
                let here = (number % 2 == 0).then_some(&*here);
                let project = here.map_or("-home-dev-src-app", |_| &*project);
                let path = projects.join(project).join(format!("{id}.jsonl"));
                fs::write(&path, moved(text, here)).unwrap();
                claude.push(path);
            });
        }
        let day = home.dir().join(".codex/sessions/2026/11/20");
        for path in transcripts(&day) {
            copies(&path, COPIES, |number, id, text| {
                let here = (number % 2 == 0).then_some(&*here);
                let path = day.join(format!("rollout-2026-11-20T16-00-{:02}-{id}.jsonl", number % 60));
                fs::write(&path, moved(text, here)).unwrap();
                codex.push(path);
            });
        }
        claude.sort();
        codex.sort();
        assert!(claude.len() + codex.len() > 512, "{} and {}", claude.len(), codex.len());
        Self { dir, home, claude, codex }
    }

    fn kept(&self) -> PathBuf {
        self.home.dir().join(".local/state/holdall/heads")
    }

    /// What a list prints when all files have been at rest, with its state in `state`.
    fn print(&self, state: &Path, args: &[&str]) -> String {
        let mut command =
            self.home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), &self.home.dir().join("here"));
        let later = chrono::Utc::now() + chrono::TimeDelta::seconds(10);
        command.env("HOLDALL_NOW", later.to_rfc3339()).env("XDG_STATE_HOME", state).arg("list").args(args);
        let ended = run(&mut command, Duration::from_secs(60)).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        ended.stdout
    }

    fn list(&self, args: &[&str]) -> String {
        self.print(&self.home.dir().join(".local/state"), args)
    }

    /// Lists with what was kept, and without; returns what was printed.
    fn same_with(&self, what: &str, args: &[&str]) -> String {
        let fresh = tempfile::tempdir_in(self.dir.path()).unwrap();
        let (with, without) = (self.list(args), self.print(fresh.path(), args));
        assert!(with == without, "{what}: list {args:?} is another one with what was kept");
        with
    }

    /// All sessions, listed with what was kept, and without.
    fn same(&self, what: &str) -> Vec<Value> {
        let printed = self.same_with(what, &["--json", "--all"]);
        let Value::Array(all) = serde_json::from_str::<Value>(&printed).unwrap()["sessions"].take() else {
            panic!("{what}: no list")
        };
        all
    }

    fn title(&self, what: &str, path: &Path) -> String {
        let path = path.to_str().unwrap();
        let sessions = self.same(what);
        let row = sessions.iter().find(|row| row["path"] == path).unwrap_or_else(|| panic!("{what}: gone"));
        row["title"].as_str().unwrap_or_default().to_owned()
    }
}

/// The transcripts of a directory that are worth copying.
fn transcripts(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_small = |path: &PathBuf| path.metadata().unwrap().len() < SMALL;
    files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).filter(is_small).collect()
}

/// The text of a transcript under other ids.
fn copies(path: &Path, count: usize, mut take: impl FnMut(usize, &str, &str)) {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let own = &name[name.len() - 36..];
    let text = fs::read_to_string(path).unwrap();
    for number in 0..count {
        let id = format!("{:08x}{}", 0x0200_0000 + number, &own[8..]);
        take(number, &id, &text.replace(own, &id));
    }
}

fn moved(text: &str, here: Option<&str>) -> String {
    here.map_or_else(|| text.to_owned(), |here| text.replace("/home/dev/src/app", here))
}

/// Changes a file in place and leaves its size and its time of change as they were.
fn slip(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let modified = path.metadata().unwrap().modified().unwrap();
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}", path.display());
    let file = File::options().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut &file, text.replace(from, to).as_bytes()).unwrap();
    file.set_modified(modified).unwrap();
}

fn set_back(path: &Path, modified: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_list_is_the_same_with_what_was_kept() {
    let scene = Scene::new();
    let first = scene.list(&["--json", "--all"]);
    assert!(scene.same("nothing changed").len() > 512);
    for args in [
        &["--json"][..],
        &["--json", "--all", "--subagents", "-H", "codex"],
        &["--json", "--cwd", "/home/dev/src"],
        &["--json", "--all", "--query", "parallel"],
    ] {
        scene.same_with("nothing changed", args);
    }
    assert_eq!(scene.list(&["--json", "--all"]), first);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(scene.kept().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    // What is kept is what is shown.
    let kept = fs::read_to_string(scene.kept()).unwrap();
    let title = "\"title\":\"Please";
    assert!(kept.contains(title), "{}", &kept[..2000]);
    fs::write(scene.kept(), kept.replace(title, "\"title\":\"KEPT")).unwrap();
    assert!(scene.list(&["--json", "--all"]).contains("\"KEPT "));
    assert!(scene.list(&["--json"]).contains("\"KEPT "));
    fs::write(scene.kept(), kept).unwrap();

    // Names that stand elsewhere.
    let claude = &scene.claude[3];
    let has_prompt = |path: &&PathBuf| fs::read_to_string(path).unwrap().contains("Please");
    let codex = scene.codex.iter().find(has_prompt).unwrap();
    let beside = claude.with_extension("");
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("custom-title.json"), r#"{"type":"custom-title","customTitle":"beside"}"#).unwrap();
    assert_eq!(scene.title("a title file", claude), "beside");
    fs::remove_dir_all(&beside).unwrap();
    assert_ne!(scene.title("no title file", claude), "beside");
    let name = codex.file_stem().unwrap().to_str().unwrap();
    let line = format!(
        "{{\"id\":\"{}\",\"thread_name\":\"by the user\",\"updated_at\":\"2026-11-21T00:00:00Z\"}}\n",
        &name[name.len() - 36..]
    );
    let index = scene.home.dir().join(".codex/session_index.jsonl");
    let before = fs::read(&index).unwrap_or_default();
    fs::write(&index, [&before, line.as_bytes()].concat()).unwrap();
    assert_eq!(scene.title("a name", codex), "by the user");
    fs::write(&index, before).unwrap();
    assert_ne!(scene.title("no name", codex), "by the user");

    // Sessions that go on, that are changed in place, replaced and moved over each other.
    let text = fs::read_to_string(claude).unwrap();
    fs::write(claude, text + "{\"type\":\"custom-title\",\"customTitle\":\"named\"}\n").unwrap();
    assert_eq!(scene.title("a record more", claude), "named");
    let old = scene.title("before", codex);
    assert!(old.starts_with("Please"), "{old}");
    slip(codex, "Please", "Thanks");
    assert_eq!(scene.title("changed in place", codex), old.replace("Please", "Thanks"));
    scene.same_with("changed in place", &["--json"]);
    let modified = codex.metadata().unwrap().modified().unwrap();
    let other = scene.dir.path().join("other");
    fs::write(&other, fs::read_to_string(codex).unwrap().replace("Thanks", "Kindly")).unwrap();
    fs::rename(&other, codex).unwrap();
    set_back(codex, modified);
    assert_eq!(scene.title("replaced", codex), old.replace("Please", "Kindly"));
    let (one, two) = (&scene.claude[10], &scene.claude[11]);
    let titles = (scene.title("one", one), scene.title("two", two));
    fs::rename(one, &other).unwrap();
    fs::rename(two, one).unwrap();
    fs::rename(&other, two).unwrap();
    assert_eq!((scene.title("the other", one), scene.title("the one", two)), (titles.1, titles.0));

    // A link, whose target changes without it.
    #[cfg(unix)]
    {
        let target = scene.dir.path().join("target.jsonl");
        fs::rename(codex, &target).unwrap();
        std::os::unix::fs::symlink(&target, codex).unwrap();
        scene.same("a link");
        slip(&target, "Kindly", "Please");
        assert_eq!(scene.title("what a link leads to", codex), old);
    }
}

#[test]
fn what_is_gone_is_forgotten() {
    let scene = Scene::new();
    let gone = fs::read_to_string(&scene.claude[0]).unwrap();
    fs::write(&scene.claude[0], gone + "{\"type\":\"custom-title\",\"customTitle\":\"a secret\"}\n").unwrap();
    scene.list(&["--all", "--json"]);
    assert!(fs::read_to_string(scene.kept()).unwrap().contains("a secret"));
    scene.claude[..100].iter().for_each(|path| fs::remove_file(path).unwrap());
    // Only some stores were looked into: what is of others may still be there.
    scene.list(&["--all", "--json", "-H", "codex"]);
    assert!(fs::read_to_string(scene.kept()).unwrap().contains("a secret"));
    scene.same("a hundred are gone");
    assert!(!fs::read_to_string(scene.kept()).unwrap().contains("a secret"));
}

#[test]
fn a_damaged_file_is_as_good_as_none() {
    let scene = Scene::new();
    scene.list(&["--all", "--json"]);
    let kept = fs::read(scene.kept()).unwrap();
    let lines = kept.split_inclusive(|byte| *byte == b'\n').count();
    let head = kept.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let turned: Vec<u8> = kept.iter().map(|byte| byte ^ 1).collect();
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("half", &kept[..kept.len() / 2]),
        ("no header", &kept[head..]),
        ("of another version", &[b"holdall.heads/0\n", &kept[head..]].concat()),
        ("noise", &turned),
        ("a header and noise", &[&kept[..head], &turned].concat()),
        ("zeros at the end", &[&kept[..kept.len() / 2], &[0; 4096]].concat()),
    ] {
        fs::write(scene.kept(), bytes).unwrap();
        scene.same(what);
        let healed = fs::read(scene.kept()).unwrap();
        assert_eq!(healed.split_inclusive(|byte| *byte == b'\n').count(), lines, "{what}: not written anew");
    }
    // Where it cannot be written, and where it is something else.
    fs::remove_file(scene.kept()).unwrap();
    fs::create_dir(scene.kept()).unwrap();
    scene.same("a directory");
    let state = scene.kept().parent().unwrap().to_owned();
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "").unwrap();
    scene.same("no state directory");
}

#[test]
fn nothing_is_kept_of_few_sessions_or_of_files_that_just_changed() {
    let scene = Scene::new();
    let here = scene.home.dir().join("here");
    let now = || {
        let mut command = scene.home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), &here);
        let long_ago = "2026-01-01T00:00:00Z";
        command.env("HOLDALL_NOW", long_ago).args(["list", "--all", "--json"]);
        run(&mut command, Duration::from_secs(60)).unwrap()
    };
    assert_eq!(now().status.code(), Some(0));
    assert!(!scene.kept().exists(), "for all that is known they are being written");
    let all = scene.claude.iter().chain(&scene.codex);
    all.skip(50).for_each(|path| fs::remove_file(path).unwrap());
    scene.same("fewer");
    assert!(!scene.kept().exists(), "they are few");
}
