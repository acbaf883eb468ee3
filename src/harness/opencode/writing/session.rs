//! The head of a converted session, and its `session.json`.

use super::super::flavour::Flavour;
use super::ids;
use super::models::{self, Model, Models};
use super::project::{Project, real};
use super::record::{Session, SessionFile, SessionModel, Tokens, Updated};
use crate::error::Result;
use crate::harness::Target;
use crate::model::{Agent, time};

/// What is written of a session beside its conversation.
#[derive(Debug)]
pub struct Header {
    /// Its id.
    pub id: String,
    /// The session that started it.
    pub parent: Option<String>,
    /// Its directory.
    pub directory: String,
    /// The working tree of its project.
    pub worktree: String,
    project: String,
    path: String,
    slug: String,
    title: String,
    model: Option<Model>,
    version: &'static str,
    created: i64,
    updated: i64,
}

impl Header {
    /// The header of a session, or of one of its sub-agents.
    ///
    /// # Errors
    /// When the user's choice of a model makes no sense.
    pub fn new(flavour: &'static Flavour, target: &Target<'_>, agent: Option<&Agent>) -> Result<Self> {
        let source = target.source;
        let directory = real(target.cwd);
        let project = Project::of(flavour, &directory);
        let id = agent.map_or_else(|| target.id.to_owned(), |agent| ids::child(target.id, &agent.id));
        let created = source.created.or(source.updated).unwrap_or_default();
        let title = match agent {
            None => {
                source.title.as_deref().map(str::trim).filter(|title| !title.is_empty()).map(str::to_owned)
            }
            Some(agent) => agent.title.as_deref().map(|title| {
                // As the program calls its own.
                format!("{title} (@{} subagent)", agent.kind.as_deref().unwrap_or("general"))
            }),
        };
        let kind = if agent.is_some() { "Child session - " } else { "New session - " };
        let model = match target.options.model.as_deref() {
            Some(model) => Some(models::chosen(model)?),
            None => Models::of(flavour, target.env, target.cwd).default(),
        };
        let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let slug: String = source.harness.chars().filter(plain).take(16).collect();
        let end: String = id.chars().filter(char::is_ascii_alphanumeric).skip(3).take(8).collect();
        Ok(Self {
            parent: agent.map(|_| target.id.to_owned()),
            directory: directory.to_string_lossy().into_owned(),
            worktree: project.worktree.to_string_lossy().into_owned(),
            path: project.path(&directory),
            project: project.id,
            slug: format!("{slug}-{}", end.to_lowercase()),
            title: title.unwrap_or_else(|| format!("{kind}{}", time::rfc3339(created))),
            model,
            version: flavour.info.tested,
            created: created.timestamp_millis(),
            updated: source.updated.unwrap_or(created).timestamp_millis(),
            id,
        })
    }

    /// Whether it names the model that it goes on with.
    pub fn has_model(&self) -> bool {
        self.model.is_some()
    }

    /// The session as the program exports it.
    pub fn info(&self) -> Session<'_> {
        Session {
            id: &self.id,
            slug: &self.slug,
            project_id: &self.project,
            directory: &self.directory,
            path: &self.path,
            parent_id: self.parent.as_deref(),
            title: &self.title,
            model: self
                .model
                .as_ref()
                .map(|model| SessionModel { id: &model.model, provider: &model.provider }),
            version: self.version,
            cost: 0,
            tokens: Tokens::default(),
            time: Updated { created: self.created, updated: self.updated },
        }
    }

    /// `session.json`.
    pub fn file(&self) -> String {
        serde_json::to_string(&SessionFile { info: self.info(), todos: [] }).unwrap_or_default()
    }
}
