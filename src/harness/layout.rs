//! What an adapter wants on disk for one session: files, rows, lines. It only says so;
//! [`crate::ops::import`] makes a plan of it, and [`crate::txn`] carries that out.

use std::path::PathBuf;

use crate::model::Time;
use crate::model::rows::{Scope, SharedRow};

/// What an import of one session would put on disk.
#[derive(Debug, Default)]
pub struct Layout {
    /// Files, the transcript first.
    pub files: Vec<OutFile>,
    /// The database that holds the files with [`Stored::Rows`].
    pub rows: Option<OutRows>,
    /// Rows that say where the session is, in databases beside it.
    pub index: Vec<OutIndex>,
    /// Lines in files that the harness shares between its sessions.
    pub lines: Vec<OutLine>,
    /// Files that the harness derived from the session that is there, absolute: they have to go when
    /// it changes.
    pub stale: Vec<PathBuf>,
    /// What the user has to do to bring the session in, when its files are only made ready for that:
    /// the program keeps its sessions where holdall cannot write on this machine.
    pub handover: Option<String>,
    /// What the user should know, such as a directory that the target could not resume in.
    pub warnings: Vec<String>,
}

/// One file to put on disk.
#[derive(Debug)]
pub struct OutFile {
    /// Where, absolute.
    pub path: PathBuf,
    /// Where its bytes come from.
    pub source: OutSource,
    /// How it grows, which decides what "continues" means.
    pub growth: Growth,
    /// The modification time it must get; `None`: the time of the import.
    pub modified: Option<Time>,
    /// What it is on disk.
    pub stored: Stored,
}

/// What an [`OutFile`] is on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stored {
    /// A file.
    #[default]
    File,
    /// Rows of [`Layout::rows`], made of the file's bytes by [`super::Harness::rows`]. Its path names it
    /// as the payload of the session that is there does; nothing is there on disk.
    Rows,
}

/// The rows of one session, and where they go: into one database, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct OutRows {
    /// The database, absolute. When it is missing, [`super::Harness::make_store`] is asked to let the
    /// program make it.
    pub database: PathBuf,
    /// All rows of the session and of its sub-agents: whatever is there in it is replaced. Children
    /// of a foreign key before their parents.
    pub scope: Vec<Scope>,
    /// What goes too when the session that is there is replaced, and stays when it only grows: rows
    /// of sub-agents that the new session does not have.
    pub replaced: Vec<Scope>,
    /// Rows that the session needs and shares with others.
    pub shared: Vec<SharedRow>,
}

/// Rows that are there and say where a session is: [`super::Harness::reindex`] says what they become.
#[derive(Debug, Clone, PartialEq)]
pub struct OutIndex {
    /// The database, absolute.
    pub database: PathBuf,
    /// The rows, of which at least one is there.
    pub scope: Vec<Scope>,
    /// Rows that they need and share with others.
    pub shared: Vec<SharedRow>,
}

/// A file of a project, not of one of its sessions, that follows when the project moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Where it is, absolute.
    pub from: PathBuf,
    /// Where it belongs, absolute.
    pub to: PathBuf,
}

/// Where the bytes of an [`OutFile`] come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutSource {
    /// [`super::Harness::relocate`] of this file of the payload.
    Native(usize),
    /// [`super::Harness::writer`], fed with the transcript in this file of the payload.
    Converted(usize),
    /// This text: a small file that goes with a converted transcript.
    Text(String),
    /// This file of this machine, as it is.
    Here(PathBuf),
}

/// How a harness changes a file over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// It only appends: the longer of two versions of a session begins with the shorter one.
    Append,
    /// It replaces the file.
    Replace,
}

/// One line to append to a shared file, unless it is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutLine {
    /// The file, absolute. It is created when missing.
    pub path: PathBuf,
    /// The line, without line end.
    pub line: String,
    /// The file whose advisory lock the harness holds while it appends.
    pub lock: Option<PathBuf>,
    /// An undo leaves the line there while there is anything in this directory: other sessions need
    /// it too.
    pub keep_while: Option<PathBuf>,
}
