//! Conversions and moves, as far as they can be told without the program.

use std::borrow::Cow;
use std::path::Path;

use serde_json::Value;

use super::models::Models;
use super::rows::Rows;
use super::write::Writer;
use super::{ids, place, relocate, schema};
use crate::env::Env;
use crate::harness::opencode::flavour::{KILO, OPENCODE};
use crate::harness::{
    Growth, OutFile, OutSource, RowWriter as _, Stored, Target, TranscriptWriter as _, WriteOptions,
};
use crate::model::event::ToolInput;
use crate::model::{
    Event, EventKind, Fidelity, FileMeta, Head, NoteKind, Origin, Part, Role, Sink as _, ToolKind,
    ToolStatus, time,
};
use crate::place::PathMap;

/// A machine with a project, and where a session of `source` goes on it.
struct World {
    dir: tempfile::TempDir,
    env: Env,
    source: Head,
    options: WriteOptions,
    paths: PathMap,
}

impl World {
    fn new(harness: &str, id: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let env = Env::isolated(dir.path());
        let source = Head {
            harness: harness.to_owned(),
            id: id.to_owned(),
            title: Some("A title".to_owned()),
            cwd: Some("/old/app".to_owned()),
            created: time::parse("2026-11-20T10:00:00Z"),
            updated: time::parse("2026-11-20T11:00:00Z"),
            model: Some("claude-x".to_owned()),
            ..Head::default()
        };
        Self { dir, env, source, options: WriteOptions::default(), paths: PathMap::none() }
    }

    #[allow(clippy::disallowed_methods)]
    fn file(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn target<'t>(&'t self, id: &'t str) -> Target<'t> {
        Target {
            env: &self.env,
            id,
            cwd: self.dir.path(),
            paths: &self.paths,
            source: &self.source,
            options: &self.options,
            existing: None,
            still_at: None,
        }
    }

    /// The database only has to be there for messages to be lines.
    fn written(
        &self,
        events: Vec<EventKind<'_>>,
        in_model: impl Fn(usize) -> bool,
    ) -> (Vec<Value>, Fidelity) {
        self.file(".local/share/opencode/opencode.db", "");
        let target = self.target("ses_new");
        let mut out = Vec::new();
        let mut writer = Box::new(Writer::begin(&OPENCODE, &target, None, &mut out).expect("a writer"));
        for (at, kind) in events.into_iter().enumerate() {
            // One hour each: beyond the end of the source from the second on.
            let time = self.source.created.map(|time| time + chrono::TimeDelta::hours(at as i64));
            writer
                .event(Event { time, origin: Origin::default(), in_model: in_model(at), kind })
                .expect("memory");
        }
        let fidelity = writer.finish().expect("memory");
        let lines = std::str::from_utf8(&out).expect("UTF-8").lines();
        (lines.map(|line| serde_json::from_str(line).expect("a line is JSON")).collect(), fidelity)
    }
}

fn user(text: &str) -> EventKind<'_> {
    EventKind::User { content: vec![Part::Text(text.into())] }
}

fn says(text: &str, step: u64) -> EventKind<'_> {
    EventKind::Assistant { content: vec![Part::Text(text.into())], model: Some("claude-y".into()), step }
}

fn calls<'a>(id: &'a str, name: &'a str, input: &'a str, step: u64) -> EventKind<'a> {
    let (call_id, name) = (Cow::Borrowed(id), Cow::Borrowed(name));
    let input = ToolInput::Json(input.into());
    EventKind::ToolCall { call_id, tool: ToolKind::Other, row: None, name, input, step }
}

fn gives<'a>(id: &'a str, text: &'a str, status: ToolStatus, exit_code: Option<i32>) -> EventKind<'a> {
    let content = vec![Part::Text(text.into())];
    EventKind::ToolResult { call_id: id.into(), content, status, exit_code }
}

fn texts(line: &Value) -> Vec<&str> {
    let parts = line["parts"].as_array().expect("parts");
    parts.iter().map(|part| part["text"].as_str().or(part["tool"].as_str()).unwrap_or_default()).collect()
}

