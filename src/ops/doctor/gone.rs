//! Sessions whose directory is not there, and where it is now.

use std::collections::BTreeMap;
use std::path::Path;

use super::codes::DIRECTORY_GONE;
use super::whereabouts::{Candidate, Near, Whereabouts};
use super::{Found, Store};
use crate::env::Env;
use crate::git::{Remote, Repo};
use crate::harness::diagnosis::{Finding, Known, Repair};
use crate::model::Head;
use crate::place::shell::quoted;

/// So many places are named where several are possible.
const NAMED: usize = 3;

/// Looks for sessions without a directory.
pub fn look(env: &Env, stores: &[Store], found: &mut Vec<Found>) {
    let all: Vec<(&Store, &Known, &str)> = stores
        .iter()
        .flat_map(|store| store.sessions.iter().map(move |known| (store, known)))
        .filter_map(|(store, known)| {
            let head = known.head.as_ref().filter(|head| head.parent.is_none())?;
            Some((store, known, head.cwd.as_deref().filter(|cwd| !cwd.is_empty())?))
        })
        .collect();
    let mut there: BTreeMap<&str, bool> = BTreeMap::new();
    for (_, _, cwd) in &all {
        there.entry(cwd).or_insert_with(|| Path::new(cwd).is_dir());
    }
    let missing: Vec<&str> = there.iter().filter(|(_, there)| !**there).map(|(cwd, _)| *cwd).collect();
    if missing.is_empty() {
        return;
    }
    let present: Vec<&Path> =
        there.iter().filter(|(_, there)| **there).map(|(cwd, _)| Path::new(*cwd)).collect();
    let near = Near::look(env.home(), &missing, &present);
    let mut places: BTreeMap<&str, Whereabouts> = BTreeMap::new();
    for dir in missing {
        let recorded: Vec<Repo> = all
            .iter()
            .filter(|(_, _, cwd)| *cwd == dir)
            .filter_map(|(_, known, _)| repository(known.head.as_ref()?))
            .collect();
        places.insert(dir, near.of(dir, &recorded));
    }
    for (store, known, cwd) in all {
        if let Some(whereabouts) = places.get(cwd) {
            let finding = finding(known, cwd, whereabouts);
            found.push(Found { harness: Some(store.harness), finding });
        }
    }
}

/// What the session says of its repository; `None`: nothing that it could be recognised by.
fn repository(head: &Head) -> Option<Repo> {
    let git = head.git.as_ref()?;
    if git.remote.is_none() && git.commit.is_none() {
        return None;
    }
    let remotes = git.remote.iter().map(|url| Remote { name: "origin".to_owned(), url: url.clone() });
    Some(Repo { remotes: remotes.collect(), commit: git.commit.clone(), ..Repo::default() })
}

fn finding(known: &Known, cwd: &str, whereabouts: &Whereabouts) -> Finding {
    let (what, candidates, is_sure) = match whereabouts {
        Whereabouts::Repository(found) => ("the same repository is in", found.as_slice(), true),
        Whereabouts::Name(found) => ("of the same name is", found.as_slice(), false),
        Whereabouts::Unknown => ("", [].as_slice(), false),
    };
    let places: Vec<String> =
        candidates.iter().take(NAMED).map(|one| one.new.display().to_string()).collect();
    let detail = match candidates {
        [] => format!("{cwd} is not there, and nothing like it was found near by"),
        _ => format!("{cwd} is not there; {what} {}", places.join(", or ")),
    };
    let finding = Finding::of(&DIRECTORY_GONE, known, detail).at(cwd);
    match candidates {
        [] => finding.advise("make it again, or `holdall move OLD NEW` with the directory where it is now"),
        [Candidate { old, new }] => {
            let command = ["holdall".to_owned(), "move".to_owned(), old.clone(), new.display().to_string()];
            let advice = match is_sure {
                true => "let the sessions follow; `--fix` does it",
                false => "let the sessions follow, if this is the directory",
            };
            let finding = finding.advise(advice).run(command);
            if is_sure { finding.repair(Repair::Move { old: old.into(), new: new.clone() }) } else { finding }
        }
        [Candidate { old, .. }, ..] => {
            finding.advise(format!("choose one: `holdall move {} NEW` lets the sessions follow", quoted(old)))
        }
    }
}
