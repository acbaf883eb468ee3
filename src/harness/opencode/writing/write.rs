//! A session of another harness as messages of opencode.
//!
//! One message of the assistant is one response of its model, with the results of its calls inside
//! the calls. Other harnesses tell of a result when it came, so a response waits here until its
//! calls are answered, and what was said meanwhile waits behind it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::Write;

use super::super::flavour::Flavour;
use super::super::tools::TOOLS;
use super::calls::{self, Call, Slot};
use super::document::Messages;
use super::ids::Minter;
use super::message::{Message, Speaker};
use super::models::{self, Model};
use super::names::{self, Names};
use super::record::{self, NoteMark, NoteName, Part as Record, Span};
use super::session::Header;
use super::store;
use crate::error::Result;
use crate::harness::common::arguments;
use crate::harness::{Target, TranscriptWriter};
use crate::model::event::{Media, ToolInput};
use crate::model::tool::{self, ToolName};
use crate::model::{Agent, Event, EventKind, Fidelity, Item, NoteKind, Part, Sink, Time, ToolStatus, time};

/// Messages that wait take at most about this much memory, in bytes: then a call without a result
/// is given up.
const MOST_WAITING: usize = 32 << 20;

/// What the program says where the user ran a command by hand (1.18).
const BY_USER: &str = "The following tool was executed by the user";

/// Writes one transcript.
pub struct Writer<'a> {
    out: Messages<'a>,
    place: Place,
    minter: Minter,
    names: Names,
    fidelity: Fidelity,
    /// Takes the counts of what the model does not see.
    uncounted: Fidelity,
    queue: VecDeque<Message>,
    waiting: usize,
    now: Time,
    latest: Option<Time>,
    /// The model that the next answer is by.
    model: Model,
    /// The user chose the model, so the source's is not named.
    model_is_chosen: bool,
    /// The last message of the user.
    asked: Option<String>,
    /// Something out of the model's sight was written, and nothing yet that hides it.
    hidden: bool,
    /// Something was taken out of the model's sight.
    compacted: bool,
    /// The first message since then that the model sees.
    kept: Option<String>,
}

/// What every message says of where it is.
pub struct Place {
    /// The session.
    pub session: String,
    /// Its directory.
    pub cwd: String,
    /// The working tree of its project.
    pub root: String,
    /// The agent that the program starts sessions with.
    pub agent: &'static str,
}

impl<'a> Writer<'a> {
    /// Begins the transcript of a session or of one of its sub-agents.
    ///
    /// # Errors
    /// When the beginning cannot be written.
    pub fn begin(
        flavour: &'static Flavour,
        target: &'a Target<'a>,
        agent: Option<&'a Agent>,
        out: &'a mut dyn Write,
    ) -> Result<Self> {
        let header = Header::new(flavour, target, agent)?;
        let place = Place {
            session: header.id.clone(),
            cwd: header.directory.clone(),
            root: header.worktree.clone(),
            agent: flavour.agent,
        };
        let document = (!store::is_usable(flavour, target.env)).then_some(&header);
        let chosen = target.options.model.as_deref().map(models::chosen).transpose()?;
        let source = target.source;
        Ok(Self {
            out: Messages::begin(out, &header.id, document)?,
            minter: Minter::new(&place.session),
            place,
            names: Names::default(),
            fidelity: Fidelity::default(),
            uncounted: Fidelity::default(),
            queue: VecDeque::new(),
            waiting: 0,
            now: source.created.or(source.updated).unwrap_or_default(),
            latest: source.updated,
            model_is_chosen: chosen.is_some(),
            model: chosen.unwrap_or_else(|| models::of_source(&source.harness, source.model.as_deref())),
            asked: None,
            hidden: false,
            compacted: false,
            kept: None,
        })
    }

    fn count(&mut self, in_model: bool) -> &mut Fidelity {
        if in_model { &mut self.fidelity } else { &mut self.uncounted }
    }

    /// Time never goes back, and never beyond the end of the source: the program does not answer
    /// what was said in the future (1.18).
    fn tick(&mut self, time: Option<Time>) {
        let time = time.map(|time| self.latest.map_or(time, |latest| time.min(latest)));
        self.now = time.map_or(self.now, time::to_millis).max(self.now);
    }