#[test]
fn a_response_holds_its_calls_with_their_results() {
    let world = World::new("claude", "s");
    let (lines, fidelity) = world.written(
        vec![
            user("do it"),
            says("two at once", 1),
            calls("a", "mcp server/x", r#"{"n":1.0e2}"#, 1),
            calls("a", "Read", "[1]", 1),
            user("meanwhile"),
            gives("a", "boom", ToolStatus::Error, Some(3)),
            gives("a", "fine", ToolStatus::Ok, None),
            says("after", 1),
            calls("open", "Read", "{}", 2),
            gives("nobody", "orphan", ToolStatus::Ok, None),
        ],
        |_| true,
    );
    let shown: Vec<(&str, Vec<&str>)> =
        lines.iter().map(|line| (line["info"]["role"].as_str().expect("a role"), texts(line))).collect();
    assert_eq!(
        shown,
        [
            ("user", vec!["do it"]),
            ("assistant", vec!["two at once", "mcp_server_x", "Read"]),
            ("user", vec!["meanwhile"]),
            ("assistant", vec!["after"]),
            ("assistant", vec!["Read"]),
            ("user", vec!["orphan"]),
        ]
    );
    let answer = &lines[1];
    assert_eq!(answer["info"]["parentID"], lines[0]["info"]["id"]);
    assert_eq!(answer["info"]["providerID"], "anthropic");
    assert_eq!(answer["info"]["modelID"], "claude-y");
    assert_eq!(answer["info"]["finish"], "tool-calls");
    let (one, two) = (&answer["parts"][1], &answer["parts"][2]);
    assert_ne!(one["callID"], two["callID"]);
    // The last call of an id gets the first result: nothing else tells them apart.
    assert_eq!(two["state"]["error"], "Exit code: 3\nboom");
    assert_eq!(one["state"]["output"], "fine");
    assert_eq!(two["state"]["input"]["input"], serde_json::json!([1]));
    assert_eq!(lines[4]["parts"][0]["state"]["status"], "error");
    let ids: Vec<&str> =
        answer["parts"].as_array().expect("parts").iter().filter_map(|p| p["id"].as_str()).collect();
    assert!(ids.is_sorted() && ids.len() == 3, "{ids:?}");
    let times: Vec<i64> = lines.iter().filter_map(|line| line["info"]["time"]["created"].as_i64()).collect();
    let end = world.source.updated.expect("an end").timestamp_millis();
    assert!(times.is_sorted() && times.iter().all(|time| *time <= end), "{times:?}");
    assert_eq!((fidelity.tool_calls.kept, fidelity.tool_calls.adapted), (1, 2));
    assert_eq!((fidelity.tool_results.kept, fidelity.tool_results.adapted), (2, 1));
    assert!(fidelity.notes.iter().any(|(code, ..)| code == "call.unanswered"));
}

#[test]
fn a_compaction_hides_what_it_replaced_and_names_what_it_kept() {
    let world = World::new("codex", "s");
    let summary = EventKind::Summary { text: "in short".into() };
    let events = vec![user("old"), says("older", 1), user("kept"), summary, user("new")];
    let (lines, _) = world.written(events, |at| at > 1);
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[3]["parts"][0]["type"], "compaction");
    assert_eq!(lines[3]["parts"][0]["tail_start_id"], lines[2]["info"]["id"]);
    assert_eq!(lines[4]["info"]["summary"], true);
    assert_eq!(lines[4]["info"]["parentID"], lines[3]["info"]["id"]);
    assert_eq!(texts(&lines[4]), ["in short"]);

    let (lines, _) = world.written(vec![user("old"), user("new")], |at| at > 0);
    assert_eq!(lines.last().expect("a line")["info"]["summary"], true, "hidden without a summary");
}

