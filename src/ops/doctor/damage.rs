//! Files that cannot be read in places: the line and the byte where.
//!
//! Every file of a store is read through, many at a time; of each record it is only asked whether it
//! is JSON. Memory: a few megabytes for each file that is being read; of a longer record the long texts
//! are passed over.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use rayon::prelude::*;
use serde::de::IgnoredAny;

use super::codes::{
    DAMAGED_DATABASE, DAMAGED_DOCUMENT, DAMAGED_RECORD, LONG_RECORD, MISSING_PART, NUL_BYTES, ODD_RECORD,
    TORN_RECORD, UNREADABLE,
};
use super::{Found, Store};
use crate::env::Env;
use crate::harness::common::jsonl::{Line, Lines, MAX_LINE};
use crate::harness::common::repair::repair;
use crate::harness::common::sqlite::Snapshot;
use crate::harness::diagnosis::{Checkup, Code, Finding, Form, Mend, Part, Repair, Severity};
use crate::progress::Progress;

/// So many places of one kind are told of in one file; the others are counted.
const TOLD: u64 = 3;

/// Looks through every file of the stores.
pub fn look(env: &Env, stores: &[Store], progress: &dyn Progress, found: &mut Vec<Found>) {
    let mut parts: Vec<(&Store, Part)> = Vec::new();
    for store in stores {
        let checkup = Checkup { env, sessions: &store.sessions };
        match store.harness.parts(&checkup) {
            Ok(more) => parts.extend(more.into_iter().map(|part| (store, part))),
            Err(error) => found.push(super::machine::unreadable(env, store.harness, &error)),
        }
    }
    let size = |part: &Part| fs::metadata(&part.path).map_or(0, |meta| meta.len());
    progress.begin("looking through", parts.iter().map(|(_, part)| size(part)).sum());
    let all: Vec<Vec<Found>> = parts
        .par_iter()
        .map(|(store, part)| {
            let mut doubts = Doubts { env, store, part, findings: Vec::new() };
            match part.form {
                Form::Lines => doubts.lines(progress),
                Form::Document => doubts.document(),
                Form::Database => doubts.database(),
            }
            if part.form != Form::Lines {
                progress.advance(size(part));
            }
            doubts.findings
        })
        .collect();
    progress.end();
    found.extend(all.into_iter().flatten());
}

/// What is wrong with one file.
struct Doubts<'a> {
    env: &'a Env,
    store: &'a Store,
    part: &'a Part,
    findings: Vec<Found>,
}

