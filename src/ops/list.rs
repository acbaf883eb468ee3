//! `list`: sessions of all harnesses.

use std::sync::Arc;

use serde::Serialize;

use super::heads::{self, Heads};
use super::select::{Inventory, Selected, Selection};
use crate::env::Env;
use crate::error::Result;
use crate::model::{Head, time};

/// The sessions, and what is told with them.
pub struct Report {
    /// The sessions, newest first.
    pub sessions: Vec<Row>,
    /// What could not be read.
    pub warnings: Vec<String>,
    /// Whether only the sessions of the current directory are shown, because there are some.
    pub only_here: bool,
    /// The ids of all sessions on this machine, sorted; `None` when they were not asked for, or only some
    /// harnesses were looked at.
    pub known_ids: Option<Vec<String>>,
}

/// How much of the sessions is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// All of them, also where there are some of the current directory.
    pub all: bool,
    /// At most so many when nothing is asked for; `None`: no limit.
    pub rows: Option<usize>,
    /// [`Report::known_ids`] too.
    pub ids: bool,
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
        let path = found.path.into_os_string().into_string();
        let path = path.unwrap_or_else(|path| path.to_string_lossy().into_owned());
        Self { head, bytes: found.bytes, path }
    }
}

/// Lists what `selection` asks for. An open selection means: the sessions of the current directory
/// if there are any, else all of them. [`Extent::all`] switches that default off.
///
/// # Errors
/// What [`Selection::resolve`] returns.
pub fn run(env: &Env, selection: &Selection, extent: Extent) -> Result<Report> {
    let Extent { all, rows, ids } = extent;
    let mut warnings = Vec::new();
    let mut only_here = false;
    let (inventory, heads) = rayon::join(
        || Inventory::take(env, &selection.harnesses, &mut warnings),
        || selection.opens_many().then(|| Arc::new(Heads::load(env))),
    );
    let inventory = inventory?;
    let count = inventory.count();
    let heads = heads.filter(|_| count >= heads::MANY);
    let inventory = inventory.with(heads.clone());
    let known_ids = (ids && selection.harnesses.is_empty()).then(|| inventory.ids());
    let mut sessions;
    if selection.is_open() && !all {
        let here = Selection { cwd: Some(env.cwd().to_owned()), ..selection.clone() };
        // Unreadable sessions elsewhere are no news for this directory; the second look names them.
        sessions = here.resolve_in(env, inventory.near(env.cwd()), &mut Vec::new())?;
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
    if let Some(heads) = heads {
        let all = || Inventory::take(env, &[], &mut Vec::new()).map(|all| all.keys());
        // Where the disk refuses, the next list reads them again.
        let _ = heads.keep(selection.harnesses.is_empty().then_some(count), all);
    }
    let sessions = sessions.into_iter().map(Row::from).collect();
    Ok(Report { sessions, warnings, only_here, known_ids })
}
