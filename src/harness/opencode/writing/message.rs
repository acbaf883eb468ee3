//! A message that waits until it is whole.

use super::calls::{Call, Slot, size};
use super::ids::Minter;
use super::models::Model;
use super::record::{Assistant, Completed, Created, Info, Line, ModelOf, Part, Paths, Placed, Tokens, User};
use super::write::Place;

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The user.
    User,
    /// The model, in one response.
    Model {
        /// Which one.
        step: u64,
    },
    /// The program, with what the user ran by hand.
    Shell,
    /// The model, with the summary of a compaction.
    Summary,
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Who speaks.
    pub speaker: Speaker,
    /// The model that answered, or is asked.
    pub model: Model,
    /// When it ended, in milliseconds since 1970.
    pub completed: i64,
    id: String,
    parent: String,
    created: i64,
    first_part: u64,
    slots: Vec<(Slot, i64)>,
}

impl Message {
    /// An empty message.
    pub fn new(
        speaker: Speaker,
        id: String,
        parent: String,
        model: Model,
        first_part: u64,
        now: i64,
    ) -> Self {
        Self { speaker, model, completed: now, id, parent, created: now, first_part, slots: Vec::new() }
    }

    /// Adds a part.
    pub fn add(&mut self, part: Part, now: i64) {
        self.slot(Slot::Done(part), now);
    }

    /// Adds a call that waits for its result.
    pub fn call(&mut self, call: Call, now: i64) {
        self.slot(Slot::Open(call), now);
    }

    /// Adds a part or a call.
    pub fn slot(&mut self, slot: Slot, now: i64) {
        self.slots.push((slot, now));
    }

    /// Whether it has calls, answered or not.
    pub fn has_calls(&self) -> bool {
        self.slots.iter().any(|(slot, _)| slot.is_call())
    }

    /// Whether a call has no result yet.
    pub fn is_open(&self) -> bool {
        self.slots.iter().any(|(slot, _)| matches!(slot, Slot::Open(_)))
    }

    /// The call of that id, when it waits for its result.
    pub fn waiting_for(&mut self, call: &str) -> Option<&mut Slot> {
        let slots = self.slots.iter_mut().map(|(slot, _)| slot);
        slots.rev().find(|slot| matches!(slot, Slot::Open(open) if open.theirs == call))
    }

    /// Ends the calls that have no result; how many they were.
    pub fn give_up(&mut self) -> u64 {
        self.slots.iter_mut().map(|(slot, _)| u64::from(slot.give_up())).sum()
    }

    /// About how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        let done = self.slots.iter().map(|(slot, _)| match slot {
            Slot::Done(part) => size(part),
            Slot::Open(_) => 0,
        });
        done.sum()
    }

    /// Writes it as a line, and gives its parts their ids.
    pub fn line(&mut self, place: &Place, minter: &mut Minter) -> Vec<u8> {
        let mut ids: Vec<String> = Vec::with_capacity(self.slots.len());
        for at in 0..self.slots.len() as u64 {
            ids.push(minter.part(self.first_part + at));
        }
        for (slot, _) in &mut self.slots {
            slot.name_attachments(&self.id, minter, self.first_part);
        }
        let mut times = vec![[self.created, self.completed]];
        times.extend(self.slots.iter().map(|(_, now)| [*now, *now]));
        let parts = self.slots.iter().zip(&ids).filter_map(|((slot, _), id)| match slot {
            Slot::Done(part) => Some(Placed { part, id, session_id: &place.session, message_id: &self.id }),
            Slot::Open(_) => None,
        });
        let line = Line { info: self.info(place), parts: parts.collect(), times };
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn info<'a>(&'a self, place: &'a Place) -> Info<'a> {
        let (provider, model) = (self.model.provider.as_str(), self.model.model.as_str());
        if self.speaker == Speaker::User {
            return Info::User(User {
                role: "user",
                time: Created { created: self.created },
                agent: place.agent,
                model: ModelOf { provider, model },
                id: &self.id,
                session_id: &place.session,
            });
        }
        let is_summary = self.speaker == Speaker::Summary;
        let agent = if is_summary { "compaction" } else { place.agent };
        let calls = matches!(self.speaker, Speaker::Model { .. }) && self.has_calls();
        Info::Assistant(Assistant {
            parent_id: &self.parent,
            role: "assistant",
            mode: agent,
            agent,
            path: Paths { cwd: &place.cwd, root: &place.root },
            summary: is_summary.then_some(true),
            cost: 0,
            tokens: Tokens::default(),
            model,
            provider,
            time: Completed { created: self.created, completed: self.completed },
            finish: if calls { "tool-calls" } else { "stop" },
            id: &self.id,
            session_id: &place.session,
        })
    }
}
