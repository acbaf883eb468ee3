//! What is known of a repository, read-only: nothing is written (not even a refreshed index), no
//! hook, filter or remote helper is run, nobody is asked over a network.
//!
//! - [`repo`]: what is recorded of a repository
//! - [`mod@describe`]: the state of a repository
//! - [`likeness`]: whether a directory is a clone of a recorded repository
//! - [`mod@compare`]: how a recorded state and the one found here differ
//! - [`url`]: addresses without their credentials

mod changes;
pub mod compare;
pub mod describe;
pub mod likeness;
mod open;
pub mod repo;
pub mod url;

#[cfg(test)]
mod tests;

pub use compare::{Comparison, compare};
pub use describe::describe;
pub use likeness::is_clone;
pub use repo::{Carried, Remote, Repo};
pub use url::strip_credentials;