    fn push(&mut self, speaker: Speaker, in_model: bool) -> Result<&mut Message> {
        let id = self.minter.message(self.now);
        let parent = self.asked.clone().unwrap_or_else(|| id.clone());
        if matches!(speaker, Speaker::User) {
            self.asked = Some(id.clone());
        }
        if in_model {
            self.kept.get_or_insert_with(|| id.clone());
        }
        let first = self.minter.first_part();
        let now = self.now.timestamp_millis();
        self.queue.push_back(Message::new(speaker, id, parent, self.model.clone(), first, now));
        self.drain(1)?;
        Ok(self.queue.back_mut().expect("it was pushed, and one message stays"))
    }

    /// Writes what waits no longer: messages before the last `keep` ones, as far as their calls are
    /// answered.
    fn drain(&mut self, keep: usize) -> Result<()> {
        while self.queue.len() > keep {
            let full = self.waiting > MOST_WAITING;
            if !full && self.queue.front().is_some_and(Message::is_open) {
                break;
            }
            self.write_first()?;
        }
        Ok(())
    }

    fn write_first(&mut self) -> Result<()> {
        let Some(mut message) = self.queue.pop_front() else { return Ok(()) };
        self.waiting = self.waiting.saturating_sub(message.size());
        self.fidelity.notes.add_many(
            "call.unanswered",
            message.give_up(),
            "a tool call without a result got one that says so",
        );
        self.out.message(&message.line(&self.place, &mut self.minter))
    }

    fn flush(&mut self) -> Result<()> {
        while !self.queue.is_empty() {
            self.write_first()?;
        }
        Ok(())
    }

    /// A message of the user with these parts.
    fn say(&mut self, parts: Vec<Record>, in_model: bool) -> Result<()> {
        let now = self.now.timestamp_millis();
        let size: usize = parts.iter().map(calls::size).sum();
        self.waiting += size;
        let message = self.push(Speaker::User, in_model)?;
        for part in parts {
            message.add(part, now);
        }
        Ok(())
    }

