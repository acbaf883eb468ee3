//! Sessions of opencode before 1.2: a file for each session, message and part.
//!
//! 1.0 and 1.1 keep `storage/session/<project>/<session>.json`, `storage/message/<session>/*.json`,
//! `storage/part/<message>/*.json` and `storage/todo/<session>.json`. 0.x keeps a tree of its own for
//! each directory, `project/<name>/storage/session/{info,message,part}`, with a folder for each
//! session above the parts of its messages. 1.2 took them over into its database and left them;
//! 1.18 does not look at them any more. The records are those of today's export.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::flavour::Flavour;
use super::agents::{self, ToolPart};
use super::info::Info;
use super::json::compact;
use super::native::Created;
use super::payload::{Made, Records};
use super::stream::{Lines, measure};
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::{Found, NativeSession};
use crate::model::{Head, Notes};

/// A file of a tree is one record; one that is longer is refused.
const MOST: u64 = 96 << 20;

/// Delivers the sessions of all trees below the data directory, from directory entries alone.
///
/// # Errors
/// When a directory cannot be read.
pub fn scan(data_dir: &Path, found: &mut dyn FnMut(Found)) -> Result<()> {
    for folder in folders(data_dir)? {
        for path in files(&folder)? {
            let Some(id) = stem(&path).filter(|id| id.starts_with("ses")) else { continue };
            let Ok(meta) = path.metadata() else { continue };
            let modified = meta.modified().at("look at", &path)?;
            found(Found { id, path, bytes: None, modified, head: None, stamp: None });
        }
    }
    Ok(())
}

/// Whether a session lies in one of the trees.
pub fn is_in(data_dir: &Path, path: &Path) -> bool {
    path.starts_with(data_dir.join("storage")) || path.starts_with(data_dir.join("project"))
}

/// The folders with files of sessions.
fn folders(data_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = directories(&data_dir.join("storage/session"))?;
    for project in directories(&data_dir.join("project"))? {
        folders.push(project.join("storage/session/info"));
    }
    Ok(folders)
}

/// The head of a session; `None`: the file is none.
///
/// # Errors
/// When the file cannot be read.
pub fn head(flavour: &Flavour, found: &Found) -> Result<Option<Head>> {
    Ok(Session::read(&found.path)?.and_then(|session| session.info.head(flavour)))
}

/// A session's file, and where the rest of it is.
struct Session {
    info: Info,
    json: Vec<u8>,
    place: Place,
}

/// Where the files of a session are.
#[derive(Clone)]
struct Place {
    id: String,
    messages: PathBuf,
    parts: PathBuf,
    todos: PathBuf,
}

impl Place {
    /// Of the session with its file at `path`.
    fn of(path: &Path) -> Option<Self> {
        let id = stem(path)?;
        let folder = path.parent()?;
        let sessions = folder.parent()?;
        let storage = sessions.parent()?;
        Some(if folder.file_name()? == "info" {
            let todos = storage.join("session/todo").join(format!("{id}.json"));
            Self {
                messages: sessions.join("message").join(&id),
                parts: sessions.join("part").join(&id),
                todos,
                id,
            }
        } else {
            let todos = storage.join("todo").join(format!("{id}.json"));
            Self { messages: storage.join("message").join(&id), parts: storage.join("part"), todos, id }
        })
    }

    /// The files of its messages, the oldest first.
    fn messages(&self) -> Result<Vec<PathBuf>> {
        #[derive(Deserialize)]
        struct Message {
            #[serde(default)]
            time: Created,
        }
        let mut timed = Vec::new();
        for path in files(&self.messages)? {
            let Some(json) = record(&path)? else { continue };
            let Ok(message) = serde_json::from_slice::<Message>(&json) else { continue };
            timed.push((message.time.created.unwrap_or_default() as i64, path));
        }
        timed.sort_unstable();
        Ok(timed.into_iter().map(|(_, path)| path).collect())
    }

    /// The records of the parts of a message.
    fn parts(&self, message: &Path) -> Result<Vec<Vec<u8>>> {
        let Some(id) = stem(message) else { return Ok(Vec::new()) };
        let mut parts = Vec::new();
        for path in files(&self.parts.join(id))? {
            parts.extend(record(&path)?);
        }
        Ok(parts)
    }
}

