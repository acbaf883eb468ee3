//! The repairs of one run: planned, backed up, journalled and carried out as one import, which
//! `undo` takes back. Each repair is done wholly or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::jobs::{self, Content, Job};
use super::{Found, Options, Store, follow};
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::diagnosis::{Known, Repair};
use crate::harness::{Confirmation, Harness, Placed};
use crate::ops::import::again::{self, Again};
use crate::ops::import::apply;
use crate::ops::import::incoming::Session;
use crate::progress::Progress;
use crate::txn::plan::SessionPlan;
use crate::txn::{Hold, Meta, Outcome, Transaction};

/// What became of the findings.
pub struct Fixed {
    /// For each finding, whether it is put right.
    pub done: Vec<bool>,
    /// The import that `undo` takes back; `None`: nothing of ours was changed.
    pub import_id: Option<String>,
}

impl Fixed {
    /// Nothing was put right.
    pub fn nothing(findings: usize) -> Self {
        Self { done: vec![false; findings], import_id: None }
    }
}

/// Puts right what can be. `hold` was taken before it was looked for.
///
/// # Errors
/// When the repairs could not be begun, or could not be brought to an end. What stands in the way
/// of one repair is told in `warnings`.
pub fn run(
    env: &Env,
    options: &Options,
    stores: &[Store],
    found: &[Found],
    hold: Hold,
    progress: &dyn Progress,
    warnings: &mut Vec<String>,
) -> Result<Fixed> {
    let mut fixed = Fixed::nothing(found.len());
    let opened = open(env, stores, found, warnings);
    let followed = follow::open(env, found, warnings).unwrap_or_else(|error| {
        warnings.push(format!("no session followed its directory: {error}"));
        None
    });
    let mut sessions: Vec<Again<'_>> = opened
        .iter()
        .filter_map(|(finding, harness, session, existing)| {
            let again = again::plan(env, *harness, session, existing.as_ref(), *finding);
            again.map_err(|error| warnings.push(told(found, *finding, &error))).ok()
        })
        .collect();
    if let Some(follow) = &followed {
        match follow::plan(env, follow, found, warnings) {
            Ok(more) => sessions.extend(more),
            Err(error) => warnings.push(format!("no session followed its directory: {error}")),
        }
    }
    sessions.retain(|again| match make_store(env, options, again) {
        Ok(()) => true,
        Err(error) => {
            warnings.push(format!("{} was not repaired: {error}", again.planned.label()));
            false
        }
    });
    let mut all = Vec::new();
    for (place, finding) in found.iter().enumerate() {
        let Some(Repair::Changes(mends)) = &finding.finding.repair else { continue };
        match jobs::job(env, stores, finding, place, mends) {
            Ok(job) => all.push(job),
            Err(error) => warnings.push(told(found, place, &error)),
        }
    }
    for (session, again) in sessions.iter().enumerate() {
        let work = apply::work(&again.planned);
        let contents = work.contents.into_iter().map(|content| match content.is_nothing() {
            true => Content::None,
            false => Content::Again { session, content },
        });
        all.push(Job {
            findings: again.places.clone(),
            label: again.planned.label(),
            actions: work.actions,
            contents: contents.collect(),
        });
    }
    let jobs = jobs::apart(jobs::join(all), warnings);
    if !jobs.is_empty() {
        carry_out(env, stores, &jobs, &sessions, hold, progress, warnings, &mut fixed)?;
    } else {
        drop(hold);
    }
    if !options.no_confirm {
        ask(env, stores, found, warnings, &mut fixed);
    }
    Ok(fixed)
}

/// Lets the program make its database, when the session needs one.
fn make_store(env: &Env, options: &Options, again: &Again<'_>) -> Result<()> {
    let planned = &again.planned;
    let (Some(to), Some(rows), Some(destination)) = (planned.to, &planned.layout.rows, &planned.destination)
    else {
        return Ok(());
    };
    if rows.database.try_exists().unwrap_or(true) {
        return Ok(());
    }
    if options.no_confirm {
        let message = format!("there is no database {}", rows.database.display());
        let hint = format!("start {} once, or leave --no-confirm away", to.info().name);
        return Err(Error::new(Kind::NotFound, message).hint(hint));
    }
    to.make_store(env, &destination.cwd)
}

fn told(found: &[Found], place: usize, error: &Error) -> String {
    let finding = &found[place].finding;
    let which = finding.session.as_deref().map_or(String::new(), |id| format!(" {id}"));
    format!("{}{which} was not repaired: {error}", finding.code.id)
}

/// A session that is brought in again, opened: its finding's place, its harness, it, and the
/// session that it replaces.
type Opened<'a> = (usize, &'static dyn Harness, Session<'a>, Option<crate::harness::Found>);

fn open<'a>(env: &Env, stores: &[Store], found: &[Found], warnings: &mut Vec<String>) -> Vec<Opened<'a>> {
    let mut opened = Vec::new();
    for (place, one) in found.iter().enumerate() {
        let (Some(Repair::Again { replaces }), Some(harness)) = (&one.finding.repair, one.harness) else {
            continue;
        };
        let Some(known) = known(stores, one) else { continue };
        match harness.open(env, &known.found) {
            Ok(native) => {
                let session = Session {
                    head: std::borrow::Cow::Owned(native.head),
                    repo: None,
                    payload: native.payload,
                    refused: None,
                };
                opened.push((place, harness, session, replaces.then(|| known.found.clone())));
            }
            Err(error) => warnings.push(told(found, place, &error)),
        }
    }
    opened
}

