//! What each repair changes: its actions, and what they write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Found, Store, repair};
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::diagnosis::Mend;
use crate::model::rows::Row;
use crate::model::{Time, time};
use crate::ops::import::apply;
use crate::txn::plan::Action;

/// One repair, on its way.
pub(super) struct Job<'a> {
    /// Which findings it puts right.
    pub findings: Vec<usize>,
    /// Names it in the journal.
    pub label: String,
    /// What it does.
    pub actions: Vec<Action>,
    /// What each action writes.
    pub contents: Vec<Content<'a>>,
}

/// What an action writes.
pub(super) enum Content<'a> {
    /// Nothing that has to be rendered.
    None,
    /// The first bytes of a file that is there.
    Copy { path: &'a Path, length: u64 },
    /// A row document.
    Rows(&'a [Row<'static>]),
    /// Something of a session that is brought in again.
    Again { session: usize, content: apply::Content },
}

/// Makes actions of the changes of a repair.
///
/// # Errors
/// When its session is in use, or a file of it cannot be looked at.
pub(super) fn job<'a>(
    env: &Env,
    stores: &[Store],
    found: &'a Found,
    place: usize,
    mends: &'a [Mend],
) -> Result<Job<'a>> {
    if let (Some(known), Some(harness)) = (repair::known(stores, found), found.harness)
        && let Some(reason) = harness.live(env, &known.found)?
    {
        return Err(Error::new(Kind::Busy, format!("it is in use: {reason}")).hint("close it there"));
    }
    let (mut actions, mut contents) = (Vec::new(), Vec::new());
    for mend in mends {
        match mend {
            Mend::Cut { path, length } => {
                let modified = modified(path)?;
                actions.push(Action::Replace { path: path.clone(), modified: Some(modified) });
                contents.push(Content::Copy { path, length: *length });
            }
            Mend::Rename { from, to, modified: time } => {
                let length = from.metadata().at("look at", from)?.len();
                actions.push(Action::Create {
                    path: to.clone(),
                    modified: Some(time.map_or_else(|| modified(from), Ok)?),
                });
                contents.push(Content::Copy { path: from, length });
                actions.push(Action::Remove { path: from.clone() });
                contents.push(Content::None);
            }
            Mend::Remove { path } => {
                actions.push(Action::Remove { path: path.clone() });
                contents.push(Content::None);
            }
            Mend::Line(line) => {
                actions.push(apply::append(line));
                contents.push(Content::None);
            }
            Mend::Rows { database, scope, rows, shared } => {
                actions.push(Action::Rows {
                    path: database.clone(),
                    scope: scope.clone(),
                    shared: shared.clone(),
                });
                contents.push(Content::Rows(rows));
            }
        }
    }
    let harness = found.harness.map_or("holdall", |harness| harness.info().id);
    let what = found.finding.session.as_deref().unwrap_or(found.finding.code.id);
    Ok(Job { findings: vec![place], label: format!("{harness}:{what}"), actions, contents })
}

fn modified(path: &Path) -> Result<Time> {
    let time = path.metadata().and_then(|meta| meta.modified()).at("look at", path)?;
    Ok(time::to_millis(time.into()))
}

/// The same change is made once, however many findings ask for it.
pub(super) fn join(jobs: Vec<Job<'_>>) -> Vec<Job<'_>> {
    let mut joined: Vec<Job<'_>> = Vec::new();
    for job in jobs {
        match joined.iter_mut().find(|known| known.actions == job.actions) {
            Some(known) => known.findings.extend(job.findings),
            None => joined.push(job),
        }
    }
    joined
}

/// Leaves out repairs that would change what another one changes: the next run does them.
pub(super) fn apart<'a>(jobs: Vec<Job<'a>>, warnings: &mut Vec<String>) -> Vec<Job<'a>> {
    let mut taken: BTreeSet<(PathBuf, String)> = BTreeSet::new();
    let mut chosen = Vec::new();
    for job in jobs {
        let changed: BTreeSet<(PathBuf, String)> = job.actions.iter().flat_map(changed).collect();
        if changed.is_disjoint(&taken) {
            taken.extend(changed);
            chosen.push(job);
        } else {
            warnings.push(format!("a repair of {} waits for the next `doctor --fix`", job.label));
        }
    }
    chosen
}

/// What an action has for itself: a file, or rows of a database.
fn changed(action: &Action) -> Vec<(PathBuf, String)> {
    let path = action.path().to_owned();
    match action {
        Action::AppendLine { .. } => Vec::new(),
        Action::Rows { scope, .. } => scope
            .iter()
            .flat_map(|part| {
                part.values.iter().map(|value| (path.clone(), format!("{}\n{value}", part.table)))
            })
            .collect(),
        _ => vec![(path, String::new())],
    }
}
