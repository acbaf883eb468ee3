//! A small machine: a home with a store, and what an import of three sessions does to it.
//!
//! There are four kinds of import: sessions that are `new` or `changed`, as files, or as `rows-new`
//! or `rows-changed` of a database.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use holdall::error::{Error, IoContext, Result};
use holdall::model::rows::{Row, Scope, SharedRow};
use holdall::progress::Silent;
use holdall::txn::{self, Action, ImportState, Meta, Moved, Outcome, SessionPlan, Transaction};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::support::tree;

pub const SESSIONS: usize = 3;

/// Where the database is in the home.
const DATABASE: &str = "store/data.db";

/// Sessions 0 to 2 are there in an old version; those of the kind `rows-new` have other names.
const TABLES: &str = "
    PRAGMA journal_mode = wal;
    CREATE TABLE project (id text PRIMARY KEY, worktree text NOT NULL);
    CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL REFERENCES project(id) ON DELETE CASCADE,
        title text NOT NULL, cost real DEFAULT 0 NOT NULL);
    CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL REFERENCES session(id) ON DELETE CASCADE,
        data text NOT NULL);
    CREATE TABLE share (session_id text PRIMARY KEY REFERENCES session(id) ON DELETE CASCADE, secret text);
    CREATE INDEX message_session ON message (session_id);
    INSERT INTO project VALUES ('old', '/old');
";

/// Exit codes of the driver: an error, or this plus one bit for each session that is in place.
pub const ERROR: i32 = 9;
/// An error that advises to free some space.
pub const FULL: i32 = 8;
pub const DONE: i32 = 16;

/// What is in the home, but directories' times.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Dir(u32),
    File { text: String, mode: u32, modified: SystemTime },
}

#[derive(Debug)]
pub struct World {
    pub root: PathBuf,
}

impl World {
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub fn state(&self) -> PathBuf {
        self.root.join("state/holdall")
    }

    /// The home before the import: three sessions in an old version, and their index.
    pub fn make(root: &Path) -> Self {
        let world = Self { root: root.to_owned() };
        let _ = fs::remove_dir_all(root);
        for session in 0..SESSIONS {
            world.old(&format!("store/old{session}/replaced"), &format!("old {session}\n"));
            world.old(&format!("store/old{session}/removed"), &format!("gone {session}\n"));
        }
        world.old("work/old/file", "of the user\n");
        world.old("store/index", "{\"id\":\"old\"}\n{\"id\":\"open\"}");
        let database = Connection::open(world.home().join(DATABASE)).unwrap();
        database.execute_batch(TABLES).unwrap();
        for session in 0..SESSIONS {
            let sql = format!(
                "INSERT INTO session VALUES ('old{session}', 'old', 'old {session}', 0.5);
                 INSERT INTO message VALUES ('old{session}.0', 'old{session}', 'old'),
                    ('old{session}.9', 'old{session}', 'older');
                 INSERT INTO share VALUES ('old{session}', 'secret');"
            );
            database.execute_batch(&sql).unwrap();
        }
        world
    }

    /// The rows of a session after the import, as [`dump`] has them.
    fn new_rows(kind: &str, session: usize) -> Vec<String> {
        let id = row_id(kind, session);
        let mut rows: Vec<String> =
            (0..3).map(|n| format!("message|{id}.{n}|{id}|new {n} {}", "x".repeat(3000))).collect();
        rows.push(format!("session|{id}|new|new {session}|0.0"));
        if kind == "rows-changed" {
            rows.push(format!("share|{id}|secret"));
        }
        rows
    }

    fn rows_action(&self, kind: &str, session: usize) -> Action {
        let scope = |table: &str, column: &str| Scope {
            table: table.to_owned(),
            column: column.to_owned(),
            values: vec![row_id(kind, session)],
        };
        let project = SharedRow {
            row: Row::new("project").with("id", "new").with("worktree", "/new"),
            key: "id".to_owned(),
            used_by: vec![("session".to_owned(), "project_id".to_owned())],
        };
        Action::Rows {
            path: self.home().join(DATABASE),
            scope: vec![scope("message", "session_id"), scope("session", "id")],
            shared: vec![project],
        }
    }

    /// The folder that moves with its sessions.
    fn folder(&self) -> Moved {
        let path = |name: &str| self.home().join("work").join(name).to_str().unwrap().to_owned();
        Moved { old: path("old"), new: path("new"), folder: true }
    }

