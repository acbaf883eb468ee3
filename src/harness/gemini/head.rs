//! The head of a session, from bounded reads at the beginning and the end of its file.
//!
//! The sessions of earlier versions are one object each, and checkpoints have no index either: those
//! are walked through, without taking them into memory.

use std::fs::File;
use std::path::Path;

use serde::Deserialize;

use super::index::{self, Form, Index};
use super::native::{self, Any, Message, Part};
use super::record::{Element, Speaker};
use super::text::{self, Mentions};
use super::{checkpoint, locate, projects};
use crate::env::Env;
use crate::error::{IoContext, Result};
use crate::harness::Found;
use crate::harness::common::jsonl::MAX_LINE;
use crate::harness::common::stretch::Stretch;
use crate::model::{Head, Time, time};

/// The header and the first prompt are looked for in so many bytes, growing.
const HEAD: u64 = 32 << 10;
/// The last message is looked for in so many bytes, growing.
const TAIL: u64 = 16 << 10;
const LIMIT: u64 = 256 << 10;
/// A title is one line of at most so many characters.
const TITLE: usize = 200;

/// The head of a session; `None`: there is nothing in the file that the program would resume.
///
/// # Errors
/// When it cannot be read.
pub fn head(env: &Env, found: &Found) -> Result<Option<Head>> {
    let file = File::open(&found.path).at("open", &found.path)?;
    let length = file.metadata().at("look at", &found.path)?.len();
    let mut window = HEAD.min(length);
    let mut facts = loop {
        let mut facts = Facts::default();
        let bytes = read(&file, 0..window).at("read", &found.path)?;
        facts.lines(&bytes, window == length);
        if window == length || window >= LIMIT || facts.prompt.is_some() || facts.id.is_none() {
            break facts;
        }
        window = (window * 4).min(LIMIT).min(length);
    };
    if facts.id.is_none() {
        facts = walk(found)?;
    } else if window < length {
        let mut tail = TAIL;
        loop {
            let start = length.saturating_sub(tail).max(window);
            let bytes = read(&file, start..length).at("read", &found.path)?;
            let from = if start == window {
                0
            } else {
                memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1)
            };
            let mut end = Facts::default();
            end.lines(&bytes[from..], true);
            let enough = end.updated.is_some() && end.model.is_some();
            if enough || tail >= LIMIT || start == window {
                facts.follow(end);
                break;
            }
            tail *= 4;
        }
        facts.resumable = true;
    }
    let Some(id) = facts.id.take() else { return Ok(None) };
    if !facts.resumable || facts.is_subagent {
        return Ok(None);
    }
    facts.head(env, found, id).map(Some)
}

fn read(file: &File, range: std::ops::Range<u64>) -> std::io::Result<Stretch> {
    Stretch::of(file, range.start, usize::try_from(range.end - range.start).unwrap_or(usize::MAX))
}

/// What a file tells of its session.
#[derive(Debug, Default)]
struct Facts {
    id: Option<String>,
    is_subagent: bool,
    summary: Option<String>,
    prompt: Option<String>,
    created: Option<Time>,
    updated: Option<Time>,
    model: Option<String>,
    /// Directories that the session may belong to.
    dirs: Vec<String>,
    resumable: bool,
}

/// A record, as far as a head needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow)]
    id: Any<'a>,
    #[serde(borrow)]
    session_id: Any<'a>,
    #[serde(borrow)]
    project_hash: Any<'a>,
    #[serde(borrow)]
    start_time: Any<'a>,
    #[serde(borrow)]
    last_updated: Any<'a>,
    #[serde(borrow)]
    kind: Any<'a>,
    #[serde(borrow)]
    summary: Any<'a>,
    #[serde(borrow)]
    directories: Any<'a>,
    #[serde(borrow)]
    messages: Any<'a>,
    #[serde(borrow, rename = "$set")]
    set: Any<'a>,
}

