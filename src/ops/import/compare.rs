//! What is there already, and how it relates to what comes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{IoContext, Result};
use crate::harness::Growth;

/// How an incoming file relates to the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Nothing is there.
    Missing,
    /// The same bytes.
    Identical,
    /// The incoming file begins with what is there.
    Longer,
    /// What is there begins with the incoming file.
    Shorter,
    /// Neither continues the other.
    Different,
}

/// How an incoming session relates to the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same content.
    Identical,
    /// The incoming session continues what is there.
    IncomingContinues,
    /// What is there continues the incoming session.
    HereContinues,
    /// Both went their own way.
    Diverged,
}

/// Compares what `render` writes with the file at `path`, without `trailer` at its end.
///
/// # Errors
/// When the file cannot be read or rendering fails.
pub fn file(
    path: &Path,
    trailer: &[u8],
    render: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<Relation> {
    let mut here = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Relation::Missing),
        Err(error) => return Err(error).at("open", path),
    };
    if trailer.is_empty() {
        return content(here, path, render);
    }
    let length = here.metadata().at("look at", path)?.len();
    let own = length_without(&mut here, length, trailer).at("read", path)?;
    content(here.take(own), path, render)
}

/// The length of what stands in front of `trailer`; all of it when it does not end with that.
fn length_without(here: &mut File, length: u64, trailer: &[u8]) -> io::Result<u64> {
    let Some(own) = length.checked_sub(trailer.len() as u64) else { return Ok(length) };
    let mut last = Vec::with_capacity(trailer.len());
    here.seek(SeekFrom::Start(own))?;
    here.read_to_end(&mut last)?;
    here.rewind()?;
    Ok(if last == trailer { own } else { length })
}

/// Compares what `render` writes with what `here` yields; `path` names it in errors.
///
/// # Errors
/// When `here` cannot be read or rendering fails.
pub fn content(
    here: impl Read,
    path: &Path,
    render: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<Relation> {
    let mut comparer =
        Comparer { here: BufReader::with_capacity(256 << 10, here), state: Relation::Identical };
    render(&mut comparer)?;
    if comparer.state == Relation::Identical && comparer.here.read(&mut [0]).at("read", path)? > 0 {
        return Ok(Relation::Shorter);
    }
    Ok(comparer.state)
}

/// The same, of JSON that is kept as rows. White space between tokens is no difference: a store may
/// spell it otherwise, and a row that cannot be read, which does not travel, leaves some in its place.
/// Since such a row may be here alone, what is incoming only continues what has such space when that is
/// its beginning to the byte.
///
/// # Errors
/// As [`content`], and those of `open`.
pub fn rows<R: Read>(
    open: impl Fn() -> Result<R>,
    path: &Path,
    render: impl Fn(&mut dyn Write) -> Result<()>,
) -> Result<Relation> {
    let mut here = Tokens::of(open()?);
    let relation = content(&mut here, path, |out| render(&mut Tokens::of(out)))?;
    if relation == Relation::Longer && here.has_space {
        return content(open()?, path, render);
    }
    Ok(relation)
}

/// What goes through it loses the white space between tokens.
struct Tokens<T> {
    inner: T,
    in_string: bool,
    escaped: bool,
    /// Whether there was white space that does not end a line.
    has_space: bool,
    /// What is left of a block, and how much of it was read.
    kept: Vec<u8>,
    used: usize,
}

impl<T> Tokens<T> {
    fn of(inner: T) -> Self {
        Self { inner, in_string: false, escaped: false, has_space: false, kept: Vec::new(), used: 0 }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.clear();
        self.used = 0;
        for &byte in bytes {
            if self.in_string {
                self.in_string = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
            } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                self.has_space |= byte != b'\n';
                continue;
            } else {
                self.in_string = byte == b'"';
            }
            self.kept.push(byte);
        }
    }
}

