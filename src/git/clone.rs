//! A repository that is not here: cloned from one of its remotes with the user's git, or made from
//! what the archive carries.
//!
//! It is made beside its place and gets its name when it is complete, with the recorded branch
//! checked out at the recorded commit where that can be had.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Branch;

use super::program::Git;
use super::repo::{Remote, Repo};
use super::unpack::{self, Bundle};
use super::url;
use crate::error::{Error, IoContext, Kind, Result};
use crate::interrupt;
use crate::place::shell::quoted;

/// How long a remote may say nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a clone was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The remote with this address.
    Remote(String),
    /// The bundle of the archive.
    Bundle,
}

/// A clone that was made.
#[derive(Debug)]
pub struct Cloned {
    /// What it was made from.
    pub origin: Origin,
    /// What the user should know.
    pub remarks: Vec<String>,
}

/// Whether a clone may be made at `target`: there is nothing, or an empty directory.
pub fn is_free(target: &Path) -> bool {
    match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound && target.symlink_metadata().is_err(),
    }
}

/// What [`clone`] tries first; `None`: there is nothing that a clone could be made of.
pub fn origin(repo: &Repo, has_bundle: bool) -> Option<Origin> {
    let remote = remotes(repo).find(|remote| url::refusal(&remote.url).is_none());
    remote.map(|remote| Origin::Remote(remote.url.clone())).or_else(|| {
        let is_whole = repo.carried.as_ref().is_some_and(|carried| carried.needs.is_empty());
        (is_whole && has_bundle).then_some(Origin::Bundle)
    })
}

/// Makes the repository at `target`.
///
/// # Errors
/// When there is something at `target`, no remote could be reached and the bundle does not hold
/// the whole history, or its files cannot be checked out. Nothing of it is left then.
pub fn clone(git: &Git, repo: &Repo, bundle: Option<&Bundle>, target: &Path) -> Result<Cloned> {
    if !is_free(target) {
        return Err(Error::new(Kind::Conflict, format!("{} is not empty", target.display())));
    }
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(Error::usage(format!("{} cannot be a repository", target.display())));
    };
    let made = Parents::make(parent)?;
    let prefix = format!(".{}.holdall-", name.to_string_lossy());
    let beside = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).at("write into", parent)?;
    let dir = beside.path().join("clone");
    let (origin, mut remarks) = fetch(git, repo, bundle, parent, &dir)?;
    add_remotes(git, &dir, repo)?;
    match bring(git, &dir, repo, bundle) {
        // Of a clone of the remote it is worth to have what the remote has.
        Err(error) if matches!(origin, Origin::Remote(_)) && !interrupt::is_asked() => {
            remarks.push(error.to_string());
        }
        brought => brought?,
    }
    // The remote is not there, so large files of git LFS cannot be fetched.
    let vars: &[(OsString, OsString)] = match origin {
        Origin::Bundle => &[("GIT_LFS_SKIP_SMUDGE".into(), "1".into())],
        Origin::Remote(_) => &[],
    };
    check_out(git, &dir, repo, &origin, vars, &mut remarks)?;
    remark(git, &dir, repo, &origin, target, &mut remarks)?;
    give_name(&dir, target)?;
    made.keep();
    Ok(Cloned { origin, remarks })
}

#[allow(clippy::disallowed_methods)] // The user asked for this directory, and there is nothing under its name.
fn give_name(dir: &Path, target: &Path) -> Result<()> {
    fs::rename(dir, target).at("make", target)
}

/// Directories that were made for a clone; those that are empty go again unless they are kept.
struct Parents(Vec<PathBuf>);

impl Parents {
    #[allow(clippy::disallowed_methods)] // The user asked for a directory in them.
    fn make(parent: &Path) -> Result<Self> {
        let mut made = Self(parent.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect());
        fs::create_dir_all(parent).at("make the directory", parent).inspect_err(|_| made.remove())?;
        Ok(made)
    }

    fn keep(mut self) {
        self.0.clear();
    }

