//! Bringing sessions back: out of a backup directory, or out of one archive of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;

use super::joined::{self, Joined};
use super::shelf::{self, Shelf};
use crate::archive::series::Name;
use crate::archive::{Archive, Problem};
use crate::error::{Error, Kind, Result};
use crate::model::{Head, Payload};
use crate::ops::import::Incoming;
use crate::ops::import::incoming::{Repository, Session, choose_among};
use crate::progress::Progress;

/// Sessions of archives that lean on each other.
pub struct Restorable {
    shelf: Shelf,
    /// (archive, session)
    links: Vec<(usize, usize)>,
    /// What was asked for.
    name: String,
    /// It is a whole directory: the bytes of the archives themselves were not looked at yet, and what
    /// is wrong with one session is no reason to leave the others.
    is_dir: bool,
}

impl Restorable {
    /// The last state of every session in a directory, or of those that `wanted` names.
    ///
    /// # Errors
    /// When the directory cannot be read or holds no backup, and for an id that is unknown or
    /// ambiguous.
    pub fn of_dir(dir: &Path, name: String, wanted: &[String]) -> Result<Self> {
        let shelf = Shelf::of_dir(dir)?;
        if shelf.volumes().is_empty() {
            let message = format!("{} holds no backup that can be read", dir.display());
            let error = Error::new(Kind::NotFound, message).hint("`holdall backup DIR` makes one");
            return Err(shelf.warnings.iter().cloned().fold(error, Error::hint));
        }
        let all: Vec<(usize, usize)> = super::last_links(&shelf).into_values().collect();
        let heads: Vec<&Head> = all.iter().map(|link| &shelf.session(*link).head).collect();
        let links = choose_among(&heads, wanted)?.into_iter().map(|place| all[place]).collect();
        Ok(Self { shelf, links, name, is_dir: true })
    }

    /// Sessions of one archive, whose own bytes were checked; `path` is where it is, `None` for a
    /// pipe.
    pub fn of_archive(archive: Archive, path: Option<&Path>, name: String, places: &[usize]) -> Self {
        let mut shelf = Shelf::of_archive(archive, path);
        shelf.fetch(places);
        let links = places.iter().map(|place| (0, *place)).collect();
        Self { shelf, links, name, is_dir: false }
    }

    /// The sessions, with all that they lean on checked. One that leans on an archive that is not
    /// there is refused; the others are not. In a directory the same holds for one that leans on an
    /// archive that is damaged.
    ///
    /// # Errors
    /// [`Kind::Archive`] when an archive is damaged or not the one that a later one was made with,
    /// and when nothing can be restored.
    pub fn incoming(&self, progress: &dyn Progress) -> Result<Incoming<'_>> {
        let source = |link: (usize, usize)| &self.shelf.volumes()[link.0].archive.manifest().source;
        let newest = self.links.iter().max_by_key(|link| self.shelf.volumes()[link.0].name);
        let Some(machine) = newest.map(|link| source(*link)) else {
            return Err(Error::new(Kind::NotFound, "there is no session to restore"));
        };
        progress.begin("checking", 0);
        let opened: Vec<Result<Box<dyn Payload + Send + '_>>> = self
            .links
            .par_iter()
            .map(|link| {
                if source(*link) != machine {
                    let label = &self.shelf.volumes()[link.0].label;
                    return Err(Error::new(Kind::NotFound, format!("{label} is from another machine"))
                        .hint(format!("import {label} for itself")));
                }
                let state = self.shelf.state(*link)?;
                joined::check(&self.shelf, &state, self.is_dir)?;
                progress.advance(state.files.iter().map(|file| file.meta.size).sum());
                Ok(Box::new(Joined::of(&self.shelf, state)?) as Box<dyn Payload + Send + '_>)
            })
            .collect();
        progress.end();
        let mut sessions = Vec::with_capacity(opened.len());
        let mut first = None;
        for (link, opened) in self.links.iter().zip(opened) {
            let session = self.shelf.session(*link);
            let repos = &self.shelf.volumes()[link.0].archive.manifest().repos;
            let (payload, refused): (Box<dyn Payload + '_>, _) = match opened {
                Ok(payload) => (payload, None),
                Err(error) if error.kind() == Kind::Archive && !self.is_dir => return Err(error),
                Err(error) => {
                    let reason = crate::ops::import::decide::with_hints(&error);
                    first.get_or_insert(error);
                    (Box::new(crate::harness::common::files::Files::default()), Some(reason))
                }
            };
            sessions.push(Session {
                head: Cow::Borrowed(&session.head),
                repo: session.repo.and_then(|repo| repos.get(repo)).map(Cow::Borrowed),
                payload,
                refused,
            });
        }
        match first {
            Some(error) if sessions.iter().all(|session| session.refused.is_some()) => Err(error
                .hints()
                .iter()
                .fold(Error::archive(error.to_string()), |new, hint| new.hint(hint.as_str()))),
            _ => Ok(Incoming {
                archive: Some(self.name.clone()),
                home: machine.home.clone(),
                repos: self.repos(),
                sessions,
                warnings: self.shelf.warnings.clone(),
            }),
        }
    }

