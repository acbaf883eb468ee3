//! The new archive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::fresh::{Change, Tails};
use super::joined::{self, Joined};
use super::keep::{self, Key};
use super::report::Row;
use super::{New, Run, Stamps};
use crate::archive::manifest::{Repo, SourceMachine};
use crate::archive::series::Name;
use crate::archive::{self, RepoInput, SessionInput, WriteOptions, Written};
use crate::error::{Error, Kind, Result};
use crate::git;
use crate::interrupt::Watched;
use crate::model::Head;
use crate::ops::export::shareable;
use crate::progress::Progress;
use crate::txn;

/// How often a session that changes while it is stored is tried.
const TRIES: usize = 3;

/// What was stored.
#[derive(Default)]
pub struct Stored {
    /// The new archive; `None`: nothing was new.
    pub name: Option<Name>,
    pub bytes: u64,
    pub sha256: Option<String>,
    pub rows: Vec<Row>,
    /// The sessions in it.
    pub keys: BTreeSet<Key>,
}

/// Makes the archive of what is new, and of what has to move out of old archives. Sessions that keep
/// changing are named as failed.
///
/// # Errors
/// When it cannot be written; then there is none.
pub fn store(
    run: &mut Run<'_>,
    mut new: Vec<New<'_>>,
    stamps: &Stamps,
    warnings: &mut Vec<String>,
    progress: &dyn Progress,
) -> Result<Stored> {
    loop {
        let keys: BTreeSet<Key> = new.iter().map(|new| new.key.clone()).collect();
        let mut carried = Vec::new();
        for key in keep::carry(run.shelf, run.old, run.lasts, &keys, &source(run)) {
            match Carried::of(run, &key) {
                Ok(session) => carried.push(session),
                // It stays where it is.
                Err(error) => warnings.push(format!("{}:{}: {error}", key.0, key.1)),
            }
        }
        if new.is_empty() && carried.is_empty() {
            return Ok(Stored::default());
        }
        let mut repos = Repos::default();
        let moved = match write(run, &new, &carried, &mut repos, progress) {
            Ok(mut stored) => {
                stored.keys.extend(keys);
                stored.keys.extend(carried.into_iter().map(|session| session.key));
                warnings.append(&mut repos.warnings);
                notes(&new, warnings);
                return Ok(stored);
            }
            Err((error, moved)) if moved.is_empty() => return Err(error),
            Err((_, moved)) => moved,
        };
        new = again(run, new, &moved, stamps);
    }
}

/// Looks again at the sessions that changed while they were stored.
fn again<'c>(run: &mut Run<'_>, new: Vec<New<'c>>, moved: &BTreeSet<Key>, stamps: &Stamps) -> Vec<New<'c>> {
    let (moved, mut still): (Vec<_>, Vec<_>) = new.into_iter().partition(|new| moved.contains(&new.key));
    for New { selected, tries, .. } in moved {
        if tries == TRIES {
            let (_, name) = super::names(selected);
            run.failed.push(format!("{name}: it kept changing while it was read"));
            continue;
        }
        still.extend(run.look(&[selected], stamps).into_iter().map(|new| New { tries: tries + 1, ..new }));
    }
    still.sort_by(|a, b| a.key.cmp(&b.key));
    still
}

