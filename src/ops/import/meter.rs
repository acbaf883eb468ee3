//! How much of a session was read: one long session has to show progress too.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::model::{FileMeta, Payload, ReadSeek};
use crate::progress::Progress;

/// A payload that tells what is read of it. What is read twice counts once.
pub struct Metered<'a> {
    inner: &'a dyn Payload,
    progress: &'a dyn Progress,
    /// For each file, how far it was read.
    reached: Vec<AtomicU64>,
}

impl<'a> Metered<'a> {
    /// Tells `progress` about `inner`.
    pub fn new(inner: &'a dyn Payload, progress: &'a dyn Progress) -> Self {
        let reached = inner.files().iter().map(|_| AtomicU64::new(0)).collect();
        Self { inner, progress, reached }
    }

    /// The session is done: what was not read needed no reading.
    pub fn finish(self) {
        let reached = self.reached.into_iter().map(AtomicU64::into_inner).sum();
        self.progress.advance(size(self.inner).saturating_sub(reached));
    }
}

/// The size of all files, in bytes.
pub fn size(payload: &dyn Payload) -> u64 {
    payload.files().iter().map(|file| file.size).sum()
}

impl Payload for Metered<'_> {
    fn files(&self) -> &[FileMeta] {
        self.inner.files()
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        let inner = self.inner.open(index)?;
        Ok(Box::new(Reader { inner, position: 0, reached: self.reached.get(index), progress: self.progress }))
    }
}

struct Reader<'a> {
    inner: Box<dyn ReadSeek + 'a>,
    position: u64,
    reached: Option<&'a AtomicU64>,
    progress: &'a dyn Progress,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.position += got as u64;
        if let Some(reached) = self.reached {
            let before = reached.fetch_max(self.position, Ordering::Relaxed);
            self.progress.advance(self.position.saturating_sub(before));
        }
        Ok(got)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::common::files::{Files, Source};
    use crate::model::Role;

    struct Sum(AtomicU64);

    impl Progress for Sum {
        fn begin(&self, _task: &str, _total: u64) {}
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
        fn end(&self) {}
    }

    #[test]
    fn every_byte_counts_once() {
        let mut files = Files::default();
        for name in ["a", "b"] {
            let mut file = tempfile::tempfile().expect("a file");
            io::Write::write_all(&mut file, &[7; 1000]).expect("writable");
            let meta = FileMeta {
                role: Role::Transcript,
                path: name.into(),
                size: 1000,
                modified: None,
                agent: None,
            };
            files.push(meta, Source::Anonymous(file));
        }
        let sum = Sum(AtomicU64::new(0));
        let metered = Metered::new(&files, &sum);
        let mut file = metered.open(0).expect("it is there");
        file.read_exact(&mut [0; 600]).expect("readable");
        assert_eq!(sum.0.load(Ordering::Relaxed), 600);
        file.rewind().expect("seekable");
        io::copy(&mut file, &mut io::sink()).expect("readable");
        drop(file);
        assert_eq!(sum.0.load(Ordering::Relaxed), 1000);
        metered.finish();
        assert_eq!(sum.0.load(Ordering::Relaxed), 2000);
    }
}
