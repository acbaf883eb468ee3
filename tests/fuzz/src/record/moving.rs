//! A session for another directory: only the fields change that the format declares.

use std::io::Cursor;

use holdall::harness::Harness;
use holdall::model::ids;
use serde_json::Value;

use super::{HERE, Session, THERE, at, head};

/// Moves a file there, back, and there and back again; `keeps_id`: under its own id.
pub fn check(session: &Session<'_>, keeps_id: bool) {
    let harness = session.harness;
    let (old, new) =
        (super::id(harness), harness.id_from(ids::derived(&["fuzz", "copy", harness.info().id])));
    let new = if keeps_id { &old } else { &new };
    if session.meta.path.ends_with(".json") && std::str::from_utf8(session.content).is_err() {
        // One document: refused as a whole, with a reason.
        return;
    }
    let there = moved(session, session.content, (THERE, &old), (HERE, new));
    assert_eq!(there, moved(session, session.content, (THERE, &old), (HERE, new)), "it comes out the same");
    only_places(harness, &session.meta.path, session.content, &there);
    if keeps_id {
        // The first time may write a path in its shortest form, and the record on fewer lines.
        let back = moved(session, &there, (HERE, &old), (THERE, &old));
        let again = moved(session, &back, (THERE, &old), (HERE, &old));
        let back_again = moved(session, &again, (HERE, &old), (THERE, &old));
        assert_eq!(text(&back_again), text(&back), "there and back is where it was");
    }
}

/// The file for `to`, coming from `from`: each a directory and an id.
pub fn moved(session: &Session<'_>, content: &[u8], from: (&str, &str), to: (&str, &str)) -> Vec<u8> {
    let mut source = head(session.harness, from.0);
    source.id = from.1.to_owned();
    let mut out = Vec::new();
    at(&source, to.1, to.0, |target| {
        let input = Box::new(Cursor::new(content));
        let mut meta = session.meta.clone();
        meta.size = content.len() as u64;
        session.harness.relocate(target, &meta, input, &mut out).expect("memory can be read and written");
    });
    out
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Where records may change, `*` for any name or index and `**` for whatever follows.
fn places(harness: &str, path: &str) -> &'static [&'static str] {
    match harness {
        "claude" => &[
            "cwd",
            "relocatedCwd",
            "sessionId",
            "session_id",
            "backup/realParentDir",
            "snapshot/trackedFileBackups/*/realParentDir",
            "toolUseResult/persistedOutputPath",
        ],
        "codex" => &[
            "payload/cwd",
            "payload/id",
            "payload/session_id",
            "payload/thread_id",
            "payload/parent_thread_id",
            "payload/source/subagent/thread_spawn/parent_thread_id",
            "payload/model_provider",
            "payload/runtime_workspace_roots/**",
            "payload/sandbox_policy/**",
            "payload/permission_profile/**",
            "payload/file_system_sandbox_policy/**",
            "payload/thread_settings/cwd",
            "payload/thread_settings/model_provider_id",
            "payload/thread_settings/runtime_workspace_roots/**",
            "payload/thread_settings/sandbox_policy/**",
            "payload/thread_settings/permission_profile/**",
            "payload/thread_settings/file_system_sandbox_policy/**",
        ],
        "gemini" => &[
            "projectHash",
            "sessionId",
            "directories/**",
            "$set/projectHash",
            "$set/sessionId",
            "$set/directories/**",
        ],
        _ if path.ends_with("session.json") => &[
            "info/id",
            "info/projectID",
            "info/directory",
            "info/path",
            "info/parentID",
            "info/share",
            "info/workspaceID",
            "info/revert/**",
            "info/model/**",
        ],
        _ => &[
            "info/path/cwd",
            "info/path/root",
            "info/id",
            "info/sessionID",
            "info/parentID",
            "parts/*/id",
            "parts/*/sessionID",
            "parts/*/messageID",
            "parts/*/tail_start_id",
            "parts/*/state/attachments/*/id",
            "parts/*/state/attachments/*/sessionID",
            "parts/*/state/attachments/*/messageID",
            "parts/*/state/metadata/sessionId",
            "parts/*/state/metadata/parentSessionId",
        ],
    }
}

/// Nothing else changed: records are compared one by one, and all bytes that are in none.
pub fn only_places(harness: &dyn Harness, path: &str, before: &[u8], after: &[u8]) {
    let allowed = places(harness.info().id, path);
    if path.ends_with(".json") {
        // What has no `info` is no session, and comes out as one that has none.
        let json = serde_json::from_slice::<Value>(before);
        if json.is_ok_and(|json| json["info"].is_object()) {
            record(allowed, before, after);
        }
        return;
    }
    let (mut old, mut new) = (before.split(|byte| *byte == b'\n'), after.split(|byte| *byte == b'\n'));
    if harness.info().id == "gemini" {
        // A session of earlier versions becomes a log of one line, and every line has an end.
        let is_document = !before.trim_ascii().is_empty() && lines(after) != lines(before);
        if is_document {
            return;
        }
    } else {
        assert_eq!(lines(before), lines(after), "as many lines as before");
    }
    while let (Some(old), Some(new)) = (old.next(), new.next()) {
        record(allowed, old, new);
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').count()
}

fn record(allowed: &[&str], before: &[u8], after: &[u8]) {
    if before == after {
        return;
    }
    // What is no JSON after all is nothing to compare; the byte order mark of a file is no JSON.
    let parsed = |bytes: &[u8]| {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        serde_json::from_slice::<Value>(bytes[zeros..].trim_ascii())
    };
    if let (Ok(before), Ok(after)) = (parsed(before), parsed(after)) {
        compare(allowed, &mut Vec::new(), &before, &after);
    }
}

fn compare(allowed: &[&str], at: &mut Vec<String>, before: &Value, after: &Value) {
    if before == after || allowed.iter().any(|pattern| matches(pattern, at)) {
        return;
    }
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, old) in before {
                at.push(name.clone());
                compare(allowed, at, old, after.get(name).unwrap_or(&Value::Null));
                at.pop();
            }
            for (name, new) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                at.push(name.clone());
                compare(allowed, at, &Value::Null, new);
                at.pop();
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                at.push(index.to_string());
                compare(allowed, at, old, new);
                at.pop();
            }
        }
        _ => panic!("{} changed from {before} to {after}", at.join("/")),
    }
}

fn matches(pattern: &str, at: &[String]) -> bool {
    let mut parts = pattern.split('/');
    for name in at {
        match parts.next() {
            Some("**") => return true,
            Some("*") => {}
            Some(part) if part == name => {}
            _ => return false,
        }
    }
    matches!(parts.next(), None | Some("**"))
}
