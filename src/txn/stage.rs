//! An import from its beginning to the point of no return: everything is written under temporary
//! names beside its place, and nothing that was there before is touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::carry;
use super::content::Hashing;
use super::disk;
use super::hold::{Hold, hold};
use super::journal::{
    self, Change, Content, ImportDir, Journal, Line, Purpose, Rows, Session, Shared, Step, Tidied,
};
use super::lock::StateLock;
use super::meanwhile::{Awaited, Stamp};
use super::plan::{Action, Moved, SessionPlan};
use super::rows::{self, Databases, Schema};
use super::writeback::{Outgoing, Writeback};
use crate::error::{Error, IoContext, Kind, Result};
use crate::model::Time;
use crate::model::rows::Scope;

/// What the journal keeps of an import as a whole.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The archive file; `None` for a conversion on this machine.
    pub archive: Option<String>,
    /// When the import began.
    pub created: Time,
    /// The program and its version, such as `holdall 0.1.0`.
    pub tool: String,
    /// Whether files that are replaced or removed are kept for [`super::undo()`]. Without it the
    /// import is as safe, but such a file cannot be brought back afterwards.
    pub backup: bool,
    /// The project folder that the sessions follow; it is moved too when it says so.
    pub moved: Option<Moved>,
    /// Directories that go when nothing is left in them, each before the one that it is in.
    pub tidied: Vec<PathBuf>,
}

/// A file or row document that was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// An import that is being made. Nothing on the machine changes before [`Transaction::commit`];
/// when it is dropped instead, all that it wrote goes.
#[derive(Debug)]
pub struct Transaction {
    pub(super) dir: ImportDir,
    pub(super) journal: Journal,
    /// Where each action of each session is in the journal.
    places: Vec<Vec<Place>>,
    staging: Mutex<Staging>,
    /// What the databases look like, or why they cannot be used; each is looked at once.
    pub(super) schemas: Mutex<BTreeMap<PathBuf, Result<Arc<Schema>>>>,
    /// Files that are replaced or removed, as they were at the beginning: the content that takes their
    /// place knows nothing of what a program wrote into them later.
    pub(super) found: BTreeMap<PathBuf, Stamp>,
    writeback: Writeback,
    /// Whether the temporary files are still ours to remove.
    pub(super) open: bool,
    _lock: StateLock,
}

/// Where an action is in its session's part of the journal.
#[derive(Debug, Clone, Copy)]
enum Place {
    Step(usize),
    Line,
}

/// What threads share while they render.
#[derive(Debug, Default)]
pub(super) struct Staging {
    /// For each session and step, what was rendered.
    pub staged: Vec<Vec<Option<Staged>>>,
    /// For each session and step, what has to be there; of rows only.
    pub awaited: Vec<Vec<Awaited>>,
    /// Sessions that were left out.
    pub dropped: Vec<bool>,
    /// Directories that are sure to exist.
    ready: BTreeSet<PathBuf>,
    /// Directories that this import made.
    pub made: BTreeSet<PathBuf>,
}

impl Transaction {
    /// Takes the lock of the state directory, finishes what an earlier run left, and writes the
    /// journal with every target in it.
    ///
    /// # Errors
    /// [`Kind::Busy`] when another import or undo is at work, [`Kind::Conflict`] when there is an
    /// import of this id, [`Kind::Unsupported`] when a plan names a path that no import may change.
    pub fn begin(state_dir: &Path, import_id: &str, meta: Meta, plans: Vec<SessionPlan>) -> Result<Self> {
        let (journal, places) = Self::plan(import_id, meta, plans)?;
        Self::start(hold(state_dir)?, journal, places)
    }

    /// As [`Transaction::begin`], by whoever holds the machine already.
    ///
    /// # Errors
    /// As [`Transaction::begin`].
    pub fn begin_in(hold: Hold, import_id: &str, meta: Meta, plans: Vec<SessionPlan>) -> Result<Self> {
        let (journal, places) = Self::plan(import_id, meta, plans)?;
        Self::start(hold, journal, places)
    }

