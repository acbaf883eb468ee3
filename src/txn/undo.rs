//! Takes an import back.
//!
//! An undo is an import in the other direction: what was created is removed, what was replaced or
//! removed comes back from the backups, lines go. It has a journal of its own and is carried out by
//! `carry` as an import is, so it is as safe. Whether it may be done is found out first,
//! for all sessions, before anything changes.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::carry::{self, Run, Saved};
use super::content;
use super::disk;
use super::folder;
use super::history::{self, ImportState};
use super::journal::{
    self, Change, Content, ImportDir, Journal, Line, Moved, Purpose, Rows, Session, State, Step, Tidied,
};
use super::lock::StateLock;
use super::orphans::{Orphans, with_orphans};
use super::recover;
use super::rows::{self, Databases};
use super::stage::nothing_changed;
use super::step::Bench;
use crate::error::{Error, IoContext, Kind, Result};
use crate::progress::Silent;

/// What an undo did.
#[derive(Debug)]
pub struct UndoReport {
    /// The import that was taken back.
    pub import_id: String,
    /// Its sessions.
    pub sessions: Vec<UndoneSession>,
    /// The folder that went back to where it was before it was moved; `None`: none was moved, or it
    /// was there already.
    pub folder: Option<PathBuf>,
    /// Copies of what the user had gone on with; only with `force`.
    pub saved: Vec<Saved>,
}

/// What an undo did to one session.
#[derive(Debug)]
pub struct UndoneSession {
    /// As its plan called it.
    pub label: String,
    /// What its plan wanted to be kept.
    pub about: Value,
    /// Why it is still as the import made it; `None`: it is as it was before.
    pub failure: Option<Error>,
}

/// How one session is taken back.
#[derive(Debug)]
struct Way {
    session: Session,
    /// Steps whose file is not as the import left it.
    changed: Vec<usize>,
    /// A file that the import replaced or removed without keeping it.
    unkept: Option<PathBuf>,
}

/// Takes back the import `import_id`, or the last one that was not taken back yet.
///
/// With `force`, sessions that were continued since are taken back too, after a copy was made of
/// what they hold now; and sessions whose old files were not kept are left as they are.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such import; [`Kind::Conflict`] when it was taken back
/// already, or a session cannot be: nothing was changed then. [`Kind::Busy`] and [`Kind::Io`] as
/// for an import.
pub fn undo(state_dir: &Path, import_id: Option<&str>, force: bool) -> Result<UndoReport> {
    // Where nothing was ever imported, not even a lock file is made.
    if !disk::exists(&journal::imports_dir(state_dir))? {
        choose(state_dir, import_id)?;
    }
    let lock = StateLock::take(state_dir)?;
    recover::all(state_dir)?;
    let id = choose(state_dir, import_id)?;
    let dir = ImportDir::new(state_dir, &id);
    let Some(import) = dir.read(Purpose::Import)? else { return Err(not_found(&id)) };
    let databases = Databases::new(&import.databases);
    let orphans = Orphans::find(state_dir, &import)?;
    let ways = import.sessions.iter().map(|session| {
        find_way(session, &import, &dir, &databases, &orphans).map_err(|error| error.context(&session.label))
    });
    let ways = ways.collect::<Result<Vec<Way>>>()?;
    let obstacle = import.folder().map_or(Ok(Some(None)), folder::obstacle)?;
    if !force {
        refuse(&id, &ways)?;
        if let Some(Some(error)) = obstacle {
            return Err(error.context(format!("import {id} was not undone")).hint(format!(
                "`holdall undo {id} --force` brings the sessions back and leaves the folder"
            )));
        }
    }

    let folder = import.folder().filter(|_| obstacle.is_none()).map(|moved| PathBuf::from(&moved.old));
    let mut journal = Journal::new(Purpose::Undo, &id, import.created, &import.tool);
    journal.shared = import.shared;
    journal.dirs = import.dirs;
    journal.databases = import.databases;
    journal.moved = import.moved.filter(|_| obstacle.is_none()).map(|moved| Moved {
        old: moved.new,
        new: moved.old,
        folder: moved.folder,
    });
    journal.tidied = import.tidied;
    let mut report = UndoReport { import_id: id, sessions: Vec::new(), folder, saved: Vec::new() };
    let mut to_save = Vec::new();
    for (way, Session { label, about, .. }) in ways.into_iter().zip(import.sessions) {
        let failure = way.unkept.map(|path| unkept(&path));
        if failure.is_none() {
            to_save.extend(way.changed.into_iter().map(|step| (journal.sessions.len(), step)));
            journal.sessions.push(way.session);
        }
        report.sessions.push(UndoneSession { label, about, failure });
    }
    orphans.adopt(&mut journal);
    if let Err(error) = stage(&dir, &mut journal, &databases, &to_save, &mut report.saved) {
        for saved in &report.saved {
            let _ = disk::remove(&saved.copy);
        }
        carry::withdraw(&dir, &mut journal);
        return Err(nothing_changed(error));
    }
    drop(databases);
    let carried = carry::carry_out(&dir, &mut journal, Run::First, &Silent)
        .map_err(|error| carry::unfinished(error, &format!("the undo of {}", report.import_id)))?;
    drop(lock);
    if journal.folder_applied != Some(true) {
        report.folder = None;
    }
    let tried = report.sessions.iter_mut().filter(|session| session.failure.is_none());
    for (session, failure) in tried.zip(carried.failures) {
        session.failure = failure;
    }
    report.saved.extend(carried.saved);
    Ok(report)
}

