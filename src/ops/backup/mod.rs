//! `backup`: every session into a directory, in each run only what is new since the last one.
//!
//! A run makes one archive, or none when nothing is new. It holds the sessions that changed, and of
//! a conversation that got longer only what was added: the rest is in earlier archives of the
//! directory, and the new one says in which ([`crate::archive::series`]). So each archive restores,
//! with those before it beside it, the sessions that it holds as they were then; and all of them
//! together the last state of every session, also of those that a program has deleted since.
//!
//! - [`shelf`]: the archives of a directory
//! - [`state`]: a session as one of them has it, and those that it leans on; [`joined`]: its bytes
//! - [`fresh`]: what is new of a session
//! - [`memory`]: what need not be read again
//! - [`keep`]: which archives may go
//! - `store`: the new archive
//! - [`overview`]: what a directory holds
//! - [`restore`]: bringing sessions back, and whether they could be
//! - [`report`]: what is told about it

pub mod fresh;
pub mod joined;
pub mod keep;
pub mod memory;
pub mod overview;
pub mod report;
pub mod restore;
pub mod shelf;
pub mod state;
mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use rayon::prelude::*;

use crate::archive::{self, series};
use crate::env::Env;
use crate::error::Result;
use crate::harness::{Found, NativeSession};
use crate::model::Time;
use crate::ops::select::{self, Selected, Selection};
use crate::progress::Progress;
use crate::txn::Claim;
use fresh::{Change, Fresh};
use keep::{Key, Last, Lasts};
use memory::Memory;
pub use report::Report;
use shelf::Shelf;
use state::{LONGEST, State};

/// So many sessions are opened at a time. Looking for the sub-agents of Codex costs the same for one
/// as for all, and an open session may be an unpacked copy.
const BATCH: usize = 2048;

/// What is backed up, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the archives are.
    pub dir: PathBuf,
    /// Only these harnesses; empty: all.
    pub harnesses: Vec<String>,
    /// Archives from before this instant may go.
    pub limit: Option<Time>,
    /// Compression, 1 to 9.
    pub level: u32,
    /// Read everything, whatever the times of files say.
    pub checksum: bool,
}

/// Makes a backup.
///
/// # Errors
/// [`Kind::Busy`](crate::error::Kind::Busy) when another run is at work in the directory; when the directory cannot be read or
/// written. There is no new archive then. A session that cannot be read is no error: it is named in
/// the report.
pub fn run(env: &Env, options: &Options, progress: &dyn Progress) -> Result<Report> {
    let claim = Claim::take(&options.dir)?;
    let mut shelf = Shelf::of_dir(&options.dir)?;
    let mut warnings = std::mem::take(&mut shelf.warnings);
    let lasts = lasts(&shelf, &mut warnings);
    let old = keep::old(&shelf, options.limit);
    let earlier = Memory::load(env, &options.dir);
    let mut run = Run {
        env,
        options,
        shelf: &shelf,
        lasts: &lasts,
        old: &old,
        // What is known of harnesses that are not looked at stays known.
        memory: if options.harnesses.is_empty() { Memory::new(&options.dir) } else { earlier.clone() },
        earlier: if options.checksum { Memory::new(&options.dir) } else { earlier },
        failed: Vec::new(),
        unchanged: 0,
    };
    let chosen = run.choose(&mut warnings)?;
    let stamps = run.stamps(&chosen);
    let mut new = Vec::new();
    let size = |batch: &[&Selected]| batch.iter().filter_map(|one| one.found.bytes).sum();
    let unknown = run.unknown(&chosen, &stamps);
    progress.begin("comparing", size(&unknown));
    for batch in unknown.chunks(BATCH) {
        new.extend(run.look(batch, &stamps));
        progress.advance(size(batch));
    }
    progress.end();
    new.sort_by(|a: &New<'_>, b: &New<'_>| a.key.cmp(&b.key));
    let stored = store::store(&mut run, new, &stamps, &mut warnings, progress)?;
    let mut removed = Vec::new();
    for place in keep::removable(&shelf, &old, &lasts, &stored.keys) {
        let label = &shelf.volumes()[place].label;
        match claim.remove(label) {
            Ok(()) => removed.push(label.clone()),
            Err(error) => warnings.push(format!("{label} could go, but: {error}")),
        }
    }
    // Without it the next run reads more, and that is all.
    let _ = run.memory.save(env);
    let Run { failed, unchanged, .. } = run;
    Ok(Report {
        schema: "holdall.backup/1",
        dir: options.dir.clone(),
        archive: stored.name.map(|name| name.to_string()),
        bytes: stored.bytes,
        sha256: stored.sha256,
        sessions: stored.rows,
        unchanged,
        failed,
        removed,
        warnings,
    })
}

