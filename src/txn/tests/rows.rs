use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::import::AtBegin;
use super::*;
use crate::error::Kind;
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
pub(super) fn import(machine: &Machine, id: &str, path: &Path, session: &str, title: &str) -> Committed {
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

/// Executes statements as the program would.
pub(super) fn execute(path: &Path, sql: &str) {
    open(path).execute_batch(sql).unwrap();
}

/// A plan for some sessions, their labels `x:<id>`.
pub(super) fn plans(path: &Path, sessions: &[&str]) -> Vec<SessionPlan> {
    sessions.iter().map(|id| plan(&format!("x:{id}"), [rows(path.to_owned(), id, "new")])).collect()
}

pub(super) fn stage_sessions(transaction: &Transaction, sessions: &[&str], title: &str) {
    for (number, id) in sessions.iter().enumerate() {
        stage_rows(transaction, number, 0, &document(id, "new", title, 3)).unwrap();
    }
}

#[test]
fn a_locked_database_is_waited_for_and_then_refused() {
    // In WAL mode the rows can still be read while somebody writes.
    for lock in ["BEGIN IMMEDIATE", "PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE"] {
        let machine = Machine::new();
        let path = database(&machine);
        let before = dump(&path);
        let sessions = ["s1", "s2", "s3"];
        let program = open(&path);
        program.execute_batch(lock).unwrap();
        program.execute_batch("UPDATE account SET token = 'new'").unwrap();
        let start = std::time::Instant::now();
        let transaction = machine.begin("A", plans(&path, &sessions)).unwrap();
        let staged: Vec<_> = sessions
            .iter()
            .enumerate()
            .map(|(n, id)| stage_rows(&transaction, n, 0, &document(id, "new", "t", 3)))
            .collect();
        let errors = if staged.iter().all(Result::is_ok) {
            let committed = transaction.commit(&Silent).unwrap();
            (0..3).map(|session| carry::repeat(failure(&committed, session))).collect()
        } else {
            drop(transaction);
            staged.into_iter().map(Result::unwrap_err).collect::<Vec<_>>()
        };
        for error in errors {
            assert_eq!(error.kind(), Kind::Busy);
            assert!(
                error.to_string().contains("store.db") && error.hints()[0].contains("try again"),
                "{error}"
            );
        }
        assert!(start.elapsed() < Duration::from_millis(8_500), "{:?}: each one waited", start.elapsed());
        program.execute_batch("ROLLBACK").unwrap();
        drop(program);
        assert_eq!(dump(&path), before);
        assert_eq!(machine.state_files(), ["lock"]);
    }
}

#[test]
fn a_database_that_is_let_go_in_time_gets_its_rows() {
    let machine = Machine::new();
    let path = database(&machine);
    let transaction = machine.begin("A", plans(&path, &["s1"])).unwrap();
    stage_sessions(&transaction, &["s1"], "t");
    let program = open(&path);
    program.execute_batch("BEGIN IMMEDIATE; UPDATE account SET token = 'new'").unwrap();
    let working = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        program.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(applied(&transaction.commit(&Silent).unwrap()), [true]);
    working.join().unwrap();
    assert!(dump(&path).contains(&"account: \"me\", \"new\"".to_owned()));
}

#[test]
fn the_programs_can_read_and_write_meanwhile() {
    for mode in ["wal", "delete"] {
        let machine = Machine::new();
        let path = database(&machine);
        execute(&path, &format!("PRAGMA journal_mode = {mode}"));
        let reader = open(&path);
        let titles =
            || reader.query_row("SELECT count(*) FROM session", [], |row| row.get::<_, u32>(0)).unwrap();
        let transaction = machine.begin("A", plans(&path, &["s1", "s2"])).unwrap();
        stage_sessions(&transaction, &["s1", "s2"], "t");
        assert_eq!(titles(), 1);
        let write = || execute(&path, "INSERT INTO account VALUES ('you', '')");
        assert_eq!(applied(&transaction.commit(&AtBegin("putting", &write)).unwrap()), [true, true]);
        assert_eq!(titles(), 3);
        machine.undo("A").unwrap();
        assert_eq!(titles(), 1);
        let now: String = reader.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(now, mode);
    }
}

#[test]
fn a_session_that_changes_meanwhile_is_left_alone() {
    let change = "UPDATE session SET title = 'continued' WHERE id = 's0'";
    for sessions in [["s0", "s1"], ["s1", "s0"]] {
        let machine = Machine::new();
        let path = database(&machine);
        let transaction = machine.begin("A", plans(&path, &sessions)).unwrap();
        stage_sessions(&transaction, &sessions, "t");
        let committed = transaction.commit(&AtBegin("putting", &|| execute(&path, change))).unwrap();
        let place = sessions.iter().position(|id| *id == "s0").unwrap();
        assert_eq!(failure(&committed, place).kind(), Kind::Conflict);
        assert_eq!(applied(&committed).iter().filter(|done| **done).count(), 1);
        let now = dump(&path);
        assert!(
            now.iter().any(|row| row.contains("continued")) && now.iter().any(|row| row.contains("hello"))
        );
        machine.undo("A").unwrap();
        execute(&path, "UPDATE session SET title = 'there before' WHERE id = 's0'");
        let fresh = Machine::new();
        assert_eq!(dump(&path), dump(&database(&fresh)));
    }
}

#[test]
fn what_is_no_database_of_the_program_is_refused() {
    type Damage = fn(&Path);
    let cases: [(&str, Kind, Damage); 8] = [
        ("no database", Kind::Conflict, |path| fs::remove_file(path).unwrap()),
        ("no database", Kind::Conflict, |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("damaged", Kind::Conflict, |path| fs::write(path, "no database at all".repeat(99)).unwrap()),
        ("damaged", Kind::Conflict, |path| {
            // Every page but the first.
            let mut bytes = fs::read(path).unwrap();
            bytes[4096..].fill(0xaa);
            fs::write(path, bytes).unwrap();
        }),
        ("has no table", Kind::Unsupported, |path| fs::write(path, "").unwrap()),
        ("has no table \"todo\"", Kind::Unsupported, |path| {
            execute(path, "ALTER TABLE todo RENAME TO todo2")
        }),
        ("has no column \"title\"", Kind::Unsupported, |path| {
            execute(path, "ALTER TABLE session RENAME COLUMN title TO name");
        }),
        ("NOT NULL", Kind::Conflict, |path| {
            execute(path, "ALTER TABLE message ADD COLUMN seq integer NOT NULL DEFAULT (NULL)");
        }),
    ];
    for (word, kind, damage) in cases {
        let machine = Machine::new();
        let path = database(&machine);
        if word == "NOT NULL" {
            execute(&path, "DELETE FROM message");
        }
        damage(&path);
        let before = fs::read(&path).ok();
        let (error, session) = {
            let transaction = machine.begin("A", plans(&path, &["s0"])).unwrap();
            match stage_rows(&transaction, 0, 0, &document("s0", "new", "t", 3)) {
                Err(error) => (error, true),
                Ok(_) => (carry::repeat(failure(&transaction.commit(&Silent).unwrap(), 0)), false),
            }
        };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(word) && error.to_string().contains("store.db"), "{error}");
        assert!(!error.hints().is_empty(), "{error} {session}");
        assert_eq!(fs::read(&path).ok(), before, "{word}");
        assert_eq!(machine.state_files(), ["lock"], "{word}");
        assert!(!machine.path("data/store.db-journal").exists());
    }
}

#[test]
fn rows_that_are_not_the_sessions_are_refused() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    let row = |table: &'static str| Row::new(table);
    let line = |row: Row<'_>| {
        let mut out = Vec::new();
        row.write(&mut out).unwrap();
        out
    };
    let good = document("s1", "new", "t", 1);
    let with = |more: Vec<u8>| [good.clone(), more].concat();
    let cases = [
        (
            with(line(row("message").with("id", "m").with("session_id", "s0").with("data", ""))),
            "not the session's",
        ),
        (with(line(row("project").with("id", "p").with("worktree", ""))), "not the session's"),
        (with(line(row("account").with("id", "thief"))), "has no table"),
        (
            with(line(row("session").with("id", "s1\0").with("project_id", "new").with("title", ""))),
            "not the session's",
        ),
        (with(line(row("message").with("id", "m").with("text", ""))), "has no column \"text\""),
        (with(line(row("message").with("id", "m").with("session_id", "s1"))), "NOT NULL"),
        (with(good.clone()), "UNIQUE"),
        (with(b"{\"table\":1}\n".to_vec()), "no row"),
        (good[..good.len() - 1].to_vec(), "has no end"),
        (Vec::new(), "there are no rows"),
    ];
    for (number, (text, word)) in cases.into_iter().enumerate() {
        let transaction = machine.begin(&format!("A{number}"), plans(&path, &["s1"])).unwrap();
        let error = stage_rows(&transaction, 0, 0, &text).unwrap_err();
        assert!(error.to_string().contains(word), "{word}: {error}");
        // It can be tried again.
        stage_sessions(&transaction, &["s1"], "t");
        transaction.abandon().unwrap();
    }
    assert_eq!(machine.state_files(), ["lock"]);
    assert_eq!(dump(&path), before);
}