impl Facts {
    /// `whole`: the last line is not cut.
    fn lines(&mut self, bytes: &[u8], whole: bool) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.ends_with(b"\n") || whole {
                self.line(line);
            }
        }
    }

    fn line(&mut self, bytes: &[u8]) {
        let mut fixed = Vec::new();
        let Some(line) = native::parse::<Line<'_>>(bytes, &mut fixed) else { return };
        if native::text(line.id).is_some() {
            let mut fixed = Vec::new();
            if let Some(message) = native::parse::<Message<'_>>(bytes, &mut fixed) {
                self.message(&message);
            }
        } else if let Some(set) = native::object::<Line<'_>>(line.set) {
            self.metadata(&set);
        } else if native::text(line.session_id).is_some() && native::text(line.project_hash).is_some() {
            self.metadata(&line);
        }
    }

    fn metadata(&mut self, line: &Line<'_>) {
        let moment = |value: Any<'_>| native::text(value).and_then(|text| time::parse(&text));
        if let Some(id) = native::text(line.session_id) {
            self.id = Some(id.into_owned());
        }
        if let Some(kind) = native::text(line.kind) {
            self.is_subagent = kind == "subagent";
        }
        if let Some(summary) = native::text(line.summary) {
            self.summary = Some(summary.into_owned());
        }
        self.created = moment(line.start_time).or(self.created);
        self.updated = self.updated.max(moment(line.last_updated));
        let dirs = native::list(line.directories);
        self.dirs
            .extend(dirs.into_iter().filter_map(|dir| native::text(Some(dir))).map(|dir| dir.into_owned()));
        for message in native::list(line.messages) {
            if let Some(message) = native::object::<Message<'_>>(Some(message)) {
                self.message(&message);
            }
        }
    }

    fn message(&mut self, message: &Message<'_>) {
        let at = native::text(message.timestamp).and_then(|text| time::parse(&text));
        self.created = self.created.or(at);
        self.updated = self.updated.max(at);
        let kind = native::text(message.kind).or_else(|| native::text(message.role)).unwrap_or_default();
        match &*kind {
            "user" => self.user(&Part::list(message.content.or(message.parts))),
            "gemini" | "model" => {
                self.model =
                    native::text(message.model).map(|model| model.into_owned()).or(self.model.take());
                let any = |value: Any<'_>| {
                    value.is_some_and(|value| !matches!(value.get(), "\"\"" | "[]" | "null"))
                };
                self.resumable |= any(message.content.or(message.parts))
                    || any(message.thoughts)
                    || any(message.tool_calls);
            }
            _ => {}
        }
    }

    fn user(&mut self, parts: &[Part<'_>]) {
        let mut mentions = Mentions::default();
        let mut own = String::new();
        for part in parts {
            let Some(text) = native::text(part.text) else { continue };
            if text::is_context(&text) {
                self.dirs.extend(workspace(&text));
            } else if mentions.is_own(&text) {
                own.push_str(&text);
            }
        }
        if text::is_ignored(&text::joined(parts)) {
            // In a checkpoint the context is a part of the first prompt.
            if text::is_ignored(&own) {
                return;
            }
        }
        self.resumable = true;
        if self.prompt.is_none() && !own.trim().is_empty() {
            self.prompt = Some(text::without_keeper(&own).to_owned());
        }
    }

    /// What the end of the file says after its beginning.
    fn follow(&mut self, end: Self) {
        self.summary = end.summary.or(self.summary.take());
        self.prompt = self.prompt.take().or(end.prompt);
        self.updated = self.updated.max(end.updated);
        self.model = end.model.or(self.model.take());
    }

    fn head(self, env: &Env, found: &Found, id: String) -> Result<Head> {
        let data = locate::data_dir(env);
        let dir = locate::project_dir(&found.path);
        let in_store = found.path.starts_with(&data);
        let cwd = match dir.filter(|_| in_store) {
            Some(dir) => projects::cwd_of(&data, &dir, &self.dirs)?,
            None => checkpoint::owner(&found.path).or_else(|| self.dirs.first().cloned()),
        };
        Ok(Head {
            harness: super::INFO.id.to_owned(),
            id,
            title: self.summary.or(self.prompt).as_deref().and_then(title),
            cwd,
            created: self.created,
            updated: self.updated.or_else(|| Some(time::to_millis(found.modified.into()))),
            model: self.model,
            ..Head::default()
        })
    }
}

/// A file that is one document.
fn walk(found: &Found) -> Result<Facts> {
    let file = File::open(&found.path).at("open", &found.path)?;
    let name = found.path.to_string_lossy();
    let index = index::index(Box::new(file.try_clone().at("open", &found.path)?), &name)?;
    if !index.is_session() {
        return Ok(Facts::default());
    }
    let mut facts = of_index(&index);
    if index.form == Form::Checkpoint {
        facts.id = Some(found.id.clone());
    }
    // The first prompt, and the last that was said.
    let first = index.live.iter().filter(|element| element.speaker == Speaker::User).take(8);
    let last = index.live.iter().rev().filter(|element| element.speaker == Speaker::Model).take(1);
    for element in first.chain(last).chain(index.live.last()) {
        if let Some(bytes) = message(&file, element).at("read", &found.path)? {
            let mut fixed = Vec::new();
            if let Some(message) = native::parse::<Message<'_>>(&bytes, &mut fixed) {
                facts.message(&message);
            }
        }
    }
    Ok(facts)
}

fn of_index(index: &Index) -> Facts {
    let moment = |name: &str| index.text(name).and_then(|text| time::parse(&text));
    let dirs = index.metadata.get("directories").and_then(|json| serde_json::from_str(json).ok());
    Facts {
        id: index.text("sessionId"),
        is_subagent: index.text("kind").is_some_and(|kind| kind == "subagent"),
        summary: index.text("summary"),
        created: moment("startTime"),
        updated: moment("lastUpdated"),
        dirs: dirs.unwrap_or_default(),
        ..Facts::default()
    }
}

fn message(file: &File, element: &Element) -> std::io::Result<Option<Stretch>> {
    if element.length > MAX_LINE as u64 {
        return Ok(None);
    }
    read(file, element.offset..element.offset + element.length).map(Some)
}

/// The directories that the program told its model of.
fn workspace(context: &str) -> Vec<String> {
    let rest = context.split_once("**Workspace Directories:**\n").map_or("", |(_, rest)| rest);
    rest.lines().map_while(|line| line.strip_prefix("  - ")).map(str::to_owned).collect()
}

/// One line of a reasonable length.
fn title(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(TITLE).collect())
}

/// The head of a sub-agent's session.
///
/// # Errors
/// When the file cannot be read.
pub fn subagent(env: &Env, path: &Path, parent: &Head) -> Result<Option<Head>> {
    let file = File::open(path).at("open", path)?;
    let meta = file.metadata().at("look at", path)?;
    let bytes = read(&file, 0..LIMIT.min(meta.len())).at("read", path)?;
    let mut facts = Facts::default();
    facts.lines(&bytes, meta.len() <= LIMIT);
    let Some(id) = facts.id.take() else { return Ok(None) };
    let found = Found {
        id: id.clone(),
        path: path.to_owned(),
        bytes: Some(meta.len()),
        modified: meta.modified().at("look at", path)?,
        head: None,
        stamp: None,
    };
    // Its summary is its report, not its title.
    facts.summary = None;
    let mut head = facts.head(env, &found, id)?;
    head.cwd.clone_from(&parent.cwd);
    head.parent = Some(parent.id.clone());
    Ok(Some(head))
}
