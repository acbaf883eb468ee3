//! The repositories of the sessions: where each is on this machine, cloning what is not here, and
//! bringing carried work back.
//!
//! Repositories are found and cloned before anything else, because the sessions go where they are,
//! and some programs take no session for a directory that is not there. Work comes back at the very
//! end, when the sessions are in place: whatever stands in its way, they are there to go on with.
//! What goes wrong with a repository is told and costs no session.

use std::path::{Path, PathBuf};

use super::destination::{Rules, repository_name};
use super::incoming::{Incoming, Repository};
use super::report::{RepoRow, Report};
use super::{Options, decide};
use crate::env::Env;
use crate::error::Result;
use crate::git::clone::{self, Origin};
use crate::git::find::{self, Likeness};
use crate::git::restore::{self, Carried, Restored};
use crate::git::{self, Bundle, Comparison, Git, Repo};
use crate::interrupt;
use crate::place::shell::quoted;
use crate::progress::Progress;
use crate::txn::Left;

/// The repositories of an import.
pub struct Repositories<'a> {
    places: Vec<Place<'a>>,
    git: Option<Git>,
    left: Vec<Left>,
}

/// One repository, and where it is.
struct Place<'a> {
    incoming: &'a Repository<'a>,
    /// The session that a branch is named after.
    session: &'a str,
    /// Its root on this machine; `None` when that cannot be a directory of this machine.
    target: Option<PathBuf>,
    is_here: bool,
    /// A clone is made, or in a dry run would be.
    is_cloned: bool,
    action: &'static str,
    remote: Option<String>,
    reason: Option<String>,
}

impl<'a> Repositories<'a> {
    /// Looks where they are.
    pub fn find(
        env: &Env,
        incoming: &'a Incoming<'a>,
        options: &Options,
        rules: &Rules,
        warnings: &mut Vec<String>,
    ) -> Self {
        let (clones, complete) = match rules.workspace_root() {
            Some(root) if !incoming.repos.is_empty() => find::clones(root),
            _ => (Vec::new(), true),
        };
        if let (false, Some(root)) = (complete, rules.workspace_root()) {
            warnings.push(format!(
                "{} holds too many directories: not all were looked at for repositories",
                root.display()
            ));
        }
        let mut places: Vec<Place<'a>> = Vec::new();
        for repository in &incoming.repos {
            let place = locate(incoming, repository, rules, &clones, options, &places, warnings);
            places.push(place);
        }
        Self { places, git: Git::find(env, options.may_ask), left: Vec::new() }
    }

    /// Clones what is not here; in a dry run says what would be cloned.
    ///
    /// # Errors
    /// When the user asks to stop. A repository that cannot be had is told in the report.
    pub fn clone_missing(
        &mut self,
        options: &Options,
        progress: &dyn Progress,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        if !options.clone {
            return Ok(());
        }
        // A repository before its linked worktrees.
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        order.sort_by_key(|&place| self.places[place].incoming.repo.worktree);
        let mut coming: Vec<PathBuf> = Vec::new();
        for number in order {
            let place = &mut self.places[number];
            let Some(target) = place.target.clone().filter(|_| !place.is_here) else { continue };
            let repo = &*place.incoming.repo;
            if coming.contains(&target) || find::is_at(repo, &target).is_some() {
                (place.is_here, place.action, place.reason) = (true, "found", None);
                continue;
            }
            let Some(git) = &self.git else {
                place.fail(no_git());
                continue;
            };
            if options.dry_run {
                place.would_clone();
            } else {
                progress.tell(&format!("cloning {}", target.display()));
                let cloned = place.clone(git, &target, warnings);
                match cloned {
                    Ok(()) => self.left.push(Left::clone(&target)),
                    Err(error) if interrupt::is_asked() => return Err(error),
                    Err(error) => place.fail(decide::with_hints(&error)),
                }
            }
            if self.places[number].is_cloned {
                coming.push(target);
            }
        }
        Ok(())
    }

    /// The directories that cloning may make.
    pub fn missing(&self) -> Vec<PathBuf> {
        self.places.iter().filter(|place| !place.is_here).filter_map(|place| place.target.clone()).collect()
    }

    /// The directories that a dry run would make.
    pub fn coming(&self) -> Vec<PathBuf> {
        let coming = self.places.iter().filter(|place| place.is_cloned && !place.is_here);
        coming.filter_map(|place| place.target.clone()).collect()
    }

    /// The root of a session's repository at the source, and where that is here.
    pub fn of_session(&self, session: usize) -> Option<(&str, &Path)> {
        let place = self.places.iter().find(|place| place.incoming.sessions.contains(&session))?;
        Some((&place.incoming.repo.root, place.target.as_deref()?))
    }

