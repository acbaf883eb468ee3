//! Runs the user's own `git`.
//!
//! It sees the user's variables and configuration, so that credentials, proxies and filters are
//! theirs. No hook runs, nothing is packed again in the background, its output never reaches our
//! stdout, and it is ended when the user asks to stop or when it shows no sign of life.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::interrupt;

/// How long git may do something on this machine without writing a byte.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long it may take to clear up after it was asked to end.
const GRACE: Duration = Duration::from_secs(5);

/// The end of what it says that is kept.
const TAIL: usize = 4096;

/// Of the repository that git was started in, which is not the one that is meant: the list of
/// `git rev-parse --local-env-vars` without the configuration of the user's command line.
const LOCAL: [&str; 13] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];

/// Settings of every call. `core.hooksPath`: nothing of a repository runs during an import.
const SETTINGS: [&str; 7] = [
    if cfg!(windows) { "core.hooksPath=NUL" } else { "core.hooksPath=/dev/null" },
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "core.quotePath=false",
];

/// The user's git.
#[derive(Debug)]
pub struct Git {
    program: PathBuf,
    vars: Vec<(OsString, OsString)>,
    asks: bool,
}

/// How a call ended.
#[derive(Debug)]
pub(super) struct Ended {
    status: ExitStatus,
    /// What it wrote to stdout.
    pub(super) stdout: Vec<u8>,
    /// The end of what it wrote to stderr.
    stderr: String,
}

/// One call of git.
pub(super) struct Call<'c> {
    git: &'c Git,
    dir: &'c Path,
    arguments: Vec<OsString>,
    vars: Vec<(OsString, OsString)>,
    input: Option<File>,
    patience: Duration,
}

impl Git {
    /// The `git` on `PATH`. `asks`: it may ask the user for a password on the terminal.
    pub fn find(env: &Env, asks: bool) -> Option<Self> {
        let program = env.find_program(if cfg!(windows) { "git.exe" } else { "git" })?;
        let mut vars: Vec<(OsString, OsString)> = env
            .vars()
            .filter(|(name, _)| !LOCAL.iter().any(|local| name == local))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if !asks {
            vars.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
        }
        Some(Self { program, vars, asks })
    }

    /// A call in `dir`.
    pub(super) fn call<'c>(
        &'c self,
        dir: &'c Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Call<'c> {
        Call {
            git: self,
            dir,
            arguments: arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect(),
            vars: Vec::new(),
            input: None,
            patience: PATIENCE,
        }
    }

    /// What it answers in `dir`, without the line end.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn ask(&self, dir: &Path, arguments: &[&str]) -> Result<String> {
        self.call(dir, arguments).text()
    }

    /// Whether it succeeds in `dir`.
    ///
    /// # Errors
    /// When it cannot be run.
    pub(super) fn agrees(&self, dir: &Path, arguments: &[&str]) -> Result<bool> {
        Ok(self.call(dir, arguments).run()?.status.success())
    }

    /// Keeps ssh from asking on a terminal when nobody may be asked. A command of the user's own is
    /// left alone.
    pub(super) fn quiet_ssh(&self, dir: &Path) -> Result<Option<(OsString, OsString)>> {
        let is_set = |wanted: &str| self.vars.iter().any(|(name, _)| name == wanted);
        if self.asks || is_set("GIT_SSH_COMMAND") || is_set("GIT_SSH") {
            return Ok(None);
        }
        if self.agrees(dir, &["config", "--get", "core.sshCommand"])? {
            return Ok(None);
        }
        Ok(Some(("GIT_SSH_COMMAND".into(), "ssh -oBatchMode=yes".into())))
    }
}

