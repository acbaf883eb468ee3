//! What is not committed: which files, staged and not, and how large they are. No file is read for
//! it but those that git itself would have to compare.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::path::Path;

use git2::{
    Config, Index, IndexEntry, IndexEntryExtendedFlag, IndexEntryFlag, ObjectType, Oid, Repository, Status,
    StatusOptions,
};

use super::content::{self, native};
use super::trees::{Entry, FILE, Files, LINK, PROGRAM, SUBMODULE};
use super::unseen::{self, LeftOut};
use crate::error::{Error, Kind};
use crate::git::changes;

/// Most files that an error names.
const NAMED: usize = 5;

/// The uncommitted state of a repository.
#[derive(Default)]
pub(super) struct Survey {
    /// Every object of the commit that is checked out.
    pub(super) base: HashSet<Oid>,
    /// The files; `None` in a repository without a working directory.
    pub(super) files: Option<State>,
    /// What cannot be carried.
    pub(super) left_out: LeftOut,
    /// What is to be carried, by size and path.
    sizes: Vec<(u64, Vec<u8>)>,
}

/// The index, and how the working directory differs from it.
#[derive(Default)]
pub(super) struct State {
    pub(super) index: Files,
    pub(super) changes: Vec<Change>,
    /// Files with attributes that are in the index only.
    pub(super) attributes: Vec<Oid>,
}

/// Paths with marks in the index.
#[derive(Default)]
struct Marks {
    /// Whose file decides, whatever git says of it: with a conflict, or only intended to be added.
    decided_by_file: HashSet<Vec<u8>>,
    /// That a sparse checkout leaves out.
    not_checked_out: HashSet<Vec<u8>>,
}

/// A file of the working directory that is not what the index has.
pub(super) struct Change {
    pub(super) path: Vec<u8>,
    /// Its mode; `None` when it is gone.
    pub(super) mode: Option<u32>,
    /// What the index has of it.
    pub(super) tracked: Option<Oid>,
}

/// Looks at the repository.
pub(super) fn survey(repository: &Repository) -> Result<Survey, git2::Error> {
    let mut survey = Survey { base: base(repository)?, ..Survey::default() };
    let Some(root) = repository.workdir() else { return Ok(survey) };
    let index = repository.index()?;
    let mut state = State::default();
    let marks = survey.read_index(repository, &index, &mut state)?;
    survey.read_changes(repository, root, &index, &marks, &mut state)?;
    let paths = state.index.keys().chain(state.changes.iter().map(|change| &change.path));
    unseen::special_files(repository, root, paths.map(Vec::as_slice), &mut survey.left_out);
    survey.files = Some(state);
    Ok(survey)
}

/// Every tree and blob of the commit that is checked out.
fn base(repository: &Repository) -> Result<HashSet<Oid>, git2::Error> {
    let mut base = HashSet::new();
    let Ok(tree) = repository.head().and_then(|head| head.peel_to_tree()) else { return Ok(base) };
    base.insert(tree.id());
    let mut open = vec![tree.id()];
    while let Some(id) = open.pop() {
        for entry in repository.find_tree(id)?.iter() {
            // What is below a directory that was seen was seen with it.
            if base.insert(entry.id()) && entry.kind() == Some(ObjectType::Tree) {
                open.push(entry.id());
            }
        }
    }
    Ok(base)
}

impl Survey {
    /// Bytes of the uncommitted work.
    pub(super) fn bytes(&self) -> u64 {
        self.sizes.iter().map(|(size, _)| size).sum()
    }

