//! A session that moves changes where its format says so, and nowhere else.

use proptest::prelude::*;

use super::config;
use super::conversion::{harness, named, written};
use super::dialogue::turns;
use crate::fuzz::targets::record::{self, File, HERE, Session, THERE, moving};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn only_declared_fields_change_in_a_move(turns in turns(1..3), harness in harness(), keeps_id in any::<bool>()) {
        let harness = named(harness);
        let bytes = written(harness, &turns);
        moving::check(&Session::new(harness, File::Transcript, &bytes), keeps_id);
    }

    #[test]
    fn there_and_back_gives_every_byte_back(turns in turns(1..3), harness in harness()) {
        let harness = named(harness);
        let bytes = written(harness, &turns);
        let session = Session::new(harness, File::Transcript, &bytes);
        let id = record::id(harness);
        let there = moving::moved(&session, &bytes, (THERE, &id), (HERE, &id));
        let back = moving::moved(&session, &there, (HERE, &id), (THERE, &id));
        prop_assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(&bytes));
        if matches!(harness.info().id, "claude" | "gemini") {
            prop_assert_ne!(there, bytes, "the directory of the session is in it");
        }
    }
}
