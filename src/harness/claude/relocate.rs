//! A transcript for its new place: the same bytes, but for the paths and the id that the format
//! declares.
//!
//! Changed are the top-level `cwd` of rows, `relocatedCwd`, the directories of file backups
//! (`realParentDir`, without which the program refuses to rewind), the path of a tool output that
//! lies beside the transcript, and on a copy the session id. Never what was said: texts, arguments,
//! outputs and the recorded prompts stay as they were, since the model's signatures may cover them.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use memchr::memmem::Finder;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::locate::{project_name, real_path};
use super::loose::{Key, Raw, Text, otherwise, record};
use super::place;
use crate::error::{IoContext, Result};
use crate::harness::Target;
use crate::harness::common::jsonl::MAX_LINE;
use crate::harness::common::splice::Splices;
use crate::model::{FileMeta, ReadSeek, Role};
use crate::place::PathMap;

const CHUNK: usize = 1 << 20;

record! {
    /// The fields of a record that name its place.
    Place {
        /// The working directory of a row.
        "cwd" => cwd: Raw<'a>,
        /// The session.
        "sessionId" => session: Raw<'a>,
        /// The session once more, in some records.
        "session_id" => session_again: Raw<'a>,
        /// Of `relocated`: where the session belongs now.
        "relocatedCwd" => relocated: Raw<'a>,
        /// Of `file-history-snapshot`.
        "snapshot" => snapshot: Snapshot<'a>,
        /// Of `file-history-delta`.
        "backup" => backup: Backup<'a>,
    }
}

record! {
    /// The files of a snapshot.
    Snapshot {
        /// By path.
        "trackedFileBackups" => backups: Backups<'a>,
    }
}

record! {
    /// The backup of one file.
    Backup {
        /// The real directory of the file.
        "realParentDir" => dir: Raw<'a>,
    }
}

record! {
    /// A row that names a tool output.
    ResultRow {
        /// What the tool left for the program.
        "toolUseResult" => result: ToolUseResult<'a>,
    }
}

record! {
    /// What the tool left for the program.
    ToolUseResult {
        /// Where its whole output lies.
        "persistedOutputPath" => path: Raw<'a>,
    }
}

/// The backups of a snapshot, whatever they are called.
#[derive(Debug, Default)]
pub struct Backups<'a>(Vec<Backup<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Backups<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Maps;
        impl<'de> Visitor<'de> for Maps {
            type Value = Vec<Backup<'de>>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut backups = Vec::new();
                while let Some((_, backup)) = map.next_entry::<Key<'de>, Backup<'de>>()? {
                    backups.push(backup);
                }
                Ok(backups)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            otherwise!(Vec::new());
        }
        deserializer.deserialize_any(Maps).map(Backups)
    }
}

/// Writes file `file` for its new place; see [`crate::harness::Harness::relocate`].
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
    if file.role == Role::Attachment {
        io::copy(&mut input, out).at("copy", path)?;
        return Ok(());
    }
    let mut mover = Mover::new(target)?;
    let mut out = io::BufWriter::with_capacity(CHUNK, out);
    lines(&mut input, &mut |line| mover.line(line, &mut out)).at("copy", path)?;
    out.flush().at("copy", path)
}

