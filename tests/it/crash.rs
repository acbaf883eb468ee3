//! Kill -9 and a refusing disk at every system call of an import, an undo and a recovery.
//!
//! A test runs this very binary again, under strace, as [`driver`] with a scenario; strace kills
//! it at its n-th call, or lets that call fail. Then this process recovers what is left and looks:
//! each session must be wholly as it was or wholly new, nothing else may have changed, and the
//! undo of what is there must bring back the home to the byte.

pub mod order;
pub mod points;
pub mod strace;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use points::{KILL, Point, for_each, naming, part};
use strace::{Call, Exit};
use world::{DONE, ERROR, FULL, SESSIONS, Snapshot, World};

/// Of so many points one is run where not all are asked for. A prime, so that all that can happen
/// comes in turn.
const ONE_IN: usize = 11;

/// What the tests run under strace. Does nothing in a normal test run.
#[test]
fn driver() {
    let (Ok(scenario), Some(root)) = (std::env::var("HOLDALL_CRASH"), std::env::var_os("HOLDALL_CRASH_ROOT"))
    else {
        return;
    };
    let world = World { root: PathBuf::from(root) };
    strace::warm_up();
    let _ = fs::metadata(strace::BEGIN);
    let code = match scenario.as_str() {
        "import-many" => world.import("new", 40),
        "recover" => world.recover(),
        "export" => world.export(false),
        "export-over-old" => world.export(true),
        other => match other.split_once('-') {
            Some(("import", kind)) => world.import(kind, SESSIONS),
            Some(("undo", _)) => world.undo(),
            _ => panic!("no scenario {other}"),
        },
    };
    let _ = fs::metadata(strace::END);
    // Without the summary of libtest, whose writes may be made to fail.
    std::process::exit(code);
}

/// A directory on a disk in memory, where there is one: fsync costs nothing there.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.unwrap()
}

/// A world in which the scenario can run, and the home as it was before any import. Made once beside
/// `root`, then copied.
fn prepare(scenario: &str, root: &Path) -> (World, Snapshot) {
    let (made, before) = (root.with_extension(scenario), root.with_extension("before"));
    if !made.exists() {
        let world = World::make(root);
        world.copy_to(&before);
        if let Some(kind) = scenario.strip_prefix("undo-") {
            assert_eq!(world.import(kind, SESSIONS), DONE + 0b111);
        }
        if scenario == "export-over-old" {
            fs::write(world.archive(), "old").unwrap();
        }
        // It comes back to `root`: a journal has absolute paths.
        fs::rename(root, &made).unwrap();
    }
    World { root: made }.copy_to(root);
    (World { root: root.to_owned() }, World { root: before }.snapshot())
}

fn kind(scenario: &str) -> &str {
    scenario.split_once('-').unwrap().1
}

/// How the table of counts calls it: operation and store.
fn title(scenario: &str) -> (&'static str, &'static str) {
    let store = if scenario.contains("rows") { "SQLite" } else { "JSONL + index" };
    let operation = match scenario {
        "import-new" | "import-rows-new" => "import new",
        "import-changed" | "import-rows-changed" => "import replace",
        "import-moved" => "move",
        "undo-moved" => "undo of a move",
        "export" | "export-over-old" => "export",
        _ => "undo",
    };
    (operation, if operation == "export" { "file" } else { store })
}

