//! A file of Gemini CLI for its new place: the hash of the project and the directories in its header,
//! and the ids of the session when it gets another one. All other bytes stay.
//!
//! The sessions of earlier versions, one object in many lines, become one line of a log: without that
//! nothing could be put behind them, see [`TRAILER`].

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use super::record::{self, Deed, Field};
use super::walk::{Trouble, Walker};
use super::{place, projects};
use crate::error::{IoContext, Result};
use crate::harness::Target;
use crate::model::{FileMeta, ReadSeek, Role};

/// Put behind a session that was moved: Gemini CLI 0.61 deletes what was not updated for 30 days when
/// it starts, and takes a session without such a time for one of today. The session's own times stay
/// where they are; the next thing that is said in it overrides this.
pub const TRAILER: &[u8] = b"{\"$set\":{\"lastUpdated\":null}}\n";

/// Writes the file for its new place.
///
/// # Errors
/// When reading or writing fails.
pub fn relocate(
    target: &Target<'_>,
    file: &FileMeta,
    mut input: Box<dyn ReadSeek + '_>,
    out: &mut dyn Write,
) -> Result<()> {
    let path = Path::new(&file.path);
    if file.role == Role::Attachment || !place::is_transcript(&file.path) {
        return io::copy(&mut input, out).map(drop).at("copy", path);
    }
    let mover = Mover::new(target)?;
    let mut changes: Vec<(Range<u64>, String)> = Vec::new();
    let mut is_log = false;
    record::each(&mut input, &file.path, |record| {
        is_log |= matches!(record.deed, Deed::Header(_));
        changes.extend(mover.changes(&record.fields));
        Ok(())
    })?;
    input.seek(SeekFrom::Start(0)).at("read", path)?;
    if !is_log {
        let found = document(&mut input).at("read", path)?;
        input.seek(SeekFrom::Start(0)).at("read", path)?;
        let Some((start, fields)) = found else {
            // Neither form: whatever can be saved of it, the bytes are where it has to be saved from.
            return io::copy(&mut input, out).map(drop).at("copy", path);
        };
        changes = mover.changes(&fields).collect();
        if !fields.iter().any(|field| field.name == "projectHash") {
            // What the program needs to know a log by.
            changes.insert(0, (start..start, format!("\"projectHash\":\"{}\",", mover.hash)));
        }
    }
    let last = copy(input, &changes, !is_log, out).at("copy", path)?;
    if last != Some(b'\n') {
        out.write_all(b"\n").at("write", path)?;
    }
    Ok(())
}

/// Of a session that is one object: where its first member may begin, and its metadata. `None`: it is
/// not one object and nothing else.
fn document(input: &mut dyn ReadSeek) -> io::Result<Option<(u64, Vec<Field>)>> {
    let mut walker = Walker::document(input);
    let mut fields = Vec::new();
    walker.space()?;
    let start = walker.offset() + 1;
    let walked = walker.object(&mut |walker, key| record::metadata(walker, key, &mut fields, &mut None));
    match walked {
        Err(Trouble::Io(error)) => return Err(error),
        Err(Trouble::Broken) => return Ok(None),
        Ok(()) => walker.space()?,
    }
    Ok(walker.peek()?.is_none().then_some((start, fields)))
}

/// Copies with the changes; returns the last byte. `join`: line ends become spaces, which in JSON
/// stand only between values.
fn copy(
    mut input: impl Read,
    changes: &[(Range<u64>, String)],
    join: bool,
    out: &mut dyn Write,
) -> io::Result<Option<u8>> {
    let mut buffer = vec![0; 256 << 10];
    let mut changes = changes.iter().peekable();
    let mut base = 0u64;
    let mut last = None;
    loop {
        let got = match input.read(&mut buffer) {
            Ok(0) => return Ok(last),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = &mut buffer[..got];
        if join {
            chunk.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        }
        let end = base + got as u64;
        let mut at = base;
        while let Some((place, json)) = changes.peek().filter(|(place, _)| place.start < end) {
            if place.start >= base {
                out.write_all(&chunk[(at - base) as usize..(place.start.max(at) - base) as usize])?;
                out.write_all(json.as_bytes())?;
            }
            at = place.end.clamp(at, end);
            if place.end > end {
                break;
            }
            changes.next();
        }
        out.write_all(&chunk[(at - base) as usize..])?;
        last = chunk.last().copied();
        base = end;
    }
}

/// Knows what a header says here.
struct Mover<'t> {
    target: &'t Target<'t>,
    cwd: String,
    hash: String,
}

impl<'t> Mover<'t> {
    fn new(target: &'t Target<'t>) -> Result<Self> {
        let cwd = projects::real_path(target.cwd)?;
        Ok(Self { target, hash: projects::hash(&cwd), cwd })
    }

    fn changes<'f>(&'f self, fields: &'f [Field]) -> impl Iterator<Item = (Range<u64>, String)> + 'f {
        fields.iter().filter_map(|field| {
            let new = match field.name {
                "projectHash" => text(&self.hash)?,
                "sessionId" => {
                    let is_this = serde_json::from_str::<String>(&field.json)
                        .is_ok_and(|id| id == self.target.source.id);
                    is_this.then(|| text(self.target.id))??
                }
                "directories" => self.directories(&field.json)?,
                _ => return None,
            };
            (new != field.json).then(|| (field.place.clone(), new))
        })
    }

    fn directories(&self, json: &str) -> Option<String> {
        let old: Vec<String> = serde_json::from_str(json).ok()?;
        let new: Vec<String> = old
            .iter()
            .map(|dir| match &self.target.source.cwd {
                Some(cwd) if cwd == dir => self.cwd.clone(),
                _ => self.target.paths.map(dir).unwrap_or_else(|| dir.clone()),
            })
            .collect();
        if new == old { None } else { serde_json::to_string(&new).ok() }
    }
}

fn text(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}
