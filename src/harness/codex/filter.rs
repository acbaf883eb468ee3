//! What a message of the role `user` is: said by the user, or put there by Codex.
//!
//! Codex puts instructions, the environment, skills and reports into user messages. Three rules
//! tell them apart, the most reliable first:
//! - Codex 0.169 notes the kind of each part; those of the user begin with `user.`.
//! - What a user said has an event of its own (`user_message`, `UserMessage`) with the same text.
//! - What Codex put there is wrapped in a tag, or has a heading, that is known.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::value::RawValue;

use super::native::{Content, Message, Text};
use crate::model::event::{Media, MediaData};
use crate::model::{NoteKind, Part};

/// Codex 0.169 puts this in front of a summary that it gives to its model.
pub const SUMMARY_PREFIX: &str = "Another language model started to solve this problem and produced a \
summary of its thinking process. You also have access to the state of the tools that were used by that \
language model. Use this to build on the work that has already been done and avoid duplicating work. Here \
is the summary produced by the other language model, use the information in this summary to assist with \
your own analysis:";

/// Beginnings of text that Codex put into user messages, 0.60 to 0.169.
const INJECTED: [&str; 24] = [
    "# AGENTS.md instructions",
    "<user_instructions>",
    "<environment_context>",
    "<skill>",
    "<permissions instructions>",
    "<collaboration_mode>",
    "<model_switch>",
    "<skills_instructions>",
    "<plugins_instructions>",
    "<apps_instructions>",
    "<personality_spec>",
    "<recommended_plugins>",
    "<hook_prompt",
    "<goal_context>",
    "<multi_agent_mode>",
    "<tools>",
    "<side_conversation>",
    "<INSTRUCTIONS>",
    "<user_action>",
    "<realtime_conversation>",
    "<environments_instructions>",
    "Warning: The maximum number of unified exec processes",
    "Warning: apply_patch was requested via",
    "Warning: Your account was flagged",
];

/// The texts that the events of a rollout confirm as said by the user.
#[derive(Debug, Default)]
pub struct Prompts(HashSet<u64>);

impl Prompts {
    /// Adds the text of an event.
    pub fn add(&mut self, text: &str) {
        self.0.insert(digest(text.trim()));
    }

    fn confirm(&self, text: &str) -> bool {
        self.0.contains(&digest(text.trim()))
    }
}

/// A number for a text, so that many texts can be remembered.
pub fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A summary without the sentence that Codex puts in front of it for its model.
pub fn summary(text: &str) -> &str {
    text.trim_start().strip_prefix(SUMMARY_PREFIX).unwrap_or(text).trim_start_matches('\n')
}

/// What a message of the role `user` is.
#[derive(Debug)]
pub enum Said<'a> {
    /// The user said this.
    User(Vec<Part<'a>>),
    /// Codex told its model of something that the user did, or that an agent reported.
    Note(NoteKind, String),
    /// The summary of a compaction, as [`summary`] leaves it.
    Summary(String),
    /// Context that Codex put there.
    Injected,
}

enum Class {
    User,
    Note(NoteKind, &'static str),
    Summary,
    Injected,
}

/// Tells what a message of the role `user` is.
pub fn said<'a>(message: Message<'a>, prompts: &Prompts) -> Said<'a> {
    let kinds: &[Text<'_>] = match &message.passthrough {
        Some(passthrough) => passthrough.content_item_kinds.as_deref().unwrap_or_default(),
        None => &[],
    };
    let mut kept = Vec::new();
    let mut other = Said::Injected;
    for (at, content) in message.content.into_iter().enumerate() {
        let text = content.text.as_deref().unwrap_or_default();
        match classify(text, kinds.get(at).map(|kind| &**kind), prompts) {
            Class::User => kept.push(content),
            Class::Note(kind, tag) => other = Said::Note(kind, note(kind, inner(text, tag))),
            Class::Summary => other = Said::Summary(summary(text).to_owned()),
            Class::Injected => {}
        }
    }
    let parts = parts(kept);
    if parts.is_empty() { other } else { Said::User(parts) }
}

