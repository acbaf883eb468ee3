//! The adapter against recorded sessions in `fixtures/codex`, each folder a data directory.

/// Compares with the text in `fixtures/codex/expected`.
macro_rules! expect {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            snapshot_path => "../../../../fixtures/codex/expected",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!($name, $text) })
    };
}

mod convert;
mod moves;
mod odd;
mod recorded;

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Codex;
use crate::env::Env;
use crate::harness::{Found, Harness, NativeSession};
use crate::model::event::{MediaData, ToolInput};
use crate::model::{Event, EventKind, Notes, Part, Payload, View};

/// A machine with this recorded store.
fn env(case: &str) -> Env {
    let store = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/codex").join(case);
    assert!(store.exists(), "{}", store.display());
    Env::isolated("/home/dev").with_var("CODEX_HOME", store)
}

fn found(env: &Env) -> Vec<Found> {
    let mut found = Vec::new();
    Codex.scan(env, &mut |session| found.push(session)).expect("a store");
    found
}

/// The session of a store whose id contains `part`.
fn session(env: &Env, part: &str) -> Found {
    let mut found = found(env);
    found.retain(|session| session.id.contains(part));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn opened(case: &str, part: &str) -> NativeSession {
    let env = env(case);
    Codex.open(&env, &session(&env, part)).expect("it opens")
}

/// A transcript as text, one line for each event.
fn transcript(payload: &dyn Payload, file: usize, view: View) -> (String, Notes) {
    let mut text = String::new();
    let notes = Codex.read(payload, file, view, &mut |event: Event<'_>| {
        assert!(event.origin.length > 0);
        writeln!(text, "{}", line(&event)).expect("memory");
        Ok(())
    });
    (text, notes.expect("it reads"))
}

fn line(event: &Event<'_>) -> String {
    let mark = if event.in_model { "" } else { "(before) " };
    let text = match &event.kind {
        EventKind::User { content } => format!("user: {}", parts(content)),
        EventKind::Assistant { content, model, step } => {
            format!("{step} assistant [{}]: {}", model.as_deref().unwrap_or("?"), parts(content))
        }
        EventKind::Reasoning { text, opaque, step } => {
            let opaque = opaque.as_ref().map(|opaque| (opaque.provider, opaque.kind, opaque.data.len()));
            format!("{step} reasoning: {text:?} {opaque:?}")
        }
        EventKind::ToolCall { call_id, tool, row, name, input, step } => {
            let input = match input {
                ToolInput::Json(json) => short(json),
                ToolInput::Text(text) => format!("text {:?}", short(text)),
            };
            let row = row.map(|row| row.arguments.len());
            format!("{step} call {call_id} {tool:?} {name} {row:?}: {input}")
        }
        EventKind::ToolResult { call_id, content, status, exit_code } => {
            format!("result {call_id} {status:?} {exit_code:?}: {}", parts(content))
        }
        EventKind::Summary { text } => format!("summary: {text:?}"),
        EventKind::Note { kind, text } => format!("note {kind:?}: {text:?}"),
    };
    format!("{mark}{text}")
}

fn parts(parts: &[Part<'_>]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => format!("{:?}", short(text)),
            Part::Image(media) | Part::File(media) => match &media.data {
                MediaData::Base64(data) => format!("<{} {}>", media.media_type, data.len()),
                MediaData::Url(url) => format!("<{} {url}>", media.media_type),
            },
        })
        .collect();
    parts.join(" + ")
}

fn short(text: &str) -> String {
    if text.len() < 400 {
        text.to_owned()
    } else {
        format!("{}… ({} bytes)", text.chars().take(60).collect::<String>(), text.len())
    }
}
