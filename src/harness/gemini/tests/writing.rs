//! Sessions of other harnesses.

use super::*;
use crate::model::{Fidelity, NoteKind};

struct Written {
    lines: Vec<serde_json::Value>,
    text: String,
    fidelity: Fidelity,
}

fn write(events: Vec<Event<'_>>) -> Written {
    let env = Env::isolated("/nowhere");
    let source = Head {
        harness: "claude".into(),
        id: "x".into(),
        title: Some("A title".into()),
        created: time::parse("2026-11-20T11:59:00Z"),
        ..Head::default()
    };
    let options = WriteOptions::default();
    let target = Target {
        env: &env,
        id: ID,
        cwd: Path::new("/nowhere/app"),
        paths: &PathMap::none(),
        source: &source,
        options: &options,
        existing: None,
        still_at: None,
    };
    let mut out = Vec::new();
    let mut writer = Gemini.writer(&target, None, &mut out).expect("begins");
    for event in events {
        writer.event(event).expect("memory");
    }
    let fidelity = writer.finish().expect("memory");
    let text = String::from_utf8(out).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    Written { lines, text, fidelity }
}

impl Written {
    fn read(&self, view: View) -> String {
        Memory::transcript(self.text.clone()).read(view).0
    }
}

fn result<'a>(id: &'a str, text: &'a str, status: ToolStatus) -> EventKind<'a> {
    EventKind::ToolResult {
        call_id: id.into(),
        content: vec![Part::Text(text.into())],
        status,
        exit_code: None,
    }
}