#[test]
fn rows_whose_names_or_parents_are_others_are_refused() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    let message = Row::new("message").with("id", "m0.1").with("session_id", "s1").with("data", "");
    let session = |project: &'static str| {
        Row::new("session").with("id", "s1").with("project_id", project).with("title", "t")
    };
    for (rows, word) in [
        (vec![session("new"), message.clone()], "UNIQUE"),
        (vec![session("nowhere")], "refers to a row of \"project\""),
        (vec![message.with("id", "m1")], "refers to a row of \"session\""),
    ] {
        let mut text = Vec::new();
        rows.iter().for_each(|row| row.write(&mut text).unwrap());
        let transaction = machine.begin("A", plans(&path, &["s1"])).unwrap();
        stage_rows(&transaction, 0, 0, &text).unwrap();
        let committed = transaction.commit(&Silent).unwrap();
        let error = failure(&committed, 0);
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(error.to_string().contains(word) && error.to_string().contains("store.db"), "{error}");
        assert_eq!(dump(&path), before);
        assert_eq!(machine.state_files(), ["lock"]);
    }
}

#[test]
fn what_the_program_added_to_a_session_stops_the_undo() {
    let add = "INSERT INTO message VALUES ('later', 's1', 'and then')";
    let share = "INSERT INTO session_share VALUES ('s1', 'x')";
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    import(&machine, "A", &path, "s1", "one");
    execute(&path, add);
    let continued = dump(&path);
    let error = machine.undo("A").unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("continued since the import: x:s1"), "{error}");
    assert_eq!(dump(&path), continued);
    let report = super::super::undo(machine.state.path(), Some("A"), true).unwrap();
    assert_eq!((report.saved.len(), &report.saved[0].path), (1, &path));
    let saved = fs::read_to_string(&report.saved[0].copy).unwrap();
    assert_eq!(saved.lines().count(), 6, "{saved}");
    assert!(
        saved.contains(r#"{"table":"message","row":{"data":"and then","id":"later","session_id":"s1"}}"#)
    );
    assert_eq!(dump(&path), before);

    // Rows that were never ours need the session.
    import(&machine, "B", &path, "s1", "one");
    execute(&path, share);
    let shared = dump(&path);
    for force in [false, true] {
        let report = super::super::undo(machine.state.path(), Some("B"), force).unwrap();
        let error = report.sessions[0].failure.as_ref().unwrap();
        assert!(error.to_string().contains("\"session_share\" still belong"), "{error}");
        assert_eq!(dump(&path), shared);
    }
    execute(&path, "DELETE FROM session_share WHERE session_id = 's1'");
    machine.undo("B").unwrap();
    assert_eq!(dump(&path), before);
}

