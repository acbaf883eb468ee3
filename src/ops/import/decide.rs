//! The action for each session.

use std::path::PathBuf;

use rayon::prelude::*;

use super::compare::{Relation, Verdict};
use super::destination::{Destination, Rules};
use super::here::Here;
use super::incoming::{Incoming, Session};
use super::repositories::Repositories;
use super::{Options, judge, own};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{self, Found, Harness, Layout, Target};
use crate::model::{Head, ids};

/// What to do with a session that is here already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// Leave what is here.
    #[default]
    Skip,
    /// Take the incoming session if it continues what is here, so that nothing gets lost.
    Update,
    /// Take the incoming session, after a backup.
    Replace,
    /// Keep both: the incoming session gets a new id.
    Copy,
    /// Import nothing at all.
    Fail,
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is new here.
    Create,
    /// What is here grows.
    Update,
    /// What is here is replaced.
    Replace,
    /// It goes to another directory of this machine.
    Move,
    /// It comes beside what is here, under a new id.
    Copy,
    /// Nothing happens.
    Skip(&'static str),
    /// It cannot be done.
    Fail(String),
}

/// A session with its decision.
pub struct Planned<'a> {
    /// The session.
    pub session: &'a Session<'a>,
    /// The harness that it comes from; `None` when this program does not know it.
    pub from: Option<&'static dyn Harness>,
    /// The harness that it goes to.
    pub to: Option<&'static dyn Harness>,
    /// Its id there.
    pub id: String,
    /// Where it goes; `None` when it fails before that is known.
    pub destination: Option<Destination>,
    /// Where the files of that directory are until they are moved together with the session.
    pub still_at: Option<PathBuf>,
    /// What is there under that id.
    pub existing: Option<Found>,
    /// The files it consists of there.
    pub layout: Layout,
    /// For each file of the layout, how it relates to what is there.
    pub relations: Vec<Relation>,
    /// Files of the existing session that have to go.
    pub obsolete: Vec<PathBuf>,
    /// What happens.
    pub decision: Decision,
}

impl<'a> Planned<'a> {
    /// A session that cannot be brought.
    pub fn failed(session: &'a Session<'a>, reason: impl ToString) -> Self {
        Self {
            session,
            from: None,
            to: None,
            id: String::new(),
            destination: None,
            still_at: None,
            existing: None,
            layout: Layout::default(),
            relations: Vec::new(),
            obsolete: Vec::new(),
            decision: Decision::Fail(reason.to_string()),
        }
    }

    /// Whether something is written.
    pub fn acts(&self) -> bool {
        !matches!(self.decision, Decision::Skip(_) | Decision::Fail(_))
    }

    /// Whether something else is there under its id, or it cannot be done.
    pub fn is_conflict(&self) -> bool {
        !matches!(self.decision, Decision::Create | Decision::Skip("identical"))
    }

    /// The reason of a skip or a failure.
    pub fn reason(&self) -> Option<&str> {
        match &self.decision {
            Decision::Skip(reason) => Some(reason),
            Decision::Fail(reason) => Some(reason),
            _ => None,
        }
    }

    /// `harness:id` of the target, or of the source when there is no target.
    pub fn label(&self) -> String {
        match self.to {
            Some(to) => format!("{}:{}", to.info().id, self.id),
            None => format!("{}:{}", self.session.head.harness, self.session.head.id),
        }
    }

    /// The target, as the adapters want it; `None` when it failed before that was known.
    pub fn target<'t>(&'t self, env: &'t Env, options: &'t Options) -> Option<Target<'t>> {
        let destination = self.destination.as_ref()?;
        Some(Target {
            env,
            id: &self.id,
            cwd: &destination.cwd,
            still_at: self.still_at.as_deref(),
            paths: &destination.paths,
            source: &self.session.head,
            options: &options.write,
            existing: self.existing.as_ref(),
        })
    }
}

/// Decides for every session.
///
/// # Errors
/// When a store cannot be read. Trouble with one session is its own
/// [`Decision::Fail`].
pub fn plan<'a>(
    env: &Env,
    incoming: &'a Incoming<'a>,
    options: &Options,
    rules: &Rules,
    repositories: &Repositories<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Planned<'a>>> {
    let here = Here::look(env, incoming, options)?;
    let planned: Vec<(Planned<'a>, Vec<String>)> = incoming
        .sessions
        .par_iter()
        .enumerate()
        .map(|(place, session)| {
            let mut warnings = Vec::new();
            let repository = repositories.of_session(place);
            let destination =
                |warnings: &mut Vec<String>| rules.destination(&session.head, repository, warnings);
            let planned = plan_one(env, session, options, destination, &here, &mut warnings)
                .unwrap_or_else(|error| Planned::failed(session, with_hints(&error)));
            (planned, warnings)
        })
        .collect();
    Ok(planned
        .into_iter()
        .map(|(planned, more)| {
            warnings.extend(more);
            planned
        })
        .collect())
}

