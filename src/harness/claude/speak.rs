//! One message → its events.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::index::Marks;
use super::loose::{Text, parse_prefix, record};
use super::native::{Attachment, Block, Content, MediaSource, Message};
use super::text::{Spoken, classify, exit_code, is_interruption, without_last_reminder};
use super::tools::TOOLS;
use crate::error::Result;
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::tool::{self, ToolName};
use crate::model::{
    Event, EventKind, NoteKind, Notes, Opaque, Origin, Part, Sink, Time, ToolKind, ToolStatus,
};

/// The model that the program names when it speaks itself.
const SYNTHETIC: &str = "<synthetic>";

/// What all events of one row share.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// When.
    pub time: Option<Time>,
    /// The row.
    pub origin: Origin,
    /// Whether the model sees it.
    pub in_model: bool,
}

/// Turns messages into events.
pub struct Speaker<'s> {
    sink: &'s mut dyn Sink,
    held: Option<(At, Held)>,
    calls: HashMap<u64, Call>,
    notes: Notes,
    context: u64,
    mentions: u64,
    unknown: u64,
}

/// What waits for the next row to show what it is.
enum Held {
    /// A slash command. One that makes the model work is the user's prompt; one of the program's
    /// own prints something instead.
    Command(String),
    /// A command line run by hand, whose output follows.
    Shell(String),
}

/// The last call of an id. Small: a transcript of gigabytes has hundreds of thousands.
#[derive(Default)]
struct Call {
    /// Behind the id that it was delivered with; 0: it was delivered with its own.
    number: u32,
    answered: bool,
}

impl Call {
    /// The id that it was delivered with, where that is another.
    fn alias(&self, id: &str) -> Option<String> {
        (self.number > 0).then(|| format!("{id}-{}", self.number))
    }
}

impl<'s> Speaker<'s> {
    /// Delivers into `sink`.
    pub fn new(sink: &'s mut dyn Sink) -> Self {
        Self {
            sink,
            held: None,
            calls: HashMap::new(),
            notes: Notes::default(),
            context: 0,
            mentions: 0,
            unknown: 0,
        }
    }

