//! Which archives of a directory may go.
//!
//! An archive older than the limit goes when nothing needs it: no newer archive goes on from it, and
//! it holds the last copy of no session. So that it comes to that, a run that knows a limit does two
//! things. A session that changed, and leans on an old archive, is stored whole. And sessions that
//! did not change, and whose last copy is in an old archive, are carried over into the new one: when
//! that archive is mostly made of what newer ones have too, or when there are many old ones, for the
//! smallest of them. So a directory holds what is newer than the limit, a few old archives, and never
//! much more than twice what restoring it brings back; and a session is copied again now and then,
//! not in every run.

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
    let mut candidates: BTreeMap<usize, Candidate<'_>> = old
        .iter()
        .filter(|place| !pinned.contains(place))
        .map(|&place| (place, Candidate::of(shelf, place, source)))
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
    candidates.retain(|_, candidate| candidate.is_ours);
    let mut chosen: BTreeSet<&Key> = BTreeSet::new();
    let (sparse, mut full): (Vec<_>, Vec<_>) =
        candidates.into_values().partition(|candidate| candidate.live.saturating_mul(2) < candidate.holds);
    chosen.extend(sparse.iter().flat_map(|candidate| candidate.sessions.iter().copied()));
    if full.len() > MANY {
        full.sort_by_key(|candidate| candidate.holds);
        full.truncate(full.len() - FEW);
        chosen.extend(full.iter().flat_map(|candidate| candidate.sessions.iter().copied()));
    }
    chosen.into_iter().cloned().collect()
}

/// An old archive.
struct Candidate<'s> {
    /// What it holds, in bytes.
    holds: u64,
    /// What of that is of the last state of some session.
    live: u64,
    sessions: Vec<&'s Key>,
    /// It is from this machine, so that its sessions can stand in an archive of this machine.
    is_ours: bool,
}

impl Candidate<'_> {
    fn of(shelf: &Shelf, place: usize, source: &SourceMachine) -> Self {
        let volume = &shelf.volumes()[place];
        let files = volume.sessions().iter().flat_map(|session| &session.files);
        Self {
            holds: files.map(|file| file.meta.size).sum(),
            live: 0,
            sessions: Vec::new(),
            is_ours: volume.archive.manifest().source == *source,
        }
    }
}

/// The old archives that nothing needs, now that this run has stored `stored`.
pub fn removable(shelf: &Shelf, old: &BTreeSet<usize>, lasts: &Lasts, stored: &BTreeSet<Key>) -> Vec<usize> {
    let last = lasts.iter().filter(|(key, _)| !stored.contains(*key)).map(|(_, last)| last.link);
    let needed = leaned_on(shelf, young(shelf, old).into_iter().chain(last).collect());
    old.iter().filter(|place| !needed.contains(place)).copied().collect()
}

/// All sessions in archives that are not old.
fn young(shelf: &Shelf, old: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let volumes = shelf.volumes().iter().enumerate().filter(|(place, _)| !old.contains(place));
    volumes
        .flat_map(|(place, volume)| (0..volume.sessions().len()).map(move |session| (place, session)))
        .collect()
}

/// The archives of these sessions, and all that they lean on.
fn leaned_on(shelf: &Shelf, mut links: Vec<(usize, usize)>) -> BTreeSet<usize> {
    let mut seen: BTreeSet<(usize, usize)> = BTreeSet::new();
    while let Some(link) = links.pop() {
        if seen.insert(link) {
            // One that is missing already cannot be needed more.
            links.extend(shelf.base(link).ok().flatten());
        }
    }
    seen.into_iter().map(|(volume, _)| volume).collect()
}
