//! JSON texts too large to be held in memory, value by value.

use std::io::{self, BufRead};

/// Goes through a JSON text. It checks no more than it needs to find where a value ends; who uses a
/// value parses it.
pub struct Scanner<R> {
    input: R,
}

impl<R: BufRead> Scanner<R> {
    /// At the beginning of `input`.
    pub fn new(input: R) -> Self {
        Self { input }
    }

    /// The next byte that is no white space, which stays where it is.
    ///
    /// # Errors
    /// What the input returns.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = self.input.fill_buf()?;
            let Some(&first) = buffer.first() else { return Ok(None) };
            if !first.is_ascii_whitespace() {
                return Ok(Some(first));
            }
            let spaces = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.input.consume(spaces);
        }
    }

    /// Goes over `byte`, if that is what comes next.
    ///
    /// # Errors
    /// What the input returns.
    pub fn take(&mut self, byte: u8) -> io::Result<bool> {
        let is_next = self.peek()? == Some(byte);
        if is_next {
            self.input.consume(1);
        }
        Ok(is_next)
    }

    /// Goes over the next value and appends it to `out`, without the white space in it, as long as
    /// `out` stays within `limit` bytes.
    ///
    /// # Errors
    /// What the input returns, and when the text ends before the value or the value is too long.
    pub fn value(&mut self, out: &mut Vec<u8>, limit: usize) -> io::Result<()> {
        self.pass(&mut |byte| {
            out.push(byte);
            out.len() <= limit
        })
    }

    /// Goes over the next value of any size and returns how long it is without the white space in it.
    ///
    /// # Errors
    /// What the input returns, and when the text ends before the value.
    pub fn length(&mut self) -> io::Result<u64> {
        let mut length = 0;
        self.pass(&mut |_| {
            length += 1;
            true
        })?;
        Ok(length)
    }

    /// Goes over the next value; `put` takes each byte of it but white space, and says whether there
    /// is room for more.
    fn pass(&mut self, put: &mut impl FnMut(u8) -> bool) -> io::Result<()> {
        let mut depth = 0_u64;
        let (mut in_text, mut escaped, mut in_word) = (false, false, false);
        self.peek()?;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                // A number may be all there is.
                return if in_word && depth == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let mut used = 0;
            let (mut ended, mut has_room) = (false, true);
            for &byte in buffer {
                if !in_text
                    && in_word
                    && depth == 0
                    && (b",:]}".contains(&byte) || byte.is_ascii_whitespace())
                {
                    ended = true;
                    break;
                }
                used += 1;
                if in_text {
                    has_room &= put(byte);
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => (in_text, ended) = (false, depth == 0),
                        _ => {}
                    }
                } else if !byte.is_ascii_whitespace() {
                    has_room &= put(byte);
                    match byte {
                        b'"' => in_text = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => {
                            depth = depth.checked_sub(1).ok_or(io::ErrorKind::InvalidData)?;
                            ended = depth == 0;
                        }
                        _ => in_word = true,
                    }
                }
                if ended {
                    break;
                }
            }
            self.input.consume(used);
            if !has_room {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// A JSON text without the white space in it; `None` when it is none, or something comes after it.
pub fn compact(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut scanner = Scanner::new(text);
    let mut out = Vec::with_capacity(text.len());
    scanner.value(&mut out, usize::MAX).ok()?;
    scanner.peek().ok()?.is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_one_by_one_without_white_space() {
        let text = br#" { "a" : [ 1 , "x \" ] y" , { } ], "b":true ,"c" : null, "d":"", "e": -1.5e3 }"#;
        for chunk in [1, 2, 7, 100] {
            let mut scanner = Scanner::new(io::BufReader::with_capacity(chunk, &text[..]));
            let mut values = Vec::new();
            assert!(scanner.take(b'{').expect("memory"));
            loop {
                for _ in 0..2 {
                    let mut out = Vec::new();
                    scanner.value(&mut out, 100).expect("a value");
                    values.push(String::from_utf8(out).expect("text"));
                    scanner.take(b':').expect("memory");
                }
                if !scanner.take(b',').expect("memory") {
                    break;
                }
            }
            assert_eq!(
                values,
                [
                    r#""a""#,
                    r#"[1,"x \" ] y",{}]"#,
                    r#""b""#,
                    "true",
                    r#""c""#,
                    "null",
                    r#""d""#,
                    r#""""#,
                    r#""e""#,
                    "-1.5e3"
                ]
            );
            assert!(scanner.take(b'}').expect("memory") && scanner.peek().expect("memory").is_none());
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for text in ["", "  ", "{\"a\":", "\"open", "[1", "]", "1 2"] {
            assert_eq!(compact(text.as_bytes()), None, "{text}");
        }
        assert_eq!(compact(b"\xef\xbb\xbf{ \"a\" : 1 }\n").as_deref(), Some(&br#"{"a":1}"#[..]));
        assert!(Scanner::new(&b"[1,2,3]"[..]).value(&mut Vec::new(), 3).is_err());
    }
}
