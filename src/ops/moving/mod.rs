//! `move`: the sessions of a project folder follow it to its new place, in every harness.
//!
//! A move is an import from this machine into the same harness under one rule for directories, with
//! the session that is there as what is replaced. So the plan is carried out, journalled and taken
//! back by the same code as an import.
//!
//! - [`ends`]: the folder's old and new place, and what is wrong with them
//! - [`plan`](mod@plan): what happens to each session
//! - [`worktrees`]: what git has to be told
//! - [`near`]: what the user may have meant when no session is there

pub mod ends;
pub mod near;
pub mod plan;
pub mod worktrees;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::ops::import::decide::Planned;
use crate::ops::import::report::Row;
use crate::ops::import::{self, Incoming};
use crate::ops::select::{Selected, Selection};
use crate::progress::Progress;
use crate::txn::{self, ImportState};
use ends::Ends;

/// What to move.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where a folder was and where it is. The first is a path of this machine (`~` is the home
    /// directory, a relative one is below the current directory), or of another one. Of several that
    /// fit a session the first counts.
    pub folders: Vec<(String, String)>,
    /// Move the folders themselves too; there can be only one then.
    pub and_folder: bool,
    /// Only sessions of these harnesses; empty: of all.
    pub harnesses: Vec<String>,
    /// Only these sessions, as `list` and `export` take them; empty: all that are in the folder.
    pub ids: Vec<String>,
    /// Change nothing.
    pub dry_run: bool,
    /// Keep no copies of what is replaced.
    pub no_backup: bool,
    /// Do not start the programs to let them index and confirm.
    pub no_confirm: bool,
}

/// What `move --json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `holdall.move/1`
    pub schema: &'static str,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Names the move to `undo`; `None` when nothing was written.
    pub import_id: Option<String>,
    /// Where copies of what was replaced are; `None` when nothing was.
    pub backup_dir: Option<PathBuf>,
    /// Where the (first) folder was, in full.
    pub old: String,
    /// Where it is, in full.
    pub new: PathBuf,
    /// `moved` or `would-move`; `None` when the folder itself was not to be moved, or was not.
    pub folder: Option<&'static str>,
    /// The sessions, the newest first.
    pub sessions: Vec<Row>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether some session could not follow.
    pub fn is_partial(&self) -> bool {
        self.sessions.iter().any(|row| row.action != "move")
    }
}

/// Lets the sessions follow.
///
/// # Errors
/// When one of the two places is not as it has to be, no session is in the old one, or nothing could
/// be done at all. What happened to each session is in the report.
pub fn run(env: &Env, options: &Options, progress: &dyn Progress) -> Result<Report> {
    let ends = options.folders.iter().map(|(old, new)| Ends::find(env, old, new, options.and_folder));
    let ends = ends.collect::<Result<Vec<Ends>>>()?;
    let first = match ends.as_slice() {
        [first] => first,
        [first, ..] if !options.and_folder => first,
        _ => return Err(Error::usage("there has to be one folder to move")),
    };
    // What is decided from here on must still be so when it is done.
    let hold = (!options.dry_run).then(|| txn::hold(&env.state_dir())).transpose()?;
    let mut warnings: Vec<String> = ends.iter().flat_map(|ends| ends.warnings.clone()).collect();
    let selection =
        Selection { ids: options.ids.clone(), harnesses: options.harnesses.clone(), ..Selection::default() };
    let all = selection.resolve(env, &mut warnings)?;
    let (chosen, others): (Vec<Selected>, Vec<Selected>) =
        all.into_iter().partition(|one| ends::of(&ends, one.head.cwd.as_deref()).is_some());
    let mut report = Report {
        schema: "holdall.move/1",
        dry_run: options.dry_run,
        import_id: None,
        backup_dir: None,
        old: first.old.clone(),
        new: first.new.clone(),
        folder: None,
        sessions: Vec::new(),
        warnings,
    };
    if first.folder {
        report.warnings.extend(worktrees::advice(Path::new(&first.old), &first.new));
    }
    if chosen.is_empty() {
        if !was_moved(env, first)? {
            return Err(near::nothing_there(first, &others));
        }
        report.warnings.push(format!("the sessions of {} are in {} already", first.old, first.new.display()));
        return Ok(report);
    }
    let mut incoming = Incoming::from_here(env, &chosen, false)?;
    report.warnings.append(&mut incoming.warnings);
    let import_options = import::Options {
        dry_run: options.dry_run,
        no_backup: options.no_backup,
        no_confirm: options.no_confirm,
        moved: Some(first.moved()),
        ..import::Options::default()
    };
    let plans = plan::plan(env, &incoming, &chosen, &others, &ends, &import_options, &mut report.warnings)?;
    if first.folder {
        refuse_to_leave(&plans)?;
    }
    let warnings = std::mem::take(&mut report.warnings);
    let done = import::apply::run(env, &incoming, &import_options, plans, warnings, hold, progress)?;
    if first.folder && done.sessions.iter().any(|row| row.action == "move") {
        report.folder = Some(if options.dry_run { "would-move" } else { "moved" });
    }
    Ok(Report {
        import_id: done.import_id,
        backup_dir: done.backup_dir,
        sessions: done.sessions,
        warnings: done.warnings,
        ..report
    })
}

/// A folder is not moved from under a session that cannot follow.
fn refuse_to_leave(plans: &[Planned<'_>]) -> Result<()> {
    let staying: Vec<&Planned<'_>> = plans.iter().filter(|plan| !plan.acts()).collect();
    if staying.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the folder was not moved, and no session: {} of {} could not follow",
        staying.len(),
        plans.len()
    );
    Err(staying.into_iter().take(10).fold(Error::new(Kind::Conflict, message), |error, plan| {
        error.hint(format!("{}: {}", plan.label(), plan.reason().unwrap_or_default()))
    }))
}

/// Whether the sessions followed to the same place before.
fn was_moved(env: &Env, ends: &Ends) -> Result<bool> {
    let moved = ends.moved();
    let imports = txn::imports(&env.state_dir())?;
    Ok(imports.iter().filter(|import| import.state == ImportState::Done).any(|import| {
        import.moved.as_ref().is_some_and(|known| known.old == moved.old && known.new == moved.new)
    }))
}
