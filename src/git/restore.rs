//! Commits and uncommitted work that an archive carries, brought into a repository that is here.
//!
//! Where the repository has nothing uncommitted and the recorded commit checked out, the work comes
//! into its directory and index, so that `git status` says what it said at the source. Else it comes
//! on a branch of its own, which is not checked out. Changes, branches and files that are there are
//! never touched.

mod decide;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use git2::RepositoryState;

use self::decide::{Decision, Situation, decide};
use super::clone::{has, is_id, missing, no_id, short};
use super::open;
use super::program::Git;
use super::repo::Repo;
use super::unpack::{self, Bundle, Outside};
use crate::error::{Error, Kind, Result};
use crate::place::shell::quoted;

/// The tree without entries, which git knows without having it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// What is to be brought.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'c> {
    /// The repository as it was recorded.
    pub repo: &'c Repo,
    /// What the archive holds of it.
    pub bundle: Option<&'c Bundle>,
    /// The session that a branch is named after.
    pub session: &'c str,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Nothing was uncommitted or unpushed.
    Nothing,
    /// All of it is here already.
    Here,
    /// It is in the directory and index.
    Applied,
    /// It is on this branch, which is not checked out, for this reason.
    Branch {
        /// Its name.
        name: String,
        /// Why it did not come into the directory; `None` when there are only commits.
        reason: Option<String>,
    },
}

/// Brings carried commits and work into the repository at `root`; with `dry_run` only says how.
///
/// # Errors
/// When something that they build on is missing, they are damaged or not what git lets into a
/// repository, or git fails, as it does while another program works on the index.
pub fn restore(git: &Git, root: &Path, wanted: Carried<'_>, dry_run: bool) -> Result<Restored> {
    let Some(carried) = &wanted.repo.carried else { return Ok(Restored::Nothing) };
    let base = wanted.repo.commit.as_deref();
    let work = carried.work.as_deref();
    let Some(tip) = work.or(base.filter(|_| carried.commits > 0)) else { return Ok(Restored::Nothing) };
    if ![Some(tip), base].into_iter().flatten().all(is_id) {
        return Err(no_id());
    }
    if work.is_none() && has(git, root, tip)? && is_reachable(git, root, tip)? {
        return Ok(Restored::Here);
    }
    let Some(bundle) = wanted.bundle else {
        return Err(Error::archive("the archive does not hold what it says it carries"));
    };
    if let Some(commit) = missing(git, root, &carried.needs)?.first() {
        let message = format!(
            "the carried work builds on commit {}, which is not in {}",
            short(commit),
            root.display()
        );
        return Err(Error::new(Kind::NotFound, message).hint(format!(
            "`git -C {} fetch --all` may bring it; then import again",
            quoted(&root.to_string_lossy())
        )));
    }
    let outside = Outside::of(git, root)?;
    bundle.index(git, root, outside.vars())?;
    unpack::check_whole(git, root, outside.vars(), &[tip])?;
    let place = Place { git, root, outside: &outside };
    let index = match work {
        Some(work) => place.staged(work, base)?,
        None => None,
    };
    let decision = decide(&place.situation(base, work, tip)?);
    match decision {
        Decision::Here => Ok(Restored::Here),
        Decision::Apply => {
            if let (false, Some(work)) = (dry_run, work) {
                bundle.index(git, root, &[])?;
                apply(git, root, base, work, index.as_deref())?;
            }
            Ok(Restored::Applied)
        }
        Decision::Branch(reason) => {
            let (name, is_there) = branch_name(git, root, wanted.session, tip)?;
            if is_there {
                return Ok(Restored::Here);
            }
            if !dry_run {
                bundle.index(git, root, &[])?;
                // The zeros: only if there is none.
                git.ask(root, &["update-ref", &format!("refs/heads/{name}"), tip, &"0".repeat(tip.len())])?;
            }
            Ok(Restored::Branch { name, reason })
        }
    }
}

