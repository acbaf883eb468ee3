//! Which archives of a directory may go.
//!
//! An archive older than the limit goes when no archive that stays goes on from it, and it holds the
//! last copy of no session. So that it comes to that, a run that knows a limit does two things. A
//! session that changed, and leans on an old archive, is stored whole. And sessions that did not
//! change, and whose last copy is in an old archive, are carried over into the new one: all of them
//! when less than half of what the old archives hold is a last copy; and when there are many old
//! archives, those of the smallest. So a directory holds what is newer than the limit, a few old
//! archives, and not much more than twice what restoring it brings back; and a session is copied
//! again now and then, not in every run.

use std::collections::{BTreeMap, BTreeSet};

use super::shelf::Shelf;
use super::state::State;
use crate::archive::manifest::SourceMachine;
use crate::model::Time;

/// When there are more old archives than this …
const MANY: usize = 12;

/// … so many of them stay.
const FEW: usize = 6;

/// A session of some archive: harness and id.
pub type Key = (String, String);

/// The last state of a session that the archives hold.
pub struct Last {
    /// Where: (archive, session).
    pub link: (usize, usize),
    /// `None`: an archive that it leans on is missing.
    pub state: Option<State>,
}

/// The last state of each session.
pub type Lasts = BTreeMap<Key, Last>;

/// The archives that are older than the limit.
pub fn old(shelf: &Shelf, limit: Option<Time>) -> BTreeSet<usize> {
    let is_old = |name: crate::archive::series::Name| limit.is_some_and(|limit| name.time() < limit);
    let volumes = shelf.volumes().iter().enumerate();
    volumes.filter(|(_, volume)| volume.name.is_some_and(is_old)).map(|(place, _)| place).collect()
}

/// The sessions to carry over, so that old archives can go. `stored`: those that this run stores
/// anyway, without leaning on an old archive.
pub fn carry(
    shelf: &Shelf,
    old: &BTreeSet<usize>,
    lasts: &Lasts,
    stored: &BTreeSet<Key>,
    source: &SourceMachine,
) -> Vec<Key> {
    // What newer archives go on from can only go when they have become old themselves.
    let pinned = leaned_on(shelf, young(shelf, old));
    let is_ours = |place: usize| shelf.volumes()[place].archive.manifest().source == *source;
    let free = old.iter().filter(|place| !pinned.contains(place) && is_ours(**place));
    let mut candidates: BTreeMap<usize, Candidate<'_>> = free
        .map(|&place| (place, Candidate { holds: holds(shelf, place), ..Candidate::default() }))
        .collect();
    for (key, last) in lasts.iter().filter(|(key, _)| !stored.contains(*key)) {
        let Some(state) = &last.state else {
            candidates.remove(&last.link.0);
            continue;
        };
        for (link, (volume, _)) in state.links.iter().enumerate() {
            if let Some(candidate) = candidates.get_mut(volume) {
                let parts = state.files.iter().flat_map(|file| &file.parts);
                candidate.live += parts.filter(|part| part.link == link).map(|part| part.size).sum::<u64>();
                candidate.sessions.push(key);
            }
        }
    }
    let mut candidates: Vec<Candidate<'_>> = candidates.into_values().collect();
    let sum = |of: fn(&Candidate<'_>) -> u64| candidates.iter().map(of).sum::<u64>();
    let is_mostly_stale =
        sum(|candidate| candidate.live).saturating_mul(2) < sum(|candidate| candidate.holds);
    if !is_mostly_stale {
        candidates.sort_by_key(|candidate| candidate.holds);
        let few = if candidates.len() > MANY { candidates.len() - FEW } else { 0 };
        candidates.truncate(few);
    }
    let chosen: BTreeSet<&Key> =
        candidates.iter().flat_map(|candidate| candidate.sessions.iter().copied()).collect();
    chosen.into_iter().cloned().collect()
}

/// An old archive.
#[derive(Default)]
struct Candidate<'s> {
    /// What it holds, in bytes.
    holds: u64,
    /// What of that is of the last state of some session.
    live: u64,
    sessions: Vec<&'s Key>,
}

fn holds(shelf: &Shelf, place: usize) -> u64 {
    let files = shelf.volumes()[place].sessions().iter().flat_map(|session| &session.files);
    files.map(|file| file.meta.size).sum()
}

/// The old archives that nothing needs, now that this run has stored `stored`.
pub fn removable(shelf: &Shelf, old: &BTreeSet<usize>, lasts: &Lasts, stored: &BTreeSet<Key>) -> Vec<usize> {
    let last = lasts.iter().filter(|(key, _)| !stored.contains(*key)).map(|(_, last)| last.link.0);
    let needed = leaned_on(shelf, young(shelf, old).chain(last));
    old.iter().filter(|place| !needed.contains(place)).copied().collect()
}

/// The archives that are not old.
fn young<'s>(shelf: &'s Shelf, old: &'s BTreeSet<usize>) -> impl Iterator<Item = usize> + 's {
    (0..shelf.volumes().len()).filter(|place| !old.contains(place))
}

/// These archives, and all that they lean on: every session of an archive that stays can be restored.
fn leaned_on(shelf: &Shelf, volumes: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let mut open: Vec<usize> = volumes.collect();
    let mut seen = BTreeSet::new();
    while let Some(volume) = open.pop() {
        if seen.insert(volume) {
            let sessions = 0..shelf.volumes()[volume].sessions().len();
            // One that is missing already cannot be needed more.
            open.extend(sessions.filter_map(|session| Some(shelf.base((volume, session)).ok()??.0)));
        }
    }
    seen
}
