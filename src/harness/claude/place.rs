//! Which file of a session goes where.

use std::fmt;
use std::path::{Path, PathBuf};

use super::locate::{data_dir, project_name, valid_id};
use super::write;
use crate::error::{Error, Kind, Result};
use crate::harness::common::directory::is_safe_name;
use crate::harness::{Growth, Layout, OutFile, OutSource, Stored, Target};
use crate::model::{FileMeta, Role, payload};

/// A file of a session by its place in the data directory. `project` is the project directory,
/// `id` the session's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `projects/<project>/<id>.jsonl`
    Transcript {
        /// The project directory.
        project: String,
        /// The session.
        id: String,
    },
    /// `projects/<project>/<id>/subagents/<name>`: transcripts and their side files.
    Subagent {
        /// The project directory.
        project: String,
        /// The session.
        id: String,
        /// `agent-….jsonl` or `agent-….meta.json`.
        name: String,
    },
    /// `projects/<project>/<id>/tool-results/<name>`: tool outputs that are too long for a row.
    ToolResult {
        /// The project directory.
        project: String,
        /// The session.
        id: String,
        /// File name.
        name: String,
    },
    /// `projects/<project>/<id>/custom-title.json`
    Title {
        /// The project directory.
        project: String,
        /// The session.
        id: String,
    },
    /// `file-history/<id>/<name>`: what files were before the session changed them.
    FileHistory {
        /// The session.
        id: String,
        /// `<hash>@v<number>`.
        name: String,
    },
    /// `tasks/<id>/<name>`: the task list.
    Task {
        /// The session.
        id: String,
        /// `<number>.json`.
        name: String,
    },
}

impl Part {
    /// The part that a recorded path stands for. The path is untrusted: only the shapes above come
    /// out, made of names that are safe on every system.
    pub fn parse(path: &str) -> Option<Self> {
        let names: Vec<&str> = path.split('/').collect();
        let owned = |name: &str| name.to_owned();
        let part = match names[..] {
            ["projects", project, file] => {
                Self::Transcript { project: owned(project), id: owned(file.strip_suffix(".jsonl")?) }
            }
            ["projects", project, id, "subagents", name] => {
                Self::Subagent { project: owned(project), id: owned(id), name: owned(name) }
            }
            ["projects", project, id, "tool-results", name] => {
                Self::ToolResult { project: owned(project), id: owned(id), name: owned(name) }
            }
            ["projects", project, id, "custom-title.json"] => {
                Self::Title { project: owned(project), id: owned(id) }
            }
            ["file-history", id, name] => Self::FileHistory { id: owned(id), name: owned(name) },
            ["tasks", id, name] => Self::Task { id: owned(id), name: owned(name) },
            _ => return None,
        };
        part.is_safe().then_some(part)
    }

    /// Whether every name in it may become part of a path on any system.
    pub fn is_safe(&self) -> bool {
        let names_ok = match self {
            Self::Transcript { project, .. } | Self::Title { project, .. } => is_safe_name(project),
            Self::Subagent { project, name, .. } => {
                let known = name.ends_with(".jsonl") || name.ends_with(".meta.json");
                is_safe_name(project) && is_safe_name(name) && name.starts_with("agent-") && known
            }
            Self::ToolResult { project, name, .. } => is_safe_name(project) && is_safe_name(name),
            Self::FileHistory { name, .. } | Self::Task { name, .. } => is_safe_name(name),
        };
        names_ok && valid_id(self.id())
    }

    /// What the file is for.
    pub fn role(&self) -> Role {
        match self {
            Self::Transcript { .. } => Role::Transcript,
            Self::Subagent { name, .. } if name.ends_with(".jsonl") => Role::Subagent,
            _ => Role::Attachment,
        }
    }

    /// The session that it belongs to.
    pub fn id(&self) -> &str {
        let (Self::Transcript { id, .. }
        | Self::Subagent { id, .. }
        | Self::ToolResult { id, .. }
        | Self::Title { id, .. }
        | Self::FileHistory { id, .. }
        | Self::Task { id, .. }) = self;
        id
    }

    /// The same file of session `new`, in the project directory `dir`.
    fn moved(mut self, dir: &str, new: &str) -> Self {
        match &mut self {
            Self::Transcript { project, id }
            | Self::Subagent { project, id, .. }
            | Self::ToolResult { project, id, .. }
            | Self::Title { project, id } => {
                dir.clone_into(project);
                new.clone_into(id);
            }
            Self::FileHistory { id, .. } | Self::Task { id, .. } => new.clone_into(id),
        }
        self
    }

