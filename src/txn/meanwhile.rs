//! What a program may have written between the plan and its turn: then the session stays as it is.

use std::path::Path;

use super::disk;
use super::journal::{Content, Step};
use crate::error::{Error, Kind, Result};

/// Size and modification time of a file, which tell that it has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    modified: i64,
}

impl Stamp {
    /// `None`: no regular file is there.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(super) fn of(path: &Path) -> Result<Option<Self>> {
        Ok(match disk::look(path)? {
            disk::Found::File(meta) => Some(Self { bytes: meta.len(), modified: disk::modified(&meta) }),
            _ => None,
        })
    }

    /// Whether a copy was made of the file in this state.
    fn is_of(self, content: &Content) -> bool {
        self.bytes == content.bytes && content.modified.is_none_or(|modified| modified == self.modified)
    }
}

/// What must be there of a session's rows when they are put in place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Whatever is there: nothing was rendered yet.
    #[default]
    Anything,
    /// Nothing.
    Nothing,
    /// The rows with this document, or none.
    Rows(Option<Content>),
}

/// Refuses where the copy of a file is not of the state that was found at the beginning.
///
/// # Errors
/// [`Kind::Conflict`].
pub(super) fn check_file(step: &Step, found: Option<Stamp>, copy: &Content) -> Result<()> {
    if found.is_some_and(|found| found.is_of(copy)) {
        return Ok(());
    }
    Err(changed(&step.path.display().to_string()))
}

fn changed(what: &str) -> Error {
    Error::new(Kind::Conflict, format!("{what} has changed meanwhile"))
        .hint("close the program that writes it, and try again")
}

/// Refuses where the rows are no longer those that the new ones were made for.
///
/// # Errors
/// [`Kind::Conflict`].
pub(super) fn check_rows(step: &Step, awaited: &Awaited) -> Result<()> {
    let path = step.path.display();
    match awaited {
        Awaited::Nothing if step.old.is_some() => {
            let message = format!("the session has appeared meanwhile in {path}");
            Err(Error::new(Kind::Conflict, message).hint("look at what is there, and try again"))
        }
        Awaited::Rows(then) if *then != step.old => Err(changed(&format!("the session in {path}"))),
        _ => Ok(()),
    }
}
