//! Pieces of Gemini CLI's records as JSON.

use std::borrow::Cow;

use super::text::{self, KEEPER};
use crate::model::event::{Media, MediaData};
use crate::model::{Fidelity, Item, Part};

/// Types of images that Gemini's API takes.
const IMAGES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];
/// Types of documents that it takes.
const DOCUMENTS: [&str; 1] = ["application/pdf"];
/// The longest name of a function that it takes.
const LONGEST_NAME: usize = 64;

/// A list of parts.
#[derive(Debug, Default)]
pub struct Parts {
    json: Vec<u8>,
    /// The texts in it, with a word for everything else, as the program looks at them.
    joined: String,
}

impl Parts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// How much memory they take, in bytes.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Adds a text. Gemini CLI leaves a whole response out that has an empty one.
    pub fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.begin();
        self.json.extend_from_slice(br#"{"text":"#);
        quote(&mut self.json, text);
        self.json.push(b'}');
        self.joined.push_str(text);
    }

    /// Adds an image or document if the API takes it, else a text that says what was left out.
    pub fn media(&mut self, media: &Media<'_>, fidelity: &mut Fidelity) {
        let known = IMAGES.contains(&&*media.media_type) || DOCUMENTS.contains(&&*media.media_type);
        let refused = match &media.data {
            MediaData::Url(_) => ("image.url", "Gemini CLI fetches no images"),
            MediaData::Base64(_) if !known => {
                ("image.type", "Gemini takes PNG, JPEG, WebP, HEIC, HEIF and PDF only")
            }
            MediaData::Base64(data) if !is_base64(data) => ("image.broken", "an image is not valid base64"),
            MediaData::Base64(data) => {
                self.begin();
                self.json.extend_from_slice(br#"{"inlineData":{"mimeType":"#);
                quote(&mut self.json, &media.media_type);
                self.json.extend_from_slice(br#","data":"#);
                quote(&mut self.json, data);
                self.json.extend_from_slice(b"}}");
                self.joined.push_str("[Media]");
                return fidelity.kept(Item::Image);
            }
        };
        fidelity.dropped(Item::Image, refused.0, refused.1);
        self.text(&left_out(media));
    }

    /// Adds a part that is JSON already.
    pub fn raw(&mut self, json: &[u8]) {
        self.begin();
        self.json.extend_from_slice(json);
        self.joined.push_str("[Part]");
    }

    /// Adds all parts of another list.
    pub fn append(&mut self, other: &Self) {
        if !other.is_empty() {
            self.begin();
            self.json.extend_from_slice(&other.json);
            self.joined.push_str(&other.joined);
        }
    }

    /// The parts of what a user said.
    pub fn said(content: &[Part<'_>], fidelity: &mut Fidelity) -> Self {
        let mut parts = Self::default();
        for part in content {
            match part {
                Part::Text(text) => parts.text(text),
                Part::Image(media) | Part::File(media) => parts.media(media, fidelity),
            }
        }
        parts
    }

    /// Whether there is nothing but white space in them.
    pub fn is_blank(&self) -> bool {
        self.joined.trim().is_empty()
    }

    /// The list as JSON. What a user said is kept from being taken for a command.
    pub fn of_user(&self) -> Vec<u8> {
        let mut json = vec![b'['];
        if text::is_ignored(&self.joined) {
            let mut keeper = Self::default();
            keeper.text(KEEPER.encode_utf8(&mut [0; 4]));
            json.extend_from_slice(&keeper.json);
            json.push(b',');
        }
        json.extend_from_slice(&self.json);
        json.push(b']');
        json
    }

    /// The list as JSON.
    pub fn of_model(&self) -> Vec<u8> {
        [b"[", self.json.as_slice(), b"]"].concat()
    }

    fn begin(&mut self) {
        if !self.json.is_empty() {
            self.json.push(b',');
        }
    }
}

/// What is said instead of an image or document.
pub fn left_out(media: &Media<'_>) -> String {
    let name = media.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
    format!("[{} file{name} was left out]", media.media_type)
}

/// Appends a text as JSON.
pub fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is always JSON, and memory does not fail");
}

/// A text as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// A list of one text as JSON: what the screen shows instead of the content. Blank, it shows nothing.
pub fn shown(text: &str) -> String {
    format!("[{{\"text\":{}}}]", quoted(if text.is_empty() { " " } else { text }))
}

/// A tool's name as the API takes it: a letter or `_`, then letters, digits, `_`, `.`, `-`.
pub fn tool_name(name: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.len() <= LONGEST_NAME && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::from(if begins { "" } else { "_" });
    clean.extend(name.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST_NAME - clean.len()));
    Cow::Owned(clean)
}

/// The beginning of a text, of at most so many characters.
pub fn begin(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

fn is_base64(data: &str) -> bool {
    !data.is_empty()
        && data.len().is_multiple_of(4)
        && data
            .trim_end_matches('=')
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tools() {
        assert_eq!(tool_name("mcp__server__do-it.x"), "mcp__server__do-it.x");
        assert_eq!(tool_name("1 b/é"), "_1_b__");
        assert_eq!(tool_name(""), "_");
        assert_eq!(tool_name(&"x".repeat(70)).len(), 64);
    }

    #[test]
    fn what_looks_like_a_command_is_kept() {
        let json = |text: &str| {
            let parts = Parts::said(&[Part::Text(text.into())], &mut Fidelity::default());
            String::from_utf8(parts.of_user()).expect("JSON")
        };
        assert_eq!(json("/etc is odd"), "[{\"text\":\"\u{200b}\"},{\"text\":\"/etc is odd\"}]");
        assert_eq!(json("plain"), r#"[{"text":"plain"}]"#);
    }
}
