//! Checks every byte of an archive, or of some sessions, and says what is wrong where.
//!
//! The blocks of the tar are uncompressed in parallel and walked in order: each header must be the
//! one that the manifest lets expect, each padding zero, each content of the declared SHA-256. A
//! damaged block costs the entries that it holds; a header that is not the expected one ends the
//! walk, because nothing after it is where it should be.

use std::ops::{ControlFlow, Range};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::entries::{self, Member, Refusal};
use super::pipeline;
use super::reader::{Archive, hex, no_repository, no_session};
use super::store::{Block, Store};
use crate::error::Result;
use crate::progress::Progress;

/// Where the zeros that end the tar are meant, instead of an entry.
const TAIL: &str = "(end of the archive)";

/// Something that is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The name of the entry that it is about.
    pub entry: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Archive {
    /// Checks what the archive holds: all of it, to the end of the gzip stream, or the files of
    /// these sessions. An empty list means that everything is as it was exported.
    ///
    /// # Errors
    /// When one of the sessions does not exist.
    pub fn verify(&self, sessions: Option<&[usize]>, progress: &dyn Progress) -> Result<Vec<Problem>> {
        match sessions {
            None => Ok(self.check((0..self.entries.len()).collect(), true, progress)),
            Some(sessions) => Ok(self.check(self.entries_of(sessions)?, false, progress)),
        }
    }

    /// Checks what stands around the sessions and bundles: the manifest, the sums, and that nothing
    /// but zeros follows the last entry. With what opening an archive checks (the rules of a
    /// manifest, the header and place of every gzip member, the length of it all) this is what can be
    /// known without reading the sessions.
    pub fn verify_structure(&self, progress: &dyn Progress) -> Vec<Problem> {
        self.check(vec![0, 1], true, progress)
    }

    /// Checks the git bundle of a repository of the manifest's list. An empty list means that it is
    /// as it was exported, or that none is carried.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn verify_bundle(&self, repo: usize, progress: &dyn Progress) -> Result<Vec<Problem>> {
        if repo >= self.manifest.repos.len() {
            return Err(no_repository(repo));
        }
        Ok(self.check(self.bundle_entry(repo).into_iter().collect(), false, progress))
    }

    fn check(&self, wanted: Vec<usize>, to_the_end: bool, progress: &dyn Progress) -> Vec<Problem> {
        let blocks = self.blocks_of(&wanted, to_the_end);
        let bytes = |block: &usize| self.store.range(*block).end - self.store.range(*block).start;
        progress.begin("checking", blocks.iter().map(bytes).sum());
        let mut walk = Walk {
            archive: self,
            wanted,
            next: 0,
            header: Vec::new(),
            hash: Sha256::new(),
            damaged: false,
            to_the_end,
            lost: None,
            problems: Vec::new(),
        };
        pipeline::ordered(
            pipeline::threads(),
            |emit| blocks.iter().all(|block| emit(*block)),
            |block| (self.store.range(block), self.store.load(block)),
            |(range, block)| {
                let flow = walk.block(&range, &block);
                progress.advance(range.end - range.start);
                flow
            },
        );
        progress.end();
        walk.problems
    }

    fn entries_of(&self, sessions: &[usize]) -> Result<Vec<usize>> {
        let mut wanted = Vec::new();
        for session in sessions {
            if *session >= self.manifest.sessions.len() {
                return Err(no_session(*session));
            }
            wanted.extend(self.entries.of_session(*session));
        }
        wanted.sort_unstable();
        wanted.dedup();
        Ok(wanted)
    }

    fn blocks_of(&self, wanted: &[usize], to_the_end: bool) -> Vec<usize> {
        let spans = wanted.iter().map(|entry| self.entries.span(*entry));
        let mut blocks: Vec<usize> =
            spans.flat_map(|span| Store::blocks(&(span.start..span.end()))).collect();
        if to_the_end {
            blocks.extend(Store::blocks(&(self.entries.end()..self.store.len())));
        }
        blocks.dedup();
        blocks
    }

    fn sum(&self, entry: usize) -> &str {
        match self.entries.member(entry) {
            Member::File { session, file } => &self.manifest.sessions[session].files[file].sha256,
            Member::Bundle(bundle) => &self.manifest.bundles[bundle].sha256,
            Member::Manifest | Member::Sums => &self.own_sums[entry],
        }
    }
}

