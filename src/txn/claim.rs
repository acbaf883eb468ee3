//! A directory of the user's that one run at a time puts archives into and takes them from.

use std::path::{Path, PathBuf};

use super::disk;
use super::lock::HarnessLock;
use crate::error::{Error, Kind, Result};

/// The name of the lock file. It is there only while a run goes on, or after one was killed.
const LOCK: &str = ".holdall-lock";

/// A directory that nobody else adds archives to while this lives.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    lock: Option<HarnessLock>,
}

impl Claim {
    /// Makes the directory if need be, mode 0700, and takes its lock.
    ///
    /// # Errors
    /// [`Kind::Busy`] at once when another run has it; [`Kind::Io`] when nothing can be written there.
    pub fn take(dir: &Path) -> Result<Self> {
        disk::make_dirs(dir, &mut Vec::new())?;
        match HarnessLock::take_if_free(&dir.join(LOCK))? {
            Some(lock) => Ok(Self { dir: dir.to_owned(), lock: Some(lock) }),
            None => {
                let message = format!("another backup into {} is under way", dir.display());
                Err(Error::new(Kind::Busy, message).hint("wait until it is done, then run this again"))
            }
        }
    }

    /// Removes a file of the directory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        debug_assert!(Path::new(name).components().count() == 1, "{name} is a file of the directory");
        disk::remove(&self.dir.join(name)).map(drop)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // One that stays is in nobody's way: it is the lock that counts, not the file.
            let _ = lock.remove_if_made(true);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Tests play the user.
mod tests {
    use super::*;

    #[test]
    fn one_run_at_a_time_and_nothing_is_left() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a/backups");
        let first = Claim::take(&dir).unwrap();
        #[cfg(unix)]
        assert_eq!(disk::mode(&dir.metadata().unwrap()), 0o700);
        assert_eq!(Claim::take(&dir).unwrap_err().kind(), Kind::Busy);
        std::fs::write(dir.join("x"), "x").unwrap();
        first.remove("x").unwrap();
        drop(first);
        assert_eq!(dir.read_dir().unwrap().count(), 0);
        // A run that was killed leaves the file, not the lock.
        std::fs::write(dir.join(LOCK), "").unwrap();
        drop(Claim::take(&dir).unwrap());
        assert_eq!(dir.read_dir().unwrap().count(), 0);
    }
}
