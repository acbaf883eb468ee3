//! What lists have read at the beginnings and ends of transcripts, kept for the next list.
//!
//! To look into ten thousand files takes a second when they are not in memory, and most of them never
//! change again. A file is taken for unchanged only when its path, size, modification time, device, inode
//! and change time (which no program can set) are what they were when it was read, and it had been at rest
//! for two seconds then: within less, a file system may give two changes one time. What a head needs from
//! elsewhere, such as the names that users give their sessions, is read each time.
//!
//! Only `list` asks here: whatever changes or carries sessions reads them itself. Where there are few
//! sessions nothing is kept. It is a file in the state directory; without it everything is read, and
//! nothing else is lost.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::env::Env;
use crate::error::{IoContext, Result};
use crate::harness::{Facts, Found, Harness, Stamp, Telling};
use crate::model::Head;
use crate::txn;

/// From so many sessions on it pays.
pub const MANY: usize = 512;

/// The file is written anew when so many lines are missing, or too many.
const ENOUGH: usize = 64;

/// Names a file in one state; see the head of this module. The first half of a SHA-256.
pub type Key = u128;

/// What was kept, and what was read meanwhile.
pub struct Heads {
    path: PathBuf,
    /// The first line: it holds for this program only.
    header: String,
    bytes: Vec<u8>,
    /// Where what a transcript told stands in `bytes`, as JSON; `null` for what is no session.
    kept: HashMap<Key, Range<usize>>,
    /// What was read meanwhile, as JSON.
    read: Mutex<HashMap<Key, String>>,
    /// What changed after this, in nanoseconds since 1970, is not at rest.
    rest: i128,
}

impl Heads {
    /// What earlier lists kept. A file that is missing, damaged or of another version has nothing.
    pub fn load(env: &Env) -> Self {
        let path = env.state_dir().join("heads");
        let header = header(env);
        let bytes = fs::read(&path).unwrap_or_default();
        let rest = (env.now() - Stamp::REST).timestamp_nanos_opt().unwrap_or(i64::MIN);
        let mut heads =
            Self { path, header, bytes, kept: HashMap::new(), read: Mutex::default(), rest: rest.into() };
        heads.index();
        heads
    }

    fn index(&mut self) {
        let mut lines = memchr::memchr_iter(b'\n', &self.bytes);
        let Some(first) = lines.next().filter(|end| self.bytes[..*end] == *self.header.as_bytes()) else {
            return;
        };
        let mut from = first + 1;
        for end in lines {
            let key = self.bytes[from..end].split_first_chunk::<KEY>().map(|(key, _)| key);
            let key = key.and_then(|key| Key::from_str_radix(str::from_utf8(key).ok()?, 16).ok());
            if let Some(key) = key {
                self.kept.insert(key, from + KEY..end);
            }
            from = end + 1;
        }
    }

    /// The head of a session, as [`Harness::head`] has it.
    ///
    /// # Errors
    /// As [`Harness::head`].
    pub fn head(&self, env: &Env, harness: &dyn Harness, found: &Found) -> Result<Option<Head>> {
        let Some(telling) = harness.telling() else { return harness.head(env, found) };
        let key = key(harness.info().id, found);
        let facts = match self.recall(key) {
            Some(facts) => facts,
            None => self.read(telling, found, key)?,
        };
        facts.map(|facts| telling.complete(env, found, facts)).transpose()
    }

    /// The directory of a session; `None` where its transcript does not tell it.
    ///
    /// # Errors
    /// As [`Telling::facts`].
    pub fn cwd(&self, harness: &dyn Harness, found: &Found) -> Result<Option<String>> {
        /// What is passed over costs a third of what is made.
        #[derive(Deserialize)]
        struct Place {
            head: Cwd,
        }
        #[derive(Deserialize)]
        struct Cwd {
            cwd: Option<String>,
        }
        let Some(telling) = harness.telling() else { return Ok(None) };
        let key = key(harness.info().id, found);
        if let Some(place) = self.recall::<Place>(key) {
            return Ok(place.and_then(|place| place.head.cwd));
        }
        Ok(self.read(telling, found, key)?.and_then(|facts| facts.head.cwd))
    }

    /// What was kept under this key. A line that is damaged is as good as none.
    fn recall<T: DeserializeOwned>(&self, key: Option<Key>) -> Option<Option<T>> {
        let at = self.kept.get(&key?)?;
        serde_json::from_slice(&self.bytes[at.clone()]).ok()
    }

    /// Reads a transcript, and notes what it told. Without a key, as for a link, it is read each time.
    fn read(&self, telling: &dyn Telling, found: &Found, key: Option<Key>) -> Result<Option<Facts>> {
        let facts = telling.facts(found)?;
        let is_at_rest = found.stamp.is_some_and(|stamp| stamp.changed < self.rest);
        if let (Some(key), true, Ok(line)) = (key, is_at_rest, serde_json::to_string(&facts)) {
            self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(key, line);
        }
        Ok(facts)
    }

    /// Keeps what was read meanwhile, if it is enough. `count`: how many sessions there are, when all
    /// stores were looked into; what was kept of others than `all` is forgotten then.
    ///
    /// # Errors
    /// When the disk refuses; then what was kept before is still there.
    pub fn keep(&self, count: Option<usize>, all: impl FnOnce() -> Result<HashSet<Key>>) -> Result<()> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let is_long = count.is_some_and(|count| self.kept.len() > count + ENOUGH);
        if read.len() < ENOUGH && !is_long {
            return Ok(());
        }
        let all = count.filter(|_| !self.kept.is_empty()).map(|_| all()).transpose()?;
        let is_wanted = |key| !read.contains_key(key) && all.as_ref().is_none_or(|all| all.contains(key));
        txn::scratch::make_dir(self.path.parent().unwrap_or(&self.path))?;
        txn::export_file(&self.path, true, &mut |out| {
            let mut write = || {
                writeln!(out, "{}", self.header)?;
                for (key, at) in self.kept.iter().filter(|(key, _)| is_wanted(key)) {
                    write!(out, "{key:032x}")?;
                    out.write_all(&self.bytes[at.clone()])?;
                    out.write_all(b"\n")?;
                }
                read.iter().try_for_each(|(key, line)| writeln!(out, "{key:032x}{line}"))
            };
            write().at("write", &self.path)
        })
    }
}

/// Hexadecimal digits of a key.
const KEY: usize = 32;

/// The key of a session's file as it is; `None` when it could change without it.
pub fn key(harness: &str, found: &Found) -> Option<Key> {
    let stamp = found.stamp?;
    let modified = match found.modified.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).ok()?,
        Err(before) => -i128::try_from(before.duration().as_nanos()).ok()?,
    };
    let path = found.path.as_os_str().as_encoded_bytes();
    let digest = Sha256::new()
        .chain_update(stamp.device.to_le_bytes())
        .chain_update(stamp.inode.to_le_bytes())
        .chain_update(stamp.changed.to_le_bytes())
        .chain_update(modified.to_le_bytes())
        .chain_update(found.bytes?.to_le_bytes())
        .chain_update(path)
        .chain_update([0])
        .chain_update(harness)
        .finalize();
    digest.first_chunk().map(|half| Key::from_le_bytes(*half))
}

/// Another build may read other things in a transcript.
fn header(env: &Env) -> String {
    let program = env.program().and_then(|path| path.metadata().ok());
    let program = program.map(|meta| (meta.len(), meta.modified().ok()));
    format!("holdall.heads/1 {} {program:?}", env!("CARGO_PKG_VERSION"))
}
