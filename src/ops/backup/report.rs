//! What is told about a backup.

use std::path::PathBuf;

use serde::Serialize;

use super::fresh::Change;

/// What `backup --json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `holdall.backup/1`
    pub schema: &'static str,
    /// The directory of the backups.
    pub dir: PathBuf,
    /// The file name of the new archive; `None`: nothing was new.
    pub archive: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Option<String>,
    /// What is in it.
    pub sessions: Vec<Row>,
    /// How many sessions are as the archives have them.
    pub unchanged: usize,
    /// Sessions, or whole stores, that could not be read, and why.
    pub failed: Vec<String>,
    /// The file names of archives that were removed.
    pub removed: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// One session of the new archive.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Id of its harness.
    pub harness: String,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// How it changed.
    pub state: Change,
    /// How many of its files have something new.
    pub files: usize,
    /// How many bytes that is.
    pub bytes: u64,
}
