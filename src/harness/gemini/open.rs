//! Everything that belongs to a session: its file, those of its sub-agents, outputs of tools that were
//! too long for it, and its plans and tasks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::index::{self, Form};
use super::locate;
use super::native::{self, Call, Message};
use super::record::{self, Element, Speaker};
use super::{head, relocate};
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::common::directory::entries;
use crate::harness::common::files::{Files, Identity, Source};
use crate::harness::common::jsonl;
use crate::harness::{Found, NativeSession};
use crate::model::{Agent, FileMeta, Head, Notes, Role, Time, time};

/// What the program keeps for a session in a directory of its id.
const OWN: [&str; 3] = ["plans", "tracker", "tasks"];
/// Folders in folders are followed so far.
const DEPTH: usize = 8;
/// The words of a prompt that make a title.
const TITLE: usize = 120;

/// Opens a session for reading.
///
/// # Errors
/// When it is no session, or cannot be read.
pub fn open(env: &Env, found: &Found) -> Result<NativeSession> {
    let head = head::head(env, found)?.ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("{} is no session of Gemini CLI", found.path.display()))
    })?;
    let data = locate::data_dir(env);
    let mut session = Session { data: &data, files: Files::default(), notes: Notes::default() };
    let size = session.whole_size(&found.path)?;
    session.push(Role::Transcript, &found.path, size, None, None);
    let chats = found.path.parent().filter(|dir| dir.ends_with("chats") && locate::valid_id(&found.id));
    if let Some((chats, project)) = chats.and_then(|chats| Some((chats, chats.parent()?))) {
        session.add_agents(found, &chats.join(&found.id), project)?;
        session.add_outputs(&found.id, project)?;
        for name in OWN {
            session.add_tree(&project.join(&found.id).join(name), DEPTH)?;
        }
    }
    Ok(NativeSession { head, payload: Box::new(session.files), notes: session.notes })
}

/// The sub-agents of a session.
///
/// # Errors
/// When their directory cannot be read.
pub fn subagents(env: &Env, found: &Found) -> Result<Vec<(Found, Head)>> {
    let mut all = Vec::new();
    let Some(dir) =
        found.path.parent().filter(|_| locate::valid_id(&found.id)).map(|dir| dir.join(&found.id))
    else {
        return Ok(all);
    };
    let agents = entries(&dir)?;
    if agents.is_empty() {
        return Ok(all);
    }
    let Some(parent) = head::head(env, found)? else { return Ok(all) };
    for file in agents.into_iter().filter(|file| file.is_file && is_transcript(&file.name)) {
        if let Some(head) = head::subagent(env, &file.path, &parent)? {
            let meta = file.path.metadata().at("look at", &file.path)?;
            let modified = meta.modified().at("look at", &file.path)?;
            let id = head.id.clone();
            all.push((
                Found { id, path: file.path, bytes: Some(meta.len()), modified, head: None, stamp: None },
                head,
            ));
        }
    }
    Ok(all)
}

fn is_transcript(name: &str) -> bool {
    name.ends_with(".jsonl") || name.ends_with(".json")
}

struct Session<'d> {
    data: &'d Path,
    files: Files,
    notes: Notes,
}

