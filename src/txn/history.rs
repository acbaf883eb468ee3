//! What was imported, from the journals.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::disk;
use super::journal::{self, Change, ImportDir, Journal, Moved, Purpose, Session, Shared, State};
use super::left::{self, Left};
use crate::error::{IoContext, Result};
use crate::model::{Time, time};

/// An import, as its journal has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Import {
    /// Its name, for [`super::undo()`].
    pub id: String,
    /// When it was made.
    pub created: Time,
    /// The archive file; `None` for a conversion on this machine.
    pub archive: Option<String>,
    /// The folder that its sessions followed; `None` for an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// The program that made it, and its version.
    pub tool: String,
    /// How it stands.
    pub state: ImportState,
    /// The sessions that it put in place.
    pub sessions: Vec<ImportedSession>,
    /// Where the files are that it replaced or removed; `None` when there are none.
    pub backup_dir: Option<PathBuf>,
    /// When it was taken back.
    pub undone_at: Option<Time>,
    /// Repositories and work in them that it brought, which an undo leaves where they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
}

/// How an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportState {
    /// It, or its undo, was interrupted; [`super::recover()`] goes on with it.
    Interrupted,
    /// It is in place.
    Done,
    /// It was taken back.
    Undone,
}

/// A session of an import.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedSession {
    /// As its plan called it.
    pub label: String,
    /// What its plan wanted to be kept.
    pub about: serde_json::Value,
    /// What was changed for it.
    pub actions: Vec<ImportedAction>,
}

/// A change that an import made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedAction {
    /// `create`, `replace`, `remove`, `append` or `sqlite` (rows of a database).
    pub kind: &'static str,
    /// The file, or database.
    pub path: PathBuf,
    /// Its size; of a line, with its line end; of rows, that of their document
    /// ([`crate::model::rows`]); 0 for `remove`.
    pub bytes: u64,
    /// SHA-256 of the file or row document that was written; `None` for `remove` and `append`.
    pub sha256: Option<String>,
}

/// All imports, the newest first. Takes no lock and writes nothing.
///
/// # Errors
/// When a journal cannot be read.
pub fn imports(state_dir: &Path) -> Result<Vec<Import>> {
    let mut imports = Vec::new();
    for dir in journal::all(state_dir)? {
        if let Some(journal) = dir.read(Purpose::Import)? {
            imports.push(import(&dir, journal)?);
        }
    }
    imports.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    Ok(imports)
}

/// Where an import of this name keeps the files that it replaces or removes.
pub fn backup_dir(state_dir: &Path, import_id: &str) -> PathBuf {
    ImportDir::new(state_dir, import_id).backups()
}

fn import(dir: &ImportDir, journal: Journal) -> Result<Import> {
    let undo = dir.state(Purpose::Undo)?;
    let state = match (journal.state, undo) {
        (State::Done, None) => ImportState::Done,
        (State::Done, Some(State::Done)) => ImportState::Undone,
        _ => ImportState::Interrupted,
    };
    let undone_at = if state == ImportState::Undone { undone_at(dir)? } else { None };
    Ok(Import {
        id: journal.id,
        created: journal.created,
        archive: journal.archive,
        moved: journal.moved,
        tool: journal.tool,
        state,
        backup_dir: Some(dir.backups()).filter(|dir| disk::may_exist(dir)),
        undone_at,
        left: left::read(dir),
        sessions: journal.sessions.into_iter().map(|session| describe(session, &journal.shared)).collect(),
    })
}

/// The undo's journal is written a last time when the undo is complete, and never again.
fn undone_at(dir: &ImportDir) -> Result<Option<Time>> {
    let path = dir.file(Purpose::Undo);
    let meta = path.metadata().at("look at", &path)?;
    Ok(time::from_millis(disk::modified(&meta).div_euclid(1_000_000)))
}

fn describe(session: Session, shared: &[Shared]) -> ImportedSession {
    let steps = session.steps.into_iter().map(|step| ImportedAction {
        kind: match &step.change {
            Change::Create => "create",
            Change::Replace => "replace",
            Change::Remove => "remove",
            Change::Rows(_) => "sqlite",
        },
        path: step.path,
        bytes: step.new.as_ref().map_or(0, |new| new.bytes),
        sha256: step.new.map(|new| new.sha256),
    });
    let lines = session.lines.into_iter().filter(|line| !line.there).filter_map(|line| {
        let path = shared.get(line.shared)?.path.clone();
        Some(ImportedAction { kind: "append", path, bytes: line.line.len() as u64 + 1, sha256: None })
    });
    ImportedSession { label: session.label, about: session.about, actions: steps.chain(lines).collect() }
}