    #[allow(clippy::disallowed_methods)] // Only what was made for nothing, and only when it is empty.
    fn remove(&mut self) {
        for dir in self.0.drain(..) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The remotes, in the order in which they are tried: that of the branch, `origin`, the others.
fn remotes(repo: &Repo) -> impl Iterator<Item = &Remote> {
    let followed = repo.upstream.as_deref().unwrap_or_default();
    let rank = move |remote: &&Remote| {
        let is_followed = followed.strip_prefix(&remote.name).is_some_and(|rest| rest.starts_with('/'));
        (!is_followed, remote.name != "origin")
    };
    let mut remotes: Vec<&Remote> = repo.remotes.iter().filter(|remote| is_name(&remote.name)).collect();
    remotes.sort_by_key(rank);
    remotes.into_iter()
}

fn is_name(name: &str) -> bool {
    !name.starts_with('-') && git2::Remote::is_valid_name(name)
}

/// Clones from the first remote that answers, else begins a repository for what the bundle holds.
fn fetch(
    git: &Git,
    repo: &Repo,
    bundle: Option<&Bundle>,
    parent: &Path,
    dir: &Path,
) -> Result<(Origin, Vec<String>)> {
    let ssh: Vec<_> = git.quiet_ssh(parent)?.into_iter().collect();
    let mut failures = Vec::new();
    for remote in remotes(repo) {
        if let Some(reason) = url::refusal(&remote.url) {
            failures.push(format!("{} is not cloned: {reason}", remote.url));
            continue;
        }
        let options = ["clone", "--progress", "--no-checkout", "--origin", &remote.name, "--", &remote.url];
        let arguments = options.iter().map(OsString::from).chain([dir.as_os_str().to_owned()]);
        match git.call(parent, arguments).vars(&ssh).patience(PATIENCE).done() {
            Ok(_) => return Ok((Origin::Remote(remote.url.clone()), failures)),
            Err(error) if interrupt::is_asked() => return Err(error),
            Err(error) => failures.push(format!("{} cannot be cloned: {error}", remote.url)),
        }
        // git takes a clone that failed away itself; when it was killed, it could not.
        discard(dir)?;
    }
    if failures.is_empty() {
        failures.push("it has no remote".to_owned());
    }
    let is_whole = repo.carried.as_ref().is_some_and(|carried| carried.needs.is_empty());
    if bundle.is_none() || !is_whole {
        let advice = match bundle {
            Some(_) => {
                "the archive carries only what the remote did not have: clone it yourself and import again"
            }
            None => "clone it yourself, or export again with `--git full` to carry all of it",
        };
        return Err(Error::new(Kind::NotFound, failures.join("; ")).hint(advice));
    }
    git.call(parent, ["init".as_ref(), "-q".as_ref(), "--".as_ref(), dir.as_os_str()]).done()?;
    Ok((Origin::Bundle, failures))
}

#[allow(clippy::disallowed_methods)] // In a temporary directory of ours.
fn discard(dir: &Path) -> Result<()> {
    if dir.exists() { fs::remove_dir_all(dir).at("remove", dir) } else { Ok(()) }
}

/// Records the remotes that the repository had, but for those that git must not use.
fn add_remotes(git: &Git, dir: &Path, repo: &Repo) -> Result<()> {
    let known = git.ask(dir, &["remote"])?;
    for remote in remotes(repo).filter(|remote| url::refusal(&remote.url).is_none()) {
        if !known.lines().any(|name| name == remote.name) {
            git.ask(dir, &["remote", "add", "--", &remote.name, &remote.url])?;
        }
    }
    Ok(())
}

/// Brings what the bundle holds. What it builds on may be at another remote than the one that was
/// cloned.
fn bring(git: &Git, dir: &Path, repo: &Repo, bundle: Option<&Bundle>) -> Result<()> {
    let (Some(bundle), Some(carried)) = (bundle, &repo.carried) else { return Ok(()) };
    let mut missing = missing(git, dir, &carried.needs)?;
    if !missing.is_empty() {
        for remote in remotes(repo).skip(1).filter(|remote| url::refusal(&remote.url).is_none()) {
            // It may be unreachable like the first one; then the commits are still missing.
            let _ = git.call(dir, ["fetch", "-q", "--", &remote.name]).patience(PATIENCE).run()?;
        }
        missing = self::missing(git, dir, &carried.needs)?;
    }
    if let Some(commit) = missing.first() {
        let message = format!(
            "the carried commits build on {}, which the remote does not have any more",
            short(commit)
        );
        return Err(Error::new(Kind::NotFound, message));
    }
    bundle.index(git, dir, &[])?;
    let tips: Vec<&str> = [repo.commit.as_deref(), carried.work.as_deref()].into_iter().flatten().collect();
    if tips.iter().all(|tip| is_id(tip)) { unpack::check_whole(git, dir, &[], &tips) } else { Err(no_id()) }
}

/// Which of these commits the repository at `dir` does not have.
///
/// # Errors
/// When git cannot be run, or one is no id.
pub(super) fn missing<'c>(git: &Git, dir: &Path, commits: &'c [String]) -> Result<Vec<&'c str>> {
    let mut missing = Vec::new();
    for commit in commits {
        if !is_id(commit) {
            return Err(no_id());
        }
        if !has(git, dir, commit)? {
            missing.push(commit.as_str());
        }
    }
    Ok(missing)
}

pub(super) fn has(git: &Git, dir: &Path, commit: &str) -> Result<bool> {
    git.agrees(dir, &["cat-file", "-e", &format!("{commit}^{{commit}}")])
}

