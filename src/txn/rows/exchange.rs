//! One document in the place of another, in one transaction that changes nothing else.
//!
//! Foreign keys are looked after here. SQLite's own actions are off, as a cascade would take rows
//! that no plan names: instead a change is refused that would leave a row without its parent.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params_from_iter};

use super::database::{Database, Databases, SqlContext};
use super::document::{self, Bound};
use super::schema::{Reference, quoted, unknown};
use crate::error::{Error, Kind, Result};
use crate::model::rows::{Cell, Scope, SharedRow};
use crate::txn::journal::Content;

/// What happens to the rows that sessions share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    /// They are inserted where they are missing.
    Added,
    /// They go unless something refers to them.
    Removed,
}

/// Begins a transaction in which nobody else can write.
pub(super) fn begin(database: &Database) -> Result<Transaction<'_>> {
    Transaction::new_unchecked(&database.connection, TransactionBehavior::Immediate).of(&database.path)
}

/// What is there now.
pub(super) fn now(database: &Database, connection: &Connection, scope: &[Scope]) -> Result<Option<Content>> {
    document::write(connection, &database.schema, scope, &mut std::io::sink())
}

/// Replaces all rows of the scope by those of a document, whose content is known. Nothing of it is
/// there before the transaction is committed.
///
/// # Errors
/// [`Kind::Conflict`] when the database does not take the rows, or rows outside the scope need one
/// of those that would go; as [`super::database::open`].
pub(super) fn replace(
    database: &Database,
    connection: &Connection,
    scope: &[Scope],
    new: Option<(&Path, &Content)>,
) -> Result<()> {
    let needed = needed(database, connection, scope)?;
    document::remove(connection, &database.path, scope)?;
    if let Some((from, content)) = new {
        document::insert_all(connection, &database.schema, from)?;
        if now(database, connection, scope)?.as_ref() != Some(content) {
            let what = "does not keep rows as they are written".to_owned();
            return Err(unknown(&database.path, what));
        }
    }
    needed.iter().try_for_each(|key| key.check(database, connection))
}

/// Refuses rows of the scope that refer to a row which is not there.
pub(super) fn check_parents(database: &Database, connection: &Connection, scope: &[Scope]) -> Result<()> {
    for Reference { child, parent, columns } in database.references()? {
        for Scope { table, column, values } in
            scope.iter().filter(|part| part.table.eq_ignore_ascii_case(child))
        {
            let known = |(from, _): &(String, String)| format!("child.{} IS NOT NULL", quoted(from));
            let sql = format!(
                "SELECT 1 FROM {} AS child WHERE child.{} = ?1 AND {} AND NOT EXISTS
                    (SELECT 1 FROM {} AS parent WHERE {}) LIMIT 1",
                quoted(table),
                quoted(column),
                columns.iter().map(known).collect::<Vec<_>>().join(" AND "),
                quoted(parent),
                refers(columns),
            );
            let mut query = connection.prepare_cached(&sql).of(&database.path)?;
            for value in values {
                if query.exists([value]).of(&database.path)? {
                    let message = format!(
                        "{} does not take the rows of this session: one in {child:?} refers to a row of {parent:?} \
                         that is not there",
                        database.path.display()
                    );
                    return Err(Error::new(Kind::Conflict, message));
                }
            }
        }
    }
    Ok(())
}

/// The condition that `child` refers to `parent`.
fn refers(columns: &[(String, String)]) -> String {
    let one = |(from, to): &(String, String)| format!("child.{} = parent.{}", quoted(from), quoted(to));
    columns.iter().map(one).collect::<Vec<_>>().join(" AND ")
}

/// A row of the scope that a row outside it refers to.
struct Needed<'a> {
    by: &'a Reference,
    key: Vec<Value>,
}

impl Needed<'_> {
    fn check(&self, database: &Database, connection: &Connection) -> Result<()> {
        let Reference { child, parent, columns } = self.by;
        let to: Vec<String> = columns.iter().map(|(_, to)| to.clone()).collect();
        let condition = document::all_are(&to, "", |place| format!("?{place}"));
        let sql = format!("SELECT 1 FROM {} WHERE {condition}", quoted(parent));
        let mut query = connection.prepare_cached(&sql).of(&database.path)?;
        if query.exists(params_from_iter(&self.key)).of(&database.path)? {
            return Ok(());
        }
        let message = format!(
            "{}: rows in {child:?} still belong to one of {parent:?} that would go",
            database.path.display()
        );
        Err(Error::new(Kind::Conflict, message).hint("remove the session with its own program"))
    }
}