    fn plan(import_id: &str, meta: Meta, plans: Vec<SessionPlan>) -> Result<(Journal, Vec<Vec<Place>>)> {
        if !journal::valid_id(import_id) {
            return Err(Error::usage(format!("{import_id:?} cannot be the name of an import")));
        }
        let mut journal = Journal::new(Purpose::Import, import_id, meta.created, &meta.tool);
        journal.archive = meta.archive;
        journal.backup = meta.backup;
        journal.moved = meta.moved;
        if let Some(moved) = journal.folder() {
            check_path(Path::new(&moved.old), "the folder")?;
            check_path(Path::new(&moved.new), "the folder")?;
        }
        for path in meta.tidied {
            check_path(&path, "a directory")?;
            let mode = disk::mode(&path.symlink_metadata().at("look at", &path)?);
            journal.tidied.push(Tidied { path, mode });
        }
        let places = enter(&mut journal, plans)?;
        Ok((journal, places))
    }

    fn start(hold: Hold, mut journal: Journal, places: Vec<Vec<Place>>) -> Result<Self> {
        let Hold { state_dir, lock } = hold;
        journal.dirs = missing_dirs(&journal);
        let mut found = BTreeMap::new();
        let steps = journal.sessions.iter().flat_map(|session| &session.steps);
        for step in steps.filter(|step| matches!(step.change, Change::Replace | Change::Remove)) {
            // What is not there any more is found out when it is backed up.
            found.extend(Stamp::of(&step.path)?.map(|stamp| (step.path.clone(), stamp)));
        }
        let dir = ImportDir::new(&state_dir, &journal.id);
        dir.make().map_err(nothing_changed)?;
        let staging = Staging {
            awaited: journal
                .sessions
                .iter()
                .map(|session| vec![Awaited::default(); session.steps.len()])
                .collect(),
            staged: journal.sessions.iter().map(|session| vec![None; session.steps.len()]).collect(),
            dropped: vec![false; journal.sessions.len()],
            ..Staging::default()
        };
        let staging = Mutex::new(staging);
        let schemas = Mutex::default();
        let writeback = Writeback::default();
        let transaction =
            Self { dir, journal, places, staging, schemas, found, writeback, open: true, _lock: lock };
        transaction.dir.write(&transaction.journal).map_err(nothing_changed)?;
        Ok(transaction)
    }

    /// Says that a session is new: its rows must not be there when they are put in place, although the
    /// scope of an action would let them be replaced.
    pub fn expect_new(&self, session: usize, action: usize) {
        if let Some(Place::Step(number)) = self.places.get(session).and_then(|actions| actions.get(action)) {
            self.staging().awaited[session][*number] = Awaited::Nothing;
        }
    }

