//! Opens an archive and reads single sessions from it.
//!
//! Opening reads the manifest and little else: of an archive in our own form, the headers of its
//! gzip members; of any other, all of it once, into a temporary file. Nothing in an archive is
//! ever used as a path.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::entries::{self, Entries, Refusal};
use super::gzip::{self, Form};
use super::layout::{self, BLOCK, END, FREE_MANIFEST, Limits, MANIFEST, MANIFEST_RATIO, MAX_END};
use super::manifest::Manifest;
use super::store::{Ahead, Damage, Loaded, Store};
use super::stream;
use crate::error::{Error, Kind, Result};
use crate::model::{FileMeta, Payload, ReadSeek};

/// Bytes that tell how a file begins.
const START: usize = 16;

/// An archive that is open for reading, from several threads at once.
#[derive(Debug)]
pub struct Archive {
    pub(super) store: Arc<Store>,
    pub(super) manifest: Manifest,
    pub(super) entries: Entries,
    /// SHA-256 of the first two entries, which the manifest cannot declare.
    pub(super) own_sums: [String; 2],
}

impl Archive {
    /// Opens an archive. Its manifest keeps all rules when this returns; whether the sessions are
    /// whole is for [`Archive::verify`] to say.
    ///
    /// # Errors
    /// Of kind [`Kind::Archive`] when the file is no archive, cut off, damaged, hostile or of a
    /// newer version; the text names the entry and the offset as far as they are known.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_within(path, Limits::default())
    }

    /// [`Archive::open`] with other limits.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_within(path: &Path, limits: Limits) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::new(Kind::NotFound, format!("there is no archive {}", path.display()))
            }
            _ => Error::io("open", path, error),
        })?;
        let meta = file.metadata().map_err(|error| Error::io("open", path, error))?;
        if meta.is_dir() {
            return Err(Error::usage(format!("{} is a directory, not an archive", path.display())));
        }
        let archive = if meta.is_file() {
            Self::from_file(file, meta.len(), limits)
        } else {
            Self::read_within(&mut file, limits)
        };
        archive.map_err(|error| error.context(path.display()))
    }

    /// Reads an archive from a pipe, into a temporary file without a name.
    ///
    /// # Errors
    /// As [`Archive::open`]; also when there is no room.
    pub fn read(input: &mut dyn Read) -> Result<Self> {
        Self::read_within(input, Limits::default())
    }

    /// [`Archive::read`] with other limits.
    ///
    /// # Errors
    /// As [`Archive::read`].
    pub fn read_within(input: &mut dyn Read, limits: Limits) -> Result<Self> {
        let mut start = Vec::new();
        input.take(START as u64).read_to_end(&mut start).map_err(|error| unreadable(&error))?;
        let form = gzip::form(&start).ok_or_else(|| not_gzip(&start))?;
        let mut input = start.as_slice().chain(input);
        match form {
            Form::Stream => Self::from_stream(BufReader::with_capacity(1 << 17, input), limits),
            Form::Members => {
                let mut file = stream::temporary()?;
                // One byte more than the limit tells that there is more.
                let length = spool(&mut input.by_ref().take(limits.max_size.saturating_add(1)), &mut file)?;
                limits.check(length, length).map_err(Error::archive)?;
                Self::from_file(file, length, limits)
            }
        }
    }

    fn from_file(mut file: File, length: u64, limits: Limits) -> Result<Self> {
        let mut start = Vec::new();
        file.rewind().map_err(|error| unreadable(&error))?;
        (&file).take(START as u64).read_to_end(&mut start).map_err(|error| unreadable(&error))?;
        match gzip::form(&start) {
            None => Err(not_gzip(&start)),
            Some(Form::Members) => {
                let (store, damage) = Store::members(file, length, limits);
                Self::from_store(store, damage, length, limits)
            }
            Some(Form::Stream) => {
                file.rewind().map_err(|error| unreadable(&error))?;
                Self::from_stream(BufReader::with_capacity(1 << 17, file), limits)
            }
        }
    }

    fn from_stream(input: impl io::BufRead, limits: Limits) -> Result<Self> {
        let stream::Inflated { file, length, compressed, damage } = stream::inflate(input, limits)?;
        Self::from_store(Store::plain(file, length), damage, compressed, limits)
    }

    /// `damage` is what kept the store from being whole; the manifest, if it is in what there is,
    /// tells which entry that hits. `compressed` is how many bytes of the archive there are.
    fn from_store(store: Store, damage: Option<Damage>, compressed: u64, limits: Limits) -> Result<Self> {
        let json = match (manifest_json(&store, compressed), &damage) {
            (Ok(json), _) => json,
            (Err(_), Some(damage)) => return Err(damaged(MANIFEST, damage)),
            (Err(error), None) => return Err(error),
        };
        let manifest_sum = hex(&Sha256::digest(&json));
        let size = json.len() as u64;
        let manifest = match (Manifest::parse(&json, compressed, limits), &damage) {
            (Ok(manifest), _) => manifest,
            // Bytes that are not what they were make no sense; that is not what is wrong.
            (Err(_), Some(damage)) => return Err(damaged(MANIFEST, damage)),
            (Err(error), None) => return Err(error),
        };
        drop(json);
        let sums_sum = hex(&Sha256::digest(layout::sums(&manifest_sum, &manifest)));
        let entries =
            Entries::new(size, &manifest).filter(|entries| entries.end() <= limits.max_size).ok_or_else(
                || Error::archive(format!("{MANIFEST}: what it declares is larger than the limit")),
            )?;
        let (end, length) = (entries.end(), store.len());
        let archive = Self { store: Arc::new(store), manifest, entries, own_sums: [manifest_sum, sums_sum] };
        if let Some(damage) = damage {
            return Err(damaged(archive.name_at(length), &damage));
        }
        let wrong = |otherwise: &str| {
            let (name, reason) =
                archive.first_wrong().unwrap_or_else(|| (archive.name_at(length), otherwise.to_owned()));
            Error::archive(format!("{name}: {reason}"))
        };
        if length < end {
            return Err(wrong("the archive ends before this entry does"));
        }
        if length - end < END {
            return Err(wrong("the zeros that end the tar are missing after it"));
        }
        if length - end > MAX_END || length % BLOCK != 0 {
            return Err(wrong("something follows it that the manifest does not declare"));
        }
        Ok(archive)
    }

    /// What the archive declares.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the archive is [`layout::LARGE`] and in our own form, of which every part can be read
    /// without what is before it. Any other was read from front to end when it was opened.
    pub fn is_large(&self) -> bool {
        self.store.compressed().is_some_and(|bytes| bytes > layout::LARGE)
    }

    /// One session of [`Manifest::sessions`], to be read from any offset. Damage shows while
    /// reading, as an error that names the file; whether the bytes are those that the manifest
    /// declares is for [`Archive::verify`] to say.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn session(&self, index: usize) -> Result<ArchivedSession<'_>> {
        let session = self.manifest.sessions.get(index).ok_or_else(|| no_session(index))?;
        let files = session.files.iter().map(|file| file.meta.clone()).collect();
        Ok(ArchivedSession { archive: self, entries: self.entries.of_session(index), files })
    }

    /// The git bundle of a repository of [`Manifest::repos`], if one is carried, to be read from any
    /// offset. Damage shows while reading; whether the bytes are those that the manifest declares is
    /// for [`Archive::verify_bundle`] to say.
    ///
    /// # Errors
    /// When there is no such repository, or something else stands where the bundle belongs.
    pub fn bundle(&self, repo: usize) -> Result<Option<Box<dyn ReadSeek + '_>>> {
        if repo >= self.manifest.repos.len() {
            return Err(no_repository(repo));
        }
        match self.bundle_entry(repo) {
            Some(entry) => Ok(Some(Box::new(self.content(entry)?))),
            None => Ok(None),
        }
    }

    /// The entry of a repository's bundle.
    pub(super) fn bundle_entry(&self, repo: usize) -> Option<usize> {
        let bundle = self.manifest.bundles.binary_search_by_key(&repo, |bundle| bundle.repo).ok()?;
        Some(self.entries.of_bundle(bundle))
    }

    /// A reader of the content of an entry.
    fn content(&self, entry: usize) -> Result<Content<'_>> {
        let (name, span) = (self.name(entry), self.entries.span(entry));
        let header =
            self.store.read(span.start..span.start + BLOCK).map_err(|damage| damaged(name, &damage))?;
        let header = header.as_slice().try_into().expect("as many bytes as were asked for");
        self.check_header(entry, header).map_err(|reason| Error::archive(format!("{name}: {reason}")))?;
        let content = span.content();
        Ok(Content { store: &self.store, name, position: content.start, content, block: None, ahead: None })
    }

    /// The first entry whose header is not where it belongs, and what is there. It takes for granted
    /// that all headers after it are off as well, which is what a missing or extra entry does.
    fn first_wrong(&self) -> Option<(&str, String)> {
        let (mut good, mut wrong) = (0, self.entries.len());
        let mut found = None;
        while good < wrong {
            let entry = good + (wrong - good) / 2;
            let start = self.entries.span(entry).start;
            let Ok(header) = self.store.read(start..start + BLOCK) else {
                wrong = entry;
                continue;
            };
            let header = header.as_slice().try_into().expect("as many bytes as were asked for");
            match self.check_header(entry, header) {
                Ok(()) => good = entry + 1,
                Err(reason) => {
                    found = Some((self.name(entry), reason));
                    wrong = entry;
                }
            }
        }
        found
    }

    /// The name of the entry that holds this byte of the tar.
    fn name_at(&self, offset: u64) -> &str {
        self.name(self.entries.at(offset))
    }

    pub(super) fn name(&self, entry: usize) -> &str {
        self.entries.name(entry, &self.manifest)
    }

    /// Whether the header of an entry is what the manifest lets expect.
    ///
    /// # Errors
    /// Says what stands there instead.
    pub(super) fn check_header(&self, entry: usize, header: &[u8; BLOCK as usize]) -> Result<(), String> {
        let (name, size) = (self.name(entry), self.entries.span(entry).size);
        match entries::parse_header(header) {
            Ok(header) if header.name != name => {
                Err(format!("the entry {:?} stands where this one belongs", header.name))
            }
            Ok(header) if header.size != size => {
                Err(format!("it has {} bytes in the tar and {size} in the manifest", header.size))
            }
            Ok(_) => Ok(()),
            Err(Refusal::End) => Err("the tar ends where this entry belongs".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }
}

/// The manifest's bytes.
fn manifest_json(store: &Store, compressed: u64) -> Result<Vec<u8>> {
    let named = |damage: Damage| damaged(MANIFEST, &damage);
    let header = store.read(0..BLOCK).map_err(named)?;
    let header = header.as_slice().try_into().expect("as many bytes as were asked for");
    let size = stream::check_front(header)?;
    if size > FREE_MANIFEST.max(compressed.saturating_mul(MANIFEST_RATIO)) {
        return Err(Error::archive(format!(
            "{MANIFEST}: its {size} bytes are more than an archive of {compressed} bytes can have use for"
        )));
    }
    store.read(BLOCK..BLOCK + size).map_err(named)
}

fn spool(input: &mut dyn Read, file: &mut File) -> Result<u64> {
    let (mut length, mut buffer) = (0, vec![0; 1 << 17]);
    loop {
        let got = match input.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(&error)),
        };
        file.write_all(&buffer[..got]).map_err(|error| stream::temporary_error(&error))?;
        length += got as u64;
    }
}

