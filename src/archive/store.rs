//! The tar inside an archive, readable from any offset.
//!
//! Whatever form the archive has, the tar is seen as blocks of 1 MiB: a gzip member of ours, or a
//! piece of the uncompressed copy that was made of somebody else's gzip stream. A block is checked
//! whole before a byte of it is given out. A few are kept, because many small sessions share one.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::gzip::{self, HEADER, MEMBER};
use super::layout::Limits;

/// Blocks that are kept. Two workers that go through an archive side by side need two each.
const KEPT: usize = 6;

/// A place where the archive is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where in the archive file, in bytes.
    pub(super) at: u64,
    /// What is wrong there.
    pub(super) reason: String,
    /// Whether the archive may be sound: the system did not let it be read.
    pub(super) unread: bool,
}

impl Damage {
    /// The archive is not what it should be.
    pub(super) fn new(at: u64, reason: impl Into<String>) -> Self {
        Self { at, reason: reason.into(), unread: false }
    }

    /// The archive cannot be read there.
    pub(super) fn unread(at: u64, error: &io::Error) -> Self {
        Self { at, reason: format!("the archive cannot be read: {error}"), unread: true }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (byte {} of the archive)", self.reason, self.at)
    }
}

/// A block, or why there is none.
pub(super) type Block = Result<Vec<u8>, Damage>;

/// The tar inside an archive.
#[derive(Debug)]
pub(super) struct Store {
    file: File,
    form: Form,
    kept: Mutex<VecDeque<(usize, Arc<OnceLock<Block>>)>>,
}

#[derive(Debug)]
enum Form {
    /// Where each member begins, and the end of the last.
    Members { offsets: Vec<u64>, raw: u64 },
    /// The tar itself.
    Plain { raw: u64 },
}

impl Store {
    /// An uncompressed tar of `raw` bytes.
    pub(super) fn plain(file: File, raw: u64) -> Self {
        Self { file, form: Form::Plain { raw }, kept: Mutex::default() }
    }

    /// Hops over the members of a file of `length` bytes; reads nothing but their headers.
    ///
    /// When a hop fails, what came before it can still be read: it tells what was lost.
    pub(super) fn members(file: File, length: u64, limits: Limits) -> (Self, Option<Damage>) {
        let (mut offsets, mut raw) = (vec![0], 0);
        let damage = loop {
            let at = offsets[offsets.len() - 1];
            if at == length && at > 0 {
                break None;
            }
            match hop(&file, at, length, raw) {
                Ok(lengths) => {
                    offsets.push(at + lengths.whole as u64);
                    raw += lengths.raw as u64;
                }
                Err(damage) => break Some(damage),
            }
            if let Err(reason) = limits.check(raw, length) {
                break Some(Damage::new(at, reason));
            }
        };
        (Self { file, form: Form::Members { offsets, raw }, kept: Mutex::default() }, damage)
    }

    /// Bytes of the tar.
    pub(super) fn len(&self) -> u64 {
        match self.form {
            Form::Members { raw, .. } | Form::Plain { raw } => raw,
        }
    }

    /// Bytes of the members; `None` when it has none.
    pub(super) fn compressed(&self) -> Option<u64> {
        match &self.form {
            Form::Members { offsets, .. } => Some(offsets[offsets.len() - 1]),
            Form::Plain { .. } => None,
        }
    }

    /// The blocks that hold these bytes of the tar.
    pub(super) fn blocks(bytes: &Range<u64>) -> Range<usize> {
        let block = |offset: u64| usize::try_from(offset / MEMBER as u64).unwrap_or(usize::MAX);
        if bytes.is_empty() {
            return 0..0;
        }
        block(bytes.start)..block(bytes.end - 1) + 1
    }

    /// The bytes of the tar that this block holds.
    pub(super) fn range(&self, block: usize) -> Range<u64> {
        let start = block as u64 * MEMBER as u64;
        start..(start + MEMBER as u64).min(self.len())
    }

    /// Reads a block.
    pub(super) fn load(&self, block: usize) -> Block {
        let range = self.range(block);
        let raw = usize::try_from(range.end - range.start).expect("a block has at most 1 MiB");
        let (at, length) = match &self.form {
            Form::Members { offsets, .. } => {
                let (start, end) = (offsets[block], offsets[block + 1]);
                (start, usize::try_from(end - start).expect("a member is little longer than 1 MiB"))
            }
            Form::Plain { .. } => (range.start, raw),
        };
        let mut bytes = vec![0; length];
        read_exact_at(&self.file, &mut bytes, at).map_err(|error| Damage::unread(at, &error))?;
        match self.form {
            Form::Members { .. } => gzip::inflate(&bytes, raw).map_err(|reason| Damage::new(at, reason)),
            Form::Plain { .. } => Ok(bytes),
        }
    }

    /// A block, from those that are kept if it is there. Who comes while another loads it waits.
    pub(super) fn block(&self, block: usize) -> Result<Loaded, Damage> {
        self.loaded(block, self.slot(block))
    }

