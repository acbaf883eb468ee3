//! A session of another harness as a rollout.
//!
//! Each thing is written for the model (a response item) and, where the screen shows it, for the
//! screen (an event). Without the event of a prompt Codex would never list the session; without the
//! item the model would never see it.

use std::borrow::Cow;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::config::Providers;
use super::emit::{self, Compacted, Content, Git, Item, Origin, Output, UiEvent, Url};
use super::filter::SUMMARY_PREFIX;
use super::names::Names;
use super::wording::{document, images, joined, mark, picture, shell};
use super::{locate, place, tools};
use crate::error::{IoContext, Result};
use crate::harness::common::arguments;
use crate::harness::{Target, TranscriptWriter};
use crate::model::event::ToolInput;
use crate::model::tool::{self, ToolName};
use crate::model::{
    Agent, Event, EventKind, Fidelity, Item as Counted, NoteKind, Part, Sink, Time, ToolStatus, time,
};

/// Results wait for the other calls of their step; not more than so many bytes of them.
const WAITING: usize = 8 << 20;

/// Writes one transcript.
pub struct Writer<'a> {
    target: &'a Target<'a>,
    agent: bool,
    cwd: String,
    out: BufWriter<&'a mut dyn Write>,
    fidelity: Fidelity,
    names: Names,
    /// Written results that wait for the other calls of their step.
    waiting: Vec<u8>,
    step: Option<u64>,
    now: Time,
    turn: Option<Turn>,
    turns: u64,
    prompted: bool,
    /// Something out of the model's sight was written, and nothing yet that hides it.
    hiding: bool,
    /// Something was taken out of the model's sight.
    compacted: bool,
}

struct Turn {
    id: String,
    started: i64,
    last_message: Option<String>,
}

