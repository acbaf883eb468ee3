//! The files of a session, made of what the store keeps of it.

use std::io;

use super::super::paths::{MESSAGES, SESSION, of_session};
use super::stream::{Lines, Stream};
use crate::error::{Error, Kind, Result};
use crate::harness::common::files::{Files, Source};
use crate::model::{Agent, FileMeta, Payload, ReadSeek, Role};

/// What the files of sessions are made of: a database, a tree of files, an exported file.
pub trait Records: Send + Sync {
    /// The size of `messages.jsonl` of a session.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn size(&self, id: &str) -> Result<u64>;

    /// The lines of `messages.jsonl` of a session.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn messages(&self, id: &str) -> Result<Box<dyn Lines + '_>>;

    /// The bytes of `session.json` of a session.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn session(&self, id: &str) -> Result<Vec<u8>>;
}

/// A session's files: two for it and two for each of its sub-agents, then the attached ones.
pub struct Made<R> {
    records: R,
    /// Of each session: its id, and the size of its messages.
    sessions: Vec<(String, u64)>,
    metas: Vec<FileMeta>,
    attached: Files,
}

impl<R: Records> Made<R> {
    /// A payload without files.
    pub fn new(records: R) -> Self {
        Self { records, sessions: Vec::new(), metas: Vec::new(), attached: Files::default() }
    }

    /// Adds a session; the first is the one that all others belong to. To be done before files are
    /// attached.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn add(&mut self, id: &str, agent: Option<Agent>) -> Result<()> {
        let messages = self.records.size(id)?;
        let session = self.records.session(id)?.len() as u64;
        let role = if agent.is_some() { Role::Subagent } else { Role::Transcript };
        for (role, name, size) in [(role, MESSAGES, messages), (Role::Attachment, SESSION, session)] {
            let path = of_session(id, name);
            self.metas.push(FileMeta { role, path, size, modified: None, agent: agent.clone() });
        }
        self.sessions.push((id.to_owned(), messages));
        Ok(())
    }

    /// Adds a file that is one on disk too.
    pub fn attach(&mut self, meta: FileMeta, source: Source) {
        self.metas.push(meta.clone());
        self.attached.push(meta, source);
    }
}

impl<R: Records> Payload for Made<R> {
    fn files(&self) -> &[FileMeta] {
        &self.metas
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        match (self.sessions.get(index / 2), index % 2) {
            (Some((id, size)), 0) => Ok(Box::new(Stream::new(self.records.messages(id)?, *size))),
            (Some((id, _)), _) => Ok(Box::new(io::Cursor::new(self.records.session(id)?))),
            (None, _) => match index.checked_sub(self.sessions.len() * 2) {
                Some(index) => self.attached.open(index),
                None => Err(Error::new(Kind::NotFound, format!("the session has no file {index}"))),
            },
        }
    }
}

impl<L: Lines + ?Sized> Lines for Box<L> {
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        (**self).next_line(line)
    }

    fn restart(&mut self) {
        (**self).restart();
    }
}
