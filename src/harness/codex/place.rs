//! Where threads go on this machine.

use std::path::{Path, PathBuf};

use super::index;
use super::locate::{self, Name};
use crate::error::{Error, Kind, Result};
use crate::harness::common::files;
use crate::harness::{Growth, Layout, OutFile, OutSource, Stored, Target};
use crate::model::{FileMeta, Role, Time, ids};

/// Where a thread that was Codex's before goes.
///
/// # Errors
/// When a file is not one that this adapter packs, or an id is no UUID.
pub fn native(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let home = locate::home(target.env);
    let mut layout = Layout::default();
    for (at, file) in files.iter().enumerate() {
        let path = match file.role {
            Role::Transcript => match target.existing {
                Some(existing) => plain(&existing.path),
                None => home.join(native_path(target, file, target.id)),
            },
            Role::Subagent => home.join(native_path(target, file, &child_id(target, file)?)),
            Role::Attachment if index::is_index(&file.path) => {
                layout.lines.extend(name_line(&home, target));
                continue;
            }
            Role::Attachment => {
                let message = format!("{:?} is no file of a Codex session", file.path);
                return Err(Error::new(Kind::Unsupported, message));
            }
        };
        let modified = file.modified.or(target.source.updated);
        layout.files.push(OutFile {
            path,
            source: OutSource::Native(at),
            growth: Growth::Append,
            modified,
            stored: Stored::File,
        });
    }
    Ok(layout)
}

/// Where a thread that another harness recorded goes.
///
/// # Errors
/// When a sub-agent's file does not say who it is.
pub fn converted(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let home = locate::home(target.env);
    let mut layout = Layout::default();
    for (at, file) in files.iter().enumerate() {
        let (path, modified) = match (file.role, &file.agent) {
            (Role::Transcript, _) => {
                let dated = || home.join(dated_path(created(target), target.id));
                let path = target.existing.map_or_else(dated, |existing| plain(&existing.path));
                (path, target.source.updated)
            }
            (Role::Subagent, Some(agent)) => {
                let id = converted_child(target.id, &agent.id);
                (home.join(dated_path(created(target), &id)), file.modified.or(target.source.updated))
            }
            (Role::Subagent, None) => {
                let message = format!("{:?} does not say whose conversation it is", file.path);
                return Err(Error::new(Kind::Unsupported, message));
            }
            (Role::Attachment, _) => continue,
        };
        layout.files.push(OutFile {
            path,
            source: OutSource::Converted(at),
            growth: Growth::Append,
            modified,
            stored: Stored::File,
        });
    }
    layout.lines.extend(name_line(&home, target));
    Ok(layout)
}

/// The line that gives the thread its title. It is the same for every import of the same session.
fn name_line(home: &Path, target: &Target<'_>) -> Option<crate::harness::OutLine> {
    let title = target.source.title.as_deref().map(str::trim).filter(|title| !title.is_empty())?;
    Some(index::entry(home, target.id, title, target.source.updated.unwrap_or_else(|| created(target))))
}

/// When a session began, as far as anybody knows.
pub fn created(target: &Target<'_>) -> Time {
    target.source.created.or(target.source.updated).unwrap_or_default()
}

/// The id of a sub-agent's thread here. A copy of a session has copies of its sub-agents.
///
/// # Errors
/// When the file does not say whose it is, or the id is no UUID.
pub fn child_id(target: &Target<'_>, file: &FileMeta) -> Result<String> {
    match &file.agent {
        Some(agent) if locate::is_uuid(&agent.id) => Ok(moved_child(target, &agent.id)),
        _ => {
            let message = format!("{:?} does not say whose conversation it is", file.path);
            Err(Error::new(Kind::Unsupported, message))
        }
    }
}

/// The id here of a sub-agent of a thread that was Codex's before.
pub fn moved_child(target: &Target<'_>, id: &str) -> String {
    if target.id == target.source.id { id.to_owned() } else { converted_child(target.id, id) }
}

/// The id of the thread of a sub-agent, the same for every import.
pub fn converted_child(root: &str, agent: &str) -> String {
    ids::derived(&["codex", root, agent]).to_string()
}

/// The path a rollout had, under its id here; a dated one when it had none that Codex would find.
fn native_path(target: &Target<'_>, file: &FileMeta, id: &str) -> String {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or_default();
    let stamp = Name::parse(name).map(|name| name.stamp).filter(|stamp| is_stamp(stamp));
    match stamp {
        Some(stamp) if is_folder(folder) => format!("{folder}/rollout-{stamp}-{id}.jsonl"),
        _ => dated_path(created(target), id),
    }
}

/// Where Codex puts a thread that began at `time`, below the data directory.
pub fn dated_path(time: Time, id: &str) -> String {
    format!("{}/{}-{id}.jsonl", locate::SESSIONS, time.format("%Y/%m/%d/rollout-%Y-%m-%dT%H-%M-%S"))
}

/// `archived_sessions` or `sessions/YYYY/MM/DD`.
fn is_folder(folder: &str) -> bool {
    folder == locate::ARCHIVED
        || folder.strip_prefix(locate::SESSIONS).is_some_and(|date| matches_digits(date, "/0000/00/00"))
}

/// `YYYY-MM-DDThh-mm-ss`.
fn is_stamp(stamp: &str) -> bool {
    matches_digits(stamp, "0000-00-00T00-00-00")
}

/// Whether `text` has a digit where `form` has a zero, and is the same elsewhere.
fn matches_digits(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        })
}

/// A compressed rollout is replaced by a plain one beside it, which Codex prefers.
fn plain(path: &Path) -> PathBuf {
    if locate::is_packed(path) { path.with_extension("") } else { path.to_owned() }
}

/// The directory as Codex 0.169 writes it down, and compares it with where it is started: with its links
/// resolved as far as it exists. One that the session has already stays as it is.
pub fn cwd(target: &Target<'_>) -> String {
    let cwd = target.cwd.to_string_lossy();
    if target.source.cwd.as_deref() == Some(&*cwd) {
        return cwd.into_owned();
    }
    files::real_path(target.cwd).to_string_lossy().into_owned()
}
