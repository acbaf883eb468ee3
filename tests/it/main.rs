//! All integration tests, in one binary. Every test has a home of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod ailments;
mod architecture;
mod backup;
mod bundle;
mod chain;
mod cli;
mod concurrent;
mod crash;
mod doctor;
mod folders;
mod full;
mod fuzz;
mod gemini;
mod heads;
mod hostile;
mod import;
mod kill;
mod large;
mod laws;
mod moves;
mod odd;
mod opencode;
mod permissions;
mod places;
mod real;
mod relocated;
mod repos;
#[path = "../support/mod.rs"]
mod support;
