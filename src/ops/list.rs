//! `list`: sessions of all harnesses.

use serde::Serialize;

use super::select::{Inventory, Selected, Selection};
use crate::env::Env;
use crate::error::Result;
use crate::model::{Head, time};

/// What `list --json` prints.
#[derive(Serialize)]
pub struct Report {
    /// `holdall.list/1`
    pub schema: &'static str,
    /// The sessions, newest first.
    pub sessions: Vec<Row>,
    /// What could not be read.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// Whether only the sessions of the current directory are shown, because there are some.
    #[serde(skip)]
    pub only_here: bool,
    /// The ids of all sessions on this machine, sorted; `None` when only some harnesses were looked at.
    #[serde(skip)]
    pub known_ids: Option<Vec<String>>,
}

/// One session.
#[derive(Serialize)]
pub struct Row {
    /// What is known of it; [`Head::updated`] is always there.
    #[serde(flatten)]
    pub head: Head,
    /// Size of its transcript in bytes; `None` where sessions share a database.
    pub bytes: Option<u64>,
    /// Its transcript, or the database.
    pub path: String,
}

impl From<Selected> for Row {
    fn from(selected: Selected) -> Self {
        let Selected { found, mut head, .. } = selected;
        head.updated.get_or_insert_with(|| time::to_millis(found.modified.into()));
        Self { head, bytes: found.bytes, path: found.path.to_string_lossy().into_owned() }
    }
}

/// Lists what `selection` asks for. An open selection means: the sessions of the current directory
/// if there are any, else all of them, at most `rows` (`None`: no limit). `all` switches that
/// default off.
///
/// # Errors
/// What [`Selection::resolve`] returns.
pub fn run(env: &Env, selection: &Selection, all: bool, rows: Option<usize>) -> Result<Report> {
    let mut warnings = Vec::new();
    let mut only_here = false;
    let inventory = Inventory::take(env, &selection.harnesses, &mut warnings)?;
    let known_ids = selection.harnesses.is_empty().then(|| inventory.ids());
    let mut sessions;
    if selection.is_open() && !all {
        let here = Selection { cwd: Some(env.cwd().to_owned()), guess: true, ..selection.clone() };
        // Unreadable sessions elsewhere are no news for this directory; the second look names them.
        sessions = here.resolve_in(env, inventory.clone(), &mut Vec::new())?;
        only_here = !sessions.is_empty();
        if only_here {
            warnings.clear();
        } else {
            let newest = Selection { limit: rows, ..selection.clone() };
            sessions = newest.resolve_in(env, inventory, &mut warnings)?;
        }
        sessions.truncate(rows.unwrap_or(usize::MAX));
    } else {
        sessions = selection.resolve_in(env, inventory, &mut warnings)?;
    }
    let sessions = sessions.into_iter().map(Row::from).collect();
    Ok(Report { schema: "holdall.list/1", sessions, warnings, only_here, known_ids })
}
