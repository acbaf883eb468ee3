//! Sessions that follow their directories, as `move` does it, in the same import as the other repairs.

use std::collections::BTreeSet;

use super::Found;
use crate::env::Env;
use crate::error::Result;
use crate::harness::diagnosis::Repair;
use crate::ops::import::again::Again;
use crate::ops::import::{self, Incoming};
use crate::ops::moving::ends::Ends;
use crate::ops::moving::plan;
use crate::ops::select::{Selected, Selection};

/// Directories that moved, with their sessions.
pub struct Follow {
    ends: Vec<Ends>,
    chosen: Vec<Selected>,
    others: Vec<Selected>,
    incoming: Incoming<'static>,
    options: import::Options,
}

/// Opens the sessions of every directory that findings say has moved; `None`: none has. What cannot
/// be done is told in `warnings`.
///
/// # Errors
/// When a session cannot be opened.
pub fn open(env: &Env, found: &[Found], warnings: &mut Vec<String>) -> Result<Option<Follow>> {
    let moves: BTreeSet<(&str, &str)> = found
        .iter()
        .filter_map(|one| match &one.finding.repair {
            Some(Repair::Move { old, new }) => Some((old.to_str()?, new.to_str()?)),
            _ => None,
        })
        .collect();
    let mut ends = Vec::new();
    for (old, new) in moves {
        match Ends::find(env, old, new, false) {
            Ok(one) => {
                warnings.extend(one.warnings.iter().cloned());
                ends.push(one);
            }
            Err(error) => warnings.push(format!("the sessions of {old} did not follow to {new}: {error}")),
        }
    }
    let Some(first) = ends.first() else { return Ok(None) };
    let options = import::Options { moved: Some(first.moved()), ..import::Options::default() };
    let all = Selection::default().resolve(env, warnings)?;
    let is_moved = |cwd: &str| ends.iter().any(|ends| ends.holds(cwd));
    let (chosen, others): (Vec<Selected>, Vec<Selected>) =
        all.into_iter().partition(|one| one.head.cwd.as_deref().is_some_and(is_moved));
    let mut incoming = Incoming::from_here(env, &chosen, false)?;
    warnings.append(&mut incoming.warnings);
    Ok(Some(Follow { ends, chosen, others, incoming, options }))
}

/// What happens to each of the sessions.
///
/// # Errors
/// When a store cannot be read.
pub fn plan<'a>(
    env: &Env,
    follow: &'a Follow,
    found: &[Found],
    warnings: &mut Vec<String>,
) -> Result<Vec<Again<'a>>> {
    let Follow { ends, chosen, others, incoming, options } = follow;
    let plans = plan::plan(env, incoming, chosen, others, ends, options, warnings)?;
    let mut sessions = Vec::new();
    for planned in plans {
        if let Some(reason) = planned.reason() {
            warnings.push(format!("{} did not follow its directory: {reason}", planned.label()));
            continue;
        }
        let is_about = |one: &Found| {
            matches!(one.finding.repair, Some(Repair::Move { .. }))
                && one.harness.map(|harness| harness.info().id) == planned.to.map(|to| to.info().id)
                && one.finding.session.as_deref() == Some(&planned.id)
        };
        let places = (0..found.len()).filter(|&place| is_about(&found[place])).collect();
        sessions.push(Again { planned, places, options: options.clone() });
    }
    Ok(sessions)
}
