//! Whether the target can use what was imported.

use std::collections::{BTreeMap, HashSet};

use super::Options;
use super::apply::Done;
use super::decide::Planned;
use crate::env::Env;
use crate::harness::{self, Confirmation, Found, Harness};

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
