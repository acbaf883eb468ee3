//! A record of any length in few bytes: the same JSON with its long texts left out.
//!
//! A single record can have hundreds of megabytes (an image, a file that was read, the output of a
//! tool), nearly all of them in one text. What a record is, where it belongs and which paths it
//! names stands in short values beside that. So a record too long to be taken into memory is read
//! once as it streams by, and what is left of it is parsed as any other; where a value of it stands
//! in the file is known, so that it can be changed there.

use std::io::{self, Read};

/// A longer text is left out. Paths are shorter on every system, however they are escaped.
const TEXT: usize = 32 << 10;

/// If more than this is left, lists and objects inside go too, the innermost large ones first.
const MOST: usize = 2 << 20;

const CHUNK: usize = 256 << 10;

/// What is left of a record.
#[derive(Debug)]
pub struct Abridged {
    /// The record; what was left out is an empty text, list or object.
    json: Vec<u8>,
    /// Where `json` goes on after something was left out: `(place in it, place in the file)`.
    jumps: Vec<(usize, u64)>,
    is_emptied: bool,
}

impl Abridged {
    /// Reads a record to its end, with what stands around it in its line; `offset` is where `input`
    /// begins in its file.
    ///
    /// A broken record gives something broken, of a few megabytes at the most.
    ///
    /// # Errors
    /// What the input returns.
    pub fn read(mut input: impl Read, offset: u64) -> io::Result<Self> {
        let mut abridger = Abridger {
            json: Vec::new(),
            jumps: vec![(0, offset)],
            open: Vec::new(),
            dropped: 0,
            text: None,
            escaped: false,
            is_emptied: false,
        };
        let mut buffer = vec![0; CHUNK];
        let mut at = offset;
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => {
                    abridger.take(&buffer[..got], at);
                    at += got as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { json: abridger.json, jumps: abridger.jumps, is_emptied: abridger.is_emptied })
    }

    /// The record without its long texts.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Whether the record has so many members of its own that nothing is left of it.
    pub fn is_emptied(&self) -> bool {
        self.is_emptied
    }

    /// Where a byte of [`Abridged::json`] is in the file.
    pub fn place(&self, at: usize) -> u64 {
        let jump = self.jumps.partition_point(|(here, _)| *here <= at) - 1;
        let (here, there) = self.jumps[jump];
        there + (at - here) as u64
    }
}

struct Abridger {
    json: Vec<u8>,
    jumps: Vec<(usize, u64)>,
    /// Where what is open began in `json`, behind its bracket.
    open: Vec<u32>,
    /// How many of those that are open, counted from the innermost, are being left out.
    dropped: usize,
    /// Inside of a text: where it began in `json`.
    text: Option<Text>,
    escaped: bool,
    is_emptied: bool,
}

#[derive(Clone, Copy)]
enum Text {
    /// It began there.
    Kept(usize),
    /// Its end is looked for.
    Left,
}

impl Abridger {
    /// Takes the next bytes, which stand at `at` in the file.
    fn take(&mut self, bytes: &[u8], at: u64) {
        let mut from = 0;
        while from < bytes.len() {
            from += match self.text {
                Some(text) => self.inside(text, &bytes[from..], at + from as u64),
                None => self.outside(&bytes[from..], at + from as u64),
            };
        }
    }

    /// Goes on in a text; returns how many bytes of `rest` were taken.
    fn inside(&mut self, text: Text, rest: &[u8], at: u64) -> usize {
        let mut end = 0;
        let mut ended = false;
        while end < rest.len() {
            if std::mem::take(&mut self.escaped) {
                end += 1;
                continue;
            }
            match memchr::memchr2(b'"', b'\\', &rest[end..]) {
                None => end = rest.len(),
                Some(found) if rest[end + found] == b'\\' => {
                    self.escaped = true;
                    end += found + 1;
                }
                Some(found) => {
                    ended = true;
                    end += found;
                    break;
                }
            }
        }
        if let (Text::Kept(start), 0) = (text, self.dropped) {
            if self.json.len() - start + end <= TEXT {
                self.json.extend_from_slice(&rest[..end]);
            } else {
                self.json.truncate(start);
                self.text = Some(Text::Left);
            }
        }
        if !ended {
            return end;
        }
        if self.dropped == 0 {
            if let Some(Text::Left) = self.text {
                self.jumps.push((self.json.len(), at + end as u64));
            }
            self.json.push(b'"');
        }
        self.text = None;
        end + 1
    }

