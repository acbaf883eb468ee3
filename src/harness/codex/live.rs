//! Whether some process has a thread open.
//!
//! Codex 0.169 holds an advisory lock on `thread-writer-locks/<id>.lock` while it may write, and
//! refuses a second writer. The file alone means nothing: it may be left over.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Why the thread must not be touched; `None`: nobody has it open.
///
/// # Errors
/// When the lock exists and cannot be opened.
pub fn live(home: &Path, id: &str) -> Result<Option<String>> {
    let path = home.join("thread-writer-locks").join(format!("{id}.lock"));
    match File::open(&path) {
        Ok(file) if is_held(&file) => Ok(Some("Codex has it open".to_owned())),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", &path, error)),
    }
}

/// A shared lock is refused only while another process holds an exclusive one. It is let go when
/// the file is closed, at once.
fn is_held(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_held_lock_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let id = "01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1";
        assert_eq!(live(dir.path(), id).expect("no lock"), None);
        assert!(!dir.path().join("thread-writer-locks").exists());
        let path = dir.path().join("thread-writer-locks").join(format!("{id}.lock"));
        #[allow(clippy::disallowed_methods)]
        let file = {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            File::create(&path).expect("a file")
        };
        assert_eq!(live(dir.path(), id).expect("a lock"), None);
        file.lock().expect("free");
        assert!(live(dir.path(), id).expect("a lock").is_some());
    }
}
