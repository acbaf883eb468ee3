//! What is wrong with the machine around the sessions: interrupted imports of holdall, temporary
//! files that it left, programs of other versions, files of other users.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::codes::{BROKEN_JOURNAL, FOREIGN_OWNER, INTERRUPTED, LEFTOVER, OTHER_VERSION, UNREADABLE};
use super::{Found, Store};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::harness::Harness;
use crate::harness::common::directory::entries;
use crate::harness::diagnosis::{Finding, Mend, Repair};
use crate::ops::{harnesses, journal};
use crate::place::shell::quoted;
use crate::txn::{self, ImportState, Recovered};

/// The finding that something cannot be read.
pub fn unreadable(env: &Env, harness: &'static dyn Harness, error: &Error) -> Found {
    let mut finding = Finding::new(&UNREADABLE, error.to_string()).at(harness.data_dir(env));
    finding.advice = error.hints().first().cloned();
    Found { harness: Some(harness), finding }
}

/// Imports that were interrupted. With `fix` they are finished or taken back, and what was done is
/// returned.
///
/// # Errors
/// When they are to be finished, and another holdall is at work or the disk refuses.
pub fn imports(env: &Env, fix: bool, found: &mut Vec<Found>) -> Result<Vec<Recovered>> {
    let recovered = if fix { journal::recover(env, true)? } else { Vec::new() };
    match txn::imports(&env.state_dir()) {
        Ok(imports) => {
            let interrupted = imports.iter().filter(|import| import.state == ImportState::Interrupted);
            for import in interrupted {
                let detail = format!("import {}, with {} sessions", import.id, import.sessions.len());
                let finding = Finding::new(&INTERRUPTED, detail).on(import.created);
                let advice = "`--fix` finishes it or takes it back, as the next holdall command does";
                found.push(Found { harness: None, finding: finding.advise(advice) });
            }
        }
        Err(error) => {
            let finding = Finding::new(&BROKEN_JOURNAL, error.to_string()).at(env.state_dir());
            let advice = "a newer holdall may be able to read it; else move its directory away";
            found.push(Found { harness: None, finding: finding.advise(advice) });
        }
    }
    Ok(recovered)
}

/// Temporary files in the stores that belong to no import.
pub fn leftovers(env: &Env, stores: &[Store], found: &mut Vec<Found>) {
    // Those of an import that was interrupted are its own; recovering it takes them away.
    let known: BTreeSet<String> = match txn::imports(&env.state_dir()) {
        Ok(imports) => imports.into_iter().map(|import| import.id).collect(),
        Err(_) => return,
    };
    for store in stores {
        let folders: BTreeSet<&Path> =
            store.sessions.iter().filter_map(|session| session.found.path.parent()).collect();
        for folder in folders {
            for entry in entries(folder).unwrap_or_default().into_iter().filter(|entry| entry.is_file) {
                let Some(import) = txn::owner_of(&entry.name) else { continue };
                if known.contains(import) {
                    continue;
                }
                let remove = Mend::Remove { path: entry.path.clone() };
                let finding = Finding::new(&LEFTOVER, format!("of an import {import} that is not known"))
                    .at(entry.path)
                    .repair(Repair::Changes(vec![remove]));
                found.push(Found { harness: Some(store.harness), finding });
            }
        }
    }
}

/// Programs of other versions than the ones that holdall was tested with.
pub fn versions(env: &Env, stores: &[Store], found: &mut Vec<Found>) {
    let versions: Vec<Option<String>> = stores
        .par_iter()
        .map(|store| harnesses::version(env, &env.find_program(store.harness.info().program)?))
        .collect();
    for (store, version) in stores.iter().zip(versions) {
        let info = store.harness.info();
        let Some(version) = version.filter(|version| version != info.tested) else { continue };
        let how = if numbers(&version) < numbers(info.tested) { "older" } else { "newer" };
        let detail =
            format!("{} {version} is {how} than {}, which holdall was tested with", info.name, info.tested);
        found.push(Found { harness: Some(store.harness), finding: Finding::new(&OTHER_VERSION, detail) });
    }
}

/// The numbers of a version.
fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// Files that belong to another user. Root may write everywhere.
#[cfg(unix)]
pub fn owners(env: &Env, store: &Store, found: &mut Vec<Found>) {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid();
    if own.is_root() {
        return;
    }
    let data_dir = store.harness.data_dir(env);
    let mut paths: BTreeSet<&Path> =
        store.sessions.iter().map(|session| session.found.path.as_path()).collect();
    paths.insert(&data_dir);
    let is_foreign = |path: &&Path| path.metadata().is_ok_and(|meta| meta.uid() != own.as_raw());
    let foreign: Vec<&Path> = paths.into_iter().filter(is_foreign).collect();
    if let Some(first) = foreign.first() {
        let detail = format!("{} files, such as this one, belong to another user", foreign.len());
        let advice =
            format!("`sudo chown -R $(id -un) {}` gives them back", quoted(&data_dir.to_string_lossy()));
        let finding = Finding::new(&FOREIGN_OWNER, detail).at(*first).advise(advice);
        found.push(Found { harness: Some(store.harness), finding });
    }
}

#[cfg(not(unix))]
pub fn owners(_env: &Env, _store: &Store, _found: &mut Vec<Found>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order() {
        assert!(numbers("0.170.0") > numbers("0.169.0"));
        assert!(numbers("0.61.0-nightly.1") == numbers("0.61.0"));
        assert!(numbers("2.1.9") < numbers("2.1.329"));
    }
}
