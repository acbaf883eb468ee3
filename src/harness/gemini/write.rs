//! Events of another harness → a session that Gemini CLI lists and resumes, as often as one likes.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::emit::{self, Parts, quoted};
use super::text::{self, SNAPSHOT, SNAPSHOT_END, THANKS};
use super::tools::TABLE;
use super::turn::{Answer, Call, Turn};
use super::{place, projects};
use crate::error::{IoContext, Result};
use crate::harness::common::arguments;
use crate::harness::{Target, TranscriptWriter};
use crate::model::event::ToolInput;
use crate::model::tool::{self, ToolName};
use crate::model::{
    Agent, Event, EventKind, Fidelity, Item, NoteKind, Part, Sink, Time, ToolKind, ToolStatus, ids, time,
};

/// What the ids of calls for the screen begin with.
pub const SHOWN: &str = "ui_";

/// Results that wait take at most about this much memory, in bytes: then a response with many results
/// is written as several.
const MOST_WAITING: usize = 8 << 20;

/// The id of a sub-agent of session `session`. Where its call is known, the call names it too.
pub fn agent_id(session: &str, agent: &Agent) -> String {
    match &agent.call_id {
        Some(call) => started_by(session, call),
        None => ids::derived(&["gemini", "agent", session, &agent.id]).to_string(),
    }
}

fn started_by(session: &str, call: &str) -> String {
    ids::derived(&["gemini", "agent of", session, call]).to_string()
}

/// Writes one transcript.
pub struct Writer<'a> {
    target: &'a Target<'a>,
    out: BufWriter<&'a mut dyn Write>,
    /// What all ids of this transcript are derived from.
    seed: String,
    count: u64,
    time: Time,
    fidelity: Fidelity,
    /// Takes the counts of what the model does not see.
    uncounted: Fidelity,
    turn: Option<Turn>,
    /// What the user said while calls were open.
    said: Vec<(Time, Parts)>,
    used: HashSet<String>,
    /// Something was written that the model must not see, and nothing yet that hides it.
    hiding: bool,
}

