//! From the index of a transcript to the conversation: which rows the program would send to its
//! model on resume, in which order, and which rows stood before its compactions.
//!
//! The rules are those of Claude Code 2.1.329: the last checkpoint names the live row, the
//! conversation is the way from there to the root, results of parallel calls hang beside that way
//! and are brought back, and what a compaction kept is hung behind its summary.

use super::index::{Index, Kept, Kind, Marks, NONE, Row};

/// A row whose parent is missing is hung on the row before it if that is at most this old, in ms.
const NEAR: i64 = 5_000;

/// The conversation, as places in [`Index::rows`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// What compactions took out of the model's sight, oldest first.
    pub older: Vec<u32>,
    /// What the model sees. Begins with the boundary of the last compaction, if there was one.
    pub model: Vec<u32>,
}

/// The live branch of a transcript.
pub fn live(index: &Index) -> Branch {
    let mut tree = Tree::new(index);
    let kept = tree.relink();
    let Some(leaf) = tree.leaf(kept) else { return Branch::default() };
    let mut chain = tree.chain(leaf);
    chain = tree.with_parallel_results(chain);
    tree.add_tail(leaf, &mut chain);
    let Some(cut) = chain.iter().rposition(|place| tree.row(*place).marks.has(Marks::BOUNDARY)) else {
        return Branch { older: Vec::new(), model: chain };
    };
    let model = chain.split_off(cut);
    Branch { older: older(index, &model), model }
}

/// What stood before the boundary that a conversation begins with, without the rows it kept.
fn older(index: &Index, model: &[u32]) -> Vec<u32> {
    let mut tree = Tree::new(index);
    for place in model {
        tree.gone[*place as usize] = true;
    }
    let mut seen = vec![false; index.rows.len()];
    let mut chain = Vec::new();
    let mut next = model.first().and_then(|boundary| tree.before(*boundary));
    while let Some(place) = next
        && !std::mem::replace(&mut seen[place as usize], true)
    {
        if !tree.gone[place as usize] {
            chain.push(place);
        }
        next = tree.before(place);
    }
    chain.reverse();
    tree.with_parallel_results(chain)
}

/// The rows with the links that count after compaction.
struct Tree<'i> {
    index: &'i Index,
    /// The row that each row hangs on, [`NONE`] for a root.
    parent: Vec<u32>,
    /// Rows that a compaction took out.
    gone: Vec<bool>,
}

impl<'i> Tree<'i> {
    fn new(index: &'i Index) -> Self {
        let parent = index.rows.iter().map(|row| row.parent).collect();
        Self { index, parent, gone: vec![false; index.rows.len()] }
    }

    fn row(&self, place: u32) -> &Row {
        &self.index.rows[place as usize]
    }

    fn parent(&self, place: u32) -> Option<u32> {
        let parent = self.parent[place as usize];
        (parent != NONE && !self.gone[parent as usize]).then_some(parent)
    }

    /// The row before this one, across compactions.
    fn before(&self, place: u32) -> Option<u32> {
        let parent = self.parent[place as usize];
        if parent != NONE {
            return Some(parent);
        }
        self.index.before(place)
    }

