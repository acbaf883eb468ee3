//! `import` and `convert`: bring sessions into a harness on this machine.
//!
//! Read, verify, map directories, convert or relocate, compare, plan; a dry run ends here; then
//! stage, back up, apply, confirm, report.
//!
//! - [`incoming`]: the sessions to bring, from an archive or from a store on this machine
//! - [`destination`]: which directory each goes to
//! - [`repositories`]: finds and clones the repositories of sessions, brings carried work back
//! - [`render`]: the bytes of one file, converted or relocated; [`meter`]: how much of them was read
//! - [`here`]: what is here already
//! - [`compare`], [`mod@judge`]: how it relates to what comes, file by file and as a session
//! - [`decide`]: the action for each session; [`own`]: what it must not write over
//! - [`again`]: a session of this machine, written anew
//! - [`apply`]: carry the actions out, through [`crate::txn`]
//! - [`mod@verify`]: whether the target can use what was imported
//! - [`report`], [`warnings`]: what is told about it

pub mod again;
pub mod apply;
pub mod compare;
pub mod decide;
pub mod destination;
pub mod here;
pub mod incoming;
pub mod judge;
pub mod meter;
pub mod own;
pub mod render;
pub mod report;
pub mod repositories;
pub mod verify;
pub mod warnings;

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::Harness;
use crate::harness::WriteOptions;
use crate::progress::Progress;
use crate::txn::{self, Moved};
use destination::Rules;
use repositories::Repositories;

pub use decide::OnConflict;
pub use incoming::Incoming;
pub use report::Report;

/// How to import.
#[derive(Clone, Default)]
pub struct Options {
    /// The harness to import into; `None`: each session's own.
    pub to: Option<&'static dyn Harness>,
    /// `OLD=NEW` prefix rules for directories, as the user gave them.
    pub cwd_map: Vec<(String, String)>,
    /// A session of a repository goes to the clone of it below this directory, or else to the
    /// sub-directory of its name.
    pub workspace_root: Option<std::path::PathBuf>,
    /// Clone repositories that are not here.
    pub clone: bool,
    /// Bring carried commits and uncommitted work back.
    pub restore_work: bool,
    /// git may ask the user for a password on the terminal.
    pub may_ask: bool,
    /// What to do with sessions that are here already.
    pub on_conflict: OnConflict,
    /// Change nothing.
    pub dry_run: bool,
    /// Keep no copies of what is replaced.
    pub no_backup: bool,
    /// Do not start the target program to let it index and confirm.
    pub no_confirm: bool,
    /// Choices for conversions.
    pub write: WriteOptions,
    /// The folder that the sessions follow: nothing is imported, they stay on this machine.
    pub moved: Option<Moved>,
}

/// Imports the sessions.
///
/// # Errors
/// When nothing could be done at all. What happened to each session is in the report.
pub fn run(env: &Env, incoming: &Incoming<'_>, options: &Options, progress: &dyn Progress) -> Result<Report> {
    let mut warnings = incoming.warnings.clone();
    let rules = Rules::new(env, &incoming.home, &options.cwd_map, options.workspace_root.as_deref())?;
    warnings::about_rules(incoming, &rules, options.workspace_root.as_deref(), &mut warnings);
    let mut repositories = Repositories::find(env, incoming, options, &rules, &mut warnings);
    let mut options = options.clone();
    let fails = options.on_conflict == OnConflict::Fail;
    if fails && options.clone {
        // Nothing at all is imported on a conflict, so nothing is cloned for it.
        options.write.coming = repositories.missing();
        refuse_conflicts(&decide::plan(env, incoming, &options, &rules, &repositories, &mut Vec::new())?)?;
    }
    repositories.clone_missing(&options, progress, &mut warnings)?;
    // What is decided now must still be so when it is done.
    let hold = (!options.dry_run).then(|| txn::hold(&env.state_dir())).transpose()?;
    options.write.coming = repositories.coming();
    let options = &options;
    let plans = decide::plan(env, incoming, options, &rules, &repositories, &mut warnings)?;
    if fails {
        refuse_conflicts(&plans)?;
    }
    let mut report = apply::run(env, incoming, options, plans, warnings, hold, progress)?;
    let left = repositories.finish(options, progress, &mut report);
    warnings::once(&mut report.warnings);
    if let (Some(id), false) = (&report.import_id, left.is_empty())
        && let Err(error) = txn::remember_left(&env.state_dir(), id, &left)
    {
        report.warnings.push(format!("`holdall undo` will not name what it leaves: {error}"));
    }
    Ok(report)
}

fn refuse_conflicts(plans: &[decide::Planned<'_>]) -> Result<()> {
    let mut conflicts = plans.iter().filter(|plan| plan.is_conflict()).peekable();
    if conflicts.peek().is_none() {
        return Ok(());
    }
    let mut error = Error::new(Kind::Conflict, "some sessions are here already, so nothing was imported")
        .hint("--on-conflict skip, update, replace or copy imports the others too");
    for plan in conflicts.take(10) {
        error = error.hint(format!("{}: {}", plan.label(), plan.reason().unwrap_or("exists")));
    }
    Err(error)
}
