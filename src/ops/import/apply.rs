//! Carry the actions out, through [`crate::txn`].

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::compare::Relation;
use super::decide::{Decision, Planned, with_hints};
use super::here::Origin;
use super::incoming::Incoming;
use super::meter::{self, Meter};
use super::render::Counter;
use super::report::{Change, Report, ResumeRow, Row, Source, TargetRow};
use super::{Options, judge, render, verify, warnings};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{Found, OutLine, Stored};
use crate::interrupt::Watched;
use crate::model::Fidelity;
use crate::progress::Progress;
use crate::txn::plan::{Action, SessionPlan};
use crate::txn::{Hold, Meta, Outcome, Transaction};

/// What one planned session does to the disk.
pub(in crate::ops) struct Work {
    /// The actions, in order.
    pub actions: Vec<Action>,
    /// For each action, where its content comes from.
    pub contents: Vec<Content>,
}

/// Where the content of an action comes from.
pub(in crate::ops) enum Content {
    /// It has none.
    Nothing,
    /// These files of the layout.
    Files(Vec<usize>),
    /// This index of the layout.
    Index(usize),
}

/// What became of one planned session.
#[derive(Default)]
pub struct Done {
    /// What a conversion kept, adapted and dropped.
    pub fidelity: Fidelity,
    /// What changed on disk.
    pub changes: Vec<Change>,
    /// Why it could not be brought.
    pub failure: Option<String>,
    /// How it was checked that the target can use it.
    pub verified: Option<&'static str>,
}

