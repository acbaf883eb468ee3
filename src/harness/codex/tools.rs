//! Codex's tools in the shared vocabulary.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::native::Text;
use crate::harness::common::arguments::Members;
use crate::model::tool::{self, ToolKind, ToolName};

const fn row(
    native: &'static str,
    kind: ToolKind,
    arguments: &'static [(&'static str, &'static str)],
) -> ToolName {
    ToolName { native, kind, arguments }
}

/// The tools of Codex 0.60 to 0.169. Only those whose arguments mean the same elsewhere name them.
pub static TABLE: &[ToolName] = &[
    row("exec_command", ToolKind::Shell, &[("cmd", "command"), ("workdir", "workdir")]),
    row("shell_command", ToolKind::Shell, &[("command", "command"), ("workdir", "workdir")]),
    row("shell", ToolKind::Shell, &[]),
    row("local_shell", ToolKind::Shell, &[]),
    row("container.exec", ToolKind::Shell, &[]),
    row("write_stdin", ToolKind::Shell, &[]),
    row("apply_patch", ToolKind::Patch, &[]),
    row("view_image", ToolKind::Read, &[]),
    row("read_file", ToolKind::Read, &[]),
    row("list_dir", ToolKind::Glob, &[]),
    row("grep_files", ToolKind::Search, &[]),
    row("update_plan", ToolKind::Plan, &[]),
    row("web_search", ToolKind::WebSearch, &[]),
    row("spawn_agent", ToolKind::SubAgent, &[]),
    row("wait_agent", ToolKind::SubAgent, &[]),
    row("send_input", ToolKind::SubAgent, &[]),
    row("send_message", ToolKind::SubAgent, &[]),
    row("followup_task", ToolKind::SubAgent, &[]),
    row("interrupt_agent", ToolKind::SubAgent, &[]),
    row("list_agents", ToolKind::SubAgent, &[]),
    row("resume_agent", ToolKind::SubAgent, &[]),
    row("close_agent", ToolKind::SubAgent, &[]),
];

/// The same tools for calls that leave `workdir` out, so that a target without it can take them.
static PLAIN: &[ToolName] = &[
    row("exec_command", ToolKind::Shell, &[("cmd", "command")]),
    row("shell_command", ToolKind::Shell, &[("command", "command")]),
];

/// What a tool does.
pub fn kind(name: &str) -> ToolKind {
    tool::find(TABLE, name).map_or(ToolKind::Other, |row| row.kind)
}

/// The row whose shape the arguments of a call have.
pub fn shape(name: &str, arguments: &str) -> Option<&'static ToolName> {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow, default)]
        cmd: Option<&'a RawValue>,
        #[serde(borrow, default)]
        command: Option<&'a RawValue>,
        #[serde(borrow, default)]
        workdir: Option<&'a RawValue>,
    }
    let full = tool::find(TABLE, name).filter(|row| !row.arguments.is_empty())?;
    let arguments: Arguments<'_> = serde_json::from_str(arguments).ok()?;
    let is_text = |value: &RawValue| value.get().starts_with('"');
    let command = if full.native == "exec_command" { arguments.cmd } else { arguments.command };
    match (command.is_some_and(is_text), arguments.workdir) {
        (true, Some(workdir)) if is_text(workdir) => Some(full),
        (true, None) => tool::find(PLAIN, name),
        _ => None,
    }
}

/// The free text of a call of a tool that takes such, where it stands in an object: so another
/// harness, whose calls all have objects, wrote down what had been a call of Codex.
pub fn free_text<'a>(name: &str, arguments: &'a str) -> Option<Cow<'a, str>> {
    if !matches!(name, "apply_patch" | "exec") {
        return None;
    }
    match serde_json::from_str::<Members<'a>>(arguments).ok()?.0.as_slice() {
        [(name, value)] if name == "input" => {
            serde_json::from_str::<Text<'a>>(value.get()).ok().map(|text| text.0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_given_for_the_shape_that_it_names() {
        let arguments = |name: &str, json: &str| shape(name, json).map(|row| row.arguments.len());
        assert_eq!(arguments("exec_command", r#"{"cmd":"ls","workdir":"/x","yield_time_ms":1}"#), Some(2));
        assert_eq!(arguments("exec_command", r#"{"cmd":"ls"}"#), Some(1));
        assert_eq!(arguments("shell_command", r#"{"command":"ls"}"#), Some(1));
        assert_eq!(arguments("shell_command", r#"{"cmd":"ls"}"#), None);
        assert_eq!(arguments("exec_command", r#"{"cmd":["ls"]}"#), None);
        assert_eq!(arguments("exec_command", "no json"), None);
        assert_eq!(arguments("shell", r#"{"command":["ls"]}"#), None);
    }

    #[test]
    fn free_text_comes_out_of_its_object() {
        let text = |name: &str, arguments: &str| free_text(name, arguments).map(Cow::into_owned);
        assert_eq!(text("apply_patch", r#"{"input":"a\nb"}"#).as_deref(), Some("a\nb"));
        assert_eq!(text("exec", r#"{ "input" : "x" }"#).as_deref(), Some("x"));
        assert_eq!(text("apply_patch", r#"{"input":"a","more":1}"#), None);
        assert_eq!(text("apply_patch", r#"{"input":["a"]}"#), None);
        assert_eq!(text("other", r#"{"input":"a"}"#), None);
    }
}
