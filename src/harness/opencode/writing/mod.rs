//! From events or a payload to rows of the store.

use std::io::Write;
use std::path::Path;

use uuid::Uuid;

use super::flavour::Flavour;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{Confirmation, Found, Layout, OutFile, Placed, RowWriter, Target, TranscriptWriter};
use crate::model::{Agent, FileMeta, ReadSeek};

fn not_yet() -> Error {
    Error::new(Kind::Unsupported, "writing is not there yet")
}

pub(super) fn valid_id(id: &str) -> bool {
    id.starts_with("ses")
}

pub(super) fn id_from(uuid: Uuid) -> String {
    format!("ses_{}", uuid.simple())
}

pub(super) fn place_native(
    flavour: &'static Flavour,
    target: &Target<'_>,
    files: &[FileMeta],
) -> Result<Layout> {
    let _ = (flavour, target, files);
    Err(not_yet())
}

pub(super) fn relocate(
    flavour: &'static Flavour,
    target: &Target<'_>,
    file: &FileMeta,
    input: Box<dyn ReadSeek + '_>,
    out: &mut dyn Write,
) -> Result<()> {
    let _ = (flavour, target, file, input, out);
    Err(not_yet())
}

pub(super) fn place_converted(
    flavour: &'static Flavour,
    target: &Target<'_>,
    files: &[FileMeta],
) -> Result<Layout> {
    let _ = (flavour, target, files);
    Err(not_yet())
}

pub(super) fn writer<'a>(
    flavour: &'static Flavour,
    target: &'a Target<'a>,
    agent: Option<&'a Agent>,
    out: &'a mut dyn Write,
) -> Result<Box<dyn TranscriptWriter + 'a>> {
    let _ = (flavour, target, agent, out);
    Err(not_yet())
}

pub(super) fn rows<'a>(
    flavour: &'static Flavour,
    target: &'a Target<'a>,
    file: &'a OutFile,
    out: &'a mut dyn Write,
) -> Result<Box<dyn RowWriter + 'a>> {
    let _ = (flavour, target, file, out);
    Err(not_yet())
}

pub(super) fn make_store(flavour: &'static Flavour, env: &Env, cwd: &Path) -> Result<()> {
    let _ = (flavour, env, cwd);
    Err(not_yet())
}

pub(super) fn live(flavour: &'static Flavour, env: &Env, found: &Found) -> Result<Option<String>> {
    let _ = (flavour, env, found);
    Ok(None)
}

pub(super) fn confirm(flavour: &'static Flavour, env: &Env, placed: &[Placed<'_>]) -> Result<Confirmation> {
    let _ = (flavour, env, placed);
    Ok(Confirmation::NotAsked(None))
}
