//! The points of a matrix: what can happen to which call. All of them are many thousand; a usual run
//! takes every n-th, always the same ones, and `HOLDALL_FULL=1` (`scripts/crash`) takes them all.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::scratch;
use super::strace::Call;

/// What happens to one call, or from it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The name of the call.
    pub call: String,
    /// As strace writes it; `+`: to every later one of its name as well.
    pub fault: &'static str,
    /// Its number among the calls of its name.
    pub number: usize,
}

impl Point {
    pub fn new(call: &Call, fault: &'static str) -> Self {
        Self { call: call.name.clone(), fault, number: call.number }
    }

    /// For strace's option `-e inject=`.
    pub fn injection(&self) -> String {
        let Self { call, fault, number } = self;
        match fault.strip_suffix('+') {
            Some(fault) => format!("{call}:{fault}:when={number}+"),
            None => format!("{call}:{fault}:when={number}"),
        }
    }

    pub fn kills(&self) -> bool {
        self.fault == KILL
    }

    /// The column of the table of counts.
    fn column(&self) -> &'static str {
        let name = self.fault.trim_end_matches('+').trim_start_matches("signal=");
        let name = name.trim_start_matches("error=");
        if ["KILL", "ENOSPC", "EIO", "EACCES"].contains(&name) { name } else { "other" }
    }
}

pub const KILL: &str = "signal=KILL";

/// What every call is made to meet that changes something.
const USUAL: [&str; 4] = [KILL, "error=ENOSPC", "error=EIO", "error=EACCES"];

/// What can happen to a call. A lock, and a file that is opened to be read, change nothing on the disk:
/// a kill there is one at the call before, and neither needs space.
fn faults(call: &Call, special: bool) -> Vec<&'static str> {
    let (usual, more): (&[&str], &[&str]) = match call.name.as_str() {
        "openat" if call.reads => (&["error=EIO", "error=EACCES"], &["error=EMFILE"]),
        "fcntl" | "flock" => (&["error=EIO", "error=EACCES"], &["error=ENOLCK"]),
        "pwrite64" => (&USUAL, &["error=ENOSPC+", "error=EIO+"]),
        "write" => (&USUAL, &["error=EINTR", "error=ENOSPC+"]),
        "fsync" | "fdatasync" | "syncfs" | "rename" | "renameat2" | "unlink" => (&USUAL, &["error=EIO+"]),
        "linkat" => (&USUAL, &["error=EIO+", "error=EPERM"]),
        "mkdir" => (&USUAL, &["error=EACCES+"]),
        "openat" => (&USUAL, &["error=EMFILE"]),
        "fchmod" | "utimensat" | "ftruncate" => (&USUAL, &["error=EPERM"]),
        _ => (&USUAL, &[]),
    };
    if special { [usual, more].concat() } else { usual.to_vec() }
}

/// Everything that can happen to these calls, in their order; without `special`, only what every
/// call is made to meet.
pub fn of(calls: &[Call], special: bool) -> Vec<Point> {
    let of_one = |call: &Call| -> Vec<Point> {
        faults(call, special).into_iter().map(|fault| Point::new(call, fault)).collect()
    };
    calls.iter().flat_map(of_one).collect()
}

/// Whether the whole matrix is asked for.
pub fn is_full() -> bool {
    std::env::var_os("HOLDALL_FULL").is_some_and(|value| value == "1")
}

/// Every `n`-th of the points, from one on that `name` decides; all of them in a full run.
pub fn part<T>(name: &str, points: Vec<T>, n: usize) -> Vec<T> {
    if is_full() {
        return points;
    }
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let first = (hash >> 32) as usize % n.min(points.len()).max(1);
    points.into_iter().skip(first).step_by(n).collect()
}

/// Prints how many points passed, a column each, for `scripts/crash` to add up.
pub fn count<'p>(operation: &str, store: &str, passed: impl IntoIterator<Item = &'p Point>) {
    let mut columns = BTreeMap::<&str, usize>::new();
    for point in passed {
        *columns.entry(point.column()).or_default() += 1;
    }
    for (column, points) in columns {
        tally(operation, store, column, points);
    }
}

/// One cell of the table.
pub fn tally(operation: &str, store: &str, column: &str, points: usize) {
    println!("passed | {operation} | {store} | {column} | {points}");
}

/// Points at a time, for each processor.
const AT_ONCE: usize = 3;

/// Runs `points`, each in a directory of its own; panics with all that failed. There are more at a time than
/// processors: where a fault says that a lock is taken, the program waits for seconds and does nothing.
pub fn for_each<T: Sync>(points: &[T], run: impl Fn(&T, &Path) + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = AT_ONCE * std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(points.len()) {
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

#[test]
fn a_part_is_spread_and_always_the_same() {
    if is_full() {
        return;
    }
    let all: Vec<usize> = (0..100).collect();
    let some = part("import", all.clone(), 7);
    assert_eq!(some, part("import", all, 7));
    assert!(
        (14..=15).contains(&some.len()) && some.windows(2).all(|pair| pair[1] - pair[0] == 7),
        "{some:?}"
    );
    assert_eq!(part("import", vec![1], 7), [1]);
}
