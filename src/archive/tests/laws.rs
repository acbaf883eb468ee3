//! Laws that hold for all sessions.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

prop_compose! {
    fn file()(
        seed in any::<u64>(),
        size in prop_oneof![0..3_usize, 500..520_usize, 0..20_000_usize, 1_040_000..1_060_000_usize],
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

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
}
