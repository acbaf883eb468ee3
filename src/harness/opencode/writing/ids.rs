//! Ids in the program's own shape.
//!
//! opencode 1.18: a prefix, then 12 hexadecimal digits that hold the low 48 bits of
//! `milliseconds * 4096 + counter`, then 14 base62 digits by chance. Only the prefix is checked.
//! Ids are keys of the whole database, so ours hold a hash of their session's id where the program
//! has chance. Parts of a message are ordered by their ids alone; messages by their times first.

use uuid::Uuid;

use crate::harness::Target;
use crate::model::{Time, ids};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The 48 bits of a time.
const TIME: u64 = (1 << 48) - 1;
/// So many parts of one message have ascending ids, wherever the 48 bits begin.
const ROOM: u64 = 1 << 24;
/// Digits of the time, and digits by chance.
const HEXADECIMAL: usize = 12;
const CHANCE: usize = 14;
/// The program checks no length. An id becomes part of a file name and of a command.
const LONGEST: usize = 96;

/// Whether `id` can be the id of a session.
pub fn valid(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    id.len() > 3 && id.len() <= LONGEST && id.starts_with("ses") && id.bytes().all(plain)
}

/// The id of a session that is made from `uuid`.
pub fn session(uuid: Uuid) -> String {
    format!("ses_{:012x}{}", uuid.as_u128() >> 80, chance(uuid))
}

/// The id of the session of a sub-agent, the same for every import.
pub fn child(root: &str, agent: &str) -> String {
    session(ids::derived(&["opencode", root, agent]))
}

/// The id here of a session that was the program's before: of the session itself, or of one of its
/// sub-agents. A copy of a session has copies of its sub-agents.
pub fn moved(target: &Target<'_>, id: &str) -> String {
    match target.id == target.source.id {
        _ if id == target.source.id => target.id.to_owned(),
        true => id.to_owned(),
        false => child(target.id, id),
    }
}

/// The id that a message or part has in the copy `session` of the session it came from. The order
/// of ids stays.
pub fn copied(session: &str, id: &str) -> String {
    let fresh = chance(ids::derived(&["opencode", session, "copy", id]));
    let own = id.get(..4).is_some_and(|prefix| prefix.ends_with('_'))
        && id.len() == 4 + HEXADECIMAL + CHANCE
        && id.is_ascii();
    // What another program invented may differ in its end alone.
    if own { format!("{}{fresh}", &id[..4 + HEXADECIMAL]) } else { format!("{id}_{fresh}") }
}

fn chance(uuid: Uuid) -> String {
    let mut rest = uuid.as_u128() & ((1 << 80) - 1);
    let mut digits = [0; CHANCE];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Makes the ids of one session's messages and parts, in order.
pub struct Minter {
    session: String,
    made: u64,
    last: u64,
}

impl Minter {
    /// Ids for the session with this id.
    pub fn new(session: &str) -> Self {
        Self { session: session.to_owned(), made: 0, last: 0 }
    }

    /// The id of the next message, greater than those before it (until the 48 bits begin again).
    pub fn message(&mut self, time: Time) -> String {
        let millis = u64::try_from(time.timestamp_millis()).unwrap_or_default();
        self.last = millis.saturating_mul(4096).saturating_add(1).max(self.last + 1);
        self.id("msg", self.last & TIME)
    }

    /// Where the ids of a message's parts begin.
    pub fn first_part(&self) -> u64 {
        let start = self.last & TIME;
        if start > TIME - ROOM { 0 } else { start }
    }

    /// The id of a part; `place` is [`Minter::first_part`] of its message and how many parts of the
    /// message are before it.
    pub fn part(&mut self, place: u64) -> String {
        self.id("prt", place & TIME)
    }

    fn id(&mut self, prefix: &str, time: u64) -> String {
        self.made += 1;
        let uuid = ids::derived(&["opencode", &self.session, prefix, &self.made.to_string()]);
        format!("{prefix}_{time:012x}{}", chance(uuid))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::time;

    #[test]
    fn only_plain_ids_are_valid() {
        for id in ["ses_e0781952dffes8dep5LdFxHKou", "ses-1", "sess"] {
            assert!(valid(id), "{id}");
        }
        let long = format!("ses_{}", "x".repeat(100));
        for id in ["", "ses", "msg_1", "ses/../x", "ses_\u{e9}", "ses x", long.as_str()] {
            assert!(!valid(id), "{id}");
        }
    }

    #[test]
    fn ids_have_the_shape_of_the_program() {
        let id = session(Uuid::from_u128(u128::MAX));
        assert_eq!(id.len(), 30, "{id}");
        assert!(valid(&id) && id.starts_with("ses_ffffffffffff"), "{id}");
        assert_ne!(child(&id, "a"), child(&id, "b"));
    }

    #[test]
    fn parts_ascend_across_the_wrap() {
        // The last millisecond before the 48 bits begin again.
        let before = time::from_millis((1 << 36) * 26 - 1).expect("a time");
        let mut minter = Minter::new("ses_x");
        let messages: Vec<String> = (0..3).map(|_| minter.message(before)).collect();
        assert!(messages.is_sorted() && messages[0].starts_with("msg_fffffffff001"), "{messages:?}");
        let first = minter.first_part();
        let parts: Vec<String> = (0..10_000).map(|place| minter.part(first + place)).collect();
        assert!(parts.is_sorted());
        assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len());
        assert!(parts.iter().all(|id| id.len() == 30));
    }

    #[test]
    fn a_copy_keeps_the_order() {
        let (one, two) = ("prt_1f8a9c923001tcHC1hTjJiWbl1", "prt_1f8a9c923002aaaaaaaaaaaaaa");
        let (new_one, new_two) = (copied("ses_n", one), copied("ses_n", two));
        assert!(new_one < new_two && new_one.starts_with("prt_1f8a9c923001") && new_one != one);
        assert_eq!(new_one, copied("ses_n", one));
        assert_ne!(new_one, copied("ses_m", one));
        assert!(copied("ses_n", "prt_a") < copied("ses_n", "prt_b"));
    }
}
