//! Tests of the adapter as a whole: with recorded sessions, with odd input, and with what it
//! writes itself.

// A test lays out stores of its own, in temporary directories.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::Gemini;
use crate::env::Env;
use crate::error::Result;
use crate::harness::common::outline::{self, assistant, call, codes, line, said, user};
use crate::harness::{Found, Harness, Target, WriteOptions};
use crate::model::event::{Media, MediaData};
use crate::model::{
    Event, EventKind, FileMeta, Head, Notes, Part, Payload, ReadSeek, Role, ToolStatus, View, time,
};
use crate::place::PathMap;

mod log;
mod moving;
mod recorded;
mod store;
mod writing;

const ID: &str = "d5d96617-6724-4228-ad6a-90e3e7b02999";

/// A payload in memory.
struct Memory {
    metas: Vec<FileMeta>,
    bytes: Vec<Vec<u8>>,
}

impl Memory {
    /// A session whose transcript is this.
    fn transcript(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let path = "tmp/app/chats/session-2026-11-20T11-08-d5d96617.jsonl".to_owned();
        let size = bytes.len() as u64;
        let meta = FileMeta { role: Role::Transcript, path, size, modified: None, agent: None };
        Self { metas: vec![meta], bytes: vec![bytes] }
    }

    fn read(&self, view: View) -> (String, Notes) {
        outline(self, 0, view)
    }
}

impl Payload for Memory {
    fn files(&self) -> &[FileMeta] {
        &self.metas
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        Ok(Box::new(Cursor::new(&self.bytes[index])))
    }
}

/// The header of a session.
fn header() -> String {
    format!(
        "{{\"sessionId\":\"{ID}\",\"projectHash\":\"x\",\"startTime\":\"2026-11-20T11:08:11.762Z\",\"kind\":\"main\"}}\n"
    )
}

fn sessions(env: &Env) -> Vec<Found> {
    let mut all = Vec::new();
    Gemini.scan(env, &mut |found| all.push(found)).expect("the store is there");
    all
}

/// Writes a file below a home, with the directories above it.
fn lay(home: &Path, path: &str, text: &str) -> PathBuf {
    let path = home.join(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(&path, text).expect("a file");
    path
}

/// The events of a transcript, a line each.
fn outline(payload: &dyn Payload, file: usize, view: View) -> (String, Notes) {
    outline::outline(&Gemini, payload, file, view)
}
