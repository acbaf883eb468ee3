//! One change of one file, forwards and back. Both can be repeated after a crash at any point:
//! what is on disk tells how far the step came. For rows of a database see [`super::rows`].
//!
//! - The temporary file is there until the step is carried out, so a step without one is done.
//! - A file that is replaced or removed keeps a second name beside its place until the whole import
//!   is in place. So a step back is a rename too: it needs no space, and brings back the very file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::content;
use super::disk::{self, Found};
use super::journal::{Change, Content, ImportDir, Journal, Purpose, Step};
use super::rows::{self, Databases};
use crate::error::{Error, IoContext, Kind, Result};

/// What a step needs besides itself.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub dir: &'a ImportDir,
    pub id: &'a str,
    /// Forwards, rows that sessions share are added; in an undo they go.
    pub adds: bool,
    pub databases: &'a Databases,
}

impl<'a> Bench<'a> {
    pub(super) fn new(dir: &'a ImportDir, journal: &'a Journal, databases: &'a Databases) -> Self {
        Self { dir, id: &journal.id, adds: journal.purpose == Purpose::Import, databases }
    }
}

/// Whether the step was carried out.
pub(super) fn is_applied(step: &Step, bench: &Bench<'_>) -> Result<bool> {
    let id = bench.id;
    match &step.change {
        Change::Rows(rows) => rows::is_applied(step, rows, bench),
        Change::Create | Change::Replace => Ok(!disk::exists(&step.temp(id))?),
        Change::Remove => Ok(disk::exists(&step.aside(id))? && !are_one(&step.aside(id), &step.path)?),
    }
}

/// Carries the step out. `again`: an earlier run may have done so.
///
/// # Errors
/// [`Kind::Conflict`] when the target is no longer what the plan was made for; and when the disk
/// refuses. The step has to be taken [`back`] then.
pub(super) fn forward(step: &Step, bench: &Bench<'_>, again: bool) -> Result<()> {
    let (target, temp, aside) = (&step.path, step.temp(bench.id), step.aside(bench.id));
    if step.change.has_temp() && !disk::exists(&temp)? {
        let gone = format!("{} has been removed before it was put in place", temp.display());
        return if again { Ok(()) } else { Err(Error::new(Kind::Conflict, gone)) };
    }
    match &step.change {
        Change::Rows(rows) => rows::forward(step, rows, bench, again),
        Change::Create => match disk::rename_new(&temp, target) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => settle(&temp, target),
            done => done.at("create", target),
        },
        Change::Replace => {
            if disk::exists(&aside)? {
                if !disk::exists(target)? {
                    // A file system without hard links, and a crash between its two renames.
                    return disk::rename_new(&temp, target).at("replace", target);
                }
                disk::remove(&aside)?;
            }
            check(step)?;
            match disk::link(target, &aside) {
                Err(error) if disk::not_supported(&error) => {
                    disk::rename_new(target, &aside).at("replace", target)?;
                    disk::rename_new(&temp, target).at("replace", target)
                }
                Err(error) => Err(error).at("replace", target),
                Ok(()) => disk::rename_over(&temp, target).at("replace", target),
            }
        }
        Change::Remove if again && disk::exists(&aside)? => {
            if are_one(&aside, target)? {
                disk::remove(target).map(|_| ())
            } else {
                Ok(())
            }
        }
        Change::Remove if again && !disk::exists(target)? => Ok(()),
        Change::Remove => {
            check(step)?;
            disk::rename_new(target, &aside).at("remove", target)
        }
    }
}

/// Brings back what was there before. [`Step::applied`] says whether the step had been carried out.
///
/// What somebody else wrote into the new file meanwhile goes to a name that `save` gives, and is
/// returned.
///
/// # Errors
/// When the disk refuses; the step can be taken back again then.
pub(super) fn back(
    step: &Step,
    bench: &Bench<'_>,
    save: &dyn Fn() -> Result<PathBuf>,
) -> Result<Option<PathBuf>> {
    let (target, temp, aside) = (&step.path, step.temp(bench.id), step.aside(bench.id));
    let applied = step.applied == Some(true);
    let mut saved = None;
    match &step.change {
        Change::Rows(rows) => return rows::back(step, rows, bench, save),
        Change::Create if applied => {
            saved = save_if_changed(target, step.new.as_ref(), save)?;
            if matches!(disk::look(target)?, Found::File(_)) {
                disk::remove(target)?;
            }
        }
        Change::Replace if applied => {
            if disk::exists(&aside)? {
                saved = save_if_changed(target, step.new.as_ref(), save)?;
                disk::rename_over(&aside, target).at("restore", target)?;
            }
        }
        Change::Remove if applied => match disk::rename_new(&aside, target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Somebody made a new one, which counts; the old one is kept.
                saved = save_if_changed(&aside, None, save)?;
                disk::remove(&aside)?;
            }
            done => done.at("restore", target)?,
        },
        Change::Create | Change::Replace => {
            if disk::exists(&aside)? && !disk::exists(target)? {
                disk::rename_new(&aside, target).at("restore", target)?;
            }
            if are_one(&temp, target)? {
                disk::remove(target)?;
            }
            disk::remove(&aside)?;
            disk::remove(&temp)?;
        }
        Change::Remove => {
            if are_one(&aside, target)? {
                disk::remove(&aside)?;
            }
        }
    }
    Ok(saved)
}

/// Removes the old file for good. What a program that still had it open wrote into it meanwhile goes
/// to a name that `save` gives, and is returned.
///
/// # Errors
/// When the disk refuses; the file is still there then.
pub(super) fn forget(step: &Step, id: &str, save: &dyn Fn() -> Result<PathBuf>) -> Result<Option<PathBuf>> {
    let aside = step.aside(id);
    let saved = save_if_changed(&aside, step.old.as_ref(), save)?;
    disk::remove(&aside)?;
    Ok(saved)
}

/// The target is there already: somebody else's, or ours from a run that was interrupted.
fn settle(temp: &Path, target: &Path) -> Result<()> {
    if are_one(temp, target)? {
        return disk::remove(temp).map(|_| ());
    }
    Err(Error::new(Kind::Conflict, format!("{} has appeared meanwhile", target.display()))
        .hint("look at what is there, and try again"))
}

/// Whether both are names of one file. Where the file system has no rename to a free name, a hard
/// link stands in for it, and a crash can come before the old name goes.
fn are_one(a: &Path, b: &Path) -> Result<bool> {
    match (disk::look(a)?, disk::look(b)?) {
        (Found::File(a), Found::File(b)) => Ok(disk::same_file(&a, &b)),
        _ => Ok(false),
    }
}

/// Refuses where the target is no longer what was backed up.
fn check(step: &Step) -> Result<()> {
    let target = &step.path;
    if let Found::Other(what) = disk::look(target)? {
        return Err(disk::not_a_file(target, what));
    }
    match &step.old {
        Some(old) if content::is_still(target, old)? => Ok(()),
        _ => Err(Error::new(Kind::Conflict, format!("{} has changed meanwhile", target.display()))
            .hint("close the program that writes it, and try again")),
    }
}

fn save_if_changed(
    path: &Path,
    content: Option<&Content>,
    save: &dyn Fn() -> Result<PathBuf>,
) -> Result<Option<PathBuf>> {
    if !matches!(disk::look(path)?, Found::File(_)) {
        return Ok(None);
    }
    if let Some(content) = content
        && content::is_still(path, content)?
    {
        return Ok(None);
    }
    let copy = save()?;
    content::duplicate(path, &copy, None)?;
    Ok(Some(copy))
}
