//! Calls of tools and their results, in the program's form.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ids::Minter;
use super::record::{self, Attachment, Metadata, Part as Record, Span, State};
use crate::harness::common::arguments;
use crate::model::event::{Media, ToolInput};
use crate::model::{Fidelity, Item, Part, ToolStatus};

/// A part of a message, or a call that will be one.
#[derive(Debug)]
pub enum Slot {
    /// A part.
    Done(Record),
    /// A call without a result.
    Open(Call),
}

/// A call.
#[derive(Debug)]
pub struct Call {
    /// Its id at the source.
    pub theirs: String,
    /// Its id here.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, an object in one line.
    pub input: String,
    /// Whether it runs a command: the screen shows what it printed.
    pub is_shell: bool,
    /// When, in milliseconds since 1970.
    pub began: i64,
}

/// A result of a call, as its event tells.
pub struct Answer<'e> {
    /// What the model got to see.
    pub content: &'e [Part<'e>],
    /// How it went.
    pub status: ToolStatus,
    /// Exit code of a command.
    pub exit_code: Option<i32>,
    /// When, in milliseconds since 1970.
    pub now: i64,
    /// What became of its images.
    pub fidelity: Fidelity,
}

impl Call {
    /// A command that the user ran by hand.
    pub fn by_user(id: String, command: &str, now: i64) -> Self {
        let input = serde_json::json!({"command": command}).to_string();
        Self { theirs: String::new(), id, name: "bash".to_owned(), input, is_shell: true, began: now }
    }
}

impl Slot {
    /// Whether it is a call, answered or not.
    pub fn is_call(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Done(Record::Tool { .. }))
    }

    /// The call has its result; how many bytes that are.
    pub fn end(&mut self, answer: &mut Answer<'_>, session: &str) -> usize {
        let Self::Open(call) = self else { return 0 };
        let input = RawValue::from_string(std::mem::take(&mut call.input));
        let input = input.unwrap_or_else(|_| RawValue::NULL.to_owned());
        let time = Span { start: call.began.min(answer.now), end: answer.now };
        let (tool, call_id) = (std::mem::take(&mut call.name), std::mem::take(&mut call.id));
        let is_shell = call.is_shell;
        let state = match answer.status {
            ToolStatus::Ok => {
                let output = answer.text();
                let metadata = Metadata {
                    interrupted: None,
                    output: is_shell.then(|| output.clone()),
                    exit: answer.exit_code,
                };
                let attachments = answer.attachments(session);
                State::Completed { input, output, title: String::new(), metadata, time, attachments }
            }
            ToolStatus::Error => {
                answer.drop_media();
                let error = answer.failure();
                State::Error { input, error, metadata: Metadata::default(), time }
            }
            ToolStatus::Interrupted => {
                answer.drop_media();
                let output = answer.text();
                let error = "Tool execution aborted".to_owned();
                let output = if output.is_empty() { error.clone() } else { output };
                let metadata = Metadata { interrupted: Some(true), output: Some(output), exit: None };
                State::Error { input, error, metadata, time }
            }
        };
        *self = Self::Done(Record::Tool { tool, call_id, state });
        if let Self::Done(part) = self { size(part) } else { 0 }
    }

    /// Ends the call without a result. False when it has one.
    pub fn give_up(&mut self) -> bool {
        let Self::Open(call) = self else { return false };
        let content = [Part::Text("[The result of this call was not recorded.]".into())];
        let now = call.began;
        let mut answer = Answer {
            content: &content,
            status: ToolStatus::Interrupted,
            exit_code: None,
            now,
            fidelity: Fidelity::default(),
        };
        self.end(&mut answer, "");
        true
    }

    /// Gives the images of a result their ids.
    pub fn name_attachments(&mut self, message: &str, minter: &mut Minter, first: u64) {
        let Self::Done(Record::Tool { state: State::Completed { attachments, .. }, .. }) = self else {
            return;
        };
        for (attachment, place) in attachments.iter_mut().zip(first..) {
            attachment.id = minter.part(place);
            message.clone_into(&mut attachment.message_id);
        }
    }
}

