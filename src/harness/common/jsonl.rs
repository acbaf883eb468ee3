//! Lines of a JSONL file with their offsets, however long they are.
//!
//! Real transcripts have single lines of tens of megabytes (an image, a file that was read), torn
//! last lines (the harness is writing) and broken ones (a crash). None of that may stop a reader,
//! and no line may fill the memory: a long one is only taken into it when it is wanted.

use std::io::{self, Read, Seek, SeekFrom};

use super::abridged::Abridged;

/// A longer record is never taken into memory whole: it is left out where it would have to be.
pub const MAX_LINE: usize = 96 << 20;

/// Of a longer line only the beginning is delivered; the rest is passed over as it streams by.
pub const HELD: usize = 4 << 20;

/// So much is delivered of the beginning of a line that is longer than [`HELD`].
pub const BEGINNING: usize = 64 << 10;

const CHUNK: usize = 256 << 10;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Its bytes, without `\n` or `\r\n`, and without a byte order mark on the first line.
    pub bytes: &'a [u8],
    /// Its length in the file, line end included.
    pub length: u64,
    /// False for a last line without a line end: the harness may still be writing it.
    pub complete: bool,
    /// Whether [`Line::bytes`] are only its beginning.
    pub cut: bool,
}

impl Line<'_> {
    /// What to tell of a line that is too long to be read.
    pub fn too_long(&self) -> String {
        too_long(self.offset, self.length)
    }
}

/// What to tell of a record that is too long to be read.
pub fn too_long(offset: u64, length: u64) -> String {
    format!(
        "a record of {} MiB, at byte {offset}, was left out: what is longer than {} MiB is carried as it is, \
         but neither shown nor converted",
        length >> 20,
        MAX_LINE >> 20
    )
}

/// Reads lines. Memory: the longest line, at most [`HELD`] and a quarter; more only while a longer
/// line is asked for.
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    eof: bool,
    /// The beginning of a long line, or all of one that was asked for.
    long: Vec<u8>,
    last: Place,
}

/// Where the last line was.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    offset: u64,
    length: u64,
    complete: bool,
}

impl<R: Read> Lines<R> {
    /// Lines of `input`, whose next byte is at `offset` of its file.
    pub fn new(input: R, offset: u64) -> Self {
        Self {
            input,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            offset,
            eof: false,
            long: Vec::new(),
            last: Place::default(),
        }
    }

    /// The next line, `None` at the end.
    ///
    /// # Errors
    /// What the input returns.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.long = Vec::new();
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
            if scanned > HELD {
                return self.pass_long().map(Some);
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
        let place = Place { offset: self.offset, length: length as u64, complete };
        self.start += length;
        self.offset += length as u64;
        self.last = place;
        if length > HELD {
            let beginning = range.start..range.start + BEGINNING;
            return place.line(&self.buffer[beginning], true);
        }
        place.line(&self.buffer[range], false)
    }

    fn pass_long(&mut self) -> io::Result<Line<'_>> {
        self.long.extend_from_slice(&self.buffer[self.start..self.start + BEGINNING]);
        let mut place = Place { offset: self.offset, length: 0, complete: false };
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', pending) {
                self.start += at + 1;
                place.length += at as u64 + 1;
                place.complete = true;
                break;
            }
            place.length += pending.len() as u64;
            self.start = self.end;
            if self.eof {
                break;
            }
            self.fill()?;
        }
        self.offset += place.length;
        self.last = place;
        Ok(place.line(&self.long, true))
    }
}

impl<R> Lines<R> {
    /// The line that was delivered last, once more as [`Lines::next_line`] delivered it.
    pub fn beginning(&self) -> Line<'_> {
        let cut = self.last.length > HELD as u64;
        let length = if cut { BEGINNING } else { self.last.length as usize };
        match &self.long[..] {
            [] => {
                let start = self.start - self.last.length as usize;
                self.last.line(&self.buffer[start..start + length], cut)
            }
            long => self.last.line(&long[..length], cut),
        }
    }
}

