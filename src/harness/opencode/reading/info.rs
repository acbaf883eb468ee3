//! The `info` of an export, and of a session in a tree of files.

use serde::Deserialize;
use serde_json::Number;

use super::super::flavour::Flavour;
use super::session::{instant, is_invented, model_name};
use crate::model::Head;

/// What a head is made of.
#[derive(Debug, Deserialize)]
pub struct Info {
    /// The session's id.
    pub id: String,
    /// The project, which a tree of files may know more of.
    #[serde(default, rename = "projectID")]
    pub project: Option<String>,
    /// The session that started it.
    #[serde(default, rename = "parentID")]
    pub parent: Option<String>,
    /// The directory; sessions of 0.x have none.
    #[serde(default)]
    pub directory: Option<String>,
    /// The slug; sessions of 0.x have none.
    #[serde(default)]
    pub slug: Option<String>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    model: Option<Model>,
    /// When.
    #[serde(default)]
    pub time: Times,
}

#[derive(Debug, Deserialize)]
struct Model {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "providerID")]
    provider: Option<String>,
}

/// When a session began and changed last.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Times {
    created: Option<Number>,
    /// When it changed last.
    pub updated: Option<Number>,
}

impl Info {
    /// Reads an `info`; `None`: it is none.
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// What is known of the session; `None`: its id is no id.
    pub fn head(self, flavour: &Flavour) -> Option<Head> {
        if !self.id.starts_with("ses") {
            return None;
        }
        Some(Head {
            harness: flavour.info.id.to_owned(),
            title: self.title.filter(|title| !is_invented(title)),
            cwd: self.directory,
            created: self.time.created.as_ref().and_then(instant),
            updated: self.time.updated.as_ref().and_then(instant),
            model: self.model.and_then(|model| Some(model_name(model.provider, model.id?))),
            harness_version: self.version,
            git: None,
            parent: self.parent,
            id: self.id,
        })
    }
}
