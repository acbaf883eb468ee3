//! A rollout as events.
//!
//! A rollout holds two streams: response items, which the model gets, and events, which the screen
//! shows. The transcript is made of the items, in file order; of the events only those are used
//! that say what the items do not (exit codes, interruptions). [`super::survey`] has found out
//! before which compaction the context begins with and what a rollback took back.

use std::collections::VecDeque;
use std::io::SeekFrom;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::calls::Calls;
use super::filter;
use super::native::{Compacted, Content, Line, Message, Tagged, TurnContext, UiEvent};
use super::record::{self, Kind};
use super::survey::{self, Survey};
use crate::error::{Error, IoContext, Result};
use crate::harness::common::jsonl::{self, Lines};
use crate::harness::common::repair::repair;
use crate::model::{Event, EventKind, NoteKind, Notes, Origin, Part, Payload, Sink, Time, View, time};

/// Reads the rollout in file `file` of the payload into events.
///
/// # Errors
/// When the payload cannot be read, or the sink fails.
pub fn read(payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
    let survey = survey::survey(payload, file)?;
    let path = Path::new(&payload.files()[file].path);
    let mut input = payload.open(file)?;
    let mut reader = Reader::new(survey, sink);
    let mut start = 0;
    if let Some(compaction) = &reader.survey.compaction {
        reader.in_model = false;
        if view == View::Model {
            reader.muted = true;
            if compaction.replaces {
                start = compaction.offset;
                reader.model = compaction.model.clone();
                input.seek(SeekFrom::Start(start)).at("read", path)?;
            }
        }
    }
    let mut lines = Lines::new(input, start);
    while let Some(line) = lines.next_line().at("read", path)? {
        let wanted = if line.cut { reader.wants(line.bytes) } else { Wanted::Whole };
        match wanted {
            Wanted::Whole if line.cut && line.length <= jsonl::MAX_LINE as u64 => {
                reader.line(lines.whole().at("read", path)?)?;
            }
            Wanted::Whole => reader.line(line)?,
            Wanted::Facts => {
                let line = jsonl::Line { bytes: &[], cut: false, ..line };
                let record = lines.abridged().at("read", path)?;
                reader.line(jsonl::Line { bytes: record.json(), ..line })?;
            }
            Wanted::Nothing => {}
        }
    }
    Ok(reader.notes)
}

/// Goes through a rollout line by line.
pub(super) struct Reader<'s> {
    pub(super) survey: Survey,
    sink: &'s mut dyn Sink,
    pub(super) notes: Notes,
    /// False before the compaction that the context begins with.
    pub(super) in_model: bool,
    /// Nothing is delivered, only looked for what the compaction keeps.
    pub(super) muted: bool,
    /// The user's texts that a compaction which names no items will keep, and their size.
    pub(super) kept: VecDeque<String>,
    pub(super) kept_bytes: usize,
    /// The model of the turn.
    pub(super) model: Option<String>,
    pub(super) calls: Calls,
    step: u64,
    /// The next item belongs to another model response.
    pub(super) step_over: bool,
    /// The turn has a context for every request, so its outputs do not end a model response:
    /// Codex 0.60 writes each call together with its output.
    pub(super) per_request: bool,
    /// Turns have a beginning of their own, as in all newer versions.
    framed: bool,
    /// The model was told that the user interrupted the turn.
    pub(super) told_of_abort: bool,
    /// Digest of the summary that was delivered last: it may stand in the file more than once.
    told_summary: Option<u64>,
    time: Option<Time>,
    origin: Origin,
}

/// What is wanted of a long record.
enum Wanted {
    /// All of it.
    Whole,
    /// Its short values.
    Facts,
    /// Nothing.
    Nothing,
}

