//! How an incoming session relates to the one that is here under its id.

use std::io::{self, Write};
use std::path::Path;

use super::compare::{self, Relation, Verdict};
use super::decide::Planned;
use super::here::Here;
use super::{Options, render};
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::{self, Found, Growth, Harness, OutFile, OutSource, Stored, Target};
use crate::model::{FileMeta, Payload, ReadSeek, payload};

/// Compares every file of the session with what is there.
///
/// # Errors
/// When either cannot be read.
pub fn judge(env: &Env, options: &Options, here: &Here, planned: &mut Planned<'_>) -> Result<Verdict> {
    let (Some(to), Some(target)) = (planned.to, planned.target(env, options)) else {
        return Err(Error::new(Kind::Unsupported, "the session has no target"));
    };
    let mut relations = Vec::with_capacity(planned.layout.files.len());
    for place in 0..planned.layout.files.len() {
        let file = &planned.layout.files[place];
        let render = |out: &mut dyn Write| render::file(planned, &target, file, out).map(drop);
        relations.push(compare_with_here(env, to, planned.existing.as_ref(), place, file, render)?);
    }
    let files: Vec<(Growth, Relation)> =
        planned.layout.files.iter().map(|file| file.growth).zip(relations.iter().copied()).collect();
    let verdict = compare::session(&files);
    planned.relations = relations;
    if verdict == Verdict::Diverged && grew_since(env, options, here, planned)? {
        return Ok(Verdict::IncomingContinues);
    }
    if verdict == Verdict::Diverged && stays_where_it_was(planned) {
        let as_it_came = as_it_came(env, to, planned)?;
        if matches!(as_it_came, Verdict::Identical | Verdict::HereContinues) {
            return Ok(as_it_came);
        }
    }
    Ok(verdict)
}

fn stays_where_it_was(planned: &Planned<'_>) -> bool {
    let head = &planned.session.head;
    let cwd = planned.destination.as_ref().and_then(|destination| destination.cwd.to_str());
    planned.to.is_some_and(|to| to.info().id == head.harness)
        && planned.id == head.id
        && cwd == head.cwd.as_deref()
}

/// Compares the session as it came with what an export of the one that is here holds today. The files of a
/// session that never left differ from what an import would write, for one when the model provider that it
/// names is not configured any more, or when it begins in the file of another session.
fn as_it_came(env: &Env, to: &dyn Harness, planned: &Planned<'_>) -> Result<Verdict> {
    let Some(existing) = &planned.existing else { return Ok(Verdict::Diverged) };
    // What cannot be opened is no session that never left.
    let Ok(there) = to.open(env, existing) else { return Ok(Verdict::Diverged) };
    let came = &planned.session.payload;
    let mut files = Vec::with_capacity(planned.layout.files.len());
    for (place, file) in planned.layout.files.iter().enumerate() {
        let relation = match file.source {
            OutSource::Native(index) => {
                let meta = &came.files()[index];
                let render = |out: &mut dyn Write| {
                    io::copy(&mut came.open(index)?, out).at("read", Path::new(&meta.path)).map(drop)
                };
                match there.payload.files().iter().position(|other| other.path == meta.path) {
                    Some(other) => compare::content(there.payload.open(other)?, &existing.path, render)?,
                    None => Relation::Missing,
                }
            }
            _ => planned.relations[place],
        };
        files.push((file.growth, relation));
    }
    Ok(compare::session(&files))
}