/// The import to take back.
fn choose(state_dir: &Path, import_id: Option<&str>) -> Result<String> {
    let imports = history::imports(state_dir)?;
    let Some(id) = import_id else {
        let last = imports.into_iter().find(|import| import.state == ImportState::Done);
        return last
            .map(|import| import.id)
            .ok_or_else(|| Error::new(Kind::NotFound, "there is no import to undo"));
    };
    match imports.into_iter().find(|import| import.id == id) {
        None => Err(not_found(id)),
        Some(import) if import.state == ImportState::Undone => {
            Err(Error::new(Kind::Conflict, format!("import {id} was undone already")))
        }
        Some(import) => Ok(import.id),
    }
}

fn not_found(id: &str) -> Error {
    Error::new(Kind::NotFound, format!("there is no import {id:?}")).hint("`holdall imports` lists them")
}

/// Compares what is there now with what the import left.
fn find_way(
    session: &Session,
    import: &Journal,
    dir: &ImportDir,
    databases: &Databases,
    orphans: &Orphans,
) -> Result<Way> {
    let is_ours = |line: &&Line| !line.there || orphans.has_line(import, line);
    let lines = session.lines.iter().filter(is_ours);
    let lines = lines.map(|line| Line { applied: None, there: false, ..line.clone() }).collect();
    let label = session.label.clone();
    let back = Session { label, about: Value::Null, steps: Vec::new(), lines, failed: None };
    let mut way = Way { session: back, changed: Vec::new(), unkept: None };
    for step in &session.steps {
        let step = &with_orphans(step, orphans);
        let now = match &step.change {
            Change::Rows(_) if !disk::is_file(&step.path)? => None,
            Change::Rows(rows) => rows::now(databases, &step.path, &rows.scope, &mut io::sink())?,
            _ => content::read(&step.path)?,
        };
        let holds = |content: &Option<Content>| match (&now, content) {
            (Some(now), Some(content)) => now.sha256 == content.sha256,
            (None, None) => true,
            _ => false,
        };
        // With the same bytes before and after, its time and mode are still to be brought back.
        let shares = matches!(&step.change, Change::Rows(rows) if !rows.shared.is_empty())
            && disk::is_file(&step.path)?;
        if holds(&step.old) && !holds(&step.new) && !shares {
            continue;
        }
        let backup = match &step.backup {
            Some(name) if disk::exists(&dir.backups().join(name))? => Some(name),
            _ => None,
        };
        let is_back = shares && holds(&step.old);
        if step.old.is_some() && backup.is_none() && !is_back {
            way.unkept = Some(step.path.clone());
        }
        if !holds(&step.new) && !holds(&step.old) {
            way.changed.push(way.session.steps.len());
        }
        let change = match (&step.change, &now, &step.old) {
            (Change::Rows(rows), now, old) => Change::Rows(Rows {
                before: now.as_ref().map(|_| format!("rows/{}.old", step.number)),
                after: old.as_ref().and(rows.before.clone()),
                ..rows.clone()
            }),
            (_, Some(_), Some(_)) => Change::Replace,
            (_, None, _) => Change::Create,
            (_, Some(_), None) => Change::Remove,
        };
        way.session.steps.push(Step {
            change,
            path: step.path.clone(),
            number: step.number,
            old: now,
            new: step.old.clone(),
            backup: backup.cloned(),
            applied: None,
        });
    }
    Ok(way)
}

/// Refuses unless every session can be taken back with nothing lost.
fn refuse(id: &str, ways: &[Way]) -> Result<()> {
    let changed = labels(ways.iter().filter(|way| !way.changed.is_empty()));
    if !changed.is_empty() {
        let message = format!("import {id} was not undone: continued since the import: {changed}");
        return Err(Error::new(Kind::Conflict, message).hint(format!(
            "`holdall undo {id} --force` undoes it, and keeps a copy of what these hold now"
        )));
    }
    let unkept = labels(ways.iter().filter(|way| way.unkept.is_some()));
    if !unkept.is_empty() {
        let message = format!("import {id} was not undone: it replaced files without a backup: {unkept}");
        return Err(Error::new(Kind::Conflict, message)
            .hint(format!("`holdall undo {id} --force` undoes the other sessions")));
    }
    Ok(())
}