    /// Brings carried work back, when that is asked for, and reports on all of them. Returns what of
    /// it an undo of the import leaves where it is.
    pub fn finish(mut self, options: &Options, progress: &dyn Progress, report: &mut Report) -> Vec<Left> {
        let mut rows = Vec::with_capacity(self.places.len());
        // Nothing needs to be said of what an import has just made as it is.
        let mut settled: Vec<&Path> = Vec::new();
        for place in &self.places {
            let work = self.work(place, options, progress);
            self.left.extend(left(place, &work).filter(|_| !options.dry_run));
            report.warnings.extend(place.remarks(options, &work));
            if let Some(target) = &place.target {
                if place.is_cloned || matches!(work.what, "applied" | "branch" | "here") {
                    settled.push(target);
                } else if !settled.contains(&target.as_path()) {
                    report.warnings.extend(place.differs(target));
                }
            }
            rows.push(place.row(work));
        }
        report.repos = rows;
        self.left
    }

    fn work(&self, place: &Place<'_>, options: &Options, progress: &dyn Progress) -> Work {
        let repo = &*place.incoming.repo;
        let is_carried =
            repo.carried.as_ref().is_some_and(|carried| carried.commits > 0 || carried.work.is_some());
        if !is_carried {
            let had = repo.changed() > 0 || repo.ahead.is_some_and(|commits| commits > 0);
            return Work::of(if had { "not-carried" } else { "none" });
        }
        if !options.restore_work {
            return Work::of("not-asked");
        }
        let Some(target) = place.target.as_deref().filter(|_| place.is_here || place.is_cloned) else {
            // Why there is no repository, its row says already.
            return Work::of("failed");
        };
        if place.is_cloned && !place.is_here {
            let brings = repo.carried.as_ref().is_some_and(|carried| carried.work.is_some());
            return Work::of(if brings { "applied" } else { "here" });
        }
        let Some(git) = &self.git else { return Work::failed(no_git()) };
        progress.begin(&format!("restoring work in {}", target.display()), 0);
        let restored = place.restore(git, target, options.dry_run);
        progress.end();
        match restored {
            Ok(Restored::Nothing) => Work::of("none"),
            Ok(Restored::Here) => Work::of("here"),
            Ok(Restored::Applied) => Work::of("applied"),
            Ok(Restored::Branch { name, reason }) => {
                Work { branch: Some(name), reason, ..Work::of("branch") }
            }
            Err(error) => Work::failed(decide::with_hints(&error)),
        }
    }
}

/// What became of carried work.
struct Work {
    what: &'static str,
    branch: Option<String>,
    reason: Option<String>,
}

impl Work {
    fn of(what: &'static str) -> Self {
        Self { what, branch: None, reason: None }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self { what: "failed", branch: None, reason: Some(reason.into()) }
    }
}

fn no_git() -> String {
    "the program git is not on PATH: install it and import again".to_owned()
}

/// What an undo leaves of restored work.
fn left(place: &Place<'_>, work: &Work) -> Option<Left> {
    let target = place.target.as_deref()?;
    match (work.what, &work.branch) {
        ("branch", Some(branch)) => Some(Left::branch(target, branch)),
        ("applied", _) => Some(Left::work(target)),
        _ => None,
    }
}

/// Finds one repository.
fn locate<'a>(
    incoming: &'a Incoming<'a>,
    repository: &'a Repository<'a>,
    rules: &Rules,
    clones: &[find::Clone],
    options: &Options,
    earlier: &[Place<'a>],
    warnings: &mut Vec<String>,
) -> Place<'a> {
    let repo = &*repository.repo;
    let first = repository.sessions.first().and_then(|&session| incoming.sessions.get(session));
    let place = |target: Option<PathBuf>, is_here| Place {
        incoming: repository,
        session: first.map_or("", |session| session.head.id.as_str()),
        target,
        is_here,
        is_cloned: false,
        action: if is_here { "found" } else { "missing" },
        remote: None,
        reason: None,
    };
    let by_user = rules.by_user(&repo.root);
    let mapped = by_user.clone().or_else(|| rules.by_home(&repo.root));
    // On the machine that it comes from it is where it was, of course, and that is not asked.
    let looks = incoming.archive.is_some() || by_user.is_some() || rules.workspace_root().is_none();
    let at_mapped = mapped.as_deref().filter(|_| looks).and_then(|dir| find::is_at(repo, dir));
    let searches = by_user.is_none() && rules.workspace_root().is_some();
    let matched =
        if searches && at_mapped < Some(Likeness::Remote) { find::choose(repo, clones) } else { None };
    if let Some(matched) = matched.filter(|matched| Some(matched.likeness) > at_mapped) {
        if !matched.others.is_empty() {
            let others: Vec<String> = matched.others.iter().map(|dir| dir.display().to_string()).collect();
            warnings.push(format!(
                "{} is taken for the repository {}; so could be {}: --cwd-map {}=DIR takes another one",
                matched.root.display(),
                repo.root,
                others.join(", "),
                quoted(&repo.root)
            ));
        }
        let mut found = place(Some(matched.root), true);
        found.reason = (matched.likeness == Likeness::History).then(|| "it has the same history".to_owned());
        return found;
    }
    if let Some(likeness) = at_mapped {
        let mut found = place(mapped, true);
        found.reason = (likeness == Likeness::History).then(|| "it has the same history".to_owned());
        return found;
    }
    let target = match (rules.workspace_root().filter(|_| by_user.is_none()), repository_name(repo)) {
        (Some(root), Some(name)) if options.clone => Some(free_place(root, &name, repo, earlier)),
        (Some(root), Some(name)) => Some(root.join(name)),
        _ => mapped,
    };
    let mut missing = place(target, false);
    missing.reason = Some(match &missing.target {
        None => "its directory cannot be one of this machine: give it one with --cwd-map or --workspace-root"
            .to_owned(),
        Some(target) if !clone::is_free(target) => format!("{} is something else", target.display()),
        Some(_) => "--clone brings it here".to_owned(),
    });
    missing
}

