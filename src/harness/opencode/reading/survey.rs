//! What a first look at all messages tells: which of them are the live branch, and which of those
//! the model still gets.
//!
//! opencode 1.18 looks for the newest compaction that came to its end: a user message that asks for
//! one, and the answer to it that is its summary. The model gets those two, then the messages that
//! the compaction kept, then what came after. A revert that was not followed by a prompt yet takes
//! everything from a certain message (or from a part of it) on out of sight; the next prompt
//! removes it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::paths::{MESSAGES, SESSION};
use super::native::{Message, Part, Text};
use crate::error::{IoContext, Result};
use crate::harness::common::jsonl::Lines;
use crate::harness::common::repair::repair;
use crate::model::Payload;

/// A longer `session.json` is not looked into.
const MOST: u64 = 64 << 20;

/// What was found out.
#[derive(Debug, Default)]
pub struct Survey {
    /// Of each message of the live branch, its offset; and where the last of them ends.
    offsets: Vec<u64>,
    end: u64,
    /// The first message that the model gets.
    pub start: usize,
    /// The summary that the model's context begins with, and what was kept of the messages before.
    compaction: Option<Compaction>,
    /// Offsets of the answers that are summaries.
    summaries: HashSet<u64>,
    /// Offsets of the user messages that were answered.
    answered: HashSet<u64>,
    /// Of the last message of the live branch, the first part that a revert took out of sight.
    pub cut: Option<(u64, u64)>,
    /// Messages that a revert took out of sight.
    pub reverted: u64,
}

/// A compaction: places of messages.
#[derive(Debug)]
struct Compaction {
    request: usize,
    summary: usize,
    kept: usize,
}

/// A message.
struct Entry {
    offset: u64,
    id: u64,
    is_user: bool,
    parent: Option<u64>,
    /// Of a user message that asks for a compaction: the first message that it keeps.
    compaction: Option<Option<u64>>,
    /// It is a summary that came to its end.
    is_summary: bool,
}

impl Survey {
    /// Looks at file `file` of the payload, and at the session that it belongs to.
    ///
    /// # Errors
    /// When the payload cannot be read.
    pub fn of(payload: &dyn Payload, file: usize) -> Result<Self> {
        let path = Path::new(&payload.files()[file].path);
        let mut lines = Lines::new(payload.open(file)?, 0);
        let mut entries = Vec::new();
        let mut end = 0;
        while let Some(line) = lines.next_line().at("read", path)? {
            let offset = line.offset;
            end = offset + line.length;
            // Ids and kinds are short.
            entries.extend(if line.cut {
                entry(offset, lines.abridged().at("read", path)?.json())
            } else {
                entry(offset, line.bytes)
            });
        }
        let revert = revert(payload, file)?;
        Ok(Self::of_entries(entries, end, revert))
    }

    fn of_entries(mut entries: Vec<Entry>, end: u64, revert: Option<(u64, Option<u64>)>) -> Self {
        let mut survey = Self { end, ..Self::default() };
        if let Some((message, part)) = revert
            && let Some(place) = entries.iter().position(|entry| entry.id == message)
        {
            // With a part, what comes before it in the message stays.
            let first = place + usize::from(part.is_some());
            survey.cut = part.map(|part| (entries[place].offset, part));
            survey.reverted = (entries.len() - place) as u64;
            survey.end = entries.get(first).map_or(end, |entry| entry.offset);
            entries.truncate(first);
        }
        survey.offsets = entries.iter().map(|entry| entry.offset).collect();
        let parents: HashSet<u64> = entries.iter().filter_map(|entry| entry.parent).collect();
        let answered = entries.iter().filter(|entry| entry.is_user && parents.contains(&entry.id));
        survey.answered = answered.map(|entry| entry.offset).collect();
        survey.find_start(&entries);
        survey
    }

