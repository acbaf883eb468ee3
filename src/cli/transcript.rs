//! A session as a readable transcript, on a terminal or as Markdown.
//!
//! What was said is shown whole; tool calls are folded to a line each, their results to a few lines,
//! unless everything is asked for.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use super::text;
use super::ui::{BAD, FAINT, STRONG, USER, WARNING};
use crate::env::Env;
use crate::error::{IoContext, Result};
use crate::model::event::{MediaData, ToolInput};
use crate::model::{Agent, Event, EventKind, NoteKind, Part, Sink, ToolStatus};
use crate::ops::select::Selected;
use crate::ops::show::Viewer;

/// Columns of a folded tool call.
const CALL_WIDTH: usize = 100;
/// Lines of a folded result.
const RESULT_LINES: usize = 3;

/// What it is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A terminal; colours go away when it is none.
    Terminal,
    /// A Markdown file.
    Markdown,
}

/// Writes a transcript.
pub struct Transcript<W> {
    out: W,
    style: Style,
    full: bool,
    speaker: Option<&'static str>,
    was_history: bool,
    /// Calls that have no result yet: their id and their tool's name.
    open_calls: Vec<(String, String)>,
}

impl<W: Write> Transcript<W> {
    /// Writes to `out`; `full`: folds nothing.
    pub fn new(out: W, style: Style, full: bool) -> Self {
        Self { out, style, full, speaker: None, was_history: false, open_calls: Vec::new() }
    }

    /// Writes what is known of the session.
    pub fn head(&mut self, env: &Env, selected: &Selected) -> Result<()> {
        let head = &selected.head;
        let title = head.title.as_deref().unwrap_or("(no title)");
        let home = env.home().to_string_lossy();
        let mut facts = vec![format!("{} {}", selected.harness.info().name, head.id)];
        facts.extend(head.cwd.as_deref().map(|cwd| text::fold_home(cwd, &home)));
        facts.extend(
            head.git.as_ref().and_then(|git| git.branch.clone()).map(|branch| format!("branch {branch}")),
        );
        facts.extend(head.model.clone());
        facts.extend(head.updated.map(|time| text::ago(time, env.now())));
        let facts = text::line(&facts.join(" · ")).into_owned();
        let title = text::line(title).into_owned();
        self.write(|out, style| match style {
            Style::Terminal => writeln!(out, "{STRONG}{title}{STRONG:#}\n{FAINT}{facts}{FAINT:#}"),
            Style::Markdown => writeln!(out, "# {title}\n\n{facts}"),
        })
    }

    /// Hands the output back.
    pub fn end(self) -> Result<W> {
        Ok(self.out)
    }

    fn write(&mut self, write: impl FnOnce(&mut W, Style) -> io::Result<()>) -> Result<()> {
        write(&mut self.out, self.style).at("write", Path::new("standard output"))
    }

    /// A heading, when somebody else begins to speak.
    fn speaker(&mut self, name: &'static str) -> Result<()> {
        if self.speaker == Some(name) {
            return self.write(|out, _| writeln!(out));
        }
        self.speaker = Some(name);
        self.write(|out, style| match style {
            Style::Terminal if name == "You" => writeln!(out, "\n{USER}{name}{USER:#}"),
            Style::Terminal => writeln!(out, "\n{STRONG}{name}{STRONG:#}"),
            Style::Markdown => writeln!(out, "\n## {name}\n"),
        })
    }

