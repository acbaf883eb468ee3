//! Tests of the adapter as a whole: with recorded sessions, with odd input, and with what it
//! writes itself.

// A test lays out stores of its own, in temporary directories.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::Gemini;
use crate::env::Env;
use crate::error::Result;
use crate::harness::{Found, Harness, Target, WriteOptions};
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::{
    Event, EventKind, FileMeta, Head, Notes, Origin, Part, Payload, ReadSeek, Role, ToolKind, ToolStatus,
    View, time,
};
use crate::place::PathMap;

mod log;
mod moving;
mod recorded;
mod store;
mod writing;

const ID: &str = "d5d96617-6724-4228-ad6a-90e3e7b02999";

/// A payload in memory.
struct Memory {
    metas: Vec<FileMeta>,
    bytes: Vec<Vec<u8>>,
}

impl Memory {
    /// A session whose transcript is this.
    fn transcript(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let path = "tmp/app/chats/session-2026-11-20T11-08-d5d96617.jsonl".to_owned();
        let size = bytes.len() as u64;
        let meta = FileMeta { role: Role::Transcript, path, size, modified: None, agent: None };
        Self { metas: vec![meta], bytes: vec![bytes] }
    }

    fn read(&self, view: View) -> (String, Notes) {
        outline(self, 0, view)
    }
}

impl Payload for Memory {
    fn files(&self) -> &[FileMeta] {
        &self.metas
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        Ok(Box::new(Cursor::new(&self.bytes[index])))
    }
}

/// The header of a session.
fn header() -> String {
    format!(
        "{{\"sessionId\":\"{ID}\",\"projectHash\":\"x\",\"startTime\":\"2026-11-20T11:08:11.762Z\",\"kind\":\"main\"}}\n"
    )
}

fn sessions(env: &Env) -> Vec<Found> {
    let mut all = Vec::new();
    Gemini.scan(env, &mut |found| all.push(found)).expect("the store is there");
    all
}

/// Writes a file below a home, with the directories above it.
fn lay(home: &Path, path: &str, text: &str) -> PathBuf {
    let path = home.join(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(&path, text).expect("a file");
    path
}

/// The events of a transcript, a line each.
fn outline(payload: &dyn Payload, file: usize, view: View) -> (String, Notes) {
    let mut text = String::new();
    let mut sink = |event: Event<'_>| {
        writeln!(text, "{}", line(&event)).expect("memory");
        Ok(())
    };
    let notes = Gemini.read(payload, file, view, &mut sink).expect("readable");
    (text, notes)
}

fn line(event: &Event<'_>) -> String {
    let hidden = if event.in_model { "" } else { "(hidden) " };
    let what = match &event.kind {
        EventKind::User { content } => format!("user: {}", parts(content)),
        EventKind::Assistant { content, step, .. } => format!("{step} assistant: {}", parts(content)),
        EventKind::Reasoning { text, opaque, step } => {
            let kind = opaque.as_ref().map_or("open", |opaque| opaque.kind);
            format!("{step} reasoning ({kind}): {}", short(text))
        }
        EventKind::ToolCall { call_id, tool, row, name, input, step } => {
            let (ToolInput::Json(input) | ToolInput::Text(input)) = input;
            let mark = if row.is_some() { "=" } else { "" };
            format!("{step} call {call_id}: {name} ({mark}{tool:?}) {}", short(input))
        }
        EventKind::ToolResult { call_id, content, status, exit_code } => {
            let code = exit_code.map(|code| format!(" {code}")).unwrap_or_default();
            format!("result {call_id} ({status:?}{code}): {}", parts(content))
        }
        EventKind::Summary { text } => format!("summary: {}", short(text)),
        EventKind::Note { kind, text } => format!("note ({kind:?}): {}", short(text)),
    };
    format!("{hidden}{what}")
}

fn parts(parts: &[Part<'_>]) -> String {
    let shown: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => short(text),
            Part::Image(media) => format!("<image {}>", media.media_type),
            Part::File(media) => format!("<file {}>", media.media_type),
        })
        .collect();
    shown.join(" | ")
}

fn short(text: &str) -> String {
    let text = text.replace('\n', "\\n");
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text,
    }
}

/// Notes as `code count`.
fn codes(notes: &Notes) -> Vec<String> {
    notes.iter().map(|(code, count, _)| format!("{code} {count}")).collect()
}

/// An event of now.
fn said(kind: EventKind<'_>) -> Event<'_> {
    let time = time::parse("2026-11-20T12:00:00Z");
    Event { time, origin: Origin::default(), in_model: true, kind }
}

fn user(text: &str) -> EventKind<'_> {
    EventKind::User { content: vec![Part::Text(text.into())] }
}

fn assistant(text: &str, step: u64) -> EventKind<'_> {
    EventKind::Assistant { content: vec![Part::Text(text.into())], model: None, step }
}

fn call<'a>(id: &'a str, input: &'a str, step: u64) -> EventKind<'a> {
    EventKind::ToolCall {
        call_id: id.into(),
        tool: ToolKind::Other,
        row: None,
        name: "run".into(),
        input: ToolInput::Json(input.into()),
        step,
    }
}
