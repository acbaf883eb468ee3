//! Kill -9 and a refusing disk at every system call of an import, an undo and a recovery.
//!
//! A test runs this very binary again, under strace, as [`driver`] with a scenario; strace kills
//! it at its n-th call, or lets that call fail. Then this process recovers what is left and looks:
//! each session must be wholly as it was or wholly new, nothing else may have changed, and the
//! undo of what is there must bring back the home to the byte.

pub mod strace;
mod world;

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use strace::{Call, Exit};
use world::{DONE, ERROR, FULL, SESSIONS, Snapshot, World};

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

/// A world in which the scenario can run, and the home as it was before any import.
fn prepare(scenario: &str, root: &Path) -> (World, Snapshot) {
    let world = World::make(root);
    let before = world.snapshot();
    if let Some(kind) = scenario.strip_prefix("undo-") {
        assert_eq!(world.import(kind, SESSIONS), DONE + 0b111);
    }
    (world, before)
}

fn kind(scenario: &str) -> &str {
    scenario.split_once('-').unwrap().1
}

/// Recovers and looks. `exit` is what the driver said; it must be true.
fn check(world: &World, scenario: &str, before: &Snapshot, exit: Exit) {
    let kind = kind(scenario);
    if let Exit::Code(code) = exit {
        assert!([ERROR, FULL].contains(&code) || code & !0b111 == DONE, "the driver failed with {code}");
        if code >= DONE {
            assert_eq!(world.sessions_in_place(kind, before), code & 0b111, "what the driver said is there");
        }
    }
    assert_eq!(world.recover(), DONE);
    let bits = world.sessions_in_place(kind, before);
    world.check_journal(scenario, bits);
    if bits != 0 {
        assert_eq!(world.undo(), DONE);
    }
    assert_eq!(&world.snapshot(), before, "the undo brings back everything");
}

/// Runs `points` on all processors, each in a directory of its own; panics with all that failed.
pub fn for_each_point<T: Sync>(points: &[T], run: impl Fn(&T, &Path) + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let dir = scratch();
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = catch_unwind(AssertUnwindSafe(|| run(point, &dir.path().join("w"))));
                    if let Err(panic) = result {
                        failures.lock().unwrap().push(message(&*panic));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} points failed:\n{}",
        failures.len(),
        points.len(),
        failures.join("\n")
    );
}

/// Runs a point and names it when it fails.
pub fn naming<T>(point: &str, run: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => value,
        Err(panic) => panic!("{point}: {}", message(&*panic)),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let fixed = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    fixed.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The numbers of the scenario's calls, by name.
fn numbers(calls: &[Call]) -> BTreeMap<&str, Vec<usize>> {
    let mut numbers = BTreeMap::<&str, Vec<usize>>::new();
    for call in calls {
        numbers.entry(&call.name).or_default().push(call.number);
    }
    numbers
}

/// What can happen to a call, as strace writes it; `+`: to every later one of its name as well.
fn faults(call: &str) -> &'static [&'static str] {
    match call {
        "pwrite64" => &["signal=KILL", "error=ENOSPC", "error=EIO", "error=ENOSPC+", "error=EIO+"],
        "write" => &["signal=KILL", "error=ENOSPC", "error=EIO", "error=EINTR", "error=ENOSPC+"],
        "fsync" | "fdatasync" | "syncfs" => &["signal=KILL", "error=EIO", "error=ENOSPC", "error=EIO+"],
        "mkdir" => &["signal=KILL", "error=ENOSPC", "error=EACCES+"],
        "openat" => &["signal=KILL", "error=EMFILE"],
        "rename" | "renameat2" | "linkat" | "unlink" => {
            &["signal=KILL", "error=EACCES", "error=EIO", "error=EIO+"]
        }
        "fchmod" | "utimensat" | "ftruncate" => &["signal=KILL", "error=EPERM"],
        _ => &["signal=KILL"],
    }
}

