//! What can be wrong with a store of opencode or Kilo.
//!
//! opencode 1.18 lists the sessions of the project that its directory belongs to now. A session keeps
//! the project of the day it was made; the program moves sessions along in two cases only (a
//! repository gets an `origin`, or a plain directory becomes one). So a session whose repository lost
//! its `.git` is not listed any more, nor are those of the JSON trees of 1.1 and before, which 1.18
//! does not look at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use serde::Deserialize;

use super::flavour::Flavour;
use super::paths;
use super::reading::is_record;
use super::writing::models::Models;
use super::writing::place::project_row;
use super::writing::project::{Project, real};
use super::writing::{children, schema};
use crate::env::Env;
use crate::error::{Kind, Result};
use crate::harness::common::sqlite::{Snapshot, text};
use crate::harness::diagnosis::{Checkup, Code, Finding, Form, Known, Mend, Part, Repair, Severity};
use crate::model::rows::{Cell, Row, Scope};

const LEGACY: Code = Code {
    id: "opencode.legacy",
    severity: Severity::Warning,
    means: "the session lies in the JSON files of an earlier version, which the program does not look at any more",
    fix: Some("the session is brought into the database; its files stay"),
};
const OTHER_PROJECT: Code = Code {
    id: "opencode.other-project",
    severity: Severity::Warning,
    means: "the session belongs to another project than its directory does now, so it is not listed there",
    fix: Some("the session, with its sub-agents, goes to the project of its directory"),
};
const LOST_PARENT: Code = Code {
    id: "opencode.lost-parent",
    severity: Severity::Warning,
    means: "the session was started by one that is not there, and the list leaves out what others started",
    fix: Some("it becomes a session of its own"),
};
const PROVIDER_OFF: Code = Code {
    id: "opencode.provider-off",
    severity: Severity::Warning,
    means: "the configuration excludes the provider of the session's model: it does not resume without `--model`",
    fix: None,
};
const DAMAGED_ROW: Code = Code {
    id: "opencode.damaged-row",
    severity: Severity::Error,
    means: "a message or a part of one is no JSON object, and the program cannot show the session",
    fix: None,
};
const UNKNOWN_SCHEMA: Code = Code {
    id: "opencode.unknown-schema",
    severity: Severity::Notice,
    means: "the database is of a version that holdall does not know, so nothing is written into it",
    fix: None,
};

/// So many damaged rows of a table are named.
const MOST_DAMAGED: usize = 100;

/// All kinds of findings.
pub static CODES: [Code; 6] = [LEGACY, OTHER_PROJECT, LOST_PARENT, PROVIDER_OFF, DAMAGED_ROW, UNKNOWN_SCHEMA];

/// Looks for what is wrong.
///
/// # Errors
/// When the database cannot be read.
pub fn diagnose(
    flavour: &'static Flavour,
    checkup: &Checkup<'_>,
    report: &mut dyn FnMut(Finding),
) -> Result<()> {
    let env = checkup.env;
    let database = paths::database(flavour, env).filter(|path| path.exists());
    let is_writable = database.as_deref().is_some_and(|path| writable(flavour, path, report));
    for known in checkup.sessions.iter().filter(|known| is_legacy(flavour, env, known)) {
        if known.head.as_ref().is_some_and(|head| head.parent.is_none()) {
            report(legacy(flavour, known, database.is_none() || is_writable));
        }
    }
    let Some(path) = database else { return Ok(()) };
    let Some(snapshot) = Snapshot::open(&path)? else { return Ok(()) };
    let Ok(rows) = rows(&snapshot) else { return Ok(()) };
    let places = places(flavour, env, &rows);
    let store =
        Store { flavour, path: &path, snapshot: &snapshot, rows: &rows, places: &places, is_writable };
    for known in checkup.sessions {
        if let Some(row) = rows.get(&known.found.id).filter(|_| !is_legacy(flavour, env, known)) {
            store.look(known, row, report);
        }
    }
    store.damage(checkup, report)
}

/// Whether holdall may write into the database; says so when it may not.
fn writable(flavour: &Flavour, path: &Path, report: &mut dyn FnMut(Finding)) -> bool {
    match schema::owned(flavour, path) {
        Ok(_) => true,
        // Damage shows where all files are looked through.
        Err(error) if error.kind() == Kind::Unsupported && !error.to_string().contains("damaged") => {
            let mut finding = Finding::new(&UNKNOWN_SCHEMA, error.to_string()).at(path);
            finding.advice = error.hints().last().cloned();
            report(finding);
            false
        }
        Err(_) => false,
    }
}

