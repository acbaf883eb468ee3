//! Random plans against a model: what an import says it did is what is there, and an undo is its
//! inverse.

use proptest::prelude::*;

use super::*;

/// One of the files that random plans use.
fn name(n: u8) -> String {
    format!("{}/f{}", ["a", "a/b", "c"][usize::from(n) % 3], n % 5)
}

#[derive(Debug, Clone)]
enum Wish {
    Create(u8),
    Replace(u8),
    Remove(u8),
    Line(u8, u8),
    Rows(u8),
}

fn wishes() -> impl Strategy<Value = Vec<Vec<Wish>>> {
    let wish = prop_oneof![
        any::<u8>().prop_map(Wish::Create),
        any::<u8>().prop_map(Wish::Replace),
        any::<u8>().prop_map(Wish::Remove),
        (0_u8..3, 0_u8..6).prop_map(|(file, line)| Wish::Line(file, line)),
        (0_u8..4).prop_map(Wish::Rows),
    ];
    proptest::collection::vec(proptest::collection::vec(wish, 0..5), 0..5)
}

fn plans(machine: &Machine, database: &Path, wishes: &[Vec<Wish>]) -> Vec<SessionPlan> {
    let action = |wish: &Wish| match wish {
        Wish::Create(n) => create(machine.path(&name(*n))),
        Wish::Replace(n) => replace(machine.path(&name(*n))),
        Wish::Remove(n) => remove(machine.path(&name(*n))),
        Wish::Line(file, text) => {
            line(machine.path(&format!("i/index{file}")), &"line".repeat(1 + usize::from(*text)))
        }
        Wish::Rows(n) => rows::rows(database.to_owned(), &format!("s{n}"), "new"),
    };
    wishes.iter().enumerate().map(|(n, wishes)| plan(&format!("x:{n}"), wishes.iter().map(action))).collect()
}

/// What the home should be like, from what it was and which sessions say that they are in place.
fn expected(
    machine: &Machine,
    before: &Snapshot,
    plans: &[SessionPlan],
    done: &[bool],
) -> BTreeMap<PathBuf, String> {
    let mut files = texts(before);
    for (plan, _) in plans.iter().zip(done).filter(|(_, done)| **done) {
        for (number, action) in plan.actions.iter().enumerate() {
            if matches!(action, Action::Rows { .. }) {
                continue;
            }
            let path = action.path().strip_prefix(machine.home.path()).unwrap().to_owned();
            match action {
                Action::Create { .. } | Action::Replace { .. } => {
                    files.insert(path, format!("{} {number}", plan.label));
                }
                Action::Remove { .. } => {
                    files.remove(&path);
                }
                Action::AppendLine { line, .. } => {
                    let text: &mut String = files.entry(path.clone()).or_default();
                    if text.lines().any(|there| there == line) {
                        continue;
                    }
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push('\n');
                    }
                    text.push_str(line);
                    text.push('\n');
                    files.entry(path.with_extension("lock")).or_default();
                }
                Action::Rows { .. } => {}
            }
        }
    }
    files
}

/// The rows of each session with the name of whoever brought it, from those of before.
fn expected_rows(before: &[String], plans: &[SessionPlan], done: &[bool]) -> Vec<String> {
    let mut rows = before.to_vec();
    for (plan, _) in plans.iter().zip(done).filter(|(_, done)| **done) {
        for action in &plan.actions {
            let Action::Rows { scope, .. } = action else { continue };
            let id = format!("{:?}", scope[0].values[0]);
            rows.retain(|row| !row.contains(&id) || row.starts_with("session_share"));
            rows.retain(|row| row != r#"project: "new", "/new""#);
            rows.push(r#"project: "new", "/new""#.to_owned());
            rows.push(format!("session: {id}, \"new\", {:?}, Real(0.0), Integer(7), Real(0.1)", plan.label));
            rows.push(format!("todo: {id}, Integer(3), Null"));
            let bare = &scope[0].values[0];
            rows.extend((0..2).map(|n| format!("message: \"m.{bare}.00{n}\", {id}, \"{n}\\n\u{1f680}\\0\"")));
        }
    }
    rows.sort();
    rows
}

fn texts(snapshot: &Snapshot) -> BTreeMap<PathBuf, String> {
    let file = |(path, entry): (&PathBuf, &Entry)| match entry {
        Entry::File { text, .. } => Some((path.clone(), text.clone())),
        _ => None,
    };
    snapshot.iter().filter_map(file).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_undo_is_the_inverse_of_an_import(
        there in proptest::collection::btree_set(any::<u8>(), 0..6),
        indices in proptest::collection::vec(prop_oneof![Just(""), Just("line\n"), Just("x"), Just("x\nlineline")], 0..3),
        wishes in wishes(),
        again in wishes(),
    ) {
        let machine = Machine::new();
        for n in there {
            machine.old(&name(n), &format!("old {n}"));
        }
        for (n, text) in indices.iter().enumerate() {
            machine.old(&format!("i/index{n}"), text);
        }
        let store = Machine::new();
        let database = rows::database(&store);
        let mut history = vec![(machine.snapshot(), rows::dump(&database))];
        for (id, wishes) in [("A", &wishes), ("B", &again), ("C", &wishes)] {
            let before = machine.snapshot();
            let rows_before = rows::dump(&database);
            let plans = plans(&machine, &database, wishes);
            let done = applied(&machine.import(id, plans.clone()));
            let after = machine.snapshot();
            prop_assert_eq!(texts(&after), expected(&machine, &before, &plans, &done));
            let rows_after = rows::dump(&database);
            prop_assert_eq!(&rows_after, &expected_rows(&rows_before, &plans, &done));
            if done.contains(&true) {
                history.push((after, rows_after));
            } else {
                prop_assert_eq!(&before, &after, "an import without sessions changes nothing");
            }
        }
        while history.len() > 1 {
            history.pop();
            super::super::undo(machine.state.path(), None, false).unwrap();
            prop_assert_eq!(&(machine.snapshot(), rows::dump(&database)), history.last().unwrap());
        }
        prop_assert!(machine.recover().is_empty());
    }
}