#[test]
fn what_the_user_removed_is_no_obstacle() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    import(&machine, "A", &path, "s1", "one");
    execute(&path, "PRAGMA foreign_keys = on; DELETE FROM session WHERE id = 's1'");
    machine.undo("A").unwrap();
    assert_eq!(dump(&path), before, "the project goes too");
    import(&machine, "B", &path, "s1", "one");
    import(&machine, "C", &path, "s0", "one");
    fs::remove_file(&path).unwrap();
    assert_eq!(machine.undo("C").unwrap_err().kind(), Kind::Conflict);
    let report = super::super::undo(machine.state.path(), Some("C"), true).unwrap();
    assert!(report.sessions[0].failure.as_ref().unwrap().to_string().contains("no database"));
    machine.undo("B").unwrap();
    assert!(!path.exists());
}

#[test]
fn shared_rows_go_with_the_last_that_needs_them() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    let projects = || dump(&path).iter().filter(|row| row.starts_with("project:")).count();
    import(&machine, "A", &path, "s1", "one");
    import(&machine, "B", &path, "s2", "two");
    assert_eq!(projects(), 2);
    machine.undo("A").unwrap();
    assert_eq!(projects(), 2, "the other session is in it");
    machine.undo("B").unwrap();
    assert_eq!(projects(), 1, "it had been there for the sake of the first import, which is gone");

    let both = ["s1", "s2"];
    let transaction = machine.begin("C", plans(&path, &both)).unwrap();
    stage_sessions(&transaction, &both, "t");
    transaction.commit(&Silent).unwrap();
    assert_eq!(projects(), 2);
    machine.undo("C").unwrap();
    assert_eq!(dump(&path), before);
}

