//! Tables, their keys, and which refers to which.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::database::{self, SqlContext};
use crate::error::{Error, Kind, Result};

/// What an import found of the tables that it changes. It stays in the journal: columns that a later
/// version of the program adds are none of ours, and an undo must not take them for a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::txn) struct Schema {
    /// The database.
    pub path: PathBuf,
    pub tables: Vec<Table>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::txn) struct Table {
    pub name: String,
    /// The columns that hold something, in alphabetical order.
    pub columns: Vec<String>,
    /// The columns of the primary key, in its order.
    pub key: Vec<String>,
    /// The statement that made it; only needed while sessions are staged.
    #[serde(skip)]
    pub sql: String,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub child: String,
    pub parent: String,
    /// Columns of the child, each with the one of the parent.
    pub columns: Vec<(String, String)>,
}

impl Schema {
    /// Looks at these tables of a database.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] when one of them is not there or has no key; as [`database::open`].
    pub(in crate::txn) fn read<'a>(path: &Path, tables: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let connection = database::open(path)?;
        let tables = tables.into_iter().map(|name| table(&connection, path, name));
        Ok(Self { path: path.to_owned(), tables: tables.collect::<Result<_>>()? })
    }

    pub(super) fn table(&self, name: &str) -> Result<&Table> {
        let found = self.tables.iter().find(|table| table.name == name);
        found.ok_or_else(|| unknown(&self.path, format!("has no table {name:?} for these rows")))
    }

    /// Whether the database still has all that is in here.
    pub(super) fn check(&self, connection: &Connection) -> Result<()> {
        for known in &self.tables {
            let now = table(connection, &self.path, &known.name)?;
            if let Some(gone) = known.columns.iter().find(|column| !now.columns.contains(column)) {
                let what = format!("has no column {gone:?} in its table {:?}", known.name);
                return Err(unknown(&self.path, what));
            }
        }
        Ok(())
    }
}

pub(super) fn unknown(path: &Path, what: String) -> Error {
    Error::new(Kind::Unsupported, format!("{} {what}", path.display()))
        .hint("it was made by another version of its program than those that holdall knows")
}

fn table(connection: &Connection, path: &Path, name: &str) -> Result<Table> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND rootpage > 0";
    let sql = connection.query_row(sql, [name], |row| row.get::<_, String>(0)).optional().of(path)?;
    let Some(sql) = sql else {
        return Err(unknown(path, format!("has no table {name:?}")));
    };
    let columns = connection
        .prepare("SELECT name, pk FROM pragma_table_xinfo(?1) WHERE hidden = 0")
        .and_then(|mut query| {
            let rows =
                query.query_map([name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })
        .of(path)?;
    let mut key: Vec<_> = columns.iter().filter(|(_, place)| *place > 0).collect();
    key.sort_by_key(|(_, place)| *place);
    let key: Vec<String> = key.into_iter().map(|(name, _)| name.clone()).collect();
    if key.is_empty() {
        return Err(unknown(path, format!("has no primary key in its table {name:?}")));
    }
    let mut columns: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    columns.sort();
    Ok(Table { name: name.to_owned(), columns, key, sql })
}

/// The foreign keys of all tables.
pub(super) fn references(connection: &Connection) -> rusqlite::Result<Vec<Reference>> {
    let mut references: Vec<Reference> = Vec::new();
    let mut query = connection.prepare(
        "SELECT child.name, keys.seq, keys.\"table\", keys.\"from\",
                coalesce(keys.\"to\", (SELECT name FROM pragma_table_xinfo(keys.\"table\") WHERE pk = keys.seq + 1))
         FROM sqlite_schema AS child, pragma_foreign_key_list(child.name) AS keys
         WHERE child.type = 'table' ORDER BY child.name, keys.id, keys.seq",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        // A key that refers to nothing is an error of the schema, and SQLite takes no row then.
        let (Some(from), Some(to)) = (row.get::<_, Option<String>>(3)?, row.get::<_, Option<String>>(4)?)
        else {
            continue;
        };
        match references.last_mut() {
            Some(last) if row.get::<_, u32>(1)? > 0 => last.columns.push((from, to)),
            _ => references.push(Reference {
                child: row.get(0)?,
                parent: row.get(2)?,
                columns: vec![(from, to)],
            }),
        }
    }
    Ok(references)
}

/// A name as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as SQL has them, between commas.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}
