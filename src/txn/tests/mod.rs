//! What the transaction promises, rule by rule, on a home of its own.

#![allow(clippy::disallowed_methods)] // Tests play the user and the harness.

mod folder;
mod import;
mod meanwhile;
mod model;
mod recovery;
mod rows;
mod rows_recovery;
mod shared_lines;
mod undo;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::error::{IoContext, Result};
use crate::model::Time;
use crate::progress::Silent;

/// A file or directory as a test sees it: content, mode and modification time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Dir,
    File { text: String, mode: u32, modified: SystemTime },
    Link(PathBuf),
}

type Snapshot = BTreeMap<PathBuf, Entry>;

struct Machine {
    home: tempfile::TempDir,
    state: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        // On a disk in memory, where there is one: fsync costs nothing there.
        let memory = Path::new("/dev/shm");
        let dir = || if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { home: dir().unwrap(), state: dir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file that was there long before the import.
    fn old(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)).unwrap();
        path
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        let mut entries = Snapshot::new();
        walk(self.home.path(), self.home.path(), &mut entries);
        entries
    }

    fn begin(&self, id: &str, plans: Vec<SessionPlan>) -> Result<Transaction> {
        self.begin_with(id, plans, true)
    }

    fn begin_with(&self, id: &str, plans: Vec<SessionPlan>, backup: bool) -> Result<Transaction> {
        let created = Time::UNIX_EPOCH + Duration::from_secs(id.bytes().next().map_or(0, u64::from));
        let meta = Meta { archive: Some("a.tar.gz".into()), backup, ..meta(created) };
        Transaction::begin(self.state.path(), id, meta, plans)
    }

    /// Imports plans whose content is `<label> <action number>`.
    fn import(&self, id: &str, plans: Vec<SessionPlan>) -> Committed {
        let transaction = self.begin(id, plans.clone()).unwrap();
        stage_all(&transaction, &plans);
        transaction.commit(&Silent).unwrap()
    }

    fn undo(&self, id: &str) -> Result<UndoReport> {
        super::undo(self.state.path(), Some(id), false)
    }

    fn recover(&self) -> Vec<Recovered> {
        recover(self.state.path()).unwrap()
    }

    fn imports(&self) -> Vec<Import> {
        imports(self.state.path()).unwrap()
    }

    /// Every file name in the state directory.
    fn state_files(&self) -> Vec<String> {
        let mut entries = Snapshot::new();
        walk(self.state.path(), self.state.path(), &mut entries);
        let files = entries.into_iter().filter(|(_, entry)| *entry != Entry::Dir);
        files.map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
    }
}

fn meta(created: Time) -> Meta {
    Meta {
        archive: None,
        created,
        tool: "holdall 0.1.0".into(),
        backup: true,
        moved: None,
        tidied: Vec::new(),
    }
}

fn walk(root: &Path, dir: &Path, entries: &mut Snapshot) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            entries.insert(name, Entry::Dir);
            walk(root, &path, entries);
        } else if meta.is_symlink() {
            entries.insert(name, Entry::Link(fs::read_link(&path).unwrap()));
        } else {
            let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
            let (mode, modified) = (meta.permissions().mode() & 0o7777, meta.modified().unwrap());
            entries.insert(name, Entry::File { text, mode, modified });
        }
    }
}

fn stage_all(transaction: &Transaction, plans: &[SessionPlan]) {
    for (session, plan) in plans.iter().enumerate() {
        for (action, change) in plan.actions.iter().enumerate() {
            match change {
                Action::Create { .. } | Action::Replace { .. } => {
                    stage_one(transaction, session, action, &format!("{} {action}", plan.label)).unwrap();
                }
                Action::Rows { scope, .. } => {
                    let document = rows::document(&scope[0].values[0], "new", &plan.label, 2);
                    rows::stage_rows(transaction, session, action, &document).unwrap();
                }
                _ => {}
            }
        }
    }
}

fn stage_one(transaction: &Transaction, session: usize, action: usize, text: &str) -> Result<Staged> {
    transaction
        .stage(session, action, &mut |out| out.write_all(text.as_bytes()).at("render", Path::new(text)))
}

fn plan(label: &str, actions: impl IntoIterator<Item = Action>) -> SessionPlan {
    let about = serde_json::json!({ "from": label });
    SessionPlan { label: label.to_owned(), actions: actions.into_iter().collect(), about }
}

fn create(path: PathBuf) -> Action {
    Action::Create { path, modified: None }
}

fn replace(path: PathBuf) -> Action {
    Action::Replace { path, modified: None }
}

fn remove(path: PathBuf) -> Action {
    Action::Remove { path }
}

fn line(path: PathBuf, text: &str) -> Action {
    let lock = Some(path.with_extension("lock"));
    Action::AppendLine { path, line: text.to_owned(), lock, keep_while: None }
}

fn applied(committed: &Committed) -> Vec<bool> {
    committed.sessions.iter().map(|outcome| matches!(outcome, Outcome::Applied)).collect()
}

fn failure(committed: &Committed, session: usize) -> &crate::error::Error {
    match &committed.sessions[session] {
        Outcome::Failed(error) => error,
        other => panic!("session {session} is {other:?}"),
    }
}
