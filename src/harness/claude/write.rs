//! Events of another harness → a transcript that Claude Code lists and resumes.
//!
//! The model's API wants turns: everything that the model said and called in one response, then
//! the results of all its calls, then what the user said. Other harnesses do not keep that order,
//! so results, and what the user says while calls are open, wait here until the response is whole.

use std::io::Write;
use std::path::Path;

use super::render::{self, CallIds, Renamed};
use super::rows::Rows;
pub use super::rows::agent_id;
use crate::error::{IoContext, Result};
use crate::harness::{Target, TranscriptWriter};
use crate::model::event::ToolInput;
use crate::model::tool::ToolName;
use crate::model::{Agent, Event, EventKind, Fidelity, Item, NoteKind, Part, Sink, Time, ToolStatus, time};

/// Results that wait take at most about this much memory, in bytes: then a response with many
/// results is written as several.
const MOST_WAITING: usize = 8 << 20;

/// The side file of a sub-agent's transcript.
pub fn agent_meta(agent: &Agent) -> String {
    let mut out = br#"{"agentType":"#.to_vec();
    render::quote(&mut out, agent.kind.as_deref().unwrap_or("general-purpose"));
    for (name, value) in [
        ("description", agent.title.as_deref().map(Into::into)),
        ("toolUseId", agent.call_id.as_deref().map(render::call_id)),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            render::quote(&mut out, &value);
        }
    }
    out.push(b'}');
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Writes one converted transcript.
pub struct Writer<'a> {
    rows: Rows<'a>,
    /// What to call the file in error messages.
    name: String,
    /// The model to name.
    model: Option<String>,
    /// The user chose the model, so the source's is not named.
    model_is_chosen: bool,
    ids: CallIds,
    time: Time,
    fidelity: Fidelity,
    /// Takes the counts of what the model does not see.
    uncounted: Fidelity,
    /// Rows were written that the model must not see.
    hidden: bool,
    /// A boundary hides what is above it.
    bounded: bool,
    /// Number of the response that is being written, and whether one is.
    response: u64,
    in_response: bool,
    step: Option<u64>,
    calls: Vec<Call>,
    results: Vec<Waiting>,
    said: Vec<Waiting>,
    waiting: usize,
    scratch: Vec<u8>,
}

/// A call of the response that is being written.
struct Call {
    theirs: String,
    ours: String,
    answered: bool,
}

/// A message that waits for its place.
struct Waiting {
    time: Time,
    message: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Begins the transcript of a session or of one of its sub-agents.
    ///
    /// # Errors
    /// When the beginning cannot be written.
    pub fn new(target: &'a Target<'a>, agent: Option<&'a Agent>, out: &'a mut dyn Write) -> Result<Self> {
        let source = target.source;
        let mut writer = Self {
            rows: Rows::new(target, agent, out)?,
            name: format!("{}.jsonl", target.id),
            model: target.options.model.clone().or_else(|| source.model.clone()),
            model_is_chosen: target.options.model.is_some(),
            ids: CallIds::default(),
            time: source
                .created
                .or(source.updated)
                .unwrap_or_else(|| time::from_millis(0).expect("1970 is in range")),
            fidelity: Fidelity::default(),
            uncounted: Fidelity::default(),
            hidden: false,
            bounded: false,
            response: 0,
            in_response: false,
            step: None,
            calls: Vec::new(),
            results: Vec::new(),
            said: Vec::new(),
            waiting: 0,
            scratch: Vec::new(),
        };
        // In front, not at the end: so a session that went on at its source begins with all that
        // was written of it before.
        if let (None, Some(title)) = (agent, &source.title) {
            writer.rows.write_title(title).at("write", Path::new(&writer.name))?;
        }
        Ok(writer)
    }

    fn count(&mut self, in_model: bool) -> &mut Fidelity {
        if in_model { &mut self.fidelity } else { &mut self.uncounted }
    }

    fn row(&mut self, kind: &str, time: Time, fields: &str, message: &[u8]) -> Result<()> {
        self.rows.write(kind, time, fields, message).map(drop).at("write", Path::new(&self.name))
    }

    /// A user row. It ends the response.
    fn user_row(&mut self, time: Time, fields: &str, message: &[u8]) -> Result<()> {
        self.in_response = false;
        self.row("user", time, fields, message)
    }

    fn boundary(&mut self) -> Result<()> {
        (self.hidden, self.bounded) = (false, true);
        self.in_response = false;
        self.rows.write_boundary(self.time).at("write", Path::new(&self.name))
    }

