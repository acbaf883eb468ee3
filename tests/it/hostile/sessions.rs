//! Hostile sessions in archives that are valid: brought safely or not at all, into each harness.
//!
//! A report says what an import would change. So an import is safe when the dry run and it say the
//! same, nothing else changes, all of it is in the store of the target, what was there is there
//! afterwards, nothing is started, and an undo takes all of it back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::world::{World, changes};
use super::{for_each, generate, is_full, report, shell};
use crate::support::tree::{Node, Tree};
use crate::support::{cases, database};

const HARNESSES: [&str; 5] = ["claude", "codex", "gemini", "kilo", "opencode"];

/// A line of `cases.json`.
#[derive(Debug, Deserialize)]
struct Case {
    file: String,
    harness: String,
    about: String,
    /// Must not reach a terminal or a disk.
    secret: String,
    /// How many sessions it holds; `None`: one.
    sessions: Option<usize>,
}

struct Corpus {
    dir: TempDir,
    cases: Vec<Case>,
    commands: AtomicUsize,
}

impl Corpus {
    /// Hostile sessions made from a session of each program, once, and homes to bring them to.
    fn get() -> &'static Self {
        static CORPUS: OnceLock<Corpus> = OnceLock::new();
        CORPUS.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let archives: Vec<PathBuf> =
                HARNESSES.iter().map(|harness| exported(harness, dir.path())).collect();
            HARNESSES.iter().for_each(|harness| seed(harness, &dir.path().join(harness)));
            let out = dir.path().join("out");
            let mut words = vec![out.as_path(), Path::new("--sessions")];
            words.extend(archives.iter().map(PathBuf::as_path));
            generate(&words);
            let table = fs::read(out.join("cases.json")).unwrap();
            let cases = serde_json::from_slice(&table).unwrap();
            Self { dir, cases, commands: AtomicUsize::new(0) }
        })
    }

    fn path(&self, case: &Case) -> String {
        self.dir.path().join("out").join(&case.file).to_str().unwrap().to_owned()
    }

    /// Makes the home one in which the target's program has been.
    fn settle(&self, world: &World, target: &str) {
        world.clear();
        cases::copy_tree(&self.dir.path().join(target), world.home());
    }

    fn run(&self, world: &World, words: &[&str]) -> (crate::support::programs::Ended, Vec<String>) {
        self.commands.fetch_add(1, Ordering::Relaxed);
        world.holdall(words)
    }
}

/// The recorded session with a sub-agent, exported.
fn exported(harness: &str, dir: &Path) -> PathBuf {
    let world = World::new();
    recorded(harness, "subagent").unpack(world.home());
    let archive = dir.join(format!("{harness}.tar.gz"));
    let (ended, wrong) = world.holdall(&["export", "--all", "-H", harness, "-o", archive.to_str().unwrap()]);
    assert!(ended.status.success() && wrong.is_empty(), "{wrong:?}: {}", ended.stderr);
    archive
}

fn recorded(harness: &str, name: &str) -> cases::Case {
    cases::of(harness).into_iter().find(|case| case.case == name).unwrap()
}

/// A home with a session of the program in it, and with what the hostile ones are after.
fn seed(harness: &str, home: &Path) {
    recorded(harness, "chat").unpack(home);
    fs::create_dir_all(home.join("src/app")).unwrap();
    match harness {
        "gemini" => {
            fs::write(home.join(".gemini/tmp/app/checkpoint-victim.json"), "{\"history\":[]}").unwrap()
        }
        "kilo" | "opencode" => {
            let dir = home.join(".local/share").join(harness).join("tool-output");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("tool_victim"), "as it was").unwrap();
        }
        _ => {}
    }
}

/// Where the program of a harness keeps sessions, below a home.
fn store(harness: &str) -> String {
    match harness {
        "kilo" | "opencode" => format!(".local/share/{harness}"),
        other => format!(".{other}"),
    }
}

