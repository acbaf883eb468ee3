//! The repositories of the sessions: each described once, and bundled where that is asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::{Git, Options};
use crate::archive::manifest::Repo;
use crate::archive::{self, RepoInput};
use crate::error::{Kind, Result};
use crate::git::{self, bundle};
use crate::interrupt::Watched;
use crate::model::Head;
use crate::progress::Progress;

/// The repositories of the sessions.
#[derive(Default)]
pub(super) struct Repos {
    list: Vec<Found>,
    by_cwd: BTreeMap<String, Option<usize>>,
}

struct Found {
    repo: Repo,
    /// A directory in it.
    dir: PathBuf,
    /// The ids of its sessions.
    sessions: Vec<String>,
    bundle: Option<File>,
}

impl Repos {
    /// The place of a session's repository in the list.
    pub(super) fn of(&mut self, head: &Head, warnings: &mut Vec<String>) -> Option<usize> {
        let cwd = head.cwd.as_deref()?;
        let place = match self.by_cwd.get(cwd) {
            Some(known) => *known,
            None => {
                let place = match git::describe(Path::new(cwd)) {
                    Ok(repo) => repo.map(|repo| self.place(repo, cwd)),
                    Err(error) => {
                        warnings.push(format!("nothing is recorded of the repository at {cwd}: {error}"));
                        None
                    }
                };
                self.by_cwd.insert(cwd.to_owned(), place);
                place
            }
        };
        if let Some(found) = place.and_then(|place| self.list.get_mut(place)) {
            found.sessions.push(head.id.clone());
        }
        place
    }

    fn place(&mut self, repo: Repo, dir: &str) -> usize {
        if let Some(place) = self.list.iter().position(|known| known.repo.root == repo.root) {
            return place;
        }
        self.list.push(Found { repo, dir: PathBuf::from(dir), sessions: Vec::new(), bundle: None });
        self.list.len() - 1
    }

    /// Bundles every repository, if the options say so.
    ///
    /// # Errors
    /// When the uncommitted work of one is too large. One that cannot be read is only warned of: the
    /// sessions are worth carrying without it.
    pub(super) fn bundle(
        &mut self,
        options: &Options,
        progress: &dyn Progress,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let full = match options.git {
            Git::None | Git::Meta => return Ok(()),
            Git::Bundle => false,
            Git::Full => true,
        };
        let settings = bundle::Options { full, max_work: options.max_work };
        progress.begin("bundling", 0);
        let bundled = self.list.iter_mut().try_for_each(|found| found.bundle(&settings, warnings));
        progress.end();
        bundled
    }

    /// What is written of them.
    pub(super) fn inputs(&self) -> Vec<RepoInput<'_>> {
        let inputs = self.list.iter();
        inputs.map(|found| RepoInput { repo: found.repo.clone(), bundle: found.bundle.as_ref() }).collect()
    }
}

impl Found {
    /// Bundles the repository.
    fn bundle(&mut self, settings: &bundle::Options, warnings: &mut Vec<String>) -> Result<()> {
        if self.repo.root_commit.is_none() {
            self.repo.root_commit = git::root_commit(&self.dir).unwrap_or_default();
        }
        let root = &self.repo.root;
        let sessions: Vec<&str> = self.sessions.iter().map(String::as_str).collect();
        let mut file = archive::temporary()?;
        let mut out = Watched::new(BufWriter::with_capacity(1 << 17, &mut file));
        let written = bundle::write(&self.dir, &sessions, settings, &mut out);
        drop(out);
        match written {
            Ok(carried) => self.repo.carried = carried,
            Err(error) if error.kind() == Kind::Unsupported => {
                warnings.push(format!("{root}: nothing of it is carried: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        if let Some(carried) = &self.repo.carried {
            warnings.extend(carried.left_out.iter().map(|what| format!("{root}: {what}")));
            if carried.commits > 0 || carried.work.is_some() {
                self.bundle = Some(file);
            }
        }
        if !settings.full && needs_this_machine(&self.repo) {
            warnings.push(format!(
                "{root}: no other machine can clone it from where its remote is; `--git full` carries the \
                 whole history"
            ));
        }
        Ok(())
    }
}

/// Whether what is not carried of a repository cannot be had anywhere but here.
fn needs_this_machine(repo: &Repo) -> bool {
    let carries_all =
        repo.carried.as_ref().is_some_and(|carried| carried.needs.is_empty() && carried.commits > 0);
    repo.commit.is_some() && !carries_all && repo.remotes.iter().all(|remote| git::url::is_local(&remote.url))
}
