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
    /// The first commit of the history, by which clones without a common remote are recognised; `None`
    /// in a repository without commits, in a shallow clone, and where it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_commit: Option<String>,
    /// What of the repository travels along as a git bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

impl Repo {
    /// How many files have changes that are not committed. The numbers may be anybody's.
    pub fn changed(&self) -> u64 {
        self.modified.saturating_add(self.untracked)
    }
}

/// What of a repository an archive carries as a git bundle (version 2).
///
/// The bundle has these references: `refs/heads/<branch>` (or `HEAD` when detached) at
/// [`Repo::commit`] when there are commits to carry, and `refs/holdall/<session id>` at
/// [`Carried::work`] for each session of the repository when there is uncommitted work (with another
/// name below `refs/holdall/` where git takes no such name). Where there are neither commits nor
/// work, there is no bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Carried {
    /// Commits that the bundle builds on and does not hold; empty: it builds on none.
    pub needs: Vec<String>,
    /// How many commits of the branch it holds.
    pub commits: u64,
    /// The uncommitted work as a commit: its tree is the working directory (tracked and untracked
    /// files), its first parent [`Repo::commit`], and its second parent, where something was staged, a
    /// commit with the tree of the index. In a repository without commits the index, if something is
    /// in it, is its only parent. `None` when nothing was uncommitted.
    pub work: Option<String>,
    /// What of the uncommitted work could not be carried, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// A remote of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remote {
    /// Such as `origin`.
    pub name: String,
    /// Where it is, without credentials.
    pub url: String,
}
