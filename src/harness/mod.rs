//! Adapters: one folder for each harness, one line in [`HARNESSES`].
//!
//! An adapter knows where its sessions are, what belongs to one, how to read it into events, how
//! to move it to another directory with all other bytes untouched, and how to write a session that
//! came from another harness. It never writes to the user's disk and never reads the environment
//! or the clock: it gets an [`Env`] and renders bytes into a writer that it is given. What an
//! import changes on the machine is decided in [`crate::ops`] and done in [`crate::txn`].
//!
//! - [`layout`]: what an adapter wants on disk for a session
//! - [`diagnosis`]: what it finds wrong with its store
//! - [`common`]: what several of them share

use std::fs::Metadata;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::TimeDelta;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::model::{Agent, Fidelity, FileMeta, Head, Notes, Payload, ReadSeek, Sink, View};
use crate::place::PathMap;
use diagnosis::{Checkup, Code, Finding, Part, Remark};

pub mod claude;
pub mod codex;
pub mod common;
pub mod diagnosis;
pub mod gemini;
pub mod layout;
pub mod opencode;

pub use layout::{Companion, Growth, Layout, OutFile, OutIndex, OutLine, OutRows, OutSource, Stored};

/// Every supported harness. This list drives the help, the checks of `--harness` and `--to`, the
/// completions, `harnesses`, the README table and the conformance tests.
pub static HARNESSES: &[&dyn Harness] =
    &[&claude::Claude, &codex::Codex, &opencode::OPENCODE, &opencode::KILO, &gemini::Gemini];

/// The harness with this id.
///
/// # Errors
/// Names the harnesses that exist when there is none of that id.
pub fn by_id(id: &str) -> Result<&'static dyn Harness> {
    HARNESSES.iter().find(|harness| harness.info().id == id).copied().ok_or_else(|| {
        let known: Vec<&str> = HARNESSES.iter().map(|harness| harness.info().id).collect();
        Error::usage(format!("no harness is called {id:?}")).hint(format!("known are: {}", known.join(", ")))
    })
}

/// What is true of a harness on every machine.
#[derive(Debug)]
pub struct Info {
    /// The id used on the command line and in archives.
    pub id: &'static str,
    /// The name of the program as its makers write it.
    pub name: &'static str,
    /// The executable.
    pub program: &'static str,
    /// The version that everything here was proven with.
    pub tested: &'static str,
    /// Can sessions be read?
    pub read: bool,
    /// Can sessions of other harnesses be written?
    pub write: bool,
    /// Can the installed program say, without a model call, which sessions it lists?
    pub confirms: bool,
    /// Does its list show a new session only after it has looked through its store, which it does
    /// when it is asked?
    pub indexes: bool,
}

/// A session in a store, as far as its directory entry tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The harness's own id.
    pub id: String,
    /// The transcript (for stores with one database: the database).
    pub path: PathBuf,
    /// Size of the transcript in bytes; `None` where sessions share a database.
    pub bytes: Option<u64>,
    /// When the transcript last changed.
    pub modified: SystemTime,
    /// The head, where the store's index had it: [`Harness::head`] has nothing more to tell.
    pub head: Option<Arc<Head>>,
    /// What tells whether the transcript is the one that was read earlier; `None` where it cannot be told.
    pub stamp: Option<Stamp>,
}

/// What changes when a file is replaced, or changed in any way: also where its size and its time of change
/// are set to what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// When anything of it changed last (`ctime`): nanoseconds since 1970.
    pub changed: i128,
}

impl Stamp {
    /// A file has to be at rest for so long before its times tell anything: within less, a file system may
    /// give two changes one time.
    pub const REST: TimeDelta = TimeDelta::seconds(2);

    /// That of a file; `None` for what is no file, and where the operating system does not tell.
    pub fn of(meta: &Metadata) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let changed = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
            meta.is_file().then(|| Self { device: meta.dev(), inode: meta.ino(), changed })
        }
        #[cfg(not(unix))]
        {
            let _ = meta;
            None
        }
    }
}

/// What a transcript tells of its session by itself. [`Telling::complete`] makes the head of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The head, as far as the transcript tells.
    pub head: Head,
    /// What its title is worth.
    pub title: TitleFrom,
}

