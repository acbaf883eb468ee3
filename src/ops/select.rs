//! Which sessions a command is about.
//!
//! Ids and change times come from directory entries, so choosing by id, time or number opens only
//! what was chosen. A filter by directory opens heads; a filter by text reads conversations.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{self, Found, HARNESSES, Harness, NativeSession};
use crate::model::payload::transcript;
use crate::model::{Event, EventKind, Head, Part, Time, View};
use crate::ops::heads::{self, Heads};
use crate::ops::import::decide::with_hints;

/// The shortest prefix that stands for an id.
const SHORTEST_PREFIX: usize = 4;

/// A choice of sessions, as the command line puts it.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Full ids, unique prefixes, `harness:id`, or the path of a file that a harness's own export
    /// wrote. When there are any, the filters below must hold too.
    pub ids: Vec<String>,
    /// Only these harnesses; empty: all.
    pub harnesses: Vec<String>,
    /// Only sessions whose working directory is this one or below it. Absolute.
    pub cwd: Option<PathBuf>,
    /// Only sessions with this text in title, directory or anything the user said; case is ignored.
    pub query: Option<String>,
    /// Only sessions with activity at or after this instant.
    pub since: Option<Time>,
    /// Only sessions without activity after this instant.
    pub until: Option<Time>,
    /// The newest so many of what is left.
    pub limit: Option<usize>,
    /// Sub-agent sessions too.
    pub subagents: bool,
}

/// A chosen session.
#[derive(Clone)]
pub struct Selected {
    /// Its harness.
    pub harness: &'static dyn Harness,
    /// Where it is.
    pub found: Found,
    /// What is known of it.
    pub head: Head,
}

#[derive(Clone)]
struct Candidate {
    harness: &'static dyn Harness,
    found: Found,
}

/// What is in the stores of some harnesses. Looking takes time that several selections can share.
#[derive(Clone)]
pub struct Inventory {
    candidates: Vec<Candidate>,
    heads: Option<Arc<Heads>>,
}

impl Inventory {
    /// Looks into the stores of these harnesses; none means all. Stores that cannot be read are
    /// named in `warnings`.
    ///
    /// # Errors
    /// For an unknown harness.
    pub fn take(env: &Env, harnesses: &[String], warnings: &mut Vec<String>) -> Result<Self> {
        let chosen: Vec<&'static dyn Harness> = if harnesses.is_empty() {
            HARNESSES.to_vec()
        } else {
            harnesses.iter().map(|id| harness::by_id(id)).collect::<Result<_>>()?
        };
        let scan = |harness: &'static dyn Harness| {
            let mut found = Vec::new();
            let scanned = harness.scan(env, &mut |session| found.push(Candidate { harness, found: session }));
            (found, scanned.err().map(|error| format!("{}: {}", harness.info().name, with_hints(&error))))
        };
        let scanned: Vec<_> = chosen.into_par_iter().map(scan).collect();
        let mut candidates = Vec::new();
        for (found, warning) in scanned {
            candidates.extend(found);
            warnings.extend(warning);
        }
        Ok(Self { candidates, heads: None })
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.candidates.len()
    }

    /// Lets heads be taken from what earlier lists kept.
    #[must_use]
    pub fn with(self, heads: Option<Arc<Heads>>) -> Self {
        Self { heads, ..self }
    }

    /// The keys by which the heads of its sessions are kept.
    pub fn keys(&self) -> HashSet<heads::Key> {
        self.candidates.iter().filter_map(|one| heads::key(one.harness.info().id, &one.found)).collect()
    }

    /// The sessions that, by the guess of their harness, may belong to the directory or one below it:
    /// those that lie where the harness would not put them are missed, and most files are not opened.
    pub fn near(&self, dir: &Path) -> Self {
        let real = dir.canonicalize().ok().filter(|real| real != dir);
        let mut near = Vec::new();
        for harness in HARNESSES {
            let id = harness.info().id;
            let own: Vec<&Candidate> =
                self.candidates.iter().filter(|one| one.harness.info().id == id).collect();
            let wanted = match (&self.heads, harness.telling().filter(|telling| telling.opens_to_guess())) {
                (Some(heads), Some(_)) => {
                    let is_near = |one: &&Candidate| match heads.cwd(one.harness, &one.found) {
                        Ok(Some(cwd)) => {
                            let cwd = Path::new(&cwd);
                            cwd.starts_with(dir) || real.as_ref().is_some_and(|real| cwd.starts_with(real))
                        }
                        _ => true,
                    };
                    own.par_iter().map(is_near).collect()
                }
                _ => {
                    let found: Vec<&Found> = own.iter().map(|one| &one.found).collect();
                    let mut wanted = harness.which_may_be_in(&found, dir);
                    if let Some(real) = &real {
                        let also = harness.which_may_be_in(&found, real);
                        wanted.iter_mut().zip(also).for_each(|(wanted, also)| *wanted |= also);
                    }
                    wanted
                }
            };
            near.extend(
                own.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(one, _)| one.clone()),
            );
        }
        Self { candidates: near, heads: self.heads.clone() }
    }

    /// The ids of its sessions, sorted, each once.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.candidates.iter().map(|candidate| candidate.found.id.clone()).collect();
        ids.par_sort_unstable();
        ids.dedup();
        ids
    }
}

