//! What is in a home, in pieces that belong to one session or to none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::support::database;
use crate::support::tree::{self, Node};

/// Files and directories with their modes, lines of files that sessions share, rows of databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atoms(BTreeMap<String, Node>);

impl Atoms {
    /// Everything below `home` but `state`. A database must be sound.
    pub fn of_home(home: &Path, state: &Path) -> Self {
        let mut atoms = BTreeMap::new();
        for (path, node) in tree::read(home) {
            let file = home.join(&path);
            let name = path.to_str().unwrap().to_owned();
            let of_state = file.starts_with(state) || state.starts_with(&file);
            if of_state || name.ends_with(".db-wal") || name.ends_with(".db-shm") {
                continue;
            }
            let lines = match &node {
                Node::File { .. } if name.ends_with(".db") => {
                    check(&file);
                    database::dump(&file)
                }
                Node::File { bytes, .. } if name.ends_with("session_index.jsonl") => {
                    String::from_utf8(bytes.clone()).unwrap()
                }
                _ => {
                    atoms.insert(name, node);
                    continue;
                }
            };
            let Node::File { mode, .. } = node else { unreachable!("it has lines") };
            for line in lines.lines() {
                atoms.insert(format!("{name}: {line}"), Node::File { mode, bytes: Vec::new() });
            }
        }
        Self(atoms)
    }

    /// What is of the session that one of `marks` names.
    pub fn of(&self, marks: &[String]) -> BTreeMap<&String, &Node> {
        self.0.iter().filter(|(name, _)| is_of(name, marks)).collect()
    }

    /// The same without empty directories.
    #[must_use]
    pub fn without_empty_directories(mut self) -> Self {
        loop {
            let is_empty = |(name, node): &(&String, &Node)| {
                let inside = format!("{name}/");
                matches!(node, Node::Directory { .. }) && !self.0.keys().any(|path| path.starts_with(&inside))
            };
            let empty: Vec<String> = self.0.iter().filter(is_empty).map(|(name, _)| name.clone()).collect();
            if empty.is_empty() {
                return self;
            }
            self.0.retain(|name, _| !empty.contains(name));
        }
    }
}

fn is_of(name: &str, marks: &[String]) -> bool {
    marks.iter().any(|mark| name.contains(mark.as_str()))
}

fn check(database: &Path) {
    let connection = Connection::open(database).unwrap();
    let found: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    let violated = connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
    assert_eq!((found.as_str(), violated), ("ok", false), "{}", database.display());
}

/// Which sessions are new; panics when one is neither old nor new, or anything else has changed.
pub fn new_sessions(
    now: &Atoms,
    before: &Atoms,
    after: &Atoms,
    sessions: &[Vec<String>],
) -> BTreeSet<String> {
    let mut new = BTreeSet::new();
    for marks in sessions {
        let is = now.of(marks);
        match (is == before.of(marks), is == after.of(marks)) {
            (true, false) => {}
            (false, true) => drop(new.insert(marks[0].clone())),
            _ => panic!("session {marks:?} is half there: {:?}", is.keys().collect::<Vec<_>>()),
        }
    }
    let names: BTreeSet<&String> = now.0.keys().chain(before.0.keys()).chain(after.0.keys()).collect();
    // When only some came through, a project that several are in is as one of those knew it.
    let some = !new.is_empty() && new.len() < sessions.len();
    let is_shared = |name: &str| some && name.contains("INSERT INTO \"project\"(");
    for name in names.iter().filter(|name| !sessions.iter().any(|marks| is_of(name, marks))) {
        if is_shared(name) {
            continue;
        }
        let there = now.0.get(*name);
        assert!(there == before.0.get(*name) || there == after.0.get(*name), "{name} is something else");
    }
    if new.is_empty() {
        assert!(now == before, "no session is new, but something is: {:?}", difference(now, before));
    }
    if new.len() == sessions.len() {
        assert!(now == after, "all sessions are new, but something is not: {:?}", difference(now, after));
    }
    new
}

/// The names of what is not the same.
pub fn difference(one: &Atoms, other: &Atoms) -> Vec<PathBuf> {
    let names: BTreeSet<&String> = one.0.keys().chain(other.0.keys()).collect();
    let differs = |name: &&&String| one.0.get(**name) != other.0.get(**name);
    names.iter().filter(differs).map(PathBuf::from).collect()
}
