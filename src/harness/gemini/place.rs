//! Which file of a session goes where.

use std::path::{Path, PathBuf};

use super::locate::{self, checkpoint_tag, is_session, valid_id};
use super::projects::Project;
use super::write;
use crate::error::{Error, Kind, Result};
use crate::harness::common::directory::is_safe_name;
use crate::harness::{Growth, Layout, OutFile, OutSource, Stored, Target};
use crate::model::{FileMeta, Role, Time, ids};

/// Folders of a session's own directory.
const OWN: [&str; 3] = ["plans", "tracker", "tasks"];

/// A file of a session by its place in a project's directory. All names in it are safe.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'p> {
    /// `chats/session-….jsonl`
    Transcript { name: &'p str },
    /// `checkpoint-<tag>.json`
    Checkpoint { name: &'p str },
    /// `chats/<session>/<agent>.jsonl`
    Subagent { session: &'p str, name: &'p str },
    /// `tool-outputs/session-<session>/<name>`
    Output { session: &'p str, name: &'p str },
    /// `<session>/plans/…`, `<session>/tracker/…`, `<session>/tasks/…`
    Own { session: &'p str, names: Vec<&'p str> },
}

impl<'p> Part<'p> {
    /// The part that a recorded path stands for. The path is untrusted: only the shapes above come out.
    fn parse(path: &'p str) -> Option<Self> {
        let names: Vec<&str> = path.split('/').collect();
        if !names.iter().all(|name| is_safe_name(name)) {
            return None;
        }
        let part = match names[..] {
            ["tmp", _, "chats", name]
                if is_session(name) || name.ends_with(".json") || name.ends_with(".jsonl") =>
            {
                Self::Transcript { name }
            }
            ["tmp", _, name] if checkpoint_tag(name).is_some() => Self::Checkpoint { name },
            ["tmp", _, "chats", session, name] if name.ends_with(".jsonl") || name.ends_with(".json") => {
                Self::Subagent { session, name }
            }
            ["tmp", _, "tool-outputs", session, name] => {
                Self::Output { session: session.strip_prefix("session-")?, name }
            }
            ["tmp", _, session, folder, ..] if OWN.contains(&folder) && names.len() > 4 => {
                Self::Own { session, names: names[3..].to_vec() }
            }
            _ => return None,
        };
        part.session().is_none_or(valid_id).then_some(part)
    }

    fn session(&self) -> Option<&'p str> {
        match self {
            Self::Subagent { session, .. } | Self::Output { session, .. } | Self::Own { session, .. } => {
                Some(session)
            }
            _ => None,
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Transcript { .. } | Self::Checkpoint { .. } => Role::Transcript,
            Self::Subagent { .. } => Role::Subagent,
            _ => Role::Attachment,
        }
    }
}

/// Whether the path of a payload file is that of a session's or sub-agent's log, not a checkpoint.
pub fn is_transcript(path: &str) -> bool {
    matches!(Part::parse(path), Some(Part::Transcript { .. } | Part::Subagent { .. }))
}

