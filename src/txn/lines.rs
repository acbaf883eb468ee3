//! Lines in files that a harness shares between its sessions.
//!
//! The harness appends to such a file itself, now or while we look, so it is never put in place as
//! a whole. All lines of an import go in with one write under the harness's lock, and an undo takes
//! out exactly these. Both can be done again after a crash: a line that is there is not added, one
//! that is gone is not removed, and the beginning of a line that a crash left is completed or removed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::content::{Hashing, dress, hex};
use super::disk::{self, Found};
use super::journal::{Content, Shared};
use super::lock::HarnessLock;
use crate::error::{Error, IoContext, Kind, Result};

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// How often the file may change under us, where the harness has no lock, before we give up.
const ATTEMPTS: usize = 5;

/// Why lines could not be added or removed.
#[derive(Debug)]
pub(super) struct Refused {
    pub error: Error,
    /// Whether something of them may be in the file all the same.
    pub touched: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, touched: false }
    }
}

/// What [`scan`] found.
#[derive(Debug, Default)]
struct Scan {
    bytes: u64,
    sha256: String,
    /// Where each wanted line begins, in order.
    found: Vec<Vec<u64>>,
    /// The last line, where it has no line end: where it begins, and its text unless it is longer
    /// than every wanted line.
    open_end: Option<(u64, Option<Vec<u8>>)>,
}

impl Scan {
    /// The wanted lines that are not there.
    fn missing<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted.iter().zip(&self.found).filter(|(_, found)| found.is_empty()).map(|(line, _)| *line).collect()
    }
}

/// Looks for lines in a stream, holding no more of it than the longest of them.
fn scan(mut input: impl Read, wanted: &[&str]) -> io::Result<Scan> {
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (place, line) in wanted.iter().enumerate() {
        places.entry(line.as_bytes()).or_default().push(place);
    }
    let longest = wanted.iter().map(|line| line.len()).max().unwrap_or(0);
    let mut scan = Scan { found: vec![Vec::new(); wanted.len()], ..Scan::default() };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let (mut line, mut start) = (Vec::new(), 0);
    loop {
        let got = match input.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            got => got?,
        };
        hash.update(&buffer[..got]);
        for piece in buffer[..got].split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            // One byte more than the longest says that it is none of them.
            line.extend_from_slice(&text[..text.len().min(longest + 1 - line.len())]);
            scan.bytes += piece.len() as u64;
            if text.len() < piece.len() {
                for place in places.get(line.as_slice()).into_iter().flatten() {
                    scan.found[*place].push(start);
                }
                line.clear();
                start = scan.bytes;
            }
        }
    }
    scan.sha256 = hex(&hash.finalize());
    if start < scan.bytes {
        scan.open_end = Some((start, (line.len() <= longest).then_some(line)));
    }
    Ok(scan)
}

/// Notes how an import finds a shared file, and returns which of the lines are there already.
///
/// # Errors
/// [`Kind::Conflict`] when it is no regular file, and when it cannot be read.
pub(super) fn survey(shared: &mut Shared, lines: &[&str]) -> Result<Vec<bool>> {
    let path = &shared.path;
    shared.lock_made = shared.lock.as_deref().map(disk::exists).transpose()? == Some(false);
    let meta = match disk::look(path)? {
        Found::Nothing => return Ok(vec![false; lines.len()]),
        Found::Other(what) => return Err(disk::not_a_file(path, what)),
        Found::File(meta) => meta,
    };
    let scan = disk::open(path).and_then(|file| scan(file, lines)).at("read", path)?;
    let last = scan.open_end.as_ref().and_then(|(_, text)| text.as_deref());
    let is_there = |(line, found): (&&str, &Vec<u64>)| !found.is_empty() || last == Some(line.as_bytes());
    let there = lines.iter().zip(&scan.found).map(is_there).collect();
    shared.open_end = scan.open_end.is_some();
    shared.before = Some(Content {
        bytes: scan.bytes,
        sha256: scan.sha256,
        modified: Some(disk::modified(&meta)),
        mode: Some(disk::mode(&meta)),
    });
    Ok(there)
}

