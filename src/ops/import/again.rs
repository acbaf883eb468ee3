//! A session that is brought in again where it belongs, from where it lies: what an import of it
//! would write, whatever is there.

use std::io::Write;
use std::path::PathBuf;

use super::compare::{self, Relation};
use super::decide::{self, Decision, Planned};
use super::destination::Destination;
use super::incoming::Session;
use super::{Options, apply, render};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{Found, Harness, Stored};
use crate::place::PathMap;

/// A session with what would be written.
pub struct Again<'a> {
    /// What would be written, and where.
    pub planned: Planned<'a>,
    /// What the caller knows it by.
    pub places: Vec<usize>,
    /// How it is written.
    pub options: Options,
}

/// Plans it for the directory that the session has. `existing` is replaced; without it the session
/// is new, as one that another layout of the store holds.
///
/// # Errors
/// When the session has no directory or is in use, or its harness does not take it.
pub fn plan<'a>(
    env: &Env,
    harness: &'static dyn Harness,
    session: &'a Session<'a>,
    existing: Option<&Found>,
    place: usize,
) -> Result<Again<'a>> {
    let options = Options::default();
    let Some(cwd) = session.head.cwd.as_deref() else {
        return Err(Error::new(Kind::Unsupported, "it does not say which directory it belongs to"));
    };
    let mut planned = Planned {
        session,
        from: Some(harness),
        to: Some(harness),
        id: session.head.id.clone(),
        destination: Some(Destination { cwd: PathBuf::from(cwd), paths: PathMap::none() }),
        existing: existing.cloned(),
        still_at: None,
        layout: Default::default(),
        relations: Vec::new(),
        obsolete: Vec::new(),
        decision: if existing.is_some() { Decision::Replace } else { Decision::Create },
    };
    match planned.target(env, &options).filter(|_| existing.is_some()) {
        Some(target) => planned.layout = harness.place_moved(&target, session.payload.files())?,
        None => decide::place(env, &options, &mut planned)?,
    }
    let relations: Result<Vec<Relation>> = planned
        .layout
        .files
        .iter()
        .map(|file| {
            let Some(target) = planned.target(env, &options).filter(|_| file.stored == Stored::File) else {
                return Ok(Relation::Missing);
            };
            let render = |out: &mut dyn Write| render::file(&planned, &target, file, out).map(drop);
            compare::file(&file.path, harness.trailer(file), render)
        })
        .collect();
    planned.relations = relations?;
    if let Some(existing) = existing {
        if let Some(reason) = harness.live(env, existing)? {
            return Err(Error::new(Kind::Busy, format!("it is in use: {reason}")).hint("close it there"));
        }
        planned.obsolete = decide::obsolete(env, harness, existing, &planned.layout)?;
        planned.obsolete.extend(planned.layout.stale.iter().filter(|path| path.is_file()).cloned());
    }
    if let Some(handover) = &planned.layout.handover {
        return Err(Error::new(Kind::Unsupported, handover.clone()));
    }
    Ok(Again { planned, places: vec![place], options })
}

impl Again<'_> {
    /// Writes the content of one of its actions.
    ///
    /// # Errors
    /// When the session cannot be read or `out` fails.
    pub(in crate::ops) fn render(
        &self,
        env: &Env,
        content: &apply::Content,
        out: &mut dyn Write,
    ) -> Result<()> {
        apply::render_all(env, &self.options, &self.planned, content, out).map(drop)
    }
}
