//! What is read of opencode and Kilo, next to what the programs themselves make of the same store.

use std::fs;
use std::io::Read;

use holdall::env::Env;
use holdall::harness::{self, Found, Harness, NativeSession};
use holdall::model::event::{MediaData, ToolInput};
use holdall::model::{Event, EventKind, NoteKind, Part, View};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cases::{self, Case};
use crate::support::dialogue::{self, Item};
use crate::support::expect;
use crate::support::programs::{Home, Opencode};

const PROMPT: &str = "What have we done so far?";

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

/// A recorded session in a home of its own, where the program can go on with it.
struct Machine {
    home: Home,
    case: Case,
    _dir: TempDir,
}

impl Machine {
    fn new(case: Case) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        case.unpack(home.dir());
        let machine = Self { home, case, _dir: dir };
        let cwd = machine.home.dir().join("src/app");
        fs::create_dir_all(&cwd).unwrap();
        let cwd = cwd.canonicalize().unwrap();
        // It runs a session only in its directory.
        let database = Connection::open(machine.program().database()).unwrap();
        database.execute("UPDATE session SET directory = ?1", [cwd.to_str().unwrap()]).unwrap();
        machine
    }

    fn program(&self) -> Opencode<'_> {
        Opencode::named(&self.case.harness, &self.home, &self.home.dir().join("src/app"))
    }

    fn harness(&self) -> &'static dyn Harness {
        harness::by_id(&self.case.harness).unwrap()
    }

    fn open(&self) -> NativeSession {
        let env = Env::isolated(self.home.dir());
        let mut all: Vec<Found> = Vec::new();
        self.harness().scan(&env, &mut |found| all.push(found)).unwrap();
        let found = all.iter().find(|found| found.id == self.case.id).unwrap();
        self.harness().open(&env, found).unwrap()
    }
}

fn exports_the_same(harness: &str) {
    let mut problems = Vec::new();
    for case in cases::of(harness) {
        let machine = Machine::new(case);
        let ours = export(&machine.open());
        for session in ours {
            let id = session["info"]["id"].as_str().unwrap();
            let theirs = machine.program().export(id).unwrap();
            if session != theirs {
                problems.push(format!("{}: {id}: {}", machine.case.case, difference("", &session, &theirs)));
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
    let mut problems = Vec::new();
    for case in cases::of(harness) {
        let machine = Machine::new(case);
        let (ours, case) = (told(&machine), &machine.case);
        match machine.program().resume(&case.id, PROMPT, None) {
            Ok(body) => {
                let mut theirs = dialogue::read(harness, &body);
                assert_eq!(theirs.pop(), Some(Item::User(PROMPT.into())), "{}", case.case);
                theirs.retain(|item| !is_by_program(item));
                if let Err(error) = expect::same(&theirs, &ours) {
                    problems.push(format!("{}: {error}", case.case));
                }
            }
            Err(error) => problems.push(format!("{}: {error}", case.case)),
        }
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
fn told(machine: &Machine) -> Vec<Item> {
    let session = machine.open();
    let mut items = Vec::new();
    // The interface has no place for images in results: they come after all results of a step.
    let mut images = Vec::new();
    let notes = machine.harness().read(&*session.payload, 0, View::Model, &mut |event: Event<'_>| {
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
            EventKind::ToolResult { call_id, content, .. } => {
                for part in &content {
                    match piece(part, |text| Item::Result { id: call_id.to_string(), text, failed: None }) {
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
