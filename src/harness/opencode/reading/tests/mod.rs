//! Sessions in databases, in trees of files and in exported files.

#![allow(clippy::disallowed_methods)] // Stores of the tests.

mod branches;
mod odd;
mod places;
mod states;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::OPENCODE;
use crate::env::Env;
use crate::harness::common::files::{Files, Source};
use crate::harness::{Found, Harness, NativeSession};
use crate::model::{Event, EventKind, FileMeta, Notes, Part, Role, View};

/// The tables of 1.18.33, as far as they are read, and one with a secret.
const SCHEMA: &str = "
    CREATE TABLE project (id text PRIMARY KEY, worktree text NOT NULL);
    CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, workspace_id text, parent_id text,
        slug text NOT NULL, directory text NOT NULL, path text, title text NOT NULL, version text NOT NULL,
        share_url text, summary_additions integer, summary_deletions integer, summary_files integer,
        summary_diffs text, metadata text, cost real DEFAULT 0 NOT NULL, tokens_input integer DEFAULT 0 NOT NULL,
        tokens_output integer DEFAULT 0 NOT NULL, tokens_reasoning integer DEFAULT 0 NOT NULL,
        tokens_cache_read integer DEFAULT 0 NOT NULL, tokens_cache_write integer DEFAULT 0 NOT NULL, revert text,
        permission text, agent text, model text, time_created integer NOT NULL, time_updated integer NOT NULL,
        time_compacting integer, time_archived integer);
    CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL,
        time_updated integer NOT NULL, data text NOT NULL);
    CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL,
        time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
    CREATE TABLE todo (session_id text NOT NULL, content text NOT NULL, status text NOT NULL,
        priority text NOT NULL, position integer NOT NULL, time_created integer NOT NULL,
        time_updated integer NOT NULL, PRIMARY KEY(session_id, position));
    CREATE TABLE credential (id text PRIMARY KEY, value text NOT NULL);
    INSERT INTO credential VALUES ('c', 'SECRET');
    CREATE INDEX message_session_time_created_id_idx ON message (session_id, time_created, id);
    CREATE INDEX part_message_id_id_idx ON part (message_id, id);";

/// A home with a store in it.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn env(&self) -> Env {
        Env::isolated(self.dir.path())
    }

    fn data_dir(&self) -> PathBuf {
        let dir = self.dir.path().join(".local/share/opencode");
        fs::create_dir_all(&dir).expect("a directory");
        dir
    }

    /// A database in WAL mode, as the program keeps it.
    fn database(&self) -> Store {
        let path = self.data_dir().join("opencode.db");
        let connection = Connection::open(&path).expect("a database");
        connection.query_row("PRAGMA journal_mode = wal", [], |_| Ok(())).expect("a journal");
        connection.execute_batch(SCHEMA).expect("a schema");
        Store(connection)
    }

    /// The database that is there.
    fn database_again(&self) -> Store {
        Store(Connection::open(self.data_dir().join("opencode.db")).expect("a database"))
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.data_dir().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    fn scan(&self) -> Vec<Found> {
        let (found, result) = self.scan_result();
        result.expect("a store");
        found
    }

    fn scan_result(&self) -> (Vec<Found>, crate::error::Result<()>) {
        let mut found = Vec::new();
        let result = OPENCODE.scan(&self.env(), &mut |session| found.push(session));
        (found, result)
    }

    fn found(&self, id: &str) -> Found {
        self.scan().into_iter().find(|found| found.id == id).expect("it is there")
    }

    fn open(&self, id: &str) -> NativeSession {
        OPENCODE.open(&self.env(), &self.found(id)).expect("a session")
    }
}

/// A database that rows are put into.
struct Store(Connection);

