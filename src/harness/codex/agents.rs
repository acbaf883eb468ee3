//! Sub-agents: threads of their own that another thread started.
//!
//! A parent does not list them. Their first records name it, so the heads of the later rollouts
//! are searched; which call started one stands in the events of the parent.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::head::Start;
use super::locate::{self, Rollout};
use super::meta::Meta;
use super::native::{CallOutput, Line, Output, UiEvent};
use super::record;
use crate::error::{IoContext, Result};
use crate::harness::common::jsonl::Lines;
use crate::harness::common::stretch::Stretch;
use crate::model::Agent;

/// Ids, directory and source come before the system prompt, well within so many bytes.
const PREFIX: usize = 8 << 10;

/// In most files the directory comes within so many.
const FRONT: usize = 1 << 10;

/// A sub-agent of a thread, or of one of its sub-agents.
#[derive(Debug)]
pub struct Child {
    /// Its rollout.
    pub path: PathBuf,
    /// What is known of it.
    pub meta: Meta,
}

impl Child {
    /// Who it is; which call started it is added later.
    pub fn agent(&self) -> Agent {
        let task = self.meta.agent_path.as_deref().and_then(|path| path.rsplit('/').next());
        Agent {
            id: self.meta.id.clone(),
            call_id: None,
            kind: self.meta.role.clone(),
            title: task.or(self.meta.nickname.as_deref()).map(str::to_owned),
        }
    }
}

/// The sub-agents of a store.
#[derive(Debug, Default)]
pub struct Agents(Vec<Child>);

impl Agents {
    /// Searches the store: all of it, or only what cannot be older than the thread `since`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn search(home: &Path, since: Option<&str>) -> Result<Self> {
        let is_older = |id: &str, root: &str| id == root || (is_timed(id) && is_timed(root) && id < root);
        let mut newest: HashMap<String, Rollout> = HashMap::new();
        for rollout in locate::rollouts(home)? {
            let id = rollout.name().thread;
            if since.is_some_and(|root| is_older(id, root)) {
                continue;
            }
            match newest.get(id) {
                Some(other) if locate::rank(other) >= locate::rank(&rollout) => {}
                _ => drop(newest.insert(id.to_owned(), rollout)),
            }
        }
        let mut children = Vec::new();
        for rollout in newest.into_values() {
            if let Some(meta) = subagent(&rollout.path)? {
                children.push(Child { path: rollout.path, meta });
            }
        }
        children.sort_by(|one, other| one.path.file_name().cmp(&other.path.file_name()));
        Ok(Self(children))
    }

    /// All below the thread `root`, theirs included, the oldest first.
    pub fn below(&self, root: &str) -> Vec<&Child> {
        let mut family: HashSet<&str> = HashSet::from([root]);
        let mut children: Vec<&Child> = self.0.iter().filter(|child| child.meta.id != root).collect();
        loop {
            let of = |id: &Option<String>| id.as_deref().is_some_and(|id| family.contains(id));
            let is_new = |child: &&&Child| {
                !family.contains(child.meta.id.as_str())
                    && (of(&child.meta.parent) || of(&child.meta.session_id))
            };
            let new: Vec<&str> = children.iter().filter(is_new).map(|child| child.meta.id.as_str()).collect();
            if new.is_empty() {
                break;
            }
            family.extend(new);
        }
        children.retain(|child| family.contains(child.meta.id.as_str()));
        children
    }
}

/// Whether an id begins with a time: UUID version 7, which Codex gives to every thread since 0.40.
fn is_timed(id: &str) -> bool {
    id.as_bytes().get(14) == Some(&b'7')
}

/// The first record of a rollout, if it is a sub-agent's.
fn subagent(path: &Path) -> Result<Option<Meta>> {
    if locate::is_packed(path) {
        return Ok(Start::open(path)?.meta()?.filter(|meta| meta.subagent));
    }
    let prefix = prefix(path)?;
    if memchr::memmem::find(&prefix, b"subagent").is_none() {
        return Ok(None);
    }
    Ok(meta(&prefix).filter(|meta| meta.subagent))
}

/// The directory of a rollout that is not packed, from its first bytes.
pub fn cwd(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let in_first = |length| meta(&Stretch::of(&file, 0, length).ok()?)?.cwd;
    in_first(FRONT).or_else(|| in_first(PREFIX))
}

fn prefix(path: &Path) -> Result<Stretch> {
    Stretch::of(&File::open(path).at("open", path)?, 0, PREFIX).at("read", path)
}

fn meta(prefix: &[u8]) -> Option<Meta> {
    let line = memchr::memchr(b'\n', prefix).map_or(prefix, |end| &prefix[..end]);
    Meta::read(line)
}

/// Which call of a thread started which sub-agent: `(thread of the sub-agent, call id)`.
///
/// # Errors
/// When the rollout cannot be read.
pub fn spawns(input: impl Read, path: &Path) -> Result<HashMap<String, String>> {
    let mut spawns = HashMap::new();
    let mut lines = Lines::new(input, 0);
    while let Some(line) = lines.next_line().at("read", path)? {
        // What starts a sub-agent is short.
        let Some(kind) = record::kind(line.bytes).filter(|_| !line.cut) else { continue };
        let mut fixed = Vec::new();
        match (&*kind.payload, &*kind.item) {
            ("item_completed", "SubAgentActivity" | "CollabAgentToolCall") => {
                let event = record::parse::<Line<'_, UiEvent<'_>>>(line.bytes, &mut fixed);
                let Some(item) = event.and_then(|event| event.payload.item) else { continue };
                let Some(call) = item.id else { continue };
                let is_start = match item.tool {
                    Some(tool) => tool.get().contains("spawn"),
                    None => !call.starts_with("subagent-"),
                };
                let threads =
                    item.receiver_thread_ids.unwrap_or_default().into_iter().chain(item.agent_thread_id);
                for thread in threads.filter(|_| is_start) {
                    spawns.entry(thread.0.into_owned()).or_insert_with(|| call.0.clone().into_owned());
                }
            }
            ("function_call_output", _) if memchr::memmem::find(line.bytes, b"agent_id").is_some() => {
                let Some(output) = record::parse::<Line<'_, CallOutput<'_>>>(line.bytes, &mut fixed) else {
                    continue;
                };
                if let Output::Text(text) = &output.payload.output
                    && let Ok(started) = serde_json::from_str::<Started>(text)
                {
                    spawns.entry(started.agent_id).or_insert_with(|| output.payload.call_id.0.into_owned());
                }
            }
            _ => {}
        }
    }
    Ok(spawns)
}

/// The output of `spawn_agent`.
#[derive(Deserialize)]
struct Started {
    agent_id: String,
}
