//! What is recorded of a repository. The types are part of the archive's manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One repository, as it was when somebody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repo {
    /// Its working directory on the machine where it was.
    pub root: String,
    /// True for a linked worktree.
    pub worktree: bool,
    /// Remotes, without credentials.
    pub remotes: Vec<Remote>,
    /// The branch; `None` when detached.
    pub branch: Option<String>,
    /// The commit that is checked out; `None` in a repository without one.
    pub commit: Option<String>,
    /// First line of its message.
    pub subject: Option<String>,
    /// The branch that the branch follows, such as `origin/main`.
    pub upstream: Option<String>,
    /// Commits that the upstream does not have.
    pub ahead: Option<u64>,
    /// Commits that only the upstream has.
    pub behind: Option<u64>,
    /// Tracked files with changes that are not committed.
    pub modified: u64,
    /// Files that git neither tracks nor ignores.
    pub untracked: u64,
}

/// A remote of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remote {
    /// Such as `origin`.
    pub name: String,
    /// Where it is, without credentials.
    pub url: String,
}
