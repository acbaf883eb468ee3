//! `export`

use std::path::Path;

use inquire::MultiSelect;

use super::args::ExportArgs;
use super::exit::Exit;
use super::text;
use super::ui::{FAINT, STRONG, Ui};
use crate::env::Env;
use crate::error::{Error, Kind};
use crate::ops::export::{self, Options, Report};
use crate::ops::select::{Selected, Selection};

/// Columns when there is no terminal.
const WIDTH: usize = 100;

pub fn run(env: &Env, ui: &Ui, args: &ExportArgs) -> anyhow::Result<Exit> {
    let selection = args.select.selection(env)?;
    let to_stdout = args.output == Path::new("-");
    if to_stdout && ui.json {
        return Err(Error::usage("--json and -o - both want standard output")
            .hint("give a file with -o")
            .into());
    }
    if to_stdout && ui.is_terminal() {
        return Err(Error::usage("an archive on a terminal helps nobody")
            .hint("give a file with -o, or pipe it")
            .into());
    }
    let mut warnings = Vec::new();
    let chosen = if selection.is_open() && !args.select.all {
        pick(env, ui, &selection, &mut warnings)?
    } else {
        selection.resolve(env, &mut warnings)?
    };
    ui.warn(&warnings);
    // What could not be read is not in the archive.
    let left_out = !warnings.is_empty();
    let created = args.created.as_deref().map(|when| {
        text::parse_when(when, env.now())
            .ok_or_else(|| Error::usage(format!("--created {when:?} is no time")))
    });
    let options = Options {
        output: (!to_stdout).then(|| env.cwd().join(&args.output)),
        force: args.force,
        git: args.git.into(),
        max_work: args.max_work,
        subagents: !args.no_subagents,
        level: args.level,
        created: created.transpose()?,
    };
    let mut report = export::run(env, &chosen, &options, &mut std::io::stdout(), &ui.progress())?;
    ui.warn(&report.warnings);
    report.warnings.extend(warnings);
    let home = env.home().to_string_lossy();
    if ui.json {
        ui.print_json(&report)?;
    } else if to_stdout {
        summarise(ui, &report, &home, |line| {
            ui.note(line);
            Ok(())
        })?;
    } else {
        summarise(ui, &report, &home, |line| ui.print(line))?;
    }
    Ok(if left_out || report.incomplete { Exit::Partial } else { Exit::Done })
}

fn summarise(
    ui: &Ui,
    report: &Report,
    home: &str,
    print: impl Fn(String) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let raw: u64 = report.sessions.iter().map(|session| session.bytes).sum();
    print(format!(
        "{STRONG}{}{STRONG:#}: {} ({}, {} unpacked){}",
        text::line(&report.archive),
        text::count(report.sessions.len(), "session"),
        text::size(report.bytes),
        text::size(raw),
        match report.repos.len() {
            0 => String::new(),
            n => format!(", {n} git {}", if n == 1 { "repository" } else { "repositories" }),
        }
    ))?;
    let shown = if ui.verbose { report.sessions.len() } else { report.sessions.len().min(10) };
    for session in &report.sessions[..shown] {
        let id: String = session.id.chars().take(8).collect();
        let title = text::line(session.title.as_deref().unwrap_or("(no title)")).into_owned();
        let size = format!("{} in {}", text::size(session.bytes), text::count(session.files, "file"));
        let taken = session.harness.len() + id.len() + size.len() + 8;
        let title = text::cut(&title, ui.columns().unwrap_or(WIDTH).saturating_sub(taken).max(20));
        print(format!("  {} {}  {title} {FAINT}· {size}{FAINT:#}", session.harness, text::line(&id)))?;
    }
    if shown < report.sessions.len() {
        print(format!("  {FAINT}… and {} more; -v shows them{FAINT:#}", report.sessions.len() - shown))?;
    }
    for repo in &report.repos {
        if let Some(what) = text::carried(repo) {
            print(format!("  carries {what} of {}", text::line(&text::fold_home(&repo.root, home))))?;
        }
    }
    print(format!("{FAINT}sha256 {}{FAINT:#}", report.sha256))
}

/// Lets the user choose.
fn pick(
    env: &Env,
    ui: &Ui,
    selection: &Selection,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Vec<Selected>> {
    if !ui.can_ask() {
        return Err(Error::usage("export needs to know which sessions")
            .hint("give ids, or a filter such as --cwd . or --since 7d, or --all")
            .into());
    }
    let sessions = selection.resolve(env, warnings)?;
    let now = env.now();
    let home = env.home().to_string_lossy();
    // What the picker puts before each line.
    let room = ui.columns().unwrap_or(WIDTH).saturating_sub(6);
    let lines: Vec<String> = sessions
        .iter()
        .map(|one| {
            let title = text::line(one.head.title.as_deref().unwrap_or("(no title)")).into_owned();
            let dir = text::fold_home(one.head.cwd.as_deref().unwrap_or(""), &home);
            let when = one.head.updated.map(|time| text::ago(time, now)).unwrap_or_default();
            let facts = format!("{} · {when}", one.head.harness);
            let rest = room.saturating_sub(facts.chars().count() + 3);
            let (title, dir) = text::share(&title, &text::line(&dir), Some(rest));
            format!("{title} · {facts} · {dir}")
        })
        .collect();
    let picked = MultiSelect::new("Which sessions?", lines)
        .with_page_size(15)
        .with_help_message("type to filter, space to mark, enter to export, esc to stop")
        .with_formatter(&|chosen| text::count(chosen.len(), "session"))
        .raw_prompt_skippable();
    let picked = ui.answer(picked)?.filter(|picked| !picked.is_empty());
    let Some(picked) = picked else {
        return Err(Error::new(Kind::NotFound, "nothing was chosen, so nothing was exported").into());
    };
    Ok(picked.into_iter().filter_map(|choice| sessions.get(choice.index).cloned()).collect())
}