    /// Delivers what was held back, and tells what is worth knowing.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn finish(mut self) -> Result<Notes> {
        self.release(false)?;
        let open = self.calls.values().filter(|call| !call.answered).count() as u64;
        for (code, count, detail) in [
            ("call.unanswered", open, "a tool call has no result"),
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
            ("block.unknown", self.unknown, "content of an unknown type was left out"),
        ] {
            self.notes.add_many(code, count, detail);
        }
        Ok(self.notes)
    }

    /// A user row.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn user(&mut self, at: At, marks: Marks, message: Message<'_>) -> Result<()> {
        if marks.has(Marks::SUMMARY) {
            self.release(false)?;
            let text = joined(&message.content);
            return self.event(at, EventKind::Summary { text });
        }
        let blocks = match message.content {
            Content::Nothing => return Ok(()),
            Content::Text(text) => {
                vec![Block { kind: Text(Some("text".into())), text: Text(Some(text)), ..Block::default() }]
            }
            Content::Blocks(blocks) => blocks,
        };
        let mut said = Vec::new();
        for block in &blocks {
            if block.kind.is("tool_result") {
                self.result(at, block)?;
            } else if marks.has(Marks::META) {
                self.context += 1;
            } else if let (true, Some(text)) = (block.kind.is("text"), block.text.get()) {
                self.user_text(at, marks, text, &mut said)?;
            } else if let Some(part) = self.part(block) {
                said.push(part);
            }
        }
        self.say(at, said)
    }

    /// An assistant row.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn assistant(&mut self, at: At, step: u64, message: Message<'_>) -> Result<()> {
        if message.model.is(SYNTHETIC) {
            return Ok(());
        }
        self.release(true)?;
        let model = message.model.0;
        match message.content {
            Content::Nothing => {}
            Content::Text(text) => self.assistant_text(at, step, model.as_deref(), &text)?,
            Content::Blocks(blocks) => {
                for block in &blocks {
                    self.assistant_block(at, step, model.as_deref(), block)?;
                }
            }
        }
        Ok(())
    }

    /// An attachment that may be the user's: a prompt typed while the model worked, or a picture
    /// mentioned with `@`.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn attachment(&mut self, at: At, attachment: &Attachment<'_>) -> Result<()> {
        if attachment.kind.is("file") {
            let file = &attachment.content.file;
            let (true, Some(data)) = (attachment.content.kind.is("image"), file.base64.get()) else {
                self.mentions += 1;
                return Ok(());
            };
            let name = attachment.filename.get().and_then(|path| path.rsplit(['/', '\\']).next());
            let media = Media {
                media_type: file.media_type.get().unwrap_or("image/png").into(),
                data: MediaData::Base64(data.into()),
                name: name.map(Cow::Borrowed),
            };
            return self.say(at, vec![Part::Image(media)]);
        }
        let task = attachment.mode.is("task-notification")
            || attachment.origin.kind.get().is_some_and(|kind| kind != "human");
        if attachment.meta.0 && !task {
            self.context += 1;
            return Ok(());
        }
        let mut marks = Marks::default();
        if task {
            marks = Marks::TASK;
        }
        let mut said = Vec::new();
        match &attachment.prompt {
            Content::Nothing => {}
            Content::Text(text) => self.user_text(at, marks, text, &mut said)?,
            Content::Blocks(blocks) => {
                for block in blocks {
                    if let (true, Some(text)) = (block.kind.is("text"), block.text.get()) {
                        self.user_text(at, marks, text, &mut said)?;
                    } else if let Some(part) = self.part(block) {
                        said.push(part);
                    }
                }
            }
        }
        self.say(at, said)
    }

    fn user_text<'t>(&mut self, at: At, marks: Marks, text: &'t str, said: &mut Vec<Part<'t>>) -> Result<()> {
        match classify(text) {
            Spoken::Words(text) if marks.has(Marks::TASK) => self.note(at, NoteKind::TaskReport, &text)?,
            Spoken::Words(text) => said.push(Part::Text(text)),
            Spoken::Context => self.context += 1,
            Spoken::Command(line) => {
                self.release(false)?;
                self.held = Some((at, Held::Command(line)));
            }
            Spoken::CommandOutput => {
                self.context += 1;
                self.held.take_if(|(_, held)| matches!(held, Held::Command(_)));
            }
            Spoken::Shell(line) => {
                self.release(false)?;
                self.held = Some((at, Held::Shell(format!("$ {line}"))));
            }
            Spoken::ShellOutput(output) => match self.held.take() {
                Some((at, Held::Shell(line))) => {
                    let text = if output.is_empty() { line } else { format!("{line}\n{output}") };
                    self.note(at, NoteKind::UserShell, &text)?;
                }
                held => {
                    self.held = held;
                    self.note(at, NoteKind::UserShell, &output)?;
                }
            },
            Spoken::Report(text) => self.note(at, NoteKind::TaskReport, &text)?,
            Spoken::Interrupted(text) => self.note(at, NoteKind::Interrupted, text)?,
        }
        Ok(())
    }

    /// Delivers what was held back. A slash command is the user's prompt if the model answers it.
    fn release(&mut self, answered: bool) -> Result<()> {
        match self.held.take() {
            Some((at, Held::Command(line))) if answered => {
                self.event(at, EventKind::User { content: vec![Part::Text(line.into())] })
            }
            Some((_, Held::Command(_))) => {
                self.context += 1;
                Ok(())
            }
            Some((at, Held::Shell(text))) => {
                self.event(at, EventKind::Note { kind: NoteKind::UserShell, text: text.into() })
            }
            None => Ok(()),
        }
    }

    fn say(&mut self, at: At, content: Vec<Part<'_>>) -> Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        self.release(false)?;
        self.event(at, EventKind::User { content })
    }

    fn note(&mut self, at: At, kind: NoteKind, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.release(false)?;
        self.event(at, EventKind::Note { kind, text: text.into() })
    }

    fn assistant_text(&mut self, at: At, step: u64, model: Option<&str>, text: &str) -> Result<()> {
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed == "(no content)" {
            return Ok(());
        }
        let content = vec![Part::Text(text.into())];
        self.event(at, EventKind::Assistant { content, model: model.map(Cow::Borrowed), step })
    }

    fn assistant_block(&mut self, at: At, step: u64, model: Option<&str>, block: &Block<'_>) -> Result<()> {
        match block.kind.get() {
            Some("text") => self.assistant_text(at, step, model, block.text.get().unwrap_or_default()),
            Some("thinking") => {
                let opaque = block.signature.get().filter(|signature| !signature.is_empty());
                self.reasoning(
                    at,
                    step,
                    block.thinking.get().unwrap_or_default(),
                    opaque.map(|data| ("signature", data)),
                )
            }
            Some("redacted_thinking") => {
                self.reasoning(at, step, "", block.data.get().map(|data| ("redacted", data)))
            }
            Some("tool_use") => self.call(at, step, block),
            _ => {
                self.unknown += 1;
                Ok(())
            }
        }
    }

    fn reasoning(
        &mut self,
        at: At,
        step: u64,
        text: &str,
        opaque: Option<(&'static str, &str)>,
    ) -> Result<()> {
        if text.is_empty() && opaque.is_none() {
            return Ok(());
        }
        let opaque = opaque.map(|(kind, data)| Opaque { provider: "anthropic", kind, data: data.into() });
        self.event(at, EventKind::Reasoning { text: text.into(), opaque, step })
    }

    fn call(&mut self, at: At, step: u64, block: &Block<'_>) -> Result<()> {
        let name = block.name.get().unwrap_or_default();
        let input = block.input.0.map_or("{}", |raw| raw.get());
        let row = tool::find(TOOLS, name);
        let id = block.id.get().unwrap_or_default();
        let mut call = Call::default();
        if let Some(earlier) = self.calls.get(&hash(id)) {
            if !earlier.answered {
                self.notes.add("call.unanswered", "a tool call has no result");
            }
            self.notes.add("call.renamed", "two tool calls had the same id");
            call.number = earlier.number.max(1);
            let alias = loop {
                call.number += 1;
                let alias = hash(&format!("{id}-{}", call.number));
                if !self.calls.contains_key(&alias) {
                    break alias;
                }
            };
            self.calls.insert(alias, Call { answered: true, ..Call::default() });
        }
        let call_id = Cow::Owned(call.alias(id).unwrap_or_else(|| id.to_owned()));
        self.calls.insert(hash(id), call);
        let kind = EventKind::ToolCall {
            call_id,
            tool: row.map_or(ToolKind::Other, |row| row.kind),
            row: row.filter(|row| has_shape(row, input)),
            name: name.into(),
            input: ToolInput::Json(input.into()),
            step,
        };
        self.event(at, kind)
    }

    fn result(&mut self, at: At, block: &Block<'_>) -> Result<()> {
        let id = block.tool_use_id.get().unwrap_or_default();
        let mut call_id = Cow::Borrowed(id);
        match self.calls.get_mut(&hash(id)) {
            Some(call) if call.answered => {
                self.notes.add("result.doubled", "a tool call has more than one result; the first counts");
                return Ok(());
            }
            Some(call) => {
                call.answered = true;
                if let Some(alias) = call.alias(id) {
                    call_id = Cow::Owned(alias);
                }
            }
            None => self.notes.add("result.orphan", "a tool result answers no call"),
        }
        let mut content = Vec::new();
        match &block.content {
            Content::Nothing => {}
            Content::Text(text) => content.push(Part::Text(without_last_reminder(text).into())),
            Content::Blocks(blocks) => content.extend(blocks.iter().filter_map(|block| self.part(block))),
        }
        let first = match content.first() {
            Some(Part::Text(text)) => text.as_ref(),
            _ => "",
        };
        let failed = block.is_error.0;
        let status = match failed {
            true if is_interruption(first) => ToolStatus::Interrupted,
            true => ToolStatus::Error,
            false => ToolStatus::Ok,
        };
        let exit_code = if failed { exit_code(first) } else { None };
        self.release(false)?;
        self.event(at, EventKind::ToolResult { call_id, content, status, exit_code })
    }

    /// A block as a piece of content.
    fn part<'b>(&mut self, block: &'b Block<'_>) -> Option<Part<'b>> {
        let part = match block.kind.get() {
            Some("text") => block.text.get().map(|text| Part::Text(without_last_reminder(text).into())),
            Some("image") => media(&block.source, block).map(Part::Image),
            Some("document") if block.source.kind.is("text") => {
                block.source.data.get().map(|text| Part::Text(text.into()))
            }
            Some("document") => media(&block.source, block).map(Part::File),
            Some("tool_reference") => block.tool_name.get().map(|name| Part::Text(name.into())),
            _ => None,
        };
        self.unknown += u64::from(part.is_none());
        part
    }

    fn event(&mut self, at: At, kind: EventKind<'_>) -> Result<()> {
        self.sink.event(Event { time: at.time, origin: at.origin, in_model: at.in_model, kind })
    }
}

