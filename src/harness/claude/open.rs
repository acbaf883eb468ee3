//! What belongs to a session: its transcript, its sub-agents, and what both refer to.
//!
//! Never taken are the load cache of a large transcript (`resume-head.jsonl`, which the program
//! makes anew), locks, and the keys of running processes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::head;
use super::locate::data_dir;
use super::loose::{Text, parse_prefix, record};
use super::place::Part;
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::common::directory::{Entry, entries};
use crate::harness::common::files::{Files, Identity, Source};
use crate::harness::common::jsonl::complete_length;
use crate::harness::{Found, NativeSession};
use crate::model::{Agent, FileMeta, Head, Notes, Role, time};

/// The largest side file of a sub-agent that is looked into, in bytes.
const LARGEST_META: u64 = 1 << 20;

record! {
    /// The side file of a sub-agent's transcript.
    AgentMeta {
        /// Such as `general-purpose`.
        "agentType" => kind: Text<'a>,
        /// What it was asked to do, in a few words.
        "description" => description: Text<'a>,
        /// The call that started it.
        "toolUseId" => tool_use_id: Text<'a>,
    }
}

/// Opens a session with everything that belongs to it.
///
/// # Errors
/// When the transcript is no session or cannot be read.
pub fn open(env: &Env, found: &Found) -> Result<NativeSession> {
    let head = head::read(found)?.ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("{} is not a session of Claude Code", found.path.display()))
    })?;
    let mut session = Collector { files: Files::default(), notes: Notes::default() };
    let data = data_dir(env);
    let project = found.path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let project = project.ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("{} is not in a project directory", found.path.display()))
    })?;
    let (project, id) = (project.to_owned(), found.id.clone());
    session.take(Part::Transcript { project: project.clone(), id: id.clone() }, &found.path, None)?;
    let folder = found.path.with_extension("");
    for entry in entries(&folder)? {
        match entry.name.as_str() {
            "subagents" if entry.is_dir => session.subagents(&entry.path, &project, &id)?,
            "tool-results" if entry.is_dir => session.each(&entry.path, |name| Part::ToolResult {
                project: project.clone(),
                id: id.clone(),
                name,
            })?,
            "custom-title.json" if entry.is_file => {
                session.take(Part::Title { project: project.clone(), id: id.clone() }, &entry.path, None)?;
            }
            "resume-head.jsonl" => {}
            _ => session.leave_out(),
        }
    }
    session.each(&data.join("file-history").join(&id), |name| Part::FileHistory { id: id.clone(), name })?;
    session.each(&data.join("tasks").join(&id), |name| Part::Task { id: id.clone(), name })?;
    Ok(NativeSession { head, payload: Box::new(session.files), notes: session.notes })
}

/// The heads of the session's sub-agents.
///
/// # Errors
/// When their directory cannot be read.
pub fn subagents(found: &Found) -> Result<Vec<(Found, Head)>> {
    let mut agents = Vec::new();
    for entry in entries(&found.path.with_extension("").join("subagents"))? {
        let Some(agent) = agent_of(&entry)? else { continue };
        let meta = fs::symlink_metadata(&entry.path).at("look at", &entry.path)?;
        let modified = meta.modified().at("read the time of", &entry.path)?;
        let file = Found {
            id: agent.id.clone(),
            path: entry.path,
            bytes: Some(meta.len()),
            modified,
            head: None,
            stamp: None,
        };
        if let Some(mut head) = head::read_agent(&file)? {
            head.parent = Some(found.id.clone());
            head.title = agent.title;
            agents.push((file, head));
        }
    }
    Ok(agents)
}

