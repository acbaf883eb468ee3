//! A message as one line of a payload, made of the records that the store keeps of it.
//!
//! The store keeps a record without its ids; the program's export has them in it, at the end. How
//! long a line becomes follows from the lengths of the records alone, so that a payload knows its
//! size before a record was read. That holds for damaged records too: a line has spaces where one
//! would be.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

/// What is known of a record beside its bytes.
#[derive(Debug, Clone)]
pub struct Meta {
    /// `,"id":"…"` and what else goes to the end of the record.
    ids: String,
    /// `[created,updated]`
    times: String,
}

impl Meta {
    /// A record with these ids, `(member, id)`, and times.
    pub fn new(ids: &[(&str, &str)], created: Option<Number>, updated: Option<Number>) -> Self {
        let ids = ids.iter().map(|(member, id)| format!(",\"{member}\":{}", quoted(id))).collect();
        let word = |time: Option<Number>| time.map_or_else(|| "null".to_owned(), |time| time.to_string());
        Self { ids, times: format!("[{},{}]", word(created), word(updated)) }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Adds up how long a line becomes.
#[derive(Debug)]
pub struct Length(u64);

impl Length {
    /// Of a line with this message.
    pub fn of(message: &Meta, bytes: u64) -> Self {
        let frame = "{\"info\":,\"parts\":[],\"times\":[]}\n".len();
        Self(frame as u64 + bytes + message.ids.len() as u64 + message.times.len() as u64)
    }

    /// With one more part.
    pub fn add(&mut self, part: &Meta, bytes: u64, is_first: bool) {
        self.0 += bytes + part.ids.len() as u64 + part.times.len() as u64 + if is_first { 1 } else { 2 };
    }

    /// In bytes, with the line end.
    pub fn bytes(&self) -> u64 {
        self.0
    }
}

/// A line on its way.
#[derive(Debug)]
pub struct Line<'a> {
    out: &'a mut Vec<u8>,
    times: String,
    /// Parts so far, and whether one of them is there.
    parts: usize,
    has_part: bool,
    is_message: bool,
}

impl<'a> Line<'a> {
    /// Begins a line with the record `data` of a message. `out` is emptied.
    pub fn begin(out: &'a mut Vec<u8>, message: &Meta, data: &[u8]) -> Self {
        out.clear();
        out.extend_from_slice(b"{\"info\":");
        let is_message = put(out, message, data);
        out.extend_from_slice(b",\"parts\":[");
        Self { out, times: message.times.clone(), parts: 0, has_part: false, is_message }
    }

    /// Adds the record `data` of a part.
    pub fn part(&mut self, part: &Meta, data: &[u8]) {
        // Between n parts are n - 1 commas. Where a part is missing, so is a comma.
        let is_first = self.parts == 0;
        self.parts += 1;
        let start = self.out.len();
        if !is_first {
            self.out.push(if self.has_part { b',' } else { b' ' });
        }
        if put(self.out, part, data) {
            self.times.push(',');
            self.times.push_str(&part.times);
            self.has_part = true;
        } else {
            self.out[start..].fill(b' ');
            self.times.extend(std::iter::repeat_n(' ', 1 + part.times.len()));
        }
    }

