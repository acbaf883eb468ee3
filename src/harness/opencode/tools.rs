//! The program's own tools.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::tool::{ToolKind, ToolName};

/// The tools of opencode 1.18.33 and Kilo 7.7.9, and of opencode's earlier versions.
///
/// Only the shell has arguments that mean exactly the same elsewhere. The others are typed so that
/// a reader knows what they do, and keep their own names in another harness.
pub static TOOLS: &[ToolName] = &[
    row("bash", ToolKind::Shell, &[("command", "command"), ("workdir", "workdir")]),
    row("read", ToolKind::Read, &[]),
    row("write", ToolKind::Write, &[]),
    row("edit", ToolKind::Edit, &[]),
    row("multiedit", ToolKind::Edit, &[]),
    row("apply_patch", ToolKind::Patch, &[]),
    row("patch", ToolKind::Patch, &[]),
    row("grep", ToolKind::Search, &[]),
    row("codesearch", ToolKind::Search, &[]),
    row("glob", ToolKind::Glob, &[]),
    row("list", ToolKind::Glob, &[]),
    row("webfetch", ToolKind::Fetch, &[]),
    row("websearch", ToolKind::WebSearch, &[]),
    row("todowrite", ToolKind::Plan, &[]),
    row("todoread", ToolKind::Plan, &[]),
    row("plan_enter", ToolKind::Plan, &[]),
    row("plan_exit", ToolKind::Plan, &[]),
    row("task", ToolKind::SubAgent, &[]),
];

/// The shell for calls that leave `workdir` out, so that a target without it can take them.
static PLAIN_SHELL: ToolName = row("bash", ToolKind::Shell, &[("command", "command")]);

const fn row(
    native: &'static str,
    kind: ToolKind,
    arguments: &'static [(&'static str, &'static str)],
) -> ToolName {
    ToolName { native, kind, arguments }
}

/// The row whose shape the arguments of a call have.
pub fn shape(row: &'static ToolName, arguments: &str) -> Option<&'static ToolName> {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow, default)]
        command: Option<&'a RawValue>,
        #[serde(borrow, default)]
        workdir: Option<&'a RawValue>,
    }
    if row.arguments.is_empty() {
        return None;
    }
    let arguments: Arguments<'_> = serde_json::from_str(arguments).ok()?;
    let is_text = |value: &RawValue| value.get().starts_with('"');
    match (arguments.command.is_some_and(is_text), arguments.workdir) {
        (true, Some(workdir)) if is_text(workdir) => Some(row),
        (true, None) => Some(&PLAIN_SHELL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tool;

    #[test]
    fn a_row_is_given_for_the_shape_that_it_names() {
        let bash = tool::find(TOOLS, "bash").expect("a shell");
        let arguments = |json: &str| shape(bash, json).map(|row| row.arguments.len());
        assert_eq!(arguments(r#"{"command":"ls","workdir":"/x","description":"d"}"#), Some(2));
        assert_eq!(arguments(r#"{"command":"ls","timeout":1}"#), Some(1));
        assert_eq!(arguments(r#"{"command":["ls"]}"#), None);
        assert_eq!(arguments(r#"{"command":"ls","workdir":7}"#), None);
        assert_eq!(arguments("[]"), None);
        assert!(shape(tool::find(TOOLS, "read").expect("a reader"), "{}").is_none());
    }
}
