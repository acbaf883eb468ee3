//! Which model a session goes on with.
//!
//! opencode 1.18 asks the model of the session, else the one of the last message of the user, else
//! the user's default. A provider that is not there makes `run` fail for good, and the interactive
//! program warn and take the default. So a session names a model that this machine is known to
//! have, if any is known; its messages name the model that answered them.

use std::path::Path;

use rusqlite::OptionalExtension;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::flavour::Flavour;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::harness::common::sqlite::Snapshot;

/// A model and who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Who serves it.
    pub provider: String,
    /// Its name there.
    pub model: String,
}

impl Model {
    /// `provider/model`, as the program's `-m` takes it.
    fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.split_once('/')?;
        let is_whole = !provider.is_empty() && !model.is_empty();
        is_whole.then(|| Self { provider: provider.to_owned(), model: model.to_owned() })
    }

    /// Another model of the same source.
    pub fn like(&self, model: &str) -> Self {
        Self::parse(model)
            .unwrap_or_else(|| Self { provider: self.provider.clone(), model: model.to_owned() })
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// The model that the user chose for a conversion.
///
/// # Errors
/// When it does not say who serves it.
pub fn chosen(text: &str) -> Result<Model> {
    Model::parse(text).ok_or_else(|| {
        Error::usage(format!("--model {text}: opencode's models are called PROVIDER/MODEL"))
            .hint("`opencode models` lists them")
    })
}

/// The model of a session of another harness, under the name of its provider in models.dev.
pub fn of_source(harness: &str, model: Option<&str>) -> Model {
    let provider = match harness {
        "claude" => "anthropic",
        "codex" => "openai",
        "gemini" => "google",
        _ => "unknown",
    };
    Model { provider: provider.to_owned(), model: "unknown".to_owned() }.like(model.unwrap_or("unknown"))
}

/// What is known of the models on this machine.
#[derive(Debug, Default)]
pub struct Models {
    config: Map<String, Value>,
    recent: Vec<Model>,
}

impl Models {
    /// Reads the configuration and the models that were used last. What cannot be read, the program
    /// cannot read either.
    pub fn of(flavour: &Flavour, env: &Env, cwd: &Path) -> Self {
        Self { config: config(flavour, env, cwd), recent: recent(flavour, env) }
    }

    /// The model that the program would take for a new session, if that can be told: the configured
    /// one, else one that was used last, else one that the configuration defines.
    pub fn default(&self) -> Option<Model> {
        let configured = self.config.get("model").and_then(Value::as_str).and_then(Model::parse);
        configured
            .or_else(|| self.recent.iter().find(|model| self.is_enabled(&model.provider)).cloned())
            .or_else(|| {
                self.providers().filter(|(name, _)| self.is_enabled(name)).find_map(|(provider, value)| {
                    let model = value.get("models")?.as_object()?.keys().max_by_key(|name| rank(name))?;
                    Some(Model { provider: provider.clone(), model: model.clone() })
                })
            })
    }

    /// Whether the machine is known to have the provider.
    pub fn knows(&self, provider: &str, database: &Path) -> bool {
        let configured = self.config.get("model").and_then(Value::as_str).and_then(Model::parse);
        self.is_enabled(provider)
            && (self.providers().any(|(name, _)| name == provider)
                || self.recent.iter().chain(&configured).any(|model| model.provider == provider)
                || was_used(database, provider).unwrap_or_default())
    }

    fn providers(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.config.get("provider").and_then(Value::as_object).into_iter().flatten()
    }

    /// Whether the configuration does not exclude the provider.
    pub fn is_enabled(&self, provider: &str) -> bool {
        let list = |key: &str| self.config.get(key).and_then(Value::as_array);
        let has = |list: &Vec<Value>| list.iter().any(|name| name.as_str() == Some(provider));
        list("enabled_providers").is_none_or(has) && !list("disabled_providers").is_some_and(has)
    }
}

/// The order in which the program prefers models of one provider.
fn rank(name: &str) -> (Option<usize>, bool, &str) {
    const PREFERRED: [&str; 4] = ["gpt-5", "claude-sonnet-4", "big-pickle", "gemini-3-pro"];
    (PREFERRED.iter().position(|known| name.contains(known)), !name.contains("latest"), name)
}

/// Whether a session in the database names a model of the provider.
fn was_used(database: &Path, provider: &str) -> Result<bool> {
    let Some(snapshot) = Snapshot::open(database)? else { return Ok(false) };
    let sql =
        "SELECT 1 FROM session WHERE json_valid(model) AND json_extract(model, '$.providerID') = ?1 LIMIT 1";
    let found = snapshot.connection().query_row(sql, [provider], |_| Ok(())).optional();
    Ok(found.map_err(|error| snapshot.error(error))?.is_some())
}

/// The configuration, each file over those before it, as the program merges them: the user's, the
/// one that a variable names, the ones in and above the directory, the ones in variables.
fn config(flavour: &Flavour, env: &Env, cwd: &Path) -> Map<String, Value> {
    let mut merged = Map::new();
    let variable = |name: &str| env.text(&format!("{}{name}", flavour.variables));
    let mut file = |dir: &Path, names: &[String]| {
        for name in names {
            merge(&mut merged, &std::fs::read_to_string(dir.join(name)).unwrap_or_default());
        }
    };
    let named = [format!("{}.json", flavour.config), format!("{}.jsonc", flavour.config)];
    let user = [vec!["config.json".to_owned()], named.to_vec()].concat();
    file(&env.dir("XDG_CONFIG_HOME", ".config").join(flavour.directory), &user);
    if let Some(path) = variable("CONFIG") {
        file(env.cwd(), &[path]);
    }
    let mut above: Vec<&Path> = cwd.ancestors().collect();
    // The project ends where its repository does.
    if let Some(root) = above.iter().position(|dir| dir.join(".git").exists()) {
        above.truncate(root + 1);
    } else {
        above.truncate(1);
    }
    for dir in above.iter().rev() {
        file(dir, &named);
    }
    for dir in above.iter().rev() {
        file(&dir.join(format!(".{}", flavour.directory)), &named);
    }
    if let Some(dir) = variable("CONFIG_DIR") {
        file(&env.cwd().join(dir), &named);
    }
    merge(&mut merged, &variable("CONFIG_CONTENT").unwrap_or_default());
    merged
}

fn merge(into: &mut Map<String, Value>, text: &str) {
    let Ok(Value::Object(more)) = serde_json::from_str(&without_comments(text)) else { return };
    merge_object(into, more);
}

fn merge_object(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge_object(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// JSON from JSON with comments and commas at the end.
fn without_comments(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skip = match next {
            '"' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|(_, c)| {
                    let is_end = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    is_end
                });
                let end = end.map_or(rest.len(), |(at, _)| at + 1);
                json.push_str(&rest[..end]);
                end
            }
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '}' | ']' => {
                let kept = json.trim_end().strip_suffix(',').map(str::len);
                if let Some(kept) = kept {
                    json.truncate(kept);
                }
                json.push(next);
                1
            }
            _ => {
                json.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[skip..];
    }
    json
}

/// The models that were used last, newest first.
fn recent(flavour: &Flavour, env: &Env) -> Vec<Model> {
    #[derive(Deserialize, Default)]
    struct File {
        #[serde(default)]
        recent: Vec<Value>,
    }
    let path = env.dir("XDG_STATE_HOME", ".local/state").join(flavour.directory).join("model.json");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let file: File = serde_json::from_str(&text).unwrap_or_default();
    let model = |value: &Value| {
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        Some(Model { provider: text("providerID")?, model: text("modelID")? })
    };
    file.recent.iter().filter_map(model).collect()
}