impl Session<'_> {
    fn push(
        &mut self,
        role: Role,
        path: &Path,
        (size, identity): (u64, Identity),
        modified: Option<Time>,
        agent: Option<Agent>,
    ) {
        let below = if path.starts_with(self.data) {
            locate::relative(self.data, path)
        } else {
            // From somewhere else: it is called as it would be in a store.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            match locate::checkpoint_tag(&name) {
                Some(_) => format!("tmp/project/{name}"),
                None => format!("tmp/project/chats/{name}"),
            }
        };
        self.files.push(
            FileMeta { role, path: below, size, modified, agent },
            Source::Path(path.to_owned(), identity),
        );
    }

    /// The length of a file without a last line that is being written, and without what holdall put
    /// behind it for the program's clock.
    fn whole_size(&mut self, path: &Path) -> Result<(u64, Identity)> {
        let mut file = File::open(path).at("open", path)?;
        let size = self.whole_size_of(&mut file, path)?;
        Ok((size, Identity::of(&file, size).at("read", path)?))
    }

    fn whole_size_of(&mut self, file: &mut File, path: &Path) -> Result<u64> {
        let length = file.metadata().at("look at", path)?.len();
        let mut whole = jsonl::complete_length(file, length).at("read", path)?;
        if whole < length {
            file.seek(SeekFrom::Start(whole)).at("read", path)?;
            // The program may have gone on with the line since.
            let is_record = record::is_whole(file.take(length - whole)).at("read", path)?;
            if is_record || path.extension().is_some_and(|extension| extension == "json") {
                return Ok(length);
            }
            self.notes.add("record.torn", "the last record is not complete and stays behind");
        }
        let trailer = relocate::TRAILER.len() as u64;
        if let Some(start) = whole.checked_sub(trailer) {
            let mut last = Vec::new();
            file.seek(SeekFrom::Start(start)).at("read", path)?;
            file.take(trailer).read_to_end(&mut last).at("read", path)?;
            if last == relocate::TRAILER {
                whole = start;
            }
        }
        Ok(whole)
    }

    fn add_agents(&mut self, found: &Found, dir: &Path, project: &Path) -> Result<()> {
        let files: Vec<_> =
            entries(dir)?.into_iter().filter(|file| file.is_file && is_transcript(&file.name)).collect();
        if files.is_empty() {
            return Ok(());
        }
        let mut started = starts(found)?;
        for file in files {
            let Some((id, _)) = file.name.rsplit_once('.') else { continue };
            let agent = started.remove(id).unwrap_or_else(|| Agent { id: id.to_owned(), ..Agent::default() });
            let meta = file.path.metadata().at("look at", &file.path)?;
            let modified = Some(time::to_millis(meta.modified().at("look at", &file.path)?.into()));
            let size = self.whole_size(&file.path)?;
            self.push(Role::Subagent, &file.path, size, modified, Some(agent));
            if locate::valid_id(id) {
                self.add_outputs(id, project)?;
            }
        }
        Ok(())
    }

    fn add_outputs(&mut self, id: &str, project: &Path) -> Result<()> {
        self.add_tree(&project.join("tool-outputs").join(format!("session-{id}")), 0)
    }

    fn add_tree(&mut self, dir: &Path, depth: usize) -> Result<()> {
        for entry in entries(dir)? {
            if entry.is_dir && depth > 0 {
                self.add_tree(&entry.path, depth - 1)?;
            } else if entry.is_file {
                let file = File::open(&entry.path).at("open", &entry.path)?;
                let size = file.metadata().at("look at", &entry.path)?.len();
                let identity = Identity::of(&file, size).at("read", &entry.path)?;
                self.push(Role::Attachment, &entry.path, (size, identity), None, None);
            }
        }
        Ok(())
    }
}

/// Who started which sub-agent: by the sub-agent's id.
fn starts(found: &Found) -> Result<HashMap<String, Agent>> {
    let mut agents = HashMap::new();
    let mut file = File::open(&found.path).at("open", &found.path)?;
    let name = found.path.to_string_lossy();
    let index = index::index(Box::new(file.try_clone().at("open", &found.path)?), &name)?;
    if index.form == Form::Checkpoint {
        return Ok(agents);
    }
    let lost = index.replaced.iter().flat_map(|replaced| &replaced.lost);
    for element in lost.chain(&index.live).filter(|element| element.speaker == Speaker::Model) {
        let Some(bytes) = bytes(&mut file, element).at("read", &found.path)? else { continue };
        if memchr::memmem::find(&bytes, b"\"agentId\"").is_none() {
            continue;
        }
        let mut fixed = Vec::new();
        let Some(message) = native::parse::<Message<'_>>(&bytes, &mut fixed) else { continue };
        for call in native::list(message.tool_calls) {
            let Some(call) = native::object::<Call<'_>>(Some(call)) else { continue };
            if let Some(agent) = started(&call) {
                agents.insert(agent.id.clone(), agent);
            }
        }
    }
    Ok(agents)
}

fn bytes(file: &mut File, element: &Element) -> std::io::Result<Option<Vec<u8>>> {
    if element.length > jsonl::MAX_LINE as u64 {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(element.offset))?;
    let mut bytes = Vec::new();
    file.take(element.length).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn started(call: &Call<'_>) -> Option<Agent> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Arguments<'a> {
        #[serde(borrow)]
        agent_name: native::Any<'a>,
        #[serde(borrow)]
        prompt: native::Any<'a>,
    }
    let id = native::text(call.agent_id)?.into_owned();
    let arguments = native::object::<Arguments<'_>>(call.args).unwrap_or_default();
    let shown =
        native::text(call.id).map(|id| id.strip_prefix(super::write::SHOWN).unwrap_or(&id).to_owned());
    let title = native::text(arguments.prompt)
        .and_then(|prompt| prompt.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned));
    Some(Agent {
        id,
        call_id: shown,
        kind: native::text(arguments.agent_name).map(|kind| kind.into_owned()),
        title: title.map(|title| title.chars().take(TITLE).collect()),
    })
}
