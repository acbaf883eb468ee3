//! Imports, moves and undos in any order, as the program does them, in a home of its own; and beside it
//! a model of the store that says what each of them has to do.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use holdall::archive::manifest::SourceMachine;
use holdall::archive::{Archive, SessionInput, WriteOptions, write};
use holdall::env::Env;
use holdall::harness::HARNESSES;
use holdall::model::Head;
use holdall::ops::import::{self, Incoming, OnConflict, Report};
use holdall::ops::{journal, moving};
use holdall::progress::Silent;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

use super::config;
use super::conversion::written;
use super::dialogue::turns;
use crate::fuzz::targets::record::{self, File, Session, THERE};
use crate::support::tree::{self, Node, Tree};

/// The harnesses whose sessions travel, by their place in [`HARNESSES`]: those whose sessions are files.
const TRAVELLERS: [usize; 3] = [0, 1, 4];

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its first records.
    Short,
    /// All of them.
    Long,
    /// The first records, and then others than [`State::Long`] has.
    Other,
}

#[derive(Debug, Clone)]
enum Deed {
    /// Brings sessions, by their place in [`TRAVELLERS`], to their own harness or to another.
    Import { which: Vec<usize>, state: State, policy: OnConflict, to: Option<usize> },
    /// Their folder moves, and they follow.
    Move,
    /// Takes the last of these back.
    Undo,
}

fn deed() -> impl Strategy<Value = Deed> {
    let state = prop_oneof![Just(State::Short), Just(State::Long), Just(State::Other)];
    let policy = prop_oneof![
        1 => Just(OnConflict::Skip),
        2 => Just(OnConflict::Update),
        2 => Just(OnConflict::Replace),
        1 => Just(OnConflict::Copy),
    ];
    let which = subsequence((0..TRAVELLERS.len()).collect::<Vec<_>>(), 1..=TRAVELLERS.len());
    let to = prop_oneof![4 => Just(None), 1 => select(TRAVELLERS.to_vec()).prop_map(Some)];
    prop_oneof![
        5 => (which, state, policy, to)
            .prop_map(|(which, state, policy, to)| Deed::Import { which, state, policy, to }),
        1 => Just(Deed::Move),
        2 => Just(Deed::Undo),
    ]
}

/// A session of each harness in each state, made once.
struct Sessions(Vec<[Vec<u8>; 3]>);

impl Sessions {
    fn new() -> Self {
        let mut runner = TestRunner::deterministic();
        let mut conversation = || turns(4..5).new_tree(&mut runner).expect("no filter").current();
        let (long, other) = (conversation(), conversation());
        let states = TRAVELLERS.map(|harness| {
            let (long, other) = (written(HARNESSES[harness], &long), written(HARNESSES[harness], &other));
            let cut = |bytes: &[u8], lines: usize| {
                bytes.split_inclusive(|byte| *byte == b'\n').take(lines).collect::<Vec<_>>().concat()
            };
            let short = cut(&long, 6);
            let tail = other.split_inclusive(|byte| *byte == b'\n').skip(6).collect::<Vec<_>>().concat();
            let other = [short.clone(), tail].concat();
            assert!(short.len() < long.len() && other != long);
            [short, long, other]
        });
        Self(states.to_vec())
    }

