//! Locks: holdall's own, and those that harnesses hold while they append to shared files.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::disk;
use crate::error::{Error, IoContext, Kind, Result};

/// How long another holdall may take before we give up.
const OURS: Duration = Duration::from_secs(5);

/// How long a harness may take; it holds its lock for one append.
const THEIRS: Duration = Duration::from_secs(2);

/// The state directory, held alone: no other import or undo runs while this lives.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the state directory if need be and takes its lock.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another holdall does not let go of it in time.
    pub(super) fn take(state_dir: &Path) -> Result<Self> {
        Self::take_within(state_dir, OURS)
    }

    /// As [`StateLock::take`], without waiting.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another holdall has it.
    pub(super) fn take_if_free(state_dir: &Path) -> Result<Self> {
        Self::take_within(state_dir, Duration::ZERO)
    }

    fn take_within(state_dir: &Path, patience: Duration) -> Result<Self> {
        let path = state_dir.join("lock");
        let file = disk::make_dirs(state_dir, &mut Vec::new())
            .and_then(|()| disk::open_lock(&path).at("open", &path))
            .map_err(|error| disk::advise(error, "nothing was changed"))?;
        if wait(&file, patience).at("lock", &path)? {
            return Ok(Self { _file: file });
        }
        let message =
            format!("another holdall is changing sessions on this machine; it holds {}", path.display());
        Err(Error::new(Kind::Busy, message).hint("wait until it is done, then run this again"))
    }
}

/// A harness's lock file, held.
#[derive(Debug)]
pub(super) struct HarnessLock {
    file: File,
    path: PathBuf,
    /// True when the file was made just now.
    made: bool,
}

impl HarnessLock {
    /// Takes the lock; the file is made when missing.
    ///
    /// # Errors
    /// [`Kind::Busy`] when the harness does not let go of it in time.
    pub(super) fn take(path: &Path) -> Result<Self> {
        Self::take_within(path, THEIRS)?.ok_or_else(|| {
            let message = format!("a running program holds {}", path.display());
            Error::new(Kind::Busy, message).hint("close it, or try again")
        })
    }

    /// Takes a lock of ours as one of theirs is taken, without waiting. `None`: somebody else has it.
    pub(super) fn take_if_free(path: &Path) -> Result<Option<Self>> {
        Self::take_within(path, Duration::ZERO)
    }

    fn take_within(path: &Path, patience: Duration) -> Result<Option<Self>> {
        let deadline = Instant::now() + patience;
        loop {
            let made = !disk::exists(path)?;
            let file = disk::open_lock(path).at("open", path)?;
            let left = deadline.saturating_duration_since(Instant::now());
            match wait(&file, left) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => {
                    if made {
                        let _ = disk::remove(path);
                    }
                    return Err(error).at("lock", path);
                }
            }
            // Whoever held it may have removed the file, and a lock without a name protects nothing.
            let held = file.metadata().at("look at", path)?;
            if let disk::Found::File(named) = disk::look(path)?
                && (disk::same_file(&held, &named) || cfg!(not(unix)))
            {
                return Ok(Some(Self { file, path: path.to_owned(), made }));
            }
        }
    }

    /// Removes the file while it is held, if holdall made it: `ours` for an earlier run.
    pub(super) fn remove_if_made(self, ours: bool) -> Result<()> {
        if (ours || self.made) && self.file.metadata().at("look at", &self.path)?.len() == 0 {
            disk::remove(&self.path)?;
        }
        Ok(())
    }
}

/// Tries for the lock until `patience` is over. `false`: somebody else has it.
fn wait(file: &File, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(false),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cannot_hold_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state/holdall");
        let first = StateLock::take(&state).unwrap();
        let error = StateLock::take_within(&state, Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        assert!(!error.hints().is_empty());
        drop(first);
        StateLock::take_within(&state, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_that_lost_its_name_is_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.lock");
        let first = HarnessLock::take(&path).unwrap();
        let waiting = thread::spawn({
            let path = path.clone();
            move || HarnessLock::take(&path)
        });
        thread::sleep(Duration::from_millis(60));
        disk::remove(&path).unwrap();
        let second = HarnessLock::take(&path).unwrap();
        drop(first);
        thread::sleep(Duration::from_millis(60));
        assert!(!waiting.is_finished(), "it holds a file that nobody else looks at");
        drop(second);
        let third = waiting.join().unwrap().unwrap();
        third.remove_if_made(true).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_file_with_content_is_not_ours_to_remove() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.lock");
        let lock = HarnessLock::take(&path).unwrap();
        std::io::Write::write_all(&mut &lock.file, b"pid 7").unwrap();
        lock.remove_if_made(true).unwrap();
        assert!(path.exists());
    }
}
