//! How a recorded state of a repository and the one found here differ.

use std::fmt;
use std::path::Path;

use git2::Repository;

use super::repo::Repo;
use super::{describe, find, open};

/// What was found, from worst to best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// There is no such directory, or no repository.
    Missing,
    /// There is a repository that cannot be read; the text says why.
    Unreadable(String),
    /// The repository is another one: they have no remote in common, and it does not know the
    /// recorded commit.
    OtherRepository,
    /// Another commit is checked out.
    OtherCommit {
        /// The one that was recorded.
        recorded: Option<String>,
        /// The one here.
        here: Option<String>,
    },
    /// The right commit, with changes that are not committed.
    Dirty {
        /// Tracked files with changes.
        modified: u64,
        /// Files that git does not know.
        untracked: u64,
    },
    /// The right commit, and nothing else.
    Same,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no git repository"),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::OtherRepository => f.write_str("the git repository there is another one"),
            Self::OtherCommit { recorded, here } => {
                write!(f, "the session was at {}; checked out is {}", shown(recorded), shown(here))
            }
            Self::Dirty { modified, untracked } => {
                write!(f, "{modified} modified and {untracked} untracked files are there")
            }
            Self::Same => f.write_str("the commit of the session is checked out"),
        }
    }
}

fn shown(commit: &Option<String>) -> String {
    match commit {
        Some(id) => format!("commit {}", id.chars().take(10).collect::<String>().escape_debug()),
        None => "no commit".to_owned(),
    }
}

/// Compares a recorded state with the repository that a directory belongs to.
pub fn compare(recorded: &Repo, dir: &Path) -> Comparison {
    let repository = match open::open(dir) {
        Ok(Some(repository)) => repository,
        Ok(None) => return Comparison::Missing,
        Err(error) => return Comparison::Unreadable(error.to_string()),
    };
    let here = match describe::state(&repository) {
        Ok(here) => here,
        Err(error) => return Comparison::Unreadable(open::unreadable(dir, error).to_string()),
    };
    if !is_same(recorded, &here, &repository) {
        Comparison::OtherRepository
    } else if recorded.commit != here.commit {
        Comparison::OtherCommit { recorded: recorded.commit.clone(), here: here.commit }
    } else if here.changed() > 0 {
        Comparison::Dirty { modified: here.modified, untracked: here.untracked }
    } else {
        Comparison::Same
    }
}

/// One remote in common, or a commit: no two repositories have the same by chance. Where neither
/// side has a remote nor the record a commit, nothing speaks against it.
fn is_same(recorded: &Repo, here: &Repo, repository: &Repository) -> bool {
    if !find::known(&recorded.remotes).is_disjoint(&find::known(&here.remotes)) {
        return true;
    }
    match recorded.commit {
        Some(_) => find::has_history(recorded, repository),
        None => recorded.remotes.is_empty() && here.remotes.is_empty(),
    }
}