    /// Renders the content of a `Create` or `Replace`, or the row document of a `Rows`: action
    /// `action` of session `session`, both counted as in the plans. May be called from many threads.
    ///
    /// # Errors
    /// What `render` returns; [`Kind::Io`] when the disk refuses; for rows also what is wrong with
    /// the database, and [`Kind::Unsupported`] when it cannot hold them. No temporary file is left
    /// then, and the session can be rendered again or left out with [`Transaction::drop_session`].
    pub fn stage(
        &self,
        session: usize,
        action: usize,
        render: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<Staged> {
        let place = self.places.get(session).and_then(|actions| actions.get(action));
        let number = match place {
            Some(Place::Step(number)) => *number,
            _ => return Err(Error::usage(format!("action {action} of session {session} has no content"))),
        };
        let Session { label, steps, .. } = &self.journal.sessions[session];
        let step = &steps[number];
        let temp = self.temp(step);
        let staged = match &step.change {
            Change::Rows(Rows { scope, .. }) => self.schema(&step.path).and_then(|schema| {
                self.note_rows(session, number, &schema, scope)?;
                rows::stage(&schema, scope, &temp, render)
            }),
            _ => self.ready_for(&step.path).and_then(|()| write_temp(&temp, step, &self.writeback, render)),
        };
        let staged = staged.map_err(|error| nothing_changed(error).context(label))?;
        let mut staging = self.staging();
        if staging.dropped[session] {
            drop(staging);
            disk::remove(&temp)?;
            return Err(Error::new(Kind::Conflict, format!("{label} was left out of the import")));
        }
        staging.staged[session][number] = Some(staged.clone());
        Ok(staged)
    }

    /// Notes what is there of a session's rows before those are rendered that take its place.
    fn note_rows(&self, session: usize, number: usize, schema: &Schema, scope: &[Scope]) -> Result<()> {
        if self.staging().awaited[session][number] == Awaited::Nothing {
            return Ok(());
        }
        let databases = Databases::new(std::slice::from_ref(schema));
        let now = rows::now(&databases, &schema.path, scope, &mut io::sink())?;
        self.staging().awaited[session][number] = Awaited::Rows(now);
        Ok(())
    }

    /// Leaves a session out; its temporary files go.
    ///
    /// # Errors
    /// When one of them cannot be removed.
    pub fn drop_session(&self, session: usize) -> Result<()> {
        let Some(entry) = self.journal.sessions.get(session) else { return Ok(()) };
        self.staging().dropped[session] = true;
        entry.steps.iter().try_for_each(|step| disk::remove(&self.temp(step)).map(|_| ()))
    }

    /// Where the step's new content is.
    pub(super) fn temp(&self, step: &Step) -> PathBuf {
        match &step.change {
            Change::Rows(Rows { after: Some(name), .. }) => self.dir.document(name),
            _ => step.temp(&self.journal.id),
        }
    }

    /// What the tables look like of which this import changes rows in a database.
    pub(super) fn schema(&self, path: &Path) -> Result<Arc<Schema>> {
        self.dir.make_rows()?;
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let known = schemas.entry(path.to_owned()).or_insert_with(|| {
            let steps = self.journal.sessions.iter().flat_map(|session| &session.steps);
            let rows = steps.filter(|step| step.path == path).filter_map(|step| match &step.change {
                Change::Rows(rows) => Some(rows),
                _ => None,
            });
            let tables: BTreeSet<&str> = rows
                .flat_map(|rows| {
                    let scope = rows.scope.iter().map(|part| part.table.as_str());
                    scope.chain(rows.shared.iter().map(|shared| &*shared.row.table))
                })
                .collect();
            Schema::read(path, tables).map(Arc::new)
        });
        known.as_ref().map(Arc::clone).map_err(carry::repeat)
    }

    /// Gives everything up: temporary files, directories and the journal go.
    ///
    /// # Errors
    /// When something cannot be removed; the next import tries again.
    pub fn abandon(mut self) -> Result<()> {
        self.give_up()
    }

    pub(super) fn give_up(&mut self) -> Result<()> {
        self.open = false;
        carry::abandon(&self.dir, &mut self.journal)
    }

    pub(super) fn staging(&self) -> MutexGuard<'_, Staging> {
        // A thread that panicked while it rendered left nothing half-changed in here.
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the directories above `path`.
    pub(super) fn ready_for(&self, path: &Path) -> Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        let mut staging = self.staging();
        if !staging.ready.contains(parent) {
            disk::make_dirs(parent, &mut staging.made)?;
            staging.ready.insert(parent.to_owned());
        }
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open {
            // Nobody is left to tell; what stays behind is removed by the next import.
            let _ = self.give_up();
        }
    }
}

/// Says that the machine is as it was, where that is not obvious: the disk is full.
pub(super) fn nothing_changed(error: Error) -> Error {
    disk::advise(error, "nothing was changed")
}

/// Writes the plans into the journal.
fn enter(journal: &mut Journal, plans: Vec<SessionPlan>) -> Result<Vec<Vec<Place>>> {
    let mut places = Vec::with_capacity(plans.len());
    let mut shared: HashMap<PathBuf, usize> = HashMap::new();
    let mut steps = 0;
    for SessionPlan { label, actions, about } in plans {
        let mut session = Session { label, about, steps: Vec::new(), lines: Vec::new(), failed: None };
        let mut session_places = Vec::with_capacity(actions.len());
        for action in actions {
            check_path(action.path(), &session.label)?;
            let (change, path, modified) = match action {
                Action::Create { path, modified } => (Change::Create, path, modified),
                Action::Replace { path, modified } => (Change::Replace, path, modified),
                Action::Remove { path } => (Change::Remove, path, None),
                Action::AppendLine { path, line, lock, keep_while } => {
                    check_line(&line, lock.as_deref(), &path, &session.label)?;
                    let next = journal.shared.len();
                    let number = *shared.entry(path.clone()).or_insert(next);
                    if number == next {
                        let (before, open_end, lock_made) = (None, false, false);
                        journal.shared.push(Shared { path, number, lock, lock_made, before, open_end });
                    }
                    session.lines.push(Line {
                        shared: number,
                        line,
                        keep_while,
                        there: false,
                        applied: None,
                    });
                    session_places.push(Place::Line);
                    continue;
                }
                Action::Rows { path, scope, shared } => {
                    let after = Some(format!("rows/{steps}.new"));
                    let scope = in_order(scope, &path, &session.label)?;
                    (Change::Rows(Rows { scope, shared, there: Vec::new(), before: None, after }), path, None)
                }
            };
            let new = modified.map(|time| Content {
                bytes: 0,
                sha256: String::new(),
                modified: time.timestamp_nanos_opt(),
                mode: None,
            });
            session_places.push(Place::Step(session.steps.len()));
            session.steps.push(Step {
                change,
                path,
                number: steps,
                old: None,
                new,
                backup: None,
                applied: None,
            });
            steps += 1;
        }
        journal.sessions.push(session);
        places.push(session_places);
    }
    journal.shared.iter_mut().for_each(|shared| shared.number += steps);
    Ok(places)
}