    /// Goes back from the newest message to the one that the model's context begins with.
    fn find_start(&mut self, entries: &[Entry]) {
        let mut summarised: HashSet<u64> = HashSet::new();
        let mut tail = None;
        for (place, entry) in entries.iter().enumerate().rev() {
            self.start = place;
            if let Some(tail) = tail {
                if entry.id == tail {
                    break;
                }
                continue;
            }
            if entry.is_user && summarised.contains(&entry.id) {
                match entry.compaction {
                    Some(None) => break,
                    Some(Some(kept)) => {
                        tail = Some(kept);
                        if entry.id == kept {
                            break;
                        }
                    }
                    None => {}
                }
            }
            if entry.is_summary {
                summarised.extend(entry.parent);
            }
        }
        let asks = |entry: &Entry| entry.compaction.is_some();
        for entry in entries.iter().filter(|entry| entry.is_summary) {
            let request = entries.iter().rfind(|request| Some(request.id) == entry.parent && asks(request));
            if request.is_some() {
                self.summaries.insert(entry.offset);
            }
        }
        let summary_of = |request: usize| {
            let answers = |entry: &Entry| entry.is_summary && entry.parent == Some(entries[request].id);
            (request + 1..entries.len()).find(|&place| answers(&entries[place]))
        };
        let kept_by = |request: usize| {
            let kept = entries[request].compaction.flatten()?;
            (self.start..request).find(|&place| entries[place].id == kept)
        };
        let keeps = |&place: &usize| matches!(entries[place].compaction, Some(Some(_)));
        let request = (self.start..entries.len()).rev().find(keeps);
        let with_tail = request.and_then(|request| Some((request, summary_of(request)?, kept_by(request)?)));
        let plain = || {
            let request = self.start;
            let summary =
                entries.get(request).filter(|entry| asks(entry)).and_then(|_| summary_of(request))?;
            Some((request, summary, request))
        };
        self.compaction =
            with_tail.or_else(plain).map(|(request, summary, kept)| Compaction { request, summary, kept });
    }

    /// The offsets of the messages that the model gets, in pieces, in the order that it gets them.
    pub fn live(&self) -> Vec<Range<u64>> {
        let at = |place: usize| self.offsets.get(place).copied().unwrap_or(self.end);
        let places = match &self.compaction {
            Some(Compaction { request, summary, kept }) if kept < request => {
                [(*request, summary + 1), (*kept, *request), (summary + 1, self.offsets.len())].to_vec()
            }
            _ => [(self.start, self.offsets.len())].to_vec(),
        };
        places.into_iter().map(|(start, end)| at(start)..at(end)).collect()
    }

    /// The offsets of the messages that a compaction took out of the model's sight.
    pub fn hidden(&self) -> Range<u64> {
        0..self.offsets.get(self.start).copied().unwrap_or(self.end)
    }

    /// Whether the answer at this offset is a summary in place of other messages. Those that the
    /// model gets are, but for the one that its context begins with, answers like any other.
    pub fn is_summary(&self, offset: u64, in_model: bool) -> bool {
        match &self.compaction {
            Some(compaction) if in_model => self.offsets.get(compaction.summary) == Some(&offset),
            _ => !in_model && self.summaries.contains(&offset),
        }
    }

    /// Whether the user message at this offset has an answer.
    pub fn is_answered(&self, offset: u64) -> bool {
        self.answered.contains(&offset)
    }
}

/// An id in few bytes.
pub fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn entry(offset: u64, line: &[u8]) -> Option<Entry> {
    let fixed;
    let message: Message<'_> = match serde_json::from_slice(line) {
        Ok(message) => message,
        Err(_) => {
            fixed = repair(line)?;
            serde_json::from_slice(&fixed).ok()?
        }
    };
    let info = &message.info;
    let is_user = &*info.role == "user";
    let asks = |part: &&RawValue| {
        let part: Part<'_> = serde_json::from_str(part.get()).ok()?;
        part.is("compaction").then(|| part.tail_start_id.as_deref().map(digest))
    };
    Some(Entry {
        offset,
        id: digest(&info.id),
        is_user,
        parent: info.parent.as_deref().map(digest),
        compaction: if is_user { message.parts.iter().find_map(asks) } else { None },
        is_summary: !is_user && info.is_summary() && info.is_finished(),
    })
}

/// The message, and the part of it, that the session was taken back to.
fn revert(payload: &dyn Payload, file: usize) -> Result<Option<(u64, Option<u64>)>> {
    #[derive(Deserialize)]
    struct Session<'a> {
        #[serde(borrow)]
        info: Info<'a>,
    }
    #[derive(Deserialize)]
    struct Info<'a> {
        #[serde(borrow, default)]
        revert: Option<Revert<'a>>,
    }
    #[derive(Deserialize)]
    struct Revert<'a> {
        #[serde(borrow, rename = "messageID")]
        message: Text<'a>,
        #[serde(borrow, default, rename = "partID")]
        part: Option<Text<'a>>,
    }
    let files = payload.files();
    let Some(folder) = files[file].path.strip_suffix(MESSAGES) else { return Ok(None) };
    let is_session = |path: &str| path.strip_prefix(folder) == Some(SESSION);
    let Some(session) = files.iter().position(|file| is_session(&file.path)) else { return Ok(None) };
    let mut bytes = Vec::new();
    payload.open(session)?.take(MOST).read_to_end(&mut bytes).at("read", Path::new(&files[session].path))?;
    let bytes = repair(&bytes).unwrap_or(bytes);
    // A session that cannot be read says nothing about a revert.
    let revert = serde_json::from_slice::<Session<'_>>(&bytes).ok().and_then(|session| session.info.revert);
    Ok(revert.map(|revert| (digest(&revert.message), revert.part.as_deref().map(digest))))
}