    fn user(&mut self, content: &[Part<'_>], in_model: bool) -> Result<()> {
        let mut parts = Vec::with_capacity(content.len());
        for part in content {
            match part {
                Part::Text(text) if text.is_empty() => {}
                Part::Text(text) => parts.push(calls::text(text)),
                Part::Image(media) | Part::File(media) => {
                    let record = media_part(media, self.count(in_model));
                    parts.push(record);
                }
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        self.count(in_model).kept(Item::User);
        self.say(parts, in_model)
    }

    /// The message of a model response, to add something to it.
    fn answer(&mut self, step: u64, is_call: bool, in_model: bool) -> Result<&mut Message> {
        // What is said after a call would come before it in the same message (1.18).
        let fits = |message: &Message| {
            matches!(message.speaker, Speaker::Model { step: own } if own == step)
                && (is_call || !message.has_calls())
        };
        let last = self.queue.len().saturating_sub(1);
        let found = self.queue.iter().rposition(fits).filter(|place| is_call || *place == last);
        let now = self.now.timestamp_millis();
        match found {
            Some(place) => {
                let message = &mut self.queue[place];
                message.completed = now;
                Ok(message)
            }
            None => self.push(Speaker::Model { step }, in_model),
        }
    }

    fn assistant(
        &mut self,
        content: &[Part<'_>],
        model: Option<&str>,
        step: u64,
        in_model: bool,
    ) -> Result<()> {
        let texts: Vec<Cow<'_, str>> = content
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) if text.is_empty() => None,
                Part::Text(text) => Some(Cow::Borrowed(&**text)),
                Part::Image(media) => Some(Cow::Owned(calls::described("image", media))),
                Part::File(media) => Some(Cow::Owned(calls::described("document", media))),
            })
            .collect();
        let media = content.iter().filter(|part| !matches!(part, Part::Text(_))).count();
        for _ in 0..media {
            self.count(in_model).dropped(
                Item::Image,
                "image.assistant",
                "opencode sends no images in what the assistant says; a line of text says that there was one",
            );
        }
        if texts.is_empty() {
            return Ok(());
        }
        self.count(in_model).kept(Item::Assistant);
        if let (Some(model), false) = (model, self.model_is_chosen) {
            self.model = self.model.like(model);
        }
        let (now, model) = (self.now.timestamp_millis(), self.model.clone());
        self.waiting += texts.iter().map(|text| text.len()).sum::<usize>();
        let message = self.answer(step, false, in_model)?;
        message.model = model;
        for text in texts {
            message.add(calls::text(&text), now);
        }
        Ok(())
    }

    fn reasoning(&mut self, text: &str, step: u64, in_model: bool) -> Result<()> {
        if text.trim().is_empty() {
            self.count(in_model).dropped(
                Item::Reasoning,
                "reasoning.sealed",
                "only the provider that made it can read this reasoning",
            );
            return Ok(());
        }
        self.count(in_model).adapted(
            Item::Reasoning,
            "reasoning.to-text",
            "opencode gives its model the reasoning of another one as plain text, and drops what the provider would \
             have to have signed",
        );
        self.waiting += text.len();
        let now = self.now.timestamp_millis();
        // As text it is glued to what the model said next.
        let text = format!("{}\n\n", text.trim_end());
        let message = self.answer(step, false, in_model)?;
        message.add(Record::Reasoning { text, time: Span { start: now, end: now } }, now);
        Ok(())
    }

    fn call(&mut self, event: &Called<'_>, in_model: bool) -> Result<()> {
        let (input, wrapped) = calls::object(event.input);
        let own = event.row.and_then(|row| tool::counterpart(TOOLS, row).map(|own| (row, own)));
        let renamed = own.and_then(|(row, own)| Some((own.native, arguments::rename(&input, row, own)?)));
        let (name, input) = match renamed {
            Some((name, input)) => (Cow::Borrowed(name), input),
            None => (names::tool(event.name), input),
        };
        let is_shell = own.is_some();
        let changed = own.is_none() && name != event.name;
        let count = self.count(in_model);
        match (wrapped, changed) {
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
                    "a tool's name has characters that providers do not take",
                );
            }
            _ => count.kept(Item::ToolCall),
        }
        let (name, id, now) = (name.into_owned(), self.names.call(event.id), self.now.timestamp_millis());
        self.waiting += input.len();
        let call = Call { theirs: event.id.to_owned(), id, name, input, is_shell, began: now };
        self.answer(event.step, true, in_model)?.call(call, now);
        Ok(())
    }

    fn result(
        &mut self,
        call_id: &str,
        content: &[Part<'_>],
        status: ToolStatus,
        exit_code: Option<i32>,
        in_model: bool,
    ) -> Result<()> {
        let now = self.now.timestamp_millis();
        let waiting = self.queue.iter_mut().rev().find_map(|message| message.waiting_for(call_id));
        let mut answer = calls::Answer { content, status, exit_code, now, fidelity: Fidelity::default() };
        match waiting {
            Some(slot) => {
                self.waiting += slot.end(&mut answer, &self.place.session);
                self.count(in_model).merge(&answer.fidelity);
                self.count(in_model).kept(Item::ToolResult);
            }
            None => {
                let text = answer.text();
                let detail = "a result without its call became a text";
                if text.is_empty() {
                    let detail = "an empty result without its call is nothing";
                    self.count(in_model).dropped(Item::ToolResult, "result.orphan", detail);
                    return Ok(());
                }
                self.count(in_model).adapted(Item::ToolResult, "result.orphan", detail);
                self.say(vec![calls::text(&text)], in_model)?;
            }
        }
        Ok(())
    }

    fn summary(&mut self, text: &str, in_model: bool) -> Result<()> {
        self.flush()?;
        if in_model && self.compacted && !self.hidden {
            // One compaction is all that the program looks at: this summary stands beside the other.
            return if text.trim().is_empty() {
                Ok(())
            } else {
                self.say(vec![calls::synthetic(text)], true)
            };
        }
        let tail = self.kept.take().filter(|_| in_model);
        if tail.is_some() {
            self.fidelity.notes.add(
                "summary.first",
                "opencode tells its model the summary before what the compaction had kept",
            );
        }
        self.hidden &= !in_model;
        self.compacted |= in_model;
        self.say(vec![Record::Compaction { auto: true, tail_start_id: tail }], false)?;
        let text =
            if text.trim().is_empty() { "(There is no summary of what was said before.)" } else { text };
        let now = self.now.timestamp_millis();
        self.push(Speaker::Summary, false)?.add(calls::text(text), now);
        self.flush()
    }

    fn note(&mut self, kind: NoteKind, text: &str, in_model: bool) -> Result<()> {
        let note = match kind {
            NoteKind::UserShell => return self.user_shell(text, in_model),
            NoteKind::Interrupted => "interrupted",
            NoteKind::TaskReport => "task-report",
        };
        let text = match (text.trim(), kind) {
            ("", NoteKind::Interrupted) => "[Request interrupted by user]",
            ("", _) => return Ok(()),
            _ => text,
        };
        let part = Record::Text {
            text: text.to_owned(),
            synthetic: Some(true),
            metadata: Some(NoteMark { holdall: NoteName { note } }),
        };
        self.say(vec![part], in_model)
    }

    /// A command that the user ran, as the program itself writes it down.
    fn user_shell(&mut self, text: &str, in_model: bool) -> Result<()> {
        let Some(rest) = text.strip_prefix("$ ") else {
            return self.say(vec![calls::synthetic(text)], in_model);
        };
        let (command, output) = rest.split_once('\n').unwrap_or((rest, ""));
        self.say(vec![calls::synthetic(BY_USER)], in_model)?;
        let (now, id) = (self.now.timestamp_millis(), self.names.call("user-shell"));
        let mut part = Slot::Open(Call::by_user(id, command, now));
        let content = [Part::Text(Cow::Borrowed(output))];
        let mut answer = calls::Answer {
            content: &content,
            status: ToolStatus::Ok,
            exit_code: None,
            now,
            fidelity: Fidelity::default(),
        };
        part.end(&mut answer, &self.place.session);
        self.push(Speaker::Shell, in_model)?.slot(part, now);
        Ok(())
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
        self.tick(event.time);
        let in_model = event.in_model;
        if !in_model {
            self.hidden = true;
            self.kept = None;
        }
        match &event.kind {
            EventKind::User { content } => self.user(content, in_model),
            EventKind::Assistant { content, model, step } => {
                self.assistant(content, model.as_deref(), *step, in_model)
            }
            EventKind::Reasoning { text, step, .. } => self.reasoning(text, *step, in_model),
            EventKind::ToolCall { call_id, row, name, input, step, .. } => {
                let called = Called { id: call_id, row: *row, name, input, step: *step };
                self.call(&called, in_model)
            }
            EventKind::ToolResult { call_id, content, status, exit_code } => {
                self.result(call_id, content, *status, *exit_code, in_model)
            }
            EventKind::Summary { text } => self.summary(text, in_model),
            EventKind::Note { kind, text } => self.note(*kind, text, in_model),
        }
    }
}

impl TranscriptWriter for Writer<'_> {
    fn finish(mut self: Box<Self>) -> Result<Fidelity> {
        if self.hidden {
            // Nothing has hidden it yet: a compaction that left no summary.
            self.summary("", true)?;
        }
        self.flush()?;
        self.out.finish()?;
        Ok(self.fidelity)
    }
}

fn media_part(media: &Media<'_>, count: &mut Fidelity) -> Record {
    match record::url(media).filter(|_| media.media_type != "text/plain") {
        Some(url) => {
            count.kept(Item::Image);
            Record::File {
                mime: media.media_type.clone().into_owned(),
                filename: media.name.as_deref().map(str::to_owned),
                url,
            }
        }
        None => {
            count.dropped(
                Item::Image,
                "file.not-sent",
                "opencode cannot send a file that is not in the session",
            );
            calls::text(&calls::described("file", media))
        }
    }
}
