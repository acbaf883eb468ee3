//! One pass over a transcript: where every chain row lies and what it hangs on.
//!
//! The index holds some sixty bytes for each row and none of its text, so that a transcript of any
//! size can be put in order before a second pass reads it. Its rules are those by which Claude Code
//! 2.1.329 loads a transcript.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;

use serde::de::IgnoredAny;
use uuid::Uuid;

use super::loose::Text;
use super::native::{Compaction, Envelope, STATE};
use super::numbers::{Digest, Numbers};
use crate::error::{IoContext, Result};
use crate::harness::common::abridged::Abridged;
use crate::harness::common::jsonl::Lines;
use crate::harness::common::repair::repair;
use crate::model::{Notes, ids, time};

/// No row.
pub const NONE: u32 = u32::MAX;

/// A digest of a row's id.
type RowId = Digest;

/// The types of chain rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user's words, tool results, and what the program says in the user's name.
    User,
    /// The model's words and calls.
    Assistant,
    /// What only the user sees, and compaction boundaries.
    System,
    /// What is put beside the conversation.
    Attachment,
    /// Old versions: the state of a running tool. Never part of the conversation.
    Progress,
}

/// What is known of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks(u16);

impl Marks {
    /// Put there by the program.
    pub const META: Self = Self(1);
    /// Of a sub-agent.
    pub const SIDECHAIN: Self = Self(1 << 1);
    /// The summary of a compaction.
    pub const SUMMARY: Self = Self(1 << 2);
    /// Calls a tool.
    pub const CALLS: Self = Self(1 << 3);
    /// Holds a tool's result.
    pub const RESULTS: Self = Self(1 << 4);
    /// A compaction boundary.
    pub const BOUNDARY: Self = Self(1 << 5);
    /// A `system` row that is no part of any branch.
    pub const SNAPSHOT: Self = Self(1 << 6);
    /// The line had to be repaired before it could be parsed.
    pub const REPAIRED: Self = Self(1 << 7);
    /// An error message of the program.
    pub const API_ERROR: Self = Self(1 << 8);
    /// An attachment that may be the user's words or picture.
    pub const WANTED: Self = Self(1 << 9);
    /// Came from a background task.
    pub const TASK: Self = Self(1 << 10);
    /// It names a parent that is not in the file.
    pub const LOST: Self = Self(1 << 11);

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn set(&mut self, other: Self, on: bool) {
        self.0 = if on { self.0 | other.0 } else { self.0 & !other.0 };
    }
}

/// One chain row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    offset: Offset,
    /// When, in milliseconds since 1970; [`i64::MIN`] when not recorded.
    pub time: i64,
    /// Length of the line without its end.
    pub length: u32,
    /// Where in the (repaired) line its message begins; [`NONE`] when it has none.
    pub message: u32,
    /// The row it hangs on; [`NONE`] for a root and where that row is missing.
    pub parent: u32,
    /// For assistant rows: the number of its model response; [`NONE`] when not recorded.
    pub response: u32,
    /// Its type.
    pub kind: Kind,
    /// What is known of it.
    pub marks: Marks,
}

/// An offset below a terabyte, in as many bytes as that needs: with it a row takes 32 bytes, and not 40.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offset([u8; 5]);

impl Offset {
    fn of(offset: u64) -> Option<Self> {
        let bytes = offset.to_le_bytes();
        (bytes[5..] == [0; 3]).then(|| Self([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]))
    }

    fn get(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
    }
}

const _: () = assert!(size_of::<Row>() == 32);

impl Row {
    /// Offset of its line.
    pub fn offset(&self) -> u64 {
        self.offset.get()
    }

    /// User and assistant rows, the ones that a conversation can end with.
    pub fn talks(&self) -> bool {
        matches!(self.kind, Kind::User | Kind::Assistant)
    }
}

/// Which rows a compaction kept.
#[derive(Debug, Clone)]
pub enum Kept {
    /// These, in order, behind the anchor.
    List(RowId, Vec<RowId>),
    /// From head to tail, behind the anchor.
    Segment {
        /// The first.
        head: RowId,
        /// The row that they now follow.
        anchor: RowId,
        /// The last.
        tail: RowId,
    },
}