fn classify(text: &str, kind: Option<&str>, prompts: &Prompts) -> Class {
    match kind {
        Some(kind) if kind.starts_with("user.") => return Class::User,
        Some("shell.user_command") => return Class::Note(NoteKind::UserShell, "user_shell_command"),
        Some("generic.turn_aborted") => return Class::Note(NoteKind::Interrupted, "turn_aborted"),
        Some("multi_agent.subagent_notification") => {
            return Class::Note(NoteKind::TaskReport, "subagent_notification");
        }
        Some("compaction.summary") => return Class::Summary,
        Some("unknown") | None => {}
        Some(_) => return Class::Injected,
    }
    let start = text.trim_start();
    if prompts.confirm(text) {
        Class::User
    } else if start.starts_with("<user_shell_command>") {
        Class::Note(NoteKind::UserShell, "user_shell_command")
    } else if start.starts_with("<turn_aborted>") {
        Class::Note(NoteKind::Interrupted, "turn_aborted")
    } else if start.starts_with("<subagent_notification>") {
        Class::Note(NoteKind::TaskReport, "subagent_notification")
    } else if start.starts_with(SUMMARY_PREFIX) {
        Class::Summary
    } else if INJECTED.iter().any(|known| start.starts_with(known))
        || (!prompts.0.is_empty() && is_wrapped(start))
    {
        Class::Injected
    } else {
        Class::User
    }
}

/// Whether the whole text is one element, `<some_tag>…</some_tag>`.
fn is_wrapped(text: &str) -> bool {
    let Some((tag, _)) = text.strip_prefix('<').and_then(|rest| rest.split_once('>')) else { return false };
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    tag.contains('_')
        && tag.bytes().all(is_name)
        && text.trim_end().strip_suffix('>').is_some_and(|rest| rest.ends_with(&format!("</{tag}")))
}

fn inner<'t>(text: &'t str, tag: &str) -> &'t str {
    let text = text.trim();
    let text = text.strip_prefix('<').and_then(|rest| rest.strip_prefix(tag)).map_or(text, |rest| {
        let rest = rest.strip_prefix('>').unwrap_or(rest);
        rest.strip_suffix('>')
            .and_then(|rest| rest.strip_suffix(tag))
            .and_then(|rest| rest.strip_suffix("</"))
            .unwrap_or(rest)
    });
    text.trim_matches('\n')
}

/// A command of the user reads like a terminal: `$ command`, then what it printed.
fn note(kind: NoteKind, text: &str) -> String {
    let command = || {
        let rest = text.strip_prefix("<command>\n")?;
        let (command, rest) = rest.split_once("\n</command>")?;
        let result = rest.trim_start().strip_prefix("<result>\n")?.strip_suffix("</result>")?;
        Some(format!("$ {command}\n{}", result.strip_suffix('\n').unwrap_or(result)))
    };
    let command = if kind == NoteKind::UserShell { command() } else { None };
    command.unwrap_or_else(|| text.to_owned())
}

/// The parts of a message of the user: images without the tags around them, prompts of an editor
/// without its context.
fn parts(contents: Vec<Content<'_>>) -> Vec<Part<'_>> {
    let is_image = |content: Option<&Content<'_>>| content.is_some_and(|content| content.image_url.is_some());
    let tags: Vec<bool> = (0..contents.len())
        .map(|at| {
            let text = contents[at].text.as_deref().unwrap_or_default().trim();
            (text.starts_with("<image") && text.ends_with('>') && is_image(contents.get(at + 1)))
                || (text == "</image>" && at > 0 && is_image(contents.get(at - 1)))
        })
        .collect();
    let mut tags = tags.into_iter();
    let contents = contents.into_iter().filter(|_| tags.next() != Some(true));
    contents
        .filter_map(part)
        .map(reduce)
        .filter(|part| !matches!(part, Part::Text(text) if text.is_empty()))
        .collect()
}

/// A part as the model sees it; `None` for what has neither text nor image.
pub fn part(content: Content<'_>) -> Option<Part<'_>> {
    match (content.text, content.image_url) {
        (Some(text), _) => Some(Part::Text(text.0)),
        (None, Some(url)) => image(url),
        (None, None) => None,
    }
}

fn image(url: &RawValue) -> Option<Part<'_>> {
    let url: Text<'_> = serde_json::from_str(url.get()).ok()?;
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let media = match data {
        Some((media_type, data)) => {
            let (media_type, at) = (media_type.to_owned(), url.len() - data.len());
            Media { media_type: media_type.into(), data: MediaData::Base64(from(url.0, at)), name: None }
        }
        None => Media { media_type: "image/*".into(), data: MediaData::Url(url.0), name: None },
    };
    Some(Part::Image(media))
}

fn from(text: Cow<'_, str>, at: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[at..]),
        Cow::Owned(mut text) => Cow::Owned(text.split_off(at)),
    }
}

