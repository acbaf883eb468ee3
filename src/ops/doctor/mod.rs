//! `doctor`: what is wrong with the sessions of this machine, and repairing what can be repaired
//! safely.
//!
//! - [`codes`]: every kind of finding, with its id
//! - [`gone`]: sessions whose directory is not there, and where it may be now ([`whereabouts`])
//! - [`damage`]: files that cannot be read in places
//! - [`machine`]: interrupted imports, versions, owners
//! - [`follow`]: sessions that follow a directory
//! - [`jobs`]: what each repair changes
//! - [`repair`]: the repairs of one run, as one import that `undo` takes back
//! - [`report`]: what is told about it
//!
//! What only an adapter can know of its store, it finds itself:
//! [`Harness::diagnose`](crate::harness::Harness::diagnose).
//!
//! Decisions. Nothing is written without `--fix`, and no program is started but for its version.
//! No time of a file is touched to make a harness keep a session longer: it would sort the session
//! to the top of the harness's list and hide that it is old; a backup or the harness's own setting
//! does the same honestly. Only what a repair itself brings under the eyes of a harness, and what that
//! would delete at once, is left a week, as `move` does. Settings are the user's: they stay.

pub mod codes;
pub mod damage;
pub mod follow;
pub mod gone;
pub mod jobs;
pub mod machine;
pub mod repair;
pub mod report;
pub mod whereabouts;

use rayon::prelude::*;

use crate::env::Env;
use crate::error::Result;
use crate::harness::diagnosis::{Checkup, Finding, Known};
use crate::harness::{self, HARNESSES, Harness};
use crate::progress::Progress;
use crate::txn;

pub use report::{Report, Row};

/// How to look.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only these harnesses; empty: all.
    pub harnesses: Vec<String>,
    /// Repair what can be repaired safely.
    pub fix: bool,
    /// Start no program.
    pub no_confirm: bool,
}

/// A finding, and the harness that it is about; `None`: it is about holdall itself.
pub struct Found {
    /// The harness.
    pub harness: Option<&'static dyn Harness>,
    /// What was found.
    pub finding: Finding,
}

/// The store of one harness, as it was looked at.
pub struct Store {
    /// The harness.
    pub harness: &'static dyn Harness,
    /// Its sessions.
    pub sessions: Vec<Known>,
}

/// Looks for what is wrong, and repairs it if asked to.
///
/// # Errors
/// For an unknown harness; and when the repairs could not be begun, or could not be brought to an
/// end. What could not be looked at is a finding.
pub fn run(env: &Env, options: &Options, progress: &dyn Progress) -> Result<Report> {
    let chosen: Vec<&'static dyn Harness> = if options.harnesses.is_empty() {
        HARNESSES.to_vec()
    } else {
        options.harnesses.iter().map(|id| harness::by_id(id)).collect::<Result<_>>()?
    };
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    let recovered = machine::imports(env, options.fix, &mut found)?;
    // What is found now must still be so when it is put right.
    let hold = options.fix.then(|| txn::hold(&env.state_dir())).transpose()?;
    let stores: Vec<Store> = chosen
        .par_iter()
        .filter_map(|harness| store(env, *harness))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(store, findings)| {
            found.extend(findings);
            store
        })
        .collect();
    for store in &stores {
        machine::owners(env, store, &mut found);
        let mut report = |finding| found.push(Found { harness: Some(store.harness), finding });
        let checkup = Checkup { env, sessions: &store.sessions };
        if let Err(error) = store.harness.diagnose(&checkup, &mut report) {
            report(Finding::new(&codes::UNREADABLE, error.to_string()));
        }
    }
    machine::leftovers(env, &stores, &mut found);
    if !options.no_confirm {
        machine::versions(env, &stores, &mut found);
    }
    gone::look(env, &stores, &mut found);
    damage::look(env, &stores, progress, &mut found);
    let fixed = match hold {
        Some(hold) => repair::run(env, options, &stores, &found, hold, progress, &mut warnings)?,
        None => repair::Fixed::nothing(found.len()),
    };
    Ok(Report::new(options.fix, recovered, found, fixed, warnings))
}

/// The sessions of a harness; `None`: it was never here.
fn store(env: &Env, harness: &'static dyn Harness) -> Option<(Store, Vec<Found>)> {
    if !harness.data_dir(env).exists() {
        return None;
    }
    let mut findings = Vec::new();
    let mut sessions = Vec::new();
    if let Err(error) = harness.scan(env, &mut |found| sessions.push(found)) {
        findings.push(machine::unreadable(env, harness, &error));
    }
    let heads: Vec<Result<Known>> = sessions
        .into_par_iter()
        .map(|mut found| {
            let head = match found.head.take() {
                Some(head) => Some((*head).clone()),
                None => harness.head(env, &found)?,
            };
            Ok(Known { found, head })
        })
        .collect();
    let mut known = Vec::with_capacity(heads.len());
    for head in heads {
        match head {
            Ok(one) => known.push(one),
            Err(error) => findings.push(machine::unreadable(env, harness, &error)),
        }
    }
    Some((Store { harness, sessions: known }, findings))
}
