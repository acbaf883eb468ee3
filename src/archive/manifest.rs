//! The manifest: what an archive declares about itself, in JSON, as its first member.
//!
//! It is a public format. Fields may be added in a minor version and unknown ones are skipped by
//! readers; a major version that a reader does not know is refused. `holdall schema` prints its
//! JSON Schema. Changelog: 1.0, the first; 1.1, git bundles ([`Manifest::bundles`],
//! `carried` of repositories) and `root_commit` of repositories; [`Session::continues`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layout::Limits;
use super::rules;
use crate::error::Result;
pub use crate::git::{Carried, Remote, Repo};
use crate::model::{FileMeta, Head, Time};

/// Value of [`Manifest::schema`].
pub const SCHEMA: &str = "holdall.manifest/1";

/// Everything that an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Always `holdall.manifest/1` for this major version.
    pub schema: String,
    /// Version of the format: major and minor.
    pub version: Version,
    /// The program that wrote the archive.
    pub tool: Tool,
    /// When it was written, if whoever exported said so; left out by default, so that the same
    /// sessions give the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// The machine that the sessions come from.
    pub source: SourceMachine,
    /// The sessions, in the order of their files.
    pub sessions: Vec<Session>,
    /// The repositories that the sessions were working in.
    #[serde(default)]
    pub repos: Vec<Repo>,
    /// What is carried of repositories as git bundles, in the order of [`BundleFile::repo`]; at most
    /// one for a repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<BundleFile>,
}

impl Manifest {
    /// Reads a manifest that may be of any version, and of any mind. Addresses in it come out without
    /// credentials. `compressed` is the size of the archive that it comes from, in bytes.
    ///
    /// # Errors
    /// Of kind [`Kind::Archive`](crate::error::Kind::Archive) when it is not JSON, of another major
    /// version, breaks a rule of the format, or would take more memory than an archive of this size can
    /// have any use for.
    pub fn parse(json: &[u8], compressed: u64, limits: Limits) -> Result<Self> {
        rules::parse(json, compressed, limits)
    }

    /// Its bytes in an archive: JSON with a line end.
    pub fn print(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest is plain JSON");
        json.push(b'\n');
        json
    }
}

/// The git bundle of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleFile {
    /// The place of the repository in [`Manifest::repos`].
    pub repo: usize,
    /// Its name in the archive, `r/0001/repository.bundle`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// A format version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// A reader refuses a major version that it does not know.
    pub major: u32,
    /// A reader skips what it does not know of a newer minor version.
    pub minor: u32,
}

/// The version that this program writes.
pub const VERSION: Version = Version { major: 1, minor: 1 };

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Such as `holdall`.
    pub name: String,
    /// Such as `0.1.0`.
    pub version: String,
}

/// The machine that the sessions come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceMachine {
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// The user's home directory there; paths below it follow to the home of whoever imports.
    pub home: String,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// What is known of it.
    #[serde(flatten)]
    pub head: Head,
    /// Its place in [`Manifest::repos`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<usize>,
    /// Its files, in the harness's own form.
    pub files: Vec<File>,
    /// In a backup directory: the earlier archive that holds what is not new of the session. Without
    /// it the session is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
}

/// What an archive does not hold of a session, because an earlier one does that is beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Continues {
    /// The file name of the earlier archive, in the form `holdall-20261121T160000Z.tar.gz` or
    /// `holdall-20261121T160000Z-2.tar.gz`: an archive of the same directory, before this one. It may
    /// itself continue one.
    pub archive: String,
    /// The files of the session that are here from some byte on; all others of the list are whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grown: Vec<Grown>,
    /// The files that are as they were there, and not in the list; `None`: there are no such files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// A file whose first bytes are in the earlier archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grown {
    /// Its place in [`Session::files`], counted from 0.
    pub file: usize,
    /// So many bytes of it come first: those that the file of the same native path begins with there.
    pub after: u64,
    /// SHA-256 of the whole file: of those bytes, and then the ones that are here.
    pub sha256: String,
}

/// Files that are only in the earlier archive: all that the session has there, without those in
/// [`Session::files`] and without [`Kept::gone`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// One SHA-256 for all of them, taken of one line for each file, sorted by native path:
    /// `<sha256> <size> <length of the path in bytes>:<path>`, with a line end.
    pub sha256: String,
    /// The native paths of files that the session had there and has no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
}

/// One file of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Its name in the archive.
    pub name: String,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// What it is and where it was.
    #[serde(flatten)]
    pub meta: FileMeta,
}