impl Call<'_> {
    /// With this variable.
    pub(super) fn var(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// With these variables.
    pub(super) fn vars(mut self, vars: &[(OsString, OsString)]) -> Self {
        self.vars.extend_from_slice(vars);
        self
    }

    /// With what remains of this file as its input.
    pub(super) fn input(mut self, input: File) -> Self {
        self.input = Some(input);
        self
    }

    /// Ended when it writes nothing for so long.
    pub(super) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What it wrote to stdout, as text without the line end.
    ///
    /// # Errors
    /// When it fails, or writes something else than UTF-8.
    pub(super) fn text(self) -> Result<String> {
        let ended = self.done()?;
        let text = String::from_utf8(ended.stdout)
            .map_err(|_| Error::new(Kind::Unsupported, "git answered with a text that is not UTF-8"))?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it fails: the end of what it said.
    pub(super) fn done(self) -> Result<Ended> {
        let what = self.arguments.first().map(|name| name.to_string_lossy().into_owned());
        let ended = self.run()?;
        if ended.status.success() {
            return Ok(ended);
        }
        Err(Error::new(Kind::Io, format!("git {}: {}", what.unwrap_or_default(), ended.complaint())))
    }

    /// Runs it and lets the caller look at how it ended.
    ///
    /// # Errors
    /// When it cannot be started, was interrupted, or showed no sign of life.
    pub(super) fn run(self) -> Result<Ended> {
        let _watch = interrupt::Watch::new();
        let mut child = self.start()?;
        let streams = (child.stdout.take(), child.stderr.take());
        let heard = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let stdout = scope.spawn(|| read(streams.0, &heard, usize::MAX));
            let stderr = scope.spawn(|| read(streams.1, &heard, TAIL));
            let status = wait(&mut child, &heard, self.patience, !self.git.asks)
                .map_err(|error| error.context("git"))?;
            Ok(Ended {
                status,
                stdout: stdout.join().unwrap_or_default(),
                stderr: String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned(),
            })
        })
    }

    fn start(&self) -> Result<Child> {
        let mut command = Command::new(&self.git.program);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(&self.arguments).current_dir(self.dir).env_clear();
        command.envs(self.git.vars.iter().chain(&self.vars).map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(match &self.input {
            Some(file) => Stdio::from(file.try_clone().at("read", Path::new("the git bundle"))?),
            None => Stdio::null(),
        });
        // So that all of its own programs end with it. A group in the background cannot ask for a
        // password.
        #[cfg(unix)]
        if !self.git.asks {
            use std::os::unix::process::CommandExt;
            command.process_group(0);
        }
        command.spawn().at("start", &self.git.program)
    }
}

impl Ended {
    /// Whether its exit code is 0.
    pub(super) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// The last lines that it said, in one; of progress only its end.
    pub(super) fn complaint(&self) -> String {
        let lines =
            self.stderr.lines().filter_map(|line| line.rsplit('\r').find(|part| !part.trim().is_empty()));
        let lines: Vec<&str> = lines.map(str::trim).collect();
        let telling: Vec<&str> = lines.iter().copied().filter(|line| is_telling(line)).collect();
        let told = if telling.is_empty() { lines } else { telling };
        match told.get(told.len().saturating_sub(3)..).unwrap_or_default() {
            [] => format!("it ended with {}", self.status),
            last => last.join(" / "),
        }
    }
}

fn is_telling(line: &str) -> bool {
    ["fatal:", "error:", "ERROR:", "ssh:", "remote: fatal", "remote: error"]
        .iter()
        .any(|word| line.starts_with(word))
}

fn read(stream: Option<impl Read>, heard: &AtomicU64, most: usize) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 8192]);
    let Some(mut stream) = stream else { return kept };
    while let Ok(got @ 1..) = stream.read(&mut buffer) {
        heard.fetch_add(1, Ordering::Relaxed);
        kept.extend_from_slice(&buffer[..got]);
        if kept.len() > most {
            kept.drain(..kept.len() - most);
        }
    }
    kept
}

fn wait(child: &mut Child, heard: &AtomicU64, patience: Duration, group: bool) -> Result<ExitStatus> {
    let mut last = (heard.load(Ordering::Relaxed), Instant::now());
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().at("wait for", Path::new("git"))? {
            return Ok(status);
        }
        let now = heard.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
        if interrupt::is_asked() {
            end(child, group);
            return Err(Error::new(Kind::Io, "interrupted"));
        }
        if last.1.elapsed() > patience {
            end(child, group);
            let message = format!("it showed no sign of life for {} s and was ended", patience.as_secs());
            return Err(Error::new(Kind::Busy, message));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Asks it to end, so that it clears up after itself, and ends it when it does not.
fn end(child: &mut Child, group: bool) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let signal = |signal| {
            let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
            // It may be gone already.
            let _ = if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
        };
        signal(Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| group) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
    let _ = (group, GRACE, child.kill(), child.wait());
}
