//! A session of another harness as a rollout.

use std::path::Path;

use super::*;
use crate::harness::{Growth, OutSource, Target, WriteOptions};
use crate::model::event::{Media, ToolInput};
use crate::model::tool::{ToolKind, ToolName};
use crate::model::{Agent, Fidelity, FileMeta, GitRef, Head, NoteKind, Origin, Role, Time, ToolStatus, time};
use crate::place::PathMap;

const ID: &str = "6ba7b810-9dad-51d1-80b4-00c04fd430c8";
static BASH: ToolName =
    ToolName { native: "Bash", kind: ToolKind::Shell, arguments: &[("command", "command")] };

fn head() -> Head {
    Head {
        harness: "claude".into(),
        id: "source".into(),
        title: Some("A title".into()),
        cwd: Some("/old".into()),
        created: time::parse("2026-01-02T03:04:05Z"),
        updated: time::parse("2026-01-02T04:00:00Z"),
        git: Some(GitRef { branch: Some("main".into()), commit: None, remote: None }),
        ..Head::default()
    }
}

fn text(text: &str) -> Vec<Part<'_>> {
    vec![Part::Text(text.into())]
}

fn at(second: i64) -> Option<Time> {
    time::from_millis((1_767_323_045 + second) * 1000)
}

fn event(kind: EventKind<'_>) -> Event<'_> {
    Event { time: at(1), origin: Origin { offset: 0, length: 1 }, in_model: true, kind }
}

fn user(said: &str) -> Event<'_> {
    event(EventKind::User { content: text(said) })
}

fn assistant(said: &str, step: u64) -> Event<'_> {
    event(EventKind::Assistant { content: text(said), model: None, step })
}

fn call<'a>(id: &'a str, name: &'a str, json: &'a str, step: u64) -> Event<'a> {
    let row = (name == "Bash").then_some(&BASH);
    event(EventKind::ToolCall {
        call_id: id.into(),
        tool: ToolKind::Other,
        row,
        name: name.into(),
        input: ToolInput::Json(json.into()),
        step,
    })
}

fn result<'a>(id: &'a str, said: &'a str, status: ToolStatus) -> Event<'a> {
    event(EventKind::ToolResult { call_id: id.into(), content: text(said), status, exit_code: None })
}

fn before(event: Event<'_>) -> Event<'_> {
    Event { in_model: false, ..event }
}

fn image(data: &str) -> Part<'_> {
    Part::Image(Media { media_type: "image/png".into(), data: MediaData::Base64(data.into()), name: None })
}

/// The rollout, and what the conversion says of itself.
fn written(
    head: &Head,
    agent: Option<&Agent>,
    options: &WriteOptions,
    events: Vec<Event<'_>>,
) -> (String, Fidelity) {
    let env = Env::isolated("/nonexistent");
    let paths = PathMap::none();
    let target = Target {
        env: &env,
        id: ID,
        cwd: Path::new("/new"),
        paths: &paths,
        source: head,
        options,
        existing: None,
        still_at: None,
    };
    let mut out = Vec::new();
    let mut writer = Codex.writer(&target, agent, &mut out).expect("memory");
    for event in events {
        writer.event(event).expect("memory");
    }
    let fidelity = writer.finish().expect("memory");
    (String::from_utf8(out).expect("text"), fidelity)
}

fn plain(events: Vec<Event<'_>>) -> (String, Fidelity) {
    written(&head(), None, &WriteOptions::default(), events)
}

/// The rollout without the times.
fn lines(text: &str) -> String {
    let mut short = String::new();
    for line in text.lines() {
        let (_, rest) = line.split_once("Z\",").expect("a time");
        short += rest;
        short += "\n";
    }
    short
}

/// The rollout, read back.
fn read(text: &str) -> String {
    struct Memory(Vec<FileMeta>, String);
    impl Payload for Memory {
        fn files(&self) -> &[FileMeta] {
            &self.0
        }
        fn open(&self, _: usize) -> crate::error::Result<Box<dyn crate::model::ReadSeek + '_>> {
            Ok(Box::new(std::io::Cursor::new(self.1.as_bytes())))
        }
    }
    let file = FileMeta { role: Role::Transcript, path: "x".into(), size: 0, modified: None, agent: None };
    transcript(&Memory(vec![file], text.to_owned()), 0, View::Model).0
}

fn notes(fidelity: &Fidelity) -> Vec<(&'static str, u64)> {
    fidelity.notes.iter().map(|(code, count, _)| (code, count)).collect()
}

