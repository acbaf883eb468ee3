//! holdall beside programs that write at that moment, and beside itself.
//!
//! - [`growing`]: transcripts that grow, shrink, are replaced or go away while they are exported
//! - [`commits`]: a database that a program commits to while holdall reads it and writes into it
//! - [`racing`]: two commands at once on one machine
//! - [`turns`]: the real programs in the middle of a turn
//!
//! With `HOLDALL_FULL=1` every law is tried as often as the README says; without, in fewer rounds of the
//! same code. Each test prints how often it ran holdall.

mod commits;
mod growing;
mod racing;
mod turns;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::programs::{Home, run};

/// How often a law is tried: `some` times, or `all` when everything is asked for.
fn rounds(some: usize, all: usize) -> usize {
    if std::env::var("HOLDALL_FULL").is_ok_and(|value| value == "1") { all } else { some }
}

/// How a command ended: its exit code and the document that it printed.
#[derive(Debug, Clone)]
struct Ended {
    code: i32,
    document: Value,
    talk: String,
}

impl Ended {
    /// What it says went wrong, with the advice.
    fn error(&self) -> String {
        format!("{} {}", self.document["error"], self.document["hints"])
    }

    /// Whether it gave way to another holdall and changed nothing.
    fn is_busy(&self) -> bool {
        let error = self.error();
        self.code == 1 && (error.contains("another holdall") || error.contains("under way"))
    }

    /// The only session of the report.
    fn session(&self) -> &Value {
        assert_eq!(self.document["sessions"].as_array().map(Vec::len), Some(1), "{}", self.document);
        &self.document["sessions"][0]
    }
}

/// Runs of holdall in a test.
#[derive(Debug, Default)]
struct Runs(AtomicUsize);

impl Runs {
    /// Runs `holdall --json …` to its end in a home, on a machine without any of the real programs.
    #[track_caller]
    fn run(&self, home: &Home, args: &[&str]) -> Ended {
        self.0.fetch_add(1, Ordering::Relaxed);
        let ended = run(&mut holdall(home, args), Duration::from_secs(120)).unwrap();
        let code = ended.status.code().unwrap_or_else(|| panic!("{args:?}: {}", ended.status));
        assert!(code != 101, "{args:?}: {}", ended.stderr);
        let document = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{args:?} ended with {code} ({error}): {}", ended.stderr));
        Ended { code, document, talk: ended.stderr }
    }

    /// The same, where only exit code 0 is right.
    #[track_caller]
    fn done(&self, home: &Home, args: &[&str]) -> Ended {
        let ended = self.run(home, args);
        assert_eq!(ended.code, 0, "{args:?}: {} {}", ended.document, ended.talk);
        ended
    }

    /// Both commands at once; each begins as long after the other as `lead` says.
    fn race(&self, home: &Home, first: &[&str], second: &[&str], lead: Duration) -> (Ended, Ended) {
        std::thread::scope(|scope| {
            let one = scope.spawn(|| self.run(home, first));
            std::thread::sleep(lead);
            let two = self.run(home, second);
            (one.join().expect("the other command ran"), two)
        })
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn holdall(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
    command.env("PATH", "/usr/bin:/bin").arg("--json").args(args);
    command
}

/// A lead that is another one in each round, of up to so many milliseconds.
fn lead(round: usize, most: u64) -> Duration {
    Duration::from_micros((round as u64 * 7919) % (most * 1000 + 1))
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// What is in the home under a name of holdall's temporary files.
fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let is_ours = |path: &PathBuf| path.to_string_lossy().contains(".holdall-");
    crate::support::tree::read(dir).into_keys().filter(is_ours).collect()
}
