//! Carries out a prepared journal, from wherever it stands: an import, an undo, or what a crash
//! left of either.
//!
//! Each session ends up wholly changed or wholly as it was. First every session is put in place;
//! those where that fails are noted in the journal, in one write, before the first of them goes
//! back. Then the names are made durable, and what is no longer needed is removed.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::disk;
use super::folder;
use super::journal::{Change, ImportDir, Journal, Line, Purpose, Session, State, Step, beside};
use super::lines::{self, Refused};
use super::rows::Databases;
use super::step::{self, Bench};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;

/// Whether this is the first attempt, or one after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    First,
    Again,
}

/// What became of the sessions of a journal.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// For each session, in the order of the journal: why it is as it was before.
    pub failures: Vec<Option<Error>>,
    /// Copies of files that somebody else had written to.
    pub saved: Vec<Saved>,
}

/// A file that somebody had gone on with. Its content was kept before the file was changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Saved {
    /// The session, as its plan calls it.
    pub label: String,
    /// The file.
    pub path: PathBuf,
    /// Where its content is now.
    pub copy: PathBuf,
}

/// Carries the journal to its end, `done`. An import of which nothing is left has no journal then,
/// and neither has an undo that did not succeed for all sessions.
///
/// # Errors
/// Only when it could not come to an end; it goes on from there the next time.
pub(super) fn carry_out(
    dir: &ImportDir,
    journal: &mut Journal,
    run: Run,
    progress: &dyn Progress,
) -> Result<Carried> {
    let mut carried = Carried::default();
    carried.failures.extend(journal.sessions.iter().map(|s| s.failed.as_ref().map(|why| why.to_error())));
    if journal.state == State::Prepared {
        let databases = Databases::new(&journal.databases);
        move_folder(journal, run, &mut carried.failures);
        put_in_place(dir, journal, &databases, run, progress, &mut carried.failures)?;
        if note_failures(dir, journal, &databases, &carried.failures, run)? {
            dir.write(journal)?;
        }
        take_back(dir, journal, &databases, run, &mut carried.saved)?;
        disk::sync_all(&databases.logs(), &touched(journal))?;
        drop(databases);
        journal.state = State::Applied;
        // With nothing to clean up, `done` follows at once.
        let clean = |session: &Session| {
            session.failed.is_none() && session.steps.iter().all(|step| step.change == Change::Create)
        };
        if !journal.sessions.iter().all(clean) {
            dir.write(journal)?;
        }
    }
    finish(dir, journal, &mut carried)?;
    Ok(carried)
}

/// Moves the folder, if there is one and a session that is to follow it. Where that fails, no session
/// is changed.
fn move_folder(journal: &mut Journal, run: Run, failures: &mut [Option<Error>]) {
    if journal.folder_applied.is_some() || failures.iter().all(Option::is_some) {
        return;
    }
    let Some(moved) = journal.folder() else { return };
    let done = folder::forward(moved, run == Run::Again);
    if let Err(error) = &done {
        failures.iter_mut().for_each(|failure| *failure = Some(repeat(error)));
    }
    journal.folder_applied = Some(done.is_ok());
}

