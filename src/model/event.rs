//! The transcript: a stream of things that were said and done.
//!
//! A reader pushes events into a [`Sink`], one at a time, borrowed from its line buffer; nobody
//! holds a session in memory. Order is the order in which the model saw them.

use std::borrow::Cow;

use super::time::Time;
use super::tool::{ToolKind, ToolName};
use crate::error::Result;

/// Which part of a session a reader delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// What the harness would send to its model on resume: the live branch, after compaction and
    /// rewinds.
    Model,
    /// The live branch with everything that compaction took out of the model's sight. Those events
    /// come first, with [`Event::in_model`] false, then the [`EventKind::Summary`] that replaced them.
    Full,
}

/// Where an event came from: its native record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// Offset of the record in its file, in bytes.
    pub offset: u64,
    /// Length of the record in bytes, without the line end.
    pub length: u64,
}

/// One thing that was said or done.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// When, as far as the harness recorded it.
    pub time: Option<Time>,
    /// The native record.
    pub origin: Origin,
    /// False for history that a compaction replaced; true for what the model still sees.
    pub in_model: bool,
    /// What happened.
    pub kind: EventKind<'a>,
}

/// The kinds of things that are said and done.
#[derive(Debug, Clone)]
pub enum EventKind<'a> {
    /// The user said this. Injected context is not conversation and never comes as this.
    User {
        /// Text, images and files, in order.
        content: Vec<Part<'a>>,
    },
    /// The assistant said this.
    Assistant {
        /// Text and images, in order.
        content: Vec<Part<'a>>,
        /// The model that said it.
        model: Option<Cow<'a, str>>,
        /// Events of one model response share a step: that is what makes calls parallel.
        step: u64,
    },
    /// The assistant thought this.
    Reasoning {
        /// Readable text; empty when only the provider can read it.
        text: Cow<'a, str>,
        /// What only the provider can read.
        opaque: Option<Opaque<'a>>,
        /// The model response it belongs to.
        step: u64,
    },
    /// The assistant called a tool.
    ToolCall {
        /// Links the call to its result. Unique in a transcript, as delivered by a reader.
        call_id: Cow<'a, str>,
        /// What the tool does.
        tool: ToolKind,
        /// The row of the reader's tool table, when the call's arguments have the shape that it names.
        row: Option<&'static ToolName>,
        /// The harness's own name of the tool.
        name: Cow<'a, str>,
        /// The arguments.
        input: ToolInput<'a>,
        /// The model response it belongs to.
        step: u64,
    },
    /// A tool answered.
    ToolResult {
        /// The call that it answers.
        call_id: Cow<'a, str>,
        /// What the model got to see.
        content: Vec<Part<'a>>,
        /// How it went.
        status: ToolStatus,
        /// Exit code of a command, where one was recorded.
        exit_code: Option<i32>,
    },
    /// A compaction: the model sees this text instead of the events before it that have
    /// [`Event::in_model`] false. What the compaction kept may come before or after it.
    Summary {
        /// The summary.
        text: Cow<'a, str>,
    },
    /// Something the user did outside the dialogue, which the model was told of.
    Note {
        /// What it was.
        kind: NoteKind,
        /// Readable text.
        text: Cow<'a, str>,
    },
}

/// The arguments of a tool call.
#[derive(Debug, Clone)]
pub enum ToolInput<'a> {
    /// A JSON text, exactly as recorded (not necessarily an object).
    Json(Cow<'a, str>),
    /// Free text, for tools that take no JSON.
    Text(Cow<'a, str>),
}

/// A piece of content.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// Plain text.
    Text(Cow<'a, str>),
    /// An image.
    Image(Media<'a>),
    /// A document, such as a PDF.
    File(Media<'a>),
}

/// An image or document.
#[derive(Debug, Clone)]
pub struct Media<'a> {
    /// Such as `image/png`.
    pub media_type: Cow<'a, str>,
    /// The bytes, or where they are.
    pub data: MediaData<'a>,
    /// File name, where one is known.
    pub name: Option<Cow<'a, str>>,
}

/// The bytes of an image or document, or where they are.
#[derive(Debug, Clone)]
pub enum MediaData<'a> {
    /// Standard base64.
    Base64(Cow<'a, str>),
    /// A URL other than `data:`.
    Url(Cow<'a, str>),
}

/// Something only one provider can read, such as a signature or encrypted reasoning.
#[derive(Debug, Clone)]
pub struct Opaque<'a> {
    /// Who can read it, such as `anthropic`.
    pub provider: &'static str,
    /// What it is, such as `signature`.
    pub kind: &'static str,
    /// The data as recorded.
    pub data: Cow<'a, str>,
}

/// How a tool call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolStatus {
    /// It worked.
    Ok,
    /// It failed, and the model was told so.
    Error,
    /// It was stopped before it ended.
    Interrupted,
}

/// What the user did outside the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// Ran a shell command by hand (`!cmd`).
    UserShell,
    /// Interrupted the assistant.
    Interrupted,
    /// A background task of the session reported back.
    TaskReport,
}

/// Takes events, one at a time.
pub trait Sink {
    /// Takes one event. Borrowed text is gone after the call.
    ///
    /// # Errors
    /// When the sink cannot go on (a full disk, say); the reader stops and returns it.
    fn event(&mut self, event: Event<'_>) -> Result<()>;
}

impl<F: FnMut(Event<'_>) -> Result<()>> Sink for F {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        self(event)
    }
}
