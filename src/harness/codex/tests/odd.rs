//! Files that no Codex would write, or that it wrote while it crashed.

use std::fs;

use super::*;
use crate::model::{FileMeta, Role};

const ID: &str = "01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1";

/// A store with one rollout of these bytes.
#[allow(clippy::disallowed_methods)]
fn store(bytes: &[u8]) -> (tempfile::TempDir, Env) {
    let dir = tempfile::tempdir().expect("a directory");
    let day = dir.path().join(".codex/sessions/2026/03/04");
    fs::create_dir_all(&day).expect("a folder");
    fs::write(day.join(format!("rollout-2026-03-04T05-06-07-{ID}.jsonl")), bytes).expect("a file");
    let env = Env::isolated(dir.path());
    (dir, env)
}

fn record(kind: &str, payload: &str) -> String {
    format!("{{\"timestamp\":\"2026-03-04T05:06:07.000Z\",\"type\":\"{kind}\",\"payload\":{payload}}}\n")
}

fn meta() -> String {
    record(
        "session_meta",
        &format!(
            "{{\"id\":\"{ID}\",\"timestamp\":\"2026-03-04T05:06:07Z\",\"cwd\":\"/p\",\"originator\":\"x\",\"cli_version\":\"0.100.0\"}}"
        ),
    )
}

fn says(role: &str, text: &str) -> String {
    let text = serde_json::to_string(text).expect("JSON");
    record(
        "response_item",
        &format!(
            "{{\"type\":\"message\",\"role\":\"{role}\",\"content\":[{{\"type\":\"input_text\",\"text\":{text}}}]}}"
        ),
    )
}

fn prompt(text: &str) -> String {
    let json = serde_json::to_string(text).expect("JSON");
    says("user", text) + &record("event_msg", &format!("{{\"type\":\"user_message\",\"message\":{json}}}"))
}

fn call(id: &str) -> String {
    record(
        "response_item",
        &format!(
            "{{\"type\":\"function_call\",\"name\":\"exec_command\",\"arguments\":\"{{\\\"cmd\\\":\\\"x\\\"}}\",\"call_id\":\"{id}\"}}"
        ),
    )
}

fn output(id: &str, text: &str) -> String {
    record(
        "response_item",
        &format!("{{\"type\":\"function_call_output\",\"call_id\":\"{id}\",\"output\":\"{text}\"}}"),
    )
}

