//! Files that are nobody's yet: demonstrations and temporary places that holdall made itself.

use std::io::Write;
use std::path::Path;

use super::disk;
use crate::error::{IoContext, Result};

/// Makes a directory and all that is missing above it, mode 0700.
///
/// # Errors
/// When the disk refuses.
pub fn make_dir(path: &Path) -> Result<()> {
    disk::make_dirs(path, &mut Vec::new())
}

/// Writes a new file, mode 0600, and makes the directories above it.
///
/// # Errors
/// When there is something at `path`, and when the disk refuses.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    path.parent().map_or(Ok(()), make_dir)?;
    disk::create(path).and_then(|mut file| file.write_all(bytes)).at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_with_their_directories_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        write_file(&path, b"text").unwrap();
        make_dir(&dir.path().join("a/b")).unwrap();
        assert!(write_file(&path, b"other").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
    }
}