impl<'a> Writer<'a> {
    /// Writes the header.
    ///
    /// # Errors
    /// When it cannot be written, or the directory is not Unicode.
    pub fn begin(target: &'a Target<'a>, agent: Option<&'a Agent>, out: &'a mut dyn Write) -> Result<Self> {
        let id = agent.map_or_else(|| target.id.to_owned(), |agent| agent_id(target.id, agent));
        let cwd = projects::real_path(target.cwd)?;
        let mut writer = Self {
            target,
            out: BufWriter::with_capacity(256 << 10, out),
            seed: id,
            count: 0,
            time: place::created(target),
            fidelity: Fidelity::default(),
            uncounted: Fidelity::default(),
            turn: None,
            said: Vec::new(),
            used: HashSet::new(),
            hiding: false,
        };
        let mut header = format!(
            "{{\"sessionId\":{},\"projectHash\":\"{}\",\"startTime\":\"{}\"",
            quoted(&writer.seed),
            projects::hash(&cwd),
            time::rfc3339(writer.time)
        );
        // Without a time of the last update the program takes the session for one of today, and does
        // not delete it for its age before the user has gone on with it.
        match agent {
            Some(_) => {
                header.push_str(&format!(",\"kind\":\"subagent\",\"directories\":[{}]}}\n", quoted(&cwd)))
            }
            None => {
                header.push_str(",\"kind\":\"main\"");
                if let Some(title) = target.source.title.as_deref().filter(|title| !title.trim().is_empty()) {
                    header.push_str(&format!(",\"summary\":{}", quoted(title)));
                }
                header.push_str("}\n");
            }
        }
        writer.put(header.as_bytes())?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).at("write", Path::new(self.target.id))
    }

    fn count(&mut self, in_model: bool) -> &mut Fidelity {
        if in_model { &mut self.fidelity } else { &mut self.uncounted }
    }

    /// A message, from what follows its id and time.
    fn message(&mut self, at: Time, rest: &[u8]) -> Vec<u8> {
        let id = ids::derived(&["gemini", "message", &self.seed, &self.count.to_string()]);
        self.count += 1;
        let mut json = format!("{{\"id\":\"{id}\",\"timestamp\":\"{}\"", time::rfc3339(at)).into_bytes();
        json.extend_from_slice(rest);
        json
    }

    fn line(&mut self, at: Time, rest: &[u8]) -> Result<()> {
        let mut json = self.message(at, rest);
        json.push(b'\n');
        self.put(&json)
    }

    fn user_rest(parts: &Parts) -> Vec<u8> {
        [br#","type":"user","content":"#.as_slice(), &parts.of_user(), b"}"].concat()
    }

    /// What the user said, as soon as no call is open.
    fn say(&mut self, parts: Parts) -> Result<()> {
        if self.turn.as_ref().is_some_and(Turn::is_open) {
            self.said.push((self.time, parts));
            return Ok(());
        }
        self.close()?;
        self.line(self.time, &Self::user_rest(&parts))
    }

    fn say_text(&mut self, text: &str) -> Result<()> {
        let mut parts = Parts::default();
        parts.text(text);
        if parts.is_blank() { Ok(()) } else { self.say(parts) }
    }

    /// Ends the response: its record, the results of its calls, then what the user said meanwhile.
    fn close(&mut self) -> Result<()> {
        if let Some(mut turn) = self.turn.take().filter(|turn| !turn.is_empty()) {
            let missing = turn.complete(self.time);
            self.fidelity.notes.add_many(
                "call.unanswered",
                missing,
                "a tool call without a result got one that says so",
            );
            self.line(turn.time, &turn.record())?;
            if let Some((at, results)) = turn.results() {
                self.line(at, &results)?;
            }
        }
        for (at, parts) in std::mem::take(&mut self.said) {
            self.line(at, &Self::user_rest(&parts))?;
        }
        Ok(())
    }

    /// Goes on with the response of `step`. Only calls can come after results of the same response:
    /// calls in parallel, one by one.
    fn go_on(&mut self, step: u64, calls: bool) -> Result<&mut Turn> {
        let stays = self
            .turn
            .as_ref()
            .is_some_and(|turn| turn.step == step && (calls || !turn.is_answered()) && self.said.is_empty());
        if !stays {
            self.close()?;
        }
        let time = self.time;
        Ok(self.turn.get_or_insert_with(|| Turn::new(step, time)))
    }

    fn assistant(
        &mut self,
        content: &[Part<'_>],
        model: Option<&str>,
        step: u64,
        in_model: bool,
    ) -> Result<()> {
        let mut texts: Vec<String> = Vec::new();
        for part in content {
            match part {
                Part::Text(text) => texts.push(text.clone().into_owned()),
                Part::Image(media) | Part::File(media) => {
                    self.count(in_model).dropped(
                        Item::Image,
                        "image.assistant",
                        "an image in what the assistant says is not carried; a line of text says that there was one",
                    );
                    texts.push(emit::left_out(media));
                }
            }
        }
        texts.retain(|text| !text.trim().is_empty());
        if texts.is_empty() {
            return Ok(());
        }
        self.count(in_model).kept(Item::Assistant);
        let model = self.model(model);
        let turn = self.go_on(step, false)?;
        turn.model = model;
        texts.iter().for_each(|text| turn.say(text));
        Ok(())
    }

    fn model(&self, said: Option<&str>) -> Option<String> {
        self.target.options.model.clone().or_else(|| said.map(str::to_owned))
    }

    fn call(&mut self, event: &Called<'_>, in_model: bool) -> Result<()> {
        let own = event.row.and_then(|row| tool::counterpart(TABLE, row).map(|own| (row, own)));
        let renamed = match (own, event.input) {
            (Some((row, own)), ToolInput::Json(json)) => {
                arguments::rename(json, row, own).map(|json| (own.native.to_owned(), json))
            }
            _ => None,
        };
        let (name, arguments) = renamed.unwrap_or_else(|| {
            let json = match event.input {
                ToolInput::Json(json) => json.to_string(),
                ToolInput::Text(text) => quoted(text),
            };
            (emit::tool_name(event.name).into_owned(), json)
        });
        let is_renamed = own.is_none() && name != event.name;
        let (arguments, is_wrapped) = arguments::object(&arguments);
        let count = self.count(in_model);
        match (is_wrapped, is_renamed) {
            (true, _) => {
                count.adapted(
                    Item::ToolCall,
                    "call.input",
                    "arguments that are no JSON object were put into one",
                );
            }
            (_, true) => {
                let detail = "a tool's name has characters that Gemini does not take";
                count.adapted(Item::ToolCall, "call.name", detail);
            }
            _ => count.kept(Item::ToolCall),
        }
        let ours = self.call_id(event.id);
        let agent = (event.tool == ToolKind::SubAgent).then(|| started_by(self.target.id, event.id));
        let model = self.model(self.target.source.model.as_deref());
        let turn = self.go_on(event.step, true)?;
        turn.model = turn.model.take().or(model);
        turn.call(Call { theirs: event.id.to_owned(), ours, name, arguments, agent, answer: None });
        Ok(())
    }

    /// Any text is an id, as long as it is another one for each call.
    fn call_id(&mut self, id: &str) -> String {
        let base = if id.is_empty() { "call" } else { id };
        let mut ours = base.to_owned();
        let mut number = 1;
        while !self.used.insert(ours.clone()) {
            number += 1;
            ours = format!("{base}-{number}");
        }
        ours
    }

    fn result(&mut self, id: &str, content: &[Part<'_>], status: ToolStatus, in_model: bool) -> Result<()> {
        let mut texts: Vec<&str> = Vec::new();
        let mut media = Parts::default();
        for part in content {
            match part {
                Part::Text(text) => texts.push(text),
                Part::Image(image) | Part::File(image) => media.media(image, self.count(in_model)),
            }
        }
        let text = texts.join("\n");
        let answer = Answer { time: self.time, text, media, status };
        let refused = match &mut self.turn {
            Some(turn) => turn.answer(id, answer).err(),
            None => Some(answer),
        };
        let Some(answer) = refused else {
            self.count(in_model).kept(Item::ToolResult);
            if self.turn.as_ref().is_some_and(|turn| turn.waiting() > MOST_WAITING && !turn.is_open()) {
                self.close()?;
            }
            return Ok(());
        };
        let mut parts = Parts::default();
        parts.text(&answer.text);
        parts.append(&answer.media);
        if parts.is_blank() {
            let detail = "an empty result without its call is nothing";
            self.count(in_model).dropped(Item::ToolResult, "result.orphan", detail);
            return Ok(());
        }
        let detail = "a result without its call became a text";
        self.count(in_model).adapted(Item::ToolResult, "result.orphan", detail);
        self.say(parts)
    }

    fn note(&mut self, kind: NoteKind, text: &str) -> Result<()> {
        match kind {
            NoteKind::UserShell => match text.strip_prefix("$ ") {
                Some(rest) => {
                    let (command, output) = rest.split_once('\n').unwrap_or((rest, ""));
                    self.say_text(&text::told_shell(command, output))
                }
                None => self.say_text(text),
            },
            NoteKind::Interrupted => self.say_text(text::INTERRUPTED),
            NoteKind::TaskReport => self.say_text(&text::told_report(text)),
        }
    }

    /// As the program's own compaction leaves it: the summary, and the model's thanks for it.
    fn summary(&mut self, summary: &str) -> Result<()> {
        self.close()?;
        if summary.trim().is_empty() {
            return Ok(());
        }
        let mut parts = Parts::default();
        match summary.contains(SNAPSHOT) {
            true => parts.text(summary),
            false => parts.text(&format!("{SNAPSHOT}\n{summary}\n{SNAPSHOT_END}")),
        }
        let at = self.time;
        let told = self.message(at, &Self::user_rest(&parts));
        let mut thanks = Turn::new(0, at);
        thanks.say(THANKS);
        let thanks = self.message(at, &thanks.record());
        if std::mem::take(&mut self.hiding) {
            return self.replace(&[&told, &thanks]);
        }
        self.put(&[told.as_slice(), b"\n", &thanks, b"\n"].concat())
    }

    /// Takes all messages so far out of the model's sight; the log keeps them.
    fn replace(&mut self, messages: &[&[u8]]) -> Result<()> {
        self.put(br#"{"$set":{"messages":["#)?;
        self.put(&messages.join(b",".as_slice()))?;
        self.put(b"]}}\n")
    }

    /// Hides what the model must not see.
    fn hide(&mut self) -> Result<()> {
        if self.hiding {
            self.close()?;
            self.hiding = false;
            self.replace(&[])?;
        }
        Ok(())
    }
}

/// A call, as its event tells.
struct Called<'e> {
    id: &'e str,
    tool: ToolKind,
    row: Option<&'static ToolName>,
    name: &'e str,
    input: &'e ToolInput<'e>,
    step: u64,
}

impl Sink for Writer<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        let in_model = event.in_model;
        self.time = event.time.unwrap_or(self.time);
        if in_model && !matches!(event.kind, EventKind::Summary { .. }) {
            self.hide()?;
        }
        self.hiding |= !in_model;
        match &event.kind {
            EventKind::User { content } => {
                let parts = Parts::said(content, self.count(in_model));
                if !parts.is_blank() {
                    self.count(in_model).kept(Item::User);
                    self.say(parts)?;
                }
            }
            EventKind::Assistant { content, model, step } => {
                self.assistant(content, model.as_deref(), *step, in_model)?;
            }
            EventKind::Reasoning { text, step, .. } => {
                let detail = "a model takes only reasoning that its own provider signed; Gemini CLI shows the text, but does not send it";
                self.count(in_model).dropped(Item::Reasoning, "reasoning.not-sent", detail);
                if !text.trim().is_empty() {
                    let at = self.time;
                    self.go_on(*step, false)?.think(text, at);
                }
            }
            EventKind::ToolCall { call_id, tool, row, name, input, step } => {
                let called = Called { id: call_id, tool: *tool, row: *row, name, input, step: *step };
                self.call(&called, in_model)?;
            }
            EventKind::ToolResult { call_id, content, status, .. } => {
                self.result(call_id, content, *status, in_model)?;
            }
            EventKind::Summary { text } => self.summary(text)?,
            EventKind::Note { kind, text } => self.note(*kind, text)?,
        }
        Ok(())
    }
}

impl TranscriptWriter for Writer<'_> {
    fn finish(mut self: Box<Self>) -> Result<Fidelity> {
        self.close()?;
        self.hide()?;
        self.out.flush().at("write", Path::new(self.target.id))?;
        Ok(self.fidelity)
    }
}
