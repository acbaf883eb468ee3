//! Laws that hold for all sessions.

use proptest::collection::vec;
use proptest::prelude::*;

use super::forge::{Forge, gzip, members};
use super::*;

prop_compose! {
    fn file()(
        seed in any::<u64>(),
        // Few are as large as a gzip member.
        size in prop_oneof![
            10 => 0..3_usize, 10 => 500..520_usize, 10 => 0..20_000_usize, 1 => 1_040_000..1_060_000_usize
        ],
        path in "[a-zA-Z0-9/._\u{e9}\u{202e}\n-]{1,30}",
        random in any::<bool>(),
    ) -> (String, Vec<u8>) {
        let content = if random { lines(seed, size) } else { vec![seed as u8; size] };
        (path, content)
    }
}

prop_compose! {
    fn session()(
        harness in "(claude|codex|gemini)",
        title in proptest::option::of(".{0,40}"),
        cwd in proptest::option::of(".{0,40}"),
        transcript in file(),
        others in vec(file(), 0..4),
    ) -> Memory {
        let mut session = Memory::new(&harness, "").with(Role::Transcript, &transcript.0, transcript.1);
        for (path, content) in others {
            session = session.with(Role::Attachment, &path, content);
        }
        session.head.title = title;
        session.head.cwd = cwd;
        session
    }
}

/// 256 cases, or as many as `PROPTEST_CASES` says; no file is left where a law is broken.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn payload_to_archive_to_payload_changes_nothing(
        mut sessions in vec(session(), 1..6),
        threads in 1..5_usize,
        level in 1..=9_u32,
    ) {
        for (index, session) in sessions.iter_mut().enumerate() {
            session.head.id = format!("id-{index}");
        }
        let (bytes, _) = export_on(threads, &sessions, Vec::new(), level).unwrap();
        let archive = open(&bytes).unwrap();
        prop_assert_eq!(verify(&archive), []);
        assert_holds(&archive, &sessions);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in vec(any::<u8>(), 0..400), like_gzip in any::<bool>()) {
        if like_gzip {
            bytes.splice(0..bytes.len().min(4), [0x1f, 0x8b, 8, 0]);
        }
        prop_assert!(refusal(&bytes).is_some());
    }

    /// Checksums of gzip do not protect against somebody who makes them right again.
    #[test]
    fn whatever_is_taken_is_what_was_exported(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ours in any::<bool>(),
    ) {
        let good = Forge::sample();
        let mut tar = good.tar();
        for (place, byte) in changes {
            let place = place.index(tar.len());
            tar[place] = byte;
        }
        let bytes = if ours { members(&tar) } else { gzip(&tar) };
        if refusal(&bytes).is_none() {
            let (archive, original) = (open(&bytes).unwrap(), open(&good.members()).unwrap());
            for (session, file) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                prop_assert_eq!(content(&archive, session, file).unwrap(), content(&original, session, file).unwrap());
            }
        }
    }

    #[test]
    fn no_change_of_the_compressed_bytes_makes_the_reader_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        ours in any::<bool>(),
    ) {
        let good = Forge::sample();
        let mut bytes = if ours { good.members() } else { good.gzip() };
        bytes.truncate(cut.index(bytes.len() * 2) + 1);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        refusal(&bytes);
    }
}
