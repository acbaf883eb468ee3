//! Rows to documents in normal form, and back.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::database::{Databases, SqlContext};
use super::schema::{Schema, Table, list, quoted, unknown};
use crate::error::{Error, IoContext, Kind, Result};
use crate::model::rows::{Cell, Row, Scope};
use crate::txn::content::Hashing;
use crate::txn::disk;
use crate::txn::journal::Content;

/// The rows of a scope as they are now: their document goes to `out`. `None`: there are none.
///
/// # Errors
/// When the database cannot be read.
pub(in crate::txn) fn now(
    databases: &Databases,
    path: &Path,
    scope: &[Scope],
    out: &mut dyn Write,
) -> Result<Option<Content>> {
    databases.patiently(path, || {
        let database = databases.get(path)?;
        let reading = database.connection.unchecked_transaction().of(path)?;
        let content = write(&reading, &database.schema, scope, out)?;
        reading.finish().of(path)?;
        Ok(content)
    })
}

/// Writes the rows of a scope, one row in memory at a time. `None`: there are none.
pub(super) fn write(
    connection: &Connection,
    schema: &Schema,
    scope: &[Scope],
    out: &mut dyn Write,
) -> Result<Option<Content>> {
    let mut out = Hashing::new(out);
    for part in scope {
        write_part(connection, schema, part, &mut out)?;
    }
    let (_, bytes, sha256) = out.finish();
    Ok((bytes > 0).then_some(Content { bytes, sha256, modified: None, mode: None }))
}

/// The keys are sorted, then each row is fetched: a session's rows need not fit into memory.
fn write_part(connection: &Connection, schema: &Schema, scope: &Scope, out: &mut dyn Write) -> Result<()> {
    let path = &schema.path;
    let table = schema.table(&scope.table)?;
    let (name, column) = (quoted(&table.name), quoted(&scope.column));
    let order: Vec<String> = table.key.iter().map(|key| format!("{} COLLATE BINARY", quoted(key))).collect();
    let keys =
        format!("SELECT {} FROM {name} WHERE {column} = ?1 ORDER BY {}", list(&table.key), order.join(", "));
    let one = format!(
        "SELECT {} FROM {name} WHERE {}",
        list(&table.columns),
        all_are(&table.key, "", |n| format!("?{n}"))
    );
    let mut keys = connection.prepare_cached(&keys).of(path)?;
    let mut one = connection.prepare_cached(&one).of(path)?;
    for value in &scope.values {
        let mut keys = keys.query([value]).of(path)?;
        while let Some(key) = keys.next().of(path)? {
            let key = (0..table.key.len()).map(|place| key.get::<_, Value>(place));
            let key = key.collect::<rusqlite::Result<Vec<_>>>().of(path)?;
            let mut found = one.query(params_from_iter(key)).of(path)?;
            let Some(row) = found.next().of(path)? else {
                return Err(unknown(path, format!("has a row without a key in its table {:?}", table.name)));
            };
            let values = table.columns.iter().enumerate();
            let values = values.map(|(place, name)| Ok((Cow::from(name), Cell::from(row.get_ref(place)?))));
            let values = values.collect::<rusqlite::Result<_>>().of(path)?;
            Row { table: Cow::from(&table.name), values }.write(out).at("copy the rows of", path)?;
        }
    }
    Ok(())
}

/// `"a" = ?1 AND "b" = ?2`
pub(super) fn all_are(names: &[String], table: &str, value: impl Fn(usize) -> String) -> String {
    let one = |(place, name): (usize, &String)| format!("{table}{} = {}", quoted(name), value(place + 1));
    names.iter().enumerate().map(one).collect::<Vec<_>>().join(" AND ")
}

/// Removes the rows of a scope.
pub(super) fn remove(connection: &Connection, path: &Path, scope: &[Scope]) -> Result<()> {
    for Scope { table, column, values } in scope {
        let sql = format!("DELETE FROM {} WHERE {} = ?1", quoted(table), quoted(column));
        let mut delete = connection.prepare_cached(&sql).of(path)?;
        values.iter().try_for_each(|value| delete.execute([value]).of(path).map(|_| ()))?;
    }
    Ok(())
}

/// Inserts the rows of a document of ours.
pub(super) fn insert_all(connection: &Connection, schema: &Schema, document: &Path) -> Result<()> {
    for_each_line(document, |line| insert(connection, schema, line))
}

/// Hands over each line of a document of ours, without its end.
pub(super) fn for_each_line(document: &Path, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let file: File = disk::open(document).at("open", document)?;
    let mut file = BufReader::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).at("read", document)? > 0 {
        take(line.strip_suffix(b"\n").unwrap_or(&line))?;
        line.clear();
    }
    Ok(())
}

/// Inserts one row.
pub(super) fn insert(connection: &Connection, schema: &Schema, line: &[u8]) -> Result<()> {
    let row: Row<'_> = serde_json::from_slice(line)
        .map_err(|error| Error::new(Kind::Unsupported, format!("this is no row: {error}")))?;
    let table: &Table = schema.table(&row.table)?;
    if let Some(column) = row.values.keys().find(|column| !table.columns.iter().any(|known| known == *column))
    {
        let what = format!("has no column {column:?} in its table {:?}", table.name);
        return Err(unknown(&schema.path, what));
    }
    insert_row(connection, &row, "").of(&schema.path).map(|_| ())
}

/// Inserts one row where `condition` allows it. Returns how many rows that made.
pub(super) fn insert_row(connection: &Connection, row: &Row<'_>, condition: &str) -> rusqlite::Result<usize> {
    let names: Vec<String> = row.values.keys().map(|name| quoted(name)).collect();
    let marks: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
    let (table, names, marks) = (quoted(&row.table), names.join(", "), marks.join(", "));
    let sql = format!("INSERT INTO {table} ({names}) SELECT {marks} {condition}");
    connection.prepare_cached(&sql)?.execute(params_from_iter(row.values.values().map(Bound)))
}

/// A value on its way into the database.
pub(super) struct Bound<'a>(pub &'a Cell<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Integer(value) => ValueRef::Integer(*value),
            Cell::Real(value) => ValueRef::Real(*value),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Text(bytes),
            Cell::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