/// Recovers and looks. `exit` is what the driver said; it must be true. `refused`: a call that removes
/// a directory was refused, so an empty one may be left.
fn check(world: &World, scenario: &str, before: &Snapshot, exit: Exit, refused: bool) {
    let kind = kind(scenario);
    if let Exit::Code(code) = exit {
        assert!([ERROR, FULL].contains(&code) || code & !0b111 == DONE, "the driver failed with {code}");
        if code >= DONE {
            assert_eq!(
                world.sessions_in_place(kind, before, refused),
                code & 0b111,
                "what the driver said is there"
            );
        }
    }
    assert_eq!(world.recover(), DONE);
    let bits = world.sessions_in_place(kind, before, refused);
    world.check_journal(scenario, bits);
    if scenario.starts_with("undo") && bits == 0b111 && !refused {
        let dirs = |snapshot: Snapshot| -> Vec<PathBuf> {
            let is_dir = |entry: &world::Entry| matches!(entry, world::Entry::Dir(_));
            snapshot.into_iter().filter(|(_, entry)| is_dir(entry)).map(|(path, _)| path).collect()
        };
        let imported = World { root: world.root.with_extension(scenario) };
        assert_eq!(dirs(world.snapshot()), dirs(imported.snapshot()), "directories of an undo that was not");
    }
    if bits != 0 {
        assert_eq!(world.undo(), DONE);
    }
    let mut now = world.snapshot();
    if refused {
        world::forget_empty(&mut now, before);
    }
    assert_eq!(&now, before, "the undo brings back everything");
}

/// File systems that cannot do everything: to each call that they do not know they give an error.
const NFS: &[&str] = &["renameat2:error=EINVAL"];
const FAT: &[&str] = &["renameat2:error=EINVAL", "linkat:error=EPERM"];

/// Every call of a scenario, with everything that can happen to it. On a file system that cannot do
/// everything, only the kills.
fn every_point(scenario: &str, system: &[&str]) {
    let start = Instant::now();
    let dir = scratch();
    let (world, before) = prepare(scenario, &dir.path().join("w"));
    let (code, mut calls) = strace::record(scenario, &world.root, system);
    let in_place = if scenario.starts_with("undo") { 0 } else { 0b111 };
    assert_eq!(code, DONE + in_place);
    check(&world, scenario, &before, Exit::Code(code), false);
    assert!(calls.len() > 60, "the scenario has as many calls as it should");

    calls.retain(|call| !system.iter().any(|fault| fault.starts_with(&call.name)));
    let mut points = points::of(&calls, true);
    if !system.is_empty() {
        points.retain(Point::kills);
    }
    let (of_sqlite, all) = (paths_of_sqlite(&calls), points.len());
    let points = part(&format!("{scenario} {system:?}"), points, ONE_IN);
    for_each(&points, |point, root| {
        let injection = point.injection();
        naming(&format!("{scenario} {system:?} {injection}"), || {
            let (world, before) = prepare(scenario, root);
            let exit = strace::inject(scenario, root, &[system, &[&injection]].concat());
            if point.kills() {
                assert_eq!(exit, Exit::Killed);
            }
            check_advice(point, exit, &of_sqlite);
            check(&world, scenario, &before, exit, point.call == "rmdir" && !point.kills());
        });
    });
    let (operation, store) = title(scenario);
    points::count(operation, store, &points);
    println!("{scenario} {system:?}: {} of {all} points in {:.1?}", points.len(), start.elapsed());
}

/// The calls that open or lock files of SQLite's: it does not tell what refused them.
fn paths_of_sqlite(calls: &[Call]) -> Vec<(String, usize)> {
    let is_sqlite = |call: &&Call| {
        let mut paths = call.paths.iter().chain(&call.handle);
        // Rows are tried out in a database of our own, among their documents.
        let of_sqlite = |path: &String| path.contains("/data.db") || path.contains("/rows/");
        !call.name.starts_with("pwrite") && paths.any(of_sqlite)
    };
    calls.iter().filter(is_sqlite).map(|call| (call.name.clone(), call.number)).collect()
}

/// A full disk is an error that says what to do.
fn check_advice(point: &Point, exit: Exit, of_sqlite: &[(String, usize)]) {
    let told = of_sqlite.iter().any(|(call, number)| *call == point.call && *number == point.number);
    let full = point.fault.contains("ENOSPC") && !told;
    assert!(!full || exit != Exit::Code(ERROR), "no advice to free some space");
}

/// In so many the calls of a recovery are shared out.
const SHARES: usize = 4;

