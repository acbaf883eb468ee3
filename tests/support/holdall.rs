//! The binary under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::programs::{Home, KILO, OPENCODE, last_lines, path_with_programs, quiet, run};

/// holdall in a home.
pub struct Holdall<'a> {
    home: &'a Home,
    cwd: PathBuf,
    programs: bool,
}

impl<'a> Holdall<'a> {
    /// holdall, started in `cwd`, on a machine without any of the real programs.
    pub fn new(home: &'a Home, cwd: &Path) -> Self {
        Self { home, cwd: cwd.to_owned(), programs: false }
    }

    /// The same with the real programs on `PATH`, so that holdall can ask them.
    #[must_use]
    pub fn with_programs(mut self) -> Self {
        self.programs = true;
        self
    }

    /// Runs `holdall --json …` and returns the document it printed, with its exit code.
    ///
    /// # Errors
    /// When it printed something else than one JSON document.
    pub fn json(&self, args: &[&str]) -> Result<(Value, i32), String> {
        let mut command = self.home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), &self.cwd);
        // Nothing listens at the provider's address; holdall asks only what needs no model.
        command.env("FAKE_KEY", "dummy-key").arg("--json").args(args);
        for (name, value) in quiet(&OPENCODE).chain(quiet(&KILO)) {
            command.env(name, value);
        }
        if self.programs {
            command.env("PATH", path_with_programs());
        } else {
            command.env("PATH", "/usr/bin:/bin");
        }
        let ended = run(&mut command, Duration::from_secs(60))?;
        let code = ended.status.code().unwrap_or(-1);
        serde_json::from_str(&ended.stdout).map(|document| (document, code)).map_err(|error| {
            let talk = last_lines(&ended.stderr);
            format!("holdall {} ended with {code} and no JSON ({error}): {talk}", args[0])
        })
    }

    /// The same, where only exit code 0 is right.
    ///
    /// # Errors
    /// When it ended with another exit code, or without JSON.
    pub fn done(&self, args: &[&str]) -> Result<Value, String> {
        match self.json(args)? {
            (document, 0) => Ok(document),
            (document, code) => Err(format!("holdall {} ended with {code}: {document}", args[0])),
        }
    }
}