/// The error in one line, with what to do about it.
pub fn with_hints(error: &Error) -> String {
    let mut text = error.to_string();
    for hint in error.hints() {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}

/// The harness that a session goes to; `None` when it is its own and this program does not know it.
pub fn target_harness(session: &Session<'_>, options: &Options) -> Option<&'static dyn Harness> {
    options.to.or_else(|| harness::by_id(&session.head.harness).ok())
}

fn plan_one<'a>(
    env: &Env,
    session: &'a Session<'a>,
    options: &Options,
    destination: impl FnOnce(&mut Vec<String>) -> Result<Destination>,
    here: &Here,
    warnings: &mut Vec<String>,
) -> Result<Planned<'a>> {
    let head = &*session.head;
    if let Some(reason) = &session.refused {
        return Ok(Planned::failed(session, reason));
    }
    let Ok(from) = harness::by_id(&head.harness) else {
        let message = format!("this holdall does not know the harness {:?}; a newer one may", head.harness);
        return Ok(Planned::failed(session, message));
    };
    let to = options.to.unwrap_or(from);
    let destination = destination(warnings)?;
    let mut planned = Planned {
        from: Some(from),
        to: Some(to),
        id: id_there(from, to, head, 0)?,
        destination: Some(destination),
        ..Planned::failed(session, "")
    };
    for copy in 0.. {
        planned.id = id_there(from, to, head, copy)?;
        planned.existing = here.find(to, &planned.id).cloned();
        place(env, options, &mut planned)?;
        if planned.existing.is_none() {
            planned.decision = if copy == 0 { Decision::Create } else { Decision::Copy };
            break;
        }
        let verdict = judge::judge(env, options, here, &mut planned)?;
        if verdict != Verdict::Identical && options.on_conflict == OnConflict::Copy {
            continue;
        }
        planned.decision = decide(verdict, options.on_conflict);
        break;
    }
    if planned.acts() {
        own::check(env, options, here, &planned)?;
    }
    warnings.append(&mut planned.layout.warnings);
    if let (true, Some(existing)) = (planned.acts(), &planned.existing) {
        if let Some(reason) = to.live(env, existing)? {
            planned.decision = Decision::Fail(in_use(&reason));
        } else {
            planned.obsolete = match planned.decision {
                Decision::Replace => obsolete(env, to, existing, &planned.layout)?,
                // The session goes on in another file; two files with one id would be two sessions.
                Decision::Update => moved(existing, &planned.layout),
                _ => Vec::new(),
            };
            if let (Decision::Replace, Some(rows)) = (&planned.decision, &mut planned.layout.rows) {
                rows.scope.append(&mut rows.replaced);
            }
            planned.obsolete.extend(planned.layout.stale.iter().filter(|path| path.is_file()).cloned());
        }
    }
    Ok(planned)
}

/// Why a session that is open cannot be changed.
pub fn in_use(reason: &str) -> String {
    format!("it is in use: {reason}; close it there and try again")
}

/// The id in the target. `copy` counts the copies beside it.
fn id_there(from: &dyn Harness, to: &dyn Harness, head: &Head, copy: u32) -> Result<String> {
    if from.info().id == to.info().id && copy == 0 {
        if !to.valid_id(&head.id) {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{:?} cannot be the id of a {} session", head.id, to.info().name),
            ));
        }
        return Ok(head.id.clone());
    }
    Ok(to.id_from(ids::converted(from.info().id, &head.id, to.info().id, copy)))
}

/// Asks the target where the session's files go.
///
/// # Errors
/// When it does not take them.
pub(super) fn place(env: &Env, options: &Options, planned: &mut Planned<'_>) -> Result<()> {
    let (Some(from), Some(to)) = (planned.from, planned.to) else { return Ok(()) };
    let layout = {
        let Some(target) = planned.target(env, options) else { return Ok(()) };
        let files = planned.session.payload.files();
        if from.info().id == to.info().id {
            to.place_native(&target, files)?
        } else {
            to.place_converted(&target, files)?
        }
    };
    planned.relations = vec![Relation::Missing; layout.files.len()];
    planned.layout = layout;
    Ok(())
}

fn decide(verdict: Verdict, policy: OnConflict) -> Decision {
    match (verdict, policy) {
        (Verdict::Identical, _) => Decision::Skip("identical"),
        (_, OnConflict::Replace) => Decision::Replace,
        (Verdict::IncomingContinues, OnConflict::Update) => Decision::Update,
        (Verdict::IncomingContinues, _) => Decision::Skip("exists"),
        (Verdict::HereContinues, _) => Decision::Skip("newer-here"),
        (Verdict::Diverged, _) => Decision::Skip("diverged"),
    }
}

/// The transcript that is there, when the new one is another file.
fn moved(existing: &Found, layout: &Layout) -> Vec<PathBuf> {
    // Its path is that of the database then.
    if layout.rows.is_some() {
        return Vec::new();
    }
    let stays = layout.files.iter().any(|file| file.path == existing.path);
    if stays { Vec::new() } else { vec![existing.path.clone()] }
}

/// The files of the existing session that the new one does not have.
///
/// # Errors
/// When it cannot be opened.
pub fn obsolete(env: &Env, to: &dyn Harness, existing: &Found, layout: &Layout) -> Result<Vec<PathBuf>> {
    if layout.rows.is_some() {
        return Ok(Vec::new());
    }
    let session = to.open(env, existing)?;
    let data_dir = to.data_dir(env);
    let own = session.payload.files().iter().filter(|file| !to.is_shared(&file.path));
    let mut paths: Vec<PathBuf> = own.map(|file| data_dir.join(&file.path)).collect();
    paths.push(existing.path.clone());
    paths.retain(|path| path.is_file() && !layout.files.iter().any(|file| file.path == *path));
    paths.sort();
    paths.dedup();
    Ok(paths)
}
