use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::*;
use crate::model::rows::{Cell, Row, Scope, SharedRow};

/// Tables as a program might have them: keys, foreign keys that cascade, defaults, an index or two.
const TABLES: &str = "
    PRAGMA journal_mode = wal;
    CREATE TABLE project (id text PRIMARY KEY, worktree text NOT NULL);
    CREATE TABLE session (
        id text PRIMARY KEY, project_id text NOT NULL, title text NOT NULL, cost real DEFAULT 0 NOT NULL,
        tokens integer DEFAULT 7 NOT NULL, note,
        FOREIGN KEY (project_id) REFERENCES project(id) ON DELETE CASCADE);
    CREATE TABLE message (
        id text PRIMARY KEY, session_id text NOT NULL, data text NOT NULL,
        FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE CASCADE);
    CREATE TABLE todo (
        session_id text NOT NULL, position integer NOT NULL, content text,
        PRIMARY KEY (session_id, position), FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE CASCADE);
    CREATE TABLE session_share (
        session_id text PRIMARY KEY, secret text NOT NULL,
        FOREIGN KEY (session_id) REFERENCES session(id) ON DELETE CASCADE);
    CREATE TABLE account (id text PRIMARY KEY, token text);
    CREATE INDEX message_session ON message (session_id);
    INSERT INTO account VALUES ('me', 'secret');
    INSERT INTO project VALUES ('old', '/old');
    INSERT INTO session (id, project_id, title, note) VALUES ('s0', 'old', 'there before', x'00ff');
    INSERT INTO message VALUES ('m0.1', 's0', 'hello'), ('m0.0', 's0', cast(x'ff41' AS text));
    INSERT INTO todo VALUES ('s0', 2, NULL), ('s0', 1, 'one');
    INSERT INTO session_share VALUES ('s0', 'shared');
";

/// A database with one session in it.
pub(super) fn database(machine: &Machine) -> PathBuf {
    let path = machine.path("data/store.db");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    open(&path).execute_batch(TABLES).unwrap();
    path
}

pub(super) fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection
}

/// Every row of every table with the types of its values, and what SQLite thinks of the file.
pub(super) fn dump(path: &Path) -> Vec<String> {
    let connection = open(path);
    let check: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    let violations = connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
    assert_eq!((check.as_str(), violations), ("ok", false));
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut rows = Vec::new();
    for table in tables.map(Result::unwrap) {
        let mut query = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = query.column_count();
        let found = query.query_map([], |row| {
            let values = (0..columns).map(|n| row.get_ref(n).map(show));
            Ok(format!("{table}: {}", values.collect::<rusqlite::Result<Vec<_>>>()?.join(", ")))
        });
        rows.extend(found.unwrap().map(Result::unwrap));
    }
    rows.sort();
    rows
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("broken text {text:?}"),
        },
        other => format!("{other:?}"),
    }
}

fn scope(session: &str) -> Vec<Scope> {
    let part = |table: &str, column: &str| Scope {
        table: table.to_owned(),
        column: column.to_owned(),
        values: vec![session.to_owned()],
    };
    vec![part("todo", "session_id"), part("message", "session_id"), part("session", "id")]
}

fn project(id: &'static str) -> SharedRow {
    SharedRow {
        row: Row::new("project").with("id", id).with("worktree", "/new"),
        key: "id".to_owned(),
        used_by: vec![("session".to_owned(), "project_id".to_owned())],
    }
}

pub(super) fn rows(path: PathBuf, session: &str, project_id: &'static str) -> Action {
    Action::Rows { path, scope: scope(session), shared: vec![project(project_id)] }
}

/// A session of some messages; the session's row comes last, and not every column is named.
pub(super) fn document(session: &str, project: &str, title: &str, messages: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for n in (0..messages).rev() {
        let message = Row::new("message").with("id", format!("m.{session}.{n:03}"));
        message
            .with("session_id", session.to_owned())
            .with("data", format!("{n}\n\u{1f680}\0"))
            .write(&mut out)
            .unwrap();
    }
    let todo = Row::new("todo").with("session_id", session.to_owned()).with("position", 3);
    todo.with("content", None::<i64>).write(&mut out).unwrap();
    let row = Row::new("session").with("id", session.to_owned()).with("project_id", project.to_owned());
    row.with("title", title.to_owned()).with("note", Cell::Real(0.1)).write(&mut out).unwrap();
    out
}

pub(super) fn stage_rows(
    transaction: &Transaction,
    session: usize,
    action: usize,
    text: &[u8],
) -> Result<Staged> {
    transaction.stage(session, action, &mut |out| {
        text.chunks(7).try_for_each(|piece| out.write_all(piece)).at("render", Path::new("rows"))
    })
}

/// Imports one session, `title`, with three messages.
fn import(machine: &Machine, id: &str, path: &Path, session: &str, title: &str) -> Committed {
    let transaction = machine
        .begin(id, vec![plan(&format!("x:{session}"), [rows(path.to_owned(), session, "new")])])
        .unwrap();
    stage_rows(&transaction, 0, 0, &document(session, "new", title, 3)).unwrap();
    transaction.commit(&Silent).unwrap()
}

#[test]
fn a_session_gets_its_rows_and_loses_them_again() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    let committed = import(&machine, "A", &path, "s1", "one");
    assert_eq!(applied(&committed), [true]);
    assert_eq!(committed.backup_dir, None);
    let mut expected = before.clone();
    expected.extend([
        "project: \"new\", \"/new\"".to_owned(),
        "session: \"s1\", \"new\", \"one\", Real(0.0), Integer(7), Real(0.1)".to_owned(),
        "todo: \"s1\", Integer(3), Null".to_owned(),
    ]);
    expected.extend((0..3).map(|n| format!("message: \"m.s1.00{n}\", \"s1\", \"{n}\\n\u{1f680}\\0\"")));
    expected.sort();
    let text = |rows: Vec<String>| rows.join("\n");
    assert_eq!(text(dump(&path)), text(expected));
    assert_eq!(machine.state_files(), ["imports/A/journal.json", "lock"]);
    let import = &machine.imports()[0];
    let action = &import.sessions[0].actions[0];
    assert_eq!((action.kind, &action.path), ("sqlite", &path));

    machine.undo("A").unwrap();
    assert_eq!(dump(&path), before);
    assert_eq!(machine.state_files(), ["imports/A/journal.json", "imports/A/undo.json", "lock"]);
}

#[test]
fn a_replaced_session_comes_back() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    let committed = import(&machine, "A", &path, "s0", "another");
    assert_eq!(applied(&committed), [true]);
    let after = dump(&path);
    assert!(
        after.iter().any(|row| row.contains("another")) && !after.iter().any(|row| row.contains("hello"))
    );
    assert!(after.iter().any(|row| row.contains("session_share")), "nothing cascades");
    let backup = committed.backup_dir.unwrap().join("0");
    assert_eq!(backup.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    machine.undo("A").unwrap();
    assert_eq!(dump(&path), before);
}
