//! What is read of opencode and Kilo, next to what the programs themselves make of the same store.

use std::io::Read;

use holdall::env::Env;
use holdall::harness::{self, Found, Harness, NativeSession};
use holdall::model::event::{MediaData, ToolInput};
use holdall::model::{Event, EventKind, NoteKind, Part, ToolStatus, View};
use serde_json::{Value, json};

use crate::real::FIRST;
use crate::real::agent::{Machine, oracle};
use crate::support::cases::{self, Case};
use crate::support::dialogue::{self, Item};
use crate::support::expect;
use crate::support::programs::Opencode;

#[test]
fn opencode_exports_the_same() {
    exports_the_same("opencode");
}

#[test]
fn kilo_exports_the_same() {
    exports_the_same("kilo");
}

#[test]
fn opencode_tells_its_model_the_same() {
    tells_its_model_the_same("opencode");
}

#[test]
fn kilo_tells_its_model_the_same() {
    tells_its_model_the_same("kilo");
}

/// All recorded sessions of a program in one home.
struct Store {
    harness: &'static dyn Harness,
    machine: Machine,
    cases: Vec<Case>,
    found: Vec<Found>,
}

impl Store {
    fn of(harness: &str) -> Self {
        let (machine, cases) = (Machine::new("src/app"), cases::of(harness));
        for case in &cases {
            case.unpack(machine.home.dir());
        }
        let harness = harness::by_id(harness).unwrap();
        let mut found = Vec::new();
        harness.scan(&Env::isolated(machine.home.dir()), &mut |session| found.push(session)).unwrap();
        Self { harness, machine, cases, found }
    }

    fn open(&self, case: &Case) -> NativeSession {
        let found = self.found.iter().find(|found| found.id == case.id).unwrap();
        self.harness.open(&Env::isolated(self.machine.home.dir()), found).unwrap()
    }
}

fn exports_the_same(harness: &str) {
    // Each takes a start of the program; these have all that a session can have.
    const CASES: [&str; 4] = ["compact", "image", "revert-pending", "subagent"];
    let store = Store::of(harness);
    let program = Opencode::named(harness, &store.machine.home, &store.machine.cwd);
    let mut problems = Vec::new();
    for case in store.cases.iter().filter(|case| CASES.contains(&&*case.case)) {
        for ours in export(&store.open(case)) {
            let id = ours["info"]["id"].as_str().unwrap();
            match program.export(id) {
                Ok(theirs) if theirs == ours => {}
                Ok(theirs) => problems.push(format!("{}: {id}{}", case.case, difference("", &ours, &theirs))),
                Err(error) => problems.push(format!("{}: {id}: {error}", case.case)),
            }
        }
    }
    assert_eq!(problems, Vec::<String>::new());
}

/// The session and its sub-agents in the program's own form.
fn export(session: &NativeSession) -> Vec<Value> {
    let files = session.payload.files();
    let text = |at: usize| {
        let mut text = String::new();
        session.payload.open(at).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, files[at].size, "{}", files[at].path);
        text
    };
    let transcripts = (0..files.len()).filter(|&at| files[at].path.ends_with("/messages.jsonl"));
    let one = |at: usize| {
        let message = |line: &str| {
            let mut message: Value = serde_json::from_str(line).unwrap();
            message.as_object_mut().unwrap().remove("times").unwrap();
            message
        };
        let messages: Vec<Value> = text(at).lines().map(message).collect();
        let info: Value = serde_json::from_str(&text(at + 1)).unwrap();
        json!({"info": info["info"], "messages": messages})
    };
    transcripts.map(one).collect()
}

