//! What several imports needed, and the undo of one left for the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::journal::{self, Change, Journal, Line, Purpose, Rows, Session, State, Step};
use crate::error::Result;
use crate::model::rows::SharedRow;

/// What imports had brought for several sessions, and what their undo left there as others needed it.
/// It goes with the last of those.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    lines: BTreeSet<(PathBuf, String)>,
    /// The files of those lines that were not there before, and whether their lock was not either.
    files: BTreeMap<PathBuf, bool>,
    rows: Vec<(PathBuf, SharedRow)>,
    dirs: BTreeSet<PathBuf>,
}

impl Orphans {
    /// From the journals of the imports that were taken back, where `import` found something of the kind.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub(super) fn find(state_dir: &Path, import: &Journal) -> Result<Self> {
        let (mut orphans, mut owned) = (Self::default(), Self::default());
        let found = |session: &Session| {
            session.lines.iter().any(|line| line.there)
                || session.steps.iter().filter_map(rows_of).any(|rows| !rows.there.is_empty())
        };
        let found = import.sessions.iter().any(found);
        for dir in journal::all(state_dir)? {
            let is_undone = dir.state(Purpose::Undo)? == Some(State::Done);
            if is_undone && let Some(undo) = dir.read(Purpose::Undo)? {
                orphans.dirs.extend(undo.dirs);
            }
            if !found {
                continue;
            }
            match dir.read(Purpose::Import)? {
                Some(undone) if is_undone => orphans.add(&undone),
                Some(other) if other.id != import.id => owned.add(&other),
                _ => {}
            }
        }
        // What an import brought again that was not taken back goes with that one.
        orphans.lines.retain(|line| !owned.lines.contains(line));
        orphans.files.retain(|path, _| !owned.files.contains_key(path));
        orphans.rows.retain(|(path, row)| !owned.has_row(path, row));
        Ok(orphans)
    }

    /// Adds what an import brought for several sessions.
    fn add(&mut self, import: &Journal) {
        for (number, shared) in import.shared.iter().enumerate() {
            let added = import.sessions.iter().flat_map(|session| session.added(number));
            self.lines.extend(added.map(|line| (shared.path.clone(), line.line.clone())));
            if shared.before.is_none() {
                self.files.insert(shared.path.clone(), shared.lock_made);
            }
        }
        for step in import.sessions.iter().flat_map(|session| &session.steps) {
            let shared = rows_of(step).into_iter().flat_map(|rows| &rows.shared);
            self.rows.extend(shared.map(|row| (step.path.clone(), row.clone())));
        }
    }

    /// Makes the undo take along what is not any session's own.
    pub(super) fn adopt(self, journal: &mut Journal) {
        for shared in &mut journal.shared {
            if let Some(lock_made) = self.files.get(&shared.path) {
                shared.before = None;
                shared.lock_made |= lock_made;
            }
        }
        let steps = journal.sessions.iter().flat_map(|session| &session.steps).map(|step| &step.path);
        let paths: Vec<&PathBuf> = steps.chain(journal.shared.iter().map(|shared| &shared.path)).collect();
        let above = self.dirs.into_iter().filter(|dir| paths.iter().any(|path| path.starts_with(dir)));
        let dirs: BTreeSet<PathBuf> = journal.dirs.iter().cloned().chain(above).collect();
        journal.dirs = dirs.into_iter().collect();
    }

    /// Whether the line, which was there when `import` came, was one of them.
    pub(super) fn has_line(&self, import: &Journal, line: &Line) -> bool {
        let shared = import.shared.get(line.shared);
        shared.is_some_and(|shared| self.lines.contains(&(shared.path.clone(), line.line.clone())))
    }

    fn has_row(&self, path: &Path, row: &SharedRow) -> bool {
        let same = |one: &SharedRow| one.key == row.key && one.row.table == row.row.table;
        let value = |one: &SharedRow| one.row.values.get(one.key.as_str()).cloned();
        self.rows.iter().any(|(at, one)| at == path && same(one) && value(one) == value(row))
    }
}

fn rows_of(step: &Step) -> Option<&Rows> {
    match &step.change {
        Change::Rows(rows) => Some(rows),
        _ => None,
    }
}

/// The step with the shared rows that its undo has to take along.
pub(super) fn with_orphans(step: &Step, orphans: &Orphans) -> Step {
    let mut step = step.clone();
    if let Change::Rows(rows) = &mut step.change {
        let there = std::mem::take(&mut rows.there);
        rows.shared.extend(there.into_iter().filter(|row| orphans.has_row(&step.path, row)));
    }
    step
}
