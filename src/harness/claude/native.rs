//! The records of a transcript, as far as we look into them.
//!
//! Claude Code 2.1.329 knows some fifty record types; a transcript is a log in which *chain* rows
//! (`user`, `assistant`, `system`, `attachment`, in old versions `progress`) hang on each other by
//! `parentUuid`, and all others hold the last state of something.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::loose::{Flag, Key, List, Raw, Text, otherwise, record};

/// Record types that hold state. They are no conversation, and seeing one is no reason for a note.
pub const STATE: &[&str] = &[
    "agent-color",
    "agent-name",
    "agent-setting",
    "ai-title",
    "api-request",
    "api-request-blob",
    "api-request-resumed",
    "api-request-shape",
    "artifact-autoreact-ledger",
    "artifact-comment-monitor",
    "atis-latch",
    "attribution-snapshot",
    "bridge-session",
    "content-replacement",
    "continued-in",
    "cost-state",
    "custom-title",
    "data-flow-incomplete",
    "data-flow-records",
    "derived-from",
    "dev-mods",
    "ended-by-model",
    "file-history-delta",
    "file-history-snapshot",
    "fork-context-ref",
    "frame-link",
    "history-suppression",
    "hybrid-organization",
    "isolation-latch",
    "last-prompt",
    "memory-mode",
    "mode",
    "observer-ref",
    "permission-mode",
    "pr-link",
    "queue-operation",
    "relocated",
    "repl-mode",
    "resume-head-vouch",
    "session-owner",
    "summary",
    "tag",
    "tools-used",
    "worktree-state",
];

record! {
    /// What decides where a record stands in the conversation.
    Envelope {
        /// The record type.
        "type" => kind: Text<'a>,
        /// What kind of `system` row it is.
        "subtype" => subtype: Text<'a>,
        /// Id of a chain row.
        "uuid" => uuid: Text<'a>,
        /// The row before it; `null` for a root.
        "parentUuid" => parent: Text<'a>,
        /// On a compaction boundary, which is a root: the last row before it.
        "logicalParentUuid" => logical_parent: Text<'a>,
        /// When; ISO 8601 with milliseconds.
        "timestamp" => timestamp: Text<'a>,
        /// Whether the row belongs to a sub-agent.
        "isSidechain" => sidechain: Flag,
        /// Whether the program put the text there, for the model only.
        "isMeta" => meta: Flag,
        /// Whether the text is the summary of a compaction.
        "isCompactSummary" => summary: Flag,
        /// Whether the text is an error message of the program, which no model has seen.
        "isApiErrorMessage" => api_error: Flag,
        /// Where the text came from.
        "origin" => origin: Sender<'a>,
        /// What was said.
        "message" => message: MessageHead<'a>,
        /// What was put beside the conversation.
        "attachment" => attachment: AttachmentHead<'a>,
        /// What a compaction kept.
        "compactMetadata" => compaction: Compaction<'a>,
        /// Of a `last-prompt`: the row that is live.
        "leafUuid" => leaf: Raw<'a>,
        /// Of a `last-prompt`: whether the user went there himself.
        "explicit" => explicit: Flag,
    }
}

record! {
    /// Where a text came from.
    Sender {
        /// `human`, `task-notification`, `peer`, …
        "kind" => kind: Text<'a>,
    }
}

record! {
    /// The kind of an attachment.
    AttachmentHead {
        /// Such as `file` or `queued_command`.
        "type" => kind: Text<'a>,
    }
}

record! {
    /// What a compaction kept. 2.1.329 writes both forms.
    Compaction {
        /// The kept rows, from head to tail.
        "preservedSegment" => segment: Segment<'a>,
        /// The kept rows, one by one.
        "preservedMessages" => messages: Preserved<'a>,
    }
}

record! {
    /// A run of kept rows.
    Segment {
        /// The first kept row.
        "headUuid" => head: Text<'a>,
        /// The row that they now follow: the summary.
        "anchorUuid" => anchor: Text<'a>,
        /// The last kept row.
        "tailUuid" => tail: Text<'a>,
    }
}

record! {
    /// Kept rows.
    Preserved {
        /// The row that they now follow: the summary.
        "anchorUuid" => anchor: Text<'a>,
        /// The kept rows, in order.
        "uuids" => uuids: List<Text<'a>>,
    }
}

record! {
    /// The kind of a content block.
    BlockHead {
        /// Such as `text` or `tool_use`.
        "type" => kind: Text<'a>,
    }
}