/// Who the sub-agent is whose transcript this entry is; `None`: it is none.
///
/// # Errors
/// When what is known of it cannot be read.
fn agent_of(entry: &Entry) -> Result<Option<Agent>> {
    let id = entry.name.strip_suffix(".jsonl").and_then(|name| name.strip_prefix("agent-"));
    let Some(id) = id.filter(|_| entry.is_file) else { return Ok(None) };
    let mut bytes = Vec::new();
    let path = entry.path.with_extension("meta.json");
    let is_there = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        meta => meta.at("look at", &path)?.is_file(),
    };
    if is_there {
        match File::open(&path) {
            // The file stays behind, and whoever takes the others along says so.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            file => {
                let file = file.at("open", &path)?;
                file.take(LARGEST_META).read_to_end(&mut bytes).at("read", &path)?;
            }
        }
    }
    let meta: AgentMeta<'_> = parse_prefix(&bytes).unwrap_or_default();
    let owned = |text: &Text<'_>| text.get().map(str::to_owned);
    Ok(Some(Agent {
        id: id.to_owned(),
        call_id: owned(&meta.tool_use_id),
        kind: owned(&meta.kind),
        title: owned(&meta.description),
    }))
}

/// Whether what stands between the last line end and `end` is a whole record, as the program reads it. The
/// program may have gone on with it since `end` was measured.
fn is_record(file: &mut File, offset: u64, end: u64) -> std::io::Result<bool> {
    file.seek(SeekFrom::Start(offset))?;
    let mut rest = BufReader::new(file.take(end - offset));
    if !rest.fill_buf()?.starts_with(b"{") {
        return Ok(false);
    }
    match serde_json::from_reader::<_, serde::de::IgnoredAny>(rest) {
        Err(error) if error.is_io() => Err(error.into()),
        parsed => Ok(parsed.is_ok()),
    }
}

struct Collector {
    files: Files,
    notes: Notes,
}

impl Collector {
    /// Takes every file of a directory.
    fn each(&mut self, dir: &Path, part: impl Fn(String) -> Part) -> Result<()> {
        for entry in entries(dir)? {
            if entry.is_file && !entry.name.starts_with('.') {
                self.take(part(entry.name), &entry.path, None)?;
            }
        }
        Ok(())
    }

    fn subagents(&mut self, dir: &Path, project: &str, id: &str) -> Result<()> {
        for entry in entries(dir)? {
            if !entry.is_file {
                self.leave_out();
                continue;
            }
            let agent = agent_of(&entry)?;
            let (project, id) = (project.to_owned(), id.to_owned());
            self.take(Part::Subagent { project, id, name: entry.name }, &entry.path, agent)?;
        }
        Ok(())
    }

    fn take(&mut self, part: Part, path: &Path, agent: Option<Agent>) -> Result<()> {
        // What could not be placed again is not taken along either.
        if !part.is_safe() {
            self.leave_out();
            return Ok(());
        }
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if part.role() != Role::Transcript => {
                let error = Error::io("open", path, error);
                self.notes.add("file.unreadable", format!("{error}; the file stays behind"));
                return Ok(());
            }
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let meta = file.metadata().at("read", path)?;
        let mut size = meta.len();
        if part.role() != Role::Attachment {
            size = complete_length(&mut file, size).at("read", path)?;
            if size < meta.len() && is_record(&mut file, size, meta.len()).at("read", path)? {
                size = meta.len();
            }
            if size < meta.len() {
                self.notes
                    .add("record.torn", "the last record is not complete; the program may be writing it");
            }
        }
        // The program compares the time of a backup with that of the file it belongs to.
        let modified = matches!(part, Part::FileHistory { .. })
            .then(|| meta.modified().ok().map(|modified| time::to_millis(DateTime::<Utc>::from(modified))))
            .flatten();
        let meta = FileMeta { role: part.role(), path: part.to_string(), size, modified, agent };
        let identity = Identity::of(&file, size).at("read", path)?;
        self.files.push(meta, Source::Path(path.to_owned(), identity));
        Ok(())
    }

    fn leave_out(&mut self) {
        self.notes
            .add("file.left-out", "a file beside the session is none that the program is known to write");
    }
}