impl<R: Read + Seek> Lines<R> {
    /// As [`Lines::next_line`], but a long line is only delivered if `wants` says so, told of its
    /// beginning: whole then, unless it is longer than [`MAX_LINE`].
    ///
    /// # Errors
    /// What the input returns.
    pub fn next_wanted(&mut self, mut wants: impl FnMut(&[u8]) -> bool) -> io::Result<Option<Line<'_>>> {
        loop {
            let Some(line) = self.next_line()? else { return Ok(None) };
            let (is_long, is_wanted) = (line.cut, line.cut && wants(line.bytes));
            if is_wanted && self.last.length <= MAX_LINE as u64 {
                return self.whole().map(Some);
            }
            if is_wanted || !is_long {
                return Ok(Some(self.beginning()));
            }
        }
    }

    /// The line that was delivered last, all of it.
    ///
    /// # Errors
    /// What the input returns, and when it does not have those bytes any more.
    pub fn whole(&mut self) -> io::Result<Line<'_>> {
        let length = usize::try_from(self.last.length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.again(|mut input| input.read_to_end(&mut bytes))?;
        if bytes.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.long = bytes;
        Ok(self.last.line(&self.long, false))
    }

    /// Copies the line that was delivered last, from its byte `from` on and without its end.
    ///
    /// # Errors
    /// What the input and `out` return.
    pub fn copy(&mut self, from: u64, out: &mut impl io::Write) -> io::Result<()> {
        let end = u64::from(self.last.complete);
        let rest = self.last.length.saturating_sub(from + end);
        self.again(|mut input| {
            io::copy(&mut (&mut input).take(from), &mut io::sink())?;
            io::copy(&mut input.take(rest), out).map(drop)
        })
    }

    /// The line that was delivered last, without its long texts.
    ///
    /// # Errors
    /// What the input returns.
    pub fn abridged(&mut self) -> io::Result<Abridged> {
        let offset = self.last.offset;
        self.again(|input| Abridged::read(input, offset))
    }

    fn again<T>(&mut self, read: impl FnOnce(io::Take<&mut R>) -> io::Result<T>) -> io::Result<T> {
        let Place { offset, length, .. } = self.last;
        self.input.seek(SeekFrom::Start(offset))?;
        let read = read((&mut self.input).take(length))?;
        self.input.seek(SeekFrom::Start(self.offset + (self.end - self.start) as u64))?;
        Ok(read)
    }
}

impl Place {
    fn line<'a>(&self, mut bytes: &'a [u8], cut: bool) -> Line<'a> {
        if self.complete && !cut {
            bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        }
        if self.offset == 0 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        Line { offset: self.offset, bytes, length: self.length, complete: self.complete, cut }
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

    /// `x` so many times, on two lines of the same length and a short one between and behind them.
    fn long(length: usize) -> io::Cursor<Vec<u8>> {
        let mut bytes = vec![b'x'; length];
        bytes.extend_from_slice(b"\nshort\n");
        bytes.extend_from_within(..length + 7);
        io::Cursor::new(bytes)
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_not_lost() {
        for length in [HELD - 1, HELD, HELD + 1, HELD + 2 * CHUNK, 2 * HELD] {
            let mut lines = Lines::new(long(length), 0);
            let mut offset = 0;
            for _ in 0..2 {
                let line = lines.next_line().expect("memory").expect("a line");
                assert_eq!((line.offset, line.length), (offset, length as u64 + 1));
                assert_eq!(line.cut, length + 1 > HELD, "{length}");
                assert_eq!(line.bytes.len(), if line.cut { BEGINNING } else { length });
                let whole = lines.whole().expect("memory");
                assert!(!whole.cut && whole.bytes.len() == length && whole.offset == offset);
                let line = lines.next_line().expect("memory").expect("a line");
                offset += length as u64 + 1;
                assert_eq!((line.offset, line.bytes), (offset, &b"short"[..]));
                offset += 6;
            }
            assert!(lines.next_line().expect("memory").is_none());
        }
    }

    #[test]
    fn long_lines_come_when_they_are_wanted() {
        let all = |length: usize, wanted: bool| {
            let mut lines = Lines::new(long(length), 0);
            let mut seen = Vec::new();
            while let Some(line) =
                lines.next_wanted(|beginning| beginning[0] == b'x' && wanted).expect("memory")
            {
                seen.push((line.bytes.len(), line.cut));
            }
            seen
        };
        let (short, held) = ((5, false), (HELD - 1, false));
        assert_eq!(all(HELD - 1, false), [held, short, held, short]);
        assert_eq!(all(HELD + 9, false), [short, short]);
        assert_eq!(all(HELD + 9, true), [(HELD + 9, false), short, (HELD + 9, false), short]);
        assert_eq!(all(MAX_LINE, true), [(BEGINNING, true), short, (BEGINNING, true), short]);
    }

    #[test]
    fn the_end_of_a_long_line_may_be_missing() {
        let mut lines = Lines::new(io::Cursor::new(vec![b'x'; HELD + 7]), 0);
        let line = lines.next_line().expect("memory").expect("a line");
        assert_eq!((line.cut, line.complete, line.length), (true, false, HELD as u64 + 7));
        assert_eq!(lines.whole().expect("memory").bytes.len(), HELD + 7);
        assert!(lines.next_line().expect("memory").is_none());
    }

    #[test]
    fn complete_length_cuts_a_torn_line() {
        for (bytes, expected) in [(&b"a\nb"[..], 2), (b"a\nb\n", 4), (b"torn", 0), (b"", 0)] {
            let length = bytes.len() as u64;
            assert_eq!(complete_length(&mut io::Cursor::new(bytes), length).expect("memory"), expected);
        }
    }
}