/// A message as far as its place in the conversation needs it.
#[derive(Debug, Default)]
pub struct MessageHead<'a> {
    /// Address of its first key, from which its place in the line follows. The reader parses the
    /// message from there, and so does not see the copy of every tool output that follows it in
    /// the row.
    pub first_key: Option<usize>,
    /// Id of the model response; rows of one response share it.
    pub id: Text<'a>,
    /// Whether it calls a tool.
    pub calls: bool,
    /// Whether it holds a tool's result.
    pub results: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for MessageHead<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Heads;
        impl<'de> Visitor<'de> for Heads {
            type Value = MessageHead<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut head = MessageHead::default();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    if let (None, Cow::Borrowed(key)) = (head.first_key, &key) {
                        head.first_key = Some(key.as_ptr() as usize);
                    }
                    match &*key {
                        "id" => head.id = map.next_value()?,
                        "content" => {
                            let List(blocks) = map.next_value::<List<BlockHead<'de>>>()?;
                            head.calls = blocks.iter().any(|block| block.kind.is("tool_use"));
                            head.results = blocks.iter().any(|block| block.kind.is("tool_result"));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(head)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(MessageHead::default())
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(MessageHead::default())
            }
            otherwise!(MessageHead::default());
        }
        deserializer.deserialize_any(Heads)
    }
}

record! {
    /// A message.
    Message {
        /// The model that said it.
        "model" => model: Text<'a>,
        /// What it says.
        "content" => content: Content<'a>,
    }
}

/// Content: a string, or blocks.
#[derive(Debug, Default)]
pub enum Content<'a> {
    /// No content.
    #[default]
    Nothing,
    /// One text.
    Text(Cow<'a, str>),
    /// Blocks.
    Blocks(Vec<Block<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Contents;
        impl<'de> Visitor<'de> for Contents {
            type Value = Content<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut blocks = Vec::new();
                while let Some(block) = seq.next_element()? {
                    blocks.push(block);
                }
                Ok(Content::Blocks(blocks))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Content::Nothing)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Content::Nothing)
            }
            otherwise!(@scalars Content::Nothing);
        }
        deserializer.deserialize_any(Contents)
    }
}

record! {
    /// A content block, of any type.
    Block {
        /// `text`, `image`, `document`, `thinking`, `redacted_thinking`, `tool_use`, `tool_result`, …
        "type" => kind: Text<'a>,
        /// Of `text`.
        "text" => text: Text<'a>,
        /// Of `thinking`.
        "thinking" => thinking: Text<'a>,
        /// Of `thinking`: what only the provider can read.
        "signature" => signature: Text<'a>,
        /// Of `redacted_thinking`: what only the provider can read.
        "data" => data: Text<'a>,
        /// Of `tool_use`: the id of the call.
        "id" => id: Text<'a>,
        /// Of `tool_use`.
        "name" => name: Text<'a>,
        /// Of `tool_use`: the arguments.
        "input" => input: Raw<'a>,
        /// Of `tool_result`: the call it answers.
        "tool_use_id" => tool_use_id: Text<'a>,
        /// Of `tool_result`.
        "content" => content: Content<'a>,
        /// Of `tool_result`: whether the tool failed.
        "is_error" => is_error: Flag,
        /// Of `tool_reference`: the tool that became known.
        "tool_name" => tool_name: Text<'a>,
        /// Of `image` and `document`.
        "source" => source: MediaSource<'a>,
        /// Of `document`.
        "title" => title: Text<'a>,
    }
}

record! {
    /// Where the bytes of an image or document are.
    MediaSource {
        /// `base64`, `url`, `text`, `file`.
        "type" => kind: Text<'a>,
        /// Such as `image/png`.
        "media_type" => media_type: Text<'a>,
        /// Of `base64` and `text`.
        "data" => data: Text<'a>,
        /// Of `url`.
        "url" => url: Text<'a>,
    }
}

record! {
    /// A row with an attachment that may be the user's.
    AttachmentRow {
        /// The attachment.
        "attachment" => attachment: Attachment<'a>,
    }
}

record! {
    /// An attachment that may be the user's.
    Attachment {
        /// `file` or `queued_command`.
        "type" => kind: Text<'a>,
        /// Of `queued_command`: what was typed while the model worked.
        "prompt" => prompt: Content<'a>,
        /// Of `queued_command`: `prompt` or `task-notification`.
        "commandMode" => mode: Text<'a>,
        /// Of `queued_command`: who typed it.
        "origin" => origin: Sender<'a>,
        /// Of `queued_command`: whether the program put it there.
        "isMeta" => meta: Flag,
        /// Of `queued_command`: the user row that it came from.
        "source_uuid" => source: Text<'a>,
        /// Of `file`: where it is.
        "filename" => filename: Text<'a>,
        /// Of `file`: what is in it.
        "content" => content: FileContent<'a>,
    }
}

record! {
    /// What is in a mentioned file.
    FileContent {
        /// `text`, `image`, …
        "type" => kind: Text<'a>,
        /// The file.
        "file" => file: MentionedFile<'a>,
    }
}

record! {
    /// A mentioned image.
    MentionedFile {
        /// Its bytes.
        "base64" => base64: Text<'a>,
        /// Such as `image/png`.
        "type" => media_type: Text<'a>,
    }
}