/// Where the title of a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TitleFrom {
    /// In the transcript, whatever else there is.
    Transcript,
    /// In the transcript, unless the store has a name for the session.
    TranscriptOrStore,
    /// In files that the transcript refers to, unless the store has a name for the session.
    Elsewhere,
}

/// A session with everything that belongs to it, opened for reading.
pub struct NativeSession {
    /// What is known of it.
    pub head: Head,
    /// Its files, cut at the last complete record as of now.
    pub payload: Box<dyn Payload>,
    /// What is worth telling the user, such as a torn last line.
    pub notes: Notes,
}

/// What a conversion may decide.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// The model to record instead of the source's.
    pub model: Option<String>,
    /// Directories that are not there and will be, with all that belongs below them, before anything
    /// is written: repositories that a dry run does not clone.
    pub coming: Vec<PathBuf>,
}

impl WriteOptions {
    /// Whether a directory is not there only because this is a dry run.
    pub fn is_coming(&self, dir: &Path) -> bool {
        self.coming.iter().any(|coming| dir.starts_with(coming))
    }
}

/// Where a session goes.
pub struct Target<'a> {
    /// The machine.
    pub env: &'a Env,
    /// The session's id there. Already checked with [`Harness::valid_id`].
    pub id: &'a str,
    /// The session's directory there, absolute.
    pub cwd: &'a Path,
    /// Where that directory is at this moment, when it comes to its place together with the session.
    pub still_at: Option<&'a Path>,
    /// How paths of the source machine read on this one.
    pub paths: &'a PathMap,
    /// The session as it was at its source.
    pub source: &'a Head,
    /// Choices of the user.
    pub options: &'a WriteOptions,
    /// The session of this id that is already there and is to be replaced or updated.
    pub existing: Option<&'a Found>,
}

impl Target<'_> {
    /// Where the files of the session's directory are at this moment.
    pub fn directory(&self) -> &Path {
        self.still_at.unwrap_or(self.cwd)
    }
}

/// How to go on with a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The directory to start it in.
    pub cwd: PathBuf,
}

/// A session that was just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its directory.
    pub cwd: &'a Path,
}

/// What the real program said of the sessions that were just written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// Harness ids of the sessions that the program lists.
    Listed(Vec<String>),
    /// The program cannot be asked without a model call, or is not installed; the text says what
    /// the user should do, if anything.
    NotAsked(Option<String>),
}

/// A sink that writes one transcript in a harness's own form.
pub trait TranscriptWriter: Sink {
    /// Writes what has to come last, and reports.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn finish(self: Box<Self>) -> Result<Fidelity>;
}

/// Takes the bytes of an [`OutFile`] with [`Stored::Rows`] and writes them as a row document
/// ([`crate::model::rows`]).
pub trait RowWriter: Write {
    /// Writes what has to come last.
    ///
    /// # Errors
    /// When the output cannot be written, or the bytes were not what the adapter renders.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A harness whose transcripts tell nearly all of a head by themselves: [`Harness::head`] in two steps, of
/// which the first need not be done again while a file stays as it is.
pub trait Telling: Sync {
    /// What the transcript tells: the same for as long as [`Found::stamp`] is. `None`: it is no session.
    ///
    /// # Errors
    /// As [`Harness::head`].
    fn facts(&self, found: &Found) -> Result<Option<Facts>>;

    /// The head that these facts make with what the store says elsewhere.
    ///
    /// # Errors
    /// When that cannot be read.
    fn complete(&self, env: &Env, found: &Found, facts: Facts) -> Result<Head>;

    /// Whether [`Harness::may_be_in`] opens the transcript, so that its facts are the better guess.
    fn opens_to_guess(&self) -> bool;
}

/// One harness.
///
/// All paths and ids that come out of a session are untrusted: an adapter builds target paths only
/// from ids that [`Harness::valid_id`] accepts and from names that it checks itself.
pub trait Harness: Sync {
    /// What is true of it on every machine.
    fn info(&self) -> &'static Info;

