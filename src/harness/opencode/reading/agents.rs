//! Which call of a session started which sub-agent.

use std::path::PathBuf;

use serde::Deserialize;

use crate::model::Agent;

/// A part of a tool, as far as it tells of sub-agents and of files.
#[derive(Debug, Deserialize)]
pub struct ToolPart {
    #[serde(default, rename = "callID")]
    call_id: Option<String>,
    #[serde(default)]
    tool: Option<String>,
    #[serde(default)]
    state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    input: Input,
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    subagent_type: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    session_id: Option<String>,
    output_path: Option<PathBuf>,
}

impl ToolPart {
    /// Reads a record; `None`: it tells of neither.
    pub fn read(record: &str) -> Option<Self> {
        serde_json::from_str(record).ok()
    }

    /// Where the tool wrote its whole output, as the session says: no path to be used as it is.
    pub fn output(self) -> Option<PathBuf> {
        self.state.metadata.output_path
    }
}

/// The sub-agent with session `id`, as the call that started it describes it. `kind` and `title`
/// are what its own session says.
pub fn agent(calls: &[ToolPart], id: String, kind: Option<String>, title: Option<String>) -> Agent {
    let is_it = |call: &&ToolPart| {
        call.tool.as_deref() == Some("task") && call.state.metadata.session_id.as_ref() == Some(&id)
    };
    let call = calls.iter().find(is_it);
    let input = call.map(|call| &call.state.input);
    Agent {
        call_id: call.and_then(|call| call.call_id.clone()),
        kind: kind.or_else(|| input.and_then(|input| input.subagent_type.clone())),
        title: input.and_then(|input| input.description.clone()).or(title),
        id,
    }
}
