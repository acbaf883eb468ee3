//! Response items as events: what the user and the model said, and what tools were called.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::filter::{self, Said};
use super::native::{
    AgentMessage, CallOutput, Content, CustomToolCall, FunctionCall, HostedCall, Message, Output, Reasoning,
};
use super::read::{Outcome, Reader, Source};
use super::{status, tools};
use crate::model::event::{Media, MediaData, ToolInput};
use crate::model::tool::ToolName;
use crate::model::{EventKind, NoteKind, Opaque, Part, ToolStatus};

/// When a compaction names no items, Codex keeps the user's texts before it, the newest first, up
/// to 20,000 tokens of four bytes.
const KEPT_TEXT: usize = 80_000;

impl Reader<'_> {
    /// A response item: one thing that the model gets to see.
    pub(super) fn item(&mut self, kind: &str, source: Source<'_>) -> Outcome {
        if self.muted && kind != "message" {
            return Ok(());
        }
        match kind {
            "message" => {
                let (message, is_summary) = self.parse(source)?;
                self.message(message, is_summary)
            }
            "reasoning" => {
                let (reasoning, _) = self.parse(source)?;
                self.reasoning(reasoning)
            }
            "function_call" => {
                let (call, _) = self.parse::<FunctionCall<'_>>(source)?;
                let name = match &call.namespace {
                    Some(server) if server.starts_with("mcp__") => {
                        Cow::Owned(format!("{}__{}", server.trim_end_matches('_'), &*call.name))
                    }
                    _ => call.name.0,
                };
                let row = tools::shape(&name, &call.arguments);
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok();
                let input = if is_json {
                    ToolInput::Json(call.arguments.0)
                } else {
                    ToolInput::Text(call.arguments.0)
                };
                self.call(&call.call_id, name, row, input)
            }
            "custom_tool_call" => {
                let (call, _) = self.parse::<CustomToolCall<'_>>(source)?;
                self.call(&call.call_id, call.name.0, None, ToolInput::Text(call.input.0))
            }
            "function_call_output" | "custom_tool_call_output" => {
                let (output, _) = self.parse::<CallOutput<'_>>(source)?;
                let content = match output.output {
                    Output::Text(text) => vec![Part::Text(text)],
                    Output::Parts(parts) => parts.into_iter().filter_map(filter::part).collect(),
                };
                self.output(&output.call_id, content)
            }
            "local_shell_call"
            | "web_search_call"
            | "image_generation_call"
            | "tool_search_call"
            | "tool_search_output" => {
                let (call, _) = self.parse(source)?;
                self.hosted(kind, call)
            }
            "agent_message" => {
                let (message, _) = self.parse(source)?;
                self.agent_message(message)
            }
            "additional_tools"
            | "ghost_snapshot"
            | "compaction"
            | "compaction_summary"
            | "context_compaction"
            | "compaction_trigger"
            | "configuration_update"
            | "other" => Ok(()),
            _ => {
                self.notes.add("record.unknown", format!("response items of the unknown type {kind:?}"));
                Ok(())
            }
        }
    }

    fn message(&mut self, message: Message<'_>, is_summary: bool) -> Outcome {
        match &*message.role {
            "user" => match filter::said(message, &self.survey.prompts) {
                Said::User(content) => {
                    self.step_over = true;
                    self.per_request = false;
                    if !self.in_model {
                        self.keep(&content);
                    }
                    self.deliver(EventKind::User { content })
                }
                Said::Note(kind, text) => {
                    self.told_of_abort |= kind == NoteKind::Interrupted;
                    self.deliver(EventKind::Note { kind, text: text.into() })
                }
                Said::Summary(_) if self.muted => Ok(()),
                Said::Summary(text) => self.summary(&text),
                Said::Injected => Ok(()),
            },
            "assistant" if !self.muted && !is_summary => {
                let content: Vec<Part<'_>> = message.content.into_iter().filter_map(filter::part).collect();
                let is_empty = |part: &Part<'_>| matches!(part, Part::Text(text) if text.is_empty());
                let is_summary = |part: &Part<'_>| {
                    matches!(part, Part::Text(text) if !self.survey.summaries.is_empty()
                        && self.survey.summaries.contains(&filter::digest(text)))
                };
                if content.iter().all(is_empty) || content.iter().any(is_summary) {
                    return Ok(());
                }
                let (model, step) = (self.model.clone().map(Cow::Owned), self.next_step());
                self.deliver(EventKind::Assistant { content, model, step })
            }
            _ => Ok(()),
        }
    }

    /// Remembers what a compaction that names no items will keep.
    fn keep(&mut self, content: &[Part<'_>]) {
        let names_none = self.survey.compaction.as_ref().is_some_and(|compaction| !compaction.replaces);
        if !names_none {
            return;
        }
        for part in content {
            if let Part::Text(text) = part {
                self.kept_bytes += text.len();
                self.kept.push_back(text.clone().into_owned());
            }
        }
        while let Some(oldest) = self.kept.front()
            && self.kept_bytes - oldest.len() >= KEPT_TEXT
        {
            self.kept_bytes -= oldest.len();
            self.kept.pop_front();
        }
    }

    fn reasoning(&mut self, reasoning: Reasoning<'_>) -> Outcome {
        let parts = reasoning.summary.into_iter().chain(reasoning.content.unwrap_or_default());
        let mut texts: Vec<Cow<'_, str>> =
            parts.filter_map(|part: Content<'_>| part.text).map(|text| text.0).collect();
        let text = if texts.len() == 1 { texts.remove(0) } else { Cow::Owned(texts.join("\n\n")) };
        let opaque = reasoning.encrypted_content.map(|data| Opaque {
            provider: "openai",
            kind: "encrypted_content",
            data: data.0,
        });
        if text.is_empty() && opaque.is_none() {
            return Ok(());
        }
        let step = self.next_step();
        self.deliver(EventKind::Reasoning { text, opaque, step })
    }

    fn call(
        &mut self,
        call_id: &str,
        name: Cow<'_, str>,
        row: Option<&'static ToolName>,
        input: ToolInput<'_>,
    ) -> Outcome {
        let step = self.next_step();
        let tool = tools::kind(&name);
        let call_id = self.calls.begin(call_id, &*name == "exec");
        self.deliver(EventKind::ToolCall { call_id: call_id.into(), tool, row, name, input, step })
    }

    fn output(&mut self, call_id: &str, content: Vec<Part<'_>>) -> Outcome {
        let Some(call) = self.calls.end(call_id) else {
            self.notes
                .add("result.orphan", "a tool result without its call, which Codex does not send either");
            return Ok(());
        };
        let first = content.iter().find_map(|part| match part {
            Part::Text(text) => Some(&**text),
            _ => None,
        });
        let (status, exit_code) = status::judge(first.unwrap_or_default(), call.recorded());
        self.step_over |= !self.per_request;
        self.deliver(EventKind::ToolResult { call_id: call.id.into(), content, status, exit_code })
    }

    /// Calls that the provider carries out itself have no output item: their status is the result.
    fn hosted(&mut self, kind: &str, call: HostedCall<'_>) -> Outcome {
        let native_id = call.call_id.or(call.id).map(|id| id.0).unwrap_or_default();
        let json = |value: Option<&'_ RawValue>| value.map_or("{}", RawValue::get).to_owned();
        let (name, input) = match kind {
            "local_shell_call" => ("local_shell", json(call.action)),
            "tool_search_call" => ("tool_search", json(call.arguments)),
            "tool_search_output" => {
                return self.output(&native_id, vec![Part::Text(json(call.tools).into())]);
            }
            "web_search_call" => ("web_search", json(call.action)),
            _ => (
                "image_generation",
                format!("{{\"prompt\":{}}}", call.revised_prompt.map_or("null", RawValue::get)),
            ),
        };
        self.call(&native_id, name.into(), None, ToolInput::Json(input.into()))?;
        if matches!(kind, "local_shell_call" | "tool_search_call") {
            return Ok(());
        }
        let Some(open) = self.calls.end(&native_id) else { return Ok(()) };
        let state = call.status.map(|status| status.0).unwrap_or_default();
        let status = if state == "failed" { ToolStatus::Error } else { ToolStatus::Ok };
        let content = match call.result {
            Some(data) => vec![Part::Image(Media {
                media_type: "image/png".into(),
                data: MediaData::Base64(data.0),
                name: None,
            })],
            None => vec![Part::Text(state)],
        };
        self.deliver(EventKind::ToolResult { call_id: open.id.into(), content, status, exit_code: None })
    }

    /// A message to an agent from the one that started it is a prompt; any other is a report.
    fn agent_message(&mut self, message: AgentMessage<'_>) -> Outcome {
        let is_prompt =
            message.recipient.strip_prefix(&*message.author).is_some_and(|rest| rest.starts_with('/'));
        let hidden = message.content.iter().filter(|part| part.text.is_none()).count();
        self.notes.add_many(
            "text.encrypted",
            hidden as u64,
            "a message between agents that only the provider can read",
        );
        let content: Vec<Part<'_>> = message.content.into_iter().filter_map(filter::part).collect();
        if content.is_empty() {
            return Ok(());
        }
        self.step_over = true;
        if is_prompt {
            return self.deliver(EventKind::User { content });
        }
        let texts: Vec<&str> = content
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(&**text),
                _ => None,
            })
            .collect();
        self.deliver(EventKind::Note { kind: NoteKind::TaskReport, text: texts.join("\n").into() })
    }
}
