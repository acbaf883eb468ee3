//! What is known of a repository, read-only.
//!
//! - [`url`]: addresses without their credentials

pub mod url;

pub use url::strip_credentials;
