//! SQLite databases of other programs, read in one consistent state and left as they are.
//!
//! Opening a database for reading is not harmless by itself: in WAL mode SQLite makes a `-wal` and
//! a `-shm` file beside a database that has none, and cannot open one at all where it may not make
//! them. So a database that nobody has open is read as an unchanging file, and its size and time
//! tell afterwards that it was one; any other is read under SQLite's own locks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Row};

use crate::error::{Error, IoContext, Kind, Result};
use crate::model::rows::{self, Cell};

/// So long a reader waits for a program that holds the whole database.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database in the state of one instant: every query sees the same rows.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
    path: PathBuf,
    /// Files that are read without a lock, as they were before.
    unchanging: Vec<(PathBuf, Stamp)>,
}

/// SQLite's own way to the files of this system, without locks.
const NO_LOCKS: &str = if cfg!(windows) { "vfs=win32-none" } else { "vfs=unix-none" };

/// What tells that a file has changed.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(u64, Option<SystemTime>);

/// How a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Under SQLite's locks.
    Locked,
    /// As a file that nobody writes.
    Unchanging,
    /// As a file that nobody can write, together with its `-wal`, without a `-shm`.
    Unwritable,
}

impl Snapshot {
    /// Opens the database at `path`; `None`: there is none.
    ///
    /// # Errors
    /// When it is locked, damaged, no database at all or cannot be read; each says what to do.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let stamp = match stamp(path) {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let is_quiet = !has_content(path, "-wal") && !has_content(path, "-journal");
        let log = beside(path, "-wal");
        let log_stamp = self::stamp(&log).ok();
        let mode = if is_quiet { Mode::Unchanging } else { Mode::Locked };
        let mut unchanging = Vec::new();
        let connection = match begin(path, mode) {
            Err(error) if mode == Mode::Locked && code(&error) == Some(ErrorCode::CannotOpen) => {
                unchanging.extend(log_stamp.map(|stamp| (log, stamp)));
                begin(path, Mode::Unwritable).map_err(|_| error)
            }
            connection => connection,
        };
        let connection = connection.map_err(|error| explain(path, error))?;
        if is_quiet || !unchanging.is_empty() {
            unchanging.push((path.to_owned(), stamp));
        }
        let snapshot = Self { connection, path: path.to_owned(), unchanging };
        snapshot.check()?;
        Ok(Some(snapshot))
    }

    /// The connection, in its read transaction.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what was read so far may be used. To be asked after reading and before using it.
    ///
    /// # Errors
    /// When another program has changed the database meanwhile and no lock kept it from doing so.
    pub fn check(&self) -> Result<()> {
        let mut is_as_before = true;
        for (path, expected) in &self.unchanging {
            is_as_before &= stamp(path).at("look at", path)? == *expected;
        }
        if is_as_before {
            return Ok(());
        }
        let message = format!("{} changed while it was read", self.path.display());
        Err(Error::new(Kind::Busy, message).hint("try again"))
    }

    /// An error of a query, in words.
    pub fn error(&self, error: rusqlite::Error) -> Error {
        explain(&self.path, error)
    }

    /// The names of all tables.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn tables(&self) -> Result<Vec<String>> {
        self.names("SELECT name FROM sqlite_schema WHERE type = 'table'", [])
    }

    /// The names of the columns of a table; none when there is no such table.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn columns(&self, table: &str) -> Result<Vec<String>> {
        self.names("SELECT name FROM pragma_table_info(?1)", [table])
    }

    /// The row of a table whose column `key` holds the text `value`, whole; `None`: there is none.
    ///
    /// # Errors
    /// When the database is damaged, or has no such table.
    pub fn row(&self, table: &'static str, key: &str, value: &str) -> Result<Option<rows::Row<'static>>> {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let sql = format!("SELECT * FROM {} WHERE {} = ?1", quoted(table), quoted(key));
        let read = || {
            let mut statement = self.connection.prepare(&sql)?;
            let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
            let mut found = statement.query([value])?;
            let Some(row) = found.next()? else { return Ok(None) };
            let mut whole = rows::Row::new(table);
            for (column, name) in names.into_iter().enumerate() {
                whole.values.insert(name.into(), Cell::from(row.get_ref(column)?).into_owned());
            }
            Ok(Some(whole))
        };
        let row = read().map_err(|error| self.error(error))?;
        self.check()?;
        Ok(row)
    }

    /// What SQLite's own `quick_check` finds wrong; empty when nothing is. At most ten things.
    ///
    /// # Errors
    /// When the database cannot be read at all.
    pub fn damage(&self) -> Result<Vec<String>> {
        let mut found = self.names("PRAGMA quick_check(10)", [])?;
        found.retain(|line| line != "ok");
        Ok(found)
    }

    fn names(&self, sql: &str, parameters: impl Params) -> Result<Vec<String>> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            let names = statement.query_map(parameters, |row| row.get(0))?;
            names.collect::<rusqlite::Result<Vec<String>>>()
        };
        let names = read().map_err(|error| self.error(error))?;
        self.check()?;
        Ok(names)
    }
}

