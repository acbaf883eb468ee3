//! Finding sessions and their heads.

use super::*;

const CWD: &str = "/home/dev/src/Proj_One";

fn log(id: &str, prompt: &str, updated: &str) -> String {
    format!(
        "{{\"sessionId\":\"{id}\",\"projectHash\":\"x\",\"startTime\":\"2026-11-20T11:08:11.762Z\",\"lastUpdated\":\"{updated}\",\"kind\":\"main\"}}\n\
         {{\"id\":\"a\",\"type\":\"user\",\"content\":[{{\"text\":\"{prompt}\"}}]}}\n"
    )
}

#[test]
fn of_several_files_of_one_session_the_newest_that_says_something_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let env = Env::isolated(dir.path());
    let chats = ".gemini/tmp/proj-one/chats";
    let hash = super::super::projects::hash(CWD);
    lay(dir.path(), ".gemini/tmp/proj-one/.project_root", CWD);
    let name = |minute: u32| format!("{chats}/session-2026-11-20T11-{minute:02}-d5d96617.jsonl");
    lay(dir.path(), &name(8), &log(ID, "older", "2026-11-20T11:08:00Z"));
    let newer = lay(dir.path(), &name(9), &log(ID, "newer", "2026-11-20T11:09:00Z"));
    // What a resume leaves: a header, and the context.
    let stub = format!("{}{{\"$set\":{{\"lastUpdated\":\"2027-01-01T00:00:00Z\"}}}}\n", header());
    lay(dir.path(), &name(10), &stub);
    lay(dir.path(), &format!("{chats}/notes.txt"), "");
    lay(dir.path(), &format!("{chats}/session-x.jsonl"), "garbage\n");
    let agent = header().replace("main", "subagent").replace(ID, "other");
    lay(dir.path(), &format!("{chats}/session-y.jsonl"), &agent);
    lay(
        dir.path(),
        &format!(".gemini/tmp/{hash}/chats/session-old.jsonl"),
        &log(ID, "copied", "2026-11-20T11:09:00Z"),
    );
    let found = sessions(&env);
    assert_eq!(
        found.iter().map(|found| (found.id.as_str(), &found.path)).collect::<Vec<_>>(),
        [(ID, &newer)]
    );
    let head = Gemini.head(&env, &found[0]).expect("readable").expect("a session");
    assert_eq!((head.title.as_deref(), head.cwd.as_deref()), (Some("newer"), Some(CWD)));
    assert!(Gemini.may_be_in(&found[0], Path::new("/home/dev/src")));
    assert!(!Gemini.may_be_in(&found[0], Path::new("/home/dev/other")));
}

#[test]
fn old_directories_are_found_by_the_hash_of_what_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let env = Env::isolated(dir.path()).with_var("GEMINI_CLI_HOME", dir.path().join("alt"));
    let hash = super::super::projects::hash(CWD);
    let path = format!("alt/.gemini/tmp/{hash}/chats/session-2026-01-01T00-00-d5d96617.json");
    let context = format!(
        "<session_context>\\n- **Workspace Directories:**\\n  - /other\\n  - {CWD}\\n- **Directory Structure:**"
    );
    let text = format!(
        "{{\n \"sessionId\": \"{ID}\",\n \"projectHash\": \"{hash}\",\n \"startTime\": \"2026-01-01T00:00:00.000Z\",\n \"messages\": [\n\
         {{\"id\":\"c\",\"type\":\"user\",\"content\":\"{context}\"}},\n {{\"id\":\"a\",\"type\":\"user\",\"content\":\"legacy\"}},\n\
         {{\"id\":\"b\",\"timestamp\":\"2026-01-02T00:00:00.000Z\",\"type\":\"gemini\",\"content\":\"A\",\"model\":\"gemini-2.5-pro\"}}]\n}}"
    );
    lay(dir.path(), &path, &text);
    let found = sessions(&env);
    let head = Gemini.head(&env, &found[0]).expect("readable").expect("a session");
    assert_eq!(
        (head.id.as_str(), head.title.as_deref(), head.cwd.as_deref()),
        (ID, Some("legacy"), Some(CWD))
    );
    assert_eq!(head.updated, time::parse("2026-01-02T00:00:00Z"));
    assert_eq!(head.model.as_deref(), Some("gemini-2.5-pro"));
}