pub(super) fn is_id(commit: &str) -> bool {
    matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn no_id() -> Error {
    Error::archive("the archive names a commit by something that is no id")
}

/// The first ten digits.
pub(super) fn short(commit: &str) -> String {
    commit.chars().take(10).collect()
}

/// Checks out the recorded branch at the recorded commit; without that commit what the remote
/// proposes.
fn check_out(
    git: &Git,
    dir: &Path,
    repo: &Repo,
    origin: &Origin,
    vars: &[(OsString, OsString)],
    remarks: &mut Vec<String>,
) -> Result<()> {
    let branch = repo.branch.as_deref().filter(|name| Branch::name_is_valid(name).unwrap_or(false));
    match &repo.commit {
        Some(commit) if is_id(commit) && has(git, dir, commit)? => {
            let proposed = git.ask(dir, &["symbolic-ref", "-q", "HEAD"]).ok();
            git.ask(dir, &["update-ref", "--no-deref", "HEAD", commit])?;
            // As `git clone --branch` has it: no branch but the one that is wanted.
            if let Some(proposed) = proposed.filter(|name| Some(name.as_str()) != branch.map(full).as_deref()) {
                git.agrees(dir, &["update-ref", "-d", &proposed])?;
                let section = format!("branch.{}", proposed.trim_start_matches("refs/heads/"));
                git.agrees(dir, &["config", "--remove-section", &section])?;
            }
            if let Some(branch) = branch {
                git.ask(dir, &["update-ref", &full(branch), commit])?;
                git.ask(dir, &["symbolic-ref", "HEAD", &full(branch)])?;
                follow(git, dir, repo, origin, branch)?;
            }
        }
        Some(commit) if *origin == Origin::Bundle => {
            let message = format!("the git bundle does not hold commit {}, where the session was", short(commit));
            return Err(Error::archive(message));
        }
        Some(commit) => remarks.push(format!(
            "commit {}, where the session was, is not to be had: it was never pushed, and the archive does not carry \
             it (`export --git bundle` does)",
            short(commit)
        )),
        None => {
            if let (Origin::Bundle, Some(branch)) = (origin, branch) {
                git.ask(dir, &["symbolic-ref", "HEAD", &full(branch)])?;
            }
        }
    }
    if git.agrees(dir, &["rev-parse", "-q", "--verify", "HEAD"])? {
        let reset = git.call(dir, ["reset", "-q", "--hard"]).vars(vars).done();
        reset.map_err(|error| error.context("its files cannot be checked out"))?;
    }
    Ok(())
}

fn full(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// Lets the branch follow the one that it followed, where the remote has that.
fn follow(git: &Git, dir: &Path, repo: &Repo, origin: &Origin, branch: &str) -> Result<()> {
    let upstream = repo.upstream.as_deref().and_then(|upstream| {
        let remote = repo.remotes.iter().find_map(|remote| {
            upstream.strip_prefix(&remote.name)?.strip_prefix('/').map(|rest| (remote.name.as_str(), rest))
        });
        remote.filter(|(remote, branch)| is_name(remote) && Branch::name_is_valid(branch).unwrap_or(false))
    });
    let key = |name: &str| format!("branch.{branch}.{name}");
    git.agrees(dir, &["config", "--unset-all", &key("remote")])?;
    git.agrees(dir, &["config", "--unset-all", &key("merge")])?;
    if let Some((remote, followed)) = upstream {
        let there = format!("refs/remotes/{remote}/{followed}");
        if *origin == Origin::Bundle || git.agrees(dir, &["rev-parse", "-q", "--verify", &there])? {
            git.ask(dir, &["config", &key("remote"), remote])?;
            git.ask(dir, &["config", &key("merge"), &full(followed)])?;
        }
    }
    Ok(())
}

/// Says what a clone does not bring by itself.
fn remark(
    git: &Git,
    dir: &Path,
    repo: &Repo,
    origin: &Origin,
    target: &Path,
    remarks: &mut Vec<String>,
) -> Result<()> {
    let path = target.to_string_lossy();
    let shown = quoted(&path);
    if repo.worktree {
        remarks.push("it was a linked worktree and comes as a repository of its own".to_owned());
    }
    if dir.join(".gitmodules").is_file() {
        remarks.push(format!(
            "its submodules are not here: `git -C {shown} submodule update --init` brings them"
        ));
    }
    let attributes = fs::read(dir.join(".gitattributes")).unwrap_or_default();
    if memchr::memmem::find(&attributes, b"filter=lfs").is_some()
        && (*origin == Origin::Bundle || !git.agrees(dir, &["config", "--get", "filter.lfs.smudge"])?)
    {
        remarks.push(format!("its large files are not here: `git -C {shown} lfs pull` brings them"));
    }
    Ok(())
}
