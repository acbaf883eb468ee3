//! Everything that belongs to a session of a database: its sub-agents, and what its tools wrote
//! beside it.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::super::flavour::Flavour;
use super::super::paths::TOOL_OUTPUT;
use super::agents::{self, ToolPart};
use super::database::Database;
use super::payload::Made;
use super::session::SessionRow;
use crate::error::Result;
use crate::harness::NativeSession;
use crate::harness::common::files::{Identity, Source};
use crate::harness::common::sqlite::text;
use crate::model::{Agent, FileMeta, Notes, Role};

/// The program writes a tool's output before the part that names it; clocks of file systems may
/// be coarse.
const SLACK: i64 = 60_000;

/// Opens a session.
///
/// # Errors
/// When it is not there or the database cannot be read.
pub fn open(flavour: &Flavour, database: &Database, data_dir: &Path, id: &str) -> Result<NativeSession> {
    let row = database.row(id)?;
    let mut made = Made::new(database.clone());
    made.add(id, None)?;
    let mut family = HashSet::from([id.to_owned()]);
    let mut parents = vec![id.to_owned()];
    while let Some(parent) = parents.pop() {
        for child in children(database, &parent)? {
            let id = child.id.clone();
            if family.insert(id.clone()) {
                made.add(&id, Some(child))?;
                parents.push(id);
            }
        }
    }
    let mut family: Vec<String> = family.into_iter().collect();
    family.sort_unstable();
    for (name, path, size, identity) in tool_outputs(database, data_dir, &family)? {
        let path_in_store = format!("{TOOL_OUTPUT}/{name}");
        let meta =
            FileMeta { role: Role::Attachment, path: path_in_store, size, modified: None, agent: None };
        made.attach(meta, Source::Path(path, identity));
    }
    Ok(NativeSession { head: row.head.head(flavour), payload: Box::new(made), notes: Notes::default() })
}

/// The sub-agents that a session started, the oldest first.
fn children(database: &Database, parent: &str) -> Result<Vec<Agent>> {
    let store = database.store();
    let sql = format!("{} WHERE parent_id = ?1 ORDER BY time_created, id", store.select_sessions());
    let rows: Vec<SessionRow> = store.query(|connection| {
        connection.prepare_cached(&sql)?.query_map([parent], SessionRow::read)?.collect()
    })?;
    drop(store);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let calls = parts_with(database, parent, "\"task\"", 0)?;
    let agent = |row: SessionRow| agents::agent(&calls, row.head.id, row.agent, row.head.title);
    Ok(rows.into_iter().map(agent).collect())
}

/// The parts of a session that have a text in them and changed at or after an instant.
fn parts_with(database: &Database, session: &str, words: &str, since: i64) -> Result<Vec<ToolPart>> {
    const SQL: &str = "SELECT data FROM part \
        WHERE session_id = ?1 AND time_updated >= ?3 AND instr(data, ?2) > 0 ORDER BY message_id, id";
    let store = database.store();
    store.query(|connection| {
        let mut statement = connection.prepare_cached(SQL)?;
        let mut rows = statement.query((session, words, since))?;
        let mut parts = Vec::new();
        while let Some(row) = rows.next()? {
            let data = text(row, 0)?.unwrap_or_default();
            // A part of another shape is none of those that are looked for.
            parts.extend(ToolPart::read(&data));
        }
        Ok(parts)
    })
}

/// The files that tools of these sessions wrote, as far as they are still there: name, path, size and
/// which file it is.
/// The program removes them after some days, so the older parts of a session are not searched.
fn tool_outputs(
    database: &Database,
    data_dir: &Path,
    sessions: &[String],
) -> Result<Vec<(String, PathBuf, u64, Identity)>> {
    let dir = data_dir.join(TOOL_OUTPUT);
    let Ok(entries) = std::fs::read_dir(&dir) else { return Ok(Vec::new()) };
    let changed = |entry: std::fs::DirEntry| entry.metadata().and_then(|meta| meta.modified()).ok();
    let Some(oldest) = entries.flatten().filter_map(changed).min() else { return Ok(Vec::new()) };
    let oldest = oldest.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let mut names = HashSet::new();
    for session in sessions {
        for part in parts_with(database, session, TOOL_OUTPUT, oldest - SLACK)? {
            // What a session says is no path: it must be the name of a file in that directory.
            let Some(path) = part.output() else { continue };
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|name| path.parent() == Some(&dir) && is_plain(name)) {
                names.insert(name.to_owned());
            }
        }
    }
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    let file = |name: String| {
        let path = dir.join(&name);
        let size = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        let identity = Identity::of(&File::open(&path).ok()?, size).ok()?;
        Some((name, path, size, identity))
    };
    Ok(names.into_iter().filter_map(file).collect())
}

/// Whether a file name is made of letters, digits and `_-.` and does not begin with a dot.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
