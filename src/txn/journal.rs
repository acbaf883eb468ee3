//! The journal: what an import is about to do, has done, and needs to take it back.
//!
//! `imports/<id>/journal.json` is written as a whole, beside and then renamed, a few times for each
//! import, however many sessions it has. An undo is an import in the other direction and has a
//! journal of its own, `imports/<id>/undo.json`, of the same form; [`super::carry`] carries out
//! both. So what is on disk always tells how to go on after a crash:
//!
//! | state | on disk | after a crash |
//! |---|---|---|
//! | `staging` | new files are being written under temporary names | they are removed |
//! | `prepared` | all of them are complete and durable | they are put in place |
//! | `applied` | every session is in place or back where it was | what is no longer needed is removed |
//! | `done` | nothing but the journal and the backups | nothing |

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::disk;
pub(super) use super::plan::Moved;
use super::rows::Schema;
use crate::error::{Error, IoContext, Kind, Result};
use crate::model::Time;
use crate::model::rows::{Scope, SharedRow};

/// Value of [`Journal::schema`]. Unknown fields are skipped, another number is refused.
const SCHEMA: &str = "holdall.journal/1";

/// Which way the changes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Purpose {
    Import,
    Undo,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    Staging,
    Prepared,
    Applied,
    Done,
}

/// One import, or one undo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Journal {
    pub schema: String,
    pub purpose: Purpose,
    pub state: State,
    pub id: String,
    pub created: Time,
    pub archive: Option<String>,
    pub tool: String,
    /// Whether what is replaced is kept for an undo.
    pub backup: bool,
    pub sessions: Vec<Session>,
    /// Files that the sessions share.
    pub shared: Vec<Shared>,
    /// Directories that the import makes, the uppermost first.
    pub dirs: Vec<PathBuf>,
    /// The project folder that it moves, or whose sessions follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// Whether the folder was moved, as far as this run knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_applied: Option<bool>,
    /// Directories that go when nothing is left in them, each before the one that it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tidied: Vec<Tidied>,
    /// What the tables look like in which it changes rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Schema>,
}

/// A directory that goes when the sessions have left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tidied {
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
}

/// The changes of one session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub label: String,
    #[serde(default)]
    pub about: serde_json::Value,
    pub steps: Vec<Step>,
    pub lines: Vec<Line>,
    /// Why the session goes back to what it was before; decided once, before the first step back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failure>,
}

/// An [`Error`], as far as the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failure {
    pub message: String,
    pub conflict: bool,
}

/// What happens to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    Create,
    Replace,
    Remove,
    /// Some of its rows are replaced; the file is a database.
    Rows(Rows),
}

/// Rows of a database that stand or fall together. Their documents have names in the directory of
/// the import; where there are no rows, there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Rows {
    pub scope: Vec<Scope>,
    /// Rows that other sessions use too, as far as they were not there before.
    pub shared: Vec<SharedRow>,
    /// Those that were there: another import may have brought them, which is taken back first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub there: Vec<SharedRow>,
    /// The document of what was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The document of what is to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One change of one file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Step {
    pub change: Change,
    pub path: PathBuf,
    /// Its number in the import, for temporary names and backups.
    pub number: usize,
    /// The file before; `None` for [`Change::Create`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Content>,
    /// The file after; `None` for [`Change::Remove`], and until it is staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Content>,
    /// Name of the copy of `old` in the backup directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// Whether the step was carried out; noted when the session fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// What a file holds, or a row document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    pub bytes: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Nanoseconds since 1970; `None`: as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// Permission bits; `None`: 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A line in a shared file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    /// Place in [`Journal::shared`].
    pub shared: usize,
    pub line: String,
    /// It is not removed while there is anything in this directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_while: Option<PathBuf>,
    /// It was there before the import, which therefore leaves it alone.
    pub there: bool,
    /// Whether it may have been changed, as far as this run knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<bool>,
}

/// A file that several sessions have lines in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shared {
    pub path: PathBuf,
    /// Its number in the import, for temporary names; no step has it.
    pub number: usize,
    pub lock: Option<PathBuf>,
    /// The lock file did not exist before the import.
    pub lock_made: bool,
    /// The file before the import; `None`: it did not exist.
    pub before: Option<Content>,
    /// Its last line had no line end.
    pub open_end: bool,
}

impl Shared {
    /// How long the file was before the import.
    pub(super) fn length_before(&self) -> u64 {
        self.before.as_ref().map_or(0, |before| before.bytes)
    }
}