/// The rows of the scope that rows outside it refer to, such as the session that was shared since.
fn needed<'a>(database: &'a Database, connection: &Connection, scope: &[Scope]) -> Result<Vec<Needed<'a>>> {
    let mut needed = Vec::new();
    for reference in database.references()? {
        let Reference { child, parent, columns } = reference;
        let in_scope = |name: &str| scope.iter().find(|part| part.table.eq_ignore_ascii_case(name));
        let Some(parents) = in_scope(parent) else { continue };
        let (outside, values) = match in_scope(child) {
            None => ("?2 IS NULL".to_owned(), None),
            Some(Scope { column, values, .. }) => (
                format!("coalesce(child.{} NOT IN (SELECT value FROM json_each(?2)), 1)", quoted(column)),
                serde_json::to_string(values).ok(),
            ),
        };
        let to: Vec<String> = columns.iter().map(|(_, to)| format!("parent.{}", quoted(to))).collect();
        let sql = format!(
            "SELECT DISTINCT {} FROM {} AS parent JOIN {} AS child ON {} WHERE parent.{} = ?1 AND {outside}",
            to.join(", "),
            quoted(parent),
            quoted(child),
            refers(columns),
            quoted(&parents.column),
        );
        let mut query = connection.prepare_cached(&sql).of(&database.path)?;
        for value in &parents.values {
            let rows = query.query_map((value, &values), |row| {
                let key = (0..to.len()).map(|place| row.get(place)).collect::<rusqlite::Result<_>>()?;
                Ok(Needed { by: reference, key })
            });
            let rows = rows.and_then(|rows| rows.collect::<rusqlite::Result<Vec<_>>>()).of(&database.path)?;
            needed.extend(rows);
        }
    }
    Ok(needed)
}

/// Which of these rows are not there, and which are.
///
/// # Errors
/// When the database cannot be read.
pub(in crate::txn) fn missing(
    databases: &Databases,
    path: &Path,
    rows: Vec<SharedRow>,
) -> Result<(Vec<SharedRow>, Vec<SharedRow>)> {
    let database = databases.get(path)?;
    let (mut missing, mut present) = (Vec::new(), Vec::new());
    for shared in rows {
        let sql = format!("SELECT 1 FROM {} WHERE {} = ?1", quoted(&shared.row.table), quoted(&shared.key));
        let there = database.connection.query_row(&sql, [Bound(key(&shared, path)?)], |_| Ok(())).optional();
        if there.of(path)?.is_none() {
            missing.push(shared);
        } else {
            present.push(shared);
        }
    }
    Ok((missing, present))
}

fn key<'a>(shared: &'a SharedRow, path: &Path) -> Result<&'a Cell<'static>> {
    shared.row.values.get(shared.key.as_str()).ok_or_else(|| {
        let message = format!("a row for {} has no column {:?}", path.display(), shared.key);
        Error::new(Kind::Unsupported, message)
    })
}

/// Adds or removes rows that sessions share.
pub(super) fn change_shared(
    database: &Database,
    connection: &Connection,
    rows: &[SharedRow],
    change: Shared,
) -> Result<()> {
    let path = &database.path;
    for shared in rows {
        let key = Bound(key(shared, path)?);
        let (table, column) = (quoted(&shared.row.table), quoted(&shared.key));
        if change == Shared::Added {
            let place = shared.row.values.keys().take_while(|name| **name != shared.key).count() + 1;
            let unless = format!("WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {column} = ?{place})");
            document::insert_row(connection, &shared.row, &unless).of(path)?;
        } else if !is_used(database, connection, shared)? {
            connection.execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [key]).of(path)?;
        }
    }
    Ok(())
}

fn is_used(database: &Database, connection: &Connection, shared: &SharedRow) -> Result<bool> {
    let (path, table) = (&database.path, &shared.row.table);
    let key = key(shared, path)?;
    let is_there = |sql: String| {
        connection.prepare_cached(&sql).and_then(|mut query| query.exists([Bound(key)])).of(path)
    };
    for (child, column) in &shared.used_by {
        if is_there(format!("SELECT 1 FROM {} WHERE {} = ?1", quoted(child), quoted(column)))? {
            return Ok(true);
        }
    }
    let keys = database.references()?.iter().filter(|keys| keys.parent.eq_ignore_ascii_case(table));
    for Reference { child, columns, .. } in keys {
        let sql = format!(
            "SELECT 1 FROM {} AS parent JOIN {} AS child ON {} WHERE parent.{} = ?1",
            quoted(table),
            quoted(child),
            refers(columns),
            quoted(&shared.key),
        );
        if is_there(sql)? {
            return Ok(true);
        }
    }
    Ok(false)
}
