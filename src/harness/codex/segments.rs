//! Forks and reverts: a file that continues another one, up to a certain record of it.
//!
//! Codex 0.169: such a file has only what came after; `history_base` in its first record names the
//! other file by its own id (of the thread, or of the segment) and the first ordinal that is not
//! taken from it. The other file may continue a third one. Nothing else ties them together, so a
//! thread that travels alone has to be joined into one file. The joined file lists, resumes and
//! shows the same turns as the chain.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::head::Start;
use super::{locate, packed, record};
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::common::jsonl::Lines;
use crate::harness::common::splice::Splices;

/// A longer chain is taken for a circle.
const LIMIT: usize = 256;

/// A file and the files that it continues, the newest first.
#[derive(Debug)]
pub struct Chain(Vec<Piece>);

#[derive(Debug)]
struct Piece {
    path: PathBuf,
    /// The first ordinal that is not taken from it.
    end: u64,
}

impl Chain {
    /// Follows the chain of the file at `path`.
    ///
    /// # Errors
    /// When a file of it is missing or cannot be read.
    pub fn of(home: &Path, path: &Path) -> Result<Self> {
        let mut pieces = vec![Piece { path: path.to_owned(), end: u64::MAX }];
        let mut store: Option<Vec<locate::Rollout>> = None;
        let mut base = Start::open(path)?.meta()?.and_then(|meta| meta.base);
        while let Some((id, end)) = base {
            let end = end.min(pieces.last().map_or(u64::MAX, |piece| piece.end));
            let store = match &mut store {
                Some(store) => store,
                None => store.insert(locate::rollouts(home)?),
            };
            let Some(found) = find(store, &id).filter(|_| pieces.len() < LIMIT) else {
                let message = format!("{} continues {id}, which is not here", path.display());
                return Err(Error::new(Kind::Unsupported, message)
                    .hint("Codex itself cannot resume this session without it"));
            };
            base = Start::open(found)?.meta()?.and_then(|meta| meta.base);
            pieces.push(Piece { path: found.to_owned(), end });
        }
        Ok(Self(pieces))
    }

    /// Whether the file continues no other.
    pub fn is_whole(&self) -> bool {
        self.0.len() == 1
    }

    /// The file that all of it began with.
    pub fn first(&self) -> Option<&Path> {
        self.0.last().map(|piece| piece.path.as_path())
    }

    /// Joins the chain into one file without a name.
    ///
    /// # Errors
    /// When a file of it cannot be read, or the temporary directory is full.
    pub fn join(&self) -> Result<File> {
        let there = Path::new("the temporary directory");
        let mut out = BufWriter::new(tempfile::tempfile().at("write to", there)?);
        let mut ordinal = 0;
        self.copy(0, &mut out, &mut ordinal, Take::Meta)?;
        for at in (1..self.0.len()).rev() {
            self.copy(at, &mut out, &mut ordinal, Take::Rest)?;
        }
        self.copy(0, &mut out, &mut ordinal, Take::Rest)?;
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error).at("write to", there)?;
        file.rewind().at("read", there)?;
        Ok(file)
    }

    fn copy(&self, at: usize, out: &mut impl Write, ordinal: &mut u64, take: Take) -> Result<()> {
        let piece = &self.0[at];
        let mut lines = Lines::new(plain(&piece.path)?, 0);
        let mut met = false;
        while let Some(line) = lines.next_line().at("read", &piece.path)? {
            if !line.complete && !line.cut && !record::is_whole(line.bytes) {
                break;
            }
            let kind = record::kind(line.bytes);
            let is_meta = !met && kind.as_ref().is_some_and(|kind| kind.record == "session_meta");
            met |= is_meta;
            if is_meta != (take == Take::Meta) {
                continue;
            }
            if number(line.bytes, kind.and_then(|kind| kind.ordinal))
                .is_some_and(|number| number >= piece.end)
            {
                break;
            }
            if line.cut {
                let complete = line.complete;
                if !complete && !record::is_whole(lines.abridged().at("read", &piece.path)?.json()) {
                    break;
                }
                long(&mut lines, ordinal, is_meta, out)
            } else {
                write(line.bytes, ordinal, is_meta, out)
            }
            .at("write to", Path::new("the temporary directory"))?;
            if take == Take::Meta {
                break;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Meta,
    Rest,
}

fn find<'s>(store: &'s [locate::Rollout], id: &str) -> Option<&'s Path> {
    let named = store.iter().filter(|rollout| rollout.name().own_id() == id);
    named
        .min_by_key(|rollout| (rollout.name().packed, rollout.archived))
        .map(|rollout| rollout.path.as_path())
}

/// The content of a rollout, compressed or not.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = File::open(path).at("open", path)?;
    if locate::is_packed(path) { packed::unpack(file).at("unpack", path) } else { Ok(Box::new(file)) }
}

/// The content of a rollout as a file.
fn plain(path: &Path) -> Result<File> {
    if !locate::is_packed(path) {
        return File::open(path).at("open", path);
    }
    let mut copy = tempfile::tempfile().at("write to", Path::new("the temporary directory"))?;
    io::copy(&mut open(path)?, &mut copy).at("unpack", path)?;
    copy.rewind().at("read", Path::new("the temporary directory"))?;
    Ok(copy)
}

