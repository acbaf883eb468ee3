//! `doctor`

use std::io::Write;

use super::args::DoctorArgs;
use super::exit::Exit;
use super::text;
use super::ui::{BAD, FAINT, GOOD, STRONG, Ui, WARNING};
use crate::env::Env;
use crate::harness::HARNESSES;
use crate::harness::diagnosis::Severity;
use crate::model::time;
use crate::ops::doctor::{self, Options, Report, Row};

/// So many findings of one kind are shown; `-v` shows all.
const SHOWN: usize = 3;

pub fn run(env: &Env, ui: &Ui, args: &DoctorArgs) -> anyhow::Result<Exit> {
    let options = Options { harnesses: args.harness.clone(), fix: args.fix, no_confirm: args.no_confirm };
    let report = doctor::run(env, &options, &ui.progress())?;
    if ui.json {
        ui.warn(&report.warnings);
        ui.print_json(&report)?;
    } else {
        print(env, ui, &report)?;
        ui.warn(&report.warnings);
        conclude(ui, &report);
    }
    Ok(if report.is_left() { Exit::Partial } else { Exit::Done })
}

fn print(env: &Env, ui: &Ui, report: &Report) -> std::io::Result<()> {
    let mut out = ui.out();
    for harness in report.findings.chunk_by(|a, b| a.harness == b.harness) {
        let info = HARNESSES.iter().map(|known| known.info()).find(|info| info.id == harness[0].harness);
        writeln!(out, "{STRONG}{}{STRONG:#}", info.map_or("holdall", |info| info.name))?;
        for kind in harness.chunk_by(|a, b| a.code == b.code) {
            let same = same(kind);
            let shown = if ui.verbose { same.len() } else { same.len().min(SHOWN) };
            for rows in &same[..shown] {
                print_rows(env, &mut out, rows)?;
            }
            let more: usize = same[shown..].iter().map(Vec::len).sum();
            if more > 0 {
                writeln!(out, "  {FAINT}… and {more} more ({}); -v shows them{FAINT:#}", kind[0].code)?;
            }
        }
    }
    out.flush()
}

/// Findings that are told together, because only their sessions differ.
fn same(kind: &[Row]) -> Vec<Vec<&Row>> {
    let mut same: Vec<Vec<&Row>> = Vec::new();
    for row in kind {
        let is_same = |rows: &&mut Vec<&Row>| {
            let first = rows[0];
            (&first.detail, &first.path, &first.command, first.fixed)
                == (&row.detail, &row.path, &row.command, row.fixed)
        };
        match same.iter_mut().find(is_same) {
            Some(rows) => rows.push(row),
            None => same.push(vec![row]),
        }
    }
    same
}

fn print_rows(env: &Env, out: &mut impl Write, rows: &[&Row]) -> std::io::Result<()> {
    let row = rows[0];
    let (style, mark) = match (row.fixed, row.severity) {
        (true, _) => (GOOD, "repaired"),
        (false, Severity::Error) => (BAD, "error"),
        (false, Severity::Warning) => (WARNING, "warning"),
        (false, Severity::Notice) => (FAINT, "notice"),
    };
    write!(out, "  {style}{mark}{style:#} {}", row.code)?;
    if let Some(session) = &row.session {
        let title = row.title.as_deref().unwrap_or("(no title)");
        write!(out, "  {} {FAINT}·{FAINT:#} {}", text::line(session), text::cut(&text::line(title), 60))?;
    }
    match rows.len() {
        1 => writeln!(out)?,
        count => writeln!(out, "  {FAINT}and {}{FAINT:#}", text::count(count - 1, "other"))?,
    }
    let home = env.home().to_string_lossy();
    let when = row.date.map_or(String::new(), |date| format!(" ({})", &time::rfc3339(date)[..10]));
    writeln!(out, "      {}{when}", text::line(&row.detail))?;
    // The text of many findings names it already.
    let path = row.path.as_ref().map(|path| path.to_string_lossy());
    if let Some(path) = path.filter(|path| !row.detail.contains(&**path)) {
        let path = text::fold_home(&path, &home);
        writeln!(out, "      {FAINT}{}{FAINT:#}", text::line(&path))?;
    }
    if row.fixed {
        return Ok(());
    }
    if let Some(advice) = &row.advice {
        writeln!(out, "      {FAINT}→{FAINT:#} {}", text::line(advice))?;
    }
    if let Some(command) = &row.command {
        let words: Vec<_> = command.iter().map(|word| text::quoted(word)).collect();
        writeln!(out, "      {FAINT}${FAINT:#} {}", text::line(&words.join(" ")))?;
    }
    Ok(())
}

fn conclude(ui: &Ui, report: &Report) {
    let left = report.findings.iter().filter(|row| !row.fixed);
    let (bad, notices): (Vec<&Row>, Vec<&Row>) = left.partition(|row| row.severity != Severity::Notice);
    let repaired = report.findings.iter().filter(|row| row.fixed).count();
    let also = match notices.len() {
        0 => String::new(),
        count => format!(", {}", text::count(count, "notice")),
    };
    if let Some(import_id) = &report.import_id {
        ui.note(format!("{GOOD}repaired{GOOD:#}: `holdall undo {import_id}` takes it back"));
    }
    if bad.is_empty() {
        let what = if repaired > 0 { "Nothing else is wrong" } else { "Nothing is wrong" };
        ui.note(format!("{GOOD}{what}{GOOD:#}{also}."));
        return;
    }
    let fixable = bad.iter().filter(|row| row.fixable).count();
    let advice = match fixable {
        0 => String::new(),
        _ if report.fixed => String::new(),
        count => format!("; `holdall doctor --fix` can repair {count}"),
    };
    ui.note(format!("{}{also}{advice}.", text::count(bad.len(), "problem")));
}