/// The last state of each session that the archives hold: that of the last archive that has it.
fn lasts(shelf: &Shelf, warnings: &mut Vec<String>) -> Lasts {
    let links = last_links(shelf);
    let states: Vec<_> = links.into_par_iter().map(|(key, link)| (key, link, shelf.state(link))).collect();
    let mut lost: BTreeMap<String, usize> = BTreeMap::new();
    let mut lasts = Lasts::new();
    for (key, link, state) in states {
        let state = state.map_err(|error| *lost.entry(error.to_string()).or_default() += 1).ok();
        lasts.insert(key, Last { link, state });
    }
    warnings.extend(lost.into_iter().map(|(reason, sessions)| {
        let s = if sessions == 1 { "" } else { "s" };
        format!("{sessions} session{s} cannot be restored from here (stored whole again, if still there): {reason}")
    }));
    lasts
}

/// Each session in the last archive of a directory that has it: (archive, session).
fn last_links(shelf: &Shelf) -> BTreeMap<Key, (usize, usize)> {
    let mut links = BTreeMap::new();
    for (place, volume) in shelf.volumes().iter().enumerate() {
        let sessions = volume.sessions().iter().enumerate();
        links.extend(sessions.map(|(session, meta)| (shelf::key(meta), (place, session))));
    }
    links
}

/// A session with something new.
struct New<'c> {
    key: Key,
    selected: &'c Selected,
    session: NativeSession,
    fresh: Fresh,
    /// How often it was tried.
    tries: usize,
}

/// What a run knows.
struct Run<'r> {
    env: &'r Env,
    options: &'r Options,
    shelf: &'r Shelf,
    lasts: &'r Lasts,
    old: &'r BTreeSet<usize>,
    /// What the last run saw.
    earlier: Memory,
    /// What this one sees.
    memory: Memory,
    failed: Vec<String>,
    unchanged: usize,
}

/// Of each database that is a session's path, what changes whenever it does.
type Stamps = HashMap<PathBuf, Option<String>>;

