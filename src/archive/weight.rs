//! What a manifest would take in memory, before it takes it.
//!
//! A list of empty texts has three bytes of JSON for each and takes ten times as much when it is
//! read, and a session can be declared in fewer bytes than its place in memory has. So the values
//! of a large manifest are counted first, without keeping one of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// About what the largest object of a manifest takes, its texts left out: they are not larger in
/// memory than in JSON.
const OBJECT: u64 = 512;

/// What a text takes without its letters, and a little for how memory is given out.
const VALUE: u64 = 48;

/// About how many bytes of memory a JSON document takes when it is read, without its texts.
///
/// # Errors
/// When it is no JSON, or values are in each other deeper than serde_json goes.
pub(super) fn weight(json: &[u8]) -> serde_json::Result<u64> {
    serde_json::from_slice::<Weight>(json).map(|Weight(bytes)| bytes)
}

struct Weight(u64);

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Weigher)
    }
}

struct Weigher;

impl<'de> Visitor<'de> for Weigher {
    type Value = Weight;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Weight, E> {
        Ok(Weight(VALUE))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Weight, E> {
        Ok(Weight(VALUE))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Weight, E> {
        Ok(Weight(VALUE))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Weight, E> {
        Ok(Weight(VALUE))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Weight, E> {
        Ok(Weight(VALUE))
    }

    fn visit_str<E>(self, _: &str) -> Result<Weight, E> {
        Ok(Weight(VALUE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Weight, A::Error> {
        let mut sum = VALUE;
        while let Some(Weight(item)) = items.next_element()? {
            sum = sum.saturating_add(item);
        }
        Ok(Weight(sum))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Weight, A::Error> {
        let mut sum = OBJECT;
        while let Some((IgnoredAny, Weight(member))) = members.next_entry()? {
            sum = sum.saturating_add(member);
        }
        Ok(Weight(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_nothing_kept() {
        assert_eq!(weight(b"null").unwrap(), VALUE);
        assert_eq!(weight(br#"["", 1, -1, 0.5, true]"#).unwrap(), 6 * VALUE);
        assert_eq!(weight(br#"{"a": {"b": []}, "a": "x"}"#).unwrap(), 2 * OBJECT + 2 * VALUE);
        assert!(weight(b"[").is_err());
        assert!(weight("[".repeat(10_000).as_bytes()).is_err());
    }
}