fn read(text: &str, view: View) -> (String, Vec<(&'static str, u64)>) {
    let (_dir, env) = store(text.as_bytes());
    let session = Codex.open(&env, &session(&env, ID)).expect("it opens");
    let (events, notes) = transcript(&*session.payload, 0, view);
    let notes = notes.iter().chain(session.notes.iter()).map(|(code, count, _)| (code, count)).collect();
    (events, notes)
}

#[test]
fn damage_costs_only_the_damaged_records() {
    let good = says("assistant", "one");
    let text = [
        "\u{feff}",
        &meta(),
        &good.replace('\n', "\r\n"),
        "\n{broken\n[]\nnull\n",
        &record("response_item", "{\"type\":\"message\",\"role\":\"user\",\"content\":\"text\"}"),
        &good.replace("\"timestamp\":\"2026-03-04T05:06:07.000Z\",", ""),
        &record("new_record", "{}"),
        &record("response_item", "{\"type\":\"new_item\"}"),
        &record("event_msg", "{\"type\":\"new_event\"}"),
        &good.replace("one", "cut \\ud83d here"),
        &says("assistant", "two").replacen("\"timestamp\"", " \"ordinal\" : 1 , \"timestamp\"", 1),
        &good[..good.len() - 9],
    ]
    .concat();
    let (events, notes) = read(&text, View::Model);
    insta::assert_snapshot!(events, @r#"
    1 assistant [?]: "one"
    1 assistant [?]: "cut � here"
    1 assistant [?]: "two"
    "#);
    assert_eq!(notes, [("record.broken", 5), ("record.unknown", 2), ("record.torn", 1)]);
}

#[test]
fn bytes_that_are_no_text_cost_only_themselves() {
    let mut bytes = (meta() + &says("assistant", "a?b")).into_bytes();
    let at = bytes.iter().rposition(|byte| *byte == b'?').expect("it is there");
    bytes[at] = 0xff;
    let (_dir, env) = store(&bytes);
    let session = Codex.open(&env, &session(&env, ID)).expect("it opens");
    assert_eq!(transcript(&*session.payload, 0, View::Model).0, "1 assistant [?]: \"a\u{fffd}b\"\n");
}

#[test]
fn a_last_line_without_an_end_counts_when_it_is_whole() {
    let text = meta() + says("assistant", "last").trim_end();
    assert_eq!(read(&text, View::Model), ("1 assistant [?]: \"last\"\n".into(), vec![]));
}

#[test]
fn what_is_no_session() {
    for text in ["", "\n", "{}\n", "not JSON\n", &says("user", "x")] {
        let (_dir, env) = store(text.as_bytes());
        let found = session(&env, ID);
        assert_eq!(Codex.head(&env, &found).expect("readable"), None, "{text:?}");
        assert!(Codex.open(&env, &found).is_err(), "{text:?}");
    }
}

#[test]
fn a_long_first_record_still_gives_a_head() {
    let long = "x".repeat(400 << 10);
    let meta = meta()
        .replace("\"originator\"", &format!("\"base_instructions\":{{\"text\":\"{long}\"}},\"originator\""));
    let (_dir, env) = store((meta + &prompt("hello")).as_bytes());
    let head = Codex.head(&env, &session(&env, ID)).expect("readable").expect("a session");
    assert_eq!((head.cwd.as_deref(), head.title), (Some("/p"), None));
}

#[test]
fn a_rollback_takes_turns_back() {
    let text = [
        meta(),
        prompt("one"),
        says("assistant", "a one"),
        prompt("two"),
        call("c"),
        output("c", "gone"),
        prompt("three"),
        record("event_msg", "{\"type\":\"thread_rolled_back\",\"num_turns\":2}"),
        prompt("four"),
        prompt("five"),
        record("event_msg", "{\"type\":\"thread_rolled_back\",\"num_turns\":1}"),
        says("assistant", "end"),
    ]
    .concat();
    insta::assert_snapshot!(read(&text, View::Full).0, @r#"
    user: "one"
    1 assistant [?]: "a one"
    user: "four"
    2 assistant [?]: "end"
    "#);
}

#[test]
fn compactions_of_every_form() {
    let before = [meta(), prompt("old"), says("assistant", "a old"), call("c"), output("c", "o")].concat();
    let after = says("assistant", "new");
    let with = |payload: &str| [&before, &record("compacted", payload), &after].map(String::as_str).concat();
    let message_only = with("{\"message\":\"SUM\"}");
    insta::assert_snapshot!(read(&message_only, View::Model).0, @r#"
    user: "old"
    summary: "SUM"
    1 assistant [?]: "new"
    "#);
    insta::assert_snapshot!(read(&message_only, View::Full).0, @r#"
    (before) user: "old"
    (before) 1 assistant [?]: "a old"
    (before) 1 call c Shell exec_command Some(1): {"cmd":"x"}
    (before) result c Ok None: "o"
    user: "old"
    summary: "SUM"
    2 assistant [?]: "new"
    "#);
    let opaque = with(
        r#"{"message":"","replacement_history":[{"type":"message","role":"user","content":[{"type":"input_text","text":"old"}]},{"type":"compaction","encrypted_content":"x"}]}"#,
    );
    let (events, notes) = read(&opaque, View::Model);
    insta::assert_snapshot!(events, @r#"
    user: "old"
    1 assistant [?]: "a old"
    1 call c Shell exec_command Some(1): {"cmd":"x"}
    result c Ok None: "o"
    2 assistant [?]: "new"
    "#);
    assert_eq!(notes, [("compaction.opaque", 1)]);
    let hidden = with("{\"message\":\"\",\"replacement_history\":[]}");
    assert_eq!(read(&hidden, View::Model).0, "1 assistant [?]: \"new\"\n");
}

#[test]
fn calls_and_outputs_that_do_not_match() {
    let text = [
        meta(),
        prompt("q"),
        output("never", "lost"),
        call("twice"),
        output("twice", "1"),
        call("twice"),
        output("twice", "2"),
        output("twice", "3"),
        call("open"),
    ]
    .concat();
    let (events, notes) = read(&text, View::Model);
    insta::assert_snapshot!(events, @r#"
    user: "q"
    1 call twice Shell exec_command Some(1): {"cmd":"x"}
    result twice Ok None: "1"
    2 call twice~2 Shell exec_command Some(1): {"cmd":"x"}
    result twice~2 Ok None: "2"
    3 call open Shell exec_command Some(1): {"cmd":"x"}
    "#);
    assert_eq!(notes, [("result.orphan", 2)]);
}

#[test]
fn parallel_calls_share_a_step_in_every_era() {
    let steps = |text: &str| -> Vec<String> {
        let (events, _) = read(text, View::Model);
        events.lines().filter(|line| line.contains("call ")).map(|line| line[..8].to_owned()).collect()
    };
    // Codex 0.60 writes a context for every request and each call beside its output.
    let context = record("turn_context", "{\"cwd\":\"/p\",\"model\":\"m\"}");
    let old = [
        &meta(),
        &prompt("q"),
        &context,
        &call("a"),
        &output("a", "1"),
        &call("b"),
        &output("b", "2"),
        &context,
        &call("c"),
    ];
    assert_eq!(steps(&old.map(String::as_str).concat()), ["1 call a", "1 call b", "2 call c"]);
    // Later versions write the outputs after all calls of a response.
    let context = record("turn_context", "{\"cwd\":\"/p\",\"model\":\"m\",\"turn_id\":\"t\"}");
    let new = [
        &meta(),
        &prompt("q"),
        &context,
        &call("a"),
        &call("b"),
        &output("b", "2"),
        &output("a", "1"),
        &call("c"),
    ];
    assert_eq!(steps(&new.map(String::as_str).concat()), ["1 call a", "1 call b", "2 call c"]);
}

#[test]
fn a_line_of_64_megabytes_is_read() {
    let text = meta() + &says("assistant", &"x".repeat(64 << 20)) + &says("assistant", "next");
    let (_dir, env) = store(text.as_bytes());
    let session = Codex.open(&env, &session(&env, ID)).expect("it opens");
    let (events, _) = transcript(&*session.payload, 0, View::Model);
    assert_eq!(events.lines().count(), 2);
    assert!(events.contains("(67108864 bytes)") && events.ends_with("\"next\"\n"), "{events}");
}

#[test]
fn a_fork_without_its_parent_is_an_error_that_says_so() {
    let base = "01a1f8af-0000-7000-8000-000000000000";
    let meta = meta().replace(
        "\"cwd\"",
        &format!("\"history_base\":{{\"thread_id\":\"{base}\",\"end_ordinal_exclusive\":3}},\"cwd\""),
    );
    let (_dir, env) = store((meta + &prompt("tail")).as_bytes());
    let found = session(&env, ID);
    let head = Codex.head(&env, &found).expect("readable").expect("it is listed");
    assert_eq!(head.title.as_deref(), Some("tail"));
    let error = Codex.open(&env, &found).err().expect("a part is missing");
    assert!(error.to_string().contains(base), "{error}");
}

#[test]
fn a_payload_without_a_store_reads_too() {
    struct Memory(Vec<FileMeta>, String);
    impl Payload for Memory {
        fn files(&self) -> &[FileMeta] {
            &self.0
        }
        fn open(&self, _: usize) -> crate::error::Result<Box<dyn crate::model::ReadSeek + '_>> {
            Ok(Box::new(std::io::Cursor::new(self.1.as_bytes())))
        }
    }
    let text = meta() + &prompt("<skill> or not?");
    let meta = FileMeta { role: Role::Transcript, path: "x".into(), size: 0, modified: None, agent: None };
    assert_eq!(transcript(&Memory(vec![meta], text), 0, View::Model).0, "user: \"<skill> or not?\"\n");
}
