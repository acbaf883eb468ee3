//! Where on this machine the repository of a session is. Only reads.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::repo::{Remote, Repo};
use super::{describe, open, url};

/// How many directories below the workspace root a repository may be.
const DEPTH: usize = 4;

/// Most directories that are looked at: a workspace root that is given by mistake must not cost
/// minutes.
const MOST: usize = 20_000;

/// Directories that hold what programs fetched or built, never a repository that somebody works in.
const PASSED_BY: [&str; 9] = [
    "node_modules",
    "bower_components",
    "vendor",
    "target",
    "dist",
    "venv",
    "__pycache__",
    "site-packages",
    "Library",
];

/// A repository that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clone {
    /// Its working directory.
    pub root: PathBuf,
    worktree: bool,
    remotes: HashSet<String>,
}

/// Why a repository is taken for the recorded one, the surest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// It has the first commit of its history. So do forks.
    History,
    /// It has one of its remotes.
    Remote,
}

/// The repository that was found for a recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its working directory.
    pub root: PathBuf,
    /// Why it is taken for the recorded one.
    pub likeness: Likeness,
    /// Others that could be meant as well.
    pub others: Vec<PathBuf>,
}

/// Every repository below a directory, itself included: four levels deep, but not in repositories,
/// in hidden directories, or where programs keep what they fetched or built. The second value is
/// false when there were too many directories to look at all of them.
pub fn clones(root: &Path) -> (Vec<Clone>, bool) {
    let (mut found, mut left) = (Vec::new(), MOST);
    let complete = collect(root, DEPTH, &mut left, &mut found);
    found.sort_by(|a, b| a.root.cmp(&b.root));
    (found, complete)
}

fn collect(dir: &Path, depth: usize, left: &mut usize, found: &mut Vec<Clone>) -> bool {
    let Some(rest) = left.checked_sub(1) else { return false };
    *left = rest;
    if dir.join(".git").symlink_metadata().is_ok() {
        found.extend(look(dir));
        return true;
    }
    let (Some(depth), Ok(entries)) = (depth.checked_sub(1), fs::read_dir(dir)) else { return true };
    let mut complete = true;
    for entry in entries.flatten() {
        // Not through links: two ways to one place would be two repositories.
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !is_passed_by(&entry.file_name()) {
            complete &= collect(&entry.path(), depth, left, found);
        }
    }
    complete
}

/// Whether nobody keeps repositories to work in below a directory of this name: hidden ones, and where
/// programs keep what they fetched or built.
pub fn is_passed_by(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || PASSED_BY.contains(&&*name)
}

/// The repository whose working directory is exactly `dir`.
fn look(dir: &Path) -> Option<Clone> {
    let repository = open_at(dir)?;
    Some(Clone {
        root: dir.to_owned(),
        worktree: open::is_worktree(&repository),
        remotes: identities(&repository),
    })
}

fn open_at(dir: &Path) -> Option<Repository> {
    let repository = open::open(dir).ok()??;
    let (here, wanted) = (repository.workdir()?.canonicalize().ok()?, dir.canonicalize().ok()?);
    (here == wanted).then_some(repository)
}

fn identities(repository: &Repository) -> HashSet<String> {
    known(&describe::remotes(repository).unwrap_or_default())
}

/// By what the remotes of a repository are recognised. A relative path means something else in every
/// directory.
pub(super) fn known(remotes: &[Remote]) -> HashSet<String> {
    let means_one = |url: &str| !url::is_local(url) || url::is_absolute(url);
    let urls = remotes.iter().map(|remote| remote.url.as_str());
    urls.filter(|url| means_one(url)).map(url::identity).collect()
}

/// Whether the repository whose working directory is exactly `dir` is the recorded one.
pub fn is_at(recorded: &Repo, dir: &Path) -> Option<Likeness> {
    let repository = open_at(dir)?;
    likeness(recorded, &identities(&repository), &repository)
}

/// Whether a repository is the recorded one.
fn likeness(recorded: &Repo, remotes: &HashSet<String>, repository: &Repository) -> Option<Likeness> {
    if !known(&recorded.remotes).is_disjoint(remotes) {
        return Some(Likeness::Remote);
    }
    has_history(recorded, repository).then_some(Likeness::History)
}

/// Whether it has the recorded commit, or the first one of the recorded history.
pub(super) fn has_history(recorded: &Repo, repository: &Repository) -> bool {
    [&recorded.root_commit, &recorded.commit].into_iter().flatten().any(|commit| has(repository, commit))
}

fn has(repository: &Repository, commit: &str) -> bool {
    Oid::from_str(commit).is_ok_and(|id| repository.find_commit(id).is_ok())
}

/// Which of the repositories is the recorded one.
///
/// One with a remote in common goes before one with a commit in common; then one that has the
/// recorded commit, one that is a linked worktree or not as the recorded one, one of the same
/// directory name, and the shorter path.
pub fn choose(recorded: &Repo, clones: &[Clone]) -> Option<Match> {
    let name = recorded.root.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    let rank = |clone: &Clone| {
        let repository = open_at(&clone.root)?;
        let likeness = likeness(recorded, &clone.remotes, &repository)?;
        let has_commit = recorded.commit.as_deref().is_some_and(|commit| has(&repository, commit));
        let has_name = clone.root.file_name().is_some_and(|here| here.to_string_lossy() == name);
        Some((likeness, has_commit, has_name, clone.worktree == recorded.worktree))
    };
    let mut ranked: Vec<_> = clones.iter().filter_map(|clone| Some((rank(clone)?, clone))).collect();
    ranked.sort_by_key(|(rank, clone)| (Reverse(*rank), clone.root.as_os_str().len(), &clone.root));
    let (first, others) = ranked.split_first()?;
    let others = others.iter().filter(|other| other.0.0 == first.0.0).map(|(_, clone)| clone.root.clone());
    Some(Match { root: first.1.root.clone(), likeness: first.0.0, others: others.collect() })
}

/// Whether two records are of one repository.
pub fn is_same(one: &Repo, other: &Repo) -> bool {
    !known(&one.remotes).is_disjoint(&known(&other.remotes))
        || (one.root_commit.is_some() && one.root_commit == other.root_commit)
}

/// The branch and the commit that are checked out at `root`; either may be none.
pub fn head(root: &Path) -> Option<(Option<String>, Option<String>)> {
    let repository = open_at(root)?;
    let head = repository.find_reference("HEAD").ok()?;
    let branch = head.symbolic_target().ok().flatten();
    let branch = branch.map(|name| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned());
    let commit = head.peel_to_commit().ok().map(|commit| commit.id().to_string());
    Some((branch, commit))
}
