//! `imports` and `undo`: past imports, and taking one back.

use serde::Serialize;

use crate::env::Env;
use crate::error::Result;
use crate::txn::{self, Import, Recovered, UndoReport};

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
/// When there is none, or something was changed since and `force` is not set.
pub fn undo(env: &Env, import_id: Option<&str>, force: bool) -> Result<UndoReport> {
    txn::undo(&env.state_dir(), import_id, force)
}

/// Finishes or takes back what an earlier run was killed in the middle of. `wait`: for another
/// holdall that is at work.
///
/// # Errors
/// When a journal cannot be read, what it asks for cannot be done, or another holdall is at work.
pub fn recover(env: &Env, wait: bool) -> Result<Vec<Recovered>> {
    if wait { txn::recover(&env.state_dir()) } else { txn::recover_if_free(&env.state_dir()) }
}
