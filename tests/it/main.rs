//! The integration tests, in one binary: each with a home of its own, none touches the real one.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

#[cfg(target_os = "linux")]
mod crash;