impl Doubts<'_> {
    fn finding(&self, code: &'static Code, detail: String) -> Finding {
        let known = self.part.session.and_then(|at| self.store.sessions.get(at));
        let finding = match known {
            Some(known) => Finding::of(code, known, detail),
            None => Finding::new(code, detail),
        };
        finding.at(&self.part.path)
    }

    fn add(&mut self, finding: Finding) {
        self.findings.push(Found { harness: Some(self.store.harness), finding });
    }

    /// Reports a place in the file, or counts it when there are many.
    fn place(&mut self, count: &mut u64, code: &'static Code, number: u64, offset: u64, what: &str) {
        *count += 1;
        if *count <= TOLD {
            let detail = format!("line {number}, at byte {offset}: {what}");
            let advice = match code.severity {
                Severity::Notice => None,
                _ => Some("the rest of the session is whole; a backup may still have what was there"),
            };
            let mut finding = self.finding(code, detail);
            finding.advice = advice.map(str::to_owned);
            self.add(finding);
        }
    }

    fn lines(&mut self, progress: &dyn Progress) {
        let path = &self.part.path;
        let file = match File::open(path) {
            Ok(file) => file,
            // It went away meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.add(self.finding(&UNREADABLE, error.to_string())),
        };
        let mut lines = Lines::new(file, 0);
        let (mut number, mut broken, mut odd, mut nul) = (0, 0, 0, 0);
        loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => return self.add(self.finding(&UNREADABLE, error.to_string())),
            };
            number += 1;
            progress.advance(line.length);
            let (long, abridged);
            let line = if line.cut {
                // The texts that are left out cannot be broken in a way that hides the others.
                long = Line { bytes: &[], ..line };
                abridged = match lines.abridged() {
                    Ok(record) => record,
                    Err(error) => return self.add(self.finding(&UNREADABLE, error.to_string())),
                };
                if long.length > MAX_LINE as u64 {
                    let detail = format!("line {number}, at byte {}: {} bytes", long.offset, long.length);
                    self.add(self.finding(&LONG_RECORD, detail));
                }
                // Where nothing is left it was no JSON, and its beginning tells what else it is.
                match abridged.json() {
                    [] => lines.beginning(),
                    json => Line { bytes: json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json), ..long },
                }
            } else {
                line
            };
            match Shape::of(&line) {
                Shape::Whole => {
                    let remark = self.store.harness.remark(self.part, line.bytes);
                    if let Some(needs) = remark.needs.filter(|needs| !needs.exists()) {
                        let detail = format!("line {number} refers to {}", needs.display());
                        self.add(self.finding(&MISSING_PART, detail).at(needs));
                    }
                    if let Some(wrong) = remark.wrong {
                        self.place(&mut odd, &ODD_RECORD, number, line.offset, wrong);
                    }
                }
                Shape::Nothing => {}
                Shape::Nul => {
                    let what = format!("{} bytes in which nothing is", line.length);
                    self.place(&mut nul, &NUL_BYTES, number, line.offset, &what);
                }
                Shape::Odd => self.place(&mut odd, &ODD_RECORD, number, line.offset, "it is no JSON object"),
                Shape::Torn => {
                    let (offset, length) = (line.offset, line.length);
                    self.torn(number, offset, length);
                }
                Shape::Broken(error) => {
                    let what = format!("it is no JSON ({error})");
                    self.place(&mut broken, &DAMAGED_RECORD, number, line.offset, &what);
                }
            }
        }
        for (count, code) in [(broken, &DAMAGED_RECORD), (odd, &ODD_RECORD), (nul, &NUL_BYTES)] {
            if count > TOLD {
                self.add(self.finding(code, format!("and {} lines more of the kind", count - TOLD)));
            }
        }
    }

    /// The last record has no end. While its session is open that is how it should be.
    fn torn(&mut self, number: u64, offset: u64, length: u64) {
        let harness = self.store.harness;
        let known = self.part.session.and_then(|at| self.store.sessions.get(at));
        if known.is_some_and(|known| !matches!(harness.live(self.env, &known.found), Ok(None))) {
            return;
        }
        let must_go = harness.must_cut_torn_line();
        let what =
            if must_go { "the next record will be lost with it" } else { "the harness can go on behind it" };
        let detail = format!("line {number}, at byte {offset}: the {length} bytes have no end; {what}");
        let mut finding = self.finding(&TORN_RECORD, detail);
        if must_go {
            let cut = Mend::Cut { path: self.part.path.clone(), length: offset };
            finding = finding.repair(Repair::Changes(vec![cut]));
        }
        self.add(finding);
    }

    fn document(&mut self) {
        let read = |path: &Path| File::open(path).map(|file| BufReader::with_capacity(256 << 10, file));
        match read(&self.part.path) {
            Ok(input) => {
                if let Err(error) = serde_json::from_reader::<_, IgnoredAny>(input) {
                    let detail = format!("line {}, column {}: {error}", error.line(), error.column());
                    let advice = "bring the file back from a backup";
                    self.add(self.finding(&DAMAGED_DOCUMENT, detail).advise(advice));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => self.add(self.finding(&UNREADABLE, error.to_string())),
        }
    }

    fn database(&mut self) {
        let damage = match Snapshot::open(&self.part.path) {
            Ok(Some(snapshot)) => snapshot.damage(),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let advice = "end the program, then save what is left: `sqlite3 DATABASE .recover`, or a backup";
        match damage {
            Ok(lines) => {
                for line in lines {
                    self.add(self.finding(&DAMAGED_DATABASE, line).advise(advice));
                }
            }
            // It is being written just now.
            Err(error) if error.kind() == crate::error::Kind::Busy => {}
            Err(error) => {
                let hint = error.hints().first().cloned().unwrap_or_else(|| advice.to_owned());
                self.add(self.finding(&DAMAGED_DATABASE, error.to_string()).advise(hint));
            }
        }
    }
}

/// What a line is.
enum Shape {
    Whole,
    Nothing,
    Nul,
    Odd,
    Torn,
    Broken(String),
}

impl Shape {
    fn of(line: &Line<'_>) -> Self {
        let bytes = line.bytes.trim_ascii();
        if bytes.is_empty() {
            return Self::Nothing;
        }
        if bytes.iter().all(|byte| *byte == 0) {
            return Self::Nul;
        }
        match is_json(bytes) {
            Ok(()) if bytes.starts_with(b"{") => Self::Whole,
            Ok(()) => Self::Odd,
            Err(_) if !line.complete => Self::Torn,
            Err(_) if bytes[0] == 0 => Self::Nul,
            Err(error) => Self::Broken(error),
        }
    }
}

/// Whether the harnesses could read it: they forgive what is wrong in a text alone.
fn is_json(bytes: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => match repair(bytes) {
            Some(bytes) if serde_json::from_slice::<IgnoredAny>(&bytes).is_ok() => Ok(()),
            _ => Err(error.to_string().replace(" at line 1 column", ", column")),
        },
    }
}
