//! What is written of a session from elsewhere.

use serde_json::Value;

use super::*;
use crate::harness::TranscriptWriter;
use crate::model::tool::ToolName;
use crate::model::{Agent, Fidelity, GitRef, NoteKind, Sink, ToolStatus};

const TARGET: &str = "5f0c1e9e-0000-5000-8000-000000000001";

fn source() -> Head {
    Head {
        harness: "codex".to_owned(),
        id: "there".to_owned(),
        title: Some("A title".to_owned()),
        cwd: Some("/there".to_owned()),
        created: time::parse("2026-11-20T11:00:00Z"),
        model: Some("gpt-x".to_owned()),
        git: Some(GitRef { branch: Some("main".to_owned()), ..GitRef::default() }),
        ..Head::default()
    }
}

/// Writes what `feed` delivers, as the session's own transcript or that of a sub-agent.
fn write(agent: Option<&Agent>, feed: impl FnOnce(&mut dyn Sink)) -> (String, Fidelity) {
    let (env, options, paths, source) =
        (Env::isolated("/nowhere/home"), WriteOptions::default(), PathMap::none(), source());
    let cwd = Path::new("/nowhere/p");
    let target = Target {
        env: &env,
        id: TARGET,
        cwd,
        paths: &paths,
        source: &source,
        options: &options,
        existing: None,
        still_at: None,
    };
    let mut out = Vec::new();
    let mut writer: Box<dyn TranscriptWriter> = Claude.writer(&target, agent, &mut out).expect("begins");
    feed(&mut *writer);
    let fidelity = writer.finish().expect("memory");
    (String::from_utf8(out).expect("UTF-8"), fidelity)
}

fn written(events: Vec<EventKind<'_>>) -> (String, Fidelity) {
    write(None, |sink| {
        for kind in events {
            sink.event(said(kind)).expect("memory");
        }
    })
}

/// The transcript as the reader of this adapter sees it.
fn seen(text: &str) -> String {
    Memory::transcript(text).read(View::Model).0
}

fn result<'a>(id: &'a str, text: &'a str, status: ToolStatus) -> EventKind<'a> {
    EventKind::ToolResult {
        call_id: id.into(),
        content: vec![Part::Text(text.into())],
        status,
        exit_code: None,
    }
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one record on each line")).collect()
}

