//! Rows of another program's database on their way to be the same rows with some values changed.

use std::borrow::Cow;
use std::io::Write;

use super::sqlite::Snapshot;
use crate::error::{IoContext, Result};
use crate::model::rows::{Cell, Row, Scope};

/// Writes the rows of a scope as a row document, each as `change` leaves it.
///
/// # Errors
/// When the database cannot be read, or `out` fails.
pub fn rewrite(
    snapshot: &Snapshot,
    scope: &[Scope],
    change: &mut dyn FnMut(&mut Row<'_>),
    out: &mut dyn Write,
) -> Result<()> {
    for Scope { table, column, values } in scope {
        let columns = stored_columns(snapshot, table)?;
        let list: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let sql = format!("SELECT {} FROM {} WHERE {} = ?1", list.join(", "), quoted(table), quoted(column));
        let failed = |error| snapshot.error(error);
        let mut select = snapshot.connection().prepare(&sql).map_err(failed)?;
        for value in values {
            let mut rows = select.query([value]).map_err(failed)?;
            while let Some(found) = rows.next().map_err(failed)? {
                let mut row = Row::new(&**table);
                for (place, name) in columns.iter().enumerate() {
                    let value = Cell::from(found.get_ref(place).map_err(failed)?);
                    row.values.insert(Cow::Borrowed(name), value);
                }
                change(&mut row);
                row.write(out).at("copy the rows of", snapshot.path())?;
            }
        }
    }
    snapshot.check()
}

/// The columns that hold something: computed ones cannot be written.
fn stored_columns(snapshot: &Snapshot, table: &str) -> Result<Vec<String>> {
    let read = || {
        let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0";
        let mut names = snapshot.connection().prepare(sql)?;
        names.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
    };
    read().map_err(|error| snapshot.error(error))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
