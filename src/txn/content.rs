//! Bytes on their way through: counted, hashed, copied.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::disk::{self, Found};
use super::journal::Content;
use crate::error::{Error, IoContext, Kind, Result};

/// Bytes read or written at a time.
const CHUNK: usize = 256 << 10;

/// Counts and hashes what is written through it.
pub(super) struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// The writer, how many bytes it got, and their SHA-256 in hexadecimal.
    pub(super) fn finish(self) -> (W, u64, String) {
        (self.inner, self.bytes, hex(&self.hash.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// Copies a regular file into `to` and returns what it held.
///
/// # Errors
/// [`Kind::Conflict`] when there is no regular file, [`Kind::Busy`] when it changes meanwhile.
pub(super) fn copy(from: &Path, to: &mut dyn Write) -> Result<Content> {
    match disk::look(from)? {
        Found::File(_) => {}
        Found::Other(what) => return Err(disk::not_a_file(from, what)),
        Found::Nothing => {
            return Err(Error::new(Kind::Conflict, format!("{} is no longer there", from.display())));
        }
    }
    let mut file = disk::open(from).at("open", from)?;
    let before = file.metadata().at("look at", from)?;
    let mut out = Hashing::new(to);
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer).at("read", from)? {
            0 => break,
            got => out.write_all(&buffer[..got]).at("copy", from)?,
        }
    }
    let (_, bytes, sha256) = out.finish();
    let after = file.metadata().at("look at", from)?;
    if bytes != before.len() || bytes != after.len() || disk::modified(&before) != disk::modified(&after) {
        let message = format!("{} changed while it was read", from.display());
        return Err(Error::new(Kind::Busy, message).hint("close the program that writes it and try again"));
    }
    Ok(Content { bytes, sha256, modified: Some(disk::modified(&after)), mode: Some(disk::mode(&after)) })
}

/// What a file holds. `None`: there is none.
///
/// # Errors
/// As [`copy`].
pub(super) fn read(path: &Path) -> Result<Option<Content>> {
    if disk::exists(path)? { copy(path, &mut io::sink()).map(Some) } else { Ok(None) }
}

/// Whether the file at `path` is still the one that `content` describes. A file with the same size
/// and modification time is; another time is settled by the hash.
///
/// # Errors
/// When it cannot be read.
pub(super) fn is_still(path: &Path, content: &Content) -> Result<bool> {
    let Found::File(meta) = disk::look(path)? else { return Ok(false) };
    if meta.len() != content.bytes {
        return Ok(false);
    }
    if content.modified == Some(disk::modified(&meta)) {
        return Ok(true);
    }
    Ok(read(path)?.is_some_and(|found| found.sha256 == content.sha256))
}

/// Copies a file into a new one, mode 0600. With `restore`, the copy gets the modification time and
/// mode that are in it.
///
/// # Errors
/// As [`copy`], and when `to` exists or cannot be written; nothing is left of it then.
pub(super) fn duplicate(from: &Path, to: &Path, restore: Option<&Content>) -> Result<Content> {
    let mut file = disk::create(to).at("write", to)?;
    let copied = copy(from, &mut file).and_then(|copied| {
        if let Some(content) = restore {
            dress(&file, content).at("write", to)?;
        }
        Ok(copied)
    });
    if copied.is_err() {
        let _ = disk::remove(to);
    }
    copied
}

/// Gives a file the modification time and mode that are in `content`.
pub(super) fn dress(file: &File, content: &Content) -> io::Result<()> {
    if let Some(mode) = content.mode {
        disk::set_mode(file, mode)?;
    }
    content.modified.map_or(Ok(()), |modified| disk::set_modified(file, modified))
}
