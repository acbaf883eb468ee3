//! The machine as holdall sees it: home, environment variables, clock.
//!
//! Everything else in the crate gets an [`Env`] and asks it; only this module reads the process
//! environment, and `clippy.toml` bans the functions that would go around it. So a test runs in a
//! home of its own, with a clock that stands still, and nothing can touch the real one by accident.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::model::time::{self, Time};

/// Home, environment variables and clock of one run.
#[derive(Debug, Clone)]
pub struct Env {
    home: PathBuf,
    vars: BTreeMap<OsString, OsString>,
    cwd: PathBuf,
    program: Option<PathBuf>,
    now: Option<Time>,
}

impl Env {
    /// The real machine.
    ///
    /// `HOLDALL_NOW` (RFC 3339) stops the clock, for reproducible runs.
    ///
    /// # Errors
    /// When no home directory or working directory is known, or `HOLDALL_NOW` is not a time.
    #[allow(clippy::disallowed_methods)] // The one place that may read them.
    pub fn from_process() -> Result<Self> {
        let home = dirs::home_dir()
            .ok_or_else(|| Error::new(Kind::NotFound, "no home directory is known").hint("set HOME"))?;
        let cwd = std::env::current_dir().map_err(|error| {
            Error::new(Kind::NotFound, "the current directory is gone").with_source(error)
        })?;
        let program = std::env::current_exe().ok();
        let mut env = Self { home, vars: std::env::vars_os().collect(), cwd, program, now: None };
        if let Some(text) = env.text("HOLDALL_NOW") {
            let now = time::parse(&text)
                .ok_or_else(|| Error::usage(format!("HOLDALL_NOW is {text:?}, which is no RFC 3339 time")))?;
            env.now = Some(now);
        }
        Ok(env)
    }

    /// A machine with this home and nothing else: no variables, `cwd` = home.
    pub fn isolated(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self { cwd: home.clone(), home, vars: BTreeMap::new(), program: None, now: None }
    }

    /// The same machine with one variable set.
    #[must_use]
    pub fn with_var(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// The same machine in another working directory.
    #[must_use]
    pub fn with_cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// The same machine with its clock stopped at `now`.
    #[must_use]
    pub fn with_now(mut self, now: Time) -> Self {
        self.now = Some(now);
        self
    }

    /// The user's home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory that holdall was started in.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The executable of this process, where it is known.
    pub fn program(&self) -> Option<&Path> {
        self.program.as_deref()
    }

    /// All variables, for a child process.
    pub fn vars(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.vars.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.var(name).and_then(OsStr::to_str).map(str::to_owned)
    }

    /// A directory that a variable may move: `$NAME` if it is set, else `default` below home.
    pub fn dir(&self, name: &str, default: &str) -> PathBuf {
        self.var(name).map_or_else(|| self.home.join(default), |value| self.cwd.join(value))
    }

    /// holdall's own state: `$XDG_STATE_HOME/holdall`, default `~/.local/state/holdall`.
    pub fn state_dir(&self) -> PathBuf {
        self.dir("XDG_STATE_HOME", ".local/state").join("holdall")
    }

    /// The time, to the millisecond.
    #[allow(clippy::disallowed_methods)] // The one clock.
    pub fn now(&self) -> Time {
        self.now.unwrap_or_else(|| time::to_millis(chrono::Utc::now()))
    }

    /// The first executable file called `name` on `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        let path = self.var("PATH")?;
        std::env::split_paths(path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(|file| is_executable(file))
    }
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}