#[test]
fn a_newer_version_of_the_program_does_not_stop_an_undo() {
    let machine = Machine::new();
    let path = database(&machine);
    import(&machine, "A", &path, "s0", "one");
    let upgrade = "ALTER TABLE session ADD COLUMN size integer NOT NULL DEFAULT 5; CREATE TABLE more (id)";
    execute(&path, upgrade);
    machine.undo("A").unwrap();
    let fresh = Machine::new();
    let expected = database(&fresh);
    execute(&expected, upgrade);
    assert_eq!(dump(&path), dump(&expected));

    import(&machine, "B", &path, "s0", "one");
    execute(&path, "ALTER TABLE session DROP COLUMN note");
    let error = machine.undo("B").unwrap_err();
    assert!(error.to_string().contains("has no column \"note\""), "{error}");
}

#[test]
fn rows_go_back_when_the_session_fails_elsewhere() {
    for (session, backup) in [("s0", true), ("s0", false), ("s1", true)] {
        let machine = Machine::new();
        let path = database(&machine);
        let before = dump(&path);
        let index = machine.path("index");
        let plans = vec![plan("x:1", [rows(path.clone(), session, "new"), line(index.clone(), "l")])];
        let transaction = machine.begin_with("A", plans, backup).unwrap();
        stage_rows(&transaction, 0, 0, &document(session, "new", "t", 3)).unwrap();
        let committed = transaction.commit(&AtBegin("putting", &|| fs::create_dir(&index).unwrap())).unwrap();
        assert_eq!(failure(&committed, 0).kind(), Kind::Conflict);
        assert_eq!(dump(&path), before);
        assert_eq!(machine.state_files(), ["lock"]);
    }
}

#[test]
fn without_a_backup_only_new_rows_can_be_undone() {
    let machine = Machine::new();
    let path = database(&machine);
    let sessions = ["s0", "s1"];
    let transaction = machine.begin_with("A", plans(&path, &sessions), false).unwrap();
    stage_sessions(&transaction, &sessions, "t");
    assert_eq!(transaction.commit(&Silent).unwrap().backup_dir, None);
    assert_eq!(machine.state_files(), ["imports/A/journal.json", "lock"]);
    let after = dump(&path);
    let error = machine.undo("A").unwrap_err();
    assert!(error.to_string().contains("without a backup: x:s0"), "{error}");
    assert_eq!(dump(&path), after);
    let report = super::super::undo(machine.state.path(), None, true).unwrap();
    assert!(report.sessions[0].failure.is_some() && report.sessions[1].failure.is_none());
    assert!(!dump(&path).iter().any(|row| row.contains("\"s1\"")));
}

#[test]
fn one_session_of_a_database_belongs_to_one_plan() {
    let machine = Machine::new();
    let path = database(&machine);
    let transaction = machine.begin("A", plans(&path, &["s1", "s1", "s2"])).unwrap();
    stage_sessions(&transaction, &["s1", "s1", "s2"], "t");
    let committed = transaction.commit(&Silent).unwrap();
    assert_eq!(applied(&committed), [true, false, true]);
    assert_eq!(failure(&committed, 1).kind(), Kind::Conflict);

    let mut twice = scope("s3");
    twice.extend(scope("s4"));
    twice.push(Scope { table: "todo".into(), column: "position".into(), values: vec!["1".into()] });
    let action = Action::Rows { path, scope: twice, shared: Vec::new() };
    assert_eq!(machine.begin("B", vec![plan("x:1", [action])]).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn many_sessions_do_not_take_long() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    let ids: Vec<String> = (0..1000).map(|n| format!("many{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let start = std::time::Instant::now();
    let transaction = machine.begin("A", plans(&path, &ids)).unwrap();
    stage_sessions(&transaction, &ids, "t");
    let staged = start.elapsed();
    assert_eq!(applied(&transaction.commit(&Silent).unwrap()), [true; 1000]);
    let committed = start.elapsed();
    machine.undo("A").unwrap();
    assert!(start.elapsed() < Duration::from_secs(60), "{staged:?}, {committed:?}, {:?}", start.elapsed());
    assert_eq!(dump(&path), before);
}
