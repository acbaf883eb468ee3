//! The first record of a rollout, `session_meta`, which may be longer than what was read of it.
//!
//! It holds the system prompt and the schemas of tools, often more than 20 KB, so a listing reads
//! only its beginning. What comes before the cut is taken; Codex writes ids and directory first.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{locate, record};
use crate::model::{GitRef, Time, time};

/// What is known of a thread from its first record.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Meta {
    /// The thread.
    pub id: String,
    /// The thread at the root of a tree of sub-agents.
    pub session_id: Option<String>,
    /// For a sub-agent: the thread that started it.
    pub parent: Option<String>,
    /// Whether the thread is a sub-agent's.
    pub subagent: bool,
    /// When it began.
    pub created: Option<Time>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// The version of Codex that began it.
    pub version: Option<String>,
    /// Name that Codex gave to a sub-agent.
    pub nickname: Option<String>,
    /// Kind of a sub-agent.
    pub role: Option<String>,
    /// Path of a sub-agent in its tree, such as `/root/task`.
    pub agent_path: Option<String>,
    /// The repository.
    pub git: Option<GitRef>,
    /// Whether the URL of the remote was recorded with credentials.
    pub credentials: bool,
    /// The file that this one continues, by its own id, and the first ordinal that is not taken
    /// from it.
    pub base: Option<(String, u64)>,
}

impl Meta {
    /// Reads the record in `line`, of which the end may be missing. `None`: it is another record,
    /// or not even the id was read.
    pub fn read(line: &[u8]) -> Option<Self> {
        if record::kind(line)?.record != "session_meta" {
            return None;
        }
        let mut meta = Self::default();
        let mut input = serde_json::Deserializer::from_slice(line);
        // An error is the end of what was read; the members before it are in `meta`.
        let _ = Record(&mut meta).deserialize(&mut input);
        locate::is_uuid(&meta.id).then_some(meta)
    }
}