/// Where two values differ.
fn difference(at: &str, ours: &Value, theirs: &Value) -> String {
    let pair = match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let mut keys = ours.keys().chain(theirs.keys());
            keys.find(|key| ours.get(*key) != theirs.get(*key)).map(|key| {
                let value = |of: &serde_json::Map<String, Value>| of.get(key).cloned().unwrap_or_default();
                (format!("{at}.{key}"), value(ours), value(theirs))
            })
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => (0..ours.len())
            .find(|&i| ours[i] != theirs[i])
            .map(|i| (format!("{at}[{i}]"), ours[i].clone(), theirs[i].clone())),
        _ => None,
    };
    match pair {
        Some((at, ours, theirs)) => difference(&at, &ours, &theirs),
        None => format!("{at}: {ours} instead of {theirs}"),
    }
}

fn tells_its_model_the_same(harness: &str) {
    let store = Store::of(harness);
    let mut problems = Vec::new();
    for case in &store.cases {
        let told = oracle(case).and_then(|mut theirs| {
            theirs.retain(|item| !is_by_program(item));
            let mut ours = told(&store, case);
            ours.push(Item::User(FIRST.to_owned()));
            expect::same(&theirs, &ours)
        });
        problems.extend(told.err().map(|error| format!("{}: {error}", case.case)));
    }
    assert_eq!(problems, Vec::<String>::new());
}

/// What the program says in the user's name: nobody said it.
fn is_by_program(item: &Item) -> bool {
    match item {
        Item::Note(text) => !text.contains("<user_shell_command>"),
        Item::User(text) => text == "Image read successfully",
        _ => false,
    }
}

/// The model's view as holdall reads it.
fn told(store: &Store, case: &Case) -> Vec<Item> {
    let session = store.open(case);
    let mut items = Vec::new();
    // The interface has no place for images in results: they come after all results of a step.
    let mut images = Vec::new();
    let notes = store.harness.read(&*session.payload, 0, View::Model, &mut |event: Event<'_>| {
        assert!(event.in_model);
        if !matches!(event.kind, EventKind::ToolResult { .. }) {
            items.append(&mut images);
        }
        match event.kind {
            EventKind::User { content } => items.extend(content.iter().map(|part| piece(part, Item::User))),
            EventKind::Assistant { content, .. } => {
                items.extend(content.iter().map(|part| piece(part, Item::Assistant)));
            }
            EventKind::Reasoning { text, .. } => items.push(Item::Reasoning(text.trim().to_owned())),
            EventKind::ToolCall { call_id, name, input, .. } => {
                let ToolInput::Json(input) = input else { panic!("a call without JSON") };
                let args = serde_json::from_str(&input).unwrap();
                items.push(Item::Call { id: call_id.into(), name: name.into(), args });
            }
            EventKind::ToolResult { call_id, content, status, exit_code } => {
                // Of a command that ended with an error code its model is not told so.
                let failed = match exit_code {
                    _ if status != ToolStatus::Ok => Some(true),
                    Some(code) if code != 0 => None,
                    _ => Some(false),
                };
                for part in &content {
                    match piece(part, |text| Item::Result { id: call_id.to_string(), text, failed }) {
                        image @ Item::Image(_) => images.push(image),
                        result => items.push(result),
                    }
                }
            }
            EventKind::Summary { text } => items.push(Item::Summary(text.trim().to_owned())),
            EventKind::Note { kind, text } => {
                assert_eq!(kind, NoteKind::UserShell);
                let (command, output) = text.strip_prefix("$ ").unwrap().split_once('\n').unwrap();
                let note = format!("<user_shell_command>\n{command}\n{output}\n\n</user_shell_command>");
                items.push(Item::Note(note));
            }
        }
        Ok(())
    });
    notes.unwrap();
    items.append(&mut images);
    items
}

fn piece(part: &Part<'_>, text: impl Fn(String) -> Item) -> Item {
    match part {
        Part::Text(words) => text(words.trim().to_owned()),
        Part::Image(media) | Part::File(media) => match &media.data {
            MediaData::Base64(data) => dialogue::image(data),
            MediaData::Url(url) => panic!("an image at {url}"),
        },
    }
}
