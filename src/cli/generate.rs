//! `schema`, `completions`, `man`: texts made from what the program knows of itself.

use std::io::Write;

use clap::CommandFactory;

use super::args::Cli;
use super::exit::Exit;
use crate::archive;

pub fn schema() -> anyhow::Result<Exit> {
    writeln!(std::io::stdout(), "{}", archive::schema().trim_end())?;
    Ok(Exit::Done)
}

pub fn completions(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "holdall", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// One page: the program, then each command.
pub fn man() -> anyhow::Result<Exit> {
    let command = Cli::command();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for sub in command.get_subcommands() {
        writeln!(page, ".SH \"HOLDALL {}\"", sub.get_name().to_uppercase())?;
        let man = clap_mangen::Man::new(sub.clone().bin_name(format!("holdall {}", sub.get_name())));
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    if let Some(after) = command.get_after_help() {
        writeln!(page, ".SH \"EXIT STATUS\"\n{after}")?;
    }
    std::io::stdout().write_all(&page)?;
    Ok(Exit::Done)
}
