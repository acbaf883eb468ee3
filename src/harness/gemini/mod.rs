//! Gemini CLI: sessions are JSONL files below `~/.gemini/tmp/<project>/chats`.
//!
//! A session's file is a log of events, which the program replays. The directory of a project is found
//! through a registry and markers. The program deletes sessions at its start, which decides how they
//! are named and what is written into them: see [`place`] and [`relocate`].
//!
//! Reading: [`locate`] finds sessions and [`projects`] their working directories, [`head`] lists them,
//! [`open`] gathers what belongs to one, [`index`] finds which messages of a file hold ([`record`],
//! [`walk`]), [`read`] and [`speak`] make events of them ([`native`], [`mod@text`], [`calls`],
//! [`tools`]); [`checkpoint`] knows files that the user names.
//! Writing: [`place`] says where, [`relocate`] moves a session, [`moved`] what is kept beside it,
//! [`write`] makes one from events ([`turn`], [`emit`]). [`live`] asks about running programs,
//! [`doctor`] looks for what is wrong.

mod calls;
mod checkpoint;
mod doctor;
mod emit;
mod head;
mod index;
mod live;
mod locate;
mod moved;
mod native;
mod open;
mod place;
mod projects;
mod read;
mod record;
mod relocate;
mod speak;
mod text;
mod tools;
mod turn;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::diagnosis::{Checkup, Code, Finding, Part};
use super::{
    Companion, Found, Harness, Info, Layout, NativeSession, OutFile, OutSource, Resume, Target,
    TranscriptWriter,
};
use crate::env::Env;
use crate::error::Result;
use crate::harness::common::directory::by_folder;
use crate::model::{Agent, FileMeta, Head, Notes, Payload, ReadSeek, Sink, View};

static INFO: Info = Info {
    id: "gemini",
    name: "Gemini CLI",
    program: "gemini",
    tested: "0.61.0",
    read: true,
    write: true,
    // Its list may call the model, and its start deletes sessions.
    confirms: false,
    indexes: false,
};

/// Gemini CLI, by Google.
pub struct Gemini;

impl Harness for Gemini {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn data_dir(&self, env: &Env) -> PathBuf {
        locate::data_dir(env)
    }

    fn scan(&self, env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
        locate::scan(env, found)
    }

    fn in_file(&self, env: &Env, path: &Path) -> Result<Option<Found>> {
        checkpoint::in_file(env, path)
    }

    fn may_be_in(&self, found: &Found, dir: &Path) -> bool {
        checkpoint::owner(&found.path).is_none_or(|cwd| Path::new(&cwd).starts_with(dir))
    }

    fn which_may_be_in(&self, found: &[&Found], dir: &Path) -> Vec<bool> {
        by_folder(found, |found| self.may_be_in(found, dir))
    }

    fn head(&self, env: &Env, found: &Found) -> Result<Option<Head>> {
        head::head(env, found)
    }

    fn subagents(&self, env: &Env, found: &Found) -> Result<Vec<(Found, Head)>> {
        open::subagents(env, found)
    }

    fn open(&self, env: &Env, found: &Found) -> Result<NativeSession> {
        open::open(env, found)
    }

    fn read(&self, payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
        read::read(payload, file, view, sink)
    }

    fn valid_id(&self, id: &str) -> bool {
        locate::valid_id(id)
    }

    fn place_native(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        place::native(target, files)
    }

    fn place_moved(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        moved::place(target, files)
    }

    fn companions(&self, target: &Target<'_>) -> Result<Vec<Companion>> {
        moved::companions(target)
    }

    fn relocate(
        &self,
        target: &Target<'_>,
        file: &FileMeta,
        input: Box<dyn ReadSeek + '_>,
        out: &mut dyn Write,
    ) -> Result<()> {
        relocate::relocate(target, file, input, out)
    }

    fn trailer(&self, file: &OutFile) -> &'static [u8] {
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_moved = matches!(file.source, OutSource::Native(_));
        if is_moved && locate::is_session(name) { relocate::TRAILER } else { b"" }
    }

    fn place_converted(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        place::converted(target, files)
    }

    fn writer<'a>(
        &self,
        target: &'a Target<'a>,
        agent: Option<&'a Agent>,
        out: &'a mut dyn Write,
    ) -> Result<Box<dyn TranscriptWriter + 'a>> {
        Ok(Box::new(write::Writer::begin(target, agent, out)?))
    }

    fn live(&self, _env: &Env, found: &Found) -> Result<Option<String>> {
        live::live(found)
    }

    fn resume(&self, id: &str, cwd: &Path) -> Resume {
        Resume { argv: vec!["gemini".into(), "--resume".into(), id.into()], cwd: cwd.to_owned() }
    }

    fn codes(&self) -> &'static [Code] {
        &doctor::CODES
    }

    fn diagnose(&self, checkup: &Checkup<'_>, report: &mut dyn FnMut(Finding)) -> Result<()> {
        doctor::diagnose(checkup, report)
    }

    fn parts(&self, checkup: &Checkup<'_>) -> Result<Vec<Part>> {
        doctor::parts(checkup)
    }

    /// Gemini CLI 0.61 appends right behind it.
    fn must_cut_torn_line(&self) -> bool {
        true
    }
}
