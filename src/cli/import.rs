//! `import` and `convert`

use std::io::Write;
use std::path::Path;

use super::args::{ConvertArgs, ImportArgs, PlaceArgs};
use super::exit::Exit;
use super::repositories;
use super::text;
use super::ui::{BAD, FAINT, GOOD, STRONG, Ui, WARNING};
use crate::env::Env;
use crate::error::{Error, Kind};
use crate::harness::{self, WriteOptions};
use crate::model::fidelity::{Counts, Fidelity};
use crate::ops::backup::restore::{self, Restorable};
use crate::ops::import::report::Row;
use crate::ops::import::{self, Incoming, Options, incoming};
use crate::ops::inspect;

/// More sessions than this are counted, not shown one by one.
const MANY: usize = 20;

pub fn import(env: &Env, ui: &Ui, args: &ImportArgs) -> anyhow::Result<Exit> {
    let mut options = options(&args.place, args.to.as_deref())?;
    options.clone = args.clone;
    options.restore_work = args.restore_work;
    options.may_ask = ui.can_ask() && !args.place.run.yes;
    let (path, name) = (env_path(env, &args.file), args.file.to_string_lossy().into_owned());
    if path.is_dir() {
        let backups = Restorable::of_dir(&path, name, &args.session)?;
        return run(env, ui, &backups.incoming(&ui.progress())?, &options, args.place.run.yes);
    }
    let archive = inspect::open(&path, &mut std::io::stdin())?;
    let places = incoming::choose(&archive, &args.session)?;
    let some = (!args.session.is_empty()).then_some(places.as_slice());
    inspect::check(&archive, some, &ui.progress())?;
    if some.is_some() && (args.clone || args.restore_work) {
        inspect::check_bundles(&archive, &places, &ui.progress())?;
    }
    if restore::leans(&archive, &places) {
        let path = (path != Path::new("-")).then_some(path.as_path());
        let backup = Restorable::of_archive(archive, path, name, &places);
        return run(env, ui, &backup.incoming(&ui.progress())?, &options, args.place.run.yes);
    }
    let incoming = Incoming::from_archive(&archive, name, &places)?;
    run(env, ui, &incoming, &options, args.place.run.yes)
}

pub fn convert(env: &Env, ui: &Ui, args: &ConvertArgs) -> anyhow::Result<Exit> {
    let options = options(&args.place, Some(&args.to))?;
    let selection = args.select.selection(env)?;
    if selection.is_open() && !args.select.all {
        return Err(Error::usage("convert needs to know which sessions")
            .hint("give ids (`holdall list` shows them), or a filter such as --cwd . or --since 7d")
            .into());
    }
    let mut warnings = Vec::new();
    let chosen = selection.resolve(env, &mut warnings)?;
    ui.warn(&warnings);
    if chosen.is_empty() {
        return Err(Error::new(Kind::NotFound, "no session matches")
            .hint("`holdall list --all` shows what is here")
            .into());
    }
    let incoming = Incoming::from_here(env, &chosen, options.workspace_root.is_some())?;
    run(env, ui, &incoming, &options, args.place.run.yes)
}

fn env_path(env: &Env, file: &Path) -> std::path::PathBuf {
    if file == Path::new("-") { file.to_owned() } else { env.cwd().join(file) }
}

fn options(place: &PlaceArgs, to: Option<&str>) -> anyhow::Result<Options> {
    Ok(Options {
        to: to.map(harness::by_id).transpose()?,
        cwd_map: place.cwd_map.clone(),
        workspace_root: place.workspace_root.clone(),
        on_conflict: place.on_conflict.into(),
        dry_run: place.run.dry_run,
        no_backup: place.run.no_backup,
        no_confirm: place.run.no_confirm,
        write: WriteOptions { model: place.model.clone(), ..WriteOptions::default() },
        ..Options::default()
    })
}

