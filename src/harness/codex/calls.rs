//! Tool calls that wait for their output.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::filter::digest;
use super::native::UiEvent;
use super::status::Recorded;

/// The calls of a rollout: the open ones with what is known of them, and which ids were used.
///
/// Codex takes the same id twice; events do not, so a repeated one gets a number.
#[derive(Debug, Default)]
pub struct Calls {
    open: HashMap<String, Call>,
    used: HashSet<u64>,
    /// The open call of code mode, whose commands have ids of their own.
    script: Option<String>,
}

/// A call.
#[derive(Debug)]
pub struct Call {
    /// The id that it was delivered under.
    pub id: String,
    recorded: Recorded,
    nested: usize,
}

impl Call {
    /// What the events said of it. A script that ran one command went as the command went; of one
    /// that ran several, none speaks for the whole.
    pub fn recorded(&self) -> Recorded {
        if self.nested > 1 { Recorded::default() } else { self.recorded }
    }
}

impl Calls {
    /// A call begins; the id to deliver it under.
    pub fn begin(&mut self, native_id: &str, is_script: bool) -> String {
        let mut id = if native_id.is_empty() { "call".to_owned() } else { native_id.to_owned() };
        let mut number = 1;
        while !self.used.insert(digest(&id)) {
            number += 1;
            id = format!("{native_id}~{number}");
        }
        if is_script {
            self.script = Some(native_id.to_owned());
        }
        let call = Call { id: id.clone(), recorded: Recorded::default(), nested: 0 };
        self.open.insert(native_id.to_owned(), call);
        id
    }

    /// A call has its output.
    pub fn end(&mut self, native_id: &str) -> Option<Call> {
        if self.script.as_deref() == Some(native_id) {
            self.script = None;
        }
        self.open.remove(native_id)
    }

    /// An event tells how a call went.
    pub fn note(&mut self, event: &UiEvent<'_>) {
        let item = event.item.as_ref();
        let id = item.and_then(|item| item.id.as_deref()).or(event.call_id.as_deref()).unwrap_or_default();
        let nested = !self.open.contains_key(id);
        let call = match (nested, &self.script) {
            (false, _) => self.open.get_mut(id),
            (true, Some(script)) if id.starts_with("exec-") => self.open.get_mut(script),
            (true, _) => None,
        };
        let Some(call) = call else { return };
        call.nested += usize::from(nested);
        let status = item.and_then(|item| item.status.as_deref());
        let result = event.result.map(RawValue::get);
        call.recorded = Recorded {
            exit_code: item.and_then(|item| item.exit_code).or(event.exit_code),
            failed: match (status, event.success, result) {
                (Some(status), ..) => Some(matches!(status, "failed" | "declined")),
                (None, Some(success), _) => Some(!success),
                (None, None, Some(result)) => Some(result.starts_with("{\"Err\"") || is_error(result)),
                (None, None, None) => None,
            },
        };
    }
}

/// MCP results tell of a failure with `isError` (`is_error` in some versions).
fn is_error(result: &str) -> bool {
    ["\"isError\":true", "\"is_error\":true"]
        .iter()
        .any(|flag| memchr::memmem::find(result.as_bytes(), flag.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_id_gets_a_number() {
        let mut calls = Calls::default();
        assert_eq!(calls.begin("a", false), "a");
        assert_eq!(calls.end("a").map(|call| call.id).as_deref(), Some("a"));
        assert_eq!(calls.begin("a", false), "a~2");
        assert_eq!(calls.end("a").map(|call| call.id).as_deref(), Some("a~2"));
        assert!(calls.end("a").is_none());
        assert_eq!(calls.begin("", false), "call");
    }

    #[test]
    fn a_script_goes_as_its_only_command_went() {
        let event = |json: &'static str| serde_json::from_str::<UiEvent<'_>>(json).expect("an event");
        let one = event(r#"{"item":{"id":"exec-1","status":"failed","exit_code":3}}"#);
        let mut calls = Calls::default();
        calls.begin("s", true);
        calls.note(&one);
        assert_eq!(calls.end("s").map(|call| call.recorded().exit_code), Some(Some(3)));
        calls.note(&one);
        calls.begin("s", true);
        calls.note(&one);
        calls.note(&one);
        assert_eq!(calls.end("s").map(|call| call.recorded()), Some(Recorded::default()));
    }
}
