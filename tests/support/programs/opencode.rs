//! opencode, and Kilo, which is built on it.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::opencode_server::Server;
use super::{Ended, Home, find_request, installed, last_lines, request_with, run};
use crate::support::model::Model;

const LIMIT: Duration = Duration::from_secs(120);
/// So long a turn may take. One takes two seconds, with the start before it six.
pub(super) const TURN: Duration = Duration::from_secs(60);
/// So often a program is started for a first turn at most.
const STARTS: u32 = 3;

/// What differs between the two programs.
#[derive(Debug)]
pub struct Flavour {
    /// Name of the program, of its directories and of its configuration file.
    pub name: &'static str,
    /// What its variables begin with.
    prefix: &'static str,
}

/// opencode.
pub const OPENCODE: Flavour = Flavour { name: "opencode", prefix: "OPENCODE_" };

/// Kilo.
pub const KILO: Flavour = Flavour { name: "kilo", prefix: "KILO_" };

/// The model that the tests configure.
pub const MODEL: &str = "fake/fake-model";

/// opencode or Kilo in a home.
pub struct Opencode<'a> {
    flavour: &'static Flavour,
    home: &'a Home,
    cwd: PathBuf,
    model: &'a str,
}

impl<'a> Opencode<'a> {
    /// One of them by its name.
    pub fn named(name: &str, home: &'a Home, cwd: &Path) -> Self {
        Self::new(if name == "kilo" { &KILO } else { &OPENCODE }, home, cwd)
    }

    /// Uses the home. Its configuration is written for each start, as it holds the model's address.
    pub fn new(flavour: &'static Flavour, home: &'a Home, cwd: &Path) -> Self {
        let cwd = cwd.canonicalize().expect("the working directory is there");
        let opencode = Self { flavour, home, cwd, model: MODEL };
        // holdall asks the program too, and must find a configuration that keeps it quiet.
        opencode.configure("http://127.0.0.1:9");
        opencode
    }

    /// The same with another model configured, as `provider/model`. It is the only one there is.
    #[must_use]
    pub fn with_model(mut self, model: &'a str) -> Self {
        self.model = model;
        self.configure("http://127.0.0.1:9");
        self
    }

    fn configure(&self, url: &str) {
        let (provider, model) = self.model.split_once('/').expect("provider/model");
        let package = if provider == "claude" { "anthropic" } else { "openai-compatible" };
        let mut models = json!({});
        models[model] = json!({
            "name": "A model", "reasoning": true, "tool_call": true, "attachment": true,
            "interleaved": {"field": "reasoning_content"},
            "modalities": {"input": ["text", "image", "pdf"], "output": ["text"]},
            "limit": {"context": 200_000, "output": 8000},
        });
        let mut providers = json!({});
        providers[provider] = json!({
            "npm": format!("@ai-sdk/{package}"), "name": "Fake", "models": models,
            "options": {"baseURL": format!("{url}/v1"), "apiKey": "dummy-key"},
        });
        let config = json!({
            "model": self.model, "small_model": self.model, "enabled_providers": [provider],
            "share": "disabled", "autoupdate": false, "permission": {"*": "allow"}, "provider": providers,
        });
        let dir = self.home.dir().join(".config").join(self.flavour.name);
        fs::create_dir_all(&dir).expect("the home can be written");
        fs::write(dir.join(format!("{}.json", self.flavour.name)), config.to_string())
            .expect("the home can be written");
    }

    fn command(&self, url: &str, args: &[&str]) -> Command {
        self.configure(url);
        let mut command = self.home.command(&installed(self.flavour.name), &self.cwd);
        for (name, value) in quiet(self.flavour) {
            command.env(name, value);
        }
        command.args(args);
        command
    }

    /// A session made by `run` with one prompt. Returns its id.
    ///
    /// # Errors
    /// When there was no answer, or the provider would refuse a request.
    pub fn run(&self, prompt: &str, more: &[&str]) -> Result<String, String> {
        let before = self.listed()?;
        let model = Model::start(&self.cwd);
        let ended = self.ask(&model, more, prompt)?;
        request_with(&model.requests(), prompt, &ended)?;
        let mut ids = self.listed()?;
        ids.retain(|id| !before.contains(id));
        match ids.as_slice() {
            [id] => Ok(id.clone()),
            ids => Err(format!("{} sessions are new", ids.len())),
        }
    }

