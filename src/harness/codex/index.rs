//! `session_index.jsonl`: the names that users gave their threads. The last line of a thread wins.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::filter::digest;
use super::native::IndexLine;
use super::record;
use crate::error::{Error, IoContext, Result};
use crate::harness::OutLine;
use crate::model::{Time, time};

/// Its name, below the data directory.
pub const FILE: &str = "session_index.jsonl";

/// More is not read; a line has some 130 bytes.
const LIMIT: u64 = 64 << 20;

/// The index as it was read last: a list of thousands of threads asks for each of them.
static LAST: Mutex<Option<Arc<Index>>> = Mutex::new(None);

/// An index.
struct Index {
    path: PathBuf,
    state: State,
    bytes: Vec<u8>,
    /// Where the lines begin that name a thread, by a digest of its id, in their order.
    lines: HashMap<u64, Vec<u32>>,
}

/// What tells whether a file is still the one that was read.
#[derive(PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Index {
    /// The index at `path`; `None`: there is none.
    fn of(path: &Path) -> Result<Option<Arc<Self>>> {
        let meta = match path.metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let state = State { bytes: meta.len(), modified: meta.modified().ok() };
        // A reader that panicked left what it had read before.
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = last.as_ref().filter(|index| index.path == path && index.state == state) {
            return Ok(Some(index.clone()));
        }
        let mut bytes = Vec::with_capacity(meta.len().min(LIMIT) as usize);
        File::open(path).at("open", path)?.take(LIMIT).read_to_end(&mut bytes).at("read", path)?;
        let index = Arc::new(Self { path: path.to_owned(), state, lines: Self::lines(&bytes), bytes });
        *last = Some(index.clone());
        Ok(Some(index))
    }

    fn lines(bytes: &[u8]) -> HashMap<u64, Vec<u32>> {
        let mut lines: HashMap<u64, Vec<u32>> = HashMap::new();
        let mut start = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut fixed = Vec::new();
            if let Some(parsed) = record::parse::<IndexLine<'_>>(line, &mut fixed) {
                lines.entry(digest(&parsed.id)).or_default().push(start);
            }
            start += u32::try_from(line.len()).unwrap_or(u32::MAX);
        }
        lines
    }

    fn line(&self, id: &str) -> Option<&str> {
        self.lines.get(&digest(id))?.iter().rev().find_map(|start| {
            let rest = &self.bytes[*start as usize..];
            let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
            let mut fixed = Vec::new();
            record::parse::<IndexLine<'_>>(line, &mut fixed).filter(|parsed| parsed.id == id)?;
            std::str::from_utf8(line).ok()
        })
    }
}

/// The line of the index that holds for a thread.
///
/// # Errors
/// When the index exists and cannot be read.
pub fn line(home: &Path, id: &str) -> Result<Option<String>> {
    let index = Index::of(&home.join(FILE))?;
    Ok(index.and_then(|index| index.line(id).map(str::to_owned)))
}

/// The name in a line of the index.
pub fn name(line: &str) -> Option<String> {
    let mut fixed = Vec::new();
    let line: IndexLine<'_> = record::parse(line.as_bytes(), &mut fixed)?;
    Some(line.thread_name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The line that gives a thread its name, appended under the lock that Codex takes.
pub fn entry(home: &Path, id: &str, name: &str, updated: Time) -> OutLine {
    let updated = time::rfc3339(updated);
    let line = IndexLine { id: id.into(), thread_name: name.into(), updated_at: updated.into() };
    let line = serde_json::to_string(&line).expect("three texts are always JSON");
    OutLine { path: home.join(FILE), line, lock: Some(home.join(format!("{FILE}.lock"))), keep_while: None }
}

/// Whether the path of a payload file is that of the index.
pub fn is_index(path: &str) -> bool {
    path == FILE
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1";

    #[test]
    fn the_last_line_of_a_thread_wins() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(line(dir.path(), A).expect("a missing index is empty"), None);
        let other = "01a1f8af-0000-7000-8000-000000000000";
        let text = format!(
            "{{\"id\":\"{A}\",\"thread_name\":\"one\",\"updated_at\":\"x\"}}\n\
             {{\"id\":\"{A}\",\"thread_name\":\" two \",\"updated_at\":\"x\"}}\n\
             {{\"id\":\"{other}\",\"thread_name\":\"about {A}\",\"updated_at\":\"x\"}}\nbroken {A}"
        );
        #[allow(clippy::disallowed_methods)]
        std::fs::write(dir.path().join(FILE), text).expect("a file");
        let found = line(dir.path(), A).expect("readable").expect("a line");
        assert_eq!(name(&found).as_deref(), Some("two"));
        assert_eq!(line(dir.path(), "01a1").expect("readable"), None);
    }

    #[test]
    fn a_written_line_reads_back() {
        let time = time::parse("2026-01-02T03:04:05.678Z").expect("a time");
        let entry = entry(Path::new("/h"), A, "a \"name\"", time);
        assert_eq!(name(&entry.line).as_deref(), Some("a \"name\""));
        assert!(entry.line.contains("2026-01-02T03:04:05.678Z"));
        assert_eq!(entry.lock.as_deref(), Some(Path::new("/h/session_index.jsonl.lock")));
    }
}