pub fn injection(call: &str, fault: &str, number: usize) -> String {
    match fault.strip_suffix('+') {
        Some(fault) => format!("{call}:{fault}:when={number}+"),
        None => format!("{call}:{fault}:when={number}"),
    }
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
    let (code, calls) = strace::record(scenario, &world.root, system);
    let in_place = if scenario.starts_with("undo") { 0 } else { 0b111 };
    assert_eq!(code, DONE + in_place);
    check(&world, scenario, &before, Exit::Code(code));

    let mut points = Vec::new();
    let possible = |call: &str| !system.iter().any(|fault| fault.starts_with(call));
    for (call, numbers) in numbers(&calls).into_iter().filter(|(call, _)| possible(call)) {
        for fault in faults(call).iter().take(if system.is_empty() { usize::MAX } else { 1 }) {
            points.extend(numbers.iter().map(|number| injection(call, fault, *number)));
        }
    }
    let killed = AtomicUsize::new(0);
    for_each_point(&points, |point, root| {
        naming(point, || {
            let (world, before) = prepare(scenario, root);
            let exit = strace::inject(scenario, root, &[system, &[point]].concat());
            if point.contains("KILL") {
                assert_eq!(exit, Exit::Killed);
                killed.fetch_add(1, Ordering::Relaxed);
            }
            assert!(!point.contains("ENOSPC") || exit != Exit::Code(ERROR), "no advice to free some space");
            check(&world, scenario, &before, exit);
        });
    });
    let killed = killed.into_inner();
    println!(
        "{scenario} {system:?}: {killed} kills and {} errors in {:.1?}",
        points.len() - killed,
        start.elapsed()
    );
    assert!(killed > 60, "the scenario has as many calls as it should");
}