impl Answer<'_> {
    /// Its texts, with a line for each file that cannot be sent.
    pub fn text(&self) -> String {
        let texts: Vec<Cow<'_, str>> = self
            .content
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(Cow::Borrowed(&**text)),
                Part::Image(media) | Part::File(media)
                    if self.status != ToolStatus::Ok || record::url(media).is_none() =>
                {
                    Some(described("file", media).into())
                }
                Part::Image(_) | Part::File(_) => None,
            })
            .collect();
        texts.join("\n")
    }

    /// What the model reads of a failure. Not every provider has a flag for it.
    fn failure(&self) -> String {
        let text = self.text();
        match self.exit_code {
            _ if shows_failure(&text) => text,
            Some(code) if code != 0 => format!("Exit code: {code}\n{text}"),
            _ if text.is_empty() => "Error: the tool failed and said nothing".to_owned(),
            _ => format!("Error: {text}"),
        }
    }

    fn attachments(&mut self, session: &str) -> Vec<Attachment> {
        let mut attachments = Vec::new();
        for part in self.content {
            let (Part::Image(media) | Part::File(media)) = part else { continue };
            let Some(url) = record::url(media) else {
                self.fidelity.dropped(Item::Image, "file.not-sent", NOT_SENT);
                continue;
            };
            self.fidelity.kept(Item::Image);
            attachments.push(Attachment {
                kind: "file",
                mime: media.media_type.clone().into_owned(),
                filename: media.name.as_deref().map(str::to_owned),
                url,
                id: String::new(),
                session_id: session.to_owned(),
                message_id: String::new(),
            });
        }
        attachments
    }

    fn drop_media(&mut self) {
        for part in self.content {
            if !matches!(part, Part::Text(_)) {
                let detail = "opencode has no images in the result of a call that failed";
                self.fidelity.dropped(Item::Image, "image.failed", detail);
            }
        }
    }
}

const NOT_SENT: &str = "opencode cannot send a file that is not in the session";

/// Whether a model that reads `text` sees that the call failed.
fn shows_failure(text: &str) -> bool {
    let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let code = |line: &str| {
        ["Exit code: ", "Exit code ", "Process exited with code "]
            .iter()
            .find_map(|known| line.strip_prefix(known))
            .and_then(|code| code.trim().parse::<i32>().ok())
    };
    begins("error")
        || begins("failed")
        || begins("<tool_use_error>")
        || text
            .lines()
            .take(6)
            .take_while(|line| *line != "Output:")
            .find_map(code)
            .is_some_and(|code| code != 0)
}

/// The arguments as an object, and whether they had to be put into one.
pub fn object(input: &ToolInput<'_>) -> (String, bool) {
    match input {
        ToolInput::Json(json) => arguments::object(json),
        ToolInput::Text(text) => (format!("{{\"input\":{}}}", serde_json::Value::from(&**text)), true),
    }
}

/// A text that somebody said.
pub fn text(text: &str) -> Record {
    Record::Text { text: text.to_owned(), synthetic: None, metadata: None }
}

/// A text that the model gets and nobody typed.
pub fn synthetic(text: &str) -> Record {
    Record::Text { text: text.to_owned(), synthetic: Some(true), metadata: None }
}

/// A line of text that stands for a file.
pub fn described(what: &str, media: &Media<'_>) -> String {
    let name = media.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("[{what}{name}, {}: not carried]", media.media_type)
}

/// About how much memory a part takes, in bytes.
pub fn size(part: &Record) -> usize {
    match part {
        Record::Text { text, .. } | Record::Reasoning { text, .. } => text.len(),
        Record::File { url, .. } => url.len(),
        Record::Compaction { .. } => 0,
        Record::Tool { state: State::Completed { input, output, metadata, attachments, .. }, .. } => {
            let files: usize = attachments.iter().map(|file| file.url.len()).sum();
            input.get().len() + output.len() + metadata.output.as_ref().map_or(0, String::len) + files
        }
        Record::Tool { state: State::Error { input, error, .. }, .. } => input.get().len() + error.len(),
    }
}
