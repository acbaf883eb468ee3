//! What the parts of a message say, and to whom.
//!
//! opencode 1.18 sends a message of the user as its texts and media, and an answer as its texts,
//! reasoning and calls, each `step-start` part beginning another response. Everything else in a
//! message is for the screen.

use std::borrow::Cow;

use super::super::tools::{self, TOOLS};
use super::native::{Info, Mark, Marks, Part, Providers, Span, State, Text, ToolNotes, loose};
use super::read::Reader;
use super::survey::digest;
use crate::error::Result;
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::{EventKind, NoteKind, Opaque, Part as Piece, ToolKind, ToolStatus, tool};

/// What the program says in the user's name for a command that the user ran by hand.
const BY_HAND: &str = "The following tool was executed by the user";
/// What the program sends for a call that has no result.
const NO_RESULT: &str = "[Tool execution was interrupted]";
/// What the program sends for an output that it took out of the model's sight.
const CLEARED: &str = "[Old tool result content cleared]";

impl Reader<'_> {
    /// A message of the user.
    pub(super) fn user(&mut self, info: &Info<'_>, parts: &[Part<'_>]) -> Result<()> {
        if parts.iter().any(|part| part.is("compaction")) {
            // A question that the program asks its model; the answer to it is the summary.
            return Ok(());
        }
        if let [only] = parts
            && only.text.as_deref() == Some(BY_HAND)
        {
            self.by_hand = Some(digest(&info.id));
            return Ok(());
        }
        // Every file that the user gave has texts around it: what the program read, and how.
        let mentions = parts.iter().filter(|part| part.is("file") && !is_media(part)).count() as u64;
        let has_files = parts.iter().any(|part| part.is("file"));
        self.mentions += mentions;
        let mut content = Vec::new();
        for part in parts {
            match &*part.kind {
                "text" if part.ignored == Some(true) => {}
                "text" if part.synthetic == Some(true) => match note(part) {
                    Some((kind, text)) => {
                        if !content.is_empty() {
                            let content = std::mem::take(&mut content);
                            self.deliver(None, EventKind::User { content })?;
                        }
                        self.deliver(None, EventKind::Note { kind, text: text.into() })?;
                    }
                    None => self.context += u64::from(!has_files),
                },
                "text" => content.extend(part.text.as_deref().filter(|text| !is_blank(text)).map(words)),
                "file" if is_media(part) => match media(part) {
                    Some(piece) => content.push(piece),
                    None => self.mentions += 1,
                },
                // A sub-agent that was not started yet: nothing else says what the user wants.
                "subtask" if !self.survey.is_answered(self.offset()) => {
                    content.extend(part.prompt.as_deref().map(words));
                }
                _ => self.other(part),
            }
        }
        if content.is_empty() {
            return Ok(());
        }
        self.deliver(None, EventKind::User { content })
    }

    /// A message of the model.
    pub(super) fn assistant(&mut self, info: &Info<'_>, parts: &[Part<'_>]) -> Result<()> {
        if info.is_summary() {
            return self.summary(info, parts);
        }
        let by_hand = self.by_hand.take();
        if by_hand.is_some() && by_hand == info.parent.as_deref().map(digest) {
            return parts.iter().filter(|part| part.is("tool")).try_for_each(|part| self.command(part));
        }
        let says = |part: &Part<'_>| !part.is("step-start") && !part.is("reasoning");
        if self.in_model && info.error().is_some() && !(info.is_aborted() && parts.iter().any(says)) {
            if parts.iter().any(|part| part.is("text") || part.is("tool")) {
                let detail = "an answer that ended with an error, which the program does not send either";
                self.notes.add("answer.failed", detail);
            }
            return Ok(());
        }
        self.next_step();
        for response in parts.split(|part| part.is("step-start")) {
            self.response(info, response)?;
            self.next_step();
        }
        Ok(())
    }

    /// The summary of a compaction.
    fn summary(&mut self, info: &Info<'_>, parts: &[Part<'_>]) -> Result<()> {
        let texts: Vec<&str> =
            parts.iter().filter(|part| part.is("text")).filter_map(|part| part.text.as_deref()).collect();
        let text = texts.join("\n");
        if is_blank(&text) || info.error().is_some() {
            return Ok(());
        }
        if self.survey.is_summary(self.offset(), self.in_model) {
            return self.deliver(None, EventKind::Summary { text: text.into() });
        }
        if !info.is_finished() {
            self.notes.add("compaction.unfinished", "a compaction did not come to its end");
            return Ok(());
        }
        self.next_step();
        let (step, model) = (self.step(), model(info));
        self.deliver(None, EventKind::Assistant { content: vec![words(&text)], model, step })
    }

    /// One response of the model: what it said, then how its calls went.
    fn response(&mut self, info: &Info<'_>, parts: &[Part<'_>]) -> Result<()> {
        let mut calls = Vec::new();
        for part in parts {
            match &*part.kind {
                "text" => {
                    let Some(text) = part.text.as_deref().filter(|text| !is_blank(text)) else { continue };
                    let (step, model) = (self.step(), model(info));
                    let content = vec![words(text)];
                    self.deliver(span(part).start, EventKind::Assistant { content, model, step })?;
                }
                "reasoning" => self.reasoning(part)?,
                "tool" => {
                    let Some(state) = state(part) else {
                        self.notes.add("record.broken", "a part of a message is damaged and was left out");
                        continue;
                    };
                    let id = self.call(part, &state)?;
                    calls.push((id, state));
                }
                _ => self.other(part),
            }
        }
        calls.into_iter().try_for_each(|(id, state)| self.result(id, &state))
    }

    fn reasoning(&mut self, part: &Part<'_>) -> Result<()> {
        let text = part.text.as_deref().unwrap_or_default();
        let providers: Providers<'_> = loose(part.metadata);
        let opaque = opaque(&providers);
        if is_blank(text) && opaque.is_none() {
            return Ok(());
        }
        let step = self.step();
        self.deliver(span(part).start, EventKind::Reasoning { text: text.into(), opaque, step })
    }

    fn call(&mut self, part: &Part<'_>, state: &State<'_>) -> Result<String> {
        let name = part.tool.as_deref().unwrap_or_default();
        let input = state.input.map_or("{}", |input| input.get());
        let row = tool::find(TOOLS, name);
        let id = self.call_id(part.call_id.as_deref().unwrap_or_default());
        let call = EventKind::ToolCall {
            call_id: Cow::Borrowed(&id),
            tool: row.map_or(ToolKind::Other, |row| row.kind),
            row: row.and_then(|row| tools::shape(row, input)),
            name: name.into(),
            input: ToolInput::Json(input.into()),
            step: self.step(),
        };
        self.deliver(loose::<Span>(state.time).start, call)?;
        Ok(id)
    }

    fn result(&mut self, id: String, state: &State<'_>) -> Result<()> {
        let notes: ToolNotes<'_> = loose(state.metadata);
        let span: Span = loose(state.time);
        // What a compaction hides can be carried whole.
        let cleared = span.compacted.is_some() && self.in_model;
        let (text, status) = outcome(state, &notes, cleared);
        let mut content = vec![words(text)];
        if !cleared && &*state.status == "completed" {
            let attached = state.attachments.iter().flatten();
            content.extend(attached.filter(|part| part.is("file")).filter_map(media));
        }
        if text.is_empty() && content.len() > 1 {
            content.remove(0);
        }
        let exit_code = notes.exit;
        self.deliver(span.end, EventKind::ToolResult { call_id: id.into(), content, status, exit_code })
    }

    /// A command that the user ran by hand.
    fn command(&mut self, part: &Part<'_>) -> Result<()> {
        #[derive(serde::Deserialize, Default)]
        #[serde(default)]
        struct Input<'a> {
            #[serde(borrow)]
            command: Option<Text<'a>>,
        }
        let Some(state) = state(part) else { return Ok(()) };
        let input: Input<'_> = loose(state.input);
        let notes: ToolNotes<'_> = loose(state.metadata);
        let (output, _) = outcome(&state, &notes, false);
        let command = input.command.as_deref().unwrap_or_default();
        let text = format!("$ {command}\n{output}");
        let text = text.trim_end_matches('\n').to_owned();
        self.deliver(None, EventKind::Note { kind: NoteKind::UserShell, text: text.into() })
    }

    /// A part that the model does not get.
    fn other(&mut self, part: &Part<'_>) {
        const KNOWN: [&str; 9] = [
            "step-start",
            "step-finish",
            "snapshot",
            "patch",
            "agent",
            "retry",
            "subtask",
            "compaction",
            "file",
        ];
        if !KNOWN.contains(&&*part.kind) {
            self.notes.add("record.unknown", format!("parts of the unknown type {:?}", &*part.kind));
        }
    }
}

