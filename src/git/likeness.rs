//! Whether a directory is the working tree of a recorded repository.

use std::collections::HashSet;
use std::path::Path;

use git2::Oid;

use super::repo::Repo;
use super::{describe, open, url};

/// Whether the working tree whose root is exactly `dir` is of the recorded repository: they have a
/// remote in common, or it has the recorded commit. Neither happens by chance.
pub fn is_clone(recorded: &Repo, dir: &Path) -> bool {
    let Ok(Some(repository)) = open::open(dir) else { return false };
    let same =
        |root: &Path| root.canonicalize().ok().is_some_and(|root| dir.canonicalize().ok() == Some(root));
    if !repository.workdir().is_some_and(same) {
        return false;
    }
    let known: HashSet<String> = recorded.remotes.iter().map(|remote| url::identity(&remote.url)).collect();
    let here = describe::remotes(&repository).unwrap_or_default();
    let has = |commit: &String| Oid::from_str(commit).is_ok_and(|id| repository.find_commit(id).is_ok());
    here.iter().any(|remote| known.contains(&url::identity(&remote.url)))
        || [&recorded.commit, &recorded.root_commit].into_iter().flatten().any(has)
}
