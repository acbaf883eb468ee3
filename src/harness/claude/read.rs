//! Records → events, in the order in which the model saw them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::index::{self, Index, Kind, Marks, NONE, Row};
use super::loose::parse_prefix;
use super::native::{AttachmentRow, Message};
use super::speak::{At, Speaker};
use super::tree::{self, Branch};
use super::window::Window;
use crate::error::{IoContext, Result};
use crate::harness::common::jsonl::{MAX_LINE, too_long};
use crate::harness::common::repair::repair;
use crate::model::{Notes, Origin, Payload, ReadSeek, Role, Sink, View, time};

/// Reads one transcript of a session into events; see [`crate::harness::Harness::read`].
///
/// # Errors
/// When the payload cannot be read, or the sink fails.
pub fn read(payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
    let meta = payload.files().get(file);
    let name = meta.map_or("", |meta| meta.path.as_str());
    let agent = meta.is_some_and(|meta| meta.role == Role::Subagent);
    let mut index = Index::read(payload.open(file)?, name, agent)?;
    let Branch { older, model } = tree::live(&index);
    // Prompts that were typed while the model worked stand in an attachment, and where the program
    // sent them later also in a row of their own: that row is the one that counts.
    let in_branch: Vec<bool> = marks(index.rows.len(), &model, &older);
    let mut reader = Reader {
        window: Window::new(payload.open(file)?),
        name,
        speaker: Speaker::new(sink),
        notes: std::mem::take(&mut index.notes),
        long: std::mem::take(&mut index.long),
    };
    let said_elsewhere = |id: &str| index.find(id).is_some_and(|place| in_branch[place as usize]);
    if view == View::Full {
        for place in older {
            reader.row(place, &index.rows[place as usize], false, &said_elsewhere)?;
        }
    }
    for place in model {
        reader.row(place, &index.rows[place as usize], true, &said_elsewhere)?;
    }
    let mut notes = reader.notes;
    notes.merge(&reader.speaker.finish()?);
    Ok(notes)
}

fn marks(rows: usize, model: &[u32], older: &[u32]) -> Vec<bool> {
    let mut marks = vec![false; rows];
    for place in model.iter().chain(older) {
        marks[*place as usize] = true;
    }
    marks
}

struct Reader<'p, 's> {
    window: Window<Box<dyn ReadSeek + 'p>>,
    name: &'p str,
    speaker: Speaker<'s>,
    notes: Notes,
    /// Of rows too long to be held: the part that counts.
    long: HashMap<u32, Range<u64>>,
}

impl Reader<'_, '_> {
    fn row(&mut self, place: u32, row: &Row, in_model: bool, elsewhere: &dyn Fn(&str) -> bool) -> Result<()> {
        if row.message == NONE && row.talks() && self.long.contains_key(&place) {
            self.notes.add("record.too-long", too_long(row.offset(), u64::from(row.length)));
        }
        let wanted = match row.kind {
            Kind::User | Kind::Assistant => row.message != NONE && !row.marks.has(Marks::API_ERROR),
            Kind::Attachment => row.marks.has(Marks::WANTED),
            Kind::System | Kind::Progress => false,
        };
        if !wanted {
            return Ok(());
        }
        let at = At {
            time: time::from_millis(row.time),
            origin: Origin { offset: row.offset(), length: u64::from(row.length) },
            in_model,
        };
        let (offset, length) = match self.long.get(&place) {
            Some(part) => (part.start, part.end - part.start),
            None => (row.offset(), u64::from(row.length)),
        };
        if length > MAX_LINE as u64 {
            self.notes.add("record.too-long", too_long(row.offset(), length));
            return Ok(());
        }
        let line = self.window.get(offset, length as usize).at("read", Path::new(self.name))?;
        let repaired = row.marks.has(Marks::REPAIRED).then(|| repair(line)).flatten();
        let line = repaired.as_deref().unwrap_or(line);
        let is_whole_row = row.kind != Kind::Attachment && !self.long.contains_key(&place);
        let value = if is_whole_row { &line[index::brace(line, row.message)..] } else { line };
        // Escapes of half a character only show when a text is read.
        let mended;
        let speaker = &mut self.speaker;
        let done = match speak(speaker, value, place, row, at, elsewhere) {
            Spoke::Unreadable => match repair(value) {
                Some(value) => {
                    mended = value;
                    speak(speaker, &mended, place, row, at, elsewhere)
                }
                None => Spoke::Unreadable,
            },
            done => done,
        };
        match done {
            Spoke::Done(result) => result,
            Spoke::Unreadable => {
                self.notes.add("record.broken", "a record could not be read and was skipped");
                Ok(())
            }
        }
    }
}

enum Spoke {
    Done(Result<()>),
    Unreadable,
}

fn speak(
    speaker: &mut Speaker<'_>,
    value: &[u8],
    place: u32,
    row: &Row,
    at: At,
    elsewhere: &dyn Fn(&str) -> bool,
) -> Spoke {
    if row.kind == Kind::Attachment {
        let Ok(AttachmentRow { attachment, .. }) = parse_prefix(value) else { return Spoke::Unreadable };
        if attachment.source.get().is_some_and(elsewhere) {
            return Spoke::Done(Ok(()));
        }
        return Spoke::Done(speaker.attachment(at, &attachment));
    }
    let Ok(message) = parse_prefix::<Message<'_>>(value) else { return Spoke::Unreadable };
    Spoke::Done(match row.kind {
        Kind::User => speaker.user(at, row.marks, message),
        _ => speaker.assistant(at, step(place, row), message),
    })
}

/// The number of the model response that a row belongs to; a row without one is its own.
fn step(place: u32, row: &Row) -> u64 {
    if row.response == NONE { (1 << 32) + u64::from(place) } else { u64::from(row.response) }
}