/// What the model gets as the result of a call, and how the call went.
fn outcome<'s>(state: &'s State<'_>, notes: &'s ToolNotes<'_>, cleared: bool) -> (&'s str, ToolStatus) {
    let output = state.output.as_deref().unwrap_or_default();
    match &*state.status {
        "completed" if cleared => (CLEARED, ToolStatus::Ok),
        "completed" => (output, ToolStatus::Ok),
        "error" => {
            let interrupted = notes.interrupted == Some(true);
            let text = notes.output.as_deref().filter(|_| interrupted).or(state.error.as_deref());
            let status = if interrupted { ToolStatus::Interrupted } else { ToolStatus::Error };
            (text.unwrap_or_default(), status)
        }
        _ => (NO_RESULT, ToolStatus::Interrupted),
    }
}

/// What holdall wrote of another program's session and marked: nobody typed it, and it is no context.
fn note<'p>(part: &'p Part<'_>) -> Option<(NoteKind, &'p str)> {
    let Marks { holdall: Some(Mark { note }) } = loose(part.metadata) else { return None };
    let kind = match &*note {
        "interrupted" => NoteKind::Interrupted,
        "task-report" => NoteKind::TaskReport,
        _ => return None,
    };
    Some((kind, part.text.as_deref()?))
}

fn state<'a>(part: &Part<'a>) -> Option<State<'a>> {
    serde_json::from_str(part.state?.get()).ok()
}

