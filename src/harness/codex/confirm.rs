//! Asks the installed Codex which threads it lists.
//!
//! `codex app-server` speaks JSON-RPC over its input and output. Its `thread/list` searches the
//! store for files that the index does not know yet and adds them, so asking is also what makes an
//! imported session appear in the list of `codex resume`. No model is called.
//!
//! Codex 0.169 takes the name of a thread from `session_index.jsonl` only for rollouts of the older
//! form; the names of the others are in its database, so for those it is told the name.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::native::Text;
use super::{index, locate};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::Confirmation;
use crate::harness::common::program::{self, Next};

const LIMIT: Duration = Duration::from_secs(30);
const PAGE: usize = 100;

/// An answer. Notifications and requests of the server have no `result`, or no `id`.
#[derive(Deserialize)]
struct Reply<'a> {
    id: u64,
    #[serde(borrow, default)]
    result: Option<Page<'a>>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    data: Vec<Thread<'a>>,
    #[serde(rename = "nextCursor", borrow, default)]
    next: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Thread<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
}

/// Asks Codex which of the threads `ids` it lists, live or archived.
///
/// # Errors
/// When Codex was asked and did not answer.
pub fn confirm(env: &Env, ids: &[String]) -> Result<Confirmation> {
    let Some(program) = env.find_program(super::INFO.program) else {
        let advice = ids.first().map(|id| {
            format!("Codex is not installed here; after installing it, run `codex resume {id}` to go on")
        });
        return Ok(Confirmation::NotAsked(advice));
    };
    let home = locate::home(env);
    if ids.is_empty() || !home.is_dir() {
        return Ok(Confirmation::Listed(Vec::new()));
    }
    // The very store that was written, whatever the variables of this process say.
    let env = env.clone().with_var("HOME", env.home()).with_var("CODEX_HOME", &home);
    let mut talk = Talk::new(&home, ids);
    let opening = talk.initialize();
    program::converse(&env, &program, &["app-server"], env.home(), &opening, LIMIT, &mut |line| {
        talk.hear(line)
    })?;
    match talk.refused {
        Some(reason) => {
            Err(Error::new(Kind::Unsupported, format!("Codex does not list its sessions: {reason}")))
        }
        None => Ok(Confirmation::Listed(
            ids.iter().filter(|id| !talk.missing.contains(id.as_str())).cloned().collect(),
        )),
    }
}

/// Goes through the pages of the live threads, then of the archived ones, until all are found; then
/// names those that lost their name.
struct Talk<'i> {
    home: &'i Path,
    missing: BTreeSet<&'i str>,
    unnamed: Vec<(String, String)>,
    naming: bool,
    archived: bool,
    request: u64,
    refused: Option<String>,
}

impl<'i> Talk<'i> {
    fn new(home: &'i Path, ids: &'i [String]) -> Self {
        let missing = ids.iter().map(String::as_str).collect();
        Self { home, missing, unnamed: Vec::new(), naming: false, archived: false, request: 0, refused: None }
    }

    fn hear(&mut self, line: &str) -> Next {
        let Ok(reply) = serde_json::from_str::<Reply<'_>>(line) else { return Next::Wait };
        if reply.id != self.request {
            return Next::Wait;
        }
        match reply.result {
            Some(_) if self.request == 1 => {
                let list = self.list(None);
                Next::Say(format!("{}\n{list}", json!({"method": "initialized"})))
            }
            Some(_) if self.naming => self.name_next(),
            Some(page) => self.turn(&page),
            // A thread without its name is no reason to doubt the list.
            None if self.naming => self.name_next(),
            None => {
                let error: Value = serde_json::from_str(line).unwrap_or_default();
                self.refused =
                    Some(error["error"]["message"].as_str().unwrap_or("no reason given").to_owned());
                Next::Stop
            }
        }
    }

    fn turn(&mut self, page: &Page<'_>) -> Next {
        for thread in &page.data {
            if self.missing.remove(&*thread.id) && thread.name.is_none() {
                let line = index::line(self.home, &thread.id).ok().flatten();
                let name = line.as_deref().and_then(index::name);
                self.unnamed.extend(name.map(|name| (thread.id.0.clone().into_owned(), name)));
            }
        }
        match &page.next {
            Some(cursor) if !self.missing.is_empty() && !page.data.is_empty() => {
                Next::Say(self.list(Some(cursor)))
            }
            _ if !self.missing.is_empty() && !self.archived => {
                self.archived = true;
                Next::Say(self.list(None))
            }
            _ => self.name_next(),
        }
    }

    fn name_next(&mut self) -> Next {
        self.naming = true;
        match self.unnamed.pop() {
            Some((id, name)) => {
                Next::Say(self.ask("thread/name/set", &json!({"name": name, "threadId": id})))
            }
            None => Next::Stop,
        }
    }

    fn initialize(&mut self) -> String {
        let client = json!({"name": "holdall", "title": null, "version": env!("CARGO_PKG_VERSION")});
        self.ask("initialize", &json!({"clientInfo": client}))
    }

    fn list(&mut self, cursor: Option<&str>) -> String {
        let params = json!({
            "sourceKinds": ["cli", "vscode", "exec"],
            "modelProviders": [],
            "archived": self.archived,
            "limit": PAGE,
            "cursor": cursor,
        });
        self.ask("thread/list", &params)
    }

    fn ask(&mut self, method: &str, params: &Value) -> String {
        self.request += 1;
        format!("{}\n", json!({"id": self.request, "method": method, "params": params}))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn listed(script: &str) -> Result<Confirmation> {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("codex");
        std::fs::create_dir(dir.path().join(".codex")).expect("a folder");
        let name = r#"{"id":"c","thread_name":"given","updated_at":"x"}"#;
        std::fs::write(dir.path().join(".codex").join(index::FILE), name).expect("a file");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a program");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("executable");
        let path = format!("{}:/bin:/usr/bin", dir.path().display());
        let env = Env::isolated(dir.path()).with_var("PATH", path);
        confirm(&env, &["a".into(), "b".into(), "c".into()])
    }

    #[test]
    fn every_page_is_asked_for_and_the_archived_threads_and_names_are_given() {
        let script = r#"
            read x; echo '{"id":1,"result":{"userAgent":"x"}}'; echo '{"method":"note","params":{"id":"b"}}'
            read x; read x; echo '{"id":2,"result":{"data":[{"id":"a","n":1}],"nextCursor":"p2"}}'
            read x; case "$x" in *'"cursor":"p2"'*) echo '{"id":3,"result":{"data":[{"id":"z"}],"nextCursor":null}}';; esac
            read x; case "$x" in *'"archived":true'*) echo '{"id":4,"result":{"data":[{"id":"c","name":null}]}}';; esac
            read x; case "$x" in *'"name":"given"'*'"threadId":"c"'*) echo '{"id":5,"result":{}}';; esac
            read x"#;
        assert_eq!(listed(script).expect("an answer"), Confirmation::Listed(vec!["a".into(), "c".into()]));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let script = r#"read x; echo '{"id":1,"error":{"code":-1,"message":"no"}}'; read x"#;
        let error = listed(script).expect_err("it refused").to_string();
        assert!(error.ends_with("its sessions: no"), "{error}");
    }

    #[test]
    fn without_the_program_the_user_is_told_what_to_do() {
        let env = Env::isolated("/");
        let Confirmation::NotAsked(Some(advice)) = confirm(&env, &["a".into()]).expect("no program") else {
            panic!("nobody can have been asked");
        };
        assert!(advice.contains("codex resume a"), "{advice}");
    }
}
