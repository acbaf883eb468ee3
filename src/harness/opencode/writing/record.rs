//! The records that holdall writes: elements of the `messages` of an export of opencode 1.18, whose
//! strict importer and server check every member that is required here.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::model::event::{Media, MediaData};

/// One line of `messages.jsonl`.
#[derive(Serialize)]
pub struct Line<'a> {
    /// The message.
    pub info: Info<'a>,
    /// What it consists of.
    pub parts: Vec<Placed<'a>>,
    /// When the message and then each part was made and changed.
    pub times: Vec<[i64; 2]>,
}

/// A message.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Info<'a> {
    /// The user said this.
    User(User<'a>),
    /// The model answered this, in one response.
    Assistant(Assistant<'a>),
}

/// A message of the user. Without a model the program's server refuses the whole session.
#[derive(Serialize)]
pub struct User<'a> {
    /// `user`.
    pub role: &'static str,
    /// When.
    pub time: Created,
    /// The agent that was to answer.
    pub agent: &'static str,
    /// The model that was to answer.
    pub model: ModelOf<'a>,
    /// Its id.
    pub id: &'a str,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: &'a str,
}

/// An instant in milliseconds since 1970.
#[derive(Serialize)]
pub struct Created {
    /// When.
    pub created: i64,
}

/// The model of a message of the user.
#[derive(Serialize)]
pub struct ModelOf<'a> {
    /// Who serves it.
    #[serde(rename = "providerID")]
    pub provider: &'a str,
    /// Its name there.
    #[serde(rename = "modelID")]
    pub model: &'a str,
}

/// One response of the model.
#[derive(Serialize)]
pub struct Assistant<'a> {
    /// The message of the user that it answers.
    #[serde(rename = "parentID")]
    pub parent_id: &'a str,
    /// `assistant`.
    pub role: &'static str,
    /// The agent, under its older name.
    pub mode: &'static str,
    /// The agent.
    pub agent: &'static str,
    /// Where it worked.
    pub path: Paths<'a>,
    /// True for the answer to a compaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<bool>,
    /// What it cost; not known.
    pub cost: u32,
    /// A number here could make the program compact the history at once.
    pub tokens: Tokens,
    /// The model's name.
    #[serde(rename = "modelID")]
    pub model: &'a str,
    /// Who serves it.
    #[serde(rename = "providerID")]
    pub provider: &'a str,
    /// When.
    pub time: Completed,
    /// `stop` or `tool-calls`.
    pub finish: &'static str,
    /// Its id.
    pub id: &'a str,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: &'a str,
}

/// Where an answer was made.
#[derive(Serialize)]
pub struct Paths<'a> {
    /// The directory of the session.
    pub cwd: &'a str,
    /// The working tree of its project.
    pub root: &'a str,
}

/// Counted tokens.
#[derive(Default, Serialize)]
pub struct Tokens {
    input: u32,
    output: u32,
    reasoning: u32,
    cache: Cache,
}

#[derive(Default, Serialize)]
struct Cache {
    read: u32,
    write: u32,
}

/// When an answer began and ended, in milliseconds since 1970.
#[derive(Serialize)]
pub struct Completed {
    /// It began.
    pub created: i64,
    /// It ended.
    pub completed: i64,
}

/// A part with its place.
#[derive(Serialize)]
pub struct Placed<'a> {
    /// The part.
    #[serde(flatten)]
    pub part: &'a Part,
    /// Its id.
    pub id: &'a str,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: &'a str,
    /// Its message.
    #[serde(rename = "messageID")]
    pub message_id: &'a str,
}

/// A part of a message.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Part {
    /// Plain text.
    Text {
        /// The text.
        text: String,
        /// True when nobody typed it.
        #[serde(skip_serializing_if = "Option::is_none")]
        synthetic: Option<bool>,
        /// What it is, when it is a note.
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata: Option<NoteMark>,
    },
    /// What the model thought.
    Reasoning {
        /// The text.
        text: String,
        /// When.
        time: Span,
    },
    /// An image or document.
    File {
        /// Such as `image/png`.
        mime: String,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
        /// `data:` or `https:`; with any other the program cannot send the session.
        url: String,
    },
    /// A call of a tool with its result.
    Tool {
        /// The tool.
        tool: String,
        /// `[A-Za-z0-9_-]{1,64}`, as providers want it.
        #[serde(rename = "callID")]
        call_id: String,
        /// How it went.
        state: State,
    },
    /// All before this is out of the model's sight.
    Compaction {
        /// Whether the program began it.
        auto: bool,
        /// The first message that the model sees all the same, after the summary.
        #[serde(skip_serializing_if = "Option::is_none")]
        tail_start_id: Option<String>,
    },
}

