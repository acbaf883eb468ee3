//! Where a recording takes place: a fresh home with a small project, and what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sanitize;
use crate::support::cases::{self, Case};
use crate::support::programs::{Home, installed};

/// One case: what to do, and what is worth knowing of it.
pub struct Recording {
    /// Name of the case.
    pub case: &'static str,
    /// What is special about it.
    pub about: &'static str,
    /// What to do.
    pub play: Play,
    /// Whether the program's own picker offers it.
    pub offered: bool,
    /// The model that it needs, if not the one that the tests use anyway.
    pub model: Option<&'static str>,
}

/// What to do; the result is the id of the session to carry.
pub enum Play {
    /// One turn: a prompt, and the scenario that the model plays.
    Turn(&'static str, &'static str),
    /// Something longer.
    By(fn(&Stage) -> Result<String, String>),
}

impl Recording {
    /// A case that the picker offers, with the usual model.
    pub const fn new(case: &'static str, about: &'static str, play: Play) -> Self {
        Self { case, about, play, offered: true, model: None }
    }
}

/// Plays one turn of a harness: prompt and scenario.
pub type Turn = fn(&Stage, &Recording, &str, &str) -> Result<String, String>;

/// A fresh home with a project.
pub struct Stage {
    /// The home.
    pub home: Home,
    /// The project: a git repository with one commit.
    pub project: PathBuf,
}

impl Stage {
    fn new(dir: &Path) -> Self {
        let home = Home::at(dir.join("home"));
        let project = home.dir().join("src/app");
        fs::create_dir_all(&project).expect("the stage can be built");
        fs::write(project.join("README.md"), "# app\n\nA small project for recordings.\n")
            .expect("the stage can be built");
        fs::write(project.join("pic.png"), RED_SQUARE).expect("the stage can be built");
        let git = |args: &[&str]| {
            let mut command = home.command(Path::new("git"), &project);
            // The same commit id in each recording.
            for who in ["AUTHOR", "COMMITTER"] {
                command
                    .env(format!("GIT_{who}_NAME"), "dev")
                    .env(format!("GIT_{who}_EMAIL"), "dev@example.invalid");
                command.env(format!("GIT_{who}_DATE"), "2026-01-02T03:04:05Z");
            }
            assert!(command.args(args).status().expect("git starts").success(), "git {args:?}");
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["remote", "add", "origin", "https://example.invalid/acme/app.git"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "Begin"]);
        Self { home, project }
    }
}

/// Records one case into the fixtures. Returns their size in bytes.
pub fn record(harness: &str, turn: Turn, recording: &Recording) -> Result<u64, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let stage = Stage::new(dir.path());
    let id = match recording.play {
        Play::Turn(prompt, scenario) => turn(&stage, recording, prompt, scenario)?,
        Play::By(play) => play(&stage)?,
    };
    let case = Case {
        harness: harness.to_owned(),
        case: recording.case.to_owned(),
        id,
        cwd: cases::CWD.to_owned(),
        version: version(harness)?,
        about: recording.about.to_owned(),
        offered: recording.offered,
        model: recording.model.map(str::to_owned),
    };
    let target = case.dir(&cases::root());
    if target.exists() {
        fs::remove_dir_all(&target).map_err(|error| error.to_string())?;
    }
    let bytes = sanitize::keep(harness, stage.home.dir(), &target.join("home"));
    let text = serde_json::to_string_pretty(&case).expect("a case is JSON") + "\n";
    fs::write(target.join("case.json"), text).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn version(harness: &str) -> Result<String, String> {
    let output = Command::new(installed(harness)).arg("--version").output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    words.next().map(str::to_owned).ok_or_else(|| format!("{harness} --version printed {text:?}"))
}

/// A PNG of 8 by 8 red pixels.
const RED_SQUARE: &[u8] = include_bytes!("red-square.png");
