//! A home with a canary beside it and traps on `PATH`.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::hostile::unsafe_character;
use crate::support::programs::{Ended, Home};
use crate::support::tree::{self, Tree};
use crate::support::usage::{Usage, measured};

/// Programs that an archive may want to have started.
const TRAPS: [&str; 14] = [
    "bash", "claude", "codex", "curl", "evil", "gemini", "git", "id", "kilo", "node", "opencode", "python3",
    "sh", "ssh",
];

/// Most memory of a command, in bytes.
const MEMORY: u64 = 64 << 20;

/// Most time of a command on the processors, for one archive or session.
const TIME: Duration = Duration::from_secs(2);

/// A machine of its own: `home/`, `tmp/`, `traps/`, and `canary/`, which nothing may change.
pub struct World {
    dir: TempDir,
    home: Home,
    /// Most time of a command on the processors.
    pub time: Cell<Duration>,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        for name in ["tmp", "canary", "traps"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("canary/file"), "as it was\n").unwrap();
        let world = Self { dir, home, time: Cell::new(TIME) };
        let log = world.log();
        for name in TRAPS {
            let trap = world.dir().join("traps").join(name);
            let text = format!(
                "#!/bin/sh\nfor word in {name} \"$@\"; do printf '<%s> ' \"$word\"; done >>'{}'\necho >>'{0}'\nexit 1\n",
                log.display()
            );
            fs::write(&trap, text).unwrap();
            fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
        }
        world
    }

    /// The directory of all of it, resolved.
    pub fn dir(&self) -> &Path {
        self.home.dir().parent().unwrap()
    }

    pub fn home(&self) -> &Path {
        self.home.dir()
    }

    fn log(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("started")
    }

    /// What was started from the traps since the last time, a line each: `<git> <clone> …`.
    pub fn started(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        drop(fs::remove_file(self.log()));
        text.lines().map(str::to_owned).collect()
    }

    /// A command that sees this world and nothing else.
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = self.home.command(program, self.home.dir());
        command.env("PATH", self.dir().join("traps")).env("TMPDIR", self.dir().join("tmp")).args(arguments);
        command
    }

    /// Runs holdall, and says what is wrong with how it ran.
    pub fn holdall(&self, arguments: &[&str]) -> (Ended, Vec<String>) {
        self.judged(&self.command(Path::new(env!("CARGO_BIN_EXE_holdall")), arguments))
    }

    /// The same for a command that runs holdall.
    pub fn judged(&self, command: &Command) -> (Ended, Vec<String>) {
        let (ended, usage) = measured(command, Duration::from_secs(60)).unwrap();
        let mut wrong = about(&ended, usage, self.time.get());
        let left: Vec<PathBuf> = tree::read(&self.dir().join("tmp")).into_keys().collect();
        if !left.is_empty() {
            wrong.push(format!("left in the temporary directory: {left:?}"));
        }
        (ended, wrong)
    }

    /// The home as it is.
    pub fn tree(&self) -> Tree {
        tree::read(self.home())
    }

    /// Makes the home empty again.
    pub fn clear(&self) {
        fs::remove_dir_all(self.home()).unwrap();
        fs::create_dir(self.home()).unwrap();
    }

    /// What is outside of the home, but for what the traps wrote.
    pub fn outside(&self) -> Tree {
        let mut tree = tree::read_without(self.dir(), "home");
        tree.retain(|path, _| !path.starts_with("home") && path != Path::new("started"));
        tree
    }
}

/// What is wrong with how a command ended, whatever it was about.
fn about(ended: &Ended, usage: Usage, time: Duration) -> Vec<String> {
    let mut wrong = Vec::new();
    if usage.peak > MEMORY {
        wrong.push(format!("took {} MiB", usage.peak >> 20));
    }
    if usage.cpu > time {
        wrong.push(format!("took {:?}", usage.cpu));
    }
    for (name, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        if let Some(c) = unsafe_character(text) {
            wrong.push(format!("{c:?} on {name}: {text:?}"));
        }
    }
    let code = ended.status.code().unwrap_or(-1);
    if !(0..=4).contains(&code) || ended.stderr.contains("panicked") {
        wrong.push(format!("ended with {code}: {}", ended.stderr));
    }
    wrong
}

/// Paths that differ between two trees.
pub fn changes(before: &Tree, after: &Tree) -> Vec<PathBuf> {
    let gone_or_other =
        before.iter().filter(|(path, node)| after.get(*path) != Some(node)).map(|(path, _)| path);
    let new = after.keys().filter(|path| !before.contains_key(*path));
    gone_or_other.chain(new).cloned().collect()
}
