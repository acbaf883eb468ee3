//! The change of one session's rows, forwards and back.
//!
//! SQLite's transaction makes it whole; what it cannot tell after a crash is whether it was
//! committed. That the rows themselves tell: they are as before, or as they were to be. Where
//! somebody has gone on since, they are neither, but some of the new ones are among them.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::database::{Database, SqlContext};
use super::document;
use super::exchange::{self, Shared};
use crate::error::{Error, IoContext, Kind, Result};
use crate::txn::disk;
use crate::txn::journal::{Content, Rows, Step};
use crate::txn::step::Bench;

/// Writes what is there now into the new document `to`, durable once it is synced. Where nothing is
/// there, there is no document, and no directory is made for it.
///
/// # Errors
/// When the database cannot be read, or the disk refuses; there is no document then.
pub(in crate::txn) fn back_up(
    step: &Step,
    rows: &Rows,
    bench: &Bench<'_>,
    to: &Path,
) -> Result<Option<Content>> {
    let mut out = NewFile { path: to, file: None };
    let written = document::now(bench.databases, &step.path, &rows.scope, &mut out);
    let made = out.file.is_some();
    let written = written.and_then(|content| out.flush().at("write", to).map(|()| content));
    if written.is_err() && made {
        disk::remove(to)?;
    }
    written
}

/// A file that is made when there is something to write.
struct NewFile<'a> {
    path: &'a Path,
    file: Option<BufWriter<File>>,
}

impl Write for NewFile<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            return file.write(buffer);
        }
        if let Some(dir) = self.path.parent() {
            disk::make_dir(dir).at("make the directory", dir)?;
        }
        let file = disk::create(self.path).at("write", self.path)?;
        self.file.insert(BufWriter::with_capacity(64 << 10, file)).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Whether the step was carried out.
pub(in crate::txn) fn is_applied(step: &Step, rows: &Rows, bench: &Bench<'_>) -> Result<bool> {
    if bench.databases.is_untouched(step.number) || !disk::is_file(&step.path)? {
        return Ok(false);
    }
    let database = bench.databases.get(&step.path)?;
    let reading = database.connection.unchecked_transaction().of(&step.path)?;
    let now = exchange::now(&database, &reading, &rows.scope)?;
    if now == step.new {
        return Ok(true);
    }
    Ok(now != step.old && has_new_rows(&database, &reading, rows, bench)?)
}

/// Carries the step out. `again`: an earlier run may have done so.
///
/// # Errors
/// [`Kind::Conflict`] when the rows are no longer those that the plan was made for, [`Kind::Busy`]
/// when a program holds the database; and as [`exchange::replace`].
pub(in crate::txn) fn forward(step: &Step, rows: &Rows, bench: &Bench<'_>, again: bool) -> Result<()> {
    let mut seen = false;
    let mut committing = false;
    let done = bench.databases.patiently(&step.path, || {
        let database = bench.databases.get(&step.path)?;
        let transaction = exchange::begin(&database)?;
        let now = exchange::now(&database, &transaction, &rows.scope)?;
        seen = now == step.old;
        if again && step.old != step.new {
            let done = now == step.new || !seen && has_new_rows(&database, &transaction, rows, bench)?;
            if done {
                return Ok(());
            }
        }
        if !seen {
            let message = format!("the session has changed meanwhile in {}", step.path.display());
            return Err(
                Error::new(Kind::Conflict, message).hint("close the program that writes it, and try again")
            );
        }
        if step.old != step.new {
            let document = document(bench, rows.after.as_ref());
            let new = step.new.as_ref().zip(document.as_deref()).map(|(new, from)| (from, new));
            exchange::replace(&database, &transaction, &rows.scope, new)?;
        }
        let shared = if bench.adds { Shared::Added } else { Shared::Removed };
        exchange::change_shared(&database, &transaction, &rows.shared, shared)?;
        if bench.adds {
            exchange::check_parents(&database, &transaction, &rows.scope)?;
        }
        committing = true;
        transaction.commit().of(&step.path)
    });
    if done.is_err() && !committing && (seen || !again) {
        bench.databases.note_untouched(step.number);
    }
    done
}

/// Brings back what was there before, if the step had been carried out. What somebody else changed
/// in the new rows meanwhile goes to a document whose name `save` gives, and is returned.
///
/// # Errors
/// As [`forward`]; the step can be taken back again then.
pub(in crate::txn) fn back(
    step: &Step,
    rows: &Rows,
    bench: &Bench<'_>,
    save: &dyn Fn() -> Result<PathBuf>,
) -> Result<Option<PathBuf>> {
    if step.applied != Some(true) || !disk::is_file(&step.path)? {
        return Ok(None);
    }
    let database = bench.databases.get(&step.path)?;
    let transaction = exchange::begin(&database)?;
    let now = exchange::now(&database, &transaction, &rows.scope)?;
    let mut saved = None;
    if now != step.old {
        if now.is_some() && now != step.new {
            let copy = save()?;
            let mut out = BufWriter::new(disk::create(&copy).at("write", &copy)?);
            document::write(&transaction, &database.schema, &rows.scope, &mut out)?;
            out.into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|file| file.sync_all())
                .at("write", &copy)?;
            saved = Some(copy);
        }
        let document = document(bench, rows.before.as_ref());
        let old = step.old.as_ref().zip(document.as_deref()).map(|(old, from)| (from, old));
        exchange::replace(&database, &transaction, &rows.scope, old)?;
    }
    let shared = if bench.adds { Shared::Removed } else { Shared::Added };
    exchange::change_shared(&database, &transaction, &rows.shared, shared)?;
    transaction.commit().of(&step.path)?;
    Ok(saved)
}

fn document(bench: &Bench<'_>, name: Option<&String>) -> Option<PathBuf> {
    name.map(|name| bench.dir.document(name))
}

/// Whether rows are there that only the step brings; of a step that brings none: whether all are
/// gone that it takes.
fn has_new_rows(
    database: &Database,
    connection: &Connection,
    rows: &Rows,
    bench: &Bench<'_>,
) -> Result<bool> {
    let mut old = lines(document(bench, rows.before.as_ref()))?;
    let mut new = lines(document(bench, rows.after.as_ref()))?;
    let both: Vec<u64> = new.intersection(&old).copied().collect();
    for line in both {
        old.remove(&line);
        new.remove(&line);
    }
    let brings = !new.is_empty();
    let mut look = Look { wanted: if brings { new } else { old }, line: DefaultHasher::new(), found: false };
    document::write(connection, &database.schema, &rows.scope, &mut look)?;
    Ok(look.found == brings)
}

/// The lines of a document, each by a hash.
fn lines(document: Option<PathBuf>) -> Result<HashSet<u64>> {
    let mut lines = HashSet::new();
    if let Some(document) = document
        && disk::is_file(&document)?
    {
        document::for_each_line(&document, |line| {
            let mut hash = DefaultHasher::new();
            hash.write(line);
            lines.insert(hash.finish());
            Ok(())
        })?;
    }
    Ok(lines)
}

/// Looks for lines in what is written to it.
struct Look {
    wanted: HashSet<u64>,
    line: DefaultHasher,
    found: bool,
}

impl Write for Look {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        for piece in buffer.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.line.write(text);
            if text.len() < piece.len() {
                self.found |= self.wanted.contains(&self.line.finish());
                self.line = DefaultHasher::new();
            }
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
