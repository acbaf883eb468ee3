//! Kill -9 at the system calls of the real program, from its start to its report.
//!
//! `crash` does this to the transaction alone. Here the whole of `holdall import` and `holdall undo`
//! is killed, and then a user's next steps follow: look at the list, do it again, take it back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::crash::strace::{self, Call};
use crate::crash::{for_each_point, injection, naming, scratch};
use crate::support::cases;
use crate::support::programs::{Ended, Home, run};
use crate::support::tree::{self, Node};

type Tree = BTreeMap<PathBuf, Node>;

/// holdall's own state, which is not part of the home that is compared.
const STATE: &str = ".local";

const INDEX: &str = ".codex/session_index.jsonl";

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// Three sessions of Claude Code come to Codex, which has been here before.
    Convert,
    /// Three sessions come to a home that has another version of each.
    Replace,
    UndoConvert,
    UndoReplace,
}

use Scenario::{Convert, Replace, UndoConvert, UndoReplace};

impl Scenario {
    /// The recorded sessions. Together they have every kind of file.
    fn cases(self) -> [&'static str; 3] {
        match self {
            Convert | UndoConvert => ["chat", "parallel3", "subagent"],
            Replace | UndoReplace => ["chat", "large", "subagent"],
        }
    }

    fn is_undo(self) -> bool {
        matches!(self, UndoConvert | UndoReplace)
    }

    fn import(self) -> &'static [&'static str] {
        match self {
            Convert | UndoConvert => &["import", "../sessions.tar.gz", "--to", "codex"],
            Replace | UndoReplace => &["import", "../sessions.tar.gz", "--on-conflict", "replace"],
        }
    }

    fn command(self) -> &'static [&'static str] {
        if self.is_undo() { &["undo"] } else { self.import() }
    }
}

/// A home, and an archive beside it.
struct World {
    root: PathBuf,
    home: Home,
}

impl World {
    /// The world as it is before the scenario's command, at `root`. Its home before the import is in
    /// `before`.
    fn make(root: &Path, scenario: Scenario) -> (Self, Tree) {
        let _ = fs::remove_dir_all(root);
        let from = Home::at(root.join("from"));
        let world = Self { root: root.to_owned(), home: Home::at(root.join("home")) };
        let all = cases::of("claude");
        for case in all.iter().filter(|case| scenario.cases().contains(&case.case.as_str())) {
            case.unpack(from.dir());
            if matches!(scenario, Replace | UndoReplace) {
                let transcript = format!("home/.claude/projects/-home-dev-src-app/{}.jsonl", case.id);
                let text = fs::read_to_string(case.dir(&cases::root()).join(&transcript)).unwrap();
                let (half, _) = text.split_at(text[..text.len() / 2].rfind('\n').unwrap() + 1);
                let file = root.join(transcript);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, format!("{half}{{\"type\":\"mode\",\"mode\":\"went another way\"}}\n"))
                    .unwrap();
            }
        }
        if matches!(scenario, Convert | UndoConvert) {
            fs::create_dir_all(world.home.dir().join(".codex")).unwrap();
            // Without a line end: somebody else is writing it, or was killed.
            fs::write(world.home.dir().join(INDEX), "{\"id\":\"other\",\"thread_name\":\"other\"}").unwrap();
        }
        let export = ["export", "--all", "-o", "../sessions.tar.gz"];
        let exported = run(&mut holdall(&from, &export), Duration::from_secs(60)).unwrap();
        assert!(exported.status.success(), "{exported:?}");
        let before = world.tree();
        if scenario.is_undo() {
            world.done(scenario.import());
        }
        (world, before)
    }

    /// Everything in the home but holdall's own state. Where the home is, a text says `~`.
    fn tree(&self) -> Tree {
        let mut tree = tree::read(self.home.dir());
        tree.retain(|path, _| !path.starts_with(STATE));
        let home = self.home.dir().to_str().unwrap();
        for node in tree.values_mut() {
            if let Node::File { bytes, .. } = node {
                *bytes = std::str::from_utf8(bytes).unwrap().replace(home, "~").into_bytes();
            }
        }
        tree
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut holdall(&self.home, args), Duration::from_secs(60)).unwrap()
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert!(ended.status.success(), "{args:?}: {}\n{}", ended.status, ended.stderr);
        ended.stdout
    }

    /// Runs a command under strace with these arguments; says whether it was killed.
    fn traced(&self, arguments: &[&str], args: &[&str]) -> bool {
        let mut command = self.home.command(Path::new("strace"), self.home.dir());
        command.args(strace::ARGUMENTS).args(arguments).arg(env!("CARGO_BIN_EXE_holdall")).args(args);
        settings(&mut command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().expect("these tests need strace: apt install strace");
        assert!(status.success() || status.signal() == Some(9), "{args:?} ended with {status}");
        !status.success()
    }

    /// The calls of a command that change something, or that could: those which a number can name.
    /// Strace counts for each thread; a call is shadowed when another thread has made one of its
    /// name and number before.
    fn record(&self, args: &[&str]) -> (Vec<Call>, usize) {
        let log = self.root.join("strace.log");
        let trace = format!("trace={}", strace::CALLS);
        assert!(!self.traced(&["-o", log.to_str().unwrap(), "-e", &trace], args));
        let text = fs::read_to_string(log).unwrap();
        let mut seen = BTreeSet::new();
        let (mut points, mut shadowed) = (Vec::new(), 0);
        for (_, call) in strace::calls(&text) {
            let is_first = seen.insert((call.name.clone(), call.number));
            // What it says on stderr matters once.
            let talks = call.handle.as_deref() == Some("/dev/null");
            if call.reads || (talks && points.last().is_some_and(|last: &Call| last.handle == call.handle)) {
                continue;
            }
            if is_first {
                points.push(call);
            } else {
                shadowed += 1;
            }
        }
        (points, shadowed)
    }
}

