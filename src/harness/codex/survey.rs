//! What must be known of a rollout before its first event can be delivered.
//!
//! A compaction or a rollback changes what came before it, and the event that confirms a prompt may
//! follow the prompt. So a rollout is read twice, and this first pass parses only the few records
//! that decide such things.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::value::RawValue;

use super::filter::{self, Prompts, Said};
use super::native::{Compacted, Line, Message, Tagged, TurnContext, UiEvent};
use super::record;
use crate::error::{IoContext, Result};
use crate::harness::common::jsonl::Lines;
use crate::model::{Payload, ReadSeek};

/// What must be known of a rollout.
#[derive(Debug, Default)]
pub struct Survey {
    /// Texts that events confirm as said by the user.
    pub prompts: Prompts,
    /// The compaction that the model's context begins with.
    pub compaction: Option<Compaction>,
    /// Parts of the file that a rollback took back.
    pub undone: Vec<Range<u64>>,
    /// Digests of summaries, which also stand in the file as assistant messages.
    pub summaries: HashSet<u64>,
}

/// A compaction whose summary can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// Where its record begins.
    pub offset: u64,
    /// Whether it names the items that replace the history; else the user's texts are kept.
    pub replaces: bool,
    /// The model of the turn before it.
    pub model: Option<String>,
}

impl Survey {
    /// Whether the record at `offset` was taken back.
    pub fn is_undone(&self, offset: u64) -> bool {
        self.undone.iter().any(|range| range.contains(&offset))
    }
}

/// Reads file `file` of the payload for what must be known of it.
///
/// # Errors
/// When it cannot be read.
pub fn survey(payload: &dyn Payload, file: usize) -> Result<Survey> {
    let path = std::path::Path::new(&payload.files()[file].path);
    let mut survey = Survey::default();
    let mut compactions: Vec<Compaction> = Vec::new();
    let mut rollbacks: Vec<(u64, usize)> = Vec::new();
    let mut model = None;
    let mut lines = Lines::new(payload.open(file)?, 0);
    while let Some(line) = lines.next_wanted(tells).at("read", path)? {
        // What is too long to be held is named by the second pass.
        let Some(kind) = record::kind(line.bytes).filter(|_| !line.cut) else { continue };
        let mut fixed = Vec::new();
        match (&*kind.record, &*kind.payload, &*kind.item) {
            ("event_msg", "user_message", _) | ("event_msg", "item_completed", "UserMessage") => {
                if let Some(event) = parse_event(line.bytes, &mut fixed) {
                    let text = event.item.and_then(|item| item.user_text());
                    survey.prompts.add(text.as_deref().or(event.message.as_deref()).unwrap_or_default());
                }
            }
            ("event_msg", "thread_rolled_back", _) => {
                let event = parse_event(line.bytes, &mut fixed);
                rollbacks.push((line.offset, event.and_then(|event| event.num_turns).unwrap_or_default()));
            }
            ("turn_context", ..) => {
                let context = record::parse::<Line<'_, TurnContext<'_>>>(line.bytes, &mut fixed);
                if let Some(name) = context.and_then(|context| context.payload.model) {
                    model = Some(name.0.into_owned());
                }
            }
            ("compacted", ..) => {
                let compacted = record::parse::<Line<'_, Compacted<'_>>>(line.bytes, &mut fixed);
                if let Some(compacted) = compacted.map(|line| line.payload)
                    && let Some(summary) = readable(&compacted)
                {
                    survey.summaries.insert(filter::digest(summary));
                    let replaces = compacted.replacement_history.is_some();
                    compactions.push(Compaction { offset: line.offset, replaces, model: model.clone() });
                }
            }
            _ => {}
        }
    }
    if !rollbacks.is_empty() {
        survey.undone = undone(payload.open(file)?, &survey.prompts, &rollbacks).at("read", path)?;
    }
    survey.compaction = compactions.into_iter().rfind(|compaction| !survey.is_undone(compaction.offset));
    Ok(survey)
}

/// Whether a long record, which begins like this, has to be known.
fn tells(beginning: &[u8]) -> bool {
    record::quick(beginning).is_none_or(|kind| {
        matches!(
            (&*kind.record, &*kind.payload, &*kind.item),
            ("event_msg", "user_message" | "thread_rolled_back", _)
                | ("event_msg", "item_completed", "UserMessage")
                | ("turn_context" | "compacted", ..)
        )
    })
}

/// The summary of a compaction, without the sentence that Codex puts in front of it for its model.
/// `None` when only the provider can read what replaced the history.
pub fn readable<'c>(compacted: &'c Compacted<'_>) -> Option<&'c str> {
    let message = compacted.message.as_deref().unwrap_or_default();
    let summary = filter::summary(message);
    let items = compacted.replacement_history.as_deref().unwrap_or_default();
    let is_opaque = |item: &&RawValue| {
        serde_json::from_str::<Tagged<'_>>(item.get()).is_ok_and(|item| item.kind.contains("compaction"))
    };
    (!summary.trim().is_empty() || !items.iter().any(is_opaque)).then_some(summary)
}

/// What the rollbacks took back: each removes the last turns of the user that are left.
fn undone(
    input: Box<dyn ReadSeek + '_>,
    prompts: &Prompts,
    rollbacks: &[(u64, usize)],
) -> std::io::Result<Vec<Range<u64>>> {
    let mut turns: Vec<u64> = Vec::new();
    let mut undone = Vec::new();
    let mut rollbacks = rollbacks.iter().peekable();
    let mut lines = Lines::new(input, 0);
    let is_message = |beginning: &[u8]| {
        record::quick(beginning)
            .is_none_or(|kind| kind.record == "response_item" && kind.payload == "message")
    };
    while let Some(line) = lines.next_wanted(is_message)? {
        if let Some((offset, count)) = rollbacks.next_if(|(offset, _)| *offset <= line.offset) {
            let left = turns.len().saturating_sub(*count);
            if let Some(start) = turns.get(left) {
                undone.push(*start..*offset);
            }
            turns.truncate(left);
        }
        if !line.cut && is_prompt(line.bytes, prompts) {
            turns.push(line.offset);
        }
    }
    Ok(undone)
}

fn is_prompt(line: &[u8], prompts: &Prompts) -> bool {
    if !record::kind(line).is_some_and(|kind| kind.record == "response_item" && kind.payload == "message") {
        return false;
    }
    let mut fixed = Vec::new();
    record::parse::<Line<'_, Message<'_>>>(line, &mut fixed).is_some_and(|line| {
        &*line.payload.role == "user" && matches!(filter::said(line.payload, prompts), Said::User(_))
    })
}

fn parse_event<'a>(line: &'a [u8], fixed: &'a mut Vec<u8>) -> Option<UiEvent<'a>> {
    record::parse::<Line<'_, UiEvent<'_>>>(line, fixed).map(|line| line.payload)
}
