//! What is known of a repository, read-only: nothing is written (not even a refreshed index), no
//! hook, filter or remote helper is run, nobody is asked over a network.
//!
//! - [`bundle`]: commits and uncommitted work as a git bundle
//! - [`repo`]: what is recorded of a repository
//! - [`mod@describe`]: the state of a repository
//! - [`mod@compare`]: how a recorded state and the one found here differ
//! - [`url`]: addresses without their credentials

pub mod bundle;
mod changes;
pub mod compare;
pub mod describe;
mod open;
pub mod repo;
pub mod url;

#[cfg(test)]
mod tests;

pub use compare::{Comparison, compare};
pub use describe::describe;
pub use repo::{Carried, Remote, Repo};
pub use url::strip_credentials;
