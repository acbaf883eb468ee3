//! What no bundle can hold, said plainly.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use git2::{Repository, RepositoryState};

use super::content::native;

/// Most paths that are named for one reason.
const NAMED: usize = 5;

/// What is not carried, and why.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    sentences: Vec<String>,
    by_reason: BTreeMap<String, Vec<String>>,
}

impl LeftOut {
    /// A whole sentence about the repository.
    pub(super) fn say(&mut self, sentence: impl Into<String>) {
        self.sentences.push(sentence.into());
    }

    /// A path, and what is said of all paths with the same reason.
    pub(super) fn path(&mut self, path: &[u8], reason: impl Into<String>) {
        let path = String::from_utf8_lossy(path).into_owned();
        self.by_reason.entry(reason.into()).or_default().push(path);
    }

    /// Everything, one sentence for each reason.
    pub(super) fn into_sentences(self) -> Vec<String> {
        let grouped = self.by_reason.into_iter().map(|(reason, paths)| {
            let more = match paths.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let named: Vec<&str> = paths.iter().take(NAMED).map(String::as_str).collect();
            format!("{}{more}: {reason}", named.join(", "))
        });
        self.sentences.into_iter().chain(grouped).collect()
    }
}

/// What there is to say of the repository as a whole.
pub(super) fn of_repository(repository: &Repository, left_out: &mut LeftOut) -> Result<(), git2::Error> {
    let under_way = match repository.state() {
        RepositoryState::Clean => None,
        RepositoryState::Merge => Some("a merge"),
        RepositoryState::Revert | RepositoryState::RevertSequence => Some("a revert"),
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => Some("a cherry-pick"),
        RepositoryState::Bisect => Some("a bisection"),
        RepositoryState::Rebase | RepositoryState::RebaseInteractive | RepositoryState::RebaseMerge => {
            Some("a rebase")
        }
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => Some("git am"),
    };
    if let Some(what) = under_way {
        left_out
            .say(format!("{what} is under way: the files travel as they are, how far it has come does not"));
    }
    if repository.is_shallow() {
        left_out.say("the clone is shallow: its history before the cut is not here, so it does not travel");
    }
    if repository.find_reference("refs/stash").is_ok() {
        left_out.say("stashed changes do not travel");
    }
    Ok(())
}

/// Finds sockets, pipes and devices beside the files; git does not see them.
pub(super) fn special_files<'p>(
    repository: &Repository,
    root: &Path,
    files: impl Iterator<Item = &'p [u8]>,
    left_out: &mut LeftOut,
) {
    let parent =
        |path: &'p [u8]| path.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |slash| &path[..slash]);
    let directories: BTreeSet<&[u8]> = files.map(parent).chain([&[][..]]).collect();
    for directory in directories {
        let relative = native(directory);
        let Ok(entries) = fs::read_dir(root.join(&relative)) else { continue };
        let mut found: Vec<_> = entries
            .flatten()
            .filter(|entry| {
                let kind = entry.file_type();
                kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir() && !kind.is_symlink())
            })
            .map(|entry| relative.join(entry.file_name()))
            .filter(|path| !repository.is_path_ignored(path).unwrap_or(false))
            .collect();
        found.sort();
        for path in found {
            let path = path.to_string_lossy().into_owned();
            left_out.path(path.as_bytes(), "a socket, pipe or device, which git does not hold");
        }
    }
}