/// A compaction.
#[derive(Debug, Clone)]
pub struct Boundary {
    /// Its row.
    pub row: u32,
    /// What it kept.
    pub kept: Option<Kept>,
}

/// The last word of the `last-prompt` records on which row is live.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checkpoint {
    /// The row.
    pub leaf: Option<RowId>,
    /// The user went there himself, and no row followed.
    pub explicit: bool,
    /// The user once went there himself.
    pub ever_explicit: bool,
    /// The user went back to before the first prompt, and no row followed.
    pub emptied: bool,
    /// Some record named a row.
    pub seen: bool,
}

/// The chain rows of a transcript.
#[derive(Debug, Default)]
pub struct Index {
    /// In file order; a row that stands twice has the first place and the last content.
    pub rows: Vec<Row>,
    /// The compactions, in file order.
    pub boundaries: Vec<Boundary>,
    /// Which row is live.
    pub checkpoint: Checkpoint,
    /// The last row that can be live.
    pub last: Option<u32>,
    /// The row with the latest time.
    pub newest: Option<u32>,
    /// Of rows too long to be held: where in the file the part is that counts.
    pub long: HashMap<u32, Range<u64>>,
    /// What could not be read.
    pub notes: Notes,
    /// Of boundaries: the last row before them.
    before: HashMap<u32, RowId>,
    places: Numbers,
    responses: Numbers,
    orphans: Vec<(u32, RowId)>,
    unknown: u64,
    broken: u64,
    sidechain: u64,
    doubled: u64,
}

impl Index {
    /// Reads the index of a transcript. In the file of a sub-agent (`agent`) all rows are marked as
    /// its own; in a session's own file such rows are left out.
    ///
    /// # Errors
    /// When the input cannot be read; `name` is the file for the error message.
    pub fn read(input: impl Read + Seek, name: &str, agent: bool) -> Result<Self> {
        let mut index = Self::default();
        let mut lines = Lines::new(input, 0);
        while let Some(line) = lines.next_line().at("read", Path::new(name))? {
            if line.cut {
                let (offset, length) = (line.offset, line.length);
                let record = lines.abridged().at("read", Path::new(name))?;
                index.take_long(&record, offset, length, agent);
                continue;
            }
            // A line end has at most two bytes; more is a byte order mark in front.
            let mark = if line.length - line.bytes.len() as u64 > 2 { 3 } else { 0 };
            // A crash of the machine can leave zeros in front of a row.
            let zeros = line.bytes.iter().take_while(|byte| **byte == 0).count();
            if line.bytes[zeros..].trim_ascii().is_empty() {
                continue;
            }
            index.take(&line.bytes[zeros..], line.offset + mark + zeros as u64, agent);
        }
        index.finish();
        Ok(index)
    }

    /// The place of a row.
    pub fn place(&self, id: RowId) -> Option<u32> {
        self.places.find(id)
    }

    /// The last row before a boundary, where it names one.
    pub fn before(&self, boundary: u32) -> Option<u32> {
        self.place(*self.before.get(&boundary)?)
    }

    /// The place of a row by its id as text.
    pub fn find(&self, id: &str) -> Option<u32> {
        self.place(row_id(id))
    }

    fn take(&mut self, line: &[u8], offset: u64, agent: bool) {
        let base = line.as_ptr() as usize;
        if let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(line) {
            self.record(&envelope, base, line.len() as u64, offset, agent, false);
            return;
        }
        let repaired = repair(line);
        let Some(envelope) = repaired.as_deref().and_then(|line| serde_json::from_slice(line).ok()) else {
            self.broken += 1;
            return;
        };
        let base = repaired.as_deref().map_or(0, |line| line.as_ptr() as usize);
        self.record(&envelope, base, line.len() as u64, offset, agent, true);
    }

