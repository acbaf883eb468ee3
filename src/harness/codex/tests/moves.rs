//! A session of Codex on another machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::harness::{Growth, Layout, OutSource, Target, WriteOptions};
use crate::model::{Agent, FileMeta, Head, Role, time};
use crate::place::PathMap;

const OLD: &str = "/home/dev/proj";
const NEW: &str = "/srv/new \"proj\"";
const COPY: &str = "6ba7b810-9dad-51d1-80b4-00c04fd430c8";

/// A machine with the provider of the recordings.
#[allow(clippy::disallowed_methods)]
fn machine(config: &str) -> (tempfile::TempDir, Env) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join(".codex")).expect("a folder");
    fs::write(dir.path().join(".codex/config.toml"), config).expect("a file");
    let env = Env::isolated(dir.path());
    (dir, env)
}

const FAKE: &str = "model_provider = \"fake\"\n[model_providers.fake]\nname = \"fake\"\n";

fn bytes(session: &NativeSession, file: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut session.payload.open(file).expect("a file"), &mut bytes).expect("bytes");
    bytes
}

/// Every file as it would lie on the machine.
fn moved(env: &Env, session: &NativeSession, id: &str, cwd: &str) -> (Layout, Vec<Vec<u8>>) {
    let options = WriteOptions::default();
    let paths = PathMap::none();
    let target = Target {
        env,
        id,
        cwd: Path::new(cwd),
        paths: &paths,
        source: &session.head,
        options: &options,
        existing: None,
        still_at: None,
    };
    let layout = Codex.place_native(&target, session.payload.files()).expect("a place");
    let files = layout.files.iter().map(|file| {
        let OutSource::Native(at) = file.source else { panic!("{file:?}") };
        assert_eq!(file.growth, Growth::Append);
        let mut out = Vec::new();
        let input = session.payload.open(at).expect("a file");
        Codex.relocate(&target, &session.payload.files()[at], input, &mut out).expect("memory");
        out
    });
    let files = files.collect();
    (layout, files)
}

/// Which members of which records differ, and how often.
fn changes(old: &[u8], new: &[u8]) -> BTreeMap<String, usize> {
    let (old, new): (Vec<_>, Vec<_>) =
        (old.split(|byte| *byte == b'\n').collect(), new.split(|byte| *byte == b'\n').collect());
    assert_eq!(old.len(), new.len());
    let mut changes = BTreeMap::new();
    for (old, new) in old.iter().zip(new).filter(|(old, new)| *old != new) {
        let [old, new]: [Value; 2] = [old, new].map(|line| serde_json::from_slice(line).expect("JSON"));
        let kind = format!(
            "{}{}",
            old["type"].as_str().expect("a type"),
            old["payload"]["type"].as_str().map(|kind| format!("/{kind}")).unwrap_or_default()
        );
        differ(&old["payload"], &new["payload"], &kind, &mut changes);
    }
    changes
}

fn differ(old: &Value, new: &Value, path: &str, changes: &mut BTreeMap<String, usize>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            assert!(old.keys().eq(new.keys()), "{path}");
            old.iter().for_each(|(key, value)| differ(value, &new[key], &format!("{path}.{key}"), changes));
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{path}");
            old.iter().zip(new).for_each(|(old, new)| differ(old, new, &format!("{path}[]"), changes));
        }
        (old, new) if old != new => *changes.entry(path.to_owned()).or_default() += 1,
        _ => {}
    }
}

const CASES: [(&str, &str); 12] = [
    ("tools", ""),
    ("compact", ""),
    ("chat", ""),
    ("image", ""),
    ("tui", ""),
    ("archived", ""),
    ("packed", ""),
    ("fork", "e1e7"),
    ("subagent-v2", "2b7f"),
    ("old-0.60.1", ""),
    ("old-0.100.0", ""),
    ("codex-own-claude-import", ""),
];

#[test]
fn in_the_same_place_every_byte_stays() {
    let (_dir, env) = machine(FAKE);
    for (case, part) in CASES {
        let session = opened(case, part);
        let (_, files) = moved(&env, &session, &session.head.id, OLD);
        for (at, file) in files.iter().enumerate() {
            assert!(*file == bytes(&session, at), "{case} {at}");
        }
    }
}

