//! `backup`

use super::args::BackupArgs;
use super::exit::Exit;
use super::text;
use super::ui::{FAINT, STRONG, Ui, WARNING};
use crate::env::Env;
use crate::error::Error;
use crate::ops::backup::fresh::Change;
use crate::ops::backup::report::Row;
use crate::ops::backup::{self, Options, Report};

/// Columns when there is no terminal.
const WIDTH: usize = 100;

/// More sessions than this are counted, not shown one by one.
const MANY: usize = 10;

pub fn run(env: &Env, ui: &Ui, args: &BackupArgs) -> anyhow::Result<Exit> {
    let limit = args.keep.as_deref().map(|age| {
        text::parse_when(age, env.now())
            .ok_or_else(|| Error::usage(format!("--keep {age:?} is no age")).hint("give 30d, 12h or 8w"))
    });
    let options = Options {
        dir: env.cwd().join(&args.dir),
        harnesses: args.harness.clone(),
        limit: limit.transpose()?,
        level: args.level,
        checksum: args.checksum,
    };
    let report = backup::run(env, &options, &ui.progress())?;
    ui.warn(&report.warnings);
    ui.warn(&report.failed.iter().map(|failed| format!("not backed up: {failed}")).collect::<Vec<_>>());
    if ui.json {
        ui.print_json(&report)?;
    } else if !ui.quiet {
        print(ui, &report)?;
    }
    Ok(if report.failed.is_empty() { Exit::Done } else { Exit::Partial })
}

fn print(ui: &Ui, report: &Report) -> std::io::Result<()> {
    let Some(archive) = &report.archive else {
        ui.note(format!(
            "nothing new: {} as the backups in {} have them",
            text::count(report.unchanged, "session"),
            text::line(&report.dir.to_string_lossy())
        ));
        return removed(ui, report);
    };
    ui.print(format!(
        "{STRONG}{}{STRONG:#}: {} ({}), {} unchanged",
        text::line(&report.dir.join(archive).to_string_lossy()),
        told(&report.sessions),
        text::size(report.bytes),
        report.unchanged
    ))?;
    let shown = if ui.verbose { report.sessions.len() } else { report.sessions.len().min(MANY) };
    for session in &report.sessions[..shown] {
        let id: String = session.id.chars().take(8).collect();
        let title = text::line(session.title.as_deref().unwrap_or("(no title)")).into_owned();
        let facts = format!("{}, {}", word(session.state), text::size(session.bytes));
        let taken = session.harness.len() + id.len() + facts.len() + 8;
        let title = text::cut(&title, ui.columns().unwrap_or(WIDTH).saturating_sub(taken).max(20));
        ui.print(format!("  {} {}  {title} {FAINT}· {facts}{FAINT:#}", session.harness, text::line(&id)))?;
    }
    if shown < report.sessions.len() {
        ui.print(format!("  {FAINT}… and {} more; -v shows them{FAINT:#}", report.sessions.len() - shown))?;
    }
    removed(ui, report)
}

fn removed(ui: &Ui, report: &Report) -> std::io::Result<()> {
    for name in &report.removed {
        ui.print(format!("{WARNING}removed{WARNING:#} {}", text::line(name)))?;
    }
    Ok(())
}

/// `3 sessions: 1 new, 2 grown`.
fn told(sessions: &[Row]) -> String {
    let all = [Change::New, Change::Grown, Change::Changed, Change::Carried].map(|change| {
        let count = sessions.iter().filter(|session| session.state == change).count();
        (count > 0).then(|| format!("{count} {}", word(change)))
    });
    let parts: Vec<String> = all.into_iter().flatten().collect();
    format!("{}: {}", text::count(sessions.len(), "session"), parts.join(", "))
}

fn word(change: Change) -> &'static str {
    match change {
        Change::New => "new",
        Change::Grown => "grown",
        Change::Changed => "changed",
        Change::Carried => "carried over",
    }
}
