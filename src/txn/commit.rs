//! From staged to in place: back up, make durable, journal "prepared", carry out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::carry::{self, Run, Saved};
use super::content;
use super::disk;
use super::journal::{Change, Content, Rows, State, Step};
use super::lines;
use super::meanwhile;
use super::rows::{self, Databases, Schema};
use super::stage::{Staged, Transaction, nothing_changed};
use super::step::Bench;
use crate::error::{Error, IoContext, Kind, Result};
use crate::progress::Progress;

/// What became of an import.
#[derive(Debug)]
pub struct Committed {
    /// For each session, in the order of the plans.
    pub sessions: Vec<Outcome>,
    /// Where the old files are; `None` when none was replaced or removed, or none was to be kept.
    pub backup_dir: Option<PathBuf>,
    /// Copies of what somebody else wrote meanwhile into files that the import changed.
    pub saved: Vec<Saved>,
}

/// What became of one session.
#[derive(Debug)]
pub enum Outcome {
    /// It is in place, and durable.
    Applied,
    /// It was left out with [`Transaction::drop_session`].
    Dropped,
    /// It is as it was before the import, for this reason.
    Failed(Error),
}

impl Transaction {
    /// Puts every session in place that was rendered: each wholly or not at all, whatever happens.
    ///
    /// # Errors
    /// When nothing could be changed; or, with a message that says so, when the changes could not
    /// be brought to an end: the next import, undo or [`super::recover()`] does that.
    pub fn commit(mut self, progress: &dyn Progress) -> Result<Committed> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        if let Err(error) = self.prepare(progress, &mut outcomes) {
            self.open = false;
            carry::withdraw(&self.dir, &mut self.journal);
            return Err(nothing_changed(error));
        }
        if self.journal.sessions.is_empty() {
            self.give_up()?;
            return Ok(Committed { sessions: outcomes, backup_dir: None, saved: Vec::new() });
        }
        self.open = false;
        let carried = carry::carry_out(&self.dir, &mut self.journal, Run::First, progress)
            .map_err(|error| carry::unfinished(error, "the import"))?;
        let mut failures = carried.failures.into_iter();
        for outcome in outcomes.iter_mut().filter(|outcome| matches!(outcome, Outcome::Applied)) {
            if let Some(Some(error)) = failures.next() {
                *outcome = Outcome::Failed(disk::advise(error, "this session is as it was"));
            }
        }
        let backup_dir = Some(self.dir.backups()).filter(|dir| disk::may_exist(dir));
        Ok(Committed { sessions: outcomes, backup_dir, saved: carried.saved })
    }

    /// Everything up to the journal "prepared". Sessions that cannot be are taken out of it.
    fn prepare(&mut self, progress: &dyn Progress, outcomes: &mut Vec<Outcome>) -> Result<()> {
        let mut files = Vec::new();
        let mut failures = self.survey()?;
        let shared = self.journal.shared.iter();
        let mut claimed = shared.map(|shared| Claim::file(&shared.path)).collect();
        self.note_schemas();
        let databases = Databases::new(&self.journal.databases);
        progress.begin("backing up", self.bytes_to_back_up());
        for (session, failure) in failures.iter_mut().enumerate() {
            if failure.is_some() || self.staging().dropped[session] {
                continue;
            }
            let claim = self.claim(session, &mut claimed);
            match claim.and_then(|()| self.prepare_session(session, &databases, progress)) {
                Ok(written) => files.extend(written),
                Err(error) if disk::is_full(&error) => {
                    return Err(error.context(&self.journal.sessions[session].label));
                }
                Err(error) => *failure = Some(error),
            }
        }
        progress.end();
        for (session, failure) in failures.into_iter().enumerate() {
            outcomes.push(match failure {
                _ if self.staging().dropped[session] => Outcome::Dropped,
                Some(error) => {
                    self.drop_session(session)?;
                    let session = &self.journal.sessions[session];
                    self.dir.remove_backups(session)?;
                    Outcome::Failed(error.context(&session.label))
                }
                None => Outcome::Applied,
            });
        }
        let mut kept = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Applied));
        self.journal.sessions.retain(|_| kept.next().unwrap_or(false));
        let made = std::mem::take(&mut self.staging().made);
        self.journal.dirs = made.into_iter().collect();
        if self.journal.sessions.is_empty() {
            return Ok(());
        }
        let mut dirs = carry::touched(&self.journal);
        dirs.extend([self.dir.backups(), self.dir.rows()].into_iter().filter(|dir| disk::may_exist(dir)));
        disk::sync_all(&files, &dirs)?;
        self.journal.state = State::Prepared;
        self.dir.write(&self.journal)
    }

    fn bytes_to_back_up(&self) -> u64 {
        let steps = self.journal.sessions.iter().flat_map(|session| &session.steps);
        let changed = steps.filter(|step| step.change.leaves_old());
        changed.filter_map(|step| step.path.symlink_metadata().ok()).map(|meta| meta.len()).sum()
    }

    /// Looks at the shared files; a session whose line cannot be added fails.
    fn survey(&mut self) -> Result<Vec<Option<Error>>> {
        let chosen: Vec<bool> = self.staging().dropped.iter().map(|dropped| !dropped).collect();
        let mut failures: Vec<Option<Error>> = chosen.iter().map(|_| None).collect();
        for number in 0..self.journal.shared.len() {
            let sessions = self.journal.sessions.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
            let lines: Vec<&str> = sessions
                .flat_map(|(session, _)| session.added(number))
                .map(|line| line.line.as_str())
                .collect();
            if lines.is_empty() {
                continue;
            }
            let mut shared = self.journal.shared[number].clone();
            let surveyed = self
                .ready_for(&shared.path)
                .and_then(|()| shared.lock.as_deref().map_or(Ok(()), |lock| self.ready_for(lock)))
                .and_then(|()| lines::survey(&mut shared, &lines));
            let (there, refused) = match surveyed {
                Ok(there) => (there, None),
                Err(error) if disk::is_full(&error) => return Err(error),
                Err(error) => (Vec::new(), Some(error)),
            };
            self.journal.shared[number] = shared;
            let mut there = there.into_iter();
            let sessions = self.journal.sessions.iter_mut().zip(&mut failures).zip(&chosen);
            for ((session, failure), _) in sessions.filter(|(_, chosen)| **chosen) {
                for line in session.lines.iter_mut().filter(|line| line.shared == number) {
                    line.there = there.next().unwrap_or(false);
                    if failure.is_none() {
                        *failure = refused.as_ref().map(carry::repeat);
                    }
                }
            }
        }
        Ok(failures)
    }

    /// Writes into the journal what the databases look like in which rows were staged.
    fn note_schemas(&mut self) {
        let schemas = self.schemas.get_mut().unwrap_or_else(PoisonError::into_inner);
        let known = schemas.values().filter_map(|schema| schema.as_ref().ok());
        self.journal.databases = known.map(|schema| Schema::clone(schema)).collect();
    }

    /// Refuses a session that changes a file, or rows, that are another session's too: could one of
    /// them not be put in place, there would be no telling what to go back to.
    fn claim(&self, session: usize, claimed: &mut BTreeSet<Claim>) -> Result<()> {
        for step in &self.journal.sessions[session].steps {
            if !Claim::of(step).into_iter().all(|claim| claimed.insert(claim)) {
                let what = if matches!(step.change, Change::Rows(_)) { "a session in " } else { "" };
                let message =
                    format!("{what}{} is changed by another session of this import", step.path.display());
                return Err(Error::new(Kind::Conflict, message).hint("import them one after the other"));
            }
        }
        Ok(())
    }

    /// Notes what was rendered for a session, and backs up what it will replace or remove. Returns
    /// the files that have to be durable before anything changes.
    fn prepare_session(
        &mut self,
        number: usize,
        databases: &Databases,
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut staged = std::mem::take(&mut self.staging().staged[number]);
        let awaited = std::mem::take(&mut self.staging().awaited[number]);
        let backups = self.dir.backups();
        let temps: Vec<PathBuf> =
            self.journal.sessions[number].steps.iter().map(|step| self.temp(step)).collect();
        let journal = &mut self.journal;
        let bench = Bench { dir: &self.dir, id: &journal.id, adds: true, databases };
        let steps = journal.sessions[number].steps.iter_mut();
        for (((step, staged), awaited), temp) in steps.zip(&mut staged).zip(awaited).zip(temps) {
            if step.change != Change::Remove {
                let Some(Staged { bytes, sha256 }) = staged.take() else {
                    return Err(Error::usage(format!("{} was not rendered", step.path.display())));
                };
                let modified = step.new.as_ref().and_then(|new| new.modified);
                step.new = Some(Content { bytes, sha256, modified, mode: None });
                files.push(temp.clone());
            }
            if let Change::Rows(rows) = &step.change {
                let rows = prepare_rows(step, rows.clone(), &bench, journal.backup)?;
                meanwhile::check_rows(step, &awaited)?;
                files.extend(rows.before.as_ref().map(|name| self.dir.document(name)));
                step.change = Change::Rows(rows);
                continue;
            }
            if step.change == Change::Create {
                continue;
            }
            let old = if journal.backup {
                let name = step.number.to_string();
                let copy = backups.join(&name);
                disk::make_dir(&backups).at("make the directory", &backups)?;
                let old = content::duplicate(&step.path, &copy, None)?;
                step.backup = Some(name);
                files.push(copy);
                old
            } else {
                content::copy(&step.path, &mut std::io::sink())?
            };
            meanwhile::check_file(step, self.found.get(&step.path).copied(), &old)?;
            if let Some(new) = &mut step.new {
                new.mode = old.mode;
                let file = disk::open(&temp).at("open", &temp)?;
                old.mode.map_or(Ok(()), |mode| disk::set_mode(&file, mode)).at("set the mode of", &temp)?;
            }
            progress.advance(old.bytes);
            step.old = Some(old);
        }
        Ok(files)
    }
}

