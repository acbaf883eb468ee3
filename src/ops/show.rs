//! `show`: one session, as a stream of events.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::list::Row;
use super::select::Selected;
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::{
    Agent, Event, EventKind, NoteKind, Notes, Part, Role, Sink, ToolStatus, View, payload, time,
};

/// Reads the session's own conversation into `sink`, then those of its sub-agents if `agents` is
/// set; `sink` is told when another one begins.
///
/// # Errors
/// When the session cannot be read or `sink` fails.
pub fn read(
    env: &Env,
    selected: &Selected,
    view: View,
    agents: bool,
    sink: &mut dyn Viewer,
) -> Result<Notes> {
    let session = selected.harness.open(env, &selected.found)?;
    let files = session.payload.files();
    let Some(main) = payload::transcript(files) else {
        return Err(Error::new(Kind::Unsupported, format!("{} has no transcript", selected.head.id)));
    };
    let mut notes = session.notes;
    notes.merge(&selected.harness.read(&*session.payload, main, view, sink)?);
    for (place, file) in files.iter().enumerate() {
        if let (true, Role::Subagent, Some(agent)) = (agents, file.role, &file.agent) {
            sink.agent(agent)?;
            notes.merge(&selected.harness.read(&*session.payload, place, view, sink)?);
        }
    }
    Ok(notes)
}

/// Takes the conversations of a session.
pub trait Viewer: Sink {
    /// The events that follow are of this sub-agent.
    ///
    /// # Errors
    /// When the viewer cannot go on.
    fn agent(&mut self, agent: &Agent) -> Result<()>;
}

/// Writes what `show --json` prints, one event at a time.
pub struct JsonViewer<W: Write> {
    out: W,
    agent: Option<String>,
    first: bool,
}

impl<W: Write> JsonViewer<W> {
    /// Writes the head of the document.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn begin(mut out: W, selected: Selected) -> Result<Self> {
        let session = serde_json::to_string(&Row::from(selected)).map_err(broken)?;
        write!(out, "{{\"schema\":\"holdall.session/1\",\"session\":{session},\"events\":[")
            .at("write", stdout())?;
        Ok(Self { out, agent: None, first: true })
    }

    /// Writes the end of the document.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn end(mut self) -> Result<()> {
        self.out.write_all(b"]}\n").and_then(|()| self.out.flush()).at("write", stdout())
    }
}

fn stdout() -> &'static Path {
    Path::new("standard output")
}

fn broken(error: serde_json::Error) -> Error {
    Error::new(Kind::Io, format!("cannot write JSON: {error}"))
}

impl<W: Write> Sink for JsonViewer<W> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        let separator: &[u8] = if self.first { b"\n" } else { b",\n" };
        self.first = false;
        self.out.write_all(separator).at("write", stdout())?;
        let json = JsonEvent { event: &event, agent: self.agent.as_deref() };
        serde_json::to_writer(&mut self.out, &json).map_err(|error| match error.io_error_kind() {
            Some(kind) => Error::io("write", stdout(), kind.into()),
            None => broken(error),
        })
    }
}

impl<W: Write> Viewer for JsonViewer<W> {
    fn agent(&mut self, agent: &Agent) -> Result<()> {
        self.agent = Some(agent.id.clone());
        Ok(())
    }
}

struct JsonEvent<'a> {
    event: &'a Event<'a>,
    agent: Option<&'a str>,
}

impl Serialize for JsonEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &self.event.time.map(time::rfc3339))?;
        if let Some(agent) = self.agent {
            map.serialize_entry("agent", agent)?;
        }
        if !self.event.in_model {
            map.serialize_entry("in_model", &false)?;
        }
        match &self.event.kind {
            EventKind::User { content } => {
                map.serialize_entry("type", "user")?;
                map.serialize_entry("content", &parts(content))?;
            }
            EventKind::Assistant { content, model, step } => {
                map.serialize_entry("type", "assistant")?;
                map.serialize_entry("step", step)?;
                map.serialize_entry("model", model)?;
                map.serialize_entry("content", &parts(content))?;
            }
            EventKind::Reasoning { text, opaque, step } => {
                map.serialize_entry("type", "reasoning")?;
                map.serialize_entry("step", step)?;
                map.serialize_entry("text", text)?;
                if let Some(opaque) = opaque {
                    map.serialize_entry(
                        "opaque",
                        &JsonOpaque { provider: opaque.provider, kind: opaque.kind },
                    )?;
                }
            }
            EventKind::ToolCall { call_id, tool, name, input, step, .. } => {
                map.serialize_entry("type", "tool_call")?;
                map.serialize_entry("step", step)?;
                map.serialize_entry("call_id", call_id)?;
                map.serialize_entry("tool", tool)?;
                map.serialize_entry("name", name)?;
                match input {
                    ToolInput::Json(json) => match serde_json::from_str::<&RawValue>(json) {
                        Ok(raw) => map.serialize_entry("input", raw)?,
                        Err(_) => map.serialize_entry("input", json)?,
                    },
                    ToolInput::Text(text) => map.serialize_entry("input", text)?,
                }
            }
            EventKind::ToolResult { call_id, content, status, exit_code } => {
                map.serialize_entry("type", "tool_result")?;
                map.serialize_entry("call_id", call_id)?;
                map.serialize_entry("status", status_name(*status))?;
                map.serialize_entry("exit_code", exit_code)?;
                map.serialize_entry("content", &parts(content))?;
            }
            EventKind::Summary { text } => {
                map.serialize_entry("type", "summary")?;
                map.serialize_entry("text", text)?;
            }
            EventKind::Note { kind, text } => {
                map.serialize_entry("type", "note")?;
                map.serialize_entry("kind", note_name(*kind))?;
                map.serialize_entry("text", text)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct JsonOpaque {
    provider: &'static str,
    kind: &'static str,
}

fn status_name(status: ToolStatus) -> &'static str {
    match status {
        ToolStatus::Ok => "ok",
        ToolStatus::Error => "error",
        ToolStatus::Interrupted => "interrupted",
    }
}

fn note_name(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::UserShell => "user-shell",
        NoteKind::Interrupted => "interrupted",
        NoteKind::TaskReport => "task-report",
    }
}

fn parts<'a>(content: &'a [Part<'a>]) -> Vec<JsonPart<'a>> {
    content
        .iter()
        .map(|part| match part {
            Part::Text(text) => JsonPart::Text { text },
            Part::Image(media) => JsonPart::Image(JsonMedia::from(media)),
            Part::File(media) => JsonPart::File(JsonMedia::from(media)),
        })
        .collect()
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum JsonPart<'a> {
    Text { text: &'a str },
    Image(JsonMedia<'a>),
    File(JsonMedia<'a>),
}

#[derive(Serialize)]
struct JsonMedia<'a> {
    media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
}

impl<'a> From<&'a Media<'a>> for JsonMedia<'a> {
    fn from(media: &'a Media<'a>) -> Self {
        let (base64, url) = match &media.data {
            MediaData::Base64(data) => (Some(&**data), None),
            MediaData::Url(url) => (None, Some(&**url)),
        };
        Self { media_type: &media.media_type, name: media.name.as_deref(), base64, url }
    }
}