impl Session {
    /// The lines that the import adds.
    pub(super) fn added(&self, shared: usize) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.shared == shared && !line.there)
    }

    pub(super) fn fail(&mut self, error: &Error) {
        let conflict = error.kind() == Kind::Conflict;
        self.failed = Some(Failure { message: error.to_string(), conflict });
    }
}

impl Failure {
    pub(super) fn to_error(&self) -> Error {
        Error::new(if self.conflict { Kind::Conflict } else { Kind::Io }, self.message.clone())
    }
}

impl Change {
    /// Whether its new content waits beside its place.
    pub(super) fn has_temp(&self) -> bool {
        matches!(self, Self::Create | Self::Replace)
    }

    /// Whether the old file gets a second name.
    pub(super) fn leaves_old(&self) -> bool {
        matches!(self, Self::Replace | Self::Remove)
    }
}

impl Step {
    /// Where the new content is until it is put in place.
    pub(super) fn temp(&self, id: &str) -> PathBuf {
        beside(&self.path, id, self.number, "tmp")
    }

    /// Where the old file is until the whole import is in place.
    pub(super) fn aside(&self, id: &str) -> PathBuf {
        beside(&self.path, id, self.number, "old")
    }
}

/// A name of ours in the directory of `path`: only there is a rename sure to be possible.
pub(super) fn beside(path: &Path, id: &str, number: usize, end: &str) -> PathBuf {
    path.with_file_name(format!("{}{id}-{number}.{end}", disk::OUR_NAMES))
}

/// The import whose temporary file has this name; `None`: it is none of ours.
pub fn owner_of(name: &str) -> Option<&str> {
    let (id, end) = name.strip_prefix(disk::OUR_NAMES)?.rsplit_once('-')?;
    let (number, _) = end.split_once('.')?;
    (valid_id(id) && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

/// The directory of one import.
#[derive(Debug, Clone)]
pub(super) struct ImportDir {
    path: PathBuf,
}

impl ImportDir {
    pub(super) fn new(state_dir: &Path, id: &str) -> Self {
        Self { path: imports_dir(state_dir).join(id) }
    }

    /// Whether there is an import of this name.
    pub(super) fn is_there(&self) -> bool {
        disk::may_exist(&self.path)
    }

    /// Makes it, durably.
    ///
    /// # Errors
    /// [`Kind::Conflict`] when there is an import of this name, and when the disk refuses.
    pub(super) fn make(&self) -> Result<()> {
        let above: Vec<&Path> = self.path.ancestors().skip(1).take(2).collect();
        above.first().map_or(Ok(()), |imports| disk::make_dirs(imports, &mut Vec::new()))?;
        if !disk::make_dir(&self.path).at("make the directory", &self.path)? {
            return Err(Error::new(
                Kind::Conflict,
                format!("there is an import {} already", self.path.display()),
            )
            .hint("try again: every import gets a name of its own"));
        }
        above.into_iter().try_for_each(disk::sync_dir)
    }

    pub(super) fn backups(&self) -> PathBuf {
        self.path.join("backup")
    }

    /// Where row documents are while their sessions are put in place or taken back.
    pub(super) fn rows(&self) -> PathBuf {
        self.path.join("rows")
    }

    /// The row document of this name, which may be a backup.
    pub(super) fn document(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes [`ImportDir::rows`].
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn make_rows(&self) -> Result<()> {
        let rows = self.rows();
        disk::make_dir(&rows).at("make the directory", &rows).map(|_| ())
    }

    pub(super) fn file(&self, purpose: Purpose) -> PathBuf {
        self.path.join(match purpose {
            Purpose::Import => "journal.json",
            Purpose::Undo => "undo.json",
        })
    }

    /// Removes the backups of a session that the import did not change.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn remove_backups(&self, session: &Session) -> Result<()> {
        let dir = self.backups();
        for name in session.steps.iter().filter_map(|step| step.backup.as_ref()) {
            disk::remove(&dir.join(name))?;
        }
        disk::remove_if_empty(&dir);
        Ok(())
    }

    /// A free name in the backup directory, for what somebody had gone on with.
    ///
    /// # Errors
    /// When the backup directory cannot be made.
    pub(super) fn name_for_saved(&self, number: usize) -> Result<PathBuf> {
        let dir = self.backups();
        disk::make_dir(&dir).at("make the directory", &dir)?;
        let mut copy = 1;
        loop {
            let path = dir.join(format!("{number}.changed-{copy}"));
            if !disk::exists(&path)? {
                return Ok(path);
            }
            copy += 1;
        }
    }

    fn temp(&self, purpose: Purpose) -> PathBuf {
        self.file(purpose).with_extension("tmp")
    }

    /// Reads a journal. `None`: there is none.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is of a version that this holdall does not know.
    pub(super) fn read(&self, purpose: Purpose) -> Result<Option<Journal>> {
        self.read_as(purpose)
    }

    /// Reads only the state of a journal.
    ///
    /// # Errors
    /// As [`ImportDir::read`].
    pub(super) fn state(&self, purpose: Purpose) -> Result<Option<State>> {
        #[derive(Deserialize)]
        struct Head {
            state: State,
        }
        Ok(self.read_as::<Head>(purpose)?.map(|head| head.state))
    }

    fn read_as<T: DeserializeOwned>(&self, purpose: Purpose) -> Result<Option<T>> {
        #[derive(Deserialize)]
        struct Version {
            schema: String,
        }
        let path = self.file(purpose);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            done => done.at("read", &path)?,
        };
        let unusable = |why: String| {
            Error::new(Kind::Conflict, format!("the journal {} {why}", path.display()))
                .hint(format!("to go on without it, move {} to another place", self.path.display()))
        };
        let damaged = |error| unusable(format!("is damaged: {error}"));
        let version: Version = serde_json::from_slice(&text).map_err(damaged)?;
        if version.schema != SCHEMA {
            return Err(unusable(format!("is of version {:?}, not {SCHEMA:?}", version.schema)));
        }
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    /// Writes a journal so that a crash leaves the one before or this one, and makes it durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn write(&self, journal: &Journal) -> Result<()> {
        let (path, temp) = (self.file(journal.purpose), self.temp(journal.purpose));
        let file = disk::create_or_empty(&temp).at("write", &temp)?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        serde_json::to_writer(&mut out, journal)
            .map_err(std::io::Error::from)
            .and_then(|()| out.flush())
            .and_then(|()| out.get_ref().sync_all())
            .at("write", &temp)?;
        disk::rename_over(&temp, &path).at("write", &path)?;
        disk::sync_dir(&self.path)
    }

    /// Removes a journal, and with that of the import the whole directory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn remove(&self, purpose: Purpose) -> Result<()> {
        disk::remove(&self.temp(purpose))?;
        if purpose == Purpose::Import {
            disk::remove_tree(&self.backups())?;
        }
        disk::remove(&self.file(purpose))?;
        if purpose == Purpose::Import {
            disk::remove_if_empty(&self.path);
        }
        Ok(())
    }

    /// Removes what an import has before its first journal and after its last one.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn remove_remains(&self) -> Result<()> {
        disk::remove(&self.temp(Purpose::Import))?;
        disk::remove_if_empty(&self.path);
        Ok(())
    }
}