impl Selection {
    /// Whether nothing is asked for: no id and no filter.
    pub fn is_open(&self) -> bool {
        self.ids.is_empty()
            && self.harnesses.is_empty()
            && self.cwd.is_none()
            && self.query.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && self.limit.is_none()
    }

    /// Whether it takes more than the heads of the sessions that are chosen, or all are.
    pub fn opens_many(&self) -> bool {
        let is_filtered = self.cwd.is_some() || self.query.is_some() || self.until.is_some();
        self.ids.is_empty() && (self.limit.is_none_or(|limit| limit >= heads::MANY) || is_filtered)
    }

    /// The sessions, newest first (for ids: in the order given). Sessions that cannot be read are
    /// left out and named in `warnings`.
    ///
    /// # Errors
    /// For an id that is unknown, ambiguous or too short, when none that was named can be read, and for an
    /// unknown harness.
    pub fn resolve(&self, env: &Env, warnings: &mut Vec<String>) -> Result<Vec<Selected>> {
        let inventory = Inventory::take(env, &self.harnesses, warnings)?;
        let unread = warnings.clone();
        self.resolve_in(env, inventory, warnings).map_err(|error| match error.kind() {
            // What is not found may be where nothing could be read.
            Kind::NotFound => unread.into_iter().fold(error, Error::hint),
            _ => error,
        })
    }

