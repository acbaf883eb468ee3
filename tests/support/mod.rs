//! What the tests of real programs share.
//!
//! - [`model`]: a model server on the loopback interface that says what a scenario tells it to
//! - [`programs`]: the real programs, each in a home of its own
//! - [`terminal`]: a terminal for the programs that want one
//! - [`dialogue`]: a request to a model as a neutral list of what was said and done
//! - [`expect`]: compares two dialogues
//! - [`cases`]: recorded sessions
//! - [`database`]: a database as text, and back
//! - [`holdall`]: the binary under test
//! - [`tree`]: a directory as it is, to compare it with what it was
//! - [`usage`]: what a command cost

// The tests and the recorder share it, and each uses a part.
#![allow(dead_code, unused_imports)]

pub mod cases;
pub mod database;
pub mod dialogue;
pub mod expect;
pub mod holdall;
pub mod model;
pub mod programs;
pub mod terminal;
pub mod tree;
pub mod usage;