fn is_legacy(flavour: &Flavour, env: &Env, known: &Known) -> bool {
    let data_dir = paths::data_dir(flavour, env);
    ["storage", "project"].iter().any(|tree| known.found.path.starts_with(data_dir.join(tree)))
}

/// A session of the JSON files.
fn legacy(flavour: &Flavour, known: &Known, can_bring: bool) -> Finding {
    let name = flavour.info.name;
    let cwd = known.head.as_ref().and_then(|head| head.cwd.as_deref());
    let finding = Finding::of(&LEGACY, known, format!("{name} {} does not list it", flavour.info.tested));
    if can_bring && cwd.is_some_and(|cwd| Path::new(cwd).is_dir()) {
        return finding
            .advise("`--fix` brings it into the database")
            .repair(Repair::Again { replaces: false });
    }
    finding.advise(
        "its directory has to be there first: make it again, or `holdall export` it and import it elsewhere",
    )
}

/// What the database says of a session.
struct SessionRow {
    project: String,
    parent: Option<String>,
    directory: String,
    model: Option<String>,
}

fn rows(snapshot: &Snapshot) -> Result<BTreeMap<String, SessionRow>> {
    let read = || {
        let sql = "SELECT id, project_id, parent_id, directory, model FROM session";
        let mut statement = snapshot.connection().prepare(sql)?;
        let mut found = statement.query([])?;
        let mut rows = BTreeMap::new();
        while let Some(row) = found.next()? {
            let (project, parent) = (text(row, 1)?.unwrap_or_default(), text(row, 2)?);
            let (directory, model) = (text(row, 3)?.unwrap_or_default(), text(row, 4)?);
            let one = SessionRow { project, parent: parent.filter(|id| !id.is_empty()), directory, model };
            rows.insert(text(row, 0)?.unwrap_or_default(), one);
        }
        Ok(rows)
    };
    let rows = read().map_err(|error| snapshot.error(error))?;
    snapshot.check()?;
    Ok(rows)
}

/// A directory of sessions that is there.
struct Place {
    /// As the program writes it down.
    directory: PathBuf,
    project: Project,
    models: Models,
}

/// The directories of the sessions, each looked at once.
fn places(flavour: &Flavour, env: &Env, rows: &BTreeMap<String, SessionRow>) -> BTreeMap<String, Place> {
    let directories: BTreeSet<&String> = rows.values().map(|row| &row.directory).collect();
    let look = |name: &String| {
        let directory = real(Path::new(name));
        if !directory.is_dir() {
            return None;
        }
        let (project, models) = (Project::of(flavour, &directory), Models::of(flavour, env, &directory));
        Some((name.clone(), Place { directory, project, models }))
    };
    directories.into_iter().filter_map(look).collect()
}

/// The database, as it was read.
struct Store<'a> {
    flavour: &'static Flavour,
    path: &'a Path,
    snapshot: &'a Snapshot,
    rows: &'a BTreeMap<String, SessionRow>,
    places: &'a BTreeMap<String, Place>,
    is_writable: bool,
}

