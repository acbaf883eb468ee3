//! `harnesses`: what is supported and what is here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;
use serde::Serialize;

use crate::env::Env;
use crate::harness::{HARNESSES, Harness, common::program};

/// How long a program may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// What `harnesses --json` prints.
#[derive(Serialize)]
pub struct Report {
    /// `holdall.harnesses/1`
    pub schema: &'static str,
    /// Every supported harness.
    pub harnesses: Vec<Row>,
}

/// One harness.
#[derive(Serialize)]
pub struct Row {
    /// Its id on the command line.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether its data directory is here.
    pub found: bool,
    /// Version of the installed program.
    pub version: Option<String>,
    /// The version that everything was proven with.
    pub tested: &'static str,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// How many sessions there are, sub-agent sessions that are files of their own included.
    pub sessions: u64,
    /// Sessions can be read and exported.
    pub read: bool,
    /// Sessions of other harnesses can be written.
    pub write: bool,
    /// The installed program.
    pub program: Option<PathBuf>,
}

/// Looks at every harness.
pub fn run(env: &Env) -> Report {
    let harnesses = HARNESSES.par_iter().map(|harness| look(env, *harness)).collect();
    Report { schema: "holdall.harnesses/1", harnesses }
}

fn look(env: &Env, harness: &dyn Harness) -> Row {
    let info = harness.info();
    let data_dir = harness.data_dir(env);
    let found = data_dir.is_dir();
    let mut sessions = 0;
    // A store that cannot be read has no sessions to offer; `list` says why.
    let _ = harness.scan(env, &mut |_| sessions += 1);
    let program = env.find_program(info.program);
    let version = program.as_ref().and_then(|program| version(env, program));
    Row {
        id: info.id,
        name: info.name,
        found,
        version,
        tested: info.tested,
        data_dir,
        sessions,
        read: info.read,
        write: info.write,
        program,
    }
}

/// What the program says of itself. Some make all their directories before they say it (opencode
/// 1.18, Kilo 7.7), so it gets others to make them in; what starts the program may need the real ones.
pub(super) fn version(env: &Env, program: &Path) -> Option<String> {
    let ask = |env: &Env| {
        let output = program::run(env, program, &["--version"], env.home(), "", VERSION_LIMIT).ok()?;
        version_in(&output.stdout)
    };
    let scratch = tempfile::tempdir().ok()?;
    let elsewhere = ["CONFIG", "DATA", "STATE", "CACHE"]
        .iter()
        .fold(env.clone(), |env, name| env.with_var(format!("XDG_{name}_HOME"), scratch.path()));
    ask(&elsewhere).or_else(|| ask(env))
}

/// The first word that looks like a version.
fn version_in(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version_in("codex-cli 0.169.0\n").as_deref(), Some("0.169.0"));
        assert_eq!(version_in("2.1.329 (Claude Code)").as_deref(), Some("2.1.329"));
        assert_eq!(version_in("no version here"), None);
    }
}