impl Run<'_> {
    /// The stamps of all databases, taken before anything is read from them.
    fn stamps(&self, chosen: &[Selected]) -> Stamps {
        let now = self.env.now();
        let mut stamps = Stamps::new();
        for one in chosen.iter().filter(|one| is_in_database(&one.found)) {
            stamps
                .entry(one.found.path.clone())
                .or_insert_with(|| memory::stamp_of_database(&one.found.path, now));
        }
        stamps
    }

    /// The sessions that have to be opened to know whether they changed.
    fn unknown<'c>(&mut self, chosen: &'c [Selected], stamps: &Stamps) -> Vec<&'c Selected> {
        let mut unknown = Vec::new();
        for one in chosen {
            let (key, name) = names(one);
            let state = self.lasts.get(&key).and_then(|last| last.state.as_ref());
            let stamp = stamps.get(&one.found.path).and_then(Option::as_deref);
            let known = self.earlier.digest(&name, &one.found, stamp).filter(|_| is_in_database(&one.found));
            if state.is_some_and(|state| known == Some(digest(state).as_str())) {
                self.memory.keep(&name, &self.earlier);
                self.unchanged += 1;
            } else {
                unknown.push(one);
            }
        }
        unknown
    }

    /// Opens sessions and returns those with something new.
    fn look<'c>(&mut self, batch: &[&'c Selected], stamps: &Stamps) -> Vec<New<'c>> {
        let opened = select::open_each(self.env, batch);
        let this = &*self;
        let looked: Vec<Option<Result<Looked>>> = batch
            .par_iter()
            .zip(&opened)
            .map(|(one, session)| session.as_ref().ok().map(|session| this.look_at(one, session)))
            .collect();
        let mut new = Vec::new();
        for ((selected, session), looked) in batch.iter().zip(opened).zip(looked) {
            let (key, name) = names(selected);
            let (session, looked) = match session.and_then(|session| Ok((session, looked.transpose()?))) {
                Ok((session, Some(looked))) => (session, looked),
                Ok((_, None)) => continue,
                Err(error) => {
                    self.failed.push(format!("{name}: {error}"));
                    continue;
                }
            };
            self.remember(selected, &session, &looked, stamps);
            match looked.fresh {
                Some(fresh) => new.push(New { key, selected, session, fresh, tries: 1 }),
                None => self.unchanged += 1,
            }
        }
        new
    }

    fn look_at(&self, one: &Selected, session: &NativeSession) -> Result<Looked> {
        let (key, name) = names(one);
        let files = session.payload.files();
        archive::check(&session.head, files)?;
        let (now, data_dir) = (self.env.now(), one.harness.data_dir(self.env));
        let stamps: Vec<_> =
            files.iter().map(|meta| memory::stamp(&data_dir.join(&meta.path), now)).collect();
        let state = self.lasts.get(&key).and_then(|last| last.state.as_ref());
        let leans_on_old = |state: &State| state.links.iter().any(|(volume, _)| self.old.contains(volume));
        let whole = state.is_some_and(|state| state.links.len() >= LONGEST || leans_on_old(state));
        let known = |place: usize| self.earlier.sum(&name, &files[place], stamps[place].as_deref());
        let (mut fresh, sums) =
            fresh::look(&*session.payload, state.map(|state| (self.shelf, state)), whole, known)?;
        if let Some(fresh) = &mut fresh
            && let Some(last) = self.lasts.get(&key)
        {
            match &mut fresh.continues {
                Some(continues) => continues.archive.clone_from(&self.shelf.volumes()[last.link.0].label),
                // What was there cannot be read any more.
                None if last.state.is_none() => fresh.change = Change::Changed,
                None => {}
            }
        }
        Ok(Looked { fresh, sums, stamps })
    }

    fn remember(&mut self, one: &Selected, session: &NativeSession, looked: &Looked, stamps: &Stamps) {
        let (_, name) = names(one);
        let files = session.payload.files();
        for ((meta, sum), stamp) in files.iter().zip(&looked.sums).zip(&looked.stamps) {
            self.memory.note(&name, meta, stamp.clone(), sum.clone());
        }
        if is_in_database(&one.found) {
            let stamp = stamps.get(&one.found.path).cloned().flatten();
            let all = files.iter().zip(&looked.sums);
            let digest = series::digest(all.map(|(meta, sum)| (meta.path.as_str(), meta.size, sum.as_str())));
            self.memory.note_rows(&name, &one.found, stamp, self.env.now(), digest);
        }
    }

    /// The sessions of this machine. Two of one name cannot be in one archive: the one that changed
    /// last is taken.
    fn choose(&mut self, warnings: &mut Vec<String>) -> Result<Vec<Selected>> {
        let selection = Selection { harnesses: self.options.harnesses.clone(), ..Selection::default() };
        let mut chosen = selection.resolve(self.env, &mut self.failed)?;
        let mut seen = BTreeSet::new();
        chosen.retain(|one| {
            let (key, name) = names(one);
            let is_new = seen.insert(key);
            if !is_new {
                warnings.push(format!(
                    "{name} is there twice; the copy that changed last is backed up, not {}",
                    one.found.path.display()
                ));
            }
            is_new
        });
        Ok(chosen)
    }
}

/// What was seen of a session.
struct Looked {
    fresh: Option<Fresh>,
    /// SHA-256 of its files.
    sums: Vec<String>,
    /// What changes whenever they do.
    stamps: Vec<Option<String>>,
}

/// What a session is called: as a key, and to the user.
fn names(one: &Selected) -> (Key, String) {
    let harness = one.harness.info().id;
    ((harness.to_owned(), one.found.id.clone()), format!("{harness}:{}", one.found.id))
}

/// Whether the session is rows of a database, which told its head.
fn is_in_database(found: &Found) -> bool {
    found.bytes.is_none() && found.head.is_some()
}

fn digest(state: &State) -> String {
    series::digest(
        state.files.iter().map(|file| (file.meta.path.as_str(), file.meta.size, file.sha256.as_str())),
    )
}
