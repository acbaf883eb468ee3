//! What tests of adapters show and feed: events as lines, and events made of words.

use std::fmt::Write as _;

use crate::harness::Harness;
use crate::model::event::ToolInput;
use crate::model::{Event, EventKind, Notes, Origin, Part, Payload, ToolKind, View, time};

/// The events of a transcript, a line each.
pub fn outline(harness: &dyn Harness, payload: &dyn Payload, file: usize, view: View) -> (String, Notes) {
    let mut text = String::new();
    let mut sink = |event: Event<'_>| {
        writeln!(text, "{}", line(&event)).expect("memory");
        Ok(())
    };
    let notes = harness.read(payload, file, view, &mut sink).expect("readable");
    (text, notes)
}

/// An event in one line.
pub fn line(event: &Event<'_>) -> String {
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

/// Content in one line.
pub fn parts(parts: &[Part<'_>]) -> String {
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
pub fn codes(notes: &Notes) -> Vec<String> {
    notes.iter().map(|(code, count, _)| format!("{code} {count}")).collect()
}

/// An event of now.
pub fn said(kind: EventKind<'_>) -> Event<'_> {
    let time = time::parse("2026-11-20T12:00:00Z");
    Event { time, origin: Origin::default(), in_model: true, kind }
}

/// The user says this.
pub fn user(text: &str) -> EventKind<'_> {
    EventKind::User { content: vec![Part::Text(text.into())] }
}

/// The assistant says this.
pub fn assistant(text: &str, step: u64) -> EventKind<'_> {
    EventKind::Assistant { content: vec![Part::Text(text.into())], model: None, step }
}

/// The assistant calls a tool that no table knows.
pub fn call<'a>(id: &'a str, input: &'a str, step: u64) -> EventKind<'a> {
    EventKind::ToolCall {
        call_id: id.into(),
        tool: ToolKind::Other,
        row: None,
        name: "run".into(),
        input: ToolInput::Json(input.into()),
        step,
    }
}
