//! Sessions as files, made of the rows of a database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;
use serde_json::Number;

use super::payload::Records;
use super::record::{Length, Line, Meta};
use super::session::{Info, SessionRow};
use super::store::Store;
use super::stream::Lines;
use crate::error::{Error, Kind, Result};
use crate::harness::common::jsonl::MAX_LINE;
use crate::harness::common::sqlite::{number, text};

/// The rows of messages of a session, in the order of 1.18.
const MESSAGES: &str = "SELECT id, time_created, time_updated, octet_length(data) FROM message \
    WHERE session_id = ?1 AND typeof(id) = 'text' ORDER BY time_created, id";
/// The one that comes after a certain one.
const FIRST_MESSAGE: &str = "SELECT id, time_created, time_updated, data FROM message \
    WHERE session_id = ?1 AND typeof(id) = 'text' ORDER BY time_created, id LIMIT 1";
const NEXT_MESSAGE: &str = "SELECT id, time_created, time_updated, data FROM message \
    WHERE session_id = ?1 AND (time_created, id) > (?2, ?3) AND typeof(id) = 'text' ORDER BY time_created, id LIMIT 1";
/// The parts of a message.
const PART_LENGTHS: &str = "SELECT id, time_created, time_updated, octet_length(data), session_id FROM part \
    WHERE message_id = ?1 ORDER BY id";
const PARTS: &str =
    "SELECT id, time_created, time_updated, data, session_id FROM part WHERE message_id = ?1 ORDER BY id";
const TODOS: &str = "SELECT content, status, priority, position, time_created, time_updated FROM todo \
    WHERE session_id = ?1 ORDER BY position";

/// A database that several sessions are read from, all in the state of one instant.
#[derive(Clone)]
pub struct Database(Arc<Mutex<Store>>);

impl Database {
    /// Takes the database for itself.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// The database, as long as nobody else reads it.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        // A reader that panicked left nothing half done: the connection is only read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a session.
    ///
    /// # Errors
    /// When the database cannot be read, or has no such session.
    pub fn row(&self, id: &str) -> Result<SessionRow> {
        let store = self.store();
        let sql = format!("{} WHERE id = ?1", store.select_sessions());
        let row = store.query(|connection| connection.query_row(&sql, [id], SessionRow::read).optional())?;
        row.ok_or_else(|| Error::new(Kind::NotFound, format!("the session {id} is not there any more")))
    }
}

#[derive(Serialize)]
struct Session<'a> {
    info: Info<'a>,
    todos: Vec<Todo>,
}

/// A row of a session's task list.
#[derive(Serialize)]
struct Todo {
    content: Option<String>,
    status: Option<String>,
    priority: Option<String>,
    position: Option<Number>,
    time_created: Option<Number>,
    time_updated: Option<Number>,
}

impl Todo {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            content: text(row, 0)?,
            status: text(row, 1)?,
            priority: text(row, 2)?,
            position: number(row, 3)?,
            time_created: number(row, 4)?,
            time_updated: number(row, 5)?,
        })
    }
}

impl Records for Database {
    fn size(&self, id: &str) -> Result<u64> {
        let Size { bytes, longest } = self.store().query(|connection| size(connection, id))?;
        match longest {
            Some((message, length)) if length > MAX_LINE as u64 => Err(too_long(&message, length)),
            _ => Ok(bytes),
        }
    }

    fn messages(&self, id: &str) -> Result<Box<dyn Lines + '_>> {
        Ok(Box::new(Messages { database: self.clone(), session: id.to_owned(), last: None }))
    }

    fn session(&self, id: &str) -> Result<Vec<u8>> {
        let row = self.row(id)?;
        let store = self.store();
        let todos = match store.has_todos {
            true => store.query(|connection| {
                connection.prepare_cached(TODOS)?.query_map([id], Todo::read)?.collect()
            })?,
            false => Vec::new(),
        };
        serde_json::to_vec(&Session { info: row.info(), todos })
            .map_err(|error| Error::new(Kind::Io, format!("cannot write the session {id}: {error}")))
    }
}

