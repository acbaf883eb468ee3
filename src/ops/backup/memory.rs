//! What the last run into a directory saw, so that the next one need not read it all again.
//!
//! A file is taken for unchanged without reading it only when its device, inode, size, modification
//! time and change time (which no program can set) all are what they were when it was read, and it
//! had been at rest for two seconds then: within less, a file system may give two changes one time.
//! A session of a database is, when the database's files are as they were; or when the session's own
//! time of last activity is, and was a day old when it was read.
//!
//! It is a file in the state directory. Without it everything is read, and nothing else is lost.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::archive::hex;
use crate::env::Env;
use crate::error::{IoContext, Result};
use crate::harness::{Found, Stamp};
use crate::model::{FileMeta, Time};
use crate::txn;

const SCHEMA: &str = "holdall.backup-memory/1";

/// The program may go on for some time after it noted the last activity of a session.
const ANSWER: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// What was seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Memory {
    schema: String,
    /// The directory of the backups.
    dir: String,
    /// By session (`harness:id`) and native path.
    files: BTreeMap<String, BTreeMap<String, KnownFile>>,
    /// By session.
    rows: BTreeMap<String, KnownRows>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    stamp: String,
    size: u64,
    sha256: String,
}

/// A session of a database that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownRows {
    /// The files of the database; `None`: they were not at rest.
    stamp: Option<String>,
    /// Its last activity.
    updated: Option<Time>,
    /// When it was read.
    read: Time,
    /// The digest of its files.
    sha256: String,
}

impl Memory {
    /// What the last run into this directory saw; nothing when there was none.
    pub fn load(env: &Env, dir: &Path) -> Self {
        let new = Self::new(dir);
        let memory = fs::read(place(env, &new.dir)).ok();
        let memory = memory.and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        memory.filter(|memory| memory.schema == SCHEMA && memory.dir == new.dir).unwrap_or(new)
    }

    /// Nothing yet.
    pub fn new(dir: &Path) -> Self {
        Self { schema: SCHEMA.to_owned(), dir: dir.to_string_lossy().into_owned(), ..Self::default() }
    }

    /// Keeps it for the next run.
    ///
    /// # Errors
    /// When the state directory cannot be written.
    pub fn save(&self, env: &Env) -> Result<()> {
        let path = place(env, &self.dir);
        let json = serde_json::to_vec(self).unwrap_or_default();
        if fs::read(&path).is_ok_and(|before| before == json) {
            return Ok(());
        }
        path.parent().map_or(Ok(()), txn::scratch::make_dir)?;
        txn::export_file(&path, true, &mut |out| out.write_all(&json).at("write", &path))
    }

    /// The SHA-256 of a file of a session, if it surely still is what it was when it was read.
    pub fn sum(&self, session: &str, meta: &FileMeta, stamp: Option<&str>) -> Option<String> {
        let known = self.files.get(session)?.get(&meta.path)?;
        (known.size == meta.size && Some(known.stamp.as_str()) == stamp).then(|| known.sha256.clone())
    }

    /// Notes a file that was read.
    pub fn note(&mut self, session: &str, meta: &FileMeta, stamp: Option<String>, sha256: String) {
        let Some(stamp) = stamp else { return };
        let known = KnownFile { stamp, size: meta.size, sha256 };
        self.files.entry(session.to_owned()).or_default().insert(meta.path.clone(), known);
    }

    /// The digest of the files of a session of a database, if they surely still are what they were.
    pub fn digest(&self, session: &str, found: &Found, stamp: Option<&str>) -> Option<&str> {
        let known = self.rows.get(session)?;
        let updated = found.head.as_ref()?.updated;
        let at_rest = known.stamp.is_some() && known.stamp.as_deref() == stamp;
        let idle = updated.is_some_and(|updated| known.read - updated > ANSWER);
        (known.updated == updated && (at_rest || idle)).then_some(known.sha256.as_str())
    }

    /// Notes a session of a database that was read.
    pub fn note_rows(
        &mut self,
        session: &str,
        found: &Found,
        stamp: Option<String>,
        read: Time,
        sha256: String,
    ) {
        let updated = found.head.as_ref().and_then(|head| head.updated);
        self.rows.insert(session.to_owned(), KnownRows { stamp, updated, read, sha256 });
    }

