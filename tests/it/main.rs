//! All integration tests, in one binary. Every test has a home of its own.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod architecture;
mod cli;
mod import;
mod real;
#[path = "../support/mod.rs"]
mod support;