    fn old(&self, name: &str, text: &str) {
        let path = self.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_000_000);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    fn plans(&self, kind: &str, sessions: usize) -> Vec<SessionPlan> {
        let path = |name: String| self.home().join("store").join(name);
        let line = |session: usize| Action::AppendLine {
            path: path(if kind.ends_with("new") { "names/index".into() } else { "index".into() }),
            line: line(session),
            lock: Some(path("index.lock".into())),
            keep_while: None,
        };
        let plan = |session: usize| {
            let actions = if kind == "rows-new" {
                vec![self.rows_action(kind, session), line(session)]
            } else if kind == "rows-changed" {
                let replaced = path(format!("old{session}/replaced"));
                vec![
                    Action::Replace { path: replaced, modified: None },
                    self.rows_action(kind, session),
                    line(session),
                ]
            } else if kind == "new" {
                let create = |name: &str| Action::Create {
                    path: path(format!("new{session}/sub/{name}")),
                    modified: None,
                };
                vec![create("one"), create("two"), line(session)]
            } else if kind == "moved" {
                let created = path(format!("moved{session}/replaced"));
                let removed = ["replaced", "removed"];
                let removed =
                    removed.map(|name| Action::Remove { path: path(format!("old{session}/{name}")) });
                let [first, second] = removed;
                vec![Action::Create { path: created, modified: None }, first, second, line(session)]
            } else {
                let replaced = path(format!("old{session}/replaced"));
                vec![
                    Action::Replace { path: replaced, modified: None },
                    Action::Remove { path: path(format!("old{session}/removed")) },
                    Action::Create { path: path(format!("old{session}/added")), modified: None },
                    line(session),
                ]
            };
            SessionPlan { label: format!("x:{session}"), actions, about: serde_json::Value::Null }
        };
        (0..sessions).map(plan).collect()
    }

    /// Imports, and returns the driver's exit code. `kind`: `new` or `changed`.
    pub fn import(&self, kind: &str, sessions: usize) -> i32 {
        let plans = self.plans(kind, sessions);
        let import = || -> Result<i32> {
            let created = holdall::model::time::from_millis(1_800_000_000_000).unwrap();
            let meta = Meta {
                archive: None,
                created,
                tool: "holdall 0.1.0".into(),
                backup: true,
                moved: (kind == "moved").then(|| self.folder()),
                tidied: match kind {
                    "moved" => (0..SESSIONS).map(|n| self.home().join(format!("store/old{n}"))).collect(),
                    _ => Vec::new(),
                },
            };
            let transaction = Transaction::begin(&self.state(), "A", meta, plans.clone())?;
            for (session, plan) in plans.iter().enumerate() {
                for (number, action) in plan.actions.iter().enumerate() {
                    let path = action.path();
                    if matches!(action, Action::Rows { .. }) {
                        let id = row_id(kind, session);
                        transaction.stage(session, number, &mut |out| {
                            write_rows(&id, session, out).at("render", path)
                        })?;
                    }
                    if !matches!(action, Action::Create { .. } | Action::Replace { .. }) {
                        continue;
                    }
                    transaction.stage(session, number, &mut |out| {
                        writeln!(out, "new {session}.{number}").at("render", path)
                    })?;
                }
            }
            let committed = transaction.commit(&Silent)?;
            let place = |outcome: &Outcome| i32::from(matches!(outcome, Outcome::Applied));
            let bits = committed.sessions.iter().take(SESSIONS).enumerate();
            Ok(DONE + bits.map(|(bit, outcome)| place(outcome) << bit).sum::<i32>())
        };
        import().unwrap_or_else(|error| code(&error))
    }

    pub fn undo(&self) -> i32 {
        let report = match txn::undo(&self.state(), None, false) {
            Ok(report) => report,
            Err(error) => return code(&error),
        };
        let place = |failed: bool| i32::from(failed);
        let bits = report.sessions.iter().enumerate();
        DONE + bits.map(|(bit, session)| place(session.failure.is_some()) << bit).sum::<i32>()
    }

    pub fn recover(&self) -> i32 {
        txn::recover(&self.state()).map_or_else(|error| code(&error), |_| DONE)
    }

    pub const ARCHIVE_BYTES: usize = 700_000;

    pub fn archive(&self) -> PathBuf {
        self.home().join("archive")
    }

    pub fn export(&self, force: bool) -> i32 {
        let path = self.archive();
        let exported = txn::export_file(&path, force, &mut |out| {
            (0..7).try_for_each(|_| out.write_all(&[b'x'; Self::ARCHIVE_BYTES / 7]).at("write", &path))
        });
        exported.map_or_else(|error| code(&error), |()| DONE)
    }

    /// Makes the directory `root` an exact copy of this world.
    pub fn copy_to(&self, root: &Path) {
        tree::copy(&self.root, root);
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut entries = Snapshot::new();
        walk(&self.home(), &self.home(), &mut entries);
        entries
    }

