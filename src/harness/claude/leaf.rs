//! Which row the conversation ends with.
//!
//! The program writes down where it stands (a checkpoint) every now and then, and a user can go
//! back (an explicit one). What came after a checkpoint counts if it hangs on it; results of
//! parallel calls, which hang beside each other, make that question hard.

use std::collections::HashSet;

use super::index::{Kind, Marks, NONE, Row};
use super::tree::{Tree, belongs};

impl Tree<'_> {
    /// The row that the conversation ends with.
    pub(super) fn leaf(&self, kept: Option<u32>) -> Option<u32> {
        let checkpoint = self.index.checkpoint;
        if checkpoint.emptied {
            return None;
        }
        let last = self.index.last?;
        let named =
            checkpoint.leaf.and_then(|id| self.index.place(id)).filter(|place| !self.gone[*place as usize]);
        if kept.is_none() || (checkpoint.explicit && named.is_some()) {
            let mut leaf = named;
            if let Some(place) = named
                && !checkpoint.explicit
                && self.continues(last, place, true)
            {
                leaf = Some(last);
            }
            if kept.is_none() {
                leaf = leaf.or_else(|| Some(if checkpoint.seen { last } else { self.newest_below(last) }));
            }
            if let Some(leaf) = leaf.and_then(|place| self.talking(place)) {
                return Some(leaf);
            }
        }
        let leaves = self.leaves();
        if let [leaf] = leaves[..] {
            return Some(leaf);
        }
        let named = named.filter(|place| leaves.contains(place));
        let named = named.filter(|place| checkpoint.explicit || !self.continues(last, *place, false));
        self.talking(named.unwrap_or(last))
    }

    /// The row itself or the first above it that is the user's or the model's.
    fn talking(&self, place: u32) -> Option<u32> {
        let mut place = place;
        for _ in 0..self.parent.len() {
            if self.row(place).talks() {
                return Some(place);
            }
            place = self.parent(place)?;
        }
        None
    }

    /// The latest row of those that hang on `place`; without checkpoints, time decides.
    fn newest_below(&self, place: u32) -> u32 {
        if self.index.newest == Some(place) {
            return place;
        }
        const BELOW: u8 = 1;
        const BESIDE: u8 = 2;
        let mut state = vec![0; self.parent.len()];
        state[place as usize] = BELOW;
        let mut way = Vec::new();
        let (mut newest, mut time) = (place, i64::MIN);
        for other in self.places() {
            let mut at = Some(other);
            let mut found = BESIDE;
            while let Some(row) = at {
                if state[row as usize] != 0 {
                    found = state[row as usize];
                    break;
                }
                state[row as usize] = BESIDE;
                way.push(row);
                at = self.parent(row);
            }
            for row in way.drain(..) {
                state[row as usize] = found;
            }
            let row = self.row(other);
            let may = row.kind != Kind::Progress && !self.gone[other as usize] && other != place;
            if may && found == BELOW && row.time >= time {
                (newest, time) = (other, row.time);
            }
        }
        newest
    }

    /// Whether the conversation went on from `checkpoint` to `last`. The checkpoint may be the
    /// result of one of several parallel calls, and the conversation go on from another one.
    fn continues(&self, last: u32, checkpoint: u32, direct: bool) -> bool {
        let call = if self.index.checkpoint.ever_explicit { None } else { self.call_of(checkpoint) };
        let response = call.map_or(NONE, |place| self.row(place).response);
        let earlier = call.map(|place| self.earlier_in_response(place)).unwrap_or_default();
        let mut batch = false;
        let mut at = Some(last);
        for _ in 0..self.parent.len() {
            let Some(place) = at else { break };
            if direct && place == checkpoint {
                return true;
            }
            let row = self.row(place);
            if response != NONE {
                if earlier.contains(&place) || (call == Some(place) && batch) {
                    return true;
                }
                if call != Some(place) && row.response == response && row.marks.has(Marks::CALLS) {
                    batch = true;
                } else if !belongs(row, response) {
                    batch = false;
                }
            }
            at = self.parent(place);
        }
        false
    }

    /// The calls of the same response that stand above a call.
    fn earlier_in_response(&self, call: u32) -> HashSet<u32> {
        let response = self.row(call).response;
        let mut earlier = Vec::new();
        let mut at = self.parent(call);
        while let Some(place) = at
            && belongs(self.row(place), response)
            && earlier.len() < self.parent.len()
        {
            earlier.push(place);
            at = self.parent(place);
        }
        let calls = |row: &Row| row.response == response && row.marks.has(Marks::CALLS);
        earlier.into_iter().filter(|place| calls(self.row(*place))).collect()
    }

    /// The row of the call that `place` is, answers or stands beside.
    fn call_of(&self, place: u32) -> Option<u32> {
        let mut place = place;
        for _ in 0..self.parent.len() {
            let row = self.row(place);
            if row.kind == Kind::Assistant {
                return row.marks.has(Marks::CALLS).then_some(place);
            }
            if row.kind == Kind::User && !row.marks.has(Marks::META) && !row.marks.has(Marks::RESULTS) {
                return None;
            }
            place = self.parent(place)?;
        }
        None
    }

    /// The user's and the model's rows that no other such row hangs on, by way of the last rows.
    fn leaves(&self) -> Vec<u32> {
        let mut hung_on = vec![false; self.parent.len()];
        let mut talked_on = vec![false; self.parent.len()];
        for place in self.places() {
            if let (false, Some(parent)) = (self.gone[place as usize], self.parent(place)) {
                hung_on[parent as usize] = true;
                talked_on[parent as usize] |= self.row(place).talks();
            }
        }
        let talking = self.all_talking();
        let mut leaves = Vec::new();
        for place in self.places() {
            let last = !hung_on[place as usize] && !self.gone[place as usize];
            let leaf = talking[place as usize];
            if last && leaf != NONE && !std::mem::replace(&mut talked_on[leaf as usize], true) {
                leaves.push(leaf);
            }
        }
        leaves
    }

    /// [`Self::talking`] of every row.
    fn all_talking(&self) -> Vec<u32> {
        let mut found = vec![NONE; self.parent.len()];
        let mut seen = vec![false; self.parent.len()];
        let mut way = Vec::new();
        for start in self.places() {
            let mut at = Some(start);
            let mut talking = NONE;
            while let Some(place) = at {
                if self.row(place).talks() {
                    talking = place;
                    break;
                }
                if std::mem::replace(&mut seen[place as usize], true) {
                    talking = found[place as usize];
                    break;
                }
                way.push(place);
                at = self.parent(place);
            }
            found[start as usize] = talking;
            for place in way.drain(..) {
                found[place as usize] = talking;
            }
        }
        found
    }
}
