//! Ctrl-C: work that writes stops at its next write and clears up after itself; everything else
//! just ends. What has passed the point of no return is finished.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Error, Kind};

static ASKED: AtomicBool = AtomicBool::new(false);
static WRITERS: AtomicUsize = AtomicUsize::new(0);

/// Asks the work that writes to stop. `false`: there is none, or it was asked before, so the
/// program may simply end.
pub fn ask() -> bool {
    !ASKED.swap(true, Ordering::SeqCst) && WRITERS.load(Ordering::SeqCst) > 0
}

/// Whether the user has asked to stop.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Work that looks at [`is_asked`] by itself, such as waiting for another program; while one lives,
/// the program does not simply end.
#[derive(Debug)]
pub struct Watch(());

impl Watch {
    /// The work begins.
    #[allow(clippy::new_without_default)] // It does something.
    pub fn new() -> Self {
        WRITERS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WRITERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A writer that fails once the user has asked to stop.
pub struct Watched<W> {
    out: W,
    _watch: Watch,
}

impl<W> Watched<W> {
    /// Watches `out`.
    pub fn new(out: W) -> Self {
        Self { out, _watch: Watch::new() }
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if ASKED.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Io, "interrupted; nothing was changed").into());
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