    /// What the user said, as soon as no call is open.
    fn say(&mut self, content: &[u8]) -> Result<()> {
        let message = [br#"{"role":"user","content":"#, content, b"}"].concat();
        if self.calls.iter().any(|call| !call.answered) {
            self.waiting += message.len();
            self.said.push(Waiting { time: self.time, message });
            return Ok(());
        }
        self.close()?;
        self.user_row(self.time, "", &message)
    }

    fn say_text(&mut self, text: &str) -> Result<()> {
        let mut content = Vec::new();
        render::quote(&mut content, text);
        self.say(&content)
    }

    /// Goes on with the response of `step`. Responses without anything between them become one:
    /// two messages of the assistant in a row are not what the API is used to.
    fn go_on(&mut self, step: u64, calls: bool) -> Result<()> {
        let waiting = !self.results.is_empty() || !self.said.is_empty();
        // Only calls can come after results of the same response: calls in parallel, one by one.
        if waiting && !(calls && self.step == Some(step)) {
            self.close()?;
        }
        self.step = Some(step);
        if !std::mem::replace(&mut self.in_response, true) {
            self.response += 1;
        }
        Ok(())
    }

    /// One block of the response, a row of its own.
    fn assistant_row(&mut self, model: Option<&str>, block: &[u8], stop: &str) -> Result<()> {
        let mut message = std::mem::take(&mut self.scratch);
        message.clear();
        message.extend_from_slice(br#"{"id":"#);
        render::quote(&mut message, &self.rows.response_id(self.response));
        message.extend_from_slice(br#","type":"message","role":"assistant""#);
        let model = model.filter(|_| !self.model_is_chosen).or(self.model.as_deref());
        if let Some(model) = model {
            message.extend_from_slice(br#","model":"#);
            render::quote(&mut message, model);
        }
        message.extend_from_slice(br#","content":["#);
        message.extend_from_slice(block);
        message.extend_from_slice(br#"],"stop_reason":"#);
        render::quote(&mut message, stop);
        message.extend_from_slice(br#","stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}"#);
        self.row("assistant", self.time, "", &message)?;
        self.scratch = message;
        Ok(())
    }

    /// Ends a response: the results of its calls, then what the user said meanwhile.
    fn close(&mut self) -> Result<()> {
        self.step = None;
        self.waiting = 0;
        for result in std::mem::take(&mut self.results) {
            self.user_row(result.time, "", &result.message)?;
        }
        for call in std::mem::take(&mut self.calls) {
            if !call.answered {
                self.fidelity
                    .notes
                    .add("call.unanswered", "a tool call without a result got one that says so");
                let mut message = Vec::new();
                begin_result(&mut message, &call.ours);
                render::quote(&mut message, "[The result of this call was not recorded.]");
                end_result(&mut message, true);
                self.user_row(self.time, "", &message)?;
            }
        }
        for said in std::mem::take(&mut self.said) {
            self.user_row(said.time, "", &said.message)?;
        }
        Ok(())
    }

    fn call(&mut self, event: &Called<'_>, in_model: bool) -> Result<()> {
        self.go_on(event.step, true)?;
        let names = Renamed::of(event.row);
        let name = match &names {
            Some(names) => names.name().into(),
            None => render::tool_name(event.name),
        };
        let ours = self.ids.next(event.id);
        let mut block = br#"{"type":"tool_use","id":"#.to_vec();
        render::quote(&mut block, &ours);
        block.extend_from_slice(br#","name":"#);
        render::quote(&mut block, &name);
        block.extend_from_slice(br#","input":"#);
        let wrapped = render::input(&mut block, event.input, names.as_ref());
        block.push(b'}');
        let renamed = names.is_none() && name != event.name;
        let count = self.count(in_model);
        match (wrapped, renamed) {
            (true, _) => {
                count.adapted(
                    Item::ToolCall,
                    "call.input",
                    "arguments that are no JSON object were put into one",
                );
            }
            (_, true) => {
                count.adapted(
                    Item::ToolCall,
                    "call.name",
                    "a tool's name has characters that Claude does not take",
                );
            }
            _ => count.kept(Item::ToolCall),
        }
        self.calls.push(Call { theirs: event.id.to_owned(), ours, answered: false });
        self.assistant_row(None, &block, "tool_use")
    }

    fn result(&mut self, id: &str, content: &[Part<'_>], status: ToolStatus, in_model: bool) -> Result<()> {
        let failed = status != ToolStatus::Ok;
        let render = if failed { render::failed_content } else { render::content };
        let call = self.calls.iter().position(|call| call.theirs == id && !call.answered);
        if let (Some(call), Some(text)) = (call, render::one_text(content))
            && text.len() > MOST_WAITING
            && self.calls.iter().enumerate().all(|(at, other)| other.answered || at == call)
        {
            return self.large_result(call, text, failed, in_model);
        }
        // Rendered in its place: a result can be large.
        let mut message = Vec::new();
        if let Some(call) = call {
            begin_result(&mut message, &self.calls[call].ours);
        }
        let any = render(&mut message, content, self.count(in_model));
        if !any {
            // The API takes no error without a text.
            render::quote(&mut message, if failed { "(no output)" } else { "" });
        }
        let Some(call) = call else {
            let count = self.count(in_model);
            if !any {
                count.dropped(
                    Item::ToolResult,
                    "result.orphan",
                    "an empty result without its call is nothing",
                );
                return Ok(());
            }
            count.adapted(Item::ToolResult, "result.orphan", "a result without its call became a text");
            return self.say(&message);
        };
        self.calls[call].answered = true;
        end_result(&mut message, failed);
        self.count(in_model).kept(Item::ToolResult);
        self.waiting += message.len();
        self.results.push(Waiting { time: self.time, message });
        if self.waiting > MOST_WAITING && self.calls.iter().all(|call| call.answered) {
            self.close()?;
        }
        Ok(())
    }

    /// A result so large that it does not wait, and is not held once more to be written.
    fn large_result(&mut self, call: usize, text: &str, failed: bool, in_model: bool) -> Result<()> {
        for result in std::mem::take(&mut self.results) {
            self.user_row(result.time, "", &result.message)?;
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        begin_result(&mut before, &self.calls[call].ours);
        end_result(&mut after, failed);
        self.in_response = false;
        self.rows
            .write_around("user", self.time, &before, text, &after)
            .at("write", Path::new(&self.name))?;
        self.calls[call].answered = true;
        self.count(in_model).kept(Item::ToolResult);
        self.close()
    }

    fn note(&mut self, kind: NoteKind, text: &str) -> Result<()> {
        match kind {
            NoteKind::UserShell => {
                let (line, output) = match text.strip_prefix("$ ") {
                    Some(text) => text.split_once('\n').unwrap_or((text, "")),
                    None => ("", text),
                };
                if !line.is_empty() {
                    self.say_text(&format!("<bash-input>{line}</bash-input>"))?;
                }
                self.say_text(&format!("<bash-stdout>{output}</bash-stdout><bash-stderr></bash-stderr>"))
            }
            NoteKind::Interrupted => self.say_text("[Request interrupted by user]"),
            NoteKind::TaskReport => {
                self.say_text(&format!("<task-notification>\n<result>{text}</result>\n</task-notification>"))
            }
        }
    }

    fn summary(&mut self, text: &str) -> Result<()> {
        self.close()?;
        // What the compaction kept may have come before the summary; then the boundary is there.
        if self.hidden || !self.bounded {
            self.boundary()?;
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        let mut message = br#"{"role":"user","content":"#.to_vec();
        render::quote(&mut message, text);
        message.push(b'}');
        self.user_row(self.time, r#","isVisibleInTranscriptOnly":true,"isCompactSummary":true"#, &message)
    }
}

/// A call, as its event tells.
struct Called<'e> {
    id: &'e str,
    row: Option<&'static ToolName>,
    name: &'e str,
    input: &'e ToolInput<'e>,
    step: u64,
}

impl Sink for Writer<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        let in_model = event.in_model;
        self.time = event.time.unwrap_or(self.time);
        if in_model && self.hidden && !matches!(event.kind, EventKind::Summary { .. }) {
            self.close()?;
            self.boundary()?;
        }
        match &event.kind {
            EventKind::User { content } => {
                let mut json = Vec::new();
                if render::content(&mut json, content, self.count(in_model)) {
                    self.count(in_model).kept(Item::User);
                    self.say(&json)?;
                }
            }
            EventKind::Assistant { content, model, step } => {
                let texts = render::texts(content, self.count(in_model));
                if !texts.is_empty() {
                    self.count(in_model).kept(Item::Assistant);
                    self.go_on(*step, false)?;
                }
                for text in texts {
                    let mut block = Vec::new();
                    render::text_block(&mut block, &text);
                    self.assistant_row(model.as_deref(), &block, "end_turn")?;
                }
            }
            EventKind::Reasoning { .. } => {
                let detail = "reasoning is bound to its provider by a signature that cannot be made";
                self.count(in_model).dropped(Item::Reasoning, "reasoning.dropped", detail);
            }
            EventKind::ToolCall { call_id, row, name, input, step, .. } => {
                let called = Called { id: call_id, row: *row, name, input, step: *step };
                self.call(&called, in_model)?;
            }
            EventKind::ToolResult { call_id, content, status, .. } => {
                self.result(call_id, content, *status, in_model)?;
            }
            EventKind::Summary { text } => self.summary(text)?,
            EventKind::Note { kind, text } => self.note(*kind, text)?,
        }
        self.hidden |= !in_model && self.rows.any();
        Ok(())
    }
}

impl TranscriptWriter for Writer<'_> {
    fn finish(mut self: Box<Self>) -> Result<Fidelity> {
        self.close()?;
        self.rows.flush().at("write", Path::new(&self.name))?;
        Ok(self.fidelity)
    }
}

/// A user message with the result of a call, up to its content.
fn begin_result(message: &mut Vec<u8>, id: &str) {
    message.extend_from_slice(br#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"#);
    render::quote(message, id);
    message.extend_from_slice(br#","content":"#);
}

/// What stands after the content.
fn end_result(message: &mut Vec<u8>, failed: bool) {
    message.extend_from_slice(if failed { br#","is_error":true}]}"# } else { br#","is_error":false}]}"# });
}
