//! Whether the target can use what was imported.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use super::Options;
use super::apply::Done;
use super::decide::Planned;
use crate::env::Env;
use crate::harness::{self, Confirmation, Found, Harness, Placed};

/// Asks the target program, or reads the sessions again from where they were put.
pub fn verify(
    env: &Env,
    options: &Options,
    plans: &[Planned<'_>],
    done: &mut [Done],
    warnings: &mut Vec<String>,
) {
    let mut by_harness: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (place, plan) in plans.iter().enumerate() {
        if let (true, Some(to), None) =
            (plan.acts() && plan.layout.handover.is_none(), plan.to, &done[place].failure)
        {
            by_harness.entry(to.info().id).or_default().push(place);
        }
    }
    for (id, places) in by_harness {
        let Ok(to) = harness::by_id(id) else { continue };
        let asks = to.info().confirms && !options.no_confirm && env.find_program(to.info().program).is_some();
        if to.info().indexes && !asks {
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
        let in_rows: HashMap<String, Found> = rows_of(env, to, plans, &places);
        let verified = places.par_iter().map(|&place| {
            let plan = &plans[place];
            if listed.contains(&plan.id) {
                return Some("program");
            }
            let found = if in_database(plan) { in_rows.get(&plan.id).cloned() } else { on_disk(plan) };
            found.is_some_and(|found| read_back(env, to, &found)).then_some("read-back")
        });
        let verified: Vec<_> = verified.collect();
        for (place, verified) in places.into_iter().zip(verified) {
            done[place].verified = verified;
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
    let ids: Vec<&str> = places.iter().map(|&place| plans[place].id.as_str()).collect();
    let placed: Vec<Placed<'_>> = places
        .iter()
        .filter_map(|&place| {
            let cwd = &plans[place].destination.as_ref()?.cwd;
            Some(Placed { id: &plans[place].id, cwd })
        })
        .collect();
    match to.confirm(env, &placed) {
        Ok(Confirmation::Listed(listed)) => {
            let missing = ids.iter().filter(|id| !listed.iter().any(|listed| listed == *id)).count();
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

/// Whether the session itself is rows of a database.
fn in_database(plan: &Planned<'_>) -> bool {
    plan.layout.rows.is_some() || plan.layout.files.is_empty()
}

/// The sessions of the store, when some of these are rows of a database.
fn rows_of(env: &Env, to: &dyn Harness, plans: &[Planned<'_>], places: &[usize]) -> HashMap<String, Found> {
    let mut all = HashMap::new();
    if places.iter().any(|&place| in_database(&plans[place])) {
        // What cannot be read is not confirmed.
        let _ = to.scan(env, &mut |found| drop(all.insert(found.id.clone(), found)));
    }
    all
}

fn on_disk(plan: &Planned<'_>) -> Option<Found> {
    let path = plan.layout.files.first().map(|file| file.path.clone())?;
    let meta = path.metadata().ok()?;
    let modified = meta.modified().ok()?;
    Some(Found { id: plan.id.clone(), path, bytes: Some(meta.len()), modified, head: None, stamp: None })
}

fn read_back(env: &Env, to: &dyn Harness, found: &Found) -> bool {
    matches!(to.head(env, found), Ok(Some(head)) if head.id == found.id)
}