    /// Ends the line. Of a message that is damaged only spaces are left.
    pub fn end(self) {
        self.out.extend_from_slice(b"],\"times\":[");
        self.out.extend_from_slice(self.times.as_bytes());
        self.out.extend_from_slice(b"]}");
        if !self.is_message {
            self.out.fill(b' ');
        }
        self.out.push(b'\n');
    }
}

/// Appends a record with its ids, or as many spaces when it is none.
fn put(out: &mut Vec<u8>, meta: &Meta, data: &[u8]) -> bool {
    let start = out.len();
    let length = data.len() + meta.ids.len();
    let shape = std::str::from_utf8(data).ok().and_then(|text| Shape::of(text, meta));
    match shape {
        Some(Shape::Sound { end, is_empty }) => {
            out.extend_from_slice(&data[..end]);
            // A line is one line: a line end between two tokens may as well be a space.
            let lines = |byte: &mut u8| {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            };
            out[start..].iter_mut().for_each(lines);
            let comma = out.len();
            out.extend_from_slice(meta.ids.as_bytes());
            if is_empty {
                out[comma] = b' ';
            }
            out.push(b'}');
        }
        Some(Shape::Renamed(members)) => {
            out.push(b'{');
            out.extend_from_slice(members.as_bytes());
            out.extend_from_slice(&meta.ids.as_bytes()[usize::from(members.is_empty())..]);
            out.push(b'}');
        }
        None => {}
    }
    let is_there = out.len() > start;
    out.resize(start + length, b' ');
    is_there
}

/// Whether these bytes of the store are a record. What is none does not travel.
pub fn is_record(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok_and(|text| serde_json::from_str::<Names>(text).is_ok())
}

/// What a record is.
enum Shape {
    /// An object, up to the brace that ends it.
    Sound { end: usize, is_empty: bool },
    /// An object that has ids of its own, which the store's go before: all its other members.
    Renamed(String),
}

impl Shape {
    fn of(text: &str, meta: &Meta) -> Option<Self> {
        let Names { count, has_id } = serde_json::from_str(text).ok()?;
        if !has_id {
            return Some(Self::Sound { end: text.rfind('}')?, is_empty: count == 0 });
        }
        let Members(members) = serde_json::from_str(text).ok()?;
        let is_own = |name: &RawValue| meta.ids.contains(&format!(",{}:", name.get()));
        let kept: Vec<String> = members
            .into_iter()
            .filter(|(name, _)| !is_own(name))
            .map(|(name, value)| format!("{}:{}", name.get(), value.get().replace(['\n', '\r'], " ")))
            .collect();
        Some(Self::Renamed(kept.join(",")))
    }
}

/// What an object's members are called.
struct Names {
    count: usize,
    has_id: bool,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Names { count: 0, has_id: false };
                while let Some((name, IgnoredAny)) = map.next_entry::<&RawValue, IgnoredAny>()? {
                    names.count += 1;
                    names.has_id |= matches!(name.get(), "\"id\"" | "\"sessionID\"" | "\"messageID\"");
                }
                Ok(names)
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// The members of an object, as they are written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(message: &str, parts: &[&str]) -> String {
        let meta = |ids: &[(&str, &str)]| Meta::new(ids, Some(1.into()), Some(20.into()));
        let message_meta = meta(&[("id", "msg_1"), ("sessionID", "ses_1")]);
        let mut length = Length::of(&message_meta, message.len() as u64);
        let mut out = Vec::new();
        let mut line = Line::begin(&mut out, &message_meta, message.as_bytes());
        for (place, part) in parts.iter().enumerate() {
            let part_meta =
                meta(&[("id", &format!("prt_{place}")), ("sessionID", "ses_1"), ("messageID", "msg_1")]);
            length.add(&part_meta, part.len() as u64, place == 0);
            line.part(&part_meta, part.as_bytes());
        }
        line.end();
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.len() as u64, length.bytes(), "{text:?}");
        assert_eq!(text.matches('\n').count(), 1);
        text
    }

    fn value(line: &str) -> serde_json::Value {
        serde_json::from_str(line).expect("a line is JSON")
    }

    #[test]
    fn ids_go_to_the_end_of_a_record() {
        assert_eq!(
            render(r#"{"role":"user"}"#, &[r#"{"type":"text","text":"a\nb"}"#, r#"{"type":"x"}"#]),
            concat!(
                r#"{"info":{"role":"user","id":"msg_1","sessionID":"ses_1"},"parts":["#,
                r#"{"type":"text","text":"a\nb","id":"prt_0","sessionID":"ses_1","messageID":"msg_1"},"#,
                r#"{"type":"x","id":"prt_1","sessionID":"ses_1","messageID":"msg_1"}],"#,
                "\"times\":[[1,20],[1,20],[1,20]]}\n"
            )
        );
        let empty = value(&render("{ }", &["{}"]));
        assert_eq!(empty["parts"][0]["messageID"], "msg_1");
        let spread = value(&render("{\n \"role\": \"user\"\r\n}\n", &[]));
        assert_eq!(spread["info"]["role"], "user");
    }

    #[test]
    fn the_ids_of_the_store_go_before_those_in_a_record() {
        let line = value(&render(
            r#"{"id":"other","role":"user","sessionID":7}"#,
            &[r#"{"id":"x"}"#, r#"{"messageID":"x","a":1}"#],
        ));
        assert_eq!(line["info"], serde_json::json!({"role": "user", "id": "msg_1", "sessionID": "ses_1"}));
        assert_eq!(line["parts"][0]["id"], "prt_0");
        assert_eq!(line["parts"][1]["a"], 1);
    }

    #[test]
    fn a_damaged_record_leaves_spaces() {
        for parts in
            [&["{\"a\"", "{}"][..], &["{}", "[]"], &["null", "\"x\""], &["{}", "7", "{}"], &["", "{}", "{}"]]
        {
            let line = value(&render("{}", parts));
            let kept = parts.iter().filter(|part| **part == "{}").count();
            assert_eq!(line["parts"].as_array().map(Vec::len), Some(kept), "{line}");
            assert_eq!(line["times"].as_array().map(Vec::len), Some(kept + 1), "{line}");
        }
        for part in ["{\"a\"", "[]", "null", "\"x\"", "7", "", "{} {}", "\u{feff}{}", "{ }\n", "{\"id\":1}"] {
            let line = value(&render("{}", &[part]));
            assert_eq!(
                line["parts"].as_array().map(Vec::len),
                Some(is_record(part.as_bytes()).into()),
                "{part}"
            );
        }
        assert!(!is_record(b"{\"a\":\"\xff\"}"));
        assert_eq!(render("{\"torn", &["{}"]).trim(), "");
        let half = value(&render(r#"{"a":"\ud83d"}"#, &[]).replace("d83d", "fffd"));
        assert_eq!(half["info"]["a"], "\u{fffd}");
    }
}
