//! Sessions in files that the user names: a session file from anywhere, and what `/chat save` wrote.

use std::fs::{self, File};
use std::path::Path;

use super::index::{self, Form};
use super::locate;
use crate::env::Env;
use crate::error::{IoContext, Result};
use crate::harness::Found;
use crate::model::ids;

/// The session in a file; `None`: it is none of Gemini CLI's.
///
/// # Errors
/// When the file cannot be read.
pub fn in_file(env: &Env, path: &Path) -> Result<Option<Found>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.ends_with(".json") && !name.ends_with(".jsonl") {
        return Ok(None);
    }
    let file = File::open(path).at("open", path)?;
    let meta = file.metadata().at("look at", path)?;
    if !meta.is_file() {
        return Ok(None);
    }
    let index = index::index(Box::new(file), &path.to_string_lossy())?;
    let id = match index.form {
        // `/chat save` replaces the checkpoint of the same name in the same project.
        Form::Checkpoint if !index.live.is_empty() => {
            let project = owner(path).or_else(|| locate::project_dir(path)).unwrap_or_default();
            ids::derived(&["gemini", "checkpoint", &project, name]).to_string()
        }
        Form::Checkpoint => return Ok(None),
        Form::Log | Form::Object => match index.text("sessionId") {
            Some(id)
                if !index.live.is_empty() && index.text("kind").is_none_or(|kind| kind != "subagent") =>
            {
                id
            }
            _ => return Ok(None),
        },
    };
    let path = env.cwd().join(path);
    let modified = meta.modified().at("look at", &path)?;
    Ok(Some(Found { id, path, bytes: Some(meta.len()), modified, head: None, stamp: None }))
}

/// The working directory of the project that a file lies in, if it lies in a store.
pub fn owner(path: &Path) -> Option<String> {
    let dir = path.parent()?;
    let dir = if dir.file_name()? == "chats" { dir.parent()? } else { dir };
    let text = fs::read_to_string(dir.join(".project_root")).ok()?;
    // A name can end with spaces.
    Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|owner| !owner.is_empty())
}
