//! Kill -9 and a refusing disk at the system calls of the real program, from its start to its report.
//!
//! `crash` does this to the transaction alone. Here it is the whole of `holdall export`, `backup`,
//! `import`, `move` and `undo`, over stores of every kind, and then a user's next steps follow: look
//! at the list, do it again, take it back.

mod archives;
mod atoms;
mod reads;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use holdall::txn::{self, ImportState};

use crate::crash::order::Order;
use crate::crash::points::{self, KILL, Point, for_each, naming, part};
use crate::crash::scratch;
use crate::crash::strace::Call;
use crate::support::tree;
use atoms::{Atoms, new_sessions};
use world::Operation::{Convert, Move, MoveFolder, New, Replace, UndoFolder, UndoReplace, Update};
use world::Store::{Claude, Codex, Gemini, Opencode};
use world::{Operation, Scenario, Store, World};

/// Of so many points one is run where not all are asked for.
const ONE_IN: usize = 29;

/// What a scenario does when nothing disturbs it, in one directory.
struct Baseline {
    before: Atoms,
    after: Atoms,
    /// What names each session, and all that is its own.
    sessions: Vec<Vec<String>>,
}

impl Baseline {
    fn of(scenario: Scenario, root: &Path) -> Self {
        let world = World::prepared(root, scenario);
        let before = world.atoms();
        let mut sessions = world.sessions();
        world.done(&scenario.command(root));
        let after = world.atoms();
        sessions.extend(world.sessions());
        sessions.sort();
        sessions.dedup();
        let concerned = |session: &Vec<String>| before.of(session) != after.of(session);
        sessions.retain(concerned);
        assert!(sessions.len() > 1, "{scenario:?} changes sessions: {sessions:?}");
        Self { before, after, sessions }
    }
}