fn unkept(path: &Path) -> Error {
    let message = format!("{} cannot be brought back: there is no backup of it", path.display());
    Error::new(Kind::Conflict, message)
}

fn labels<'a>(ways: impl Iterator<Item = &'a Way>) -> String {
    const SHOWN: usize = 5;
    let labels: Vec<&str> = ways.map(|way| way.session.label.as_str()).collect();
    match labels.len().checked_sub(SHOWN) {
        None | Some(0) => labels.join(", "),
        Some(more) => format!("{} and {more} more", labels[..SHOWN].join(", ")),
    }
}

/// Brings the undo to state `prepared`: old files beside their places, copies of what changed.
fn stage(
    dir: &ImportDir,
    journal: &mut Journal,
    databases: &Databases,
    to_save: &[(usize, usize)],
    saved: &mut Vec<Saved>,
) -> Result<()> {
    // Noted before they are made: a crash leaves none of them.
    let steps = journal.sessions.iter().flat_map(|session| &session.steps);
    let temps = steps.filter(|step| step.change.has_temp()).filter_map(|step| step.path.parent());
    let missing: BTreeSet<PathBuf> = (journal.tidied.iter().map(|tidied| tidied.path.as_path()).chain(temps))
        .flat_map(|dir| disk::missing_parents(&dir.join("x")))
        .collect();
    journal.dirs.extend(missing);
    dir.write(journal)?;
    for Tidied { path, mode } in journal.tidied.iter().rev() {
        if !disk::exists(path)? {
            disk::make_dirs(path, &mut Vec::new())?;
            disk::set_mode_of_dir(path, *mode).at("set the mode of", path)?;
        }
    }
    let mut files = Vec::new();
    back_up_rows(dir, journal, databases, &mut files)?;
    for (session, step) in to_save {
        let Session { label, steps, .. } = &journal.sessions[*session];
        let Step { path, number, old: Some(old), change, .. } = &steps[*step] else { continue };
        let copy = dir.name_for_saved(*number)?;
        let copied = match change {
            Change::Rows(Rows { before: Some(name), .. }) => {
                content::duplicate(&dir.document(name), &copy, None)?
            }
            _ => content::duplicate(path, &copy, None)?,
        };
        files.push(copy.clone());
        saved.push(Saved { label: label.clone(), path: path.clone(), copy });
        if copied.sha256 != old.sha256 {
            return Err(Error::new(Kind::Busy, format!("{label}: {} is being written", path.display()))
                .hint("close the program that writes it, and try again"));
        }
    }
    for step in journal.sessions.iter().flat_map(|session| &session.steps) {
        let (Some(backup), Some(new)) = (&step.backup, &step.new) else { continue };
        let (backup, temp) = (dir.backups().join(backup), step.temp(&journal.id));
        let restored = if step.change.has_temp() {
            step.path.parent().map_or(Ok(()), |dir| disk::make_dirs(dir, &mut Vec::new()))?;
            let restored = content::duplicate(&backup, &temp, Some(new))?;
            files.push(temp);
            restored
        } else {
            content::copy(&backup, &mut io::sink())?
        };
        if restored.sha256 != new.sha256 {
            let message = format!("the backup {} is damaged", backup.display());
            return Err(Error::new(Kind::Conflict, message));
        }
    }
    let mut dirs = carry::touched(journal);
    dirs.extend([dir.backups(), dir.rows()].into_iter().filter(|dir| disk::may_exist(dir)));
    disk::sync_all(&files, &dirs)?;
    journal.state = State::Prepared;
    dir.write(journal)
}

/// Keeps the rows that go, for as long as the undo may have to bring them back.
fn back_up_rows(
    dir: &ImportDir,
    journal: &Journal,
    databases: &Databases,
    files: &mut Vec<PathBuf>,
) -> Result<()> {
    let bench = Bench::new(dir, journal, databases);
    for session in &journal.sessions {
        for step in &session.steps {
            let Change::Rows(rows @ Rows { before: Some(name), .. }) = &step.change else { continue };
            let document = dir.document(name);
            if rows::back_up(step, rows, &bench, &document)? != step.old {
                let message = format!("{}: {} is being written", session.label, step.path.display());
                return Err(
                    Error::new(Kind::Busy, message).hint("close the program that writes it, and try again")
                );
            }
            files.push(document);
        }
    }
    Ok(())
}