impl Session {
    fn read(path: &Path) -> Result<Option<Self>> {
        let (Some(place), Some(mut json)) = (Place::of(path), record(path)?) else { return Ok(None) };
        let Some(mut info) = Info::read(&json).filter(|info| info.id == place.id) else { return Ok(None) };
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let project = folder.filter(|name| *name != "info").unwrap_or("global").to_owned();
        // What 0.x did not know yet, so that it is what today's export has.
        let mut missing = Vec::new();
        if info.slug.is_none() {
            missing.push(("slug", info.id.clone()));
        }
        if info.directory.is_none() {
            info.directory = directory(path, &place, &project)?;
            missing.extend(info.directory.clone().map(|directory| ("directory", directory)));
        }
        if info.project.is_none() {
            missing.push(("projectID", project));
        }
        for (member, value) in missing {
            json.pop();
            json.extend_from_slice(format!(",\"{member}\":{}}}", serde_json::Value::from(value)).as_bytes());
        }
        Ok(Some(Self { info, json, place }))
    }
}

/// The directory of a session that does not name it: that of its project, or of its first answer.
fn directory(path: &Path, place: &Place, project: &str) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Project {
        worktree: String,
    }
    #[derive(Deserialize)]
    struct Answer {
        path: Where,
    }
    #[derive(Deserialize)]
    struct Where {
        #[serde(default)]
        cwd: Option<String>,
        #[serde(default)]
        root: Option<String>,
    }
    let storage = path.ancestors().nth(3);
    let file = storage.map(|storage| storage.join("project").join(format!("{project}.json")));
    let json = file.map_or(Ok(None), |file| record(&file))?;
    if let Some(project) = json.and_then(|json| serde_json::from_slice::<Project>(&json).ok())
        && project.worktree != "/"
    {
        return Ok(Some(project.worktree));
    }
    for message in place.messages()? {
        let json = record(&message)?.unwrap_or_default();
        if let Ok(answer) = serde_json::from_slice::<Answer>(&json) {
            return Ok(answer.path.cwd.or(answer.path.root));
        }
    }
    Ok(None)
}

/// Which sessions other sessions started: their files, by the id of those.
pub struct Children(HashMap<String, Vec<PathBuf>>);

impl Children {
    /// Looks at all sessions of all trees below the data directory.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn search(data_dir: &Path) -> Result<Self> {
        let mut children: HashMap<String, Vec<PathBuf>> = HashMap::new();
        for folder in folders(data_dir)? {
            for path in files(&folder)? {
                // A session that cannot be read says so when it is asked for itself.
                if let Some(parent) = record(&path).ok().flatten().and_then(|json| Info::read(&json)?.parent)
                {
                    children.entry(parent).or_default().push(path);
                }
            }
        }
        Ok(Self(children))
    }

    fn of(&self, id: &str) -> &[PathBuf] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Opens a session with its sub-agents.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn open(flavour: &Flavour, found: &Found, children: &Children) -> Result<NativeSession> {
    let none = || {
        let message = format!("{} is no session of {}", found.path.display(), flavour.info.name);
        Error::new(Kind::Unsupported, message)
    };
    let session = Session::read(&found.path)?.ok_or_else(none)?;
    let mut sessions = vec![(session.place.clone(), None)];
    let mut jsons = vec![session.json];
    let head = session.info.head(flavour).ok_or_else(none)?;
    let mut next = 0;
    while let Some((place, _)) = sessions.get(next) {
        let place = place.clone();
        let below = children.of(&place.id);
        let calls = if below.is_empty() { Vec::new() } else { calls(&place)? };
        for path in below {
            let Some(child) = Session::read(path)? else { continue };
            if sessions.iter().any(|(known, _)| known.id == child.place.id) {
                continue;
            }
            let title = child.info.head(flavour).and_then(|head| head.title);
            let agent = agents::agent(&calls, child.place.id.clone(), None, title);
            sessions.push((child.place, Some(agent)));
            jsons.push(child.json);
        }
        next += 1;
    }
    let trees: Trees = sessions.iter().zip(jsons).map(|((place, _), json)| (place.clone(), json)).collect();
    let mut made = Made::new(trees);
    for (place, agent) in sessions {
        made.add(&place.id, agent)?;
    }
    Ok(NativeSession { head, payload: Box::new(made), notes: Notes::default() })
}

/// The calls that started sub-agents.
fn calls(place: &Place) -> Result<Vec<ToolPart>> {
    let mut calls = Vec::new();
    for message in place.messages()? {
        let parts = place.parts(&message)?;
        calls.extend(parts.iter().filter_map(|part| ToolPart::read(std::str::from_utf8(part).ok()?)));
    }
    Ok(calls)
}

