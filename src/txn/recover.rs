//! What an earlier run left behind when it was killed or the disk refused.

use std::path::Path;

use serde::Serialize;

use super::carry::{self, Run, Saved};
use super::disk;
use super::journal::{self, ImportDir, Purpose, State};
use super::lock::StateLock;
use crate::error::{Error, Result};
use crate::progress::Silent;

/// An import or undo that an earlier run had not finished, and what was done about it.
#[derive(Debug)]
pub struct Recovered {
    /// The import.
    pub import_id: String,
    /// What was done.
    pub how: Recovery,
    /// Labels of the sessions that are in place now, or after an undo: that are gone now.
    pub sessions: Vec<String>,
    /// Labels of the sessions that are as they were before, and why.
    pub failed: Vec<(String, Error)>,
    /// Copies of files that somebody had gone on with meanwhile.
    pub saved: Vec<Saved>,
}

/// What was done about an interrupted import or undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recovery {
    /// It had been complete but for the last steps, which were done.
    ImportFinished,
    /// It had not come far enough; all that it left was removed.
    ImportDiscarded,
    /// The undo was finished.
    UndoFinished,
    /// The undo had changed nothing yet; the import is in place.
    UndoDiscarded,
}

/// Goes on with whatever an earlier import or undo left unfinished. Call it at the start of each
/// command that changes something; it writes nothing where there is nothing to do.
///
/// # Errors
/// [`crate::error::Kind::Busy`] when another import or undo is at work; and when a journal cannot
/// be read, or the disk refuses: what is left then is tried again the next time.
pub fn recover(state_dir: &Path) -> Result<Vec<Recovered>> {
    if !disk::exists(&journal::imports_dir(state_dir))? {
        return Ok(Vec::new());
    }
    let _lock = StateLock::take(state_dir)?;
    all(state_dir)
}

/// As [`recover`], for a command that only reads: cheap where there is nothing to do, and it does
/// not wait for another import or undo.
///
/// # Errors
/// As [`recover`].
pub fn recover_if_free(state_dir: &Path) -> Result<Vec<Recovered>> {
    if !journal::may_be_unfinished(state_dir)? {
        return Ok(Vec::new());
    }
    let _lock = StateLock::take_if_free(state_dir)?;
    all(state_dir)
}

/// As [`recover`], for whoever holds the lock.
pub(super) fn all(state_dir: &Path) -> Result<Vec<Recovered>> {
    let mut recovered = Vec::new();
    for dir in journal::all(state_dir)? {
        match dir.state(Purpose::Import)? {
            // The first journal was not there yet, or the last one has gone already.
            None => dir.remove_remains()?,
            Some(State::Done) => {}
            Some(_) => recovered.extend(resume(&dir, Purpose::Import)?),
        }
        if dir.state(Purpose::Undo)?.is_some_and(|state| state != State::Done) {
            recovered.extend(resume(&dir, Purpose::Undo)?);
        }
    }
    Ok(recovered)
}

fn resume(dir: &ImportDir, purpose: Purpose) -> Result<Option<Recovered>> {
    let Some(mut journal) = dir.read(purpose)? else { return Ok(None) };
    let (finished, discarded) = match purpose {
        Purpose::Import => (Recovery::ImportFinished, Recovery::ImportDiscarded),
        Purpose::Undo => (Recovery::UndoFinished, Recovery::UndoDiscarded),
    };
    let labels: Vec<String> = journal.sessions.iter().map(|session| session.label.clone()).collect();
    let import_id = journal.id.clone();
    let unfinished = |error| carry::unfinished(error, &format!("the interrupted import {import_id}"));
    if journal.state == State::Staging {
        carry::abandon(dir, &mut journal).map_err(unfinished)?;
        let (sessions, failed, saved) = (Vec::new(), Vec::new(), Vec::new());
        return Ok(Some(Recovered { import_id, how: discarded, sessions, failed, saved }));
    }
    let carried = carry::carry_out(dir, &mut journal, Run::Again, &Silent).map_err(unfinished)?;
    let mut sessions = Vec::new();
    let mut failed = Vec::new();
    for (label, failure) in labels.into_iter().zip(carried.failures) {
        match failure {
            None => sessions.push(label),
            Some(error) => failed.push((label, error)),
        }
    }
    Ok(Some(Recovered { import_id, how: finished, sessions, failed, saved: carried.saved }))
}
