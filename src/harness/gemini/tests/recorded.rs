//! Sessions recorded from the real program.

use std::collections::HashSet;

use super::*;

/// The recorded homes, by their cases.
fn homes() -> Vec<(String, Env)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recorded/gemini");
    let mut homes: Vec<(String, Env)> = fs::read_dir(root)
        .expect("recorded sessions")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("Unicode");
            (name, Env::isolated(entry.path().join("home")))
        })
        .collect();
    homes.sort_by(|a, b| a.0.cmp(&b.0));
    homes
}

#[test]
fn what_was_said_comes_out_in_order() {
    for (name, env) in homes() {
        let mut text = String::new();
        for found in sessions(&env) {
            let session = Gemini.open(&env, &found).expect("opens");
            let head = &session.head;
            writeln!(
                text,
                "# {}\n{:?} in {:?}, {} to {} by {}",
                head.id,
                head.title.as_deref().unwrap_or("-"),
                head.cwd.as_deref().unwrap_or("-"),
                head.created.map(time::rfc3339).unwrap_or_default(),
                head.updated.map(time::rfc3339).unwrap_or_default(),
                head.model.as_deref().unwrap_or("-"),
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
        insta::assert_snapshot!(format!("recorded-{name}"), text);
    }
}

/// What the program told the model, and nobody said, must not come out; every result once.
#[test]
fn no_context_leaks_and_every_call_has_one_result() {
    for (name, env) in homes() {
        for found in sessions(&env) {
            let session = Gemini.open(&env, &found).expect("opens");
            let (mut calls, mut results) = (HashSet::new(), HashSet::new());
            let mut sink = |event: Event<'_>| {
                let text = line(&event);
                assert!(
                    !text.contains("<session_context>") && !text.contains("Got it. Thanks"),
                    "{name}: {text}"
                );
                match &event.kind {
                    EventKind::ToolCall { call_id, .. } => {
                        assert!(calls.insert(call_id.to_string()), "{name}: {text}")
                    }
                    EventKind::ToolResult { call_id, .. } => {
                        assert!(calls.contains(&**call_id), "{name}: {text}");
                        assert!(results.insert(call_id.to_string()), "{name}: {text}");
                    }
                    _ => {}
                }
                Ok(())
            };
            Gemini.read(&*session.payload, 0, View::Full, &mut sink).expect("readable");
            assert_eq!(calls, results, "{name}");
        }
    }
}
