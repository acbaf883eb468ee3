//! The folder that moves together with its sessions: one rename, forwards and back.
//!
//! It comes before the sessions, and goes back only when not one of them could follow. Where both
//! names are looked at after a crash, they tell whether the rename was done: one of them is free.

use std::io::ErrorKind;
use std::path::Path;

use super::disk::{self, Found};
use super::journal::Moved;
use crate::error::{Error, IoContext, Kind, Result};

/// Moves the folder. `again`: an earlier run may have done so.
///
/// # Errors
/// [`Kind::Conflict`] when it is not there any more or something has its new name; when the disk
/// refuses.
pub(super) fn forward(moved: &Moved, again: bool) -> Result<()> {
    let (from, to) = (Path::new(&moved.old), Path::new(&moved.new));
    if !is_there(from)? {
        if again && is_there(to)? {
            return Ok(());
        }
        return Err(Error::new(Kind::Conflict, format!("{} is not there any more", from.display())));
    }
    match disk::rename_folder(from, to) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = format!("{} has appeared meanwhile", to.display());
            Err(Error::new(Kind::Conflict, message).hint("look at what is there, and try again"))
        }
        done => done.at("move the folder", from),
    }
}

/// Gives the folder its old name again.
///
/// # Errors
/// When the disk refuses; it can be tried again then.
pub(super) fn back(moved: &Moved) -> Result<()> {
    let (from, to) = (Path::new(&moved.old), Path::new(&moved.new));
    if is_there(from)? || !is_there(to)? {
        return Ok(());
    }
    disk::rename_folder(to, from).at("move the folder", to)
}

/// What stands in the way of taking the move back; `None`: the folder can go back. `Some(None)`: it
/// is back already.
///
/// # Errors
/// When the names cannot be looked at.
pub(super) fn obstacle(moved: &Moved) -> Result<Option<Option<Error>>> {
    let (old, new) = (Path::new(&moved.old), Path::new(&moved.new));
    Ok(match (is_there(old)?, is_there(new)?) {
        (false, true) => None,
        (true, false) => Some(None),
        (true, true) => {
            let message = format!("{} is there again, so {} cannot go back", old.display(), new.display());
            Some(Some(Error::new(Kind::Conflict, message)))
        }
        (false, false) => {
            Some(Some(Error::new(Kind::Conflict, format!("the folder {} is gone", new.display()))))
        }
    })
}

fn is_there(path: &Path) -> Result<bool> {
    Ok(!matches!(disk::look(path)?, Found::Nothing))
}