impl Journal {
    /// A journal in state `staging` with nothing in it.
    pub(super) fn new(purpose: Purpose, id: &str, created: Time, tool: &str) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            purpose,
            state: State::Staging,
            id: id.to_owned(),
            created,
            archive: None,
            tool: tool.to_owned(),
            backup: true,
            sessions: Vec::new(),
            shared: Vec::new(),
            dirs: Vec::new(),
            moved: None,
            folder_applied: None,
            tidied: Vec::new(),
            databases: Vec::new(),
        }
    }

    /// The folder that is moved.
    pub(super) fn folder(&self) -> Option<&Moved> {
        self.moved.as_ref().filter(|moved| moved.folder)
    }
}

/// Where the imports are.
pub(super) fn imports_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("imports")
}

/// The directories of all imports, by id.
///
/// # Errors
/// When the state directory cannot be read.
pub(super) fn all(state_dir: &Path) -> Result<Vec<ImportDir>> {
    let dir = imports_dir(state_dir);
    let entries = match dir.read_dir() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("list", &dir)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.at("list", &dir)?.path();
        if disk::is_dir(&path)? {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| ImportDir { path }).collect())
}

/// Whether an import may be called this: it becomes part of file names.
pub(super) fn valid_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(plain)
}

/// Whether some import or undo may be unfinished, from the beginnings of the journals: [`Journal`]
/// begins with its state, and a journal of thousands of sessions is megabytes long.
///
/// # Errors
/// When the state directory cannot be read.
pub(super) fn may_be_unfinished(state_dir: &Path) -> Result<bool> {
    for dir in all(state_dir)? {
        for purpose in [Purpose::Import, Purpose::Undo] {
            let path = dir.file(purpose);
            let file = match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound && purpose == Purpose::Undo => continue,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
                file => file.at("open", &path)?,
            };
            let mut start = String::new();
            if file.take(200).read_to_string(&mut start).is_err() || !start.contains(r#""state":"done""#) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