struct Record<'m>(&'m mut Meta);

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "payload" => map.next_value_seed(Members(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Members<'m>(&'m mut Meta);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("session_meta")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let meta = self.0;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "id" => meta.id = map.next_value()?,
                "session_id" => meta.session_id = map.next_value()?,
                "parent_thread_id" => {
                    let parent: Option<String> = map.next_value()?;
                    meta.parent = parent.or(meta.parent.take());
                }
                "timestamp" => {
                    let text: Option<String> = map.next_value()?;
                    meta.created = text.as_deref().and_then(time::parse);
                }
                "cwd" => meta.cwd = map.next_value()?,
                "cli_version" => meta.version = map.next_value()?,
                "thread_source" => {
                    let source: Option<String> = map.next_value()?;
                    meta.subagent |= source.as_deref() == Some("subagent");
                }
                "source" => meta.take_source(map.next_value()?),
                "agent_nickname" => meta.nickname = map.next_value::<Option<_>>()?.or(meta.nickname.take()),
                "agent_role" => meta.role = map.next_value::<Option<_>>()?.or(meta.role.take()),
                "agent_path" => meta.agent_path = map.next_value::<Option<_>>()?.or(meta.agent_path.take()),
                "git" => {
                    if let Some(git) = map.next_value::<Option<Git>>()? {
                        meta.take_git(git);
                    }
                }
                "history_base" => {
                    let base: Option<Base> = map.next_value()?;
                    meta.base = base.map(|base| (base.thread_id, base.end_ordinal_exclusive));
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl Meta {
    fn take_source(&mut self, source: Source) {
        let Source::Tree(tree) = source else { return };
        let Some(subagent) = tree.subagent else { return };
        self.subagent = true;
        if let Subagent::Spawned { thread_spawn } = subagent {
            self.parent = self.parent.take().or(thread_spawn.parent_thread_id);
            self.nickname = self.nickname.take().or(thread_spawn.agent_nickname);
            self.role = self.role.take().or(thread_spawn.agent_role);
            self.agent_path = self.agent_path.take().or(thread_spawn.agent_path);
        }
    }

    fn take_git(&mut self, git: Git) {
        let remote = git.repository_url.map(|url| match without_credentials(&url) {
            Some(clean) => {
                self.credentials = true;
                clean
            }
            None => url,
        });
        self.git = Some(GitRef { branch: git.branch, commit: git.commit_hash, remote });
    }
}

#[derive(Deserialize)]
struct Git {
    #[serde(default)]
    commit_hash: Option<String>,
    #[serde(default)]
    branch: Option<String>,
    #[serde(default)]
    repository_url: Option<String>,
}

#[derive(Deserialize)]
struct Base {
    thread_id: String,
    end_ordinal_exclusive: u64,
}

/// `cli`, `vscode`, `exec`, …, `{"custom":…}` or `{"subagent":…}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Tree(SourceTree),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct SourceTree {
    #[serde(default)]
    subagent: Option<Subagent>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Subagent {
    Spawned { thread_spawn: Spawn },
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct Spawn {
    #[serde(default)]
    parent_thread_id: Option<String>,
    #[serde(default)]
    agent_nickname: Option<String>,
    #[serde(default)]
    agent_role: Option<String>,
    #[serde(default)]
    agent_path: Option<String>,
}

/// `url` without a password, token or user name in it; `None` when it has none. (A bare user of
/// SSH, `git@`, is no secret.)
fn without_credentials(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = authority.rsplit_once('@')?;
    if scheme.ends_with("ssh") || scheme == "git" {
        let (user, _) = user.split_once(':')?;
        return Some(format!("{scheme}://{user}@{host}{path}"));
    }
    Some(format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"timestamp":"t","ordinal":0,"type":"session_meta","payload":{"session_id":"01a1f8b2-2811-7bf1-a559-b238aafd9ec0","id":"01a1f8b2-28d8-7030-a02f-a83510068e64","parent_thread_id":"01a1f8b2-2811-7bf1-a559-b238aafd9ec0","timestamp":"2026-11-20T11:23:07.873Z","cwd":"/p","cli_version":"0.169.0","source":{"subagent":{"thread_spawn":{"parent_thread_id":"x","depth":1,"agent_nickname":"Zeno","agent_role":"default"}}},"base_instructions":{"text":"long"},"git":{"commit_hash":"c","branch":"main","repository_url":"https://me:token@example.invalid/a/b.git"}}}"#;

    #[test]
    fn a_whole_record() {
        let meta = Meta::read(LINE.as_bytes()).expect("a record");
        assert_eq!(meta.parent.as_deref(), Some("01a1f8b2-2811-7bf1-a559-b238aafd9ec0"));
        assert!(meta.subagent && meta.credentials);
        assert_eq!(meta.nickname.as_deref(), Some("Zeno"));
        let git = meta.git.expect("a repository");
        assert_eq!(git.remote.as_deref(), Some("https://example.invalid/a/b.git"));
    }

    #[test]
    fn a_cut_record_gives_what_came_before_the_cut() {
        let cut = &LINE.as_bytes()[..LINE.find("base_instr").expect("it is there") + 30];
        let meta = Meta::read(cut).expect("the id comes first");
        assert_eq!((meta.cwd.as_deref(), meta.git), (Some("/p"), None));
        assert_eq!(Meta::read(&LINE.as_bytes()[..120]), None);
        assert_eq!(Meta::read(br#"{"type":"turn_context","payload":{"id":"x"}}"#), None);
    }

    #[test]
    fn sources_of_every_form() {
        for source in [r#""cli""#, r#"{"custom":"x"}"#, r#"{"subagent":"review"}"#, "null"] {
            let line = LINE.replace(r#""source":{"subagent":{"thread_spawn":{"parent_thread_id":"x","depth":1,"agent_nickname":"Zeno","agent_role":"default"}}}"#, &format!(r#""source":{source}"#));
            let meta = Meta::read(line.as_bytes()).expect("a record");
            assert_eq!(meta.subagent, source.contains("subagent"), "{source}");
            assert!(meta.git.is_some(), "{source}");
        }
    }

    #[test]
    fn credentials() {
        for (url, clean) in [
            ("https://u:p@h/a", Some("https://h/a")),
            ("https://token@h/a@b", Some("https://h/a@b")),
            ("ssh://git:pw@h/a", Some("ssh://git@h/a")),
            ("ssh://git@h/a", None),
            ("git@h:a/b.git", None),
            ("https://h/a@b", None),
        ] {
            assert_eq!(without_credentials(url).as_deref(), clean, "{url}");
        }
    }
}
