//! A transcript for its new place: the same bytes, but for the paths and the id that the format
//! declares.
//!
//! Changed are the top-level `cwd` of rows, `relocatedCwd`, the directories of file backups
//! (`realParentDir`, without which the program refuses to rewind), the path of a tool output that
//! lies beside the transcript, and on a copy the session id. Never what was said: texts, arguments,
//! outputs and the recorded prompts stay as they were, since the model's signatures may cover them.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use memchr::memmem::Finder;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::locate::{project_name, real_path};
use super::loose::{Key, Raw, Text, otherwise, record};
use super::place;
use crate::error::{IoContext, Result};
use crate::harness::Target;
use crate::harness::common::copy::{self, Changes};
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
    copy::lines(input, &mut out, &mut mover).at("copy", path)?;
    out.flush().at("copy", path)
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
            last: None,
        })
    }

    fn directory(&mut self, line: &[u8], value: Raw<'_>, splices: &mut Splices) {
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
            splices.replace(line, value, new.clone());
        }
    }

    fn session(&self, line: &[u8], value: Raw<'_>, splices: &mut Splices) {
        let (Some(new), Some(value)) = (self.new_id, value.0) else { return };
        let old = &self.target.source.id;
        splices.map_string(line, value, |id| (id == old).then(|| new.to_owned()));
    }
}

impl Changes for Mover<'_> {
    fn change(&mut self, line: &[u8], splices: &mut Splices) {
        let record = record_of(line);
        // A line that cannot be parsed goes on as it is: the program skips it too.
        if let Ok(place) = serde_json::from_slice::<Place<'_>>(record) {
            self.directory(line, place.cwd, splices);
            self.directory(line, place.relocated, splices);
            self.directory(line, place.backup.dir, splices);
            for backup in &place.snapshot.backups.0 {
                self.directory(line, backup.dir, splices);
            }
            self.session(line, place.session, splices);
            self.session(line, place.session_again, splices);
        }
        if self.output.find(record).is_some()
            && let Ok(ResultRow { result, .. }) = serde_json::from_slice(record)
            && let Some(path) = result.path.0
        {
            splices.map_string(line, path, |old| {
                place::moved_tool_result(self.target, &self.project, old).filter(|new| new != old)
            });
        }
    }
}

/// The JSON of a line: without the line end, a byte order mark, and zeros that a crash left.
fn record_of(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let zeros = line.iter().take_while(|byte| **byte == 0).count();
    line[zeros..].trim_ascii()
}
