//! The commits to carry, and those that they build on.

use std::collections::HashSet;
use std::fs;

use git2::{ErrorCode, Oid, Repository};

/// The commits to carry.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The commit that is checked out; `None` on a branch without one.
    pub(super) head: Option<Oid>,
    /// The full name of the reference to carry it under: that of the branch, or `HEAD`.
    pub(super) name: Vec<u8>,
    /// How many are carried.
    pub(super) commits: u64,
    /// Parents of carried commits that are not carried, each once.
    pub(super) needs: Vec<Oid>,
}

impl History {
    /// Every commit of the branch that no remote-tracking reference has; with `full` every commit.
    ///
    /// Of a shallow clone nothing at or before the cut is carried: git takes a commit only with all
    /// that came before it.
    pub(super) fn of(repository: &Repository, full: bool) -> Result<Self, git2::Error> {
        let reference = repository.find_reference("HEAD")?;
        let name = reference.symbolic_target_bytes().unwrap_or(b"HEAD").to_vec();
        let head = match reference.peel_to_commit() {
            Ok(commit) => commit.id(),
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(Self { name, ..Self::default() }),
            Err(error) => return Err(error),
        };
        let mut there: HashSet<Oid> = cut(repository).into_iter().collect();
        if !full {
            there.extend(remote_tips(repository)?);
        }
        let history = Self { head: Some(head), name, ..Self::default() };
        if there.contains(&head) {
            return Ok(history);
        }
        let mut walk = repository.revwalk()?;
        walk.push(head)?;
        there.iter().try_for_each(|tip| walk.hide(*tip))?;
        let carried = walk.collect::<Result<Vec<Oid>, _>>()?;
        let known: HashSet<Oid> = carried.iter().copied().collect();
        let (mut seen, mut needs) = (HashSet::new(), Vec::new());
        for id in &carried {
            for parent in repository.find_commit(*id)?.parent_ids() {
                if !known.contains(&parent) && seen.insert(parent) {
                    needs.push(parent);
                }
            }
        }
        Ok(Self { commits: carried.len() as u64, needs, ..history })
    }
}

/// What the remotes have, as far as it was fetched.
fn remote_tips(repository: &Repository) -> Result<HashSet<Oid>, git2::Error> {
    let references = repository.references_glob("refs/remotes/*")?;
    // A reference that leads nowhere, as `origin/HEAD` does once its branch is gone, hides nothing.
    Ok(references.filter_map(|reference| Some(reference.ok()?.peel_to_commit().ok()?.id())).collect())
}

/// Where the history of a shallow clone is cut off: the oldest commits that are here.
fn cut(repository: &Repository) -> Vec<Oid> {
    if !repository.is_shallow() {
        return Vec::new();
    }
    let list = fs::read_to_string(repository.commondir().join("shallow")).unwrap_or_default();
    list.lines().filter_map(|line| Oid::from_str(line.trim()).ok()).collect()
}

/// The commit without parents that the history begins with, going back by first parents. `None`
/// without commits, in a shallow clone, and when it is more than `most` commits back.
///
/// It costs about a second for 100,000 commits.
pub(in crate::git) fn root(repository: &Repository, most: usize) -> Result<Option<Oid>, git2::Error> {
    if repository.is_shallow() {
        return Ok(None);
    }
    let Ok(head) = repository.head().and_then(|head| head.peel_to_commit()) else { return Ok(None) };
    let mut walk = repository.revwalk()?;
    walk.simplify_first_parent()?;
    walk.push(head.id())?;
    let mut last = None;
    for (number, id) in walk.enumerate() {
        if number >= most {
            return Ok(None);
        }
        last = Some(id?);
    }
    Ok(last)
}
