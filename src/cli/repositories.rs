//! What an import did about the repositories of its sessions, as people read it.

use std::io::Write;

use super::text;
use super::ui::{BAD, FAINT, GOOD, Ui, WARNING};
use crate::env::Env;
use crate::ops::import::report::RepoRow;

/// Whether something happens to it.
pub fn changes(row: &RepoRow) -> bool {
    matches!(row.action, "clone" | "clone-bundle") || matches!(row.work, "applied" | "branch")
}

/// Prints what happened to repositories; of what the user has `seen` and said yes to, only what went
/// another way. One that is here, and of which nothing else is to be said, is not worth a line.
pub fn print(
    env: &Env,
    ui: &Ui,
    rows: &[RepoRow],
    dry_run: bool,
    seen: Option<&[RepoRow]>,
) -> std::io::Result<()> {
    let home = env.home().to_string_lossy();
    let mut out = ui.out();
    for (place, row) in rows.iter().enumerate() {
        let told = seen.and_then(|seen| seen.get(place));
        let as_told = |told: &RepoRow| told.action == row.action && told.work == row.work;
        let is_quiet = row.action == "found" && matches!(row.work, "none" | "here" | "not-carried");
        if told.is_some_and(as_told) || (is_quiet && row.reason.is_none() && !ui.verbose) {
            continue;
        }
        print_row(&mut out, row, dry_run, &home)?;
    }
    out.flush()
}

fn print_row(out: &mut impl Write, row: &RepoRow, dry_run: bool, home: &str) -> std::io::Result<()> {
    let path = row.path.as_ref().map(|path| text::fold_home(&path.to_string_lossy(), home));
    let path = path.unwrap_or_else(|| row.root.clone());
    let (style, word) = match (row.action, dry_run) {
        ("found", _) => (GOOD, "is here"),
        ("clone" | "clone-bundle", true) => (GOOD, "would be cloned"),
        ("clone" | "clone-bundle", false) => (GOOD, "cloned"),
        ("missing", _) => (WARNING, "is not here"),
        _ => (BAD, "not cloned"),
    };
    let from = match (row.action, &row.remote) {
        ("clone", Some(url)) => format!("  from {url}"),
        ("clone-bundle", _) => "  from what the archive carries".to_owned(),
        _ => String::new(),
    };
    writeln!(out, "{style}repository {word}{style:#}: {}{}", text::line(&path), text::line(&from))?;
    if let Some(commit) = &row.commit {
        let branch = row.branch.as_deref().unwrap_or("detached");
        let commit: String = commit.chars().take(10).collect();
        writeln!(out, "  {FAINT}{} at {}{FAINT:#}", text::line(branch), text::line(&commit))?;
    }
    let branch = row.work_branch.as_deref().unwrap_or_default();
    let work = match (row.work, dry_run) {
        ("applied", true) => "the uncommitted work would come into it".to_owned(),
        ("applied", false) => "the uncommitted work is in it".to_owned(),
        ("branch", true) => format!("the carried work would come on the branch {branch}"),
        ("branch", false) => format!("the carried work is on the branch {branch}"),
        ("not-asked", _) => "the archive carries work of it; --restore-work brings it".to_owned(),
        ("failed", _) => "the carried work was not brought".to_owned(),
        _ => String::new(),
    };
    if !work.is_empty() {
        writeln!(out, "  {}", text::line(&work))?;
    }
    if let Some(reason) = &row.reason {
        writeln!(out, "  {}", text::line(reason))?;
    }
    Ok(())
}