/// Backs up the rows that a session will replace, also where no backup is to be kept: could another
/// step not be carried out, they are brought back from it.
fn prepare_rows(step: &mut Step, rows: Rows, bench: &Bench<'_>, keep: bool) -> Result<Rows> {
    let name = if keep { format!("backup/{}", step.number) } else { format!("rows/{}.old", step.number) };
    step.old = rows::back_up(step, &rows, bench, &bench.dir.document(&name))?;
    step.backup = step.old.as_ref().filter(|_| keep).map(|_| step.number.to_string());
    let (shared, there) = rows::missing(bench.databases, &step.path, rows.shared)?;
    Ok(Rows { before: step.old.as_ref().map(|_| name), shared, there, ..rows })
}

/// What only one session of an import may change: a file, or the rows with one value in a column.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    path: PathBuf,
    rows: Option<(String, String)>,
}

impl Claim {
    fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), rows: None }
    }

    fn of(step: &Step) -> Vec<Self> {
        let Change::Rows(rows) = &step.change else { return vec![Self::file(&step.path)] };
        let claim = |table: &str, value: &String| Self {
            path: step.path.clone(),
            rows: Some((table.to_owned(), value.clone())),
        };
        let parts = rows.scope.iter();
        parts.flat_map(|part| part.values.iter().map(move |value| claim(&part.table, value))).collect()
    }
}
