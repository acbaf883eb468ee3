//! `demo`: the main job, on sample sessions, in a scratch directory.
//!
//! Two homes stand for two machines: `laptop` has Claude Code sessions, `desktop` wants to go on
//! with them in Codex, under another user name. Every step is the real command, as a user would
//! type it. Neither home has any other environment, so nothing outside the scratch directory is
//! read, written or started.

use std::path::Path;

use clap::Parser;

use super::args::{Cli, DemoArgs};
use super::exit::Exit;
use super::ui::{FAINT, GOOD, STRONG, Ui};
use super::{execute, text};
use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::txn::scratch;

/// The sample sessions, in Claude Code's form. They were recorded in `/home/dev`.
const SAMPLES: [(&str, &str); 2] = [
    ("6f1c2b54-8d0e-4c3a-9b7f-2e5d4a1c9e10", include_str!("../../fixtures/demo/rounding.jsonl")),
    ("b7d93a60-41fe-4f0b-8a55-0c6e9f3d7721", include_str!("../../fixtures/demo/question.jsonl")),
];
/// The home that the samples were recorded in.
const SAMPLE_HOME: &str = "/home/dev";

pub fn run(ui: &Ui, args: &DemoArgs) -> anyhow::Result<Exit> {
    if ui.json {
        return Err(Error::usage("the demo explains itself in words; it has no JSON").into());
    }
    let scratch = tempfile::Builder::new()
        .prefix("holdall-demo-")
        .tempdir()
        .at("make a directory in", Path::new("the temporary directory"))?;
    let root = scratch.path().canonicalize().at("resolve", scratch.path())?;
    let (laptop, desktop) = (root.join("laptop/home/dev"), root.join("desktop/home/alex"));
    lay_out(&laptop, &desktop)?;
    let archive = root.join("sessions.tar.gz");
    let stage = Stage {
        ui,
        laptop: Env::isolated(&laptop),
        desktop: Env::isolated(&desktop),
        archive: archive.to_string_lossy().into_owned(),
    };
    let done = stage.play();
    if args.keep {
        let kept = scratch.keep();
        ui.note(format!("\nKept: {}", kept.display()));
    }
    done?;
    ui.print(format!(
        "\n{GOOD}That is all.{GOOD:#} Your own sessions: `holdall list --all`, then `holdall export ID -o FILE`."
    ))?;
    Ok(Exit::Done)
}

struct Stage<'a> {
    ui: &'a Ui,
    laptop: Env,
    desktop: Env,
    archive: String,
}

impl Stage<'_> {
    fn play(&self) -> anyhow::Result<()> {
        let archive = self.archive.as_str();
        let id = SAMPLES[0].0;
        self.step("laptop", "What is here? Two Claude Code sessions.", &["list", "--all"])?;
        self.step("laptop", "Pack them into one file.", &["export", "--all", "-o", archive])?;
        self.step("desktop", "The file came over. Is it whole?", &["verify", archive])?;
        self.step(
            "desktop",
            "What would an import into Codex do? A dry run writes nothing.",
            &["import", archive, "--to", "codex", "--dry-run"],
        )?;
        self.step(
            "desktop",
            "Do it, without a question. The directory follows from one home to the other.",
            &["import", archive, "--to", "codex", "--yes"],
        )?;
        self.step(
            "desktop",
            "Once more: the same sessions are here, so nothing changes.",
            &["import", archive, "--to", "codex", "--yes"],
        )?;
        let converted = crate::model::ids::converted("claude", id, "codex", 0).to_string();
        self.step("desktop", "The first one, read from Codex's own files.", &["show", &converted])?;
        self.step("desktop", "And everything back as it was.", &["undo"])
    }

    /// Says what comes, shows the command as it would be typed, and runs it.
    fn step(&self, machine: &str, why: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let env = if machine == "laptop" { &self.laptop } else { &self.desktop };
        let typed: Vec<String> =
            arguments.iter().map(|word| word.replace(&self.archive, "sessions.tar.gz")).collect();
        self.ui.print(format!("\n{STRONG}# {why}{STRONG:#}"))?;
        self.ui.print(format!("{FAINT}{machine} ${FAINT:#} holdall {}", text::line(&typed.join(" "))))?;
        let cli = Cli::try_parse_from(std::iter::once("holdall").chain(arguments.iter().copied()))?;
        match execute(env, self.ui, &cli.command)? {
            Exit::Done => Ok(()),
            exit => {
                Err(Error::new(Kind::Unsupported, format!("this step ended with exit code {}", exit.code()))
                    .into())
            }
        }
    }
}

/// Makes both homes. The samples' home becomes the laptop's.
fn lay_out(laptop: &Path, desktop: &Path) -> Result<()> {
    let home = laptop.to_string_lossy();
    let project = laptop.join(".claude/projects/-home-dev-src-ledger");
    for dir in [&laptop.join("src/ledger"), &desktop.join("src/ledger"), &desktop.join(".codex")] {
        scratch::make_dir(dir)?;
    }
    for (id, sample) in SAMPLES {
        let text = sample.replace(SAMPLE_HOME, &home);
        scratch::write_file(&project.join(format!("{id}.jsonl")), text.as_bytes())?;
    }
    Ok(())
}