/// A walk over the tar, block by block.
struct Walk<'a> {
    archive: &'a Archive,
    /// The entries to check, in order.
    wanted: Vec<usize>,
    /// The place in `wanted` of the one that is being checked.
    next: usize,
    /// As much of its header as was seen.
    header: Vec<u8>,
    hash: Sha256,
    /// Whether a part of it was in a damaged block.
    damaged: bool,
    to_the_end: bool,
    /// The block that was reported as damaged last.
    lost: Option<u64>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn block(&mut self, range: &Range<u64>, block: &Block) -> ControlFlow<()> {
        while let Some(entry) = self.wanted.get(self.next).copied() {
            let span = self.archive.entries.span(entry);
            if span.start >= range.end {
                return ControlFlow::Continue(());
            }
            match block {
                Ok(bytes) => self.entry(entry, range.start, bytes)?,
                Err(damage) if !self.damaged => {
                    self.damaged = true;
                    self.lost = Some(range.start);
                    self.report(entry, damage.to_string());
                }
                Err(_) => self.lost = Some(range.start),
            }
            if span.end() > range.end {
                return ControlFlow::Continue(());
            }
            self.finish(entry);
        }
        if self.to_the_end { self.tail(range, block) } else { ControlFlow::Continue(()) }
    }

    /// Takes those bytes of a block, which begins at `start`, that belong to this entry.
    fn entry(&mut self, entry: usize, start: u64, bytes: &[u8]) -> ControlFlow<()> {
        let span = self.archive.entries.span(entry);
        let content = span.content();
        let header = within(bytes, start, span.start..content.start);
        self.header.extend_from_slice(header);
        if !header.is_empty()
            && let Ok(header) = self.header.as_slice().try_into()
            && let Err(reason) = self.archive.check_header(entry, header)
        {
            self.report(entry, reason);
            return ControlFlow::Break(());
        }
        self.hash.update(within(bytes, start, content.clone()));
        let padding = within(bytes, start, content.end..span.end());
        if padding.iter().any(|byte| *byte != 0) {
            self.report(entry, "there is something between its end and the next entry".to_owned());
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self, entry: usize) {
        let sum = hex(&self.hash.finalize_reset());
        let expected = self.archive.sum(entry);
        if !self.damaged && sum != expected {
            self.report(
                entry,
                match entry {
                    1 => "it does not agree with the manifest".to_owned(),
                    _ => format!("its SHA-256 is {sum}; the manifest declares {expected}"),
                },
            );
        }
        self.header.clear();
        self.damaged = false;
        self.next += 1;
    }

    /// After the last entry there is nothing but zeros.
    fn tail(&mut self, range: &Range<u64>, block: &Block) -> ControlFlow<()> {
        let end = self.archive.entries.end();
        let bytes = match block {
            Ok(bytes) => within(bytes, range.start, end..u64::MAX),
            Err(_) if self.lost == Some(range.start) => return ControlFlow::Continue(()),
            Err(damage) => {
                self.problems.push(Problem { entry: TAIL.to_owned(), problem: damage.to_string() });
                return ControlFlow::Continue(());
            }
        };
        let (blocks, _) = bytes.as_chunks();
        for block in blocks {
            let problem = match entries::parse_header(block) {
                Err(Refusal::End) => continue,
                Ok(header) => {
                    Problem { entry: header.name, problem: "the manifest does not declare it".to_owned() }
                }
                Err(refusal) => Problem {
                    entry: TAIL.to_owned(),
                    problem: format!("something follows the last entry: {refusal}"),
                },
            };
            self.problems.push(problem);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn report(&mut self, entry: usize, problem: String) {
        self.problems.push(Problem { entry: self.archive.name(entry).to_owned(), problem });
    }
}

/// The part of `bytes`, which begin at `start`, that is in `range`.
fn within(bytes: &[u8], start: u64, range: Range<u64>) -> &[u8] {
    let place =
        |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[place(range.start)..place(range.end.max(range.start))]
}
