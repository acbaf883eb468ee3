//! What a program writes after the plan was made and before it is carried out is not lost, and imports
//! that met in one place are taken back in any order.

use super::rows::{database, document, dump, open, rows, stage_rows};
use super::*;
use crate::error::Kind;

#[test]
fn a_file_that_grew_since_the_beginning_stays() {
    for action in [replace, remove] {
        let machine = Machine::new();
        let path = machine.old("a", "one\n");
        let plans = vec![plan("x:1", [action(path.clone()), create(machine.path("b"))])];
        let transaction = machine.begin("A", plans.clone()).unwrap();
        stage_all(&transaction, &plans);
        fs::write(&path, "one\ntwo\n").unwrap();
        let before = machine.snapshot();
        let committed = transaction.commit(&Silent).unwrap();
        assert_eq!(failure(&committed, 0).kind(), Kind::Conflict);
        assert_eq!(machine.text("a"), "one\ntwo\n");
        assert!(before.contains_key(Path::new("a")) && !machine.path("b").exists());
        assert_eq!(machine.imports(), []);
    }
}

#[test]
fn rows_that_came_after_the_new_ones_were_rendered_stay() {
    let machine = Machine::new();
    let path = database(&machine);
    let transaction = machine.begin("A", vec![plan("x:s0", [rows(path.clone(), "s0", "new")])]).unwrap();
    stage_rows(&transaction, 0, 0, &document("s0", "new", "title", 3)).unwrap();
    open(&path).execute_batch("INSERT INTO message VALUES ('m0.2', 's0', 'said meanwhile')").unwrap();
    let before = dump(&path);
    let committed = transaction.commit(&Silent).unwrap();
    assert_eq!(failure(&committed, 0).kind(), Kind::Conflict);
    assert_eq!(dump(&path), before);
    assert_eq!(machine.imports(), []);
}

#[test]
fn a_new_session_does_not_replace_one_that_appeared() {
    let machine = Machine::new();
    let path = database(&machine);
    let transaction = machine.begin("A", vec![plan("x:s1", [rows(path.clone(), "s1", "new")])]).unwrap();
    transaction.expect_new(0, 0);
    stage_rows(&transaction, 0, 0, &document("s1", "new", "title", 3)).unwrap();
    open(&path)
        .execute_batch("INSERT INTO session (id, project_id, title) VALUES ('s1', 'old', 'theirs')")
        .unwrap();
    let before = dump(&path);
    let committed = transaction.commit(&Silent).unwrap();
    assert_eq!(failure(&committed, 0).kind(), Kind::Conflict);
    assert!(failure(&committed, 0).to_string().contains("appeared"), "{}", failure(&committed, 0));
    assert_eq!(dump(&path), before);
}

/// The first import makes a folder, a marker in it and the project that the second one needs too.
#[test]
fn what_two_imports_share_goes_with_the_last_of_them() {
    for order in [["A", "B"], ["B", "A"]] {
        let machine = Machine::new();
        let path = database(&machine);
        let rows_before = dump(&path);
        for (id, session) in [("A", "s1"), ("B", "s2")] {
            let marker = Action::AppendLine {
                path: machine.path("made/marker"),
                line: "the folder of both".to_owned(),
                lock: None,
                keep_while: Some(machine.path("made/chats")),
            };
            let file = create(machine.path(&format!("made/chats/{session}")));
            let plans =
                vec![plan(&format!("x:{session}"), [file, marker, rows(path.clone(), session, "new")])];
            let transaction = machine.begin(id, plans).unwrap();
            stage_one(&transaction, 0, 0, session).unwrap();
            stage_rows(&transaction, 0, 2, &document(session, "new", "title", 2)).unwrap();
            assert_eq!(applied(&transaction.commit(&Silent).unwrap()), [true]);
        }
        machine.undo(order[0]).unwrap();
        assert_eq!(machine.text("made/marker"), "the folder of both\n", "the other one needs it");
        assert!(dump(&path).iter().any(|row| row.contains("/new")), "the other one needs it");
        machine.undo(order[1]).unwrap();
        assert_eq!(dump(&path), rows_before, "{order:?}");
        assert!(!machine.path("made").exists(), "{order:?}: the folder and the marker go too");
    }
}

/// What the user had before both imports is not taken along.
#[test]
fn what_was_there_before_both_stays() {
    let machine = Machine::new();
    let path = database(&machine);
    let index = machine.old("index", "shared\n");
    let rows_before = dump(&path);
    for (id, session) in [("A", "s1"), ("B", "s2")] {
        let actions = [line(index.clone(), "shared"), rows(path.clone(), session, "old")];
        let transaction = machine.begin(id, vec![plan(&format!("x:{session}"), actions)]).unwrap();
        stage_rows(&transaction, 0, 1, &document(session, "old", "title", 2)).unwrap();
        assert_eq!(applied(&transaction.commit(&Silent).unwrap()), [true]);
    }
    machine.undo("A").unwrap();
    machine.undo("B").unwrap();
    assert_eq!(machine.text("index"), "shared\n");
    assert_eq!(dump(&path), rows_before);
}
