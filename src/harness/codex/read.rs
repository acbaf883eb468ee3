//! A rollout as events.
//!
//! A rollout holds two streams: response items, which the model gets, and events, which the screen
//! shows. The transcript is made of the items, in file order; of the events only those are used
//! that say what the items do not (exit codes, interruptions). [`super::survey`] has found out
//! before which compaction the context begins with and what a rollback took back.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::calls::Calls;
use super::filter::{self, Said};
use super::native::{
    AgentMessage, CallOutput, Compacted, Content, CustomToolCall, FunctionCall, HostedCall, Line, Message,
    Output, Reasoning, Tagged, TurnContext, UiEvent,
};
use super::record::{self, Kind};
use super::survey::{self, Survey};
use super::{status, tools};
use crate::error::{Error, IoContext, Result};
use crate::harness::common::jsonl::{self, Lines};
use crate::harness::common::repair::repair;
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::{
    Event, EventKind, NoteKind, Notes, Opaque, Origin, Part, Payload, Sink, Time, ToolStatus, View, time,
};

/// When a compaction names no items, Codex keeps the user's texts before it, the newest first, up
/// to 20,000 tokens of four bytes.
const KEPT_TEXT: usize = 80_000;

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
                input.seek(std::io::SeekFrom::Start(start)).at("read", path)?;
            }
        }
    }
    let mut lines = Lines::new(input, start);
    while let Some(line) = lines.next_line().at("read", path)? {
        reader.line(line)?;
    }
    Ok(reader.notes)
}

struct Reader<'s> {
    survey: Survey,
    sink: &'s mut dyn Sink,
    notes: Notes,
    /// False before the compaction that the context begins with.
    in_model: bool,
    /// Nothing is delivered, only looked for what the compaction keeps.
    muted: bool,
    kept: VecDeque<String>,
    kept_bytes: usize,
    model: Option<String>,
    calls: Calls,
    step: u64,
    step_over: bool,
    /// The turn has a context for every request, so its outputs do not end a model response:
    /// Codex 0.60 writes each call together with its output.
    per_request: bool,
    framed: bool,
    told_of_abort: bool,
    /// Digest of the summary that was delivered last: it may stand in the file more than once.
    told_summary: Option<u64>,
    time: Option<Time>,
    origin: Origin,
}