fn hidden(kind: EventKind<'_>) -> Event<'_> {
    Event { in_model: false, ..said(kind) }
}

#[test]
fn the_header_has_no_time_that_it_could_be_deleted_for() {
    let written = write(vec![said(user("hi"))]);
    insta::assert_snapshot!(
        written.text.lines().next().unwrap_or_default(),
        @r#"{"sessionId":"d5d96617-6724-4228-ad6a-90e3e7b02999","projectHash":"d6c22045b8d61619f35c7558d5d426711d961c3c38c09939199f05df265c0018","startTime":"2026-11-20T11:59:00.000Z","kind":"main","summary":"A title"}"#
    );
}

#[test]
fn results_stand_in_one_record_behind_their_calls_and_nowhere_else() {
    let image = Media { media_type: "image/png".into(), data: MediaData::Base64("AAAA".into()), name: None };
    let written = write(vec![
        said(user("go")),
        said(assistant("two at once", 1)),
        said(call(
            "c1",
            r#"{"a":
1}"#,
            1,
        )),
        said(call("c2", "[1]", 1)),
        said(result("c2", "no", ToolStatus::Error)),
        said(EventKind::ToolResult {
            call_id: "c1".into(),
            content: vec![Part::Text("yes".into()), Part::Image(image)],
            status: ToolStatus::Ok,
            exit_code: None,
        }),
        said(assistant("done", 2)),
    ]);
    assert_eq!(written.lines.len(), 5);
    let (response, results) = (&written.lines[2], &written.lines[3]);
    let parts = |record: &serde_json::Value| record["content"].as_array().expect("parts").len();
    assert_eq!((parts(response), parts(results)), (3, 3));
    assert_eq!(results["type"], "user");
    assert_eq!(results["content"][0]["functionResponse"]["response"]["output"], "yes");
    assert_eq!(results["content"][1]["inlineData"]["mimeType"], "image/png");
    assert_eq!(results["content"][2]["functionResponse"]["response"]["error"], "no");
    for shown in response["toolCalls"].as_array().expect("calls for the screen") {
        assert!(
            shown.get("result").is_none() && shown["id"].as_str().is_some_and(|id| id.starts_with("ui_")),
            "{shown}"
        );
    }
    insta::assert_snapshot!(written.read(View::Model), @r#"
    user: go
    1 assistant: two at once
    1 call c1: run (Other) {"a": 1}
    1 call c2: run (Other) {"input":[1]}
    result c1 (Ok): yes | <image image/png>
    result c2 (Error): no
    2 assistant: done
    "#);
    assert_eq!((written.fidelity.tool_calls.kept, written.fidelity.tool_calls.adapted), (1, 1));
}

#[test]
fn what_has_no_partner_gets_one() {
    let written = write(vec![
        said(call("c1", "{}", 1)),
        said(user("meanwhile")),
        said(result("gone", "lost", ToolStatus::Ok)),
        said(assistant("on", 2)),
        said(result("c1", "late", ToolStatus::Interrupted)),
    ]);
    insta::assert_snapshot!(written.read(View::Model), @r"
    1 call c1: run (Other) {}
    result c1 (Error): [The result of this call was not recorded.]
    user: meanwhile
    user: lost
    2 assistant: on
    user: late
    ");
    assert_eq!(codes(&written.fidelity.notes), ["call.unanswered 1", "result.orphan 2"]);
}

#[test]
fn what_the_program_would_take_for_a_command_is_kept() {
    let written =
        write(vec![said(user("/etc is odd")), said(user("?")), said(user(" \n")), said(assistant("", 1))]);
    assert_eq!(written.lines.len(), 3);
    assert_eq!(written.read(View::Model), "user: /etc is odd\nuser: ?\n");
    let first = written.lines[1]["content"].as_array().expect("parts");
    assert_eq!(
        first.iter().map(|part| part["text"].as_str().unwrap_or_default()).collect::<Vec<_>>(),
        ["\u{200b}", "/etc is odd"]
    );
}

#[test]
fn a_compaction_is_written_as_the_program_writes_its_own() {
    let summary = || EventKind::Summary { text: "all of it".into() };
    let written =
        write(vec![hidden(user("old")), hidden(assistant("A", 1)), said(summary()), said(user("new"))]);
    assert_eq!(written.read(View::Model), "summary: all of it\nuser: new\n");
    insta::assert_snapshot!(written.read(View::Full), @r"
    (hidden) user: old
    (hidden) 1 assistant: A
    summary: all of it
    user: new
    ");
    assert_eq!(written.fidelity.user.kept, 1);
    // What was kept may come before the summary; without any, the old is hidden all the same.
    let written = write(vec![hidden(user("old")), said(user("kept")), said(summary())]);
    assert_eq!(written.read(View::Model), "user: kept\nsummary: all of it\n");
    assert_eq!(write(vec![hidden(user("old"))]).read(View::Model), "");
}

#[test]
fn thoughts_are_shown_and_commands_by_hand_are_told_as_the_program_tells_them() {
    let written = write(vec![
        said(EventKind::Reasoning { text: "hm".into(), opaque: None, step: 1 }),
        said(assistant("yes", 1)),
        said(EventKind::Note { kind: NoteKind::UserShell, text: "$ ls `x`\nout".into() }),
        said(EventKind::Note { kind: NoteKind::TaskReport, text: "done".into() }),
        said(EventKind::Note { kind: NoteKind::Interrupted, text: "x".into() }),
    ]);
    insta::assert_snapshot!(written.read(View::Model), @r"
    1 reasoning (open): hm
    1 assistant: yes
    note (UserShell): $ ls `x`\nout
    note (TaskReport): done
    note (Interrupted): [Request interrupted by user]
    ");
    assert_eq!(written.lines[1]["thoughts"][0]["description"], "hm");
    assert_eq!(written.fidelity.reasoning.dropped, 1);
}

#[test]
fn what_the_api_refuses_is_left_out_with_a_word() {
    let gif = Media {
        media_type: "image/gif".into(),
        data: MediaData::Base64("AAAA".into()),
        name: Some("x.gif".into()),
    };
    let written = write(vec![said(EventKind::User { content: vec![Part::Image(gif)] })]);
    assert_eq!(written.read(View::Model), "user: [image/gif file \"x.gif\" was left out]\n");
    assert_eq!(
        (written.fidelity.images.dropped, codes(&written.fidelity.notes)),
        (1, vec!["image.type 1".to_owned()])
    );
}

#[test]
fn the_same_session_gives_the_same_bytes_and_a_longer_one_begins_with_it() {
    let events = || vec![said(user("one")), said(call("c", "{}", 1)), said(result("c", "r", ToolStatus::Ok))];
    let (one, two) = (write(events()), write(events()));
    assert_eq!(one.text, two.text);
    let more = write(events().into_iter().chain([said(assistant("two", 2))]).collect());
    assert!(more.text.starts_with(&one.text));
}