const STATE: &str = ".local/state/holdall";

/// What a program reads besides sessions. No session may bring it.
const SETTINGS: [&str; 6] =
    ["settings.json", "config.toml", "auth.json", "CLAUDE.md", "history.jsonl", "config"];

/// What is wrong with what an import did, where `plan` is what it said it would do.
fn judge(world: &World, target: &str, before: &Tree, plan: &BTreeSet<PathBuf>, secret: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let after = world.tree();
    let store = PathBuf::from(store(target));
    for path in plan {
        let inside = path.starts_with(&store) || path.starts_with(STATE);
        let named = path.file_name().is_some_and(|name| SETTINGS.iter().any(|other| name == *other));
        let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside || named || !plain {
            wrong.push(format!("it plans to change {}", path.display()));
        }
    }
    for path in changes(before, &after) {
        let planned = plan.iter().any(|planned| match after.get(&path) {
            Some(Node::Directory { .. }) => planned.starts_with(&path),
            _ => is_of(&path, planned),
        });
        if !planned && !path.starts_with(STATE) && !Path::new(STATE).starts_with(&path) {
            wrong.push(format!("changed what it had not said: {}", path.display()));
        }
        if let Some(lost) = lost(world, before.get(&path), after.get(&path), &path) {
            wrong.push(format!("{}: {lost}", path.display()));
        }
        if let Some(Node::File { bytes, .. }) = after.get(&path)
            && memchr_of(bytes, secret.as_bytes())
        {
            wrong.push(format!("{} has the password of a remote", path.display()));
        }
    }
    wrong
}

/// Whether it is the planned file, or what SQLite or a lock keeps beside it.
fn is_of(path: &Path, planned: &Path) -> bool {
    let beside =
        |end: &str| path.to_str() == planned.to_str().map(|planned| format!("{planned}{end}")).as_deref();
    path == planned || beside("-wal") || beside("-shm") || beside(".lock")
}

