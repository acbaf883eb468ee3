//! Runs this test binary again under strace: to see its system calls, or to let one of them fail.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// The calls that change something, or decide whether something can be changed.
pub const CALLS: &str = "openat,write,pwrite64,fsync,fdatasync,syncfs,rename,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,\
                         flock,ftruncate,fchmod,utimensat,copy_file_range,sendfile";

/// Where in the log the scenario begins and ends: the driver looks at these files.
pub const BEGIN: &str = "/holdall-crash-test-begins";
pub const END: &str = "/holdall-crash-test-ends";

/// Strace counts calls for each thread on its own, and libtest has one too. The driver makes so many
/// calls first that the numbers of the scenario's calls are its alone.
const WARM_UP: usize = 50;

/// Makes calls that mean nothing.
pub fn warm_up() {
    for _ in 0..WARM_UP {
        let mut file = std::fs::File::options().write(true).open("/dev/null").unwrap();
        file.write_all(b"x").unwrap();
    }
}

/// What became of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Killed,
}

/// How strace is run: all threads, handles with the files that they are of, no text.
pub const ARGUMENTS: [&str; 5] = ["-f", "-y", "-s", "0", "-q"];

/// Runs `crash::driver` with a scenario under strace with these arguments.
fn run(scenario: &str, root: &Path, arguments: &[&str], injections: &[&str]) -> ExitStatus {
    let driver = std::env::current_exe().unwrap();
    Command::new("strace")
        .args(ARGUMENTS)
        .args(arguments)
        .args(injections.iter().map(|injection| format!("-einject={injection}")))
        .arg(driver)
        .args(["--exact", "crash::driver", "--nocapture", "--test-threads", "1"])
        .env("HOLDALL_CRASH", scenario)
        .env("HOLDALL_CRASH_ROOT", root)
        .env("RUST_BACKTRACE", "0")
        .env_remove("LD_LIBRARY_PATH") // Cargo's; the loader would open hundreds of files.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("these tests need strace: apt install strace")
}

/// Runs a scenario with injections, such as `rename:signal=KILL:when=3`.
pub fn inject(scenario: &str, root: &Path, injections: &[&str]) -> Exit {
    let calls: Vec<&str> = injections.iter().map(|injection| injection.split(':').next().unwrap()).collect();
    let trace = format!("trace={}", calls.join(","));
    let status = run(scenario, root, &["-o", "/dev/null", "-e", &trace], injections);
    match status.code() {
        Some(code) => Exit::Code(code),
        None if status.signal() == Some(9) => Exit::Killed,
        None => panic!("{scenario} with {injections:?} ended with {status}"),
    }
}

/// A system call of the scenario.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: String,
    /// Its number among the calls of this name in its thread: so strace counts.
    pub number: usize,
    /// The file that its first argument is a handle of.
    pub handle: Option<String>,
    /// The paths in its arguments.
    pub paths: Vec<String>,
    pub failed: bool,
    /// It opens a file only to read it.
    pub reads: bool,
}

/// Runs a scenario, with nothing but these injections, and returns its exit code and its calls.
pub fn record(scenario: &str, root: &Path, injections: &[&str]) -> (i32, Vec<Call>) {
    let log = root.join("strace.log");
    let trace = format!("trace={CALLS},statx,stat");
    let status = run(scenario, root, &["-o", log.to_str().unwrap(), "-e", &trace], injections);
    let text = std::fs::read_to_string(&log).expect("strace writes a log; does this system allow ptrace?");
    std::fs::remove_file(&log).unwrap();
    let mut threads = BTreeMap::<&str, Vec<Call>>::new();
    for (thread, call) in calls(&text) {
        threads.entry(thread).or_default().push(call);
    }
    let is_driver = |calls: &&Vec<Call>| calls.iter().any(|call| call.paths == [BEGIN]);
    let calls = threads.values().find(is_driver).expect("the driver sets marks");
    let others = threads.values().filter(|calls| !is_driver(calls)).flatten();
    let most = others.filter(|call| !is_look(call)).map(|call| call.number).max().unwrap_or(0);
    assert!(most < WARM_UP, "the first calls of the scenario would be those of libtest");
    let place =
        |mark: &str| calls.iter().position(|call| call.paths == [mark]).expect("the driver sets marks");
    let (begin, end) = (place(BEGIN), place(END));
    let mut scenario = calls[begin + 1..end].to_vec();
    scenario.retain(|call| !is_look(call));
    (status.code().expect("undisturbed"), scenario)
}

fn is_look(call: &Call) -> bool {
    matches!(call.name.as_str(), "statx" | "stat")
}

/// The calls in a log in their order, each with the thread that made it.
pub fn calls(log: &str) -> Vec<(&str, Call)> {
    let mut numbers = BTreeMap::<(&str, &str), usize>::new();
    let call = |line| {
        let (thread, line): (&str, &str) = str::split_once(line, ' ')?;
        let (name, rest) = line.trim_start().split_once('(')?;
        let number = numbers.entry((thread, name)).or_default();
        *number += 1;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let handle = arguments.split_once('<').filter(|(digits, _)| digits.parse::<u32>().is_ok());
        let handle = handle.and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_owned());
        let paths = arguments.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        let (failed, reads) = (result.starts_with('-'), arguments.contains("O_RDONLY"));
        Some((thread, Call { name: name.to_owned(), number: *number, handle, paths, failed, reads }))
    };
    log.lines().filter_map(call).collect()
}
