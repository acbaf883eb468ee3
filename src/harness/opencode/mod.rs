//! opencode and Kilo: sessions, messages and parts in one SQLite database.
//!
//! A session becomes two files of a payload, both made of the program's own export records:
//! `session/<id>/messages.jsonl`, one element of the export's `messages` a line, and
//! `session/<id>/session.json`, the export's `info` and the session's todos. The first only grows,
//! the second changes with each turn. Sub-agents are sessions of their own and have two such files
//! each.

mod columns;
mod doctor;
mod flavour;
mod paths;
mod reading;
mod tools;
mod writing;

use std::io::Write;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::diagnosis::{Checkup, Code, Finding, Part};
use super::{
    Confirmation, Found, Harness, Info, Layout, NativeSession, OutFile, OutIndex, Placed, Resume, RowWriter,
    Target, TranscriptWriter,
};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::model::{Agent, FileMeta, Head, Notes, Payload, ReadSeek, Sink, View};
use flavour::Flavour;
use writing::rows::Rows;
use writing::write::Writer;
use writing::{confirm, ids, live, moved, place, relocate, store};

/// One program of the family.
pub struct Opencode(&'static Flavour);

/// opencode, by Anomaly.
pub static OPENCODE: Opencode = Opencode(&flavour::OPENCODE);

/// Kilo CLI, built on opencode.
pub static KILO: Opencode = Opencode(&flavour::KILO);

impl Harness for Opencode {
    fn info(&self) -> &'static Info {
        &self.0.info
    }

    fn data_dir(&self, env: &Env) -> PathBuf {
        paths::data_dir(self.0, env)
    }

    fn scan(&self, env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
        reading::scan(self.0, env, found)
    }

    fn in_file(&self, _env: &Env, path: &Path) -> Result<Option<Found>> {
        reading::in_file(self.0, path)
    }

    fn may_be_in(&self, found: &Found, dir: &Path) -> bool {
        let cwd = found.head.as_ref().and_then(|head| head.cwd.as_deref());
        cwd.is_none_or(|cwd| Path::new(cwd).starts_with(dir))
    }

    fn head(&self, env: &Env, found: &Found) -> Result<Option<Head>> {
        reading::head(self.0, env, found)
    }

    fn open(&self, env: &Env, found: &Found) -> Result<NativeSession> {
        let mut opened = reading::open_all(self.0, env, &[found]);
        opened.pop().unwrap_or_else(|| Err(Error::new(Kind::NotFound, "no session was asked for")))
    }

    fn open_all(&self, env: &Env, found: &[&Found]) -> Vec<Result<NativeSession>> {
        reading::open_all(self.0, env, found)
    }

    fn read(&self, payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
        reading::read(payload, file, view, sink)
    }

    fn valid_id(&self, id: &str) -> bool {
        ids::valid(id)
    }

    fn id_from(&self, uuid: Uuid) -> String {
        ids::session(uuid)
    }

    fn place_native(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        place::native(self.0, target, files)
    }

    fn place_moved(&self, target: &Target<'_>, _files: &[FileMeta]) -> Result<Layout> {
        moved::place(self.0, target)
    }

    fn reindex(&self, target: &Target<'_>, index: &OutIndex, out: &mut dyn Write) -> Result<()> {
        moved::reindex(self.0, target, index, out)
    }

    fn relocate(
        &self,
        target: &Target<'_>,
        file: &FileMeta,
        input: Box<dyn ReadSeek + '_>,
        out: &mut dyn Write,
    ) -> Result<()> {
        relocate::relocate(self.0, target, file, input, out)
    }

    fn place_converted(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        place::converted(self.0, target, files)
    }

    fn writer<'a>(
        &self,
        target: &'a Target<'a>,
        agent: Option<&'a Agent>,
        out: &'a mut dyn Write,
    ) -> Result<Box<dyn TranscriptWriter + 'a>> {
        Ok(Box::new(Writer::begin(self.0, target, agent, out)?))
    }

    fn rows<'a>(
        &self,
        target: &'a Target<'a>,
        file: &'a OutFile,
        out: &'a mut dyn Write,
    ) -> Result<Box<dyn RowWriter + 'a>> {
        let _ = target;
        Ok(Box::new(Rows::begin(file, out)?))
    }

    fn make_store(&self, env: &Env, cwd: &Path) -> Result<()> {
        store::make(self.0, env, cwd)
    }

    fn live(&self, env: &Env, found: &Found) -> Result<Option<String>> {
        live::live(env, &found.path, &found.id, self.0.info.name)
    }

    fn resume(&self, id: &str, cwd: &Path) -> Resume {
        let argv = vec![self.0.info.program.to_owned(), "--session".to_owned(), id.to_owned()];
        Resume { argv, cwd: cwd.to_owned() }
    }

    fn confirm(&self, env: &Env, placed: &[Placed<'_>]) -> Result<Confirmation> {
        confirm::confirm(self.0, env, placed)
    }

    fn codes(&self) -> &'static [Code] {
        &doctor::CODES
    }

    fn diagnose(&self, checkup: &Checkup<'_>, report: &mut dyn FnMut(Finding)) -> Result<()> {
        doctor::diagnose(self.0, checkup, report)
    }

    fn parts(&self, checkup: &Checkup<'_>) -> Result<Vec<Part>> {
        Ok(doctor::parts(self.0, checkup))
    }
}
