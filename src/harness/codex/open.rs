//! Everything that belongs to a thread: its rollout in one file, those of its sub-agents, and the
//! name that the user gave it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::agents::{self, Agents, Child};
use super::head::{self, Start};
use super::locate::{self, Name};
use super::segments::{self, Chain};
use super::{index, record};
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::common::abridged::Abridged;
use crate::harness::common::files::{Files, Identity, Source};
use crate::harness::common::jsonl;
use crate::harness::{Found, NativeSession};
use crate::model::{Agent, FileMeta, Notes, Payload, Role, Time, time};

const NOWHERE: &str = "the temporary directory";

/// Opens a thread for reading.
///
/// # Errors
/// When it is no rollout, or continues one that is missing, or cannot be read.
pub fn open(home: &Path, found: &Found) -> Result<NativeSession> {
    let agents = Agents::search(home, Some(&found.id))?;
    open_with(home, found, &agents)
}

/// As [`open`], with the sub-agents of the store at hand.
///
/// # Errors
/// As [`open`].
pub fn open_with(home: &Path, found: &Found, agents: &Agents) -> Result<NativeSession> {
    let head = head::head(home, found)?.ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("{} is no Codex session", found.path.display()))
    })?;
    let mut session = Session { home, files: Files::default(), notes: Notes::default() };
    session.add(&found.path, &found.id, None, head.updated)?;
    if head.parent.is_none() {
        session.add_children(agents.below(&found.id))?;
    }
    session.add_name(&found.id)?;
    if Start::open(&found.path)?.meta()?.is_some_and(|meta| meta.credentials) {
        session.notes.add("git.credentials", "the URL of the repository was recorded with credentials in it");
    }
    Ok(NativeSession { head, payload: Box::new(session.files), notes: session.notes })
}

struct Session<'h> {
    home: &'h Path,
    files: Files,
    notes: Notes,
}

impl Session<'_> {
    /// Adds a rollout in one plain file.
    fn add(&mut self, path: &Path, id: &str, agent: Option<Agent>, modified: Option<Time>) -> Result<()> {
        let chain = Chain::of(self.home, path)?;
        let (source, size) = if !chain.is_whole() {
            measured(chain.join()?)?
        } else if locate::is_packed(path) {
            let mut copy = tempfile::tempfile().at("write to", Path::new(NOWHERE))?;
            io::copy(&mut segments::open(path)?, &mut copy).at("unpack", path)?;
            copy.flush().at("write to", Path::new(NOWHERE))?;
            measured(copy)?
        } else {
            let (size, identity) = self.whole_size(path)?;
            (Source::Path(path.to_owned(), identity), size)
        };
        let role = if agent.is_some() { Role::Subagent } else { Role::Transcript };
        let path = plain_path(&locate::relative(self.home, path), id);
        self.files.push(FileMeta { role, path, size, modified, agent }, source);
        Ok(())
    }

    /// The length of a file without a last line that Codex is still writing.
    fn whole_size(&mut self, path: &Path) -> Result<(u64, Identity)> {
        let mut file = File::open(path).at("open", path)?;
        let size = self.whole_size_of(&mut file, path)?;
        Ok((size, Identity::of(&file, size).at("read", path)?))
    }

    fn whole_size_of(&mut self, file: &mut File, path: &Path) -> Result<u64> {
        let length = file.metadata().at("look at", path)?.len();
        let whole = jsonl::complete_length(file, length).at("read", path)?;
        if whole == length {
            return Ok(length);
        }
        file.seek(io::SeekFrom::Start(whole)).at("read", path)?;
        // Codex may have gone on with the line since.
        let rest = Abridged::read(file.take(length - whole), whole).at("read", path)?;
        let json = rest.json();
        if record::is_whole(json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)) {
            return Ok(length);
        }
        self.notes.add("record.torn", "the last record is not complete and stays behind");
        Ok(whole)
    }

    fn add_children(&mut self, children: Vec<&Child>) -> Result<()> {
        if children.is_empty() {
            return Ok(());
        }
        let path = Path::new(&self.files.files()[0].path);
        let mut spawns = agents::spawns(self.files.open(0)?, path)?;
        for child in &children {
            // Those that start others have a parent here, so their own events are looked at too.
            if children.iter().any(|other| other.meta.parent.as_ref() == Some(&child.meta.id)) {
                spawns.extend(agents::spawns(segments::open(&child.path)?, &child.path)?);
            }
        }
        for child in children {
            let agent = Agent { call_id: spawns.remove(&child.meta.id), ..child.agent() };
            let modified = modified(child)?;
            if let Err(error) = self.add(&child.path, &child.meta.id, Some(agent), modified) {
                self.notes.add("subagent.unreadable", error.to_string());
            }
        }
        Ok(())
    }

    /// The line of the index travels as a file of its own: it tells that the title of the head was
    /// given by the user, so that only such a title is written to an index again.
    fn add_name(&mut self, id: &str) -> Result<()> {
        let Some(line) = index::line(self.home, id)?.filter(|line| index::name(line).is_some()) else {
            return Ok(());
        };
        let bytes = format!("{line}\n").into_bytes();
        let size = bytes.len() as u64;
        let meta =
            FileMeta { role: Role::Attachment, path: index::FILE.into(), size, modified: None, agent: None };
        self.files.push(meta, Source::Bytes(bytes));
        Ok(())
    }
}

fn modified(child: &Child) -> Result<Option<Time>> {
    let meta = child.path.metadata().at("look at", &child.path)?;
    let found = Found {
        id: child.meta.id.clone(),
        path: child.path.clone(),
        bytes: Some(meta.len()),
        modified: meta.modified().at("look at", &child.path)?,
        head: None,
        stamp: None,
    };
    let last = head::last_time(&found)?;
    Ok(last.or_else(|| Some(time::to_millis(found.modified.into()))))
}

fn measured(file: File) -> Result<(Source, u64)> {
    let size = file.metadata().at("look at", Path::new(NOWHERE))?.len();
    Ok((Source::Anonymous(file), size))
}

/// The path of a rollout once it is one plain file.
fn plain_path(relative: &str, id: &str) -> String {
    let (folder, file) = relative.rsplit_once('/').unwrap_or(("", relative));
    match Name::parse(file) {
        Some(name) if name.packed || name.segment.is_some() => {
            format!("{folder}/rollout-{}-{id}.jsonl", name.stamp)
        }
        _ => relative.to_owned(),
    }
}
