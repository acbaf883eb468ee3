//! Claude Code.
//!
//! Finding: [`locate`] knows where sessions are, [`head`] what a list shows of one, [`open`] what
//! belongs to one, [`live`] whether a program has it open, and [`doctor`] what is wrong.
//!
//! Reading: [`index`] passes over a transcript once (with `numbers` for its ids), [`leaf`] and
//! [`tree`] say what of it is live and in which order, and [`read`] reads it row by row through a
//! [`window`]; [`speak`] makes events of a message, with [`text`] telling the user's words from the
//! program's. [`native`] has the records and [`loose`] the way they are parsed.
//!
//! Placing: [`place`] says which file goes where, [`relocate`] rewrites the paths in it, [`moved`] what
//! follows a directory that moves.
//!
//! Writing: [`write`](mod@write) puts events in the order that the API wants, [`render`] their
//! content in the form that it takes, [`rows`] the rows in a chain. [`tools`] has the tool table.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::error::Result;
use crate::harness::common::directory::by_folder;
use crate::harness::diagnosis::{Checkup, Code, Finding, Part, Remark};
use crate::harness::{
    Companion, Facts, Found, Harness, Info, Layout, NativeSession, Resume, Target, Telling, TranscriptWriter,
};
use crate::model::{Agent, FileMeta, Head, Notes, Payload, ReadSeek, Sink, View};

pub mod doctor;
pub mod head;
pub mod index;
pub mod leaf;
pub mod live;
pub mod locate;
pub mod loose;
pub mod moved;
pub mod native;
mod numbers;
pub mod open;
pub mod place;
pub mod read;
pub mod relocate;
pub mod render;
pub mod rows;
pub mod speak;
pub mod text;
pub mod tools;
pub mod tree;
pub mod window;
pub mod write;

#[cfg(test)]
mod tests;

static INFO: Info = Info {
    id: "claude",
    name: "Claude Code",
    program: "claude",
    tested: "2.1.329",
    read: true,
    write: true,
    confirms: false,
    indexes: false,
};

/// Claude Code.
pub struct Claude;

impl Telling for Claude {
    fn facts(&self, found: &Found) -> Result<Option<Facts>> {
        head::facts(found)
    }

    fn complete(&self, _env: &Env, found: &Found, facts: Facts) -> Result<Head> {
        Ok(head::complete(found, facts))
    }

    fn opens_to_guess(&self) -> bool {
        false
    }
}

impl Harness for Claude {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn data_dir(&self, env: &Env) -> PathBuf {
        locate::data_dir(env)
    }

    fn scan(&self, env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
        locate::scan(env, found)
    }

    fn may_be_in(&self, found: &Found, dir: &Path) -> bool {
        locate::may_be_in(found, dir)
    }

    fn which_may_be_in(&self, found: &[&Found], dir: &Path) -> Vec<bool> {
        by_folder(found, |found| locate::may_be_in(found, dir))
    }

    fn head(&self, _env: &Env, found: &Found) -> Result<Option<Head>> {
        head::read(found)
    }

    fn telling(&self) -> Option<&dyn Telling> {
        Some(self)
    }

    fn subagents(&self, _env: &Env, found: &Found) -> Result<Vec<(Found, Head)>> {
        open::subagents(found)
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

    fn place_converted(&self, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
        place::converted(target, files)
    }

    fn writer<'a>(
        &self,
        target: &'a Target<'a>,
        agent: Option<&'a Agent>,
        out: &'a mut dyn Write,
    ) -> Result<Box<dyn TranscriptWriter + 'a>> {
        Ok(Box::new(write::Writer::new(target, agent, out)?))
    }

    fn live(&self, env: &Env, found: &Found) -> Result<Option<String>> {
        live::live(env, found)
    }

    fn resume(&self, id: &str, cwd: &Path) -> Resume {
        let argv = ["claude", "--resume", id].map(str::to_owned).to_vec();
        Resume { argv, cwd: cwd.to_owned() }
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

    fn remark(&self, part: &Part, line: &[u8]) -> Remark {
        doctor::remark(part, line)
    }
}
