//! The machine, held while an import is planned and carried out.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::journal::ImportDir;
use super::lock::StateLock;
use super::recover;
use crate::error::Result;
use crate::model::Time;

/// How many names are drawn for an import at most. A second has 65,536.
const DRAWS: usize = 64;

/// The machine, held for one import: no other import or undo changes anything while this lives. What
/// is planned under it is still so when it is carried out, as far as holdall is concerned.
#[derive(Debug)]
pub struct Hold {
    pub(super) state_dir: PathBuf,
    pub(super) lock: StateLock,
}

impl Hold {
    /// A name for the import that begins now: the second, and four random digits that no import of this
    /// second has.
    pub fn new_id(&self, now: Time) -> String {
        self.draw_id(now, || Uuid::new_v4().as_fields().1)
    }

    fn draw_id(&self, now: Time, mut random: impl FnMut() -> u16) -> String {
        let mut draw = || format!("{}-{:04x}", now.format("%Y%m%dT%H%M%SZ"), random());
        let mut id = draw();
        for _ in 1..DRAWS {
            if !ImportDir::new(&self.state_dir, &id).is_there() {
                break;
            }
            id = draw();
        }
        id
    }
}

/// Waits for other imports and undos, and finishes what an earlier run left.
///
/// # Errors
/// [`crate::error::Kind::Busy`] when another one is at work for too long; what stands in the way of finishing.
pub fn hold(state_dir: &Path) -> Result<Hold> {
    let lock = StateLock::take(state_dir)?;
    recover::all(state_dir)?;
    Ok(Hold { state_dir: state_dir.to_owned(), lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_an_import_has_is_not_given_again() {
        let state = tempfile::tempdir().unwrap();
        let hold = hold(state.path()).unwrap();
        let now = Time::UNIX_EPOCH;
        ImportDir::new(state.path(), "19700101T000000Z-002a").make().unwrap();
        let mut drawn = [0x2a, 0x2a, 0xffff].into_iter();
        assert_eq!(hold.draw_id(now, || drawn.next().unwrap()), "19700101T000000Z-ffff");
        // Where none is free the import is refused, and does not look for ever.
        assert_eq!(hold.draw_id(now, || 0x2a), "19700101T000000Z-002a");
    }
}
