//! The one error type that crosses module borders.
//!
//! Every error answers three questions: what went wrong, with which session or file, and what to
//! do about it. Its [`Kind`] decides the exit code, so a script can tell "wrong usage" from "this
//! archive was refused" without reading the text.

use std::fmt;
use std::io;
use std::path::Path;

/// `Result` with holdall's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is; the command line maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line asks for something that makes no sense. Exit code 2.
    Usage,
    /// A session, import or file that was named does not exist. Exit code 1.
    NotFound,
    /// Something on this machine stands in the way, such as a session that is already there. Exit code 1.
    Conflict,
    /// A running program or another holdall holds what is needed. Exit code 1.
    Busy,
    /// The archive is damaged, hostile or of an unknown version. Exit code 4.
    Archive,
    /// A session cannot be read or cannot be expressed in the target. Exit code 1.
    Unsupported,
    /// The operating system refused. Exit code 1.
    Io,
}

/// An error with its kind, what to do about it, and what caused it.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind. `message` names the session or file.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), source: None }
    }

    /// Wrong usage of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The archive must not be used.
    pub fn archive(message: impl Into<String>) -> Self {
        Self::new(Kind::Archive, message)
    }

    /// An operating-system error while doing `what` to `path`.
    pub fn io(what: &str, path: &Path, source: io::Error) -> Self {
        let message = format!("cannot {what} {}: {source}", path.display());
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                Some("it, or the directory it is in, is closed to you: `ls -ld` shows who may do what")
            }
            io::ErrorKind::ReadOnlyFilesystem => Some("its file system is mounted read-only"),
            _ => None,
        };
        let error = Self::new(Kind::Io, message).with_source(source);
        hint.into_iter().fold(error, Self::hint)
    }

    /// Adds one thing that the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Keeps the cause for `-v`.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Puts `context` in front of the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the user can do, one sentence each.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

/// Names what was being done, and to which path, when the operating system refuses.
pub trait IoContext<T> {
    /// Turns an [`io::Error`] into `cannot <what> <path>: <reason>`.
    ///
    /// An error of ours that travelled through `std::io` (a reader that verifies while it reads)
    /// comes out as itself.
    fn at(self, what: &str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, what: &str, path: &Path) -> Result<T> {
        self.map_err(|error| from_io(error, |error| Error::io(what, path, error)))
    }
}

/// Unwraps an [`Error`] that travelled inside an [`io::Error`], else builds one with `otherwise`.
pub fn from_io(error: io::Error, otherwise: impl FnOnce(io::Error) -> Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(error) => otherwise(error),
    }
}

/// Lets an [`Error`] travel through code that speaks `std::io`; [`from_io`] takes it out again.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}
