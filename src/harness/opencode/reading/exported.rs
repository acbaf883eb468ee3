//! A session in a file that `opencode export` or `kilo export` wrote.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::flavour::Flavour;
use super::info::Info;
use super::json::Scanner;
use super::payload::{Made, Records};
use super::stream::{Lines, measure};
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::common::jsonl::MAX_LINE;
use crate::harness::{Found, NativeSession};
use crate::model::{Head, Notes};

/// The session in the file at `path`; `None`: it is no export of this program.
///
/// # Errors
/// When the file cannot be read.
pub fn in_file(flavour: &Flavour, path: &Path) -> Result<Option<Found>> {
    let Some(export) = Export::open(path)? else { return Ok(None) };
    let Some(head) = export.head(flavour) else { return Ok(None) };
    let meta = path.metadata().at("look at", path)?;
    let modified = meta.modified().at("look at", path)?;
    let (id, path) = (head.id.clone(), path.to_owned());
    Ok(Some(Found { id, path, bytes: Some(meta.len()), modified, head: Some(head.into()), stamp: None }))
}

/// The head of the session in an exported file; `None`: it is none of this program.
///
/// # Errors
/// When the file cannot be read.
pub fn head(flavour: &Flavour, path: &Path) -> Result<Option<Head>> {
    Ok(Export::open(path)?.and_then(|export| export.head(flavour)))
}

/// Opens the session in an exported file. Sub-agents and task lists are in none.
///
/// # Errors
/// When it is no export, or cannot be read.
pub fn open(flavour: &Flavour, path: &Path) -> Result<NativeSession> {
    let export = Export::open(path)?;
    let head = export.as_ref().and_then(|export| export.head(flavour));
    let (Some(export), Some(head)) = (export, head) else {
        let message = format!("{} is no session that {} has exported", path.display(), flavour.info.name);
        return Err(Error::new(Kind::Unsupported, message));
    };
    let mut made = Made::new(export);
    made.add(&head.id, None)?;
    Ok(NativeSession { head, payload: Box::new(made), notes: Notes::default() })
}

/// An exported file with its `info`.
struct Export {
    path: PathBuf,
    info: Vec<u8>,
}

impl Export {
    /// `None`: the file is no object with `info` and `messages`.
    fn open(path: &Path) -> Result<Option<Self>> {
        match Self::read(path) {
            Ok(export) => Ok(export),
            Err(error) if is_no_json(&error) => Ok(None),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut scanner = begin(path)?;
        let mut info = Vec::new();
        let mut name = Vec::new();
        while next_member(&mut scanner, &mut name)? {
            match name.as_slice() {
                b"\"info\"" if info.is_empty() => scanner.value(&mut info, MOST_INFO)?,
                // They come last: there is no need to read them yet.
                MESSAGES if !info.is_empty() => {
                    let has_list = scanner.peek()? == Some(b'[');
                    return Ok(has_list.then(|| Self { path: path.to_owned(), info }));
                }
                _ => drop(scanner.length()?),
            }
        }
        Ok(None)
    }

    /// The two programs write the same form; their versions tell them apart.
    fn head(&self, flavour: &Flavour) -> Option<Head> {
        let head = Info::read(&self.info)?.head(flavour)?;
        let major: u32 = head.harness_version.as_deref()?.split('.').next()?.parse().ok()?;
        flavour.majors.contains(&major).then_some(head)
    }
}

type Input = Scanner<BufReader<File>>;

/// A session's own record is short; a longer one is none.
const MOST_INFO: usize = 16 << 20;

/// The member with the messages.
const MESSAGES: &[u8] = b"\"messages\"";

/// Whether a file is no JSON, or not a whole one.
fn is_no_json(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Before the first member of the object in a file.
fn begin(path: &Path) -> io::Result<Input> {
    let mut scanner = Scanner::new(BufReader::with_capacity(256 << 10, File::open(path)?));
    if scanner.take(b'{')? { Ok(scanner) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Goes to the value of the next member; false at the end.
fn next_member(scanner: &mut Input, name: &mut Vec<u8>) -> io::Result<bool> {
    scanner.take(b',')?;
    if scanner.peek()? != Some(b'"') {
        return Ok(false);
    }
    name.clear();
    scanner.value(name, 1 << 10)?;
    if scanner.take(b':')? { Ok(true) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Before the first message in a file.
fn messages(path: &Path) -> io::Result<Input> {
    let mut scanner = begin(path)?;
    let mut name = Vec::new();
    while next_member(&mut scanner, &mut name)? && name != MESSAGES {
        scanner.length()?;
    }
    if scanner.take(b'[')? { Ok(scanner) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The length of the longest message in a file.
fn longest(path: &Path) -> io::Result<u64> {
    let mut scanner = messages(path)?;
    let mut longest = 0;
    while !scanner.take(b']')? {
        longest = longest.max(scanner.length()?);
        scanner.take(b',')?;
    }
    Ok(longest)
}

/// What is wrong with a file that cannot be read to its end.
fn trouble(path: &Path, error: io::Error) -> Error {
    match is_no_json(&error) {
        true => Error::new(Kind::Unsupported, format!("{} is not complete", path.display()))
            .hint("export the session again"),
        false => Error::io("read", path, error),
    }
}

impl Records for Export {
    fn size(&self, _id: &str) -> Result<u64> {
        let most = MAX_LINE as u64;
        if self.path.metadata().at("look at", &self.path)?.len() > most {
            let longest = longest(&self.path).map_err(|error| trouble(&self.path, error))?;
            if longest > most {
                let (longest, most) = (longest >> 20, most >> 20);
                let path = self.path.display();
                let what = format!(
                    "{path} has a message of {longest} MiB; the longest that can be carried has {most} MiB"
                );
                return Err(Error::new(Kind::Unsupported, what));
            }
        }
        measure(&mut Messages { path: &self.path, scanner: None })
    }

    fn messages(&self, _id: &str) -> Result<Box<dyn Lines + '_>> {
        Ok(Box::new(Messages { path: &self.path, scanner: None }))
    }

    fn session(&self, _id: &str) -> Result<Vec<u8>> {
        Ok([b"{\"info\":", self.info.as_slice(), b",\"todos\":[]}"].concat())
    }
}

/// What a message is made of.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "info")]
    _info: &'a RawValue,
    #[serde(borrow, rename = "parts")]
    _parts: Vec<&'a RawValue>,
}

/// The elements of `messages`.
struct Messages<'p> {
    path: &'p Path,
    /// Between two elements; `None` before the first one.
    scanner: Option<Input>,
}

impl Messages<'_> {
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let scanner = match &mut self.scanner {
            Some(scanner) => scanner,
            None => self.scanner.insert(messages(self.path)?),
        };
        loop {
            if scanner.take(b']')? {
                return Ok(false);
            }
            line.clear();
            scanner.value(line, MAX_LINE)?;
            line.push(b'\n');
            scanner.take(b',')?;
            if serde_json::from_slice::<Message<'_>>(line).is_ok() {
                return Ok(true);
            }
            // What is no message is left out.
        }
    }
}

impl Lines for Messages<'_> {
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        let path = self.path;
        self.next(line).map_err(|error| trouble(path, error))
    }

    fn restart(&mut self) {
        self.scanner = None;
    }
}
