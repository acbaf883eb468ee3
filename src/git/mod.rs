//! Repositories of git: what is known of one, where it is on this machine, and bringing it there.
//!
//! What only reads writes nothing (not even a refreshed index), runs no hook, filter or remote helper
//! and asks nobody over a network:
//!
//! - [`bundle`]: commits and uncommitted work as a git bundle
//! - [`repo`]: what is recorded of a repository
//! - [`mod@describe`]: the state of a repository
//! - [`mod@compare`]: how a recorded state and the one found here differ
//! - [`find`]: where the repository of a session is on this machine
//! - [`url`]: addresses without their credentials
//!
//! What writes does so with the user's own git, and only where it was asked to:
//!
//! - [`program`]: runs it
//! - [`unpack`]: the git bundle of an archive, checked and brought into a repository
//! - [`mod@clone`]: a repository that is not here
//! - [`restore`]: commits and uncommitted work that an archive carries

pub mod bundle;
mod changes;
pub mod clone;
pub mod compare;
pub mod describe;
pub mod find;
mod open;
pub mod program;
pub mod repo;
pub mod restore;
pub mod unpack;
pub mod url;

#[cfg(test)]
mod tests;

pub use compare::{Comparison, compare};
pub use describe::{describe, root_commit};
pub use program::Git;
pub use repo::{Carried, Remote, Repo};
pub use unpack::Bundle;
pub use url::strip_credentials;
