//! Walks over JSON as it streams by, with the offset of every value and nothing held in memory.
//!
//! A session that was resumed has its whole conversation in one line, so a line cannot be taken into
//! memory to be looked at. This walker finds where the values are; whoever wants one reads it later.
//! It checks the structure (so a torn record is noticed), not the spelling of numbers and escapes:
//! what is read later is parsed strictly then.

use std::io::{self, Read};

const CHUNK: usize = 256 << 10;

/// Reads JSON from a stream.
pub struct Walker<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Offset of the buffer's first byte.
    base: u64,
    /// Whether a line end ends the document: then it cannot stand inside a value.
    by_line: bool,
    capture: Option<Capture>,
}

struct Capture {
    text: Vec<u8>,
    limit: usize,
}

/// Why a document cannot be walked over.
#[derive(Debug)]
pub enum Trouble {
    /// It is no JSON, or ends too early.
    Broken,
    /// The input failed.
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a walk returns.
pub type Walk<T = ()> = Result<T, Trouble>;

impl<R: Read> Walker<R> {
    /// A walker over documents that are a line each.
    pub fn lines(input: R) -> Self {
        Self { input, buffer: vec![0; CHUNK], at: 0, end: 0, base: 0, by_line: true, capture: None }
    }

    /// A walker over one document with line ends between its values.
    pub fn document(input: R) -> Self {
        Self { by_line: false, ..Self::lines(input) }
    }