/// A place for a clone below `root`: another repository of the same name may be there, or come there.
fn free_place(root: &Path, name: &str, repo: &Repo, earlier: &[Place<'_>]) -> PathBuf {
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    let mut places = names.map(|name| root.join(name));
    let fits = |dir: &PathBuf| {
        let taken = earlier.iter().filter(|place| place.target.as_ref() == Some(dir));
        clone::is_free(dir) && taken.clone().all(|place| find::is_same(&place.incoming.repo, repo))
    };
    places.by_ref().take(1000).find(fits).unwrap_or_else(|| root.join(name))
}

impl Place<'_> {
    fn fail(&mut self, reason: impl Into<String>) {
        (self.action, self.reason) = ("failed", Some(reason.into()));
    }

    /// What `--clone` would try.
    fn would_clone(&mut self) {
        let Some(target) = &self.target else { return };
        if !clone::is_free(target) {
            return self.fail(format!("{} is something else", target.display()));
        }
        match clone::origin(&self.incoming.repo, self.incoming.bundle.is_some()) {
            Some(origin) => self.come(origin),
            None => self.fail("it has no remote to clone from, and the archive does not carry all of it"),
        }
    }

    fn come(&mut self, origin: Origin) {
        self.is_cloned = true;
        self.reason = None;
        (self.action, self.remote) = match origin {
            Origin::Remote(url) => ("clone", Some(url)),
            Origin::Bundle => ("clone-bundle", None),
        };
    }

    fn clone(&mut self, git: &Git, target: &Path, warnings: &mut Vec<String>) -> Result<()> {
        let bundle = self.bundle()?;
        let cloned = clone::clone(git, &self.incoming.repo, bundle.as_ref(), target)?;
        warnings.extend(cloned.remarks.iter().map(|remark| format!("{}: {remark}", target.display())));
        self.come(cloned.origin);
        self.is_here = true;
        Ok(())
    }

    fn restore(&self, git: &Git, target: &Path, dry_run: bool) -> Result<Restored> {
        let bundle = self.bundle()?;
        let wanted = Carried { repo: &self.incoming.repo, bundle: bundle.as_ref(), session: self.session };
        restore::restore(git, target, wanted, dry_run)
    }

    fn bundle(&self) -> Result<Option<Bundle>> {
        self.incoming.bundle.map(|place| place.copy()).transpose()
    }

    /// What the user should know besides the row.
    fn remarks(&self, options: &Options, work: &Work) -> Vec<String> {
        let repo = &*self.incoming.repo;
        let mut remarks = Vec::new();
        if let (true, Some(carried)) = (options.restore_work, &repo.carried) {
            remarks.extend(carried.left_out.iter().map(|what| format!("{}: not carried: {what}", repo.root)));
        }
        if options.restore_work && work.what == "not-carried" {
            remarks.push(format!(
                "{}: the archive carries none of its unpushed commits and uncommitted work; `export --git bundle` does",
                repo.root
            ));
        }
        remarks
    }

    /// How what is at its place differs from what was recorded.
    fn differs(&self, target: &Path) -> Option<String> {
        if !target.is_dir() {
            return None;
        }
        match git::compare(&self.incoming.repo, target) {
            Comparison::Same => None,
            other => Some(format!("{}: {other}", target.display())),
        }
    }

    fn row(&self, work: Work) -> RepoRow {
        let repo = &*self.incoming.repo;
        let head = self.target.as_deref().filter(|_| self.is_here).and_then(find::head);
        let expected = || (repo.branch.clone(), repo.commit.clone());
        let (branch, commit) = head.unwrap_or_else(|| if self.is_cloned { expected() } else { (None, None) });
        let reasons: Vec<String> = [self.reason.clone(), work.reason].into_iter().flatten().collect();
        RepoRow {
            root: repo.root.clone(),
            remote: self.remote.clone(),
            path: self.target.clone(),
            action: self.action,
            branch,
            commit,
            work: work.what,
            work_branch: work.branch,
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        }
    }
}
