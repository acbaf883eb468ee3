//! The only code that changes a store of sessions: stage, back up, journal, apply, recover, undo.
//! (What else changes a user's machine is a clone of a repository, and work that is brought into one:
//! [`crate::git`].)
//!
//! It knows bytes and paths, nothing of harnesses. Its promise: each session of an import is
//! wholly there or wholly not, also after a kill, a full disk or a power cut; nothing is changed
//! that no plan names; and an import can be taken back to the byte.
//!
//! - [`plan`]: what is to be changed
//! - `stage`: everything is written beside its place
//! - `hold`: the machine, held for one import; `meanwhile`: what a program wrote in spite of that
//! - `commit`: backups, the point of no return
//! - `carry`: puts a prepared journal in place, forwards and back
//! - `step`: one change of one file
//! - `folder`: a project folder that moves with its sessions
//! - `lines`: lines in files that sessions share
//! - `rows`: rows of databases that sessions share
//! - `recover`: what an interrupted run left
//! - `undo`: takes an import back; `orphans`: with what other undos left for it
//! - `history`: what was imported
//! - `left`: what an undo leaves where it is
//! - `export`: one file that appears whole or not at all
//! - `claim`: a directory that one run at a time puts archives into
//! - [`scratch`]: files that nobody relies on
//! - `writeback`: large files on their way to the disk
//! - `journal`, `lock`, `content`, `disk`: what these stand on

mod carry;
mod claim;
mod commit;
mod content;
mod disk;
mod export;
mod folder;
mod history;
mod hold;
mod journal;
mod left;
mod lines;
mod lock;
mod meanwhile;
mod orphans;
pub mod plan;
mod recover;
mod rows;
pub mod scratch;
mod stage;
mod step;
mod undo;
mod writeback;

pub use carry::Saved;
pub use claim::Claim;
pub use commit::{Committed, Outcome};
pub use export::export_file;
pub use history::{Import, ImportState, ImportedAction, ImportedSession, backup_dir, imports};
pub use hold::{Hold, hold};
pub use journal::owner_of;
pub use left::{Left, remember_left};
pub use plan::{Action, Moved, SessionPlan};
pub use recover::{Recovered, Recovery, recover, recover_if_free};
pub use stage::{Meta, Staged, Transaction};
pub use undo::{UndoReport, UndoneSession, undo};

#[cfg(test)]
#[cfg(unix)]
mod tests;