fn reduce(part: Part<'_>) -> Part<'_> {
    match part {
        Part::Text(Cow::Borrowed(text)) => Part::Text(Cow::Borrowed(request(text))),
        Part::Text(Cow::Owned(text)) => Part::Text(Cow::Owned(request(&text).to_owned())),
        part => part,
    }
}

/// What the user asked, without the context that an editor put in front of it. Codex cuts its
/// titles in the same place.
pub fn request(text: &str) -> &str {
    const REQUEST: &str = "## My request for Codex:";
    match text.find(REQUEST) {
        Some(at) if text.trim_start().starts_with("# ") => text[at + REQUEST.len()..].trim(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &str, prompts: &[&str]) -> Result<Vec<String>, String> {
        let mut confirmed = Prompts::default();
        prompts.iter().for_each(|text| confirmed.add(text));
        match said(serde_json::from_str(json).expect("a message"), &confirmed) {
            Said::User(parts) => Ok(parts
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => text.into_owned(),
                    Part::Image(media) => format!("[{} {:?}]", media.media_type, media.data),
                    Part::File(_) => "[file]".into(),
                })
                .collect()),
            Said::Note(kind, text) => Err(format!("{kind:?}: {text}")),
            Said::Summary(_) => Err("summary".into()),
            Said::Injected => Err("injected".into()),
        }
    }

    fn message(texts: &[&str]) -> String {
        let content: Vec<_> =
            texts.iter().map(|text| serde_json::json!({"type": "input_text", "text": text})).collect();
        serde_json::json!({"role": "user", "content": content}).to_string()
    }

    #[test]
    fn known_context_is_not_conversation() {
        for text in INJECTED.iter().chain(&["  <environment_context>\n<cwd>/x</cwd></environment_context>"]) {
            assert_eq!(texts(&message(&[text]), &[]), Err("injected".into()), "{text}");
        }
        assert_eq!(texts(&message(&[SUMMARY_PREFIX]), &[]), Err("summary".into()));
        assert_eq!(texts(&message(&["<new_tag>x</new_tag>"]), &["other"]), Err("injected".into()));
    }

    #[test]
    fn what_an_event_confirms_is_conversation() {
        assert_eq!(
            texts(&message(&["<skill> is a tag?"]), &["<skill> is a tag?"]),
            Ok(vec!["<skill> is a tag?".into()])
        );
        assert_eq!(texts(&message(&["plain"]), &["other"]), Ok(vec!["plain".into()]));
        assert_eq!(texts(&message(&["<new_tag>x</new_tag>"]), &[]), Ok(vec!["<new_tag>x</new_tag>".into()]));
    }

    #[test]
    fn recorded_kinds_decide_part_by_part() {
        let json = r#"{"role":"user","content":[{"type":"input_text","text":"rules"},{"type":"input_text","text":"<skill> me"}],
            "internal_chat_message_metadata_passthrough":{"content_item_kinds":["agents_md.instructions","user.text"]}}"#;
        assert_eq!(texts(json, &[]), Ok(vec!["<skill> me".into()]));
    }

    #[test]
    fn notes_read_like_what_happened() {
        let shell = "<user_shell_command>\n<command>\nls\n</command>\n<result>\nExit code: 0\nOutput:\nx\n\n</result>\n</user_shell_command>";
        assert_eq!(texts(&message(&[shell]), &[]), Err("UserShell: $ ls\nExit code: 0\nOutput:\nx\n".into()));
        assert_eq!(
            texts(&message(&["<turn_aborted>\nstop\n</turn_aborted>"]), &[]),
            Err("Interrupted: stop".into())
        );
    }

    #[test]
    fn images_come_without_their_tags_and_prompts_without_the_editor() {
        let json = r##"{"role":"user","content":[{"type":"input_text","text":"<image name=[Image #1] path=\"p.png\">"},
            {"type":"input_image","image_url":"data:image/png;base64,AAAA"},{"type":"input_text","text":"</image>"},
            {"type":"input_text","text":"# Context from my IDE setup:\nx\n## My request for Codex:\nreal </image>"},
            {"type":"input_image","image_url":"https:\/\/h/x.png"}]}"##;
        assert_eq!(
            texts(json, &[]),
            Ok(vec![
                "[image/png Base64(\"AAAA\")]".into(),
                "real </image>".into(),
                "[image/* Url(\"https://h/x.png\")]".into(),
            ])
        );
    }
}
