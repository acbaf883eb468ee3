//! The machine, held while an import is planned and carried out.

use std::path::{Path, PathBuf};

use super::lock::StateLock;
use super::recover;
use crate::error::Result;

/// The machine, held for one import: no other import or undo changes anything while this lives. What
/// is planned under it is still so when it is carried out, as far as holdall is concerned.
#[derive(Debug)]
pub struct Hold {
    pub(super) state_dir: PathBuf,
    pub(super) lock: StateLock,
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
