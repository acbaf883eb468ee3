//! Content as the API of Claude Code's model takes it, or as a text that says what is missing.
//!
//! The program sends what stands in the transcript, and what the API refuses stops the session for
//! good. So everything that it is known to refuse is put into another form here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::tools::TOOLS;
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::tool::{self, ToolName};
use crate::model::{Fidelity, Item, Part};

/// Claude Code 2.1.329 refuses to resume a session with a longer base64 text ("exceeds API limit").
const LARGEST_IMAGE: usize = 5 << 20;

/// Image types that the API takes.
const IMAGES: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The longest name of a tool that the API takes; ids are cut at the same length.
const LONGEST_NAME: usize = 128;

/// Appends a text as JSON.
pub fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is always JSON, and memory does not fail");
}

/// Content that is one text, as JSON: what [`content`] and [`failed_content`] make of it.
pub fn one_text<'p>(parts: &'p [Part<'_>]) -> Option<&'p str> {
    match parts {
        [Part::Text(text)] if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

/// Appends a text block.
pub fn text_block(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(br#"{"type":"text","text":"#);
    quote(out, text);
    out.push(b'}');
}

/// What becomes of a piece of content.
enum Shown<'a> {
    Text(Cow<'a, str>),
    Media { kind: &'static str, media: &'a Media<'a> },
}

/// Appends content: a string when it is one text, else blocks. The API takes no blank texts.
/// Returns whether there was any content; nothing is appended when not.
pub fn content(out: &mut Vec<u8>, parts: &[Part<'_>], fidelity: &mut Fidelity) -> bool {
    let mut shown: Vec<Shown<'_>> = parts.iter().map(|part| show(part, fidelity)).collect();
    shown.retain(|shown| !matches!(shown, Shown::Text(text) if text.trim().is_empty()));
    match &shown[..] {
        [] => return false,
        [Shown::Text(text)] => quote(out, text),
        several => {
            for (at, shown) in several.iter().enumerate() {
                out.push(if at == 0 { b'[' } else { b',' });
                match shown {
                    Shown::Text(text) => text_block(out, text),
                    Shown::Media { kind, media } => media_block(out, kind, media),
                }
            }
            out.push(b']');
        }
    }
    true
}

/// The texts of content that may hold nothing else: what the assistant said.
pub fn texts<'a>(parts: &'a [Part<'a>], fidelity: &mut Fidelity) -> Vec<Cow<'a, str>> {
    let mut texts: Vec<Cow<'a, str>> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Cow::Borrowed(text.as_ref()),
            Part::Image(media) | Part::File(media) => {
                fidelity.dropped(Item::Image, "image.assistant", "Claude's own messages can hold no images");
                left_out(media)
            }
        })
        .collect();
    texts.retain(|text| !text.trim().is_empty());
    texts
}

/// Appends the content of a failed result: the program hands on its texts only.
pub fn failed_content(out: &mut Vec<u8>, parts: &[Part<'_>], fidelity: &mut Fidelity) -> bool {
    let mut texts = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => texts.push(Part::Text(Cow::Borrowed(text.as_ref()))),
            Part::Image(media) | Part::File(media) => {
                fidelity.dropped(Item::Image, "image.failed", "a failed result can hold no images in Claude");
                texts.push(Part::Text(left_out(media)));
            }
        }
    }
    content(out, &texts, fidelity)
}

fn show<'a>(part: &'a Part<'a>, fidelity: &mut Fidelity) -> Shown<'a> {
    let (kind, media) = match part {
        Part::Text(text) => return Shown::Text(Cow::Borrowed(text)),
        Part::Image(media) => ("image", media),
        Part::File(media) => ("document", media),
    };
    let known = match kind {
        "image" => IMAGES.contains(&media.media_type.as_ref()),
        _ => media.media_type == "application/pdf",
    };
    let refused = match &media.data {
        MediaData::Url(url) if url.starts_with("https://") || url.starts_with("http://") => None,
        MediaData::Url(_) => Some(("image.url", "Claude can fetch no address of this kind")),
        MediaData::Base64(_) if !known => {
            Some(("image.type", "Claude takes PNG, JPEG, GIF, WebP and PDF only"))
        }
        MediaData::Base64(data) if data.len() > LARGEST_IMAGE => {
            Some(("image.too-large", "Claude Code cannot resume a session with an image over 5 MB"))
        }
        MediaData::Base64(data) if !is_base64(data) => Some(("image.broken", "an image is not valid base64")),
        MediaData::Base64(_) => None,
    };
    if let Some((code, detail)) = refused {
        fidelity.dropped(Item::Image, code, detail);
        return Shown::Text(left_out(media));
    }
    fidelity.kept(Item::Image);
    Shown::Media { kind, media }
}

fn left_out(media: &Media<'_>) -> Cow<'static, str> {
    let name = media.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
    Cow::Owned(format!("[{} file{name} was left out]", media.media_type))
}

fn is_base64(data: &str) -> bool {
    !data.is_empty()
        && data.len().is_multiple_of(4)
        && data
            .trim_end_matches('=')
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn media_block(out: &mut Vec<u8>, kind: &str, media: &Media<'_>) {
    out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"source\":{{").as_bytes());
    match &media.data {
        MediaData::Base64(data) => {
            out.extend_from_slice(br#""type":"base64","media_type":"#);
            quote(out, &media.media_type);
            out.extend_from_slice(br#","data":"#);
            quote(out, data);
        }
        MediaData::Url(url) => {
            out.extend_from_slice(br#""type":"url","url":"#);
            quote(out, url);
        }
    }
    out.extend_from_slice(b"}}");
}

/// Appends the arguments of a call. The API takes objects only; everything else is put into one.
/// Returns whether that was necessary.
pub fn input(out: &mut Vec<u8>, input: &ToolInput<'_>, names: Option<&Renamed>) -> bool {
    let json = match input {
        ToolInput::Json(json) => json,
        ToolInput::Text(text) => {
            out.extend_from_slice(br#"{"input":"#);
            quote(out, text);
            out.push(b'}');
            return true;
        }
    };
    let Ok(raw) = serde_json::from_str::<&RawValue>(json) else {
        out.extend_from_slice(br#"{"input":"#);
        quote(out, json);
        out.push(b'}');
        return true;
    };
    let object = raw.get().starts_with('{');
    match names.and_then(|names| Some((names, serde_json::from_str::<Arguments<'_>>(raw.get()).ok()?))) {
        Some((names, Arguments(arguments))) if object => names.write(out, &arguments),
        _ if object => one_line(out, raw),
        _ => {
            out.extend_from_slice(br#"{"input":"#);
            one_line(out, raw);
            out.push(b'}');
        }
    }
    !object
}

/// Appends a value without the line breaks between its parts. In valid JSON there are no others:
/// inside strings they are escaped.
fn one_line(out: &mut Vec<u8>, raw: &RawValue) {
    let start = out.len();
    out.extend_from_slice(raw.get().as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The arguments of a call, in order.
struct Arguments<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Arguments<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push((Cow::Owned(name), value));
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs).map(Arguments)
    }
}

/// How the arguments of a call are called here.
#[derive(Debug)]
pub struct Renamed {
    source: &'static ToolName,
    target: &'static ToolName,
}

impl Renamed {
    /// The tool of ours that the row of another harness's table stands for.
    pub fn of(source: Option<&'static ToolName>) -> Option<Self> {
        let source = source?;
        Some(Self { source, target: tool::counterpart(TOOLS, source)? })
    }

    /// Our name of the tool.
    pub fn name(&self) -> &'static str {
        self.target.native
    }

    /// Our name of an argument.
    fn argument(&self, theirs: &str) -> Option<&'static str> {
        let (_, canonical) = self.source.arguments.iter().find(|(native, _)| *native == theirs)?;
        self.target.arguments.iter().find(|(_, other)| other == canonical).map(|(native, _)| *native)
    }

    fn write(&self, out: &mut Vec<u8>, arguments: &[(Cow<'_, str>, &RawValue)]) {
        let taken: Vec<&str> = arguments.iter().filter_map(|(name, _)| self.argument(name)).collect();
        let mut first = true;
        out.push(b'{');
        for (name, value) in arguments {
            let ours = self.argument(name);
            // An argument of theirs that happens to be called like one of ours gives way.
            if ours.is_none() && taken.contains(&name.as_ref()) {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            quote(out, ours.unwrap_or(name));
            out.push(b':');
            one_line(out, value);
        }
        out.push(b'}');
    }
}

/// A tool's name as the API takes it: `[a-zA-Z0-9_-]{1,128}`.
pub fn tool_name(name: &str) -> Cow<'_, str> {
    clean(name, "tool")
}

/// Ids of calls as the API takes them: `[a-zA-Z0-9_-]+`, each once.
///
/// Claude Code 2.1.329 takes `x_1` for a part of the batch call `x` and loses its result when both
/// are calls of their own, so they count as the same id here.
#[derive(Debug, Default)]
pub struct CallIds {
    /// Ids, and the last number that was put behind each.
    used: HashMap<u64, u64>,
    /// What ids would be the parts of, if they were parts.
    batches: HashSet<u64>,
}

impl CallIds {
    /// The id for a call whose id elsewhere was `id`.
    pub fn next(&mut self, id: &str) -> String {
        let base = call_id(id).into_owned();
        let mut id = base.clone();
        let mut number = self.used.get(&hash(&base)).copied().unwrap_or(1);
        while !self.take(&id) {
            number += 1;
            id = format!("{base}-{number}");
        }
        self.used.insert(hash(&base), number);
        id
    }

    fn take(&mut self, id: &str) -> bool {
        let batch = id
            .rsplit_once('_')
            .filter(|(_, part)| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let batch = batch.map(|(batch, _)| hash(batch));
        let same = |id: &u64| self.used.contains_key(id);
        if self.batches.contains(&hash(id)) || same(&hash(id)) || batch.as_ref().is_some_and(same) {
            return false;
        }
        self.used.insert(hash(id), 1);
        self.batches.extend(batch);
        true
    }
}

/// The id of a call as long as no other has the same.
pub fn call_id(id: &str) -> Cow<'_, str> {
    clean(id, "call")
}

fn clean<'a>(name: &'a str, otherwise: &'a str) -> Cow<'a, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() {
        return Cow::Borrowed(otherwise);
    }
    if name.len() <= LONGEST_NAME && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().take(LONGEST_NAME).map(|c| if fits(c) { c } else { '_' }).collect())
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