    /// The repositories of the sessions, each as its newest archive has it.
    fn repos(&self) -> Vec<Repository<'_>> {
        let mut newest: BTreeMap<&str, (Option<Name>, Repository<'_>)> = BTreeMap::new();
        for (place, link) in self.links.iter().enumerate() {
            let volume = &self.shelf.volumes()[link.0];
            let repos = &volume.archive.manifest().repos;
            let Some(repo) = self.shelf.session(*link).repo.and_then(|repo| repos.get(repo)) else {
                continue;
            };
            let name = volume.name;
            let new = || (name, Repository { repo: Cow::Borrowed(repo), sessions: Vec::new(), bundle: None });
            let (known, repository) = newest.entry(&repo.root).or_insert_with(new);
            if *known < name {
                (*known, repository.repo) = (name, Cow::Borrowed(repo));
            }
            repository.sessions.push(place);
        }
        newest.into_values().map(|(_, repository)| repository).collect()
    }
}

/// Whether some of these sessions of an archive lean on an earlier one.
pub fn leans(archive: &Archive, places: &[usize]) -> bool {
    let sessions = &archive.manifest().sessions;
    places.iter().any(|place| sessions.get(*place).is_some_and(|session| session.continues.is_some()))
}

/// What is wrong with that which an archive leans on; its own bytes were checked.
pub fn problems(archive: Archive, path: Option<&Path>) -> Vec<Problem> {
    let mut shelf = Shelf::of_archive(archive, path);
    let sessions: Vec<usize> = (0..shelf.volumes()[0].sessions().len()).collect();
    shelf.fetch(&sessions);
    let links: Vec<(usize, usize)> = sessions.into_iter().map(|session| (0, session)).collect();
    leaning_problems(&shelf, &links)
}

/// What is wrong with a directory of backups: with each archive, and with what they lean on.
///
/// # Errors
/// When the directory cannot be read or holds no backup.
pub fn problems_of_dir(dir: &Path, progress: &dyn Progress) -> Result<Vec<Problem>> {
    let shelf = Shelf::of_dir(dir)?;
    if shelf.volumes().is_empty() && shelf.warnings.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("{} holds no backup", dir.display())));
    }
    let mut problems: Vec<Problem> = shelf
        .warnings
        .iter()
        .map(|problem| Problem { entry: dir.to_string_lossy().into_owned(), problem: problem.clone() })
        .collect();
    for volume in shelf.volumes() {
        let found = volume.archive.verify(None, progress)?.into_iter();
        problems.extend(found.map(|Problem { entry, problem }| Problem {
            entry: format!("{}: {entry}", volume.label),
            problem,
        }));
    }
    let lasts: Vec<(usize, usize)> = super::last_links(&shelf).into_values().collect();
    problems.extend(leaning_problems(&shelf, &lasts));
    // Earlier states are made of the same bytes: it is enough that they are made of them rightly.
    let lasts: HashSet<(usize, usize)> = lasts.into_iter().collect();
    for (place, volume) in shelf.volumes().iter().enumerate() {
        let earlier = (0..volume.sessions().len()).map(|session| (place, session));
        let broken = earlier
            .filter(|link| !lasts.contains(link))
            .filter_map(|link| Some((link, shelf.state(link).err()?)));
        problems.extend(broken.map(|(link, error)| problem(&shelf, link, &error)));
    }
    Ok(problems)
}

fn leaning_problems(shelf: &Shelf, links: &[(usize, usize)]) -> Vec<Problem> {
    let check = |link: &(usize, usize)| {
        let checked = shelf.state(*link).and_then(|state| joined::check(shelf, &state, false));
        Some(problem(shelf, *link, &checked.err()?))
    };
    links.par_iter().filter_map(check).collect()
}

fn problem(shelf: &Shelf, link: (usize, usize), error: &Error) -> Problem {
    let (harness, id) = shelf::key(shelf.session(link));
    Problem {
        entry: format!("{}: {harness}:{id}", shelf.volumes()[link.0].label),
        problem: crate::ops::import::decide::with_hints(error),
    }
}
