//! What the log's records do, in the order in which the program asks for them.

use super::*;

fn user(id: &str, text: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"timestamp\":\"2026-11-20T11:08:12.000Z\",\"type\":\"user\",\"content\":[{{\"text\":\"{text}\"}}]}}"
    )
}

fn model(id: &str, text: &str) -> String {
    format!("{{\"id\":\"{id}\",\"type\":\"gemini\",\"content\":\"{text}\"}}")
}

fn read(records: &[&str], view: View) -> String {
    let memory = Memory::transcript(format!("{}{}\n", header(), records.join("\n")));
    memory.read(view).0
}

#[test]
fn messages_are_said_anew_in_their_place_and_taken_back() {
    let (q, a) = (user("a", "keep Q"), model("b", "keep A"));
    let anew = model("b", "anew A");
    let records = [
        &*q,
        &a,
        &user("c", "dropped Q"),
        &model("d", "dropped A"),
        r#"{"$rewindTo":"c"}"#,
        &user("e", "branch Q"),
        &anew,
    ];
    insta::assert_snapshot!(read(&records, View::Full), @r"
    user: keep Q
    1 assistant: anew A
    user: branch Q
    ");
    // An id that is not there takes everything back.
    insta::assert_snapshot!(read(&[&q, &a, r#"{"$rewindTo":"no"}"#, &user("e", "only this")], View::Full), @"user: only this");
}

#[test]
fn a_list_replaces_all_messages() {
    let list = format!(r#"{{"$set":{{"messages":[{},{}]}}}}"#, user("x", "new Q"), model("y", "new A"));
    insta::assert_snapshot!(read(&[&user("a", "old Q"), &list, &user("z", "more")], View::Full), @r"
    user: new Q
    1 assistant: new A
    user: more
    ");
    // A list that is torn is nothing.
    let torn = &list[..list.len() - 4];
    insta::assert_snapshot!(read(&[&user("a", "old Q"), torn], View::Model), @"user: old Q");
}

#[test]
fn a_rewind_comes_before_an_id_and_an_id_before_a_list() {
    let odd = r#"{"id":"q","type":"user","content":"both","$set":{"messages":[]}}"#;
    insta::assert_snapshot!(read(&[&user("a", "Q"), odd], View::Model), @r"
    user: Q
    user: both
    ");
    let odd = r#"{"id":"q","type":"user","content":"both","$rewindTo":"a"}"#;
    insta::assert_snapshot!(read(&[&user("a", "Q"), odd], View::Model), @"");
}

#[test]
fn what_the_program_leaves_out_is_left_out() {
    let records = [
        &*user("a", "<session_context>x"),
        &user("b", "/home/x is broken"),
        &user("c", "?"),
        &user("d", "\u{200b}/etc is odd"),
        r#"{"id":"i","type":"info","content":"told"}"#,
        r#"{"id":"s","type":"system","content":"told"}"#,
        "{broken",
        "",
        "[1]",
        r#"{"foo":1}"#,
        &model("m", ""),
        &model("n", "said"),
    ];
    let memory = Memory::transcript(format!("{}{}\r\n", header(), records.join("\r\n")));
    let (events, notes) = memory.read(View::Model);
    insta::assert_snapshot!(events, @r"
    user: /etc is odd
    2 assistant: said
    ");
    assert_eq!(codes(&notes), ["record.broken 2", "user.command 2"]);
}

#[test]
fn a_compaction_is_a_summary_and_the_log_has_what_came_before() {
    let old = [user("a", "first"), model("b", "answer"), user("c", "second"), model("d", "late")];
    let kept = [user("c2", "second"), model("d2", "late")];
    let snapshot = user("s", "<state_snapshot>\\nall of it\\n</state_snapshot>");
    let thanks = model("t", "Got it. Thanks for the additional context!");
    let list = format!(r#"{{"$set":{{"messages":[{snapshot},{thanks},{}]}}}}"#, kept.join(","));
    let records: Vec<&str> = old.iter().map(String::as_str).chain([list.as_str()]).collect();
    insta::assert_snapshot!(read(&records, View::Full), @r"
    (hidden) user: first
    (hidden) 1 assistant: answer
    summary: all of it
    user: second
    2 assistant: late
    ");
    insta::assert_snapshot!(read(&records, View::Model), @r"
    summary: all of it
    user: second
    1 assistant: late
    ");
    // A list without a summary hides nothing: what it leaves out was taken back.
    let list = format!(r#"{{"$set":{{"messages":[{}]}}}}"#, user("z", "else"));
    let records: Vec<&str> = old.iter().map(String::as_str).chain([list.as_str()]).collect();
    insta::assert_snapshot!(read(&records, View::Full), @"user: else");
}

#[test]
fn results_come_once_however_often_they_are_written() {
    let call = r#"{"id":"g","type":"gemini","content":"","toolCalls":[{"id":"c1","name":"read_file","args":{"file_path":"a"},"status":"success","result":[{"functionResponse":{"id":"c1","name":"read_file","response":{"output":"one"}}},{"functionResponse":{"id":"c2","name":"x","response":{"output":"two"}}}]},{"id":"c2","name":"x","args":{},"status":"error","result":[{"functionResponse":{"id":"c1","name":"read_file","response":{"output":"one"}}},{"functionResponse":{"id":"c2","name":"x","response":{"error":"two"}}}]}]}"#;
    let again = r#"{"id":"r","type":"user","content":[{"functionResponse":{"id":"c1","name":"read_file","response":{"output":"one"}}},{"functionResponse":{"id":"c2","name":"x","response":{"error":"two"}}},{"functionResponse":{"id":"c1","name":"read_file","response":{"output":"one"}}}]}"#;
    insta::assert_snapshot!(read(&[&user("a", "go"), call, again], View::Model), @r#"
    user: go
    1 call c1: read_file (Read) {"file_path":"a"}
    1 call c2: x (Other) {}
    result c1 (Ok): one
    result c2 (Error): two
    "#);
    // In contents only, as holdall writes it; ids that are used again get a number.
    let call = r#"{"id":"g","type":"gemini","content":[{"text":"go"},{"functionCall":{"id":"c","name":"run_shell_command","args":{"command":"x"}}}],"toolCalls":[{"id":"ui_c","name":"run_shell_command","status":"cancelled"}]}"#;
    let result = r#"{"id":"r","type":"user","content":[{"functionResponse":{"id":"c","name":"run_shell_command","response":{"error":"stopped"}}},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}"#;
    let (call2, result2) = (call.replace("\"g\"", "\"g2\""), result.replace("\"r\"", "\"r2\""));
    insta::assert_snapshot!(read(&[call, result, &call2, &result2], View::Model), @r#"
    1 assistant: go
    1 call c: run_shell_command (=Shell) {"command":"x"}
    result c (Interrupted): stopped | <image image/png>
    2 assistant: go
    2 call c-2: run_shell_command (=Shell) {"command":"x"}
    result c-2 (Interrupted): stopped | <image image/png>
    "#);
}

#[test]
fn exit_codes_stand_in_the_text() {
    let call = r#"{"id":"g","type":"gemini","content":"","toolCalls":[{"id":"c","name":"run_shell_command","args":{"command":"x"},"status":"success","result":[{"functionResponse":{"id":"c","name":"run_shell_command","response":{"output":"Output: out\nExit Code: 3\nProcess Group PGID: 1"}}}]}]}"#;
    insta::assert_snapshot!(read(&[call], View::Model), @r#"
    1 call c: run_shell_command (=Shell) {"command":"x"}
    result c (Error 3): Output: out\nExit Code: 3\nProcess Group PGID: 1
    "#);
}

#[test]
fn sessions_of_earlier_versions_and_checkpoints_are_read() {
    let messages = format!("[{},\n {}]", user("a", "Q"), model("b", "A"));
    let old =
        format!("{{\n  \"sessionId\": \"{ID}\",\n  \"projectHash\": \"x\",\n  \"messages\": {messages}\n}}");
    insta::assert_snapshot!(Memory::transcript(old).read(View::Full).0, @r"
    user: Q
    1 assistant: A
    ");
    let history = r#"[{"role":"user","parts":[{"text":"<session_context>x"},{"text":"hello"}]},
        {"role":"model","parts":[{"text":"hm","thought":true},{"text":"hi"},{"functionCall":{"name":"glob","args":{
          "a b": "c \" d"
        }}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"glob","response":{"output":"x"}}}]}]"#;
    let expected = r#"
user: hello
1 reasoning (open): hm
1 assistant: hi
1 call glob-1: glob (Glob) {"a b":"c \" d"}
result glob-1 (Ok): x
"#;
    assert_eq!(Memory::transcript(history).read(View::Full).0.trim(), expected.trim());
    let saved = format!("{{\n\"history\": {history},\"authType\":\"x\"}}");
    assert_eq!(Memory::transcript(saved).read(View::Full).0.trim(), expected.trim());
}

#[test]
fn half_a_character_does_not_cost_a_record() {
    let memory = Memory::transcript(
        [header().as_bytes(), br#"{"id":"a","type":"user","content":"cut \ud83d"}"#, b"\n"].concat(),
    );
    assert_eq!(memory.read(View::Model).0.trim(), "user: cut \u{fffd}");
}

/// A resumed session has its whole conversation in one line.
#[test]
fn a_line_of_any_length_is_read_a_message_at_a_time() {
    let text = "x".repeat(1 << 20);
    let mut list = String::from(r#"{"$set":{"messages":["#);
    for number in 0..130 {
        let comma = if number == 0 { "" } else { "," };
        write!(list, "{comma}{}", user(&format!("u{number}"), &text)).expect("memory");
    }
    list.push_str("]}}");
    let memory = Memory::transcript(format!("{}{}\n{list}\n", header(), user("a", "old")));
    let mut count = 0;
    let mut sink = |event: Event<'_>| {
        assert!(event.origin.length < 2 << 20);
        count += 1;
        Ok(())
    };
    Gemini.read(&memory, 0, View::Full, &mut sink).expect("readable");
    assert_eq!(count, 130);
}
