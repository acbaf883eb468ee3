//! What several adapters need.
//!
//! - [`abridged`]: a record of any length in few bytes
//! - [`arguments`]: arguments of tool calls under other names
//! - [`directory`]: what is in a directory, and which names may be made there
//! - [`jsonl`]: lines of a JSONL file with their offsets, however long they are
//! - [`copy`]: copies them with some values changed
//! - [`repair`]: makes a record readable that a strict parser refuses for its text alone
//! - [`splice`]: replaces values inside a record, all other bytes untouched
//! - [`files`]: payloads made of files on this machine
//! - [`stretch`]: bounded reads at the beginning and the end of a file
//! - [`sqlite`]: databases of other programs, read in one consistent state
//! - [`reindex`]: their rows with some values changed
//! - [`program`]: runs an installed harness, with a time limit

pub mod abridged;
pub mod arguments;
pub mod copy;
pub mod directory;
pub mod files;
pub mod jsonl;
pub mod program;
pub mod reindex;
pub mod repair;
pub mod splice;
pub mod sqlite;
pub mod stretch;

#[cfg(test)]
pub mod outline;