/// A repository, and beside it what an archive carries.
struct Place<'p> {
    git: &'p Git,
    root: &'p Path,
    outside: &'p Outside,
}

impl Place<'_> {
    fn ask(&self, arguments: &[&str]) -> Result<String> {
        self.git.call(self.root, arguments).vars(self.outside.vars()).text()
    }

    /// The commit that holds what was staged. The work must be built on the recorded commit.
    fn staged(&self, work: &str, base: Option<&str>) -> Result<Option<String>> {
        let parents = self.ask(&["rev-list", "--parents", "-n", "1", work, "--"])?;
        let mut parents = parents.split_whitespace().skip(1);
        if let Some(base) = base
            && parents.next() != Some(base)
        {
            return Err(Error::archive("the carried work is not built on the recorded commit"));
        }
        Ok(parents.next().map(str::to_owned))
    }

    fn situation(&self, base: Option<&str>, work: Option<&str>, tip: &str) -> Result<Situation> {
        let head = self.git.ask(self.root, &["rev-parse", "-q", "--verify", "HEAD"]).ok();
        let at_commit = head.as_deref() == base;
        let status =
            ["status", "--porcelain=v2", "-z", "--untracked-files=normal", "--ignore-submodules=dirty"];
        let status = self.git.call(self.root, status).var("GIT_OPTIONAL_LOCKS", "0").done()?;
        let clean = status.stdout.is_empty();
        let (holds_work, obstacle) = match work {
            Some(work) if at_commit && !clean => (self.holds(work)?, None),
            Some(work) if at_commit => (false, self.obstacle(base.unwrap_or(EMPTY_TREE), work)?),
            _ => (false, None),
        };
        Ok(Situation {
            has_work: work.is_some(),
            at_commit,
            clean,
            busy: self.busy(),
            holds_work,
            obstacle,
            reachable: has(self.git, self.root, tip)? && is_reachable(self.git, self.root, tip)?,
        })
    }

    /// Whether a merge, rebase or the like is going on, or only a part is checked out.
    fn busy(&self) -> Option<&'static str> {
        let repository = open::open(self.root).ok()??;
        if repository.state() != RepositoryState::Clean {
            return Some("a merge, rebase or the like is going on there");
        }
        let is_sparse = repository.config().and_then(|config| config.get_bool("core.sparseCheckout"));
        is_sparse.unwrap_or(false).then_some("only a part of it is checked out there")
    }

    /// Whether the directory holds exactly the work. Asked with an index of its own.
    fn holds(&self, work: &str) -> Result<bool> {
        let index = self.outside.file("index");
        let call = |arguments: &[&str]| {
            self.git.call(self.root, arguments).vars(self.outside.vars()).var("GIT_INDEX_FILE", &index)
        };
        call(&["read-tree", work]).done()?;
        // It says with its exit code that something differs.
        call(&["update-index", "-q", "--refresh"]).run()?;
        if !call(&["diff-files", "--quiet", "--ignore-submodules=dirty"]).run()?.is_success() {
            return Ok(false);
        }
        let others = call(&["ls-files", "--others", "--exclude-standard", "--directory", "-z"]).done()?;
        Ok(others.stdout.is_empty())
    }

    /// A file or directory of the user's that is where the work has one, and that git does not know.
    /// git itself would overwrite it where it is ignored.
    fn obstacle(&self, base: &str, work: &str) -> Result<Option<String>> {
        let diff = ["diff-tree", "-r", "-z", "--no-renames", "--name-status", base, work, "--"];
        let listed = self.git.call(self.root, diff).vars(self.outside.vars()).done()?.stdout;
        let mut fields = listed.split(|byte| *byte == 0);
        let (mut added, mut known) = (Vec::new(), HashSet::new());
        while let (Some(status), Some(path)) = (fields.next(), fields.next()) {
            let path = path_of(path)?;
            if status == b"A" {
                added.push(path);
            } else {
                known.insert(path);
            }
        }
        for path in added {
            let above: Vec<&Path> = path.ancestors().skip(1).filter(|dir| *dir != Path::new("")).collect();
            let replaced = above.iter().any(|dir| known.contains(*dir));
            for dir in above.into_iter().filter(|_| !replaced) {
                let meta = self.root.join(dir).symlink_metadata();
                if meta.is_ok_and(|meta| !meta.is_dir()) {
                    return Ok(Some(dir.display().to_string()));
                }
            }
            let Ok(meta) = self.root.join(&path).symlink_metadata() else { continue };
            if replaced && !meta.is_dir() {
                continue;
            }
            let is_ours = meta.is_dir() && self.holds_only_known(&path)?;
            if !is_ours {
                return Ok(Some(path.display().to_string()));
            }
        }
        Ok(None)
    }

    /// Whether git knows every file in a directory.
    fn holds_only_known(&self, dir: &Path) -> Result<bool> {
        let arguments =
            ["ls-files".as_ref(), "--others".as_ref(), "-z".as_ref(), "--".as_ref(), dir.as_os_str()];
        let others = self.git.call(self.root, arguments).var("GIT_LITERAL_PATHSPECS", "1").done()?;
        Ok(others.stdout.is_empty())
    }
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Result<PathBuf> {
    let text = std::str::from_utf8(bytes);
    text.map(PathBuf::from).map_err(|_| Error::new(Kind::Unsupported, "a file name is not UTF-8"))
}

