//! Gemini CLI. It is a program for node, and takes one to five seconds to start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Ended, Home, installed, last_lines, request_with, run};
use crate::support::model::Model;
use crate::support::terminal::{Terminal, squeeze};

const LIMIT: Duration = Duration::from_secs(90);

/// The model that it is started with: with any other way to choose one it would first ask a model
/// which to take.
const MODEL: &str = "gemini-2.5-flash";

const SETTINGS: &str = r#"{
  "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
  "privacy": {"usageStatisticsEnabled": false},
  "telemetry": {"enabled": false},
  "security": {"auth": {"selectedType": "gemini-api-key"}},
  "tools": {"shell": {"enableInteractiveShell": false}},
  "ui": {"hideTips": true, "hideBanner": true, "showHomeDirectoryWarning": false}
}
"#;

/// Where a session comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Gemini CLI wrote it. On resume version 0.61 sends each result of such a session again, which
    /// the provider refuses (google-gemini/gemini-cli#29365); here that is forgiven.
    Own,
    /// Someone else wrote it: nothing is forgiven.
    Foreign,
}

/// Gemini CLI in a home.
pub struct Gemini<'a> {
    home: &'a Home,
    cwd: PathBuf,
}

impl<'a> Gemini<'a> {
    /// Prepares the home as if its user had answered the questions of the first start.
    pub fn new(home: &'a Home, cwd: &Path) -> Self {
        let cwd = cwd.canonicalize().expect("the working directory is there");
        let dir = home.dir().join(".gemini");
        fs::create_dir_all(&dir).expect("the home can be written");
        fs::write(dir.join("settings.json"), SETTINGS).expect("the home can be written");
        Self { home, cwd }
    }

    /// Makes the sessions of the directory `recorded`, which may not be there, those of the working
    /// directory: it is found by its path, in the registry and in the markers of the project.
    pub fn adopt(&self, recorded: &str) {
        let dir = self.home.dir().join(".gemini");
        let projects = ["tmp", "history"]
            .into_iter()
            .flat_map(|kind| fs::read_dir(dir.join(kind)).into_iter().flatten());
        let mut files: Vec<PathBuf> =
            projects.flatten().map(|project| project.path().join(".project_root")).collect();
        files.push(dir.join("projects.json"));
        for file in files {
            if let Ok(text) = fs::read_to_string(&file) {
                let text = text.replace(recorded, self.cwd.to_str().expect("UTF-8"));
                fs::write(&file, text).expect("the home can be written");
            }
        }
    }

    fn command(&self, url: &str, args: &[&str]) -> Command {
        let mut command = self.home.command(&installed("gemini"), &self.cwd);
        command.env("GEMINI_API_KEY", "dummy-key").env("GOOGLE_GEMINI_BASE_URL", url);
        for name in ["GEMINI_CLI_NO_RELAUNCH", "GEMINI_CLI_TRUST_WORKSPACE", "NO_COLOR"] {
            command.env(name, "true");
        }
        command.args(["--model", MODEL, "--skip-trust"]).args(args);
        command
    }

    /// A session made by one prompt without a terminal. Returns its id.
    ///
    /// # Errors
    /// When there was no answer, or the provider would refuse a request.
    pub fn run(&self, prompt: &str) -> Result<String, String> {
        let model = Model::start(&self.cwd);
        let ended = self.ask(&model, &["--prompt", prompt])?;
        request_with(&model.requests(), prompt, &ended)?;
        session_id(&ended)
    }

    /// Resumes a session with a prompt and returns what the model was asked.
    ///
    /// # Errors
    /// When the program did not resume it, or the provider would refuse the request.
    pub fn resume(&self, id: &str, prompt: &str, origin: Origin) -> Result<Value, String> {
        self.resume_with(&Model::start(&self.cwd), id, prompt, origin)
    }

    /// The same with a model that runs already.
    ///
    /// # Errors
    /// As [`Gemini::resume`].
    pub fn resume_with(
        &self,
        model: &Model,
        id: &str,
        prompt: &str,
        origin: Origin,
    ) -> Result<Value, String> {
        if origin == Origin::Own {
            model.forgive_repeats();
        }
        let ended = self.ask(model, &["--resume", id, "--prompt", prompt])?;
        let body = request_with(&model.requests(), prompt, &ended)?;
        match session_id(&ended)? {
            resumed if resumed == id => Ok(body),
            other => Err(format!("resumed as session {other} instead of {id}")),
        }
    }

    fn ask(&self, model: &Model, args: &[&str]) -> Result<Ended, String> {
        let mut command = self.command(&model.url(), args);
        command.args(["--approval-mode", "yolo", "--output-format", "json"]);
        run(&mut command, LIMIT)
    }

