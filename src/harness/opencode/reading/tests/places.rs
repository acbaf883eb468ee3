//! Where sessions are found, and what belongs to them.

use serde_json::json;

use super::super::super::KILO;
use super::*;

#[test]
fn heads_come_with_the_list() {
    let home = Home::new();
    home.database().session("ses_1", None).session("ses_2", Some("ses_1"));
    let found = home.scan();
    let heads: Vec<_> = found.iter().map(|found| found.head.clone().expect("a head")).collect();
    assert_eq!(heads[0].title.as_deref(), Some("A title"));
    assert_eq!(heads[0].cwd.as_deref(), Some("/home/u/app"));
    assert_eq!(heads[0].model.as_deref(), Some("p/m"));
    assert_eq!(heads[0].harness_version.as_deref(), Some("1.18.33"));
    assert_eq!((heads[0].parent.as_deref(), heads[1].parent.as_deref()), (None, Some("ses_1")));
    assert_eq!(found[0].bytes, None);
    assert_eq!(crate::model::Time::from(found[0].modified).timestamp_millis(), 1_795_173_209_514);
    assert!(OPENCODE.may_be_in(&found[0], Path::new("/home/u")));
    assert!(!OPENCODE.may_be_in(&found[0], Path::new("/home/u/ap")));
    let without = Found { head: None, ..found[0].clone() };
    assert_eq!(OPENCODE.head(&home.env(), &without).expect("a head").as_ref(), Some(&*heads[0]));
    home.database_again().set("title", "New session - 2026-11-20T11:19:52.123Z");
    assert_eq!(home.found("ses_1").head.and_then(|head| head.title.clone()), None);
}

