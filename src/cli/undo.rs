//! `undo` and `imports`, and what an import that was killed in the middle left.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::args::UndoArgs;
use super::exit::Exit;
use super::text;
use super::ui::{BAD, FAINT, GOOD, STRONG, Ui};
use crate::env::Env;
use crate::error::Kind;
use crate::ops::import::decide::with_hints;
use crate::ops::journal;
use crate::txn::{ImportState, Left, Moved, Recovery, Saved};

/// What `undo --json` prints.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    import_id: String,
    /// Where the folder is again that was moved with the sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    sessions: Vec<Row>,
    saved: Vec<Saved>,
    /// Repositories and work in them that the import brought, and that stay.
    left: Vec<Left>,
}

#[derive(Serialize)]
struct Row {
    session: String,
    undone: bool,
    reason: Option<String>,
}

pub fn undo(env: &Env, ui: &Ui, args: &UndoArgs) -> anyhow::Result<Exit> {
    let undone = journal::undo(env, args.import_id.as_deref(), args.force)?;
    // It is done, whatever can be told of what stays.
    let left = journal::left(env, &undone.import_id).unwrap_or_else(|error| {
        ui.warn(&[error.to_string()]);
        Vec::new()
    });
    let report = Report {
        schema: "holdall.undo/1",
        import_id: undone.import_id,
        folder: undone.folder,
        sessions: undone
            .sessions
            .into_iter()
            .map(|session| {
                let reason = session.failure.as_ref().map(with_hints);
                // The row names the session already.
                let named = format!("{}: ", session.label);
                let reason = reason.map(|text| text.strip_prefix(&named).unwrap_or(&text).to_owned());
                Row { session: session.label, undone: reason.is_none(), reason }
            })
            .collect(),
        saved: undone.saved,
        left,
    };
    let complete = report.sessions.iter().all(|row| row.undone);
    if ui.json {
        ui.print_json(&report)?;
    } else {
        let taken = report.sessions.iter().filter(|row| row.undone).count();
        ui.print(format!(
            "{GOOD}taken back{GOOD:#}: import {}, {}",
            text::line(&report.import_id),
            text::count(taken, "session")
        ))?;
        if let Some(folder) = &report.folder {
            ui.print(format!("the folder is {} again", text::line(&folder.to_string_lossy())))?;
        }
        for row in report.sessions.iter().filter(|row| !row.undone) {
            let reason = row.reason.as_deref().unwrap_or_default();
            ui.print(format!("{BAD}not{BAD:#} {}: {}", text::line(&row.session), text::line(reason)))?;
        }
        tell_saved(ui, &report.saved);
        tell_left(ui, &report.left);
    }
    Ok(if complete { Exit::Done } else { Exit::Partial })
}

pub fn imports(env: &Env, ui: &Ui) -> anyhow::Result<Exit> {
    let report = journal::imports(env)?;
    if ui.json {
        ui.print_json(&report)?;
        return Ok(Exit::Done);
    }
    if report.imports.is_empty() {
        ui.note("Nothing was imported here.");
    }
    let mut out = ui.out();
    for import in &report.imports {
        let state = match import.state {
            ImportState::Done => "",
            ImportState::Undone => "  (undone)",
            ImportState::Interrupted => "  (interrupted)",
        };
        let what = match &import.moved {
            Some(Moved { old, new, .. }) => format!("moved from {} to {}", text::line(old), text::line(new)),
            None => format!("from {}", text::line(import.archive.as_deref().unwrap_or("this machine"))),
        };
        writeln!(
            out,
            "{STRONG}{}{STRONG:#}  {}  {} {what}{state}",
            text::line(&import.id),
            text::ago(import.created, env.now()),
            text::count(import.sessions.len(), "session"),
        )?;
        let shown = if ui.verbose { import.sessions.len() } else { import.sessions.len().min(5) };
        for session in &import.sessions[..shown] {
            writeln!(out, "  {FAINT}{}{FAINT:#}", text::line(&session.label))?;
            for action in session.actions.iter().filter(|_| ui.verbose) {
                let path = action.path.to_string_lossy();
                writeln!(out, "    {FAINT}{} {}{FAINT:#}", action.kind, text::line(&path))?;
            }
        }
        if shown < import.sessions.len() {
            writeln!(out, "  {FAINT}… and {} more; -v shows them{FAINT:#}", import.sessions.len() - shown)?;
        }
        if let Some(dir) = &import.backup_dir {
            writeln!(out, "  {FAINT}backups in {}{FAINT:#}", text::line(&dir.to_string_lossy()))?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// Finishes or takes back what an earlier run was killed in the middle of, and says so.
///
/// A command that only reads does not wait for an import that is running, and goes on when the
/// journal cannot be worked on: what it reads is whole in any case, session by session.
pub fn finish_earlier(env: &Env, ui: &Ui, changes: bool) -> anyhow::Result<()> {
    let recovered = match journal::recover(env, changes) {
        Ok(recovered) => recovered,
        Err(error) if !changes => {
            if error.kind() != Kind::Busy {
                ui.warn(&[format!("an earlier import could not be finished: {error}")]);
            }
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    for import in recovered {
        let what = match import.how {
            Recovery::ImportFinished => "was interrupted and is complete now",
            Recovery::ImportDiscarded => "was interrupted before it changed anything; its leftovers are gone",
            Recovery::UndoFinished => "was being taken back; that is complete now",
            Recovery::UndoDiscarded => {
                "is in place: taking it back was interrupted before it changed anything"
            }
        };
        ui.note(format!("import {} {what}", text::line(&import.import_id)));
        let failed =
            |(label, error): &(String, crate::error::Error)| format!("{label} was left as it was: {error}");
        ui.warn(&import.failed.iter().map(failed).collect::<Vec<_>>());
        tell_saved(ui, &import.saved);
    }
    Ok(())
}

fn tell_saved(ui: &Ui, saved: &[Saved]) {
    for saved in saved {
        ui.note(format!(
            "{} was continued since; what it held is kept in {}",
            text::line(&saved.label),
            text::line(&saved.copy.to_string_lossy())
        ));
    }
}

fn tell_left(ui: &Ui, left: &[Left]) {
    for Left { kind, path, branch } in left {
        let path = path.to_string_lossy();
        let what = match (kind.as_str(), branch) {
            ("clone", _) => format!("the repository {path} was cloned by the import and stays"),
            ("branch", Some(branch)) => format!("the branch {branch} of {path} stays"),
            _ => format!("the work that came into {path} stays"),
        };
        ui.note(text::line(&what));
    }
}