impl Store<'_> {
    fn look(&self, known: &Known, row: &SessionRow, report: &mut dyn FnMut(Finding)) {
        let id = &known.found.id;
        let program = self.flavour.info.program;
        let resume = [program, "--session", id.as_str()];
        if let Some(parent) = &row.parent {
            if !self.rows.contains_key(parent) {
                let detail = format!("it was started by {parent}, which is not there");
                let mut finding = Finding::of(&LOST_PARENT, known, detail).run(resume);
                finding.repair = self.change(std::slice::from_ref(id), |row| {
                    row.values.insert("parent_id".into(), Cell::Null);
                });
                report(finding);
            }
            return;
        }
        let Some(Place { directory, project, models }) = self.places.get(&row.directory) else { return };
        // The program itself takes these along when it is started there.
        let follows = row.project == "global" && *directory == project.worktree;
        if project.id != row.project && !follows {
            let what = if project.is_repository() { "another repository" } else { "no repository" };
            let detail = format!("{} is in {what} now", directory.display());
            let mut finding = Finding::of(&OTHER_PROJECT, known, detail).run(resume);
            finding.repair = self.adopt(known, directory, project);
            report(
                finding
                    .advise(format!("opened by its id it can be gone on with; `{program}` does not list it")),
            );
        }
        self.model(known, row, models, report);
    }

    /// Whether the session's model can be used.
    fn model(&self, known: &Known, row: &SessionRow, models: &Models, report: &mut dyn FnMut(Finding)) {
        #[derive(Deserialize)]
        struct Model {
            #[serde(rename = "providerID")]
            provider: String,
        }
        let model = row.model.as_deref().and_then(|json| serde_json::from_str::<Model>(json).ok());
        let Some(Model { provider }) = model else { return };
        if models.is_enabled(&provider) {
            return;
        }
        let program = self.flavour.info.program;
        let detail = format!("it goes on with a model of {provider:?}");
        let advice = format!(
            "enable the provider in {program}.json, or name a model: `{program} run --session {} --model PROVIDER/MODEL`",
            known.found.id
        );
        report(Finding::of(&PROVIDER_OFF, known, detail).advise(advice));
    }

    /// The session and its sub-agents in the project of their directory.
    fn adopt(&self, known: &Known, directory: &Path, project: &Project) -> Option<Repair> {
        let mut ids = children::of(self.path, &known.found.id).ok()?;
        ids.push(known.found.id.clone());
        let mut repair = self.change(&ids, |row| {
            let own = match row.values.get("directory") {
                Some(Cell::Text(own)) => real(Path::new(own.as_ref())),
                _ => directory.to_owned(),
            };
            row.values.insert("project_id".into(), Cell::Text(project.id.clone().into()));
            if row.values.contains_key("path") {
                row.values.insert("path".into(), Cell::Text(project.path(&own).into()));
            }
        })?;
        let began = known.head.as_ref().and_then(|head| head.created.or(head.updated)).unwrap_or_default();
        if let Repair::Changes(mends) = &mut repair
            && let Some(Mend::Rows { shared, .. }) = mends.first_mut()
        {
            shared.push(project_row(project, began));
        }
        Some(repair)
    }

    /// The rows of sessions with a change in each.
    fn change(&self, ids: &[String], change: impl Fn(&mut Row<'static>)) -> Option<Repair> {
        if !self.is_writable {
            return None;
        }
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let mut row = self.snapshot.row("session", "id", id).ok()??;
            change(&mut row);
            rows.push(row);
        }
        let scope = Scope { table: "session".to_owned(), column: "id".to_owned(), values: ids.to_vec() };
        let mend =
            Mend::Rows { database: self.path.to_owned(), scope: vec![scope], rows, shared: Vec::new() };
        Some(Repair::Changes(vec![mend]))
    }

    /// What is no record: just what the reader leaves out.
    fn damage(&self, checkup: &Checkup<'_>, report: &mut dyn FnMut(Finding)) -> Result<()> {
        let sessions: BTreeMap<&str, &Known> =
            checkup.sessions.iter().map(|known| (known.found.id.as_str(), known)).collect();
        for (table, what) in [("message", "the message"), ("part", "the part")] {
            let sql = format!("SELECT session_id, id, data FROM {table}");
            let read = || {
                let mut statement = self.snapshot.connection().prepare(&sql)?;
                let mut rows = statement.query([])?;
                let mut damaged = Vec::new();
                while let Some(row) = rows.next()? {
                    // The program takes bytes for no record, whatever they say.
                    if !matches!(row.get_ref(2)?, ValueRef::Text(data) if is_record(data)) {
                        damaged.push((text(row, 0)?, text(row, 1)?));
                    }
                    if damaged.len() == MOST_DAMAGED {
                        break;
                    }
                }
                Ok::<_, rusqlite::Error>(damaged)
            };
            // A database that cannot be read through is told of with its damage.
            for (session, id) in read().unwrap_or_default() {
                let detail = format!("{what} {} cannot be read", id.unwrap_or_default());
                let known = session.as_deref().and_then(|id| sessions.get(id));
                let mut finding = match known {
                    Some(known) => Finding::of(&DAMAGED_ROW, known, detail),
                    None => Finding::new(&DAMAGED_ROW, detail).at(self.path),
                };
                finding.session = finding.session.or(session);
                report(finding.advise("`holdall show` and `holdall export` still take what is whole"));
            }
        }
        Ok(())
    }
}

/// The files that are looked through for damage.
pub fn parts(flavour: &Flavour, checkup: &Checkup<'_>) -> Vec<Part> {
    let mut parts: Vec<Part> = checkup
        .sessions
        .iter()
        .enumerate()
        .filter(|(_, known)| is_legacy(flavour, checkup.env, known))
        .map(|(at, known)| Part { path: known.found.path.clone(), form: Form::Document, session: Some(at) })
        .collect();
    let database: Option<PathBuf> = paths::database(flavour, checkup.env).filter(|path| path.is_file());
    parts.extend(database.map(|path| Part { path, form: Form::Database, session: None }));
    parts
}
