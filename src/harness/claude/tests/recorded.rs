//! Sessions recorded from the real program.

use std::collections::HashSet;

use super::*;

#[test]
fn what_was_said_comes_out_in_order() {
    for home in HOMES {
        let env = recorded(home);
        let mut text = String::new();
        for found in sessions(&env) {
            let session = Claude.open(&env, &found).expect("opens");
            assert_eq!(codes(&session.notes), Vec::<String>::new());
            let head = &session.head;
            writeln!(
                text,
                "# {}\n{:?} in {:?} at {:?}, {} to {}, {} by {}",
                head.id,
                head.title.as_deref().unwrap_or("-"),
                head.cwd.as_deref().unwrap_or("-"),
                head.git.as_ref().and_then(|git| git.branch.as_deref()).unwrap_or("-"),
                head.created.map(time::rfc3339).unwrap_or_default(),
                head.updated.map(time::rfc3339).unwrap_or_default(),
                head.model.as_deref().unwrap_or("-"),
                head.harness_version.as_deref().unwrap_or("-"),
            )
            .expect("memory");
            for (index, file) in session.payload.files().iter().enumerate() {
                writeln!(text, "## {:?} {}", file.role, file.path).expect("memory");
                if let Some(agent) = &file.agent {
                    writeln!(text, "{agent:?}").expect("memory");
                }
                if file.role != Role::Attachment {
                    let (events, notes) = outline(&*session.payload, index, View::Full);
                    writeln!(text, "{events}{}", codes(&notes).join(", ")).expect("memory");
                }
            }
        }
        insta::assert_snapshot!(*home, text);
    }
}

/// What the program told the model, and nobody said, must not come out.
#[test]
fn no_context_leaks_and_every_result_has_its_call() {
    for home in HOMES {
        let env = recorded(home);
        for found in sessions(&env) {
            let session = Claude.open(&env, &found).expect("opens");
            let mut calls = HashSet::new();
            let mut sink = |event: Event<'_>| {
                let text = line(&event);
                assert!(!text.contains("<system-reminder>") && !text.contains("<local-command"), "{text}");
                assert!(
                    !matches!(event.kind, EventKind::User { .. }) || !text.contains("[trimmed]"),
                    "{text}"
                );
                match &event.kind {
                    EventKind::ToolCall { call_id, .. } => {
                        assert!(calls.insert(call_id.to_string()), "{text}")
                    }
                    EventKind::ToolResult { call_id, .. } => {
                        assert!(calls.remove(call_id.as_ref()), "{text}")
                    }
                    _ => {}
                }
                Ok(())
            };
            Claude.read(&*session.payload, 0, View::Full, &mut sink).expect("readable");
            assert!(calls.is_empty(), "{} {calls:?}", found.id);
        }
    }
}

#[test]
fn the_native_record_of_an_event_is_where_it_says() {
    let env = recorded("v2.1.329-print");
    let found = sessions(&env).into_iter().find(|found| found.id == ID).expect("recorded");
    let bytes = fs::read(&found.path).expect("readable");
    let session = Claude.open(&env, &found).expect("opens");
    let mut sink = |event: Event<'_>| {
        let start = event.origin.offset as usize;
        let record = &bytes[start..start + event.origin.length as usize];
        let value: serde_json::Value = serde_json::from_slice(record).expect("one record");
        let stamp = value["timestamp"].as_str().and_then(time::parse);
        assert_eq!(stamp, event.time);
        Ok(())
    };
    Claude.read(&*session.payload, 0, View::Model, &mut sink).expect("readable");
}

#[test]
fn subagents_are_listed_with_their_parent() {
    let env = recorded("v2.1.329-print");
    let found = sessions(&env).into_iter().find(|found| found.id.starts_with("b2496198")).expect("recorded");
    let agents = Claude.subagents(&env, &found).expect("readable");
    let [(agent, head)] = &agents[..] else { panic!("{} agents", agents.len()) };
    assert_eq!(agent.id, "a930bf22d58b1947a");
    assert_eq!(head.parent.as_deref(), Some(found.id.as_str()));
    assert_eq!(head.title.as_deref(), Some("Look at files"));
}

#[test]
fn a_session_is_live_while_its_process_runs() {
    let dir = tempfile::tempdir().expect("temp dir");
    let env = Env::isolated(dir.path());
    let sessions = dir.path().join(".claude/sessions");
    fs::create_dir_all(&sessions).expect("temp dir");
    let found = Found {
        id: ID.to_owned(),
        path: PathBuf::new(),
        bytes: None,
        modified: std::time::SystemTime::UNIX_EPOCH,
        head: None,
        stamp: None,
    };
    assert_eq!(Claude.live(&env, &found).expect("readable"), None);
    let marker = sessions.join(format!("{}.json", std::process::id()));
    fs::write(&marker, format!("{{\"sessionId\":\"{ID}\"}}")).expect("temp dir");
    assert!(Claude.live(&env, &found).expect("readable").is_some());
    if cfg!(target_os = "linux") {
        fs::write(&marker, format!("{{\"sessionId\":\"{ID}\",\"procStart\":\"1\"}}")).expect("temp dir");
        assert_eq!(Claude.live(&env, &found).expect("readable"), None, "another process has its number");
    }
}