#[derive(Deserialize)]
struct Numbered<'a> {
    #[serde(borrow, default)]
    ordinal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<Joints<'a>>,
}

#[derive(Deserialize)]
struct Joints<'a> {
    #[serde(borrow, default)]
    history_base: Option<&'a RawValue>,
    #[serde(borrow, default)]
    forked_from_ordinal_exclusive: Option<&'a RawValue>,
}

fn number(line: &[u8], place: Option<std::ops::Range<usize>>) -> Option<u64> {
    std::str::from_utf8(&line[place?]).ok()?.parse().ok()
}

/// Writes a record under its new number; the first one forgets what it continued.
fn write(line: &[u8], ordinal: &mut u64, is_meta: bool, out: &mut impl Write) -> io::Result<()> {
    let mut splices = Splices::default();
    let place = record::kind(line).and_then(|kind| kind.ordinal);
    if let Some(place) = place.filter(|_| !is_meta) {
        out.write_all(&line[..place.start])?;
        write!(out, "{ordinal}")?;
        out.write_all(&line[place.end..])?;
        *ordinal += 1;
        return out.write_all(b"\n");
    }
    if is_meta && let Ok(record) = serde_json::from_slice::<Numbered<'_>>(line) {
        let joints = record.payload.iter().flat_map(|joints| {
            [joints.history_base, joints.forked_from_ordinal_exclusive].into_iter().flatten()
        });
        joints.for_each(|joint| splices.replace(line, joint, "null".to_owned()));
        if let Some(number) = record.ordinal {
            splices.replace(line, number, ordinal.to_string());
            *ordinal += 1;
        }
    }
    splices.write(line, out)?;
    out.write_all(b"\n")
}

/// As [`write`], for the long record that `lines` delivered the beginning of.
fn long(lines: &mut Lines<File>, ordinal: &mut u64, is_meta: bool, out: &mut impl Write) -> io::Result<()> {
    if is_meta {
        return write(lines.whole()?.bytes, ordinal, is_meta, out);
    }
    let beginning = lines.beginning();
    let mut copied = 0;
    if let Some(place) = record::kind(beginning.bytes).and_then(|kind| kind.ordinal) {
        out.write_all(&beginning.bytes[..place.start])?;
        write!(out, "{ordinal}")?;
        copied = place.end as u64;
        *ordinal += 1;
    }
    lines.copy(copied, out)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_forgets_what_it_continued_and_all_are_numbered_anew() {
        let mut ordinal = 0;
        let mut out = Vec::new();
        for (line, is_meta) in [
            (
                r#"{"timestamp":"t","ordinal":24,"type":"session_meta","payload":{"id":"x","history_base":{"thread_id":"y","end_ordinal_exclusive":24},"n":26.0}}"#,
                true,
            ),
            (r#"{"timestamp":"t","ordinal":3,"type":"world_state","payload":{"ordinal":7}}"#, false),
            (r#"{"timestamp":"t","type":"event_msg","payload":{"type":"x"}}"#, false),
            (r#"{"timestamp":"t","ordinal":25,"type":"event_msg","payload":{"type":"x"}}"#, false),
        ] {
            write(line.as_bytes(), &mut ordinal, is_meta, &mut out).expect("memory");
        }
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r#"
        {"timestamp":"t","ordinal":0,"type":"session_meta","payload":{"id":"x","history_base":null,"n":26.0}}
        {"timestamp":"t","ordinal":1,"type":"world_state","payload":{"ordinal":7}}
        {"timestamp":"t","type":"event_msg","payload":{"type":"x"}}
        {"timestamp":"t","ordinal":2,"type":"event_msg","payload":{"type":"x"}}
        "#);
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_long_record_is_joined_like_any_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let (base, fork) = (dir.path().join("base.jsonl"), dir.path().join("fork.jsonl"));
        let fill = "a word \\n".repeat(crate::harness::common::jsonl::HELD / 8);
        let meta = |base: &str| {
            format!(
                r#"{{"timestamp":"t","ordinal":0,"type":"session_meta","payload":{{"id":"x","history_base":{base}}}}}"#
            )
        };
        let record = |ordinal: u32, text: &str| {
            format!(
                r#"{{"timestamp":"t","ordinal":{ordinal},"type":"response_item","payload":{{"type":"x","text":"{text}"}}}}"#
            )
        };
        let odd = format!(r#"{{"payload":{{"text":"{fill}"}},"type":"other","timestamp":"t"}}"#);
        let old = [meta("null"), record(1, &fill), record(2, "kept"), odd.clone(), record(3, &fill)];
        std::fs::write(&base, old.join("\n") + "\n").expect("writable");
        std::fs::write(&fork, [meta("{}"), record(9, &fill)].join("\n")).expect("writable");
        let chain = Chain(vec![Piece { path: fork, end: u64::MAX }, Piece { path: base, end: 3 }]);
        let mut joined = String::new();
        chain.join().expect("joined").read_to_string(&mut joined).expect("text");
        let new = [meta("null"), record(1, &fill), record(2, "kept"), odd, record(3, &fill)];
        assert!(joined == new.join("\n") + "\n", "{} bytes", joined.len());
    }
}
