//! The real programs, each in a home of its own, with a fake model and no other network.

mod claude;
mod codex;
mod gemini;
mod opencode;
mod opencode_server;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use claude::Claude;
pub use codex::{AppServer, Codex};
pub use gemini::{Gemini, Origin};
pub use opencode::{Flavour, KILO, OPENCODE, Opencode, Talk, quiet};
pub use opencode_server::Server;

use super::model::Request;

/// The installed program; `scripts/harnesses` puts it there.
///
/// # Panics
/// When it is not installed: a test that was skipped without a word would prove nothing.
pub fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".harnesses/bin").join(name);
    assert!(path.exists(), "{name} is not installed: run scripts/harnesses");
    path
}

/// A directory that serves as a user's home.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// Uses `dir`, which is created when missing.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        fs::create_dir_all(&dir).expect("a home can be created");
        // Programs resolve links (macOS: /var is one); so must the paths that tests compare.
        Self { dir: dir.canonicalize().expect("the home is there") }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that sees this home, the tools of the system, and nothing else of the user who
    /// runs the tests. Every proxy variable points to a port where nobody listens, so that a program
    /// cannot talk to anything but the loopback interface.
    pub fn command(&self, program: &Path, cwd: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(cwd).env("HOME", &self.dir);
        command.env("PATH", system_path()).env("LANG", "C.UTF-8").env("TERM", "xterm-256color");
        for (name, dir) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_CACHE_HOME", ".cache"),
        ] {
            command.env(name, self.dir.join(dir));
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
        command
    }
}

/// The `PATH` of the user who runs the tests, for `sh`, `git` and the like.
fn system_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into())
}

/// `PATH` with the real programs in front.
pub fn path_with_programs() -> String {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join(".harnesses/bin");
    format!("{}:{}", bin.display(), system_path())
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started, or did not end within `limit`; then it is killed.
pub fn run(command: &mut Command, limit: Duration) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                drop(child.kill());
                drop(child.wait());
                return Err(format!("{name} did not end within {} s", limit.as_secs()));
            }
        }
    };
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok(Ended { status, stdout: text(stdout), stderr: text(stderr) })
}

fn collect(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The request that carried `prompt`, as the last one the program sent with it.
///
/// # Errors
/// When one was refused, or none carried the prompt.
fn request_with(requests: &[Request], prompt: &str, ended: &Ended) -> Result<serde_json::Value, String> {
    find_request(requests, prompt, || {
        format!("{}: {}", ended.status, last_lines(&format!("{}\n{}", ended.stdout, ended.stderr)))
    })
}

/// The same, where `told` is what else is known.
fn find_request(
    requests: &[Request],
    prompt: &str,
    told: impl Fn() -> String,
) -> Result<serde_json::Value, String> {
    let quoted = serde_json::to_string(prompt).expect("text is JSON");
    let quoted = &quoted[1..quoted.len() - 1];
    if let Some(refused) = requests.iter().find_map(|request| request.refused.as_ref()) {
        return Err(format!("the provider would refuse it: {refused}"));
    }
    let carries = |request: &&Request| request.body.to_string().contains(quoted);
    let found = requests.iter().rev().find(carries).map(|request| request.body.clone());
    found.ok_or_else(|| format!("no request carried the prompt ({})", told()))
}

/// The end of an output, for a message.
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(4)..].join(" / ");
    let start = tail.char_indices().rev().nth(600).map_or(0, |(i, _)| i);
    tail[start..].to_owned()
}
