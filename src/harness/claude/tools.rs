//! The program's own tools.

use crate::model::tool::{ToolKind, ToolName};

/// Claude Code 2.1.329's tool names, and those of its earlier versions.
///
/// Only `Bash` has arguments that mean exactly the same elsewhere. The others are typed so that a
/// reader knows what they do, and keep their own names in another harness.
pub static TOOLS: &[ToolName] = &[
    ToolName { native: "Bash", kind: ToolKind::Shell, arguments: &[("command", "command")] },
    ToolName { native: "PowerShell", kind: ToolKind::Shell, arguments: &[] },
    ToolName { native: "Read", kind: ToolKind::Read, arguments: &[] },
    ToolName { native: "Write", kind: ToolKind::Write, arguments: &[] },
    ToolName { native: "Edit", kind: ToolKind::Edit, arguments: &[] },
    ToolName { native: "MultiEdit", kind: ToolKind::Edit, arguments: &[] },
    ToolName { native: "NotebookEdit", kind: ToolKind::Edit, arguments: &[] },
    ToolName { native: "Grep", kind: ToolKind::Search, arguments: &[] },
    ToolName { native: "Glob", kind: ToolKind::Glob, arguments: &[] },
    ToolName { native: "LS", kind: ToolKind::Glob, arguments: &[] },
    ToolName { native: "WebFetch", kind: ToolKind::Fetch, arguments: &[] },
    ToolName { native: "WebSearch", kind: ToolKind::WebSearch, arguments: &[] },
    ToolName { native: "TodoWrite", kind: ToolKind::Plan, arguments: &[] },
    ToolName { native: "TaskCreate", kind: ToolKind::Plan, arguments: &[] },
    ToolName { native: "TaskUpdate", kind: ToolKind::Plan, arguments: &[] },
    ToolName { native: "TaskList", kind: ToolKind::Plan, arguments: &[] },
    ToolName { native: "TaskGet", kind: ToolKind::Plan, arguments: &[] },
    ToolName { native: "EnterPlanMode", kind: ToolKind::Plan, arguments: &[] },
    ToolName { native: "ExitPlanMode", kind: ToolKind::Plan, arguments: &[] },
    ToolName { native: "Agent", kind: ToolKind::SubAgent, arguments: &[] },
    ToolName { native: "Task", kind: ToolKind::SubAgent, arguments: &[] },
    ToolName { native: "SendMessage", kind: ToolKind::SubAgent, arguments: &[] },
];