/// Where a session that was Gemini CLI's before goes.
///
/// # Errors
/// When a file of the payload is none that a session has.
pub fn native(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let data = locate::data_dir(target.env);
    let project = Project::of(target)?;
    let mut layout = layout(&data, &project);
    let agents: Vec<&str> = files.iter().filter_map(|file| Some(file.agent.as_ref()?.id.as_str())).collect();
    for (index, file) in files.iter().enumerate() {
        let part = Part::parse(&file.path).filter(|part| part.role() == file.role);
        let known = |session: &str| session == target.source.id || agents.contains(&session);
        let Some(part) = part.filter(|part| part.session().is_none_or(known)) else {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{:?} is no file of session {:?} of Gemini CLI", file.path, target.source.id),
            ));
        };
        let moved = |session: &str| {
            if session == target.source.id { target.id.to_owned() } else { session.to_owned() }
        };
        let below = match &part {
            Part::Transcript { .. } => transcript(target),
            Part::Checkpoint { name } => {
                let tag = checkpoint_tag(name).unwrap_or_default();
                layout.warnings.push(format!(
                    "{:?} was saved with /chat save; `/chat resume {tag}` in Gemini CLI goes on with it",
                    file.path
                ));
                (*name).to_owned()
            }
            Part::Subagent { session, name } => {
                let stem = name.rsplit_once('.').map_or(*name, |(stem, _)| stem);
                format!("chats/{}/{stem}.jsonl", moved(session))
            }
            Part::Output { session, name } => format!("tool-outputs/session-{}/{name}", moved(session)),
            Part::Own { session, names } => format!("{}/{}", moved(session), names.join("/")),
        };
        let path = match part {
            Part::Transcript { .. } => own_place(target, &data, &project, &below),
            _ => project.below(&data, &below),
        };
        let is_log = matches!(part, Part::Transcript { .. } | Part::Subagent { .. });
        layout.files.push(OutFile {
            path,
            source: OutSource::Native(index),
            growth: if is_log { Growth::Append } else { Growth::Replace },
            modified: None,
            stored: Stored::File,
        });
    }
    layout.files.sort_by_key(|file| match file.source {
        OutSource::Native(index) => files[index].role != Role::Transcript,
        _ => true,
    });
    Ok(layout)
}

/// Where a session that came from another harness goes.
///
/// # Errors
/// When it has no transcript.
pub fn converted(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let data = locate::data_dir(target.env);
    let project = Project::of(target)?;
    let mut layout = layout(&data, &project);
    for (index, file) in files.iter().enumerate() {
        let path = match (file.role, &file.agent) {
            (Role::Transcript, _) => own_place(target, &data, &project, &transcript(target)),
            (Role::Subagent, Some(agent)) => {
                let name = write::agent_id(target.id, agent);
                project.below(&data, &format!("chats/{}/{name}.jsonl", target.id))
            }
            _ => continue,
        };
        layout.files.push(OutFile {
            path,
            source: OutSource::Converted(index),
            growth: Growth::Append,
            modified: None,
            stored: Stored::File,
        });
    }
    layout.files.sort_by_key(|file| match file.source {
        OutSource::Converted(index) => files[index].role != Role::Transcript,
        _ => true,
    });
    if layout.files.is_empty() {
        return Err(Error::new(
            Kind::Unsupported,
            format!("session {:?} has no transcript", target.source.id),
        ));
    }
    Ok(layout)
}

/// A layout that makes the project known to the program.
fn layout(data: &Path, project: &Project) -> Layout {
    Layout { lines: vec![project.marker(data)], ..Layout::default() }
}

/// The session that is there keeps its file, when that is in the right place.
fn own_place(target: &Target<'_>, data: &Path, project: &Project, below: &str) -> PathBuf {
    let path = project.below(data, below);
    match target.existing.map(|existing| &existing.path) {
        Some(there) if there.parent() == path.parent() && there.extension() == path.extension() => {
            there.clone()
        }
        _ => path,
    }
}

/// The name of a session's file: `chats/session-<minute>-<first 8 of the id>-<8 others>.jsonl`.
///
/// Gemini CLI 0.61 names it without the last part. When it resumes such a session it also makes a file
/// of that name for the minute it is, with nothing said in it; the next start in the same project takes
/// that for damaged, and deletes every file that ends with the same eight characters. So a name of the
/// program's own kind loses the session. With eight other characters it lists, resumes and deletes
/// (`--delete-session`) as well, and stays.
fn transcript(target: &Target<'_>) -> String {
    let begin: String = target.id.chars().take(8).collect();
    format!("chats/session-{}-{begin}-{}.jsonl", created(target).format("%Y-%m-%dT%H-%M"), other(target.id))
}

/// Eight characters that are no other session's.
pub fn other(id: &str) -> String {
    let mut other = ids::derived(&["gemini", "file", id]).simple().to_string();
    other.truncate(8);
    other
}

/// When a session began, as far as anybody knows.
pub fn created(target: &Target<'_>) -> Time {
    target.source.created.or(target.source.updated).unwrap_or_default()
}