fn run(env: &Env, ui: &Ui, incoming: &Incoming<'_>, options: &Options, yes: bool) -> anyhow::Result<Exit> {
    let mut shown = None;
    if !yes && !options.dry_run && ui.can_ask() {
        let dry_run = Options { dry_run: true, ..options.clone() };
        let preview = import::run(env, incoming, &dry_run, &ui.progress())?;
        let changes_sessions = preview.sessions.iter().any(|row| !row.changes.is_empty());
        if changes_sessions || preview.repos.iter().any(repositories::changes) {
            print(env, ui, &preview.sessions, true, None)?;
            repositories::print(env, ui, &preview.repos, true, None)?;
            ui.warn(&preview.warnings);
            ui.go_ahead("nothing was imported")?;
            shown = Some(preview);
        }
    }
    let report = import::run(env, incoming, options, &ui.progress())?;
    if ui.json {
        ui.warn(&report.warnings);
        ui.print_json(&report)?;
    } else {
        if options.dry_run {
            ui.print(format!("{STRONG}Dry run: nothing is changed.{STRONG:#}"))?;
        }
        let seen = shown.as_ref().map(|shown| shown.sessions.as_slice());
        print(env, ui, &report.sessions, options.dry_run, seen)?;
        let seen = shown.as_ref().map(|shown| shown.repos.as_slice());
        repositories::print(env, ui, &report.repos, options.dry_run, seen)?;
        ui.warn_of_more(&report.warnings, shown.as_ref().map_or(&[], |shown| &shown.warnings));
        if let (false, Some(id)) = (options.dry_run, &report.import_id) {
            advise(ui, id, &report.sessions);
        }
    }
    Ok(if report.is_partial() { Exit::Partial } else { Exit::Done })
}

/// Prints what happened to sessions; of what the user has `seen` and said yes to, only what went
/// another way.
pub fn print(
    env: &Env,
    ui: &Ui,
    sessions: &[Row],
    dry_run: bool,
    seen: Option<&[Row]>,
) -> std::io::Result<()> {
    let home = env.home().to_string_lossy();
    let mut out = ui.out();
    let total = sessions.len();
    // With many sessions, what went as planned is counted and the rest is shown.
    let brief = total > MANY && !ui.verbose;
    for (place, row) in sessions.iter().enumerate() {
        let routine = row.reason.is_none() || row.reason.as_deref() == Some("identical");
        let known = seen.and_then(|seen| seen.get(place));
        if !(brief && routine) && known.is_none_or(|known| known.action != row.action) {
            print_row(&mut out, ui, row, dry_run, &home)?;
        }
    }
    if brief && seen.is_none() {
        let mut sum = Fidelity::default();
        for row in sessions.iter().filter(|row| is_conversion(row)) {
            sum.merge(&row.fidelity);
        }
        print_fidelity(&mut out, &sum)?;
    }
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for row in sessions {
        let word = done(row, dry_run);
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => counts.push((word, 1)),
        }
    }
    if total > 1 || seen.is_some() {
        let list: Vec<String> = counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
        writeln!(out, "{}: {}", text::count(total, "session"), list.join(", "))?;
    }
    out.flush()
}

fn is_conversion(row: &Row) -> bool {
    !row.changes.is_empty() && row.source.harness != row.target.harness.unwrap_or_default()
}

/// What happened, in a word or two.
fn done(row: &Row, dry_run: bool) -> &'static str {
    match (row.action, dry_run) {
        ("create", false) => "created",
        ("update", false) => "updated",
        ("replace", false) => "replaced",
        ("move", false) => "moved",
        ("copy", false) => "copied",
        ("create", true) => "would be created",
        ("update", true) => "would be updated",
        ("replace", true) => "would be replaced",
        ("move", true) => "would be moved",
        ("copy", true) => "would be copied",
        ("skip", _) if row.reason.as_deref() == Some("identical") => "already here",
        ("skip", _) => "skipped",
        _ => "failed",
    }
}