    fn places(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.index.rows.len()).unwrap_or(NONE)
    }

    /// Hangs the rows that the last compaction kept behind its summary and takes out all others
    /// before it. Returns the last kept row. A compaction that kept nothing needs none of this:
    /// its boundary is a root.
    fn relink(&mut self) -> Option<u32> {
        let boundaries = &self.index.boundaries;
        let last = boundaries.last()?;
        let keeper = boundaries.iter().rfind(|boundary| boundary.kept.is_some())?;
        let mut kept = Vec::new();
        if keeper.row == last.row {
            kept = self.kept(keeper.kept.as_ref()?)?;
        }
        let tail = kept.last().copied();
        if let (Some(first), Some(tail), Some(anchor)) =
            (kept.first(), tail, self.anchor(keeper.kept.as_ref()?))
        {
            let mut above = anchor;
            for place in &kept {
                self.parent[*place as usize] = above;
                above = *place;
            }
            for place in self.places() {
                if self.parent[place as usize] == anchor && place != *first {
                    self.parent[place as usize] = tail;
                }
            }
        }
        let mut keep = vec![false; last.row as usize];
        for place in &kept {
            if let Some(keep) = keep.get_mut(*place as usize) {
                *keep = true;
            }
        }
        for (place, keep) in keep.iter().enumerate() {
            self.gone[place] = !keep;
        }
        if let Some(tail) = tail {
            for place in self.places() {
                let parent = self.parent[place as usize];
                let cut = parent != NONE && self.gone[parent as usize] && !self.gone[place as usize];
                if cut && self.row(place).talks() {
                    self.parent[place as usize] = tail;
                }
            }
        }
        tail
    }

    fn anchor(&self, kept: &Kept) -> Option<u32> {
        let (Kept::List(anchor, _) | Kept::Segment { anchor, .. }) = kept;
        self.index.place(*anchor)
    }

    fn kept(&self, kept: &Kept) -> Option<Vec<u32>> {
        match kept {
            Kept::List(_, ids) => ids.iter().map(|id| self.index.place(*id)).collect(),
            Kept::Segment { head, tail, .. } => {
                let head = self.index.place(*head)?;
                let mut kept = vec![self.index.place(*tail)?];
                while kept[kept.len() - 1] != head {
                    let parent = self.parent(kept[kept.len() - 1])?;
                    if kept.len() > self.index.rows.len() {
                        return None;
                    }
                    kept.push(parent);
                }
                kept.reverse();
                Some(kept)
            }
        }
    }

    /// The row that the conversation ends with.
    fn leaf(&self, kept: Option<u32>) -> Option<u32> {
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
        let mut batch = false;
        let mut at = Some(last);
        for _ in 0..self.parent.len() {
            let Some(place) = at else { break };
            if direct && place == checkpoint {
                return true;
            }
            let row = self.row(place);
            if response != NONE {
                if call == Some(place) && batch {
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

    /// The way from the root to `leaf`.
    fn chain(&self, leaf: u32) -> Vec<u32> {
        let mut seen = vec![false; self.parent.len()];
        let mut nearest = None;
        let mut chain = Vec::new();
        let mut next = Some(leaf);
        while let Some(place) = next {
            seen[place as usize] = true;
            chain.push(place);
            let root = self.parent[place as usize] == NONE && !self.row(place).lost;
            next = self.parent(place).filter(|parent| !seen[*parent as usize]);
            if next.is_none() && !root {
                next = nearest.get_or_insert_with(|| Nearest::new(self)).before(self.row(place).time, &seen);
            }
        }
        chain.reverse();
        chain
    }

    /// Brings back what hangs beside the chain: rows of a model response that stands on it, the
    /// results of its calls, and what hangs on those.
    fn with_parallel_results(&self, chain: Vec<u32>) -> Vec<u32> {
        let mut on_chain = vec![false; self.parent.len()];
        let mut spans: Vec<Option<Span>> = Vec::new();
        for (at, place) in chain.iter().enumerate() {
            on_chain[*place as usize] = true;
            let response = self.row(*place).response as usize;
            if response != NONE as usize {
                if spans.len() <= response {
                    spans.resize_with(response + 1, || None);
                }
                let span =
                    spans[response].get_or_insert_with(|| Span { start: at, end: at, rows: Vec::new() });
                span.end = at + 1;
            }
        }
        let mut owner = vec![NONE; self.parent.len()];
        for place in self.places() {
            let row = self.row(place);
            if on_chain[place as usize] || self.gone[place as usize] || row.kind == Kind::Progress {
                continue;
            }
            let owned = if row.kind == Kind::Assistant {
                row.response
            } else if let Some(parent) = self.parent(place)
                && (row.marks.has(Marks::RESULTS) || beside(row))
            {
                let above = self.row(parent);
                let calls = above.kind == Kind::Assistant && above.marks.has(Marks::CALLS);
                if calls { above.response } else { owner[parent as usize] }
            } else {
                NONE
            };
            if let Some(Some(span)) = spans.get_mut(owned as usize) {
                owner[place as usize] = owned;
                span.rows.push(place);
            }
        }
        let mut spans: Vec<Span> = spans.into_iter().flatten().filter(|span| !span.rows.is_empty()).collect();
        for span in &mut spans {
            let response = self.row(chain[span.start]).response;
            while chain.get(span.end).is_some_and(|place| belongs(self.row(*place), response)) {
                span.end += 1;
            }
        }
        spans.sort_by_key(|span| span.start);
        weave(chain, spans)
    }

    /// Adds what hangs on the last row: attachments and the like.
    fn add_tail(&self, leaf: u32, chain: &mut Vec<u32>) {
        let mut in_chain = vec![false; self.parent.len()];
        for place in chain.iter() {
            in_chain[*place as usize] = true;
        }
        let mut below = vec![false; self.parent.len()];
        below[leaf as usize] = true;
        for place in self.places() {
            let row = self.row(place);
            let quiet = !row.talks() && row.kind != Kind::Progress && !in_chain[place as usize];
            if let (true, Some(parent)) = (quiet && !self.gone[place as usize], self.parent(place))
                && below[parent as usize]
            {
                below[place as usize] = true;
                chain.push(place);
            }
        }
    }
}

/// Where on the chain a model response and its results stand, and what hangs beside them.
struct Span {
    start: usize,
    end: usize,
    rows: Vec<u32>,
}

/// Puts the rows of the spans between those of the chain, in file order.
fn weave(chain: Vec<u32>, spans: Vec<Span>) -> Vec<u32> {
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => {
                last.end = last.end.max(span.end);
                last.rows.extend(span.rows);
            }
            _ => merged.push(span),
        }
    }
    if merged.is_empty() {
        return chain;
    }
    let mut woven =
        Vec::with_capacity(chain.len() + merged.iter().map(|span| span.rows.len()).sum::<usize>());
    let mut at = 0;
    for Span { start, end, mut rows } in merged {
        rows.sort_unstable();
        let mut rows = rows.into_iter().peekable();
        woven.extend_from_slice(&chain[at..=start]);
        for place in &chain[start + 1..end] {
            while let Some(row) = rows.next_if(|row| row < place) {
                woven.push(row);
            }
            woven.push(*place);
        }
        woven.extend(rows);
        at = end;
    }
    woven.extend_from_slice(&chain[at..]);
    woven
}

/// Rows that are neither the user's nor the model's words, and no boundary.
fn beside(row: &Row) -> bool {
    match row.kind {
        Kind::Attachment => true,
        Kind::System => !row.marks.has(Marks::BOUNDARY),
        Kind::User => row.marks.has(Marks::META) && !row.marks.has(Marks::RESULTS),
        Kind::Assistant | Kind::Progress => false,
    }
}

/// Rows that stand between a response and the next thing said.
fn belongs(row: &Row, response: u32) -> bool {
    beside(row)
        || (row.kind == Kind::User && row.marks.has(Marks::RESULTS))
        || (row.kind == Kind::Assistant && row.response == response)
}

/// Rows by time, to find the one before a row whose parent is missing.
struct Nearest {
    rows: Vec<(i64, u32)>,
    /// Where to look when a row was taken already; shortened as it is used.
    below: Vec<u32>,
}

impl Nearest {
    fn new(tree: &Tree<'_>) -> Self {
        let mut rows: Vec<(i64, u32)> = tree
            .places()
            .filter(|place| !tree.gone[*place as usize])
            .map(|place| (tree.row(place), place))
            .filter(|(row, _)| {
                row.time != i64::MIN && row.kind != Kind::Progress && !row.marks.has(Marks::SNAPSHOT)
            })
            .map(|(row, place)| (row.time, place))
            .collect();
        // Of rows of one time the program takes the first.
        rows.sort_by_key(|(time, place)| (*time, std::cmp::Reverse(*place)));
        let below = (0..=u32::try_from(rows.len()).unwrap_or(NONE)).collect();
        Self { rows, below }
    }

    /// The latest row that is not taken, at most [`NEAR`] before `time`.
    fn before(&mut self, time: i64, taken: &[bool]) -> Option<u32> {
        if time == i64::MIN {
            return None;
        }
        let start = self.rows.partition_point(|(other, _)| *other <= time);
        let mut at = start;
        // `below[n]` stands for the n rows before it.
        loop {
            let jump = self.below[at] as usize;
            if jump != at {
                at = jump;
            } else if at > 0 && taken[self.rows[at - 1].1 as usize] {
                self.below[at] -= 1;
                at -= 1;
            } else {
                break;
            }
        }
        let mut walk = start;
        while walk != at {
            let next = self.below[walk] as usize;
            self.below[walk] = u32::try_from(at).unwrap_or(NONE);
            walk = next;
        }
        let (found, place) = *self.rows.get(at.checked_sub(1)?)?;
        (time - found <= NEAR).then_some(place)
    }
}
