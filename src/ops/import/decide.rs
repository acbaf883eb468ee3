//! The action for each session.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::compare::{self, Relation, Verdict};
use super::destination::{Destination, Rules};
use super::incoming::{Incoming, Session};
use super::{Options, render};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{self, Found, Growth, Harness, Layout, OutFile, Target};
use crate::model::{FileMeta, Head, Payload, ReadSeek, ids};
use crate::txn;

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
    fn failed(session: &'a Session<'a>, reason: impl ToString) -> Self {
        Self {
            session,
            from: None,
            to: None,
            id: String::new(),
            destination: None,
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
/// When the rules make no sense or a store cannot be read. Trouble with one session is its own
/// [`Decision::Fail`].
pub fn plan<'a>(
    env: &Env,
    incoming: &'a Incoming<'a>,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<Vec<Planned<'a>>> {
    let rules = Rules::new(env, &incoming.home, &options.cwd_map, options.workspace_root.as_deref())?;
    let here = Here::look(env, incoming, options)?;
    let planned: Vec<(Planned<'a>, Vec<String>)> = incoming
        .sessions
        .par_iter()
        .map(|session| {
            let mut warnings = Vec::new();
            let planned = plan_one(env, session, options, &rules, &here, &mut warnings)
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

fn with_hints(error: &Error) -> String {
    let mut text = error.to_string();
    for hint in error.hints() {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}

/// The sessions that the target stores hold already, and what earlier imports wrote.
struct Here {
    stores: HashMap<&'static str, HashMap<String, Found>>,
    state_dir: PathBuf,
    /// By label. Journals are long, and only a conflict between conversions asks for them.
    origins: OnceLock<HashMap<String, Origin>>,
}

/// What an earlier import made a session from; kept in the journal as [`txn::plan::SessionPlan::about`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Origin {
    /// The session as it was then.
    pub source: Head,
    /// The files it had then.
    pub files: Vec<FileMeta>,
}

impl Here {
    fn look(env: &Env, incoming: &Incoming<'_>, options: &Options) -> Result<Self> {
        let mut stores: HashMap<&'static str, HashMap<String, Found>> = HashMap::new();
        for session in &incoming.sessions {
            let Some(to) = target_harness(session, options) else { continue };
            if stores.contains_key(to.info().id) {
                continue;
            }
            let mut store = HashMap::new();
            to.scan(env, &mut |found| {
                store.insert(found.id.clone(), found);
            })?;
            stores.insert(to.info().id, store);
        }
        Ok(Self { stores, state_dir: env.state_dir(), origins: OnceLock::new() })
    }

    /// What the last import made the session with this label from.
    fn origin(&self, label: &str) -> Result<Option<&Origin>> {
        if self.origins.get().is_none() {
            let mut origins = HashMap::new();
            let imports = txn::imports(&self.state_dir)?;
            for session in imports
                .into_iter()
                .filter(|import| import.undone_at.is_none())
                .flat_map(|import| import.sessions)
            {
                // Newest first: the first one found is the last one written.
                if let Ok(origin) = serde_json::from_value(session.about) {
                    origins.entry(session.label).or_insert(origin);
                }
            }
            // Another thread may have been faster; it found the same.
            let _ = self.origins.set(origins);
        }
        Ok(self.origins.get().and_then(|origins| origins.get(label)))
    }

    fn find(&self, to: &dyn Harness, id: &str) -> Option<&Found> {
        self.stores.get(to.info().id)?.get(id)
    }
}

fn target_harness(session: &Session<'_>, options: &Options) -> Option<&'static dyn Harness> {
    options.to.or_else(|| harness::by_id(&session.head.harness).ok())
}

fn plan_one<'a>(
    env: &Env,
    session: &'a Session<'a>,
    options: &Options,
    rules: &Rules,
    here: &Here,
    warnings: &mut Vec<String>,
) -> Result<Planned<'a>> {
    let head = &*session.head;
    let Ok(from) = harness::by_id(&head.harness) else {
        let message = format!("this holdall does not know the harness {:?}; a newer one may", head.harness);
        return Ok(Planned::failed(session, message));
    };
    let to = options.to.unwrap_or(from);
    let destination = rules.destination(head, session.repo, warnings)?;
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
        let verdict = judge(env, options, here, &mut planned)?;
        if verdict != Verdict::Identical && options.on_conflict == OnConflict::Copy {
            continue;
        }
        planned.decision = decide(verdict, options.on_conflict);
        break;
    }
    warnings.append(&mut planned.layout.warnings);
    if let (true, Some(existing)) = (planned.acts(), &planned.existing) {
        if let Some(reason) = to.live(env, existing)? {
            let id = &planned.id;
            planned.decision =
                Decision::Fail(format!("{id} is in use: {reason}; close it there and import again"));
        } else {
            if planned.decision == Decision::Replace {
                planned.obsolete = obsolete(env, to, existing, &planned.layout)?;
            }
            planned.obsolete.extend(planned.layout.stale.iter().filter(|path| path.is_file()).cloned());
        }
    }
    Ok(planned)
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
    Ok(ids::converted(from.info().id, &head.id, to.info().id, copy).to_string())
}

fn place(env: &Env, options: &Options, planned: &mut Planned<'_>) -> Result<()> {
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

/// Compares every file of the session with what is there.
fn judge(env: &Env, options: &Options, here: &Here, planned: &mut Planned<'_>) -> Result<Verdict> {
    let relations = relations(planned, |file, path| {
        let target =
            planned.target(env, options).ok_or_else(|| Error::new(Kind::Unsupported, "no target"))?;
        compare::file(path, |out| render::file(planned, &target, file, out).map(drop))
    })?;
    let verdict = verdict(planned, &relations);
    planned.relations = relations;
    if verdict == Verdict::Diverged && grew_since(env, options, here, planned)? {
        return Ok(Verdict::IncomingContinues);
    }
    Ok(verdict)
}

fn verdict(planned: &Planned<'_>, relations: &[Relation]) -> Verdict {
    let files: Vec<(Growth, Relation)> =
        planned.layout.files.iter().map(|file| file.growth).zip(relations.iter().copied()).collect();
    compare::session(&files)
}

fn relations(
    planned: &Planned<'_>,
    compare: impl Fn(&OutFile, &Path) -> Result<Relation>,
) -> Result<Vec<Relation>> {
    let transcript = |place: usize| (place == 0).then_some(planned.existing.as_ref()).flatten();
    planned
        .layout
        .files
        .iter()
        .enumerate()
        .map(|(place, file)| {
            // The harness may have moved the transcript (archived it, say).
            let path = transcript(place).map_or(file.path.as_path(), |found| found.path.as_path());
            compare(file, path)
        })
        .collect()
}

/// Whether what is there is what an earlier import made of an earlier state of the same session,
/// and nobody touched it since. A converted file ends with records that a longer session has
/// further down, so comparing bytes cannot tell; rendering the earlier state again can.
fn grew_since(env: &Env, options: &Options, here: &Here, planned: &Planned<'_>) -> Result<bool> {
    let (Some(from), Some(to)) = (planned.from, planned.to) else { return Ok(false) };
    if from.info().id == to.info().id {
        return Ok(false);
    }
    let Some(origin) = here.origin(&planned.label())? else { return Ok(false) };
    if origin.source.id != planned.session.head.id {
        return Ok(false);
    }
    let Some(earlier) = Earlier::of(&*planned.session.payload, &origin.files) else { return Ok(false) };
    let Some(now) = planned.target(env, options) else { return Ok(false) };
    let target = Target { source: &origin.source, ..now };
    let layout = to.place_converted(&target, earlier.files())?;
    for file in &layout.files {
        let relation = compare::file(&file.path, |out| {
            render::content(from, to, planned.session, &earlier, &target, &file.source, out).map(drop)
        })?;
        if relation != Relation::Identical {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A session as it was when its files had these sizes.
struct Earlier<'a> {
    now: &'a dyn Payload,
    files: Vec<FileMeta>,
    places: Vec<usize>,
}

impl<'a> Earlier<'a> {
    fn of(now: &'a dyn Payload, then: &[FileMeta]) -> Option<Self> {
        let mut places = Vec::with_capacity(then.len());
        for old in then {
            let same = |new: &FileMeta| new.path == old.path && new.size >= old.size;
            places.push(now.files().iter().position(same)?);
        }
        Some(Self { now, files: then.to_vec(), places })
    }
}

impl Payload for Earlier<'_> {
    fn files(&self) -> &[FileMeta] {
        &self.files
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        let size = self.files.get(index).map_or(0, |file| file.size);
        let inner = self.now.open(self.places.get(index).copied().unwrap_or(usize::MAX))?;
        Ok(Box::new(harness::common::files::Bounded::new(inner, size)))
    }
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

/// The files of the existing session that the new one does not have.
fn obsolete(env: &Env, to: &dyn Harness, existing: &Found, layout: &Layout) -> Result<Vec<PathBuf>> {
    let session = to.open(env, existing)?;
    let data_dir = to.data_dir(env);
    let mut paths: Vec<PathBuf> =
        session.payload.files().iter().map(|file| data_dir.join(&file.path)).collect();
    paths.push(existing.path.clone());
    paths.retain(|path| path.is_file() && !layout.files.iter().any(|file| file.path == *path));
    paths.sort();
    paths.dedup();
    Ok(paths)
}