    /// Resumes a session with a prompt, under the session's own model or the one given as
    /// `provider/model`, and returns what the model was asked.
    ///
    /// # Errors
    /// When the program did not resume it, or a provider would refuse the request.
    pub fn resume(&self, id: &str, prompt: &str, with: Option<&str>) -> Result<Value, String> {
        let mut args = vec!["--session", id];
        if let Some(name) = with {
            args.extend(["--model", name]);
        }
        self.first_turn(|model| {
            let ended = self.ask(model, &args, prompt)?;
            let body = request_with(&model.requests(), prompt, &ended)?;
            // It tells in each event which session it is in.
            let told = ended.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut sessions: Vec<String> =
                told.filter_map(|event| event["sessionID"].as_str().map(str::to_owned)).collect();
            sessions.dedup();
            if sessions.as_slice() == [id] && ended.status.success() {
                Ok(body)
            } else {
                let talk = last_lines(&format!("{}\n{}", ended.stdout, ended.stderr));
                Err(format!("resumed as {sessions:?} instead of {id} ({}): {talk}", ended.status))
            }
        })
        .map(|(_, body)| body)
    }

    /// The first turn after a start.
    ///
    /// On a busy machine Kilo 7.7.9 sometimes comes to a halt in it, after its snapshot of the folder and
    /// before it asks its model anything. Then it is started again, with its database as it was. What halts
    /// because of a session halts each time.
    fn first_turn<T>(&self, turn: impl Fn(&Model) -> Result<T, String>) -> Result<(Model, T), String> {
        let before = self.database_files();
        let mut starts = 0;
        loop {
            let begun = Instant::now();
            let model = Model::start(&self.cwd);
            let done = turn(&model);
            starts += 1;
            if done.is_ok() || begun.elapsed() < TURN || !model.requests().is_empty() || starts == STARTS {
                return done.map(|done| (model, done));
            }
            drop(writeln!(std::io::stderr(), "{} came to a halt and is started again", self.flavour.name));
            self.database_files().into_keys().for_each(|path| drop(fs::remove_file(path)));
            before.iter().for_each(|(path, bytes)| fs::write(path, bytes).expect("the home can be written"));
        }
    }

    /// The database with its logs. Only while the program does not run.
    fn database_files(&self) -> HashMap<PathBuf, Vec<u8>> {
        let path = |end: &str| self.database().with_extension(format!("db{end}"));
        let read = |end: &str| Some((path(end), fs::read(path(end)).ok()?));
        ["", "-wal", "-shm"].into_iter().filter_map(read).collect()
    }

    fn ask(&self, model: &Model, args: &[&str], prompt: &str) -> Result<Ended, String> {
        let mut command = self.command(&model.url(), &["run", "--format", "json"]);
        // It puts an argument that holds a space in quotes; words of their own stay what they are.
        command.args(args).arg("--").args(prompt.split(' '));
        run(&mut command, TURN)
    }

    /// Ids of the sessions that it lists in the working directory, newest first.
    ///
    /// # Errors
    /// When the program fails.
    pub fn listed(&self) -> Result<Vec<String>, String> {
        let ended = self.end(&["session", "list", "--format", "json"])?;
        // Without a session it prints nothing.
        let text = if ended.trim().is_empty() { "[]" } else { ended.as_str() };
        let rows: Vec<Value> =
            serde_json::from_str(text).map_err(|error| format!("no list: {error}: {text}"))?;
        Ok(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect())
    }

    /// What it exports of a session: `info` and `messages`.
    ///
    /// # Errors
    /// When the program fails, or prints no JSON.
    pub fn export(&self, id: &str) -> Result<Value, String> {
        let text = self.end(&["export", id])?;
        serde_json::from_str(&text).map_err(|error| format!("export: {error}"))
    }

    fn end(&self, args: &[&str]) -> Result<String, String> {
        let ended = run(&mut self.command("http://127.0.0.1:9", args), LIMIT)?;
        if ended.status.success() {
            Ok(ended.stdout)
        } else {
            let talk = last_lines(&format!("{}\n{}", ended.stdout, ended.stderr));
            Err(format!("{} {} ended with {}: {talk}", self.flavour.name, args[0], ended.status))
        }
    }

