use super::*;
use crate::error::Kind;

#[test]
fn lines_are_added_once_and_taken_out_exactly() {
    // Before, the lines, after; undo brings back "before".
    let cases: &[(Option<&str>, &[&str], &str)] = &[
        (None, &["a"], "a\n"),
        (Some(""), &["a", "b"], "a\nb\n"),
        (Some("x\n"), &["a"], "x\na\n"),
        (Some("x"), &["a"], "x\na\n"),
        (Some("x"), &["x"], "x"),
        (Some("a\nx\n"), &["a"], "a\nx\n"),
        (Some("aa\n"), &["a", "aa"], "aa\na\n"),
        (Some("x\n"), &["a", "a"], "x\na\n"),
        (Some("a\n"), &["a", "a"], "a\n"),
        (Some("a\r\n"), &["a"], "a\r\na\n"),
        (Some("\n\n"), &["a"], "\n\na\n"),
        (Some("ab"), &["abc"], "ab\nabc\n"),
    ];
    for (before, lines, after) in cases {
        let machine = Machine::new();
        let path = machine.path("index.jsonl");
        if let Some(text) = before {
            machine.old("index.jsonl", text);
        }
        let snapshot = machine.snapshot();
        let plans = lines.iter().map(|text| plan(text, [line(path.clone(), text)])).collect();
        machine.import("A", plans);
        assert_eq!(machine.text("index.jsonl"), *after, "{before:?} + {lines:?}");
        machine.undo("A").unwrap();
        assert_eq!(machine.snapshot(), snapshot, "{before:?} + {lines:?}");
    }
}

#[test]
fn a_long_file_is_searched_across_reads() {
    let machine = Machine::new();
    let text: String = (0..30_000).map(|n| format!("line number {n}\n")).collect();
    let path = machine.old("index", &text);
    let before = machine.snapshot();
    let lines = ["line number 4681", "line number 29999", "line number 2999", "new line", "line number"];
    machine.import("A", lines.iter().map(|text| plan(text, [line(path.clone(), text)])).collect());
    assert_eq!(machine.text("index"), format!("{text}new line\nline number\n"));
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn what_the_harness_wrote_since_stays() {
    let machine = Machine::new();
    let path = machine.old("index", "x");
    machine.import("A", vec![plan("x:1", [line(path.clone(), "a")]), plan("x:2", [line(path.clone(), "b")])]);
    fs::write(&path, machine.text("index") + "later\nb\ntorn").unwrap();
    machine.undo("A").unwrap();
    assert_eq!(machine.text("index"), "x\nlater\nb\ntorn");

    // Rewritten by the harness: ours is somewhere else, or gone.
    machine.import("B", vec![plan("x:1", [line(path.clone(), "c")]), plan("x:2", [line(path.clone(), "d")])]);
    fs::write(&path, "c\ny\n").unwrap();
    machine.undo("B").unwrap();
    assert_eq!(machine.text("index"), "y\n");

    // Removed by the user.
    machine.import("C", vec![plan("x:1", [line(path.clone(), "e")])]);
    fs::remove_file(&path).unwrap();
    machine.undo("C").unwrap();
    assert!(!path.exists());
}

#[test]
fn a_line_without_its_end_is_still_ours() {
    let machine = Machine::new();
    let path = machine.old("index", "x\n");
    machine.import("A", vec![plan("x:1", [line(path.clone(), "a")])]);
    fs::write(&path, "x\na").unwrap();
    machine.undo("A").unwrap();
    assert_eq!(machine.text("index"), "x\n");
}

#[test]
fn the_lock_of_the_harness_is_waited_for_and_respected() {
    let machine = Machine::new();
    machine.old("index", "x\n");
    let lock = fs::File::create(machine.path("index.lock")).unwrap();
    lock.lock().unwrap();
    let before = machine.snapshot();
    let plans = vec![
        plan("x:1", [create(machine.path("a")), line(machine.path("index"), "l")]),
        plan("x:2", [create(machine.path("b"))]),
    ];
    let committed = machine.import("A", plans.clone());
    assert_eq!(applied(&committed), [false, true]);
    assert_eq!(failure(&committed, 0).kind(), Kind::Busy);
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);

    let waiting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(lock);
    });
    assert_eq!(applied(&machine.import("B", plans)), [true, true]);
    waiting.join().unwrap();
    assert!(machine.path("index.lock").exists());
}

#[test]
fn a_session_whose_line_cannot_be_written_goes_back() {
    let machine = Machine::new();
    let index = machine.path("index");
    let before = machine.snapshot();
    let plans = vec![plan("x:1", [create(machine.path("d/a")), line(index.clone(), "l")])];
    let transaction = machine.begin("A", plans.clone()).unwrap();
    stage_all(&transaction, &plans);
    let block = || fs::create_dir(&index).unwrap();
    let committed = transaction.commit(&super::import::AtBegin("putting", &block)).unwrap();
    assert_eq!(failure(&committed, 0).kind(), Kind::Conflict);
    fs::remove_dir(&index).unwrap();
    assert_eq!(machine.snapshot(), before);
    assert_eq!(machine.state_files(), ["lock"]);
}

#[test]
fn a_line_goes_again_when_its_session_fails_elsewhere() {
    let machine = Machine::new();
    let before = machine.snapshot();
    let (first, second) = (machine.path("first"), machine.path("second"));
    let plans = vec![
        plan("x:1", [line(first.clone(), "1"), line(second.clone(), "1")]),
        plan("x:2", [line(first.clone(), "2")]),
    ];
    let transaction = machine.begin("A", plans).unwrap();
    let block = || fs::create_dir(&second).unwrap();
    let committed = transaction.commit(&super::import::AtBegin("putting", &block)).unwrap();
    assert_eq!(applied(&committed), [false, true]);
    assert_eq!(machine.text("first"), "2\n");
    fs::remove_dir(&second).unwrap();
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_line_that_another_session_has_too_stays_when_one_fails() {
    let machine = Machine::new();
    let before = machine.snapshot();
    let marker = machine.path("marker");
    let plans = vec![
        plan("x:1", [create(machine.path("a")), line(marker.clone(), "m")]),
        plan("x:2", [line(marker.clone(), "m"), line(machine.path("second"), "2")]),
    ];
    let transaction = machine.begin("A", plans.clone()).unwrap();
    stage_all(&transaction, &plans);
    let block = || fs::create_dir(machine.path("second")).unwrap();
    let committed = transaction.commit(&super::import::AtBegin("putting", &block)).unwrap();
    assert_eq!(applied(&committed), [true, false]);
    assert_eq!(machine.text("marker"), "m\n");
    fs::remove_dir(machine.path("second")).unwrap();
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn an_undo_leaves_a_line_that_other_sessions_need() {
    let kept = |machine: &Machine, session: &str| {
        let dir = machine.path("chats");
        let (path, line) = (machine.path("marker"), "m".to_owned());
        let marker = Action::AppendLine { path, line, lock: None, keep_while: Some(dir.clone()) };
        vec![plan(&format!("x:{session}"), [create(dir.join(session)), marker])]
    };
    let machine = Machine::new();
    let before = machine.snapshot();
    machine.import("A", kept(&machine, "1"));
    machine.import("B", kept(&machine, "2"));
    machine.undo("A").unwrap();
    assert_eq!(machine.text("marker"), "m\n", "B was told that it is there");
    machine.undo("B").unwrap();
    assert!(!machine.path("chats/2").exists());

    let machine = Machine::new();
    machine.import("A", kept(&machine, "1"));
    machine.undo("A").unwrap();
    assert_eq!(machine.snapshot(), before, "with nothing else there, everything goes");
}
