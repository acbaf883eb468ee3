//! What is new of a session since the last archive that holds it.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::joined::Joined;
use super::shelf::Shelf;
use super::state::{State, StateFile};
use crate::archive::hex;
use crate::archive::manifest::{Continues, Grown, Kept};
use crate::archive::series;
use crate::error::{Error, Kind, Result, from_io};
use crate::model::{FileMeta, Payload, ReadSeek, Role};

/// A file that was rewritten is still stored from the first byte on that is another, when at least
/// so many come before it.
const WORTH: u64 = 4096;

/// How a session changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// No archive has it.
    New,
    /// Its conversations only got longer.
    Grown,
    /// Something that was there is another now, or is gone.
    Changed,
    /// It did not change; it was in archives that are to go.
    Carried,
}

/// One file of what is new.
#[derive(Debug)]
struct Piece {
    /// Its place in the session's payload.
    place: usize,
    /// So many of its bytes are in an earlier archive.
    after: u64,
    /// SHA-256 of the others.
    sha256: String,
}

/// What is new of a session.
#[derive(Debug)]
pub struct Fresh {
    /// How it changed.
    pub change: Change,
    /// Where the rest is; `None`: this is all of it.
    pub continues: Option<Continues>,
    pieces: Vec<Piece>,
    metas: Vec<FileMeta>,
}

/// Compares a session with what the archives have of it. `known` is the SHA-256 of a file of the
/// payload, where it is known without reading it. `whole`: store all of it if anything is new.
///
/// Returns what is new (`None`: nothing) and the SHA-256 of every file.
///
/// # Errors
/// When the session cannot be read.
pub fn look(
    payload: &dyn Payload,
    base: Option<(&Shelf, &State)>,
    whole: bool,
    known: impl Fn(usize) -> Option<String>,
) -> Result<(Option<Fresh>, Vec<String>)> {
    let files = payload.files();
    let joined = base.map(|(shelf, state)| Joined::of(shelf, state.clone())).transpose()?;
    let old: HashMap<&str, (usize, &StateFile)> = base
        .iter()
        .flat_map(|(_, state)| state.files.iter().enumerate())
        .map(|(place, file)| (file.meta.path.as_str(), (place, file)))
        .collect();
    let mut seen = Vec::with_capacity(files.len());
    for (place, meta) in files.iter().enumerate() {
        let before = old.get(meta.path.as_str()).copied();
        let same =
            |sum: &String| before.is_some_and(|(_, old)| old.meta.size == meta.size && old.sha256 == *sum);
        seen.push(match known(place).filter(same) {
            Some(sha256) => Seen { after: meta.size, sha256, rest: empty() },
            None => compare(payload, place, before.zip(joined.as_ref()))?,
        });
    }
    let sums: Vec<String> = seen.iter().map(|seen| seen.sha256.clone()).collect();
    let fresh = fresh(files, &old, seen, base.is_some(), whole);
    Ok((fresh, sums))
}

/// One file, compared.
struct Seen {
    /// So many of its first bytes are as they were.
    after: u64,
    /// SHA-256 of all of it.
    sha256: String,
    /// SHA-256 of what comes after them.
    rest: String,
}

