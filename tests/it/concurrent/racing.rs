//! Two commands at once on one machine: both are done one after the other, or one gives way; in the end
//! everything is as after the one order or the other, and `undo` brings all of it back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Ended, Runs, holdall, lead, leftovers, rounds, text};
use crate::support::cases;
use crate::support::database;
use crate::support::programs::{Home, run};
use crate::support::tree::{self, Node, Tree};

const HARNESSES: [&str; 5] = ["claude", "codex", "opencode", "kilo", "gemini"];

/// One command begins up to so many milliseconds after the other; each takes about as long.
const LEAD: u64 = 40;

/// Takes the import back that was made first.
const UNDO_OLDEST: &str = "undo the oldest";

/// A home, always at the same place, and archives for it.
struct World {
    harness: &'static str,
    home: Home,
    runs: Runs,
    dir: TempDir,
    /// How the home is in the beginning: one session is there.
    base: PathBuf,
    /// States that were reached by commands one after the other.
    known: BTreeMap<Vec<Vec<String>>, Tree>,
}

impl World {
    fn new(harness: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        fs::create_dir_all(base.join("src/app")).unwrap();
        fs::create_dir_all(base.join("src/moved")).unwrap();
        let case = |name: &str| cases::of(harness).into_iter().find(|case| case.case == name).unwrap();
        case("think").unpack(&base);
        let world = Self {
            harness,
            home: Home::at(dir.path().join("home")),
            runs: Runs::default(),
            base,
            known: BTreeMap::new(),
            dir,
        };
        for (name, archive) in [("chat", "a"), ("parallel3", "b")] {
            let from = Home::at(world.dir.path().join(format!("from-{archive}")));
            case(name).unpack(from.dir());
            world.runs.done(&from, &["export", "--all", "--git", "none", "-o", &world.archive(archive)]);
        }
        // The same session as in the first one, which went on since.
        let from = Home::at(world.dir.path().join("from-a"));
        go_on(harness, &from, &case("chat").id);
        world.runs.done(&from, &["export", "--all", "--git", "none", "-o", &world.archive("a2")]);
        world
    }

    fn archive(&self, name: &str) -> String {
        text(&self.dir.path().join(format!("{name}.tar.gz")))
    }

    /// `import`, into the folder that recorded sessions come to.
    fn import(&self, archive: &str) -> Vec<String> {
        let map = format!("{}={}", cases::CWD, text(&self.home.dir().join("src/app")));
        let archive = self.archive(archive);
        ["import", &archive, "--no-confirm", "--cwd-map", &map].map(str::to_owned).into()
    }

    /// Makes the home as it was in the beginning.
    fn begin(&self) {
        fs::remove_dir_all(self.home.dir()).unwrap();
        cases::copy_tree(&self.base, self.home.dir());
    }

    #[track_caller]
    fn done(&self, command: &[String]) -> Ended {
        if command == [UNDO_OLDEST] {
            let oldest = self.imports().pop().unwrap();
            return self.runs.done(&self.home, &["undo", &oldest]);
        }
        let ended = self.runs.run(&self.home, &words(command));
        // There is more to be found in the home than it puts right.
        let is_right = ended.code == 0 || command[0] == "doctor" && ended.code == 3;
        assert!(is_right, "{command:?}: {} {}", ended.document, ended.talk);
        ended
    }

    fn race(&self, round: usize, first: &[String], second: &[String]) -> (Ended, Ended) {
        // Every other time both begin at once; else now the one, now the other leads.
        let lead = if round.is_multiple_of(2) { Duration::ZERO } else { lead(round, LEAD) };
        if round % 4 < 2 {
            self.runs.race(&self.home, &words(first), &words(second), lead)
        } else {
            let (second, first) = self.runs.race(&self.home, &words(second), &words(first), lead);
            (first, second)
        }
    }