fn media<'b>(source: &'b MediaSource<'_>, block: &'b Block<'_>) -> Option<Media<'b>> {
    let data = match source.kind.get()? {
        "base64" => MediaData::Base64(source.data.get()?.into()),
        "url" => MediaData::Url(source.url.get()?.into()),
        _ => return None,
    };
    let usual = if block.kind.is("document") { "application/pdf" } else { "image/png" };
    let media_type = source.media_type.get().unwrap_or(usual);
    Some(Media { media_type: media_type.into(), data, name: block.title.get().map(Cow::Borrowed) })
}

/// All text of a message.
fn joined<'c>(content: &'c Content<'_>) -> Cow<'c, str> {
    match content {
        Content::Nothing => Cow::Borrowed(""),
        Content::Text(text) => Cow::Borrowed(text),
        Content::Blocks(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block.text.get()).collect();
            Cow::Owned(texts.join("\n"))
        }
    }
}

record! {
    /// The arguments of a tool whose row of the table names them.
    ShellInput {
        /// The command line.
        "command" => command: Text<'a>,
    }
}

/// Whether the arguments have the shape that the row of the table promises.
fn has_shape(row: &ToolName, input: &str) -> bool {
    !row.arguments.is_empty()
        && parse_prefix::<ShellInput<'_>>(input.as_bytes()).is_ok_and(|input| input.command.0.is_some())
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