impl<R: Read> Read for Tokens<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut block = [0; 16 << 10];
        while self.used == self.kept.len() {
            let got = self.inner.read(&mut block)?;
            if got == 0 {
                return Ok(0);
            }
            self.keep(&block[..got]);
        }
        let count = buffer.len().min(self.kept.len() - self.used);
        buffer[..count].copy_from_slice(&self.kept[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

impl<W: Write> Write for Tokens<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let block = &bytes[..bytes.len().min(16 << 10)];
        self.keep(block);
        self.inner.write_all(&self.kept)?;
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Comparer<R> {
    here: BufReader<R>,
    state: Relation,
}

impl<R: Read> Write for Comparer<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut left = bytes;
        let mut block = [0; 16 << 10];
        while self.state == Relation::Identical && !left.is_empty() {
            let want = left.len().min(block.len());
            let got = self.here.read(&mut block[..want])?;
            if got == 0 {
                self.state = Relation::Longer;
            } else if block[..got] != left[..got] {
                self.state = Relation::Different;
            }
            left = &left[got..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the relations of its files say of a session.
///
/// The logs decide. Files that the harness replaces only matter when no log tells which of the two
/// is the newer one.
pub fn session(files: &[(Growth, Relation)]) -> Verdict {
    let logs = || files.iter().filter(|(growth, _)| *growth == Growth::Append).map(|(_, relation)| *relation);
    let any = |wanted: Relation| logs().any(|relation| relation == wanted);
    let more = any(Relation::Longer) || any(Relation::Missing);
    match (any(Relation::Different), more, any(Relation::Shorter)) {
        (true, ..) | (_, true, true) => Verdict::Diverged,
        (_, true, _) => Verdict::IncomingContinues,
        (.., true) => Verdict::HereContinues,
        _ => states(files),
    }
}

/// The verdict when all logs are identical.
fn states(files: &[(Growth, Relation)]) -> Verdict {
    let states =
        || files.iter().filter(|(growth, _)| *growth == Growth::Replace).map(|(_, relation)| *relation);
    if states().all(|relation| relation == Relation::Identical) {
        Verdict::Identical
    } else if states().all(|relation| matches!(relation, Relation::Identical | Relation::Missing)) {
        Verdict::IncomingContinues
    } else {
        Verdict::Diverged
    }
}

#[cfg(test)]
mod tests {
    use super::Growth::{Append, Replace};
    use super::*;

    #[test]
    fn relations() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("here");
        let relation = |text: &str| {
            file(&path, b"!", |out| {
                for byte in text.as_bytes() {
                    out.write_all(&[*byte]).expect("a comparer takes everything");
                }
                Ok(())
            })
            .expect("readable")
        };
        assert_eq!(relation("ab"), Relation::Missing);
        #[allow(clippy::disallowed_methods)]
        std::fs::write(&path, "ab").expect("writable");
        assert_eq!(relation("ab"), Relation::Identical);
        assert_eq!(relation("abc"), Relation::Longer);
        assert_eq!(relation("a"), Relation::Shorter);
        assert_eq!(relation(""), Relation::Shorter);
        assert_eq!(relation("ac"), Relation::Different);
        #[allow(clippy::disallowed_methods)]
        std::fs::write(&path, "ab!").expect("writable");
        assert_eq!(relation("ab"), Relation::Identical);
        assert_eq!(relation("abc"), Relation::Longer);
        assert_eq!(relation("a"), Relation::Shorter);
    }

    #[test]
    fn white_space_between_tokens() {
        let relation = |here: &str, incoming: &str| {
            rows(
                || Ok(here.as_bytes()),
                Path::new("here"),
                |out| {
                    for byte in incoming.as_bytes() {
                        out.write_all(&[*byte]).expect("a comparer takes everything");
                    }
                    Ok(())
                },
            )
            .expect("readable")
        };
        let here = "{\"a b\": [1,\r\n 2],\t\"c\":\" \\\" d \\\\\"  , \"e\":\" \"}\n   \n";
        assert_eq!(relation(here, r#"{"a b":[1,2],"c":" \" d \\","e":" "}"#), Relation::Identical);
        assert_eq!(relation(r#"{"a b":[1,2],"c":" \" d \\","e":" "}"#, here), Relation::Identical);
        for other in [
            r#"{"ab":[1,2],"c":" \" d \\","e":" "}"#,
            r#"{"a b":[12],"c":" \" d \\","e":" "}"#,
            r#"{"a b":[1,2],"c":" \"d \\","e":" "}"#,
            r#"{"a b":[1,2],"c":" \" d \\","e":""}"#,
        ] {
            assert_eq!(relation(here, other), Relation::Different, "{other}");
            assert_eq!(relation(other, here), Relation::Different, "{other}");
        }
        assert_eq!(relation("{}\n", "{} \n{}\n"), Relation::Longer);
        assert_eq!(relation("{}\n \n", "{}\n{}\n"), Relation::Different);
        assert_eq!(relation("{ }\n", "{ }\n{}\n"), Relation::Longer);
        assert_eq!(relation("{ }\n{}\n", " \n{}"), Relation::Shorter);
    }

    #[test]
    fn the_logs_decide() {
        use Relation::*;
        for (files, verdict) in [
            (vec![(Append, Identical), (Replace, Identical)], Verdict::Identical),
            (vec![(Append, Identical), (Replace, Missing)], Verdict::IncomingContinues),
            (vec![(Append, Identical), (Replace, Different)], Verdict::Diverged),
            (vec![(Append, Longer), (Replace, Different)], Verdict::IncomingContinues),
            (vec![(Append, Shorter), (Replace, Different)], Verdict::HereContinues),
            (vec![(Append, Longer), (Append, Missing)], Verdict::IncomingContinues),
            (vec![(Append, Longer), (Append, Shorter)], Verdict::Diverged),
            (vec![(Append, Different), (Append, Identical)], Verdict::Diverged),
        ] {
            assert_eq!(session(&files), verdict, "{files:?}");
        }
    }
}
