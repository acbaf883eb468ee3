//! Where rollouts are, and what their names say.
//!
//! Codex 0.169 knows a thread by `rollout-<time>-<id>.jsonl`, somewhere below `sessions/`; archived
//! threads lie in `archived_sessions/`. A revert begins a new file of the same thread, a segment,
//! called `rollout-<time>-<id>_<segment>.jsonl`, which continues an older one. Any of them may be
//! compressed (`.zst`); the plain file beside it wins.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::ptr;

use rayon::prelude::*;

use crate::env::Env;
use crate::error::{Error, IoContext, Result};
use crate::harness::{Found, Stamp};

/// The folder of live threads, below the data directory.
pub const SESSIONS: &str = "sessions";
/// The folder of archived threads.
pub const ARCHIVED: &str = "archived_sessions";

/// Codex makes three levels of folders; a few more do no harm, an endless link would.
const DEPTH: usize = 8;

/// The data directory: `$CODEX_HOME`, else `~/.codex`.
pub fn home(env: &Env) -> PathBuf {
    env.dir("CODEX_HOME", ".codex")
}

/// What the name of a rollout says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The time in it, as text; Codex does not check it.
    pub stamp: &'a str,
    /// The id of the thread.
    pub thread: &'a str,
    /// The id of the segment, for a file that continues another one of the same thread.
    pub segment: Option<&'a str>,
    /// Whether it is compressed.
    pub packed: bool,
}

impl<'a> Name<'a> {
    /// Reads a file name; `None`: it is no rollout.
    pub fn parse(name: &'a str) -> Option<Self> {
        let stem = name.strip_prefix("rollout-")?;
        let (stem, packed) = match stem.strip_suffix(".zst") {
            Some(stem) => (stem, true),
            None => (stem, false),
        };
        let stem = stem.strip_suffix(".jsonl")?;
        let (rest, last) = split_uuid(stem)?;
        let (rest, thread, segment) = match rest.strip_suffix('_').and_then(split_uuid) {
            Some((rest, thread)) => (rest, thread, Some(last)),
            None => (rest, last, None),
        };
        Some(Self { stamp: rest.strip_suffix('-').unwrap_or(rest), thread, segment, packed })
    }

    /// The id that a later segment or a fork refers to this file by.
    pub fn own_id(&self) -> &'a str {
        self.segment.unwrap_or(self.thread)
    }
}

fn split_uuid(stem: &str) -> Option<(&str, &str)> {
    let (rest, id) = stem.split_at_checked(stem.len().checked_sub(36)?)?;
    is_uuid(id).then_some((rest, id))
}

/// Whether `id` is a UUID with hyphens; Codex takes no other ids.
pub fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A rollout in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its file.
    pub path: PathBuf,
    /// The name of its file.
    pub file_name: String,
    /// Whether it lies among the archived ones.
    pub archived: bool,
}

impl Rollout {
    /// What its name says.
    pub fn name(&self) -> Name<'_> {
        Name::parse(&self.file_name).expect("only files with such a name are delivered")
    }
}

/// Every rollout of the store, from directory entries alone, in no order.
///
/// # Errors
/// When a directory cannot be read. A missing one is empty.
pub fn rollouts(home: &Path) -> Result<Vec<Rollout>> {
    each(home, &|rollout, _| Some(rollout))
}

/// What `take` makes of each of them. The folders are read side by side.
fn each<T: Send>(
    home: &Path,
    take: &(impl Fn(Rollout, &fs::DirEntry) -> Option<T> + Sync),
) -> Result<Vec<T>> {
    let mut all = walk(&home.join(SESSIONS), false, DEPTH, take)?;
    all.extend(walk(&home.join(ARCHIVED), true, DEPTH, take)?);
    Ok(all)
}

fn walk<T: Send>(
    dir: &Path,
    archived: bool,
    depth: usize,
    take: &(impl Fn(Rollout, &fs::DirEntry) -> Option<T> + Sync),
) -> Result<Vec<T>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", dir, error)),
    };
    let (mut all, mut below) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.at("read", dir)?;
        let kind = entry.file_type().at("look at", &entry.path())?;
        if kind.is_dir() {
            below.push(entry.path());
            continue;
        }
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        if Name::parse(&file_name).is_some() {
            all.extend(take(Rollout { path: entry.path(), file_name, archived }, &entry));
        }
    }
    if let Some(depth) = depth.checked_sub(1) {
        let below = below.par_iter().map(|dir| walk(dir, archived, depth, take));
        all.extend(below.collect::<Result<Vec<_>>>()?.into_iter().flatten());
    }
    Ok(all)
}

