//! What was said arrives, whichever harness holds it.

use holdall::harness::{HARNESSES, Harness, by_id};
use proptest::prelude::*;
use proptest::sample::select;

use super::config;
use super::dialogue::{Turn, expected, say, seen, turns};
use crate::fuzz::targets::record::{self, File, HERE, Session, THERE, converting, reading};

/// A conversation in the form of `harness`, as if it had come from elsewhere.
pub fn written(harness: &'static dyn Harness, turns: &[Turn]) -> Vec<u8> {
    let (source, id) = (record::head(harness, HERE), record::id(harness));
    let mut out = Vec::new();
    record::at(&source, &id, THERE, |target| {
        let mut writer = harness.writer(target, None, &mut out).expect("it begins");
        say(turns, &mut *writer).expect("memory can be written");
        writer.finish().expect("memory can be written");
    });
    out
}

/// The id of one of the harnesses.
pub fn harness() -> impl Strategy<Value = &'static str> {
    select(HARNESSES.iter().map(|harness| harness.info().id).collect::<Vec<_>>())
}

/// The harness with this id.
pub fn named(id: &str) -> &'static dyn Harness {
    by_id(id).expect("it is in the list")
}

fn check(harness: &str, turns: &[Turn]) -> Result<(), TestCaseError> {
    let harness = named(harness);
    let bytes = written(harness, turns);
    let text = String::from_utf8_lossy(&bytes);
    let session = Session::new(harness, File::Transcript, &bytes);
    let (seen, notes) = seen(harness, &session.payload());
    prop_assert_eq!(&seen, &expected(turns), "{} wrote\n{}", harness.info().id, text);
    prop_assert!(notes.is_empty(), "{notes:?} of\n{text}");
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_claude_code_is_given_its_model_sees(turns in turns(1..4)) {
        check("claude", &turns)?;
    }

    #[test]
    fn what_codex_is_given_its_model_sees(turns in turns(1..4)) {
        check("codex", &turns)?;
    }

    #[test]
    fn what_opencode_is_given_its_model_sees(turns in turns(1..4)) {
        check("opencode", &turns)?;
    }

    #[test]
    fn what_kilo_is_given_its_model_sees(turns in turns(1..4)) {
        check("kilo", &turns)?;
    }

    #[test]
    fn what_gemini_is_given_its_model_sees(turns in turns(1..4)) {
        check("gemini", &turns)?;
    }

    #[test]
    fn the_way_through_another_harness_loses_nothing(
        turns in turns(1..3),
        (from, to) in (harness(), harness()),
    ) {
        let (from, to) = (named(from), named(to));
        let bytes = written(from, &turns);
        let session = Session::new(from, File::Transcript, &bytes);
        let (bytes, _) = converting::converted(&session, to);
        let there = Session::new(to, File::Transcript, &bytes);
        let (seen, _) = seen(to, &there.payload());
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(&seen, &expected(&turns), "{} to {}:\n{}", from.info().id, to.info().id, text);
    }

    #[test]
    fn a_conversion_gives_the_same_bytes_each_time(turns in turns(1..3), (from, to) in (harness(), harness())) {
        let (from, to) = (named(from), named(to));
        let bytes = written(from, &turns);
        prop_assert!(bytes == written(from, &turns), "{}", String::from_utf8_lossy(&bytes));
        let session = Session::new(from, File::Transcript, &bytes);
        converting::check(&session, to);
        reading::check(&session);
    }
}