    /// That the work is too large to be carried.
    pub(super) fn too_large(mut self, repository: &Repository, limit: u64) -> Error {
        let bytes = self.bytes();
        let root = repository.workdir().unwrap_or_else(|| repository.path());
        self.sizes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let largest: Vec<String> = self
            .sizes
            .iter()
            .take(NAMED)
            .map(|(size, path)| format!("{} ({})", String::from_utf8_lossy(path), shown(*size)))
            .collect();
        let message = format!(
            "the uncommitted work in {} has {} in {}, and the limit is {}; the largest: {}",
            root.display(),
            shown(bytes),
            count(self.sizes.len()),
            shown(limit),
            largest.join(", ")
        );
        Error::new(Kind::Conflict, message)
            .hint("add what need not travel to .gitignore, or commit and push it")
            .hint(format!(
                "`--max-work {}` carries it all, and holds it in memory meanwhile",
                round_up(bytes)
            ))
            .hint("`--git meta` carries none of it")
    }

    /// Takes the index; returns the paths that have marks in it.
    fn read_index(
        &mut self,
        repository: &Repository,
        index: &Index,
        state: &mut State,
    ) -> Result<Marks, git2::Error> {
        let odb = repository.odb()?;
        let (mut marks, mut seen, mut assumed) = (Marks::default(), HashSet::new(), 0_usize);
        for entry in index.iter() {
            let stage = (entry.flags >> 12) & 3;
            let has = |flag: IndexEntryExtendedFlag| entry.flags_extended & flag.bits() != 0;
            if stage > 0 {
                if marks.decided_by_file.insert(entry.path.clone()) {
                    self.left_out.path(
                        &entry.path,
                        "a conflict: the file travels as it is here, that it is a conflict does not",
                    );
                }
                // Stage 2 is what the branch had.
                if stage != 2 {
                    continue;
                }
            } else if has(IndexEntryExtendedFlag::INTENT_TO_ADD) {
                self.left_out
                    .path(&entry.path, "marked with `git add --intent-to-add`, and travels as untracked");
                marks.decided_by_file.insert(entry.path);
                continue;
            }
            if has(IndexEntryExtendedFlag::SKIP_WORKTREE) {
                marks.not_checked_out.insert(entry.path.clone());
            }
            assumed += usize::from(entry.flags & IndexEntryFlag::VALID.bits() != 0);
            if entry.mode == SUBMODULE {
                self.left_out.path(
                    &entry.path,
                    "a submodule: the commit that is recorded of it travels, its own repository does not",
                );
            } else if !self.base.contains(&entry.id) && seen.insert(entry.id) {
                self.sizes.push((odb.read_header(entry.id)?.0 as u64, entry.path.clone()));
            }
            state.index.insert(entry.path, Entry { mode: entry.mode, id: entry.id });
        }
        let hidden = marks.not_checked_out.len();
        if hidden > 0 {
            self.left_out.say(format!(
                "the checkout is sparse: what it leaves out ({}) travels as it is recorded, the choice does not",
                count(hidden)
            ));
        }
        if assumed > 0 {
            self.left_out.say(format!(
                "git is told to take {} for unchanged (`git update-index --assume-unchanged`), so \
                 changes in them do not travel",
                count(assumed)
            ));
        }
        Ok(marks)
    }

