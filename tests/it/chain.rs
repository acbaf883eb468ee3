//! There and back: a session that went to the other agent and home again has lost nothing of its
//! dialogue, and on the way it had all of it too. Over all recorded sessions.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::cases::Store;
use crate::support::holdall::Holdall;
use crate::support::programs::Home;

/// What was said and done, in one spelling for both agents.
#[derive(Debug, PartialEq)]
enum Told {
    /// By whom.
    Said {
        by: &'static str,
        parts: Value,
    },
    Call {
        number: usize,
        name: String,
        input: Value,
    },
    Result {
        number: usize,
        failed: bool,
        parts: Value,
    },
    /// A summary, or something beside the dialogue.
    Aside {
        kind: String,
        text: String,
    },
}

/// The dialogue of a session, then those of its sub-agents. `history`: what a compaction took out
/// of the model's sight as well.
fn dialogue(home: &Home, id: &str, history: bool) -> Vec<Told> {
    let shown = done(home, &["show", "--full", id]);
    let mut numbers = HashMap::new();
    let mut number = |event: &Value| {
        let next = numbers.len();
        *numbers.entry(event["call_id"].as_str().unwrap().to_owned()).or_insert(next)
    };
    let events = shown["events"].as_array().unwrap().iter();
    let told = |event: &Value| {
        Some(match event["type"].as_str().unwrap() {
            // Only its own provider can take it; each conversion counts it.
            "reasoning" => return None,
            "user" => Told::Said { by: "user", parts: unnamed(&event["content"]) },
            "assistant" => Told::Said { by: "assistant", parts: event["content"].clone() },
            "tool_call" => {
                let (name, input) = spelling(event["name"].as_str().unwrap(), &event["input"]);
                Told::Call { number: number(event), name, input }
            }
            "tool_result" => Told::Result {
                number: number(event),
                failed: event["status"] != "ok",
                parts: marked(&event["content"], event["status"] != "ok"),
            },
            "summary" => Told::Aside { kind: "summary".into(), text: text(event) },
            // Each program has words of its own for it.
            "note" if event["kind"] == "interrupted" => {
                Told::Aside { kind: "interrupted".into(), text: String::new() }
            }
            "note" => Told::Aside { kind: event["kind"].to_string(), text: text(event) },
            other => panic!("an event of type {other}"),
        })
    };
    events.filter(|event| history || event["in_model"] != false).filter_map(told).collect()
}

fn text(event: &Value) -> String {
    event["text"].as_str().unwrap().to_owned()
}

/// Content without the names of files, which no model is told.
fn unnamed(parts: &Value) -> Value {
    let mut parts = parts.clone();
    for part in parts.as_array_mut().unwrap() {
        part.as_object_mut().unwrap().remove("name");
    }
    parts
}

/// A call as Claude Code spells it: its shell is `Bash`, and every input is an object.
fn spelling(name: &str, input: &Value) -> (String, Value) {
    match input {
        Value::String(_) => (name.to_owned(), json!({ "input": input })),
        Value::Object(members) if matches!(name, "exec_command" | "shell_command") => {
            let own = |key: &String| if key == "cmd" { "command".to_owned() } else { key.clone() };
            let members = members.iter().map(|(key, value)| (own(key), value.clone()));
            ("Bash".to_owned(), members.collect())
        }
        _ => (name.to_owned(), input.clone()),
    }
}

/// The content of a result. Codex marks a failure in the text, where it is not to be seen there.
fn marked(parts: &Value, failed: bool) -> Value {
    let mut parts = parts.clone();
    if let (true, Some(first)) = (failed, parts.get_mut(0).filter(|first| first["type"] == "text")) {
        let text = first["text"].as_str().unwrap().to_owned();
        first["text"] = text.strip_prefix("Error: ").unwrap_or(&text).into();
    }
    parts
}

fn done(home: &Home, args: &[&str]) -> Value {
    Holdall::new(home, home.dir()).done(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// Brings all sessions of a home to another one; their ids there, by their ids here.
fn convert(from: &Home, to: &Home, target: &str) -> HashMap<String, String> {
    let archive = from.dir().join("all.tar.gz");
    let archive = archive.to_str().unwrap();
    done(from, &["export", "--all", "-o", archive]);
    let report = done(to, &["import", archive, "--to", target]);
    let sessions = report["sessions"].as_array().unwrap().iter();
    sessions
        .map(|session| {
            assert_eq!(session["action"], "create", "{session}");
            for kind in ["user", "assistant", "tool_calls", "tool_results", "images"] {
                assert_eq!(session["fidelity"][kind]["dropped"], 0, "{kind}: {session}");
            }
            let id = |end: &str| session[end]["id"].as_str().unwrap().to_owned();
            (id("source"), id("target"))
        })
        .collect()
}

#[track_caller]
fn same(what: &str, before: &[Told], after: &[Told]) {
    for (at, (before, after)) in before.iter().zip(after).enumerate() {
        assert_eq!(before, after, "{what}, number {at}");
    }
    assert_eq!(before.len(), after.len(), "{what}: {before:#?}\n{after:#?}");
}

/// `harness` → `other` → `harness`, for every recorded session of it.
fn there_and_back(harness: &'static str, other: &str) {
    let mut count = 0;
    for store in Store::all(harness) {
        let dir = tempfile::tempdir().unwrap();
        let [here, there, back] = ["here", "there", "back"].map(|name| Home::at(dir.path().join(name)));
        store.unpack(here.dir());
        let first = convert(&here, &there, other);
        let second = convert(&there, &back, harness);
        for (id, id_there) in first {
            let id_back = &second[&id_there];
            for history in [false, true] {
                let name = format!("{}, {id}, history: {history}", store.name);
                let before = dialogue(&here, &id, history);
                assert!(!before.is_empty(), "{name}: nothing was said");
                same(&format!("{name}, there"), &before, &dialogue(&there, &id_there, history));
                same(&format!("{name}, back"), &before, &dialogue(&back, id_back, history));
            }
            count += 1;
        }
    }
    println!("{harness} to {other} and back: {count} sessions");
    assert!(count > 30, "{count} sessions");
}

#[test]
fn claude_to_codex_and_back() {
    there_and_back("claude", "codex");
}

#[test]
fn codex_to_claude_and_back() {
    there_and_back("codex", "claude");
}
