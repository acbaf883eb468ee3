//! How much of a session was written: one long session has to show progress too.

use std::io::{self, Write};

use crate::model::Payload;
use crate::progress::Progress;

/// The progress of one session. What is written of it counts, at most its size at the source: a
/// conversion makes other bytes of it.
pub struct Meter<'a> {
    progress: &'a dyn Progress,
    left: u64,
}

impl<'a> Meter<'a> {
    /// Tells `progress` about a session.
    pub fn new(payload: &dyn Payload, progress: &'a dyn Progress) -> Self {
        Self { progress, left: size(payload) }
    }

    /// Counts what is written to `out`.
    pub fn watch<'m, W: Write>(&'m mut self, out: W) -> Metered<'m, 'a, W> {
        Metered { meter: self, out }
    }

    /// The session is done, however little of it had to be written.
    pub fn finish(mut self) {
        self.advance(self.left);
    }

    fn advance(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.progress.advance(bytes);
    }
}

/// The size of all files, in bytes.
pub fn size(payload: &dyn Payload) -> u64 {
    payload.files().iter().map(|file| file.size).sum()
}

/// A writer whose bytes count.
pub struct Metered<'m, 'a, W> {
    meter: &'m mut Meter<'a>,
    out: W,
}

impl<W: Write> Write for Metered<'_, '_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.meter.advance(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
