//! From staged to in place: back up, make durable, journal "prepared", carry out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::carry::{self, Run, Saved};
use super::content;
use super::disk;
use super::journal::{Change, Content, State, Step};
use super::lines;
use super::stage::{Staged, Transaction, nothing_changed};
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
        let backup_dir = Some(self.dir.backups()).filter(|dir| dir.exists());
        Ok(Committed { sessions: outcomes, backup_dir, saved: carried.saved })
    }

    /// Everything up to the journal "prepared". Sessions that cannot be are taken out of it.
    fn prepare(&mut self, progress: &dyn Progress, outcomes: &mut Vec<Outcome>) -> Result<()> {
        let mut files = Vec::new();
        let mut failures = self.survey()?;
        let mut claimed = self.journal.shared.iter().map(|shared| shared.path.clone()).collect();
        progress.begin("backing up", self.bytes_to_back_up());
        for (session, failure) in failures.iter_mut().enumerate() {
            if failure.is_some() || self.staging().dropped[session] {
                continue;
            }
            let claim = self.claim(session, &mut claimed);
            match claim.and_then(|()| self.prepare_session(session, progress)) {
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
        dirs.extend([self.dir.backups()].into_iter().filter(|dir| dir.exists()));
        disk::sync_all(&files, &dirs)?;
        self.journal.state = State::Prepared;
        self.dir.write(&self.journal)
    }

    fn bytes_to_back_up(&self) -> u64 {
        let steps = self.journal.sessions.iter().flat_map(|session| &session.steps);
        let changed = steps.filter(|step| step.change != Change::Create);
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

    /// Refuses a session that changes a file that is another session's too: could one of them not
    /// be put in place, there would be no telling what to go back to.
    fn claim(&self, session: usize, claimed: &mut BTreeSet<PathBuf>) -> Result<()> {
        for Step { path, .. } in &self.journal.sessions[session].steps {
            if !claimed.insert(path.clone()) {
                let message = format!("{} is changed by another session of this import", path.display());
                return Err(Error::new(Kind::Conflict, message).hint("import them one after the other"));
            }
        }
        Ok(())
    }

    /// Notes what was rendered for a session, and backs up what it will replace or remove. Returns
    /// the files that have to be durable before anything changes.
    fn prepare_session(&mut self, number: usize, progress: &dyn Progress) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut staged = std::mem::take(&mut self.staging().staged[number]);
        let backups = self.dir.backups();
        let journal = &mut self.journal;
        for (step, staged) in journal.sessions[number].steps.iter_mut().zip(&mut staged) {
            let temp = step.temp(&journal.id);
            if step.change != Change::Remove {
                let Some(Staged { bytes, sha256 }) = staged.take() else {
                    return Err(Error::usage(format!("{} was not rendered", step.path.display())));
                };
                let modified = step.new.as_ref().and_then(|new| new.modified);
                step.new = Some(Content { bytes, sha256, modified, mode: None });
                files.push(temp.clone());
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