    /// Which sessions are in place, as bits; panics when one is half there.
    /// `refused`: empty directories may have been left.
    pub fn sessions_in_place(&self, kind: &str, before: &Snapshot, refused: bool) -> i32 {
        let mut now = self.snapshot();
        if refused {
            forget_empty(&mut now, before);
        }
        let index = if kind.ends_with("new") { "store/names/index" } else { "store/index" };
        let text = match now.get(Path::new(index)) {
            Some(Entry::File { text, .. }) => text.clone(),
            _ => String::new(),
        };
        let mut bits = 0;
        let mut expected = Snapshot::new();
        let mut lines = match before.get(Path::new(index)) {
            Some(Entry::File { text, .. }) => text.clone(),
            _ => String::new(),
        };
        for session in 0..SESSIONS {
            let new: &[(&str, Option<&str>)] = match kind {
                "new" => &[("new#/sub/one", Some("0")), ("new#/sub/two", Some("1"))],
                "rows-new" => &[],
                "moved" => &[("moved#/replaced", Some("0")), ("old#/replaced", None), ("old#/removed", None)],
                "rows-changed" => &[("old#/replaced", Some("0"))],
                _ => &[("old#/replaced", Some("0")), ("old#/removed", None), ("old#/added", Some("2"))],
            };
            let mut votes = Vec::new();
            if kind.starts_with("rows") {
                let rows = rows_of(&now, &row_id(kind, session));
                let is_new = rows == Self::new_rows(kind, session);
                assert!(is_new || rows == rows_of(before, &row_id(kind, session)), "{rows:?}");
                votes.push(is_new);
            }
            for (name, number) in new {
                let path = Path::new("store").join(name.replace('#', &session.to_string()));
                let (entry, old) = (now.get(&path), before.get(&path));
                let is_new = match (entry, number) {
                    (Some(Entry::File { text, mode, .. }), Some(number)) => {
                        let mode_kept = if old.is_some() { 0o640 } else { 0o600 };
                        *text == format!("new {session}.{number}\n") && *mode == mode_kept
                    }
                    (None, None) => true,
                    _ => false,
                };
                assert!(is_new || entry == old, "{} is neither old nor new: {entry:?}", path.display());
                votes.push(is_new);
                expected.extend(entry.map(|entry| (path, entry.clone())));
            }
            votes.push(text.lines().any(|there| there == line(session)));
            assert!(
                votes.iter().all(|vote| *vote == votes[0]),
                "session {session} is half there: {votes:?} {text:?}"
            );
            if votes[0] {
                bits |= 1 << session;
                if !lines.is_empty() && !lines.ends_with('\n') {
                    lines.push('\n');
                }
                lines += &(line(session) + "\n");
            }
        }
        assert_eq!(text, lines, "the index");
        self.check_rest(&now, before, bits, index);
        bits
    }

    /// Nothing but the sessions' files is there that was not there before.
    fn check_rest(&self, now: &Snapshot, before: &Snapshot, bits: i32, index: &str) {
        for (path, entry) in now {
            let name = path.to_str().unwrap();
            assert!(!name.contains(".holdall-"), "{name} was left behind");
            let ours = ["store/new", "store/old", "store/moved", "store/names", "work/new"]
                .iter()
                .any(|ours| name.starts_with(ours));
            let lock = name == "store/index.lock" && bits != 0;
            let known = [index, DATABASE].contains(&name) || before.get(path) == Some(entry) || lock;
            assert!(known || ours, "{name} was not there before: {entry:?}");
            let dir_of_nothing = matches!(entry, Entry::Dir(_)) && !before.contains_key(path) && bits == 0;
            assert!(!dir_of_nothing, "{name} was left behind");
        }
        let has_project = |snapshot: &Snapshot| table(snapshot).iter().any(|row| row == "project|new|/new");
        let rows_added = table(now).iter().any(|row| row.contains("|new "));
        assert_eq!(has_project(now), rows_added, "the project is there with the sessions");
        let rest = |snapshot: &Snapshot| {
            let mut rows = table(snapshot);
            rows.retain(|row| {
                !row.starts_with("session") && !row.starts_with("message") && !row.contains("new")
            });
            rows
        };
        assert_eq!(rest(now), rest(before));
        for (path, entry) in before.iter().filter(|(path, _)| !path.starts_with("store")) {
            let moved = path.strip_prefix("work/old").map(|rest| Path::new("work/new").join(rest));
            let moved = moved.ok().and_then(|moved| now.get(&moved));
            assert_eq!(now.get(path).xor(moved), Some(entry), "{}", path.display());
        }
        let is_moved = now.contains_key(Path::new("work/new"));
        assert!(!is_moved || bits != 0, "the folder went without a session");
        let all = bits == (1 << SESSIONS) - 1;
        let leaves = before.keys().any(|path| path.starts_with("store/old0"))
            && !now.contains_key(Path::new("store/old0"));
        assert!(!(all && leaves) || is_moved, "all sessions went without their folder");
        if bits == 0 {
            assert_eq!(now, before);
        }
    }