/// The text in a column; `None` for anything else. Bytes that are no UTF-8 are replaced.
///
/// # Errors
/// When the row has no such column.
pub fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    })
}

/// The number in a column, as JSON writes it: without a fraction when it has none. `None` for
/// anything else.
///
/// # Errors
/// When the row has no such column.
pub fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<serde_json::Number>> {
    Ok(json_number(&row.get(column)?))
}

fn json_number(value: &Value) -> Option<serde_json::Number> {
    /// Integers up to here are exact as JavaScript's numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match *value {
        Value::Integer(value) => Some(value.into()),
        Value::Real(value) if value.fract() == 0.0 && value.abs() <= EXACT => Some((value as i64).into()),
        Value::Real(value) => serde_json::Number::from_f64(value),
        _ => None,
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn has_content(path: &Path, suffix: &str) -> bool {
    fs::metadata(beside(path, suffix)).is_ok_and(|meta| meta.len() > 0)
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Stamp(meta.len(), meta.modified().ok()))
}

fn begin(path: &Path, mode: Mode) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match mode {
        Mode::Locked => Connection::open_with_flags(path, flags)?,
        Mode::Unchanging => open_uri(path, "immutable=1", flags)?,
        // Not `nolock=1`, with which SQLite reads no log at all.
        Mode::Unwritable => open_uri(path, NO_LOCKS, flags)?,
    };
    connection.busy_timeout(PATIENCE)?;
    // The schema is another program's: nothing in it may run more than plain SQL, and a damaged page
    // must show as one.
    connection
        .execute_batch("PRAGMA trusted_schema = off; PRAGMA cell_size_check = on; PRAGMA query_only = on")?;
    if mode == Mode::Unwritable {
        // The index of the WAL is then kept in memory instead of a `-shm` file.
        connection.query_row("PRAGMA locking_mode = exclusive", [], |_| Ok(()))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    connection.execute_batch("BEGIN")?;
    // The first read fixes the state that all others see.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn open_uri(path: &Path, option: &str, flags: OpenFlags) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(uri(path, option), flags | OpenFlags::SQLITE_OPEN_URI)
}

/// `path` as the URI that SQLite takes options in.
fn uri(path: &Path, option: &str) -> PathBuf {
    let mut uri = String::from("file:");
    let bytes = path.as_os_str().as_encoded_bytes();
    if cfg!(windows) {
        uri.push('/');
    }
    for &byte in bytes {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'/' | b':' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push('?');
    uri.push_str(option);
    PathBuf::from(uri)
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.code),
        _ => None,
    }
}

fn explain(path: &Path, error: rusqlite::Error) -> Error {
    let there = path.display();
    let explained = match code(&error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(Kind::Busy, format!("{there} is locked by another program"))
                .hint("end the program that uses it, or try again when it is idle")
        }
        Some(ErrorCode::NotADatabase) => {
            Error::new(Kind::Unsupported, format!("{there} is no SQLite database, or is encrypted"))
                .hint("bring it back from a backup, or move it away: the program makes a new one")
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            Error::new(Kind::Unsupported, format!("{there} is damaged: {error}"))
                .hint("`sqlite3 DATABASE .recover` saves what is left of it")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            // SQLite does not say why.
            if let Err(refused) = fs::File::open(path) {
                return Error::io("open", path, refused);
            }
            Error::new(Kind::Io, format!("cannot open {there}: {error}")).hint(
                "a program that was ended while it wrote may have left it unfinished: start that program once, or copy \
                 the database with its -wal and -journal files to a directory that you can write to",
            )
        }
        _ => Error::new(Kind::Io, format!("cannot read {there}: {error}")),
    };
    explained.with_source(error)
}