#[test]
fn the_end_of_a_long_file_tells_what_was_last() {
    let dir = tempfile::tempdir().expect("a directory");
    let env = Env::isolated(dir.path());
    let mut text = log(ID, "first", "2026-11-20T11:08:00Z");
    for number in 0..2000 {
        writeln!(
            text,
            "{{\"id\":\"m{number}\",\"timestamp\":\"2026-11-20T12:00:{:02}.000Z\",\"type\":\"gemini\",\"content\":\"{}\",\"model\":\"m{}\"}}",
            number % 60,
            "x".repeat(300),
            number / 1000,
        )
        .expect("memory");
    }
    text.push_str(
        "{\"$set\":{\"summary\":\"A title\\nof two lines\"}}\n{\"$set\":{\"lastUpdated\":null}}\n{\"torn",
    );
    lay(dir.path(), ".gemini/tmp/p/chats/session-2026-11-20T11-08-d5d96617.jsonl", &text);
    let found = sessions(&env);
    let head = Gemini.head(&env, &found[0]).expect("readable").expect("a session");
    assert_eq!((head.title.as_deref(), head.model.as_deref()), (Some("A title"), Some("m1")));
    assert_eq!(head.updated, time::parse("2026-11-20T12:00:59Z"));
    assert_eq!(head.created, time::parse("2026-11-20T11:08:11.762Z"));
    // The torn record and what is behind the session for the program's clock stay behind.
    let session = Gemini.open(&env, &found[0]).expect("opens");
    let own = text.len() - "{\"$set\":{\"lastUpdated\":null}}\n{\"torn".len();
    assert_eq!(session.payload.files()[0].size, own as u64);
    assert_eq!(codes(&session.notes), ["record.torn 1"]);
}

#[test]
fn a_checkpoint_is_a_session_in_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let env = Env::isolated(dir.path());
    lay(dir.path(), ".gemini/tmp/p/.project_root", CWD);
    let history = r#"{"history":[{"role":"user","parts":[{"text":"<session_context>x"},{"text":"hello"}]},{"role":"model","parts":[{"text":"hi"}]}]}"#;
    let path = lay(dir.path(), ".gemini/tmp/p/checkpoint-tag.json", history);
    assert!(sessions(&env).is_empty());
    let found = Gemini.in_file(&env, &path).expect("readable").expect("a session");
    assert!(Gemini.valid_id(&found.id));
    assert_eq!(Gemini.in_file(&env, &path).expect("readable").expect("a session").id, found.id);
    let session = Gemini.open(&env, &found).expect("opens");
    assert_eq!((session.head.title.as_deref(), session.head.cwd.as_deref()), (Some("hello"), Some(CWD)));
    assert_eq!(outline(&*session.payload, 0, View::Full).0, "user: hello\n1 assistant: hi\n");
    // A session's file from anywhere, and files that are none.
    let path = lay(dir.path(), "elsewhere.jsonl", &log(ID, "away", "2026-11-20T11:08:00Z"));
    assert_eq!(Gemini.in_file(&env, &path).expect("readable").map(|found| found.id).as_deref(), Some(ID));
    for (name, text) in
        [("a.json", "{}"), ("b.json", "[]"), ("c.jsonl", "x\n"), ("d.txt", ""), ("e.json", "[1]")]
    {
        let path = lay(dir.path(), name, text);
        assert!(Gemini.in_file(&env, &path).expect("readable").is_none(), "{name}");
    }
}

#[test]
fn ids_that_may_become_part_of_a_name() {
    for id in [ID, "ses_01ABCdef", "x1"] {
        assert!(Gemini.valid_id(id), "{id}");
    }
    for id in ["", "has space", "a/b", "..", "-x", "a.b", &"x".repeat(200)] {
        assert!(!Gemini.valid_id(id), "{id}");
    }
}
