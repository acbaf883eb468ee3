//! What the user should know about where sessions go.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Options;
use super::decide::Planned;
use super::destination::Rules;
use super::incoming::Incoming;
use crate::env::Env;

/// How many directories are named in one warning.
const NAMED: usize = 10;

/// Harnesses that never ran here, directories that are missing.
pub fn about_places(env: &Env, options: &Options, plans: &[Planned<'_>], warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    let mut missing = Vec::new();
    for plan in plans.iter().filter(|plan| plan.acts()) {
        let (Some(to), Some(destination)) = (plan.to, &plan.destination) else { continue };
        let data_dir = to.data_dir(env);
        if seen.insert(data_dir.clone()) && !data_dir.is_dir() {
            let info = to.info();
            let installed = match env.find_program(info.program) {
                Some(_) => "",
                None => " and is not on PATH: install it to go on with the sessions",
            };
            warnings.push(format!(
                "{} has no data directory here yet ({}){installed}",
                info.name,
                data_dir.display()
            ));
        }
        let cwd = &destination.cwd;
        if !seen.insert(cwd.clone()) {
            continue;
        }
        let now = plan.still_at.as_deref().unwrap_or(cwd);
        if !now.is_dir() && !options.write.is_coming(cwd) {
            missing.push(cwd.clone());
        }
    }
    warnings.extend(about_missing(&missing));
}

fn about_missing(missing: &[PathBuf]) -> Option<String> {
    let advice = "before you resume, or import with --cwd-map";
    match missing {
        [] => None,
        [one] => Some(format!("{} does not exist: make it {advice}", one.display())),
        several => {
            let mut names: Vec<String> =
                several.iter().take(NAMED).map(|dir| dir.display().to_string()).collect();
            if several.len() > NAMED {
                names.push(format!("{} more", several.len() - NAMED));
            }
            let count = several.len();
            Some(format!("{count} directories do not exist ({}): make them {advice}", names.join(", ")))
        }
    }
}

/// Rules that were given and fit nothing: most likely they are misspelt.
pub fn about_rules(
    incoming: &Incoming<'_>,
    rules: &Rules,
    workspace_root: Option<&Path>,
    warnings: &mut Vec<String>,
) {
    let sessions = &incoming.sessions;
    for (old, new) in rules.unused(sessions.iter().filter_map(|session| session.head.cwd.as_deref())) {
        warnings.push(format!(
            "no session's directory is {old} or below it, so --cwd-map {old}={new} does nothing"
        ));
    }
    if let Some(root) = workspace_root
        && sessions.iter().all(|session| session.repo.is_none())
    {
        warnings.push(format!(
            "no repository is recorded for any session, so --workspace-root {} does nothing",
            root.display()
        ));
    }
}

/// Takes out what was said before.
pub fn once(warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
}
