//! `harnesses`

use std::io::Write;

use super::exit::Exit;
use super::text;
use super::ui::{FAINT, STRONG, Ui};
use crate::env::Env;
use crate::ops::harnesses;

pub fn run(env: &Env, ui: &Ui) -> anyhow::Result<Exit> {
    let report = harnesses::run(env);
    if ui.json {
        ui.print_json(&report)?;
        return Ok(Exit::Done);
    }
    let home = env.home().to_string_lossy();
    let mut out = ui.out();
    for row in &report.harnesses {
        let program = match (&row.program, &row.version) {
            (Some(_), Some(version)) => format!("version {version}"),
            (Some(_), None) => "installed".to_owned(),
            (None, _) => "not installed".to_owned(),
        };
        let dir = text::fold_home(&row.data_dir.to_string_lossy(), &home);
        let sessions = match row.found {
            true => {
                let count = usize::try_from(row.sessions).unwrap_or(usize::MAX);
                format!("{} in {dir}", text::count(count, "session"))
            }
            false => format!("no {dir} here"),
        };
        let can = match (row.read, row.write) {
            (true, true) => "read, write, resume",
            (true, false) => "read only",
            (false, _) => "not readable",
        };
        writeln!(out, "{STRONG}{:<10}{STRONG:#} {}", row.id, row.name)?;
        writeln!(
            out,
            "           {} · {program} {FAINT}(proven with {}) · {can}{FAINT:#}",
            text::line(&sessions),
            row.tested
        )?;
    }
    out.flush()?;
    Ok(Exit::Done)
}
