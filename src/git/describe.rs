//! The state of a repository.

use std::path::Path;

use git2::{BranchType, ErrorCode, Repository};

use super::bundle::history;
use super::open::{self, unreadable};
use super::repo::{Remote, Repo};
use super::{changes, url};
use crate::error::Result;

/// How far the first commit is looked for: a tenth of a second.
const NEAR: usize = 10_000;

/// Describes the repository that a directory belongs to, looking upward from it. `None` when there
/// is no repository, or no such directory.
///
/// Remotes are those of the configuration, without credentials; one that would run a command is
/// left out.
///
/// # Errors
/// When the repository is damaged or must not be read.
pub fn describe(dir: &Path) -> Result<Option<Repo>> {
    match open::open(dir)? {
        Some(repository) => state(&repository).map(Some).map_err(|error| unreadable(dir, error)),
        None => Ok(None),
    }
}

/// The first commit of the history of the repository that a directory belongs to, however far back it
/// is; see [`Repo::root_commit`].
///
/// # Errors
/// When the repository is damaged or must not be read.
pub fn root_commit(dir: &Path) -> Result<Option<String>> {
    let Some(repository) = open::open(dir)? else { return Ok(None) };
    let root = history::root(&repository, usize::MAX).map_err(|error| unreadable(dir, error))?;
    Ok(root.map(|id| id.to_string()))
}

/// Everything there is to say of a repository.
pub(super) fn state(repository: &Repository) -> Result<Repo, git2::Error> {
    let root = repository.workdir().unwrap_or_else(|| repository.path());
    let mut repo = Repo {
        root: without_slash(&root.to_string_lossy()).to_owned(),
        worktree: open::is_worktree(repository),
        remotes: remotes(repository)?,
        ..Repo::default()
    };
    let head = repository.find_reference("HEAD")?;
    repo.branch = head.symbolic_target_bytes().map(|target| {
        String::from_utf8_lossy(target.strip_prefix(b"refs/heads/").unwrap_or(target)).into_owned()
    });
    match head.peel_to_commit() {
        Ok(commit) => {
            repo.commit = Some(commit.id().to_string());
            repo.subject = commit.summary_bytes().map(|line| String::from_utf8_lossy(line).into_owned());
        }
        // A branch without a commit, as in a new repository.
        Err(error) if error.code() == ErrorCode::NotFound && is_unborn(repository) => {}
        Err(error) => return Err(error),
    }
    repo.root_commit = history::root(repository, NEAR)?.map(|id| id.to_string());
    follow_upstream(repository, &mut repo)?;
    let changes = changes::count(repository)?;
    (repo.modified, repo.untracked) = (changes.modified, changes.untracked);
    Ok(repo)
}

fn is_unborn(repository: &Repository) -> bool {
    repository.head().is_err_and(|error| error.code() == ErrorCode::UnbornBranch)
}

fn without_slash(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        shorter => shorter,
    }
}

pub(super) fn remotes(repository: &Repository) -> Result<Vec<Remote>, git2::Error> {
    let names = repository.remotes()?;
    let config = repository.config()?.snapshot()?;
    let remotes = names.iter().filter_map(|name| {
        let name = name.ok()??;
        // Not through `Remote::url`, which applies the rewriting rules of this machine.
        let url = config.get_string(&format!("remote.{name}.url")).ok()?;
        let url = url::strip_credentials(&url);
        (!url.is_empty() && !url::runs_command(&url)).then(|| Remote { name: name.to_owned(), url })
    });
    Ok(remotes.collect())
}

/// The upstream of the branch, as far as it was fetched.
fn follow_upstream(repository: &Repository, repo: &mut Repo) -> Result<(), git2::Error> {
    let Some(name) = &repo.branch else { return Ok(()) };
    let Ok(branch) = repository.find_branch(name, BranchType::Local) else { return Ok(()) };
    let Ok(upstream) = branch.upstream() else { return Ok(()) };
    repo.upstream = Some(String::from_utf8_lossy(upstream.name_bytes()?).into_owned());
    if let (Some(here), Some(there)) = (branch.get().target(), upstream.get().target()) {
        let (ahead, behind) = repository.graph_ahead_behind(here, there)?;
        (repo.ahead, repo.behind) = (Some(ahead as u64), Some(behind as u64));
    }
    Ok(())
}
