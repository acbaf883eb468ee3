//! The list's view of a session, and its events.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use holdall::harness::{Found, Harness};
use holdall::model::{Event, EventKind, Payload, View};

use super::{Session, id, machine};

/// Reads a transcript twice in each view.
pub fn check(session: &Session<'_>) {
    list(session);
    let payload = session.payload();
    for view in [View::Model, View::Full] {
        let first = events(session.harness, &payload, view);
        assert_eq!(first, events(session.harness, &payload, view), "it reads the same each time");
    }
}

/// What was read of a transcript.
#[derive(Debug, PartialEq)]
pub struct Read {
    /// The events, a line each, and the notes.
    pub lines: Vec<String>,
    /// Results whose call did not come before them: it may be lost, and what is left is still told.
    pub orphans: usize,
}

/// The events of a payload's first file, with what has to hold for them.
pub fn events(harness: &dyn Harness, payload: &dyn Payload, view: View) -> Read {
    let size = payload.files()[0].size;
    let mut lines = Vec::new();
    let (mut calls, mut orphans) = (HashSet::new(), 0);
    let notes = harness.read(payload, 0, view, &mut |event: Event<'_>| {
        assert!(view == View::Full || event.in_model, "the model's view has what the model sees: {event:?}");
        let end = event.origin.offset.checked_add(event.origin.length).expect("a place in a file");
        assert!(end <= size, "{end} is beyond the file's end {size}: {event:?}");
        match &event.kind {
            EventKind::ToolCall { call_id, .. } => {
                assert!(calls.insert(call_id.to_string()), "{call_id:?} is the id of one call");
            }
            EventKind::ToolResult { call_id, .. } if !calls.contains(&**call_id) => orphans += 1,
            _ => {}
        }
        lines.push(format!("{event:?}"));
        Ok(())
    });
    lines.push(format!("{:?}", notes.expect("bytes in memory can be read")));
    Read { lines, orphans }
}

/// The head of a session, as the list reads it from the disk.
fn list(session: &Session<'_>) {
    if matches!(session.harness.info().id, "opencode" | "kilo") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let found = lay(session, dir.path().join(&session.meta.path));
    let head = session.harness.head(&machine(), &found).expect("a file can be read");
    assert_eq!(session.harness.head(&machine(), &found).ok(), Some(head.clone()));
    if let Some(head) = head {
        assert_eq!(head.harness, session.harness.info().id);
    }
}

/// A file that the user names, if the program can have exported it.
pub fn exported(session: &Session<'_>) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = lay(session, dir.path().join("exported.json")).path;
    let Some(found) = session.harness.in_file(&machine(), &file).expect("a file can be read") else { return };
    // It may end in the middle.
    let Ok(opened) = session.harness.open(&machine(), &found) else { return };
    assert_eq!(opened.head.harness, session.harness.info().id);
    for view in [View::Model, View::Full] {
        let first = events(session.harness, &*opened.payload, view);
        assert_eq!(first, events(session.harness, &*opened.payload, view), "it reads the same each time");
    }
}

fn lay(session: &Session<'_>, path: PathBuf) -> Found {
    fs::create_dir_all(path.parent().expect("it is in a directory")).expect("a directory");
    fs::write(&path, session.content).expect("a file");
    Found {
        id: id(session.harness),
        path,
        bytes: Some(session.content.len() as u64),
        modified: SystemTime::UNIX_EPOCH,
        head: None,
        stamp: None,
    }
}
