//! The database of the program, whatever version of it made it.

use std::path::Path;

use rusqlite::Connection;

use super::super::columns::{HEAD, SESSION};
use super::super::flavour::Flavour;
use crate::error::{Error, Kind, Result};
use crate::harness::common::sqlite::Snapshot;

/// No version is without these.
const REQUIRED: [&str; 4] = ["id", "directory", "time_created", "time_updated"];

/// A database with sessions, in the state of one instant.
#[derive(Debug)]
pub struct Store {
    snapshot: Snapshot,
    columns: Vec<String>,
    /// Whether a program of the next generation has moved in, which keeps its sessions elsewhere.
    pub has_successor: bool,
    /// Whether there are task lists.
    pub has_todos: bool,
}

impl Store {
    /// Opens the database at `path`; `None`: there is none, or nothing is in it yet.
    ///
    /// # Errors
    /// When it cannot be read, or no version that is known made it.
    pub fn open(flavour: &Flavour, path: &Path) -> Result<Option<Self>> {
        let Some(snapshot) = Snapshot::open(path)? else { return Ok(None) };
        let tables = snapshot.tables()?;
        let has = |name: &str| tables.iter().any(|table| table == name);
        let has_successor = has("session_v2");
        if tables.is_empty() {
            return Ok(None);
        }
        let name = flavour.info.name;
        let there = path.display();
        if !has("session") || !has("message") || !has("part") {
            let message = if has_successor {
                successor(flavour, path)
            } else {
                format!("{there} has no sessions of {name} in it")
            };
            return Err(Error::new(Kind::Unsupported, message).hint(instead(flavour)));
        }
        let encoding: String = snapshot
            .connection()
            .query_row("PRAGMA encoding", [], |row| row.get(0))
            .map_err(|error| snapshot.error(error))?;
        let columns = snapshot.columns("session")?;
        let missing = REQUIRED.iter().find(|required| !columns.iter().any(|column| column == *required));
        if missing.is_some() || encoding != "UTF-8" {
            let message = format!("{there} was made by a version of {name} that holdall does not know");
            return Err(Error::new(Kind::Unsupported, message).hint(instead(flavour)));
        }
        let has_todos = has("todo");
        Ok(Some(Self { snapshot, columns, has_successor, has_todos }))
    }

    /// The connection, in its read transaction.
    pub fn connection(&self) -> &Connection {
        self.snapshot.connection()
    }

    /// Runs a query; what it returns may be used.
    ///
    /// # Errors
    /// When the database is damaged, or changed although nothing was to change it.
    pub fn query<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let result = query(self.connection());
        // A change explains an error better than the error does.
        self.snapshot.check()?;
        result.map_err(|error| self.snapshot.error(error))
    }

    /// The statement that selects heads of sessions.
    pub fn select_heads(&self) -> String {
        self.select(&SESSION[..HEAD])
    }

    /// The statement that selects all that is known of sessions.
    pub fn select_sessions(&self) -> String {
        self.select(&SESSION)
    }

    /// Columns that this database does not have are NULL.
    fn select(&self, columns: &[&str]) -> String {
        let has = |name: &&str| self.columns.iter().any(|column| column == name);
        let columns: Vec<String> = columns
            .iter()
            .map(|name| if has(name) { format!("session.{name}") } else { format!("NULL AS {name}") })
            .collect();
        format!("SELECT {} FROM session", columns.join(", "))
    }
}

/// Says that the database belongs to the next generation of the program.
pub fn successor(flavour: &Flavour, path: &Path) -> String {
    format!(
        "{} was taken over by {} 2, whose sessions holdall does not read yet",
        path.display(),
        flavour.info.name
    )
}

fn instead(flavour: &Flavour) -> String {
    format!(
        "`{program} export ID > FILE` writes a session that `holdall export FILE` can take",
        program = flavour.info.program
    )
}
