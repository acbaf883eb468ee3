//! Which messages of a file hold, in their order.
//!
//! A session is a log of events: messages are said, said anew, taken back, and all of them replaced
//! (by a resume, which writes them all again, and by a compaction, which writes a summary instead).
//! The log keeps what was replaced. So this first pass notes where every message is, and the second
//! one reads those that count, one by one.
//!
//! Gemini CLI 0.61 also reads its older sessions, one JSON object each, and `/chat save` writes a
//! third form: the contents that the model got. All three are indexed here.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::record::{self, Deed, Element, Field, Speaker};
use super::walk::{Trouble, Walk, Walker};
use crate::error::{IoContext, Result};
use crate::model::ReadSeek;

/// How a file is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// A log, a record a line.
    #[default]
    Log,
    /// One object with all messages, from earlier versions.
    Object,
    /// The contents that the model got, as `/chat save` writes them.
    Checkpoint,
}

/// What holds in a file.
#[derive(Debug, Default)]
pub struct Index {
    /// How it is made.
    pub form: Form,
    /// The messages that hold.
    pub live: Vec<Element>,
    /// Lists that replaced the messages before them, with what was lost by it.
    pub replaced: Vec<Replaced>,
    /// The metadata, as JSON.
    pub metadata: HashMap<&'static str, String>,
    /// Records that could not be read.
    pub broken: u64,
}

/// What a new list of all messages left out.
#[derive(Debug)]
pub struct Replaced {
    /// The messages that are no longer there.
    pub lost: Vec<Element>,
    /// The messages that were not there before, and where the list had them.
    pub new: Vec<Element>,
}

impl Index {
    /// A text of the metadata.
    pub fn text(&self, name: &str) -> Option<String> {
        self.metadata.get(name).and_then(|json| serde_json::from_str(json).ok())
    }

    /// Whether it is a session at all.
    pub fn is_session(&self) -> bool {
        self.form == Form::Checkpoint || self.text("sessionId").is_some_and(|id| !id.is_empty())
    }

    fn set(&mut self, fields: Vec<Field>) {
        for field in fields {
            self.metadata.insert(field.name, field.json);
        }
    }
}

/// Finds out what holds in a file.
///
/// # Errors
/// When it cannot be read.
pub fn index(mut input: Box<dyn ReadSeek + '_>, name: &str) -> Result<Index> {
    let log = log(&mut input, name)?;
    if log.text("sessionId").is_some() && log.text("projectHash").is_some() {
        return Ok(log);
    }
    input.seek(SeekFrom::Start(0)).at("read", Path::new(name))?;
    match document(&mut input) {
        Ok(Some(index)) => Ok(index),
        Ok(None) | Err(Trouble::Broken) => Ok(Index { broken: log.broken, ..Index::default() }),
        Err(Trouble::Io(error)) => Err(error).at("read", Path::new(name)),
    }
}

/// The messages that hold so far, by their ids.
#[derive(Default)]
struct Live {
    list: Vec<Element>,
    places: HashMap<String, usize>,
}

impl Live {
    fn say(&mut self, element: Element) {
        let Some(id) = element.id.clone() else { return };
        match self.places.get(&id) {
            Some(&place) => self.list[place] = element,
            None => {
                self.places.insert(id, self.list.len());
                self.list.push(element);
            }
        }
    }

    /// An id that is not there takes everything back.
    fn rewind(&mut self, id: &str) {
        let left = self.places.get(id).copied().unwrap_or_default();
        for element in self.list.drain(left..) {
            self.places.remove(element.id.as_deref().unwrap_or_default());
        }
    }

    fn replace(&mut self, elements: Vec<Element>) -> Option<Replaced> {
        let before = std::mem::take(self);
        elements.into_iter().for_each(|element| self.say(element));
        let is_in = |live: &Self, element: &Element| {
            live.places.contains_key(element.id.as_deref().unwrap_or_default())
        };
        let new: Vec<Element> =
            self.list.iter().filter(|element| !is_in(&before, element)).cloned().collect();
        let lost: Vec<Element> = before.list.into_iter().filter(|element| !is_in(self, element)).collect();
        (!lost.is_empty() && !new.is_empty()).then_some(Replaced { lost, new })
    }
}

fn log(input: impl Read, name: &str) -> Result<Index> {
    let mut index = Index::default();
    let mut live = Live::default();
    let broken = record::each(input, name, |record| {
        match record.deed {
            Deed::Rewind(id) => live.rewind(&id),
            Deed::Message(element) => live.say(element),
            Deed::Update(messages) => {
                if let Some(messages) = messages {
                    index.replaced.extend(live.replace(messages));
                }
                index.set(record.fields);
            }
            Deed::Header(messages) => {
                messages.into_iter().for_each(|element| live.say(element));
                index.set(record.fields);
            }
            Deed::Nothing => {}
        }
        Ok(())
    })?;
    index.broken = broken;
    index.live = live.list;
    Ok(index)
}

/// A file that is one document: an old session, or a checkpoint.
fn document(input: impl Read) -> Walk<Option<Index>> {
    let mut walker = Walker::document(input);
    walker.space()?;
    let mut index = Index::default();
    let mut messages = None;
    let mut history = None;
    match walker.peek()? {
        Some(b'[') => history = Some(record::elements(&mut walker)?),
        Some(b'{') => {
            let mut fields = Vec::new();
            walker.object(&mut |walker, key| {
                if key == "history" && walker.peek()? == Some(b'[') {
                    history = Some(record::elements(walker)?);
                    return Ok(());
                }
                record::metadata(walker, key, &mut fields, &mut messages)
            })?;
            index.set(fields);
        }
        _ => return Ok(None),
    }
    walker.space()?;
    if walker.peek()?.is_some() {
        return Ok(None);
    }
    if index.text("sessionId").is_some() {
        index.form = Form::Object;
        index.live = messages.unwrap_or_default();
    } else if let Some(history) =
        history.filter(|history| history.iter().all(|content| content.speaker != Speaker::Program))
    {
        index.form = Form::Checkpoint;
        index.live = history;
    } else {
        return Ok(None);
    }
    Ok(Some(index))
}
