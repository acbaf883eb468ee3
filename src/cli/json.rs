//! JSON that a terminal may be shown as well.
//!
//! JSON escapes the control characters of ASCII, but not those of Unicode, nor the marks that
//! reorder or hide text. They stand in nothing but texts, where an escape means the same.

use std::io::{self, BufWriter, Write};

use rayon::prelude::*;
use serde::Serialize;

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

/// Writes `document` as it is shown: pretty, and escaped.
///
/// # Errors
/// When it cannot be written.
pub fn write(out: impl Write, document: &impl Serialize) -> io::Result<()> {
    let mut out = BufWriter::new(Escaped::new(out));
    serde_json::to_writer_pretty(&mut out, document)?;
    out.flush()
}

/// Rows that a thread renders at a time.
const TOGETHER: usize = 64;
/// Rows that are rendered while those before them are written.
const WAVE: usize = 16 * TOGETHER;

/// Writes `{"schema": …, NAME: [rows]}` and a line end, as [`write`] would, the rows rendered side by side:
/// of thousands of sessions that takes a good part of a list's time.
///
/// # Errors
/// When it cannot be written.
pub fn write_rows<T>(out: &mut (impl Write + Send), schema: &str, name: &str, rows: &[T]) -> io::Result<()>
where
    T: Serialize + Sync,
{
    let (schema, name) = (serde_json::to_string(schema)?, serde_json::to_string(name)?);
    write!(out, "{{\n  \"schema\": {schema},\n  {name}: [")?;
    let mut waves = rows.chunks(WAVE).map(|wave| wave.par_chunks(TOGETHER).map(rendered).collect());
    let mut ready: Option<io::Result<Vec<Vec<u8>>>> = waves.next();
    let mut comma = "\n";
    while let Some(pieces) = ready {
        let pieces = pieces?;
        let (written, next) = rayon::join(
            || {
                pieces.iter().try_for_each(|piece| {
                    out.write_all(std::mem::replace(&mut comma, ",\n").as_bytes())?;
                    out.write_all(piece)
                })
            },
            || waves.next(),
        );
        written?;
        ready = next;
    }
    out.write_all(if rows.is_empty() { b"]\n}\n" } else { b"\n  ]\n}\n" })
}

/// Some rows as they stand in a list inside of an object.
fn rendered<T: Serialize>(rows: &[T]) -> io::Result<Vec<u8>> {
    const BEFORE: &str = "[\n  [\n";
    const AFTER: &str = "\n  ]\n]";
    let mut text = Vec::with_capacity(rows.len() * 1024);
    write(&mut text, &[rows])?;
    text.truncate(text.len() - AFTER.len());
    text.drain(..BEFORE.len());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_as_any_document() {
        for count in [0, 1, TOGETHER, TOGETHER + 1, 2 * WAVE + 3] {
            let rows: Vec<_> = (0..count).map(|row| (row, format!("row \u{202e}{row}\n"), [(); 0])).collect();
            let (mut one, mut other) = (Vec::new(), Vec::new());
            write(&mut one, &serde_json::json!({"schema": "a/1", "rows": rows})).unwrap();
            one.push(b'\n');
            write_rows(&mut other, "a/1", "rows", &rows).unwrap();
            assert_eq!(String::from_utf8(other).unwrap(), String::from_utf8(one).unwrap(), "{count}");
        }
    }

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
