//! Reads known stretches of a file, mostly in ascending order, without one system call for each.

use std::io::{self, Read, Seek, SeekFrom};

const CHUNK: usize = 256 << 10;

/// A stretch of a file in memory. Memory: the longest stretch asked for, at least 256 KiB.
pub struct Window<R> {
    input: R,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte in the file.
    start: u64,
    /// How much of the buffer is filled.
    filled: usize,
}

impl<R: Read + Seek> Window<R> {
    /// A window on `input`, which stands at its beginning.
    pub fn new(input: R) -> Self {
        Self { input, buffer: vec![0; CHUNK], start: 0, filled: 0 }
    }

    /// The `length` bytes at `offset`.
    ///
    /// # Errors
    /// What the input returns, and when it ends before that.
    pub fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.start + self.filled as u64;
        if offset < self.start || offset + length as u64 > end {
            self.move_to(offset, length)?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..from + length])
    }

    fn move_to(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let end = self.start + self.filled as u64;
        if (self.start..=end).contains(&offset) {
            let from = (offset - self.start) as usize;
            self.buffer.copy_within(from..self.filled, 0);
            self.filled -= from;
        } else {
            self.filled = 0;
            self.input.seek(SeekFrom::Start(offset))?;
        }
        self.start = offset;
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        while self.filled < length {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_come_in_any_order() {
        let bytes: Vec<u8> = (0..CHUNK * 3).map(|n| (n % 251) as u8).collect();
        let mut window = Window::new(io::Cursor::new(&bytes));
        for (offset, length) in
            [(0, 10), (5, CHUNK), (CHUNK + 3, CHUNK + 9), (7, 1), (3 * CHUNK - 4, 4), (9, 0)]
        {
            let got = window.get(offset as u64, length).expect("inside");
            assert_eq!(got, &bytes[offset..offset + length]);
        }
        assert!(window.get(bytes.len() as u64 - 1, 2).is_err());
    }
}
