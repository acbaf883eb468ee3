//! A session's row: its head, and its `info` as the program's own export prints it.

use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;

use super::super::flavour::Flavour;
use crate::harness::common::sqlite::{number, text};
use crate::model::{Head, Time, time};

/// The columns of a head.
#[derive(Debug)]
pub struct HeadRow {
    /// The id.
    pub id: String,
    /// The session that started it.
    pub parent: Option<String>,
    directory: Option<String>,
    /// Its title, as recorded.
    pub title: Option<String>,
    version: Option<String>,
    model: Option<String>,
    created: Option<Number>,
    updated: Option<Number>,
}

impl HeadRow {
    /// Reads a row of [`super::store::Store::select_heads`] or of
    /// [`super::store::Store::select_sessions`].
    ///
    /// # Errors
    /// When the row has other columns.
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: text(row, 0)?.unwrap_or_default(),
            parent: text(row, 1)?,
            directory: text(row, 2)?,
            title: text(row, 3)?,
            version: text(row, 4)?,
            model: text(row, 5)?,
            created: number(row, 6)?,
            updated: number(row, 7)?,
        })
    }

    /// What is known of the session.
    pub fn head(self, flavour: &Flavour) -> Head {
        let model = self.model.as_deref().and_then(|json| serde_json::from_str::<Model<'_>>(json).ok());
        Head {
            harness: flavour.info.id.to_owned(),
            title: self.title.filter(|title| !is_invented(title)),
            id: self.id,
            cwd: self.directory,
            created: self.created.as_ref().and_then(instant),
            updated: self.updated.as_ref().and_then(instant),
            model: model.and_then(|model| model.name()),
            harness_version: self.version,
            git: None,
            parent: self.parent,
        }
    }
}

/// Milliseconds since 1970, as the program writes all its times.
pub fn instant(millis: &Number) -> Option<Time> {
    time::from_millis(millis.as_i64().or_else(|| millis.as_f64().map(|millis| millis as i64))?)
}

/// Whether the program made the title up, as long as it knows no better: `New session - ` and the
/// time.
pub fn is_invented(title: &str) -> bool {
    let rest = title.strip_prefix("New session - ").or_else(|| title.strip_prefix("Child session - "));
    rest.is_some_and(|rest| rest.len() == "2026-01-01T00:00:00.000Z".len() && time::parse(rest).is_some())
}

/// The export's `info`. Members that a session does not have are left out, as the program does.
#[derive(Debug, Serialize)]
pub struct Info<'a> {
    id: &'a str,
    slug: Option<&'a str>,
    #[serde(rename = "projectID")]
    project_id: Option<&'a str>,
    #[serde(rename = "workspaceID", skip_serializing_if = "Option::is_none")]
    workspace_id: Option<&'a str>,
    directory: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(rename = "parentID", skip_serializing_if = "Option::is_none")]
    parent: Option<&'a str>,
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Model<'a>>,
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Share<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revert: Option<Revert<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<&'a RawValue>,
    time: Times<'a>,
}

/// `model` of a session. A message calls its id `modelID`.
#[derive(Debug, Serialize, Deserialize)]
struct Model<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "providerID", skip_serializing_if = "Option::is_none")]
    provider_id: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    variant: Option<&'a RawValue>,
}

impl Model<'_> {
    fn name(&self) -> Option<String> {
        let text = |json: &RawValue| serde_json::from_str::<String>(json.get()).ok();
        let id = text(self.id?)?;
        Some(model_name(self.provider_id.and_then(text), id))
    }
}

/// A model as the program's command line has it: `provider/model`.
pub fn model_name(provider: Option<String>, id: String) -> String {
    match provider {
        Some(provider) => format!("{provider}/{id}"),
        None => id,
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Revert<'a> {
    #[serde(borrow, default, rename = "messageID", skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "partID", skip_serializing_if = "Option::is_none")]
    part_id: Option<&'a RawValue>,
    /// Kilo 7.7: whether the files of the workspace were reverted too.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    diff: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    additions: Number,
    deletions: Number,
    files: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    diffs: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct Tokens<'a> {
    input: Option<&'a Number>,
    output: Option<&'a Number>,
    reasoning: Option<&'a Number>,
    cache: Cache<'a>,
}

#[derive(Debug, Serialize)]
struct Cache<'a> {
    read: Option<&'a Number>,
    write: Option<&'a Number>,
}