    /// The same, from an inventory of [`Selection::harnesses`].
    ///
    /// # Errors
    /// As [`Selection::resolve`].
    pub fn resolve_in(
        &self,
        env: &Env,
        inventory: Inventory,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Selected>> {
        let Inventory { mut candidates, heads } = inventory;
        if !self.ids.is_empty() {
            candidates = choose(env, &self.ids, &candidates)?;
        } else {
            candidates.sort_unstable_by(|a, b| {
                let by_time = b.found.modified.cmp(&a.found.modified);
                by_time.then_with(|| (&a.found.id, &a.found.path).cmp(&(&b.found.id, &b.found.path)))
            });
        }
        if let Some(since) = self.since {
            // Records are written after they happen: a file that did not change since has none.
            let since = std::time::SystemTime::from(since);
            candidates.retain(|candidate| candidate.found.modified >= since);
        }
        let wanted = self.limit.unwrap_or(usize::MAX);
        let mut selected = Vec::new();
        let mut failure = None;
        // In batches, so that "the newest 20" opens about 20 files and not all of them.
        let size = if wanted == usize::MAX { candidates.len().max(1) } else { wanted.max(16) };
        while let Some(first) = candidates.first() {
            if selected.len() >= wanted && !self.may_be_among(&mut selected, wanted, first) {
                break;
            }
            let rest = candidates.split_off(size.min(candidates.len()));
            let batch = std::mem::replace(&mut candidates, rest);
            let heads: Vec<_> =
                batch.into_par_iter().map(|candidate| self.look(env, heads.as_deref(), candidate)).collect();
            for head in heads {
                match head {
                    Ok(None) => {}
                    Ok(Some((one, agents))) => {
                        selected.push(one);
                        selected.extend(agents);
                    }
                    Err(error) => {
                        warnings.push(error.to_string());
                        failure.get_or_insert(error);
                    }
                }
            }
        }
        if let (true, false, Some(error)) = (selected.is_empty(), self.ids.is_empty(), failure) {
            return Err(error);
        }
        if self.ids.is_empty() {
            sort(&mut selected);
        }
        selected.truncate(wanted);
        Ok(selected)
    }

    /// Whether the newest `wanted` of the selected may not be the newest of all, because `next`, the
    /// candidate whose file changed last of those not opened, may have later activity. A file can
    /// have changed without any activity, but no activity leaves the file unchanged.
    fn may_be_among(&self, selected: &mut [Selected], wanted: usize, next: &Candidate) -> bool {
        if !self.ids.is_empty() {
            return false;
        }
        sort(selected);
        let last = wanted.checked_sub(1).and_then(|last| selected.get(last));
        last.is_some_and(|last| activity(last) < Time::from(next.found.modified))
    }

    /// Opens one candidate, with its sub-agents if they are wanted; `None` when it is no session or the
    /// filters leave it out.
    fn look(
        &self,
        env: &Env,
        heads: Option<&Heads>,
        candidate: Candidate,
    ) -> Result<Option<(Selected, Vec<Selected>)>> {
        let Candidate { harness, mut found } = candidate;
        let known = found.head.take().map(Arc::unwrap_or_clone);
        let name = |error: Error| error.context(format!("{}:{}", harness.info().id, found.id));
        let head = match known {
            Some(head) => head,
            None => match heads
                .map_or_else(|| harness.head(env, &found), |heads| heads.head(env, harness, &found))
                .map_err(name)?
            {
                Some(head) => head,
                // It was there a moment ago, or nothing of it can be read.
                None if !self.ids.is_empty() => {
                    let message = format!("{} holds no session", found.path.display());
                    return Err(name(Error::new(Kind::Unsupported, message)));
                }
                None => return Ok(None),
            },
        };
        let named = !self.ids.is_empty();
        if head.parent.is_some() && !self.subagents && !named {
            return Ok(None);
        }
        if !self.fits(env, harness, &found, &head).map_err(name)? {
            return Ok(None);
        }
        let mut agents = Vec::new();
        if self.subagents {
            agents = harness.subagents(env, &found).map_err(name)?;
        }
        let agents = agents.into_iter().map(|(found, head)| Selected { harness, found, head }).collect();
        Ok(Some((Selected { harness, found, head }, agents)))
    }

    fn fits(&self, env: &Env, harness: &dyn Harness, found: &Found, head: &Head) -> Result<bool> {
        let updated = head.updated.unwrap_or_else(|| found.modified.into());
        if self.since.is_some_and(|since| updated < since) || self.until.is_some_and(|until| updated > until)
        {
            return Ok(false);
        }
        if let Some(dir) = &self.cwd
            && !head.cwd.as_deref().is_some_and(|cwd| is_in(cwd, dir))
        {
            return Ok(false);
        }
        match &self.query {
            Some(text) => mentions(env, harness, found, head, text),
            None => Ok(true),
        }
    }
}

/// Opens the sessions, in this order.
///
/// # Errors
/// When one cannot be opened; the error names it.
pub fn open_all(env: &Env, chosen: &[&Selected]) -> Result<Vec<NativeSession>> {
    let name =
        |one: &&Selected, error: Error| error.context(format!("{}:{}", one.harness.info().id, one.found.id));
    let opened = open_each(env, chosen).into_iter().zip(chosen);
    opened.map(|(session, one)| session.map_err(|error| name(one, error))).collect()
}

/// Opens the sessions, in this order; each for itself. One whose program has just emptied its transcript,
/// to write it anew, is [`Kind::Busy`]: only a session with a record is ever found.
pub fn open_each(env: &Env, chosen: &[&Selected]) -> Vec<Result<NativeSession>> {
    let mut sessions: Vec<Option<Result<NativeSession>>> = chosen.iter().map(|_| None).collect();
    for harness in HARNESSES {
        let id = harness.info().id;
        let places: Vec<usize> =
            (0..chosen.len()).filter(|&place| chosen[place].harness.info().id == id).collect();
        let found: Vec<&Found> = places.iter().map(|&place| &chosen[place].found).collect();
        for (place, session) in places.into_iter().zip(harness.open_all(env, &found)) {
            sessions[place] = Some(session.and_then(with_records));
        }
    }
    sessions.into_iter().flatten().collect()
}

fn with_records(session: NativeSession) -> Result<NativeSession> {
    let transcript = transcript(session.payload.files()).map(|place| &session.payload.files()[place]);
    match transcript.filter(|file| file.size == 0) {
        Some(file) => Err(Error::new(Kind::Busy, format!("{} has just been emptied", file.path))
            .hint("try again when the session is at rest")),
        None => Ok(session),
    }
}

fn activity(one: &Selected) -> Time {
    one.head.updated.unwrap_or_else(|| one.found.modified.into())
}

fn sort(selected: &mut [Selected]) {
    selected.sort_by(|a, b| activity(b).cmp(&activity(a)).then_with(|| a.head.id.cmp(&b.head.id)));
}

/// Whether a session's directory is `dir` or below it, with symbolic links on the way resolved.
fn is_in(cwd: &str, dir: &Path) -> bool {
    let cwd = Path::new(cwd);
    cwd.starts_with(dir) || dir.canonicalize().is_ok_and(|dir| cwd.starts_with(dir))
}

fn mentions(env: &Env, harness: &dyn Harness, found: &Found, head: &Head, text: &str) -> Result<bool> {
    let needle = text.to_lowercase();
    let has = |haystack: &str| haystack.to_lowercase().contains(&needle);
    if head.title.as_deref().is_some_and(has) || head.cwd.as_deref().is_some_and(has) {
        return Ok(true);
    }
    let session = harness.open(env, found)?;
    let Some(file) = transcript(session.payload.files()) else { return Ok(false) };
    let mut hit = false;
    let read = harness.read(&*session.payload, file, View::Full, &mut |event: Event<'_>| {
        if let EventKind::User { content } = &event.kind {
            hit |= content.iter().any(|part| matches!(part, Part::Text(text) if has(text)));
        }
        // An error stops the reader; this one is never seen.
        if hit { Err(Error::new(Kind::NotFound, "found")) } else { Ok(()) }
    });
    if hit { Ok(true) } else { read.map(|_| false) }
}

