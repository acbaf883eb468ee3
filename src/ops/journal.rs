//! `imports` and `undo`: past imports, and taking one back.

use std::collections::HashMap;

use serde::Serialize;

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{self, Found};
use crate::txn::{self, Import, ImportState, Left, Recovered, UndoReport};

/// What `imports --json` prints.
#[derive(Serialize)]
pub struct Report {
    /// `holdall.imports/1`
    pub schema: &'static str,
    /// Newest first.
    pub imports: Vec<Import>,
}

/// Every import, newest first.
///
/// # Errors
/// When a journal cannot be read.
pub fn imports(env: &Env) -> Result<Report> {
    Ok(Report { schema: "holdall.imports/1", imports: txn::imports(&env.state_dir())? })
}

/// Takes an import back; the last one by default.
///
/// # Errors
/// When there is none, a running program has one of its sessions open, or something was changed
/// since and `force` is not set.
pub fn undo(env: &Env, import_id: Option<&str>, force: bool) -> Result<UndoReport> {
    let imports = txn::imports(&env.state_dir())?;
    let wanted = imports.iter().find(|import| match import_id {
        Some(id) => import.id == id,
        None => import.state == ImportState::Done,
    });
    if let Some(import) = wanted.filter(|import| import.state == ImportState::Done) {
        refuse_open(env, import)?;
    }
    // The one that was looked at, also when another import has been made meanwhile.
    txn::undo(&env.state_dir(), wanted.map(|import| import.id.as_str()).or(import_id), force)
}

/// What of an import its undo leaves where it is.
///
/// # Errors
/// When a journal cannot be read.
pub fn left(env: &Env, import_id: &str) -> Result<Vec<Left>> {
    let imports = txn::imports(&env.state_dir())?;
    Ok(imports
        .into_iter()
        .find(|import| import.id == import_id)
        .map(|import| import.left)
        .unwrap_or_default())
}

/// Refuses when a running program has one of the import's sessions open: it would go on writing
/// to a file that is no longer there.
fn refuse_open(env: &Env, import: &Import) -> Result<()> {
    let mut stores: HashMap<&str, HashMap<String, Found>> = HashMap::new();
    for session in &import.sessions {
        let Some((harness, id)) = session.label.split_once(':') else { continue };
        // An import of a newer holdall may name a harness that this one does not know.
        let Ok(to) = harness::by_id(harness) else { continue };
        if !stores.contains_key(harness) {
            let mut store = HashMap::new();
            // What cannot be read cannot be taken back either: that is found out later, and said.
            let _ = to.scan(env, &mut |found| {
                store.insert(found.id.clone(), found);
            });
            stores.insert(harness, store);
        }
        let Some(found) = stores.get(harness).and_then(|store| store.get(id)) else { continue };
        if let Some(reason) = to.live(env, found)? {
            let message =
                format!("import {} was not undone: {} is in use: {reason}", import.id, session.label);
            return Err(Error::new(Kind::Busy, message).hint("close it there and undo again"));
        }
    }
    Ok(())
}

/// Finishes or takes back what an earlier run was killed in the middle of. `wait`: for another
/// holdall that is at work.
///
/// # Errors
/// When a journal cannot be read, what it asks for cannot be done, or another holdall is at work.
pub fn recover(env: &Env, wait: bool) -> Result<Vec<Recovered>> {
    if wait { txn::recover(&env.state_dir()) } else { txn::recover_if_free(&env.state_dir()) }
}
