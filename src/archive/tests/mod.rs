//! Tests of the whole format: written, read, damaged, forged.

mod bundles;
mod damage;
mod forge;
mod hostile;
mod laws;
mod programs;
mod roundtrip;

use std::io::{Cursor, Read};

use super::manifest::{Repo, SourceMachine};
use super::writer::{RepoInput, SessionInput, WriteOptions, Written, write_on};
use super::{Archive, Problem};
use crate::error::{Error, Kind, Result};
use crate::model::{FileMeta, Head, Payload, ReadSeek, Role};
use crate::progress::Silent;

/// A session in memory.
#[derive(Debug, Clone)]
struct Memory {
    head: Head,
    metas: Vec<FileMeta>,
    contents: Vec<Vec<u8>>,
}

impl Memory {
    fn new(harness: &str, id: &str) -> Self {
        let head = Head { harness: harness.to_owned(), id: id.to_owned(), ..Head::default() };
        Self { head, metas: Vec::new(), contents: Vec::new() }
    }

    fn with(mut self, role: Role, path: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        let size = content.len() as u64;
        self.metas.push(FileMeta { role, path: path.to_owned(), size, modified: None, agent: None });
        self.contents.push(content);
        self
    }
}

impl Payload for Memory {
    fn files(&self) -> &[FileMeta] {
        &self.metas
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        Ok(Box::new(Cursor::new(self.contents[index].as_slice())))
    }
}

/// Text that looks like a session and does not shrink to nothing.
fn lines(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = Vec::with_capacity(bytes + 100);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(
            format!("{{\"type\":\"user\",\"uuid\":\"{state:016x}\",\"text\":\"word {}\"}}\n", state % 977)
                .as_bytes(),
        );
    }
    text.truncate(bytes);
    text
}

fn source() -> SourceMachine {
    SourceMachine { os: "linux".to_owned(), home: "/home/ada".to_owned() }
}

fn export_on(
    threads: usize,
    sessions: &[Memory],
    repos: Vec<Repo>,
    level: u32,
) -> Result<(Vec<u8>, Written)> {
    let inputs: Vec<SessionInput<'_>> = sessions
        .iter()
        .map(|session| SessionInput {
            head: session.head.clone(),
            repo: None,
            payload: session,
            continues: None,
        })
        .collect();
    let mut out = Vec::new();
    let options = WriteOptions { level, ..WriteOptions::new(source()) };
    let repos: Vec<RepoInput<'_>> = repos.into_iter().map(RepoInput::from).collect();
    let written = write_on(threads, &mut out, &inputs, &repos, &options, &Silent)?;
    Ok((out, written))
}

fn export(sessions: &[Memory]) -> Vec<u8> {
    export_on(2, sessions, Vec::new(), 4).unwrap().0
}

/// Three sessions of two harnesses, about 3 MB in 7 files, so that there are entries that share a
/// gzip member and one that has several.
fn samples() -> Vec<Memory> {
    vec![
        Memory::new("claude", "6a1f0c1e-0001")
            .with(Role::Transcript, "projects/-home-ada-x/6a1f.jsonl", lines(1, 40_000))
            .with(Role::Subagent, "projects/-home-ada-x/6a1f/subagents/agent-1.jsonl", lines(2, 10_007))
            .with(Role::Attachment, "file-history/6a1f/a@v1", b"".as_slice()),
        Memory::new("codex", "0199-0002").with(Role::Transcript, "sessions/r.jsonl", lines(3, 2_500_000)),
        Memory::new("codex", "0199-0003")
            .with(Role::Transcript, "sessions/s.jsonl", lines(4, 512))
            .with(Role::Attachment, "out.TXT", lines(5, 400_000))
            .with(Role::Attachment, "one", b"x".as_slice()),
    ]
}

fn open(mut bytes: &[u8]) -> Result<Archive> {
    Archive::read(&mut bytes)
}

fn verify(archive: &Archive) -> Vec<Problem> {
    archive.verify(None, &Silent).unwrap()
}

/// Why an archive is refused, at opening or by verification; `None` when it is not.
fn refusal(bytes: &[u8]) -> Option<String> {
    match open(bytes) {
        Ok(archive) => {
            let problems = verify(&archive);
            let texts: Vec<String> =
                problems.iter().map(|problem| format!("{}: {}", problem.entry, problem.problem)).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Archive, "{error}");
            Some(error.to_string())
        }
    }
}

fn content(archive: &Archive, session: usize, file: usize) -> Result<Vec<u8>> {
    let session = archive.session(session)?;
    let mut bytes = Vec::new();
    let mut reader = session.open(file)?;
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| crate::error::from_io(error, |error| panic!("{error}")))?;
    Ok(bytes)
}

fn assert_holds(archive: &Archive, sessions: &[Memory]) {
    assert_eq!(archive.manifest().sessions.len(), sessions.len());
    for (index, session) in sessions.iter().enumerate() {
        assert_eq!(archive.manifest().sessions[index].head, session.head);
        let archived = archive.session(index).unwrap();
        assert_eq!(archived.files(), session.metas);
        for (file, expected) in session.contents.iter().enumerate() {
            assert!(content(archive, index, file).unwrap() == *expected, "session {index} file {file}");
        }
    }
}

fn error_text(result: Result<impl Sized>) -> String {
    result.err().as_ref().map(Error::to_string).unwrap_or_default()
}
