//! The `holdall` program: parse, call, exit.

use std::process::ExitCode;

use holdall::cli::{self, exit};

fn main() -> ExitCode {
    let exit = cli::run(std::env::args_os()).unwrap_or_else(|error| exit::of_error(&error));
    ExitCode::from(exit.code())
}
