//! Codex CLI: threads in rollouts, JSONL files below `$CODEX_HOME/sessions`.
//!
//! Only the rollout of a thread has to travel. The databases beside it (`state_5.sqlite`, an index,
//! and `thread_history_1.sqlite`, a cache for the screen) are rebuilt by Codex from the rollouts.
//!
//! Reading: [`locate`] finds rollouts, [`head`] lists them from their [`meta`] record and a few
//! lines more, [`open`] gathers what belongs to one ([`segments`] that continue each other,
//! [`agents`], the [`index`] of names), [`read`] and [`items`] make events of its records
//! ([`record`], [`native`]), after a [`survey`], with [`filter`], [`calls`] and [`status`].
//! Writing: [`place`] says where, [`relocate`] moves a rollout and [`moved`] its rows in the index, [`write`] makes one from events
//! ([`emit`], [`names`], [`wording`], [`tools`]), with the [`config`] of this machine.
//! [`live`] and [`confirm`] ask about running and installed programs, [`doctor`] what is wrong.

mod agents;
mod calls;
mod config;
mod confirm;
mod doctor;
mod emit;
mod filter;
mod head;
mod index;
mod items;
mod live;
mod locate;
mod meta;
mod moved;
mod names;
mod native;
mod open;
mod packed;
mod place;
mod read;
mod record;
mod relocate;
mod segments;
mod status;
mod survey;
mod tools;
mod wording;
mod write;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::diagnosis::{Checkup, Code, Finding, Part};
use super::{
    Confirmation, Facts, Found, Harness, Info, Layout, NativeSession, OutIndex, Placed, Resume, Target,
    Telling, TranscriptWriter,
};
use crate::env::Env;
use crate::error::Result;
use crate::model::{Agent, FileMeta, Head, Notes, Payload, ReadSeek, Sink, View};

static INFO: Info = Info {
    id: "codex",
    name: "Codex CLI",
    program: "codex",
    tested: "0.169.0",
    read: true,
    write: true,
    confirms: true,
    indexes: true,
};

/// Codex CLI, by OpenAI.
pub struct Codex;

impl Telling for Codex {
    fn facts(&self, found: &Found) -> Result<Option<Facts>> {
        head::facts(found)
    }

    fn complete(&self, env: &Env, found: &Found, facts: Facts) -> Result<Head> {
        head::complete(&locate::home(env), found, facts)
    }

    fn opens_to_guess(&self) -> bool {
        true
    }
}

impl Harness for Codex {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn data_dir(&self, env: &Env) -> PathBuf {
        locate::home(env)
    }

    fn scan(&self, env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
        locate::scan(env, found)
    }

    fn head(&self, env: &Env, found: &Found) -> Result<Option<Head>> {
        head::head(&locate::home(env), found)
    }

    fn telling(&self) -> Option<&dyn Telling> {
        Some(self)
    }

    fn may_be_in(&self, found: &Found, dir: &Path) -> bool {
        agents::cwd(&found.path).is_none_or(|cwd| Path::new(&cwd).starts_with(dir))
    }

    fn open(&self, env: &Env, found: &Found) -> Result<NativeSession> {
        open::open(&locate::home(env), found)
    }

    fn open_all(&self, env: &Env, found: &[&Found]) -> Vec<Result<NativeSession>> {
        if let [one] = found {
            return vec![self.open(env, one)];
        }
        // Sub-agents are found by searching the store, which is the same work for one and for all.
        let home = locate::home(env);
        match agents::Agents::search(&home, None) {
            Ok(agents) => found.iter().map(|found| open::open_with(&home, found, &agents)).collect(),
            Err(_) => found.iter().map(|found| self.open(env, found)).collect(),
        }
    }

    fn read(&self, payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
        read::read(payload, file, view, sink)
    }

    fn is_shared(&self, path: &str) -> bool {
        index::is_index(path)
    }

    fn valid_id(&self, id: &str) -> bool {
        locate::is_uuid(id)
    }

    fn place_native(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        place::native(target, files)
    }

    fn place_moved(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        moved::place(target, files)
    }

    fn reindex(&self, target: &Target<'_>, index: &OutIndex, out: &mut dyn Write) -> Result<()> {
        moved::reindex(target, index, out)
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

    fn live(&self, env: &Env, found: &Found) -> Result<Option<String>> {
        live::live(&locate::home(env), &found.id)
    }

    fn resume(&self, id: &str, cwd: &Path) -> Resume {
        Resume { argv: vec!["codex".into(), "resume".into(), id.into()], cwd: cwd.to_owned() }
    }

    fn confirm(&self, env: &Env, placed: &[Placed<'_>]) -> Result<Confirmation> {
        let ids: Vec<String> = placed.iter().map(|one| one.id.to_owned()).collect();
        confirm::confirm(env, &ids)
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
}