#[test]
fn what_the_user_ran_is_written_as_the_program_does() {
    let world = World::new("claude", "s");
    let note = |kind, text| EventKind::Note { kind, text: Cow::Borrowed(text) };
    let (lines, _) = world.written(
        vec![
            note(NoteKind::UserShell, "$ ls\na\nb"),
            note(NoteKind::Interrupted, ""),
            note(NoteKind::TaskReport, "x"),
        ],
        |_| true,
    );
    assert_eq!(texts(&lines[0]), ["The following tool was executed by the user"]);
    assert_eq!(lines[1]["parts"][0]["state"]["input"]["command"], "ls");
    assert_eq!(lines[1]["parts"][0]["state"]["output"], "a\nb");
    assert_eq!(lines[2]["parts"][0]["metadata"]["holdall"]["note"], "interrupted");
    assert_eq!(texts(&lines[3]), ["x"]);
}

const LINE: &str = r#"{"info":{"role":"assistant","path":{"cwd":"/old/app/x","root":"/old/app"},"parentID":"msg_1","n":1.0e2,"id":"msg_2","sessionID":"ses_old"},"parts":[{"type":"tool","state":{"input":{"filePath":"/old/app/f"},"attachments":[{"id":"prt_9","sessionID":"ses_old","messageID":"msg_2"}],"metadata":{"sessionId":"ses_child","parentSessionId":"ses_old"}},"id":"prt_1","sessionID":"ses_old","messageID":"msg_2"}],"times":[[1,2],[3,4]]}"#;