fn put_in_place(
    dir: &ImportDir,
    journal: &mut Journal,
    databases: &Databases,
    run: Run,
    progress: &dyn Progress,
    failures: &mut [Option<Error>],
) -> Result<()> {
    progress.begin("putting the sessions in place", journal.sessions.iter().map(bytes).sum());
    let bench = Bench::new(dir, journal, databases);
    for (session, failure) in journal.sessions.iter().zip(failures.iter_mut()).filter(|(_, f)| f.is_none()) {
        let mut outcomes = session.steps.iter().map(|step| step::forward(step, &bench, run == Run::Again));
        match outcomes.find_map(Result::err).map(|error| error.context(&session.label)) {
            // What an earlier run did in a database is not known while a program holds it.
            Some(error) if run == Run::Again && error.kind() == Kind::Busy => return Err(error),
            outcome => *failure = outcome,
        }
        progress.advance(bytes(session));
    }
    progress.end();
    for number in 0..journal.shared.len() {
        let chosen: Vec<bool> = failures.iter().map(Option::is_none).collect();
        let changed = change_lines(journal, number, &chosen, Way::Forward, run);
        let may_be_there = changed.as_ref().map_or_else(|refused| refused.touched, |()| true);
        // What an earlier run wrote is not known, and a harness soon lets go of its lock.
        if let Err(Refused { error, .. }) = &changed
            && run == Run::Again
            && error.kind() == Kind::Busy
        {
            return changed.map_err(|refused| refused.error);
        }
        for ((session, failure), chosen) in journal.sessions.iter_mut().zip(failures.iter_mut()).zip(chosen) {
            let mut lines =
                session.lines.iter_mut().filter(|line| line.shared == number && !line.there).peekable();
            if !chosen || lines.peek().is_none() {
                continue;
            }
            lines.for_each(|line| line.applied = Some(may_be_there || run == Run::Again));
            if let Err(Refused { error, .. }) = &changed {
                *failure = Some(repeat(error).context(&session.label));
            }
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    Back,
}

/// Adds or removes the lines that the chosen sessions have in one shared file. A line that another
/// session has too stays.
fn change_lines(
    journal: &Journal,
    number: usize,
    chosen: &[bool],
    way: Way,
    run: Run,
) -> Result<(), Refused> {
    let shared = &journal.shared[number];
    let adds = (journal.purpose == Purpose::Import) == (way == Way::Forward);
    let of = |wanted: bool| {
        let sessions = journal.sessions.iter().zip(chosen).filter(move |(_, chosen)| **chosen == wanted);
        sessions.flat_map(|(session, _)| session.added(number))
    };
    let stays: BTreeSet<&str> =
        if adds { BTreeSet::new() } else { of(false).map(|line| line.line.as_str()).collect() };
    let is_kept = |line: &Line| {
        !adds && line.keep_while.as_deref().is_some_and(disk::holds_something)
            || stays.contains(line.line.as_str())
    };
    let mut lines: Vec<&str> = of(true)
        .filter(|line| way == Way::Forward || line.applied == Some(true))
        .filter(|line| !is_kept(line))
        .map(|line| line.line.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    lines.retain(|line| seen.insert(*line));
    let temp = beside(&shared.path, &journal.id, shared.number, "tmp");
    if run == Run::Again {
        // From a removal that was interrupted, also where the line stays now.
        disk::remove(&temp)?;
    }
    if lines.is_empty() {
        return Ok(());
    }
    if adds {
        return lines::add(shared, &lines, run == Run::Again);
    }
    lines::remove(shared, &lines, &temp, journal.purpose == Purpose::Import)
}

/// Writes into the journal which sessions go back, and from where. `false`: none.
fn note_failures(
    dir: &ImportDir,
    journal: &mut Journal,
    databases: &Databases,
    failures: &[Option<Error>],
    run: Run,
) -> Result<bool> {
    let mut any = false;
    let bench = Bench { dir, id: &journal.id, adds: journal.purpose == Purpose::Import, databases };
    for (session, failure) in journal.sessions.iter_mut().zip(failures) {
        let (Some(error), None) = (failure, &session.failed) else { continue };
        session.fail(error);
        any = true;
        for step in &mut session.steps {
            step.applied = Some(step::is_applied(step, &bench)?);
        }
        for line in &mut session.lines {
            line.applied.get_or_insert(run == Run::Again);
        }
    }
    Ok(any)
}

fn saved(session: &Session, step: &Step, copy: PathBuf) -> Saved {
    Saved { label: session.label.clone(), path: step.path.clone(), copy }
}

/// Takes back whatever the failed sessions had changed.
fn take_back(
    dir: &ImportDir,
    journal: &Journal,
    databases: &Databases,
    run: Run,
    copies: &mut Vec<Saved>,
) -> Result<()> {
    let failed: Vec<bool> = journal.sessions.iter().map(|session| session.failed.is_some()).collect();
    if let (Some(moved), Some(true), true) =
        (journal.folder(), journal.folder_applied, failed.iter().all(|failed| *failed))
    {
        folder::back(moved)?;
    }
    let bench = Bench::new(dir, journal, databases);
    for session in journal.sessions.iter().filter(|session| session.failed.is_some()) {
        for step in session.steps.iter().rev() {
            let copy = step::back(step, &bench, &|| dir.name_for_saved(step.number))?;
            copies.extend(copy.map(|copy| saved(session, step, copy)));
        }
    }
    for number in 0..journal.shared.len() {
        change_lines(journal, number, &failed, Way::Back, run).map_err(|refused| refused.error)?;
    }
    Ok(())
}

/// Removes what nobody needs any more, and closes the journal.
fn finish(dir: &ImportDir, journal: &mut Journal, carried: &mut Carried) -> Result<()> {
    for session in journal.sessions.iter().filter(|session| session.failed.is_none()) {
        for step in session.steps.iter().filter(|step| step.change.leaves_old()) {
            let copy = step::forget(step, &journal.id, &|| dir.name_for_saved(step.number))?;
            carried.saved.extend(copy.map(|copy| saved(session, step, copy)));
        }
    }
    if journal.purpose == Purpose::Import {
        let mut failed = journal.sessions.iter().filter(|session| session.failed.is_some());
        failed.try_for_each(|session| dir.remove_backups(session))?;
    }
    disk::remove_tree(&dir.rows())?;
    prune(&mut journal.dirs);
    if journal.purpose == Purpose::Import {
        for dir in &journal.tidied {
            // What is not empty is somebody else's too.
            let _ = disk::remove_if_empty(&dir.path);
        }
    }
    let all = journal.sessions.len();
    journal.sessions.retain(|session| session.failed.is_none());
    let useless = match journal.purpose {
        Purpose::Import => journal.sessions.is_empty() && carried.saved.is_empty(),
        Purpose::Undo => journal.sessions.len() < all,
    };
    if useless {
        return dir.remove(journal.purpose);
    }
    journal.state = State::Done;
    dir.write(journal)
}

/// Removes everything that a journal in state `staging` may have left, and the journal.
///
/// # Errors
/// When the disk refuses; it goes on from there the next time.
pub(super) fn abandon(dir: &ImportDir, journal: &mut Journal) -> Result<()> {
    for step in journal.sessions.iter().flat_map(|session| &session.steps) {
        if step.change.has_temp() {
            disk::remove(&step.temp(&journal.id))?;
        }
    }
    disk::remove_tree(&dir.rows())?;
    prune(&mut journal.dirs);
    dir.remove(journal.purpose)
}

/// Abandons a journal that could not be brought to state `prepared`. What cannot be removed now is
/// removed the next time.
pub(super) fn withdraw(dir: &ImportDir, journal: &mut Journal) {
    // Should it say "prepared" all the same, it must not any more: nothing is there to put in place.
    journal.state = State::Staging;
    let _ = dir.write(journal);
    let _ = abandon(dir, journal);
}

/// Says that the work is not lost, only not at its end.
pub(super) fn unfinished(error: Error, what: &str) -> Error {
    disk::advise(error, "what is left to do is done then")
        .context(format!("{what} could not be brought to an end"))
        .hint("the next import or undo goes on with it, before anything else")
}

/// Removes the directories that are empty, and forgets them.
fn prune(dirs: &mut Vec<PathBuf>) {
    let mut left: Vec<PathBuf> = dirs.drain(..).rev().filter(|dir| !disk::remove_if_empty(dir)).collect();
    left.reverse();
    *dirs = left;
}

/// The directories in which names change.
pub(super) fn touched(journal: &Journal) -> BTreeSet<PathBuf> {
    let steps = journal.sessions.iter().flat_map(|session| &session.steps).map(|step| &step.path);
    let shared =
        journal.shared.iter().flat_map(|shared| [Some(&shared.path), shared.lock.as_ref()]).flatten();
    let folder =
        journal.folder().into_iter().flat_map(|moved| [Path::new(&moved.old), Path::new(&moved.new)]);
    let paths = steps.chain(shared).chain(&journal.dirs).map(PathBuf::as_path).chain(folder);
    paths.filter_map(Path::parent).map(Path::to_owned).collect()
}

/// The same error for another session.
pub(super) fn repeat(error: &Error) -> Error {
    let mut same = Error::new(error.kind(), error.to_string());
    if disk::is_full(error) {
        same = same.with_source(io::Error::from(ErrorKind::StorageFull));
    }
    error.hints().iter().fold(same, |same, hint| same.hint(hint))
}

fn bytes(session: &Session) -> u64 {
    session.steps.iter().filter_map(|step| step.new.as_ref()).map(|new| new.bytes).sum()
}
