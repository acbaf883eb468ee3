//! What happens to each session.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;

use super::ends::{self, Ends};
use crate::env::Env;
use crate::error::{IoContext, Result};
use crate::harness::{Companion, Growth, Harness, OutFile, OutSource, Stored};
use crate::model::Time;
use crate::ops::import::compare::{self, Relation};
use crate::ops::import::decide::{self, Decision, Planned, with_hints};
use crate::ops::import::incoming::Session;
use crate::ops::import::{Incoming, Options, render};
use crate::ops::select::Selected;

/// Plans for the sessions of `incoming`, which are those of `chosen` in this order. `others` are the
/// sessions that stay.
///
/// # Errors
/// When a store cannot be read. Trouble with one session is its own [`Decision::Fail`].
pub fn plan<'a>(
    env: &Env,
    incoming: &'a Incoming<'a>,
    chosen: &[Selected],
    others: &[Selected],
    ends: &[Ends],
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<Vec<Planned<'a>>> {
    let newest = newest_of_each(chosen);
    let mut plans: Vec<Planned<'a>> = incoming
        .sessions
        .par_iter()
        .zip(chosen)
        .enumerate()
        .map(|(place, (session, selected))| {
            if !newest.contains(&place) {
                let reason = format!(
                    "there is a newer session of this id; this one is {}",
                    selected.found.path.display()
                );
                return refused(session, selected, reason);
            }
            plan_one(env, session, selected, ends, options)
                .unwrap_or_else(|error| refused(session, selected, with_hints(&error)))
        })
        .collect();
    for plan in &mut plans {
        warnings.append(&mut plan.layout.warnings);
    }
    add_companions(env, &mut plans, others, options, warnings)?;
    Ok(plans)
}

/// The places of the sessions that are the newest of their id: a program goes on with that one.
fn newest_of_each(chosen: &[Selected]) -> HashSet<usize> {
    let mut places: Vec<usize> = (0..chosen.len()).collect();
    places.sort_by_key(|&place| std::cmp::Reverse(chosen[place].found.modified));
    let mut seen = HashSet::new();
    places.retain(|&place| seen.insert((chosen[place].harness.info().id, &chosen[place].found.id)));
    places.into_iter().collect()
}

fn refused<'a>(session: &'a Session<'a>, selected: &Selected, reason: impl ToString) -> Planned<'a> {
    Planned {
        from: Some(selected.harness),
        to: Some(selected.harness),
        id: session.head.id.clone(),
        ..Planned::failed(session, reason)
    }
}

fn plan_one<'a>(
    env: &Env,
    session: &'a Session<'a>,
    selected: &Selected,
    ends: &[Ends],
    options: &Options,
) -> Result<Planned<'a>> {
    let Selected { harness, found, .. } = selected;
    let cwd = session.head.cwd.as_deref().unwrap_or_default();
    let Some(ends) = ends::of(ends, Some(cwd)) else {
        return Ok(refused(session, selected, "it has been changed meanwhile"));
    };
    if let Some(reason) = harness.live(env, found)? {
        return Ok(refused(session, selected, decide::in_use(&reason)));
    }
    let mut planned = Planned {
        destination: Some(ends.destination(cwd)?),
        still_at: ends.still_at(cwd),
        existing: Some(found.clone()),
        decision: Decision::Move,
        ..refused(session, selected, "")
    };
    if let Some(target) = planned.target(env, options) {
        planned.layout = harness.place_moved(&target, session.payload.files())?;
    }
    // What a program keeps in rows alone has no files that could go.
    if !planned.layout.files.is_empty() {
        planned.obsolete = decide::obsolete(env, *harness, found, &planned.layout)?;
        planned.obsolete.extend(planned.layout.stale.iter().filter(|path| path.is_file()).cloned());
    }
    compare_files(env, *harness, &mut planned, options)?;
    Ok(planned)
}

/// Compares with what is at the new place. The session's own files are what is replaced; a log that is
/// there and is none of them is another copy of the session, which must not lose anything.
fn compare_files(
    env: &Env,
    harness: &dyn Harness,
    planned: &mut Planned<'_>,
    options: &Options,
) -> Result<()> {
    let data = harness.data_dir(env);
    let own: HashSet<PathBuf> = planned
        .session
        .payload
        .files()
        .iter()
        .map(|file| data.join(&file.path))
        .chain(planned.existing.as_ref().map(|found| found.path.clone()))
        .collect();
    let mut relations = Vec::with_capacity(planned.layout.files.len());
    let mut other_copy = None;
    for file in &planned.layout.files {
        let Some(target) = planned.target(env, options) else { break };
        let is_own = own.contains(&file.path);
        let relation = if file.stored == Stored::Rows || is_own && file.growth == Growth::Append {
            Relation::Missing
        } else {
            compare::file(&file.path, harness.trailer(file), |out| {
                render::file(planned, &target, file, out).map(drop)
            })?
        };
        let how = match relation {
            Relation::Shorter => "has gone on",
            Relation::Different => "went another way",
            _ => "",
        };
        if !is_own && file.growth == Growth::Append && !how.is_empty() {
            other_copy = Some(format!(
                "another copy of it is at {} and {how}; move one of the two away, and try again",
                file.path.display()
            ));
        }
        relations.push(relation);
    }
    planned.relations = relations;
    if let Some(reason) = other_copy {
        planned.decision = Decision::Fail(reason);
    }
    Ok(())
}

/// Lets the files of a project follow with the first of its sessions, when all of them go.
fn add_companions(
    env: &Env,
    plans: &mut [Planned<'_>],
    others: &[Selected],
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let folder = |path: &Path| path.parent().map(Path::to_owned);
    let mut kept: HashSet<PathBuf> = others.iter().filter_map(|other| folder(&other.found.path)).collect();
    let staying = plans.iter().filter(|plan| !plan.acts()).filter_map(|plan| plan.existing.as_ref());
    kept.extend(staying.filter_map(|found| folder(&found.path)));
    let mut seen = HashSet::new();
    for plan in plans.iter_mut().filter(|plan| plan.acts()) {
        let (Some(to), Some(found)) = (plan.to, &plan.existing) else { continue };
        if folder(&found.path).is_some_and(|folder| kept.contains(&folder)) {
            continue;
        }
        let Some(target) = plan.target(env, options) else { continue };
        for companion in to.companions(&target)? {
            if companion.from != companion.to && seen.insert(companion.from.clone()) {
                add_companion(plan, companion, warnings)?;
            }
        }
    }
    Ok(())
}

fn add_companion(plan: &mut Planned<'_>, companion: Companion, warnings: &mut Vec<String>) -> Result<()> {
    let Companion { from, to } = companion;
    let copy = |out: &mut dyn std::io::Write| {
        let mut file = std::fs::File::open(&from).at("open", &from)?;
        std::io::copy(&mut file, out).at("copy", &from).map(drop)
    };
    match compare::file(&to, b"", copy)? {
        Relation::Missing => {
            let modified = from.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            plan.layout.files.push(OutFile {
                path: to,
                source: OutSource::Here(from.clone()),
                growth: Growth::Replace,
                modified: Some(Time::from(modified)),
                stored: Stored::File,
            });
            plan.relations.push(Relation::Missing);
        }
        Relation::Identical => {}
        _ => {
            warnings.push(format!("{} stays: {} is there already", from.display(), to.display()));
            return Ok(());
        }
    }
    plan.obsolete.push(from);
    Ok(())
}