/// A session and its sub-agents, each with its `info`.
type Trees = Vec<(Place, Vec<u8>)>;

fn find<'t>(trees: &'t Trees, id: &str) -> Result<&'t (Place, Vec<u8>)> {
    let gone = || Error::new(Kind::NotFound, format!("the session {id} is not there any more"));
    trees.iter().find(|(place, _)| place.id == id).ok_or_else(gone)
}

impl Records for Trees {
    fn size(&self, id: &str) -> Result<u64> {
        measure(&mut *self.messages(id)?)
    }

    fn messages(&self, id: &str) -> Result<Box<dyn Lines + '_>> {
        let (place, _) = find(self, id)?;
        Ok(Box::new(Messages { place, messages: place.messages()?, next: 0 }))
    }

    fn session(&self, id: &str) -> Result<Vec<u8>> {
        #[derive(Deserialize)]
        struct Todo<'a> {
            #[serde(borrow)]
            content: &'a RawValue,
            #[serde(borrow)]
            status: &'a RawValue,
            #[serde(borrow)]
            priority: &'a RawValue,
        }
        let (place, json) = find(self, id)?;
        let updated = Info::read(json).and_then(|info| info.time.updated).unwrap_or(0.into());
        let mut out = [b"{\"info\":", json.as_slice(), b",\"todos\":["].concat();
        let todos = record_or(&place.todos, b"[]")?;
        let todos: Vec<Todo<'_>> = serde_json::from_slice(&todos).unwrap_or_default();
        for (position, Todo { content, status, priority }) in todos.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            // The list has no times of its own.
            let todo = format!(
                "{comma}{{\"content\":{content},\"status\":{status},\"priority\":{priority},\"position\":{position},\
                 \"time_created\":{updated},\"time_updated\":{updated}}}"
            );
            out.extend_from_slice(todo.as_bytes());
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}

/// The messages of a session, each made of its files.
struct Messages<'p> {
    place: &'p Place,
    messages: Vec<PathBuf>,
    next: usize,
}

impl Lines for Messages<'_> {
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool> {
        loop {
            let Some(path) = self.messages.get(self.next) else { return Ok(false) };
            self.next += 1;
            let Some(info) = record(path)? else { continue };
            line.clear();
            line.extend_from_slice(b"{\"info\":");
            line.extend_from_slice(&info);
            line.extend_from_slice(b",\"parts\":[");
            line.extend_from_slice(&self.place.parts(path)?.join(&b','));
            line.extend_from_slice(b"]}\n");
            return Ok(true);
        }
    }

    fn restart(&mut self) {
        self.next = 0;
    }
}

/// The record in a file, on one line; `None`: there is none, or it is damaged.
fn record(path: &Path) -> Result<Option<Vec<u8>>> {
    Ok(Some(record_or(path, b"")?).filter(|json| json.starts_with(b"{")))
}

/// The JSON in a file, on one line; `otherwise` when there is none or it is damaged.
fn record_or(path: &Path, otherwise: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        if length <= MOST {
            file.read_to_end(&mut bytes)?;
        }
        Ok(length)
    });
    match read {
        Ok(length) if length > MOST => {
            let (length, most, path) = (length >> 20, MOST >> 20, path.display());
            let what =
                format!("{path} has {length} MiB; the longest record that can be carried has {most} MiB");
            return Err(Error::new(Kind::Unsupported, what));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(otherwise.to_vec()),
        Err(error) => return Err(Error::io("read", path, error)),
    }
    let json = compact(&bytes).filter(|json| serde_json::from_slice::<&RawValue>(json).is_ok());
    Ok(json.unwrap_or_else(|| otherwise.to_vec()))
}

/// The JSON files of a directory, by name; none when it is missing.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries(dir, fs::FileType::is_file)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    Ok(files)
}

fn directories(dir: &Path) -> Result<Vec<PathBuf>> {
    entries(dir, fs::FileType::is_dir)
}

fn entries(dir: &Path, is_wanted: fn(&fs::FileType) -> bool) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(Error::io("read", dir, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.at("read", dir)?;
        if entry.file_type().is_ok_and(|kind| is_wanted(&kind)) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn stem(path: &Path) -> Option<String> {
    path.file_stem()?.to_str().map(str::to_owned)
}
