//! The records of opencode 1.x and Kilo 7.x, as far as a reader needs them. What has another shape
//! than the program gives it is a damaged record; what is not named here is none of a reader's
//! business.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A text, borrowed from the record where it has no escapes.
#[derive(Debug, Default, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// One element of an export's `messages`.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// What is known of the message.
    #[serde(borrow)]
    pub info: Info<'a>,
    /// What it consists of, each a [`Part`].
    #[serde(borrow, default)]
    pub parts: Vec<&'a RawValue>,
}

/// What is known of a message.
#[derive(Debug, Deserialize)]
pub struct Info<'a> {
    /// Its id.
    #[serde(borrow, default)]
    pub id: Text<'a>,
    /// `user` or `assistant`.
    #[serde(borrow)]
    pub role: Text<'a>,
    /// Of an answer: the user message that it answers.
    #[serde(borrow, default, rename = "parentID")]
    pub parent: Option<Text<'a>>,
    /// Of an answer: the model.
    #[serde(borrow, default, rename = "modelID")]
    pub model: Option<Text<'a>>,
    /// Of an answer: who serves the model.
    #[serde(borrow, default, rename = "providerID")]
    pub provider: Option<Text<'a>>,
    /// Of an answer: `true` for the summary of a compaction. Of a user message: what changed.
    #[serde(borrow, default)]
    summary: Option<&'a RawValue>,
    /// Of an answer: why it ended; none while it goes on.
    #[serde(borrow, default)]
    finish: Option<&'a RawValue>,
    /// Of an answer: what went wrong.
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    /// When.
    #[serde(default)]
    pub time: Created,
}

/// `time` of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Created {
    /// Milliseconds since 1970.
    pub created: Option<f64>,
}

impl Info<'_> {
    /// Whether the answer is the summary of a compaction.
    pub fn is_summary(&self) -> bool {
        self.summary.is_some_and(|summary| summary.get() == "true")
    }

    /// Whether the answer came to its end.
    pub fn is_finished(&self) -> bool {
        is_set(self.finish) && self.error().is_none()
    }

    /// What went wrong with the answer.
    pub fn error(&self) -> Option<&RawValue> {
        self.error.filter(|error| is_set(Some(error)))
    }

    /// Whether the user stopped the answer.
    pub fn is_aborted(&self) -> bool {
        #[derive(Deserialize)]
        struct Failure<'a> {
            #[serde(borrow)]
            name: Text<'a>,
        }
        let name = |error: &RawValue| {
            serde_json::from_str::<Failure<'_>>(error.get())
                .is_ok_and(|error| &*error.name == "MessageAbortedError")
        };
        self.error().is_some_and(name)
    }
}

/// Whether JavaScript takes a value for true.
fn is_set(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| !matches!(value.get(), "null" | "false" | "\"\"" | "0"))
}

/// A piece of a message. Which members it has depends on its type.
#[derive(Debug, Deserialize)]
pub struct Part<'a> {
    /// Its type.
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// Its id.
    #[serde(borrow, default)]
    pub id: Text<'a>,
    /// `text`, `reasoning`: what was said.
    #[serde(borrow, default)]
    pub text: Option<Text<'a>>,
    /// `text`: the program said it, not the user.
    #[serde(default)]
    pub synthetic: Option<bool>,
    /// `text`: the model does not get it.
    #[serde(default)]
    pub ignored: Option<bool>,
    /// What the provider wants to see again.
    #[serde(borrow, default)]
    pub metadata: Option<&'a RawValue>,
    /// `text`, `reasoning`: when.
    #[serde(borrow, default)]
    pub time: Option<&'a RawValue>,
    /// `file`: its media type.
    #[serde(borrow, default)]
    pub mime: Option<Text<'a>>,
    /// `file`: where it is; `data:` for one that is here.
    #[serde(borrow, default)]
    pub url: Option<Text<'a>>,
    /// `file`: its name.
    #[serde(borrow, default)]
    pub filename: Option<Text<'a>>,
    /// `tool`: its name.
    #[serde(borrow, default)]
    pub tool: Option<Text<'a>>,
    /// `tool`: the id of the call.
    #[serde(borrow, default, rename = "callID")]
    pub call_id: Option<Text<'a>>,
    /// `tool`: a [`State`].
    #[serde(borrow, default)]
    pub state: Option<&'a RawValue>,
    /// `subtask`: what the sub-agent is to do.
    #[serde(borrow, default)]
    pub prompt: Option<Text<'a>>,
    /// `compaction`: the first of the messages that it kept.
    #[serde(borrow, default)]
    pub tail_start_id: Option<Text<'a>>,
}

/// What holdall's writer leaves in a part's metadata.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub struct Marks<'a> {
    /// Ours.
    #[serde(borrow)]
    pub holdall: Option<Mark<'a>>,
}

/// The mark of a text that nobody typed.
#[derive(Debug, Deserialize)]
pub struct Mark<'a> {
    /// The kind of note.
    #[serde(borrow)]
    pub note: Text<'a>,
}

impl Part<'_> {
    /// Whether the part is of this type.
    pub fn is(&self, kind: &str) -> bool {
        &*self.kind == kind
    }
}

/// How far a tool call came.
#[derive(Debug, Deserialize)]
pub struct State<'a> {
    /// `pending`, `running`, `completed` or `error`.
    #[serde(borrow)]
    pub status: Text<'a>,
    /// The arguments.
    #[serde(borrow, default)]
    pub input: Option<&'a RawValue>,
    /// `completed`: what the model gets.
    #[serde(borrow, default)]
    pub output: Option<Text<'a>>,
    /// `error`: what the model gets.
    #[serde(borrow, default)]
    pub error: Option<Text<'a>>,
    /// What the tool noted.
    #[serde(borrow, default)]
    pub metadata: Option<&'a RawValue>,
    /// When.
    #[serde(borrow, default)]
    pub time: Option<&'a RawValue>,
    /// `completed`: files, each a [`Part`].
    #[serde(borrow, default)]
    pub attachments: Option<Vec<Part<'a>>>,
}

/// What tools note.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ToolNotes<'a> {
    /// The exit code of a command.
    pub exit: Option<i32>,
    /// The call was stopped.
    pub interrupted: Option<bool>,
    /// What a stopped call had put out.
    #[serde(borrow)]
    pub output: Option<Text<'a>>,
}

/// When a part began and ended, in milliseconds since 1970.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Span {
    /// When it began.
    pub start: Option<f64>,
    /// When it ended.
    pub end: Option<f64>,
    /// When the output was taken out of the model's sight.
    pub compacted: Option<f64>,
}

/// What providers want to see again of a piece of reasoning.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Providers<'a> {
    /// Anthropic.
    #[serde(borrow)]
    pub anthropic: Option<Anthropic<'a>>,
    /// OpenAI.
    #[serde(borrow)]
    pub openai: Option<OpenAi<'a>>,
}

/// What Anthropic wants to see again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Anthropic<'a> {
    /// Signs the text.
    #[serde(borrow)]
    pub signature: Option<Text<'a>>,
    /// Stands for a text that nobody may read.
    #[serde(borrow)]
    pub redacted_data: Option<Text<'a>>,
}

/// What OpenAI wants to see again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OpenAi<'a> {
    /// The reasoning itself.
    #[serde(borrow)]
    pub reasoning_encrypted_content: Option<Text<'a>>,
}

/// Reads a value whose shape is not certain: what does not fit is as if it were not there.
pub fn loose<'a, T: Deserialize<'a> + Default>(value: Option<&'a RawValue>) -> T {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}
