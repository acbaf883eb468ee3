//! `move`

use super::args::MoveArgs;
use super::exit::Exit;
use super::ui::{GOOD, STRONG, Ui};
use super::{import, text};
use crate::env::Env;
use crate::ops::import::report::Row;
use crate::ops::moving::{self, Options, Report};

pub fn run(env: &Env, ui: &Ui, args: &MoveArgs) -> anyhow::Result<Exit> {
    let options = Options {
        folders: vec![(args.old.clone(), args.new.clone())],
        and_folder: args.and_folder,
        harnesses: args.harness.clone(),
        ids: Vec::new(),
        dry_run: args.run.dry_run,
        no_backup: args.run.no_backup,
        no_confirm: args.run.no_confirm,
    };
    let mut shown = None;
    if !args.run.yes && !options.dry_run && ui.can_ask() {
        let preview = moving::run(env, &Options { dry_run: true, ..options.clone() }, &ui.progress())?;
        if preview.sessions.iter().any(|row| !row.changes.is_empty()) {
            print(env, ui, &preview, None)?;
            ui.warn(&preview.warnings);
            ui.go_ahead("nothing was moved")?;
            shown = Some(preview);
        }
    }
    let report = moving::run(env, &options, &ui.progress())?;
    if ui.json {
        ui.warn(&report.warnings);
        ui.print_json(&report)?;
    } else {
        if options.dry_run {
            ui.print(format!("{STRONG}Dry run: nothing is changed.{STRONG:#}"))?;
        }
        print(env, ui, &report, shown.as_ref().map(|shown| shown.sessions.as_slice()))?;
        ui.warn_of_more(&report.warnings, shown.as_ref().map_or(&[], |shown| &shown.warnings));
        if let (false, Some(id)) = (options.dry_run, &report.import_id) {
            import::advise(ui, id, &report.sessions);
        }
    }
    Ok(if report.is_partial() { Exit::Partial } else { Exit::Done })
}

fn print(env: &Env, ui: &Ui, report: &Report, seen: Option<&[Row]>) -> std::io::Result<()> {
    if report.sessions.is_empty() {
        return ui.print("Nothing to do.");
    }
    if let Some(folder) = report.folder {
        let word = if folder == "moved" { folder } else { "would be moved" };
        let new = report.new.to_string_lossy();
        ui.print(format!(
            "{GOOD}{word}{GOOD:#}: the folder {} → {}",
            text::line(&report.old),
            text::line(&new)
        ))?;
    }
    import::print(env, ui, &report.sessions, report.dry_run, seen)
}
