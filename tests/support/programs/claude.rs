//! Claude Code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Home, installed, request_with, run};
use crate::support::model::Model;
use crate::support::terminal::{Terminal, squeeze};

const KEY: &str = "dummy-key";
const MODEL: &str = "claude-sonnet-4-5";

/// Claude Code in a home.
pub struct Claude<'a> {
    home: &'a Home,
    cwd: PathBuf,
}

impl<'a> Claude<'a> {
    /// Prepares the home as if its user had answered the questions of the first start, and trusted `cwd`.
    pub fn new(home: &'a Home, cwd: &Path) -> Self {
        let cwd = cwd.canonicalize().expect("the working directory is there");
        let file = home.dir().join(".claude.json");
        let mut config: Value =
            fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(json!({}));
        config["hasCompletedOnboarding"] = true.into();
        config["theme"] = "dark".into();
        config["customApiKeyResponses"] = json!({"approved": [KEY], "rejected": []});
        config["projects"][cwd.to_str().expect("UTF-8")]["hasTrustDialogAccepted"] = true.into();
        fs::write(&file, config.to_string()).expect("the home can be written");
        let settings = home.dir().join(".claude");
        fs::create_dir_all(&settings).expect("the home can be written");
        fs::write(settings.join("settings.json"), r#"{"skipDangerousModePermissionPrompt":true}"#)
            .expect("the home can be written");
        Self { home, cwd }
    }

    fn command(&self, url: &str, args: &[&str]) -> Command {
        let mut command = self.home.command(&installed("claude"), &self.cwd);
        command.env("ANTHROPIC_BASE_URL", url).env("ANTHROPIC_API_KEY", KEY);
        for name in [
            "DISABLE_TELEMETRY",
            "DISABLE_ERROR_REPORTING",
            "DISABLE_AUTOUPDATER",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            // Lets root use --dangerously-skip-permissions.
            "IS_SANDBOX",
        ] {
            command.env(name, "1");
        }
        command.args(args);
        command
    }

    /// Resumes a session with a prompt and returns what the model was asked.
    ///
    /// # Errors
    /// When the program did not resume it, or a provider would refuse the request.
    pub fn resume(&self, id: &str, prompt: &str) -> Result<Value, String> {
        self.resume_with(&Model::start(&self.cwd), id, prompt)
    }

    /// The same with a model that runs already.
    ///
    /// # Errors
    /// As [`Claude::resume`].
    pub fn resume_with(&self, model: &Model, id: &str, prompt: &str) -> Result<Value, String> {
        let args = ["-p", prompt, "--resume", id, "--output-format", "json", "--model", MODEL];
        let ended = run(&mut self.command(&model.url(), &args), Duration::from_secs(60))?;
        let body = request_with(&model.requests(), prompt, &ended)?;
        let reply: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
        if reply["session_id"] != id {
            return Err(format!("resumed as session {} instead of {id}", reply["session_id"]));
        }
        Ok(body)
    }

    /// One turn in the terminal, as a user has it: starts the program with `prompt`, waits for the
    /// answer to be shown, leaves. `session` goes on with a session, `more` are further arguments.
    ///
    /// # Errors
    /// When `shown` did not appear in time; the error holds the screen.
    pub fn talk(
        &self,
        session: Option<&str>,
        more: &[&str],
        prompt: &str,
        shown: &str,
    ) -> Result<(), String> {
        self.talk_with(&Model::start(&self.cwd), session, more, prompt, shown)
    }

    /// The same with a model that runs already.
    ///
    /// # Errors
    /// As [`Claude::talk`].
    pub fn talk_with(
        &self,
        model: &Model,
        session: Option<&str>,
        more: &[&str],
        prompt: &str,
        shown: &str,
    ) -> Result<(), String> {
        let mut args = vec!["--model", MODEL, "--dangerously-skip-permissions"];
        if let Some(id) = session {
            args.extend(["--resume", id]);
        }
        args.extend(more);
        args.push(prompt);
        let terminal = Terminal::open(&self.command(&model.url(), &args));
        // Resuming prints the whole session, so an old answer may show at once: wait for a new request.
        let answered = terminal.wait(Duration::from_secs(60), |text| {
            text.contains(&squeeze(shown)) && model.requests().iter().any(|r| mentions(&r.body, prompt))
        });
        // The last records of a turn are written after it is shown.
        std::thread::sleep(Duration::from_millis(800));
        let refused = model.requests().iter().find_map(|request| request.refused.clone());
        let screen = terminal.text();
        terminal.leave();
        match (answered, refused) {
            (true, None) => Ok(()),
            (_, Some(reason)) => Err(format!("refused: {reason}")),
            (false, None) => Err(format!("{shown:?} was not shown for {prompt:?}: {screen}")),
        }
    }

    /// Presses `keys` in the terminal, in a new session or an old one, with the pauses of a quick typist.
    ///
    /// # Errors
    /// When `shown` did not appear in time; the error holds the screen.
    pub fn type_in(&self, session: Option<&str>, keys: &[&str], shown: &str) -> Result<(), String> {
        let model = Model::start(&self.cwd);
        let mut args = vec!["--model", MODEL, "--dangerously-skip-permissions"];
        if let Some(id) = session {
            args.extend(["--resume", id]);
        }
        let mut terminal = Terminal::open(&self.command(&model.url(), &args));
        terminal.wait(Duration::from_secs(20), |text| text.contains("❯"));
        std::thread::sleep(Duration::from_secs(1));
        for keys in keys {
            terminal.send(keys);
            std::thread::sleep(Duration::from_millis(700));
        }
        let shown_in_time = terminal.wait(Duration::from_secs(20), |text| text.contains(&squeeze(shown)));
        std::thread::sleep(Duration::from_millis(800));
        let screen = terminal.text();
        terminal.leave();
        if shown_in_time { Ok(()) } else { Err(format!("{shown:?} was not shown: {screen}")) }
    }

    /// The screen of `claude --resume`, without white space, once it satisfies `done` or `limit` is
    /// over. It shows the sessions of the working directory.
    pub fn picker(&self, limit: Duration, done: impl Fn(&str) -> bool) -> String {
        let terminal = Terminal::open(&self.command("http://127.0.0.1:9", &["--resume"]));
        terminal.wait(limit, done);
        terminal.text()
    }

    /// The transcripts of the home's sessions.
    pub fn transcripts(&self) -> Vec<PathBuf> {
        let projects = self.home.dir().join(".claude/projects");
        let dirs = fs::read_dir(projects).into_iter().flatten().flatten();
        let files = dirs.flat_map(|dir| fs::read_dir(dir.path()).into_iter().flatten().flatten());
        let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        files
    }
}

fn mentions(body: &Value, prompt: &str) -> bool {
    let quoted = serde_json::to_string(prompt).expect("text is JSON");
    // A slash command is not sent as it was typed.
    prompt.starts_with('/') || body.to_string().contains(&quoted[1..quoted.len() - 1])
}
