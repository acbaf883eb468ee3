//! Input that is odd, broken or hostile: no good record is lost, and nothing panics.

use super::*;
use crate::harness::claude::index::{Index, Marks, NONE};

fn row(id: &str, parent: Option<&str>, content: &str) -> String {
    let parent = parent.map_or("null".to_owned(), |parent| format!("{parent:?}"));
    format!(
        r#"{{"parentUuid":{parent},"type":"user","message":{{"role":"user","content":{content}}},"uuid":"{id}","timestamp":"2026-01-02T03:04:05.000Z"}}"#
    )
}

/// Its last content counts, also for whether its parent is there.
#[test]
fn a_row_that_stands_twice_hangs_where_the_last_says() {
    let rows = [row("a", Some("gone"), "\"x\""), row("a", Some("late"), "\"x\""), row("late", None, "\"y\"")];
    let index = Index::read(std::io::Cursor::new(rows.join("\n")), "rows", false).expect("memory");
    let (twice, late) = (&index.rows[0], index.find("late"));
    assert!(late.is_some() && twice.parent == late.unwrap_or(NONE) && !twice.marks.has(Marks::LOST));
}

#[test]
fn bytes_that_are_no_clean_jsonl() {
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    bytes.extend(row("1", None, r#""one""#).bytes().chain(*b"\r\n"));
    bytes.extend(b"{not json\n\n  \n[]\n{\"type\":\"never-heard-of\"}\n\0\0\0\n");
    bytes.extend(b"\0\0".iter().copied().chain(row("2", Some("1"), r#""two""#).bytes()).chain(*b"\n"));
    bytes.extend(row("3", Some("2"), "\"bad \u{1}\"").replace('\u{1}', "\\ud83d").bytes().chain(*b"\n"));
    let mut invalid = row("4", Some("3"), "\"raw ?\"").into_bytes();
    let at = invalid.iter().position(|byte| *byte == b'?').expect("there");
    invalid[at] = 0xff;
    bytes.extend(invalid.into_iter().chain(*b"\n"));
    bytes.extend(row("5", Some("4"), r#""last, without line end""#).bytes());
    let (text, notes) = Memory::transcript(bytes).read(View::Model);
    assert_eq!(
        text,
        "user: one\nuser: two\nuser: bad \u{fffd}\nuser: raw \u{fffd}\nuser: last, without line end\n"
    );
    assert_eq!(codes(&notes), ["record.broken 1", "record.unknown 2"]);
}

#[test]
fn fields_of_odd_types_and_in_odd_places() {
    let lines = [
        r#"{"type":"user","uuid":"1","parentUuid":7,"isMeta":"no","origin":[],"toolUseResult":{"message":1},"message":{"content":[{"type":"text","text":"one"},5,{"type":"text"}],"content":"two"},"message":  { "role":"user" , "content":"three"},"timestamp":12}"#,
        r#"{"uuid":"2","parentUuid":"1","message":{"content":"string","id":null},"type":"assistant"}"#,
        r#"{"uuid":"3","parentUuid":"2","message":{},"type":"user"}"#,
        r#"{"uuid":"4","parentUuid":"3","message":"no","type":"user"}"#,
        r#"{"type":"user","message":{"content":"without an id"}}"#,
        r#"{"type":"user","uuid":"1","parentUuid":null,"message":{"content":"again"}}"#,
    ];
    let (text, notes) = Memory::transcript(lines.join("\n")).read(View::Model);
    assert_eq!(text, "user: again\n4294967297 assistant: string\n");
    assert_eq!(codes(&notes), ["record.broken 1", "record.doubled 1"]);
}

#[test]
fn a_record_of_many_megabytes() {
    let text = "x".repeat(20 << 20);
    let lines = [
        row("1", None, "\"before\""),
        row("2", Some("1"), &format!("{text:?}")),
        row("3", Some("2"), "\"after\""),
    ];
    let mut lengths = Vec::new();
    let mut sink = |event: Event<'_>| {
        if let EventKind::User { content } = &event.kind
            && let Part::Text(text) = &content[0]
        {
            lengths.push(text.len());
        }
        Ok(())
    };
    Claude.read(&Memory::transcript(lines.join("\n")), 0, View::Model, &mut sink).expect("readable");
    assert_eq!(lengths, [6, 20 << 20, 5]);
}

#[test]
fn nesting_too_deep_costs_one_record() {
    let deep = format!(
        "{}{}",
        r#"[{"type":"tool_result","content":"#.repeat(200),
        "1".to_owned() + &"}]".repeat(200)
    );
    let lines = [row("1", None, "\"one\""), row("2", Some("1"), &deep), row("3", Some("2"), "\"three\"")];
    let (text, notes) = Memory::transcript(lines.join("\n")).read(View::Model);
    assert_eq!(text, "user: one\nuser: three\n");
    assert_eq!(codes(&notes), ["record.broken 1"]);
}

#[test]
fn one_call_id_twice_and_results_without_calls() {
    let use_ = |id: &str, parent: &str| {
        format!(
            r#"{{"type":"assistant","uuid":"{id}","parentUuid":"{parent}","message":{{"id":"m{id}","content":[{{"type":"tool_use","id":"t","name":"Bash","input":{{"command":"ls"}}}}]}}}}"#
        )
    };
    let result = |id: &str| {
        format!(
            r#"[{{"type":"tool_result","tool_use_id":"{id}","content":"Exit code 3\nno","is_error":true}}]"#
        )
    };
    let lines = [
        row("0", None, "\"go\""),
        use_("1", "0"),
        row("2", Some("1"), &result("t")),
        row("3", Some("2"), &result("t")),
        use_("4", "3"),
        row("5", Some("4"), &result("t")),
        row("6", Some("5"), &result("nobody")),
        use_("7", "6"),
    ];
    let (text, notes) = Memory::transcript(lines.join("\n")).read(View::Model);
    let expected = r#"user: go
0 call t: Bash (=Shell) {"command":"ls"}
result t (Error 3): Exit code 3\nno
1 call t-2: Bash (=Shell) {"command":"ls"}
result t-2 (Error 3): Exit code 3\nno
result nobody (Error 3): Exit code 3\nno
2 call t-3: Bash (=Shell) {"command":"ls"}
"#;
    assert_eq!(text, expected);
    assert_eq!(codes(&notes), ["call.renamed 2", "call.unanswered 1", "result.doubled 1", "result.orphan 1"]);
}

#[test]
fn slash_commands_and_prompts_typed_meanwhile() {
    let attachment = |id: &str, parent: &str, rest: &str| {
        format!(
            r#"{{"type":"attachment","uuid":"{id}","parentUuid":"{parent}","attachment":{{"type":"queued_command",{rest}}}}}"#
        )
    };
    let assistant = |id: &str, parent: &str, text: &str| {
        format!(
            r#"{{"type":"assistant","uuid":"{id}","parentUuid":"{parent}","message":{{"id":"m{id}","content":[{{"type":"text","text":"{text}"}}]}}}}"#
        )
    };
    let lines = [
        row("0", None, r#""<command-name>/model</command-name><command-args>x</command-args>""#),
        row("1", Some("0"), r#""<local-command-stdout>set</local-command-stdout>""#),
        row(
            "2",
            Some("1"),
            r#""<command-message>review</command-message>\n<command-name>/review</command-name>\n<command-args>src</command-args>""#,
        ),
        assistant("3", "2", "reviewing"),
        attachment(
            "4",
            "3",
            r#""prompt":"faster","commandMode":"prompt","origin":{"kind":"human"},"source_uuid":"x""#,
        ),
        attachment("5", "4", r#""prompt":"also there","commandMode":"prompt","source_uuid":"7""#),
        attachment(
            "6",
            "5",
            r#""prompt":"<task-notification><summary>done</summary></task-notification>","commandMode":"task-notification""#,
        ),
        row("7", Some("6"), r#""also there""#),
        attachment("8", "7", r#""prompt":"of a plugin","isMeta":true"#),
        assistant("9", "8", "No response requested.")
            .replace("\"id\":\"m9\"", "\"id\":\"m9\",\"model\":\"<synthetic>\""),
    ];
    let (text, _) = Memory::transcript(lines.join("\n")).read(View::Model);
    let expected = "user: /review src\n0 assistant: reviewing\nuser: faster\nnote (TaskReport): done\nuser: also there\n";
    assert_eq!(text, expected);
}

#[test]
fn heads_of_odd_files() {
    let dir = tempfile::tempdir().expect("temp dir");
    let env = Env::isolated(dir.path());
    let project = dir.path().join(".claude/projects/-p");
    fs::create_dir_all(&project).expect("temp dir");
    let long = "word ".repeat(20_000);
    let head = |name: u32, bytes: &str| {
        let path = project.join(format!("00000000-0000-4000-8000-{name:012}.jsonl"));
        fs::write(&path, bytes).expect("temp dir");
        let found = sessions(&env).into_iter().find(|found| found.path == path).expect("scanned");
        Claude.head(&env, &found).expect("readable")
    };
    assert_eq!(head(0, ""), None);
    assert_eq!(head(1, "{\"type\":\"mode\",\"mode\":\"normal\"}\nnonsense\n"), None);
    assert_eq!(head(2, &row("1", None, "\"x\"").replace("\"type\"", "\"isSidechain\":true,\"type\"")), None);

    // A first row that fills the whole stretch, and state records behind it.
    let first = row("1", None, &format!("{long:?}"))
        .replace("\"type\":\"user\"", "\"cwd\":\"/a \\\"b\",\"type\":\"user\"");
    let titled = head(3, &format!("{first}\n{{\"type\":\"ai-title\",\"aiTitle\":\"by a model\"}}\n"))
        .expect("a session");
    assert_eq!((titled.title.as_deref(), titled.cwd.as_deref()), (Some("by a model"), Some("/a \"b")));
    assert_eq!(titled.created.map(time::rfc3339).as_deref(), None, "its time is behind the stretch");

    let title = |lines: &[String]| head(4, &lines.join("\n")).expect("a session").title;
    let named = |kind: &str, field: &str| format!("{{\"type\":\"{kind}\",\"{field}\":\"{kind}\"}}");
    let mut lines = vec![row("1", None, r#""<command-name>/clear</command-name>""#)];
    assert_eq!(title(&lines).as_deref(), Some("/clear"));
    lines.push(row("2", Some("1"), &format!("{:?}", &long[..1000])));
    assert_eq!(title(&lines).map(|title| title.chars().count()), Some(200));
    for (kind, field) in [
        ("last-prompt", "lastPrompt"),
        ("summary", "summary"),
        ("ai-title", "aiTitle"),
        ("custom-title", "customTitle"),
    ] {
        lines.push(named(kind, field));
        assert_eq!(title(&lines).as_deref(), Some(kind));
    }
    lines.push(r#"{"type":"relocated","relocatedCwd":"/new"}"#.to_owned());
    assert_eq!(head(5, &lines.join("\n")).expect("a session").cwd.as_deref(), Some("/new"));
}

#[test]
fn only_what_is_known_is_taken_along() {
    let dir = tempfile::tempdir().expect("temp dir");
    let env = Env::isolated(dir.path());
    let data = dir.path().join(".claude");
    let folder = data.join("projects/-p").join(ID);
    fs::create_dir_all(&folder).expect("temp dir");
    for (path, bytes) in [
        (format!("projects/-p/{ID}.jsonl"), row("1", None, "\"x\"") + "\n{\"torn"),
        (format!("projects/-p/{ID}/resume-head.jsonl"), String::new()),
        (format!("projects/-p/{ID}/unheard-of.bin"), String::new()),
        (format!("projects/-p/{ID}/tool-results/a.txt"), "out".to_owned()),
        (format!("projects/-p/{ID}/subagents/agent-a1.jsonl"), row("1", None, "\"x\"") + "\n"),
        (format!("projects/-p/{ID}/subagents/agent-a1.meta.json"), r#"{"agentType":"x"}"#.to_owned()),
        (format!("file-history/{ID}/0123456789abcdef@v1"), "old".to_owned()),
        (format!("tasks/{ID}/1.json"), "{}".to_owned()),
        (format!("tasks/{ID}/.lock"), String::new()),
        ("projects/-p/notes.jsonl".to_owned(), row("1", None, "\"x\"")),
    ] {
        let path = data.join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("temp dir");
        fs::write(path, bytes).expect("temp dir");
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/hostname", folder.join("tool-results/link.txt")).expect("link");
    let [found] = &sessions(&env)[..] else { panic!("one session") };
    let session = Claude.open(&env, found).expect("opens");
    let paths: Vec<&str> = session.payload.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            format!("projects/-p/{ID}.jsonl"),
            format!("projects/-p/{ID}/subagents/agent-a1.jsonl"),
            format!("projects/-p/{ID}/subagents/agent-a1.meta.json"),
            format!("projects/-p/{ID}/tool-results/a.txt"),
            format!("file-history/{ID}/0123456789abcdef@v1"),
            format!("tasks/{ID}/1.json"),
        ]
    );
    assert_eq!(codes(&session.notes), ["file.left-out 1", "record.torn 1"]);
    let files = session.payload.files();
    assert!(files[4].modified.is_some(), "the program compares the time of a backup");
    assert!(files.iter().enumerate().all(|(at, file)| at == 4 || file.modified.is_none()));
    let (text, _) = outline(&*session.payload, 0, View::Model);
    assert_eq!(text, "user: x\n");
}