    /// Takes what is different in the working directory.
    fn read_changes(
        &mut self,
        repository: &Repository,
        root: &Path,
        index: &Index,
        marks: &Marks,
        state: &mut State,
    ) -> Result<(), git2::Error> {
        let mut options = StatusOptions::new();
        let untracked = changes::shows_untracked(repository);
        options
            .include_untracked(untracked)
            .recurse_untracked_dirs(untracked)
            .include_ignored(false)
            .include_unreadable(true)
            .exclude_submodules(true)
            .update_index(false);
        if !untracked {
            self.left_out.say("git is told not to show untracked files here, so they do not travel");
        }
        let mut paths: HashMap<Vec<u8>, Status> =
            marks.decided_by_file.iter().map(|path| (path.clone(), Status::CONFLICTED)).collect();
        let in_workdir = Status::WT_NEW
            | Status::WT_MODIFIED
            | Status::WT_DELETED
            | Status::WT_TYPECHANGE
            | Status::WT_RENAMED
            | Status::WT_UNREADABLE
            | Status::CONFLICTED;
        for entry in repository.statuses(Some(&mut options))?.iter() {
            if entry.status().intersects(in_workdir) {
                paths.insert(entry.path_bytes().to_vec(), entry.status());
            }
        }
        let mut paths: Vec<(Vec<u8>, Status)> = paths.into_iter().collect();
        paths.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let config = repository.config()?.snapshot()?;
        for (path, status) in paths {
            let tracked = state.index.get(&path).copied();
            if tracked.is_some_and(|tracked| tracked.mode == SUBMODULE) {
                continue;
            }
            let file = root.join(native(&path));
            let meta = file.symlink_metadata().ok().filter(|_| !status.contains(Status::WT_DELETED));
            if path.ends_with(b"/") || meta.as_ref().is_some_and(Metadata::is_dir) {
                if file.join(".git").symlink_metadata().is_ok() {
                    self.left_out
                        .path(&path, "a repository of its own inside this one, which does not travel");
                } else if status.contains(Status::WT_UNREADABLE) {
                    self.left_out.path(&path, "it cannot be read");
                }
                if tracked.is_some() {
                    self.gone(path, state);
                }
                continue;
            }
            match meta {
                None if tracked.is_none() || marks.not_checked_out.contains(&path) => {}
                None => self.gone(path, state),
                Some(meta) if meta.is_file() || meta.is_symlink() => {
                    self.changed(repository, &config, index, &path, &file, &meta, state);
                }
                // `special_files` says what it is.
                Some(_) => self.gone(path, state),
            }
        }
        Ok(())
    }

    fn gone(&mut self, path: Vec<u8>, state: &mut State) {
        let is_attributes = path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes");
        let tracked = state.index.get(&path).map(|entry| entry.id);
        state.attributes.extend(tracked.filter(|_| is_attributes));
        state.changes.push(Change { path, mode: None, tracked });
    }

    #[allow(clippy::too_many_arguments)] // All of them are what is known of one file.
    fn changed(
        &mut self,
        repository: &Repository,
        config: &Config,
        index: &Index,
        path: &[u8],
        file: &Path,
        meta: &Metadata,
        state: &mut State,
    ) {
        let tracked = state.index.get(path).copied();
        if meta.is_file()
            && let Some(program) = content::program(repository, config, path)
        {
            let entry: Option<IndexEntry> = index.get_path(&native(path), 0);
            if !entry.as_ref().is_some_and(|entry| content::is_unchanged(repository, entry, file, meta)) {
                let otherwise = if entry.is_some() { "; it travels as it was last staged" } else { "" };
                let reason =
                    format!("git stores it through {program}, which holdall does not run{otherwise}");
                self.left_out.path(path, reason);
            }
            return;
        }
        let mode = mode(meta, config, tracked);
        self.sizes.push((meta.len(), path.to_vec()));
        let tracked = tracked.map(|entry| entry.id);
        state.changes.push(Change { path: path.to_vec(), mode: Some(mode), tracked });
    }
}

/// The mode that git would record.
fn mode(meta: &Metadata, config: &Config, tracked: Option<Entry>) -> u32 {
    if meta.is_symlink() {
        return LINK;
    }
    let recorded = tracked.map(|entry| entry.mode);
    // On a system without links, or without modes, what is recorded holds.
    if recorded == Some(LINK) && !config.get_bool("core.symlinks").unwrap_or(true) {
        return LINK;
    }
    if !config.get_bool("core.fileMode").unwrap_or(cfg!(unix)) {
        return recorded.filter(|mode| *mode == PROGRAM).unwrap_or(FILE);
    }
    if is_program(meta) { PROGRAM } else { FILE }
}

#[cfg(unix)]
fn is_program(meta: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_program(_meta: &Metadata) -> bool {
    false
}

/// A size as `--max-work` takes it.
fn shown(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64).replace(".0 ", " "),
        None => format!("{bytes} bytes"),
    }
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

fn round_up(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        format!("{}G", bytes.div_ceil(1 << 30))
    } else {
        format!("{}M", bytes.div_ceil(1 << 20))
    }
}
