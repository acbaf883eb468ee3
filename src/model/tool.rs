//! A small vocabulary of tools, so that a shell command stays a shell command in another harness.
//!
//! Each adapter has a table from its native tool names and argument names to this vocabulary. A
//! call whose tool stands in both tables is written under the target's own names; every other call
//! keeps the name it had. Arguments that the table does not name are carried as they are.

use serde::Serialize;

/// What a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToolKind {
    /// Runs a command line. Canonical arguments: `command`, `workdir`.
    Shell,
    /// Reads a file.
    Read,
    /// Writes a whole file.
    Write,
    /// Replaces text in a file.
    Edit,
    /// Applies a patch.
    Patch,
    /// Searches file contents.
    Search,
    /// Finds files by name.
    Glob,
    /// Fetches a URL.
    Fetch,
    /// Searches the web.
    WebSearch,
    /// Keeps a plan or a list of tasks.
    Plan,
    /// Starts or talks to a sub-agent.
    SubAgent,
    /// Anything else.
    Other,
}

/// One row of an adapter's tool table.
#[derive(Debug)]
pub struct ToolName {
    /// The harness's own name of the tool.
    pub native: &'static str,
    /// What it does.
    pub kind: ToolKind,
    /// `(native argument, canonical argument)` of every argument that has a counterpart elsewhere,
    /// with the same meaning and the same JSON type. Empty: the tool keeps its own name everywhere.
    pub arguments: &'static [(&'static str, &'static str)],
}

/// The row of a native tool name.
pub fn find(table: &'static [ToolName], native: &str) -> Option<&'static ToolName> {
    table.iter().find(|row| row.native == native)
}

/// The row that a call of `source` is written under: same kind, and every canonical argument of
/// the source row is known to it. `None`: the call keeps its own name and arguments.
pub fn counterpart(target: &'static [ToolName], source: &ToolName) -> Option<&'static ToolName> {
    if source.arguments.is_empty() {
        return None;
    }
    target.iter().find(|row| {
        row.kind == source.kind
            && source
                .arguments
                .iter()
                .all(|(_, canonical)| row.arguments.iter().any(|(_, other)| other == canonical))
    })
}
