//! `session_index.jsonl`: the names that users gave their threads. The last line of a thread wins.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::native::IndexLine;
use super::record;
use crate::error::{Error, IoContext, Result};
use crate::harness::OutLine;
use crate::model::{Time, time};

/// Its name, below the data directory.
pub const FILE: &str = "session_index.jsonl";

/// More is not read; a line has some 130 bytes.
const LIMIT: u64 = 64 << 20;

/// The line of the index that holds for a thread.
///
/// # Errors
/// When the index exists and cannot be read.
pub fn line(home: &Path, id: &str) -> Result<Option<String>> {
    let path = home.join(FILE);
    let mut bytes = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(LIMIT).read_to_end(&mut bytes).at("read", &path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", &path, error)),
    };
    // Forwards, because only that search is a fast one.
    let matches: Vec<usize> = memchr::memmem::find_iter(&bytes, id.as_bytes()).collect();
    for at in matches.into_iter().rev() {
        let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
        let stop = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |newline| at + newline);
        let mut fixed = Vec::new();
        if record::parse::<IndexLine<'_>>(&bytes[start..stop], &mut fixed).is_some_and(|line| line.id == id) {
            return Ok(std::str::from_utf8(&bytes[start..stop]).ok().map(str::to_owned));
        }
    }
    Ok(None)
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
