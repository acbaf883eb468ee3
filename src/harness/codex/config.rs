//! The model providers that are configured on this machine.
//!
//! Codex 0.169 resumes a thread only when the provider that the thread names is configured ("is no
//! longer configured" otherwise), so a thread from another machine may have to name another one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::env::Env;

/// Providers that Codex 0.169 has without configuration.
const BUILT_IN: [&str; 5] = ["openai", "ollama", "lmstudio", "amazon-bedrock", "amazon-bedrock-runtime"];

/// The directory of the databases, and what names it; `None`: it is the data directory.
pub fn index_dir(env: &Env, home: &Path) -> (PathBuf, Option<&'static str>) {
    const VARIABLE: &str = "CODEX_SQLITE_HOME";
    const SETTING: &str = "sqlite_home";
    let config: Table =
        std::fs::read_to_string(home.join("config.toml")).unwrap_or_default().parse().unwrap_or_default();
    match (config.get(SETTING).and_then(|value| value.as_str()), env.var(VARIABLE)) {
        (Some(dir), _) => (home.join(dir), Some(SETTING)),
        (None, Some(dir)) => (env.cwd().join(dir), Some(VARIABLE)),
        (None, None) => (home.to_owned(), None),
    }
}

/// The model providers of this machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Providers {
    /// The one that Codex uses for new threads.
    pub effective: String,
    configured: BTreeSet<String>,
}

impl Providers {
    /// Reads `config.toml` in the data directory. A configuration that is missing, or that Codex
    /// could not read either, leaves the built-in ones.
    pub fn of(home: &Path) -> Self {
        let text = std::fs::read_to_string(home.join("config.toml")).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let config: Table = text.parse().unwrap_or_default();
        let own = config.get("model_providers").and_then(|providers| providers.as_table());
        let names = own.into_iter().flat_map(Table::keys).map(String::as_str);
        let text = |table: &Table, key: &str| Some(table.get(key)?.as_str()?.to_owned());
        // Older versions choose one of `[profiles]` with `profile`.
        let profile = text(&config, "profile").and_then(|name| {
            text(config.get("profiles")?.as_table()?.get(&name)?.as_table()?, "model_provider")
        });
        Self {
            effective: profile
                .or_else(|| text(&config, "model_provider"))
                .unwrap_or_else(|| "openai".to_owned()),
            configured: BUILT_IN.into_iter().chain(names).map(str::to_owned).collect(),
        }
    }

    /// Whether a thread may name this provider here.
    pub fn has(&self, name: &str) -> bool {
        self.configured.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_provider_and_the_configured_ones() {
        let none = Providers::parse("");
        assert_eq!(none.effective, "openai");
        assert!(none.has("ollama") && !none.has("mine"));
        let own = Providers::parse("model_provider = \"mine\"\n[model_providers.mine]\nname = \"x\"\n");
        assert_eq!(own.effective, "mine");
        assert!(own.has("mine") && own.has("openai"));
        let profile = "profile = \"p\"\nmodel_provider = \"a\"\n[profiles.p]\nmodel_provider = \"b\"\n";
        assert_eq!(Providers::parse(profile).effective, "b");
        assert_eq!(Providers::parse("model_provider = [").effective, "openai");
    }
}
