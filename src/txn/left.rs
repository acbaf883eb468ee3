//! What an undo leaves where it is: repositories that an import cloned, and work that it brought into
//! one. Nothing can tell whether they are still only what the import made, and deleting a repository
//! is never safe; so an undo names them, and the user decides.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk;
use super::journal::ImportDir;
use crate::error::{IoContext, Result};

const FILE: &str = "left.json";

/// Something that an undo leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// `clone` (a repository), `branch` (of a repository) or `work` (files in a repository).
    pub kind: String,
    /// The repository.
    pub path: PathBuf,
    /// The name of the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

impl Left {
    /// A repository that was cloned.
    pub fn clone(path: &Path) -> Self {
        Self { kind: "clone".to_owned(), path: path.to_owned(), branch: None }
    }

    /// A branch that was made.
    pub fn branch(path: &Path, branch: &str) -> Self {
        Self { kind: "branch".to_owned(), path: path.to_owned(), branch: Some(branch.to_owned()) }
    }

    /// Files that were changed in a repository.
    pub fn work(path: &Path) -> Self {
        Self { kind: "work".to_owned(), path: path.to_owned(), branch: None }
    }
}

/// Keeps with the import `import_id` what its undo leaves.
///
/// # Errors
/// When the disk refuses.
pub fn remember_left(state_dir: &Path, import_id: &str, left: &[Left]) -> Result<()> {
    let path = ImportDir::new(state_dir, import_id).document(FILE);
    let json = serde_json::to_vec(left).map_err(std::io::Error::from).at("write", &path)?;
    let mut file = disk::create_or_empty(&path).at("write", &path)?;
    file.write_all(&json).and_then(|()| file.sync_all()).at("write", &path)
}

/// What was kept. Whatever is wrong with it, an undo can do without.
pub(super) fn read(dir: &ImportDir) -> Vec<Left> {
    let json = std::fs::read(dir.document(FILE)).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or_default()
}
