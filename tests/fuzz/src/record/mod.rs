//! Sessions of every harness, in their own form.
//!
//! The first byte of an input chooses the harness, the second which of its files the rest is, into
//! which other harness it is converted, and what is checked: everything, or one thing in less time.
//!
//! - [`reading`]: the list's view of a session, and its events
//! - [`moving`]: the session for another directory
//! - [`converting`]: the session for another harness

pub mod converting;
pub mod moving;
pub mod reading;

use holdall::env::Env;
use holdall::harness::common::files::{Files, Source};
use holdall::harness::{HARNESSES, Harness, Target, WriteOptions};
use holdall::model::{FileMeta, Head, Role, ids};
use holdall::place::PathMap;
use std::path::Path;

/// Where the recorded sessions in the fixtures were made.
pub const THERE: &str = "/home/dev/src/app";

/// Where they go.
pub const HERE: &str = "/nowhere/over/there";

/// Checks one input.
pub fn check(data: &[u8]) {
    let [harness, how, content @ ..] = data else { return };
    let harness = HARNESSES[usize::from(*harness) % HARNESSES.len()];
    let kind = if how & 1 == 0 { File::Transcript } else { File::Beside };
    let keeps_id = how & 2 == 0;
    let other = HARNESSES[usize::from(how >> 2 & 7) % HARNESSES.len()];
    let is_due = |check: u8| how >> 5 == 0 || (how >> 5) % 3 == check;
    let session = Session::new(harness, kind, content);
    if is_due(0) {
        match kind {
            File::Transcript => reading::check(&session),
            File::Beside => reading::exported(&session),
        }
    }
    if is_due(1) {
        moving::check(&session, keeps_id);
    }
    if is_due(2) && kind == File::Transcript {
        converting::check(&session, other);
    }
}

/// A file of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// The conversation.
    Transcript,
    /// Another one that is parsed: of opencode `session.json`, or what the program exported.
    Beside,
}

/// One file of a session, in memory.
pub struct Session<'a> {
    /// Whose it is.
    pub harness: &'static dyn Harness,
    /// The file.
    pub meta: FileMeta,
    /// Its bytes.
    pub content: &'a [u8],
}

impl<'a> Session<'a> {
    /// A file of a session of `harness`.
    pub fn new(harness: &'static dyn Harness, kind: File, content: &'a [u8]) -> Self {
        let id = id(harness);
        let path = match harness.info().id {
            "claude" => format!("projects/-home-dev-src-app/{id}.jsonl"),
            "codex" => format!("sessions/2026/11/20/rollout-2026-11-20T15-02-30-{id}.jsonl"),
            "gemini" => "tmp/app/chats/session-2026-11-20T11-08-d5d96617.jsonl".to_owned(),
            _ if kind == File::Beside => format!("session/{id}/session.json"),
            _ => format!("session/{id}/messages.jsonl"),
        };
        let (role, size) = (Role::Transcript, content.len() as u64);
        let meta = FileMeta { role, path, size, modified: None, agent: None };
        Self { harness, meta, content }
    }

    /// It as a payload.
    pub fn payload(&self) -> Files {
        let mut files = Files::default();
        files.push(self.meta.clone(), Source::Bytes(self.content.to_vec()));
        files
    }
}

/// The id of the session, in the form that its harness gives ids.
pub fn id(harness: &dyn Harness) -> String {
    match harness.info().id {
        "gemini" => "d5d96617-6724-4228-ad6a-90e3e7b02999".to_owned(),
        other => harness.id_from(ids::derived(&["fuzz", other])),
    }
}

/// A machine with nothing on it. The database that opencode and Kilo do not have here is in memory.
pub fn machine() -> Env {
    Env::isolated("/nowhere").with_var("OPENCODE_DB", ":memory:").with_var("KILO_DB", ":memory:")
}

/// Calls `with` with the place that a session has at `cwd` under `id`, coming from `source`.
pub fn at<T>(source: &Head, id: &str, cwd: &str, with: impl FnOnce(&Target<'_>) -> T) -> T {
    let (env, options, paths) = (machine(), WriteOptions::default(), PathMap::none());
    with(&Target {
        env: &env,
        id,
        cwd: Path::new(cwd),
        still_at: None,
        paths: &paths,
        source,
        options: &options,
        existing: None,
    })
}

/// A session of `harness` that was at `cwd`.
pub fn head(harness: &dyn Harness, cwd: &str) -> Head {
    Head {
        harness: harness.info().id.to_owned(),
        id: id(harness),
        cwd: Some(cwd.to_owned()),
        ..Head::default()
    }
}