/// holdall with one worker thread, so that the calls come in the same order every time.
fn holdall(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
    settings(&mut command).args(args);
    command
}

fn settings(command: &mut Command) -> &mut Command {
    command.env("PATH", "/usr/bin:/bin").env("RAYON_NUM_THREADS", "1")
}

/// The sessions that were imported and not taken back: their own id at the target, then those of
/// their sub-agents, where these have files of their own.
fn imported(imports: &str) -> Vec<Vec<String>> {
    let imports: Value = serde_json::from_str(imports).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let done = list(&imports["imports"]).into_iter().filter(|import| import["state"] == "done");
    let family = |session: Value| {
        let mut ids = vec![session["label"].as_str().unwrap().split_once(':').unwrap().1.to_owned()];
        for action in list(&session["actions"]) {
            let name = Path::new(action["path"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap();
            if name.starts_with("rollout-") && !name.ends_with(&ids[0]) {
                ids.push(name[name.len() - 36..].to_owned());
            }
        }
        ids
    };
    done.flat_map(|import| list(&import["sessions"])).map(family).collect()
}

/// The lines of Codex's index of names that hold `word`.
fn lines(tree: &Tree, word: &str) -> Vec<String> {
    let Some(Node::File { bytes, .. }) = tree.get(Path::new(INDEX)) else { return Vec::new() };
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
}

/// Which sessions are new; panics when one is neither old nor new, or anything else has changed.
fn new_sessions(now: &Tree, before: &Tree, after: &Tree, sessions: &[Vec<String>]) -> BTreeSet<String> {
    let mut new = BTreeSet::new();
    let paths: BTreeSet<&PathBuf> = now.keys().chain(before.keys()).chain(after.keys()).collect();
    let owner = |path: &Path| {
        sessions.iter().find(|ids| ids.iter().any(|id| path.to_string_lossy().contains(id.as_str())))
    };
    for ids in sessions {
        let own = || paths.iter().filter(|path| owner(path) == Some(ids));
        assert!(own().next().is_some(), "{ids:?} has no file");
        let named = |tree: &Tree| lines(tree, &ids[0]);
        let is =
            |tree: &Tree| own().all(|path| now.get(*path) == tree.get(*path)) && named(now) == named(tree);
        match (is(before), is(after)) {
            (true, false) => {}
            (false, true) => drop(new.insert(ids[0].clone())),
            _ => panic!("session {ids:?} is half there: {:?}", own().collect::<Vec<_>>()),
        }
    }
    for path in paths.iter().filter(|path| owner(path).is_none()) {
        let there = now.get(*path);
        let known = there == before.get(*path) || there == after.get(*path);
        assert!(known || *path == Path::new(INDEX), "{} is something else", path.display());
    }
    assert_eq!(lines(now, "other"), lines(before, "other"));
    if new.is_empty() {
        assert_eq!(now, before, "no session is there, but something is");
    }
    if new.len() == sessions.len() {
        assert_eq!(now, after);
    }
    new
}

/// Kills the scenario's command at each of its calls and does what a user would do next.
fn every_call(scenario: Scenario) {
    let start = Instant::now();
    let dir = scratch();
    let (world, before) = World::make(&dir.path().join("w"), scenario);
    let (points, shadowed) = world.record(scenario.command());
    // An undo is compared with what it undoes.
    if scenario.is_undo() {
        assert_eq!(world.tree(), before, "the undo brings back everything");
        world.done(scenario.import());
    }
    let after = world.tree();
    let sessions = imported(&world.done(&["--json", "imports"]));
    assert_eq!(sessions.len(), 3);

    let finished = AtomicUsize::new(0);
    for_each_point(&points, |call, root| {
        naming(&format!("{scenario:?}, {} {} {:?}", call.name, call.number, call.paths), || {
            let world = prepared(root, scenario);
            let trace = format!("trace={}", call.name);
            let inject = format!("inject={}", injection(&call.name, "signal=KILL", call.number));
            assert!(
                world.traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], scenario.command()),
                "it was not killed"
            );
            if check(&world, scenario, &before, &after, &sessions) {
                finished.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    let finished = finished.into_inner();
    println!(
        "{scenario:?}: {} kills, {finished} of them after the decision to go through with it; \
         {shadowed} calls have the number of another thread's; {:.1?}",
        points.len(),
        start.elapsed()
    );
    assert!(points.len() > 30 && finished > 5 && finished + 5 < points.len());
    assert!(shadowed < 20);
}

/// The scenario's world at `root`; made once there, then copied.
fn prepared(root: &Path, scenario: Scenario) -> World {
    let saved = root.with_extension("saved");
    if !saved.exists() {
        World::make(root, scenario);
        fs::rename(root, &saved).unwrap();
    }
    let _ = fs::remove_dir_all(root);
    let copied = Command::new("cp").arg("-a").args([&saved, root]).status().unwrap();
    assert!(copied.success());
    World { root: root.to_owned(), home: Home::at(root.join("home")) }
}

/// What a user does after the crash. Returns whether the command's work was done.
fn check(world: &World, scenario: Scenario, before: &Tree, after: &Tree, sessions: &[Vec<String>]) -> bool {
    world.done(&["list", "--all"]);
    let is_ours = |path: &PathBuf| path.to_string_lossy().contains(".holdall-");
    let leftovers: Vec<PathBuf> = tree::read(&world.root).into_keys().filter(is_ours).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");

    let now = world.tree();
    let new = new_sessions(&now, before, after, sessions);
    let imports = world.done(&["--json", "imports"]);
    assert!(!imports.contains("interrupted"), "{imports}");
    let listed: BTreeSet<String> = imported(&imports).into_iter().map(|mut ids| ids.remove(0)).collect();
    assert_eq!(listed, new, "{imports}");
    if scenario.is_undo() {
        let undone = new.is_empty();
        assert_eq!(imports.contains("\"undone\""), undone, "{imports}");
        if !undone {
            world.done(&["undo"]);
        }
        assert_eq!(&world.tree(), before, "undo, once more");
        return undone;
    }
    world.done(scenario.import());
    assert_eq!(&world.tree(), after, "import, once more");
    world.done(&["undo"]);
    assert_eq!(&world.tree(), before, "and back");
    !new.is_empty()
}

#[test]
fn converting_import() {
    every_call(Convert);
}

#[test]
fn replacing_import() {
    every_call(Replace);
}

#[test]
fn undo_of_a_conversion() {
    every_call(UndoConvert);
}

#[test]
fn undo_of_a_replacement() {
    every_call(UndoReplace);
}
