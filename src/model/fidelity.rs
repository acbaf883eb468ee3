//! What a conversion kept, changed and dropped, with the reasons.

use std::collections::BTreeMap;

use serde::Serialize;

/// The kinds of things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A user message.
    User,
    /// An assistant message.
    Assistant,
    /// A piece of reasoning.
    Reasoning,
    /// A tool call.
    ToolCall,
    /// A tool result.
    ToolResult,
    /// An image or document.
    Image,
}

/// How many reached the target's model, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// As the same kind of thing.
    pub kept: u64,
    /// In another form, such as a tool call as text.
    pub adapted: u64,
    /// Not at all.
    pub dropped: u64,
}

/// The report of one conversion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fidelity {
    /// User messages.
    pub user: Counts,
    /// Assistant messages.
    pub assistant: Counts,
    /// Reasoning.
    pub reasoning: Counts,
    /// Tool calls.
    pub tool_calls: Counts,
    /// Tool results.
    pub tool_results: Counts,
    /// Images and documents.
    pub images: Counts,
    /// Why something was adapted or dropped, and what else is worth knowing.
    pub notes: Notes,
}

impl Fidelity {
    /// It reached the target's model as the same kind of thing.
    pub fn kept(&mut self, item: Item) {
        self.counts(item).kept += 1;
    }

    /// It reached the target's model in another form; `code` and `detail` say why.
    pub fn adapted(&mut self, item: Item, code: &'static str, detail: &'static str) {
        self.counts(item).adapted += 1;
        self.notes.add(code, detail);
    }

    /// It does not reach the target's model; `code` and `detail` say why.
    pub fn dropped(&mut self, item: Item, code: &'static str, detail: &'static str) {
        self.counts(item).dropped += 1;
        self.notes.add(code, detail);
    }

    /// Adds the counts and notes of another transcript of the same session.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.user, other.user),
            (&mut self.assistant, other.assistant),
            (&mut self.reasoning, other.reasoning),
            (&mut self.tool_calls, other.tool_calls),
            (&mut self.tool_results, other.tool_results),
            (&mut self.images, other.images),
        ] {
            mine.kept += theirs.kept;
            mine.adapted += theirs.adapted;
            mine.dropped += theirs.dropped;
        }
        self.notes.merge(&other.notes);
    }

    fn counts(&mut self, item: Item) -> &mut Counts {
        match item {
            Item::User => &mut self.user,
            Item::Assistant => &mut self.assistant,
            Item::Reasoning => &mut self.reasoning,
            Item::ToolCall => &mut self.tool_calls,
            Item::ToolResult => &mut self.tool_results,
            Item::Image => &mut self.images,
        }
    }
}

/// Remarks by code, counted, in a stable order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<&'static str, (u64, String)>);

impl Notes {
    /// Counts one more of `code`. The first detail given for a code is the one that is shown.
    pub fn add(&mut self, code: &'static str, detail: impl Into<String>) {
        self.add_many(code, 1, detail);
    }

    /// Counts `count` more of `code`.
    pub fn add_many(&mut self, code: &'static str, count: u64, detail: impl Into<String>) {
        if count > 0 {
            self.0.entry(code).or_insert_with(|| (0, detail.into())).0 += count;
        }
    }

    /// Adds all remarks of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (code, (count, detail)) in &other.0 {
            self.add_many(code, *count, detail.as_str());
        }
    }

    /// `(code, count, detail)`, sorted by code.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &str)> {
        self.0.iter().map(|(code, (count, detail))| (*code, *count, detail.as_str()))
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Notes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Note<'a> {
            code: &'a str,
            count: u64,
            detail: &'a str,
        }
        serializer.collect_seq(self.iter().map(|(code, count, detail)| Note { code, count, detail }))
    }
}
