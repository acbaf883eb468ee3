//! The only code that changes a user's machine: stage, back up, journal, apply, recover, undo.
//!
//! It knows bytes and paths, nothing of harnesses.
//!
//! - [`plan`]: what is to be changed

pub mod plan;
