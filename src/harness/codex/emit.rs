//! The records that holdall writes: the legacy form of a rollout, which every Codex from 0.60 to
//! 0.169 lists and resumes. (Newer versions write another form, but read this one, and their own
//! importer writes it too.)

use std::fmt;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::model::event::{Media, MediaData};

/// One line.
#[derive(Serialize)]
pub struct Line<'a, P> {
    /// RFC 3339.
    pub timestamp: &'a str,
    /// The kind of the record.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its content.
    pub payload: P,
}

/// Writes one line.
///
/// # Errors
/// What `out` returns.
pub fn line(
    out: &mut impl Write,
    timestamp: &str,
    kind: &'static str,
    payload: impl Serialize,
) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { timestamp, kind, payload })?;
    out.write_all(b"\n")
}

/// `session_meta`. No `history_mode`: that makes it the legacy form.
#[derive(Serialize)]
pub struct SessionMeta<'a> {
    /// The thread at the root.
    pub session_id: &'a str,
    /// The thread.
    pub id: &'a str,
    /// For a sub-agent: the thread that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_thread_id: Option<&'a str>,
    /// When it began.
    pub timestamp: &'a str,
    /// Its directory.
    pub cwd: &'a str,
    /// The program that wrote it.
    pub originator: &'static str,
    /// The version of Codex whose form it has.
    pub cli_version: &'static str,
    /// `cli`, so that it is listed; for a sub-agent, which is not, where it comes from.
    pub source: Origin<'a>,
    /// `user` or `subagent`.
    pub thread_source: &'static str,
    /// Name of a sub-agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_nickname: Option<&'a str>,
    /// Kind of a sub-agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_role: Option<&'a str>,
    /// One that is configured here: Codex does not resume otherwise.
    pub model_provider: &'a str,
    /// The repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git<'a>>,
}

/// Where a thread comes from.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin<'a> {
    /// The user began it.
    Cli,
    /// Another thread began it.
    Subagent(Spawn<'a>),
}

/// Which other thread began it.
#[derive(Serialize)]
pub struct Spawn<'a> {
    /// How.
    pub thread_spawn: ThreadSpawn<'a>,
}

/// A call of `spawn_agent`.
#[derive(Serialize)]
pub struct ThreadSpawn<'a> {
    /// The thread that called.
    pub parent_thread_id: &'a str,
    /// 1 for an agent of the root.
    pub depth: u32,
    /// Its path among the agents of a team; there is none.
    pub agent_path: Option<&'a str>,
    /// Its name.
    pub agent_nickname: Option<&'a str>,
    /// Its kind.
    pub agent_role: Option<&'a str>,
}

/// The repository.
#[derive(Serialize)]
pub struct Git<'a> {
    /// Full id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_hash: Option<&'a str>,
    /// None when detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<&'a str>,
    /// Without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<&'a str>,
}

/// `response_item`: what the model gets.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item<'a> {
    /// Somebody said this.
    Message {
        /// `user` or `assistant`.
        role: &'static str,
        /// Never plain text: Codex refuses that.
        content: &'a [Content<'a>],
    },
    /// The assistant called a tool that takes JSON.
    FunctionCall {
        /// `[A-Za-z0-9_-]{1,64}`.
        name: &'a str,
        /// JSON in text form.
        arguments: &'a str,
        /// `[A-Za-z0-9_-]{1,64}`.
        call_id: &'a str,
    },
    /// It answered.
    FunctionCallOutput {
        /// The call.
        call_id: &'a str,
        /// What it answered.
        output: Output<'a>,
    },
    /// The assistant called a tool that takes text.
    CustomToolCall {
        /// `completed`.
        status: &'static str,
        /// As above.
        call_id: &'a str,
        /// As above.
        name: &'a str,
        /// Free text.
        input: &'a str,
    },
    /// It answered.
    CustomToolCallOutput {
        /// The call.
        call_id: &'a str,
        /// What it answered.
        output: Output<'a>,
    },
}

/// The output of a tool.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Output<'a> {
    /// Plain text.
    Text(&'a str),
    /// Text and images.
    Parts(&'a [Content<'a>]),
}

/// A part of a message or output.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content<'a> {
    /// Text that the model reads.
    InputText {
        /// The text.
        text: &'a str,
    },
    /// Text that the model wrote.
    OutputText {
        /// The text.
        text: &'a str,
    },
    /// An image.
    InputImage {
        /// Where it is, or a `data:` URL with its bytes.
        image_url: Url<'a>,
    },
}

impl Content<'_> {
    /// Bytes that it holds.
    pub fn len(&self) -> usize {
        match self {
            Self::InputText { text } | Self::OutputText { text } => text.len(),
            Self::InputImage { image_url: Url(media) } => match &media.data {
                MediaData::Base64(data) | MediaData::Url(data) => data.len(),
            },
        }
    }
}

/// Where an image is: its own URL, or a `data:` URL with its bytes.
pub struct Url<'a>(pub &'a Media<'a>);

impl fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.data {
            MediaData::Base64(data) => write!(f, "data:{};base64,{data}", self.0.media_type),
            MediaData::Url(url) => f.write_str(url),
        }
    }
}

impl Serialize for Url<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `event_msg`: what the screen and the list show.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UiEvent<'a> {
    /// A turn begins.
    TaskStarted {
        /// The turn.
        turn_id: &'a str,
        /// Seconds since 1970.
        started_at: i64,
        /// Not known.
        model_context_window: Option<u64>,
        /// `default`.
        collaboration_mode_kind: &'static str,
    },
    /// The user said this. The first one is what the list shows.
    UserMessage {
        /// The text.
        message: &'a str,
        /// URLs.
        images: Vec<Url<'a>>,
        /// None.
        local_images: [&'a str; 0],
        /// None.
        text_elements: [&'a str; 0],
    },
    /// The assistant said this.
    AgentMessage {
        /// The text.
        message: &'a str,
    },
    /// The assistant thought this.
    AgentReasoning {
        /// The text.
        text: &'a str,
    },
    /// A turn ends.
    TaskComplete {
        /// The turn.
        turn_id: &'a str,
        /// The last thing the assistant said in it.
        last_agent_message: Option<&'a str>,
        /// Seconds since 1970.
        started_at: i64,
        /// Seconds since 1970.
        completed_at: i64,
    },
    /// The user ended a turn.
    TurnAborted {
        /// The turn.
        turn_id: &'a str,
        /// `interrupted`.
        reason: &'static str,
    },
}

/// `compacted`: from here on the model sees only these items.
#[derive(Serialize)]
pub struct Compacted<'a> {
    /// The summary.
    pub message: &'a str,
    /// The items.
    pub replacement_history: &'a [Item<'a>],
}

/// `turn_context`, with the members that every version needs.
#[derive(Serialize)]
pub struct TurnContext<'a> {
    /// The turn.
    pub turn_id: &'a str,
    /// The directory.
    pub cwd: &'a str,
    /// Codex takes the user's own on resume.
    pub approval_policy: &'static str,
    /// Codex takes the user's own on resume.
    pub sandbox_policy: SandboxPolicy,
    /// The model.
    pub model: &'a str,
    /// `auto`.
    pub summary: &'static str,
}

/// What commands may touch.
#[derive(Serialize)]
pub struct SandboxPolicy {
    /// `read-only`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}