    /// Offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The next byte, which stays where it is; `None` at the end.
    ///
    /// # Errors
    /// What the input returns.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.at]))
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.base += self.end as u64;
        (self.at, self.end) = (0, 0);
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(count) => {
                    self.end = count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on by `count` bytes that are in the buffer.
    fn pass(&mut self, count: usize) {
        if let Some(capture) = &mut self.capture {
            let room = (capture.limit + 1).saturating_sub(capture.text.len()).min(count);
            capture.text.extend_from_slice(&self.buffer[self.at..self.at + room]);
        }
        self.at += count;
    }

    fn next(&mut self) -> Walk<u8> {
        let byte = self.peek()?.ok_or(Trouble::Broken)?;
        self.pass(1);
        Ok(byte)
    }

    /// Passes white space; a line end is not passed where it ends the document.
    ///
    /// # Errors
    /// What the input returns.
    pub fn space(&mut self) -> io::Result<()> {
        while let Some(byte) = self.peek()? {
            match byte {
                b' ' | b'\t' | b'\r' => self.pass(1),
                b'\n' if !self.by_line => self.pass(1),
                _ => break,
            }
        }
        Ok(())
    }

    /// Passes `byte` if it comes next.
    ///
    /// # Errors
    /// What the input returns.
    pub fn take(&mut self, byte: u8) -> io::Result<bool> {
        self.space()?;
        let is_next = self.peek()? == Some(byte);
        if is_next {
            self.pass(1);
        }
        Ok(is_next)
    }

    fn expect(&mut self, byte: u8) -> Walk {
        if self.take(byte)? { Ok(()) } else { Err(Trouble::Broken) }
    }

    /// Passes a value and returns its text when that has at most `limit` bytes.
    ///
    /// # Errors
    /// When there is no whole value.
    pub fn text(&mut self, limit: usize) -> Walk<Option<String>> {
        self.space()?;
        self.capture = Some(Capture { text: Vec::new(), limit });
        let passed = self.value();
        let text = self.capture.take().map(|capture| capture.text).unwrap_or_default();
        passed?;
        Ok(if text.len() > limit { None } else { Some(String::from_utf8_lossy(&text).into_owned()) })
    }

    /// Passes a value.
    ///
    /// # Errors
    /// When there is no whole value.
    pub fn value(&mut self) -> Walk {
        // What is open: true for an object.
        let mut open: Vec<bool> = Vec::new();
        loop {
            self.space()?;
            match self.peek()? {
                Some(b'{') => {
                    self.pass(1);
                    if !self.take(b'}')? {
                        open.push(true);
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.pass(1);
                    if !self.take(b']')? {
                        open.push(false);
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(_) => self.scalar()?,
                None => return Err(Trouble::Broken),
            }
            // A value has ended; so may what it stands in.
            loop {
                let Some(&object) = open.last() else { return Ok(()) };
                self.space()?;
                match (self.next()?, object) {
                    (b',', true) => {
                        self.key()?;
                        break;
                    }
                    (b',', false) => break,
                    (b'}', true) | (b']', false) => drop(open.pop()),
                    _ => return Err(Trouble::Broken),
                }
            }
        }
    }

    fn key(&mut self) -> Walk {
        self.space()?;
        self.string()?;
        self.expect(b':')
    }

    fn string(&mut self) -> Walk {
        if self.next()? != b'"' {
            return Err(Trouble::Broken);
        }
        loop {
            if self.at == self.end && !self.fill()? {
                return Err(Trouble::Broken);
            }
            let rest = &self.buffer[self.at..self.end];
            match memchr::memchr3(b'"', b'\\', b'\n', rest) {
                None => self.pass(rest.len()),
                Some(at) => match rest[at] {
                    b'"' => {
                        self.pass(at + 1);
                        return Ok(());
                    }
                    b'\\' => {
                        self.pass(at + 1);
                        if self.next()? == b'\n' {
                            return Err(Trouble::Broken);
                        }
                    }
                    _ => {
                        self.pass(at);
                        return Err(Trouble::Broken);
                    }
                },
            }
        }
    }

    fn scalar(&mut self) -> Walk {
        let mut any = false;
        while let Some(b'a'..=b'z' | b'E' | b'0'..=b'9' | b'+' | b'-' | b'.') = self.peek()? {
            self.pass(1);
            any = true;
        }
        if any { Ok(()) } else { Err(Trouble::Broken) }
    }

    /// Walks over an object: `member` is called with each key and has to pass the value.
    ///
    /// # Errors
    /// When there is no whole object, or `member` fails.
    pub fn object(&mut self, member: &mut dyn FnMut(&mut Self, &str) -> Walk) -> Walk {
        self.expect(b'{')?;
        if self.take(b'}')? {
            return Ok(());
        }
        loop {
            self.space()?;
            if self.peek()? != Some(b'"') {
                return Err(Trouble::Broken);
            }
            let json = self.text(256)?;
            let key = json.and_then(|json| serde_json::from_str::<String>(&json).ok());
            self.expect(b':')?;
            self.space()?;
            match key {
                Some(key) => member(self, &key)?,
                None => self.value()?,
            }
            if !self.take(b',')? {
                return self.expect(b'}');
            }
        }
    }

    /// Walks over an array: `element` is called before each element and has to pass it.
    ///
    /// # Errors
    /// When there is no whole array, or `element` fails.
    pub fn array(&mut self, element: &mut dyn FnMut(&mut Self) -> Walk) -> Walk {
        self.expect(b'[')?;
        if self.take(b']')? {
            return Ok(());
        }
        loop {
            self.space()?;
            element(self)?;
            if !self.take(b',')? {
                return self.expect(b']');
            }
        }
    }

    /// Passes the rest of the line. `false`: it had no line end.
    ///
    /// # Errors
    /// What the input returns.
    pub fn rest_of_line(&mut self) -> io::Result<bool> {
        loop {
            if self.at == self.end && !self.fill()? {
                return Ok(false);
            }
            let rest = &self.buffer[self.at..self.end];
            match memchr::memchr(b'\n', rest) {
                Some(at) => {
                    self.at += at + 1;
                    return Ok(true);
                }
                None => self.at = self.end,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a byte at a time, so that every border of the buffer is met.
    struct Drop<'a>(&'a [u8]);

    impl Read for Drop<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn values_are_passed_whole() {
        for json in [
            "1",
            "-1.5E+3",
            "null",
            r#""a\"b\\""#,
            "[]",
            "{}",
            "[1,[2,{\"a\":[]}]]",
            r#"{"a":1,"b":{"c":"}"}}"#,
            "[ 1 , 2 ]",
        ] {
            let text = format!("{json} rest");
            let mut walker = Walker::lines(Drop(text.as_bytes()));
            walker.value().unwrap_or_else(|trouble| panic!("{json}: {trouble:?}"));
            assert_eq!(walker.offset(), json.len() as u64, "{json}");
        }
    }

    #[test]
    fn what_is_torn_is_noticed() {
        for json in
            ["", "[1", "{\"a\"", "{\"a\":", "{\"a\":1", "\"a", "\"a\n\"", "[1,\n2]", "[1 2]", "{a:1}", "]"]
        {
            let mut walker = Walker::lines(Drop(json.as_bytes()));
            assert!(matches!(walker.value(), Err(Trouble::Broken)), "{json}");
        }
        Walker::document(Drop(b"[1,\n2]")).value().expect("line ends are white space in a document");
    }

    #[test]
    fn members_and_elements_with_their_places() {
        let json = br#"{"a": [10, "x"],"b":{}} "#;
        let mut seen = Vec::new();
        let mut walker = Walker::lines(Drop(json));
        walker
            .object(&mut |walker, key| {
                if key != "a" {
                    seen.push((key.to_owned(), walker.text(9)?));
                    return Ok(());
                }
                walker.array(&mut |walker| {
                    let start = walker.offset() as usize;
                    walker.value()?;
                    let text = &json[start..walker.offset() as usize];
                    seen.push((String::new(), std::str::from_utf8(text).ok().map(str::to_owned)));
                    Ok(())
                })
            })
            .expect("an object");
        let seen: Vec<(&str, Option<&str>)> = seen.iter().map(|(a, b)| (a.as_str(), b.as_deref())).collect();
        assert_eq!(seen, [("", Some("10")), ("", Some("\"x\"")), ("b", Some("{}"))]);
    }
}
