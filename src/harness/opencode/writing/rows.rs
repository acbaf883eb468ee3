//! Files of a payload as rows of the database: what the program's own import does with an export,
//! and the times and todos that it loses.

use std::io::{self, Write};

use serde::Deserialize;

use super::super::paths::{MESSAGES, SESSION};
use super::members::Members;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::{OutFile, RowWriter};
use crate::model::rows::{Cell, Row};

/// What the columns of a message and of a part hold beside its record.
const OF_MESSAGE: [&str; 2] = ["id", "sessionID"];
const OF_PART: [&str; 3] = ["id", "sessionID", "messageID"];

/// Turns one file into rows, record by record.
pub struct Rows<'a> {
    out: &'a mut dyn Write,
    name: String,
    session: String,
    is_conversation: bool,
    /// The record that is not whole yet.
    pending: Vec<u8>,
}

impl<'a> Rows<'a> {
    /// Rows of `file`, whose path names the session.
    ///
    /// # Errors
    /// When the path is none that [`super::place`] gives.
    pub fn begin(file: &OutFile, out: &'a mut dyn Write) -> Result<Self> {
        let last = |path: Option<&std::path::Path>| Some(path?.file_name()?.to_str()?.to_owned());
        let (name, session) = (last(Some(&file.path)), last(file.path.parent()));
        match (name.as_deref(), session) {
            (Some(name @ (MESSAGES | SESSION)), Some(session)) => Ok(Self {
                out,
                name: file.path.display().to_string(),
                session,
                is_conversation: name == MESSAGES,
                pending: Vec::new(),
            }),
            _ => {
                let message = format!("{} is no file of a session", file.path.display());
                Err(Error::new(Kind::Unsupported, message))
            }
        }
    }