    /// Everything in the home but holdall's own state; databases as their rows in a fixed order.
    fn state(&self) -> Tree {
        let mut tree = tree::read_without(self.home.dir(), ".local/state");
        tree.retain(|path, _| {
            let name = path.to_string_lossy();
            !name.ends_with("-wal") && !name.ends_with("-shm") && !name.contains("/.lock")
        });
        for (path, node) in &mut tree {
            if let Node::File { bytes, .. } = node
                && path.extension().is_some_and(|extension| extension == "db")
            {
                let dump = database::dump(&self.home.dir().join(path));
                let mut rows: Vec<&str> = dump.lines().collect();
                rows.sort_unstable();
                *bytes = rows.join("\n").into_bytes();
            }
        }
        tree
    }

    /// The state after these commands, one after the other.
    fn after(&mut self, commands: &[Vec<String>]) -> Tree {
        if !self.known.contains_key(commands) {
            self.begin();
            commands.iter().for_each(|command| drop(self.done(command)));
            let state = self.state();
            self.known.insert(commands.to_vec(), state);
        }
        self.known[commands].clone()
    }

    /// The imports that are done and not undone, the newest first. None is unfinished.
    fn imports(&self) -> Vec<String> {
        let imports = self.runs.done(&self.home, &["imports"]).document;
        let imports = imports["imports"].as_array().unwrap().clone();
        assert!(imports.iter().all(|import| import["state"] != "interrupted"), "{imports:?}");
        let done = imports.iter().filter(|import| import["state"] == "done");
        done.map(|import| import["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The state is one of these; nothing is left over; and with everything undone it is as in the
    /// beginning.
    #[track_caller]
    fn ends(&mut self, what: &str, states: &[Vec<Vec<String>>]) {
        let now = self.state();
        let imports = self.imports();
        assert_eq!(leftovers(self.home.dir()), Vec::<PathBuf>::new(), "{}, {what}", self.harness);
        for id in imports {
            self.runs.done(&self.home, &["undo", &id]);
        }
        let back = self.state();
        let states: Vec<Tree> = states.iter().map(|commands| self.after(commands)).collect();
        if !states.contains(&now) {
            let differences: Vec<_> = states.iter().map(|state| difference(state, &now)).collect();
            panic!("{}, {what}: this is no order of the two: {differences:#?}", self.harness);
        }
        let begin = self.after(&[]);
        assert!(back == begin, "{}, {what}, after undo: {:#?}", self.harness, difference(&begin, &back));
    }
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// The paths at which two trees are different.
fn difference(one: &Tree, other: &Tree) -> Vec<PathBuf> {
    let paths = one.keys().chain(other.keys()).filter(|path| one.get(*path) != other.get(*path));
    let mut paths: Vec<PathBuf> = paths.cloned().collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Somebody says something more in the only session of a home.
fn go_on(harness: &str, home: &Home, id: &str) {
    let time = "2026-11-21T23:00:00.000Z";
    let line = match harness {
        "claude" => format!(
            r#"{{"parentUuid":null,"isSidechain":false,"type":"user","uuid":"00000000-0000-4000-8000-000000000001","timestamp":"{time}","cwd":"{}","sessionId":"{id}","version":"2.1.329","entrypoint":"cli","message":{{"role":"user","content":"and more"}}}}"#,
            cases::CWD
        ),
        "codex" => format!(
            r#"{{"timestamp":"{time}","ordinal":1000,"type":"event_msg","payload":{{"type":"user_message","message":"and more"}}}}"#
        ),
        "gemini" => {
            format!(r#"{{"id":"more","timestamp":"{time}","type":"user","content":[{{"text":"and more"}}]}}"#)
        }
        program => {
            let path = home.dir().join(format!(".local/share/{program}/{program}.db"));
            let said = r#"{"role":"user","time":{"created":1795300000000},"agent":"build","model":{"providerID":"fake","modelID":"fake-model"}}"#;
            let connection = rusqlite::Connection::open(path).unwrap();
            let message = "INSERT INTO message(id, session_id, time_created, time_updated, data) VALUES('msg_zmore', ?1, 1795300000000, 1795300000000, ?2)";
            connection.execute(message, [id, said]).unwrap();
            let part = r#"INSERT INTO part(id, message_id, session_id, time_created, time_updated, data)
                VALUES('prt_zmore', 'msg_zmore', ?1, 1795300000000, 1795300000000, '{"type":"text","text":"and more"}')"#;
            connection.execute(part, [id]).unwrap();
            return;
        }
    };
    let is_transcript = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "jsonl") && text(path).contains(&id[..8])
    };
    let file = tree::read(home.dir()).into_keys().find(is_transcript).unwrap();
    let mut all = fs::read_to_string(home.dir().join(&file)).unwrap();
    all.push_str(&line);
    all.push('\n');
    fs::write(home.dir().join(file), all).unwrap();
}

/// Each of the harnesses in turn, with its rounds.
fn for_each(some: usize, all: usize, mut check: impl FnMut(&mut World, usize)) -> usize {
    let mut count = 0;
    for (place, harness) in HARNESSES.into_iter().enumerate() {
        let mut world = World::new(harness);
        let times = rounds(some, all);
        let mine = (0..times).filter(|round| round % HARNESSES.len() == place);
        mine.for_each(|round| check(&mut world, round / HARNESSES.len()));
        count += world.runs.count();
    }
    count
}

fn actions(ended: &Ended) -> Vec<&str> {
    let rows = ended.document["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().filter_map(|row| row["action"].as_str()).collect()
}

#[test]
fn the_same_archive_twice_at_once() {
    let (mut waited, mut gave_way) = (0, 0);
    let count = for_each(25, 100, |world, round| {
        world.begin();
        let import = world.import("a");
        let (one, two) = world.race(round, &import, &import);
        let [done, other] = if actions(&one) == ["create"] { [one, two] } else { [two, one] };
        assert_eq!((done.code, actions(&done)), (0, vec!["create"]), "{}", done.document);
        if other.code == 0 {
            assert_eq!((actions(&other), &other.session()["reason"]), (vec!["skip"], &"identical".into()));
            waited += 1;
        } else {
            assert!(other.is_busy(), "{}: {} {}", world.harness, other.document, other.talk);
            gave_way += 1;
        }
        assert_eq!(world.imports().len(), 1);
        world.ends("twice the same", &[vec![import]]);
    });
    println!("the same archive twice: {waited} found it there, {gave_way} gave way; {count} runs of holdall");
}

#[test]
fn different_archives_at_once() {
    let mut gave_way = 0;
    let count = for_each(25, 100, |world, round| {
        world.begin();
        let (a, b) = (world.import("a"), world.import("b"));
        let (one, two) = world.race(round, &a, &b);
        for ended in [&one, &two].into_iter().filter(|ended| !ended.is_busy()) {
            assert_eq!((ended.code, actions(ended)), (0, vec!["create"]), "{}", ended.document);
        }
        let states = match (one.is_busy(), two.is_busy()) {
            (false, false) => vec![vec![a.clone(), b.clone()], vec![b, a]],
            (false, true) => vec![vec![a]],
            (true, false) => vec![vec![b]],
            (true, true) => panic!("each gave way to the other"),
        };
        gave_way += usize::from(states.len() == 1);
        world.ends("different ones", &states);
    });
    println!("different archives: {gave_way} gave way; {count} runs of holdall");
}

#[test]
fn an_import_and_an_undo_at_once() {
    let (mut older, mut newer, mut gave_way) = (0, 0, 0);
    let count = for_each(25, 100, |world, round| {
        world.begin();
        let (a, b, undo) = (world.import("a"), world.import("b"), vec!["undo".to_owned()]);
        let first = world.done(&a).document["import_id"].clone();
        let (import, undone) = world.race(round, &b, &undo);
        let states = match (import.is_busy(), undone.is_busy()) {
            (false, false) => {
                assert_eq!((import.code, undone.code), (0, 0), "{} {}", import.document, undone.document);
                if undone.document["import_id"] == first {
                    older += 1;
                    let oldest = vec![UNDO_OLDEST.to_owned()];
                    vec![vec![a.clone(), undo.clone(), b.clone()], vec![a.clone(), b.clone(), oldest]]
                } else {
                    assert_eq!(undone.document["import_id"], import.document["import_id"]);
                    newer += 1;
                    vec![vec![a.clone()]]
                }
            }
            (false, true) => vec![vec![a.clone(), b.clone()]],
            (true, false) => vec![vec![]],
            (true, true) => panic!("each gave way to the other"),
        };
        gave_way += usize::from(import.is_busy() || undone.is_busy());
        world.ends("import and undo", &states);
    });
    println!(
        "import and undo: {older} took the older import back, {newer} the one at that moment, {gave_way} gave \
         way; {count} runs of holdall"
    );
}

#[test]
fn an_export_while_the_session_is_updated() {
    let (mut old, mut new) = (0, 0);
    let mut states: BTreeMap<&str, [Vec<u8>; 2]> = BTreeMap::new();
    let count = for_each(25, 100, |world, round| {
        let a = world.import("a");
        let update = [world.import("a2"), vec!["--on-conflict".to_owned(), "update".to_owned()]].concat();
        let id = cases::of(world.harness).into_iter().find(|case| case.case == "chat").unwrap().id;
        let archive = world.archive("x");
        let export: Vec<String> =
            ["export", &id, "--git", "none", "-o", &archive, "--force"].map(str::to_owned).into();
        let exported = |world: &World| {
            world.done(&export);
            packed(&archive)
        };
        if !states.contains_key(world.harness) {
            world.begin();
            world.done(&a);
            let before = exported(world);
            world.done(&update);
            let after = exported(world);
            assert!(before != after, "{}: the update brings nothing", world.harness);
            states.insert(world.harness, [before, after]);
        }
        world.begin();
        world.done(&a);
        let (updated, ended) = world.race(round, &update, &export);
        assert_eq!((updated.code, actions(&updated)), (0, vec!["update"]), "{}", updated.document);
        assert_eq!(ended.code, 0, "{}: {}", world.harness, ended.document);
        let [before, after] = &states[world.harness];
        match packed(&archive) {
            bytes if bytes == *before => old += 1,
            bytes if bytes == *after => new += 1,
            _ => panic!("{}: what was exported is neither the old session nor the new one", world.harness),
        }
        assert_eq!(world.runs.done(&world.home, &["verify", &archive]).document["ok"], true);
        world.ends("update and export", &[vec![a, update]]);
    });
    println!(
        "export while updated: {old} times the old session, {new} times the new; {count} runs of holdall"
    );
}

/// The bytes of all files in an archive.
fn packed(archive: &str) -> Vec<u8> {
    use holdall::model::Payload;
    let opened = holdall::archive::Archive::open(Path::new(archive)).unwrap();
    let session = opened.session(0).unwrap();
    let mut bytes = Vec::new();
    for place in 0..session.files().len() {
        std::io::Read::read_to_end(&mut session.open(place).unwrap(), &mut bytes).unwrap();
    }
    bytes
}

#[test]
fn a_move_and_an_import_at_once() {
    let mut gave_way = 0;
    let count = for_each(10, 40, |world, round| {
        world.begin();
        let (a, b) = (world.import("a"), world.import("b"));
        let [old, new] = ["src/app", "src/moved"].map(|name| text(&world.home.dir().join(name)));
        let moving: Vec<String> = ["move", &old, &new, "--no-confirm"].map(str::to_owned).into();
        world.done(&a);
        let (moved, imported) = world.race(round, &moving, &b);
        for ended in [&moved, &imported].into_iter().filter(|ended| !ended.is_busy()) {
            assert_eq!(ended.code, 0, "{}: {}", world.harness, ended.document);
        }
        let states = match (moved.is_busy(), imported.is_busy()) {
            (false, false) => {
                vec![vec![a.clone(), moving.clone(), b.clone()], vec![a, b, moving]]
            }
            (false, true) => vec![vec![a, moving]],
            (true, false) => vec![vec![a, b]],
            (true, true) => panic!("each gave way to the other"),
        };
        gave_way += usize::from(states.len() == 1);
        world.ends("move and import", &states);
    });
    println!("move and import: {gave_way} gave way; {count} runs of holdall");
}

#[test]
fn two_backups_at_once() {
    let mut gave_way = 0;
    let count = for_each(10, 30, |world, round| {
        world.begin();
        world.done(&world.import("a"));
        let backups = text(&world.dir.path().join("backups"));
        let _ = fs::remove_dir_all(&backups);
        let backup: Vec<String> = ["backup", &backups].map(str::to_owned).into();
        let (one, two) = world.race(round, &backup, &backup);
        for ended in [&one, &two] {
            assert!(ended.code == 0 || ended.is_busy(), "{}: {}", world.harness, ended.document);
        }
        assert!(one.code == 0 || two.code == 0, "each gave way to the other");
        gave_way += usize::from(one.code != two.code);
        let names: Vec<String> = fs::read_dir(&backups)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.len() == 1 && names[0].ends_with(".tar.gz"), "{names:?}");
        assert_eq!(world.runs.done(&world.home, &["verify", &backups]).document["ok"], true);
    });
    println!("two backups: {gave_way} gave way; {count} runs of holdall");
}

/// A session of Claude Code lies in a folder in which the program does not look for it.
fn misplace(world: &World) {
    let projects = world.home.dir().join(".claude/projects");
    let id = cases::of("claude").into_iter().find(|case| case.case == "chat").unwrap().id;
    let wrong = projects.join("-somewhere-else");
    fs::create_dir_all(&wrong).unwrap();
    let name = format!("{id}.jsonl");
    let dirs = fs::read_dir(&projects).unwrap().map(|dir| dir.unwrap().path());
    let file = dirs.map(|dir| dir.join(&name)).find(|file| file.exists()).unwrap();
    fs::rename(file, wrong.join(name)).unwrap();
}

#[test]
fn a_repair_and_an_import_at_once() {
    let mut world = World::new("claude");
    let (a, b) = (world.import("a"), world.import("b"));
    let fix: Vec<String> = ["doctor", "--fix", "--no-confirm"].map(str::to_owned).into();
    // The home begins with the misplaced session.
    world.begin();
    world.done(&a);
    fs::remove_dir_all(world.home.dir().join(".local/state")).unwrap();
    misplace(&world);
    let base = world.dir.path().join("misplaced");
    fs::rename(world.home.dir(), &base).unwrap();
    fs::create_dir(world.home.dir()).unwrap();
    world.base = base;
    let mut gave_way = 0;
    for round in 0..rounds(10, 40) {
        world.begin();
        let (fixed, imported) = world.race(round, &fix, &b);
        assert!([0, 3].contains(&fixed.code) || fixed.is_busy(), "{}", fixed.document);
        assert!(imported.code == 0 || imported.is_busy(), "{}", imported.document);
        let states = match (fixed.is_busy(), imported.is_busy()) {
            (false, false) => vec![vec![b.clone(), fix.clone()], vec![fix.clone(), b.clone()]],
            (false, true) => vec![vec![fix.clone()]],
            (true, false) => vec![vec![b.clone()]],
            (true, true) => panic!("each gave way to the other"),
        };
        gave_way += usize::from(states.len() == 1);
        let now = world.state();
        let lies_right = !now.keys().any(|path| path.to_string_lossy().contains("-somewhere-else/"));
        assert!(lies_right || fixed.is_busy(), "it was not put right");
        world.ends("doctor and import", &states);
    }
    println!("doctor and import: {gave_way} gave way; {} runs of holdall", world.runs.count());
}

/// Two commands that have to wait for a third one which never ends say so, and change nothing.
#[test]
fn whoever_waits_in_vain_says_so() {
    let world = World::new("claude");
    world.begin();
    let state = world.home.dir().join(".local/state/holdall");
    fs::create_dir_all(&state).unwrap();
    let lock = fs::File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    let before = world.state();
    let (one, two) = world.race(0, &world.import("a"), &world.import("b"));
    for ended in [&one, &two] {
        assert!(ended.is_busy(), "{}", ended.document);
        assert!(ended.error().contains("lock"), "the file is named: {}", ended.document);
    }
    // Who only reads does not wait.
    let mut list = holdall(&world.home, &["list", "--all"]);
    let listed = run(&mut list, Duration::from_secs(4)).unwrap();
    assert!(listed.status.success(), "{}", listed.stderr);
    drop(lock);
    assert!(world.state() == before);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}
