//! A file of a payload that is made while it is read, line by line.

use std::io::{self, Read, Seek, SeekFrom};

use crate::error::{Error, Kind, Result};

/// Makes the lines of a file, one after the other.
pub trait Lines: Send {
    /// Puts the next line, with its line end, into `line`; false at the end.
    ///
    /// # Errors
    /// When what it is made of cannot be read.
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool>;

    /// Begins again with the first line.
    fn restart(&mut self);
}

/// The size of the file.
///
/// # Errors
/// When what the lines are made of cannot be read.
pub fn measure(lines: &mut dyn Lines) -> Result<u64> {
    let mut line = Vec::new();
    let mut size = 0;
    while lines.next_line(&mut line)? {
        size += line.len() as u64;
    }
    Ok(size)
}

/// Reads the file. One line is in memory; going back makes it begin again.
pub struct Stream<L> {
    lines: L,
    line: Vec<u8>,
    /// What of `line` was read.
    used: usize,
    /// The offset of what comes next.
    position: u64,
    /// Where the reader wants to be.
    wanted: u64,
    size: u64,
}

impl<L: Lines> Stream<L> {
    /// The file with these lines, of `size` bytes.
    pub fn new(lines: L, size: u64) -> Self {
        Self { lines, line: Vec::new(), used: 0, position: 0, wanted: 0, size }
    }

    /// Goes to where the reader wants to be, and has something to read there; false at the end.
    fn advance(&mut self) -> Result<bool> {
        if self.wanted >= self.size {
            return Ok(false);
        }
        let back = self.position.saturating_sub(self.wanted);
        if back <= self.used as u64 {
            self.used -= back as usize;
            self.position -= back;
        } else {
            self.lines.restart();
            self.line.clear();
            (self.used, self.position) = (0, 0);
        }
        loop {
            let there = (self.line.len() - self.used) as u64;
            let skip = self.wanted - self.position;
            if skip < there {
                self.used += skip as usize;
                self.position = self.wanted;
                return Ok(true);
            }
            self.position += there;
            self.used = 0;
            if !self.lines.next_line(&mut self.line)? {
                self.line.clear();
                // The size was taken from the same state of the store.
                return Err(Error::new(Kind::Busy, "a session changed while it was read").hint("try again"));
            }
        }
    }
}

impl<L: Lines> Read for Stream<L> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.advance()? {
            return Ok(0);
        }
        let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
        let count = buffer.len().min(self.line.len() - self.used).min(left);
        buffer[..count].copy_from_slice(&self.line[self.used..self.used + count]);
        self.used += count;
        self.position += count as u64;
        self.wanted = self.position;
        Ok(count)
    }
}

impl<L: Lines> Seek for Stream<L> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.size.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.wanted.checked_add_signed(delta),
        };
        self.wanted = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(u32);

    impl Lines for Numbers {
        fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
            line.clear();
            line.extend_from_slice(format!("line {}\n", self.0).as_bytes());
            self.0 += 1;
            Ok(self.0 <= 3)
        }

        fn restart(&mut self) {
            self.0 = 0;
        }
    }

    #[test]
    fn every_offset_reads_the_same_bytes() {
        let whole = b"line 0\nline 1\nline 2\n";
        let mut stream = Stream::new(Numbers(0), whole.len() as u64);
        for at in [0, 20, 7, 3, 13, 21, 40, 0] {
            stream.seek(SeekFrom::Start(at)).expect("any offset");
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).expect("lines");
            assert_eq!(rest, whole.get(at as usize..).unwrap_or_default(), "from {at}");
        }
        assert_eq!(stream.seek(SeekFrom::End(-2)).expect("an offset"), 19);
        assert!(stream.seek(SeekFrom::End(-22)).is_err());
    }

    #[test]
    fn fewer_lines_than_promised_are_no_end() {
        let mut stream = Stream::new(Numbers(0), 22);
        assert!(stream.read_to_end(&mut Vec::new()).is_err());
    }
}
