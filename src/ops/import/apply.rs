//! Carry the actions out, through [`crate::txn`].

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;

use super::compare::Relation;
use super::decide::{Decision, Origin, Planned};
use super::incoming::Incoming;
use super::render::Counter;
use super::report::{Change, Report, ResumeRow, Row, Source, TargetRow};
use super::{Options, render};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::git::{self, Comparison};
use crate::harness::{self, Confirmation, Found, Harness};
use crate::interrupt::Watched;
use crate::model::Fidelity;
use crate::progress::Progress;
use crate::txn::plan::{Action, SessionPlan};
use crate::txn::{self, Meta, Outcome, Transaction};

/// What one planned session does to the disk.
struct Work {
    actions: Vec<Action>,
    /// For each action, the file of the layout that gives it its content.
    contents: Vec<Option<usize>>,
}

/// What became of one planned session.
#[derive(Default)]
struct Done {
    fidelity: Fidelity,
    changes: Vec<Change>,
    failure: Option<String>,
    verified: Option<&'static str>,
}

/// Writes what was planned, or only counts it, and reports.
///
/// # Errors
/// When the transaction could not be made; then nothing was changed.
pub fn run(
    env: &Env,
    incoming: &Incoming<'_>,
    options: &Options,
    plans: Vec<Planned<'_>>,
    mut warnings: Vec<String>,
    progress: &dyn Progress,
) -> Result<Report> {
    warn_about_places(env, &plans, &mut warnings);
    let work: Vec<Work> = plans.iter().map(work).collect();
    let total = |plan: &Planned<'_>| -> u64 {
        if plan.acts() { plan.session.payload.files().iter().map(|file| file.size).sum() } else { 0 }
    };
    progress.begin(if options.dry_run { "planning" } else { "importing" }, plans.iter().map(total).sum());
    let import_id = import_id(env);
    let acting = plans.iter().any(Planned::acts);
    let (mut done, backup_dir) = if options.dry_run || !acting {
        let done = plans
            .par_iter()
            .zip(&work)
            .map(|(plan, work)| {
                let done = count(env, options, plan, work);
                progress.advance(total(plan));
                done
            })
            .collect();
        (done, options.dry_run.then(|| backup_dir(env, &import_id, options, &work)).flatten())
    } else {
        write(env, incoming, options, &plans, &work, &import_id, &total, progress)?
    };
    progress.end();
    verify(env, options, &plans, &mut done, &mut warnings);
    let sessions = plans.iter().zip(done).map(|(plan, done)| row(plan, done)).collect();
    dedup(&mut warnings);
    Ok(Report {
        schema: "holdall.import/1",
        dry_run: options.dry_run,
        import_id: acting.then_some(import_id),
        archive: incoming.archive.clone(),
        backup_dir,
        sessions,
        warnings,
    })
}

fn work(plan: &Planned<'_>) -> Work {
    let mut actions = Vec::new();
    let mut contents = Vec::new();
    if !plan.acts() {
        return Work { actions, contents };
    }
    for (place, (file, relation)) in plan.layout.files.iter().zip(&plan.relations).enumerate() {
        let (path, modified) = (file.path.clone(), file.modified);
        // An identical transcript somewhere else (archived, say) still has to come to its new place.
        let action = match relation {
            Relation::Identical if file.path.exists() => continue,
            _ if file.path.exists() => Action::Replace { path, modified },
            _ => Action::Create { path, modified },
        };
        actions.push(action);
        contents.push(Some(place));
    }
    for path in &plan.obsolete {
        actions.push(Action::Remove { path: path.clone() });
        contents.push(None);
    }
    for line in &plan.layout.lines {
        actions.push(Action::AppendLine {
            path: line.path.clone(),
            line: line.line.clone(),
            lock: line.lock.clone(),
        });
        contents.push(None);
    }
    Work { actions, contents }
}

/// Renders every file without keeping it.
fn count(env: &Env, options: &Options, plan: &Planned<'_>, work: &Work) -> Done {
    let mut done = Done::default();
    for (action, content) in work.actions.iter().zip(&work.contents) {
        let bytes = match content {
            Some(place) => match render_file(env, options, plan, *place, &mut Counter::default()) {
                Ok((fidelity, bytes)) => {
                    done.fidelity.merge(&fidelity);
                    bytes
                }
                Err(error) => {
                    done.failure = Some(error.to_string());
                    return done;
                }
            },
            None => line_bytes(action),
        };
        done.changes.push(change(action, bytes));
    }
    done
}