pub(super) fn damaged(name: &str, damage: &Damage) -> Error {
    let kind = if damage.unread { Kind::Io } else { Kind::Archive };
    Error::new(kind, format!("{name}: {damage}"))
}

pub(super) fn no_session(index: usize) -> Error {
    Error::new(Kind::NotFound, format!("the archive has no session {}", index + 1))
}

pub(super) fn no_repository(index: usize) -> Error {
    Error::new(Kind::NotFound, format!("the archive has no repository {}", index + 1))
}

fn unreadable(error: &io::Error) -> Error {
    Error::new(Kind::Io, format!("the archive cannot be read: {error}"))
}

fn not_gzip(start: &[u8]) -> Error {
    if start.is_empty() {
        return Error::archive("not an archive of holdall: it is empty");
    }
    let error = Error::archive("not an archive of holdall: it is not a gzip file");
    if start.starts_with(MANIFEST.as_bytes()) { error.hint("compress it with gzip again") } else { error }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all text");
        text
    })
}

/// A session inside an archive.
#[derive(Debug)]
pub struct ArchivedSession<'a> {
    archive: &'a Archive,
    entries: Range<usize>,
    files: Vec<FileMeta>,
}

impl Payload for ArchivedSession<'_> {
    fn files(&self) -> &[FileMeta] {
        &self.files
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        if index >= self.files.len() {
            return Err(Error::new(Kind::NotFound, format!("the session has no file {}", index + 1)));
        }
        Ok(Box::new(self.archive.content(self.entries.start + index)?))
    }
}