/// Lets everything happen to each call of the scenario's command, then does what a user would do next.
fn every_call(store: Store, operation: Operation) {
    let scenario = Scenario { store, operation };
    let start = Instant::now();
    let dir = scratch();
    let root = dir.path().join("w");
    let world = World::prepared(&root, scenario);
    let all = world.record(&scenario.command(&root));
    check_order(&world, operation, &all.in_order);
    let points = points::of(&all.points, false);
    // A database has calls of its own in two threads; `crash` reaches each of them.
    let most = if store == Opencode { all.points.len() } else { all.points.len() / 2 };
    assert!(all.points.len() > 30 && all.shadowed < most, "{} of {}", all.shadowed, all.points.len());
    let total = points.len();
    let points = part(&format!("{scenario:?}"), points, ONE_IN);
    let baselines = Baselines::default();
    let finished = AtomicUsize::new(0);
    for_each(&points, |point, root| {
        naming(&format!("{scenario:?}, {}", point.injection()), || {
            let baseline = baselines.at(scenario, root);
            let (world, ended) = disturbed(root, scenario, point);
            assert_eq!(ended.code.is_none(), point.kills(), "{ended:?}");
            if check(&world, scenario, &baseline, point, &ended) {
                finished.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    points::count(operation.name(), store.kind(), &points);
    println!(
        "{scenario:?}: {} of {total} points, {} of them after the decision to go through with it; {} calls have \
         the number of another thread's; {:.1?}",
        points.len(),
        finished.into_inner(),
        all.shadowed,
        start.elapsed()
    );
}

/// Runs the scenario's command while the point happens to it. Two threads read a database: the last calls of
/// one kind are not made every time.
fn disturbed(root: &Path, scenario: Scenario, point: &Point) -> (World, world::End) {
    let mut tries = 3;
    loop {
        let world = World::prepared(root, scenario);
        let ended = world.disturbed(point, &scenario.command(root));
        tries -= 1;
        if tries == 0 || !point.kills() || ended.code.is_none() {
            return (world, ended);
        }
    }
}

/// The same for the recovery: the command is killed in the middle, and the next start is disturbed.
fn every_call_of_recovery(store: Store, operation: Operation) {
    let scenario = Scenario { store, operation };
    let dir = scratch();
    let root = dir.path().join("w");
    let world = World::prepared(&root, scenario);
    let all = world.record(&scenario.command(&root));
    let order = order(&world, operation);
    let first = all.points.iter().find(|call| order.changes(call)).expect("it changes something");
    let staged = &all.points[all.points.iter().position(|call| std::ptr::eq(call, first)).unwrap() / 2];
    for crash in [staged, first].map(|call| Point::new(call, KILL)) {
        let world = World::prepared(&root, scenario);
        assert_eq!(world.disturbed(&crash, &scenario.command(&root)).code, None);
        let all = world.record(&["list", "--all"]);
        let points =
            part(&format!("{scenario:?} {}", crash.injection()), points::of(&all.points, false), ONE_IN);
        let baselines = Baselines::default();
        for_each(&points, |point, root| {
            naming(&format!("{scenario:?}, {}, then {}", crash.injection(), point.injection()), || {
                let baseline = baselines.at(scenario, root);
                let world = World::crashed(root, scenario, &crash);
                let ended = world.disturbed(point, &["list", "--all"]);
                assert_eq!(ended.code.is_none(), point.kills(), "{ended:?}");
                // What is left is left to the next start, as after a kill.
                let killed = world::End { code: None, said: ended.said };
                check(&world, scenario, &baseline, point, &killed);
            });
        });
        points::count("recovery", store.kind(), &points);
    }
}

/// A command in a directory of its own is the same every time; paths differ between directories.
#[derive(Default)]
struct Baselines(Mutex<BTreeMap<PathBuf, Arc<Baseline>>>);

impl Baselines {
    fn at(&self, scenario: Scenario, root: &Path) -> Arc<Baseline> {
        if let Some(known) = self.0.lock().unwrap().get(root) {
            return Arc::clone(known);
        }
        let made = Arc::new(Baseline::of(scenario, root));
        self.0.lock().unwrap().insert(root.to_owned(), Arc::clone(&made));
        made
    }
}

fn order(world: &World, operation: Operation) -> Order<'_> {
    let is_theirs = |path: &str| {
        let path = Path::new(path);
        path.starts_with(world.home.dir()) && !path.starts_with(world.state())
    };
    Order {
        is_theirs: Box::new(is_theirs),
        journal: if operation.is_undo() { "undo" } else { "journal" },
        resumes: false,
    }
}

fn check_order(world: &World, operation: Operation, calls: &[Call]) {
    let changes = naming("order of syncs", || order(world, operation).check(calls));
    assert!(changes > 1, "it changes files: {changes}");
    points::tally(operation.name(), world.scenario.store.kind(), "order", 1);
}

/// What a user does after it. Returns whether the command's work was done for all sessions.
fn check(world: &World, scenario: Scenario, baseline: &Baseline, point: &Point, ended: &world::End) -> bool {
    // A directory may be left where removing it was refused.
    let lenient = point.call == "rmdir" && !point.kills();
    let lean = |atoms: Atoms| if lenient { atoms.without_empty_directories() } else { atoms };
    let (before, after) = (&lean(baseline.before.clone()), &lean(baseline.after.clone()));
    let sessions = &baseline.sessions;
    let atoms = |world: &World| lean(world.atoms());
    // What it says is true before anything else is started.
    if let Some(code) = ended.code {
        assert!([0, 1, 3].contains(&code), "{ended:?}");
        let unfinished = ended.said.contains("goes on with it");
        if !unfinished {
            let new = new_sessions(&atoms(world), before, after, sessions);
            assert!(code != 0 || new.len() == sessions.len(), "it says that all is done: {new:?}");
            assert!(code != 1 || new.is_empty(), "it says that nothing is done: {new:?}");
            no_leftovers(world);
        }
        // The word itself may be what could not be written.
        assert!(
            code == 0 || ended.said.len() > 10 || point.call == "write",
            "it ends with {code} and without a word"
        );
        let full = point.fault.contains("ENOSPC") && ["write", "pwrite64"].contains(&point.call.as_str());
        assert!(
            !full || code == 0 || ended.said.is_empty() || ended.said.contains("space"),
            "no advice: {}",
            ended.said
        );
    }
    world.done(&["list", "--all"]);
    no_leftovers(world);
    let new = new_sessions(&atoms(world), before, after, sessions);
    let imports = txn::imports(&world.state()).unwrap();
    assert!(imports.iter().all(|import| import.state != ImportState::Interrupted), "{imports:?}");
    let all = new.len() == sessions.len();
    let done = imports.iter().filter(|import| import.state == ImportState::Done);
    let listed: BTreeSet<&str> =
        done.flat_map(|import| &import.sessions).map(|session| session.label.as_str()).collect();
    if scenario.operation.is_undo() {
        assert_eq!(listed.is_empty(), all, "{listed:?}, where {new:?} are taken back");
        if !all {
            undo(world);
            assert_eq!(&atoms(world), after, "undo, once more");
        }
        return all;
    }
    assert_eq!(listed.len(), new.len(), "{listed:?}, where {new:?} are there");
    if new.is_empty() {
        world.done(&scenario.command(&world.root));
        assert_eq!(&atoms(world), after, "the same, once more");
    }
    undo(world);
    assert_eq!(&atoms(world), before, "and back");
    all
}

fn undo(world: &World) {
    let report = txn::undo(&world.state(), None, false).unwrap();
    assert!(report.sessions.iter().all(|session| session.failure.is_none()), "{report:?}");
}

fn no_leftovers(world: &World) {
    let is_ours = |path: &PathBuf| path.to_string_lossy().contains(".holdall-");
    let leftovers: Vec<PathBuf> = tree::read(&world.root).into_keys().filter(is_ours).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn import_of_new_sessions() {
    every_call(Claude, New);
    every_call(Gemini, New);
    every_call(Opencode, New);
}

#[test]
fn converting_import() {
    every_call(Codex, Convert);
}

#[test]
fn updating_import() {
    every_call(Claude, Update);
    every_call(Codex, Update);
    every_call(Gemini, Update);
    every_call(Opencode, Update);
}

#[test]
fn replacing_import() {
    every_call(Claude, Replace);
    every_call(Codex, Replace);
    every_call(Gemini, Replace);
    every_call(Opencode, Replace);
}

#[test]
fn move_of_sessions() {
    every_call(Claude, Move);
    every_call(Codex, Move);
    every_call(Gemini, Move);
    every_call(Opencode, Move);
}

#[test]
fn move_of_a_folder() {
    every_call(Claude, MoveFolder);
    every_call(Gemini, MoveFolder);
    every_call(Opencode, MoveFolder);
}

#[test]
fn undo_of_an_import() {
    every_call(Claude, UndoReplace);
    every_call(Codex, UndoReplace);
    every_call(Gemini, UndoReplace);
    every_call(Opencode, UndoReplace);
}

#[test]
fn undo_of_a_moved_folder() {
    every_call(Claude, UndoFolder);
    every_call(Gemini, UndoFolder);
    every_call(Opencode, UndoFolder);
}

#[test]
fn recovery() {
    every_call_of_recovery(Claude, Replace);
    every_call_of_recovery(Codex, Convert);
    every_call_of_recovery(Gemini, MoveFolder);
    every_call_of_recovery(Opencode, Replace);
    every_call_of_recovery(Opencode, UndoReplace);
}