    /// Its data directory on this machine, whether it exists or not.
    fn data_dir(&self, env: &Env) -> PathBuf;

    /// Delivers every session in the store, sub-agent sessions too where they are sessions of their
    /// own on disk, from directory entries alone: no file is opened, but for the few kilobytes at its
    /// beginning where names do not tell the ids. A missing store has none.
    ///
    /// # Errors
    /// When a directory of the store cannot be read.
    fn scan(&self, env: &Env, found: &mut dyn FnMut(Found)) -> Result<()>;

    /// The session in a file that the user names, such as what the program's own export wrote.
    /// `None`: it is none of this harness.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn in_file(&self, env: &Env, path: &Path) -> Result<Option<Found>> {
        let _ = (env, path);
        Ok(None)
    }

    /// A cheap guess whether the session belongs to `dir` or a directory below it, from its
    /// directory entry or its first few kilobytes. `true` when they do not tell.
    fn may_be_in(&self, found: &Found, dir: &Path) -> bool {
        let _ = (found, dir);
        true
    }

    /// [`Harness::may_be_in`] for many sessions, where something can be shared between them.
    fn which_may_be_in(&self, found: &[&Found], dir: &Path) -> Vec<bool> {
        found.par_iter().map(|found| self.may_be_in(found, dir)).collect()
    }

    /// The head of a session, from bounded reads at its beginning and end. `None`: the file is no
    /// session (empty, or not of this harness). Broken records are skipped.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn head(&self, env: &Env, found: &Found) -> Result<Option<Head>>;

    /// How its heads come about, where what was read of a transcript can be kept.
    fn telling(&self) -> Option<&dyn Telling> {
        None
    }

    /// The heads of the session's sub-agents, for `list --subagents`, where they are not sessions
    /// of their own in [`Harness::scan`].
    ///
    /// # Errors
    /// When their directory cannot be read.
    fn subagents(&self, env: &Env, found: &Found) -> Result<Vec<(Found, Head)>> {
        let _ = (env, found);
        Ok(Vec::new())
    }

    /// Everything that belongs to the session, sub-agents included.
    ///
    /// # Errors
    /// When a part that the session cannot be without is missing or cannot be read.
    fn open(&self, env: &Env, found: &Found) -> Result<NativeSession>;

