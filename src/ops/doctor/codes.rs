//! Every kind of finding. The ids are a contract with scripts: they stay.

use std::fmt::Write;

use crate::harness::HARNESSES;
use crate::harness::diagnosis::{Code, Severity};

/// The directory of a session is not there.
pub const DIRECTORY_GONE: Code = Code {
    id: "directory-gone",
    severity: Severity::Warning,
    means: "the directory of the session is not there",
    fix: Some("the sessions follow, if the same repository is in exactly one other place"),
};
/// A record is no JSON.
pub const DAMAGED_RECORD: Code = Code {
    id: "damaged-record",
    severity: Severity::Warning,
    means: "a record in the middle of a file cannot be read, and what it said is lost to the harness",
    fix: None,
};
/// A record is JSON of the wrong kind.
pub const ODD_RECORD: Code = Code {
    id: "odd-record",
    severity: Severity::Notice,
    means: "a record is none that the harness writes, and is skipped by it",
    fix: None,
};
/// NUL bytes, as a crash of the machine leaves them.
pub const NUL_BYTES: Code = Code {
    id: "nul-bytes",
    severity: Severity::Warning,
    means: "a file has NUL bytes where records were: a crash of the machine took them",
    fix: None,
};
/// The last record is not complete.
pub const TORN_RECORD: Code = Code {
    id: "torn-record",
    severity: Severity::Notice,
    means: "the last record of a file is cut off: its harness was ended while it wrote",
    fix: Some("the piece is cut off, where the harness itself would lose the next record by it"),
};
/// A record that is too long.
pub const LONG_RECORD: Code = Code {
    id: "long-record",
    severity: Severity::Notice,
    means: "a record is longer than 96 MiB: it is carried, but neither shown nor converted",
    fix: None,
};
/// A file that a session refers to is not there.
pub const MISSING_PART: Code = Code {
    id: "missing-part",
    severity: Severity::Notice,
    means: "a file that belongs to the session, such as a long tool output, is not there",
    fix: None,
};
/// A database is damaged.
pub const DAMAGED_DATABASE: Code = Code {
    id: "damaged-database",
    severity: Severity::Error,
    means: "SQLite finds the database damaged, or cannot open it",
    fix: None,
};
/// A document is no JSON.
pub const DAMAGED_DOCUMENT: Code = Code {
    id: "damaged-document",
    severity: Severity::Error,
    means: "a file that is one JSON document cannot be read",
    fix: None,
};
/// Something cannot be read at all.
pub const UNREADABLE: Code = Code {
    id: "unreadable",
    severity: Severity::Error,
    means: "a store, or a file of it, cannot be read",
    fix: None,
};
/// Files of somebody else.
pub const FOREIGN_OWNER: Code = Code {
    id: "foreign-owner",
    severity: Severity::Warning,
    means: "files of the store belong to another user (after `sudo`, say), so the harness may not be able to write",
    fix: None,
};
/// Another version than the one that holdall was tested with.
pub const OTHER_VERSION: Code = Code {
    id: "other-version",
    severity: Severity::Notice,
    means: "the installed program is of another version than holdall was tested with",
    fix: None,
};
/// An import, or an undo, was interrupted.
pub const INTERRUPTED: Code = Code {
    id: "interrupted-import",
    severity: Severity::Warning,
    means: "holdall was ended in the middle of an import or an undo",
    fix: Some("it is finished or taken back, session by session"),
};
/// A journal cannot be read.
pub const BROKEN_JOURNAL: Code = Code {
    id: "broken-journal",
    severity: Severity::Warning,
    means: "the journal of an import cannot be read, so it can be neither finished nor taken back",
    fix: None,
};
/// A temporary file of holdall.
pub const LEFTOVER: Code = Code {
    id: "leftover",
    severity: Severity::Notice,
    means: "a temporary file of holdall lies in a store, and no import knows of it",
    fix: Some("it is removed, with a copy among the backups"),
};

/// The kinds that any harness can have, or that are about holdall itself.
pub static COMMON: [Code; 15] = [
    DIRECTORY_GONE,
    DAMAGED_RECORD,
    ODD_RECORD,
    NUL_BYTES,
    TORN_RECORD,
    LONG_RECORD,
    MISSING_PART,
    DAMAGED_DATABASE,
    DAMAGED_DOCUMENT,
    UNREADABLE,
    FOREIGN_OWNER,
    OTHER_VERSION,
    INTERRUPTED,
    BROKEN_JOURNAL,
    LEFTOVER,
];

/// Every kind: the common ones, then those of each harness.
pub fn all() -> impl Iterator<Item = &'static Code> {
    let mut seen: Vec<&str> = Vec::new();
    let codes = COMMON.iter().chain(HARNESSES.iter().flat_map(|harness| harness.codes()));
    // opencode and Kilo share theirs.
    codes.filter(move |code| {
        let is_new = !seen.contains(&code.id);
        seen.push(code.id);
        is_new
    })
}

/// The table of all kinds, for the help.
pub fn table() -> String {
    let mut table = String::from("Findings, by their codes (which stay the same):\n");
    for code in all() {
        let severity = match code.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        };
        // Writing to a text does not fail.
        let _ = write!(table, "  {} ({severity})\n      {}", code.id, code.means);
        if let Some(fix) = code.fix {
            let _ = write!(table, "\n      --fix: {fix}");
        }
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_says_whose_it_is() {
        for harness in HARNESSES {
            let prefix = |code: &Code| code.id.split_once('.').map(|(prefix, _)| prefix.to_owned());
            for code in harness.codes() {
                let prefix = prefix(code).expect("a harness's own code has its name");
                let is_family = prefix == "opencode" && harness.info().id == "kilo";
                assert!(prefix == harness.info().id || is_family, "{}", code.id);
                assert!(!code.means.ends_with('.'), "{}", code.id);
            }
        }
        assert!(COMMON.iter().all(|code| !code.id.contains('.')));
        let mut ids: Vec<&str> = all().map(|code| code.id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "a code is there twice");
    }
}