/// Every thread of the store, by its newest file.
///
/// # Errors
/// When a directory or file cannot be looked at.
pub fn scan(env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
    let looked = each(&home(env), &|rollout, entry: &fs::DirEntry| match entry.metadata() {
        Ok(meta) if !meta.is_file() && !meta.is_symlink() => None,
        Ok(meta) => {
            let modified = meta.modified().at("look at", &rollout.path);
            // A link has no stamp: what it leads to changes without it.
            Some(modified.map(|modified| (rollout, modified, meta.len(), Stamp::of(&meta))))
        }
        // A file that went away meanwhile is no error.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(Err(Error::io("look at", &rollout.path, error))),
    })?;
    let mut newest: HashMap<&str, &Rollout> = HashMap::with_capacity(looked.len());
    for (rollout, ..) in looked.iter().flatten() {
        let known = newest.entry(rollout.name().thread).or_insert(rollout);
        if rank(known) < rank(rollout) {
            *known = rollout;
        }
    }
    let is_newest: Vec<bool> = looked
        .iter()
        .map(|file| match file {
            Ok((rollout, ..)) => newest.get(rollout.name().thread).is_some_and(|one| ptr::eq(*one, rollout)),
            Err(_) => true,
        })
        .collect();
    let mut refused = None;
    let mut threads = Vec::with_capacity(looked.len());
    for (file, _) in looked.into_iter().zip(is_newest).filter(|(_, is_newest)| *is_newest) {
        match file {
            Err(error) => drop(refused.get_or_insert(error)),
            Ok((rollout, modified, bytes, stamp)) => {
                let id = rollout.name().thread.to_owned();
                let path = rollout.path;
                threads.push(Found { id, path, bytes: Some(bytes), modified, head: None, stamp });
            }
        }
    }
    // By the bytes of the path: to compare it part by part takes as long as all of the above.
    threads.par_sort_unstable_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
    threads.into_iter().for_each(found);
    refused.map_or(Ok(()), Err)
}

/// Of two files of one thread, Codex goes on with the higher one.
pub fn rank(rollout: &Rollout) -> (bool, &str, &str, bool) {
    let name = rollout.name();
    (!rollout.archived, name.stamp, name.segment.unwrap_or_default(), !name.packed)
}

/// Whether a rollout is compressed.
pub fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// `path` relative to the data directory, with `/` between components.
pub fn relative(home: &Path, path: &Path) -> String {
    let below = path.strip_prefix(home).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1";
    const B: &str = "01a1f958-8b30-73c3-a036-811b411003bc";

    #[test]
    fn names() {
        let plain = format!("rollout-2026-11-20T11-19-52-{A}.jsonl");
        let expected = Name { stamp: "2026-11-20T11-19-52", thread: A, segment: None, packed: false };
        assert_eq!(Name::parse(&plain), Some(expected));
        let segment = format!("rollout-2026-11-20T11-19-52-{A}_{B}.jsonl.zst");
        let expected = Name { segment: Some(B), packed: true, ..expected };
        assert_eq!(Name::parse(&segment), Some(expected));
        assert_eq!(Name::parse(&format!("rollout-x-{A}.jsonl")).map(|name| name.stamp), Some("x"));
        for name in [format!("{A}.jsonl"), format!("rollout-{A}.json"), "rollout-1.jsonl".into(), "".into()] {
            assert_eq!(Name::parse(&name), None, "{name}");
        }
        assert_eq!(Name::parse("rollout-é01a1f8af-2ddb-7ea0-8e23-e348f0b16bb\u{e9}.jsonl"), None);
    }

    #[test]
    fn of_several_files_of_one_thread_the_newest_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let env = Env::isolated(dir.path());
        let day = dir.path().join(".codex/sessions/2026/11/20");
        let archived = dir.path().join(".codex/archived_sessions");
        for path in [
            day.join(format!("rollout-2026-11-20T11-19-52-{A}.jsonl")),
            day.join(format!("rollout-2026-11-20T11-19-53-{A}_{B}.jsonl.zst")),
            day.join(format!("rollout-2026-11-20T11-19-53-{A}_{B}.jsonl")),
            day.join("notes.txt"),
            archived.join(format!("rollout-2026-12-01T00-00-00-{A}.jsonl")),
            archived.join(format!("rollout-2026-12-01T00-00-00-{B}.jsonl")),
        ] {
            touch(&path);
        }
        let mut found = Vec::new();
        scan(&env, &mut |thread| found.push((thread.id, relative(dir.path(), &thread.path))))
            .expect("a store");
        assert_eq!(
            found,
            [
                (B.to_owned(), format!(".codex/archived_sessions/rollout-2026-12-01T00-00-00-{B}.jsonl")),
                (
                    A.to_owned(),
                    format!(".codex/sessions/2026/11/20/rollout-2026-11-20T11-19-53-{A}_{B}.jsonl")
                ),
            ]
        );
    }

    #[test]
    fn no_store_no_threads() {
        let env = Env::isolated("/nonexistent");
        scan(&env, &mut |found| panic!("{found:?}")).expect("a missing store is empty");
    }

    #[allow(clippy::disallowed_methods)]
    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, "").expect("a file");
    }
}