/// Why a record was not read.
pub(super) enum Trouble {
    /// It is damaged.
    Broken,
    /// The sink cannot go on.
    Stop(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

pub(super) type Outcome = Result<(), Trouble>;

/// A record of a line, or an item that a compaction put in place of the history.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// A whole record.
    Line(&'a [u8]),
    /// Only the payload of one.
    Item(&'a RawValue),
}

impl<'s> Reader<'s> {
    fn new(survey: Survey, sink: &'s mut dyn Sink) -> Self {
        Self {
            survey,
            sink,
            notes: Notes::default(),
            in_model: true,
            muted: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            model: None,
            calls: Calls::default(),
            step: 0,
            step_over: true,
            per_request: false,
            framed: false,
            told_of_abort: false,
            told_summary: None,
            time: None,
            origin: Origin::default(),
        }
    }

    /// What is wanted of a long record that begins like this. Of most it is nothing: the screen gets
    /// an output as well, and the state of the world can be large.
    fn wants(&self, beginning: &[u8]) -> Wanted {
        let Some(kind) = record::quick(beginning) else { return Wanted::Whole };
        match (&*kind.record, &*kind.payload) {
            ("response_item", kind) if kind == "message" || !self.muted => Wanted::Whole,
            ("compacted", _) => Wanted::Whole,
            ("event_msg" | "turn_context", _) => Wanted::Facts,
            ("response_item" | "session_meta" | "world_state", _) => Wanted::Nothing,
            _ => Wanted::Facts,
        }
    }

    fn line(&mut self, line: jsonl::Line<'_>) -> Result<()> {
        if line.cut {
            self.notes.add("record.too-long", line.too_long());
            return Ok(());
        }
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let length = line.bytes.len() as u64;
        self.origin = Origin { offset: line.offset, length };
        self.time = None;
        let outcome = match self.record(line.bytes) {
            Err(Trouble::Broken) => match repair(line.bytes) {
                Some(fixed) => self.record(&fixed),
                None => Err(Trouble::Broken),
            },
            outcome => outcome,
        };
        match outcome {
            Ok(()) => {}
            Err(Trouble::Stop(error)) => return Err(error),
            Err(Trouble::Broken) if line.complete => {
                self.notes.add("record.broken", "a record is damaged and was skipped, as Codex does");
            }
            Err(Trouble::Broken) => self.notes.add("record.torn", "the last record is not complete"),
        }
        Ok(())
    }

    fn record(&mut self, line: &[u8]) -> Outcome {
        let Some(kind) = record::kind(line) else { return Err(Trouble::Broken) };
        match &*kind.record {
            "response_item" if self.is_live() => self.item(&kind.payload, Source::Line(line)),
            "event_msg" if self.is_live() => self.event(&kind, line),
            "compacted" if self.is_live() => self.compacted(line),
            "turn_context" => self.turn_context(line),
            "token_usage_record" => {
                self.step_over = true;
                Ok(())
            }
            "response_item"
            | "event_msg"
            | "compacted"
            | "session_meta"
            | "world_state"
            | "inter_agent_communication_metadata" => Ok(()),
            _ => {
                self.notes.add("record.unknown", format!("records of the unknown type {:?}", kind.record));
                Ok(())
            }
        }
    }

    fn is_live(&self) -> bool {
        !self.survey.is_undone(self.origin.offset)
    }

    /// Parses a payload; also whether it is marked as the output of a compaction.
    pub(super) fn parse<'a, P: Deserialize<'a>>(&mut self, source: Source<'a>) -> Result<(P, bool), Trouble> {
        match source {
            Source::Line(line) => {
                let line: Line<'a, P> = serde_json::from_slice(line).map_err(|_| Trouble::Broken)?;
                self.time = time::parse(&line.timestamp);
                Ok((line.payload, line.metadata.is_some_and(|beside| beside.compaction_output)))
            }
            Source::Item(item) => {
                serde_json::from_str(item.get()).map(|item| (item, false)).map_err(|_| Trouble::Broken)
            }
        }
    }

    fn event(&mut self, kind: &Kind<'_>, line: &[u8]) -> Outcome {
        if self.muted {
            return Ok(());
        }
        match (&*kind.payload, &*kind.item) {
            ("task_started", _) => {
                (self.framed, self.told_of_abort) = (true, false);
                Ok(())
            }
            ("exec_command_end" | "patch_apply_end" | "mcp_tool_call_end", _)
            | ("item_completed", "CommandExecution" | "FileChange" | "McpToolCall") => {
                let (event, _) = self.parse::<UiEvent<'_>>(Source::Line(line))?;
                self.calls.note(&event);
                Ok(())
            }
            ("turn_aborted", _) if !self.told_of_abort => {
                let (event, _) = self.parse::<UiEvent<'_>>(Source::Line(line))?;
                match event.reason.as_deref() {
                    Some("interrupted") | None => {
                        let text = "The user interrupted the turn.".into();
                        self.deliver(EventKind::Note { kind: NoteKind::Interrupted, text })
                    }
                    Some(_) => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn turn_context(&mut self, line: &[u8]) -> Outcome {
        let (context, _) = self.parse::<TurnContext<'_>>(Source::Line(line))?;
        if let Some(model) = context.model {
            self.model = Some(model.0.into_owned());
        }
        self.per_request = context.turn_id.is_none() && !self.framed;
        self.step_over = true;
        Ok(())
    }

    fn compacted(&mut self, line: &[u8]) -> Outcome {
        let (compacted, _) = self.parse::<Compacted<'_>>(Source::Line(line))?;
        let Some(summary) = survey::readable(&compacted) else {
            self.notes.add(
                "compaction.opaque",
                "only the provider can read what a compaction left, so the history before it is carried",
            );
            return Ok(());
        };
        let at = self.origin.offset;
        if self.survey.compaction.as_ref().is_none_or(|compaction| compaction.offset != at) {
            return if self.muted { Ok(()) } else { self.summary(summary) };
        }
        (self.in_model, self.muted, self.calls) = (true, false, Calls::default());
        for text in std::mem::take(&mut self.kept) {
            self.deliver(EventKind::User { content: vec![Part::Text(text.into())] })?;
        }
        // Codex 0.169 tells its model what it kept first, and the summary after that.
        let mut told = false;
        for item in compacted.replacement_history.as_deref().unwrap_or_default() {
            let kind: Tagged<'_> = serde_json::from_str(item.get()).map_err(|_| Trouble::Broken)?;
            if !self.repeats(&kind.kind, item, summary)? {
                self.item(&kind.kind, Source::Item(item))?;
            } else if !std::mem::replace(&mut told, true) {
                self.summary(summary)?;
            }
        }
        if told { Ok(()) } else { self.summary(summary) }
    }

    pub(super) fn summary(&mut self, summary: &str) -> Outcome {
        self.step_over = true;
        let digest = filter::digest(summary);
        if summary.trim().is_empty() || self.told_summary.replace(digest) == Some(digest) {
            return Ok(());
        }
        self.deliver(EventKind::Summary { text: summary.into() })
    }

    /// Whether an item that the compaction kept is the summary.
    fn repeats(&mut self, kind: &str, item: &RawValue, summary: &str) -> Result<bool, Trouble> {
        if kind != "message" || summary.trim().is_empty() {
            return Ok(false);
        }
        let (message, _) = self.parse::<Message<'_>>(Source::Item(item))?;
        let repeats = |content: &Content<'_>| {
            content.text.as_deref().is_some_and(|text| text.trim().ends_with(summary.trim()))
        };
        Ok(message.content.iter().any(repeats))
    }

    /// The model response that the next item belongs to.
    pub(super) fn next_step(&mut self) -> u64 {
        if std::mem::take(&mut self.step_over) {
            self.step += 1;
        }
        self.step
    }

    pub(super) fn deliver(&mut self, kind: EventKind<'_>) -> Outcome {
        if self.muted {
            return Ok(());
        }
        let event = Event { time: self.time, origin: self.origin, in_model: self.in_model, kind };
        self.sink.event(event).map_err(Trouble::Stop)
    }
}
