//! A session out of several archives, read as if it were in one.

use std::io::{self, Read, Seek, SeekFrom};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::fresh::copy;
use super::shelf::{Shelf, not_the_one};
use super::state::{Part, State, StateFile};
use crate::archive::{ArchivedSession, hex};
use crate::error::{Error, Kind, Result};
use crate::model::{FileMeta, Payload, ReadSeek};

/// The files of a session, each joined from its parts.
pub struct Joined<'a> {
    /// The session in each archive of the chain.
    sources: Vec<ArchivedSession<'a>>,
    metas: Vec<FileMeta>,
    files: Vec<StateFile>,
}

impl<'a> Joined<'a> {
    /// The files of a session of this shelf.
    ///
    /// # Errors
    /// When the state is not of this shelf.
    pub fn of(shelf: &'a Shelf, state: State) -> Result<Self> {
        let open = |link: &(usize, usize)| shelf.volumes()[link.0].archive.session(link.1);
        let sources = state.links.iter().map(open).collect::<Result<_>>()?;
        let metas = state.files.iter().map(|file| file.meta.clone()).collect();
        Ok(Self { sources, metas, files: state.files })
    }
}

impl Payload for Joined<'_> {
    fn files(&self) -> &[FileMeta] {
        &self.metas
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        let Some(file) = self.files.get(index) else {
            return Err(Error::new(Kind::NotFound, format!("the session has no file {}", index + 1)));
        };
        Ok(Box::new(Chained { sources: &self.sources, parts: &file.parts, open: None, position: 0 }))
    }
}

/// Reads parts one after the other; at most one is open.
struct Chained<'j, 'a> {
    sources: &'j [ArchivedSession<'a>],
    parts: &'j [Part],
    /// The part that is open: its place, and where its reader stands in it.
    open: Option<(usize, u64, Box<dyn ReadSeek + 'j>)>,
    position: u64,
}

impl Chained<'_, '_> {
    fn size(&self) -> u64 {
        self.parts.iter().map(|part| part.size).sum()
    }

    /// The part that holds the byte at the position, and that byte's place in it.
    fn place(&self) -> Option<(usize, u64)> {
        let mut offset = self.position;
        for (place, part) in self.parts.iter().enumerate() {
            if offset < part.size {
                return Some((place, offset));
            }
            offset -= part.size;
        }
        None
    }
}

impl Read for Chained<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((place, offset)) = self.place() else { return Ok(0) };
        let part = self.parts[place];
        let (mut at, mut reader) = match self.open.take() {
            Some((open, at, reader)) if open == place => (at, reader),
            _ => (0, self.sources[part.link].open(part.file)?),
        };
        if at != offset {
            at = reader.seek(SeekFrom::Start(offset))?;
        }
        let want = buffer.len().min(usize::try_from(part.size - offset).unwrap_or(usize::MAX));
        let got = reader.read(&mut buffer[..want])?;
        if got == 0 && want > 0 {
            return Err(Error::archive("a file ends before its part does").into());
        }
        self.position += got as u64;
        self.open = Some((place, at + got as u64, reader));
        Ok(got)
    }
}

impl Seek for Chained<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.size().checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Looks whether the files that are not all in the first archive of the chain have the SHA-256 that
/// it declares; with `own`, the others too. Whether the bytes of an archive are those that itself
/// declares is for [`Archive::verify`](crate::archive::Archive::verify) to say.
///
/// # Errors
/// [`Kind::Archive`] with the names of both archives when they are not; what reading them returns.
pub fn check(shelf: &Shelf, state: &State, own: bool) -> Result<()> {
    let joined = Joined::of(shelf, state.clone())?;
    let label = |link: usize| shelf.volumes()[state.links[link].0].label.as_str();
    let leans = |file: &StateFile| file.parts.iter().find(|part| part.link > 0).map(|part| part.link);
    let places = (0..state.files.len()).into_par_iter();
    places.filter(|place| own || leans(&state.files[*place]).is_some()).try_for_each(|place| {
        let file = &state.files[place];
        let named = |reason: &str| not_the_one(label(0), label(leans(file).unwrap_or(0)), reason);
        let mut hash = Sha256::new();
        match joined.open(place).and_then(|mut reader| copy(&mut reader, |bytes| hash.update(bytes))) {
            Ok(()) if hex(&hash.finalize()) == file.sha256 => Ok(()),
            Ok(()) => Err(named(&format!("joined, {} has another SHA-256 than it had", file.meta.path))),
            Err(error) if error.kind() == Kind::Archive => Err(named(&error.to_string())),
            Err(error) => Err(error),
        }
    })
}