#[test]
fn a_session_is_its_export_with_times_and_todos() {
    let home = Home::new();
    let store = home.database();
    store.session("ses_1", None);
    store
        .set("revert", r#"{"messageID":"msg_2","snapshot":"abc","more":1}"#)
        .set("permission", r#"[{"action":"deny"}]"#);
    store
        .0
        .execute_batch("UPDATE session SET summary_files = 2, cost = 0.25, time_archived = 7")
        .expect("a row");
    store
        .0
        .execute("INSERT INTO todo VALUES ('ses_1', 'do', 'pending', 'high', 0, 5, 6)", [])
        .expect("a row");
    store.message("ses_1", "msg_1", 10, &user(10), &[text("hi \"there\"\n"), json!({})]);
    store.0.execute("INSERT INTO message VALUES ('msg_0', 'ses_1', 20, 21, 'damaged')", []).expect("a row");
    drop(store);
    let session = home.open("ses_1");
    let paths: Vec<&str> = session.payload.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["session/ses_1/messages.jsonl", "session/ses_1/session.json"]);
    let (first, second) = (bytes(&session, 0), bytes(&session, 0));
    assert_eq!(first, second);
    let lines: Vec<&str> = first.lines().collect();
    insta::assert_snapshot!(lines[0], @r#"{"info":{"role":"user","time":{"created":10},"agent":"build","model":{"providerID":"p","modelID":"m"},"id":"msg_1","sessionID":"ses_1"},"parts":[{"type":"text","text":"hi \"there\"\n","id":"prt_msg_1_000","sessionID":"ses_1","messageID":"msg_1"},{ "id":"prt_msg_1_001","sessionID":"ses_1","messageID":"msg_1"}],"times":[[10,10],[1795173204500,1795173204600],[1795173204500,1795173204600]]}"#);
    assert_eq!(lines[1].trim(), "");
    insta::assert_snapshot!(bytes(&session, 1), @r#"{"info":{"id":"ses_1","slug":"brave-fox","projectID":"p","directory":"/home/u/app","path":"","title":"A title","agent":"build","model":{"id":"m","providerID":"p","variant":"default"},"version":"1.18.33","summary":{"additions":0,"deletions":0,"files":2},"cost":0.25,"tokens":{"input":0,"output":0,"reasoning":0,"cache":{"read":0,"write":0}},"revert":{"messageID":"msg_2","snapshot":"abc"},"permission":[{"action":"deny"}],"time":{"created":1795173204425,"updated":1795173209514,"archived":7}},"todos":[{"content":"do","status":"pending","priority":"high","position":0,"time_created":5,"time_updated":6}]}"#);
    assert!(!first.contains("SECRET"));
}

#[test]
fn sub_agents_travel_with_the_session_that_started_them() {
    let home = Home::new();
    let store = home.database();
    store.session("ses_1", None).session("ses_2", Some("ses_1")).session("ses_3", Some("ses_2"));
    store.session("ses_4", Some("ses_3"));
    let call = json!({"type": "tool", "tool": "task", "callID": "call_7", "state": {"status": "completed",
        "input": {"description": "look around", "subagent_type": "general"}, "metadata": {"sessionId": "ses_2"}}});
    store.message("ses_1", "msg_1", 1, &assistant("u", 1), &[call]);
    // A circle has no end.
    store.0.execute_batch("UPDATE session SET parent_id = 'ses_4' WHERE id = 'ses_1'").expect("a row");
    drop(store);
    let session = home.open("ses_1");
    let agents: Vec<_> = session
        .payload
        .files()
        .iter()
        .map(|file| (file.role, file.agent.as_ref().map(|agent| agent.id.as_str())))
        .collect();
    assert_eq!(
        agents,
        [
            (Role::Transcript, None),
            (Role::Attachment, None),
            (Role::Subagent, Some("ses_2")),
            (Role::Attachment, Some("ses_2")),
            (Role::Subagent, Some("ses_3")),
            (Role::Attachment, Some("ses_3")),
            (Role::Subagent, Some("ses_4")),
            (Role::Attachment, Some("ses_4")),
        ]
    );
    let first = session.payload.files()[2].agent.clone().expect("an agent");
    assert_eq!(first.call_id.as_deref(), Some("call_7"));
    assert_eq!((first.kind.as_deref(), first.title.as_deref()), (Some("build"), Some("look around")));
}

#[test]
fn the_whole_output_of_a_tool_travels_but_no_other_file() {
    let home = Home::new();
    let store = home.database();
    store.session("ses_1", None);
    let kept = home.write("tool-output/tool_1", "all of it");
    let secret = home.write("auth.json", "SECRET");
    home.write("tool-output/tool_2", "of another session");
    let dir = home.data_dir();
    let outputs = [
        kept.clone(),
        kept,
        secret,
        dir.join("tool-output/../auth.json"),
        dir.join("tool-output/gone"),
        dir.join("tool-output"),
        PathBuf::from("tool_2"),
    ];
    let parts: Vec<Value> = outputs
        .iter()
        .map(|path| json!({"type": "tool", "state": {"metadata": {"outputPath": path}, "x": "tool-output"}}))
        .collect();
    store.message("ses_1", "msg_1", 1, &assistant("u", 1), &parts);
    store.0.execute_batch("UPDATE part SET time_updated = 99999999999999").expect("rows");
    drop(store);
    let session = home.open("ses_1");
    let files: Vec<_> = session.payload.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files[2..], ["tool-output/tool_1"]);
    assert_eq!(bytes(&session, 2), "all of it");
}

#[test]
fn sessions_from_before_the_database_are_found_and_read() {
    let home = Home::new();
    let info = |id: &str, parent: Option<&str>| {
        json!({"id": id, "slug": "s", "projectID": "pid", "directory": "/home/u/old", "title": id, "version": "1.1.65",
            "parentID": parent, "time": {"created": 1, "updated": 2}})
    };
    home.database().session("ses_1", None);
    for (id, parent) in [("ses_1", None), ("ses_2", None), ("ses_3", Some("ses_2"))] {
        let text = serde_json::to_string_pretty(&info(id, parent)).expect("JSON");
        home.write(&format!("storage/session/pid/{id}.json"), &text);
    }
    home.write("storage/session/pid/notes.txt", "");
    for (id, time) in [("msg_a", 20), ("msg_b", 10)] {
        let mut message = user(time);
        message["id"] = id.into();
        home.write(&format!("storage/message/ses_2/{id}.json"), &message.to_string());
        for part in ["prt_2", "prt_1"] {
            let text = json!({"id": part, "messageID": id, "type": "text", "text": format!("{id} {part}")});
            home.write(&format!("storage/part/{id}/{part}.json"), &format!("{text:#}"));
        }
    }
    home.write("storage/message/ses_2/msg_torn.json", "{\"id\":");
    home.write("storage/todo/ses_2.json", r#"[{"id":"1","content":"c","status":"s","priority":"p"}]"#);
    let found = home.scan();
    let names: Vec<_> = found.iter().map(|found| (found.id.as_str(), found.head.is_some())).collect();
    assert_eq!(names, [("ses_1", true), ("ses_2", false), ("ses_3", false)]);
    let head = OPENCODE.head(&home.env(), &found[1]).expect("a head").expect("a session");
    assert_eq!((head.title.as_deref(), head.cwd.as_deref()), (Some("ses_2"), Some("/home/u/old")));
    let session = home.open("ses_2");
    let (events, _) = events(&*session.payload, View::Model);
    assert_eq!(events, ["user msg_b prt_1 + msg_b prt_2", "user msg_a prt_1 + msg_a prt_2"]);
    let of_session: Value = serde_json::from_str(&bytes(&session, 1)).expect("JSON");
    assert_eq!(of_session["todos"][0]["time_updated"], 2);
    assert_eq!(session.payload.files()[2].agent.as_ref().map(|agent| agent.id.as_str()), Some("ses_3"));
    assert_eq!(bytes(&session, 0), bytes(&session, 0));
}

#[test]
fn sessions_of_0_x_get_what_they_do_not_say() {
    let home = Home::new();
    let info = json!({"id": "ses_1", "title": "t", "version": "0.5.1", "time": {"created": 1, "updated": 2}});
    let storage = "project/home-u-app/storage/session";
    home.write(&format!("{storage}/info/ses_1.json"), &info.to_string());
    let mut answer = assistant("msg_0", 5);
    answer["path"] = json!({"cwd": "/home/u/app/sub", "root": "/home/u/app"});
    home.write(&format!("{storage}/message/ses_1/msg_1.json"), &answer.to_string());
    home.write(&format!("{storage}/part/ses_1/msg_1/prt_1.json"), &text("hello").to_string());
    let session = home.open("ses_1");
    assert_eq!(session.head.cwd.as_deref(), Some("/home/u/app/sub"));
    let of_session: Value = serde_json::from_str(&bytes(&session, 1)).expect("JSON");
    let info = &of_session["info"];
    assert_eq!((&info["directory"], &info["projectID"]), (&json!("/home/u/app/sub"), &json!("global")));
    assert_eq!(events(&*session.payload, View::Full).0, ["0 says hello"]);
}

#[test]
fn an_exported_file_is_a_session_of_the_program_that_wrote_it() {
    let home = Home::new();
    let export = |version: &str, messages: &[Value]| {
        let info = json!({"id": "ses_9", "title": "t", "directory": "/d", "version": version,
            "time": {"created": 1, "updated": 2}});
        format!("{:#}", json!({"info": info, "messages": messages}))
    };
    let messages = [
        line("u1", user(1), &[text("a { \" ] b"), json!({"type": "agent", "name": "x"})]),
        line("a1", assistant("u1", 2), &[text("yes")]),
    ];
    let file = home.write("x.json", &export("1.18.33", &messages));
    assert_eq!(KILO.in_file(&home.env(), &file).expect("a file"), None);
    let found = OPENCODE.in_file(&home.env(), &file).expect("a file").expect("a session");
    assert_eq!((found.id.as_str(), found.path.as_path()), ("ses_9", file.as_path()));
    let session = OPENCODE.open(&home.env(), &found).expect("a session");
    let lines: Vec<Value> =
        bytes(&session, 0).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines, messages);
    assert_eq!(events(&*session.payload, View::Model).0, ["user a { \" ] b", "0 says yes"]);
    assert_eq!(bytes(&session, 1), bytes(&session, 1));

    let kilo = home.write("k.json", &export("7.7.9", &[]));
    assert!(KILO.in_file(&home.env(), &kilo).expect("a file").is_some());
    assert_eq!(OPENCODE.in_file(&home.env(), &kilo).expect("a file"), None);
    for text in [
        "",
        "{}",
        "[1]",
        "{\"info\":{}}",
        "no",
        &export("2.0.1", &[]),
        &export("x", &[]),
        "{\"info\":{\"id\"",
    ] {
        let file = home.write("other.json", text);
        assert_eq!(OPENCODE.in_file(&home.env(), &file).expect("a file"), None, "{text}");
    }
    let whole = export("1.18.33", &messages);
    let file = home.write("torn.json", &whole[..whole.len() - 9]);
    let found = OPENCODE.in_file(&home.env(), &file).expect("a file").expect("a session");
    let error = OPENCODE.open(&home.env(), &found).err().expect("it is not whole");
    assert!(error.to_string().contains("is not complete"), "{error}");
}
