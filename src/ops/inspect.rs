//! `inspect` and `verify`: look into an archive.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use serde::Serialize;

use crate::archive::manifest::Manifest;
use crate::archive::{Archive, Problem};
use crate::error::{Error, Kind, Result};
use crate::ops::backup::restore;
use crate::progress::Progress;

/// What `inspect --json` prints: the manifest, and whether all of the archive was verified.
#[derive(Serialize)]
pub struct Inspection {
    /// The manifest.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Whether every byte was checked. False for a large file, of which only the structure was: what
    /// was checked of either was right, or it would be an error.
    pub verified: bool,
}

/// What `verify --json` prints.
#[derive(Serialize)]
pub struct Verification {
    /// `holdall.verify/1`
    pub schema: &'static str,
    /// Whether there are no problems.
    pub ok: bool,
    /// What is wrong, and where.
    pub problems: Vec<Problem>,
}

/// What to call an archive; `-` is stdin.
pub fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.to_string_lossy().into_owned() }
}

/// Opens an archive; `-` is stdin.
///
/// # Errors
/// When it cannot be read or is refused.
pub fn open(file: &Path, stdin: &mut dyn Read) -> Result<Archive> {
    if file == Path::new("-") {
        return Archive::read(stdin).map_err(|error| error.context("standard input"));
    }
    Archive::open(file)
}

/// Returns what an archive holds, after verifying everything in it, or the structure when it is a
/// [large](Archive::is_large) file. What comes through a pipe is read to its end anyway.
///
/// # Errors
/// When the archive is refused; the first problems are in the message.
pub fn inspect(file: &Path, stdin: &mut dyn Read, progress: &dyn Progress) -> Result<Inspection> {
    let archive = open(file, stdin)?;
    let verified = file == Path::new("-") || !archive.is_large();
    if verified {
        check(&archive, None, progress)?;
    } else {
        refuse(&archive.verify_structure(progress))?;
    }
    Ok(Inspection { manifest: archive.manifest().clone(), verified })
}

/// Verifies everything in the archive.
///
/// # Errors
/// When the file cannot be read. An archive that is refused is an answer, not an error.
pub fn verify(file: &Path, stdin: &mut dyn Read, progress: &dyn Progress) -> Result<Verification> {
    let checked = if file.is_dir() {
        restore::problems_of_dir(file, progress)
    } else {
        open(file, stdin).and_then(|archive| check_all(archive, file, progress))
    };
    let problems = match checked {
        Ok(problems) => problems,
        Err(error) if error.kind() == Kind::Archive => {
            let entry = name(file);
            let problem = error.to_string();
            let problem = problem.strip_prefix(&format!("{entry}: ")).unwrap_or(&problem).to_owned();
            vec![Problem { entry, problem }]
        }
        Err(error) => return Err(error),
    };
    Ok(Verification { schema: "holdall.verify/1", ok: problems.is_empty(), problems })
}

/// What is wrong with an archive, and with those that it leans on.
fn check_all(archive: Archive, file: &Path, progress: &dyn Progress) -> Result<Vec<Problem>> {
    let problems = archive.verify(None, progress)?;
    if !problems.is_empty() {
        return Ok(problems);
    }
    Ok(restore::problems(archive, (file != Path::new("-")).then_some(file)))
}

/// Refuses an archive with problems.
///
/// # Errors
/// [`Kind::Archive`], naming the first problems.
pub fn check(archive: &Archive, sessions: Option<&[usize]>, progress: &dyn Progress) -> Result<()> {
    refuse(&archive.verify(sessions, progress)?)
}

/// Refuses an archive in which the git bundle of one of these sessions' repositories is damaged.
///
/// # Errors
/// As [`check`].
pub fn check_bundles(archive: &Archive, sessions: &[usize], progress: &dyn Progress) -> Result<()> {
    let all = &archive.manifest().sessions;
    let repos: BTreeSet<usize> = sessions.iter().filter_map(|&session| all.get(session)?.repo).collect();
    repos.into_iter().try_for_each(|repo| refuse(&archive.verify_bundle(repo, progress)?))
}

fn refuse(problems: &[Problem]) -> Result<()> {
    let Some(first) = problems.first() else { return Ok(()) };
    let mut error = Error::archive(format!("{}: {}", first.entry, first.problem))
        .hint("nothing was imported; get the file again from where it was exported");
    for problem in problems.iter().skip(1).take(9) {
        error = error.hint(format!("also {}: {}", problem.entry, problem.problem));
    }
    Err(error)
}
