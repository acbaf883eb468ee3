//! Bounded reads at the beginning and the end of a file.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::ops::Deref;

use super::files::read_at;

/// How many pieces of memory a thread keeps: a beginning and an end are read of each session.
const SPARE: usize = 2;
/// Longer ones are given back.
const LONGEST: usize = 256 << 10;

thread_local! {
    static MEMORY: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of a file. A list reads tens of thousands of stretches: the memory of one is used again for
/// the next, and is not cleared for it.
pub struct Stretch {
    memory: Vec<u8>,
    length: usize,
}

impl Default for Stretch {
    /// One without bytes.
    fn default() -> Self {
        let memory = MEMORY.with_borrow_mut(Vec::pop).unwrap_or_default();
        Self { memory, length: 0 }
    }
}

impl Stretch {
    /// The `length` bytes of a file at `offset`, or as many as there are.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        let mut stretch = Self::default();
        stretch.add(file, offset, length)?;
        Ok(stretch)
    }

    /// Adds the `length` bytes of a file at `offset`, or as many as there are. Returns how many came.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add(&mut self, file: &File, offset: u64, length: usize) -> io::Result<usize> {
        self.fill(length, |buffer, filled| read_at(file, buffer, offset + filled as u64))
    }

    /// Adds `length` bytes that `read` gives, or as many as it has. It is told how many came before.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill(
        &mut self,
        length: usize,
        mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let (start, end) = (self.length, self.length + length);
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        while self.length < end {
            match read(&mut self.memory[self.length..end], self.length - start) {
                Ok(0) => break,
                Ok(got) => self.length += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.length - start)
    }
}

impl Deref for Stretch {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        MEMORY.with_borrow_mut(|spare| {
            if spare.len() < SPARE && memory.len() <= LONGEST {
                spare.push(memory);
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Tests play the program.
mod tests {
    use super::*;

    #[test]
    fn nothing_of_an_earlier_stretch_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            File::open(dir.path().join(name)).unwrap()
        };
        let (long, short) = (write("long", "0123456789"), write("short", "ab"));
        assert_eq!(&*Stretch::of(&long, 2, 5).unwrap(), b"23456");
        assert_eq!(&*Stretch::of(&short, 0, 8).unwrap(), b"ab");
        let mut both = Stretch::of(&short, 1, 1).unwrap();
        assert_eq!(both.add(&long, 8, 100).unwrap(), 2);
        assert_eq!(&*both, b"b89");
        assert_eq!(&*Stretch::default(), b"");
        assert_eq!(&*Stretch::of(&short, 7, 3).unwrap(), b"");
    }
}
