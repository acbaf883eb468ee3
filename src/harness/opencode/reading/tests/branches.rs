//! Which messages the model gets, and in what order.

use serde_json::{Value, json};

use super::*;

fn ask(id: &str) -> Value {
    line(id, user(1), &[text(&format!("ask {id}"))])
}

fn answer(id: &str, parent: &str) -> Value {
    line(id, assistant(parent, 1), &[text(&format!("answer {id}"))])
}

fn compaction(id: &str, tail: Option<&str>) -> Value {
    let mut part = json!({"type": "compaction", "auto": true});
    if let Some(tail) = tail {
        part["tail_start_id"] = tail.into();
    }
    line(id, user(1), &[part])
}

fn summary(id: &str, parent: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut info = assistant(parent, 1);
    info["summary"] = true.into();
    change(&mut info);
    line(id, info, &[json!({"type": "step-start"}), text(&format!("summary {id}"))])
}

fn views(lines: &[Value], info: &Value) -> [String; 2] {
    let payload = payload(lines, info);
    [View::Model, View::Full].map(|view| events(&payload, view).0.join(" · "))
}

#[test]
fn a_compaction_hides_what_was_before() {
    let [model, full] = views(
        &[ask("u1"), answer("a1", "u1"), compaction("c1", None), summary("s1", "c1", |_| {}), ask("u2")],
        &json!({}),
    );
    assert_eq!(model, "summary summary s1 · user ask u2");
    assert_eq!(full, "[user ask u1] · [0 says answer a1] · summary summary s1 · user ask u2");
}

#[test]
fn what_a_compaction_kept_comes_after_its_summary() {
    let [model, full] = views(
        &[
            ask("u1"),
            answer("a1", "u1"),
            ask("u2"),
            answer("a2", "u2"),
            compaction("c1", Some("u2")),
            summary("s1", "c1", |_| {}),
            ask("u3"),
        ],
        &json!({}),
    );
    assert_eq!(model, "summary summary s1 · user ask u2 · 0 says answer a2 · user ask u3");
    assert_eq!(
        full,
        "[user ask u1] · [0 says answer a1] · summary summary s1 · user ask u2 · 1 says answer a2 · user ask u3"
    );
}

#[test]
fn only_the_newest_compaction_that_came_to_its_end_counts() {
    let [model, full] = views(
        &[
            ask("u1"),
            compaction("c1", None),
            summary("s1", "c1", |_| {}),
            ask("u2"),
            compaction("c2", None),
            summary("s2", "c2", |_| {}),
            ask("u3"),
            compaction("c3", None),
            summary("s3", "c3", |info| info["error"] = json!({"name": "APIError"})),
            compaction("c4", None),
            summary("s4", "c4", |info| drop(info.as_object_mut().map(|info| info.remove("finish")))),
        ],
        &json!({}),
    );
    assert_eq!(model, "summary summary s2 · user ask u3");
    assert_eq!(
        full,
        "[user ask u1] · [summary summary s1] · [user ask u2] · summary summary s2 · user ask u3"
    );
}

#[test]
fn without_the_message_that_a_compaction_kept_all_is_sent() {
    let [model, _] = views(
        &[ask("u1"), compaction("c1", Some("gone")), summary("s1", "c1", |_| {}), ask("u2")],
        &json!({}),
    );
    assert_eq!(model, "user ask u1 · 0 says summary s1 · user ask u2");
}

#[test]
fn what_was_taken_back_is_not_there() {
    let lines = [ask("u1"), answer("a1", "u1"), ask("u2"), answer("a2", "u2")];
    let [model, full] = views(&lines, &json!({"revert": {"messageID": "u2"}}));
    assert_eq!(
        (model.as_str(), full.as_str()),
        ("user ask u1 · 0 says answer a1", "user ask u1 · 0 says answer a1")
    );
    let (_, notes) = events(&payload(&lines, &json!({"revert": {"messageID": "u2"}})), View::Model);
    assert_eq!(codes(&notes), [("revert.left-out", 2)]);
    let [model, _] = views(&lines, &json!({"revert": {"messageID": "nobody"}}));
    assert_eq!(model.matches("ask").count(), 2);
}

#[test]
fn a_message_can_be_taken_back_in_part() {
    let two = line("a1", assistant("u1", 1), &[text("stays"), text("goes")]);
    let lines = [ask("u1"), two, ask("u2")];
    let [model, _] = views(&lines, &json!({"revert": {"messageID": "a1", "partID": "prt_a1_1"}}));
    assert_eq!(model, "user ask u1 · 0 says stays");
}

#[test]
fn a_compaction_that_was_taken_back_hides_nothing() {
    let lines =
        [ask("u1"), answer("a1", "u1"), compaction("c1", None), summary("s1", "c1", |_| {}), ask("u2")];
    let [model, _] = views(&lines, &json!({"revert": {"messageID": "c1"}}));
    assert_eq!(model, "user ask u1 · 0 says answer a1");
}

#[test]
fn a_torn_end_and_a_missing_session_file_are_no_obstacle() {
    let whole = format!("{}\n{}\n{}", ask("u1"), answer("a1", "u1"), ask("u2"));
    let mut files = Files::default();
    let torn = whole.as_bytes()[..whole.len() - 9].to_vec();
    let path = "session/ses_1/messages.jsonl".to_owned();
    let size = torn.len() as u64;
    files.push(
        FileMeta { role: Role::Transcript, path, size, modified: None, agent: None },
        Source::Bytes(torn),
    );
    let (events, notes) = events(&files, View::Full);
    assert_eq!(events, ["user ask u1", "0 says answer a1"]);
    assert_eq!(codes(&notes), [("record.torn", 1)]);
}
