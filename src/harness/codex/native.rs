//! The records of a rollout, as far as holdall reads them. Unknown members are skipped.
//!
//! Source of every name here: rollouts written by Codex 0.60.1, 0.100.0, 0.125.0 and 0.169.0.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Text that is borrowed from the line where it has no escapes. (Inside `Option` and `Vec`, serde
/// borrows a `Cow` only through a type of its own.)
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// One line: a payload with its time. A line without a time in text form is no record to Codex.
#[derive(Debug, Deserialize)]
pub struct Line<'a, P> {
    /// RFC 3339.
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
    /// What the kind of the record says.
    pub payload: P,
    /// What Codex 0.169 notes beside a payload.
    #[serde(default)]
    pub metadata: Option<Beside>,
}

/// What Codex 0.169 notes beside a payload.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Beside {
    /// The message is the output of a compaction, not part of the conversation.
    pub compaction_output: bool,
}

/// `response_item` / `message`.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// `user`, `assistant`, `developer` or `system`.
    #[serde(borrow)]
    pub role: Text<'a>,
    /// Text and images. Codex refuses a message whose content is no list.
    #[serde(borrow)]
    pub content: Vec<Content<'a>>,
    /// What the parts are, since 0.169.
    #[serde(borrow, default, rename = "internal_chat_message_metadata_passthrough")]
    pub passthrough: Option<Passthrough<'a>>,
}

/// A part of a message or of a tool's output.
#[derive(Debug, Deserialize)]
pub struct Content<'a> {
    /// For text: `input_text`, `output_text`, `summary_text`, …
    #[serde(borrow, default)]
    pub text: Option<Text<'a>>,
    /// For images: a URL in text form, mostly `data:`.
    #[serde(borrow, default)]
    pub image_url: Option<&'a RawValue>,
}

/// What Codex 0.169 knows of the parts of a message.
#[derive(Debug, Deserialize)]
pub struct Passthrough<'a> {
    /// For each part where it came from; those of the user begin with `user.`.
    #[serde(borrow, default)]
    pub content_item_kinds: Option<Vec<Text<'a>>>,
}

/// `response_item` / `reasoning`.
#[derive(Debug, Deserialize)]
pub struct Reasoning<'a> {
    /// The provider's summary of it.
    #[serde(borrow, default)]
    pub summary: Vec<Content<'a>>,
    /// The reasoning itself, where the provider shows it.
    #[serde(borrow, default)]
    pub content: Option<Vec<Content<'a>>>,
    /// What only the provider can read.
    #[serde(borrow, default)]
    pub encrypted_content: Option<Text<'a>>,
}

/// `response_item` / `function_call`.
#[derive(Debug, Deserialize)]
pub struct FunctionCall<'a> {
    /// The tool.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The group that the tool belongs to, such as an MCP server.
    #[serde(borrow, default)]
    pub namespace: Option<Text<'a>>,
    /// JSON in text form.
    #[serde(borrow)]
    pub arguments: Text<'a>,
    /// Links it to its output.
    #[serde(borrow)]
    pub call_id: Text<'a>,
}

/// `response_item` / `custom_tool_call`.
#[derive(Debug, Deserialize)]
pub struct CustomToolCall<'a> {
    /// The tool, such as `apply_patch`, or `exec` in code mode.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Free text.
    #[serde(borrow)]
    pub input: Text<'a>,
    /// Links it to its output.
    #[serde(borrow)]
    pub call_id: Text<'a>,
}

/// `response_item` / `function_call_output` and `custom_tool_call_output`.
#[derive(Debug, Deserialize)]
pub struct CallOutput<'a> {
    /// The call that it answers.
    #[serde(borrow)]
    pub call_id: Text<'a>,
    /// What the model sees.
    #[serde(borrow)]
    pub output: Output<'a>,
}

