//! `list`

use std::io::Write;

use super::args::ListArgs;
use super::exit::Exit;
use super::text;
use super::ui::{FAINT, STRONG, Ui};
use crate::env::Env;
use crate::ops::list::{self, Report, Row};

/// Rows on a terminal when nothing else is asked for.
const ROWS: usize = 20;

/// The shortest id that is shown; longer where two of the listed ids would look the same.
const ID_WIDTH: usize = 8;

pub fn run(env: &Env, ui: &Ui, args: &ListArgs) -> anyhow::Result<Exit> {
    let mut selection = args.select.selection(env)?;
    selection.subagents = args.subagents;
    let rows = (ui.is_terminal() && !ui.json).then_some(ROWS);
    let report = list::run(env, &selection, args.select.all, rows)?;
    ui.warn(&report.warnings);
    if ui.json {
        ui.print_json(&report)?;
        return Ok(Exit::Done);
    }
    if report.sessions.is_empty() {
        ui.note("No sessions. `holdall harnesses` shows where they are looked for.");
        return Ok(Exit::Done);
    }
    print(env, ui, &report)?;
    if report.only_here {
        ui.note(format!("{FAINT}Only sessions of this directory; --all shows the others.{FAINT:#}"));
    } else if rows.is_some_and(|rows| report.sessions.len() == rows) {
        ui.note(format!("{FAINT}The newest {ROWS}; --all shows the others.{FAINT:#}"));
    }
    Ok(Exit::Done)
}

fn print(env: &Env, ui: &Ui, report: &Report) -> std::io::Result<()> {
    let now = env.now();
    let home = env.home().to_string_lossy();
    let ids = short_ids(&report.sessions);
    let cells: Vec<[String; 4]> = report
        .sessions
        .iter()
        .zip(ids)
        .map(|(row, id)| {
            [
                id,
                row.harness.clone(),
                row.updated.map_or_else(String::new, |time| text::ago(time, now)),
                text::size(row.bytes),
            ]
        })
        .collect();
    let width = |column: usize, title: &str| {
        cells.iter().map(|cell| cell[column].len()).max().unwrap_or(0).max(title.len())
    };
    let [id, harness, updated, size] =
        [width(0, "ID"), width(1, "AGENT"), width(2, "UPDATED"), width(3, "SIZE")];
    // What the title and the directory have to share.
    let rest =
        terminal_width(ui).map(|columns| columns.saturating_sub(id + harness + updated + size + 10).max(20));
    let mut out = ui.out();
    writeln!(
        out,
        "{FAINT}{:id$}  {:harness$}  {:updated$}  {:>size$}  TITLE · DIRECTORY{FAINT:#}",
        "ID", "AGENT", "UPDATED", "SIZE"
    )?;
    for (row, cell) in report.sessions.iter().zip(&cells) {
        let [shown, agent, when, bytes] = cell;
        let title = row.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or("(no title)");
        let dir = text::fold_home(row.cwd.as_deref().unwrap_or(""), &home);
        let (title, dir) = share(&text::line(title), &text::line(&dir), rest);
        let mark = if row.parent.is_some() { "↳ " } else { "" };
        writeln!(
            out,
            "{STRONG}{shown:id$}{STRONG:#}  {agent:harness$}  {when:updated$}  {bytes:>size$}  {mark}{title} {FAINT}· {dir}{FAINT:#}"
        )?;
    }
    out.flush()
}

/// Cuts title and directory so that both fit: the directory gets at most two fifths.
fn share(title: &str, dir: &str, columns: Option<usize>) -> (String, String) {
    use unicode_width::UnicodeWidthStr;
    let Some(columns) = columns else { return (title.to_owned(), dir.to_owned()) };
    let for_dir = dir.width().min(columns * 2 / 5);
    let title = text::cut(title, columns.saturating_sub(for_dir + 3)).into_owned();
    let left = columns.saturating_sub(title.width() + 3);
    (title, cut_front(dir, left))
}

/// Cuts a path at its front: its end tells more.
fn cut_front(path: &str, width: usize) -> String {
    use unicode_width::UnicodeWidthStr;
    if path.width() <= width {
        return path.to_owned();
    }
    let mut start = 0;
    while path[start..].width() + 1 > width {
        let Some(c) = path[start..].chars().next() else { break };
        start += c.len_utf8();
    }
    format!("…{}", &path[start..])
}

fn terminal_width(ui: &Ui) -> Option<usize> {
    if ui.is_terminal() {
        terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
    } else {
        None
    }
}

/// For each session, the shortest prefix of its id that is unique among those listed.
fn short_ids(rows: &[Row]) -> Vec<String> {
    let mut sorted: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let common = |a: &str, b: &str| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    rows.iter()
        .map(|row| {
            let at = sorted.binary_search(&row.id.as_str()).unwrap_or(0);
            let before = at.checked_sub(1).map_or(0, |other| common(sorted[other], &row.id));
            let after = sorted.get(at + 1).map_or(0, |other| common(other, &row.id));
            let length = (before.max(after) + 1).max(ID_WIDTH);
            text::line(&row.id.chars().take(length).collect::<String>()).into_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_titles_and_paths_share_the_line() {
        assert_eq!(share("short", "~/a", Some(40)), ("short".into(), "~/a".into()));
        let (title, dir) = share(&"t".repeat(100), &"/very/long".repeat(10), Some(50));
        assert_eq!((title.chars().count(), dir.chars().count()), (27, 20));
        assert!(title.ends_with('…') && dir.starts_with('…'));
    }
}