fn print_row(out: &mut impl Write, ui: &Ui, row: &Row, dry_run: bool, home: &str) -> std::io::Result<()> {
    let title = row.source.title.as_deref().unwrap_or("(no title)");
    let word = done(row, dry_run);
    let style = match row.action {
        "fail" => BAD,
        "skip" if row.reason.as_deref() != Some("identical") => WARNING,
        _ => GOOD,
    };
    writeln!(out, "{style}{word}{style:#}: {}", text::cut(&text::line(title), 90))?;
    let source = format!("{}:{}", row.source.harness, row.source.id);
    let target = match (row.target.harness, &row.target.id) {
        (Some(harness), Some(id)) => format!("{harness}:{id}"),
        _ => "nowhere".to_owned(),
    };
    let arrow = if source == target { source } else { format!("{source} → {target}") };
    writeln!(out, "  {FAINT}{}{FAINT:#}", text::line(&arrow))?;
    if row.reason.as_deref() == Some("identical") {
        return Ok(());
    }
    if let Some(reason) = &row.reason {
        writeln!(out, "  {}", text::line(explain(reason)))?;
    }
    if let Some(cwd) = row.target.cwd.as_deref().filter(|_| row.action != "fail") {
        let new = text::fold_home(&cwd.to_string_lossy(), home);
        let old = row.source.cwd.as_deref().unwrap_or("no directory");
        let line = if old == cwd.to_string_lossy() { new } else { format!("{new}  (was {old})") };
        writeln!(out, "  in {}", text::line(&line))?;
    }
    if is_conversion(row) {
        print_fidelity(out, &row.fidelity)?;
    }
    if ui.verbose {
        for change in &row.changes {
            let path = text::fold_home(&change.path.to_string_lossy(), home);
            writeln!(
                out,
                "  {FAINT}{} {}, {}{FAINT:#}",
                change.kind,
                text::line(&path),
                text::size(change.bytes)
            )?;
        }
    }
    if let Some(resume) = row.resume.as_ref().filter(|_| row.action != "skip") {
        let checked = match row.verified {
            "program" => " (it is in the program's own list)",
            _ => "",
        };
        let words: Vec<_> = resume.argv.iter().map(|word| text::quoted(word)).collect();
        writeln!(
            out,
            "  resume: cd {} && {}{FAINT}{checked}{FAINT:#}",
            text::line(&text::quoted(&resume.cwd.to_string_lossy())),
            text::line(&words.join(" "))
        )?;
    }
    Ok(())
}

fn explain(reason: &str) -> &str {
    match reason {
        "exists" => "an older state of this session is here; --on-conflict update brings what is new",
        "newer-here" => "the session here has gone on since this one was exported",
        "diverged" => {
            "the session here went another way; --on-conflict copy keeps both, replace takes this one"
        }
        other => other,
    }
}

fn print_fidelity(out: &mut impl Write, fidelity: &Fidelity) -> std::io::Result<()> {
    let told = told(fidelity);
    if !told.is_empty() {
        writeln!(out, "  {told}")?;
    }
    for (code, count, detail) in fidelity.notes.iter() {
        writeln!(out, "  {FAINT}{} ({code}, {count}){FAINT:#}", text::line(detail))?;
    }
    Ok(())
}

/// What a conversion carries: `3 prompts · 2 tool calls (1 in another form) · 1 thought (left out)`.
fn told(fidelity: &Fidelity) -> String {
    let mut parts = Vec::new();
    for (name, Counts { kept, adapted, dropped }) in [
        ("prompt", fidelity.user),
        ("answer", fidelity.assistant),
        ("tool call", fidelity.tool_calls),
        ("result", fidelity.tool_results),
        ("image", fidelity.images),
        ("thought", fidelity.reasoning),
    ] {
        let total = kept + adapted + dropped;
        if total == 0 {
            continue;
        }
        let all = |n: u64, what: &str| if n == total { what.to_owned() } else { format!("{n} {what}") };
        let mut but = Vec::new();
        if adapted > 0 {
            but.push(all(adapted, "in another form"));
        }
        if dropped > 0 {
            but.push(all(dropped, "left out"));
        }
        let but = if but.is_empty() { String::new() } else { format!(" ({})", but.join(", ")) };
        parts.push(format!("{}{but}", text::count(usize::try_from(total).unwrap_or(usize::MAX), name)));
    }
    parts.join(" · ")
}

/// Tells how the import `id` can be taken back.
pub fn advise(ui: &Ui, id: &str, sessions: &[Row]) {
    if sessions.iter().any(|row| !row.changes.is_empty()) {
        ui.note(format!("{FAINT}`holdall undo {id}` takes this back.{FAINT:#}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_conversion_carries() {
        let fidelity = Fidelity {
            user: Counts { kept: 1, ..Counts::default() },
            tool_calls: Counts { kept: 2, adapted: 1, dropped: 0 },
            reasoning: Counts { dropped: 3, ..Counts::default() },
            ..Fidelity::default()
        };
        assert_eq!(told(&fidelity), "1 prompt · 3 tool calls (1 in another form) · 3 thoughts (left out)");
    }
}