fn moved(world: &World, id: &str, name: &str, text: &str) -> String {
    world.file(".local/share/opencode/opencode.db", "");
    let path = format!("session/ses_old/{name}");
    let file =
        FileMeta { role: Role::Transcript, path, size: text.len() as u64, modified: None, agent: None };
    let mut out = Vec::new();
    relocate::relocate(&OPENCODE, &world.target(id), &file, std::io::Cursor::new(text), &mut out)
        .expect("memory");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_move_changes_declared_paths_alone() {
    let world = World::new("opencode", "ses_old");
    let here = world.dir.path().canonicalize().expect("it is there");
    let here = here.to_str().expect("UTF-8");
    let line = moved(&world, "ses_old", "messages.jsonl", LINE);
    let expected = LINE
        .replace(r#""cwd":"/old/app/x""#, &format!(r#""cwd":"{here}/x""#))
        .replace(r#""root":"/old/app""#, r#""root":"/""#);
    assert_eq!(line, expected);
}

#[test]
fn a_copy_has_ids_of_its_own_everywhere() {
    let world = World::new("opencode", "ses_old");
    let line = moved(&world, "ses_new", "messages.jsonl", LINE);
    for old in ["\"ses_old\"", "\"ses_child\"", "\"msg_1\"", "\"msg_2\"", "\"prt_1\"", "\"prt_9\""] {
        assert!(!line.contains(old), "{old} is still in {line}");
    }
    assert!(line.contains(&ids::child("ses_new", "ses_child")) && line.contains("1.0e2"));
}

#[test]
fn what_belongs_to_the_old_machine_stays_there() {
    let mut world = World::new("opencode", "ses_old");
    world.source.model = Some("gone/m".into());
    world.file(".config/opencode/opencode.jsonc", "{ // mine\n \"model\": \"here/m\", }");
    let json = r#"{"info":{"id":"ses_old","projectID":"p","workspaceID":"w","directory":"/old/app","title":"t","model":{"id":"m","providerID":"gone"},"share":{"url":"u"},"revert":{"messageID":"msg_1"},"time":{"created":1}},"todos":[{"content":"c"}]}"#;
    let moved = moved(&world, "ses_old", "session.json", json);
    let moved: Value = serde_json::from_str(&moved).expect("JSON");
    let info = &moved["info"];
    assert_eq!(
        (&info["projectID"], &info["share"], &info["workspaceID"]),
        (&"global".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(info["model"], serde_json::json!({"id": "m", "providerID": "here"}));
    assert_eq!(info["revert"]["messageID"], "msg_1");
    assert_eq!(moved["todos"][0]["content"], "c");
}

#[test]
fn records_become_rows() {
    let path = Path::new("/data/session/ses_1/messages.jsonl").to_owned();
    let file = OutFile { path, growth: Growth::Append, stored: Stored::Rows, ..out_file() };
    let mut out = Vec::new();
    let mut rows = Box::new(Rows::begin(&file, &mut out).expect("a session's file"));
    for byte in format!("{LINE}\n").as_bytes() {
        std::io::Write::write_all(&mut rows, &[*byte]).expect("memory");
    }
    rows.finish().expect("memory");
    let rows: Vec<Value> = std::str::from_utf8(&out)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["table"], &rows[0]["row"]["time_updated"]), (&"message".into(), &2.into()));
    let data = rows[0]["row"]["data"].as_str().expect("a text");
    assert!(data.starts_with(r#"{"role":"assistant""#) && data.ends_with(r#""n":1.0e2}"#), "{data}");
    assert_eq!(
        (&rows[1]["row"]["message_id"], &rows[1]["row"]["time_created"]),
        (&"msg_2".into(), &3.into())
    );
    assert_eq!(rows[1]["row"]["session_id"], "ses_1");

    let mut rows = Box::new(Rows::begin(&file, &mut out).expect("a session's file"));
    assert!(std::io::Write::write_all(&mut rows, b"{\"info\":{}}\n").is_err(), "a message without an id");
}

fn out_file() -> OutFile {
    OutFile {
        path: Path::new("/").to_owned(),
        source: OutSource::Native(0),
        growth: Growth::Replace,
        modified: None,
        stored: Stored::File,
    }
}

#[test]
fn the_model_of_the_machine_is_found() {
    let world = World::new("claude", "s");
    let models = || Models::of(&KILO, &world.env, world.dir.path());
    let default = || models().default().map(|model| model.to_string());
    assert_eq!(default(), None);
    world.file(".config/kilo/kilo.json", r#"{"provider":{"p":{"models":{"a":{},"claude-sonnet-4":{}}}}}"#);
    assert_eq!(default().as_deref(), Some("p/claude-sonnet-4"));
    let recent = r#"{"recent":[{"providerID":"r","modelID":"x/y"}]}"#;
    world.file(".local/state/kilo/model.json", recent);
    assert_eq!(default().as_deref(), Some("r/x/y"));
    assert!(models().knows("p", Path::new("/none")) && !models().knows("q", Path::new("/none")));
    world.file("kilo.jsonc", "{/* here */ \"model\": \"m/\\\"//n\",}");
    assert_eq!(default().as_deref(), Some("m/\"//n"));
}

#[test]
fn without_database_and_program_the_session_is_handed_over() {
    let world = World::new("claude", "s");
    let file = |role, agent| FileMeta { role, path: "x".into(), size: 0, modified: None, agent };
    let layout = place::converted(&OPENCODE, &world.target("ses_new"), &[file(Role::Transcript, None)])
        .expect("a place");
    let advice = layout.handover.expect("advice");
    assert!(advice.contains("opencode import") && advice.contains("ses_new.json"), "{advice}");
    assert!(layout.rows.is_none() && layout.files.len() == 1 && layout.files[0].stored == Stored::File);
    let unknown = place::converted(&OPENCODE, &world.target("ses_new"), &[file(Role::Subagent, None)]);
    assert!(unknown.is_err());
}

#[test]
fn a_database_of_a_version_that_was_never_tried_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("opencode.db");
    let connection = rusqlite::Connection::open(&path).expect("a database");
    let refused = || schema::owned(&OPENCODE, &path).expect_err("it is refused").to_string();
    connection.execute_batch("CREATE TABLE migration(id TEXT); CREATE TABLE session(id TEXT)").expect("SQL");
    assert!(refused().contains("older"), "{}", refused());
    connection.execute_batch("INSERT INTO migration VALUES ('20990101_new')").expect("SQL");
    assert!(refused().contains("20990101_new"), "{}", refused());
    connection.execute_batch("CREATE TABLE session_v2(id TEXT)").expect("SQL");
    assert!(refused().contains("opencode 2"), "{}", refused());
}
