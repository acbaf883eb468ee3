//! Where things of the source machine are on this one.
//!
//! - [`flavour`]: what a path of another operating system looks like
//! - [`map`]: prefix rules, home folding, workspace roots

pub mod flavour;
pub mod map;

pub use map::PathMap;