/// The session that a finding is about.
pub fn known<'s>(stores: &'s [Store], found: &Found) -> Option<&'s Known> {
    let id = found.finding.session.as_deref()?;
    let harness = found.harness?.info().id;
    let store = stores.iter().find(|store| store.harness.info().id == harness)?;
    let same = |known: &&Known| known.found.id == id;
    let at = |known: &&Known| finding_path(found).is_none_or(|path| known.found.path == path);
    store.sessions.iter().filter(same).find(at).or_else(|| store.sessions.iter().find(same))
}

fn finding_path(found: &Found) -> Option<&Path> {
    found.finding.path.as_deref()
}

#[allow(clippy::too_many_arguments)] // Each is something else.
fn carry_out(
    env: &Env,
    stores: &[Store],
    jobs: &[Job<'_>],
    sessions: &[Again<'_>],
    hold: Hold,
    progress: &dyn Progress,
    warnings: &mut Vec<String>,
    fixed: &mut Fixed,
) -> Result<()> {
    let meta = Meta {
        archive: None,
        created: env.now(),
        tool: concat!("holdall ", env!("CARGO_PKG_VERSION"), " doctor").to_owned(),
        backup: true,
        moved: None,
        tidied: Vec::new(),
    };
    let plans = jobs
        .iter()
        .map(|job| SessionPlan {
            label: job.label.clone(),
            actions: job.actions.clone(),
            about: serde_json::Value::Null,
        })
        .collect();
    let import_id = hold.new_id(env.now());
    let transaction = Transaction::begin_in(hold, &import_id, meta, plans)?;
    progress.begin("repairing", 0);
    for (place, job) in jobs.iter().enumerate() {
        let staged = is_still(stores, job).and_then(|()| stage(env, &transaction, place, job, sessions));
        if let Err(error) = staged {
            if error.kind() == Kind::Io {
                transaction.abandon()?;
                return Err(error);
            }
            transaction.drop_session(place)?;
            warnings.push(format!("{} was not repaired: {error}", job.label));
        }
    }
    let committed = transaction.commit(progress)?;
    progress.end();
    for (job, outcome) in jobs.iter().zip(&committed.sessions) {
        match outcome {
            Outcome::Applied => {
                fixed.import_id = Some(import_id.clone());
                job.findings.iter().for_each(|&place| fixed.done[place] = true);
            }
            Outcome::Dropped => {}
            Outcome::Failed(error) => {
                warnings.push(format!("{} was not repaired: {error}", job.label));
            }
        }
    }
    Ok(())
}

/// Refuses to put a part of a transcript in its place when the program went on with it since it was looked
/// at. From here on the transaction sees to it.
fn is_still(stores: &[Store], job: &Job<'_>) -> Result<()> {
    for content in &job.contents {
        let Content::Copy { path, .. } = content else { continue };
        let known = stores.iter().flat_map(|store| &store.sessions).map(|known| &known.found);
        if let Some(found) = known.into_iter().find(|found| found.path == *path) {
            apply::is_still(found)?;
        }
    }
    Ok(())
}

fn stage(
    env: &Env,
    transaction: &Transaction,
    place: usize,
    job: &Job<'_>,
    sessions: &[Again<'_>],
) -> Result<()> {
    for (action, content) in job.contents.iter().enumerate() {
        let mut render = |out: &mut dyn Write| -> Result<()> {
            match content {
                Content::None => Ok(()),
                Content::Copy { path, length } => copy(path, *length, out),
                Content::Rows(rows) => {
                    rows.iter().try_for_each(|row| row.write(out)).at("write", Path::new("the staged rows"))
                }
                Content::Again { session, content } => sessions[*session].render(env, content, out),
            }
        };
        if !matches!(content, Content::None) {
            transaction.stage(place, action, &mut render)?;
        }
    }
    Ok(())
}

fn copy(path: &Path, length: u64, out: &mut dyn Write) -> Result<()> {
    let file = File::open(path).at("open", path)?;
    let copied = io::copy(&mut file.take(length), out).at("copy", path)?;
    if copied == length {
        return Ok(());
    }
    Err(Error::new(Kind::Busy, format!("{} became shorter while it was read", path.display())))
}

/// Asks programs for their lists, where that alone puts something right.
fn ask(env: &Env, stores: &[Store], found: &[Found], warnings: &mut Vec<String>, fixed: &mut Fixed) {
    let mut asked: BTreeMap<&str, (&'static dyn Harness, Vec<usize>)> = BTreeMap::new();
    for (place, one) in found.iter().enumerate() {
        if let (Some(Repair::Ask), Some(harness)) = (&one.finding.repair, one.harness) {
            asked.entry(harness.info().id).or_insert((harness, Vec::new())).1.push(place);
        }
    }
    for (harness, places) in asked.into_values() {
        let sessions: Vec<(usize, &str, &Path)> = places
            .iter()
            .filter_map(|&place| {
                let known = known(stores, &found[place])?;
                let cwd = known.head.as_ref().and_then(|head| head.cwd.as_deref()).map(Path::new);
                Some((place, known.found.id.as_str(), cwd.unwrap_or(env.home())))
            })
            .collect();
        let placed: Vec<Placed<'_>> = sessions.iter().map(|(_, id, cwd)| Placed { id, cwd }).collect();
        match harness.confirm(env, &placed) {
            Ok(Confirmation::Listed(listed)) => {
                for (place, id, _) in &sessions {
                    fixed.done[*place] = listed.iter().any(|one| one == id);
                }
            }
            Ok(Confirmation::NotAsked(advice)) => warnings.extend(advice),
            Err(error) => {
                warnings.push(format!("{} could not be asked for its list: {error}", harness.info().name));
            }
        }
    }
}
