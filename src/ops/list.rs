//! `list`: sessions of all harnesses.

use serde::Serialize;

use super::select::{Selected, Selection};
use crate::env::Env;
use crate::error::Result;
use crate::model::{GitRef, Time};

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
}

/// One session.
#[derive(Serialize)]
pub struct Row {
    /// Id of its harness.
    pub harness: String,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// When it began.
    pub created: Option<Time>,
    /// Its last activity.
    pub updated: Option<Time>,
    /// The model that answered last.
    pub model: Option<String>,
    /// Size of its transcript in bytes.
    pub bytes: u64,
    /// Its transcript.
    pub path: String,
    /// The repository as the harness recorded it.
    pub git: Option<GitRef>,
    /// The session that started it, for a sub-agent.
    pub parent: Option<String>,
}

impl From<Selected> for Row {
    fn from(selected: Selected) -> Self {
        let Selected { found, head, .. } = selected;
        Self {
            harness: head.harness,
            id: head.id,
            title: head.title,
            cwd: head.cwd,
            created: head.created,
            updated: Some(
                head.updated.unwrap_or_else(|| crate::model::time::to_millis(found.modified.into())),
            ),
            model: head.model,
            bytes: found.bytes,
            path: found.path.to_string_lossy().into_owned(),
            git: head.git,
            parent: head.parent,
        }
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
    let mut sessions = Vec::new();
    if selection.is_open() && !all {
        let here = Selection { cwd: Some(env.cwd().to_owned()), guess: true, ..selection.clone() };
        // Unreadable sessions elsewhere are no news for this directory; the second look names them.
        sessions = here.resolve(env, &mut Vec::new())?;
        only_here = !sessions.is_empty();
        if sessions.is_empty() {
            let newest = Selection { limit: rows, ..selection.clone() };
            sessions = newest.resolve(env, &mut warnings)?;
        }
        sessions.truncate(rows.unwrap_or(usize::MAX));
    } else {
        sessions.extend(selection.resolve(env, &mut warnings)?);
    }
    let sessions = sessions.into_iter().map(Row::from).collect();
    Ok(Report { schema: "holdall.list/1", sessions, warnings, only_here })
}