    /// Starts `serve`, which its own terminal and its editors talk to.
    ///
    /// # Errors
    /// When it does not say where it listens.
    pub fn serve(&self, model: &Model) -> Result<Server, String> {
        Server::start(self.command(&model.url(), &["serve", "--hostname", "127.0.0.1", "--port", "0"]))
    }

    /// Starts `serve` and resumes a session through it, then others if wanted. Returns what the model was
    /// asked first.
    ///
    /// # Errors
    /// When it does not start, and as [`Talk::resume`].
    pub fn talk(&self, id: &str, prompt: &str) -> Result<(Talk, Value), String> {
        let (model, (server, body)) = self.first_turn(|model| {
            let server = self.serve(model)?;
            let body = resumed(&server, model, id, prompt)?;
            Ok((server, body))
        })?;
        Ok((Talk { model, server }, body))
    }

    /// What the program recorded of the calls of a session, by call: whether they failed. A command
    /// that ended with an error code is completed for the program, and its model is not told: `None`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outcomes(&self, session: &str) -> Result<HashMap<String, Option<bool>>, String> {
        let read = || {
            let connection = Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let mut select = connection.prepare(
                "SELECT data ->> 'callID', data ->> '$.state.status', data ->> '$.state.metadata.exit'
                 FROM part WHERE session_id = ?1 AND data ->> 'type' = 'tool'",
            )?;
            let rows = select.query_map([session], |row| {
                let (status, exit): (String, Option<i64>) = (row.get(1)?, row.get(2)?);
                let failed = match exit {
                    _ if status != "completed" => Some(true),
                    Some(code) if code != 0 => None,
                    _ => Some(false),
                };
                Ok((row.get(0)?, failed))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|error| format!("{}: {error}", self.database().display()))
    }

    /// Moves every session to the working directory: the program resumes a session only where it
    /// was, and that must be there.
    pub fn adopt(&self) {
        let connection = Connection::open(self.database()).expect("the database was unpacked");
        let cwd = self.cwd.to_str().expect("UTF-8");
        connection.execute("UPDATE session SET directory = ?1", [cwd]).expect("sessions can be moved");
        connection.execute("UPDATE project SET worktree = ?1", [cwd]).expect("projects can be moved");
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        let name = self.flavour.name;
        self.home.dir().join(".local/share").join(name).join(format!("{name}.db"))
    }
}

/// A running `serve` with its model.
pub struct Talk {
    model: Model,
    /// The server.
    pub server: Server,
}

impl Talk {
    /// Resumes a session with a prompt and returns what the model was asked.
    ///
    /// # Errors
    /// When the program did not resume it, or a provider would refuse the request.
    pub fn resume(&self, id: &str, prompt: &str) -> Result<Value, String> {
        resumed(&self.server, &self.model, id, prompt)
    }
}

fn resumed(server: &Server, model: &Model, id: &str, prompt: &str) -> Result<Value, String> {
    let before = model.requests().len();
    let answered = server.say(id, prompt);
    let requests = model.requests().split_off(before);
    let body = find_request(&requests, prompt, || format!("the server: {answered:?}"))?;
    answered.map(|_| body)
}

/// Variables that keep a program from all that a test does not want: updates, downloads, reports.
pub fn quiet(flavour: &Flavour) -> impl Iterator<Item = (String, &'static str)> {
    let names = [
        ("DISABLE_AUTOUPDATE", "1"),
        ("DISABLE_MODELS_FETCH", "1"),
        ("DISABLE_LSP_DOWNLOAD", "1"),
        ("DISABLE_DEFAULT_PLUGINS", "1"),
        ("DISABLE_EXTERNAL_SKILLS", "1"),
        // A native library, which each start would leave in the temporary directory.
        ("DISABLE_FFF", "1"),
        ("DISABLE_CODEBASE_INDEXING", "1"),
        ("DISABLE_PRESENCE", "1"),
        ("DISABLE_SHARE", "1"),
        ("DISABLE_SESSION_INGEST", "1"),
        ("TELEMETRY_LEVEL", "off"),
        ("PURE", "1"),
    ];
    let prefix = flavour.prefix;
    let own = names.into_iter().map(move |(name, value)| (format!("{prefix}{name}"), value));
    // Or it would install a package in the background at its first start.
    own.chain([("npm_config_offline".to_owned(), "true")])
}
