//! Identifiers of ours that come out the same on every machine.
//!
//! A converted session gets its id from where it came from, so that importing it twice, here or
//! on another machine, finds the first import instead of making a second copy.

use uuid::Uuid;

/// Namespace of all ids that holdall derives. Never change it: it would orphan earlier imports.
const NAMESPACE: Uuid = Uuid::from_u128(0x8a0c_5b52_7d1e_4c68_9b1f_3d6f_21c4_77e0);

/// A UUIDv5 of these words. The words are joined by NUL, which no id contains.
pub fn derived(words: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, words.join("\0").as_bytes())
}

/// The UUID of session `id` of harness `source`, converted into harness `target`.
///
/// `copy` is 0 for the conversion itself and counts the copies that `--on-conflict copy` made.
pub fn converted(source: &str, id: &str, target: &str, copy: u32) -> Uuid {
    match copy {
        0 => derived(&["session", source, id, target]),
        n => derived(&["session", source, id, target, &n.to_string()]),
    }
}
