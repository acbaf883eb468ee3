//! There and back: a session that went to the other agent and home again has lost nothing of its
//! dialogue, and on the way it had all of it too. Over all recorded sessions.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::cases::{self, Store};
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
        Value::Object(members)
            if matches!(name, "exec_command" | "shell_command" | "bash" | "run_shell_command") =>
        {
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
    if parts.as_array().unwrap().len() > 1 {
        parts.as_array_mut().unwrap().retain(|part| part["text"] != "");
    }
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
    ids(&carry(from, to, target, &[]))
}

/// The report of that. `more` are further arguments of the import.
fn carry(from: &Home, to: &Home, target: &str, more: &[&str]) -> Value {
    let archive = from.dir().join("all.tar.gz");
    let archive = archive.to_str().unwrap();
    done(from, &["export", "--all", "-o", archive]);
    let args = [&["import", archive, "--to", target], more].concat();
    // opencode makes its database itself.
    let holdall = Holdall::new(to, to.dir());
    let holdall = if target == "opencode" { holdall.with_programs() } else { holdall };
    let report = holdall.done(&args).unwrap_or_else(|error| panic!("{args:?}: {error}"));
    for session in report["sessions"].as_array().unwrap() {
        assert_eq!(session["action"], "create", "{session}");
        for kind in ["user", "assistant", "tool_calls", "tool_results", "images"] {
            assert_eq!(session["fidelity"][kind]["dropped"], 0, "{kind}: {session}");
        }
    }
    report
}

/// Ids at the target by ids at the source.
fn ids(report: &Value) -> HashMap<String, String> {
    let sessions = report["sessions"].as_array().unwrap().iter();
    let id = |session: &Value, end: &str| session[end]["id"].as_str().unwrap().to_owned();
    sessions.map(|session| (id(session, "source"), id(session, "target"))).collect()
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

/// Through all kinds of stores, from machine to machine, each with a directory of its own.
#[test]
fn claude_to_gemini_to_opencode_to_codex_to_claude() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("start"));
    let cases = cases::of("claude");
    for case in &cases {
        case.unpack(home.dir());
    }
    let mut chain = vec![(home, cases.iter().map(|case| case.id.clone()).collect::<Vec<_>>())];
    let mut project = cases::CWD.to_owned();
    for target in ["gemini", "opencode", "codex", "claude"] {
        let (from, known) = chain.last().unwrap();
        let to = Home::at(dir.path().join(chain.len().to_string()));
        let there = to.dir().join("src/app");
        std::fs::create_dir_all(&there).unwrap();
        let there = there.to_str().unwrap().to_owned();
        let report = carry(from, &to, target, &["--cwd-map", &format!("{project}={there}")]);
        check_forms(target, &report);
        let ids = ids(&report);
        // A fork is carried with what it came from.
        assert!(ids.len() >= cases.len(), "{target}: {report}");
        let known = known.iter().map(|id| ids[id].clone()).collect();
        chain.push((to, known));
        project = there;
    }
    for (at, case) in cases.iter().enumerate() {
        for history in [false, true] {
            let before = in_order(dialogue(&chain[0].0, &case.id, history));
            for (step, (home, ids)) in chain.iter().enumerate().skip(1) {
                let name = format!("{}, history: {history}, step {step}", case.case);
                let after = in_order(dialogue(home, &ids[at], history));
                same(&name, &before, &with_asides(&before, after));
            }
        }
    }
}

/// `after` with the asides of `before` where a text of the user tells them: a program without a place
/// for a note has it said by the user.
fn with_asides(before: &[Told], after: Vec<Told>) -> Vec<Told> {
    let retold = |(at, told): (usize, Told)| match (before.get(at), &told) {
        (Some(Told::Aside { kind, text }), Told::Said { by: "user", parts }) => {
            let said = parts[0]["text"].as_str().unwrap_or_default();
            if !text.is_empty() && said.contains(text.as_str()) {
                Told::Aside { kind: kind.clone(), text: text.clone() }
            } else {
                told
            }
        }
        _ => told,
    };
    after.into_iter().enumerate().map(retold).collect()
}

/// The same with the results of parallel calls in the order of the calls: Gemini CLI and opencode keep
/// each result with its call. Of what stands beside the dialogue only summaries and the user's own
/// commands must arrive: opencode has an interruption as the state of a call, and no place for reports.
fn in_order(mut told: Vec<Told>) -> Vec<Told> {
    let travels = |kind: &str| kind == "summary" || kind.contains("shell");
    told.retain(|told| !matches!(told, Told::Aside { kind, .. } if !travels(kind)));
    let tells = |told: &Told, words: &str| {
        matches!(told, Told::Said { by: "user", parts }
            if parts[0]["text"].as_str().is_some_and(|text| text.starts_with(words)))
    };
    // The words in which a program without notes tells the others.
    told.retain(|told| !tells(told, "[Request interrupted by user") && !tells(told, "Agent \""));
    let is_result = |told: &Told| matches!(told, Told::Result { .. });
    for results in told.chunk_by_mut(|a, b| is_result(a) && is_result(b)) {
        results.sort_by_key(|told| if let Told::Result { number, .. } = told { *number } else { 0 });
    }
    told
}

/// What changes its form on the way to a target is counted and explained.
fn check_forms(target: &str, report: &Value) {
    let sessions = report["sessions"].as_array().unwrap();
    let count = |kind: &str, what: &str| -> u64 {
        sessions.iter().map(|session| session["fidelity"][kind][what].as_u64().unwrap()).sum()
    };
    let changed: u64 = ["reasoning", "tool_calls", "tool_results"]
        .iter()
        .map(|kind| count(kind, "adapted") + count(kind, "dropped"))
        .sum();
    let explained: usize =
        sessions.iter().map(|session| session["fidelity"]["notes"].as_array().map_or(0, Vec::len)).sum();
    assert!(explained > 0 || changed == 0, "{target}: {changed} things changed without a word: {report}");
    assert!(count("tool_calls", "kept") + count("tool_calls", "adapted") > 20, "{target}: {report}");
}
