//! Sessions that follow a directory, as `move` does it, in the same import as the other repairs.

use std::collections::BTreeMap;

use super::Found;
use crate::env::Env;
use crate::error::Result;
use crate::harness::diagnosis::Repair;
use crate::ops::import::again::Again;
use crate::ops::import::{self, Incoming};
use crate::ops::moving::ends::Ends;
use crate::ops::moving::{self, plan};
use crate::ops::select::{Selected, Selection};

/// One directory that moved, with its sessions.
pub struct Follow<'a> {
    ends: Ends,
    chosen: Vec<Selected>,
    others: Vec<Selected>,
    incoming: Incoming<'a>,
    options: import::Options,
    /// The findings that this puts right.
    pub places: Vec<usize>,
}

/// Opens the sessions of every directory that findings say has moved. What cannot be done is told
/// in `warnings`.
pub fn open(env: &Env, found: &[Found], warnings: &mut Vec<String>) -> Vec<Follow<'static>> {
    let mut moves: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (place, one) in found.iter().enumerate() {
        if let Some(Repair::Move { old, new }) = &one.finding.repair
            && let (Some(old), Some(new)) = (old.to_str(), new.to_str())
        {
            moves.entry((old, new)).or_default().push(place);
        }
    }
    let mut opened = Vec::new();
    for ((old, new), places) in moves {
        match open_one(env, old, new, places, warnings) {
            Ok(follow) => opened.push(follow),
            Err(error) => warnings.push(format!("the sessions of {old} did not follow to {new}: {error}")),
        }
    }
    opened
}

fn open_one(
    env: &Env,
    old: &str,
    new: &str,
    places: Vec<usize>,
    warnings: &mut Vec<String>,
) -> Result<Follow<'static>> {
    let wanted = moving::Options { old: old.to_owned(), new: new.to_owned(), ..moving::Options::default() };
    let ends = Ends::find(env, &wanted)?;
    warnings.extend(ends.warnings.iter().cloned());
    let all = Selection::default().resolve(env, warnings)?;
    let (chosen, others): (Vec<Selected>, Vec<Selected>) =
        all.into_iter().partition(|one| one.head.cwd.as_deref().is_some_and(|cwd| ends.holds(cwd)));
    let mut incoming = Incoming::from_here(env, &chosen, false)?;
    warnings.append(&mut incoming.warnings);
    let options = import::Options { moved: Some(ends.moved()), ..import::Options::default() };
    Ok(Follow { ends, chosen, others, incoming, options, places })
}

/// What happens to each of the sessions.
///
/// # Errors
/// When a store cannot be read.
pub fn plan<'a>(
    env: &Env,
    follow: &'a Follow<'_>,
    found: &[Found],
    warnings: &mut Vec<String>,
) -> Result<Vec<Again<'a>>> {
    let Follow { ends, chosen, others, incoming, options, places } = follow;
    let plans = plan::plan(env, incoming, chosen, others, ends, options, warnings)?;
    let mut sessions = Vec::new();
    for planned in plans {
        if let Some(reason) = planned.reason() {
            warnings.push(format!("{} did not follow to {}: {reason}", planned.label(), ends.new.display()));
            continue;
        }
        let is_about = |place: &&usize| {
            let one = &found[**place];
            one.harness.map(|harness| harness.info().id) == planned.to.map(|to| to.info().id)
                && one.finding.session.as_deref() == Some(&planned.id)
        };
        let places = places.iter().filter(is_about).copied().collect();
        sessions.push(Again { planned, places, options: options.clone() });
    }
    Ok(sessions)
}
