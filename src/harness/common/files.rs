//! Payloads made of files on this machine.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, IoContext, Kind, Result};
use crate::model::{FileMeta, Payload, ReadSeek};

/// Where the bytes of one file are.
#[derive(Debug)]
pub enum Source {
    /// The first [`FileMeta::size`] bytes of this file.
    Path(PathBuf, Identity),
    /// This file, which has no name (an unpacked or joined copy in the temporary directory).
    Anonymous(File),
    /// These few bytes.
    Bytes(Vec<u8>),
}

/// Tells a file from another one that has got its name since.
///
/// Its length was measured when the session was opened. The same length of the file that took its place
/// would be neither the old session nor the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device and number on it.
    #[cfg(unix)]
    node: (u64, u64),
    /// When it was made, where the system knows: numbers are given again.
    created: Option<SystemTime>,
    /// Whether the measured length ends with a line.
    ends_line: bool,
}

impl Identity {
    /// Of an open file of which the first `size` bytes are taken.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(file: &File, size: u64) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?, ends_line(file, size)?))
    }

    fn from(meta: &Metadata, ends_line: bool) -> Self {
        #[cfg(unix)]
        let node = {
            use std::os::unix::fs::MetadataExt;
            (meta.dev(), meta.ino())
        };
        Self {
            #[cfg(unix)]
            node,
            created: meta.created().ok(),
            ends_line,
        }
    }
}

/// Whether the first `size` bytes end with a line. One that was cut off and written anew ends elsewhere.
fn ends_line(file: &File, size: u64) -> io::Result<bool> {
    let Some(last) = size.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    Ok(read_at(file, &mut byte, last)? == 1 && byte == *b"\n")
}

/// A payload made of files.
#[derive(Debug, Default)]
pub struct Files {
    metas: Vec<FileMeta>,
    sources: Vec<Source>,
}

impl Files {
    /// Adds a file. The first transcript comes first.
    pub fn push(&mut self, meta: FileMeta, source: Source) {
        self.metas.push(meta);
        self.sources.push(source);
    }

    /// Removes the files for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&FileMeta) -> bool) {
        let (metas, sources) = (std::mem::take(&mut self.metas), std::mem::take(&mut self.sources));
        for (meta, source) in metas.into_iter().zip(sources) {
            if keep(&meta) {
                self.push(meta, source);
            }
        }
    }
}

impl Payload for Files {
    fn files(&self) -> &[FileMeta] {
        &self.metas
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        let (Some(meta), Some(source)) = (self.metas.get(index), self.sources.get(index)) else {
            return Err(Error::new(Kind::NotFound, format!("the session has no file {index}")));
        };
        let (file, path) = match source {
            Source::Path(path, identity) => {
                let file = File::open(path).at("open", path)?;
                if Identity::of(&file, meta.size).at("look at", path)? != *identity {
                    let message = format!("{} was replaced while it was read", path.display());
                    return Err(Error::new(Kind::Busy, message).hint("try again"));
                }
                (file, path.as_path())
            }
            Source::Anonymous(file) => {
                let path = Path::new(&meta.path);
                (file.try_clone().at("open", path)?, path)
            }
            Source::Bytes(bytes) => return Ok(Box::new(io::Cursor::new(bytes.as_slice()))),
        };
        let prefix = Prefix { file, position: 0, length: meta.size, path: path.to_owned() };
        Ok(Box::new(prefix))
    }
}

/// The first `length` bytes of a file, with its own position (clones of a file share one).
struct Prefix {
    file: File,
    position: u64,
    length: u64,
    path: PathBuf,
}

impl Read for Prefix {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length - self.position.min(self.length);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let got = match read_at(&self.file, &mut buffer[..want], self.position) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(Error::io("read", &self.path, error).into());
            }
            other => other?,
        };
        if got == 0 {
            let message = format!("{} became shorter while it was read", self.path.display());
            return Err(Error::new(Kind::Busy, message).hint("try again").into());
        }
        self.position += got as u64;
        Ok(got)
    }
}

impl Seek for Prefix {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.length.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Reads some of what a file has at `offset`.
///
/// # Errors
/// When it cannot be read.
#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Reads some of what a file has at `offset`.
///
/// # Errors
/// When it cannot be read.
#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// The first `length` bytes of another stream.
pub struct Bounded<R> {
    inner: R,
    position: u64,
    length: u64,
}

impl<R: Read + Seek> Bounded<R> {
    /// The first `length` bytes of `inner`, which stands at its beginning.
    pub fn new(inner: R, length: u64) -> Self {
        Self { inner, position: 0, length }
    }
}

impl<R: Read + Seek> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let want = left.min(buffer.len());
        let got = self.inner.read(&mut buffer[..want])?;
        self.position += got as u64;
        Ok(got)
    }
}

impl<R: Read + Seek> Seek for Bounded<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::End(delta) => SeekFrom::Start(
                self.length
                    .checked_add_signed(delta)
                    .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?,
            ),
            other => other,
        };
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}

/// The path with its links resolved as far as it exists: what a program sees that is started there.
pub fn real_path(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut head = path;
    let mut real = loop {
        match fs::canonicalize(head) {
            Ok(real) => break real,
            Err(_) => match (head.parent(), head.components().next_back()) {
                (Some(parent), Some(last)) => {
                    rest.push(last);
                    head = parent;
                }
                _ => break head.to_owned(),
            },
        }
    };
    for part in rest.into_iter().rev() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                real.pop();
            }
            part => real.push(part),
        }
    }
    real
}

#[cfg(all(test, unix))]
#[allow(clippy::disallowed_methods)] // Tests play the program.
mod tests {
    use std::io::Write;

    use super::*;
    use crate::model::Role;

    fn opened(path: &Path, size: u64) -> Files {
        let identity = Identity::of(&File::open(path).expect("a file"), size).expect("readable");
        let meta = FileMeta { role: Role::Transcript, path: "x".into(), size, modified: None, agent: None };
        let mut files = Files::default();
        files.push(meta, Source::Path(path.to_owned(), identity));
        files
    }

    fn read(files: &Files) -> Result<String> {
        let mut text = String::new();
        files.open(0)?.read_to_string(&mut text).at("read", Path::new("x"))?;
        Ok(text)
    }

    #[test]
    fn a_file_that_grows_is_the_same_and_one_that_took_its_name_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        fs::write(&path, "one\ntwo\nto").expect("writable");
        let files = opened(&path, 8);
        File::options()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"rn\n"))
            .expect("writable");
        assert_eq!(read(&files).expect("the same file"), "one\ntwo\n");

        let other = dir.path().join("b");
        fs::write(&other, "another one\nof more lines\n").expect("writable");
        fs::rename(&other, &path).expect("it takes the name");
        let error = read(&files).expect_err("it is another file");
        assert_eq!(error.kind(), Kind::Busy);
        assert!(error.to_string().contains("replaced while"), "{error}");
    }

    #[test]
    fn a_file_that_is_written_anew_does_not_end_with_the_same_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        fs::write(&path, "one\ntwo\n").expect("writable");
        let files = opened(&path, 8);
        fs::write(&path, "something else\nand more\n").expect("writable");
        assert_eq!(read(&files).expect_err("it is another text").kind(), Kind::Busy);
    }
}
