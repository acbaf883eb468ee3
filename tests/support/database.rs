//! A SQLite database as text, and back: what is recorded can be read and compared.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Tables without which a session is complete: logs that hold copies of it, and what is of the
/// user's account. They stay, but empty.
const EMPTIED: &[&str] = &[
    "account",
    "account_state",
    "control_account",
    "credential",
    "event",
    "event_sequence",
    "session_share",
];

/// All tables, indexes and rows as SQL statements, a row a line, in the order of the rows' ids.
pub fn dump(database: &Path) -> String {
    let connection = Connection::open(database).expect("the database can be opened");
    let mut text = String::new();
    let mut tables = Vec::new();
    let mut schema = connection
        .prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name")
        .expect("the database can be read");
    let mut rows = schema.query([]).expect("the database can be read");
    while let Some(row) = rows.next().expect("the database can be read") {
        let (kind, name, sql): (String, String, String) =
            (row.get(0).expect("text"), row.get(1).expect("text"), row.get(2).expect("text"));
        let words: Vec<&str> = sql.split_whitespace().collect();
        let _ = writeln!(text, "{};", words.join(" "));
        if kind == "table" && !EMPTIED.contains(&&*name) {
            tables.push(name);
        }
    }
    for table in tables {
        dump_rows(&connection, &table, &mut text);
    }
    text
}

fn dump_rows(connection: &Connection, table: &str, text: &mut String) {
    let mut select = connection
        .prepare(&format!("SELECT * FROM \"{table}\" ORDER BY rowid"))
        .expect("the table can be read");
    let columns: Vec<String> = select.column_names().iter().map(|name| format!("\"{name}\"")).collect();
    let mut rows = select.query([]).expect("the table can be read");
    while let Some(row) = rows.next().expect("the table can be read") {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (i, column) in columns.iter().enumerate() {
            let value = match row.get_ref(i).expect("the row has the column") {
                ValueRef::Null => continue,
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => format!("{value:?}"),
                ValueRef::Text(bytes) => quoted(std::str::from_utf8(bytes).expect("UTF-8")),
                ValueRef::Blob(bytes) => {
                    format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
                }
            };
            names.push(column.as_str());
            values.push(value);
        }
        let _ = writeln!(text, "INSERT INTO \"{table}\"({}) VALUES({});", names.join(","), values.join(","));
    }
}

/// A text on one line.
fn quoted(text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''"));
    if quoted.contains('\n') {
        format!("replace({},char(1),char(10))", quoted.replace('\n', "\u{1}"))
    } else {
        quoted
    }
}

/// Makes the database that a text describes, as a program leaves it that has ended: with a
/// write-ahead log, and everything in the database itself. One that is there gets the rows that it
/// does not have.
pub fn load(text: &str, database: &Path) {
    let is_new = !database.exists();
    fs::create_dir_all(database.parent().expect("a file has a folder")).expect("the folder can be made");
    let connection = Connection::open(database).expect("the database can be made");
    connection.pragma_update(None, "journal_mode", "wal").expect("SQLite knows it");
    // A row is one line.
    let line = |line: &str| match line.strip_prefix("INSERT INTO ") {
        Some(row) => Some(format!("INSERT OR IGNORE INTO {row}\n")),
        None => is_new.then(|| format!("{line}\n")),
    };
    let statements: String = text.lines().filter_map(line).collect();
    connection
        .execute_batch(&format!("PRAGMA foreign_keys=OFF; BEGIN;\n{statements}COMMIT;"))
        .expect("the text is SQL");
}

#[test]
fn a_database_comes_back_from_its_text() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["first.db", "second.db"].map(|name| dir.path().join(name));
    let connection = Connection::open(&first).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE a(id text PRIMARY KEY, n integer,\n real real, b blob); CREATE INDEX i ON a(n);
             INSERT INTO a VALUES('it''s\n漢字 🎉', 1, 1.0, x'00ff'), ('', NULL, NULL, NULL);
             CREATE TABLE event(id text); INSERT INTO event VALUES('secret');",
        )
        .unwrap();
    let text = dump(&first);
    assert!(!text.contains("secret"), "{text}");
    for _ in 0..2 {
        load(&text, &second);
    }
    assert_eq!(dump(&second), text);
    let read = |path: &Path| -> (String, i64, f64, Vec<u8>) {
        let connection = Connection::open(path).unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        connection.query_row("SELECT * FROM a WHERE n = 1", [], read).unwrap()
    };
    assert_eq!(read(&first), read(&second));
}