/// Whether the rows that are there still relate to the incoming ones as they did. Files are told by
/// their size and time.
///
/// # Errors
/// When either cannot be read.
pub fn rows_are_as_judged(env: &Env, options: &Options, planned: &Planned<'_>) -> Result<bool> {
    let (Some(to), Some(target)) = (planned.to, planned.target(env, options)) else { return Ok(true) };
    for (place, file) in planned.layout.files.iter().enumerate() {
        if file.stored != Stored::Rows {
            continue;
        }
        let render = |out: &mut dyn Write| render::file(planned, &target, file, out).map(drop);
        let relation = compare_with_here(env, to, planned.existing.as_ref(), place, file, render)?;
        if planned.relations.get(place) != Some(&relation) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Compares what `render` writes with what is there instead of `file`, the layout's file `place`.
fn compare_with_here(
    env: &Env,
    to: &dyn Harness,
    existing: Option<&Found>,
    place: usize,
    file: &OutFile,
    render: impl Fn(&mut dyn Write) -> Result<()>,
) -> Result<Relation> {
    if file.stored == Stored::Rows {
        return compare_with_rows(env, to, existing, file, render);
    }
    let Some(found) = existing.filter(|found| place == 0 && found.path != file.path) else {
        return compare::file(&file.path, to.trailer(file), render);
    };
    // The harness moved the transcript or packed it: its adapter knows how to read it there.
    let there = to.open(env, found)?;
    let Some(transcript) = payload::transcript(there.payload.files()) else { return Ok(Relation::Missing) };
    compare::content(there.payload.open(transcript)?, &found.path, render)
}

/// Compares with what the adapter makes of the rows that are there.
fn compare_with_rows(
    env: &Env,
    to: &dyn Harness,
    existing: Option<&Found>,
    file: &OutFile,
    render: impl Fn(&mut dyn Write) -> Result<()>,
) -> Result<Relation> {
    let Some(found) = existing else { return Ok(Relation::Missing) };
    let there = to.open(env, found)?;
    let data_dir = to.data_dir(env);
    let same = |meta: &FileMeta| data_dir.join(&meta.path) == file.path;
    let Some(index) = there.payload.files().iter().position(same) else { return Ok(Relation::Missing) };
    compare::rows(|| there.payload.open(index), &found.path, render)
}

/// Whether what is there is what an earlier import made of an earlier state of the same session,
/// and nobody touched it since. A converted file ends with records that a longer session has
/// further down, so comparing bytes cannot tell; rendering the earlier state again can.
fn grew_since(env: &Env, options: &Options, here: &Here, planned: &Planned<'_>) -> Result<bool> {
    let (Some(from), Some(to)) = (planned.from, planned.to) else { return Ok(false) };
    if from.info().id == to.info().id {
        return Ok(false);
    }
    let Some(origin) = here.origin(&planned.label())? else { return Ok(false) };
    if origin.source.id != planned.session.head.id {
        return Ok(false);
    }
    let Some(earlier) = Earlier::of(&*planned.session.payload, &origin.files) else { return Ok(false) };
    let Some(now) = planned.target(env, options) else { return Ok(false) };
    let target = Target { source: &origin.source, ..now };
    let layout = to.place_converted(&target, earlier.files())?;
    for (place, file) in layout.files.iter().enumerate() {
        let render = |out: &mut dyn Write| {
            render::content(from, to, planned.session, &earlier, &target, &file.source, out).map(drop)
        };
        let relation = compare_with_here(env, to, planned.existing.as_ref(), place, file, render)?;
        if relation != Relation::Identical {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A session as it was when its files had these sizes.
struct Earlier<'a> {
    now: &'a dyn Payload,
    files: Vec<FileMeta>,
    places: Vec<usize>,
}

impl<'a> Earlier<'a> {
    fn of(now: &'a dyn Payload, then: &[FileMeta]) -> Option<Self> {
        let mut places = Vec::with_capacity(then.len());
        for old in then {
            let same = |new: &FileMeta| new.path == old.path && new.size >= old.size;
            places.push(now.files().iter().position(same)?);
        }
        Some(Self { now, files: then.to_vec(), places })
    }
}

impl Payload for Earlier<'_> {
    fn files(&self) -> &[FileMeta] {
        &self.files
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        let size = self.files.get(index).map_or(0, |file| file.size);
        let inner = self.now.open(self.places.get(index).copied().unwrap_or(usize::MAX))?;
        Ok(Box::new(harness::common::files::Bounded::new(inner, size)))
    }
}