    /// Lets an idle thread of the pool, if there is one, load a block that is needed next.
    pub(super) fn ahead(self: &Arc<Self>, block: usize) -> Ahead {
        let (slot, started) = (self.slot(block), Arc::new(AtomicBool::new(false)));
        let ahead = Ahead { block, slot: Arc::clone(&slot), started: Arc::clone(&started) };
        let store = Arc::clone(self);
        // A task waits for as long as the pool is busy: what was read meanwhile is not its to keep.
        let slot = Arc::downgrade(&slot);
        rayon::spawn(move || {
            if let Some(slot) = slot.upgrade().filter(|_| !started.swap(true, Ordering::Relaxed)) {
                slot.get_or_init(|| store.load(block));
            }
        });
        ahead
    }

    /// The block that was to be loaded ahead: as it was loaded, or loaded now if nobody began to.
    pub(super) fn finish(&self, ahead: &Ahead) -> Result<Loaded, Damage> {
        ahead.started.store(true, Ordering::Relaxed);
        self.loaded(ahead.block, Arc::clone(&ahead.slot))
    }

    fn loaded(&self, block: usize, slot: Arc<OnceLock<Block>>) -> Result<Loaded, Damage> {
        match slot.get_or_init(|| self.load(block)) {
            Ok(_) => Ok(Loaded { start: self.range(block).start, slot }),
            Err(damage) => Err(damage.clone()),
        }
    }

    fn slot(&self, block: usize) -> Arc<OnceLock<Block>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(number, _)| *number == block).and_then(|place| kept.remove(place));
        let slot = found.map_or_else(Arc::default, |(_, slot)| slot);
        kept.push_front((block, Arc::clone(&slot)));
        kept.truncate(KEPT);
        slot
    }

    /// Reads some bytes of the tar.
    ///
    /// # Errors
    /// When a block that holds them is damaged, or the tar ends before they do.
    pub(super) fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, Damage> {
        if bytes.end > self.len() {
            return Err(Damage::new(self.file_end(), "the archive ends too early"));
        }
        let mut read = Vec::new();
        for block in Self::blocks(&bytes) {
            read.extend_from_slice(self.block(block)?.from(bytes.start + read.len() as u64, bytes.end));
        }
        Ok(read)
    }

    fn file_end(&self) -> u64 {
        self.compressed().unwrap_or(self.len())
    }
}

fn hop(file: &File, at: u64, length: u64, raw: u64) -> Result<gzip::Lengths, Damage> {
    let cut =
        || Damage::new(at, format!("the archive is cut off: it ends at byte {length}, inside a gzip member"));
    if length - at < HEADER as u64 {
        return Err(cut());
    }
    let mut header = [0; HEADER];
    read_exact_at(file, &mut header, at).map_err(|error| Damage::unread(at, &error))?;
    let lengths = gzip::parse_header(&header).map_err(|reason| Damage::new(at, reason))?;
    if !raw.is_multiple_of(MEMBER as u64) {
        return Err(Damage::new(at, "another gzip member follows the last one"));
    }
    if length - at < lengths.whole as u64 {
        return Err(cut());
    }
    Ok(lengths)
}

/// A block that is loaded before it is needed. Whoever wanted it keeps it, however many others are
/// loaded meanwhile; when it is dropped before anybody began to load it, nobody does.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) block: usize,
    slot: Arc<OnceLock<Block>>,
    started: Arc<AtomicBool>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.started.store(true, Ordering::Relaxed);
    }
}

/// A block that is loaded and in order.
#[derive(Debug)]
pub(super) struct Loaded {
    start: u64,
    slot: Arc<OnceLock<Block>>,
}

impl Loaded {
    /// Which block it is.
    pub(super) fn number(&self) -> usize {
        Store::blocks(&(self.start..self.start + 1)).start
    }

    /// Those bytes of the tar from `start` to `end` that this block holds.
    pub(super) fn from(&self, start: u64, end: u64) -> &[u8] {
        let bytes = match self.slot.get() {
            Some(Ok(bytes)) => bytes.as_slice(),
            _ => &[],
        };
        let place = |offset: u64| {
            usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX).min(bytes.len())
        };
        if start < self.start { &[] } else { &bytes[place(start)..place(end.max(start))] }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(got) => {
                buffer = &mut buffer[got..];
                offset += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The task that would have loaded a block waits behind the reader, and is many.
    #[test]
    fn what_was_read_ahead_is_let_go_while_the_pool_is_busy() {
        let blocks = KEPT + 5;
        let mut file = tempfile::tempfile().unwrap();
        for number in 0..blocks {
            file.write_all(&gzip::deflate(&vec![u8::try_from(number).unwrap(); gzip::MEMBER], 1)).unwrap();
        }
        let length = file.metadata().unwrap().len();
        let (store, damage) = Store::members(file, length, Limits::default());
        assert!(damage.is_none());
        let store = Arc::new(store);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let held = pool.install(|| {
            let read = |block| Arc::downgrade(&store.finish(&store.ahead(block)).unwrap().slot);
            let read: Vec<_> = (0..blocks).map(read).collect();
            read.iter().filter(|slot| slot.strong_count() > 0).count()
        });
        assert_eq!(held, KEPT);
    }
}