fn memchr_of(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

/// What was there and is not any more: a file may get longer, and a database get more rows.
fn lost(world: &World, before: Option<&Node>, after: Option<&Node>, path: &Path) -> Option<String> {
    let Some(Node::File { bytes: before, .. }) = before else { return None };
    if path.extension().is_some_and(|end| end == "db") {
        let old = world.dir().join("tmp/before.db");
        fs::write(&old, before).unwrap();
        let (old, new) = (rows(&old), rows(&world.home().join(path)));
        fs::remove_dir_all(world.dir().join("tmp")).unwrap();
        fs::create_dir(world.dir().join("tmp")).unwrap();
        return old.difference(&new).next().map(|row| format!("a row is gone: {row:.200}"));
    }
    let Some(Node::File { bytes: after, .. }) = after else { return Some("it is gone".to_owned()) };
    let beside = path.to_string_lossy().ends_with("-wal") || path.to_string_lossy().ends_with("-shm");
    (!beside && !after.starts_with(before)).then(|| "it is another".to_owned())
}

fn rows(path: &Path) -> BTreeSet<String> {
    database::dump(path).lines().map(str::to_owned).collect()
}

/// The paths that a report says are changed, below the home, and its actions.
fn plan(world: &World, document: &Value) -> (BTreeSet<PathBuf>, Vec<String>) {
    let rows = document["sessions"].as_array().cloned().unwrap_or_default();
    let paths = rows.iter().flat_map(|row| row["changes"].as_array().cloned().unwrap_or_default());
    let below = |change: Value| {
        let path = PathBuf::from(change["path"].as_str().unwrap());
        path.strip_prefix(world.home()).map_or(path.clone(), Path::to_owned)
    };
    let actions = rows.iter().map(|row| row["action"].as_str().unwrap_or_default().to_owned()).collect();
    (paths.map(below).collect(), actions)
}

/// Brings one archive to one harness, looks, and takes it back.
fn bring(corpus: &Corpus, world: &World, case: &Case, target: &str, more: &[&str]) -> Vec<String> {
    corpus.settle(world, target);
    let path = corpus.path(case);
    let (before, outside) = (world.tree(), world.outside());
    let mut wrong = Vec::new();
    let words = [&["--json", "import", &path, "--to", target, "--no-confirm"][..], more].concat();

    let (dry, more_wrong) = corpus.run(world, &[&words[..], &["--dry-run"]].concat());
    wrong.extend(more_wrong);
    if before != world.tree() {
        wrong.push(format!("a dry run changed {:?}", changes(&before, &world.tree())));
    }
    let (done, more_wrong) = corpus.run(world, &words);
    wrong.extend(more_wrong);
    let (Ok(said), Ok(did)) =
        (serde_json::from_str::<Value>(&dry.stdout), serde_json::from_str::<Value>(&done.stdout))
    else {
        return vec![format!("no JSON: {}{}", dry.stderr, done.stderr)];
    };
    let ((plan, said), (_, actions)) = (plan(world, &said), plan(world, &did));
    // What a database does not take shows when it is to take it.
    let is_same = |(said, did): (&String, &String)| {
        said == did || (did == "fail" && matches!(target, "kilo" | "opencode"))
    };
    if said.len() != actions.len() || !said.iter().zip(&actions).all(is_same) {
        wrong.push(format!("the dry run said {said:?}, and it was {actions:?}"));
    }
    wrong.extend(judge(world, target, &before, &plan, &case.secret));
    for (what, ended) in [("dry run", &dry), ("import", &done)] {
        if format!("{}{}", ended.stdout, ended.stderr).contains(&case.secret) {
            wrong.push(format!("the {what} shows the password of a remote"));
        }
    }
    if outside != world.outside() {
        wrong.push(format!("changed outside of the home: {:?}", changes(&outside, &world.outside())));
    }
    let started = world.started();
    if !started.is_empty() && !more.contains(&"--clone") {
        wrong.push(format!("started {started:?}"));
    }
    if did["import_id"].is_string() {
        let (undone, more_wrong) = corpus.run(world, &["undo"]);
        wrong.extend(more_wrong);
        let left: Vec<PathBuf> = changes(&before, &world.tree())
            .into_iter()
            .filter(|path| !path.starts_with(".local/state") && !Path::new(STATE).starts_with(path))
            .filter(|path| lost_or_more(world, &before, path))
            .collect();
        if !undone.status.success() || !left.is_empty() {
            wrong.push(format!("an undo leaves {left:?}: {}", undone.stderr));
        }
    }
    named(wrong, case, target)
}

/// Whether something is other than it was; a database may be so in its bytes alone.
fn lost_or_more(world: &World, before: &Tree, path: &Path) -> bool {
    match (path.extension().is_some_and(|end| end == "db"), before.get(path)) {
        (true, Some(Node::File { bytes, .. })) => {
            let old = tempfile::NamedTempFile::new().unwrap();
            fs::write(old.path(), bytes).unwrap();
            rows(old.path()) != rows(&world.home().join(path))
        }
        _ => !path.to_string_lossy().ends_with("-wal") && !path.to_string_lossy().ends_with("-shm"),
    }
}

fn named(wrong: Vec<String>, case: &Case, target: &str) -> Vec<String> {
    wrong
        .into_iter()
        .map(|wrong| format!("{} → {target} ({}): {wrong:.700}", case.file, case.about))
        .collect()
}

fn singles(corpus: &'static Corpus) -> Vec<&'static Case> {
    corpus.cases.iter().filter(|case| case.sessions.is_none()).collect()
}

fn nothing_escaped() {
    for path in ["/tmp/holdall-evil", "/tmp/evil", "/evil", "/tmp/holdall-evil.git"] {
        assert!(!Path::new(path).exists(), "{path} is there");
    }
}

#[test]
fn hostile_sessions_come_safely_or_not_at_all() {
    let corpus = Corpus::get();
    let pairs: Vec<(&Case, &str)> = singles(corpus)
        .into_iter()
        .flat_map(|case| HARNESSES.map(|target| (case, target)))
        .filter(|(case, target)| is_full() || case.harness == *target)
        .enumerate()
        .filter(|(place, (case, _))| {
            let often = ["-victim-", "-row-no-ids", "-repo-numbers", "-cwd-up", "-deep-line", "-nothing"];
            is_full() || place % 15 == 0 || often.iter().any(|name| case.file.contains(name))
        })
        .map(|(_, pair)| pair)
        .collect();
    let wrong = for_each(&pairs, |world, (case, target)| {
        // So that it comes to the very directory that the session which is here has.
        let same: &[&str] = match case.file.starts_with("gemini-victim") {
            true => &["--cwd-map", "/home/dev=/home/dev"],
            false => &[],
        };
        bring(corpus, world, case, target, same)
    });
    report(&wrong);
    nothing_escaped();
    let commands = corpus.commands.load(Ordering::Relaxed);
    let (all, tried) = (singles(corpus).len(), pairs.len());
    println!("{tried} imports of {all} hostile sessions, {commands} commands");
}

#[test]
fn hostile_sessions_of_each_harness_come_to_each_other() {
    let corpus = Corpus::get();
    let name = if is_full() { "-all." } else { "-some." };
    let all = corpus.cases.iter().filter(|case| case.sessions.is_some() && case.file.contains(name));
    let pairs: Vec<(&Case, &str)> = all.flat_map(|case| HARNESSES.map(|target| (case, target))).collect();
    assert_eq!(pairs.len(), 25);
    let shown = AtomicUsize::new(0);
    let wrong = for_each(&pairs, |world, (case, target)| {
        // There are hundreds in each archive.
        world.time.set(Duration::from_secs(30));
        let mut wrong = bring(corpus, world, case, target, &[]);
        corpus.settle(world, target);
        let path = corpus.path(case);
        // As people see it, with the target's program asked; the traps stand for it.
        let (dry, _) = corpus.run(world, &["--json", "import", &path, "--to", target, "--dry-run"]);
        let (text, more) = corpus.run(world, &["-v", "import", &path, "--to", target]);
        wrong.extend(more);
        let document: Value = serde_json::from_str(&dry.stdout).unwrap_or_default();
        if matches!(*target, "claude" | "codex" | "gemini") {
            wrong.extend(shell::misread(&text.stdout, &document, world.dir()));
        }
        let odd = |line: &String| line.to_lowercase().contains("evil") || line.contains(&case.secret);
        wrong.extend(world.started().into_iter().filter(odd).map(|line| format!("started {line}")));
        let (listed, more) = corpus.run(world, &["--json", "list", "--all", "-H", target]);
        wrong.extend(more);
        wrong.extend(corpus.run(world, &["list", "--all", "--subagents"]).1);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
        let ids: Vec<&str> = listed["sessions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row["id"].as_str())
            .collect();
        if ids.is_empty() {
            wrong.push("nothing is listed".to_owned());
        }
        let step = if is_full() { 1 } else { 5 };
        for (place, id) in ids.iter().enumerate().step_by(step) {
            let words: &[&str] =
                if place % 2 == 0 { &["show", "--full", id] } else { &["--json", "show", id] };
            wrong.extend(corpus.run(world, words).1);
            shown.fetch_add(1, Ordering::Relaxed);
        }
        let words = ["--json", "doctor", "--no-confirm"];
        wrong.extend(corpus.run(world, &words).1);
        named(wrong, case, target)
    });
    report(&wrong);
    nothing_escaped();
    println!("25 pairs of harnesses, {} sessions shown", shown.load(Ordering::Relaxed));
}

#[test]
fn hostile_repositories_are_not_cloned_or_named_after() {
    let corpus = Corpus::get();
    let of_git = |case: &&&Case| {
        case.file.contains("-remote-") || case.file.contains("-repo-") || case.file.contains("-cwd-")
    };
    let all = singles(corpus);
    let cases: Vec<&Case> = all.iter().filter(of_git).copied().collect();
    let cases: Vec<&Case> = cases
        .into_iter()
        .enumerate()
        .filter(|(place, _)| is_full() || place % 8 == 0)
        .map(|(_, case)| case)
        .collect();
    let wrong = for_each(&cases, |world, case| {
        let root = world.home().join("work");
        let root = root.to_str().unwrap().to_owned();
        let more =
            ["--workspace-root", &root, "--clone", "--restore-work", "--cwd-map", "/home/dev/nowhere=~/x"];
        corpus.settle(world, &case.harness);
        let (before, outside) = (world.tree(), world.outside());
        let path = corpus.path(case);
        let words = [&["import", &path, "--no-confirm"][..], &more].concat();
        let (ended, mut wrong) = corpus.run(world, &words);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for word in world.started() {
            let address = word.split("<clone>").nth(1).unwrap_or_default();
            let odd =
                ["<ext::", "<fd::", "<-oProxy", "<foo::", "--upload-pack", "--exec", &case.secret, "<../"];
            if odd.iter().any(|odd| address.contains(odd)) || !word.starts_with("<git> ") {
                wrong.push(format!("started {word}"));
            }
        }
        let store = PathBuf::from(store(&case.harness));
        for path in changes(&before, &world.tree()) {
            let known = [&store, Path::new("work"), Path::new(".local/state")];
            if !known.iter().any(|known| path.starts_with(known) || known.starts_with(&path)) {
                wrong.push(format!("changed {}", path.display()));
            }
        }
        if said.contains(&case.secret) || outside != world.outside() {
            wrong.push(format!("shows a password, or changed something outside: {said}"));
        }
        named(wrong, case, "a clone")
    });
    report(&wrong);
    nothing_escaped();
    println!("{} hostile repositories", cases.len());
}

#[test]
fn nothing_is_written_through_a_link_inside_of_a_store() {
    let corpus = Corpus::get();
    for harness in ["claude", "codex", "gemini"] {
        let world = World::new();
        let archive = corpus.dir.path().join(format!("{harness}.tar.gz"));
        let words = ["--json", "import", archive.to_str().unwrap(), "--no-confirm"];
        let (dry, _) = world.holdall(&[&words[..], &["--dry-run"]].concat());
        let (plan, _) = plan(&world, &serde_json::from_str(&dry.stdout).unwrap());
        let transcript = plan.iter().find(|path| path.extension().is_some_and(|end| end == "jsonl")).unwrap();
        let canary = world.dir().join("canary");
        for (link, to) in
            [(transcript.parent().unwrap(), canary.clone()), (transcript.as_path(), canary.join("file"))]
        {
            world.clear();
            let link = world.home().join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(&to, &link).unwrap();
            let (before, outside) = (world.tree(), world.outside());
            let (ended, wrong) = world.holdall(&words);
            assert_eq!(wrong, [""; 0]);
            assert_eq!(outside, world.outside(), "{harness}: written through {}", link.display());
            assert_eq!(ended.status.code(), Some(3), "{harness}: {}", ended.stdout);
            let said = ended.stdout.contains("link") || ended.stdout.contains("diverged");
            assert!(said, "{harness}: {}", ended.stdout);
            let odd = changes(&before, &world.tree())
                .into_iter()
                .filter(|path| !Path::new(STATE).starts_with(path) && !path.starts_with(STATE));
            assert_eq!(odd.count(), 0, "{harness}: {}", link.display());
        }
        // The store itself may be somewhere else.
        world.clear();
        let elsewhere = world.home().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, world.home().join(store(harness))).unwrap();
        let (ended, wrong) = world.holdall(&words);
        assert_eq!((ended.status.code(), wrong), (Some(0), Vec::new()), "{harness}: {}", ended.stdout);
    }
}
