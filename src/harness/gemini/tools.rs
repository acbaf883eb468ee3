//! Gemini CLI's tools in the shared vocabulary.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::tool::{self, ToolKind, ToolName};

const fn row(
    native: &'static str,
    kind: ToolKind,
    arguments: &'static [(&'static str, &'static str)],
) -> ToolName {
    ToolName { native, kind, arguments }
}

/// The tools of Gemini CLI 0.61. Only the shell's arguments mean the same elsewhere.
pub static TABLE: &[ToolName] = &[
    row("run_shell_command", ToolKind::Shell, &[("command", "command"), ("dir_path", "workdir")]),
    row("read_file", ToolKind::Read, &[]),
    row("read_many_files", ToolKind::Read, &[]),
    row("write_file", ToolKind::Write, &[]),
    row("replace", ToolKind::Edit, &[]),
    row("grep_search", ToolKind::Search, &[]),
    row("search_file_content", ToolKind::Search, &[]),
    row("glob", ToolKind::Glob, &[]),
    row("list_directory", ToolKind::Glob, &[]),
    row("web_fetch", ToolKind::Fetch, &[]),
    row("google_web_search", ToolKind::WebSearch, &[]),
    row("write_todos", ToolKind::Plan, &[]),
    row("update_topic", ToolKind::Plan, &[]),
    row("enter_plan_mode", ToolKind::Plan, &[]),
    row("exit_plan_mode", ToolKind::Plan, &[]),
    row("invoke_agent", ToolKind::SubAgent, &[]),
];

/// The shell for calls that leave `dir_path` out, so that a target without it can take them.
static PLAIN: &[ToolName] = &[row("run_shell_command", ToolKind::Shell, &[("command", "command")])];

/// What a tool does.
pub fn kind(name: &str) -> ToolKind {
    tool::find(TABLE, name).map_or(ToolKind::Other, |row| row.kind)
}

/// The row whose shape the arguments of a call have.
pub fn shape(name: &str, arguments: &str) -> Option<&'static ToolName> {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow)]
        command: &'a RawValue,
        #[serde(borrow, default)]
        dir_path: Option<&'a RawValue>,
    }
    let full = tool::find(TABLE, name).filter(|row| !row.arguments.is_empty())?;
    let arguments: Arguments<'_> = serde_json::from_str(arguments).ok()?;
    let is_text = |value: &RawValue| value.get().starts_with('"');
    match (is_text(arguments.command), arguments.dir_path) {
        (true, Some(dir)) if is_text(dir) => Some(full),
        (true, None) => tool::find(PLAIN, name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_given_for_the_shape_that_it_names() {
        let arguments = |name: &str, json: &str| shape(name, json).map(|row| row.arguments.len());
        assert_eq!(arguments("run_shell_command", r#"{"command":"ls","dir_path":"x"}"#), Some(2));
        assert_eq!(arguments("run_shell_command", r#"{"command":"ls","description":"x"}"#), Some(1));
        assert_eq!(arguments("run_shell_command", r#"{"command":["ls"]}"#), None);
        assert_eq!(arguments("read_file", r#"{"command":"ls"}"#), None);
    }
}
