//! What of a repository travels along: a git bundle of the commits that no remote has and of the
//! work that is not committed, in the form that `git bundle` writes (version 2).
//!
//! Not one byte of the repository changes for it. Whatever git objects have to be made are made in
//! memory, and the index is read and never refreshed.
//!
//! - [`write()`]: writes the bundle of a repository
//! - `history`: the commits to carry, and those that they build on
//! - `survey`: what is not committed: files, staged and not, and how large it is
//! - `unseen`: what of it no bundle can hold, for whom to tell
//! - `content`: a file as git would store it
//! - `work`: the commits that hold the uncommitted work
//! - `stage`: git objects that exist in memory only
//! - `trees`: a list of files as tree objects
//! - `pack`: the bytes of the bundle

mod content;
pub(super) mod history;
mod pack;
mod stage;
mod survey;
#[cfg(test)]
mod tests;
mod trees;
mod unseen;
mod work;

use std::io::Write;
use std::path::Path;

use git2::Repository;

use super::open::{self, unreadable};
use super::repo::Carried;
use crate::error::{Error, Kind, Result, from_io};
use history::History;

/// Most bytes of uncommitted work when nobody says otherwise: 100 MiB.
pub const MAX_WORK: u64 = 100 << 20;

/// What to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The whole history of the branch, and not only what no remote has.
    pub full: bool,
    /// Most bytes of uncommitted work.
    pub max_work: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { full: false, max_work: MAX_WORK }
    }
}

/// Writes a bundle of the repository that `dir` belongs to, looking upward from it, with a reference
/// to the uncommitted work for each of these sessions. `None` when there is no repository, or
/// nothing to carry and nothing to say; nothing is written when it says that neither commits nor
/// work are carried.
///
/// # Errors
/// - [`Kind::Conflict`] when the uncommitted work is larger than [`Options::max_work`]; nothing was
///   read of it then
/// - [`Kind::Unsupported`] when the repository cannot be read
/// - [`Kind::Io`] when `out` cannot be written
pub fn write(
    dir: &Path,
    sessions: &[&str],
    options: &Options,
    out: &mut dyn Write,
) -> Result<Option<Carried>> {
    // Each has object stores of its own, so that what one keeps in memory is nothing to the others.
    let (Some(user), Some(stage), Some(filter)) = (open::open(dir)?, open::open(dir)?, open::open(dir)?)
    else {
        return Ok(None);
    };
    let bundle = Bundle { user: &user, stage: &stage, filter: &filter };
    bundle.write(sessions, options, out).map_err(|failure| match failure {
        Failure::Git(error) => Error::new(Kind::Unsupported, unreadable(dir, error).to_string()),
        Failure::Other(error) => error,
    })
}

/// A failure on the way: one of git, which is about the repository, or any other.
enum Failure {
    Git(git2::Error),
    Other(Error),
}

impl From<git2::Error> for Failure {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// One repository, opened for each purpose.
struct Bundle<'r> {
    /// As it is.
    user: &'r Repository,
    /// With new objects in memory.
    stage: &'r Repository,
    /// With nothing but one file in memory.
    filter: &'r Repository,
}

impl Bundle<'_> {
    fn write(
        &self,
        sessions: &[&str],
        options: &Options,
        out: &mut dyn Write,
    ) -> Result<Option<Carried>, Failure> {
        let history = History::of(self.user, options.full)?;
        let survey = survey::survey(self.user)?;
        if survey.bytes() > options.max_work {
            return Err(survey.too_large(self.user, options.max_work).into());
        }
        let odb = stage::memory_over(self.stage)?;
        let mut stage = stage::Stage::new(&odb, survey.base);
        let mut left_out = survey.left_out;
        let work = work::commit(self, &survey.files, history.head, &mut stage, &mut left_out)?;
        unseen::of_repository(self.user, &mut left_out)?;

        let mut needs = history.needs.clone();
        if let (Some(head), 0, Some(_)) = (history.head, history.commits, work) {
            needs = vec![head];
        }
        let carried = Carried {
            needs: needs.iter().map(git2::Oid::to_string).collect(),
            commits: history.commits,
            work: work.map(|id| id.to_string()),
            left_out: left_out.into_sentences(),
        };
        if carried.commits > 0 || work.is_some() {
            pack::write(self.stage, &history, &needs, work, sessions, &stage, out)?;
        }
        Ok((carried != Carried::default()).then_some(carried))
    }
}

/// That the bundle's bytes could not be written.
fn unwritable(error: std::io::Error) -> Error {
    from_io(error, |error| {
        Error::new(Kind::Io, format!("cannot keep the git bundle in a temporary file: {error}"))
            .hint("set TMPDIR to a directory with more room")
    })
}