#[test]
fn rows_have_the_form_that_the_program_reads() {
    let (text, _) = written(vec![
        user("hello"),
        assistant("hi", 1),
        call("c1", "{\n\"a\": 1}", 1),
        result("c1", "out", ToolStatus::Ok),
        assistant("done", 2),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn recorded_sessions_survive_the_way_through_events() {
    for home in HOMES {
        let env = recorded(home);
        for found in sessions(&env) {
            let session = Claude.open(&env, &found).expect("opens");
            for view in [View::Model, View::Full] {
                let (text, fidelity) = write(None, |sink| {
                    Claude.read(&*session.payload, 0, view, sink).expect("readable");
                });
                assert_eq!(fidelity.reasoning.kept, 0);
                let (before, _) = outline(&*session.payload, 0, view);
                let (after, _) = Memory::transcript(text).read(view);
                assert_eq!(plain(&after), plain(&before), "{home} {}", found.id);
            }
        }
    }
}

/// Without reasoning, and without the numbers of steps and the names of reports.
fn plain(outline: &str) -> Vec<String> {
    let lines = outline.lines().filter(|line| !line.contains(" reasoning ("));
    lines.map(|line| line.replace(|c: char| c.is_ascii_digit(), "")).collect()
}

#[test]
fn the_same_session_gives_the_same_bytes_and_a_longer_one_begins_with_them() {
    let events =
        || vec![user("one"), assistant("two", 1), call("c", "{}", 2), result("c", "r", ToolStatus::Ok)];
    let (first, _) = written(events());
    assert_eq!(first, written(events()).0);
    let mut more = events();
    more.extend([assistant("three", 3), user("four")]);
    assert!(written(more).0.starts_with(&first));
}

#[test]
fn all_calls_of_a_response_stand_before_all_results() {
    let (text, fidelity) = written(vec![
        user("go"),
        call("a", "{}", 1),
        result("a", "ra", ToolStatus::Ok),
        call("b", "{}", 1),
        user("typed meanwhile"),
        result("b", "rb", ToolStatus::Error),
        assistant("then", 2),
        assistant("adjacent", 3),
    ]);
    let expected = "user: go
0 call a: run (Other) {}
0 call b: run (Other) {}
result a (Ok): ra
result b (Error): rb
user: typed meanwhile
1 assistant: then
1 assistant: adjacent
";
    assert_eq!(seen(&text), expected);
    assert_eq!((fidelity.tool_calls.kept, fidelity.tool_results.kept, fidelity.user.kept), (2, 2, 2));
    assert!(fidelity.notes.is_empty());
}

#[test]
fn what_is_missing_is_said_and_what_has_no_place_becomes_text() {
    let (text, fidelity) = written(vec![
        call("open", "{}", 1),
        assistant("went on", 2),
        user("ok"),
        call("never", "{}", 3),
        user("stop"),
        assistant("stopped", 4),
        result("never", "too late", ToolStatus::Ok),
        result("nobody", "asked", ToolStatus::Ok),
        call("last", "{}", 5),
    ]);
    let expected = "0 call open: run (Other) {}
0 assistant: went on
result open (Error): [The result of this call was not recorded.]
user: ok
1 call never: run (Other) {}
result never (Error): [The result of this call was not recorded.]
user: stop
2 assistant: stopped
user: too late
user: asked
3 call last: run (Other) {}
result last (Error): [The result of this call was not recorded.]
";
    assert_eq!(seen(&text), expected);
    assert_eq!(codes(&fidelity.notes), ["call.unanswered 3", "result.orphan 2"]);
    assert_eq!((fidelity.tool_results.adapted, fidelity.tool_results.kept), (2, 0));
}

#[test]
fn names_ids_and_arguments_that_the_api_refuses() {
    let long = "n".repeat(200);
    let odd = |id, name, input| EventKind::ToolCall {
        call_id: id,
        tool: ToolKind::Other,
        row: None,
        name,
        input,
        step: 1,
    };
    let json = |text: &'static str| ToolInput::Json(text.into());
    let (text, fidelity) = written(vec![
        odd("call:a/b".into(), "weird tool.name!".into(), json("[1]")),
        odd("call_a_b".into(), "x".into(), json("null")),
        odd("call_a_b_7".into(), "".into(), json("no json")),
        odd("".into(), long.as_str().into(), ToolInput::Text("free\ntext".into())),
        odd("toolu_9".into(), "x".into(), json("{\"a\":1.50}")),
        odd("toolu".into(), "x".into(), json("{}")),
    ]);
    let calls: Vec<String> = rows(&text)
        .iter()
        .filter_map(|row| {
            row.pointer("/message/content/0").filter(|block| block["type"] == "tool_use").cloned()
        })
        .map(|block| format!("{} {} {}", block["id"], block["name"], block["input"]))
        .collect();
    assert_eq!(
        calls,
        [
            r#""call_a_b" "weird_tool_name_" {"input":[1]}"#.to_owned(),
            r#""call_a_b-2" "x" {"input":null}"#.to_owned(),
            // The program would take `call_a_b_7` for a part of `call_a_b`.
            r#""call_a_b_7-2" "tool" {"input":"no json"}"#.to_owned(),
            format!(r#""call" "{}" {{"input":"free\ntext"}}"#, "n".repeat(128)),
            r#""toolu_9" "x" {"a":1.5}"#.to_owned(),
            r#""toolu-2" "x" {}"#.to_owned(),
        ]
    );
    assert!(text.contains(r#"{"a":1.50}"#), "arguments stay as they were spelled");
    assert_eq!((fidelity.tool_calls.adapted, fidelity.tool_calls.kept), (4, 2));
}

#[test]
fn a_shell_command_is_a_shell_command_here_too() {
    static THEIRS: &[ToolName] = &[
        ToolName { native: "exec", kind: ToolKind::Shell, arguments: &[("cmd", "command")] },
        ToolName {
            native: "exec_in",
            kind: ToolKind::Shell,
            arguments: &[("cmd", "command"), ("dir", "workdir")],
        },
    ];
    let theirs = |row: &'static ToolName, id, input| EventKind::ToolCall {
        call_id: id,
        tool: ToolKind::Shell,
        row: Some(row),
        name: row.native.into(),
        input: ToolInput::Json(input),
        step: 1,
    };
    let (text, fidelity) = written(vec![
        theirs(&THEIRS[0], "1".into(), r#"{"timeout":5,"cmd":"ls","command":"other"}"#.into()),
        theirs(&THEIRS[1], "2".into(), r#"{"cmd":"ls","dir":"/"}"#.into()),
    ]);
    let expected = r#"0 call 1: Bash (=Shell) {"timeout":5,"command":"ls"}
0 call 2: exec_in (Other) {"cmd":"ls","dir":"/"}
"#;
    assert!(seen(&text).starts_with(expected), "{}", seen(&text));
    assert_eq!(fidelity.tool_calls.kept, 2);
}

#[test]
fn images_that_the_api_takes_and_others() {
    let media = |media_type: &'static str, data: MediaData<'static>| Media {
        media_type: media_type.into(),
        data,
        name: Some("it".into()),
    };
    let base64 = |data: &'static str| MediaData::Base64(data.into());
    let content = vec![
        Part::Text("see".into()),
        Part::Image(media("image/png", base64("AAAA"))),
        Part::Image(media("image/png", MediaData::Url("https://example.invalid/a.png".into()))),
        Part::File(media("application/pdf", base64("AAAA"))),
        Part::Text(" ".into()),
        Part::Image(media("image/tiff", base64("AAAA"))),
        Part::Image(media("image/png", base64("not base64"))),
        Part::Image(media("image/png", MediaData::Url("file:///etc/passwd".into()))),
        Part::Image(media("image/png", MediaData::Base64("A".repeat((5 << 20) + 4).into()))),
    ];
    let failed = EventKind::ToolResult {
        call_id: "c".into(),
        content: vec![Part::Image(media("image/png", base64("AAAA")))],
        status: ToolStatus::Error,
        exit_code: None,
    };
    let (text, fidelity) = written(vec![EventKind::User { content }, call("c", "{}", 1), failed]);
    let expected = "user: see | <image image/png> | <image image/png> | <file application/pdf> | \
                    [image/tiff file \"it\" was left out] | [image/png file \"it\" was left out] | \
                    [image/png file \"it\" was left out] | [image/png file \"it\" was left out]\n";
    assert!(seen(&text).starts_with(expected), "{}", seen(&text));
    assert_eq!((fidelity.images.kept, fidelity.images.dropped), (3, 5));
    assert_eq!(
        codes(&fidelity.notes),
        ["image.broken 1", "image.failed 1", "image.too-large 1", "image.type 1", "image.url 1"]
    );
}

#[test]
fn texts_that_are_blank_and_results_without_any() {
    let empty = |id: &'static str, status| EventKind::ToolResult {
        call_id: id.into(),
        content: Vec::new(),
        status,
        exit_code: None,
    };
    let (text, fidelity) = written(vec![
        user(" \n"),
        assistant("", 1),
        call("a", "{}", 2),
        empty("a", ToolStatus::Ok),
        call("b", "{}", 3),
        empty("b", ToolStatus::Error),
    ]);
    let results: Vec<Value> =
        rows(&text).iter().filter_map(|row| row.pointer("/message/content/0/content").cloned()).collect();
    assert_eq!(results, ["", "(no output)"]);
    assert_eq!((fidelity.user.kept, fidelity.assistant.kept), (0, 0));
}

#[test]
fn history_stands_before_the_boundary_that_hides_it() {
    let (text, fidelity) = write(None, |sink| {
        for (in_model, kind) in [
            (false, user("long ago")),
            (false, assistant("indeed", 1)),
            (true, EventKind::Summary { text: "what happened".into() }),
            (true, user("now")),
            (false, user("misplaced")),
            (true, assistant("yes", 2)),
        ] {
            sink.event(Event { in_model, ..said(kind) }).expect("memory");
        }
    });
    assert_eq!(seen(&text), "0 assistant: yes\n".replace('0', "1"));
    let (full, _) = Memory::transcript(text).read(View::Full);
    let expected = "(hidden) user: long ago
(hidden) 0 assistant: indeed
(hidden) summary: what happened
(hidden) user: now
(hidden) user: misplaced
1 assistant: yes
";
    assert_eq!(full, expected);
    assert_eq!((fidelity.user.kept, fidelity.assistant.kept), (1, 1), "history is not counted");
}

#[test]
fn what_the_user_did_has_the_form_of_the_program() {
    let note = |kind, text: &'static str| EventKind::Note { kind, text: text.into() };
    let (text, _) = written(vec![
        note(NoteKind::UserShell, "$ ls\na\nb"),
        note(NoteKind::Interrupted, "stopped"),
        note(NoteKind::TaskReport, "finished"),
        EventKind::Reasoning { text: "hm".into(), opaque: None, step: 1 },
    ]);
    let expected = "note (UserShell): $ ls\\na\\nb
note (Interrupted): [Request interrupted by user]
note (TaskReport): finished
";
    assert_eq!(seen(&text), expected);
}

#[test]
fn a_subagent_has_a_transcript_of_its_own() {
    let agent = Agent {
        id: "thread-7".to_owned(),
        call_id: Some("call:1".to_owned()),
        kind: None,
        title: Some("Look \"there\"".to_owned()),
    };
    let (text, _) = write(Some(&agent), |sink| sink.event(said(user("look"))).expect("memory"));
    let [row] = &rows(&text)[..] else { panic!("one row, no title") };
    let id = row["agentId"].as_str().expect("text").to_owned();
    assert!(id.len() == 17 && id.starts_with('a'), "{id}");
    assert_eq!((&row["isSidechain"], &row["sessionId"]), (&Value::Bool(true), &Value::from(TARGET)));

    let dir = tempfile::tempdir().expect("temp dir");
    let (env, source, options, paths) =
        (Env::isolated(dir.path()), source(), WriteOptions::default(), PathMap::none());
    let target = Target {
        env: &env,
        id: TARGET,
        cwd: dir.path(),
        paths: &paths,
        source: &source,
        options: &options,
        existing: None,
        still_at: None,
    };
    let file = |role, agent| FileMeta { role, path: "any".to_owned(), size: 1, modified: None, agent };
    let files =
        [file(Role::Subagent, Some(agent)), file(Role::Attachment, None), file(Role::Transcript, None)];
    let layout = Claude.place_converted(&target, &files).expect("places");
    let names: Vec<String> = layout
        .files
        .iter()
        .map(|file| file.path.file_name().expect("a file").to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        names,
        [format!("{TARGET}.jsonl"), format!("agent-{id}.jsonl"), format!("agent-{id}.meta.json")]
    );
    let meta = r#"{"agentType":"general-purpose","description":"Look \"there\"","toolUseId":"call_1"}"#;
    let sources: Vec<&OutSource> = layout.files.iter().map(|file| &file.source).collect();
    let expected = [OutSource::Converted(2), OutSource::Converted(0), OutSource::Text(meta.to_owned())];
    assert_eq!(sources, expected.iter().collect::<Vec<_>>());
}