/// A crash, and then another one or an error at every call of the recovery.
fn every_point_of_recovery(scenario: &str, crashes: usize) {
    let start = Instant::now();
    let dir = scratch();
    let (world, _) = prepare(scenario, &dir.path().join("w"));
    let (_, calls) = strace::record(scenario, &world.root, &[]);
    let changes: Vec<&Call> =
        calls.iter().filter(|call| !["openat", "flock", "fcntl"].contains(&call.name.as_str())).collect();
    let spread = (1..=crashes).map(|part| changes[part * changes.len() / (crashes + 1)]);
    let firsts: Vec<String> = spread.map(|call| Point::new(call, KILL).injection()).collect();

    // What follows one crash is shared out: each share has its own crash.
    let shares: Vec<(&String, usize)> =
        firsts.iter().flat_map(|first| (0..SHARES).map(move |share| (first, share))).collect();
    let count = AtomicUsize::new(0);
    for_each(&shares, |(first, share), root| {
        let (world, before) = prepare(scenario, root);
        assert_eq!(strace::inject(scenario, root, &[first.as_str()]), Exit::Killed);
        let saved = World { root: root.with_extension("saved") };
        world.copy_to(&saved.root);
        let (code, calls) = strace::record("recover", root, &[]);
        assert_eq!(code, DONE);
        let of_sqlite = paths_of_sqlite(&calls);
        let points = points::of(&calls, false);
        let points = part(&format!("{scenario} {first}"), points, ONE_IN);
        let points: Vec<Point> = points.into_iter().skip(*share).step_by(SHARES).collect();
        for point in &points {
            naming(&format!("{scenario} {first}, then {}", point.injection()), || {
                saved.copy_to(root);
                let exit = strace::inject("recover", root, &[&point.injection()]);
                let known = [Exit::Killed, Exit::Code(DONE), Exit::Code(ERROR), Exit::Code(FULL)];
                assert!(known.contains(&exit), "{exit:?}");
                check_advice(point, exit, &of_sqlite);
                check(&world, scenario, &before, Exit::Killed, point.call == "rmdir" && !point.kills());
            });
        }
        points::count("recovery", title(scenario).1, &points);
        count.fetch_add(points.len(), Ordering::Relaxed);
    });
    println!("recovery of {scenario}: {} points in {:.1?}", count.into_inner(), start.elapsed());
}

#[test]
fn import_of_new_sessions() {
    every_point("import-new", &[]);
}

#[test]
fn import_over_old_sessions() {
    every_point("import-changed", &[]);
}

#[test]
fn undo_of_new_sessions() {
    every_point("undo-new", &[]);
}

#[test]
fn undo_over_old_sessions() {
    every_point("undo-changed", &[]);
}

/// Sessions that follow a folder, and the folder itself.
#[test]
fn move_of_a_folder() {
    every_point("import-moved", &[]);
    every_point("import-moved", NFS);
}

#[test]
fn undo_of_a_move() {
    every_point("undo-moved", &[]);
}

/// Rows of a database, some of them beside files. SQLite's own calls are among the points.
#[test]
fn import_of_new_rows() {
    every_point("import-rows-new", &[]);
}

#[test]
fn import_over_old_rows() {
    every_point("import-rows-changed", &[]);
}

#[test]
fn undo_of_new_rows() {
    every_point("undo-rows-new", &[]);
}

#[test]
fn undo_over_old_rows() {
    every_point("undo-rows-changed", &[]);
}

/// Whoever opens the database is told that it cannot be written.
#[test]
fn a_database_that_cannot_be_written() {
    let scenario = "import-rows-new";
    let dir = scratch();
    let (world, _) = prepare(scenario, &dir.path().join("w"));
    let (_, calls) = strace::record(scenario, &world.root, &[]);
    let opens = calls.iter().filter(|call| call.name == "openat" && call.paths[0].ends_with("store/data.db"));
    let points: Vec<Point> = opens.map(|call| Point::new(call, "error=EACCES")).collect();
    assert!(points.len() >= 2, "{points:?}");
    for_each(&points, |point, root| {
        naming(&point.injection(), || {
            let (world, before) = prepare(scenario, root);
            let exit = strace::inject(scenario, root, &[&point.injection()]);
            assert!(exit != Exit::Code(DONE + 0b111) && exit != Exit::Killed, "{exit:?}");
            check(&world, scenario, &before, exit, false);
        });
    });
}

