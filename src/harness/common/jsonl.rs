//! Lines of a JSONL file with their offsets, however long they are.
//!
//! Real transcripts have single lines of tens of megabytes (an image, a file that was read), torn
//! last lines (the harness is writing) and broken ones (a crash). None of that may stop a reader.

use std::io::{self, Read, Seek, SeekFrom};

/// A longer line is delivered without its bytes, so that one record cannot fill the memory.
pub const MAX_LINE: usize = 96 << 20;

const CHUNK: usize = 256 << 10;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Its bytes, without `\n` or `\r\n`, and without a byte order mark on the first line. Empty
    /// when the line is longer than [`MAX_LINE`].
    pub bytes: &'a [u8],
    /// Its length in the file, line end included.
    pub length: u64,
    /// False for a last line without a line end: the harness may still be writing it.
    pub complete: bool,
}

impl Line<'_> {
    /// Whether the line was too long to deliver.
    pub fn too_long(&self) -> bool {
        self.length > MAX_LINE as u64
    }
}

/// Reads lines. Memory: the longest line, at most [`MAX_LINE`].
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    eof: bool,
}

impl<R: Read> Lines<R> {
    /// Lines of `input`, whose next byte is at `offset` of its file.
    pub fn new(input: R, offset: u64) -> Self {
        Self { input, buffer: vec![0; CHUNK], start: 0, end: 0, offset, eof: false }
    }

    /// The next line, `None` at the end.
    ///
    /// # Errors
    /// What the input returns.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut scanned = 0;
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', &pending[scanned..]) {
                return Ok(Some(self.take(scanned + at + 1, true)));
            }
            scanned = pending.len();
            if self.eof {
                return Ok(if scanned == 0 { None } else { Some(self.take(scanned, false)) });
            }
            if scanned > MAX_LINE {
                return self.skip_long().map(Some);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Not doubled: what is filled with zeros is memory in use.
            let length = self.buffer.len() + (self.buffer.len() / 4).max(CHUNK);
            self.buffer.reserve_exact(length - self.buffer.len());
            self.buffer.resize(length, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.eof = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }

    fn take(&mut self, length: usize, complete: bool) -> Line<'_> {
        let range = self.start..self.start + length;
        let offset = self.offset;
        self.start += length;
        self.offset += length as u64;
        let mut bytes = &self.buffer[range];
        if complete {
            bytes = &bytes[..bytes.len() - 1];
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        }
        if offset == 0 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        Line { offset, bytes, length: length as u64, complete }
    }

    fn skip_long(&mut self) -> io::Result<Line<'_>> {
        let offset = self.offset;
        let mut length = 0;
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', pending) {
                self.start += at + 1;
                length += at as u64 + 1;
                self.offset += length;
                return Ok(Line { offset, bytes: &[], length, complete: true });
            }
            length += pending.len() as u64;
            self.start = self.end;
            if self.eof {
                self.offset += length;
                return Ok(Line { offset, bytes: &[], length, complete: false });
            }
            self.fill()?;
        }
    }
}

/// The length of the part of a file that ends with its last complete line.
///
/// # Errors
/// What the input returns.
pub fn complete_length(input: &mut (impl Read + Seek), length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let block = &mut block[..(end - start) as usize];
        input.seek(SeekFrom::Start(start))?;
        input.read_exact(block)?;
        if let Some(at) = memchr::memrchr(b'\n', block) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<(u64, Vec<u8>, u64, bool)> {
        let mut lines = Lines::new(bytes, 0);
        let mut out = Vec::new();
        while let Some(line) = lines.next_line().expect("memory does not fail") {
            out.push((line.offset, line.bytes.to_vec(), line.length, line.complete));
        }
        out
    }

    #[test]
    fn offsets_and_line_ends() {
        assert_eq!(
            all(b"\xef\xbb\xbfa\r\nbc\n\nd"),
            vec![
                (0, b"a".to_vec(), 6, true),
                (6, b"bc".to_vec(), 3, true),
                (9, b"".to_vec(), 1, true),
                (10, b"d".to_vec(), 1, false),
            ]
        );
        assert_eq!(all(b""), vec![]);
    }

    #[test]
    fn a_line_longer_than_the_chunk_comes_whole() {
        let mut bytes = vec![b'x'; CHUNK * 3 + 7];
        bytes.push(b'\n');
        bytes.extend(b"next\n");
        let lines = all(&bytes);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].1.len(), CHUNK * 3 + 7);
        assert_eq!(lines[1], ((CHUNK * 3 + 8) as u64, b"next".to_vec(), 5, true));
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_one_is_not_lost() {
        let long = (MAX_LINE + CHUNK) as u64;
        let input = io::repeat(b'x').take(long).chain(&b"\nnext\n"[..]);
        let mut lines = Lines::new(input, 0);
        let line = lines.next_line().expect("no error").expect("a line");
        assert!(line.too_long() && line.bytes.is_empty());
        assert_eq!(line.length, long + 1);
        let line = lines.next_line().expect("no error").expect("a line");
        assert_eq!((line.offset, line.bytes), (long + 1, &b"next"[..]));
    }

    #[test]
    fn complete_length_cuts_a_torn_line() {
        for (bytes, expected) in [(&b"a\nb"[..], 2), (b"a\nb\n", 4), (b"torn", 0), (b"", 0)] {
            let length = bytes.len() as u64;
            assert_eq!(complete_length(&mut io::Cursor::new(bytes), length).expect("memory"), expected);
        }
    }
}