/// Reads the content of an entry.
struct Content<'a> {
    store: &'a Arc<Store>,
    name: &'a str,
    content: Range<u64>,
    /// In the tar.
    position: u64,
    /// The block that was read last.
    block: Option<Loaded>,
    /// The one after it, when the content is read from front to end.
    ahead: Option<Ahead>,
}

impl Content<'_> {
    /// Loads the block that holds the byte at the position. Uncompressing costs more than all that is
    /// done with the bytes, so of a long file the next block is uncompressed meanwhile.
    fn load(&mut self) -> Result<(), Damage> {
        let number = Store::blocks(&(self.position..self.content.end)).start;
        // The old block goes first, so that no reader holds two that were read.
        let in_order = self.block.take().is_some_and(|last| last.number() + 1 == number);
        self.block = Some(match self.ahead.take().filter(|ahead| ahead.block == number) {
            Some(ahead) => self.store.finish(&ahead)?,
            None => self.store.block(number)?,
        });
        // Who reads only the beginning has no use for more.
        if in_order && self.store.range(number).end < self.content.end {
            self.ahead = Some(self.store.ahead(number + 1));
        }
        Ok(())
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.content.end.min(self.position.saturating_add(buffer.len() as u64));
        if self.position >= end {
            return Ok(0);
        }
        if self.block.as_ref().is_none_or(|block| block.from(self.position, end).is_empty()) {
            self.load().map_err(|damage| damaged(self.name, &damage))?;
        }
        let bytes = self.block.as_ref().map_or(&[][..], |block| block.from(self.position, end));
        buffer[..bytes.len()].copy_from_slice(bytes);
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl Seek for Content<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => self.content.start.checked_add(offset),
            SeekFrom::End(delta) => self.content.end.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target
            .filter(|target| *target >= self.content.start)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position - self.content.start)
    }
}
