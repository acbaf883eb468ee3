//! How many files differ from what is committed.

use std::fs;
use std::path::Path;

use git2::{Repository, Status, StatusOptions};

/// Most directory entries that are looked at for untracked files. A home directory that is a
/// repository must not cost minutes.
const MOST: u64 = 20_000;

/// How many files differ from what is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Tracked files that were changed, added, removed or renamed.
    pub(super) modified: u64,
    /// Files that git neither tracks nor ignores; counted up to [`MOST`].
    pub(super) untracked: u64,
}

/// Counts changed files. Submodules are left out.
pub(super) fn count(repository: &Repository) -> Result<Changes, git2::Error> {
    let Some(root) = repository.workdir() else { return Ok(Changes::default()) };
    let mut options = StatusOptions::new();
    options
        .include_untracked(shows_untracked(repository))
        .recurse_untracked_dirs(false)
        .include_ignored(false)
        .exclude_submodules(true)
        .update_index(false);
    let (mut changes, mut left) = (Changes::default(), MOST);
    for entry in repository.statuses(Some(&mut options))?.iter() {
        if entry.status() != Status::WT_NEW {
            changes.modified += 1;
            continue;
        }
        match entry.path().ok().and_then(|path| path.strip_suffix('/')) {
            Some(dir) => changes.untracked += untracked_in(repository, root, Path::new(dir), &mut left),
            None => changes.untracked += 1,
        }
    }
    Ok(changes)
}

/// Whoever keeps a large tree in git, such as a home directory, turns this off.
pub(super) fn shows_untracked(repository: &Repository) -> bool {
    let config = repository.config().and_then(|mut config| config.snapshot());
    let setting = config.and_then(|config| config.get_string("status.showUntrackedFiles"));
    !setting
        .is_ok_and(|setting| matches!(setting.to_ascii_lowercase().as_str(), "no" | "false" | "off" | "0"))
}

/// Files in an untracked directory, which is given relative to `root`. A repository in it counts
/// as one, as git does.
fn untracked_in(repository: &Repository, root: &Path, dir: &Path, left: &mut u64) -> u64 {
    let absolute = root.join(dir);
    if absolute.join(".git").symlink_metadata().is_ok() {
        return 1;
    }
    let Ok(entries) = fs::read_dir(&absolute) else { return 0 };
    let mut count = 0;
    for entry in entries.flatten() {
        let Some(rest) = left.checked_sub(1) else { return count };
        *left = rest;
        let path = dir.join(entry.file_name());
        if repository.is_path_ignored(&path).unwrap_or(false) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => count += untracked_in(repository, root, &path, left),
            Ok(kind) if kind.is_file() || kind.is_symlink() => count += 1,
            _ => {}
        }
    }
    count
}
