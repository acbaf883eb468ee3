//! JSON that a terminal may be shown as well.
//!
//! JSON escapes the control characters of ASCII, but not those of Unicode, nor the marks that
//! reorder or hide text. They stand in nothing but texts, where an escape means the same.

use std::io::{self, Write};

use super::text::is_unsafe;

/// Writes JSON, with an escape for each character that could do something to a terminal. It is fast with
/// large writes: put a buffer before it, and one behind it.
pub struct Escaped<W: Write> {
    out: W,
    /// The first bytes of a character of which the rest is still to come.
    part: Vec<u8>,
}

impl<W: Write> Escaped<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, part: Vec::new() }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some(place) = rest.find(|c| is_unsafe(c) && c != '\n') {
            let (before, from) = rest.split_at(place);
            self.out.write_all(before.as_bytes())?;
            let c = from.chars().next().unwrap_or_default();
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(self.out, "\\u{unit:04x}")?;
            }
            rest = &from[c.len_utf8()..];
        }
        self.out.write_all(rest.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.text(chunk.valid())?;
            match chunk.invalid() {
                cut if chunks.peek().is_none() && cut.len() < 4 => self.part = cut.to_vec(),
                odd => self.out.write_all(odd)?,
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.chunks(PIECE) {
            if self.part.is_empty() && is_plain(piece) {
                self.out.write_all(piece)?;
            } else if self.part.is_empty() {
                self.bytes(piece)?;
            } else {
                let mut whole = std::mem::take(&mut self.part);
                whole.extend_from_slice(piece);
                self.bytes(&whole)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Most JSON is plain, and what is not is rare enough that few pieces have any.
const PIECE: usize = 128;

/// Whether there are only visible characters of ASCII, spaces and line ends. Looks at all bytes, which the
/// compiler makes faster than stopping at the first that is not.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| plain & ((b' '..0x7f).contains(byte) | (*byte == b'\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsafe_is_escaped_and_means_the_same() {
        let text = "é \u{202e}gpj \u{9b}31m \u{7f} \u{feff} \u{e0041} 👩\u{200d}👧 \u{1b}";
        let json = serde_json::to_vec(&[text, "\n"]).unwrap();
        for size in [1, 2, 3, 5, json.len()] {
            let mut escaped = Escaped::new(Vec::new());
            json.chunks(size).for_each(|piece| escaped.write_all(piece).unwrap());
            assert!(escaped.part.is_empty());
            let written = String::from_utf8(escaped.out).unwrap();
            assert!(!written.contains(is_unsafe), "{written}");
            assert!(written.contains("é") && written.contains("👩\u{200d}👧"), "{written}");
            assert_eq!(serde_json::from_str::<Vec<String>>(&written).unwrap(), [text, "\n"]);
        }
    }
}
