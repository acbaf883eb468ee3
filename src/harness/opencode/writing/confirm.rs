//! Asks the installed program which sessions it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::super::flavour::Flavour;
use super::project::{Project, real};
use super::store;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{Confirmation, Placed};

/// Asks it once in each project, because a list is that of one project: 1 to 3 seconds each with
/// 1.18.33, so at most so many projects are asked about.
const MOST: usize = 24;

/// Asks the program which of the sessions it lists.
///
/// # Errors
/// When it was asked and did not answer.
pub fn confirm(flavour: &'static Flavour, env: &Env, placed: &[Placed<'_>]) -> Result<Confirmation> {
    if env.find_program(flavour.info.program).is_none() {
        let advice = placed.first().map(|placed| {
            let (name, program) = (flavour.info.name, flavour.info.program);
            format!(
                "{name} is not installed here; after installing it, run `{program} --session {}` to go on",
                placed.id
            )
        });
        return Ok(Confirmation::NotAsked(advice));
    }
    let mut projects: BTreeMap<String, PathBuf> = BTreeMap::new();
    for placed in placed {
        projects.entry(Project::of(flavour, &real(placed.cwd)).id).or_insert_with(|| placed.cwd.to_owned());
    }
    if projects.len() > MOST {
        let (name, count) = (flavour.info.name, projects.len());
        return Ok(Confirmation::NotAsked(Some(format!(
            "the sessions are in {count} projects, so {name} was not asked whether it lists them"
        ))));
    }
    let lists: Vec<BTreeSet<String>> =
        projects.par_iter().map(|(_, cwd)| listed(flavour, env, cwd)).collect::<Result<_>>()?;
    let is_listed = |id: &str| lists.iter().any(|list| list.contains(id));
    let listed = placed.iter().map(|placed| placed.id).filter(|id| is_listed(id)).map(str::to_owned);
    Ok(Confirmation::Listed(listed.collect()))
}

fn listed(flavour: &'static Flavour, env: &Env, cwd: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
    }
    // Without a number it lists the newest hundred.
    let arguments = ["session", "list", "--format", "json", "--max-count", "1000000"];
    let output = store::run(flavour, env, &arguments, cwd)?;
    if output.code != Some(0) {
        let message = format!("`{} session list` failed", flavour.info.program);
        return Err(Error::new(Kind::Unsupported, message));
    }
    // It prints nothing at all when there is no session.
    if output.stdout.trim().is_empty() {
        return Ok(BTreeSet::new());
    }
    let entries: Vec<Entry> = serde_json::from_str(&output.stdout).map_err(|error| {
        let message = format!("the list of {} cannot be read", flavour.info.name);
        Error::new(Kind::Unsupported, message).with_source(error)
    })?;
    Ok(entries.into_iter().map(|entry| entry.id).collect())
}
