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
}

fn wishes() -> impl Strategy<Value = Vec<Vec<Wish>>> {
    let wish = prop_oneof![
        any::<u8>().prop_map(Wish::Create),
        any::<u8>().prop_map(Wish::Replace),
        any::<u8>().prop_map(Wish::Remove),
        (0_u8..3, 0_u8..6).prop_map(|(file, line)| Wish::Line(file, line)),
    ];
    proptest::collection::vec(proptest::collection::vec(wish, 0..5), 0..5)
}

fn plans(machine: &Machine, wishes: &[Vec<Wish>]) -> Vec<SessionPlan> {
    let action = |wish: &Wish| match wish {
        Wish::Create(n) => create(machine.path(&name(*n))),
        Wish::Replace(n) => replace(machine.path(&name(*n))),
        Wish::Remove(n) => remove(machine.path(&name(*n))),
        Wish::Line(file, text) => {
            line(machine.path(&format!("i/index{file}")), &"line".repeat(1 + usize::from(*text)))
        }
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
                Action::Rows { .. } => unreachable!("no wish makes one"),
            }
        }
    }
    files
}

fn texts(snapshot: &Snapshot) -> BTreeMap<PathBuf, String> {
    let file = |(path, entry): (&PathBuf, &Entry)| match entry {
        Entry::File { text, .. } => Some((path.clone(), text.clone())),
        _ => None,
    };
    snapshot.iter().filter_map(file).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

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
        let mut history = vec![machine.snapshot()];
        for (id, wishes) in [("A", &wishes), ("B", &again), ("C", &wishes)] {
            let before = machine.snapshot();
            let plans = plans(&machine, wishes);
            let done = applied(&machine.import(id, plans.clone()));
            let after = machine.snapshot();
            prop_assert_eq!(texts(&after), expected(&machine, &before, &plans, &done));
            if done.contains(&true) {
                history.push(after);
            } else {
                prop_assert_eq!(&before, &after, "an import without sessions changes nothing");
            }
        }
        while history.len() > 1 {
            history.pop();
            super::super::undo(machine.state.path(), None, false).unwrap();
            prop_assert_eq!(&machine.snapshot(), history.last().unwrap());
        }
        prop_assert!(machine.recover().is_empty());
    }
}
