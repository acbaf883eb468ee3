//! What one message says, as events.

use std::borrow::Cow;

use super::native::{self, Any, Blob, Call, Message, Part, Response, Said, Thought};
use super::read::Reader;
use super::text::{self, Mentions};
use super::tools;
use crate::error::Result;
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::{EventKind, NoteKind, Opaque, Part as Content, ToolKind, ToolStatus};

/// A message of the user: what was said, or what tools answered.
///
/// # Errors
/// When the sink fails.
pub fn user(reader: &mut Reader<'_>, parts: &[Part<'_>], all: &str) -> Result<()> {
    if reader.parts_are_context {
        let own: Vec<&Part<'_>> = parts
            .iter()
            .filter(|part| !native::text(part.text).is_some_and(|text| text::is_context(&text)))
            .collect();
        return said(reader, &own);
    }
    if text::is_ignored(all) {
        if !all.trim().is_empty() && !text::is_context(all) {
            reader.notes.add(
                "user.command",
                "Gemini CLI leaves what begins with / or ? out when it resumes a session, so it is not carried",
            );
        }
        return Ok(());
    }
    said(reader, &parts.iter().collect::<Vec<_>>())
}

fn said(reader: &mut Reader<'_>, parts: &[&Part<'_>]) -> Result<()> {
    let mut own: Vec<Content<'_>> = Vec::new();
    let mut mentions = Mentions::default();
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        at += 1;
        if let Some(response) = native::object::<Response<'_>>(part.response) {
            // Images of a result follow it.
            let more = parts[at..].iter().take_while(|part| part.inline.is_some() || part.file.is_some());
            let media: Vec<Content<'_>> = more.filter_map(|part| media(part)).collect();
            at += media.len();
            answer(reader, &response, media)?;
        } else if let Some(media) = media(part) {
            own.push(media);
        } else if let Some(text) = native::text(part.text).filter(|text| mentions.is_own(text)) {
            own.push(Content::Text(text));
        }
    }
    reader.notes.add_many(
        "mention.left-out",
        mentions.left_out,
        "the text of a file that was mentioned with @ is not carried; the agent can read it again",
    );
    if let Some(Content::Text(first)) = own.first_mut() {
        let kept = text::without_keeper(first);
        if kept.len() < first.len() {
            *first = Cow::Owned(kept.to_owned());
        }
    }
    own.retain(|part| !matches!(part, Content::Text(text) if text.is_empty()));
    if let [Content::Text(text)] = own.as_slice()
        && let Some((kind, text)) = note(text)
    {
        return reader.deliver(EventKind::Note { kind, text: text.into() });
    }
    if own.is_empty() { Ok(()) } else { reader.deliver(EventKind::User { content: own }) }
}

/// What the user did outside the dialogue, in the words that the model is told it in.
fn note(text: &str) -> Option<(NoteKind, String)> {
    if text == text::INTERRUPTED {
        return Some((NoteKind::Interrupted, text.to_owned()));
    }
    if let Some(report) = text::report(text) {
        return Some((NoteKind::TaskReport, report.to_owned()));
    }
    let (command, output) = text::user_shell(text)?;
    Some((NoteKind::UserShell, format!("$ {command}\n{output}")))
}

/// A message of the model: what it thought, said and called, with the results in the same record.
///
/// # Errors
/// When the sink fails.
pub fn model(reader: &mut Reader<'_>, message: &Message<'_>) -> Result<()> {
    reader.step += 1;
    let step = reader.step;
    let parts = Part::list(message.content.or(message.parts));
    let model = native::text(message.model);
    let on_screen: Vec<Call<'_>> =
        native::list(message.tool_calls).into_iter().filter_map(|call| native::object(Some(call))).collect();
    if !parts.iter().any(Part::is_thought) {
        for thought in native::list(message.thoughts) {
            let Some(thought) = native::object::<Thought<'_>>(Some(thought)) else { continue };
            let description = native::text(thought.description).unwrap_or_default();
            let text: Cow<'_, str> = match native::text(thought.subject).filter(|subject| !subject.is_empty())
            {
                Some(subject) => format!("**{subject}** {description}").into(),
                None => description,
            };
            if !text.trim().is_empty() {
                reader.deliver(EventKind::Reasoning { text, opaque: None, step })?;
            }
        }
    }
    let mut words: Vec<Content<'_>> = Vec::new();
    let mut called: Vec<String> = Vec::new();
    for part in &parts {
        if let Some(media) = media(part) {
            words.push(media);
            continue;
        }
        let text = native::text(part.text).filter(|text| !text.is_empty());
        if part.call.is_none() && !part.is_thought() {
            words.extend(text.map(Content::Text));
            continue;
        }
        flush(reader, &mut words, model.as_deref(), step)?;
        if let Some(call) = native::object::<Call<'_>>(part.call) {
            let id = native::text(call.id).unwrap_or_default();
            let shown = on_screen.iter().find(|shown| is_shown_for(shown, &id));
            self::call(reader, &call, shown.and_then(status), step)?;
            called.push(id.into_owned());
        } else if let Some(text) = text {
            let opaque = native::text(part.signature).map(|data| Opaque {
                provider: "google",
                kind: "thoughtSignature",
                data,
            });
            reader.deliver(EventKind::Reasoning { text, opaque, step })?;
        }
    }
    flush(reader, &mut words, model.as_deref(), step)?;
    if called.is_empty() && !parts.iter().any(Part::is_thought) {
        for shown in &on_screen {
            self::call(reader, shown, status(shown), step)?;
            called.push(native::text(shown.id).unwrap_or_default().into_owned());
        }
    }
    for shown in &on_screen {
        let id = native::text(shown.id).unwrap_or_default();
        if called.iter().any(|called| *called == id) {
            results(reader, shown, &id)?;
        }
    }
    Ok(())
}

