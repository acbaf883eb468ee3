//! Writes an archive.
//!
//! The manifest comes first, so there are two passes: the first fixes the hash of every file, the
//! second copies exactly those bytes and looks whether they are still the same. The same sessions
//! give the same archive, whatever the number of cores.
//!
//! Whether they are the same, the second pass tells by length and CRC-32, of which it costs a tenth of
//! what a second SHA-256 would: who writes to a session meanwhile is a program at work, not one that
//! looks for a collision, and an archive in which one slipped through would not verify.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::ops::ControlFlow;
use std::path::Path;

use flate2::Crc;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::entries;
use super::gzip::{self, MEMBER};
use super::layout::{self, BLOCK, DEFAULT_LEVEL, END, Limits, MANIFEST, MAX_MANIFEST, SUMS};
use super::manifest::{
    BundleFile, Continues, File, Manifest, Repo, SCHEMA, Session, SourceMachine, Tool, VERSION,
};
use super::pipeline;
use super::reader::hex;
use super::{rules, stream};
use crate::error::{Error, Kind, Result, from_io};
use crate::model::{FileMeta, Head, Payload, Time};
use crate::progress::Progress;

/// A session to be written.
pub struct SessionInput<'a> {
    /// What is known of it.
    pub head: Head,
    /// Its place in the list of repositories.
    pub repo: Option<usize>,
    /// Its files.
    pub payload: &'a dyn Payload,
    /// Where the rest of it is, when these files are only what is new.
    pub continues: Option<Continues>,
}

/// A repository to be written down.
pub struct RepoInput<'a> {
    /// What is known of it.
    pub repo: Repo,
    /// Its git bundle, from the first byte of the file to the last; the file is read, and its
    /// position changes. There must be one when something is `carried`, and only then.
    pub bundle: Option<&'a fs::File>,
}

impl From<Repo> for RepoInput<'_> {
    fn from(repo: Repo) -> Self {
        Self { repo, bundle: None }
    }
}

/// How to write an archive.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Compression level, 1 to 9.
    pub level: u32,
    /// The time to record; none by default, so that the same sessions give the same bytes.
    pub created: Option<Time>,
    /// The machine that the sessions come from.
    pub source: SourceMachine,
}

impl WriteOptions {
    /// The default level, and no time.
    pub fn new(source: SourceMachine) -> Self {
        Self { level: DEFAULT_LEVEL, created: None, source }
    }
}

/// An archive that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// What it declares.
    pub manifest: Manifest,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Writes an archive of these sessions. `out` need not be buffered.