/// Adds the lines that are not there. `again`: this may be a repetition after a crash, so the
/// beginning of one of the lines at the end of the file is ours.
///
/// # Errors
/// [`Kind::Busy`] when the harness holds its lock, and when the disk refuses.
pub(super) fn add(shared: &Shared, lines: &[&str], again: bool) -> Result<(), Refused> {
    let lock = shared.lock.as_deref().map(HarnessLock::take).transpose()?;
    let added = add_locked(shared, lines, again);
    if let (Err(_), Some(lock)) = (&added, lock) {
        let _ = lock.remove_if_made(shared.lock_made);
    }
    added
}

fn add_locked(shared: &Shared, lines: &[&str], again: bool) -> Result<(), Refused> {
    let path = &shared.path;
    if let Found::Other(what) = disk::look(path)? {
        return Err(disk::not_a_file(path, what).into());
    }
    let mut file = disk::open_append(path).at("open", path)?;
    let scan = scan(&file, lines).at("read", path)?;
    let mut missing = scan.missing(lines);
    let mut text = Vec::new();
    if let Some((start, end)) = &scan.open_end {
        let torn = |end: &Vec<u8>| missing.iter().position(|line| line.as_bytes().starts_with(end));
        let ours = end.as_ref().filter(|_| again && *start >= shared.length_before());
        if let Some((line, end)) = ours.and_then(|end| Some((torn(end)?, end))) {
            text.extend(&missing.remove(line).as_bytes()[end.len()..]);
            text.push(b'\n');
        } else if !missing.is_empty() {
            text.push(b'\n');
        }
    }
    for line in missing {
        text.extend(line.as_bytes());
        text.push(b'\n');
    }
    let appended = append(&mut file, &text, scan.bytes, path);
    if appended.is_err() && shared.before.is_none() && file.metadata().is_ok_and(|meta| meta.len() == 0) {
        let _ = disk::remove(path);
    }
    appended
}

/// Writes at the end of the file and makes it durable. When the disk refuses in the middle, the
/// file is brought back to what it was.
fn append(file: &mut File, text: &[u8], length: u64, path: &Path) -> Result<(), Refused> {
    let before = disk::modified(&file.metadata().at("look at", path)?);
    let mut written = 0;
    let mut outcome = Ok(());
    while written < text.len() && outcome.is_ok() {
        match file.write(&text[written..]) {
            Ok(0) => outcome = Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => outcome = Err(error),
        }
    }
    if outcome.is_ok() && !text.is_empty() {
        outcome = file.sync_all();
    }
    let Err(error) = outcome else { return Ok(()) };
    let nobody_else_wrote = file.metadata().is_ok_and(|meta| meta.len() == length + written as u64);
    let restored =
        nobody_else_wrote && file.set_len(length).and_then(|()| disk::set_modified(file, before)).is_ok();
    Err(Refused { error: Error::io("append to", path, error), touched: written > 0 && !restored })
}

/// Takes out the lines that the import added, and nothing else. A file that did not exist before
/// and is empty now goes, and so does the lock file that was made for it. `torn`: the file may end
/// with the beginning of one of the lines.
///
/// # Errors
/// [`Kind::Busy`] when the harness holds its lock or keeps on writing, and when the disk refuses.
pub(super) fn remove(shared: &Shared, lines: &[&str], temp: &Path, torn: bool) -> Result<(), Refused> {
    let path = &shared.path;
    disk::remove(temp)?;
    let file = match disk::look(path)? {
        Found::File(_) => true,
        Found::Nothing => false,
        Found::Other(what) => return Err(disk::not_a_file(path, what).into()),
    };
    let our_lock = shared.lock.as_deref().filter(|lock| shared.lock_made && disk::may_exist(lock));
    if !file && our_lock.is_none() {
        return Ok(());
    }
    let lock = shared.lock.as_deref().map(HarnessLock::take).transpose()?;
    if file {
        let removed = rewrite(shared, lines, temp, torn);
        if removed.is_err() {
            let _ = disk::remove(temp);
        }
        removed?;
    }
    if let Some(lock) = lock {
        lock.remove_if_made(shared.lock_made).map_err(|error| Refused { error, touched: true })?;
    }
    Ok(())
}