    /// Takes a row of which only the short values were read.
    fn take_long(&mut self, record: &Abridged, offset: u64, length: u64, agent: bool) {
        let front = record.json().strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
        let json = &record.json()[front..];
        let zeros = json.iter().take_while(|byte| **byte == 0).count();
        let json = &json[zeros..];
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(json) else {
            self.broken += 1;
            return;
        };
        let Some(place) = self.record(&envelope, json.as_ptr() as usize, length, offset, agent, false) else {
            return;
        };
        let row = &self.rows[place as usize];
        let mut part = offset..offset + length;
        if row.message != NONE {
            let start = brace(json, row.message);
            let mut values = serde_json::Deserializer::from_slice(&json[start..]).into_iter::<IgnoredAny>();
            if let Some(Ok(_)) = values.next() {
                let (start, end) = (front + zeros + start, front + zeros + start + values.byte_offset());
                part = record.place(start)..record.place(end - 1) + 1;
            }
        }
        self.long.insert(place, part);
    }

    fn record(
        &mut self,
        envelope: &Envelope<'_>,
        base: usize,
        length: u64,
        offset: u64,
        agent: bool,
        repaired: bool,
    ) -> Option<u32> {
        let kind = match envelope.kind.get() {
            Some("user") => Kind::User,
            Some("assistant") => Kind::Assistant,
            Some("system") => Kind::System,
            Some("attachment") => Kind::Attachment,
            Some("progress") => Kind::Progress,
            Some("last-prompt") => {
                self.checkpoint(envelope);
                return None;
            }
            Some(other) if STATE.contains(&other) => return None,
            _ => {
                self.unknown += 1;
                return None;
            }
        };
        if envelope.sidechain.0 && !agent {
            self.sidechain += 1;
            return None;
        }
        // The program takes no row without an id.
        let Some(id) = id_of(&envelope.uuid) else {
            self.broken += 1;
            return None;
        };
        let mut marks = Marks::default();
        let boundary = kind == Kind::System && envelope.subtype.is("compact_boundary");
        let wanted = kind == Kind::Attachment
            && matches!(envelope.attachment.kind.get(), Some("queued_command" | "file"));
        marks.set(Marks::META, envelope.meta.0);
        marks.set(Marks::SIDECHAIN, envelope.sidechain.0);
        marks.set(Marks::SUMMARY, envelope.summary.0);
        marks.set(Marks::CALLS, envelope.message.calls);
        marks.set(Marks::RESULTS, envelope.message.results);
        marks.set(Marks::BOUNDARY, boundary);
        marks.set(Marks::SNAPSHOT, kind == Kind::System && envelope.subtype.is("file_snapshot"));
        marks.set(Marks::REPAIRED, repaired);
        marks.set(Marks::API_ERROR, envelope.api_error.0);
        marks.set(Marks::WANTED, wanted);
        marks.set(Marks::TASK, envelope.origin.kind.get().is_some_and(|kind| kind != "human"));
        let Some(offset) = Offset::of(offset) else {
            self.broken += 1;
            return None;
        };
        let row = Row {
            offset,
            time: envelope.timestamp.get().and_then(time::parse).map_or(i64::MIN, |t| t.timestamp_millis()),
            length: u32::try_from(length).unwrap_or(NONE),
            message: message_start(envelope, base),
            parent: NONE,
            response: self.response(kind, &envelope.message.id),
            kind,
            marks,
        };
        let place = self.insert(id, row);
        self.hang(place, &envelope.parent);
        if kind == Kind::Progress || marks.has(Marks::SNAPSHOT) {
            return Some(place);
        }
        self.last = Some(place);
        let newest = self.newest.map_or(i64::MIN, |newest| self.rows[newest as usize].time);
        if row.time > newest {
            self.newest = Some(place);
        }
        self.checkpoint.explicit = false;
        self.checkpoint.emptied = false;
        if boundary {
            self.checkpoint = Checkpoint { seen: self.checkpoint.seen, ..Checkpoint::default() };
            self.boundaries.push(Boundary { row: place, kept: kept(&envelope.compaction) });
            self.before.extend(id_of(&envelope.logical_parent).map(|before| (place, before)));
        }
        Some(place)
    }

    fn insert(&mut self, id: RowId, row: Row) -> u32 {
        if let Some(place) = self.places.find(id) {
            self.doubled += 1;
            self.rows[place as usize] = row;
            self.long.remove(&place);
            return place;
        }
        self.rows.push(row);
        self.places.add(id)
    }

    fn hang(&mut self, place: u32, parent: &Text<'_>) {
        let Some(parent) = id_of(parent) else { return };
        match self.places.find(parent) {
            Some(parent) => self.rows[place as usize].parent = parent,
            None => self.orphans.push((place, parent)),
        }
    }