/// Why a record was not read.
enum Trouble {
    Broken,
    Stop(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

type Outcome = Result<(), Trouble>;

/// A record of a line, or an item that a compaction put in place of the history.
#[derive(Clone, Copy)]
enum Source<'a> {
    Line(&'a [u8]),
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

    fn line(&mut self, line: jsonl::Line<'_>) -> Result<()> {
        if line.too_long() {
            self.notes.add("record.too-long", "a record is too long to be read");
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

    /// A response item: one thing that the model gets to see.
    fn item(&mut self, kind: &str, source: Source<'_>) -> Outcome {
        if self.muted && kind != "message" {
            return Ok(());
        }
        match kind {
            "message" => {
                let (message, is_summary) = self.parse(source)?;
                self.message(message, is_summary)
            }
            "reasoning" => {
                let (reasoning, _) = self.parse(source)?;
                self.reasoning(reasoning)
            }
            "function_call" => {
                let (call, _) = self.parse::<FunctionCall<'_>>(source)?;
                let name = match &call.namespace {
                    Some(server) if server.starts_with("mcp__") => {
                        Cow::Owned(format!("{}__{}", server.trim_end_matches('_'), &*call.name))
                    }
                    _ => call.name.0,
                };
                let row = tools::shape(&name, &call.arguments);
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok();
                let input = if is_json {
                    ToolInput::Json(call.arguments.0)
                } else {
                    ToolInput::Text(call.arguments.0)
                };
                self.call(&call.call_id, name, row, input)
            }
            "custom_tool_call" => {
                let (call, _) = self.parse::<CustomToolCall<'_>>(source)?;
                self.call(&call.call_id, call.name.0, None, ToolInput::Text(call.input.0))
            }
            "function_call_output" | "custom_tool_call_output" => {
                let (output, _) = self.parse::<CallOutput<'_>>(source)?;
                let content = match output.output {
                    Output::Text(text) => vec![Part::Text(text)],
                    Output::Parts(parts) => parts.into_iter().filter_map(filter::part).collect(),
                };
                self.output(&output.call_id, content)
            }
            "local_shell_call"
            | "web_search_call"
            | "image_generation_call"
            | "tool_search_call"
            | "tool_search_output" => {
                let (call, _) = self.parse(source)?;
                self.hosted(kind, call)
            }
            "agent_message" => {
                let (message, _) = self.parse(source)?;
                self.agent_message(message)
            }
            "additional_tools"
            | "ghost_snapshot"
            | "compaction"
            | "compaction_summary"
            | "context_compaction"
            | "compaction_trigger"
            | "configuration_update"
            | "other" => Ok(()),
            _ => {
                self.notes.add("record.unknown", format!("response items of the unknown type {kind:?}"));
                Ok(())
            }
        }
    }

    /// Parses a payload; also whether it is marked as the output of a compaction.
    fn parse<'a, P: Deserialize<'a>>(&mut self, source: Source<'a>) -> Result<(P, bool), Trouble> {
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

    fn message(&mut self, message: Message<'_>, is_summary: bool) -> Outcome {
        match &*message.role {
            "user" => match filter::said(message, &self.survey.prompts) {
                Said::User(content) => {
                    self.step_over = true;
                    self.per_request = false;
                    if !self.in_model {
                        self.keep(&content);
                    }
                    self.deliver(EventKind::User { content })
                }
                Said::Note(kind, text) => {
                    self.told_of_abort |= kind == NoteKind::Interrupted;
                    self.deliver(EventKind::Note { kind, text: text.into() })
                }
                Said::Summary(_) if self.muted => Ok(()),
                Said::Summary(text) => self.summary(&text),
                Said::Injected => Ok(()),
            },
            "assistant" if !self.muted && !is_summary => {
                let content: Vec<Part<'_>> = message.content.into_iter().filter_map(filter::part).collect();
                let is_empty = |part: &Part<'_>| matches!(part, Part::Text(text) if text.is_empty());
                let is_summary = |part: &Part<'_>| {
                    matches!(part, Part::Text(text) if !self.survey.summaries.is_empty()
                        && self.survey.summaries.contains(&filter::digest(text)))
                };
                if content.iter().all(is_empty) || content.iter().any(is_summary) {
                    return Ok(());
                }
                let (model, step) = (self.model.clone().map(Cow::Owned), self.next_step());
                self.deliver(EventKind::Assistant { content, model, step })
            }
            _ => Ok(()),
        }
    }

    /// Remembers what a compaction that names no items will keep.
    fn keep(&mut self, content: &[Part<'_>]) {
        let names_none = self.survey.compaction.as_ref().is_some_and(|compaction| !compaction.replaces);
        if !names_none {
            return;
        }
        for part in content {
            if let Part::Text(text) = part {
                self.kept_bytes += text.len();
                self.kept.push_back(text.clone().into_owned());
            }
        }
        while let Some(oldest) = self.kept.front()
            && self.kept_bytes - oldest.len() >= KEPT_TEXT
        {
            self.kept_bytes -= oldest.len();
            self.kept.pop_front();
        }
    }

    fn reasoning(&mut self, reasoning: Reasoning<'_>) -> Outcome {
        let parts = reasoning.summary.into_iter().chain(reasoning.content.unwrap_or_default());
        let mut texts: Vec<Cow<'_, str>> =
            parts.filter_map(|part: Content<'_>| part.text).map(|text| text.0).collect();
        let text = if texts.len() == 1 { texts.remove(0) } else { Cow::Owned(texts.join("\n\n")) };
        let opaque = reasoning.encrypted_content.map(|data| Opaque {
            provider: "openai",
            kind: "encrypted_content",
            data: data.0,
        });
        if text.is_empty() && opaque.is_none() {
            return Ok(());
        }
        let step = self.next_step();
        self.deliver(EventKind::Reasoning { text, opaque, step })
    }

    fn call(
        &mut self,
        call_id: &str,
        name: Cow<'_, str>,
        row: Option<&'static crate::model::tool::ToolName>,
        input: ToolInput<'_>,
    ) -> Outcome {
        let step = self.next_step();
        let tool = tools::kind(&name);
        let call_id = self.calls.begin(call_id, &*name == "exec");
        self.deliver(EventKind::ToolCall { call_id: call_id.into(), tool, row, name, input, step })
    }

    fn output(&mut self, call_id: &str, content: Vec<Part<'_>>) -> Outcome {
        let Some(call) = self.calls.end(call_id) else {
            self.notes
                .add("result.orphan", "a tool result without its call, which Codex does not send either");
            return Ok(());
        };
        let first = content.iter().find_map(|part| match part {
            Part::Text(text) => Some(&**text),
            _ => None,
        });
        let (status, exit_code) = status::judge(first.unwrap_or_default(), call.recorded());
        self.step_over |= !self.per_request;
        self.deliver(EventKind::ToolResult { call_id: call.id.into(), content, status, exit_code })
    }

    /// Calls that the provider carries out itself have no output item: their status is the result.
    fn hosted(&mut self, kind: &str, call: HostedCall<'_>) -> Outcome {
        let native_id = call.call_id.or(call.id).map(|id| id.0).unwrap_or_default();
        let json = |value: Option<&'_ RawValue>| value.map_or("{}", RawValue::get).to_owned();
        let (name, input) = match kind {
            "local_shell_call" => ("local_shell", json(call.action)),
            "tool_search_call" => ("tool_search", json(call.arguments)),
            "tool_search_output" => {
                return self.output(&native_id, vec![Part::Text(json(call.tools).into())]);
            }
            "web_search_call" => ("web_search", json(call.action)),
            _ => (
                "image_generation",
                format!("{{\"prompt\":{}}}", call.revised_prompt.map_or("null", RawValue::get)),
            ),
        };
        self.call(&native_id, name.into(), None, ToolInput::Json(input.into()))?;
        if matches!(kind, "local_shell_call" | "tool_search_call") {
            return Ok(());
        }
        let Some(open) = self.calls.end(&native_id) else { return Ok(()) };
        let state = call.status.map(|status| status.0).unwrap_or_default();
        let status = if state == "failed" { ToolStatus::Error } else { ToolStatus::Ok };
        let content = match call.result {
            Some(data) => vec![Part::Image(Media {
                media_type: "image/png".into(),
                data: MediaData::Base64(data.0),
                name: None,
            })],
            None => vec![Part::Text(state)],
        };
        self.deliver(EventKind::ToolResult { call_id: open.id.into(), content, status, exit_code: None })
    }

    /// A message to an agent from the one that started it is a prompt; any other is a report.
    fn agent_message(&mut self, message: AgentMessage<'_>) -> Outcome {
        let is_prompt =
            message.recipient.strip_prefix(&*message.author).is_some_and(|rest| rest.starts_with('/'));
        let hidden = message.content.iter().filter(|part| part.text.is_none()).count();
        self.notes.add_many(
            "text.encrypted",
            hidden as u64,
            "a message between agents that only the provider can read",
        );
        let content: Vec<Part<'_>> = message.content.into_iter().filter_map(filter::part).collect();
        if content.is_empty() {
            return Ok(());
        }
        self.step_over = true;
        if is_prompt {
            return self.deliver(EventKind::User { content });
        }
        let texts: Vec<&str> = content
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(&**text),
                _ => None,
            })
            .collect();
        self.deliver(EventKind::Note { kind: NoteKind::TaskReport, text: texts.join("\n").into() })
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

    fn summary(&mut self, summary: &str) -> Outcome {
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
    fn next_step(&mut self) -> u64 {
        if std::mem::take(&mut self.step_over) {
            self.step += 1;
        }
        self.step
    }

    fn deliver(&mut self, kind: EventKind<'_>) -> Outcome {
        if self.muted {
            return Ok(());
        }
        let event = Event { time: self.time, origin: self.origin, in_model: self.in_model, kind };
        self.sink.event(event).map_err(Trouble::Stop)
    }
}
