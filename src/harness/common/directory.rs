//! Directories of a store: what is in them, and which names may be made there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::harness::Found;

/// One entry of a directory.
pub struct Entry {
    /// Its name; entries whose names are not Unicode are none of the program's.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// A directory, not a link to one.
    pub is_dir: bool,
    /// A file, not a link to one.
    pub is_file: bool,
    entry: fs::DirEntry,
}

impl Entry {
    /// Size and times of the entry itself, also of a link. Cheaper than by its path.
    ///
    /// # Errors
    /// When it cannot be looked at, or is gone.
    pub fn metadata(&self) -> io::Result<fs::Metadata> {
        self.entry.metadata()
    }
}

/// The entries of a directory, by name. A missing directory has none.
///
/// # Errors
/// When the directory cannot be read.
pub fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let list = match fs::read_dir(dir) {
        Ok(list) => list,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(Error::io("read", dir, error)),
    };
    let mut entries = Vec::new();
    for entry in list {
        let entry = entry.at("read", dir)?;
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        let (is_dir, is_file) = (kind.is_dir(), kind.is_file());
        entries.push(Entry { name, path: entry.path(), is_dir, is_file, entry });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// What is guessed of sessions by the folder of the store that they are in: once for each folder.
pub fn by_folder(found: &[&Found], guess: impl Fn(&Found) -> bool) -> Vec<bool> {
    let mut known: HashMap<&OsStr, bool> = HashMap::new();
    let mut guesses = Vec::with_capacity(found.len());
    for found in found {
        let folder = found.path.parent().unwrap_or(&found.path);
        guesses.push(*known.entry(folder.as_os_str()).or_insert_with(|| guess(found)));
    }
    guesses
}

/// Whether a name means the same single file on every system: no separators, no device names of
/// Windows, nothing invisible, and nothing that shows as another name than it is.
pub fn is_safe_name(name: &str) -> bool {
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let odd = |c: char| c.is_control() || hidden(c) || r#"/\:*?"<>|"#.contains(c);
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.ends_with(|c: char| c.is_ascii_digit()));
    (1..=255).contains(&name.len())
        && !name.starts_with(['.', ' '])
        && !name.ends_with(['.', ' '])
        && !name.contains(odd)
        && !device
}