/// Delivers every line with its end, and pieces of a line that is longer than [`MAX_LINE`].
fn lines(input: &mut dyn Read, deliver: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let (mut start, mut end, mut scanned, mut long) = (0, 0, 0, false);
    loop {
        while let Some(at) = memchr::memchr(b'\n', &buffer[scanned..end]) {
            let next = scanned + at + 1;
            deliver(if long {
                Piece::Part(&buffer[start..next])
            } else {
                Piece::Line(&buffer[start..next])
            })?;
            long = false;
            (start, scanned) = (next, next);
        }
        if end - start > MAX_LINE || long {
            deliver(Piece::Part(&buffer[start..end]))?;
            (start, long) = (end, true);
        }
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        scanned = end;
        if end == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        match input.read(&mut buffer[end..]) {
            Ok(0) if end == 0 => return Ok(()),
            Ok(0) => {
                return deliver(if long { Piece::Part(&buffer[..end]) } else { Piece::Line(&buffer[..end]) });
            }
            Ok(n) => end += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

enum Piece<'b> {
    Line(&'b [u8]),
    Part(&'b [u8]),
}

/// Rewrites lines.
struct Mover<'t> {
    target: &'t Target<'t>,
    paths: PathMap,
    /// The session's directory here.
    cwd: String,
    project: String,
    new_id: Option<&'t str>,
    output: Finder<'static>,
    splices: Splices,
    /// The last directory that was mapped, as JSON, and what it became: nearly all rows have the
    /// same one.
    last: Option<(String, Option<String>)>,
}

impl<'t> Mover<'t> {
    fn new(target: &'t Target<'t>) -> Result<Self> {
        let mut paths = target.paths.clone();
        let cwd = real_path(target.cwd)?;
        if let Some(old) = &target.source.cwd {
            // Directories below the session's own follow it, unless a rule fits them better. A
            // relative one, which no version writes, leads nowhere.
            paths.add(old, &cwd).ok();
        }
        Ok(Self {
            target,
            paths,
            cwd,
            project: project_name(target.cwd)?,
            new_id: (target.id != target.source.id).then_some(target.id),
            output: Finder::new(b"\"persistedOutputPath\""),
            splices: Splices::default(),
            last: None,
        })
    }

    fn line(&mut self, piece: Piece<'_>, out: &mut impl Write) -> io::Result<()> {
        let line = match piece {
            Piece::Part(bytes) => return out.write_all(bytes),
            Piece::Line(line) => line,
        };
        self.splices.clear();
        let record = record_of(line);
        // A line that cannot be parsed goes on as it is: the program skips it too.
        if let Ok(place) = serde_json::from_slice::<Place<'_>>(record) {
            self.directory(record, place.cwd);
            self.directory(record, place.relocated);
            self.directory(record, place.backup.dir);
            for backup in &place.snapshot.backups.0 {
                self.directory(record, backup.dir);
            }
            self.session(record, place.session);
            self.session(record, place.session_again);
        }
        if self.output.find(record).is_some()
            && let Ok(ResultRow { result, .. }) = serde_json::from_slice(record)
            && let Some(path) = result.path.0
        {
            let (target, project) = (self.target, &self.project);
            self.splices.map_string(record, path, |old| {
                place::moved_tool_result(target, project, old).filter(|new| new != old)
            });
        }
        if self.splices.is_empty() {
            return out.write_all(line);
        }
        let front = record.as_ptr() as usize - line.as_ptr() as usize;
        out.write_all(&line[..front])?;
        self.splices.write(record, out)?;
        out.write_all(&line[front + record.len()..])
    }

    fn directory(&mut self, record: &[u8], value: Raw<'_>) {
        let Some(value) = value.0 else { return };
        if self.last.as_ref().is_none_or(|(old, _)| old != value.get()) {
            let old = serde_json::from_str::<Text<'_>>(value.get()).unwrap_or_default();
            let new = old.get().and_then(|old| {
                let own = self.target.source.cwd.as_deref() == Some(old);
                if own { Some(self.cwd.clone()) } else { self.paths.map(old) }.filter(|new| new != old)
            });
            let new = new.and_then(|new| serde_json::to_string(&new).ok());
            self.last = Some((value.get().to_owned(), new));
        }
        if let Some((_, Some(new))) = &self.last {
            self.splices.replace(record, value, new.clone());
        }
    }

    fn session(&mut self, record: &[u8], value: Raw<'_>) {
        let (Some(new), Some(value)) = (self.new_id, value.0) else { return };
        let old = &self.target.source.id;
        self.splices.map_string(record, value, |id| (id == old).then(|| new.to_owned()));
    }
}

/// The JSON of a line: without the line end, a byte order mark, and zeros that a crash left.
fn record_of(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let zeros = line.iter().take_while(|byte| **byte == 0).count();
    line[zeros..].trim_ascii()
}
