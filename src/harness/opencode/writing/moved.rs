//! A session whose directory moves on this machine: its rows stay what they are but for its place.
//!
//! opencode 1.18 resumes a session in `session.directory` and fails when that is not there; it lists
//! the sessions of a project, which `project_id` names. `path.cwd` and `path.root` of an answer are
//! shown.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::flavour::Flavour;
use super::project::{Project, real};
use super::relocate::Paths;
use super::{children, place, schema, store};
use crate::error::{Error, Kind, Result};
use crate::harness::common::reindex;
use crate::harness::common::splice::Splices;
use crate::harness::common::sqlite::Snapshot;
use crate::harness::{Layout, OutIndex, Target};
use crate::model::rows::{Cell, Row, Scope};

/// Where a session goes that stays on this machine.
///
/// # Errors
/// When the directory is not there, or the session is not in a database that can be written into.
pub fn place(flavour: &'static Flavour, target: &Target<'_>) -> Result<Layout> {
    let name = flavour.info.name;
    if !target.directory().is_dir() {
        let message = format!(
            "the directory {} is not there, and {name} cannot resume in a directory that is not there",
            target.cwd.display()
        );
        return Err(Error::new(Kind::NotFound, message).hint("create it, and try again"));
    }
    let database = store::database(flavour, target.env)?;
    let Some(found) = target.existing.filter(|found| found.path == database) else {
        let message = format!("it is not in {}, so {name} does not show it anyway", database.display());
        return Err(Error::new(Kind::Unsupported, message)
            .hint("export it and import it with --cwd-map OLD=NEW to bring it in"));
    };
    schema::owned(flavour, &database)?;
    let mut ids = vec![found.id.clone()];
    ids.extend(children::of(&database, &found.id)?);
    let scope = |table: &str, column: &str| Scope {
        table: table.to_owned(),
        column: column.to_owned(),
        values: ids.clone(),
    };
    let index = OutIndex {
        scope: vec![scope("message", "session_id"), scope("session", "id")],
        shared: vec![place::project(&Place::of(flavour, target).project(), target)],
        database,
    };
    Ok(Layout { index: vec![index], ..Layout::default() })
}

/// Writes the rows as they have to be.
///
/// # Errors
/// When the database cannot be read.
pub fn reindex(
    flavour: &'static Flavour,
    target: &Target<'_>,
    index: &OutIndex,
    out: &mut dyn Write,
) -> Result<()> {
    let Some(snapshot) = Snapshot::open(&index.database)? else { return Ok(()) };
    let place = Place::of(flavour, target);
    let mut splices = Splices::default();
    reindex::rewrite(
        &snapshot,
        &index.scope,
        &mut |row| {
            if &*row.table == "session" { place.session(row) } else { place.message(row, &mut splices) }
        },
        out,
    )
}

/// Knows where things are after the move.
struct Place<'t> {
    flavour: &'static Flavour,
    target: &'t Target<'t>,
    /// The directory of the session, as the program writes it down.
    cwd: PathBuf,
    /// Where that directory is at this moment.
    now: PathBuf,
}

impl<'t> Place<'t> {
    fn of(flavour: &'static Flavour, target: &'t Target<'t>) -> Self {
        Self { flavour, target, cwd: real(target.cwd), now: real(target.directory()) }
    }

    /// The project of the session's directory, at its new place.
    fn project(&self) -> Project {
        let project = Project::of(self.flavour, &self.now);
        let worktree = self.path(&project.worktree.to_string_lossy()).map(PathBuf::from);
        Project { worktree: worktree.unwrap_or(project.worktree), ..project }
    }

    fn path(&self, old: &str) -> Option<String> {
        if self.target.source.cwd.as_deref() == Some(old) {
            return Some(self.cwd.to_string_lossy().into_owned());
        }
        self.target.paths.map(old)
    }

    /// A sub-agent may have worked in another directory than the session that started it. One that is
    /// outside of the folder stays where it was.
    fn session(&self, row: &mut Row<'_>) {
        let Some(Cell::Text(old)) = row.values.get("directory") else { return };
        let Some(new) = self.path(old) else { return };
        let rest = Path::new(&new).strip_prefix(&self.cwd).ok().map(Path::to_owned);
        let now = rest.map_or_else(|| PathBuf::from(&new), |rest| self.now.join(rest));
        let project = Project::of(self.flavour, &now);
        row.values.insert("path".into(), Cell::from(project.path(&now)));
        row.values.insert("project_id".into(), Cell::from(project.id));
        row.values.insert("directory".into(), Cell::from(new));
    }

    fn message(&self, row: &mut Row<'_>, splices: &mut Splices) {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow, default)]
            path: Option<Paths<'a>>,
        }
        let Some(Cell::Text(data)) = row.values.get("data") else { return };
        let Ok(Message { path: Some(paths) }) = serde_json::from_str::<Message<'_>>(data) else { return };
        splices.clear();
        for path in [paths.cwd, paths.root].into_iter().flatten() {
            splices.map_string(data.as_bytes(), path, |old| self.path(old).filter(|new| new != old));
        }
        if splices.is_empty() {
            return;
        }
        let mut changed = Vec::with_capacity(data.len());
        if splices.write(data.as_bytes(), &mut changed).is_ok()
            && let Ok(changed) = String::from_utf8(changed)
        {
            row.values.insert("data".into(), Cell::Text(Cow::Owned(changed)));
        }
    }
}
