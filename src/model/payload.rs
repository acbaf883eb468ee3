//! A session in its harness's own form: the exact bytes of its files.
//!
//! The same readers and relocators work on a session that lies in a store on this machine and on
//! one inside an archive, because both are a [`Payload`].

use std::io::{Read, Seek};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time::Time;
use crate::error::Result;

/// A stream that can be read from any offset.
pub trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// The files of one session.
pub trait Payload: Sync {
    /// What the files are. Exactly one has the role [`Role::Transcript`].
    fn files(&self) -> &[FileMeta];

    /// Opens file `index` of [`Payload::files`]. It yields exactly [`FileMeta::size`] bytes.
    ///
    /// # Errors
    /// When the file is gone or damaged. Damage that only shows while reading comes as an
    /// [`std::io::Error`] that carries an [`Error`](crate::error::Error).
    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>>;
}

/// What a file of a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The conversation.
    Transcript,
    /// The conversation of a sub-agent.
    Subagent,
    /// Anything else that belongs to the session: tool outputs, file backups, task lists.
    Attachment,
}

/// One file of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileMeta {
    /// What it is for.
    pub role: Role,
    /// Where it was, relative to the harness's data directory, with `/` between components.
    /// It is data: only the adapter of the harness decides where the file goes.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, where it means something to the harness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Time>,
    /// For the transcript of a sub-agent: who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
}

/// A sub-agent of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// The harness's id of the sub-agent.
    pub id: String,
    /// The tool call of the parent that started it, where it is known.
    pub call_id: Option<String>,
    /// Its kind, such as `general-purpose`.
    pub kind: Option<String>,
    /// What it was asked to do, in a few words.
    pub title: Option<String>,
}

/// The place of the transcript in a list of files.
pub fn transcript(files: &[FileMeta]) -> Option<usize> {
    files.iter().position(|file| file.role == Role::Transcript)
}