    fn said(&mut self, name: &'static str, content: &[Part<'_>]) -> Result<()> {
        self.speaker(name)?;
        for part in content {
            let line = describe(part);
            self.write(|out, _| writeln!(out, "{line}"))?;
        }
        Ok(())
    }

    fn call(&mut self, id: &str, name: &str, input: &ToolInput<'_>) -> Result<()> {
        self.speaker("Agent")?;
        let (ToolInput::Json(input) | ToolInput::Text(input)) = input;
        let name = text::line(name).into_owned();
        self.open_calls.push((id.to_owned(), name.clone()));
        if self.full {
            let input = text::block(input).into_owned();
            return self.write(|out, style| match style {
                Style::Terminal => writeln!(out, "{FAINT}▸{FAINT:#} {STRONG}{name}{STRONG:#} {input}"),
                Style::Markdown => fenced(out, &format!("▸ **{name}**"), &input),
            });
        }
        let line = text::line(input);
        let line = text::cut(&line, CALL_WIDTH).into_owned();
        self.write(|out, style| match style {
            Style::Terminal => writeln!(out, "{FAINT}▸ {name} {line}{FAINT:#}"),
            Style::Markdown => writeln!(out, "▸ **{name}** `{}`\n", line.replace('`', "'")),
        })
    }

    fn result(
        &mut self,
        id: &str,
        content: &[Part<'_>],
        status: ToolStatus,
        exit_code: Option<i32>,
    ) -> Result<()> {
        // Calls that run side by side have their results after all of them.
        let several = self.open_calls.len() > 1;
        let call = self.open_calls.iter().position(|(open, _)| open == id);
        let call = call.map(|place| self.open_calls.remove(place).1).filter(|_| several);
        let all: Vec<Cow<'_, str>> = content.iter().map(describe).collect();
        let lines = || all.iter().flat_map(|part| part.lines());
        let mark = match (status, exit_code) {
            (ToolStatus::Ok, _) => String::new(),
            (ToolStatus::Error, Some(code)) => format!("failed, exit code {code}"),
            (ToolStatus::Error, None) => "failed".to_owned(),
            (ToolStatus::Interrupted, _) => "interrupted".to_owned(),
        };
        let whose = call.map(|name| format!("result of {name}")).unwrap_or_default();
        let shown = if self.full { usize::MAX } else { RESULT_LINES };
        let more = lines().skip(shown).count();
        let full = self.full;
        let cut = |line: &str| if full { line.to_owned() } else { text::cut(line, CALL_WIDTH).into_owned() };
        self.write(|out, style| match style {
            Style::Terminal => {
                if !whose.is_empty() {
                    writeln!(out, "  {FAINT}{whose}{FAINT:#}")?;
                }
                if !mark.is_empty() {
                    writeln!(out, "  {BAD}{mark}{BAD:#}")?;
                }
                for line in lines().take(shown) {
                    writeln!(out, "  {FAINT}│ {}{FAINT:#}", cut(line))?;
                }
                if more > 0 {
                    writeln!(out, "  {FAINT}… {}{FAINT:#}", text::count(more, "more line"))?;
                }
                Ok(())
            }
            Style::Markdown => {
                let mut body: Vec<String> = lines().take(shown).map(cut).collect();
                if more > 0 {
                    body.push(format!("… {}", text::count(more, "more line")));
                }
                let before: Vec<String> = [whose, mark].into_iter().filter(|text| !text.is_empty()).collect();
                fenced(out, &before.join(": "), &body.join("\n"))
            }
        })
    }

    fn aside(&mut self, name: &str, body: &str) -> Result<()> {
        self.speaker = None;
        let body = text::block(body).into_owned();
        self.write(|out, style| match style {
            Style::Terminal => writeln!(out, "\n{WARNING}{name}{WARNING:#}\n{body}"),
            Style::Markdown => writeln!(out, "\n> **{name}**\n>\n> {}", body.replace('\n', "\n> ")),
        })
    }
}

/// A fenced block whose fence is longer than any in its text.
fn fenced(out: &mut impl Write, before: &str, body: &str) -> io::Result<()> {
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    if !before.is_empty() {
        writeln!(out, "{before}\n")?;
    }
    writeln!(out, "{fence}\n{body}\n{fence}\n")
}

fn heading(note: NoteKind) -> &'static str {
    match note {
        NoteKind::UserShell => "Your own shell command",
        NoteKind::Interrupted => "Interrupted",
        NoteKind::TaskReport => "Report of a background task",
    }
}

fn describe<'p>(part: &'p Part<'_>) -> Cow<'p, str> {
    match part {
        Part::Text(text) => text::block(text),
        Part::Image(media) | Part::File(media) => {
            let what = if matches!(part, Part::Image(_)) { "image" } else { "file" };
            let name = media.name.as_deref().map(|name| format!(" {}", text::line(name))).unwrap_or_default();
            let size = match &media.data {
                MediaData::Base64(data) => format!(", {}", text::size(data.len() as u64 * 3 / 4)),
                MediaData::Url(url) => format!(", {}", text::line(url)),
            };
            format!("[{what}{name}, {}{size}]", text::line(&media.media_type)).into()
        }
    }
}

impl<W: Write> Sink for Transcript<W> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        if self.was_history && event.in_model {
            self.speaker = None;
        }
        self.was_history = !event.in_model;
        match &event.kind {
            EventKind::User { content } => self.said("You", content),
            EventKind::Assistant { content, .. } => self.said("Agent", content),
            EventKind::Reasoning { text, .. } if text.trim().is_empty() => Ok(()),
            EventKind::Reasoning { text, .. } => {
                self.speaker("Agent")?;
                let text = text::block(text).into_owned();
                self.write(|out, style| match style {
                    Style::Terminal => writeln!(out, "{FAINT}{text}{FAINT:#}"),
                    Style::Markdown => writeln!(out, "*{}*\n", text.trim()),
                })
            }
            EventKind::ToolCall { call_id, name, input, .. } => self.call(call_id, name, input),
            EventKind::ToolResult { call_id, content, status, exit_code } => {
                self.result(call_id, content, *status, *exit_code)
            }
            EventKind::Summary { text } if self.full => self.aside("Summary of everything before", text),
            EventKind::Summary { text } => {
                self.aside("Summary of everything before (--full shows what it stands for)", text)
            }
            EventKind::Note { kind, text } => self.aside(heading(*kind), text),
        }
    }
}

impl<W: Write> Viewer for Transcript<W> {
    fn agent(&mut self, agent: &Agent) -> Result<()> {
        let title = agent.title.as_deref().or(agent.kind.as_deref()).unwrap_or(&agent.id);
        self.aside("Sub-agent", title)
    }
}
