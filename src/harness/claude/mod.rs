//! Claude Code.
//!
//! - [`index`]: one pass over a transcript: where every row lies and what it hangs on
//! - [`loose`]: JSON read the way the program's JavaScript reads it
//! - [`native`]: the records of a transcript
//! - [`read`]: records → events, in the order in which the model saw them
//! - [`speak`]: one message → its events
//! - [`text`]: which texts in user rows are the user's
//! - [`tools`]: the program's own tools
//! - [`tree`]: the live branch
//! - [`window`]: known stretches of a file

pub mod index;
pub mod loose;
pub mod native;
pub mod read;
pub mod speak;
pub mod text;
pub mod tools;
pub mod tree;
pub mod window;

/// Claude Code.
pub struct Claude;