    /// Whether the store holds the payload file with this path as lines of a file that other
    /// sessions share, so that it must never be removed with one of them.
    fn is_shared(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// [`Harness::open`] for many sessions, where something can be shared between them.
    fn open_all(&self, env: &Env, found: &[&Found]) -> Vec<Result<NativeSession>> {
        found.iter().map(|found| self.open(env, found)).collect()
    }

    /// Reads the transcript in file `file` of the payload (the session's own, or a sub-agent's)
    /// into events. Broken and unknown records are skipped and counted in the notes.
    ///
    /// # Errors
    /// When the payload cannot be read, or the sink fails.
    fn read(&self, payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes>;

    /// Whether `id` has the shape of a session id of this harness, so that it may become part of a
    /// file name.
    fn valid_id(&self, id: &str) -> bool;

    /// The id of a session that is made from `uuid`.
    fn id_from(&self, uuid: Uuid) -> String {
        uuid.to_string()
    }

    /// Where a session of this harness goes on this machine.
    ///
    /// # Errors
    /// When the payload's files do not have the form that the adapter gives them, or the target
    /// could not resume in its directory.
    fn place_native(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout>;

    /// Writes file `file` for its new place: every byte as it was, but for the path fields that the
    /// harness's own format declares (and the session id, when the target has another).
    ///
    /// # Errors
    /// When reading or writing fails.
    fn relocate(
        &self,
        target: &Target<'_>,
        file: &FileMeta,
        input: Box<dyn ReadSeek + '_>,
        out: &mut dyn Write,
    ) -> Result<()>;

    /// Where a session that stays on this machine goes when its directory moves;
    /// [`Target::existing`] is where it is.
    ///
    /// # Errors
    /// As [`Harness::place_native`].
    fn place_moved(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        self.place_native(target, files)
    }

    /// What the harness keeps for the directory that the session leaves, and not for one of its
    /// sessions.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn companions(&self, target: &Target<'_>) -> Result<Vec<Companion>> {
        let _ = target;
        Ok(Vec::new())
    }

    /// Writes the rows of `index` as they have to be, as a row document ([`crate::model::rows`]).
    ///
    /// # Errors
    /// When this harness keeps no index, or the database cannot be read.
    fn reindex(&self, target: &Target<'_>, index: &OutIndex, out: &mut dyn Write) -> Result<()> {
        let _ = (target, out);
        let message = format!("{} keeps no index in {}", self.info().name, index.database.display());
        Err(Error::new(Kind::Unsupported, message))
    }

    /// What has to stand behind `file` on disk and is no part of the session: it is left out when the
    /// file is compared with what is there, and what is opened does not have it.
    fn trailer(&self, file: &OutFile) -> &'static [u8] {
        let _ = file;
        b""
    }

    /// Where a session that came from another harness goes. `files` are the payload's files.
    ///
    /// # Errors
    /// When this harness cannot hold it.
    fn place_converted(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout>;

    /// A writer for one transcript of a session that came from another harness. `agent` says which
    /// sub-agent's it is; `None` is the session's own.
    ///
    /// # Errors
    /// When the beginning cannot be written.
    fn writer<'a>(
        &self,
        target: &'a Target<'a>,
        agent: Option<&'a Agent>,
        out: &'a mut dyn Write,
    ) -> Result<Box<dyn TranscriptWriter + 'a>>;

    /// A writer that turns the bytes of `file` into rows.
    ///
    /// # Errors
    /// When this harness keeps no rows, or the beginning cannot be written.
    fn rows<'a>(
        &self,
        target: &'a Target<'a>,
        file: &'a OutFile,
        out: &'a mut dyn Write,
    ) -> Result<Box<dyn RowWriter + 'a>> {
        let _ = (target, out);
        let message =
            format!("{} keeps no rows, but {} is to be some", self.info().name, file.path.display());
        Err(Error::new(Kind::Unsupported, message))
    }

    /// Lets the installed program make its store, for sessions that go to `cwd`.
    ///
    /// # Errors
    /// When it is not installed or did not make one that this adapter knows; the error says what the
    /// user can do.
    fn make_store(&self, env: &Env, cwd: &Path) -> Result<()> {
        let _ = (env, cwd);
        Ok(())
    }

    /// Why the session must not be touched now: some process has it open. `None`: it is free.
    ///
    /// # Errors
    /// When the harness's markers cannot be read.
    fn live(&self, env: &Env, found: &Found) -> Result<Option<String>>;

    /// The command that goes on with the session.
    fn resume(&self, id: &str, cwd: &Path) -> Resume;

    /// Asks the installed program whether it lists these sessions, without a model call, and lets
    /// it index them if it keeps an index.
    ///
    /// # Errors
    /// When the program was asked and did not answer.
    fn confirm(&self, env: &Env, placed: &[Placed<'_>]) -> Result<Confirmation> {
        let _ = (env, placed);
        Ok(Confirmation::NotAsked(None))
    }

    /// The kinds of findings that [`Harness::diagnose`] has.
    fn codes(&self) -> &'static [Code] {
        &[]
    }

    /// Looks for what is wrong with the store, without starting the program or reading sessions
    /// through.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    fn diagnose(&self, checkup: &Checkup<'_>, report: &mut dyn FnMut(Finding)) -> Result<()> {
        let _ = (checkup, report);
        Ok(())
    }

    /// The files of the store that are looked through for damage, sub-agents' too.
    ///
    /// # Errors
    /// When a directory cannot be read.
    fn parts(&self, checkup: &Checkup<'_>) -> Result<Vec<Part>> {
        let _ = checkup;
        Ok(Vec::new())
    }

    /// What a whole record of a file of [`Harness::parts`] says beside its being JSON.
    fn remark(&self, part: &Part, line: &[u8]) -> Remark {
        let _ = (part, line);
        Remark::default()
    }

    /// Whether the program stumbles over a last line that is cut off, so that it has to go: what it
    /// appends would be lost with it, or it does not resume.
    fn must_cut_torn_line(&self) -> bool {
        false
    }
}
