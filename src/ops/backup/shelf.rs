//! The archives of a backup directory, or one of them and those that it leans on.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::archive::Archive;
use crate::archive::manifest::Session;
use crate::archive::series::Name;
use crate::error::{Error, IoContext, Kind, Result};

/// An archive that is open.
#[derive(Debug)]
pub struct Volume {
    /// Its place in the series; `None` when it has another name, or came through a pipe.
    pub name: Option<Name>,
    /// What to call it.
    pub label: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The archive.
    pub archive: Archive,
    /// The places of its sessions, by harness and id.
    index: HashMap<(String, String), usize>,
}

impl Volume {
    fn new(name: Option<Name>, label: String, bytes: u64, archive: Archive) -> Self {
        let sessions = archive.manifest().sessions.iter().enumerate();
        let index = sessions.map(|(place, session)| (key(session), place)).collect();
        Self { name, label, bytes, archive, index }
    }

    fn open(path: &Path, name: Name) -> Result<Self> {
        let archive = Archive::open(path)?;
        let bytes = path.metadata().at("look at", path)?.len();
        Ok(Self::new(Some(name), name.to_string(), bytes, archive))
    }

    /// Its sessions.
    pub fn sessions(&self) -> &[Session] {
        &self.archive.manifest().sessions
    }

    /// The place of a session.
    pub fn find(&self, harness: &str, id: &str) -> Option<usize> {
        self.index.get(&(harness.to_owned(), id.to_owned())).copied()
    }
}

/// What a session is called: its harness and its id there.
pub fn key(session: &Session) -> (String, String) {
    (session.head.harness.clone(), session.head.id.clone())
}

/// Archives that are open, the oldest first; or the one that was asked for, and then those that it
/// leans on.
#[derive(Debug)]
pub struct Shelf {
    dir: Option<PathBuf>,
    volumes: Vec<Volume>,
    by_name: HashMap<Name, usize>,
    /// Why an archive that has a name of the series could not be opened.
    lost: BTreeMap<Name, String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Shelf {
    /// All archives of a directory. What cannot be opened is left out, with a warning; a directory
    /// that is not there has none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn of_dir(dir: &Path) -> Result<Self> {
        let mut shelf = Self::empty(Some(dir.to_owned()));
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(shelf),
            entries => entries.at("read", dir)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.at("read", dir)?;
            let Ok(text) = entry.file_name().into_string() else { continue };
            match Name::parse(&text) {
                Some(name) => names.push(name),
                None if text.starts_with("holdall-") && text.ends_with(".tar.gz") => {
                    shelf.warnings.push(format!(
                        "{text} is not named as a backup is, so it is not looked at; was it renamed?"
                    ));
                }
                None => {}
            }
        }
        names.sort_unstable();
        shelf.warnings.sort_unstable();
        let opened: Vec<_> =
            names.par_iter().map(|name| Volume::open(&dir.join(name.to_string()), *name)).collect();
        for (name, opened) in names.into_iter().zip(opened) {
            match opened {
                Ok(volume) => shelf.add(volume),
                Err(error) => {
                    shelf.warnings.push(format!("{name} is not used: {error}"));
                    shelf.lost.insert(name, error.to_string());
                }
            }
        }
        Ok(shelf)
    }

    /// One archive. `path` is where it is, and what it leans on beside it; `None`: it came through a
    /// pipe.
    pub fn of_archive(archive: Archive, path: Option<&Path>) -> Self {
        let name = path.and_then(Path::file_name).and_then(|name| name.to_str());
        let label = path.map_or("standard input".to_owned(), |path| {
            path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
        });
        let dir = path.map(|path| path.parent().unwrap_or(Path::new("")).to_owned());
        let mut shelf = Self::empty(dir);
        shelf.add(Volume::new(name.and_then(Name::parse), label, 0, archive));
        shelf
    }

    fn empty(dir: Option<PathBuf>) -> Self {
        Self {
            dir,
            volumes: Vec::new(),
            by_name: HashMap::new(),
            lost: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    fn add(&mut self, volume: Volume) {
        if let Some(name) = volume.name {
            self.by_name.insert(name, self.volumes.len());
        }
        self.volumes.push(volume);
    }

    /// Opens the archives that these sessions of the first archive lean on. One that cannot be opened
    /// shows when its sessions are asked for.
    pub fn fetch(&mut self, sessions: &[usize]) {
        let mut open: Vec<(usize, usize)> = sessions.iter().map(|session| (0, *session)).collect();
        while let Some(link) = open.pop() {
            let Ok(Some(name)) = self.base_name(link) else { continue };
            if !self.by_name.contains_key(&name) && !self.lost.contains_key(&name) {
                let Some(dir) = &self.dir else { continue };
                match Volume::open(&dir.join(name.to_string()), name) {
                    Ok(volume) => self.add(volume),
                    Err(error) => drop(self.lost.insert(name, error.to_string())),
                }
            }
            open.extend(self.base(link).ok().flatten());
        }
    }

    /// The archives.
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// The names that are taken: of archives that could be opened and of those that could not.
    pub fn last_name(&self) -> Option<Name> {
        self.by_name.keys().chain(self.lost.keys()).max().copied()
    }

    /// A session of one of the archives.
    pub fn session(&self, (volume, session): (usize, usize)) -> &Session {
        &self.volumes[volume].sessions()[session]
    }

    /// The name of the archive that a session of an archive goes on from.
    ///
    /// # Errors
    /// When it is not one before that archive.
    fn base_name(&self, link: (usize, usize)) -> Result<Option<Name>> {
        let Some(continues) = &self.session(link).continues else { return Ok(None) };
        let volume = &self.volumes[link.0];
        let before = |name: &Name| volume.name.is_none_or(|own| *name < own);
        match Name::parse(&continues.archive).filter(before) {
            Some(name) => Ok(Some(name)),
            None => Err(Error::archive(format!(
                "{}: it continues {:?}, which is no backup before it",
                volume.label, continues.archive
            ))),
        }
    }

    /// The session that a session of an archive goes on from; `None`: it is whole.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the archive that holds it is not there or cannot be opened;
    /// [`Kind::Archive`] when it does not hold the session.
    pub fn base(&self, link: (usize, usize)) -> Result<Option<(usize, usize)>> {
        let Some(name) = self.base_name(link)? else { return Ok(None) };
        let own = &self.volumes[link.0].label;
        let Some(&volume) = self.by_name.get(&name) else {
            let why = match self.lost.get(&name) {
                Some(reason) if self.dir.as_ref().is_some_and(|dir| dir.join(name.to_string()).exists()) => {
                    format!("which cannot be read: {reason}")
                }
                _ => "which is not there".to_owned(),
            };
            return Err(Error::new(
                Kind::NotFound,
                format!("{own} holds only what is new since {name}, {why}"),
            )
            .hint(match self.dir {
                Some(_) => format!("put {name} beside {own}"),
                None => format!("import it from a directory that has {name} beside it, not from a pipe"),
            }));
        };
        let head = &self.session(link).head;
        match self.volumes[volume].find(&head.harness, &head.id) {
            Some(session) => Ok(Some((volume, session))),
            None => Err(not_the_one(own, &name.to_string(), "it does not hold the session")),
        }
    }
}

/// The error for an earlier archive that is not the one that a later one was made with.
pub fn not_the_one(later: &str, earlier: &str, reason: &str) -> Error {
    Error::archive(format!("{later} does not go on from this {earlier}: {reason}"))
        .hint(format!("put the {earlier} back that was there when {later} was made"))
}