fn render_file(
    env: &Env,
    options: &Options,
    plan: &Planned<'_>,
    place: usize,
    counter: &mut Counter,
) -> Result<(Fidelity, u64)> {
    let (Some(target), Some(file)) = (plan.target(env, options), plan.layout.files.get(place)) else {
        return Err(Error::new(Kind::Unsupported, "the session has no target"));
    };
    let fidelity = render::file(plan, &target, file, counter)?;
    Ok((fidelity, counter.0))
}

#[allow(clippy::too_many_arguments)] // One call; a struct would only rename them.
fn write(
    env: &Env,
    incoming: &Incoming<'_>,
    options: &Options,
    plans: &[Planned<'_>],
    work: &[Work],
    import_id: &str,
    total: &(dyn Fn(&Planned<'_>) -> u64 + Sync),
    progress: &dyn Progress,
) -> Result<(Vec<Done>, Option<PathBuf>)> {
    let meta = Meta {
        archive: incoming.archive.clone(),
        created: env.now(),
        tool: concat!("holdall ", env!("CARGO_PKG_VERSION")).to_owned(),
        backup: !options.no_backup,
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
    let transaction = Transaction::begin(&env.state_dir(), import_id, meta, session_plans)?;
    let staged: Vec<Result<Done>> = acting
        .par_iter()
        .enumerate()
        .map(|(session, &place)| {
            let done = stage(env, options, &transaction, session, &plans[place], &work[place]);
            progress.advance(total(&plans[place]));
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
                done[place].failure = Some(error.to_string());
            }
        }
    }
    let committed = transaction.commit(progress)?;
    for (outcome, &place) in committed.sessions.iter().zip(&acting) {
        if let Outcome::Failed(error) = outcome {
            done[place].changes.clear();
            done[place].failure = Some(error.to_string());
        }
    }
    Ok((done, committed.backup_dir))
}

fn stage(
    env: &Env,
    options: &Options,
    transaction: &Transaction,
    session: usize,
    plan: &Planned<'_>,
    work: &Work,
) -> Result<Done> {
    let mut done = Done::default();
    for (index, (action, content)) in work.actions.iter().zip(&work.contents).enumerate() {
        let bytes = match content {
            Some(place) => {
                let (Some(target), Some(file)) = (plan.target(env, options), plan.layout.files.get(*place))
                else {
                    return Err(Error::new(Kind::Unsupported, "the session has no target"));
                };
                let staged = transaction.stage(session, index, &mut |out| {
                    done.fidelity.merge(&render::file(plan, &target, file, &mut Watched::new(out))?);
                    Ok(())
                })?;
                staged.bytes
            }
            None => line_bytes(action),
        };
        done.changes.push(change(action, bytes));
    }
    Ok(done)
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

fn line_bytes(action: &Action) -> u64 {
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
    };
    Change { kind, path: action.path().to_owned(), bytes }
}

fn import_id(env: &Env) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", env.now().format("%Y%m%dT%H%M%SZ"), &random[..4])
}

/// Where a real run would keep what it replaces.
fn backup_dir(env: &Env, import_id: &str, options: &Options, work: &[Work]) -> Option<PathBuf> {
    let replaces = |action: &Action| matches!(action, Action::Replace { .. } | Action::Remove { .. });
    let any = !options.no_backup && work.iter().flat_map(|work| &work.actions).any(replaces);
    any.then(|| txn::backup_dir(&env.state_dir(), import_id))
}

/// Directories that are missing, repositories that are not what they were, harnesses that never ran.
fn warn_about_places(env: &Env, plans: &[Planned<'_>], warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for plan in plans.iter().filter(|plan| plan.acts()) {
        let (Some(to), Some(destination)) = (plan.to, &plan.destination) else { continue };
        if seen.insert(to.data_dir(env)) && !to.data_dir(env).is_dir() {
            let info = to.info();
            let installed = match env.find_program(info.program) {
                Some(_) => "",
                None => " and is not on PATH: install it to go on with the sessions",
            };
            let dir = to.data_dir(env);
            warnings.push(format!(
                "{} has no data directory here yet ({}){installed}",
                info.name,
                dir.display()
            ));
        }
        if !seen.insert(destination.cwd.clone()) {
            continue;
        }
        if !destination.cwd.is_dir() {
            warnings.push(format!(
                "{} does not exist: make it before you resume, or import with --cwd-map",
                destination.cwd.display()
            ));
        } else if let Some(repo) = plan.session.repo {
            match git::compare(repo, &destination.cwd) {
                Comparison::Same => {}
                other => warnings.push(format!("{}: {other}", destination.cwd.display())),
            }
        }
    }
}

/// Asks the target program, or reads the sessions again from where they were put.
fn verify(
    env: &Env,
    options: &Options,
    plans: &[Planned<'_>],
    done: &mut [Done],
    warnings: &mut Vec<String>,
) {
    let mut by_harness: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (place, plan) in plans.iter().enumerate() {
        if let (true, Some(to), None) = (plan.acts(), plan.to, &done[place].failure) {
            by_harness.entry(to.info().id).or_default().push(place);
        }
    }
    for (id, places) in by_harness {
        let Ok(to) = harness::by_id(id) else { continue };
        let asks = to.info().confirms && !options.no_confirm && env.find_program(to.info().program).is_some();
        if to.info().confirms && !asks {
            warnings.push(format!(
                "{} did not run, so it has not indexed the sessions: they resume by id, and its own list shows them \
                 after it has scanned its directory",
                to.info().name
            ));
        }
        if options.dry_run {
            for place in places {
                done[place].verified = Some(if asks { "program" } else { "read-back" });
            }
            continue;
        }
        let listed = if asks { ask(env, to, plans, &places, warnings) } else { HashSet::new() };
        for place in places {
            done[place].verified = if listed.contains(&plans[place].id) {
                Some("program")
            } else {
                read_back(env, to, &plans[place]).then_some("read-back")
            };
        }
    }
}

fn ask(
    env: &Env,
    to: &dyn Harness,
    plans: &[Planned<'_>],
    places: &[usize],
    warnings: &mut Vec<String>,
) -> HashSet<String> {
    let ids: Vec<String> = places.iter().map(|&place| plans[place].id.clone()).collect();
    match to.confirm(env, &ids) {
        Ok(Confirmation::Listed(listed)) => {
            let missing = ids.iter().filter(|id| !listed.contains(id)).count();
            if missing > 0 {
                warnings.push(format!(
                    "{} does not list {missing} of {} sessions; `{}` opens one by its id",
                    to.info().name,
                    ids.len(),
                    to.resume("ID", env.home()).argv.join(" ")
                ));
            }
            listed.into_iter().collect()
        }
        Ok(Confirmation::NotAsked(advice)) => {
            warnings.extend(advice);
            HashSet::new()
        }
        Err(error) => {
            warnings.push(format!("{} could not be asked about the sessions: {error}", to.info().name));
            HashSet::new()
        }
    }
}

fn read_back(env: &Env, to: &dyn Harness, plan: &Planned<'_>) -> bool {
    let Some(path) = plan.layout.files.first().map(|file| file.path.clone()) else { return false };
    let Ok(meta) = path.metadata() else { return false };
    let Ok(modified) = meta.modified() else { return false };
    let found = Found { id: plan.id.clone(), path, bytes: meta.len(), modified };
    matches!(to.head(env, &found), Ok(Some(head)) if head.id == plan.id)
}

fn row(plan: &Planned<'_>, done: Done) -> Row {
    let head = &plan.session.head;
    let (action, mut reason) = match &plan.decision {
        Decision::Create => ("create", None),
        Decision::Update => ("update", None),
        Decision::Replace => ("replace", None),
        Decision::Copy => ("copy", None),
        Decision::Skip(reason) => ("skip", Some((*reason).to_owned())),
        Decision::Fail(reason) => ("fail", Some(reason.clone())),
    };
    let failed = done.failure.is_some() || action == "fail";
    if done.failure.is_some() {
        reason = done.failure;
    }
    let path = plan.layout.files.first().map(|file| file.path.clone());
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

fn dedup(warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
}
