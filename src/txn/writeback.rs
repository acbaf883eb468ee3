//! Large files on their way to the disk.
//!
//! A kernel keeps what is written in memory, up to gigabytes, until somebody syncs. An import begins to
//! write such files out while it still renders others, and gives their memory back: the sync at its end
//! finds little left to do, the next file gets pages that are at hand, and what the user's programs had in
//! the page cache stays there. It is advice, and nothing is relied on: the sync comes in any case.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::disk;

/// Files below this size are left to the kernel.
const LARGE: u64 = 512 << 10;

/// So much stays in memory at either end of a file: what a list, and a program that lists, read of it.
const ENDS: u64 = 64 << 10;

/// What is written of one file before it begins to go out.
const STEP: u64 = 8 << 20;

/// What may be on its way at a time. Smaller, and files would be asked for before they are out.
const WINDOW: u64 = 64 << 20;

/// Files that are written and may not be out yet, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Writeback(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    files: VecDeque<(File, u64)>,
    bytes: u64,
}

impl Writeback {
    /// Takes over a file that is written.
    pub(super) fn take(&self, Outgoing { file, bytes, .. }: Outgoing) {
        if bytes < LARGE {
            return;
        }
        release(&file, bytes);
        let mut out = Vec::new();
        {
            // A thread that panicked in here left a whole queue.
            let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            queue.files.push_back((file, bytes));
            queue.bytes += bytes;
            while queue.bytes > WINDOW
                && let Some((file, bytes)) = queue.files.pop_front()
            {
                queue.bytes -= bytes;
                out.push((file, bytes));
            }
        }
        out.iter().for_each(|(file, bytes)| release(file, *bytes));
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Outgoing {
    file: File,
    bytes: u64,
    next: u64,
}

impl Outgoing {
    pub(super) fn new(file: File) -> Self {
        Self { file, bytes: 0, next: STEP }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Write for Outgoing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.bytes += written as u64;
        if self.bytes >= self.next {
            self.next = self.bytes + STEP;
            release(&self.file, self.bytes);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Gives back the memory of what has been written out, and begins to write out the rest.
fn release(file: &File, bytes: u64) {
    let middle = bytes.saturating_sub(2 * ENDS);
    disk::release(file, ENDS, middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files in the queue, by their sizes.
    fn sizes(writeback: &Writeback) -> Vec<u64> {
        writeback.0.lock().unwrap().files.iter().map(|(_, bytes)| *bytes).collect()
    }

    #[test]
    fn every_byte_arrives_and_few_files_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let writeback = Writeback::default();
        let mut paths = Vec::new();
        for (number, mib) in [0, 1, 30, 1, 20, 20].into_iter().enumerate() {
            let path = dir.path().join(number.to_string());
            let mut out = Outgoing::new(disk::create(&path).unwrap());
            for at in 0..mib * 16 {
                out.write_all(&[at as u8; 64 << 10]).unwrap();
            }
            out.flush().unwrap();
            writeback.take(out);
            paths.push((path, mib));
        }
        // The oldest went, and the empty one never came.
        assert_eq!(sizes(&writeback), [1, 20, 20].map(|mib| mib << 20));
        for (path, mib) in paths {
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len(), mib << 20);
            assert!(bytes.chunks(64 << 10).enumerate().all(|(at, part)| *part == [at as u8; 64 << 10]));
        }
    }
}
