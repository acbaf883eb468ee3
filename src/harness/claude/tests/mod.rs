//! Tests of the adapter as a whole: with recorded sessions, with odd input, and with what it
//! writes itself.

// A test lays out stores of its own, in temporary directories.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::Claude;
use crate::env::Env;
use crate::error::Result;
use crate::harness::common::outline::{self, assistant, call, codes, line, parts, said, user};
use crate::harness::{Found, Harness, OutSource, Target, WriteOptions};
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::{
    Event, EventKind, FileMeta, Head, Notes, Part, Payload, ReadSeek, Role, ToolKind, View, time,
};
use crate::place::PathMap;

mod branches;
mod moving;
mod odd;
mod recorded;
mod writing;

/// The recorded homes, by the version that made them. Texts of the program are cut to `[trimmed]`.
const HOMES: &[&str] = &["v2.1.197-interactive", "v2.1.197-print", "v2.1.329-interactive", "v2.1.329-print"];

const ID: &str = "bcc7990e-f6f3-4a02-a55d-952d54107259";

/// A machine whose store is a recorded one.
fn recorded(home: &str) -> Env {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/claude").join(home);
    Env::isolated("/nowhere").with_var("CLAUDE_CONFIG_DIR", dir)
}

fn sessions(env: &Env) -> Vec<Found> {
    let mut all = Vec::new();
    Claude.scan(env, &mut |found| all.push(found)).expect("the store is there");
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// A payload in memory.
struct Memory {
    metas: Vec<FileMeta>,
    bytes: Vec<Vec<u8>>,
}

impl Memory {
    /// A session whose transcript is this.
    fn transcript(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let path = format!("projects/-p/{ID}.jsonl");
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

/// The events of a transcript, a line each.
fn outline(payload: &dyn Payload, file: usize, view: View) -> (String, Notes) {
    outline::outline(&Claude, payload, file, view)
}
