//! The bytes of one file, converted or relocated.
//!
//! Rendering is pure: the same session, target and options give the same bytes, so a dry run, a
//! comparison with what is there and the import itself all see the same thing.

use std::fs::File;
use std::io::{self, Write};

use super::decide::Planned;
use super::incoming::Session;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::{Harness, OutFile, OutSource, Stored, Target};
use crate::model::{Fidelity, Payload, View};

/// Writes `file` of the planned session to `out`.
///
/// # Errors
/// When the session cannot be read or `out` fails.
pub fn file(
    planned: &Planned<'_>,
    target: &Target<'_>,
    file: &OutFile,
    out: &mut dyn Write,
) -> Result<Fidelity> {
    let (Some(from), Some(to)) = (planned.from, planned.to) else {
        return Err(Error::new(Kind::Unsupported, "the session's harness is not known"));
    };
    content(from, to, planned.session, &*planned.session.payload, target, &file.source, out)
}

/// Writes `file` as its store keeps it: the bytes of [`file`](fn@file) and what has to stand behind
/// them, or the rows made of them.
///
/// # Errors
/// As [`file`](fn@file).
pub fn stored(
    planned: &Planned<'_>,
    target: &Target<'_>,
    file: &OutFile,
    out: &mut dyn Write,
) -> Result<Fidelity> {
    let (Stored::Rows, Some(to)) = (file.stored, planned.to) else {
        let fidelity = self::file(planned, target, file, out)?;
        if let Some(to) = planned.to {
            out.write_all(to.trailer(file)).at("write", &file.path)?;
        }
        return Ok(fidelity);
    };
    let mut rows = to.rows(target, file, out)?;
    let fidelity = self::file(planned, target, file, &mut *rows)?;
    rows.finish()?;
    Ok(fidelity)
}

/// Writes what `source` stands for, taking the session's bytes from `payload`.
///
/// # Errors
/// When the session cannot be read or `out` fails.
pub fn content(
    from: &dyn Harness,
    to: &dyn Harness,
    session: &Session<'_>,
    payload: &dyn Payload,
    target: &Target<'_>,
    source: &OutSource,
    out: &mut dyn Write,
) -> Result<Fidelity> {
    let meta = |index: usize| {
        payload.files().get(index).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("session {} has no file {index}", session.head.id))
        })
    };
    match source {
        OutSource::Native(index) => {
            to.relocate(target, meta(*index)?, payload.open(*index)?, out)?;
            Ok(Fidelity::default())
        }
        OutSource::Converted(index) => {
            let mut writer = to.writer(target, meta(*index)?.agent.as_ref(), out)?;
            let notes = from.read(payload, *index, View::Full, &mut *writer)?;
            let mut fidelity = writer.finish()?;
            fidelity.notes.merge(&notes);
            Ok(fidelity)
        }
        OutSource::Here(path) => {
            let mut file = File::open(path).at("open", path)?;
            io::copy(&mut file, out).at("copy", path)?;
            Ok(Fidelity::default())
        }
        OutSource::Text(text) => {
            out.write_all(text.as_bytes()).at("write", std::path::Path::new("the staged file"))?;
            Ok(Fidelity::default())
        }
    }
}

/// Counts bytes and throws them away.
#[derive(Debug, Default)]
pub struct Counter(pub u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
