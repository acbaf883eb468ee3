//! The command line: the only code that knows clap, colour, progress bars and prompts.
//!
//! - [`args`]: every command and flag
//! - [`ui`]: stdout for data, stderr for talk, progress
//! - [`text`]: untrusted text made safe for a terminal; times and sizes as people read them
//! - `json`: JSON that a terminal may be shown
//! - [`exit`]: what happened → exit code
//! - one module for each group of commands

pub mod args;
mod backup;
mod demo;
mod doctor;
pub mod exit;
mod export;
mod generate;
mod harnesses;
mod import;
mod inspect;
mod json;
mod list;
mod moving;
mod out;
mod repositories;
mod show;
pub mod text;
mod transcript;
mod ui;
mod undo;

use std::ffi::OsString;

use clap::Parser;

use crate::env::Env;
use crate::interrupt;
use args::{Cli, Command};
use exit::Exit;
use ui::Ui;

/// Runs one command line, and tells the user about what went wrong.
///
/// # Errors
/// Whatever the command could not do; [`exit::code`] knows the exit code for it.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Exit> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            error.print()?;
            return Ok(if error.use_stderr() { Exit::Usage } else { Exit::Done });
        }
    };
    let ui = Ui::new(&cli.global);
    let env = match Env::from_process().map_err(anyhow::Error::from) {
        Ok(env) => env,
        Err(error) => {
            ui.complain(&error)?;
            return Err(error);
        }
    };
    ctrlc::set_handler(|| {
        if !interrupt::ask() {
            std::process::exit(130);
        }
    })?;
    raise_file_limit();
    let result = execute(&env, &ui, &cli.command);
    if let Err(error) = &result
        && !exit::is_broken_pipe(error)
    {
        ui.complain(error)?;
    }
    result
}

/// Joined and unpacked copies of sessions are open files, and an export may have thousands.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused, the usual limit holds, which is enough for all but the largest exports.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(not(unix))]
fn raise_file_limit() {}

/// Runs one command on the machine that `env` describes.
fn execute(env: &Env, ui: &Ui, command: &Command) -> anyhow::Result<Exit> {
    if command.looks_at_the_machine() {
        undo::finish_earlier(env, ui, command.changes_the_machine())?;
    }
    match command {
        Command::Harnesses => harnesses::run(env, ui),
        Command::List(args) => list::run(env, ui, args),
        Command::Show(args) => show::run(env, ui, args),
        Command::Export(args) => export::run(env, ui, args),
        Command::Inspect(args) => inspect::inspect(ui, args),
        Command::Verify(args) => inspect::verify(ui, args),
        Command::Import(args) => import::import(env, ui, args),
        Command::Convert(args) => import::convert(env, ui, args),
        Command::Undo(args) => undo::undo(env, ui, args),
        Command::Imports => undo::imports(env, ui),
        Command::Move(args) => moving::run(env, ui, args),
        Command::Doctor(args) => doctor::run(env, ui, args),
        Command::Backup(args) => backup::run(env, ui, args),
        Command::Schema => generate::schema(),
        Command::Completions(args) => generate::completions(args.shell),
        Command::Man => generate::man(),
        Command::Demo(args) => demo::run(ui, args),
    }
}
