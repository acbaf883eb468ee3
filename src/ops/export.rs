//! `export`: packs sessions into an archive.

mod repos;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use repos::Repos;

use super::select::{self, Selected};
use crate::archive::manifest::{Repo, SourceMachine};
use crate::archive::{self, SessionInput, WriteOptions, Written};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::git;
use crate::harness::NativeSession;
use crate::harness::common::files::Files;
use crate::interrupt::Watched;
use crate::model::{FileMeta, Head, Payload, ReadSeek, Role, Time};
use crate::progress::Progress;
use crate::txn;

/// How often a session that changes while it is packed is tried again.
const TRIES: usize = 3;

/// What is packed, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The archive; `None`: standard output.
    pub output: Option<PathBuf>,
    /// Overwrite an existing file.
    pub force: bool,
    /// What of the repositories.
    pub git: Git,
    /// Most bytes of uncommitted work of one repository.
    pub max_work: u64,
    /// Pack sub-agent sessions too.
    pub subagents: bool,
    /// Compression, 1 to 9.
    pub level: u32,
    /// The instant to record; `None`: none, so that the same sessions give the same bytes.
    pub created: Option<Time>,
}

/// What of the repositories is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Git {
    /// Nothing.
    None,
    /// What is known of them.
    Meta,
    /// Also, as a git bundle, the commits that no remote has, and the uncommitted work.
    Bundle,
    /// Also, as a git bundle, the whole history of the branch, and the uncommitted work.
    Full,
}

/// What `export --json` prints.
#[derive(Serialize)]
pub struct Report {
    /// `holdall.export/1`
    pub schema: &'static str,
    /// The archive; `-` for standard output.
    pub archive: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// What is in it.
    pub sessions: Vec<Row>,
    /// The repositories of the sessions.
    pub repos: Vec<Repo>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Whether a file of a session could not be read and is missing.
    #[serde(skip)]
    pub incomplete: bool,
}

/// One packed session.
#[derive(Serialize)]
pub struct Row {
    /// Id of its harness.
    pub harness: String,
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// How many files it has.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Packs the sessions. `stdout` is written only when there is no output file.
///
/// # Errors
/// When nothing was chosen, the file exists, a session cannot be read, or writing fails; then there
/// is no archive.
pub fn run(
    env: &Env,
    chosen: &[Selected],
    options: &Options,
    stdout: &mut (dyn Write + Send),
    progress: &dyn Progress,
) -> Result<Report> {
    if chosen.is_empty() {
        return Err(Error::new(Kind::NotFound, "no session matches, so there is nothing to export")
            .hint("`holdall list --all` shows what is here"));
    }
    let mut last = None;
    for _ in 0..TRIES {
        match pack(env, chosen, options, stdout, progress) {
            // A live session was cut or rewritten under us: look again. Standard output cannot be taken back.
            Err(error) if error.kind() == Kind::Busy && options.output.is_some() => last = Some(error),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| Error::new(Kind::Busy, "the sessions keep changing")))
}

fn pack(
    env: &Env,
    chosen: &[Selected],
    options: &Options,
    stdout: &mut (dyn Write + Send),
    progress: &dyn Progress,
) -> Result<Report> {
    let mut warnings = Vec::new();
    let sessions = open(env, chosen, options.subagents, &mut warnings)?;
    let unread =
        |session: &NativeSession| session.notes.iter().any(|(code, ..)| code.ends_with(".unreadable"));
    let incomplete = sessions.iter().any(unread);
    let mut repos = Repos::default();
    let inputs: Vec<SessionInput<'_>> = sessions
        .iter()
        .map(|session| {
            let repo = match options.git {
                Git::None => None,
                _ => repos.of(&session.head, &mut warnings),
            };
            SessionInput { head: shareable(&session.head), repo, payload: &*session.payload, continues: None }
        })
        .collect();
    let settings = WriteOptions {
        level: options.level,
        created: options.created,
        source: SourceMachine {
            os: std::env::consts::OS.to_owned(),
            home: env.home().to_string_lossy().into_owned(),
        },
    };
    repos.bundle(options, progress, &mut warnings)?;
    let places = repos.inputs();
    let mut written = None;
    let mut render = |out: &mut (dyn Write + Send)| {
        written = Some(archive::write(&mut Watched::new(out), &inputs, &places, &settings, progress)?);
        Ok(())
    };
    match &options.output {
        Some(path) => txn::export_file(path, options.force, &mut render)?,
        None => render(stdout)?,
    }
    let written: Written = written.ok_or_else(|| Error::new(Kind::Io, "the archive was not written"))?;
    Ok(Report {
        schema: "holdall.export/1",
        archive: options.output.as_deref().unwrap_or(Path::new("-")).to_string_lossy().into_owned(),
        bytes: written.bytes,
        sha256: written.sha256,
        sessions: written
            .manifest
            .sessions
            .into_iter()
            .map(|session| Row {
                files: session.files.len(),
                bytes: session.files.iter().map(|file| file.meta.size).sum(),
                harness: session.head.harness,
                id: session.head.id,
                title: session.head.title,
                cwd: session.head.cwd,
            })
            .collect(),
        repos: written.manifest.repos,
        warnings,
        incomplete,
    })
}

/// Opens every chosen session, in an order that does not depend on when they last changed.
fn open(
    env: &Env,
    chosen: &[Selected],
    subagents: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<NativeSession>> {
    let mut ordered: Vec<&Selected> = chosen.iter().collect();
    ordered.sort_by(|a, b| (a.harness.info().id, &a.found.id).cmp(&(b.harness.info().id, &b.found.id)));
    let mut sessions = select::open_all(env, &ordered)?;
    for session in &mut sessions {
        let name = format!("{}:{}", session.head.harness, session.head.id);
        warnings.extend(session.notes.iter().map(|(_, _, detail)| format!("{name}: {detail}")));
    }
    if !subagents {
        for session in &mut sessions {
            let payload = std::mem::replace(&mut session.payload, Box::new(Files::default()));
            session.payload = Box::new(WithoutSubagents::of(payload));
        }
    }
    Ok(sessions)
}

/// The head without what must not leave the machine: credentials in the remote's address, and an
/// address that git would run as a command.
pub(super) fn shareable(head: &Head) -> Head {
    let mut head = head.clone();
    if let Some(git) = &mut head.git {
        git.remote = git.remote.take().filter(|url| !git::url::runs_command(url));
        git.remote = git.remote.as_deref().map(git::strip_credentials);
    }
    head
}

/// A payload without the transcripts of sub-agents.
struct WithoutSubagents {
    inner: Box<dyn Payload>,
    files: Vec<FileMeta>,
    places: Vec<usize>,
}

impl WithoutSubagents {
    fn of(inner: Box<dyn Payload>) -> Self {
        let mut files = Vec::new();
        let mut places = Vec::new();
        for (place, file) in inner.files().iter().enumerate() {
            // What lies beside a sub-agent's transcript carries its name too.
            if file.role != Role::Subagent && file.agent.is_none() {
                files.push(file.clone());
                places.push(place);
            }
        }
        Self { inner, files, places }
    }
}

impl Payload for WithoutSubagents {
    fn files(&self) -> &[FileMeta] {
        &self.files
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        self.inner.open(self.places.get(index).copied().unwrap_or(usize::MAX))
    }
}