impl<'a> Writer<'a> {
    /// Writes the first record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(target: &'a Target<'a>, agent: Option<&'a Agent>, out: &'a mut dyn Write) -> Result<Self> {
        let mut writer = Self {
            target,
            agent: agent.is_some(),
            cwd: place::cwd(target),
            out: BufWriter::with_capacity(64 << 10, out),
            fidelity: Fidelity::default(),
            names: Names::default(),
            waiting: Vec::new(),
            step: None,
            now: place::created(target),
            turn: None,
            turns: 0,
            prompted: false,
            hiding: false,
            compacted: false,
        };
        writer.meta(agent)?;
        Ok(writer)
    }

    fn meta(&mut self, agent: Option<&Agent>) -> Result<()> {
        let root = self.target.id;
        let child = agent.map(|agent| place::converted_child(root, &agent.id));
        let created = time::rfc3339(self.now);
        let providers = Providers::of(&locate::home(self.target.env));
        let spawn = agent.map(|agent| emit::ThreadSpawn {
            parent_thread_id: root,
            depth: 1,
            agent_path: None,
            agent_nickname: agent.title.as_deref(),
            agent_role: agent.kind.as_deref(),
        });
        let meta = emit::SessionMeta {
            session_id: root,
            id: child.as_deref().unwrap_or(root),
            parent_thread_id: agent.map(|_| root),
            timestamp: &created,
            cwd: &self.cwd,
            originator: "holdall",
            cli_version: super::INFO.tested,
            thread_source: if agent.is_some() { "subagent" } else { "user" },
            agent_nickname: agent.and_then(|agent| agent.title.as_deref()),
            agent_role: agent.and_then(|agent| agent.kind.as_deref()),
            source: spawn.map_or(Origin::Cli, |thread_spawn| Origin::Subagent(emit::Spawn { thread_spawn })),
            model_provider: &providers.effective,
            git: self.target.source.git.as_ref().map(|git| Git {
                commit_hash: git.commit.as_deref(),
                branch: git.branch.as_deref(),
                repository_url: git.remote.as_deref(),
            }),
        };
        emit::line(&mut self.out, &created, "session_meta", meta).at("write", Path::new(self.target.id))
    }

    fn line(&mut self, kind: &'static str, payload: impl serde::Serialize) -> Result<()> {
        let timestamp = time::rfc3339(self.now);
        emit::line(&mut self.out, &timestamp, kind, payload).at("write", Path::new(self.target.id))
    }

    fn item(&mut self, item: &Item<'_>) -> Result<()> {
        self.line("response_item", item)
    }

    fn show(&mut self, event: &UiEvent<'_>) -> Result<()> {
        self.line("event_msg", event)
    }

    fn begin_turn(&mut self) -> Result<()> {
        if self.turn.is_some() {
            return Ok(());
        }
        self.turns += 1;
        let turn =
            Turn { id: format!("turn-{}", self.turns), started: self.now.timestamp(), last_message: None };
        self.show(&UiEvent::TaskStarted {
            turn_id: &turn.id,
            started_at: turn.started,
            model_context_window: None,
            collaboration_mode_kind: "default",
        })?;
        if let Some(model) = self.target.options.model.as_deref() {
            let cwd = self.cwd.clone();
            self.line(
                "turn_context",
                emit::TurnContext {
                    turn_id: &turn.id,
                    cwd: &cwd,
                    approval_policy: "on-request",
                    sandbox_policy: emit::SandboxPolicy { kind: "read-only" },
                    model,
                    summary: "auto",
                },
            )?;
        }
        self.turn = Some(turn);
        Ok(())
    }

    fn end_turn(&mut self) -> Result<()> {
        let Some(turn) = self.turn.take() else { return Ok(()) };
        self.show(&UiEvent::TaskComplete {
            turn_id: &turn.id,
            last_agent_message: turn.last_message.as_deref(),
            started_at: turn.started,
            completed_at: self.now.timestamp(),
        })
    }

    /// Writes the results that waited.
    fn flush(&mut self) -> Result<()> {
        self.out.write_all(&self.waiting).at("write", Path::new(self.target.id))?;
        self.waiting.clear();
        Ok(())
    }

    /// The assistant goes on: with the model response it was in, or with another one.
    fn enter(&mut self, step: u64) -> Result<()> {
        if self.step != Some(step) {
            self.flush()?;
            self.step = Some(step);
        }
        self.begin_turn()
    }

    fn leave(&mut self) -> Result<()> {
        self.step = None;
        self.flush()
    }

    fn user(&mut self, content: &[Part<'_>], in_model: bool) -> Result<()> {
        let notes: Vec<Option<String>> = content.iter().map(document).collect();
        let parts: Vec<Content<'_>> = content
            .iter()
            .zip(&notes)
            .filter_map(|(part, note)| match (part, note) {
                (Part::Text(text), _) if text.is_empty() => None,
                (Part::Text(text), _) => Some(Content::InputText { text }),
                (Part::Image(media), _) => Some(Content::InputImage { image_url: Url(media) }),
                (Part::File(_), note) => {
                    Some(Content::InputText { text: note.as_deref().unwrap_or_default() })
                }
            })
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        self.end_turn()?;
        self.begin_turn()?;
        self.item(&Item::Message { role: "user", content: &parts })?;
        let message = joined(&parts);
        let images = images(content).map(Url).collect();
        self.show(&UiEvent::UserMessage { message: &message, images, local_images: [], text_elements: [] })?;
        self.prompted = true;
        if in_model {
            self.fidelity.kept(Counted::User);
            self.count_media(content);
        }
        Ok(())
    }

    fn assistant(&mut self, content: &[Part<'_>], in_model: bool) -> Result<()> {
        let notes: Vec<Option<String>> = content.iter().map(picture).collect();
        let parts: Vec<Content<'_>> = content
            .iter()
            .zip(&notes)
            .filter_map(|(part, note)| match (part, note) {
                (Part::Text(text), _) if text.is_empty() => None,
                (Part::Text(text), _) => Some(Content::OutputText { text }),
                (_, note) => note.as_deref().map(|text| Content::OutputText { text }),
            })
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let message = joined(&parts);
        self.item(&Item::Message { role: "assistant", content: &parts })?;
        self.show(&UiEvent::AgentMessage { message: &message })?;
        if let Some(turn) = &mut self.turn {
            turn.last_message = Some(message);
        }
        if in_model {
            self.fidelity.kept(Counted::Assistant);
            for _ in notes.iter().flatten() {
                self.fidelity.dropped(
                    Counted::Image,
                    "image.assistant",
                    "Codex has no images in what the assistant says; a line of text says that there was one",
                );
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, text: &str, in_model: bool) -> Result<()> {
        if !text.trim().is_empty() {
            self.show(&UiEvent::AgentReasoning { text })?;
        }
        if in_model {
            self.fidelity.dropped(
                Counted::Reasoning,
                "reasoning.not-sent",
                "a model takes only reasoning that its own provider signed; Codex shows the text, but does not send it",
            );
        }
        Ok(())
    }

    fn call(
        &mut self,
        call_id: &str,
        name: &str,
        row: Option<&'static ToolName>,
        input: &ToolInput<'_>,
        in_model: bool,
    ) -> Result<()> {
        let text = match input {
            ToolInput::Text(text) => Some(Cow::Borrowed(&**text)),
            ToolInput::Json(arguments) => tools::free_text(name, arguments),
        };
        let id = self.names.begin(call_id, text.is_some());
        match (&text, input) {
            (Some(input), _) => {
                let name = self.names.tool(name);
                self.item(&Item::CustomToolCall { status: "completed", call_id: &id, name: &name, input })?;
            }
            (None, ToolInput::Json(arguments) | ToolInput::Text(arguments)) => {
                let own = row.and_then(|row| tool::counterpart(tools::TABLE, row).map(|own| (row, own)));
                let renamed =
                    own.and_then(|(row, own)| Some((own.native, arguments::rename(arguments, row, own)?)));
                match &renamed {
                    Some((name, arguments)) => {
                        self.item(&Item::FunctionCall { name, arguments, call_id: &id })?;
                    }
                    None => {
                        let name = self.names.tool(name);
                        self.item(&Item::FunctionCall { name: &name, arguments, call_id: &id })?;
                    }
                }
            }
        }
        if in_model {
            self.fidelity.kept(Counted::ToolCall);
        }
        Ok(())
    }

    fn result(
        &mut self,
        call_id: &str,
        content: &[Part<'_>],
        status: ToolStatus,
        exit_code: Option<i32>,
        in_model: bool,
    ) -> Result<()> {
        let Some(call) = self.names.end(call_id) else {
            if in_model {
                self.fidelity.dropped(
                    Counted::ToolResult,
                    "result.orphan",
                    "a tool result without its call; Codex does not send such a result",
                );
            }
            return Ok(());
        };
        let notes: Vec<Option<String>> = content.iter().map(document).collect();
        let mark = mark(content, status, exit_code);
        let mut parts: Vec<Content<'_>> = Vec::with_capacity(content.len() + 1);
        let marked = match (content.first(), &mark) {
            (Some(Part::Text(text)), Some(mark)) => Some(format!("{mark}{text}")),
            (_, Some(mark)) => Some(mark.trim_end().to_owned()),
            (_, None) => None,
        };
        let replaced = usize::from(marked.is_some() && matches!(content.first(), Some(Part::Text(_))));
        parts.extend(marked.as_deref().map(|text| Content::InputText { text }));
        parts.extend(content.iter().zip(&notes).skip(replaced).map(|(part, note)| match (part, note) {
            (Part::Text(text), _) => Content::InputText { text },
            (Part::Image(media), _) => Content::InputImage { image_url: Url(media) },
            (Part::File(_), note) => Content::InputText { text: note.as_deref().unwrap_or_default() },
        }));
        let output = match parts.as_slice() {
            [] => Output::Text(""),
            [Content::InputText { text }] => Output::Text(text),
            parts => Output::Parts(parts),
        };
        let call_id = &call.id;
        let item = match call.custom {
            true => Item::CustomToolCallOutput { call_id, output },
            false => Item::FunctionCallOutput { call_id, output },
        };
        let timestamp = time::rfc3339(self.now);
        if parts.iter().map(Content::len).sum::<usize>() > WAITING {
            // Too much to wait, and too much to be held once more.
            self.out.write_all(&self.waiting).at("write", Path::new(self.target.id))?;
            self.waiting.clear();
            emit::line(&mut self.out, &timestamp, "response_item", &item)
        } else {
            emit::line(&mut self.waiting, &timestamp, "response_item", &item)
        }
        .at("write", Path::new(self.target.id))?;
        if self.waiting.len() > WAITING {
            self.flush()?;
        }
        if in_model {
            self.fidelity.kept(Counted::ToolResult);
            self.count_media(content);
        }
        if mark.is_some() {
            self.fidelity.notes.add(
                "result.marked",
                "Codex has no flag for a failed call, so the text of the result says it",
            );
        }
        Ok(())
    }

    fn summary(&mut self, text: &str) -> Result<()> {
        self.leave()?;
        self.end_turn()?;
        let message = format!("{SUMMARY_PREFIX}\n{text}");
        if self.compacted && !self.hiding {
            // What the compaction kept came before the summary, and stays.
            return self
                .item(&Item::Message { role: "user", content: &[Content::InputText { text: &message }] });
        }
        self.compact(&message, &[Content::InputText { text: &message }])
    }

    /// Takes all that was written out of the model's sight.
    fn compact(&mut self, message: &str, content: &[Content<'_>]) -> Result<()> {
        self.hiding = false;
        self.compacted = true;
        self.names.forget();
        let summary = [Item::Message { role: "user", content }];
        let replacement_history = if content.is_empty() { &[] } else { summary.as_slice() };
        self.line("compacted", Compacted { message, replacement_history })
    }

    /// Told to the model as Codex tells it, without an event: it is no prompt.
    fn note(&mut self, kind: NoteKind, text: &str) -> Result<()> {
        self.leave()?;
        self.begin_turn()?;
        let text = match kind {
            NoteKind::UserShell => shell(text),
            NoteKind::Interrupted => format!("<turn_aborted>\n{text}\n</turn_aborted>"),
            NoteKind::TaskReport => format!("<subagent_notification>\n{text}\n</subagent_notification>"),
        };
        self.item(&Item::Message { role: "user", content: &[Content::InputText { text: &text }] })?;
        if kind == NoteKind::Interrupted
            && let Some(turn) = self.turn.take()
        {
            self.show(&UiEvent::TurnAborted { turn_id: &turn.id, reason: "interrupted" })?;
        }
        Ok(())
    }

    fn count_media(&mut self, content: &[Part<'_>]) {
        for part in content {
            match part {
                Part::Text(_) => {}
                Part::Image(_) => self.fidelity.kept(Counted::Image),
                Part::File(_) => self.fidelity.dropped(
                    Counted::Image,
                    "document.dropped",
                    "Codex holds no documents; a line of text says that there was one",
                ),
            }
        }
    }
}

impl Sink for Writer<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.now = event.time.unwrap_or(self.now);
        if event.in_model && self.hiding && !matches!(event.kind, EventKind::Summary { .. }) {
            self.leave()?;
            self.compact("", &[])?;
        }
        self.hiding |= !event.in_model;
        let in_model = event.in_model;
        match event.kind {
            EventKind::User { content } => {
                self.leave()?;
                self.user(&content, in_model)
            }
            EventKind::Assistant { content, step, .. } => {
                self.enter(step)?;
                self.flush()?;
                self.assistant(&content, in_model)
            }
            EventKind::Reasoning { text, step, .. } => {
                self.enter(step)?;
                self.reasoning(&text, in_model)
            }
            EventKind::ToolCall { call_id, name, row, input, step, .. } => {
                self.enter(step)?;
                self.call(&call_id, &name, row, &input, in_model)
            }
            EventKind::ToolResult { call_id, content, status, exit_code } => {
                self.result(&call_id, &content, status, exit_code, in_model)
            }
            EventKind::Summary { text } => self.summary(&text),
            EventKind::Note { kind, text } => self.note(kind, &text),
        }
    }
}

impl TranscriptWriter for Writer<'_> {
    fn finish(mut self: Box<Self>) -> Result<Fidelity> {
        self.leave()?;
        if self.hiding {
            self.compact("", &[])?;
        }
        if !self.prompted && !self.agent {
            let message = self.target.source.title.as_deref().unwrap_or("Session without a prompt");
            self.show(&UiEvent::UserMessage {
                message,
                images: Vec::new(),
                local_images: [],
                text_elements: [],
            })?;
            self.fidelity.notes.add(
                "prompt.none",
                "Codex lists only sessions with a prompt, so its list shows a line that the model does not get",
            );
        }
        self.end_turn()?;
        self.fidelity.notes.add_many(
            "call.unanswered",
            self.names.open(),
            "Codex tells its model that a call without a result was aborted",
        );
        self.fidelity.notes.add_many(
            "tool.renamed",
            self.names.renamed(),
            "a tool's name has characters that Codex's provider does not take",
        );
        self.out.flush().at("write", Path::new(self.target.id))?;
        Ok(self.fidelity)
    }
}