/// A crash, and then another one or an error at every call of the recovery.
fn every_point_of_recovery(scenario: &str, crashes: usize) {
    let start = Instant::now();
    let dir = scratch();
    let (world, _) = prepare(scenario, &dir.path().join("w"));
    let (_, calls) = strace::record(scenario, &world.root, &[]);
    let changes: Vec<&Call> =
        calls.iter().filter(|call| call.name != "openat" && call.name != "flock").collect();
    let spread = (1..=crashes).map(|part| changes[part * changes.len() / (crashes + 1)]);
    let firsts: Vec<String> = spread.map(|call| injection(&call.name, "signal=KILL", call.number)).collect();

    let count = AtomicUsize::new(0);
    for_each_point(&firsts, |first, root| {
        let (world, before) = prepare(scenario, root);
        assert_eq!(strace::inject(scenario, root, &[first]), Exit::Killed);
        let saved = root.with_extension("saved");
        world.copy_to(&saved);
        let (code, calls) = strace::record("recover", root, &[]);
        assert_eq!(code, DONE);
        for (call, numbers) in numbers(&calls) {
            for (fault, number) in
                faults(call).iter().take(2).flat_map(|f| numbers.iter().map(move |n| (f, n)))
            {
                let point = injection(call, fault, *number);
                naming(&format!("{first}, then {point}"), || {
                    World { root: saved.clone() }.copy_to(root);
                    let exit = strace::inject("recover", root, &[&point]);
                    assert!(
                        [Exit::Killed, Exit::Code(DONE), Exit::Code(ERROR), Exit::Code(FULL)].contains(&exit),
                        "{exit:?}"
                    );
                    assert!(
                        !point.contains("ENOSPC") || exit != Exit::Code(ERROR),
                        "no advice to free some space"
                    );
                    check(&world, scenario, &before, Exit::Killed);
                });
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
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
    let points: Vec<String> = opens.map(|call| injection("openat", "error=EACCES", call.number)).collect();
    assert!(points.len() >= 2, "{points:?}");
    for_each_point(&points, |point, root| {
        naming(point, || {
            let (world, before) = prepare(scenario, root);
            let exit = strace::inject(scenario, root, &[point]);
            assert!(exit != Exit::Code(DONE + 0b111) && exit != Exit::Killed, "{exit:?}");
            check(&world, scenario, &before, exit);
        });
    });
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
    every_point_of_recovery("import-rows-new", 3);
    every_point_of_recovery("import-rows-changed", 3);
    every_point_of_recovery("undo-rows-changed", 3);
}

/// An archive is there whole or not at all, and nothing else is.
#[test]
fn export() {
    for scenario in ["export", "export-over-old"] {
        let dir = scratch();
        let prepare = |root: &Path| {
            let world = World::make(root);
            if scenario == "export-over-old" {
                fs::write(world.archive(), "old").unwrap();
            }
            world
        };
        let world = prepare(&dir.path().join("w"));
        let (code, calls) = strace::record(scenario, &world.root, &[]);
        assert_eq!((code, fs::read_to_string(world.archive()).unwrap().len()), (DONE, World::ARCHIVE_BYTES));
        let points: Vec<String> = numbers(&calls)
            .into_iter()
            .flat_map(|(call, numbers)| faults(call).iter().map(move |fault| (call, fault, numbers.clone())))
            .flat_map(|(call, fault, numbers)| {
                numbers.into_iter().map(move |number| injection(call, fault, number))
            })
            .collect();
        for_each_point(&points, |point, root| {
            naming(point, || {
                let world = prepare(root);
                let old = fs::read_to_string(world.archive()).ok();
                let before = world.snapshot();
                let exit = strace::inject(scenario, root, &[point]);
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
                if !(scenario == "export-over-old" && point.starts_with("rename:signal=KILL")) {
                    assert!(after.keys().all(|path| before.contains_key(path)), "{after:?}");
                }
            });
        });
        println!("{scenario}: {} points", points.len());
    }
}

/// What a kill cannot show, as the kernel keeps what was written: that everything is made durable
/// before what relies on it.
#[test]
fn order_of_syncs() {
    for (scenario, journal) in [
        ("import-new", "journal"),
        ("import-changed", "journal"),
        ("import-many", "journal"),
        ("undo-new", "undo"),
        ("undo-changed", "undo"),
        ("import-rows-new", "journal"),
        ("import-rows-changed", "journal"),
        ("undo-rows-changed", "undo"),
    ] {
        let dir = scratch();
        let (world, _) = prepare(scenario, &dir.path().join("w"));
        let (_, calls) = strace::record(scenario, &world.root, &[]);
        naming(scenario, || check_order(&world, &calls, journal));
    }
}

fn check_order(world: &World, calls: &[Call], journal: &str) {
    let home = world.home();
    let in_home = |path: &str| Path::new(path).starts_with(&home);
    let is_rename = |call: &Call| matches!(call.name.as_str(), "rename" | "renameat2") && !call.failed;
    let synced = |path: &str, from: usize, to: usize| {
        calls[from..to].iter().any(|call| {
            let this =
                matches!(call.name.as_str(), "fsync" | "fdatasync") && call.handle.as_deref() == Some(path);
            (this || call.name == "syncfs") && !call.failed
        })
    };
    // The journal's states, by the place of the rename that brought each.
    let states: Vec<usize> = (0..calls.len())
        .filter(|place| {
            is_rename(&calls[*place]) && calls[*place].paths[1].ends_with(&format!("{journal}.json"))
        })
        .collect();
    assert!((3..=4).contains(&states.len()), "staging, prepared, (applied,) done: {}", states.len());
    for state in &states {
        let dir = Path::new(&calls[*state].paths[1]).parent().unwrap().to_str().unwrap();
        assert!(synced(&calls[*state].paths[0], 0, *state), "a journal is durable before it gets its name");
        assert!(synced(dir, *state, calls.len()), "and its name after");
    }

    let (prepared, next) = (states[1], states[2]);
    let prepared_dir = Path::new(&calls[prepared].paths[1]).parent().unwrap().to_str().unwrap();
    let prepared_durable = (prepared..next).find(|place| synced(prepared_dir, prepared, place + 1)).unwrap();
    let mut changed = 0;
    for (place, call) in calls.iter().enumerate().filter(|(_, call)| !call.failed) {
        let changes_home = match call.name.as_str() {
            "rename" | "renameat2" | "linkat" => in_home(&call.paths[0]),
            // SQLite makes and removes its log as it likes; what counts is what is written into it.
            "unlink" => in_home(&call.paths[0]) && !call.paths[0].contains("/data.db-"),
            "write" | "pwrite64" | "ftruncate" => {
                let path = call.handle.as_deref().unwrap_or_default();
                in_home(path) && !path.contains("/.holdall-") && !path.ends_with("/data.db-shm")
            }
            _ => false,
        };
        if !changes_home {
            continue;
        }
        changed += 1;
        assert!(place > prepared_durable, "{call:?} comes before the journal is durably \"prepared\"");
        if is_rename(call) && call.paths[0].ends_with(".tmp") {
            let last_write = calls[..place]
                .iter()
                .rposition(|write| write.name == "write" && write.handle.as_ref() == Some(&call.paths[0]));
            assert!(
                synced(&call.paths[0], last_write.unwrap_or(0), place),
                "{call:?}: its data is not durable"
            );
        }
        if place < next {
            let path = match &call.handle {
                Some(file) => file.as_str(),
                None => Path::new(call.paths.last().unwrap()).parent().unwrap().to_str().unwrap(),
            };
            assert!(synced(path, place, next), "{call:?} is not durable when the journal goes on");
        }
    }
    assert!(changed >= 7, "the scenario changes files: {changed}");
}