    /// An archive with some of them.
    fn archive(&self, which: &[usize], state: State) -> Archive {
        let sessions: Vec<(Head, Session<'_>)> = which
            .iter()
            .map(|place| {
                let harness = HARNESSES[TRAVELLERS[*place]];
                let session = Session::new(harness, File::Transcript, &self.0[*place][state as usize]);
                (record::head(harness, THERE), session)
            })
            .collect();
        let payloads: Vec<_> = sessions.iter().map(|(_, session)| session.payload()).collect();
        let inputs: Vec<SessionInput<'_>> = sessions
            .iter()
            .zip(&payloads)
            .map(|((head, _), payload)| SessionInput {
                head: head.clone(),
                repo: None,
                payload,
                continues: None,
            })
            .collect();
        let source = SourceMachine { os: "linux".to_owned(), home: "/home/dev".to_owned() };
        let mut bytes = Vec::new();
        write(&mut bytes, &inputs, &[], &WriteOptions::new(source), &Silent).expect("memory");
        Archive::read(&mut bytes.as_slice()).expect("our own")
    }
}

/// A home, and what has been done in it.
struct World {
    home: TempDir,
    env: Env,
    /// Which of the two folders the sessions are in.
    folder: usize,
}

/// All sessions that are there, with their bytes.
type Listing = BTreeMap<(&'static str, String), Vec<u8>>;

impl World {
    fn new() -> Self {
        // On a disk in memory, where there is one: fsync costs nothing there.
        let memory = Path::new("/dev/shm");
        let home = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let home = home.expect("a directory");
        let env = Env::isolated(fs::canonicalize(home.path()).expect("it is there"));
        let world = Self { home, env, folder: 0 };
        fs::create_dir_all(world.folder(0)).expect("a directory");
        world
    }

    fn folder(&self, number: usize) -> PathBuf {
        self.env.home().join(["code/one", "code/two"][number])
    }

    /// Everything but holdall's own state.
    fn tree(&self) -> Tree {
        tree::read_without(self.home.path(), ".local/state/holdall")
    }

    fn listing(&self) -> Listing {
        let mut listing = Listing::new();
        for harness in TRAVELLERS.map(|place| HARNESSES[place]) {
            let mut all = Vec::new();
            harness.scan(&self.env, &mut |found| all.push(found)).expect("a store");
            for found in all {
                let opened = harness.open(&self.env, &found).expect("it is whole");
                let mut bytes = Vec::new();
                opened.payload.open(0).expect("it is there").read_to_end(&mut bytes).expect("it can be read");
                let known = listing.insert((harness.info().id, found.id.clone()), bytes);
                assert!(known.is_none(), "{} is there twice", found.id);
            }
        }
        listing
    }

    fn import(&self, archive: &Archive, policy: OnConflict, to: Option<usize>, dry_run: bool) -> Report {
        let places: Vec<usize> = (0..archive.manifest().sessions.len()).collect();
        let incoming = Incoming::from_archive(archive, "a.tar.gz".to_owned(), &places).expect("it is whole");
        let folder = self.folder(self.folder).to_str().expect("Unicode").to_owned();
        let options = import::Options {
            to: to.map(|place| HARNESSES[place]),
            cwd_map: vec![(THERE.to_owned(), folder)],
            on_conflict: policy,
            dry_run,
            no_confirm: true,
            ..import::Options::default()
        };
        import::run(&self.env, &incoming, &options, &Silent).expect("an import")
    }

    fn follow(&mut self) -> Option<String> {
        let text = |number: usize| self.folder(number).to_str().expect("Unicode").to_owned();
        let (old, new) = (text(self.folder), text(1 - self.folder));
        let options = moving::Options {
            folders: vec![(old, new)],
            and_folder: true,
            harnesses: Vec::new(),
            ids: Vec::new(),
            dry_run: false,
            no_backup: false,
            no_confirm: true,
        };
        let report = moving::run(&self.env, &options, &Silent).ok()?;
        assert!(!report.is_partial(), "{report:?}");
        self.folder = 1 - self.folder;
        Some(report.import_id.expect("something was moved"))
    }
}

/// What happens to a session that is here as `here` when it comes as `incoming`.
fn predicted(here: Option<State>, incoming: State, policy: OnConflict) -> &'static str {
    let Some(here) = here else { return "create" };
    let grows = here == State::Short && incoming != State::Short;
    match policy {
        _ if here == incoming => "skip",
        OnConflict::Replace => "replace",
        OnConflict::Copy => "copy",
        OnConflict::Update if grows => "update",
        _ => "skip",
    }
}

/// The paths whose content differs.
fn difference(one: &Tree, other: &Tree) -> Vec<String> {
    let paths = one.keys().chain(other.keys().filter(|path| !one.contains_key(*path)));
    paths.filter(|path| one.get(*path) != other.get(*path)).map(|path| path.display().to_string()).collect()
}

/// Where the home and the folder were before something was done that can be undone.
struct Before {
    tree: Tree,
    folder: usize,
    model: [Option<State>; 3],
}

fn journey(sessions: &Sessions, deeds: &[Deed]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let mut past: Vec<Before> = Vec::new();
    // What is here under its own id; a converted session or a copy is something else.
    let mut model = [None; 3];
    for deed in deeds {
        let before = Before { tree: world.tree(), folder: world.folder, model };
        match deed {
            Deed::Import { which, state, policy, to } => {
                let archive = sessions.archive(which, *state);
                let listed = world.listing();
                let foretold = world.import(&archive, *policy, *to, true);
                prop_assert_eq!(difference(&before.tree, &world.tree()), Vec::<String>::new(), "a dry run");
                let report = world.import(&archive, *policy, *to, false);
                let mut touched = Vec::new();
                for (row, (told, place)) in report.sessions.iter().zip(foretold.sessions.iter().zip(which)) {
                    prop_assert_eq!((row.action, &row.reason), (told.action, &told.reason), "as foretold");
                    prop_assert_ne!(row.action, "fail", "{:?}", row.reason);
                    if to.is_none_or(|to| to == TRAVELLERS[*place]) {
                        let expected = predicted(model[*place], *state, *policy);
                        // A copy may be there already.
                        let is_there = expected == "copy" && row.reason.as_deref() == Some("identical");
                        prop_assert!(row.action == expected || is_there, "{row:?}, not {expected}");
                        if matches!(row.action, "create" | "update" | "replace") {
                            model[*place] = Some(*state);
                        }
                    }
                    if row.action != "skip" {
                        touched.push(row.target.id.clone().expect("it went somewhere"));
                    }
                }
                prop_assert_eq!(report.import_id.is_some(), !touched.is_empty());
                let after = world.listing();
                for (name, bytes) in listed.iter().filter(|((_, id), _)| !touched.contains(id)) {
                    prop_assert!(after.get(name) == Some(bytes), "{name:?} was not to change");
                }
                for id in &touched {
                    prop_assert!(after.keys().any(|(_, there)| there == id), "{id} is not there");
                }
                let tree = world.tree();
                let again = world.import(&archive, *policy, *to, false);
                prop_assert_eq!(again.import_id, None, "a second time there is nothing to do");
                prop_assert_eq!(difference(&tree, &world.tree()), Vec::<String>::new());
                if report.import_id.is_some() {
                    past.push(before);
                }
            }
            Deed::Move => {
                if world.follow().is_some() {
                    past.push(before);
                }
            }
            Deed::Undo => match past.pop() {
                Some(then) => {
                    undo(&mut world, &then)?;
                    model = then.model;
                }
                None => prop_assert!(journal::undo(&world.env, None, false).is_err(), "there is nothing"),
            },
        }
    }
    while let Some(then) = past.pop() {
        undo(&mut world, &then)?;
    }
    Ok(())
}

fn undo(world: &mut World, then: &Before) -> Result<(), TestCaseError> {
    let undone = journal::undo(&world.env, None, false);
    prop_assert!(undone.is_ok(), "{undone:?}");
    world.folder = then.folder;
    prop_assert_eq!(difference(&then.tree, &world.tree()), Vec::<String>::new(), "an undo");
    Ok(())
}

/// The tree with the lines in a defined order, in files that sessions share.
fn sorted(mut tree: Tree) -> Tree {
    for (path, node) in &mut tree {
        if let (true, Node::File { bytes, .. }) = (path.ends_with("session_index.jsonl"), node) {
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            lines.sort_unstable();
            *bytes = lines.concat();
        }
    }
    tree
}

#[test]
fn undo_is_the_inverse_of_whatever_was_done() {
    let sessions = Sessions::new();
    proptest!(config(), |(deeds in vec(deed(), 1..6))| journey(&sessions, &deeds)?);
}

/// One that was met.
#[test]
fn a_session_that_was_taken_back_comes_again_and_moves_twice() {
    let import = || Deed::Import { which: vec![2], state: State::Short, policy: OnConflict::Skip, to: None };
    let deeds = [import(), Deed::Undo, import(), Deed::Move, Deed::Move];
    journey(&Sessions::new(), &deeds).unwrap();
}

#[test]
fn the_order_of_imports_does_not_matter() {
    let sessions = Sessions::new();
    let orders = (
        Just(vec![0, 1, 2]).prop_shuffle(),
        Just(vec![0, 1, 2]).prop_shuffle(),
        proptest::option::of(select(TRAVELLERS.to_vec())),
    );
    proptest!(config(), |((one, other, to) in orders, together in any::<bool>())| {
        let world = World::new();
        let empty = world.tree();
        let mut trees = Vec::new();
        for order in [one, other] {
            let archives = if together && trees.is_empty() {
                vec![sessions.archive(&order, State::Long)]
            } else {
                order.iter().map(|place| sessions.archive(&[*place], State::Long)).collect()
            };
            for archive in &archives {
                world.import(archive, OnConflict::Skip, to, false);
            }
            trees.push(sorted(world.tree()));
            for _ in &archives {
                journal::undo(&world.env, None, false).expect("an undo");
            }
            prop_assert_eq!(difference(&empty, &world.tree()), Vec::<String>::new());
        }
        prop_assert_eq!(difference(&trees[0], &trees[1]), Vec::<String>::new());
    });
}