    /// Goes on between texts; returns how many bytes of `rest` were taken.
    fn outside(&mut self, rest: &[u8], at: u64) -> usize {
        for (place, &byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.keep(byte);
                    self.text = Some(Text::Kept(self.json.len()));
                    return place + 1;
                }
                b'{' | b'[' => {
                    self.keep(byte);
                    if self.dropped > 0 {
                        self.dropped += 1;
                    } else {
                        self.open.push(u32::try_from(self.json.len()).unwrap_or(u32::MAX));
                    }
                }
                b'}' | b']' if self.dropped > 1 => self.dropped -= 1,
                b'}' | b']' => {
                    if std::mem::take(&mut self.dropped) == 1 {
                        self.jumps.push((self.json.len(), at + place as u64));
                    } else {
                        self.open.pop();
                    }
                    self.json.push(byte);
                }
                _ => self.keep(byte),
            }
            if self.json.len() > MOST {
                self.leave_out();
            }
        }
        rest.len()
    }

    fn keep(&mut self, byte: u8) {
        if self.dropped == 0 {
            self.json.push(byte);
        }
    }

    /// Empties the innermost of what is open that has a good part of all, and leaves the rest of it
    /// out.
    fn leave_out(&mut self) {
        let is_large = |start: &u32| self.json.len() - *start as usize > MOST / 8;
        let place = self.open.iter().rposition(is_large).unwrap_or(0);
        self.is_emptied |= place == 0;
        self.dropped = self.open.len() - place;
        let start = self.open.get(place).map_or(0, |start| *start as usize);
        self.open.truncate(place);
        self.json.truncate(start);
        while self.jumps.len() > 1 && self.jumps.last().is_some_and(|(here, _)| *here > start) {
            self.jumps.pop();
        }
        if self.dropped == 0 {
            // Nothing is open: this is no JSON.
            self.dropped = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a few bytes at a time, so that every border of the buffer is met.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn abridged(json: &str, step: usize) -> (String, Abridged) {
        let abridged = Abridged::read(Drops(json.as_bytes(), step), 0).expect("memory");
        (String::from_utf8(abridged.json().to_vec()).expect("text"), abridged)
    }

    #[test]
    fn short_records_stay_as_they_are() {
        for json in [
            r#"{"a":"b\"\\","c":[1,{"d":null}],"e":{}} "#,
            "",
            "null",
            "\"torn",
            "{\"a\":[\"b\\",
            "}}]]{",
            "[[[[\"\\u00e9\"]]]]\n",
        ] {
            for step in [1, 2, 3, 100] {
                assert_eq!(abridged(json, step).0, json);
            }
        }
    }

    #[test]
    fn long_texts_go_and_every_other_byte_is_found_again() {
        let long = format!("{}\\\"\\\\", "x\\n".repeat(TEXT));
        let json = format!(r#"{{"a":"{long}","cwd":"/one","b":["{long}",{{"c":"/two"}}],"z":"{long}"}}"#);
        for step in [7, 4096, CHUNK * 2] {
            let (text, abridged) = abridged(&json, step);
            assert_eq!(text, r#"{"a":"","cwd":"/one","b":["",{"c":"/two"}],"z":""}"#);
            for wanted in ["\"/one\"", "/two\"", "\"z\":"] {
                let here = text.find(wanted).expect("it is there");
                let there = abridged.place(here) as usize;
                assert_eq!(&json[there..there + wanted.len()], wanted);
            }
        }
    }

    #[test]
    fn what_has_countless_members_goes_and_what_stands_beside_it_stays() {
        let list = format!("[{}1]", "[1,2],".repeat(MOST / 3));
        let json = format!(r#"{{"cwd":"/one","deep":{{"list":{list},"n":3}},"after":"/two","more":{list}}}"#);
        let (text, abridged) = abridged(&json, 1000);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&value["cwd"], &value["after"]), (&"/one".into(), &"/two".into()));
        assert!(text.len() <= MOST, "{}", text.len());
        let there = abridged.place(text.find("\"/two\"").expect("it is there")) as usize;
        assert_eq!(&json[there..there + 6], "\"/two\"");
    }

    #[test]
    fn nothing_makes_it_large() {
        for unit in ["[", "{\"a\":", "1,", "}", "\"a\",", "\"a\":1,"] {
            for front in ["", "{", "["] {
                let json = format!("{front}{}", unit.repeat((MOST + MOST / 2) / unit.len()));
                let (text, _) = abridged(&json, 100_000);
                assert!(text.len() <= MOST + TEXT, "{front}{unit}: {}", text.len());
            }
        }
    }
}