/// What a text is that nobody typed, for holdall's own reader: the program keeps it and ignores it.
#[derive(Debug, Serialize)]
pub struct NoteMark {
    /// Ours.
    pub holdall: NoteName,
}

/// A kind of note.
#[derive(Debug, Serialize)]
pub struct NoteName {
    /// `interrupted` or `task-report`.
    pub note: &'static str,
}

/// How a call went.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum State {
    /// It ended. A command that failed has ended too.
    Completed {
        /// The arguments, an object.
        input: Box<RawValue>,
        /// What the model got to see.
        output: String,
        /// A line for the screen.
        title: String,
        /// What the screen shows.
        metadata: Metadata,
        /// When.
        time: Span,
        /// Images and documents.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
    },
    /// It failed.
    Error {
        /// The arguments, an object.
        input: Box<RawValue>,
        /// What the model got to see, unless the metadata say that it was interrupted.
        error: String,
        /// What it said before it was interrupted.
        #[serde(skip_serializing_if = "Metadata::is_empty")]
        metadata: Metadata,
        /// When.
        time: Span,
    },
}

/// What is known of a call beside its result.
#[derive(Debug, Default, Serialize)]
pub struct Metadata {
    /// True when it was stopped. Then the model gets `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<bool>,
    /// What a command printed: the screen shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Exit code of a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

impl Metadata {
    fn is_empty(&self) -> bool {
        self.interrupted.is_none() && self.output.is_none() && self.exit.is_none()
    }
}

/// When something began and ended, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Span {
    /// It began.
    pub start: i64,
    /// It ended.
    pub end: i64,
}

/// An image or document in the result of a call: a part inside a part, with ids of its own.
#[derive(Debug, Serialize)]
pub struct Attachment {
    /// `file`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Such as `image/png`.
    pub mime: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// `data:` or `https:`.
    pub url: String,
    /// Its id.
    pub id: String,
    /// Its session.
    #[serde(rename = "sessionID")]
    pub session_id: String,
    /// Its message.
    #[serde(rename = "messageID")]
    pub message_id: String,
}

/// The URL of an image or document that the program can send; `None` when it could not.
pub fn url(media: &Media<'_>) -> Option<String> {
    match &media.data {
        MediaData::Base64(data) => Some(format!("data:{};base64,{data}", media.media_type)),
        MediaData::Url(url) if url.starts_with("https://") || url.starts_with("http://") => {
            Some(url.clone().into_owned())
        }
        MediaData::Url(_) => None,
    }
}

/// `session.json`.
#[derive(Serialize)]
pub struct SessionFile<'a> {
    /// The session.
    pub info: Session<'a>,
    /// The list of tasks; the program keeps it beside the session.
    pub todos: [(); 0],
}

/// A session.
#[derive(Serialize)]
pub struct Session<'a> {
    /// Its id.
    pub id: &'a str,
    /// A readable name for files that belong to it.
    pub slug: &'a str,
    /// Its project.
    #[serde(rename = "projectID")]
    pub project_id: &'a str,
    /// Where it goes on.
    pub directory: &'a str,
    /// The same, below the project's working tree.
    pub path: &'a str,
    /// The session that started it.
    #[serde(rename = "parentID", skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<&'a str>,
    /// What the list shows.
    pub title: &'a str,
    /// The model that it goes on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<SessionModel<'a>>,
    /// Version of the program whose form it has.
    pub version: &'a str,
    /// What it cost; not known.
    pub cost: u32,
    /// Not known.
    pub tokens: Tokens,
    /// When.
    pub time: Updated,
}

/// The model of a session.
#[derive(Serialize)]
pub struct SessionModel<'a> {
    /// Its name.
    pub id: &'a str,
    /// Who serves it.
    #[serde(rename = "providerID")]
    pub provider: &'a str,
}

/// When a session began and last changed, in milliseconds since 1970.
#[derive(Serialize)]
pub struct Updated {
    /// It began.
    pub created: i64,
    /// It changed.
    pub updated: i64,
}
