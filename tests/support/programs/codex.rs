//! Codex.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Home, installed, request_with, run};
use crate::support::model::Model;

/// The provider's address is given for each run; this one reaches nobody.
const CONFIG: &str = r#"model = "gpt-5.5"
model_provider = "fake"
model_reasoning_effort = "low"
model_instructions_file = "INSTRUCTIONS"
check_for_update_on_startup = false
approval_policy = "never"
sandbox_mode = "danger-full-access"
tool_output_token_limit = 60000

[analytics]
enabled = false
[feedback]
enabled = false
[otel]
exporter = "none"
metrics_exporter = "none"
trace_exporter = "none"
[features]
daemon_auto_start = false
apps = false
plugins = false
remote_plugin = false
[skills.bundled]
enabled = false

[model_providers.fake]
name = "fake"
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
env_key = "FAKE_KEY"
request_max_retries = 0
stream_max_retries = 0
"#;

/// Codex in a home.
pub struct Codex<'a> {
    home: &'a Home,
    cwd: PathBuf,
}

impl<'a> Codex<'a> {
    /// Writes the configuration.
    pub fn new(home: &'a Home, cwd: &Path) -> Self {
        let cwd = cwd.canonicalize().expect("the working directory is there");
        let dir = home.dir().join(".codex");
        fs::create_dir_all(&dir).expect("the home can be written");
        let instructions = home.dir().join("instructions.md");
        fs::write(&instructions, "You are a test agent. Be brief.\n").expect("the home can be written");
        let config = CONFIG.replace("INSTRUCTIONS", instructions.to_str().expect("UTF-8"));
        fs::write(dir.join("config.toml"), config).expect("the home can be written");
        Self { home, cwd }
    }

    fn command(&self, url: &str, args: &[&str]) -> std::process::Command {
        let mut command = self.home.command(&installed("codex"), &self.cwd);
        command.env("CODEX_HOME", self.home.dir().join(".codex")).env("FAKE_KEY", "dummy-key");
        command.args(args).arg("-c").arg(format!("model_providers.fake.base_url=\"{url}/v1\""));
        command
    }

    /// Resumes a session with a prompt, under the configured model or the one given (another one than
    /// the session's makes Codex compact it first), and returns what the model was asked.
    ///
    /// # Errors
    /// When the program did not resume it, or a provider would refuse the request.
    pub fn resume(&self, id: &str, prompt: &str, with: Option<&str>) -> Result<Value, String> {
        self.resume_with(&Model::start(&self.cwd), id, prompt, with)
    }

    /// The same with a model that runs already.
    ///
    /// # Errors
    /// As [`Codex::resume`].
    pub fn resume_with(
        &self,
        model: &Model,
        id: &str,
        prompt: &str,
        with: Option<&str>,
    ) -> Result<Value, String> {
        let mut args = vec!["exec", "resume", "--json", "--skip-git-repo-check", id, prompt];
        if let Some(name) = with {
            args.extend(["--model", name]);
        }
        let ended = run(&mut self.command(&model.url(), &args), Duration::from_secs(60))?;
        let body = request_with(&model.requests(), prompt, &ended)?;
        // An id that Codex does not know begins a new thread, with exit code 0.
        match thread_started(&ended.stdout) {
            Some(thread) if thread == id => Ok(body),
            thread => Err(format!("resumed as thread {thread:?} instead of {id}")),
        }
    }

    /// A session made by `codex exec`: runs one prompt and returns the thread's id.
    ///
    /// # Errors
    /// When no thread was started.
    pub fn exec(&self, prompt: &str) -> Result<String, String> {
        let model = Model::start(&self.cwd);
        let args = ["exec", "--json", "--skip-git-repo-check", prompt];
        let ended = run(&mut self.command(&model.url(), &args), Duration::from_secs(60))?;
        request_with(&model.requests(), prompt, &ended)?;
        thread_started(&ended.stdout).ok_or_else(|| "no thread was started".into())
    }

    /// Starts `codex app-server`, which speaks JSON-RPC on stdin and stdout.
    pub fn app_server(&self, model: &Model) -> AppServer {
        AppServer::start(self.command(&model.url(), &["app-server"]))
    }

