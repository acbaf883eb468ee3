//! A file of the working directory as git would store it: line ends and `$Id$` by git's own filters,
//! links as what they point to.
//!
//! No program is run for it. What needs one, as Git LFS does, cannot be carried once it was changed.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use git2::{AttrCheckFlags, AttrValue, Config, IndexEntry, Mempack, ObjectType, Odb, Oid, Repository};
use sha2::{Digest, Sha256};

use super::stage::Stage;

/// Most bytes of a pointer of Git LFS; its specification says under 1024.
const MAX_POINTER: usize = 1024;

/// Turns files into objects.
pub(super) struct Content<'r> {
    filter: &'r Repository,
    /// Of `filter`, and empty but for the file at hand: what a filter writes is written to it, and a
    /// database that held the user's objects would renew the times of their files.
    odb: &'r Odb<'static>,
    memory: Mempack<'r>,
    user: Odb<'r>,
    root: PathBuf,
    /// Files with attributes that are only in the index.
    attributes: Vec<Oid>,
}

impl<'r> Content<'r> {
    pub(super) fn new(
        user: &'r Repository,
        filter: &'r Repository,
        odb: &'r Odb<'static>,
        attributes: Vec<Oid>,
    ) -> Result<Self, git2::Error> {
        let memory = odb.add_new_mempack_backend(1)?;
        filter.set_odb(odb)?;
        let root = user.workdir().unwrap_or_else(|| user.path()).to_owned();
        Ok(Self { filter, odb, memory, user: user.odb()?, root, attributes })
    }

    /// Puts a regular file. `tracked` is what the index has of it: git looks there whether a file
    /// with Windows line ends is meant to have them.
    pub(super) fn file(
        &self,
        path: &[u8],
        tracked: Option<Oid>,
        stage: &mut Stage<'_>,
    ) -> Result<Oid, git2::Error> {
        self.memory.reset()?;
        for id in self.attributes.iter().chain(&tracked) {
            if let Ok(object) = self.user.read(*id) {
                self.odb.write(object.kind(), object.data())?;
            }
        }
        let id = self.filter.blob_path(&self.root.join(native(path)))?;
        let object = self.odb.read(id)?;
        stage.put(ObjectType::Blob, object.data())
    }

    /// Puts a link.
    pub(super) fn link(&self, path: &[u8], stage: &mut Stage<'_>) -> Result<Oid, git2::Error> {
        let target = fs::read_link(self.root.join(native(path)))
            .map_err(|error| git2::Error::from_str(&error.to_string()))?;
        stage.put(ObjectType::Blob, &bytes(&target))
    }
}

/// Says which program would have to be run to store a file; `None` when git needs none.
pub(super) fn program(repository: &Repository, config: &Config, path: &[u8]) -> Option<String> {
    let path = native(path);
    let value = |name: &str| {
        let value = repository.get_attr_bytes(&path, name, AttrCheckFlags::FILE_THEN_INDEX).ok()?;
        match AttrValue::always_bytes(value) {
            AttrValue::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            AttrValue::String(text) => Some(text.to_owned()),
            _ => None,
        }
    };
    if let Some(name) = value("filter") {
        // Without a command git takes the file as it is.
        let has = |what: &str| config.get_string(&format!("filter.{name}.{what}")).is_ok();
        if has("clean") || has("process") {
            return Some(format!("the filter {name:?}"));
        }
    }
    let encoding = value("working-tree-encoding")?;
    let unicode = ["utf-8", "utf8"].iter().any(|name| encoding.eq_ignore_ascii_case(name));
    (!unicode).then(|| format!("the encoding {encoding:?}"))
}

/// Whether a file that needs a program is what the index has of it: by the checksum in its pointer
/// when it is one of Git LFS, else by its size and time, as git does.
pub(super) fn is_unchanged(
    repository: &Repository,
    entry: &IndexEntry,
    file: &Path,
    meta: &Metadata,
) -> bool {
    match pointer(repository, entry.id) {
        Some((sha256, size)) => size == meta.len() && checksum(file).is_ok_and(|sum| sum == sha256),
        None => is_same_stat(entry, meta),
    }
}

/// The SHA-256 and size in a pointer of Git LFS.
fn pointer(repository: &Repository, id: Oid) -> Option<(String, u64)> {
    let (size, _) = repository.odb().ok()?.read_header(id).ok()?;
    let blob = repository.find_blob(id).ok().filter(|_| size <= MAX_POINTER)?;
    let text = std::str::from_utf8(blob.content()).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    field("version").filter(|version| version.starts_with("https://"))?;
    let sha256 = field("oid")?.strip_prefix("sha256:")?;
    Some((sha256.to_owned(), field("size")?.parse().ok()?))
}

fn checksum(file: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut reader = BufReader::with_capacity(1 << 17, File::open(file)?);
    loop {
        let piece = io::BufRead::fill_buf(&mut reader)?;
        if piece.is_empty() {
            break;
        }
        hash.update(piece);
        let length = piece.len();
        io::BufRead::consume(&mut reader, length);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_same_stat(entry: &IndexEntry, meta: &Metadata) -> bool {
    let Some(age) = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
    else {
        return false;
    };
    // The index keeps the low 32 bits of both, and no fractions where git was built without.
    let (seconds, fraction) = (entry.mtime.seconds() as u32, entry.mtime.nanoseconds());
    entry.file_size == meta.len() as u32
        && seconds == age.as_secs() as u32
        && (fraction == 0 || fraction == age.subsec_nanos())
}

/// A path of git, relative to the root, as one of this system.
#[cfg(unix)]
pub(super) fn native(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

/// A path of git, relative to the root, as one of this system.
#[cfg(not(unix))]
pub(super) fn native(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
}

#[cfg(unix)]
fn bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(not(unix))]
fn bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().replace('\\', "/").into_bytes()
}