fn flush(
    reader: &mut Reader<'_>,
    words: &mut Vec<Content<'_>>,
    model: Option<&str>,
    step: u64,
) -> Result<()> {
    let content = std::mem::take(words);
    if content.is_empty() {
        return Ok(());
    }
    reader.deliver(EventKind::Assistant { content, model: model.map(Cow::Borrowed), step })
}

/// Whether what the screen shows is the call of this id: holdall writes it under an id of its own,
/// because the program would take a result from there too.
fn is_shown_for(shown: &Call<'_>, id: &str) -> bool {
    native::text(shown.id)
        .is_some_and(|shown| shown.strip_prefix(super::write::SHOWN).unwrap_or(&shown) == id)
}

fn status(shown: &Call<'_>) -> Option<ToolStatus> {
    match &*native::text(shown.status)? {
        "error" => Some(ToolStatus::Error),
        "cancelled" => Some(ToolStatus::Interrupted),
        _ => None,
    }
}

fn call(reader: &mut Reader<'_>, call: &Call<'_>, status: Option<ToolStatus>, step: u64) -> Result<()> {
    let name = native::text(call.name).unwrap_or_default();
    let native_id = native::text(call.id).unwrap_or_default();
    let input = call.args.map_or(Cow::Borrowed("{}"), native::compact);
    let call_id = reader.calls.begin(&native_id, &name, status);
    reader.deliver(EventKind::ToolCall {
        call_id: call_id.into(),
        tool: tools::kind(&name),
        row: tools::shape(&name, &input),
        name,
        input: ToolInput::Json(input),
        step,
    })
}

/// The result in the record of its call.
fn results(reader: &mut Reader<'_>, shown: &Call<'_>, id: &str) -> Result<()> {
    let Some(result) = shown.result.filter(|_| native::is_true(shown.result)) else { return Ok(()) };
    if result.get().starts_with('"') {
        return deliver(
            reader,
            id,
            &native::text(shown.name).unwrap_or_default(),
            Outcome::of(shown.result),
            Vec::new(),
        );
    }
    let parts = Part::list(Some(result));
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        at += 1;
        let Some(response) = native::object::<Response<'_>>(part.response) else { continue };
        // After a resume, each call of a turn has the results of all of them.
        if native::text(response.id).is_some_and(|other| other != id) {
            continue;
        }
        let more = parts[at..].iter().take_while(|part| part.response.is_none());
        let media: Vec<Content<'_>> = more.filter_map(media).collect();
        answer(reader, &response, media)?;
    }
    Ok(())
}

/// What a tool said, and whether it failed.
struct Outcome<'a> {
    text: Cow<'a, str>,
    failed: bool,
}

impl<'a> Outcome<'a> {
    fn of(response: Any<'a>) -> Self {
        if let Some(text) = native::text(response) {
            return Self { text, failed: false };
        }
        let said = native::object::<Said<'_>>(response).unwrap_or_default();
        let plain = |value: Any<'a>| native::text(value).or_else(|| value.map(|value| value.get().into()));
        match (said.output, said.error) {
            (_, Some(error)) if error.get() != "null" => {
                Self { text: plain(Some(error)).unwrap_or_default(), failed: true }
            }
            (Some(output), _) => Self { text: plain(Some(output)).unwrap_or_default(), failed: false },
            _ => {
                let json = response.map_or("", |response| response.get());
                Self { text: if matches!(json, "{}" | "null") { "" } else { json }.into(), failed: false }
            }
        }
    }
}

fn answer<'a>(reader: &mut Reader<'_>, response: &Response<'a>, mut media: Vec<Content<'a>>) -> Result<()> {
    let id = native::text(response.id).unwrap_or_default();
    let name = native::text(response.name).unwrap_or_default();
    media.extend(Part::list(response.parts).iter().filter_map(self::media));
    deliver(reader, &id, &name, Outcome::of(response.response), media)
}

fn deliver(
    reader: &mut Reader<'_>,
    id: &str,
    name: &str,
    outcome: Outcome<'_>,
    media: Vec<Content<'_>>,
) -> Result<()> {
    let Some(open) = reader.calls.end(id, name) else {
        if !reader.calls.knows(id) {
            reader.notes.add("result.orphan", "a tool result without its call");
        }
        return Ok(());
    };
    let is_shell = tools::kind(&open.name) == ToolKind::Shell;
    let exit_code = if is_shell { text::exit_code(&outcome.text) } else { None };
    let status = if outcome.text.starts_with("[Operation Cancelled]") {
        ToolStatus::Interrupted
    } else if outcome.failed || exit_code.is_some_and(|code| code != 0) {
        open.status.unwrap_or(ToolStatus::Error)
    } else {
        open.status.unwrap_or(ToolStatus::Ok)
    };
    let mut content = Vec::with_capacity(media.len() + 1);
    if !outcome.text.is_empty() {
        content.push(Content::Text(outcome.text));
    }
    content.extend(media);
    reader.deliver(EventKind::ToolResult { call_id: open.id.into(), content, status, exit_code })
}

fn media<'a>(part: &Part<'a>) -> Option<Content<'a>> {
    let blob: Blob<'a> = native::object(part.inline.or(part.file))?;
    let media_type = native::text(blob.media_type).unwrap_or("application/octet-stream".into());
    let data = match native::text(blob.data) {
        Some(data) => MediaData::Base64(data),
        None => MediaData::Url(native::text(blob.uri)?),
    };
    let is_image = media_type.starts_with("image/");
    let media = Media { media_type, data, name: native::text(blob.name) };
    Some(if is_image { Content::Image(media) } else { Content::File(media) })
}