    /// Its path below the data directory.
    fn below(&self, data: &Path) -> PathBuf {
        let mut path = data.to_owned();
        path.extend(self.to_string().split('/'));
        path
    }
}

impl fmt::Display for Part {
    /// The path below the data directory, with `/` between components.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transcript { project, id } => write!(f, "projects/{project}/{id}.jsonl"),
            Self::Subagent { project, id, name } => write!(f, "projects/{project}/{id}/subagents/{name}"),
            Self::ToolResult { project, id, name } => {
                write!(f, "projects/{project}/{id}/tool-results/{name}")
            }
            Self::Title { project, id } => write!(f, "projects/{project}/{id}/custom-title.json"),
            Self::FileHistory { id, name } => write!(f, "file-history/{id}/{name}"),
            Self::Task { id, name } => write!(f, "tasks/{id}/{name}"),
        }
    }
}

/// Where a session of Claude Code goes on this machine.
///
/// # Errors
/// When a file of the payload is none that a session has.
pub fn native(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let (data, project) = (data_dir(target.env), project_name(target.cwd)?);
    let mut layout = Layout { stale: caches(target), ..Layout::default() };
    for (index, file) in files.iter().enumerate() {
        let part =
            Part::parse(&file.path).filter(|part| part.id() == target.source.id && part.role() == file.role);
        let Some(part) = part else {
            return Err(Error::new(
                Kind::Unsupported,
                format!("{:?} is no file of session {:?} of Claude Code", file.path, target.source.id),
            ));
        };
        let growth = if file.role == Role::Attachment { Growth::Replace } else { Growth::Append };
        let modified = file.modified.filter(|_| matches!(part, Part::FileHistory { .. }));
        let path = part.moved(&project, target.id).below(&data);
        layout.files.push(OutFile {
            path,
            source: OutSource::Native(index),
            growth,
            modified,
            stored: Stored::File,
        });
    }
    layout
        .files
        .sort_by_key(|file| file.source != OutSource::Native(payload::transcript(files).unwrap_or(0)));
    Ok(layout)
}

/// Claude Code 2.1.329 keeps the head of a large transcript beside it, to load it faster.
fn caches(target: &Target<'_>) -> Vec<PathBuf> {
    let folder = target.existing.map(|found| found.path.with_extension(""));
    folder.map(|folder| folder.join("resume-head.jsonl")).into_iter().collect()
}

/// Where a session that came from another harness goes.
///
/// # Errors
/// When it has no transcript.
pub fn converted(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let (data, project) = (data_dir(target.env), project_name(target.cwd)?);
    let transcript = payload::transcript(files).ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("session {:?} has no transcript", target.source.id))
    })?;
    let mut layout = Layout { stale: caches(target), ..Layout::default() };
    let id = target.id.to_owned();
    let part = Part::Transcript { project: project.clone(), id: id.clone() };
    layout.files.push(OutFile {
        path: part.below(&data),
        source: OutSource::Converted(transcript),
        growth: Growth::Append,
        modified: None,
        stored: Stored::File,
    });
    for (index, file) in files.iter().enumerate() {
        let (Role::Subagent, Some(agent)) = (file.role, &file.agent) else { continue };
        let name = write::agent_id(target.id, agent);
        for (suffix, source, growth) in [
            ("jsonl", OutSource::Converted(index), Growth::Append),
            ("meta.json", OutSource::Text(write::agent_meta(agent)), Growth::Replace),
        ] {
            let name = format!("agent-{name}.{suffix}");
            let part = Part::Subagent { project: project.clone(), id: id.clone(), name };
            layout.files.push(OutFile {
                path: part.below(&data),
                source,
                growth,
                modified: None,
                stored: Stored::File,
            });
        }
    }
    Ok(layout)
}

/// The path of a tool's output in the session's new place, if `old` is such a path: the only
/// place in a row where the program names a file of its own by its absolute path.
pub fn moved_tool_result(target: &Target<'_>, project: &str, old: &str) -> Option<String> {
    let mut names = old.rsplit(['/', '\\']);
    let (name, folder, id) = (names.next()?, names.next()?, names.next()?);
    if folder != "tool-results" || id != target.source.id || !is_safe_name(name) {
        return None;
    }
    let part =
        Part::ToolResult { project: project.to_owned(), id: target.id.to_owned(), name: name.to_owned() };
    part.below(&data_dir(target.env)).to_str().map(str::to_owned)
}
