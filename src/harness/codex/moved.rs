//! What Codex has in its index of a thread whose directory moves.
//!
//! Codex 0.169 lists threads by `cwd` in `threads` of `state_5.sqlite`, and never brings that in line
//! with a rollout that it knows already. What `thread_history_1.sqlite` holds of a thread, for the
//! screen, stays: the places in the rollout that it names are then a little beside, and the program
//! goes on with it all the same.

use std::io::Write;
use std::path::{Path, PathBuf};

use toml::Table;

use super::{locate, place};
use crate::env::Env;
use crate::error::Result;
use crate::harness::common::reindex;
use crate::harness::common::sqlite::Snapshot;
use crate::harness::{Layout, OutIndex, Target};
use crate::model::rows::{Cell, Scope};
use crate::model::{FileMeta, Role};
use crate::place::PathMap;

/// The index of threads, 0.169.
const STATE: &str = "state_5.sqlite";
/// Its table, by the id of the thread.
const THREADS: &str = "threads";

/// Where a thread goes that stays on this machine.
///
/// # Errors
/// As [`place::native`], and when the index cannot be read.
pub fn place(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let mut layout = place::native(target, files)?;
    // The name of a thread does not change with its place.
    layout.lines.clear();
    let mut ids = vec![target.id.to_owned()];
    let agents = files.iter().filter(|file| file.role == Role::Subagent);
    ids.extend(agents.filter_map(|file| Some(file.agent.as_ref()?.id.clone())));
    let database = databases(target.env).join(STATE);
    let scope = Scope { table: THREADS.to_owned(), column: "id".to_owned(), values: ids };
    if is_there(&database, &scope)? {
        layout.index.push(OutIndex { database, scope: vec![scope], shared: Vec::new() });
    }
    Ok(layout)
}

/// Writes the rows as they have to be.
///
/// # Errors
/// When the database cannot be read.
pub fn reindex(target: &Target<'_>, index: &OutIndex, out: &mut dyn Write) -> Result<()> {
    let Some(snapshot) = Snapshot::open(&index.database)? else { return Ok(()) };
    let cwd = target.cwd.to_string_lossy();
    let mut paths: PathMap = target.paths.clone();
    if let Some(old) = &target.source.cwd {
        // A relative directory maps nothing below it.
        let _ = paths.add(old, &cwd);
    }
    reindex::rewrite(
        &snapshot,
        &index.scope,
        &mut |row| {
            // The program may have gone on in another directory, where it lists the thread since.
            if let Some(Cell::Text(old)) = row.values.get("cwd")
                && let Some(new) = paths.map(old)
            {
                row.values.insert("cwd".into(), Cell::from(new));
            }
        },
        out,
    )
}

/// Where the databases are: `$CODEX_SQLITE_HOME`, or `sqlite_home` of the configuration, else the data
/// directory.
fn databases(env: &Env) -> PathBuf {
    let home = locate::home(env);
    if let Some(dir) = env.var("CODEX_SQLITE_HOME") {
        return env.cwd().join(dir);
    }
    let text = std::fs::read_to_string(home.join("config.toml")).unwrap_or_default();
    let config: Table = text.parse().unwrap_or_default();
    match config.get("sqlite_home").and_then(|dir| dir.as_str()) {
        Some(dir) => home.join(dir),
        None => home,
    }
}

/// Whether the database has one of these rows.
fn is_there(database: &Path, scope: &Scope) -> Result<bool> {
    let Some(snapshot) = Snapshot::open(database)? else { return Ok(false) };
    if snapshot.columns(&scope.table)?.is_empty() {
        return Ok(false);
    }
    let sql = format!("SELECT 1 FROM {} WHERE {} = ?1", scope.table, scope.column);
    let look = || {
        let mut select = snapshot.connection().prepare(&sql)?;
        scope
            .values
            .iter()
            .try_fold(false, |any, value| Ok::<_, rusqlite::Error>(any || select.exists([value])?))
    };
    let any = look().map_err(|error| snapshot.error(error))?;
    snapshot.check()?;
    Ok(any)
}
