//! Imports of rows that were interrupted.

use super::recovery::crash_with;
use super::rows::{database, dump, execute, import, open, plans, stage_sessions};
use super::*;
use crate::error::Kind;

#[test]
fn an_interrupted_import_of_rows_is_finished() {
    let sessions = ["s0", "s1"];
    for after in 0..=2 {
        let machine = Machine::new();
        let path = database(&machine);
        let before = dump(&path);
        crash_with(&machine, &plans(&path, &sessions), after, |it| stage_sessions(it, &sessions, "t"));
        assert_eq!(machine.imports()[0].state, ImportState::Interrupted);
        let recovered = machine.recover();
        assert_eq!((recovered[0].how, recovered[0].sessions.len()), (Recovery::ImportFinished, 2), "{after}");
        assert!(machine.recover().is_empty());
        assert_eq!(dump(&path).iter().filter(|row| row.contains("\"t\"")).count(), 2);
        assert_eq!(machine.state_files(), ["imports/A/backup/0", "imports/A/journal.json", "lock"]);
        machine.undo("A").unwrap();
        assert_eq!(dump(&path), before);
    }
}

#[test]
fn recovery_tells_our_rows_from_those_of_others() {
    // Which session was in place when we were killed, and what happened then.
    let change = |id: &str| format!("UPDATE session SET title = 'continued' WHERE id = '{id}'");
    for (session, put, in_place) in [("s0", 1, true), ("s1", 1, true), ("s0", 0, false)] {
        let machine = Machine::new();
        let path = database(&machine);
        crash_with(&machine, &plans(&path, &[session]), put, |it| stage_sessions(it, &[session], "t"));
        execute(&path, &change(session));
        let continued = dump(&path);
        let recovered = machine.recover();
        assert_eq!(recovered[0].failed.len(), usize::from(!in_place), "{session} {put}");
        assert_eq!(dump(&path), continued, "{session} {put}");
        assert_eq!(machine.imports().len(), usize::from(in_place));
        if in_place {
            assert_eq!(machine.undo("A").unwrap_err().kind(), Kind::Conflict);
            super::super::undo(machine.state.path(), None, true).unwrap();
            assert!(!dump(&path).iter().any(|row| row.contains("continued")));
        }
    }
}

#[test]
fn recovery_waits_for_a_locked_database_and_comes_again() {
    let machine = Machine::new();
    let path = database(&machine);
    let before = dump(&path);
    crash_with(&machine, &plans(&path, &["s0"]), 0, |it| stage_sessions(it, &["s0"], "t"));
    let program = open(&path);
    program.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = recover(machine.state.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    program.execute_batch("ROLLBACK").unwrap();
    assert_eq!(dump(&path), before);
    assert_eq!(machine.recover()[0].sessions, ["x:s0"]);
    machine.undo("A").unwrap();
    assert_eq!(dump(&path), before);
}

#[test]
fn a_database_that_is_gone_after_a_crash_fails_its_sessions() {
    let machine = Machine::new();
    let path = database(&machine);
    crash_with(&machine, &plans(&path, &["s1"]), 0, |it| stage_sessions(it, &["s1"], "t"));
    fs::remove_file(&path).unwrap();
    let recovered = machine.recover();
    assert_eq!(recovered[0].failed[0].0, "x:s1");
    assert!(!path.exists(), "no database is ever made");
    assert_eq!(machine.state_files(), ["lock"]);
}

#[test]
fn a_damaged_backup_of_rows_is_found() {
    let machine = Machine::new();
    let path = database(&machine);
    let committed = import(&machine, "A", &path, "s0", "t");
    let after = dump(&path);
    fs::write(committed.backup_dir.unwrap().join("0"), "rot").unwrap();
    let error = machine.undo("A").unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(dump(&path), after);
    assert_eq!(machine.imports()[0].state, ImportState::Done);
}
