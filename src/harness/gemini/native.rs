//! Gemini CLI's records, as far as they are looked at. Every field may be missing or of another
//! type: then it is as if it were not there, and the rest of the record still counts.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use crate::harness::common::repair::repair;

/// A text that is borrowed where it has no escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Either)
    }
}

/// A value of any type.
pub type Any<'a> = Option<&'a RawValue>;

/// A message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Message<'a> {
    /// When.
    #[serde(borrow)]
    pub timestamp: Any<'a>,
    /// `user`, `gemini`, `info`, `error`, `warning`.
    #[serde(borrow, rename = "type")]
    pub kind: Any<'a>,
    /// In a checkpoint instead of `type`: `user` or `model`.
    #[serde(borrow)]
    pub role: Any<'a>,
    /// A text, a part, or parts.
    #[serde(borrow)]
    pub content: Any<'a>,
    /// In a checkpoint instead of `content`.
    #[serde(borrow)]
    pub parts: Any<'a>,
    /// What the model thought.
    #[serde(borrow)]
    pub thoughts: Any<'a>,
    /// The calls, with their results.
    #[serde(borrow, rename = "toolCalls")]
    pub tool_calls: Any<'a>,
    /// The model.
    #[serde(borrow)]
    pub model: Any<'a>,
}

/// A piece of content.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Part<'a> {
    /// A text.
    #[serde(borrow)]
    pub text: Any<'a>,
    /// Whether the text is a thought.
    #[serde(borrow)]
    pub thought: Any<'a>,
    /// What proves to the provider that it thought so.
    #[serde(borrow, rename = "thoughtSignature")]
    pub signature: Any<'a>,
    /// A call.
    #[serde(borrow, rename = "functionCall")]
    pub call: Any<'a>,
    /// A result.
    #[serde(borrow, rename = "functionResponse")]
    pub response: Any<'a>,
    /// An image, sound or document.
    #[serde(borrow, rename = "inlineData")]
    pub inline: Any<'a>,
    /// A file that the provider holds.
    #[serde(borrow, rename = "fileData")]
    pub file: Any<'a>,
}

/// A thought, as the screen shows it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Thought<'a> {
    /// Its heading.
    #[serde(borrow)]
    pub subject: Any<'a>,
    /// Its text.
    #[serde(borrow)]
    pub description: Any<'a>,
}

/// A call, of the content (`functionCall`) or of the screen (`toolCalls`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Call<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Any<'a>,
    /// The tool.
    #[serde(borrow)]
    pub name: Any<'a>,
    /// Its arguments.
    #[serde(borrow)]
    pub args: Any<'a>,
    /// Of `toolCalls`: parts, a text, or one part.
    #[serde(borrow)]
    pub result: Any<'a>,
    /// Of `toolCalls`: `success`, `error`, `cancelled`.
    #[serde(borrow)]
    pub status: Any<'a>,
    /// Of `toolCalls`: the sub-agent that it started.
    #[serde(borrow, rename = "agentId")]
    pub agent_id: Any<'a>,
}

/// A result.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Response<'a> {
    /// The call that it answers.
    #[serde(borrow)]
    pub id: Any<'a>,
    /// The tool.
    #[serde(borrow)]
    pub name: Any<'a>,
    /// `{output}`, `{error}`, or anything.
    #[serde(borrow)]
    pub response: Any<'a>,
    /// Images, for models that take them inside.
    #[serde(borrow)]
    pub parts: Any<'a>,
}

/// What a tool says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said<'a> {
    /// That it worked.
    #[serde(borrow)]
    pub output: Any<'a>,
    /// That it did not.
    #[serde(borrow)]
    pub error: Any<'a>,
}

/// Bytes, or where the provider has them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Blob<'a> {
    /// Such as `image/png`.
    #[serde(borrow, rename = "mimeType")]
    pub media_type: Any<'a>,
    /// Base64.
    #[serde(borrow)]
    pub data: Any<'a>,
    /// An address.
    #[serde(borrow, rename = "fileUri")]
    pub uri: Any<'a>,
    /// A name.
    #[serde(borrow, rename = "displayName")]
    pub name: Any<'a>,
}

/// Parses a record. One that only its text makes unreadable is read from `fixed`, repaired.
pub fn parse<'a, T: Deserialize<'a>>(record: &'a [u8], fixed: &'a mut Vec<u8>) -> Option<T> {
    match serde_json::from_slice(record) {
        Ok(value) => Some(value),
        Err(_) => {
            *fixed = repair(record)?;
            serde_json::from_slice(fixed).ok()
        }
    }
}

/// The value as a text, if it is one.
pub fn text<'a>(value: Any<'a>) -> Option<Cow<'a, str>> {
    let value = value?.get();
    if !value.starts_with('"') {
        return None;
    }
    match serde_json::from_str::<Text<'a>>(value) {
        Ok(text) => Some(text.0),
        // Half a character: what is only passed over is not looked at so closely.
        Err(_) => serde_json::from_slice(&repair(value.as_bytes())?).ok().map(Cow::Owned),
    }
}

/// The value as an object, if it is one.
pub fn object<'a, T: Deserialize<'a>>(value: Any<'a>) -> Option<T> {
    let value = value?.get();
    if !value.starts_with('{') {
        return None;
    }
    serde_json::from_str(value).ok()
}

/// The elements of the value, if it is a list.
pub fn list<'a>(value: Any<'a>) -> Vec<&'a RawValue> {
    let Some(value) = value.filter(|value| value.get().starts_with('[')) else { return Vec::new() };
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// The value in one line: documents of earlier versions and checkpoints are written in many.
pub fn compact(value: &RawValue) -> Cow<'_, str> {
    let json = value.get();
    if !json.contains('\n') {
        return Cow::Borrowed(json);
    }
    let (mut out, mut inside, mut escaped) = (String::with_capacity(json.len()), false, false);
    for c in json.chars() {
        if inside || !c.is_ascii_whitespace() {
            out.push(c);
        }
        inside ^= c == '"' && !escaped;
        escaped = inside && c == '\\' && !escaped;
    }
    Cow::Owned(out)
}

/// Whether the value is what JavaScript takes for true.
pub fn is_true(value: Any<'_>) -> bool {
    value.is_some_and(|value| !matches!(value.get(), "false" | "null" | "0" | "\"\""))
}

impl<'a> Part<'a> {
    /// The parts of a content: of a text, a part, or a list of them.
    pub fn list(content: Any<'a>) -> Vec<Self> {
        let Some(value) = content else { return Vec::new() };
        let one = |value: &'a RawValue| match value.get().as_bytes().first() {
            Some(b'"') => Some(Self { text: Some(value), ..Self::default() }),
            Some(b'{') => object(Some(value)),
            _ => None,
        };
        match value.get().as_bytes().first() {
            Some(b'[') => list(content).into_iter().filter_map(one).collect(),
            _ => one(value).into_iter().collect(),
        }
    }

    /// Whether it is a thought.
    pub fn is_thought(&self) -> bool {
        is_true(self.thought)
    }
}
