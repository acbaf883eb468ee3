//! What kind of record a line is, and where in it the values are that matter before it is read.
//!
//! Gemini CLI 0.61 asks in this order: a string `$rewindTo`; a string `id` (a message); an object
//! `$set`; strings `sessionId` and `projectHash` (a header). Anything else is nothing to it.

use std::io::Read;
use std::ops::Range;

use super::walk::{Trouble, Walk, Walker};
use crate::error::{IoContext, Result};

/// Values that are longer are none that this adapter looks for.
const LIMIT: usize = 64 << 10;

/// The fields of a header or an update that are looked at.
const FIELDS: [&str; 7] =
    ["sessionId", "projectHash", "startTime", "lastUpdated", "kind", "summary", "directories"];

/// What a record does.
#[derive(Debug)]
pub enum Deed {
    /// Takes this message and all after it back.
    Rewind(String),
    /// Says something, or says it anew.
    Message(Element),
    /// Changes the metadata, and all messages when it has some.
    Update(Option<Vec<Element>>),
    /// Begins the session; may have messages.
    Header(Vec<Element>),
    /// Nothing.
    Nothing,
}

/// A message, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its id; messages in lists may have none, and are nothing then.
    pub id: Option<String>,
    /// Who speaks.
    pub speaker: Speaker,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The user, or a tool that answers.
    User,
    /// The model.
    Model,
    /// The program, to the user.
    Program,
}

/// A field of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Where its value is in the file.
    pub place: Range<u64>,
    /// Its value, as JSON; empty when it is very long.
    pub json: String,
}

/// A record.
#[derive(Debug)]
pub struct Record {
    /// What it does.
    pub deed: Deed,
    /// The metadata that it sets.
    pub fields: Vec<Field>,
}

/// What was met of a record so far.
#[derive(Default)]
struct Met {
    rewind: Option<String>,
    id: Option<String>,
    speaker: Option<Speaker>,
    fields: Vec<Field>,
    messages: Option<Vec<Element>>,
    update: Option<(Vec<Field>, Option<Vec<Element>>)>,
}

/// Calls `each` with every record of a log.
///
/// # Errors
/// When the input fails or `each` does. Broken records are counted in what is returned.
pub fn each(input: impl Read, name: &str, mut each: impl FnMut(Record) -> Result<()>) -> Result<u64> {
    let path = std::path::Path::new(name);
    let mut walker = Walker::lines(input);
    let mut broken = 0;
    if walker.peek().at("read", path)? == Some(0xEF) {
        // A byte order mark makes the first record unreadable to the program.
        walker.rest_of_line().at("read", path)?;
        broken += 1;
    }
    loop {
        walker.space().at("read", path)?;
        match walker.peek().at("read", path)? {
            None => return Ok(broken),
            Some(b'\n') => {
                walker.rest_of_line().at("read", path)?;
                continue;
            }
            Some(_) => {}
        }
        let start = walker.offset();
        let mut met = Met::default();
        let walked = record(&mut walker, &mut met).and_then(|()| {
            walker.space()?;
            Ok(walker.offset())
        });
        let end = match walked {
            Ok(end) if matches!(walker.peek().at("read", path)?, None | Some(b'\n')) => Some(end),
            Ok(_) | Err(Trouble::Broken) => None,
            Err(Trouble::Io(error)) => return Err(error).at("read", path),
        };
        walker.rest_of_line().at("read", path)?;
        match end {
            Some(end) => each(met.record(start, end))?,
            None => broken += 1,
        }
    }
}

/// Whether the rest of `input` is a record to its last byte.
///
/// # Errors
/// What the input returns.
pub fn is_whole(input: impl Read) -> std::io::Result<bool> {
    let mut walker = Walker::document(input);
    if walker.peek()? != Some(b'{') {
        return Ok(false);
    }
    match walker.value() {
        Ok(()) => {
            walker.space()?;
            Ok(walker.peek()?.is_none())
        }
        Err(Trouble::Broken) => Ok(false),
        Err(Trouble::Io(error)) => Err(error),
    }
}

