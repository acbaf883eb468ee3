//! Where the sessions are, and which of several files with one session counts.
//!
//! Gemini CLI 0.61 lists `tmp/<project>/chats/session-*.json` and `.jsonl`. The name has only the
//! first eight characters of the id, so the beginning of each file is read for the rest. There may be
//! several files of one session: a resume makes one that has nothing of the conversation in it, an
//! update copied the sessions of old project directories into new ones. The program takes the one
//! that was updated last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::native;
use super::{head, projects};
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::Found;
use crate::harness::common::directory::entries;
use crate::harness::common::stretch::Stretch;

/// The first record of a session has some 250 bytes.
const HEADER: usize = 4 << 10;
const HEADER_LIMIT: usize = 64 << 10;

/// The data directory: `.gemini` in `$GEMINI_CLI_HOME`, else in the home directory.
pub fn data_dir(env: &Env) -> PathBuf {
    env.dir("GEMINI_CLI_HOME", "").join(".gemini")
}

/// Whether `id` may be the id of a session. The program takes any text; what it makes itself and what
/// `--session-id` takes is this.
pub fn valid_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && !id.starts_with('-')
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a file of this name in `chats` is a session to the program.
pub fn is_session(name: &str) -> bool {
    name.starts_with("session-") && (name.ends_with(".json") || name.ends_with(".jsonl"))
}

/// The tag of a file that `/chat save` wrote.
pub fn checkpoint_tag(name: &str) -> Option<&str> {
    name.strip_prefix("checkpoint-")?.strip_suffix(".json")
}

/// Delivers every session once.
///
/// # Errors
/// When a directory or file cannot be read; after all that can be was delivered.
pub fn scan(env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
    let mut files = Vec::new();
    for project in entries(&data_dir(env).join("tmp"))?.into_iter().filter(|project| project.is_dir) {
        let chats = entries(&project.path.join("chats"))?;
        files.extend(chats.into_iter().filter(|file| file.is_file && is_session(&file.name)));
    }
    let all: Vec<Result<Option<Found>>> = files.par_iter().map(|file| in_store(&file.path)).collect();
    let mut sessions: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    let mut refused = None;
    for file in all {
        match file {
            Ok(file) => file.into_iter().for_each(|file| {
                sessions.entry(file.id.clone()).or_default().push(file);
            }),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    for files in sessions.into_values() {
        match newest(env, files) {
            Ok(newest) => found(newest),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The session in a file; `None` when there is none that the program would list.
///
/// # Errors
/// When the file cannot be read.
pub fn in_store(path: &Path) -> Result<Option<Found>> {
    let there = header(path).and_then(|header| Ok((header, fs::symlink_metadata(path)?)));
    let (header, meta) = match there {
        Ok((Some(header), meta)) => (header, meta),
        Ok((None, _)) => return Ok(None),
        // A file that goes away meanwhile is no error.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    if native::text(header.kind.as_deref()).is_some_and(|kind| kind == "subagent") {
        return Ok(None);
    }
    let id = native::text(header.session_id.as_deref()).filter(|id| !id.is_empty());
    let Some(id) = id.map(|id| id.into_owned()) else { return Ok(None) };
    let modified = meta.modified().at("look at", path)?;
    Ok(Some(Found { id, path: path.to_owned(), bytes: Some(meta.len()), modified, head: None, stamp: None }))
}

/// Of several files of one session, the one that the program takes.
///
/// # Errors
/// When one of them cannot be read: it may be the one.
fn newest(env: &Env, mut files: Vec<Found>) -> Result<Found> {
    if files.len() == 1 {
        return Ok(files.remove(0));
    }
    let rank = |file: &Found| {
        let head = match head::head(env, file) {
            Err(error) if error.kind() == Kind::Io => return Err(error),
            head => head.ok().flatten(),
        };
        let dir = project_dir(&file.path).unwrap_or_default();
        Ok((head.is_some(), head.and_then(|head| head.updated), !projects::is_hash(&dir)))
    };
    let mut best = 0;
    let ranks: Vec<_> = files.iter().map(rank).collect::<Result<_>>()?;
    for place in 1..files.len() {
        if ranks[place] > ranks[best] {
            best = place;
        }
    }
    Ok(files.swap_remove(best))
}

/// The name of the project directory that a file in `chats` is in.
pub fn project_dir(path: &Path) -> Option<String> {
    let dir = path.parent()?;
    let dir = if dir.file_name()? == "chats" { dir.parent()? } else { dir };
    dir.file_name()?.to_str().map(str::to_owned)
}

/// The beginning of a header.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(default)]
    session_id: Option<Box<serde_json::value::RawValue>>,
    #[serde(default)]
    kind: Option<Box<serde_json::value::RawValue>>,
}

/// The header of a session, from the first bytes of its file.
fn header(path: &Path) -> io::Result<Option<Header>> {
    let file = File::open(path)?;
    let mut limit = HEADER;
    loop {
        let bytes = Stretch::of(&file, 0, limit)?;
        let line = memchr::memchr(b'\n', &bytes).map_or(&*bytes, |at| &bytes[..at]);
        if let Ok(header) = serde_json::from_slice::<Header>(line)
            && header.session_id.is_some()
        {
            return Ok(Some(header));
        }
        if let Some(header) = cut_header(&bytes) {
            return Ok(Some(header));
        }
        if bytes.len() < limit || limit >= HEADER_LIMIT {
            return Ok(None);
        }
        limit = HEADER_LIMIT;
    }
}

/// The header at the beginning of one large object, as earlier versions wrote it.
fn cut_header(bytes: &[u8]) -> Option<Header> {
    let mut header = Header { session_id: None, kind: None };
    let mut walker = super::walk::Walker::document(bytes);
    walker.space().ok()?;
    // It ends where the bytes end: what was met until then counts.
    let _ = walker.object(&mut |walker, key| {
        let value = walker.text(HEADER)?.and_then(|json| serde_json::from_str(&json).ok());
        match key {
            "sessionId" => header.session_id = value,
            "kind" => header.kind = value,
            _ => {}
        }
        Ok(())
    });
    header.session_id.is_some().then_some(header)
}

/// `path` relative to the data directory, with `/` between components.
pub fn relative(data: &Path, path: &Path) -> String {
    let below = path.strip_prefix(data).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}
