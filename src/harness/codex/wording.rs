//! What holdall says in words, because the format has no other way to say it.

use super::emit::Content;
use super::status;
use crate::model::event::Media;
use crate::model::{Part, ToolStatus};

/// What tells the model that a call did not work, when its text does not.
pub fn mark(content: &[Part<'_>], status: ToolStatus, exit_code: Option<i32>) -> Option<String> {
    let text = content.iter().find_map(|part| match part {
        Part::Text(text) => Some(&**text),
        _ => None,
    });
    match (status, exit_code, text.unwrap_or_default()) {
        (ToolStatus::Ok, ..) => None,
        (ToolStatus::Interrupted, _, text) if text.trim().is_empty() => Some("aborted by user".to_owned()),
        (_, _, text) if status::shows_failure(text) => None,
        (_, Some(code), _) if code != 0 => Some(format!("Exit code: {code}\n")),
        _ => Some("Error: ".to_owned()),
    }
}

/// The command of a user the way Codex writes it.
pub fn shell(text: &str) -> String {
    match text.strip_prefix("$ ").map(|rest| rest.split_once('\n').unwrap_or((rest, ""))) {
        Some((command, result)) => format!(
            "<user_shell_command>\n<command>\n{command}\n</command>\n<result>\n{result}\n</result>\n</user_shell_command>"
        ),
        None => format!("<user_shell_command>\n{text}\n</user_shell_command>"),
    }
}

pub fn joined(parts: &[Content<'_>]) -> String {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Content::InputText { text } | Content::OutputText { text } => Some(*text),
            Content::InputImage { .. } => None,
        })
        .collect();
    texts.join("\n")
}

pub fn images<'p>(content: &'p [Part<'p>]) -> impl Iterator<Item = &'p Media<'p>> {
    content.iter().filter_map(|part| match part {
        Part::Image(media) => Some(media),
        _ => None,
    })
}

pub fn document(part: &Part<'_>) -> Option<String> {
    match part {
        Part::File(media) => Some(described("document", media)),
        _ => None,
    }
}

pub fn picture(part: &Part<'_>) -> Option<String> {
    match part {
        Part::Image(media) => Some(described("image", media)),
        part => document(part),
    }
}

fn described(what: &str, media: &Media<'_>) -> String {
    let name = media.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("[{what}{name}, {}: not carried]", media.media_type)
}