#[test]
fn in_another_place_only_the_declared_paths_change() {
    let (_dir, env) = machine(FAKE);
    let mut all = BTreeMap::new();
    for (case, part) in CASES {
        let session = opened(case, part);
        let (_, files) = moved(&env, &session, &session.head.id, NEW);
        let mut here = BTreeMap::new();
        for (at, file) in files.iter().enumerate() {
            for (path, count) in changes(&bytes(&session, at), file) {
                *here.entry(path).or_insert(0) += count;
            }
        }
        all.insert(case, here);
    }
    insta::assert_debug_snapshot!(all["tools"], @r#"
    {
        "event_msg/thread_settings_applied.thread_settings.cwd": 1,
        "event_msg/thread_settings_applied.thread_settings.runtime_workspace_roots[]": 1,
        "session_meta.cwd": 1,
        "session_meta.runtime_workspace_roots[]": 1,
        "turn_context.cwd": 1,
    }
    "#);
    insta::assert_debug_snapshot!(all["old-0.60.1"], @r#"
    {
        "session_meta.cwd": 1,
        "turn_context.cwd": 3,
    }
    "#);
    for (case, paths) in all {
        let known = |path: &String| path.ends_with(".cwd") || path.ends_with(".runtime_workspace_roots[]");
        assert!(paths.keys().all(known) && paths.contains_key("session_meta.cwd"), "{case} {paths:?}");
    }
}

#[test]
fn sandbox_paths_move_too() {
    let (_dir, env) = machine(FAKE);
    let line = format!(
        r#"{{"timestamp":"t","type":"turn_context","payload":{{"cwd":"{OLD}","sandbox_policy":{{"type":"workspace-write","writable_roots":["{OLD}\/sub","/var/x"],"n":26.0}},"permission_profile":{{"file_system":{{"entries":[{{"path":{{"type":"path","path":"{OLD}/.git"}},"access":"read"}}]}}}},"text":"{OLD}"}}}}"#
    );
    let head = Head { id: COPY.into(), cwd: Some(OLD.into()), ..Head::default() };
    let (options, paths) = (WriteOptions::default(), PathMap::none());
    let target = Target {
        env: &env,
        id: COPY,
        cwd: Path::new("/new"),
        paths: &paths,
        source: &head,
        options: &options,
        existing: None,
        still_at: None,
    };
    let meta = FileMeta { role: Role::Transcript, path: "x".into(), size: 0, modified: None, agent: None };
    let mut out = Vec::new();
    Codex.relocate(&target, &meta, Box::new(std::io::Cursor::new(line)), &mut out).expect("memory");
    insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r#"{"timestamp":"t","type":"turn_context","payload":{"cwd":"/new","sandbox_policy":{"type":"workspace-write","writable_roots":["/new/sub","/var/x"],"n":26.0},"permission_profile":{"file_system":{"entries":[{"path":{"type":"path","path":"/new/.git"},"access":"read"}]}},"text":"/home/dev/proj"}}"#);
}

#[test]
fn a_copy_has_ids_of_its_own_and_so_have_its_sub_agents() {
    let (_dir, env) = machine(FAKE);
    for (case, part) in [("subagent-v1", "2811"), ("subagent-v2", "2b7f"), ("old-0.125.0", "")] {
        let session = opened(case, part);
        let (layout, files) = moved(&env, &session, COPY, OLD);
        let child = session.payload.files().iter().find_map(|file| file.agent.clone());
        for ((at, file), out) in files.iter().enumerate().zip(&layout.files) {
            let text = String::from_utf8_lossy(file);
            for field in ["\"id\":\"", "\"session_id\":\"", "\"thread_id\":\"", "\"parent_thread_id\":\""] {
                for old in
                    [Some(&session.head.id), child.as_ref().map(|child| &child.id)].into_iter().flatten()
                {
                    // What an item says of other threads is text of the past.
                    let said = text.lines().filter(|line| !line.contains("receiver_agents"));
                    assert!(
                        said.into_iter().all(|line| !line.contains(&format!("{field}{old}"))),
                        "{case} {field}"
                    );
                }
            }
            let first = text.lines().next().expect("a record");
            let id = if at == 0 {
                COPY
            } else {
                first.split("\"id\":\"").nth(1).expect("an id").split('"').next().expect("an id")
            };
            assert!(out.path.to_string_lossy().ends_with(&format!("{id}.jsonl")), "{out:?}");
            assert!(first.contains(COPY), "{first}");
        }
    }
}

#[test]
fn a_provider_that_is_not_configured_gives_way() {
    for (config, expected) in [("", "openai"), ("model_provider = \"mine\"", "mine"), (FAKE, "fake")] {
        let (_dir, env) = machine(config);
        let session = opened("tools", "");
        let (_, files) = moved(&env, &session, &session.head.id, OLD);
        let text = String::from_utf8_lossy(&files[0]).into_owned();
        assert!(text.contains(&format!("\"model_provider\":\"{expected}\"")), "{config}");
        let settings: Vec<&str> =
            text.lines().filter(|line| line.contains("thread_settings_applied")).collect();
        let named = format!("\"model_provider_id\":\"{expected}\"");
        assert!(!settings.is_empty() && settings.iter().all(|line| line.contains(&named)), "{config}");
    }
}

#[test]
fn dated_and_archived_places_stay_and_names_follow() {
    let (dir, env) = machine(FAKE);
    let place = |case: &str, id: Option<&str>| {
        let session = opened(case, "");
        let (layout, _) = moved(&env, &session, id.unwrap_or(&session.head.id), NEW);
        let path =
            layout.files[0].path.strip_prefix(dir.path()).expect("below home").to_string_lossy().into_owned();
        (path, layout.files[0].modified.map(time::rfc3339), layout.lines)
    };
    let (path, modified, lines) = place("archived", None);
    assert_eq!(
        path,
        ".codex/archived_sessions/rollout-2026-11-20T11-19-51-01a1f8af-2a19-7902-96d1-a24f26e7e527.jsonl"
    );
    assert_eq!(modified.as_deref(), Some("2026-11-20T11:19:52.262Z"));
    assert!(lines.is_empty());
    let (path, _, lines) = place("tui", Some(COPY));
    assert_eq!(path, format!(".codex/sessions/2026/11/20/rollout-2026-11-20T11-30-02-{COPY}.jsonl"));
    let line = &lines[0];
    assert_eq!(
        line.line,
        format!(r#"{{"id":"{COPY}","thread_name":"Given title","updated_at":"2026-11-20T11:30:18.313Z"}}"#)
    );
    assert_eq!(line.lock.as_deref(), Some(dir.path().join(".codex/session_index.jsonl.lock").as_path()));
}

#[test]
fn a_hostile_archive_cannot_choose_the_place() {
    let (dir, env) = machine(FAKE);
    let head = Head { id: COPY.into(), created: time::parse("2026-01-02T03:04:05Z"), ..Head::default() };
    let (options, paths) = (WriteOptions::default(), PathMap::none());
    let target = Target {
        env: &env,
        id: COPY,
        cwd: Path::new("/new"),
        paths: &paths,
        source: &head,
        options: &options,
        existing: None,
        still_at: None,
    };
    let file = |role, path: &str, agent: Option<&str>| {
        let agent = agent.map(|id| Agent { id: id.into(), ..Agent::default() });
        Codex.place_native(&target, &[FileMeta { role, path: path.into(), size: 0, modified: None, agent }])
    };
    let id = "01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1";
    for path in [
        format!("sessions/2026/11/../rollout-2026-11-20T11-19-52-{id}.jsonl"),
        format!("../sessions/2026/11/20/rollout-2026-11-20T11-19-52-{id}.jsonl"),
        format!("/sessions/2026/11/20/rollout-2026-11-20T11-19-52-{id}.jsonl"),
        format!("sessions/2026/11/20/rollout-..\\..\\x-{id}.jsonl"),
        format!("sessions/2026/11/2\u{660}/rollout-2026-11-20T11-19-52-{id}.jsonl"),
        "config.toml".to_owned(),
        String::new(),
    ] {
        let layout = file(Role::Transcript, &path, None).expect("a place of our own");
        let expected =
            dir.path().join(format!(".codex/sessions/2026/01/02/rollout-2026-01-02T03-04-05-{COPY}.jsonl"));
        assert_eq!(layout.files[0].path, expected, "{path}");
    }
    assert!(file(Role::Subagent, "x", Some("../../x")).is_err());
    assert!(file(Role::Subagent, "x", None).is_err());
    assert!(file(Role::Attachment, "config.toml", None).is_err());
    assert!(!Codex.valid_id("../../x") && Codex.valid_id(id) && !Codex.valid_id(&format!("{id}/")));
}

#[test]
fn odd_bytes_pass_through_a_move() {
    let (_dir, env) = machine("");
    let meta = format!(
        "\u{feff}{{\"timestamp\":\"t\",\"type\":\"session_meta\",\"payload\":{{\"id\":\"{COPY}\",\"cwd\":\"{OLD}\",\"model_provider\":\"openai\"}}}}\r\n"
    );
    let rest = [
        "\r\n\n{broken\n".as_bytes(),
        b"\xff\xfe bytes\n",
        format!("{{\"type\":\"turn_context\",\"payload\":\"{}\"}}\n", "y".repeat(600 << 10)).as_bytes(),
        format!("{{\"timestamp\":\"t\",\"type\":\"event_msg\",\"payload\":{{\"type\":\"x\",\"cwd\":\"{OLD}\",\"t\":\"{}\"}}}}\n", "z".repeat(900 << 10)).as_bytes(),
        b"{\"timestamp\":\"t\",\"type\":\"turn_context\",\"payload\":{\"cwd\":\"/home/dev/proj\"}}\n",
        b"{\"timestamp\":\"t\",\"type\":\"turn_context\",\"payload\":{\"cwd\":\"/home/dev/proj\"}}",
    ]
    .concat();
    let head = Head { id: COPY.into(), cwd: Some(OLD.into()), ..Head::default() };
    let (options, paths) = (WriteOptions::default(), PathMap::none());
    let target = Target {
        env: &env,
        id: COPY,
        cwd: Path::new("/n"),
        paths: &paths,
        source: &head,
        options: &options,
        existing: None,
        still_at: None,
    };
    let file = FileMeta { role: Role::Transcript, path: "x".into(), size: 0, modified: None, agent: None };
    let mut out = Vec::new();
    let input = [meta.as_bytes(), &rest].concat();
    Codex.relocate(&target, &file, Box::new(std::io::Cursor::new(input)), &mut out).expect("memory");
    let changed = String::from_utf8_lossy(&out).matches("\"cwd\":\"/n\"").count();
    assert_eq!(changed, 3);
    let back = String::from_utf8_lossy(&out).replace("\"cwd\":\"/n\"", "\"cwd\":\"/home/dev/proj\"");
    let original = String::from_utf8_lossy(&[meta.as_bytes(), &rest].concat()).into_owned();
    assert!(back == original);
}