fn span(part: &Part<'_>) -> Span {
    loose(part.time)
}

/// The model of an answer, as the program's command line has it: `provider/model`.
fn model(info: &Info<'_>) -> Option<Cow<'static, str>> {
    let model = info.model.as_deref()?;
    Some(Cow::Owned(match info.provider.as_deref() {
        Some(provider) => format!("{provider}/{model}"),
        None => model.to_owned(),
    }))
}

fn words(text: &str) -> Piece<'_> {
    Piece::Text(Cow::Borrowed(text))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Whether the program sends a file as one. The others stand in the prompt as text.
fn is_media(part: &Part<'_>) -> bool {
    !matches!(part.mime.as_deref().unwrap_or_default(), "text/plain" | "application/x-directory")
}

/// A file as a piece of content; `None` when it is only on the disk.
fn media<'p>(part: &'p Part<'_>) -> Option<Piece<'p>> {
    let url = part.url.as_deref()?;
    let mime = part.mime.as_deref().unwrap_or("application/octet-stream");
    let data = match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((_, data)) => MediaData::Base64(data.into()),
        None if url.starts_with("file:") => return None,
        None => MediaData::Url(url.into()),
    };
    let media = Media { media_type: mime.into(), data, name: part.filename.as_deref().map(Cow::Borrowed) };
    Some(if mime.starts_with("image/") { Piece::Image(media) } else { Piece::File(media) })
}

fn opaque<'p>(providers: &'p Providers<'_>) -> Option<Opaque<'p>> {
    let anthropic = providers.anthropic.as_ref();
    let signature =
        anthropic.and_then(|own| own.signature.as_deref()).map(|data| ("anthropic", "signature", data));
    let redacted = || Some(("anthropic", "redacted", anthropic?.redacted_data.as_deref()?));
    let encrypted = || {
        Some((
            "openai",
            "encrypted_content",
            providers.openai.as_ref()?.reasoning_encrypted_content.as_deref()?,
        ))
    };
    let (provider, kind, data) = signature.or_else(redacted).or_else(encrypted)?;
    Some(Opaque { provider, kind, data: data.into() })
}
