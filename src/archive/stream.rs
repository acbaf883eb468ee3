//! Archives that somebody compressed again: one gzip stream, read from front to end.
//!
//! The tar goes into a temporary file without a name, once, and is read from there.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};

use flate2::bufread::GzDecoder;

use super::entries;
use super::layout::{BLOCK, Limits, MANIFEST, MAX_MANIFEST};
use super::store::Damage;
use crate::error::{Error, Kind, Result};

const AFTER: &str = "something follows the gzip stream";

/// The tar of a gzip stream, as far as it could be uncompressed.
pub(super) struct Inflated {
    /// The tar, in a file without a name.
    pub(super) file: File,
    /// Its bytes.
    pub(super) length: u64,
    /// Bytes of the stream that it was uncompressed from.
    pub(super) compressed: u64,
    /// Why there is not more.
    pub(super) damage: Option<Damage>,
}

/// A file in the temporary directory that has no name and goes when it is closed. What is to be
/// put into an archive, but has no place on the disk, is kept in one until then.
///
/// # Errors
/// When there is no room for one.
pub fn temporary() -> Result<File> {
    tempfile::tempfile().map_err(|error| temporary_error(&error))
}

pub(super) fn temporary_error(error: &io::Error) -> Error {
    Error::new(Kind::Io, format!("cannot keep the archive in a temporary file: {error}"))
        .hint("set TMPDIR to a directory with more room")
}

/// Uncompresses a gzip stream to its end.
///
/// # Errors
/// When the tar in it does not begin with a manifest, and when there is no room for it. Damage
/// that shows later is part of the result: what came before it tells what was lost.
pub(super) fn inflate(input: impl BufRead, limits: Limits) -> Result<Inflated> {
    let mut input = Counted { inner: input, count: 0 };
    let mut inflated = Inflated { file: temporary()?, length: 0, compressed: 0, damage: None };
    let mut front = Vec::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let at = input.count;
        match input.fill_buf() {
            Ok([]) if at > 0 => return Ok(Inflated { compressed: at, ..inflated }),
            Ok([first, ..]) if at > 0 && *first != 0x1f => {
                return Ok(inflated.damaged(Damage::new(at, AFTER)));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(inflated.damaged(Damage::unread(at, &error))),
        }
        let mut member = GzDecoder::new(&mut input);
        loop {
            let got = match member.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let no_header = member.header().is_none();
                    return Ok(inflated.damaged(damage(input.count, &error, no_header && at > 0)));
                }
            };
            inflated.file.write_all(&buffer[..got]).map_err(|error| temporary_error(&error))?;
            inflated.length += got as u64;
            if front.len() < BLOCK as usize {
                front.extend_from_slice(&buffer[..got.min(BLOCK as usize - front.len())]);
                if let Ok(header) = front.as_slice().try_into() {
                    check_front(header)?;
                }
            }
            if let Err(reason) = limits.check(inflated.length, member.get_ref().count) {
                return Ok(inflated.damaged(Damage::new(input.count, reason)));
            }
        }
        if limits.check(input.count, input.count).is_err() {
            return Ok(inflated.damaged(Damage::new(input.count, "the archive is larger than the limit")));
        }
    }
}

impl Inflated {
    fn damaged(mut self, damage: Damage) -> Self {
        self.compressed = damage.at;
        self.damage = Some(damage);
        self
    }
}

fn damage(at: u64, error: &io::Error, after_a_member: bool) -> Damage {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::new(at, "the archive is cut off"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if after_a_member => Damage::new(at, AFTER),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Damage::new(at, "the compressed data is damaged")
        }
        _ => Damage::unread(at, error),
    }
}

/// Looks whether a tar begins as ours do, from its first header.
///
/// # Errors
/// Says what stands there instead of a manifest.
pub(super) fn check_front(header: &[u8; BLOCK as usize]) -> Result<u64> {
    let not_ours =
        |reason: &dyn std::fmt::Display| Error::archive(format!("not an archive of holdall: {reason}"));
    let header = entries::parse_header(header).map_err(|refusal| not_ours(&refusal))?;
    if header.name != MANIFEST {
        return Err(not_ours(&format_args!("it begins with {:?}, not with {MANIFEST}", header.name)));
    }
    if header.size > MAX_MANIFEST {
        return Err(Error::archive(format!(
            "{MANIFEST}: its {} bytes are more than the limit of {MAX_MANIFEST}",
            header.size
        )));
    }
    Ok(header.size)
}

/// Counts what is taken from a reader.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.count += got as u64;
        Ok(got)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.count += amount as u64;
    }
}