/// The scope as a row document has it: every table once, or rows would be in there twice.
fn in_order(scope: Vec<Scope>, path: &Path, label: &str) -> Result<Vec<Scope>> {
    let mut ordered: Vec<Scope> = Vec::new();
    for part in scope {
        match ordered.iter_mut().find(|known| known.table == part.table) {
            None => ordered.push(part),
            Some(known) if known.column == part.column => known.values.extend(part.values),
            Some(_) => {
                let message = format!(
                    "{label}: two columns of the table {:?} of {} cannot both name its rows",
                    part.table,
                    path.display()
                );
                return Err(Error::new(Kind::Unsupported, message));
            }
        }
    }
    for part in &mut ordered {
        part.values.sort();
        part.values.dedup();
    }
    Ok(ordered)
}

fn check_path(path: &Path, label: &str) -> Result<()> {
    let plain = path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    if path.is_absolute() && plain && path.file_name().is_some() && path.to_str().is_some() {
        return Ok(());
    }
    let message = format!("{label}: {} is no path that an import may change", path.display());
    Err(Error::new(Kind::Unsupported, message).hint("it has to be absolute, plain and valid UTF-8"))
}

fn check_line(line: &str, lock: Option<&Path>, path: &Path, label: &str) -> Result<()> {
    lock.map_or(Ok(()), |lock| check_path(lock, label))?;
    if line.is_empty() || line.contains('\n') || lock == Some(path) {
        let message = format!("{label}: this is no line to append to {}: {line:?}", path.display());
        return Err(Error::new(Kind::Unsupported, message));
    }
    Ok(())
}

/// The directories that the import has to make, the uppermost first.
fn missing_dirs(journal: &Journal) -> Vec<PathBuf> {
    let steps = journal.sessions.iter().flat_map(|session| &session.steps);
    let steps = steps.filter(|step| step.change.has_temp()).map(|step| step.path.as_path());
    let shared = journal.shared.iter().flat_map(|shared| [Some(&shared.path), shared.lock.as_ref()]);
    let parents: BTreeSet<&Path> =
        steps.chain(shared.flatten().map(PathBuf::as_path)).filter_map(Path::parent).collect();
    let missing: BTreeSet<PathBuf> =
        parents.into_iter().flat_map(|parent| disk::missing_parents(&parent.join("x"))).collect();
    missing.into_iter().collect()
}

/// Writes one temporary file, or leaves none.
fn write_temp(
    temp: &Path,
    step: &Step,
    writeback: &Writeback,
    render: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
) -> Result<Staged> {
    let target = &step.path;
    let file = Outgoing::new(disk::create(temp).at("write", target)?);
    let mut out = BufWriter::with_capacity(256 << 10, Hashing::new(Witness { inner: file, refused: None }));
    let rendered = render(&mut out).and_then(|()| out.flush().at("write", target));
    let (witness, bytes, sha256) = out.into_parts().0.finish();
    let Witness { inner: file, refused } = witness;
    let finished = match (refused, rendered) {
        // The renderer saw this error too, but could not know the file's name.
        (Some(error), _) => Err(error).at("write", target),
        (None, rendered) => rendered,
    };
    let modified = step.new.as_ref().and_then(|new| new.modified);
    let finished = finished.and_then(|()| {
        modified
            .map_or(Ok(()), |modified| disk::set_modified(file.file(), modified))
            .at("set the time of", target)
    });
    match finished {
        Ok(()) => {
            writeback.take(file);
            Ok(Staged { bytes, sha256 })
        }
        Err(error) => {
            let _ = disk::remove(temp);
            Err(error)
        }
    }
}

/// Remembers why the disk refused a write.
struct Witness<W> {
    inner: W,
    refused: Option<io::Error>,
}

impl<W: Write> Write for Witness<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer);
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.refused =
                Some(error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error));
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
