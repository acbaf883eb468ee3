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
pub(super) struct Tree<'i> {
    /// What is known of the rows.
    pub(super) index: &'i Index,
    /// The row that each row hangs on, [`NONE`] for a root.
    pub(super) parent: Vec<u32>,
    /// Rows that a compaction took out.
    pub(super) gone: Vec<bool>,
}

impl<'i> Tree<'i> {
    fn new(index: &'i Index) -> Self {
        let parent = index.rows.iter().map(|row| row.parent).collect();
        Self { index, parent, gone: vec![false; index.rows.len()] }
    }

    pub(super) fn row(&self, place: u32) -> &Row {
        &self.index.rows[place as usize]
    }

    pub(super) fn parent(&self, place: u32) -> Option<u32> {
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

    pub(super) fn places(&self) -> impl Iterator<Item = u32> + use<> {
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

    /// The way from the root to `leaf`.
    fn chain(&self, leaf: u32) -> Vec<u32> {
        let mut seen = vec![false; self.parent.len()];
        let mut nearest = None;
        let mut chain = Vec::new();
        let mut next = Some(leaf);
        while let Some(place) = next {
            seen[place as usize] = true;
            chain.push(place);
            let root = self.parent[place as usize] == NONE && !self.row(place).marks.has(Marks::LOST);
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
pub(super) fn belongs(row: &Row, response: u32) -> bool {
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
