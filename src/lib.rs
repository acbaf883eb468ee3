//! holdall carries coding-agent sessions to another machine, or into another agent.
//!
//! The modules, from the outside in; each may use those after it, never those before it:
//!
//! - [`cli`]: the command line; the only code that knows clap, colour, progress bars and prompts
//! - [`ops`]: the use cases; they return reports
//! - [`harness`]: one adapter for each supported program
//! - [`archive`]: the portable file
//! - [`txn`]: the only code that changes a store of sessions: journal, backup, apply, undo
//! - [`git`]: what is known of a repository; finds, packs, clones and restores them
//! - [`place`]: where things of the source machine are on this one
//! - [`model`]: the canonical session; no input or output
//!
//! [`mod@env`], [`error`], [`interrupt`] and [`progress`] may be used by all.

pub mod archive;
pub mod cli;
pub mod env;
pub mod error;
pub mod git;
pub mod harness;
pub mod interrupt;
pub mod model;
pub mod ops;
pub mod place;
pub mod progress;
pub mod txn;
