//! What an adapter finds wrong with its store, and how it could be put right.
//!
//! An adapter only looks. What is found goes to [`crate::ops::doctor`], which reports it and, when
//! the user asks for that, carries the repairs out as one transaction.

use std::path::PathBuf;

use chrono::TimeDelta;
use serde::Serialize;

use super::{Found, OutLine};
use crate::env::Env;
use crate::model::rows::{Row, Scope, SharedRow};
use crate::model::{Head, Time};

/// What will happen within this time is worth a warning.
pub const SOON: TimeDelta = TimeDelta::days(7);

/// How bad a finding is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something is lost, or will be unless the user acts.
    Error,
    /// Something does not work as the user would expect.
    Warning,
    /// Good to know; nothing has to be done.
    Notice,
}

/// One kind of finding. Its id is a contract with scripts.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `<harness>.<name>`, or `<name>` alone where it can be any harness's.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means, for the manual: one sentence without its full stop.
    pub means: &'static str,
    /// What `--fix` does about it; `None`: nothing.
    pub fix: Option<&'static str>,
}

/// Something that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// Its kind.
    pub code: &'static Code,
    /// The session that it is about.
    pub session: Option<String>,
    /// That session's title. Untrusted.
    pub title: Option<String>,
    /// The file or directory that it is about.
    pub path: Option<PathBuf>,
    /// What was found, in plain words.
    pub detail: String,
    /// When something will happen.
    pub date: Option<Time>,
    /// What the user can do.
    pub advice: Option<String>,
    /// The command that does it: program and arguments.
    pub command: Option<Vec<String>>,
    /// How holdall can put it right.
    pub repair: Option<Repair>,
}

impl Finding {
    /// A finding of this kind.
    pub fn new(code: &'static Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            session: None,
            title: None,
            path: None,
            detail: detail.into(),
            date: None,
            advice: None,
            command: None,
            repair: None,
        }
    }

    /// A finding about a session of the store.
    pub fn of(code: &'static Code, known: &Known, detail: impl Into<String>) -> Self {
        Self {
            session: Some(known.found.id.clone()),
            title: known.head.as_ref().and_then(|head| head.title.clone()),
            path: Some(known.found.path.clone()),
            ..Self::new(code, detail)
        }
    }

    /// The same about this file or directory.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same for something that will happen then.
    #[must_use]
    pub fn on(mut self, date: Time) -> Self {
        self.date = Some(date);
        self
    }

    /// The same with what the user can do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The same with a command that the user can run.
    #[must_use]
    pub fn run<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.command = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// The same with a way to put it right.
    #[must_use]
    pub fn repair(mut self, repair: Repair) -> Self {
        self.repair = Some(repair);
        self
    }
}

/// How a finding can be put right. Each repair is done wholly or not at all.
#[derive(Debug, Clone, PartialEq)]
pub enum Repair {
    /// These changes.
    Changes(Vec<Mend>),
    /// The session is brought in again, from where it lies to where it belongs: what an import of it
    /// would write.
    Again {
        /// What is there goes; else it stays, as the remains of an earlier layout.
        replaces: bool,
    },
    /// The sessions of this directory follow to another one.
    Move {
        /// Where it was.
        old: PathBuf,
        /// Where it is.
        new: PathBuf,
    },
    /// The program puts it right when it is asked for its list ([`super::Harness::confirm`]).
    Ask,
}

/// One change of a repair.
#[derive(Debug, Clone, PartialEq)]
pub enum Mend {
    /// A file gets shorter.
    Cut {
        /// The file.
        path: PathBuf,
        /// How many bytes stay.
        length: u64,
    },
    /// A file gets another name, where nothing is yet.
    Rename {
        /// The file.
        from: PathBuf,
        /// What it is called then.
        to: PathBuf,
        /// The modification time that it gets; `None`: its own.
        modified: Option<Time>,
    },
    /// A file goes.
    Remove {
        /// The file.
        path: PathBuf,
    },
    /// A line in a file that sessions share.
    Line(OutLine),
    /// Rows of a database, in the place of those that are there.
    Rows {
        /// The database.
        database: PathBuf,
        /// What is replaced.
        scope: Vec<Scope>,
        /// What is there then.
        rows: Vec<Row<'static>>,
        /// Rows that they need and share with others: inserted where they are missing.
        shared: Vec<SharedRow>,
    },
}

/// A session of the store, with its head; `None`: what is there is no session to holdall.
#[derive(Debug, Clone)]
pub struct Known {
    /// Where it is.
    pub found: Found,
    /// What is known of it.
    pub head: Option<Head>,
}

/// What an adapter is asked to look at.
pub struct Checkup<'a> {
    /// The machine.
    pub env: &'a Env,
    /// Every session of the store.
    pub sessions: &'a [Known],
}

/// How a file of a store is made, as far as damage shows in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON record a line; it grows at its end.
    Lines,
    /// One JSON document.
    Document,
    /// A SQLite database.
    Database,
}

/// A file of a store that is looked through for damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file.
    pub path: PathBuf,
    /// How it is made.
    pub form: Form,
    /// Which of [`Checkup::sessions`] it belongs to; `None`: to all or none.
    pub session: Option<usize>,
}

/// What a line of a file says that an adapter wants to know while the file is looked through.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remark {
    /// A file that has to be there for the session to be whole.
    pub needs: Option<PathBuf>,
    /// Why the program does not read this record.
    pub wrong: Option<&'static str>,
}