    /// Takes over what `earlier` knows of a session that was not looked at again.
    pub fn keep(&mut self, session: &str, earlier: &Self) {
        if let Some(files) = earlier.files.get(session) {
            self.files.insert(session.to_owned(), files.clone());
        }
        if let Some(rows) = earlier.rows.get(session) {
            self.rows.insert(session.to_owned(), rows.clone());
        }
    }
}

fn place(env: &Env, dir: &str) -> PathBuf {
    let name = &hex(&Sha256::digest(dir))[..16];
    env.state_dir().join("backups").join(format!("{name}.json"))
}

/// What changes whenever a file does; `None` when it is not there or not at rest.
pub fn stamp(path: &Path, now: Time) -> Option<String> {
    let meta = fs::metadata(path).ok().filter(Metadata::is_file)?;
    let modified = Time::from(meta.modified().ok()?);
    (now - modified > Stamp::REST).then(|| identity(&meta))
}

/// The same for the files of a database: itself and its write-ahead log.
pub fn stamp_of_database(path: &Path, now: Time) -> Option<String> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let of_log = match log.try_exists() {
        Ok(false) => String::new(),
        _ => stamp(&log, now)?,
    };
    Some(format!("{} {of_log}", stamp(path, now)?))
}

#[cfg(unix)]
fn identity(meta: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(
        "{}.{}.{}.{}.{}.{}.{}",
        meta.dev(),
        meta.ino(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    )
}

#[cfg(not(unix))]
fn identity(meta: &Metadata) -> String {
    // There is no time here that no program can set, so nothing is taken for known.
    let _ = meta;
    format!("{}", uuid::Uuid::new_v4())
}

#[cfg(all(test, unix))]
#[allow(clippy::disallowed_methods)] // Tests play the user.
mod tests {
    use super::*;
    use crate::model::{Head, Role, time};

    fn at(text: &str) -> Time {
        time::parse(text).expect("a time")
    }

    #[test]
    fn a_file_is_known_until_anything_of_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        fs::write(&path, "one\n").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let (now, later) = (Time::from(modified), Time::from(modified) + chrono::TimeDelta::minutes(1));
        assert_eq!(stamp(&path, now), None, "it is not at rest");
        let before = stamp(&path, later).expect("at rest");
        let meta =
            |size| FileMeta { role: Role::Transcript, path: "x".into(), size, modified: None, agent: None };
        let mut memory = Memory::new(dir.path());
        memory.note("claude:1", &meta(4), Some(before.clone()), "sum".into());
        let known = |size, stamp: &str| memory.sum("claude:1", &meta(size), Some(stamp));
        assert_eq!(known(4, &before).as_deref(), Some("sum"));
        assert_eq!(known(3, &before), None, "it was cut elsewhere");
        // The same size and time, and other bytes.
        fs::write(&path, "two\n").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(known(4, &stamp(&path, later).expect("at rest")), None);
    }

    #[test]
    fn a_session_of_a_database_is_known_while_the_database_rests_or_the_session_does() {
        let found = |updated: &str| Found {
            id: "1".into(),
            path: "x.db".into(),
            bytes: None,
            modified: std::time::UNIX_EPOCH,
            head: Some(Head { updated: Some(at(updated)), ..Head::default() }.into()),
            stamp: None,
        };
        let (old, new) = (found("2026-11-01T00:00:00Z"), found("2026-11-21T12:00:00Z"));
        let mut memory = Memory::default();
        let read = at("2026-11-21T16:00:00Z");
        memory.note_rows("old", &old, Some("a".into()), read, "sum".into());
        memory.note_rows("new", &new, Some("a".into()), read, "sum".into());
        memory.note_rows("busy", &new, None, read, "sum".into());
        assert_eq!(memory.digest("old", &old, Some("a")), Some("sum"));
        assert_eq!(memory.digest("new", &new, Some("a")), Some("sum"));
        // Something else in the database changed.
        assert_eq!(memory.digest("old", &old, Some("b")), Some("sum"));
        assert_eq!(memory.digest("new", &new, Some("b")), None);
        assert_eq!(memory.digest("busy", &new, None), None);
        // The session did.
        assert_eq!(memory.digest("old", &new, Some("a")), None);
    }
}
