use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::error::Kind;

#[test]
fn sessions_get_their_files_directories_and_times() {
    let machine = Machine::new();
    let time = Time::UNIX_EPOCH + Duration::from_millis(1_234_567);
    let path = machine.path("store/p/a.jsonl");
    let actions =
        [Action::Create { path: path.clone(), modified: Some(time) }, create(machine.path("store/q/b"))];
    let plans = vec![plan("x:1", actions)];
    let transaction = machine.begin("A", plans).unwrap();
    let staged = stage_one(&transaction, 0, 0, "abc").unwrap();
    assert_eq!(staged.bytes, 3);
    assert_eq!(staged.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    stage_one(&transaction, 0, 1, "").unwrap();
    assert!(!path.exists());
    let committed = transaction.commit(&Silent).unwrap();
    assert_eq!(applied(&committed), [true]);
    assert_eq!(committed.backup_dir, None);

    let snapshot = machine.snapshot();
    let names: Vec<&str> = snapshot.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(names, ["store", "store/p", "store/p/a.jsonl", "store/q", "store/q/b"]);
    assert_eq!(path.metadata().unwrap().modified().unwrap(), SystemTime::from(time));
    for (name, mode) in [("store", 0o700), ("store/p", 0o700), ("store/p/a.jsonl", 0o600)] {
        assert_eq!(machine.path(name).metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(machine.state_files(), ["imports/A/journal.json", "lock"]);
}

#[test]
fn our_own_files_are_private() {
    let machine = Machine::new();
    let state = machine.state.path().join("new/state");
    let path = machine.old("f", "old");
    let meta = super::meta(Time::UNIX_EPOCH);
    let transaction = Transaction::begin(&state, "A", meta, vec![plan("x:1", [remove(path)])]).unwrap();
    transaction.commit(&Silent).unwrap();
    for (name, mode) in [
        ("", 0o700),
        ("imports", 0o700),
        ("imports/A", 0o700),
        ("imports/A/backup", 0o700),
        ("imports/A/backup/0", 0o600),
        ("imports/A/journal.json", 0o600),
        ("lock", 0o600),
    ] {
        assert_eq!(state.join(name).metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn a_replaced_file_keeps_its_mode_and_a_backup() {
    let machine = Machine::new();
    let path = machine.old("f", "old text");
    let committed = machine.import("A", vec![plan("x:1", [replace(path.clone())])]);
    assert_eq!(machine.text("f"), "x:1 0");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let backups = committed.backup_dir.unwrap();
    assert_eq!(backups, machine.state.path().join("imports/A/backup"));
    assert_eq!(fs::read_to_string(backups.join("0")).unwrap(), "old text");
    assert_eq!(machine.snapshot().len(), 1);
}

#[test]
fn a_file_that_appears_meanwhile_is_not_overwritten() {
    let machine = Machine::new();
    let plans = vec![
        plan("x:1", [create(machine.path("a/one")), create(machine.path("a/two"))]),
        plan("x:2", [create(machine.path("a/three"))]),
    ];
    let transaction = machine.begin("A", plans.clone()).unwrap();
    stage_all(&transaction, &plans);
    machine.old("a/two", "theirs");
    let committed = transaction.commit(&Silent).unwrap();
    assert_eq!(applied(&committed), [false, true]);
    let error = failure(&committed, 0);
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("x:1") && error.to_string().contains("a/two"), "{error}");
    assert_eq!(machine.text("a/two"), "theirs");
    assert_eq!(machine.text("a/three"), "x:2 0");
    assert!(!machine.path("a/one").exists());
    assert_eq!(machine.snapshot().len(), 3);
    let sessions = &machine.imports()[0].sessions;
    assert_eq!(sessions.iter().map(|session| session.label.as_str()).collect::<Vec<_>>(), ["x:2"]);
}

#[test]
fn a_file_that_changes_meanwhile_is_not_replaced() {
    for change in ["before commit", "after the backup"] {
        let machine = Machine::new();
        let (first, second) = (machine.old("first", "1"), machine.old("second", "2"));
        let gone = machine.old("gone", "3");
        let before = machine.snapshot();
        let plans = vec![plan("x:1", [replace(first), remove(gone), replace(second.clone())])];
        let transaction = machine.begin("A", plans.clone()).unwrap();
        stage_all(&transaction, &plans);
        let write = || fs::write(&second, "continued").unwrap();
        let committed = if change == "before commit" {
            fs::remove_file(&second).unwrap();
            transaction.commit(&Silent).unwrap()
        } else {
            transaction.commit(&AtBegin("putting", &write)).unwrap()
        };
        assert_eq!(failure(&committed, 0).kind(), Kind::Conflict, "{change}");
        let mut after = machine.snapshot();
        let mut before = before;
        assert!(before.remove(Path::new("second")).is_some());
        match after.remove(Path::new("second")) {
            Some(Entry::File { text, .. }) => assert_eq!(text, "continued"),
            other => assert_eq!((other, change), (None, "before commit")),
        }
        assert_eq!(after, before, "{change}");
        assert_eq!(machine.state_files(), ["lock"], "nothing was imported: {change}");
    }
}

#[test]
fn what_a_program_writes_into_the_old_file_is_kept() {
    let machine = Machine::new();
    let path = machine.old("f", "old\n");
    let open = fs::File::options().append(true).open(&path).unwrap();
    let plans = vec![plan("x:1", [replace(path.clone())])];
    let transaction = machine.begin("A", plans.clone()).unwrap();
    stage_all(&transaction, &plans);
    let write = || std::io::Write::write_all(&mut &open, b"late\n").unwrap();
    let committed = transaction.commit(&AtEnd(AtomicBool::new(false), &write)).unwrap();
    assert_eq!(applied(&committed), [true]);
    assert_eq!(machine.text("f"), "x:1 0");
    assert_eq!((committed.saved[0].label.as_str(), &committed.saved[0].path), ("x:1", &path));
    assert_eq!(fs::read_to_string(&committed.saved[0].copy).unwrap(), "old\nlate\n");
    machine.undo("A").unwrap();
    assert_eq!(machine.text("f"), "old\n");
}

#[test]
fn links_are_never_followed_or_replaced() {
    let machine = Machine::new();
    let real = machine.old("elsewhere/real", "real");
    for name in ["a", "b", "c.idx"] {
        std::os::unix::fs::symlink(&real, machine.path(name)).unwrap();
    }
    std::os::unix::fs::symlink(machine.path("nowhere"), machine.path("d")).unwrap();
    let before = machine.snapshot();
    let committed = machine.import(
        "A",
        vec![
            plan("x:create", [create(machine.path("a"))]),
            plan("x:replace", [replace(machine.path("b"))]),
            plan("x:line", [line(machine.path("c.idx"), "l")]),
            plan("x:dangling", [create(machine.path("d"))]),
            plan("x:remove", [remove(machine.path("b"))]),
        ],
    );
    for session in 0..5 {
        assert_eq!(failure(&committed, session).kind(), Kind::Conflict);
    }
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_store_behind_a_link_is_fine() {
    let machine = Machine::new();
    fs::create_dir(machine.path("disk2")).unwrap();
    std::os::unix::fs::symlink(machine.path("disk2"), machine.path("store")).unwrap();
    let before = machine.snapshot();
    machine.import("A", vec![plan("x:1", [create(machine.path("store/p/a"))])]);
    assert_eq!(machine.text("disk2/p/a"), "x:1 0");
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn paths_that_go_elsewhere_are_refused() {
    let machine = Machine::new();
    let bad = |action| machine.begin("A", vec![plan("x:1", [action])]).unwrap_err().kind();
    assert_eq!(bad(create("relative".into())), Kind::Unsupported);
    assert_eq!(bad(create(machine.path("a/../b"))), Kind::Unsupported);
    assert_eq!(bad(create("/".into())), Kind::Unsupported);
    assert_eq!(bad(line(machine.path("a"), "two\nlines")), Kind::Unsupported);
    let path = machine.path("a");
    assert_eq!(
        bad(Action::AppendLine { path: path.clone(), line: "l".into(), lock: Some(path), keep_while: None }),
        Kind::Unsupported
    );
    for id in ["", ".", "../x", "a/b", "a b"] {
        assert!(machine.begin(id, Vec::new()).is_err(), "{id:?}");
    }
    assert_eq!(machine.state_files(), Vec::<String>::new());
}

#[test]
fn one_file_belongs_to_one_session() {
    let machine = Machine::new();
    machine.old("f", "old");
    let before = machine.snapshot();
    let f = || machine.path("f");
    let plans = vec![
        plan("x:1", [replace(f()), line(machine.path("i"), "l")]),
        plan("x:2", [replace(f())]),
        plan("x:3", [create(machine.path("i"))]),
        plan("x:4", [create(machine.path("g")), create(machine.path("g"))]),
    ];
    let committed = machine.import("A", plans);
    assert_eq!(applied(&committed), [true, false, false, false]);
    assert_eq!(failure(&committed, 1).kind(), Kind::Conflict);
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_dropped_session_leaves_nothing() {
    let machine = Machine::new();
    let plans =
        vec![plan("x:1", [create(machine.path("a/one"))]), plan("x:2", [create(machine.path("b/two"))])];
    let transaction = machine.begin("A", plans.clone()).unwrap();
    stage_all(&transaction, &plans);
    transaction.drop_session(0).unwrap();
    assert!(stage_one(&transaction, 0, 0, "late").is_err());
    let committed = transaction.commit(&Silent).unwrap();
    assert!(matches!(committed.sessions[..], [Outcome::Dropped, Outcome::Applied]));
    let names: Vec<PathBuf> = machine.snapshot().into_keys().collect();
    assert_eq!(names, [PathBuf::from("b"), PathBuf::from("b/two")]);
}

#[test]
fn a_session_that_was_not_rendered_fails() {
    let machine = Machine::new();
    let plans = vec![plan("x:1", [create(machine.path("one"))]), plan("x:2", [create(machine.path("two"))])];
    let transaction = machine.begin("A", plans).unwrap();
    stage_one(&transaction, 1, 0, "text").unwrap();
    assert_eq!(applied(&transaction.commit(&Silent).unwrap()), [false, true]);
    assert!(!machine.path("one").exists());
}

#[test]
fn nothing_is_left_of_what_was_given_up() {
    let machine = Machine::new();
    let before = machine.snapshot();
    let plans = vec![plan("x:1", [create(machine.path("a/b/one")), line(machine.path("c/idx"), "l")])];
    for how in ["abandon", "drop", "commit without sessions"] {
        let transaction = machine.begin("A", plans.clone()).unwrap();
        stage_all(&transaction, &plans);
        match how {
            "abandon" => transaction.abandon().unwrap(),
            "drop" => drop(transaction),
            _ => {
                transaction.drop_session(0).unwrap();
                transaction.commit(&Silent).unwrap();
            }
        }
        assert_eq!(machine.snapshot(), before, "{how}");
        assert_eq!(machine.state_files(), ["lock"], "{how}");
    }
}

#[test]
fn a_failed_rendering_can_be_tried_again() {
    let machine = Machine::new();
    let transaction = machine.begin("A", vec![plan("x:1", [create(machine.path("one"))])]).unwrap();
    let error = transaction
        .stage(0, 0, &mut |out| {
            out.write_all(b"half").at("render", Path::new("x"))?;
            Err(crate::error::Error::archive("damaged"))
        })
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Archive);
    assert!(error.to_string().starts_with("x:1: "), "{error}");
    assert_eq!(machine.snapshot(), Snapshot::new());
    stage_one(&transaction, 0, 0, "whole").unwrap();
    transaction.commit(&Silent).unwrap();
    assert_eq!(machine.text("one"), "whole");
}

#[test]
fn two_imports_at_once_exclude_each_other_and_ids_are_used_once() {
    let machine = Machine::new();
    let first = machine.begin("A", Vec::new()).unwrap();
    let state = machine.state.path();
    assert_eq!(super::super::undo(state, None, false).unwrap_err().kind(), Kind::Busy);
    drop(first);
    machine.import("A", vec![plan("x:1", [create(machine.path("one"))])]);
    assert_eq!(machine.begin("A", Vec::new()).unwrap_err().kind(), Kind::Conflict);
}

#[test]
fn many_threads_may_render() {
    let machine = Machine::new();
    let plans: Vec<SessionPlan> = (0..64)
        .map(|n| plan(&format!("x:{n}"), [create(machine.path(&format!("p{}/s{n}", n % 7)))]))
        .collect();
    let transaction = machine.begin("A", plans.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (transaction, plans) = (&transaction, &plans);
            scope.spawn(move || {
                for session in (thread..64).step_by(4) {
                    stage_one(transaction, session, 0, &format!("{} 0", plans[session].label)).unwrap();
                }
            });
        }
    });
    assert_eq!(applied(&transaction.commit(&Silent).unwrap()), [true; 64]);
    for n in 0..64 {
        assert_eq!(machine.text(&format!("p{}/s{n}", n % 7)), format!("x:{n} 0"));
    }
    assert_eq!(machine.snapshot().len(), 64 + 7);
}

#[test]
fn the_journal_is_written_a_few_times_however_many_sessions_there_are() {
    let machine = Machine::new();
    let index = machine.old("index", "first\n");
    let plans: Vec<SessionPlan> = (0..1000)
        .map(|n| {
            let actions = [create(machine.path(&format!("s{n}"))), line(index.clone(), &format!("line {n}"))];
            plan(&format!("x:{n}"), actions)
        })
        .collect();
    let before = machine.snapshot();
    let start = std::time::Instant::now();
    machine.import("A", plans);
    assert_eq!(machine.text("index").lines().count(), 1001);
    machine.undo("A").unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(machine.snapshot(), before);
}

/// Does something when a piece of work begins.
pub(super) struct AtBegin<'a>(pub &'static str, pub &'a (dyn Fn() + Sync));

impl crate::progress::Progress for AtBegin<'_> {
    fn begin(&self, task: &str, _total: u64) {
        if task.starts_with(self.0) {
            (self.1)();
        }
    }
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}

/// Does something when the sessions are in place.
struct AtEnd<'a>(AtomicBool, &'a (dyn Fn() + Sync));

impl crate::progress::Progress for AtEnd<'_> {
    fn begin(&self, task: &str, _total: u64) {
        self.0.store(task.starts_with("putting"), Ordering::Relaxed);
    }
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {
        if self.0.load(Ordering::Relaxed) {
            (self.1)();
        }
    }
}
