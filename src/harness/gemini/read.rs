//! A session → events.
//!
//! The model view is what Gemini CLI 0.61 makes of the file when it resumes: it leaves out what it
//! told the user itself, commands, and the context that it gives its model anew. Two things it does
//! are not repeated here: it sends a result twice that stands in the call's own record and in the
//! next one of the user, and it goes on to do so in what it writes back.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::calls::Calls;
use super::index::{self, Form, Index};
use super::native::{self, Message, Part};
use super::record::{Element, Speaker};
use super::{speak, text};
use crate::error::{IoContext, Result};
use crate::harness::common::jsonl::{MAX_LINE, too_long};
use crate::model::{Event, EventKind, Notes, Origin, Payload, ReadSeek, Sink, Time, View, time};

/// Reads one transcript.
///
/// # Errors
/// When the payload cannot be read, or the sink fails.
pub fn read(payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
    let name = payload.files().get(file).map(|meta| meta.path.clone()).unwrap_or_default();
    let index = index::index(payload.open(file)?, &name)?;
    let mut store = Store { input: BufReader::with_capacity(256 << 10, payload.open(file)?), at: 0, name };
    let hidden = if view == View::Full { lost(&index, &mut store)? } else { Vec::new() };
    let mut reader = Reader {
        sink,
        notes: Notes::default(),
        calls: Calls::default(),
        parts_are_context: index.form == Form::Checkpoint,
        in_model: false,
        step: 0,
        time: None,
        origin: Origin::default(),
    };
    reader.notes.add_many("record.broken", index.broken, "a record is no JSON; the program skips it too");
    reader.run(&hidden, &mut store)?;
    reader.in_model = true;
    reader.calls.forget();
    reader.run(&index.live, &mut store)?;
    Ok(reader.notes)
}

/// Reads messages by their places.
struct Store<'p> {
    input: BufReader<Box<dyn ReadSeek + 'p>>,
    at: u64,
    name: String,
}

impl Store<'_> {
    /// The bytes of a message; `None` when it is too long to hold.
    fn bytes(&mut self, element: &Element) -> Result<Option<Vec<u8>>> {
        let Some(length) = usize::try_from(element.length).ok().filter(|length| *length <= MAX_LINE) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        let path = Path::new(&self.name);
        match element.offset.checked_sub(self.at).and_then(|ahead| i64::try_from(ahead).ok()) {
            Some(ahead) => self.input.seek_relative(ahead),
            None => self.input.seek(SeekFrom::Start(element.offset)).map(drop),
        }
        .and_then(|()| self.input.read_exact(&mut bytes))
        .at("read", path)?;
        self.at = element.offset + element.length;
        Ok(Some(bytes))
    }

    /// All of a message's content as one text.
    fn text(&mut self, element: &Element) -> Result<String> {
        let Some(bytes) = self.bytes(element)? else { return Ok(String::new()) };
        let mut fixed = Vec::new();
        let message: Option<Message<'_>> = native::parse(&bytes, &mut fixed);
        Ok(message.map(|message| text::joined(&Part::list(message.content))).unwrap_or_default())
    }

    /// Whether the message is the model's thanks for a summary.
    fn is_thanks(&mut self, element: Option<&Element>) -> Result<bool> {
        match element.filter(|element| element.speaker == Speaker::Model) {
            Some(element) => Ok(self.text(element)?.trim() == text::THANKS),
            None => Ok(false),
        }
    }
}

/// The messages that compactions took out of the model's sight, oldest first.
fn lost(index: &Index, store: &mut Store<'_>) -> Result<Vec<Element>> {
    let mut all: Vec<Vec<Element>> = Vec::new();
    let mut holds: Vec<&Element> = index.live.iter().collect();
    for replaced in index.replaced.iter().rev() {
        // The summary is the first thing that the program says anew, behind the context.
        let mut summary = None;
        for (place, element) in replaced.new.iter().enumerate().take(3) {
            if element.speaker == Speaker::User
                && text::summary(&store.text(element)?, store.is_thanks(replaced.new.get(place + 1))?)
                    .is_some()
            {
                summary = Some(place);
                break;
            }
        }
        let Some(place) = summary else { continue };
        // A compaction that was itself taken back hides nothing.
        if !holds.iter().any(|element| element.id == replaced.new[place].id) {
            continue;
        }
        let kept = kept(replaced, place, store)?;
        let lost: Vec<Element> = replaced.lost[..kept].to_vec();
        holds = replaced.lost.iter().collect();
        all.push(lost);
    }
    Ok(all.into_iter().rev().flatten().collect())
}

/// How many of the lost messages are lost. A compaction keeps the last ones under new ids.
fn kept(replaced: &index::Replaced, summary: usize, store: &mut Store<'_>) -> Result<usize> {
    let first = replaced.new[summary + 1..].iter().find(|element| element.speaker == Speaker::User);
    let Some(first) = first else { return Ok(replaced.lost.len()) };
    let wanted = store.text(first)?;
    for (place, element) in replaced.lost.iter().enumerate().rev() {
        if element.speaker == Speaker::User && store.text(element)? == wanted {
            return Ok(place);
        }
    }
    Ok(replaced.lost.len())
}

/// Makes events of messages, one at a time.
pub(super) struct Reader<'s> {
    sink: &'s mut dyn Sink,
    pub(super) notes: Notes,
    pub(super) calls: Calls,
    /// In a checkpoint, hidden context is a part of the user's message.
    pub(super) parts_are_context: bool,
    in_model: bool,
    pub(super) step: u64,
    time: Option<Time>,
    origin: Origin,
}

impl Reader<'_> {
    fn run(&mut self, elements: &[Element], store: &mut Store<'_>) -> Result<()> {
        let mut thanked = false;
        for (place, element) in elements.iter().enumerate() {
            if element.speaker == Speaker::Program || std::mem::take(&mut thanked) {
                continue;
            }
            let Some(bytes) = store.bytes(element)? else {
                self.notes.add("record.too-long", too_long(element.offset, element.length));
                continue;
            };
            let mut fixed = Vec::new();
            let Some(message) = native::parse::<Message<'_>>(&bytes, &mut fixed) else {
                self.notes.add("record.broken", "a record is no JSON; the program skips it too");
                continue;
            };
            self.origin = Origin { offset: element.offset, length: element.length };
            if let Some(at) = native::text(message.timestamp).and_then(|at| time::parse(&at)) {
                self.time = Some(at);
            }
            if element.speaker == Speaker::Model {
                speak::model(self, &message)?;
                continue;
            }
            let parts = Part::list(message.content.or(message.parts));
            let all = text::joined(&parts);
            if all.contains(text::SNAPSHOT) {
                let follows = store.is_thanks(elements.get(place + 1))?;
                if let Some(summary) = text::summary(&all, follows) {
                    thanked = follows;
                    self.deliver(EventKind::Summary { text: summary.into() })?;
                    continue;
                }
            }
            speak::user(self, &parts, &all)?;
        }
        Ok(())
    }

    pub(super) fn deliver(&mut self, kind: EventKind<'_>) -> Result<()> {
        self.sink.event(Event { time: self.time, origin: self.origin, in_model: self.in_model, kind })
    }
}
