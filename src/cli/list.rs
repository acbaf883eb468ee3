//! `list`

use std::io::Write;

use super::args::ListArgs;
use super::exit::Exit;
use super::text;
use super::ui::{FAINT, STRONG, Ui};
use crate::env::Env;
use crate::ops::list::{self, Extent, Report};
use crate::ops::select::Inventory;

/// Rows on a terminal when nothing else is asked for.
const ROWS: usize = 20;

/// The shortest id that is shown; longer where it would not name one session.
const ID_WIDTH: usize = 8;

/// On narrower terminals the title gets the room of the size.
const ROOM_FOR_SIZE: usize = 100;

pub fn run(env: &Env, ui: &Ui, args: &ListArgs) -> anyhow::Result<Exit> {
    let mut selection = args.select.selection(env)?;
    selection.subagents = args.subagents;
    let rows = (ui.is_terminal() && !ui.json).then_some(ROWS);
    let report = list::run(env, &selection, Extent { all: args.select.all, rows, ids: !ui.json })?;
    ui.warn(&report.warnings);
    if ui.json {
        ui.print_json_rows("holdall.list/1", "sessions", &report.sessions)?;
        // The program ends here, and to free tens of thousands of rows before that takes its time.
        std::mem::forget(report);
        return Ok(Exit::Done);
    }
    if report.sessions.is_empty() {
        ui.note(match selection.is_open() {
            true => "No sessions. `holdall harnesses` shows where they are looked for.",
            false => "No session matches. `holdall list --all` shows what is here.",
        });
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
    let all;
    let known = match &report.known_ids {
        Some(known) => known,
        // What cannot be read has no ids that could be given.
        None => {
            all = Inventory::take(env, &[], &mut Vec::new()).map(|all| all.ids()).unwrap_or_default();
            &all
        }
    };
    let columns = ui.columns();
    let cells: Vec<[String; 4]> = report
        .sessions
        .iter()
        .map(|row| {
            [
                short_id(&row.head.id, known),
                row.head.harness.clone(),
                row.head.updated.map_or_else(String::new, |time| text::ago(time, now)),
                row.bytes.map_or_else(|| "-".to_owned(), text::size),
            ]
        })
        .collect();
    let width = |column: usize, title: &str| {
        cells.iter().map(|cell| cell[column].len()).max().unwrap_or(0).max(title.len())
    };
    let [id, harness, updated, size] =
        [width(0, "ID"), width(1, "HARNESS"), width(2, "UPDATED"), width(3, "SIZE")];
    let sized = columns.is_none_or(|columns| columns >= ROOM_FOR_SIZE);
    let size_cell = |text: &str| if sized { format!("{text:>size$}  ") } else { String::new() };
    // What the title and the directory have to share.
    let taken = id + harness + updated + 6 + size_cell("").len();
    let rest = columns.map(|columns| columns.saturating_sub(taken).max(20));
    let mut out = ui.out();
    writeln!(
        out,
        "{FAINT}{:id$}  {:harness$}  {:updated$}  {}TITLE · DIRECTORY{FAINT:#}",
        "ID",
        "HARNESS",
        "UPDATED",
        size_cell("SIZE")
    )?;
    for (row, cell) in report.sessions.iter().zip(&cells) {
        let [shown, name, when, bytes] = cell;
        let title =
            row.head.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or("(no title)");
        let mark = if row.head.parent.is_some() { "↳ " } else { "" };
        let title = format!("{mark}{}", text::line(title));
        let dir = text::fold_home(row.head.cwd.as_deref().unwrap_or(""), &home);
        let (title, dir) = text::share(&title, &text::line(&dir), rest);
        writeln!(
            out,
            "{STRONG}{shown:id$}{STRONG:#}  {name:harness$}  {when:updated$}  {}{title} {FAINT}· {dir}{FAINT:#}",
            size_cell(bytes)
        )?;
    }
    out.flush()
}

/// The shortest prefix of the id that names this session alone; `known` are the ids of all
/// sessions, sorted.
fn short_id(id: &str, known: &[String]) -> String {
    let common = |other: &String| id.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let at = known.partition_point(|other| other.as_str() < id);
    let next = if known.get(at).is_some_and(|other| other == id) { at + 1 } else { at };
    let before = at.checked_sub(1).and_then(|at| known.get(at)).map_or(0, common);
    let after = known.get(next).map_or(0, common);
    let length = (before.max(after) + 1).max(ID_WIDTH);
    text::line(&id.chars().take(length).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_name_one_session() {
        let known: Vec<String> =
            ["01a1f97a-e389", "01a1f97a-ff91", "01a1f97a-fffe", "8dd9110b-80ab"].map(String::from).into();
        let short: Vec<String> = known.iter().map(|id| short_id(id, &known)).collect();
        assert_eq!(short, ["01a1f97a-e", "01a1f97a-ff9", "01a1f97a-fff", "8dd9110b"]);
    }
}