/// Whether some reference keeps a commit that the repository has.
fn is_reachable(git: &Git, root: &Path, commit: &str) -> Result<bool> {
    let refs = git.ask(root, &["for-each-ref", "--count=1", "--contains", commit, "--format=%(refname)"])?;
    Ok(!refs.is_empty() || git.agrees(root, &["merge-base", "--is-ancestor", commit, "HEAD"])?)
}

/// Puts the work into the directory, and what was staged into the index.
fn apply(git: &Git, root: &Path, base: Option<&str>, work: &str, index: Option<&str>) -> Result<()> {
    // So that git knows every file that is as committed, and need not compare.
    git.call(root, ["update-index", "-q", "--refresh"]).run()?;
    let put = git.call(root, ["read-tree", "-m", "-u", base.unwrap_or(EMPTY_TREE), work]).done();
    put.map_err(|error| {
        let advice = format!(
            "`git -C {} status` shows what it wrote; nothing of yours was uncommitted",
            quoted(&root.to_string_lossy())
        );
        error.hint(advice)
    })?;
    let staged = match index.or(base) {
        Some(tree) => git.call(root, ["read-tree", "-m", tree]),
        None => git.call(root, ["read-tree", "--empty"]),
    };
    staged.done().map_err(|error| error.context("all files are there, but what was staged is not"))?;
    // Its exit code says that there are changes, which is the point.
    git.call(root, ["update-index", "-q", "--refresh"]).run()?;
    Ok(())
}

/// A name for a branch at `tip`, and whether there is such a branch at `tip` already.
fn branch_name(git: &Git, root: &Path, session: &str, tip: &str) -> Result<(String, bool)> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' };
    let short: String = session.chars().take(8).map(plain).collect();
    let format = "--format=%(objectname) %(refname)";
    let listed = git.ask(root, &["for-each-ref", format, "refs/heads/holdall", "refs/heads/holdall-*"])?;
    let ours: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(" refs/heads/")).collect();
    if let Some((_, name)) = ours.iter().find(|(commit, _)| *commit == tip) {
        return Ok(((*name).to_owned(), true));
    }
    // A branch of that very name leaves no room for branches below it.
    let separator = if ours.iter().any(|(_, name)| *name == "holdall") { '-' } else { '/' };
    let first = format!("holdall{separator}{short}");
    let is_free = |name: &str| ours.iter().all(|(_, taken)| *taken != name);
    let numbered = (2..).map(|number| format!("{first}-{number}"));
    let name = std::iter::once(first.clone()).chain(numbered).find(|name| is_free(name));
    Ok((name.unwrap_or(first), false))
}