fn fresh(
    files: &[FileMeta],
    old: &HashMap<&str, (usize, &StateFile)>,
    seen: Vec<Seen>,
    has_base: bool,
    whole: bool,
) -> Option<Fresh> {
    let is_same = |place: usize| {
        let meta = &files[place];
        old.get(meta.path.as_str())
            .is_some_and(|(_, old)| old.meta == *meta && old.sha256 == seen[place].sha256)
    };
    let now: HashSet<&str> = files.iter().map(|meta| meta.path.as_str()).collect();
    let gone: Vec<String> =
        old.keys().filter(|path| !now.contains(**path)).map(|path| (*path).to_owned()).collect();
    let same: Vec<bool> = (0..files.len()).map(is_same).collect();
    if has_base && gone.is_empty() && same.iter().all(|same| *same) {
        return None;
    }
    let change = match has_base {
        false => Change::New,
        true if only_grew(files, old, &seen, &gone) => Change::Grown,
        true => Change::Changed,
    };
    // Files with one name could not be told apart.
    let leans = has_base && !whole && now.len() == files.len();
    let mut fresh = Fresh { change, continues: None, pieces: Vec::new(), metas: Vec::new() };
    let (mut grown, mut kept) = (Vec::new(), Vec::new());
    for (place, (seen, meta)) in seen.into_iter().zip(files).enumerate() {
        // An archive has the transcript of every session in it, if only by name.
        if leans && same[place] && meta.role != Role::Transcript {
            kept.push((meta.path.as_str(), meta.size, seen.sha256));
            continue;
        }
        let after = if leans { seen.after } else { 0 };
        let sha256 = if after > 0 { seen.rest } else { seen.sha256.clone() };
        if after > 0 {
            grown.push(Grown { file: fresh.pieces.len(), after, sha256: seen.sha256 });
        }
        fresh.pieces.push(Piece { place, after, sha256 });
        fresh.metas.push(FileMeta { size: meta.size - after, ..meta.clone() });
    }
    if !grown.is_empty() || !kept.is_empty() {
        let digest = series::digest(kept.iter().map(|(path, size, sum)| (*path, *size, sum.as_str())));
        let mut gone = gone;
        gone.sort_unstable();
        let kept = (!kept.is_empty()).then_some(Kept { sha256: digest, gone });
        // Whoever knows the name of the archive puts it in.
        fresh.continues = Some(Continues { archive: String::new(), grown, kept });
    }
    Some(fresh)
}

/// Whether all conversations begin as they were.
fn only_grew(
    files: &[FileMeta],
    old: &HashMap<&str, (usize, &StateFile)>,
    seen: &[Seen],
    gone: &[String],
) -> bool {
    let talks = |role: Role| role != Role::Attachment;
    let grew =
        files.iter().zip(seen).filter(|(meta, _)| talks(meta.role)).all(|(meta, seen)| {
            old.get(meta.path.as_str()).is_none_or(|(_, old)| seen.after >= old.meta.size)
        });
    grew && !gone.iter().any(|path| old.get(path.as_str()).is_some_and(|(_, old)| talks(old.meta.role)))
}

/// Reads a file and tells how much of its beginning is as it was.
fn compare(
    payload: &dyn Payload,
    place: usize,
    old: Option<((usize, &StateFile), &Joined<'_>)>,
) -> Result<Seen> {
    if let Some(((_, old), _)) = old
        && payload.files()[place].size >= old.meta.size
        && let Some(seen) = continued(payload, place, old)?
    {
        return Ok(seen);
    }
    let old = old.and_then(|((place, _), joined)| joined.open(place).ok());
    rewritten(payload, place, old)
}

/// Reads a file that goes on from what it was, by the SHA-256 of its beginning. `None`: it does not.
fn continued(payload: &dyn Payload, place: usize, old: &StateFile) -> Result<Option<Seen>> {
    let mut reader = payload.open(place)?;
    let mut whole = Sha256::new();
    copy(&mut (&mut reader).take(old.meta.size), |bytes| whole.update(bytes))?;
    if hex(&whole.clone().finalize()) != old.sha256 {
        return Ok(None);
    }
    let mut rest = Sha256::new();
    copy(&mut reader, |bytes| {
        whole.update(bytes);
        rest.update(bytes);
    })?;
    let (sha256, rest) = (hex(&whole.finalize()), hex(&rest.finalize()));
    Ok(Some(Seen { after: old.meta.size, sha256, rest }))
}

/// Reads a file beside what it was.
fn rewritten(payload: &dyn Payload, place: usize, mut old: Option<Box<dyn ReadSeek + '_>>) -> Result<Seen> {
    let (mut whole, mut rest) = (Sha256::new(), Sha256::new());
    let mut after = 0;
    let mut then = vec![0; 1 << 17];
    copy(&mut payload.open(place)?, |bytes| {
        whole.update(bytes);
        let mut same = 0;
        if let Some(reader) = &mut old {
            // What cannot be read again cannot be leaned on.
            let got = fill(reader, &mut then[..bytes.len()]).unwrap_or(0);
            same = bytes.iter().zip(&then[..got]).take_while(|(now, then)| now == then).count();
        }
        if same < bytes.len() {
            old = None;
        }
        after += same as u64;
        rest.update(&bytes[same..]);
    })?;
    let (sha256, rest) = (hex(&whole.finalize()), hex(&rest.finalize()));
    // All of it is as it was when it was cut off.
    let is_worth_it = after >= WORTH || after == payload.files()[place].size;
    Ok(Seen { after: if is_worth_it { after } else { 0 }, sha256, rest })
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Hands over everything that a reader yields.
///
/// # Errors
/// When it cannot be read.
pub fn copy(reader: &mut dyn Read, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(got) => take(&buffer[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(from_io(error, |error| {
                    Error::new(Kind::Io, format!("it cannot be read: {error}"))
                }));
            }
        }
    }
}

fn empty() -> String {
    hex(&Sha256::digest([]))
}

/// What is new of a session, as a payload.
pub struct Tails<'a> {
    payload: &'a dyn Payload,
    fresh: &'a Fresh,
    /// The session was not any more what it was when it was compared.
    pub moved: AtomicBool,
}

