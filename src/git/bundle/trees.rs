//! A list of files as tree objects.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid};

use super::stage::Stage;

/// Mode of a directory in a tree.
const DIRECTORY: u32 = 0o040_000;
/// Mode of a symbolic link.
pub(super) const LINK: u32 = 0o120_000;
/// Mode of the commit of a submodule.
pub(super) const SUBMODULE: u32 = 0o160_000;
/// Mode of a regular file.
pub(super) const FILE: u32 = 0o100_644;
/// Mode of a regular file that may be run.
pub(super) const PROGRAM: u32 = 0o100_755;

/// A file in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) id: Oid,
}

/// Files by their path from the root, with `/` between its components.
pub(super) type Files = BTreeMap<Vec<u8>, Entry>;

/// Writes the trees of these files; returns the one of the root.
///
/// Paths in the order of their bytes are in the order that git wants in every tree.
pub(super) fn write(files: &Files, stage: &mut Stage<'_>) -> Result<Oid, git2::Error> {
    let mut open = vec![Tree::default()];
    for (path, entry) in files {
        let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&[][..], path.as_slice()),
        };
        while !open.last().is_some_and(|tree| tree.holds(directory)) {
            close(&mut open, stage)?;
        }
        while let Some(next) = open.last().and_then(|tree| tree.next(directory)) {
            open.push(Tree { path: next, content: Vec::new() });
        }
        if let Some(tree) = open.last_mut() {
            tree.add(entry.mode, name, entry.id);
        }
        // Trees are put by `close`; the commit of a submodule is in another repository.
        if entry.mode != SUBMODULE {
            stage.need(entry.id);
        }
    }
    while open.len() > 1 {
        close(&mut open, stage)?;
    }
    stage.put(ObjectType::Tree, &open.pop().unwrap_or_default().content)
}

/// Puts the innermost tree, and names it in the one around it.
fn close(open: &mut Vec<Tree>, stage: &mut Stage<'_>) -> Result<(), git2::Error> {
    let Some(done) = open.pop() else { return Ok(()) };
    let id = stage.put(ObjectType::Tree, &done.content)?;
    if let Some(around) = open.last_mut() {
        let name = done.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        around.add(DIRECTORY, name, id);
    }
    Ok(())
}

/// A tree that is not complete.
#[derive(Default)]
struct Tree {
    /// From the root; empty for the root.
    path: Vec<u8>,
    content: Vec<u8>,
}

impl Tree {
    /// Whether `directory` is this one or below it.
    fn holds(&self, directory: &[u8]) -> bool {
        self.path.is_empty()
            || directory
                .strip_prefix(self.path.as_slice())
                .is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }

    /// The path that is one component longer on the way to `directory`; `None` when this is it.
    fn next(&self, directory: &[u8]) -> Option<Vec<u8>> {
        let start = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
        let rest = directory.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        Some(directory[..start + length].to_vec())
    }

    fn add(&mut self, mode: u32, name: &[u8], id: Oid) {
        self.content.extend_from_slice(format!("{mode:o} ").as_bytes());
        self.content.extend_from_slice(name);
        self.content.push(0);
        self.content.extend_from_slice(id.as_bytes());
    }
}
