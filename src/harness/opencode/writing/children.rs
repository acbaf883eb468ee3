//! The sub-agents of a session that is in the database.

use std::path::Path;

use crate::error::Result;
use crate::harness::common::sqlite::Snapshot;

/// The ids of all sessions that the session started, and that those started.
///
/// # Errors
/// When the database cannot be read.
pub fn of(database: &Path, id: &str) -> Result<Vec<String>> {
    let Some(snapshot) = Snapshot::open(database)? else { return Ok(Vec::new()) };
    // UNION, not UNION ALL: a circle of parents would never end.
    let sql = "WITH RECURSIVE below(id) AS (SELECT id FROM session WHERE parent_id = ?1 UNION \
               SELECT session.id FROM session JOIN below ON session.parent_id = below.id) \
               SELECT id FROM below WHERE id <> ?1 ORDER BY id";
    let read = || {
        let mut statement = snapshot.connection().prepare(sql)?;
        statement.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
    };
    let found = read().map_err(|error| snapshot.error(error))?;
    snapshot.check()?;
    Ok(found)
}