    /// Nothing is left to recover, and the history has every session that is there, no other after
    /// an import: an undo that failed for some of them can be tried again.
    pub fn check_journal(&self, scenario: &str, bits: i32) {
        assert!(txn::recover(&self.state()).unwrap().is_empty(), "recovered already");
        let imports = txn::imports(&self.state()).unwrap();
        assert!(imports.len() <= 1);
        let done = imports.iter().filter(|import| import.state == ImportState::Done);
        let labels = done.flat_map(|import| &import.sessions).map(|session| session.label.as_str());
        let listed =
            labels.map(|label| 1 << label.strip_prefix("x:").unwrap().parse::<u32>().unwrap()).sum::<i32>();
        let all = if scenario.starts_with("undo") && bits != 0 { 0b111 } else { bits };
        assert_eq!(listed, all, "the sessions in the journal, where {bits} are there");
    }
}

/// Takes out the directories that were not there before and have nothing in them.
pub fn forget_empty(now: &mut Snapshot, before: &Snapshot) {
    loop {
        let is_empty = |dir: &PathBuf| !now.keys().any(|path| path != dir && path.starts_with(dir));
        let dirs = now.iter().filter(|(path, entry)| matches!(entry, Entry::Dir(_)) && is_empty(path));
        let left: Vec<PathBuf> =
            dirs.map(|(path, _)| path.clone()).filter(|path| !before.contains_key(path)).collect();
        if left.is_empty() {
            return;
        }
        now.retain(|path, _| !left.contains(path));
    }
}

fn code(error: &Error) -> i32 {
    if error.hints().iter().any(|hint| hint.starts_with("free some space")) { FULL } else { ERROR }
}

fn line(session: usize) -> String {
    format!("{{\"id\":\"{session}\",\"name\":\"session {session}\"}}")
}

fn row_id(kind: &str, session: usize) -> String {
    format!("{}{session}", if kind == "rows-new" { "new" } else { "old" })
}

/// A session as it is rendered: its own row last.
fn write_rows(id: &str, session: usize, out: &mut dyn Write) -> io::Result<()> {
    for n in [2, 0, 1] {
        let row = Row::new("message").with("id", format!("{id}.{n}")).with("session_id", id.to_owned());
        row.with("data", format!("new {n} {}", "x".repeat(3000))).write(out)?;
    }
    let row = Row::new("session").with("id", id.to_owned()).with("project_id", "new");
    row.with("title", format!("new {session}")).write(out)
}

/// All rows of the database.
fn table(snapshot: &Snapshot) -> Vec<String> {
    match snapshot.get(Path::new(DATABASE)) {
        Some(Entry::File { text, .. }) => text.lines().map(str::to_owned).collect(),
        other => panic!("{other:?} is no database"),
    }
}

fn rows_of(snapshot: &Snapshot, session: &str) -> Vec<String> {
    let mut rows = table(snapshot);
    rows.retain(|row| row.split('|').skip(1).take(2).any(|value| value == session));
    rows
}

/// The rows of the database, one a line, after SQLite has found it sound.
fn dump(path: &Path) -> String {
    let database = Connection::open(path).unwrap();
    let check: String = database.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    let violated = database.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
    assert_eq!((check.as_str(), violated), ("ok", false), "{}", path.display());
    let mut lines = Vec::new();
    for table in ["message", "project", "session", "share"] {
        let mut query = database.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|place| match row.get_ref(place).unwrap() {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Real(value) => format!("{value:?}"),
                other => format!("{other:?}"),
            });
            lines.push(format!("{table}|{}", values.collect::<Vec<_>>().join("|")));
        }
    }
    lines.join("\n")
}

fn walk(root: &Path, dir: &Path, entries: &mut Snapshot) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let meta = path.symlink_metadata().unwrap();
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_dir() {
            entries.insert(name, Entry::Dir(mode));
            walk(root, &path, entries);
        } else if name == Path::new(DATABASE) {
            entries.insert(name, Entry::File { text: dump(&path), mode, modified: SystemTime::UNIX_EPOCH });
        } else if !name.to_string_lossy().starts_with("store/data.db-") {
            let text = fs::read_to_string(&path).unwrap();
            entries.insert(name, Entry::File { text, mode, modified: meta.modified().unwrap() });
        }
    }
}