    fn response(&mut self, kind: Kind, id: &Text<'_>) -> u32 {
        if kind != Kind::Assistant {
            return NONE;
        }
        let Some(id) = id_of(id) else { return NONE };
        self.responses.find(id).unwrap_or_else(|| self.responses.add(id))
    }

    fn checkpoint(&mut self, record: &Envelope<'_>) {
        let before = self.checkpoint;
        let named = record.leaf.0.and_then(|raw| serde_json::from_str::<Text<'_>>(raw.get()).ok());
        self.checkpoint.seen |= record.leaf.0.is_some();
        if let Some(leaf) = named.as_ref().and_then(id_of) {
            let same = before.leaf == Some(leaf);
            self.checkpoint = Checkpoint {
                leaf: Some(leaf),
                explicit: record.explicit.0 || (before.explicit && same),
                ever_explicit: record.explicit.0 || (before.ever_explicit && same),
                emptied: false,
                seen: true,
            };
        } else if record.leaf.is_null() && record.explicit.0 {
            self.checkpoint = Checkpoint { emptied: true, seen: true, ..Checkpoint::default() };
        }
    }

    fn finish(&mut self) {
        // Each row has its number now.
        self.responses = Numbers::default();
        self.rows.shrink_to_fit();
        for (place, parent) in std::mem::take(&mut self.orphans) {
            let found = self.places.find(parent);
            let row = &mut self.rows[place as usize];
            row.parent = found.unwrap_or(NONE);
            row.marks.set(Marks::LOST, found.is_none());
        }
        self.skip_progress();
        for (code, count, detail) in [
            ("record.unknown", self.unknown, "a record of an unknown type is no part of the conversation"),
            ("record.broken", self.broken, "a record could not be read and was skipped"),
            (
                "record.sidechain",
                self.sidechain,
                "rows of a sub-agent in the session's own file were left out",
            ),
            ("record.doubled", self.doubled, "a row stands in the file more than once"),
        ] {
            self.notes.add_many(code, count, detail);
        }
    }

    /// Hangs what hangs on a progress row on the first other row above it, as the program does.
    fn skip_progress(&mut self) {
        const MOST: usize = 1_000;
        for place in 0..self.rows.len() {
            let mut parent = self.rows[place].parent;
            let mut steps = 0;
            while let Some(row) = self.rows.get(parent as usize)
                && row.kind == Kind::Progress
            {
                steps += 1;
                parent = if steps < MOST { row.parent } else { NONE };
            }
            self.rows[place].parent = parent;
        }
    }
}

/// Where the message of a row begins in its line.
fn message_start(envelope: &Envelope<'_>, base: usize) -> u32 {
    // The key stands behind its quote; the reader looks for the brace before that.
    let offset = envelope.message.first_key.and_then(|key| key.checked_sub(base + 1));
    offset.and_then(|offset| u32::try_from(offset).ok()).unwrap_or(NONE)
}

/// Where the message of a row begins whose first key has its quote at `key`.
pub fn brace(line: &[u8], key: u32) -> usize {
    let key = (key as usize).min(line.len());
    line[..key].trim_ascii_end().len().saturating_sub(1)
}

fn kept(compaction: &Compaction<'_>) -> Option<Kept> {
    let uuids: Vec<RowId> = compaction.messages.uuids.0.iter().filter_map(id_of).collect();
    if let Some(anchor) = id_of(&compaction.messages.anchor) {
        return Some(Kept::List(anchor, uuids));
    }
    let Compaction { segment, .. } = compaction;
    Some(Kept::Segment {
        head: id_of(&segment.head)?,
        anchor: id_of(&segment.anchor)?,
        tail: id_of(&segment.tail)?,
    })
}

fn id_of(text: &Text<'_>) -> Option<RowId> {
    text.0.as_ref().filter(|text| !text.is_empty()).map(|text: &Cow<'_, str>| row_id(text))
}

fn row_id(text: &str) -> RowId {
    // Ids of foreign writers need not be UUIDs.
    let id = Uuid::try_parse(text).unwrap_or_else(|_| ids::derived(&["row", text]));
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