    /// Ids of the threads that the picker offers in the working directory: the default sources
    /// (`cli` and `vscode`), the configured provider, this directory. Like the picker it reads the
    /// index only, so a session file that Codex was never told of is not there.
    ///
    /// # Errors
    /// When the program does not answer.
    pub fn listed(&self) -> Result<Vec<String>, String> {
        let model = Model::start(&self.cwd);
        let mut server = self.app_server(&model);
        let filter = json!({"cwd": self.cwd, "limit": 200, "useStateDbOnly": true});
        let reply = server.call("thread/list", filter)?;
        let threads = reply["data"].as_array().ok_or("thread/list returned no list")?;
        Ok(threads.iter().filter_map(|thread| thread["id"].as_str().map(str::to_owned)).collect())
    }
}

/// The id in the event that `codex exec --json` prints first.
fn thread_started(stdout: &str) -> Option<String> {
    let mut events = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = events.find(|event| event["type"] == "thread.started")?;
    event["thread_id"].as_str().map(str::to_owned)
}

/// A running `codex app-server`. It is ended when dropped.
pub struct AppServer {
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Value>,
    notices: Vec<Value>,
    last_id: u64,
}

const LIMIT: Duration = Duration::from_secs(60);

impl AppServer {
    fn start(mut command: std::process::Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("codex starts");
        let stdin = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            for message in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut server = Self { child, stdin, messages, notices: Vec::new(), last_id: 0 };
        let client = json!({"clientInfo": {"name": "tests", "title": null, "version": "0"},
            "capabilities": {"experimentalApi": true}});
        server.call("initialize", client).expect("codex app-server answers");
        server.send(&json!({"method": "initialized"}));
        server
    }

    fn send(&mut self, message: &Value) {
        if let Some(stdin) = &mut self.stdin {
            // A server that is gone is noticed by the call that waits for its answer.
            drop(writeln!(stdin, "{message}").and_then(|()| stdin.flush()));
        }
    }

    fn next(&mut self, deadline: Instant) -> Option<Value> {
        let message = self.messages.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        if !message["method"].is_null() && !message["id"].is_null() {
            let reply = json!({"id": message["id"], "error": {"code": -1, "message": "not in a test"}});
            self.send(&reply);
        }
        Some(message)
    }

    /// Calls a method and returns its result.
    ///
    /// # Errors
    /// When the program answers with an error, or not at all.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"id": id, "method": method, "params": params}));
        let deadline = Instant::now() + LIMIT;
        while let Some(mut message) = self.next(deadline) {
            if message["id"] == id && message["method"].is_null() {
                return match message["error"].take() {
                    Value::Null => Ok(message["result"].take()),
                    error => Err(format!("{method}: {error}")),
                };
            }
            self.notices.push(message);
        }
        Err(format!("codex app-server did not answer to {method}"))
    }

    /// Waits for a notice of this name that satisfies `wanted`, and returns its parameters.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait(&mut self, method: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let deadline = Instant::now() + LIMIT;
        let fits = |notice: &Value| notice["method"] == method && wanted(&notice["params"]);
        if let Some(at) = self.notices.iter().position(&fits) {
            return Ok(self.notices.remove(at)["params"].take());
        }
        while let Some(mut message) = self.next(deadline) {
            if fits(&message) {
                return Ok(message["params"].take());
            }
            self.notices.push(message);
        }
        Err(format!("codex app-server sent no {method}"))
    }

    /// Waits until a turn of this thread, which is not its sub-agent's, is over.
    ///
    /// # Errors
    /// When it does not complete.
    pub fn turn_end(&mut self, thread: &str) -> Result<(), String> {
        self.wait("turn/completed", |params| params["threadId"] == thread).map(drop)
    }

    /// One turn of a thread; returns the turn's id.
    ///
    /// # Errors
    /// When it does not complete.
    pub fn turn(&mut self, thread: &str, input: Value) -> Result<String, String> {
        let reply = self.call("turn/start", json!({"threadId": thread, "input": input}))?;
        self.turn_end(thread)?;
        Ok(reply["turn"]["id"].as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for AppServer {
    fn drop(&mut self) {
        // Closing its input lets it write what it still holds.
        self.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