///
/// # Errors
/// - [`Kind::Usage`] for a level that does not exist, or no sessions at all
/// - [`Kind::Busy`] when a file changes meanwhile; the archive is then useless, and so is the output
/// - [`Kind::Unsupported`] when a session has something that no archive may hold
/// - [`Kind::Io`] when a file cannot be read or the output cannot be written
pub fn write(
    out: &mut (dyn Write + Send),
    sessions: &[SessionInput<'_>],
    repos: &[RepoInput<'_>],
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Written> {
    write_on(pipeline::threads(), out, sessions, repos, options, progress)
}

pub(super) fn write_on(
    threads: usize,
    out: &mut (dyn Write + Send),
    sessions: &[SessionInput<'_>],
    repos: &[RepoInput<'_>],
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<Written> {
    if !(1..=9).contains(&options.level) {
        return Err(Error::usage(format!("there is no compression level {}", options.level))
            .hint("it goes from 1 to 9"));
    }
    if sessions.is_empty() {
        return Err(Error::usage("there is no session to export"));
    }
    let (manifest, checksums) = declare(sessions, repos, options, progress)?;
    let mut sink = Sink { out, hash: Sha256::new(), bytes: 0, error: None };
    let packed = pipeline::ordered(
        threads,
        |emit| pack(&mut Cutter::new(emit), &manifest, &checksums, sessions, repos, progress),
        |part: Vec<u8>| gzip::deflate(&part, options.level),
        |member| sink.take(&member),
    );
    // When the output fails, the other end only sees that nobody listens any more.
    let flushed = sink.finish();
    let (bytes, sha256) =
        flushed.map_err(|error| Error::new(Kind::Io, format!("cannot write the archive: {error}")))?;
    packed?;
    Ok(Written { manifest, bytes, sha256 })
}

/// Whether an archive may hold a session with this head and these files.
///
/// # Errors
/// Says which rule it would break.
pub fn check(head: &Head, files: &[FileMeta]) -> Result<()> {
    let files = files.iter().enumerate().map(|(place, meta)| File {
        name: layout::file_name(1, place + 1, meta),
        sha256: "0".repeat(64),
        meta: meta.clone(),
    });
    let session = Session { head: head.clone(), repo: None, files: files.collect(), continues: None };
    rules::check_session(1, &session, 0).map_err(|reason| {
        Error::new(Kind::Unsupported, format!("it cannot be put into an archive: {reason}"))
    })
}

/// The first pass: hashes every file. Returns the CRC-32 of each beside what is declared.
fn declare(
    sessions: &[SessionInput<'_>],
    repos: &[RepoInput<'_>],
    options: &WriteOptions,
    progress: &dyn Progress,
) -> Result<(Manifest, Vec<u32>)> {
    let all: Vec<(usize, usize)> = sessions
        .iter()
        .enumerate()
        .flat_map(|(session, input)| (0..input.payload.files().len()).map(move |file| (session, file)))
        .collect();
    progress.begin("reading", total(sessions) + total_of_bundles(repos)?);
    let sums: Result<(Vec<String>, Vec<u32>)> = all
        .par_iter()
        .map(|(session, file)| {
            let (mut hash, mut crc) = (Sha256::new(), Crc::new());
            copy(&sessions[*session], *file, &mut |bytes| {
                hash.update(bytes);
                crc.update(bytes);
                progress.advance(bytes.len() as u64);
                Ok(())
            })?;
            Ok((hex(&hash.finalize()), crc.sum()))
        })
        .collect();
    let bundles = declare_bundles(repos, progress);
    progress.end();
    let ((sums, checksums), bundles) = (sums?, bundles?);
    let mut sums = sums.into_iter();
    let sessions = sessions
        .iter()
        .enumerate()
        .map(|(session, input)| Session {
            head: input.head.clone(),
            repo: input.repo,
            continues: input.continues.clone(),
            files: input
                .payload
                .files()
                .iter()
                .zip(&mut sums)
                .enumerate()
                .map(|(file, (meta, sha256))| File {
                    name: layout::file_name(session + 1, file + 1, meta),
                    sha256,
                    meta: meta.clone(),
                })
                .collect(),
        })
        .collect();
    let mut manifest = Manifest {
        schema: SCHEMA.to_owned(),
        version: VERSION,
        tool: Tool { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        created: options.created,
        source: options.source.clone(),
        sessions,
        repos: repos.iter().map(|input| input.repo.clone()).collect(),
        bundles,
    };
    rules::redact(&mut manifest);
    rules::check(&manifest, Limits::default()).map_err(|reason| {
        Error::new(Kind::Unsupported, format!("cannot be put into an archive: {reason}"))
    })?;
    Ok((manifest, checksums))
}

fn total(sessions: &[SessionInput<'_>]) -> u64 {
    sessions.iter().flat_map(|session| session.payload.files()).map(|file| file.size).sum()
}

fn total_of_bundles(repos: &[RepoInput<'_>]) -> Result<u64> {
    let lengths = repos.iter().filter_map(|input| input.bundle).map(length);
    lengths.sum()
}

fn length(bundle: &fs::File) -> Result<u64> {
    bundle.metadata().map(|meta| meta.len()).map_err(|error| stream::temporary_error(&error))
}

/// Hashes every bundle.
fn declare_bundles(repos: &[RepoInput<'_>], progress: &dyn Progress) -> Result<Vec<BundleFile>> {
    let bundles = repos.iter().enumerate().filter_map(|(repo, input)| Some((repo, input.bundle?)));
    let bundles = bundles.map(|(repo, bundle)| {
        let (size, mut hash) = (length(bundle)?, Sha256::new());
        copy_bundle(bundle, size, &mut |bytes| {
            hash.update(bytes);
            progress.advance(bytes.len() as u64);
            Ok(())
        })?;
        Ok(BundleFile { repo, name: layout::bundle_name(repo + 1), size, sha256: hex(&hash.finalize()) })
    });
    bundles.collect()
}

/// The second pass: the tar. `checksums` are the CRC-32 of all files, in order.
fn pack(
    tar: &mut Cutter<'_>,
    manifest: &Manifest,
    checksums: &[u32],
    sessions: &[SessionInput<'_>],
    repos: &[RepoInput<'_>],
    progress: &dyn Progress,
) -> Result<()> {
    let json = manifest.print();
    if json.len() as u64 > MAX_MANIFEST {
        let message = format!("{} sessions are too many for one archive", sessions.len());
        return Err(Error::new(Kind::Unsupported, message).hint("export them in parts"));
    }
    let sums = layout::sums(&hex(&Sha256::digest(&json)), manifest);
    tar.entry(MANIFEST, &json)?;
    drop(json);
    tar.entry(SUMS, sums.as_bytes())?;
    drop(sums);
    progress.begin("packing", total(sessions) + total_of_bundles(repos)?);
    let mut checksums = checksums.iter();
    for (input, session) in sessions.iter().zip(&manifest.sessions) {
        for (index, file) in session.files.iter().enumerate() {
            tar.put(&entries::header(&file.name, file.meta.size))?;
            let mut crc = Crc::new();
            copy(input, index, &mut |bytes| {
                crc.update(bytes);
                progress.advance(bytes.len() as u64);
                tar.put(bytes)
            })?;
            if checksums.next() != Some(&crc.sum()) {
                return Err(changed(input, &file.meta));
            }
            tar.pad(file.meta.size)?;
        }
    }
    let bundles = repos.iter().filter_map(|input| input.bundle);
    for (bundle, declared) in bundles.zip(&manifest.bundles) {
        tar.put(&entries::header(&declared.name, declared.size))?;
        copy_bundle(bundle, declared.size, &mut |bytes| {
            progress.advance(bytes.len() as u64);
            tar.put(bytes)
        })?;
        tar.pad(declared.size)?;
    }
    tar.put(&[0; END as usize])?;
    tar.finish()?;
    progress.end();
    Ok(())
}

/// Reads a file of a session, exactly as long as it declares.
fn copy(input: &SessionInput<'_>, index: usize, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let meta = &input.payload.files()[index];
    let mut reader = input.payload.open(index)?;
    match read_all(&mut reader, meta.size, take)? {
        Copied::Whole => Ok(()),
        Copied::OtherLength => Err(changed(input, meta)),
        Copied::Unreadable(error) => {
            let Head { harness, id, .. } = &input.head;
            Err(from_io(error, |error| Error::io("read", Path::new(&meta.path), error))
                .context(format!("{harness}:{id}")))
        }
    }
}

/// Reads a bundle. Nobody else has the file, so nothing about it changes.
fn copy_bundle(mut bundle: &fs::File, size: u64, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    bundle.rewind().map_err(|error| stream::temporary_error(&error))?;
    match read_all(&mut bundle, size, take)? {
        Copied::Whole => Ok(()),
        Copied::OtherLength => Err(stream::temporary_error(&io::ErrorKind::UnexpectedEof.into())),
        Copied::Unreadable(error) => Err(stream::temporary_error(&error)),
    }
}

/// How reading a file ended.
enum Copied {
    Whole,
    OtherLength,
    Unreadable(io::Error),
}

fn read_all(reader: &mut dyn Read, size: u64, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Copied> {
    let (mut left, mut buffer) = (size, vec![0; 1 << 17]);
    loop {
        let got = match reader.read(&mut buffer) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Copied::Unreadable(error)),
        };
        left = match left.checked_sub(got as u64) {
            Some(left) => left,
            None => return Ok(Copied::OtherLength),
        };
        match (got, left) {
            (0, 0) => return Ok(Copied::Whole),
            (0, _) => return Ok(Copied::OtherLength),
            _ => take(&buffer[..got])?,
        }
    }
}

fn changed(input: &SessionInput<'_>, meta: &FileMeta) -> Error {
    let Head { harness, id, .. } = &input.head;
    Error::new(Kind::Busy, format!("{harness}:{id}: {} changed while it was exported", meta.path))
        .hint("export it again when the session is at rest")
}

/// Cuts the tar into parts for [`gzip::deflate`].
struct Cutter<'e> {
    part: Vec<u8>,
    /// False when nobody wants more.
    emit: &'e mut dyn FnMut(Vec<u8>) -> bool,
}

impl<'e> Cutter<'e> {
    fn new(emit: &'e mut dyn FnMut(Vec<u8>) -> bool) -> Self {
        Self { part: Vec::with_capacity(MEMBER), emit }
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(MEMBER - self.part.len()));
            self.part.extend_from_slice(now);
            bytes = later;
            if self.part.len() == MEMBER {
                let part = std::mem::replace(&mut self.part, Vec::with_capacity(MEMBER));
                self.emit(part)?;
            }
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = size.next_multiple_of(BLOCK) - size;
        self.put(&[0; BLOCK as usize][..usize::try_from(padding).unwrap_or_default()])
    }

    fn entry(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.put(&entries::header(name, content.len() as u64))?;
        self.put(content)?;
        self.pad(content.len() as u64)
    }

    fn finish(&mut self) -> Result<()> {
        let part = std::mem::take(&mut self.part);
        if part.is_empty() { Ok(()) } else { self.emit(part) }
    }

    fn emit(&mut self, part: Vec<u8>) -> Result<()> {
        if (self.emit)(part) { Ok(()) } else { Err(Error::new(Kind::Io, "the output is closed")) }
    }
}

/// Takes the members, in order.
struct Sink<'o> {
    out: &'o mut (dyn Write + Send),
    hash: Sha256,
    bytes: u64,
    error: Option<io::Error>,
}

impl Sink<'_> {
    fn take(&mut self, member: &[u8]) -> ControlFlow<()> {
        self.hash.update(member);
        self.bytes += member.len() as u64;
        match self.out.write_all(member) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(self) -> io::Result<(u64, String)> {
        match self.error {
            Some(error) => Err(error),
            None => self.out.flush().map(|()| (self.bytes, hex(&self.hash.finalize()))),
        }
    }
}
