//! Asks the installed Codex which threads it lists.
//!
//! `codex app-server` speaks JSON-RPC over its input and output. Its `thread/list` searches the
//! store for files that the index does not know yet and adds them, so asking is also what makes an
//! imported session appear in the list of `codex resume`. No model is called.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::native::Text;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::Confirmation;
use crate::harness::common::program::{self, Next};

const LIMIT: Duration = Duration::from_secs(30);
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    id: Option<u64>,
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
    let mut search = Search::new(ids);
    ask(env, &program, &mut search)?;
    Ok(Confirmation::Listed(ids.iter().filter(|id| !search.missing.contains(id.as_str())).cloned().collect()))
}

fn ask(env: &Env, program: &Path, search: &mut Search<'_>) -> Result<()> {
    let mut refused = false;
    let opening = search.opening();
    program::converse(env, program, &["app-server"], env.home(), &opening, LIMIT, &mut |line| {
        let Ok(reply) = serde_json::from_str::<Reply<'_>>(line) else {
            // Notifications and requests of the server, and errors, have other members.
            refused = is_error(line);
            return if refused { Next::Stop } else { Next::Wait };
        };
        if reply.id.is_some() && reply.result.is_none() {
            refused = true;
            return Next::Stop;
        }
        search.next(reply)
    })?;
    if refused {
        return Err(Error::new(Kind::Unsupported, "Codex refused to list its sessions"));
    }
    Ok(())
}

fn is_error(line: &str) -> bool {
    #[derive(Deserialize)]
    struct Failure {
        #[serde(rename = "error")]
        _error: serde::de::IgnoredAny,
    }
    serde_json::from_str::<Failure>(line).is_ok()
}

/// Goes through the pages of the live threads, then of the archived ones, until all are found.
struct Search<'i> {
    missing: BTreeSet<&'i str>,
    archived: bool,
    request: u64,
}

impl<'i> Search<'i> {
    fn new(ids: &'i [String]) -> Self {
        Self { missing: ids.iter().map(String::as_str).collect(), archived: false, request: 1 }
    }

    fn opening(&mut self) -> String {
        let client = json!({"name": "holdall", "title": null, "version": env!("CARGO_PKG_VERSION")});
        format!("{}\n", json!({"id": self.request, "method": "initialize", "params": {"clientInfo": client}}))
    }

    fn next(&mut self, reply: Reply<'_>) -> Next {
        if reply.id != Some(self.request) {
            return Next::Wait;
        }
        let page = reply.result.unwrap_or(Page { data: Vec::new(), next: None });
        if self.request == 1 {
            let ready = json!({"method": "initialized"});
            let list = self.list(None);
            return Next::Say(format!("{ready}\n{list}"));
        }
        for thread in &page.data {
            self.missing.remove(&*thread.id);
        }
        match page.next {
            _ if self.missing.is_empty() => Next::Stop,
            Some(cursor) if !page.data.is_empty() => Next::Say(self.list(Some(&cursor))),
            _ if !self.archived => {
                self.archived = true;
                Next::Say(self.list(None))
            }
            _ => Next::Stop,
        }
    }

    fn list(&mut self, cursor: Option<&str>) -> String {
        self.request += 1;
        let params = json!({
            "sourceKinds": ["cli", "vscode", "exec"],
            "modelProviders": [],
            "archived": self.archived,
            "limit": PAGE,
            "cursor": cursor,
        });
        format!("{}\n", json!({"id": self.request, "method": "thread/list", "params": params}))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn listed(script: &str) -> Result<Confirmation> {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("codex");
        #[allow(clippy::disallowed_methods)]
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a program");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("executable");
        let path = format!("{}:/bin:/usr/bin", dir.path().display());
        let env = Env::isolated(dir.path()).with_var("PATH", path);
        confirm(&env, &["a".into(), "b".into(), "c".into()])
    }

    #[test]
    fn every_page_is_asked_for_and_the_archived_threads_too() {
        let script = r#"
            read x; echo '{"id":1,"result":{"userAgent":"x"}}'; echo '{"method":"note","params":{"id":"b"}}'
            read x; read x; echo '{"id":2,"result":{"data":[{"id":"a","n":1}],"nextCursor":"p2"}}'
            read x; case "$x" in *'"cursor":"p2"'*) echo '{"id":3,"result":{"data":[{"id":"z"}],"nextCursor":null}}';; esac
            read x; case "$x" in *'"archived":true'*) echo '{"id":4,"result":{"data":[{"id":"c"}]}}';; esac
            read x"#;
        assert_eq!(listed(script).expect("an answer"), Confirmation::Listed(vec!["a".into(), "c".into()]));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let script = r#"read x; echo '{"id":1,"error":{"code":-1,"message":"no"}}'; read x"#;
        assert!(listed(script).expect_err("refused").to_string().contains("refused"));
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
