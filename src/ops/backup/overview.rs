//! `inspect DIR`: what a directory of backups holds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::shelf::Shelf;
use crate::error::{Error, Kind, Result};
use crate::model::Time;

/// What `inspect --json DIR` prints.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// `holdall.backups/1`
    pub schema: &'static str,
    /// The directory.
    pub dir: PathBuf,
    /// Its archives, the oldest first.
    pub archives: Vec<Row>,
    /// How many sessions `import` of the directory brings back.
    pub sessions: usize,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// One archive.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its file name.
    pub archive: String,
    /// When it was made.
    pub created: Option<Time>,
    /// Its size in bytes.
    pub bytes: u64,
    /// How many sessions it restores.
    pub sessions: usize,
    /// The archives that its sessions go on from.
    pub continues: BTreeSet<String>,
}

/// What a directory holds. Checksums are for `verify`.
///
/// # Errors
/// When it cannot be read or holds no backup.
pub fn overview(dir: &Path) -> Result<Overview> {
    let mut shelf = Shelf::of_dir(dir)?;
    let warnings = std::mem::take(&mut shelf.warnings);
    if shelf.volumes().is_empty() {
        let error = Error::new(Kind::NotFound, format!("{} holds no backup that can be read", dir.display()));
        return Err(warnings.into_iter().fold(error, Error::hint));
    }
    let archives = shelf.volumes().iter().map(|volume| {
        let leaning = volume.sessions().iter().filter_map(|session| session.continues.as_ref());
        Row {
            archive: volume.label.clone(),
            created: volume.archive.manifest().created,
            bytes: volume.bytes,
            sessions: volume.sessions().len(),
            continues: leaning.map(|continues| continues.archive.clone()).collect(),
        }
    });
    Ok(Overview {
        schema: "holdall.backups/1",
        dir: dir.to_owned(),
        archives: archives.collect(),
        sessions: super::last_links(&shelf).len(),
        warnings,
    })
}