impl Store {
    fn session(&self, id: &str, parent: Option<&str>) -> &Self {
        self.0
            .execute(
                "INSERT INTO session (id, project_id, parent_id, slug, directory, path, title, version, agent, model,
                    time_created, time_updated)
                 VALUES (?1, 'p', ?2, 'brave-fox', '/home/u/app', '', 'A title', '1.18.33', 'build',
                    '{\"id\":\"m\",\"providerID\":\"p\",\"variant\":\"default\"}', 1795173204425, 1795173209514)",
                (id, parent),
            )
            .expect("a row");
        self
    }

    fn set(&self, column: &str, value: &str) -> &Self {
        self.0.execute(&format!("UPDATE session SET {column} = ?1"), [value]).expect("a column");
        self
    }

    /// A message whose parts have ids in this order.
    fn message(&self, session: &str, id: &str, time: i64, info: &Value, parts: &[Value]) -> &Self {
        self.0
            .execute("INSERT INTO message VALUES (?1, ?2, ?3, ?3, ?4)", (id, session, time, info.to_string()))
            .expect("a row");
        for (place, part) in parts.iter().enumerate() {
            self.part(session, id, &format!("prt_{id}_{place:03}"), &part.to_string());
        }
        self
    }

    fn part(&self, session: &str, message: &str, id: &str, data: &str) -> &Self {
        let sql = "INSERT INTO part VALUES (?1, ?2, ?3, 1795173204500, 1795173204600, ?4)";
        self.0.execute(sql, (id, message, session, data)).expect("a row");
        self
    }
}

fn user(time: i64) -> Value {
    json!({"role": "user", "time": {"created": time}, "agent": "build", "model": {"providerID": "p", "modelID": "m"}})
}

fn assistant(parent: &str, time: i64) -> Value {
    json!({"role": "assistant", "parentID": parent, "time": {"created": time, "completed": time}, "finish": "stop",
        "mode": "build", "agent": "build", "providerID": "p", "modelID": "m"})
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A payload of these lines, with this `session.json`.
fn payload(lines: &[Value], info: &Value) -> Files {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut files = Files::default();
    let session = json!({"info": info, "todos": []}).to_string();
    for (role, name, text) in
        [(Role::Transcript, "messages.jsonl", text), (Role::Attachment, "session.json", session)]
    {
        let path = format!("session/ses_1/{name}");
        let meta = FileMeta { role, path, size: text.len() as u64, modified: None, agent: None };
        files.push(meta, Source::Bytes(text.into_bytes()));
    }
    files
}

/// A message on a line.
fn line(id: &str, mut info: Value, parts: &[Value]) -> Value {
    info["id"] = id.into();
    let parts: Vec<Value> = parts
        .iter()
        .enumerate()
        .map(|(place, part)| {
            let mut part = part.clone();
            part["id"] = format!("prt_{id}_{place}").into();
            part
        })
        .collect();
    json!({"info": info, "parts": parts})
}

/// The events of a payload, a line each: what the model does not see is in brackets.
fn events(payload: &dyn crate::model::Payload, view: View) -> (Vec<String>, Notes) {
    let mut events = Vec::new();
    let notes = OPENCODE
        .read(payload, 0, view, &mut |event: Event<'_>| {
            let line = describe(&event.kind);
            events.push(if event.in_model { line } else { format!("[{line}]") });
            Ok(())
        })
        .expect("a readable payload");
    (events, notes)
}

fn describe(kind: &EventKind<'_>) -> String {
    match kind {
        EventKind::User { content } => format!("user {}", pieces(content)),
        EventKind::Assistant { content, step, .. } => format!("{step} says {}", pieces(content)),
        EventKind::Reasoning { text, opaque, step } => {
            let opaque = opaque
                .as_ref()
                .map_or(String::new(), |own| format!(" {}:{}={}", own.provider, own.kind, own.data));
            format!("{step} thinks {text}{opaque}")
        }
        EventKind::ToolCall { call_id, name, input, step, .. } => {
            format!("{step} calls {name} {call_id} {input:?}")
        }
        EventKind::ToolResult { call_id, content, status, exit_code } => {
            format!("{call_id} {status:?} {exit_code:?} {}", pieces(content))
        }
        EventKind::Summary { text } => format!("summary {text}"),
        EventKind::Note { kind, text } => format!("{kind:?} {text}"),
    }
}

fn pieces(content: &[Part<'_>]) -> String {
    let piece = |part: &Part<'_>| match part {
        Part::Text(text) => text.to_string(),
        Part::Image(media) => format!("<{} {:?}>", media.media_type, media.data),
        Part::File(media) => format!("<file {} {:?}>", media.media_type, media.data),
    };
    content.iter().map(piece).collect::<Vec<_>>().join(" + ")
}

fn codes(notes: &Notes) -> Vec<(&'static str, u64)> {
    notes.iter().map(|(code, count, _)| (code, count)).collect()
}

fn bytes(session: &NativeSession, at: usize) -> String {
    let mut text = String::new();
    session.payload.open(at).expect("a file").read_to_string(&mut text).expect("text");
    assert_eq!(text.len() as u64, session.payload.files()[at].size);
    text
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
