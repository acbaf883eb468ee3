//! Databases in every state that a program can leave them in.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::OpenFlags;

use super::*;
use crate::error::Kind;
use crate::harness::common::sqlite::Snapshot;

/// A home with one session of one message.
fn small() -> Home {
    let home = Home::new();
    home.database().session("ses_1", None).message("ses_1", "msg_1", 1, &user(1), &[text("hello")]);
    home
}

#[test]
fn a_database_at_rest_is_read_without_a_trace() {
    let home = small();
    assert_eq!(entries(&home.data_dir()), ["opencode.db"]);
    assert_eq!(home.scan().len(), 1);
    let session = home.open("ses_1");
    assert!(bytes(&session, 0).contains("hello"));
    assert_eq!(entries(&home.data_dir()), ["opencode.db"]);
}

#[test]
fn what_a_running_program_has_not_put_into_the_database_yet_is_read() {
    let home = small();
    let running = Store(Connection::open(home.data_dir().join("opencode.db")).expect("a database"));
    running.session("ses_2", None);
    assert!(entries(&home.data_dir()).contains(&"opencode.db-wal".to_owned()));
    assert_eq!(home.scan().len(), 2);
    // What is opened stays as it is.
    let session = home.open("ses_1");
    let before = bytes(&session, 0);
    running.message("ses_1", "msg_2", 2, &user(2), &[text("later")]);
    assert_eq!(bytes(&session, 0), before);
    assert!(bytes(&home.open("ses_1"), 0).contains("later"));
}

#[test]
fn a_database_that_was_at_rest_and_is_not_any_more_is_not_mixed() {
    let home = small();
    let session = home.open("ses_1");
    home.database_again().message("ses_1", "msg_2", 2, &user(2), &[text("later")]);
    let mut text = String::new();
    let error = session.payload.open(0).expect("a file").read_to_string(&mut text).expect_err("it changed");
    assert!(error.to_string().contains("changed while it was read"), "{error}");
}

#[test]
fn a_write_ahead_log_without_its_index_is_read_even_where_nothing_can_be_written() {
    let home = small();
    let running = home.database_again();
    running.session("ses_2", None);
    let copy = Home::new();
    for name in ["opencode.db", "opencode.db-wal"] {
        fs::copy(home.data_dir().join(name), copy.data_dir().join(name)).expect("a copy");
    }
    assert_eq!(copy.scan().len(), 2);
}

#[test]
fn a_locked_database_is_named() {
    let home = small();
    let path = home.data_dir().join("opencode.db");
    let program = Connection::open(&path).expect("a database");
    program.query_row("PRAGMA journal_mode = delete", [], |_| Ok(())).expect("another journal");
    program.execute_batch("BEGIN EXCLUSIVE; INSERT INTO project VALUES ('p', '/')").expect("a lock");
    let error = Snapshot::open(&path).expect_err("it is locked");
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.to_string().contains("opencode.db is locked"), "{error}");
}

#[test]
fn what_is_no_database_is_named() {
    for (content, words) in
        [(&b"no database at all, but long enough to look like one"[..], "no SQLite database"), (b"", "")]
    {
        let home = Home::new();
        let path = home.data_dir().join("opencode.db");
        fs::write(path, content).expect("a file");
        let (found, result) = home.scan_result();
        assert!(found.is_empty());
        match result {
            Ok(()) => assert_eq!(words, "", "an empty file is a database to be made"),
            Err(error) => assert!(error.to_string().contains(words) && !words.is_empty(), "{error}"),
        }
    }
}

#[test]
fn a_damaged_database_is_named() {
    let home = small();
    let path = home.data_dir().join("opencode.db");
    let mut content = fs::read(&path).expect("a database");
    for byte in content.iter_mut().skip(100).step_by(3) {
        *byte ^= 0x5a;
    }
    fs::write(&path, content).expect("a file");
    let error = home.scan_result().1.expect_err("it is damaged");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("opencode.db is damaged"), "{error}");
}

#[test]
fn sessions_of_the_next_generation_are_not_passed_over_in_silence() {
    let home = small();
    home.database_again().0.execute_batch("CREATE TABLE session_v2 (id text PRIMARY KEY)").expect("a table");
    let (found, result) = home.scan_result();
    assert_eq!(found.len(), 1);
    let error = result.expect_err("there may be more");
    assert!(error.to_string().contains("opencode 2"), "{error}");
    home.database_again().0.execute_batch("DROP TABLE session").expect("a table");
    let error = home.scan_result().1.expect_err("there is nothing to read");
    assert!(error.to_string().contains("opencode 2") && !error.hints().is_empty(), "{error}");
}

#[test]
fn a_database_of_something_else_is_named() {
    let home = Home::new();
    let path = home.data_dir().join("opencode.db");
    Connection::open(path).and_then(|db| db.execute_batch("CREATE TABLE x (y)")).expect("a database");
    let error = home.scan_result().1.expect_err("there are no sessions");
    assert!(error.to_string().contains("no sessions of opencode"), "{error}");
}

#[test]
fn a_database_of_1_2_has_fewer_columns() {
    let home = small();
    let store = home.database_again();
    for column in [
        "metadata",
        "cost",
        "tokens_input",
        "tokens_output",
        "tokens_reasoning",
        "tokens_cache_read",
        "tokens_cache_write",
        "agent",
        "model",
        "path",
    ] {
        store.0.execute_batch(&format!("ALTER TABLE session DROP COLUMN {column}")).expect("a column");
    }
    store.0.execute_batch("DROP TABLE todo").expect("a table");
    drop(store);
    let session = home.open("ses_1");
    assert_eq!(session.head.model, None);
    let info: Value = serde_json::from_str(&bytes(&session, 1)).expect("JSON");
    assert_eq!(info["info"]["title"], "A title");
    assert_eq!(info["info"].get("cost"), None);
    assert_eq!(info["todos"], json!([]));
}

#[test]
fn many_commits_are_seen_whole_or_not_at_all() {
    let home = small();
    let path = home.data_dir().join("opencode.db");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
            let store = Store(Connection::open_with_flags(&path, flags).expect("a database"));
            store.0.busy_timeout(std::time::Duration::from_secs(5)).expect("a time");
            for number in 0..150 {
                store.0.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
                let id = format!("msg_n{number}");
                store.message("ses_1", &id, 2, &user(2), &[text("one"), text("two")]);
                store.0.execute_batch("COMMIT").expect("a commit");
                if number % 40 == 0 {
                    store
                        .0
                        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                        .expect("a checkpoint");
                }
            }
            ended.store(true, Ordering::Relaxed);
        });
        while !ended.load(Ordering::Relaxed) {
            let found = match home.scan_result() {
                (mut found, Ok(())) => found.pop().expect("the session"),
                (_, Err(error)) if error.kind() == Kind::Busy => continue,
                (_, Err(error)) => panic!("{error}"),
            };
            let Ok(session) = OPENCODE.open(&home.env(), &found) else { continue };
            let mut all = String::new();
            let mut file = session.payload.open(0).expect("a file");
            match file.read_to_string(&mut all) {
                Ok(_) => assert_eq!(all.matches("\"one\"").count(), all.matches("\"two\"").count()),
                Err(error) => assert!(error.to_string().contains("changed while"), "{error}"),
            }
        }
    });
}
