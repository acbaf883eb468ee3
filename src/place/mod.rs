//! Where things of the source machine are on this one.
//!
//! - [`flavour`]: what a path of another operating system looks like
//! - [`map`]: prefix rules, home folding, workspace roots
//! - [`shell`]: words as a shell takes them

pub mod flavour;
pub mod map;
pub mod shell;

pub use map::PathMap;