/// Where a refusal once left something behind, or no word of advice.
#[test]
fn refusals_that_were_taken_lightly() {
    let refused: [(&str, &str, &str, usize); 4] = [
        ("import-new", "flock", "error=EIO", usize::MAX),
        ("import-new", "flock", "error=ENOLCK", usize::MAX),
        ("undo-new", "openat", "error=ENOSPC", 1),
        ("undo-rows-changed", "openat", "error=ENOSPC", 1),
    ];
    for (scenario, call, fault, first) in refused {
        let dir = scratch();
        let root = dir.path().join("w");
        let (world, _) = prepare(scenario, &root);
        let (_, calls) = strace::record(scenario, &world.root, &[]);
        let calls = calls.iter().filter(|one| one.name == call && !one.reads).take(first);
        for point in calls.map(|call| Point::new(call, fault)) {
            naming(&format!("{scenario} {}", point.injection()), || {
                let (world, before) = prepare(scenario, &root);
                let exit = strace::inject(scenario, &root, &[&point.injection()]);
                check_advice(&point, exit, &[]);
                check(&world, scenario, &before, exit, false);
            });
        }
    }
}

#[test]
fn file_systems_that_cannot_do_everything() {
    for system in [NFS, FAT] {
        every_point("import-changed", system);
        every_point("undo-changed", system);
    }
}

#[test]
fn recovery() {
    every_point_of_recovery("import-new", 3);
    every_point_of_recovery("import-changed", 4);
    every_point_of_recovery("undo-changed", 4);
}

#[test]
fn recovery_of_a_move() {
    every_point_of_recovery("import-moved", 4);
    every_point_of_recovery("undo-moved", 4);
}

#[test]
fn recovery_of_rows() {
    // Most of their time they wait.
    std::thread::scope(|scope| {
        for scenario in ["import-rows-new", "import-rows-changed", "undo-rows-changed"] {
            scope.spawn(|| every_point_of_recovery(scenario, 3));
        }
    });
}

/// An archive is there whole or not at all, and nothing else is.
#[test]
fn export() {
    for scenario in ["export", "export-over-old"] {
        let dir = scratch();
        let (world, _) = prepare(scenario, &dir.path().join("w"));
        let (code, calls) = strace::record(scenario, &world.root, &[]);
        assert_eq!((code, fs::read_to_string(world.archive()).unwrap().len()), (DONE, World::ARCHIVE_BYTES));
        let points = points::of(&calls, true);
        for_each(&points, |point, root| {
            naming(&format!("{scenario} {}", point.injection()), || {
                let (world, _) = prepare(scenario, root);
                let old = fs::read_to_string(world.archive()).ok();
                let before = world.snapshot();
                let exit = strace::inject(scenario, root, &[&point.injection()]);
                check_advice(point, exit, &[]);
                let mut after = world.snapshot();
                let now = fs::read_to_string(world.archive()).ok();
                if now != old {
                    assert_eq!(now.map(|text| text.len()), Some(World::ARCHIVE_BYTES));
                    assert!(
                        exit == Exit::Killed || exit == Exit::Code(DONE) || old.is_some(),
                        "an error, and an archive"
                    );
                }
                after.retain(|path, _| !path.ends_with("archive"));
                // A new file gets the name of an old one in two steps: a kill between them shows.
                if !(scenario == "export-over-old" && point.call == "rename" && point.kills()) {
                    assert!(after.keys().all(|path| before.contains_key(path)), "{after:?}");
                }
                // And the next export removes it.
                assert_eq!(world.export(true), DONE);
                let names: Vec<PathBuf> = world.snapshot().into_keys().collect();
                let known = |path: &PathBuf| before.contains_key(path) || path.ends_with("archive");
                assert!(names.iter().all(known), "{names:?}");
            });
        });
        points::count("export", "file", &points);
        println!("{scenario}: {} points", points.len());
    }
}