/// The output of a tool. Codex refuses any other form.
#[derive(Debug)]
pub enum Output<'a> {
    /// Plain text.
    Text(Cow<'a, str>),
    /// Text and images.
    Parts(Vec<Content<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Output<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Output<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of parts")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Output::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Output::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Output::Parts)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// `response_item`s that have no output of their own form: `local_shell_call`, `web_search_call`,
/// `image_generation_call`, `tool_search_call` and `tool_search_output`.
#[derive(Debug, Deserialize)]
pub struct HostedCall<'a> {
    /// The item.
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    /// Links a call to its output, where there is one.
    #[serde(borrow, default)]
    pub call_id: Option<Text<'a>>,
    /// Such as `completed`.
    #[serde(borrow, default)]
    pub status: Option<Text<'a>>,
    /// The arguments of a shell call or web search.
    #[serde(borrow, default)]
    pub action: Option<&'a RawValue>,
    /// The arguments of a tool search.
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
    /// What a tool search found.
    #[serde(borrow, default)]
    pub tools: Option<&'a RawValue>,
    /// What an image was made from.
    #[serde(borrow, default)]
    pub revised_prompt: Option<&'a RawValue>,
    /// The image that was made, in base64.
    #[serde(borrow, default)]
    pub result: Option<Text<'a>>,
}

/// `response_item` / `agent_message`: agents of one session write to each other.
#[derive(Debug, Deserialize)]
pub struct AgentMessage<'a> {
    /// Path of the agent that wrote it, such as `/root/task`.
    #[serde(borrow)]
    pub author: Text<'a>,
    /// Path of the agent that reads it.
    #[serde(borrow)]
    pub recipient: Text<'a>,
    /// Text, and parts that only the provider can read.
    #[serde(borrow)]
    pub content: Vec<Content<'a>>,
}

/// `compacted`.
#[derive(Debug, Deserialize)]
pub struct Compacted<'a> {
    /// The summary; empty when only the provider can read it.
    #[serde(borrow, default)]
    pub message: Option<Text<'a>>,
    /// The items that the model sees from here on, instead of all before.
    #[serde(borrow, default)]
    pub replacement_history: Option<Vec<&'a RawValue>>,
}

/// `type` of a response item.
#[derive(Debug, Deserialize)]
pub struct Tagged<'a> {
    /// Such as `message`.
    #[serde(rename = "type", borrow)]
    pub kind: Text<'a>,
}

/// The parts of `event_msg` payloads that say what the response items do not.
#[derive(Debug, Deserialize)]
pub struct UiEvent<'a> {
    /// `user_message`: the text.
    #[serde(borrow, default)]
    pub message: Option<Text<'a>>,
    /// `*_end`: the call that it belongs to.
    #[serde(borrow, default)]
    pub call_id: Option<Text<'a>>,
    /// `exec_command_end`.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// `patch_apply_end`.
    #[serde(default)]
    pub success: Option<bool>,
    /// `mcp_tool_call_end`: `{"Ok":…}` or `{"Err":…}`.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// `turn_aborted`.
    #[serde(borrow, default)]
    pub reason: Option<Text<'a>>,
    /// `thread_rolled_back`.
    #[serde(default)]
    pub num_turns: Option<usize>,
    /// `item_completed`.
    #[serde(borrow, default)]
    pub item: Option<UiItem<'a>>,
}

/// The item of an `item_completed` event.
#[derive(Debug, Deserialize)]
pub struct UiItem<'a> {
    /// The call that it belongs to.
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    /// `UserMessage`: text and images. Other items have something else here.
    #[serde(borrow, default)]
    pub content: Option<&'a RawValue>,
    /// `completed`, `failed` or `declined`.
    #[serde(borrow, default)]
    pub status: Option<Text<'a>>,
    /// `CommandExecution`.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// `SubAgentActivity`: the thread of the sub-agent.
    #[serde(borrow, default)]
    pub agent_thread_id: Option<Text<'a>>,
    /// `CollabAgentToolCall`: the threads that the call started or addressed.
    #[serde(borrow, default)]
    pub receiver_thread_ids: Option<Vec<Text<'a>>>,
    /// `CollabAgentToolCall`: such as `spawn_agent`.
    #[serde(borrow, default)]
    pub tool: Option<&'a RawValue>,
}

impl UiItem<'_> {
    /// The text of a `UserMessage`.
    pub fn user_text(&self) -> Option<String> {
        let parts: Vec<Content<'_>> = serde_json::from_str(self.content?.get()).ok()?;
        let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_deref()).collect();
        Some(texts.join("\n"))
    }
}

/// `turn_context`, as far as the reader needs it.
#[derive(Debug, Deserialize)]
pub struct TurnContext<'a> {
    /// The model of the turn.
    #[serde(borrow, default)]
    pub model: Option<Text<'a>>,
    /// The turn; older versions write one context for every request and do not name the turn.
    #[serde(borrow, default)]
    pub turn_id: Option<Text<'a>>,
}

/// A line of `session_index.jsonl`.
#[derive(Debug, Deserialize, Serialize)]
pub struct IndexLine<'a> {
    /// The session.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The name that the user gave it.
    #[serde(borrow)]
    pub thread_name: Cow<'a, str>,
    /// When.
    #[serde(borrow)]
    pub updated_at: Cow<'a, str>,
}
