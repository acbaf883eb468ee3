//! What recorded sessions of several versions say.

use super::*;
use crate::model::Role;

/// Head, files and transcripts of one session.
fn told(case: &str, part: &str, view: View) -> String {
    let session = opened(case, part);
    let mut text = serde_json::to_string_pretty(&session.head).expect("JSON");
    for (at, file) in session.payload.files().iter().enumerate() {
        let agent = file.agent.as_ref().map(|agent| (&agent.id, &agent.call_id, &agent.kind, &agent.title));
        let _ = write!(text, "\n\n{:?} {} {agent:?}\n", file.role, file.path);
        if file.role != Role::Attachment {
            let (events, notes) = transcript(&*session.payload, at, view);
            text += &events;
            for (code, count, detail) in notes.iter() {
                let _ = writeln!(text, "! {code} {count}: {detail}");
            }
        }
    }
    for (code, count, detail) in session.notes.iter() {
        let _ = writeln!(text, "!! {code} {count}: {detail}");
    }
    text
}

#[test]
fn every_recorded_session_reads_as_it_was() {
    for case in [
        "abort-and-user-shell",
        "archived",
        "big-output",
        "chat",
        "code-mode",
        "codex-own-claude-import",
        "compact",
        "image",
        "old-0.60.1",
        "old-0.100.0",
        "old-0.125.0",
        "raw-reasoning",
        "skill",
        "tools",
        "tui",
        "unknown-tool",
        "web-search",
    ] {
        expect!(case, told(case, "", View::Model));
    }
}

#[test]
fn sub_agents_travel_with_the_session_that_started_them() {
    expect!("subagent-v1", told("subagent-v1", "2811-7bf1", View::Model));
    expect!("subagent-v2", told("subagent-v2", "2b7f-7ec3", View::Model));
    let env = env("subagent-v1");
    let child = Codex.head(&env, &session(&env, "28d8-7030")).expect("readable").expect("a session");
    assert_eq!(child.parent.as_deref(), Some("01a1f8b2-2811-7bf1-a559-b238aafd9ec0"));
}

#[test]
fn forks_and_reverts_come_as_one_file() {
    expect!("fork", told("fork", "e1e7-7c43", View::Model));
    expect!("revert", told("revert", "", View::Model));
    expect!("chain-reverted-twice", told("chain", "8a78-7710", View::Model));
    expect!("chain-forked", told("chain", "8c8d-7132", View::Model));
}

#[test]
fn before_a_compaction_the_full_view_has_everything() {
    expect!("compact-full", told("compact", "", View::Full));
}

#[test]
fn a_compressed_session_reads_like_a_plain_one() {
    let (plain, packed) = (opened("chat", ""), opened("packed", ""));
    assert_eq!(packed.head.title, plain.head.title);
    assert_eq!(packed.payload.files()[0].path, plain.payload.files()[0].path);
    assert_eq!(packed.payload.files()[0].size, plain.payload.files()[0].size);
    let both = [&plain, &packed].map(|session| transcript(&*session.payload, 0, View::Model).0);
    assert_eq!(both[0], both[1]);
}

#[test]
fn a_name_that_the_user_gave_travels_and_a_first_prompt_does_not() {
    let session = opened("tui", "");
    assert_eq!(session.head.title.as_deref(), Some("Given title"));
    let names = |case: &str| {
        opened(case, "").payload.files().iter().filter(|file| file.role == Role::Attachment).count()
    };
    assert_eq!((names("tui"), names("chat")), (1, 0));
    let mut line = String::new();
    std::io::Read::read_to_string(&mut session.payload.open(1).expect("a file"), &mut line).expect("text");
    assert!(line.contains("Given title") && line.lines().count() == 1, "{line}");
}
