//! What messages can hold.

use serde_json::json;

use super::*;

fn model_view(lines: &[Value]) -> (Vec<String>, Notes) {
    events(&payload(lines, &json!({})), View::Model)
}

fn tool(tool: &str, id: &str, state: Value) -> Value {
    json!({"type": "tool", "tool": tool, "callID": id, "state": state})
}

fn completed(output: &str, metadata: Value) -> Value {
    json!({"status": "completed", "input": {"command": "x"}, "output": output, "title": "", "metadata": metadata,
        "time": {"start": 1, "end": 2}})
}

#[test]
fn one_response_has_its_calls_before_their_results() {
    let parts = [
        json!({"type": "step-start"}),
        json!({"type": "reasoning", "text": "hm", "time": {"start": 1}}),
        text("both"),
        tool("bash", "a", completed("one", json!({"exit": 0}))),
        tool("bash", "b", completed("two", json!({"exit": 3}))),
        json!({"type": "step-finish", "reason": "tool-calls"}),
        json!({"type": "step-start"}),
        tool("bash", "a", completed("again", json!({}))),
        text("after"),
    ];
    let (events, notes) =
        model_view(&[line("u1", user(1), &[text("go")]), line("a1", assistant("u1", 1), &parts)]);
    assert_eq!(
        events,
        [
            "user go",
            "0 thinks hm",
            "0 says both",
            r#"0 calls bash a Json("{\"command\":\"x\"}")"#,
            r#"0 calls bash b Json("{\"command\":\"x\"}")"#,
            "a Ok Some(0) one",
            "b Ok Some(3) two",
            r#"1 calls bash a~2 Json("{\"command\":\"x\"}")"#,
            "1 says after",
            "a~2 Ok None again",
        ]
    );
    assert_eq!(codes(&notes), [("call.renamed", 1)]);
}

#[test]
fn calls_end_in_every_way() {
    let cleared = json!({"status": "completed", "input": {}, "output": "long", "time": {"start": 1, "end": 2, "compacted": 3},
        "attachments": [{"type": "file", "mime": "image/png", "url": "data:image/png;base64,AAAA"}]});
    let image = json!({"status": "completed", "input": {}, "output": "seen", "time": {"start": 1, "end": 2},
        "attachments": [{"type": "file", "mime": "image/png", "url": "data:image/png;base64,AAAA"}]});
    let mut silent = image.clone();
    silent["output"] = json!("");
    let parts = [
        tool(
            "read",
            "1",
            json!({"status": "error", "input": {}, "error": "no such file", "time": {"start": 1, "end": 2}}),
        ),
        tool(
            "bash",
            "2",
            json!({"status": "error", "input": {}, "error": "aborted",
            "metadata": {"interrupted": true, "output": "half"}, "time": {"start": 1, "end": 2}}),
        ),
        tool(
            "bash",
            "3",
            json!({"status": "error", "input": {}, "error": "Tool execution aborted",
            "metadata": {"interrupted": true}}),
        ),
        tool("bash", "4", json!({"status": "running", "input": {"command": "x"}, "time": {"start": 1}})),
        tool("bash", "5", json!({"status": "pending", "input": {}, "raw": "{"})),
        tool("read", "6", cleared),
        tool("read", "7", image),
        tool("read", "8", silent),
    ];
    let (events, _) = model_view(&[line("a1", assistant("u1", 1), &parts)]);
    assert_eq!(
        events[8..],
        [
            "1 Error None no such file",
            "2 Interrupted None half",
            "3 Interrupted None Tool execution aborted",
            "4 Interrupted None [Tool execution was interrupted]",
            "5 Interrupted None [Tool execution was interrupted]",
            "6 Ok None [Old tool result content cleared]",
            r#"7 Ok None seen + <image/png Base64("AAAA")>"#,
            r#"8 Ok None <image/png Base64("AAAA")>"#,
        ]
    );
}

#[test]
fn only_what_the_user_said_is_the_users() {
    let synthetic = |words: &str| json!({"type": "text", "text": words, "synthetic": true});
    let image = json!({"type": "file", "mime": "image/png", "url": "data:image/png;base64,AAAA", "filename": "a.png"});
    let (events, notes) = model_view(&[
        line(
            "u1",
            user(1),
            &[
                synthetic("Called the Read tool"),
                synthetic("content"),
                json!({"type": "file", "mime": "text/plain", "url": "file:///x/a.txt"}),
                text("look"),
            ],
        ),
        line("u2", user(2), &[synthetic("Called"), synthetic("Image read successfully"), image, text("see")]),
        line(
            "u3",
            user(3),
            &[json!({"type": "text", "text": "not sent", "ignored": true}), synthetic("Continue if")],
        ),
        line(
            "u4",
            user(4),
            &[json!({"type": "file", "mime": "application/pdf", "url": "https://h/x.pdf"}), text("  ")],
        ),
        line(
            "u5",
            user(5),
            &[json!({"type": "subtask", "prompt": "do it", "description": "d", "agent": "general"})],
        ),
        line(
            "u6",
            user(6),
            &[json!({"type": "subtask", "prompt": "done", "description": "d", "agent": "general"})],
        ),
        line("a6", assistant("u6", 7), &[text("it is")]),
    ]);
    assert_eq!(
        events,
        [
            "user look",
            r#"user <image/png Base64("AAAA")> + see"#,
            r#"user <file application/pdf Url("https://h/x.pdf")>"#,
            "user do it",
            "0 says it is",
        ]
    );
    assert_eq!(codes(&notes), [("context.left-out", 1), ("mention.left-out", 1)]);
}

