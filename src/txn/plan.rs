//! What is to be changed on this machine: a list of actions for each session.
//!
//! A plan is made before anything is written. A dry run prints it; [`super`] carries it out, each
//! session wholly or not at all.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::model::rows::{Scope, SharedRow};

/// The actions for one session, which are applied together or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionPlan {
    /// Names the session to the user and in the journal: `harness:id` of the target.
    pub label: String,
    /// What to do, in order.
    pub actions: Vec<Action>,
    /// What the planner wants to find again in the journal, such as where the session came from.
    /// The transaction keeps it and does not look inside.
    #[serde(default)]
    pub about: serde_json::Value,
}

/// A project folder that moved, and its sessions with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Where it was, absolute: perhaps a path of another machine.
    pub old: String,
    /// Where it is, absolute.
    pub new: String,
    /// Whether the folder itself is to be moved. Both are on one file system of this machine then.
    pub folder: bool,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Action {
    /// A file that does not exist yet. Missing directories above it are made, mode 0700.
    Create {
        /// Absolute path.
        path: PathBuf,
        /// Modification time to set; `None`: as it comes.
        modified: Option<Time>,
    },
    /// A file that exists and gets new content. The old one is backed up first.
    Replace {
        /// Absolute path.
        path: PathBuf,
        /// Modification time to set; `None`: as it comes.
        modified: Option<Time>,
    },
    /// A file that exists and has to go. It is backed up first.
    Remove {
        /// Absolute path.
        path: PathBuf,
    },
    /// A line in a file that the harness shares between sessions. The file is created when missing;
    /// nothing happens when the line is there already.
    AppendLine {
        /// Absolute path.
        path: PathBuf,
        /// The line, without line end.
        line: String,
        /// The file whose advisory lock (`flock`) is held meanwhile; created when missing.
        lock: Option<PathBuf>,
        /// An undo leaves the line there while there is anything in this directory: other sessions
        /// need it too.
        keep_while: Option<PathBuf>,
    },
    /// Rows of a SQLite database that exists: all rows in the scope are replaced by those of the row
    /// document ([`crate::model::rows`]) that is staged, in one transaction. The ones that were
    /// there are backed up first. Rows outside the scope are never touched: no foreign key cascades,
    /// and a change that would take their parent from them is refused.
    Rows {
        /// Absolute path of the database.
        path: PathBuf,
        /// The rows that stand or fall together; each table once, and with a primary key.
        scope: Vec<Scope>,
        /// Rows that are inserted when they are missing.
        shared: Vec<SharedRow>,
    },
}

impl Action {
    /// The file that it changes.
    pub fn path(&self) -> &std::path::Path {
        match self {
            Self::Create { path, .. }
            | Self::Replace { path, .. }
            | Self::Remove { path }
            | Self::AppendLine { path, .. }
            | Self::Rows { path, .. } => path,
        }
    }
}