#[derive(Debug, Serialize)]
struct Share<'a> {
    url: &'a str,
}

#[derive(Debug, Serialize)]
struct Times<'a> {
    created: Option<&'a Number>,
    updated: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compacting: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archived: Option<&'a Number>,
}

/// All columns of a session.
#[derive(Debug)]
pub struct SessionRow {
    /// The columns of its head.
    pub head: HeadRow,
    slug: Option<String>,
    project_id: Option<String>,
    workspace_id: Option<String>,
    path: Option<String>,
    /// The agent that it was started with.
    pub agent: Option<String>,
    share_url: Option<String>,
    /// Additions, deletions, files.
    summary: [Option<Number>; 3],
    diffs: Option<String>,
    metadata: Option<String>,
    cost: Option<Number>,
    /// Input, output, reasoning, read from the cache, written to it.
    tokens: [Option<Number>; 5],
    revert: Option<String>,
    permission: Option<String>,
    compacting: Option<Number>,
    archived: Option<Number>,
}

impl SessionRow {
    /// Reads a row of [`super::store::Store::select_sessions`].
    ///
    /// # Errors
    /// When the row has other columns.
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            head: HeadRow::read(row)?,
            slug: text(row, 8)?,
            project_id: text(row, 9)?,
            workspace_id: text(row, 10)?,
            path: text(row, 11)?,
            agent: text(row, 12)?,
            share_url: text(row, 13)?,
            summary: [number(row, 14)?, number(row, 15)?, number(row, 16)?],
            diffs: text(row, 17)?,
            metadata: text(row, 18)?,
            cost: number(row, 19)?,
            tokens: [
                number(row, 20)?,
                number(row, 21)?,
                number(row, 22)?,
                number(row, 23)?,
                number(row, 24)?,
            ],
            revert: text(row, 25)?,
            permission: text(row, 26)?,
            compacting: number(row, 27)?,
            archived: number(row, 28)?,
        })
    }

    /// The export's `info`. A column that should be JSON and is not is left out.
    pub fn info(&self) -> Info<'_> {
        let [additions, deletions, files] = &self.summary;
        let or_zero = |number: &Option<Number>| number.clone().unwrap_or(Number::from(0));
        let has_summary = self.summary.iter().any(Option::is_some);
        let [input, output, reasoning, read, write] = &self.tokens;
        Info {
            id: &self.head.id,
            slug: self.slug.as_deref(),
            project_id: self.project_id.as_deref(),
            workspace_id: self.workspace_id.as_deref(),
            directory: self.head.directory.as_deref(),
            path: self.path.as_deref(),
            parent: self.head.parent.as_deref(),
            title: self.head.title.as_deref(),
            agent: self.agent.as_deref(),
            model: json(&self.head.model),
            version: self.head.version.as_deref(),
            summary: has_summary.then(|| Summary {
                additions: or_zero(additions),
                deletions: or_zero(deletions),
                files: or_zero(files),
                diffs: json(&self.diffs),
            }),
            cost: self.cost.as_ref(),
            tokens: self.tokens.iter().any(Option::is_some).then_some(Tokens {
                input: input.as_ref(),
                output: output.as_ref(),
                reasoning: reasoning.as_ref(),
                cache: Cache { read: read.as_ref(), write: write.as_ref() },
            }),
            share: self.share_url.as_deref().map(|url| Share { url }),
            metadata: json(&self.metadata),
            revert: json(&self.revert),
            permission: json(&self.permission),
            time: Times {
                created: self.head.created.as_ref(),
                updated: self.head.updated.as_ref(),
                compacting: self.compacting.as_ref(),
                archived: self.archived.as_ref(),
            },
        }
    }
}

/// The JSON in a column; `None` for NULL and `null`.
fn json<'a, T: Deserialize<'a>>(column: &'a Option<String>) -> Option<T> {
    column.as_deref().filter(|json| json.trim() != "null").and_then(|json| serde_json::from_str(json).ok())
}
