//! What happened → exit code. The numbers are a contract with scripts.

use std::io;

use crate::error::{Error, Kind};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// It failed, and nothing half-written is left.
    Failed,
    /// The command line was wrong.
    Usage,
    /// Done, but some sessions (or their repositories) were skipped for a conflict or could not be
    /// brought, or `doctor` leaves something to do.
    Partial,
    /// The archive was refused.
    Refused,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Refused => 4,
        }
    }
}

/// How an error ends the program.
pub fn of_error(error: &anyhow::Error) -> Exit {
    if is_broken_pipe(error) {
        return Exit::Done;
    }
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(Kind::Usage) => Exit::Usage,
        Some(Kind::Archive) => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// Whether the reader of our output went away (`holdall list | head`): that is no error.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|error| error.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_codes() {
        for (kind, code) in [
            (Kind::Usage, 2),
            (Kind::NotFound, 1),
            (Kind::Conflict, 1),
            (Kind::Busy, 1),
            (Kind::Archive, 4),
            (Kind::Unsupported, 1),
            (Kind::Io, 1),
        ] {
            assert_eq!(of_error(&Error::new(kind, "x").into()).code(), code, "{kind:?}");
        }
        let gone = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(of_error(&Error::io("write", std::path::Path::new("-"), gone).into()), Exit::Done);
    }
}