impl Met {
    fn record(self, start: u64, end: u64) -> Record {
        let (mut fields, is_header) = (self.fields, self.id.is_none());
        let is_text = |name: &str, fields: &[Field]| {
            fields.iter().any(|field| field.name == name && field.json.starts_with('"'))
        };
        let is_header = is_header && is_text("sessionId", &fields) && is_text("projectHash", &fields);
        let deed = if let Some(id) = self.rewind {
            Deed::Rewind(id)
        } else if let Some(id) = self.id {
            let speaker = self.speaker.unwrap_or(Speaker::Program);
            Deed::Message(Element { id: Some(id), speaker, offset: start, length: end - start })
        } else if let Some((set, messages)) = self.update {
            fields = set;
            Deed::Update(messages)
        } else if is_header {
            Deed::Header(self.messages.unwrap_or_default())
        } else {
            Deed::Nothing
        };
        if !matches!(deed, Deed::Update(_) | Deed::Header(_)) {
            fields.clear();
        }
        Record { deed, fields }
    }
}

fn record<R: Read>(walker: &mut Walker<R>, met: &mut Met) -> Walk {
    if walker.peek()? != Some(b'{') {
        return Err(Trouble::Broken);
    }
    walker.object(&mut |walker, key| match key {
        "$rewindTo" => string(walker).map(|id| met.rewind = id),
        "id" => string(walker).map(|id| met.id = id),
        "type" => string(walker).map(|kind| met.speaker = kind.as_deref().map(speaker)),
        "$set" if walker.peek()? == Some(b'{') => {
            let mut set = (Vec::new(), None);
            walker.object(&mut |walker, key| metadata(walker, key, &mut set.0, &mut set.1))?;
            met.update = Some(set);
            Ok(())
        }
        key => metadata(walker, key, &mut met.fields, &mut met.messages),
    })
}

/// Passes a member of a header or an update.
pub fn metadata<R: Read>(
    walker: &mut Walker<R>,
    key: &str,
    fields: &mut Vec<Field>,
    messages: &mut Option<Vec<Element>>,
) -> Walk {
    if key == "messages" && walker.peek()? == Some(b'[') {
        *messages = Some(elements(walker)?);
        return Ok(());
    }
    let Some(name) = FIELDS.iter().find(|name| **name == key) else { return walker.value() };
    let start = walker.offset();
    let json = walker.text(LIMIT)?.unwrap_or_default();
    fields.push(Field { name, place: start..walker.offset(), json });
    Ok(())
}

/// Passes a list of messages.
pub fn elements<R: Read>(walker: &mut Walker<R>) -> Walk<Vec<Element>> {
    let mut elements = Vec::new();
    walker.array(&mut |walker| {
        let offset = walker.offset();
        let (mut id, mut kind) = (None, None);
        if walker.peek()? == Some(b'{') {
            walker.object(&mut |walker, key| match key {
                "id" => string(walker).map(|text| id = text),
                "type" | "role" => string(walker).map(|text| kind = text),
                _ => walker.value(),
            })?;
        } else {
            walker.value()?;
        }
        let speaker = kind.as_deref().map_or(Speaker::Program, speaker);
        elements.push(Element { id, speaker, offset, length: walker.offset() - offset });
        Ok(())
    })?;
    Ok(elements)
}

/// Passes a value and returns it if it is a text of reasonable length.
fn string<R: Read>(walker: &mut Walker<R>) -> Walk<Option<String>> {
    if walker.peek()? != Some(b'"') {
        return walker.value().map(|()| None);
    }
    Ok(walker.text(LIMIT)?.and_then(|json| serde_json::from_str(&json).ok()))
}

fn speaker(kind: &str) -> Speaker {
    match kind {
        "user" => Speaker::User,
        "gemini" | "model" => Speaker::Model,
        _ => Speaker::Program,
    }
}