    /// Ids of the sessions that it offers in the working directory, oldest first. This is a start
    /// like any other: it removes what it takes for old or broken.
    ///
    /// # Errors
    /// When it does not list them.
    pub fn listed(&self) -> Result<Vec<String>, String> {
        let model = Model::start(&self.cwd);
        let ended = run(&mut self.command(&model.url(), &["--list-sessions"]), LIMIT)?;
        // 0.61: "  1. Title (2 minutes ago) [id]".
        let text = format!("{}\n{}", ended.stdout, ended.stderr);
        let rows = text.lines().filter_map(|line| {
            let (number, row) = line.trim_start().split_once(". ")?;
            number.parse::<u32>().ok()?;
            let (_, id) = row.trim_end().strip_suffix(']')?.rsplit_once('[')?;
            Some(id.to_owned())
        });
        let ids: Vec<String> = rows.collect();
        let none = text.contains("No previous sessions found");
        if ended.status.success() && (none || !ids.is_empty()) {
            Ok(ids)
        } else {
            Err(format!("no list ({}): {}", ended.status, last_lines(&text)))
        }
    }

    /// Types in its terminal, in a new session or an old one: each line of `lines` is keys to press
    /// and what must be shown before the next one.
    ///
    /// # Errors
    /// When something was not shown in time (the error holds the screen), or a request was refused.
    pub fn type_in(&self, session: Option<&str>, lines: &[(&str, &str)]) -> Result<(), String> {
        let model = Model::start(&self.cwd);
        model.forgive_repeats();
        let mut args = vec!["--approval-mode", "yolo"];
        if let Some(id) = session {
            args.extend(["--resume", id]);
        }
        let mut terminal = Terminal::open(&self.command(&model.url(), &args));
        let ready = terminal.wait(LIMIT, |text| text.contains(&squeeze("Type your message")));
        let mut problem = (!ready).then(|| "it is not ready".to_owned());
        std::thread::sleep(Duration::from_millis(700));
        for (keys, shown) in lines {
            if problem.is_some() {
                break;
            }
            for key in split_keys(keys) {
                // Enter right after other keys is taken for a part of a paste.
                let pause = if key == "\r" || key.len() > 2 && key.starts_with('\u{1b}') { 500 } else { 10 };
                std::thread::sleep(Duration::from_millis(pause));
                terminal.send(key);
            }
            if !terminal.wait(Duration::from_secs(30), |text| text.contains(&squeeze(shown))) {
                problem = Some(format!("{shown:?} was not shown for {keys:?}"));
            }
            std::thread::sleep(Duration::from_millis(700));
        }
        let screen = terminal.text();
        terminal.leave();
        let refused = model.requests().into_iter().find_map(|request| request.refused);
        match (problem, refused) {
            (_, Some(reason)) => Err(format!("refused: {reason}")),
            (Some(problem), None) => {
                let begin = screen.char_indices().rev().nth(3000).map_or(0, |(at, _)| at);
                Err(format!("{problem}: {}", screen[begin..].replace('─', "")))
            }
            (None, None) => Ok(()),
        }
    }

    /// The session files of the home, of all projects.
    pub fn transcripts(&self) -> Vec<PathBuf> {
        let projects = fs::read_dir(self.home.dir().join(".gemini/tmp")).into_iter().flatten().flatten();
        let files = projects
            .flat_map(|project| fs::read_dir(project.path().join("chats")).into_iter().flatten().flatten());
        let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
        files.retain(|file| file.is_file());
        files.sort();
        files
    }
}

/// Keys one by one; a control sequence is one key.
fn split_keys(keys: &str) -> Vec<&str> {
    let mut rest = keys;
    let mut split = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = match rest.strip_prefix("\u{1b}[") {
            Some(after) => after.find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |end| end + 3),
            None => first.len_utf8(),
        };
        let (key, after) = rest.split_at(length);
        split.push(key);
        rest = after;
    }
    split
}

/// The id in what it prints with `--output-format json`.
fn session_id(ended: &Ended) -> Result<String, String> {
    let begin = ended.stdout.find('{').unwrap_or_default();
    let reply: Value = serde_json::from_str(&ended.stdout[begin..]).unwrap_or_default();
    let told = format!("{}\n{}", ended.stdout, ended.stderr);
    match reply["session_id"].as_str() {
        Some(id) if reply["error"].is_null() => Ok(id.to_owned()),
        _ => Err(format!("no answer ({}): {}", ended.status, last_lines(&told))),
    }
}
