//! What is known of a session without reading it through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time::Time;

/// The head of a session: enough to list it, choose it, and place it somewhere else.
///
/// All text in it comes from the session and is untrusted: escape it before a terminal sees it,
/// never use it as a path or a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// Id of the harness, such as `claude`.
    pub harness: String,
    /// The harness's own id of the session.
    pub id: String,
    /// The title that the harness shows in its own list; `None` when it would invent one.
    pub title: Option<String>,
    /// The working directory, in the form of the machine it was recorded on.
    pub cwd: Option<String>,
    /// When the session began.
    pub created: Option<Time>,
    /// The last activity in the session.
    pub updated: Option<Time>,
    /// The model that answered last.
    pub model: Option<String>,
    /// Version of the harness that wrote the session, such as `2.1.329`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harness_version: Option<String>,
    /// The repository, as the harness recorded it.
    pub git: Option<GitRef>,
    /// For a sub-agent session: the id of the session that started it.
    pub parent: Option<String>,
}

/// A repository state as a harness records it inside its session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitRef {
    /// Branch, `None` when detached.
    pub branch: Option<String>,
    /// Full id of the commit.
    pub commit: Option<String>,
    /// URL of the remote, without credentials.
    pub remote: Option<String>,
}
