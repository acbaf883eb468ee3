//! Finds and opens the repository that a directory belongs to.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Repository, RepositoryOpenFlags};

use crate::error::{Error, Kind, Result};

/// The repository of a directory, looking upward from it; `None` when there is none, or no such
/// directory.
///
/// # Errors
/// When there is one that cannot be read.
pub(super) fn open(dir: &Path) -> Result<Option<Repository>> {
    let none: [&OsStr; 0] = [];
    let opened = match Repository::open_ext(dir, RepositoryOpenFlags::CROSS_FS, none) {
        // Somebody else's. Git refuses because their configuration could make it run something;
        // nothing that is done here runs anything.
        Err(error) if error.code() == ErrorCode::Owner => open_foreign(dir),
        opened => opened,
    };
    match opened {
        Ok(repository) => Ok(Some(repository)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(unreadable(dir, error)),
    }
}

/// Opens a repository that belongs to another user. libgit2 can be told not to look at the owner
/// only for the whole process; opening the git directory itself does not look.
fn open_foreign(dir: &Path) -> Result<Repository, git2::Error> {
    let none: [&OsStr; 0] = [];
    let git_dir = Repository::discover_path(dir, none)?;
    let repository = Repository::open_bare(&git_dir)?;
    let bare = repository.config()?.get_bool("core.bare").unwrap_or(false);
    if let Some(root) = work_dir(&git_dir).filter(|_| !bare || is_worktree(&repository)) {
        repository.set_workdir(&root, false)?;
    }
    Ok(repository)
}

/// The working directory of a git directory, by where it is or, for a linked worktree, by what its
/// `gitdir` file says.
fn work_dir(git_dir: &Path) -> Option<PathBuf> {
    let link = match fs::read_to_string(git_dir.join("gitdir")) {
        Ok(link) => PathBuf::from(link.trim_end()),
        Err(_) => git_dir.to_owned(),
    };
    (link.file_name()? == ".git").then(|| link.parent().map(Path::to_owned))?
}

/// True for a linked worktree, however it was opened.
pub(super) fn is_worktree(repository: &Repository) -> bool {
    repository.is_worktree() || repository.path() != repository.commondir()
}

pub(super) fn unreadable(dir: &Path, error: git2::Error) -> Error {
    let message = format!("the git repository of {} cannot be read: {}", dir.display(), error.message());
    Error::new(Kind::Io, message).with_source(error)
}
