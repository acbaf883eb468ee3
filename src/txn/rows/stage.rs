//! What an adapter rendered, in normal form.
//!
//! Columns that were left out get their defaults, values the types that the columns give them, and
//! the rows their order, all by SQLite itself: the rows go through tables of the same definition in
//! a scratch database of ours. So what the target will hold is known before it is touched, to the
//! byte, and a row that it would refuse is refused here.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::database::SqlContext;
use super::document;
use super::schema::Schema;
use crate::error::{Error, IoContext, Kind, Result};
use crate::model::rows::Scope;
use crate::txn::disk;
use crate::txn::stage::Staged;

/// Renders rows into a new document in normal form at `to`. Nothing is left when that fails.
///
/// # Errors
/// What `render` returns; [`Kind::Unsupported`] when the database would not hold these rows, or one
/// of them is outside the scope; when the disk refuses.
pub(in crate::txn) fn stage(
    schema: &Schema,
    scope: &[Scope],
    to: &Path,
    render: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<Staged> {
    let scratch = to.with_extension("scratch");
    let staged = through(schema, scope, &scratch, to, render);
    let removed = disk::remove(&scratch);
    if staged.is_err() {
        let _ = disk::remove(to);
    }
    removed.and(staged)
}

fn through(
    schema: &Schema,
    scope: &[Scope],
    scratch: &Path,
    to: &Path,
    render: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<Staged> {
    let target = &schema.path;
    let mut intake = Intake { connection: make(schema, scratch)?, schema, line: Vec::new(), rows: 0 };
    render(&mut intake)?;
    if !intake.line.is_empty() {
        return Err(Error::new(Kind::Unsupported, "the last row that was rendered has no end"));
    }
    let Intake { connection, rows, .. } = intake;
    let mut out =
        Lines { inner: BufWriter::with_capacity(64 << 10, disk::create(to).at("write", target)?), count: 0 };
    let content = document::write(&connection, schema, scope, &mut out)?;
    out.flush().at("write", target)?;
    if out.count != rows {
        let message =
            format!("{} of {rows} rows for {} are not the session's", rows - out.count, target.display());
        return Err(Error::new(Kind::Unsupported, message));
    }
    let content = content.ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("there are no rows for {}", target.display()))
    })?;
    Ok(Staged { bytes: content.bytes, sha256: content.sha256 })
}

/// A database with the tables of the target, and nothing in them.
fn make(schema: &Schema, scratch: &Path) -> Result<Connection> {
    disk::create(scratch).at("write", scratch)?;
    let open = || {
        let connection = Connection::open_with_flags(scratch, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Nobody needs it after a crash, and nobody else sees it.
        connection.execute_batch(
            "PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA locking_mode = exclusive;
             PRAGMA trusted_schema = off; PRAGMA foreign_keys = off; BEGIN",
        )?;
        schema.tables.iter().try_for_each(|table| connection.execute(&table.sql, []).map(|_| ()))?;
        Ok(connection)
    };
    open().of(&schema.path)
}

/// Takes a row document in any order.
struct Intake<'a> {
    connection: Connection,
    schema: &'a Schema,
    /// The beginning of a line.
    line: Vec<u8>,
    rows: u64,
}

impl Write for Intake<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        for piece in buffer.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                None => self.line.extend_from_slice(piece),
                Some(end) => {
                    let mut line = std::mem::take(&mut self.line);
                    let row = if line.is_empty() {
                        end
                    } else {
                        line.extend_from_slice(end);
                        &line
                    };
                    document::insert(&self.connection, self.schema, row)?;
                    self.rows += 1;
                    line.clear();
                    self.line = line;
                }
            }
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts lines.
struct Lines<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.count += memchr::memchr_iter(b'\n', &buffer[..written]).count() as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
