//! The program's database: where it is, and how the program makes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::flavour::Flavour;
use super::super::paths;
use super::schema;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::common::program::{self, Output};

/// How long the program may take for a list: 2 to 6 seconds the first time, 1.18.33.
const PATIENCE: Duration = Duration::from_secs(60);

/// The database that sessions go to.
///
/// # Errors
/// When the program keeps its sessions in memory.
pub fn database(flavour: &Flavour, env: &Env) -> Result<PathBuf> {
    paths::database(flavour, env).ok_or_else(|| {
        let message =
            format!("{}DB says that {} keeps its sessions in memory", flavour.variables, flavour.info.name);
        Error::new(Kind::Unsupported, message).hint("unset the variable and import again")
    })
}

/// Whether sessions can be written as rows: there is a database, or the program that makes one. One that
/// cannot be looked at is there: whoever opens it says what is wrong.
pub fn is_usable(flavour: &Flavour, env: &Env) -> bool {
    paths::database(flavour, env).is_none_or(|path| path.try_exists().unwrap_or(true))
        || env.find_program(flavour.info.program).is_some()
}

/// Runs the program in `cwd`, without anything that it could do beside: no update, no download, no
/// plugin, no network.
///
/// # Errors
/// When it is not installed, cannot be started or takes too long.
pub fn run(flavour: &Flavour, env: &Env, arguments: &[&str], cwd: &Path) -> Result<Output> {
    const QUIET: [&str; 7] = [
        "DISABLE_AUTOUPDATE",
        "DISABLE_MODELS_FETCH",
        "DISABLE_LSP_DOWNLOAD",
        "DISABLE_DEFAULT_PLUGINS",
        "DISABLE_SHARE",
        "DISABLE_SESSION_INGEST",
        "PURE",
    ];
    let Some(program) = env.find_program(flavour.info.program) else {
        return Err(Error::new(Kind::NotFound, format!("{} is not installed", flavour.info.name)));
    };
    let mut quiet = env.clone().with_var("HOME", env.home()).with_var("npm_config_offline", "true");
    for name in QUIET {
        quiet = quiet.with_var(format!("{}{name}", flavour.variables), "1");
    }
    quiet = quiet.with_var(format!("{}TELEMETRY_LEVEL", flavour.variables), "off");
    program::run(&quiet, &program, arguments, cwd, "", PATIENCE)
}

/// Lets the program make its database.
///
/// # Errors
/// When it did not, or made one that holdall does not know.
pub fn make(flavour: &Flavour, env: &Env, cwd: &Path) -> Result<()> {
    let path = database(flavour, env)?;
    let output = run(flavour, env, &["session", "list", "--format", "json"], cwd)?;
    if !path.exists() {
        let message = format!(
            "{} did not make its database {} (it ended with {})",
            flavour.info.name,
            path.display(),
            output.code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"))
        );
        return Err(Error::new(Kind::NotFound, message)
            .hint(format!("start `{}` once and import again", flavour.info.program)));
    }
    schema::owned(flavour, &path).map(drop)
}