/// The candidates that `ids` name, in that order, each once.
fn choose(env: &Env, ids: &[String], candidates: &[Candidate]) -> Result<Vec<Candidate>> {
    let mut chosen: Vec<Candidate> = Vec::new();
    for wanted in ids {
        let candidate = choose_one(env, wanted, candidates)?;
        let again = |other: &Candidate| {
            other.found.path == candidate.found.path && other.found.id == candidate.found.id
        };
        if !chosen.iter().any(again) {
            chosen.push(candidate);
        }
    }
    Ok(chosen)
}

fn choose_one(env: &Env, wanted: &str, candidates: &[Candidate]) -> Result<Candidate> {
    let file = env.cwd().join(wanted);
    if (wanted.contains(std::path::is_separator) || wanted.ends_with(".json")) && file.is_file() {
        return in_file(env, &file);
    }
    let (only, id) = match wanted.split_once(':') {
        Some((harness, id)) if HARNESSES.iter().any(|known| known.info().id == harness) => {
            (Some(harness), id)
        }
        _ => (None, wanted),
    };
    let here = |candidate: &&Candidate| only.is_none_or(|only| candidate.harness.info().id == only);
    let exact: Vec<&Candidate> =
        candidates.iter().filter(here).filter(|candidate| candidate.found.id == id).collect();
    let matches = if exact.is_empty() {
        if id.chars().count() < SHORTEST_PREFIX {
            return Err(Error::usage(format!(
                "{id:?} is too short to name a session: give at least {SHORTEST_PREFIX} characters of its id"
            )));
        }
        candidates.iter().filter(here).filter(|candidate| starts_with(&candidate.found.id, id)).collect()
    } else {
        exact
    };
    match matches.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let error = Error::new(Kind::NotFound, format!("no session has an id that begins with {id:?}"));
            Err(match candidates.iter().filter(here).find(|candidate| has_subagent(env, candidate, id)) {
                Some(parent) => error.hint(format!(
                    "it is a sub-agent: `holdall show {}:{} --full` shows it with the session that started it",
                    parent.harness.info().id,
                    parent.found.id
                )),
                None => error.hint("`holdall list --all` shows what is here"),
            })
        }
        several => {
            let mut error = Error::usage(format!("{id:?} could be any of {} sessions", several.len()));
            for candidate in several.iter().take(10) {
                error = error.hint(format!("{}:{}", candidate.harness.info().id, candidate.found.id));
            }
            Err(error)
        }
    }
}

/// The session in a file that some harness's own export wrote.
fn in_file(env: &Env, file: &Path) -> Result<Candidate> {
    for harness in HARNESSES {
        if let Some(found) = harness.in_file(env, file)? {
            return Ok(Candidate { harness: *harness, found });
        }
    }
    Err(Error::new(
        Kind::Unsupported,
        format!("{} is no session that a harness has exported", file.display()),
    ))
}

/// Whether a sub-agent of the session, which is no session of its own, has this id.
fn has_subagent(env: &Env, candidate: &Candidate, id: &str) -> bool {
    let agents = candidate.harness.subagents(env, &candidate.found).unwrap_or_default();
    agents.iter().any(|(_, head)| starts_with(&head.id, id))
}

fn starts_with(id: &str, prefix: &str) -> bool {
    id.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
