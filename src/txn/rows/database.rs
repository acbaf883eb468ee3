//! A harness's database, opened so that nothing but our rows can change.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use super::schema::{self, Reference, Schema};
use crate::error::{Error, Kind, Result};
use crate::txn::{carry, disk};

/// How long a program may hold its database before we give up; as long as opencode waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open database and what its tables look like.
#[derive(Debug)]
pub(in crate::txn) struct Database {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) schema: Schema,
    references: OnceCell<Vec<Reference>>,
}

impl Database {
    /// The foreign keys of all its tables.
    pub(super) fn references(&self) -> Result<&[Reference]> {
        if let Some(known) = self.references.get() {
            return Ok(known);
        }
        let read = schema::references(&self.connection).of(&self.path)?;
        Ok(self.references.get_or_init(|| read))
    }
}

/// The databases that a journal names, each opened once and only when it is needed.
#[derive(Debug, Default)]
pub(in crate::txn) struct Databases {
    schemas: Vec<Schema>,
    open: RefCell<BTreeMap<PathBuf, Rc<Database>>>,
    /// Those that somebody did not let go of: the next session need not wait for them again.
    locked: RefCell<BTreeMap<PathBuf, Error>>,
    /// Numbers of steps that were refused before they could change anything.
    untouched: RefCell<BTreeSet<usize>>,
}

impl Databases {
    pub(in crate::txn) fn new(schemas: &[Schema]) -> Self {
        Self { schemas: schemas.to_vec(), ..Self::default() }
    }

    /// # Errors
    /// As [`open`]; [`Kind::Unsupported`] when it has no longer the tables that the journal knows.
    pub(super) fn get(&self, path: &Path) -> Result<Rc<Database>> {
        if let Some(open) = self.open.borrow().get(path) {
            return Ok(Rc::clone(open));
        }
        let Some(schema) = self.schemas.iter().find(|schema| schema.path == path).cloned() else {
            let message = format!("the journal does not know the tables of {}", path.display());
            return Err(Error::new(Kind::Conflict, message));
        };
        let connection = open(path)?;
        schema.check(&connection)?;
        let database =
            Rc::new(Database { path: path.to_owned(), connection, schema, references: OnceCell::new() });
        self.open.borrow_mut().insert(path.to_owned(), Rc::clone(&database));
        Ok(database)
    }

    /// The logs that hold what was committed, until SQLite brings it into the databases: what they
    /// hold is durable once they are synced. The databases themselves must not be opened beside
    /// SQLite, whose locks would go with that.
    pub(in crate::txn) fn logs(&self) -> Vec<PathBuf> {
        let log = |path: &PathBuf| {
            let mut name = path.clone().into_os_string();
            name.push("-wal");
            PathBuf::from(name)
        };
        self.open.borrow().keys().map(log).filter(|log| disk::may_exist(log)).collect()
    }

    /// Fails at once where a session before has waited in vain, else remembers when `work` has.
    ///
    /// # Errors
    /// What `work` returns.
    pub(super) fn patiently<T>(&self, path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some(error) = self.locked.borrow().get(path) {
            return Err(carry::repeat(error));
        }
        work().inspect_err(|error| {
            if error.kind() == Kind::Busy {
                self.locked.borrow_mut().insert(path.to_owned(), carry::repeat(error));
            }
        })
    }

    pub(super) fn note_untouched(&self, step: usize) {
        self.untouched.borrow_mut().insert(step);
    }

    pub(super) fn is_untouched(&self, step: usize) -> bool {
        self.untouched.borrow().contains(&step)
    }
}

/// Opens a database that exists, to read and write it.
///
/// No code that it may hold gets more trust than it needs, and no foreign key acts on its own:
/// a cascade would take rows that no plan names. [`super::exchange`] looks after them itself.
///
/// # Errors
/// [`Kind::Conflict`] when it is not there, damaged or read-only, [`Kind::Busy`] when a program
/// holds it.
pub(super) fn open(path: &Path) -> Result<Connection> {
    if !disk::is_file(path)? {
        let message = format!("there is no database {}", path.display());
        return Err(Error::new(Kind::Conflict, message).hint("start its program once, and try again"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).of(path)?;
    settle(&connection).of(path)?;
    if connection.is_readonly(MAIN_DB).of(path)? {
        return Err(read_only(path));
    }
    Ok(connection)
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // A misspelt column is an error, not a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.execute_batch(
        "PRAGMA trusted_schema = off; PRAGMA cell_size_check = on; PRAGMA foreign_keys = off;
         PRAGMA fullfsync = on; PRAGMA checkpoint_fullfsync = on",
    )?;
    // With a write-ahead log, one sync makes the transactions of all sessions durable.
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let synchronous = if mode == "wal" { "normal" } else { "full" };
    connection.pragma_update(None, "synchronous", synchronous)
}

fn read_only(path: &Path) -> Error {
    let message = format!("{} cannot be changed: it or its directory is read-only", path.display());
    Error::new(Kind::Conflict, message).hint("make both writable, and try again")
}

/// Says which database it was, and what the user can do.
pub(super) trait SqlContext<T> {
    fn of(self, path: &Path) -> Result<T>;
}

impl<T> SqlContext<T> for rusqlite::Result<T> {
    fn of(self, path: &Path) -> Result<T> {
        self.map_err(|error| refusal(path, error))
    }
}

fn refusal(path: &Path, error: rusqlite::Error) -> Error {
    let name = path.display();
    let new = |kind, message: String, hint: &str| Error::new(kind, message).hint(hint);
    let refused = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => new(
            Kind::Busy,
            format!("a running program holds {name}"),
            "close it, or wait until it is done, and try again",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => read_only(path),
        Some(ErrorCode::DiskFull) => {
            return Error::io("write", path, io::Error::from(ErrorKind::StorageFull));
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => new(
            Kind::Conflict,
            format!("{name} is damaged: {error}"),
            "let its program repair it, or move it away and let the program make a new one",
        ),
        Some(ErrorCode::CannotOpen) => new(
            Kind::Conflict,
            format!("{name} cannot be opened: {error}"),
            "make it and its directory writable, free some space if the disk is full, and try again",
        ),
        Some(ErrorCode::ConstraintViolation) => new(
            Kind::Conflict,
            format!("{name} does not take the rows of this session: {error}"),
            "another session may have rows with the same names",
        ),
        Some(ErrorCode::SystemIoFailure) => {
            let message = format!("cannot read or write {name}: {error}");
            new(Kind::Io, message, "free some space if the disk is full, and look at its health")
        }
        Some(ErrorCode::Unknown | ErrorCode::SchemaChanged) => new(
            Kind::Unsupported,
            format!("{name} is not as expected: {error}"),
            "it was made by another version of its program than those that holdall knows",
        ),
        _ => Error::new(Kind::Io, format!("cannot use {name}: {error}")),
    };
    refused.with_source(error)
}