fn rewrite(shared: &Shared, lines: &[&str], temp: &Path, torn: bool) -> Result<()> {
    let path = &shared.path;
    for _ in 0..ATTEMPTS {
        let mut file = disk::open(path).at("open", path)?;
        let meta = file.metadata().at("look at", path)?;
        let scan = scan(&file, lines).at("read", path)?;
        let cuts = cuts(shared, &scan, lines, torn);
        let made_by_us = shared.before.is_none() && length(&cuts) == scan.bytes;
        if cuts.is_empty() && !made_by_us {
            return Ok(());
        }
        if !made_by_us {
            copy_without(&mut file, &cuts, scan.bytes, shared, disk::mode(&meta), temp)?;
        }
        // Without a lock of the harness, this is the last chance to see that it wrote.
        let unchanged = matches!(disk::look(path)?, Found::File(now)
            if now.len() == scan.bytes && disk::modified(&now) == disk::modified(&meta));
        if !unchanged {
            disk::remove(temp)?;
            continue;
        }
        return if made_by_us {
            disk::remove(path).map(|_| ())
        } else {
            disk::rename_over(temp, path).at("replace", path)
        };
    }
    Err(Error::new(Kind::Busy, format!("{} is being written all the time", path.display()))
        .hint("close the program that writes it and try again"))
}

/// Writes what is left without the cuts, as it was before the import if that is what is left.
fn copy_without(
    file: &mut File,
    cuts: &[Range<u64>],
    bytes: u64,
    shared: &Shared,
    mode: u32,
    temp: &Path,
) -> Result<()> {
    let path = &shared.path;
    let mut out = BufWriter::new(Hashing::new(disk::create(temp).at("write", temp)?));
    let mut input = BufReader::with_capacity(CHUNK, file);
    input.rewind().at("read", path)?;
    let mut position = 0;
    for (start, end) in cuts.iter().map(|cut| (cut.start, cut.end)).chain([(bytes, bytes)]) {
        io::copy(&mut input.by_ref().take(start - position), &mut out).at("copy", path)?;
        io::copy(&mut input.by_ref().take(end - start), &mut io::sink()).at("read", path)?;
        position = end;
    }
    let hashing = out.into_inner().map_err(io::IntoInnerError::into_error).at("write", temp)?;
    let (out, bytes, sha256) = hashing.finish();
    let before = shared.before.as_ref().filter(|before| before.bytes == bytes && before.sha256 == sha256);
    let content =
        Content { bytes, sha256, modified: before.and_then(|before| before.modified), mode: Some(mode) };
    dress(&out, &content).and_then(|()| out.sync_all()).at("write", temp)
}

/// The byte ranges that the import added, in order. `torn`: the file may end with the beginning of
/// one of the lines.
fn cuts(shared: &Shared, scan: &Scan, lines: &[&str], torn: bool) -> Vec<Range<u64>> {
    let before = shared.length_before();
    let mut cuts = Vec::new();
    for (line, found) in lines.iter().zip(&scan.found) {
        // We wrote behind what was there, but the harness may have rewritten the file since.
        let ours = found.iter().find(|start| **start >= before).or(found.first());
        cuts.extend(ours.map(|start| *start..*start + line.len() as u64 + 1));
    }
    if let Some((start, Some(end))) = &scan.open_end {
        let is_ours =
            |line: &&str| if torn { line.as_bytes().starts_with(end) } else { line.as_bytes() == end };
        if *start >= before && scan.missing(lines).iter().any(is_ours) {
            cuts.push(*start..scan.bytes);
        }
    }
    cuts.sort_by_key(|cut| cut.start);
    // The line end that we gave the last line of before, if it is the last line again.
    let left = scan.bytes - length(&cuts);
    if let Some(first) = cuts.first_mut()
        && shared.open_end
        && left == before + 1
        && first.start == left
    {
        first.start = before;
    }
    cuts
}

fn length(cuts: &[Range<u64>]) -> u64 {
    cuts.iter().map(|cut| cut.end - cut.start).sum()
}