impl<'a> Tails<'a> {
    /// The new bytes of the session in `payload`.
    pub fn of(payload: &'a dyn Payload, fresh: &'a Fresh) -> Self {
        Self { payload, fresh, moved: AtomicBool::new(false) }
    }
}

impl Payload for Tails<'_> {
    fn files(&self) -> &[FileMeta] {
        &self.fresh.metas
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        let (Some(piece), Some(meta)) = (self.fresh.pieces.get(index), self.fresh.metas.get(index)) else {
            return Err(Error::new(Kind::NotFound, format!("the session has no file {}", index + 1)));
        };
        let inner = self.payload.open(piece.place).and_then(|mut inner| {
            inner.seek(SeekFrom::Start(piece.after)).map_err(|error| {
                from_io(error, |error| Error::new(Kind::Io, format!("it cannot be read: {error}")))
            })?;
            Ok(inner)
        });
        let inner = inner.inspect_err(|_| self.moved.store(true, Ordering::Relaxed))?;
        Ok(Box::new(Tail {
            inner,
            after: piece.after,
            size: meta.size,
            position: 0,
            hash: Some(Sha256::new()),
            sha256: &piece.sha256,
            path: &meta.path,
            moved: &self.moved,
        }))
    }
}

/// Reads a file from some byte on, and looks whether it still is what it was.
struct Tail<'a> {
    inner: Box<dyn ReadSeek + 'a>,
    after: u64,
    size: u64,
    position: u64,
    /// `None` once the reader has jumped.
    hash: Option<Sha256>,
    sha256: &'a str,
    path: &'a str,
    moved: &'a AtomicBool,
}

impl Read for Tail<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want =
            buffer.len().min(usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX));
        let got = self.inner.read(&mut buffer[..want]).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.moved.store(true, Ordering::Relaxed);
            }
        })?;
        self.position += got as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..got]);
        }
        let at_end = self.position == self.size || (got == 0 && want > 0);
        if at_end
            && let Some(hash) = self.hash.take()
            && hex(&hash.finalize()) != self.sha256
        {
            self.moved.store(true, Ordering::Relaxed);
            let message = format!("{} changed while it was backed up", self.path);
            return Err(Error::new(Kind::Busy, message).hint("try again").into());
        }
        Ok(got)
    }
}

impl Seek for Tail<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.size.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        let target = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if target != self.position {
            self.hash = None;
            self.inner.seek(SeekFrom::Start(self.after + target))?;
            self.position = target;
        }
        Ok(target)
    }
}