/// Writes what was planned, or only counts it, and reports. `hold` was taken before it was planned;
/// without one nothing is written.
///
/// # Errors
/// When the transaction could not be made; then nothing was changed.
pub fn run(
    env: &Env,
    incoming: &Incoming<'_>,
    options: &Options,
    plans: Vec<Planned<'_>>,
    mut warnings: Vec<String>,
    hold: Option<Hold>,
    progress: &dyn Progress,
) -> Result<Report> {
    warnings::about_places(env, options, &plans, &mut warnings);
    let work: Vec<Work> = plans.iter().map(work).collect();
    let total = plans.iter().filter(|plan| plan.acts()).map(|plan| meter::size(&*plan.session.payload)).sum();
    let doing = if options.moved.is_some() { "moving" } else { "importing" };
    progress.begin(if options.dry_run { "planning" } else { doing }, total);
    // A dry run has no name: there is nothing that `undo` could take back.
    let hold = hold.filter(|_| plans.iter().any(Planned::acts));
    let import_id = hold.as_ref().map(|hold| hold.new_id(env.now()));
    let (mut done, backup_dir) = match hold.zip(import_id.as_deref()) {
        Some(held) => write(env, incoming, options, &plans, &work, held, progress)?,
        None => {
            let counted =
                plans.par_iter().zip(&work).map(|(plan, work)| count(env, options, plan, work, progress));
            (counted.collect(), None)
        }
    };
    progress.end();
    // Where every session failed, nothing is left that could be taken back.
    let is_done = |(plan, done): (&Planned<'_>, &Done)| plan.acts() && done.failure.is_none();
    let import_id = import_id.filter(|_| plans.iter().zip(&done).any(is_done));
    verify::verify(env, options, &plans, &mut done, &mut warnings);
    let sessions = plans.iter().zip(done).map(|(plan, done)| row(plan, done)).collect();
    warnings::once(&mut warnings);
    Ok(Report {
        schema: "holdall.import/1",
        dry_run: options.dry_run,
        import_id,
        archive: incoming.archive.clone(),
        backup_dir,
        sessions,
        repos: Vec::new(),
        warnings,
    })
}

impl Content {
    /// Whether it has none.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// What a planned session does to the disk.
pub(in crate::ops) fn work(plan: &Planned<'_>) -> Work {
    let mut actions = Vec::new();
    let mut contents = Vec::new();
    if !plan.acts() {
        return Work { actions, contents };
    }
    for (place, (file, relation)) in plan.layout.files.iter().zip(&plan.relations).enumerate() {
        if file.stored == Stored::Rows {
            continue;
        }
        let (path, modified) = (file.path.clone(), file.modified);
        // An identical transcript somewhere else (archived, say) still has to come to its new place.
        let action = match relation {
            Relation::Identical if file.path.exists() => continue,
            _ if file.path.exists() => Action::Replace { path, modified },
            _ => Action::Create { path, modified },
        };
        actions.push(action);
        contents.push(Content::Files(vec![place]));
    }
    if let Some(rows) = &plan.layout.rows {
        let files = plan.layout.files.iter().enumerate();
        actions.push(Action::Rows {
            path: rows.database.clone(),
            scope: rows.scope.clone(),
            shared: rows.shared.clone(),
        });
        let places = files.filter(|(_, file)| file.stored == Stored::Rows).map(|(place, _)| place);
        contents.push(Content::Files(places.collect()));
    }
    for (place, index) in plan.layout.index.iter().enumerate() {
        let (path, scope, shared) = (index.database.clone(), index.scope.clone(), index.shared.clone());
        actions.push(Action::Rows { path, scope, shared });
        contents.push(Content::Index(place));
    }
    for path in &plan.obsolete {
        actions.push(Action::Remove { path: path.clone() });
        contents.push(Content::Nothing);
    }
    for line in &plan.layout.lines {
        actions.push(append(line));
        contents.push(Content::Nothing);
    }
    Work { actions, contents }
}

/// A line of a layout as an action.
pub(in crate::ops) fn append(line: &OutLine) -> Action {
    Action::AppendLine {
        path: line.path.clone(),
        line: line.line.clone(),
        lock: line.lock.clone(),
        keep_while: line.keep_while.clone(),
    }
}

/// Renders every file without keeping it.
fn count(env: &Env, options: &Options, plan: &Planned<'_>, work: &Work, progress: &dyn Progress) -> Done {
    let mut done = Done::default();
    if !plan.acts() {
        return done;
    }
    let mut meter = Meter::new(&*plan.session.payload, progress);
    for (action, content) in work.actions.iter().zip(&work.contents) {
        let mut counter = Counter::default();
        match render_all(env, options, plan, content, &mut meter.watch(&mut counter)) {
            Ok(fidelity) => done.fidelity.merge(&fidelity),
            Err(error) => {
                done.failure = Some(with_hints(&error));
                break;
            }
        }
        let bytes = if content.is_nothing() { small_bytes(action) } else { counter.0 };
        done.changes.push(change(action, bytes));
    }
    meter.finish();
    done
}

/// Renders the content of one action.
pub(in crate::ops) fn render_all(
    env: &Env,
    options: &Options,
    plan: &Planned<'_>,
    content: &Content,
    out: &mut dyn Write,
) -> Result<Fidelity> {
    let no_target = || Error::new(Kind::Unsupported, "the session has no target");
    let target = plan.target(env, options).ok_or_else(no_target)?;
    let mut fidelity = Fidelity::default();
    match content {
        Content::Nothing => {}
        Content::Files(places) => {
            for place in places {
                let file = plan.layout.files.get(*place).ok_or_else(no_target)?;
                fidelity.merge(&render::stored(plan, &target, file, out)?);
            }
        }
        Content::Index(place) => {
            let (Some(to), Some(index)) = (plan.to, plan.layout.index.get(*place)) else {
                return Err(no_target());
            };
            to.reindex(&target, index, out)?;
        }
    }
    Ok(fidelity)
}

fn write(
    env: &Env,
    incoming: &Incoming<'_>,
    options: &Options,
    plans: &[Planned<'_>],
    work: &[Work],
    (hold, import_id): (Hold, &str),
    progress: &dyn Progress,
) -> Result<(Vec<Done>, Option<PathBuf>)> {
    let meta = Meta {
        archive: incoming.archive.clone(),
        created: env.now(),
        tool: concat!("holdall ", env!("CARGO_PKG_VERSION")).to_owned(),
        backup: !options.no_backup,
        moved: options.moved.clone(),
        tidied: tidied(env, plans),
    };
    // The transaction's sessions are the acting ones, in order.
    let acting: Vec<usize> = (0..plans.len()).filter(|&place| plans[place].acts()).collect();
    let session_plans = acting
        .iter()
        .map(|&place| SessionPlan {
            label: plans[place].label(),
            actions: work[place].actions.clone(),
            about: about(&plans[place]),
        })
        .collect();
    make_stores(env, plans, &acting)?;
    let transaction = Transaction::begin_in(hold, import_id, meta, session_plans)?;
    let staged: Vec<Result<Done>> = acting
        .par_iter()
        .enumerate()
        .map(|(session, &place)| {
            let mut meter = Meter::new(&*plans[place].session.payload, progress);
            let done = stage(env, options, &transaction, session, &plans[place], &work[place], &mut meter);
            meter.finish();
            done
        })
        .collect();
    let mut done: Vec<Done> = plans.iter().map(|_| Done::default()).collect();
    for (session, (result, &place)) in staged.into_iter().zip(&acting).enumerate() {
        match result {
            Ok(staged) => done[place] = staged,
            // Nothing of this session is worth keeping when the disk is full: the others would
            // fail the same way, one by one, and leave a home half imported.
            Err(error) if error.kind() == Kind::Io => {
                transaction.abandon()?;
                return Err(error);
            }
            Err(error) => {
                transaction.drop_session(session)?;
                done[place].failure = Some(with_hints(&error));
            }
        }
    }
    let committed = transaction.commit(progress)?;
    for (outcome, &place) in committed.sessions.iter().zip(&acting) {
        if let Outcome::Failed(error) = outcome {
            done[place].changes.clear();
            done[place].failure = Some(with_hints(error));
        }
    }
    Ok((done, committed.backup_dir))
}

/// The directories of a store that sessions leave, each before the one that it is in. Those that a
/// store begins with stay.
fn tidied(env: &Env, plans: &[Planned<'_>]) -> Vec<PathBuf> {
    let mut dirs = BTreeSet::new();
    for plan in plans.iter().filter(|plan| plan.decision == Decision::Move) {
        let Some(data) = plan.to.map(|to| to.data_dir(env)) else { continue };
        let above = plan.obsolete.iter().flat_map(|path| path.ancestors().skip(1));
        let is_below = |dir: &Path| dir.strip_prefix(&data).is_ok_and(|rest| rest.components().count() > 1);
        dirs.extend(above.filter(|dir| is_below(dir)).map(Path::to_owned));
    }
    dirs.into_iter().rev().collect()
}

fn stage(
    env: &Env,
    options: &Options,
    transaction: &Transaction,
    session: usize,
    plan: &Planned<'_>,
    work: &Work,
    meter: &mut Meter<'_>,
) -> Result<Done> {
    let mut done = Done::default();
    plan.existing.as_ref().map_or(Ok(()), is_still)?;
    for (index, (action, content)) in work.actions.iter().zip(&work.contents).enumerate() {
        if matches!(content, Content::Files(_)) && plan.existing.is_none() {
            transaction.expect_new(session, index);
        }
        let bytes = if content.is_nothing() {
            small_bytes(action)
        } else {
            let staged = transaction.stage(session, index, &mut |out| {
                // The transaction knows what is there from now on, not what was there when it was decided
                // that nothing of it gets lost.
                if plan.decision == Decision::Update && !judge::rows_are_as_judged(env, options, plan)? {
                    return Err(changed(&format!("the session {}", plan.id)));
                }
                let mut out = Watched::new(meter.watch(out));
                done.fidelity.merge(&render_all(env, options, plan, content, &mut out)?);
                Ok(())
            })?;
            staged.bytes
        };
        done.changes.push(change(action, bytes));
    }
    Ok(done)
}

/// Refuses where a program went on with the session since it was looked at: what was decided then may
/// lose that. From here on the transaction sees to it.
///
/// # Errors
/// [`Kind::Conflict`].
pub(in crate::ops) fn is_still(found: &Found) -> Result<()> {
    let Found { path, bytes: Some(bytes), modified, .. } = found else { return Ok(()) };
    let meta = path.symlink_metadata();
    if meta.is_ok_and(|meta| meta.len() == *bytes && meta.modified().is_ok_and(|time| time == *modified)) {
        return Ok(());
    }
    Err(changed(&path.display().to_string()))
}

fn changed(what: &str) -> Error {
    Error::new(Kind::Conflict, format!("{what} has changed meanwhile"))
        .hint("close the program that writes it, and try again")
}

/// What a later import needs to recognise a conversion; a session's own bytes speak for themselves.
fn about(plan: &Planned<'_>) -> serde_json::Value {
    if plan.from.map(|from| from.info().id) == plan.to.map(|to| to.info().id) {
        return serde_json::Value::Null;
    }
    let origin = Origin {
        source: plan.session.head.clone().into_owned(),
        files: plan.session.payload.files().to_vec(),
    };
    serde_json::to_value(origin).unwrap_or_default()
}

/// Lets the programs make the databases that are missing.
fn make_stores(env: &Env, plans: &[Planned<'_>], acting: &[usize]) -> Result<()> {
    let mut made = HashSet::new();
    for plan in acting.iter().map(|&place| &plans[place]) {
        let (Some(to), Some(rows), Some(destination)) = (plan.to, &plan.layout.rows, &plan.destination)
        else {
            continue;
        };
        if !rows.database.try_exists().unwrap_or(true) && made.insert(rows.database.clone()) {
            to.make_store(env, &destination.cwd)?;
        }
    }
    Ok(())
}

/// How many bytes an action without a content of its own writes.
fn small_bytes(action: &Action) -> u64 {
    match action {
        Action::AppendLine { line, .. } => line.len() as u64 + 1,
        _ => 0,
    }
}

fn change(action: &Action, bytes: u64) -> Change {
    let kind = match action {
        Action::Create { .. } => "create",
        Action::Replace { .. } => "replace",
        Action::Remove { .. } => "remove",
        Action::AppendLine { .. } => "append",
        Action::Rows { .. } => "sqlite",
    };
    Change { kind, path: action.path().to_owned(), bytes }
}

fn row(plan: &Planned<'_>, done: Done) -> Row {
    let head = &plan.session.head;
    let (action, mut reason) = match &plan.decision {
        Decision::Create => ("create", None),
        Decision::Update => ("update", None),
        Decision::Replace => ("replace", None),
        Decision::Move => ("move", None),
        Decision::Copy => ("copy", None),
        Decision::Skip(reason) => ("skip", Some((*reason).to_owned())),
        Decision::Fail(reason) => ("fail", Some(reason.clone())),
    };
    let is_handover = plan.acts() && plan.layout.handover.is_some();
    let failed = done.failure.is_some() || action == "fail" || is_handover;
    if done.failure.is_some() {
        reason = done.failure;
    } else if failed && action != "fail" {
        reason.clone_from(&plan.layout.handover);
    }
    let database = plan.layout.rows.as_ref().map(|rows| rows.database.clone());
    let path = database.or_else(|| plan.layout.files.first().map(|file| file.path.clone()));
    let path = path.or_else(|| plan.layout.index.first().map(|index| index.database.clone()));
    let cwd = plan.destination.as_ref().map(|destination| destination.cwd.clone());
    let resume = match (plan.to, &cwd) {
        (Some(to), Some(cwd)) if !failed => {
            let resume = to.resume(&plan.id, cwd);
            Some(ResumeRow { argv: resume.argv, cwd: resume.cwd })
        }
        _ => None,
    };
    Row {
        source: Source {
            harness: head.harness.clone(),
            id: head.id.clone(),
            title: head.title.clone(),
            cwd: head.cwd.clone(),
        },
        target: TargetRow {
            harness: plan.to.map(|to| to.info().id),
            id: (!plan.id.is_empty()).then(|| plan.id.clone()),
            cwd,
            path,
        },
        action: if failed { "fail" } else { action },
        reason,
        fidelity: done.fidelity,
        changes: done.changes,
        resume,
        verified: done.verified.unwrap_or("no"),
    }
}
