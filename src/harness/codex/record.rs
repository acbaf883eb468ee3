//! What kind of record a line is, from its first bytes.
//!
//! Codex 0.60 to 0.169 write `{"timestamp":…,"ordinal":…,"type":…,"payload":{"type":…` in this
//! order, so most lines of a rollout (token counts, tool progress, world state) can be passed over
//! without being parsed. A line in another order is parsed for its kind instead.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use crate::harness::common::repair::repair;

/// Parses a record. One that only its text makes unreadable is read from `fixed`, repaired.
pub fn parse<'a, T: Deserialize<'a>>(record: &'a [u8], fixed: &'a mut Vec<u8>) -> Option<T> {
    match serde_json::from_slice(record) {
        Ok(value) => Some(value),
        Err(_) => {
            *fixed = repair(record)?;
            serde_json::from_slice(fixed).ok()
        }
    }
}

/// The kind of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kind<'a> {
    /// `type` of the record, such as `response_item`.
    pub record: Cow<'a, str>,
    /// `type` of its payload, such as `message`; empty when the payload has none.
    pub payload: Cow<'a, str>,
    /// For `item_completed`: `type` of its item, such as `UserMessage`.
    pub item: Cow<'a, str>,
    /// Where the value of `ordinal` is in the line, when it was met on the way.
    pub ordinal: Option<Range<usize>>,
}

/// The kind of the record in `line`; `None` when it is no record.
pub fn kind(line: &[u8]) -> Option<Kind<'_>> {
    quick(line).or_else(|| slow(line))
}

/// The same where only some kinds are looked for: a line in another order is not parsed for its kind
/// unless one of `names`, in quotes, is in it.
pub fn kind_among<'a>(line: &'a [u8], names: &[&[u8]]) -> Option<Kind<'a>> {
    quick(line).or_else(|| {
        let is_named = |name: &&[u8]| memchr::memmem::find(line, name).is_some();
        names.iter().any(is_named).then(|| slow(line)).flatten()
    })
}

/// The kind of a record that begins as Codex writes it. `line` may be cut.
pub fn quick(line: &[u8]) -> Option<Kind<'_>> {
    let mut cursor = Cursor { bytes: line, at: 0 };
    let mut kind = Kind::default();
    cursor.expect(b'{')?;
    loop {
        match cursor.key()? {
            b"type" => kind.record = cursor.text()?,
            b"payload" if !kind.record.is_empty() => break,
            b"ordinal" => {
                cursor.space();
                let start = cursor.at;
                cursor.skip_scalar()?;
                kind.ordinal = Some(start..cursor.at);
            }
            _ => cursor.skip_scalar()?,
        }
        cursor.expect(b',')?;
    }
    if !matches!(&*kind.record, "event_msg" | "response_item") {
        return Some(kind);
    }
    cursor.expect(b'{')?;
    if cursor.key()? != b"type" {
        return None;
    }
    kind.payload = cursor.text()?;
    if kind.payload == "item_completed" {
        loop {
            cursor.expect(b',')?;
            if cursor.key()? == b"item" {
                break;
            }
            cursor.skip_scalar()?;
        }
        cursor.expect(b'{')?;
        if cursor.key()? != b"type" {
            return None;
        }
        kind.item = cursor.text()?;
    }
    Some(kind)
}

fn slow(line: &[u8]) -> Option<Kind<'_>> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(rename = "type", borrow)]
        record: Cow<'a, str>,
        #[serde(borrow, default)]
        payload: Option<Tagged<'a>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Tagged<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        item: Option<Box<Tagged<'a>>>,
    }
    let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
    let payload = envelope.payload.unwrap_or_default();
    let item = payload.item.map(|item| item.kind).unwrap_or_default();
    Some(Kind { record: envelope.record, payload: payload.kind, item, ordinal: None })
}

/// Whether `line` is a record to its last byte.
pub fn is_whole(line: &[u8]) -> bool {
    line.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// The text of `timestamp` at the beginning of a line that may be cut.
pub fn timestamp(line: &[u8]) -> Option<&str> {
    let mut cursor = Cursor { bytes: line, at: 0 };
    cursor.expect(b'{')?;
    loop {
        if cursor.key()? == b"timestamp" {
            return std::str::from_utf8(cursor.string()?).ok();
        }
        cursor.skip_scalar()?;
        cursor.expect(b',')?;
    }
}

/// Walks over the first members of an object; gives up (`None`) on anything but plain scalars.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        while let Some(b' ' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space();
        (*self.bytes.get(self.at)? == byte).then(|| self.at += 1)
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.string()?;
        self.expect(b':')?;
        Some(key)
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        std::str::from_utf8(self.string()?).ok().map(Cow::Borrowed)
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let rest = &self.bytes[self.at..];
        let end = memchr::memchr2(b'"', b'\\', rest)?;
        if rest[end] == b'\\' {
            return None;
        }
        self.at += end + 1;
        Some(&rest[..end])
    }

    fn skip_scalar(&mut self) -> Option<()> {
        self.space();
        match self.bytes.get(self.at)? {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => None,
            _ => {
                let rest = &self.bytes[self.at..];
                let end = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b' '))?;
                self.at += end;
                Some(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<(String, String, String)> {
        kind(line.as_bytes()).map(|k| (k.record.into(), k.payload.into(), k.item.into()))
    }

    #[test]
    fn kinds_in_the_usual_order_and_in_any_other() {
        let item = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        let line = r#"{"timestamp":"t","ordinal":12,"type":"event_msg","payload":{"type":"item_completed","thread_id":"x","item":{"type":"UserMessage","id":1}}}"#;
        assert_eq!(words(line), item("event_msg", "item_completed", "UserMessage"));
        let ordinal = kind(line.as_bytes()).and_then(|kind| kind.ordinal).expect("an ordinal");
        assert_eq!(&line[ordinal], "12");
        let line = r#"{ "payload" : { "item":{"type":"Plan"}, "type":"item_completed" }, "timestamp" : "t", "type" : "event_msg" }"#;
        assert_eq!(words(line), item("event_msg", "item_completed", "Plan"));
        let line = r#"{"timestamp": "t", "type": "session_meta", "payload": {"id": "x"}}"#;
        assert_eq!(words(line), item("session_meta", "", ""));
        let line = r#"{"timestamp":"t","type":"response_item","payload":{"role":"user","type":"message"}}"#;
        assert_eq!(words(line), item("response_item", "message", ""));
    }

    #[test]
    fn what_is_no_record() {
        for line in ["", "null", "[]", "{}", r#"{"type":3}"#, r#"{"type":"x""#, "\u{0}"] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    #[test]
    fn the_timestamp_of_a_cut_line() {
        assert_eq!(timestamp(br#"{"timestamp":"2026-01-01T00:00:00Z","ordi"#), Some("2026-01-01T00:00:00Z"));
        assert_eq!(timestamp(br#"{"ordinal":1,"timestamp": "x","#), Some("x"));
        assert_eq!(timestamp(br#"{"payload":{"timestamp":"x"}"#), None);
    }
}
