//! Laws: what holds for all inputs, tried with hundreds that proptest makes up, and shrinks when one
//! breaks a law. `PROPTEST_CASES=10000` tries more.
//!
//! - [`archives`]: an archive gives back the bytes that it was made of; a manifest reads as it was printed
//! - [`redaction`]: addresses keep no password
//! - [`mapping`]: paths under prefix rules
//! - [`conversion`]: what was said arrives, whichever harness holds it
//! - [`relocation`]: a session that moves changes where its format says so, and nowhere else
//! - [`journeys`]: imports, moves and undos in any order, against a model of the store
//!
//! Others are beside the code: `archive::tests::laws`, `txn::tests::model` and `git::url`.
//! [`dialogue`] makes up what was said.

mod archives;
mod conversion;
mod dialogue;
mod journeys;
mod mapping;
mod redaction;
mod relocation;

use proptest::test_runner::Config;

/// 256 cases, or as many as `PROPTEST_CASES` says; no file is left where a law is broken.
fn config() -> Config {
    Config { failure_persistence: None, ..Config::default() }
}