#[test]
fn a_conversation() {
    let (text, fidelity) = plain(vec![
        user("What is\nhere?"),
        event(EventKind::Reasoning { text: "hm".into(), opaque: None, step: 1 }),
        assistant("I look.", 1),
        call("toolu_1", "Bash", r#"{"command":"ls","timeout":1e3}"#, 1),
        result("toolu_1", "a\nb", ToolStatus::Ok),
        assistant("Two files.", 2),
        user("Thanks"),
    ]);
    expect!("written-conversation", lines(&text));
    insta::assert_snapshot!(read(&text), @r#"
    user: "What is\nhere?"
    1 assistant [?]: "I look."
    1 call toolu_1 Shell exec_command Some(1): {"cmd":"ls","timeout":1e3}
    result toolu_1 Ok None: "a\nb"
    2 assistant [?]: "Two files."
    user: "Thanks"
    "#);
    let kept = |counts: crate::model::Counts| (counts.kept, counts.adapted, counts.dropped);
    assert_eq!(kept(fidelity.user), (2, 0, 0));
    assert_eq!(kept(fidelity.assistant), (2, 0, 0));
    assert_eq!(kept(fidelity.tool_calls), (1, 0, 0));
    assert_eq!(kept(fidelity.tool_results), (1, 0, 0));
    assert_eq!(kept(fidelity.reasoning), (0, 0, 1));
    assert_eq!(notes(&fidelity), [("reasoning.not-sent", 1)]);
}

#[test]
fn the_results_of_parallel_calls_come_after_all_of_them() {
    let (text, _) = plain(vec![
        user("q"),
        call("a", "Read", "{}", 1),
        result("a", "1", ToolStatus::Ok),
        call("b", "Read", "{}", 1),
        result("b", "2", ToolStatus::Ok),
        call("c", "web_search", "{}", 2),
        result("c", "3", ToolStatus::Ok),
        assistant("found", 2),
    ]);
    insta::assert_snapshot!(read(&text), @r#"
    user: "q"
    1 call a Other Read None: {}
    1 call b Other Read None: {}
    result a Ok None: "1"
    result b Ok None: "2"
    2 call c WebSearch web_search None: {}
    result c Ok None: "3"
    3 assistant [?]: "found"
    "#);
}

#[test]
fn a_failure_shows_in_the_text() {
    let (text, fidelity) = plain(vec![
        user("q"),
        call("a", "Read", "{}", 1),
        result("a", "no such file", ToolStatus::Error),
        call("b", "Bash", r#"{"command":"x"}"#, 2),
        result("b", "Exit code 3\nboom", ToolStatus::Error),
        call("c", "Bash", r#"{"command":"x"}"#, 3),
        event(EventKind::ToolResult {
            call_id: "c".into(),
            content: text("boom"),
            status: ToolStatus::Error,
            exit_code: Some(2),
        }),
        call("d", "Read", "{}", 4),
        result("d", "", ToolStatus::Interrupted),
        call("e", "Read", "{}", 5),
        event(EventKind::ToolResult {
            call_id: "e".into(),
            content: vec![image("AAAA")],
            status: ToolStatus::Error,
            exit_code: None,
        }),
        call("open", "Read", "{}", 6),
        result("never", "lost", ToolStatus::Ok),
    ]);
    insta::assert_snapshot!(read(&text), @r#"
    user: "q"
    1 call a Other Read None: {}
    result a Error None: "Error: no such file"
    2 call b Shell exec_command Some(1): {"cmd":"x"}
    result b Error Some(3): "Exit code 3\nboom"
    3 call c Shell exec_command Some(1): {"cmd":"x"}
    result c Error Some(2): "Exit code: 2\nboom"
    4 call d Other Read None: {}
    result d Interrupted None: "aborted by user"
    5 call e Other Read None: {}
    result e Error None: "Error:" + <image/png 4>
    6 call open Other Read None: {}
    "#);
    assert_eq!(notes(&fidelity), [("call.unanswered", 1), ("result.marked", 4), ("result.orphan", 1)]);
}

#[test]
fn images_documents_and_notes() {
    let pdf = Part::File(Media {
        media_type: "application/pdf".into(),
        data: MediaData::Base64("JVBE".into()),
        name: Some("a.pdf".into()),
    });
    let note = |kind, text: &'static str| event(EventKind::Note { kind, text: text.into() });
    let (text, fidelity) = plain(vec![
        note(NoteKind::UserShell, "$ ls\nx"),
        event(EventKind::User { content: vec![image("AAAA"), Part::Text("look".into()), pdf] }),
        call("a", "Read", "{}", 1),
        note(NoteKind::Interrupted, "stop"),
        user("go on"),
        note(NoteKind::TaskReport, "done"),
        event(EventKind::Assistant { content: vec![image("AAAA")], model: None, step: 2 }),
    ]);
    expect!("written-notes", lines(&text));
    insta::assert_snapshot!(read(&text), @r#"
    note UserShell: "$ ls\nx"
    user: <image/png 4> + "look" + "[document a.pdf, application/pdf: not carried]"
    1 call a Other Read None: {}
    note Interrupted: "stop"
    user: "go on"
    note TaskReport: "done"
    2 assistant [?]: "[image, image/png: not carried]"
    "#);
    assert_eq!((fidelity.images.kept, fidelity.images.dropped), (1, 2));
}

#[test]
fn a_compaction_hides_what_came_before() {
    let history = || {
        vec![
            before(user("old")),
            before(call("a", "Read", "{}", 1)),
            before(result("a", "r", ToolStatus::Ok)),
        ]
    };
    let (text, fidelity) = plain(
        [history(), vec![event(EventKind::Summary { text: "SUM".into() }), user("new"), assistant("yes", 2)]]
            .into_iter()
            .flatten()
            .collect(),
    );
    insta::assert_snapshot!(read(&text), @r#"
    summary: "SUM"
    user: "new"
    1 assistant [?]: "yes"
    "#);
    assert!(text.contains("\"old\""));
    assert_eq!((fidelity.user.kept, fidelity.tool_calls.kept), (1, 0));
    // History that nothing replaces is hidden as well.
    let (text, _) = plain([history(), vec![user("new")]].into_iter().flatten().collect());
    assert_eq!(read(&text), "user: \"new\"\n");
}

#[test]
fn a_sub_agent_is_a_thread_of_its_own() {
    let agent = Agent {
        id: "agent-1".into(),
        call_id: None,
        kind: Some("explore".into()),
        title: Some("Look around".into()),
    };
    let (text, _) = written(&head(), Some(&agent), &WriteOptions::default(), vec![user("task")]);
    expect!("written-sub-agent", lines(&text));
    let env = Env::isolated("/home/me");
    let (options, paths, head) = (WriteOptions::default(), PathMap::none(), head());
    let target = Target {
        env: &env,
        id: ID,
        cwd: Path::new("/new"),
        paths: &paths,
        source: &head,
        options: &options,
        existing: None,
        still_at: None,
    };
    let file = |role, agent| FileMeta { role, path: "x/../y".into(), size: 0, modified: None, agent };
    let files =
        [file(Role::Transcript, None), file(Role::Attachment, None), file(Role::Subagent, Some(agent))];
    let layout = Codex.place_converted(&target, &files).expect("a place");
    let child = text.split("\"id\":\"").nth(1).and_then(|rest| rest.get(..36)).expect("an id");
    let day = Path::new("/home/me/.codex/sessions/2026/01/02");
    let paths: Vec<_> = layout.files.iter().map(|file| (file.path.clone(), file.source.clone())).collect();
    let name = |id: &str| day.join(format!("rollout-2026-01-02T03-04-05-{id}.jsonl"));
    assert_eq!(paths, [(name(ID), OutSource::Converted(0)), (name(child), OutSource::Converted(2))]);
    assert_eq!(layout.files[0].modified, head.updated);
    assert!(layout.files.iter().all(|file| file.growth == Growth::Append));
    assert!(layout.lines[0].line.contains("\"thread_name\":\"A title\""), "{:?}", layout.lines);
}

#[test]
fn a_session_without_a_prompt_is_listed_all_the_same() {
    let (text, fidelity) = plain(vec![assistant("hello", 1)]);
    assert!(text.contains(r#"{"type":"user_message","message":"A title""#), "{text}");
    assert_eq!(read(&text), "1 assistant [?]: \"hello\"\n");
    assert_eq!(notes(&fidelity), [("prompt.none", 1)]);
}

#[test]
fn a_model_is_recorded_only_when_the_user_names_one() {
    let options = WriteOptions { model: Some("gpt-x".into()), ..WriteOptions::default() };
    let (text, _) = written(&head(), None, &options, vec![user("q"), assistant("a", 1)]);
    assert!(read(&text).contains("1 assistant [gpt-x]"), "{text}");
    assert!(!plain(vec![user("q")]).0.contains("turn_context"));
}

#[test]
fn the_same_events_give_the_same_bytes() {
    let once = || plain(vec![user("q"), call("a b", "x.y", "{}", 1), result("a b", "r", ToolStatus::Ok)]).0;
    assert_eq!(once(), once());
}

#[test]
fn a_recorded_session_survives_the_way_through_the_writer() {
    for case in ["tools", "compact", "image", "abort-and-user-shell", "subagent-v1"] {
        let part = if case == "subagent-v1" { "2811" } else { "" };
        let session = opened(case, part);
        let env = Env::isolated("/nonexistent");
        let (options, paths) = (WriteOptions::default(), PathMap::none());
        let target = Target {
            env: &env,
            id: ID,
            cwd: Path::new("/new"),
            paths: &paths,
            source: &session.head,
            options: &options,
            existing: None,
            still_at: None,
        };
        let mut out = Vec::new();
        let mut writer = Codex.writer(&target, None, &mut out).expect("memory");
        Codex.read(&*session.payload, 0, View::Full, &mut *writer).expect("it reads");
        writer.finish().expect("memory");
        let without = |text: String| -> Vec<String> {
            let said = text.lines().filter(|line| !line.contains(" reasoning: "));
            // Models are not carried, and reasoning may have been a step of its own.
            said.map(|line| line.replace("gpt-5.5", "?").replace("gpt-5.6-sol", "?"))
                .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
                .collect()
        };
        let before = without(transcript(&*session.payload, 0, View::Model).0);
        assert_eq!(without(read(&String::from_utf8(out).expect("text"))), before, "{case}");
    }
}
