use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::progress::Progress;

/// Panics when so many sessions are in place: to the journal that is a crash.
struct CrashAfter {
    sessions: usize,
    seen: AtomicUsize,
}

const NOT_YET: usize = usize::MAX;

impl Progress for CrashAfter {
    fn begin(&self, task: &str, _total: u64) {
        if task.starts_with("putting") {
            self.seen.store(0, Ordering::Relaxed);
            assert!(self.sessions > 0, "crash");
        }
    }
    fn advance(&self, _bytes: u64) {
        let seen = self.seen.load(Ordering::Relaxed);
        if seen != NOT_YET {
            self.seen.store(seen + 1, Ordering::Relaxed);
            assert!(self.sessions > seen + 1, "crash");
        }
    }
    fn end(&self) {}
}

fn crash(machine: &Machine, plans: &[SessionPlan], sessions: usize) {
    crash_with(machine, plans, sessions, |transaction| stage_all(transaction, plans));
}

/// Crashes when so many sessions are in place.
pub(super) fn crash_with(
    machine: &Machine,
    plans: &[SessionPlan],
    sessions: usize,
    stage: impl FnOnce(&Transaction),
) {
    let transaction = machine.begin("A", plans.to_vec()).unwrap();
    stage(&transaction);
    crash_at(transaction, sessions);
}

/// Crashes when so many sessions are in place.
pub(super) fn crash_at(transaction: Transaction, sessions: usize) {
    let progress = CrashAfter { sessions, seen: AtomicUsize::new(NOT_YET) };
    let crashed = catch_unwind(AssertUnwindSafe(|| transaction.commit(&progress).map(|_| ())));
    assert!(crashed.is_err());
}

fn plans(machine: &Machine) -> Vec<SessionPlan> {
    vec![
        plan("x:1", [create(machine.path("d/a")), line(machine.path("index"), "1")]),
        plan("x:2", [create(machine.path("d/b")), line(machine.path("index"), "2")]),
    ]
}

#[test]
fn nothing_to_recover_writes_nothing() {
    let machine = Machine::new();
    let state = machine.state.path().join("none");
    assert!(recover(&state).unwrap().is_empty());
    assert!(!state.exists());
}

#[test]
fn a_prepared_import_is_finished() {
    for after in 0..=2 {
        let machine = Machine::new();
        let before = machine.snapshot();
        crash(&machine, &plans(&machine), after);
        assert_eq!(machine.imports()[0].state, ImportState::Interrupted);
        let recovered = machine.recover();
        assert_eq!(recovered.len(), 1);
        assert_eq!((recovered[0].how, recovered[0].import_id.as_str()), (Recovery::ImportFinished, "A"));
        assert_eq!(recovered[0].sessions, ["x:1", "x:2"]);
        assert_eq!((machine.text("d/a").as_str(), machine.text("index").as_str()), ("x:1 0", "1\n2\n"));
        assert!(machine.recover().is_empty());
        machine.undo("A").unwrap();
        assert_eq!(machine.snapshot(), before);
    }
}

#[test]
fn the_next_import_and_undo_recover_first() {
    let machine = Machine::new();
    crash(&machine, &plans(&machine), 1);
    machine.import("B", vec![plan("x:3", [create(machine.path("c"))])]);
    assert_eq!(machine.text("d/b"), "x:2 0");
    assert!(machine.imports().iter().all(|import| import.state == ImportState::Done));

    let machine = Machine::new();
    let before = machine.snapshot();
    crash(&machine, &plans(&machine), 1);
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_session_that_cannot_be_finished_goes_back() {
    let machine = Machine::new();
    machine.old("r", "old");
    let plans = vec![
        plan(
            "x:1",
            [replace(machine.path("r")), create(machine.path("d/a")), line(machine.path("index"), "1")],
        ),
        plan("x:2", [create(machine.path("d/b"))]),
    ];
    let before = machine.snapshot();
    crash(&machine, &plans, 0);
    machine.old("d/a", "theirs");
    let recovered = machine.recover();
    assert_eq!(recovered[0].sessions, ["x:2"]);
    assert_eq!(recovered[0].failed[0].0, "x:1");
    assert_eq!(machine.text("d/a"), "theirs");
    assert!(!machine.path("index").exists() && !machine.path("index.lock").exists());
    fs::remove_file(machine.path("d/a")).unwrap();
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_torn_line_is_completed_never_doubled() {
    let written = "\"id\":1}\n\"id\":2}\n";
    for torn in 0..=written.len() {
        for (before, gap) in [(None, ""), (Some("x\n"), ""), (Some("x"), "\n")] {
            let machine = Machine::new();
            if let Some(text) = before {
                machine.old("index", text);
            }
            let snapshot = machine.snapshot();
            let path = machine.path("index");
            let plans = [
                plan("x:1", [line(path.clone(), "\"id\":1}")]),
                plan("x:2", [line(path.clone(), "\"id\":2}")]),
            ];
            crash(&machine, &plans, 0);
            fs::write(&path, format!("{}{gap}{}", before.unwrap_or(""), &written[..torn])).unwrap();
            machine.recover();
            assert_eq!(
                machine.text("index"),
                format!("{}{gap}{written}", before.unwrap_or("")),
                "{torn} {before:?}"
            );
            machine.undo("A").unwrap();
            assert_eq!(machine.snapshot(), snapshot, "{torn} {before:?}");
        }
    }
}

#[test]
fn a_crash_of_the_harness_is_not_taken_for_ours() {
    let machine = Machine::new();
    let path = machine.old("index", "{\"id");
    crash(&machine, &[plan("x:1", [line(path.clone(), "{\"id\":1}")])], 0);
    machine.recover();
    assert_eq!(machine.text("index"), "{\"id\n{\"id\":1}\n");
}

#[test]
fn an_empty_import_directory_is_tidied_away() {
    let machine = Machine::new();
    let dir = machine.state.path().join("imports/A");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("journal.tmp"), "{").unwrap();
    assert!(machine.recover().is_empty());
    assert!(!dir.exists());
}

#[test]
fn a_file_without_a_journal_is_not_ours_to_remove() {
    let machine = Machine::new();
    let kept = machine.state.path().join("imports/A/backup/0");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "precious").unwrap();
    assert!(machine.recover().is_empty());
    assert_eq!(fs::read_to_string(kept).unwrap(), "precious");
}
