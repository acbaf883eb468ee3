//! What a kill cannot show, as the kernel keeps what was written: that everything is made durable
//! before what relies on it. The order of the calls tells.

use std::path::Path;

use super::points::{KILL, Point, naming, tally};
use super::strace::{self, Call, Exit};
use super::{kind, prepare, scratch, title};

/// What an import and an undo do, from their calls.
pub struct Order<'a> {
    /// Whether a path is of the user's: of the home, but not of holdall's state.
    pub is_theirs: Box<dyn Fn(&str) -> bool + 'a>,
    /// `journal` or `undo`: the name of its journal.
    pub journal: &'a str,
    /// Whether it goes on with what was prepared before.
    pub resumes: bool,
}

impl Order<'_> {
    fn is_rename(call: &Call) -> bool {
        matches!(call.name.as_str(), "rename" | "renameat2") && !call.failed
    }

    /// Whether a call changes what is the user's: not our files beside it, and not what SQLite makes
    /// and removes as it likes. What counts is what is written into its log.
    pub fn changes(&self, call: &Call) -> bool {
        if call.failed {
            return false;
        }
        match call.name.as_str() {
            "rename" | "renameat2" | "linkat" => (self.is_theirs)(&call.paths[0]),
            "unlink" => {
                let log = call.paths[0].ends_with("-wal") || call.paths[0].ends_with("-shm");
                (self.is_theirs)(&call.paths[0]) && !log
            }
            "write" | "pwrite64" | "ftruncate" => {
                let path = call.handle.as_deref().unwrap_or_default();
                (self.is_theirs)(path) && !path.contains("/.holdall-") && !path.ends_with("-shm")
            }
            _ => false,
        }
    }

    /// Panics where something relies on what is not durable; returns how many changes it saw.
    pub fn check(&self, calls: &[Call]) -> usize {
        // The journal's states, by the place of the rename that brought each.
        let states: Vec<usize> = (0..calls.len())
            .filter(|place| {
                let call = &calls[*place];
                Self::is_rename(call) && call.paths[1].ends_with(&format!("{}.json", self.journal))
            })
            .collect();
        let known = if self.resumes { 1..=2 } else { 3..=4 };
        assert!(known.contains(&states.len()), "staging, prepared, (applied,) done: {}", states.len());
        for state in &states {
            let dir = Path::new(&calls[*state].paths[1]).parent().unwrap().to_str().unwrap();
            let temp = &calls[*state].paths[0];
            assert!(synced(calls, temp, 0, *state), "a journal is durable before it gets its name");
            assert!(synced(calls, dir, *state, calls.len()), "and its name after");
        }
        let (prepared, next) = if self.resumes { (0, states[0]) } else { (states[1], states[2]) };
        let durable = if self.resumes {
            0
        } else {
            let dir = Path::new(&calls[prepared].paths[1]).parent().unwrap().to_str().unwrap();
            (prepared..next).find(|place| synced(calls, dir, prepared, place + 1)).unwrap()
        };
        let mut changes = 0;
        for (place, call) in calls.iter().enumerate().filter(|(_, call)| self.changes(call)) {
            changes += 1;
            assert!(
                place > durable || self.resumes,
                "{call:?} comes before the journal is durably \"prepared\""
            );
            if Self::is_rename(call) && call.paths[0].ends_with(".tmp") && !self.resumes {
                let last_write = calls[..place].iter().rposition(|write| {
                    write.name == "write" && write.handle.as_ref() == Some(&call.paths[0])
                });
                assert!(
                    synced(calls, &call.paths[0], last_write.unwrap_or(0), place),
                    "{call:?}: its data is not durable"
                );
            }
            if place < next {
                let path = match &call.handle {
                    Some(file) => file.as_str(),
                    None => Path::new(call.paths.last().unwrap()).parent().unwrap().to_str().unwrap(),
                };
                assert!(synced(calls, path, place, next), "{call:?} is not durable when the journal goes on");
            }
        }
        changes
    }
}

/// Whether a file or directory is made durable by a call from `from` on, before `to`.
fn synced(calls: &[Call], path: &str, from: usize, to: usize) -> bool {
    calls[from..to].iter().any(|call| {
        let this =
            matches!(call.name.as_str(), "fsync" | "fdatasync") && call.handle.as_deref() == Some(path);
        (this || call.name == "syncfs") && !call.failed
    })
}

/// An archive is durable before it has a name, and its name when the command ends.
pub fn check_archive(calls: &[Call], archive: &Path) {
    let name = archive.to_str().unwrap();
    let named = |call: &Call| call.paths.last().is_some_and(|path| path == name) && !call.failed;
    let place = |wanted: &dyn Fn(&Call) -> bool| calls.iter().rposition(wanted);
    let naming = |call: &Call| matches!(call.name.as_str(), "linkat" | "rename" | "renameat2") && named(call);
    let named = place(&naming).expect("the archive gets a name");
    let dir = archive.parent().unwrap().to_str().unwrap();
    let in_dir = |call: &Call| call.handle.as_deref().is_some_and(|file| file.starts_with(dir));
    let written = calls[..named].iter().rposition(|call| call.name == "write" && in_dir(call)).unwrap();
    let file = calls[written].handle.clone().unwrap();
    assert!(synced(calls, &file, written, named), "the archive has a name, and its data is not durable");
    assert!(synced(calls, dir, named, calls.len()), "the name of the archive is not durable");
}

#[test]
fn order_of_syncs() {
    for (scenario, journal) in [
        ("import-new", "journal"),
        ("import-changed", "journal"),
        ("import-many", "journal"),
        ("import-moved", "journal"),
        ("undo-new", "undo"),
        ("undo-changed", "undo"),
        ("undo-moved", "undo"),
        ("import-rows-new", "journal"),
        ("import-rows-changed", "journal"),
        ("undo-rows-new", "undo"),
        ("undo-rows-changed", "undo"),
    ] {
        let dir = scratch();
        let root = dir.path().join("w");
        let (world, _) = prepare(scenario, &root);
        let home = world.home();
        let is_theirs = Box::new(|path: &str| Path::new(path).starts_with(&home));
        let order = Order { is_theirs, journal, resumes: false };
        let (_, calls) = strace::record(scenario, &world.root, &[]);
        let changes = naming(scenario, || order.check(&calls));
        let few = if kind(scenario) == "rows-new" { 3 } else { 7 };
        assert!(changes >= few, "{scenario} changes files: {changes}");
        // Killed at its first change, all of it is left to the recovery.
        let first = calls.iter().find(|call| order.changes(call)).unwrap();
        prepare(scenario, &root);
        let kill = Point::new(first, KILL).injection();
        assert_eq!(strace::inject(scenario, &root, &[&kill]), Exit::Killed);
        let (_, calls) = strace::record("recover", &root, &[]);
        let order = Order { resumes: true, ..order };
        let again = naming(&format!("recovery of {scenario}"), || order.check(&calls));
        assert!(again >= few, "the recovery of {scenario} changes files: {again}");
        tally(title(scenario).0, title(scenario).1, "order", 2);
    }
    for scenario in ["export", "export-over-old"] {
        let dir = scratch();
        let (world, _) = prepare(scenario, &dir.path().join("w"));
        let (_, calls) = strace::record(scenario, &world.root, &[]);
        naming(scenario, || check_archive(&calls, &world.archive()));
        tally("export", "file", "order", 1);
    }
}
