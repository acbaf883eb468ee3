//! What an incoming session must not write over, although its files say so.
//!
//! A session of an archive names its files and its sub-agents itself. Most places follow from the
//! session's own id, which decides what is already here. The others (a sub-agent that is a session
//! of its own, a tool's output in a folder that sessions share, a saved chat) may be somebody
//! else's, and what somebody else has here is never replaced.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use super::compare::{self, Relation};
use super::decide::Planned;
use super::here::Here;
use super::{Options, render};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{Harness, OutFile, Stored};
use crate::model::{Payload, Role};

/// Looks whether all that the planned session would write is its own, or new.
///
/// # Errors
/// [`Kind::Conflict`] names what belongs to another session, or where a link leads out of the
/// store; others when what is here cannot be read.
pub fn check(env: &Env, options: &Options, here: &Here, planned: &Planned<'_>) -> Result<()> {
    let (Some(from), Some(to)) = (planned.from, planned.to) else { return Ok(()) };
    let data = to.data_dir(env);
    let files = planned.layout.files.iter().filter(|file| file.stored == Stored::File);
    let lines = planned.layout.lines.iter().map(|line| line.path.as_path());
    files.map(|file| file.path.as_path()).chain(lines).try_for_each(|path| stays_inside(&data, path))?;
    // What a conversion makes has names that follow from its own id alone.
    if from.info().id != to.info().id {
        return Ok(());
    }
    let own = Own::of(env, to, planned)?;
    let same: Vec<&Path> = foreign(env, options, to, planned, &data, &own)?;
    // A copy has sub-agents of its own.
    if planned.id != planned.session.head.id {
        return Ok(());
    }
    for id in agents(&*planned.session.payload) {
        let is_new = |path: &Path| !own.agents.contains(id) && !same.contains(&path);
        if let Some(found) = here.find(to, id).filter(|found| is_new(&found.path)) {
            let message =
                format!("its sub-agent {id:?} is another session, which is here: {}", found.path.display());
            return Err(Error::new(Kind::Conflict, message));
        }
    }
    Ok(())
}

/// What the session that is here under the id has.
#[derive(Default)]
struct Own {
    files: HashSet<PathBuf>,
    agents: HashSet<String>,
}

impl Own {
    fn of(env: &Env, to: &dyn Harness, planned: &Planned<'_>) -> Result<Self> {
        let Some(existing) = &planned.existing else { return Ok(Self::default()) };
        let data = to.data_dir(env);
        let session = to.open(env, existing)?;
        let files = session.payload.files().iter().map(|file| data.join(&file.path));
        Ok(Self {
            files: files.chain([existing.path.clone()]).collect(),
            agents: agents(&*session.payload).map(str::to_owned).collect(),
        })
    }
}

fn agents(payload: &dyn Payload) -> impl Iterator<Item = &str> {
    let agents = payload.files().iter().filter(|file| file.role != Role::Transcript);
    agents.filter_map(|file| file.agent.as_ref()).map(|agent| agent.id.as_str())
}

/// The files of places that anybody could have, which are here with the same content.
///
/// # Errors
/// When one is here with other content, and not the session's.
fn foreign<'p>(
    env: &Env,
    options: &Options,
    to: &dyn Harness,
    planned: &'p Planned<'_>,
    data: &Path,
    own: &Own,
) -> Result<Vec<&'p Path>> {
    let mut same = Vec::new();
    let is_named_after_it = |path: &Path| {
        let below = path.strip_prefix(data).unwrap_or(path);
        // A shorter one could stand in any name.
        planned.id.len() >= 16
            && below.components().any(|part| part.as_os_str().to_string_lossy().contains(planned.id.as_str()))
    };
    for file in planned.layout.files.iter().filter(|file| file.stored == Stored::File) {
        let OutFile { path, .. } = file;
        if own.files.contains(path) || is_named_after_it(path) || path.symlink_metadata().is_err() {
            continue;
        }
        let Some(target) = planned.target(env, options) else { continue };
        let render = |out: &mut dyn Write| render::file(planned, &target, file, out).map(drop);
        if compare::file(path, to.trailer(file), render)? != Relation::Identical {
            let message = format!("{} is here already, and not this session's", path.display());
            return Err(Error::new(Kind::Conflict, message).hint("move it away to import the session"));
        }
        same.push(path.as_path());
    }
    Ok(same)
}

/// Looks whether a link on the way to `path` leads out of the data directory. The directory itself
/// and the folders that every store has may be links of the user's; what is below them is named after
/// sessions.
fn stays_inside(data: &Path, path: &Path) -> Result<()> {
    let Ok(below) = path.strip_prefix(data) else { return Ok(()) };
    let mut parts = below.components();
    let Some(first) = parts.next() else { return Ok(()) };
    let folder = data.join(first);
    let mut step = folder.clone();
    for part in parts {
        if let Component::Normal(name) = part {
            step.push(name);
        }
        if !step.is_symlink() {
            continue;
        }
        let inside = |real: &PathBuf| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder));
        if !step.canonicalize().is_ok_and(|real| inside(&real)) {
            let message = format!("{} is a link that leads out of {}", step.display(), folder.display());
            return Err(Error::new(Kind::Conflict, message).hint("nothing is written through it; remove it"));
        }
    }
    Ok(())
}
