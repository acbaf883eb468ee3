use super::*;
use crate::error::Kind;

fn undo_any(machine: &Machine, force: bool) -> Result<UndoReport> {
    super::super::undo(machine.state.path(), None, force)
}

#[test]
fn an_undo_brings_everything_back_to_the_byte() {
    let machine = Machine::new();
    let index = machine.old("index.jsonl", "one\n");
    let actions = [
        create(machine.path("new/deep/a")),
        replace(machine.old("b", "old b")),
        remove(machine.old("c", "old c")),
        line(index, "two"),
    ];
    let before = machine.snapshot();
    machine.import("A", vec![plan("x:1", actions)]);
    assert_eq!(machine.text("index.jsonl"), "one\ntwo\n");
    let report = machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
    assert_eq!(report.import_id, "A");
    assert_eq!(report.sessions.len(), 1);
    assert_eq!(report.sessions[0].about, serde_json::json!({ "from": "x:1" }));
    assert!(report.sessions[0].failure.is_none() && report.saved.is_empty());

    let import = &machine.imports()[0];
    assert_eq!(import.state, ImportState::Undone);
    assert!(import.undone_at.is_some());
    assert_eq!(machine.undo("A").unwrap_err().kind(), Kind::Conflict);
    assert_eq!(machine.undo("B").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(undo_any(&machine, false).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn the_last_import_goes_first() {
    let machine = Machine::new();
    machine.import("A", vec![plan("x:1", [create(machine.path("a"))])]);
    machine.import("B", vec![plan("x:2", [create(machine.path("b"))])]);
    let ids: Vec<String> = machine.imports().into_iter().map(|import| import.id).collect();
    assert_eq!(ids, ["B", "A"]);
    assert_eq!(undo_any(&machine, false).unwrap().import_id, "B");
    assert_eq!(undo_any(&machine, false).unwrap().import_id, "A");
    assert!(machine.snapshot().is_empty());
}

#[test]
fn the_history_says_what_was_done() {
    let machine = Machine::new();
    let index = machine.old("index", "there\n");
    let actions = [create(machine.path("a")), line(index.clone(), "there"), line(index.clone(), "new")];
    machine.import("A", vec![plan("x:1", actions)]);
    let import = &machine.imports()[0];
    assert_eq!(import.archive.as_deref(), Some("a.tar.gz"));
    assert_eq!((import.state, import.undone_at), (ImportState::Done, None));
    let actions: Vec<_> = import.sessions[0].actions.iter().map(|a| (a.kind, &a.path, a.bytes)).collect();
    assert_eq!(actions, [("create", &machine.path("a"), 5), ("append", &index, 4)]);
    assert!(import.sessions[0].actions[0].sha256.is_some());
    assert_eq!(imports(&machine.path("no-such-state")).unwrap(), []);
}

#[test]
fn a_continued_session_stops_the_whole_undo() {
    let machine = Machine::new();
    machine.old("b", "old b");
    machine.old("c", "old c");
    let before = machine.snapshot();
    for (name, text) in [("a", "continued"), ("b", "continued"), ("c", "made again")] {
        let plans = vec![
            plan("x:1", [create(machine.path("a"))]),
            plan("x:2", [replace(machine.path("b")), remove(machine.path("c"))]),
        ];
        let id = format!("A-{name}");
        machine.import(&id, plans);
        fs::write(machine.path(name), text).unwrap();
        let continued = machine.snapshot();
        let error = machine.undo(&id).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        let label = if name == "a" { "x:1" } else { "x:2" };
        assert!(
            error.to_string().contains("continued since the import") && error.to_string().ends_with(label)
        );
        assert_eq!(machine.snapshot(), continued);
        assert_eq!(machine.imports()[0].state, ImportState::Done);

        let report = super::super::undo(machine.state.path(), Some(&id), true).unwrap();
        assert_eq!(machine.snapshot(), before, "{name}");
        assert_eq!(report.saved.len(), 1);
        assert_eq!((report.saved[0].label.as_str(), &report.saved[0].path), (label, &machine.path(name)));
        assert_eq!(fs::read_to_string(&report.saved[0].copy).unwrap(), text);
        assert!(report.saved[0].copy.starts_with(machine.state.path().join("imports")));
    }
}

#[test]
fn what_the_user_removed_is_no_obstacle_where_nothing_can_be_lost() {
    let machine = Machine::new();
    machine.old("b", "old b");
    let before = machine.snapshot();
    let plans = vec![plan("x:1", [create(machine.path("d/a"))]), plan("x:2", [replace(machine.path("b"))])];
    machine.import("A", plans);
    fs::remove_dir_all(machine.path("d")).unwrap();
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);

    machine.import("B", vec![plan("x:2", [replace(machine.path("b"))])]);
    fs::remove_file(machine.path("b")).unwrap();
    assert_eq!(machine.undo("B").unwrap_err().kind(), Kind::Conflict);
    undo_any(&machine, true).unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn directories_that_others_use_stay() {
    let machine = Machine::new();
    machine.import("A", vec![plan("x:1", [create(machine.path("p/q/a")), create(machine.path("p/r/b"))])]);
    fs::write(machine.path("p/q/note"), "mine").unwrap();
    machine.undo("A").unwrap();
    let names: Vec<PathBuf> = machine.snapshot().into_keys().collect();
    assert_eq!(names, [PathBuf::from("p"), PathBuf::from("p/q"), PathBuf::from("p/q/note")]);
}

#[test]
fn without_backups_only_new_sessions_can_be_undone() {
    let machine = Machine::new();
    machine.old("b", "old b");
    let plans = vec![plan("x:1", [create(machine.path("a"))]), plan("x:2", [replace(machine.path("b"))])];
    let transaction = machine.begin_with("A", plans.clone(), false).unwrap();
    stage_all(&transaction, &plans);
    assert_eq!(transaction.commit(&Silent).unwrap().backup_dir, None);
    assert_eq!(machine.state_files(), ["imports/A/journal.json", "lock"]);
    let error = machine.undo("A").unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("without a backup") && error.to_string().ends_with("x:2"), "{error}");
    assert_eq!(machine.text("a"), "x:1 0");

    let report = undo_any(&machine, true).unwrap();
    assert!(report.sessions[0].failure.is_none());
    assert_eq!(report.sessions[1].failure.as_ref().unwrap().kind(), Kind::Conflict);
    assert!(!machine.path("a").exists());
    assert_eq!(machine.text("b"), "x:2 0");
}

#[test]
fn a_damaged_backup_is_found_before_anything_changes() {
    let machine = Machine::new();
    machine.old("b", "old b");
    machine.import("A", vec![plan("x:1", [create(machine.path("a")), replace(machine.path("b"))])]);
    let after = machine.snapshot();
    fs::write(machine.state.path().join("imports/A/backup/1"), "rot").unwrap();
    let error = machine.undo("A").unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(machine.snapshot(), after);
    assert_eq!(machine.imports()[0].state, ImportState::Done);
    assert!(!machine.state.path().join("imports/A/undo.json").exists());
}

#[test]
fn a_newer_import_of_the_same_file_has_to_go_first() {
    let machine = Machine::new();
    let before = machine.snapshot();
    machine.import("A", vec![plan("x:1", [create(machine.path("a"))])]);
    let transaction = machine.begin("B", vec![plan("x:1", [replace(machine.path("a"))])]).unwrap();
    stage_one(&transaction, 0, 0, "newer").unwrap();
    transaction.commit(&Silent).unwrap();
    assert_eq!(machine.undo("A").unwrap_err().kind(), Kind::Conflict);
    machine.undo("B").unwrap();
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_damaged_or_newer_journal_is_refused_with_advice() {
    let machine = Machine::new();
    machine.import("A", vec![plan("x:1", [create(machine.path("a"))])]);
    let journal = machine.state.path().join("imports/A/journal.json");
    let text = fs::read_to_string(&journal).unwrap();
    for (new, word) in
        [(text.replace("journal/1", "journal/2"), "version"), (text[..40].to_owned(), "damaged")]
    {
        fs::write(&journal, new).unwrap();
        for error in [machine.undo("A").unwrap_err(), machine.begin("B", Vec::new()).unwrap_err()] {
            assert!(error.to_string().contains(word) && error.hints()[0].contains("move"), "{error}");
        }
    }
    fs::write(&journal, text.replacen('{', "{\"later\":1,", 1)).unwrap();
    machine.undo("A").unwrap();
}