/// How long the lines of a session become.
#[derive(Default)]
struct Size {
    bytes: u64,
    /// The longest: id of the message, and length.
    longest: Option<(String, u64)>,
}

/// Why a session with such a message is refused: unlike a line of a file, a value of a database
/// cannot stream by.
pub fn too_long(message: &str, length: u64) -> Error {
    let (length, most) = (length >> 20, MAX_LINE >> 20);
    let what =
        format!("the message {message:?} has {length} MiB; the longest that can be carried has {most} MiB");
    Error::new(Kind::Unsupported, what)
        .hint("the session stays as it is; take a copy of the whole database to keep it elsewhere")
}

/// How long the lines of a session become, without reading a record.
fn size(connection: &Connection, id: &str) -> rusqlite::Result<Size> {
    let mut messages = connection.prepare_cached(MESSAGES)?;
    let mut parts = connection.prepare_cached(PART_LENGTHS)?;
    let mut messages = messages.query([id])?;
    let mut size = Size::default();
    while let Some(message) = messages.next()? {
        let message_id = text(message, 0)?.unwrap_or_default();
        let mut line = Length::of(&message_meta(message, &message_id, id)?, length(message)?);
        let mut rows = parts.query([&message_id])?;
        let mut is_first = true;
        while let Some(part) = rows.next()? {
            line.add(&part_meta(part, &message_id)?, length(part)?, is_first);
            is_first = false;
        }
        size.bytes += line.bytes();
        if size.longest.as_ref().is_none_or(|(_, longest)| line.bytes() > *longest) {
            size.longest = Some((message_id, line.bytes()));
        }
    }
    Ok(size)
}

fn length(row: &Row<'_>) -> rusqlite::Result<u64> {
    Ok(row.get::<_, Option<i64>>(3)?.map_or(0, i64::unsigned_abs))
}

fn message_meta(row: &Row<'_>, id: &str, session: &str) -> rusqlite::Result<Meta> {
    Ok(Meta::new(&[("id", id), ("sessionID", session)], number(row, 1)?, number(row, 2)?))
}

fn part_meta(row: &Row<'_>, message: &str) -> rusqlite::Result<Meta> {
    let id = text(row, 0)?.unwrap_or_default();
    let session = text(row, 4)?.unwrap_or_default();
    let ids = [("id", id.as_str()), ("sessionID", session.as_str()), ("messageID", message)];
    Ok(Meta::new(&ids, number(row, 1)?, number(row, 2)?))
}

/// The record in a row. The column takes nothing but text and bytes, and NULL is no record.
fn data<'r>(row: &'r Row<'_>) -> rusqlite::Result<&'r [u8]> {
    Ok(match row.get_ref(3)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => &[],
    })
}

/// The lines of a session.
struct Messages {
    database: Database,
    session: String,
    /// Time and id of the message that was read last.
    last: Option<(Value, String)>,
}

impl Messages {
    fn read(&self, connection: &Connection, line: &mut Vec<u8>) -> rusqlite::Result<Option<(Value, String)>> {
        let sql = if self.last.is_some() { NEXT_MESSAGE } else { FIRST_MESSAGE };
        let mut message = connection.prepare_cached(sql)?;
        let mut message = match &self.last {
            Some((time, id)) => message.query((&self.session, time, id))?,
            None => message.query([&self.session])?,
        };
        let Some(message) = message.next()? else { return Ok(None) };
        let id = text(message, 0)?.unwrap_or_default();
        let meta = message_meta(message, &id, &self.session)?;
        let mut out = Line::begin(line, &meta, data(message)?);
        let mut parts = connection.prepare_cached(PARTS)?;
        let mut parts = parts.query([&id])?;
        while let Some(part) = parts.next()? {
            out.part(&part_meta(part, &id)?, data(part)?);
        }
        out.end();
        Ok(Some((message.get(1)?, id)))
    }
}

impl Lines for Messages {
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let read = self.database.store().query(|connection| self.read(connection, line))?;
        let is_there = read.is_some();
        if is_there {
            self.last = read;
        }
        Ok(is_there)
    }

    fn restart(&mut self) {
        self.last = None;
    }
}
