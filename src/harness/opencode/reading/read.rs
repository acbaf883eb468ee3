//! A conversation as events.

use std::collections::HashSet;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path;

use serde_json::value::RawValue;

use super::native::{Info, Message, Part};
use super::survey::{Survey, digest};
use crate::error::{IoContext, Result};
use crate::harness::common::jsonl::{self, Lines};
use crate::harness::common::repair::repair;
use crate::model::{Event, EventKind, Notes, Origin, Payload, Sink, Time, View, time};

/// Reads the messages in file `file` of the payload into events.
///
/// # Errors
/// When the payload cannot be read, or the sink fails.
pub fn read(payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
    let survey = Survey::of(payload, file)?;
    let hidden = survey.hidden();
    let live = survey.live();
    let mut reader = Reader::new(survey, sink);
    if view == View::Full {
        reader.in_model = false;
        reader.range(payload, file, hidden)?;
    }
    reader.in_model = true;
    for range in live {
        reader.range(payload, file, range)?;
    }
    reader.finish()
}

/// Goes through messages one by one.
pub(super) struct Reader<'s> {
    pub(super) survey: Survey,
    sink: &'s mut dyn Sink,
    pub(super) notes: Notes,
    /// False for messages that a compaction replaced.
    pub(super) in_model: bool,
    /// The model response, and whether something of it was delivered.
    step: u64,
    stepped: bool,
    /// Digests of the ids that calls were delivered under.
    calls: HashSet<u64>,
    /// Digest of the user message that stands for a command which the user ran by hand.
    pub(super) by_hand: Option<u64>,
    /// Texts that the program said in the user's name.
    pub(super) context: u64,
    /// Files whose text stands in the prompt.
    pub(super) mentions: u64,
    origin: Origin,
    time: Option<Time>,
}

impl<'s> Reader<'s> {
    fn new(survey: Survey, sink: &'s mut dyn Sink) -> Self {
        Self {
            survey,
            sink,
            notes: Notes::default(),
            in_model: true,
            step: 0,
            stepped: false,
            calls: HashSet::new(),
            by_hand: None,
            context: 0,
            mentions: 0,
            origin: Origin::default(),
            time: None,
        }
    }

    fn finish(mut self) -> Result<Notes> {
        for (code, count, detail) in [
            (
                "context.left-out",
                self.context,
                "what the program told the model by itself is no conversation",
            ),
            (
                "mention.left-out",
                self.mentions,
                "the text of a file that was mentioned with @ is not carried; the agent can read it again",
            ),
            (
                "revert.left-out",
                self.survey.reverted,
                "a message that the user took back, which the program removes at the next prompt",
            ),
        ] {
            self.notes.add_many(code, count, detail);
        }
        Ok(self.notes)
    }

    fn range(&mut self, payload: &dyn Payload, file: usize, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let path = Path::new(&payload.files()[file].path);
        let mut input = payload.open(file)?;
        if range.start > 0 {
            input.seek(SeekFrom::Start(range.start)).at("read", path)?;
        }
        let mut lines = Lines::new(input, range.start);
        while let Some(line) = lines.next_wanted(|_| true).at("read", path)? {
            if line.offset >= range.end {
                break;
            }
            self.line(line)?;
        }
        Ok(())
    }

    fn line(&mut self, line: jsonl::Line<'_>) -> Result<()> {
        if line.cut {
            self.notes.add("record.too-long", line.too_long());
            return Ok(());
        }
        self.origin = Origin { offset: line.offset, length: line.bytes.len() as u64 };
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            if !line.bytes.is_empty() {
                self.broken("a message is damaged and was left out");
            }
            return Ok(());
        }
        let fixed = match Parsed::of(line.bytes) {
            Some(parsed) if parsed.broken == 0 => return self.message(&parsed),
            _ => repair(line.bytes),
        };
        match Parsed::of(fixed.as_deref().unwrap_or(line.bytes)) {
            Some(parsed) => self.message(&parsed)?,
            None if line.complete => self.broken("a message is damaged and was left out"),
            None => self.notes.add("record.torn", "the last message is not complete"),
        }
        Ok(())
    }

    fn broken(&mut self, detail: &str) {
        self.notes.add("record.broken", detail);
    }

    fn message(&mut self, message: &Parsed<'_>) -> Result<()> {
        self.notes.add_many(
            "record.broken",
            message.broken,
            "a part of a message is damaged and was left out",
        );
        let info = &message.info;
        let mut parts = message.parts.as_slice();
        if let Some((offset, part)) = self.survey.cut
            && offset == self.origin.offset
        {
            let cut = parts.iter().position(|other| digest(&other.id) == part);
            parts = &parts[..cut.unwrap_or(parts.len())];
        }
        self.time = info.time.created.and_then(instant);
        match &*info.role {
            "user" => self.user(info, parts),
            "assistant" => self.assistant(info, parts),
            role => {
                self.notes.add("record.unknown", format!("messages of the unknown role {role:?}"));
                Ok(())
            }
        }
    }

    /// Another model response begins, if the last one has anything in it.
    pub(super) fn next_step(&mut self) {
        self.step += u64::from(std::mem::take(&mut self.stepped));
    }

    /// The model response that what comes belongs to.
    pub(super) fn step(&mut self) -> u64 {
        self.stepped = true;
        self.step
    }

    /// The id to deliver a call under: its own, unless another call has it.
    pub(super) fn call_id(&mut self, native: &str) -> String {
        let native = if native.is_empty() { "call" } else { native };
        let mut id = native.to_owned();
        let mut number = 1;
        while !self.calls.insert(digest(&id)) {
            number += 1;
            id = format!("{native}~{number}");
        }
        if number > 1 {
            self.notes.add("call.renamed", "two tool calls had the same id");
        }
        id
    }

    /// Where the message begins.
    pub(super) fn offset(&self) -> u64 {
        self.origin.offset
    }

    /// Delivers an event of the message; `millis`: when, if the part says so.
    pub(super) fn deliver(&mut self, millis: Option<f64>, kind: EventKind<'_>) -> Result<()> {
        let time = millis.and_then(instant).or(self.time);
        self.sink.event(Event { time, origin: self.origin, in_model: self.in_model, kind })
    }
}

fn instant(millis: f64) -> Option<Time> {
    time::from_millis(millis as i64)
}

/// A message with its parts.
struct Parsed<'a> {
    info: Info<'a>,
    parts: Vec<Part<'a>>,
    /// How many parts are damaged or missing.
    broken: u64,
}

impl<'a> Parsed<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        let message: Message<'a> = serde_json::from_slice(line).ok()?;
        let mut broken = 0;
        let mut parts = Vec::with_capacity(message.parts.len());
        let mut end: Option<usize> = None;
        for part in &message.parts {
            broken += u64::from(end.is_some_and(|end| is_gap(end, part)));
            end = Some(part.get().as_ptr() as usize + part.get().len());
            match serde_json::from_str(part.get()) {
                Ok(part) => parts.push(part),
                Err(_) => broken += 1,
            }
        }
        Some(Self { info: message.info, parts, broken })
    }
}

/// Whether so much space is between two parts that one was left out: see [`super::record`].
fn is_gap(end: usize, next: &RawValue) -> bool {
    /// Shorter than what any record consists of.
    const LEAST: usize = 24;
    (next.get().as_ptr() as usize).saturating_sub(end) > LEAST
}