/// What is said of the sessions' files that could not be read.
fn notes(new: &[New<'_>], warnings: &mut Vec<String>) {
    for New { session, key: (harness, id), .. } in new {
        let lost = session.notes.iter().filter(|(code, ..)| code.ends_with(".unreadable"));
        warnings.extend(lost.map(|(_, _, detail)| format!("{harness}:{id}: {detail}")));
    }
}

fn source(run: &Run<'_>) -> SourceMachine {
    SourceMachine { os: std::env::consts::OS.to_owned(), home: run.env.home().to_string_lossy().into_owned() }
}

/// Writes the archive. The error comes with the sessions that changed meanwhile.
fn write(
    run: &Run<'_>,
    new: &[New<'_>],
    carried: &[Carried<'_>],
    repos: &mut Repos,
    progress: &dyn Progress,
) -> Result<Stored, (Error, BTreeSet<Key>)> {
    let plain = |error: Error| (error, BTreeSet::new());
    let now = run.env.now();
    let name = Name::next(now, run.shelf.last_name()).ok_or_else(|| {
        let message = format!("{} has no name left for another archive", run.options.dir.display());
        plain(Error::new(Kind::Conflict, message).hint("is the clock of this machine right?"))
    })?;
    let tails: Vec<Tails<'_>> = new.iter().map(|new| Tails::of(&*new.session.payload, &new.fresh)).collect();
    let mut inputs = Vec::with_capacity(new.len() + carried.len());
    for (New { session, fresh, .. }, tails) in new.iter().zip(&tails) {
        inputs.push(SessionInput {
            head: shareable(&session.head),
            repo: repos.of(session.head.cwd.as_deref()),
            payload: tails,
            continues: fresh.continues.clone(),
        });
    }
    for Carried { payload, head, repo, .. } in carried {
        let repo = repo.map(|repo| repos.place(Repo { carried: None, ..repo.clone() }));
        inputs.push(SessionInput { head: (*head).clone(), repo, payload, continues: None });
    }
    let repos: Vec<RepoInput<'_>> = repos.list.iter().cloned().map(RepoInput::from).collect();
    let settings = WriteOptions { level: run.options.level, created: Some(now), source: source(run) };
    let mut written = None;
    let exported = txn::export_file(
        &run.options.dir.join(name.to_string()),
        false,
        &mut |out: &mut (dyn Write + Send)| {
            written = Some(archive::write(&mut Watched::new(out), &inputs, &repos, &settings, progress)?);
            Ok(())
        },
    );
    if let Err(error) = exported {
        let moved = new.iter().zip(&tails).filter(|(_, tails)| tails.moved.load(Ordering::Relaxed));
        return Err((error, moved.map(|(new, _)| new.key.clone()).collect()));
    }
    let Some(Written { manifest, bytes, sha256 }) = written else {
        return Err(plain(Error::new(Kind::Io, "the archive was not written")));
    };
    let states = new.iter().map(|new| new.fresh.change).chain(carried.iter().map(|_| Change::Carried));
    let rows = manifest.sessions.into_iter().zip(states).map(|(session, state)| Row {
        files: session.files.iter().filter(|file| file.meta.size > 0).count(),
        bytes: session.files.iter().map(|file| file.meta.size).sum(),
        harness: session.head.harness,
        id: session.head.id,
        title: session.head.title,
        cwd: session.head.cwd,
        state,
    });
    Ok(Stored { name: Some(name), bytes, sha256: Some(sha256), rows: rows.collect(), keys: BTreeSet::new() })
}

/// The last state of a session, all of it, out of the archives.
struct Carried<'r> {
    key: Key,
    payload: Joined<'r>,
    head: &'r Head,
    repo: Option<&'r Repo>,
}

impl<'r> Carried<'r> {
    /// The session, if all of it is what it was.
    fn of(run: &Run<'r>, key: &Key) -> Result<Self> {
        let shelf = run.shelf;
        let last = run.lasts.get(key).and_then(|last| Some((last.link, last.state.as_ref()?)));
        let (link, state) = last.ok_or_else(|| Error::new(Kind::NotFound, "it is in no archive"))?;
        joined::check(shelf, state, true)?;
        let session = shelf.session(link);
        let repos = &shelf.volumes()[link.0].archive.manifest().repos;
        Ok(Self {
            key: key.clone(),
            payload: Joined::of(shelf, state.clone())?,
            head: &session.head,
            repo: session.repo.and_then(|repo| repos.get(repo)),
        })
    }
}

/// The repositories of the sessions, each described once.
#[derive(Default)]
struct Repos {
    list: Vec<Repo>,
    by_cwd: BTreeMap<String, Option<usize>>,
    warnings: Vec<String>,
}

impl Repos {
    fn of(&mut self, cwd: Option<&str>) -> Option<usize> {
        let cwd = cwd?;
        if let Some(known) = self.by_cwd.get(cwd) {
            return *known;
        }
        let place = match git::describe(Path::new(cwd)) {
            Ok(repo) => repo.map(|repo| self.place(repo)),
            Err(error) => {
                self.warnings.push(format!("nothing is recorded of the repository at {cwd}: {error}"));
                None
            }
        };
        self.by_cwd.insert(cwd.to_owned(), place);
        place
    }

    fn place(&mut self, repo: Repo) -> usize {
        if let Some(place) = self.list.iter().position(|known| known.root == repo.root) {
            return place;
        }
        self.list.push(repo);
        self.list.len() - 1
    }
}