#[test]
fn a_command_that_the_user_ran_is_a_note() {
    let by_hand =
        json!({"type": "text", "text": "The following tool was executed by the user", "synthetic": true});
    let mut ran = assistant("u1", 2);
    ran.as_object_mut().map(|ran| ran.remove("finish"));
    let (events, _) = model_view(&[
        line("u1", user(1), &[by_hand]),
        line("a1", ran, &[tool("bash", "1", completed("out\n", json!({"output": "out\n"})))]),
        line("u2", user(3), &[text("next")]),
    ]);
    assert_eq!(events, ["UserShell $ x\nout", "user next"]);
}

#[test]
fn what_holdall_marked_as_a_note_is_one_again() {
    let marked = |note: &str| {
        let metadata = json!({"holdall": {"note": note}});
        json!({"type": "text", "text": "it came back", "synthetic": true, "metadata": metadata})
    };
    let (events, notes) = model_view(&[
        line("u1", user(1), &[text("go"), marked("task-report")]),
        line("u2", user(2), &[marked("interrupted")]),
        line("u3", user(3), &[marked("of another version")]),
    ]);
    assert_eq!(events, ["user go", "TaskReport it came back", "Interrupted it came back"]);
    assert_eq!(codes(&notes), [("context.left-out", 1)]);
}

#[test]
fn an_answer_that_failed_is_sent_only_if_the_user_stopped_it() {
    let failed = |name: &str| {
        let mut info = assistant("u1", 1);
        info["error"] = json!({"name": name, "data": {}});
        info
    };
    let (events, notes) = model_view(&[
        line("a1", failed("APIError"), &[text("half")]),
        line("a2", failed("MessageAbortedError"), &[json!({"type": "step-start"}), text("stopped")]),
        line("a3", failed("MessageAbortedError"), &[json!({"type": "reasoning", "text": "only thought"})]),
        line("a4", failed("APIError"), &[]),
    ]);
    assert_eq!(events, ["0 says stopped"]);
    assert_eq!(codes(&notes), [("answer.failed", 1)]);
}

#[test]
fn reasoning_keeps_what_its_provider_wants_to_see_again() {
    let thought =
        |words: &str, metadata: Value| json!({"type": "reasoning", "text": words, "metadata": metadata});
    let (events, _) = model_view(&[line(
        "a1",
        assistant("u1", 1),
        &[
            thought("a", json!({"anthropic": {"signature": "SIG"}})),
            thought("", json!({"anthropic": {"redactedData": "RED"}})),
            thought("b", json!({"openai": {"itemId": "rs_1", "reasoningEncryptedContent": "ENC"}})),
            thought("c", json!({"openai": {"itemId": "rs_1", "reasoningEncryptedContent": null}})),
            thought(" ", json!({})),
        ],
    )]);
    assert_eq!(
        events,
        [
            "0 thinks a anthropic:signature=SIG",
            "0 thinks  anthropic:redacted=RED",
            "0 thinks b openai:encrypted_content=ENC",
            "0 thinks c"
        ]
    );
}

#[test]
fn broken_and_unknown_records_are_counted_and_the_rest_is_read() {
    let lines = format!(
        "{}\n{}\n\n{}\n{}\nno json\n",
        line(
            "u1",
            user(1),
            &[text("a"), json!({"type": "text", "text": 7}), json!({"type": "hologram"}), text("b")]
        ),
        line("x1", json!({"role": "wizard"}), &[]),
        " ".repeat(80),
        r#"{"info":{"id":"u2","role":"user"},"parts":[{"type":"text","text":"half \ud83d"},                                 {"type":"text","text":"c"}]}"#,
    );
    let mut files = Files::default();
    let path = "session/ses_1/messages.jsonl".to_owned();
    let size = lines.len() as u64;
    files.push(
        FileMeta { role: Role::Transcript, path, size, modified: None, agent: None },
        Source::Bytes(lines.into_bytes()),
    );
    let (events, notes) = events(&files, View::Model);
    assert_eq!(events, ["user a + b", "user half \u{fffd} + c"]);
    assert_eq!(codes(&notes), [("record.broken", 4), ("record.unknown", 2)]);
}