    fn message(&mut self, line: &[u8]) -> io::Result<()> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            info: Members<'a>,
            #[serde(borrow, default)]
            parts: Vec<Members<'a>>,
            #[serde(default)]
            times: Vec<[i64; 2]>,
        }
        let Line { info, parts, times } = serde_json::from_slice(line)?;
        let id = required(&info, "id")?;
        let time = info.inner("time");
        let created = time.integer("created").unwrap_or_default();
        let changed = time.integer("completed").unwrap_or(created);
        let of = |place: usize, otherwise: [i64; 2]| times.get(place).copied().unwrap_or(otherwise);
        let [made, updated] = of(0, [created, changed]);
        Row::new("message")
            .with("id", &*id)
            .with("session_id", &*self.session)
            .with("time_created", made)
            .with("time_updated", updated)
            .with("data", data(&info, &OF_MESSAGE)?)
            .write(self.out)?;
        for (place, part) in parts.iter().enumerate() {
            let [made, updated] = of(place + 1, [created, created]);
            Row::new("part")
                .with("id", required(part, "id")?.into_owned())
                .with("message_id", &*id)
                .with("session_id", &*self.session)
                .with("time_created", made)
                .with("time_updated", updated)
                .with("data", data(part, &OF_PART)?)
                .write(self.out)?;
        }
        Ok(())
    }

    fn session(&mut self, json: &[u8]) -> io::Result<()> {
        #[derive(Deserialize)]
        struct File<'a> {
            #[serde(borrow)]
            info: Members<'a>,
            #[serde(borrow, default)]
            todos: Vec<Members<'a>>,
        }
        let File { info, todos } = serde_json::from_slice(json)?;
        let (summary, tokens, time) = (info.inner("summary"), info.inner("tokens"), info.inner("time"));
        let cache = tokens.inner("cache");
        let count = |members: &Members<'_>, name: &str| members.integer(name).unwrap_or_default();
        let text = |members: &Members<'_>, name: &str| members.text(name).map(std::borrow::Cow::into_owned);
        let json = |members: &Members<'_>, name: &str| members.get(name).map(|value| value.get().to_owned());
        let created = count(&time, "created");
        let cost = info.get("cost").and_then(|cost| cost.get().parse().ok()).unwrap_or_default();
        Row::new("session")
            .with("id", &*self.session)
            .with("project_id", required(&info, "projectID")?.into_owned())
            .with("workspace_id", text(&info, "workspaceID"))
            .with("parent_id", text(&info, "parentID"))
            .with("slug", text(&info, "slug").unwrap_or_else(|| self.session.clone()))
            .with("directory", required(&info, "directory")?.into_owned())
            .with("path", text(&info, "path"))
            .with("title", text(&info, "title").unwrap_or_default())
            .with("version", text(&info, "version").unwrap_or_default())
            .with("share_url", text(&info.inner("share"), "url"))
            .with("summary_additions", summary.integer("additions"))
            .with("summary_deletions", summary.integer("deletions"))
            .with("summary_files", summary.integer("files"))
            .with("summary_diffs", json(&summary, "diffs"))
            .with("metadata", json(&info, "metadata"))
            .with("cost", Cell::Real(cost))
            .with("tokens_input", count(&tokens, "input"))
            .with("tokens_output", count(&tokens, "output"))
            .with("tokens_reasoning", count(&tokens, "reasoning"))
            .with("tokens_cache_read", count(&cache, "read"))
            .with("tokens_cache_write", count(&cache, "write"))
            .with("revert", json(&info, "revert"))
            .with("permission", json(&info, "permission"))
            .with("agent", text(&info, "agent"))
            .with("model", json(&info, "model"))
            .with("time_created", created)
            .with("time_updated", time.integer("updated").unwrap_or(created))
            .with("time_compacting", time.integer("compacting"))
            .with("time_archived", time.integer("archived"))
            .write(self.out)?;
        for (position, todo) in (0..).zip(&todos) {
            let made = todo.integer("time_created").unwrap_or(created);
            Row::new("todo")
                .with("session_id", &*self.session)
                .with("content", text(todo, "content").unwrap_or_default())
                .with("status", text(todo, "status").unwrap_or_default())
                .with("priority", text(todo, "priority").unwrap_or_default())
                .with("position", todo.integer("position").unwrap_or(position))
                .with("time_created", made)
                .with("time_updated", todo.integer("time_updated").unwrap_or(made))
                .write(self.out)?;
        }
        Ok(())
    }

    /// Makes rows of the record that is whole now. One that is none ends it: a session with a
    /// message missing is not the session.
    fn record(&mut self) -> io::Result<()> {
        let mut record = std::mem::take(&mut self.pending);
        let done = match (record.trim_ascii(), self.is_conversation) {
            (b"", _) => Ok(()),
            (line, true) => self.message(line),
            (json, false) => self.session(json),
        };
        record.clear();
        self.pending = record;
        done.map_err(|error| match error.kind() {
            // The session is to blame, not the disk: it fails, and others do not.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                let message = format!("a record of {} cannot be a row: {error}", self.session);
                Error::new(Kind::Unsupported, message).into()
            }
            _ => error,
        })
    }
}

impl Write for Rows<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        if self.is_conversation {
            while let Some(end) = memchr::memchr(b'\n', rest) {
                self.pending.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                self.record()?;
            }
        }
        self.pending.extend_from_slice(rest);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl RowWriter for Rows<'_> {
    fn finish(mut self: Box<Self>) -> Result<()> {
        let name = std::mem::take(&mut self.name);
        self.record().at("make rows of", std::path::Path::new(&name))
    }
}

fn required<'a>(members: &Members<'a>, name: &str) -> io::Result<std::borrow::Cow<'a, str>> {
    members
        .text(name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("a record has no {name}")))
}

/// The record without what is in columns of its own.
fn data(record: &Members<'_>, without: &[&str]) -> io::Result<String> {
    let mut bytes = Vec::new();
    record.write(without, &mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}
