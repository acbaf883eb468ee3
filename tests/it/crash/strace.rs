//! Runs this test binary again under strace: to see its system calls, or to let one of them fail.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// The calls that change something, or decide whether something can be changed.
pub const CALLS: &str = "openat,creat,write,writev,pwrite64,pwritev,fsync,fdatasync,syncfs,rename,renameat,renameat2,\
                         link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,flock,fcntl,truncate,ftruncate,\
                         fallocate,chmod,fchmod,fchmodat,chown,fchown,fchownat,utimensat,copy_file_range,sendfile";

/// The calls that read, or look.
pub const READS: &str = "openat,read,pread64,readv,preadv,getdents64,lseek,statx,stat,lstat,newfstatat";

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
        rustix::io::fcntl_getfd(&file).unwrap();
    }
}

/// What became of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Killed,
}

/// How strace is run: all threads, no text.
pub const ARGUMENTS: [&str; 4] = ["-f", "-s", "0", "-q"];

/// No stop at calls that nobody asks for. A signal cannot be sent then.
pub const FAST: &str = "--seccomp-bpf";

/// To see the file behind a handle.
pub const WITH_FILES: &str = "-y";

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
    let mut arguments = vec!["-o", "/dev/null", "-e", &trace];
    if !injections.iter().any(|injection| injection.contains("signal=")) {
        arguments.push(FAST);
    }
    let status = run(scenario, root, &arguments, injections);
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
    /// Not one of those that have a name for many things, and do none of those that are looked for.
    pub counts: bool,
}

/// Runs a scenario, with nothing but these injections, and returns its exit code and its calls.
pub fn record(scenario: &str, root: &Path, injections: &[&str]) -> (i32, Vec<Call>) {
    let log = root.join("strace.log");
    let trace = format!("trace={CALLS},statx,stat");
    let arguments = [FAST, WITH_FILES, "-o", log.to_str().unwrap(), "-e", &trace];
    let status = run(scenario, root, &arguments, injections);
    let text = std::fs::read_to_string(&log).expect("strace writes a log; does this system allow ptrace?");
    std::fs::remove_file(&log).unwrap();
    let mut threads = BTreeMap::<&str, Vec<Call>>::new();
    for (thread, call) in calls(&text) {
        threads.entry(thread).or_default().push(call);
    }
    let is_driver = |calls: &&Vec<Call>| calls.iter().any(|call| call.paths == [BEGIN]);
    let calls = threads.values().find(is_driver).expect("the driver sets marks");
    let others = threads.values().filter(|calls| !is_driver(calls)).flatten();
    let mut most = BTreeMap::<&str, usize>::new();
    for call in others {
        let most = most.entry(&call.name).or_default();
        *most = call.number.max(*most);
    }
    let place =
        |mark: &str| calls.iter().position(|call| call.paths == [mark]).expect("the driver sets marks");
    let (begin, end) = (place(BEGIN), place(END));
    let mut scenario = calls[begin + 1..end].to_vec();
    scenario.retain(|call| !is_look(call) && call.counts);
    for call in &scenario {
        let most = most.get(call.name.as_str());
        assert!(most.is_none_or(|most| *most < call.number), "{call:?} has the number of one of libtest's");
    }
    (status.code().expect("undisturbed"), scenario)
}

fn is_look(call: &Call) -> bool {
    matches!(call.name.as_str(), "statx" | "stat")
}

/// The calls in a log in their order, each with the thread that made it.
pub fn calls(log: &str) -> Vec<(&str, Call)> {
    const UNFINISHED: &str = " <unfinished ...>";
    let mut numbers = BTreeMap::<(&str, String), usize>::new();
    // Another thread came in between: the rest of the line follows later.
    let mut begun = BTreeMap::<&str, String>::new();
    let call = |line| {
        let (thread, line): (&str, &str) = str::split_once(line, ' ')?;
        let mut line = line.trim_start().to_owned();
        if let Some(begin) = line.strip_suffix(UNFINISHED) {
            begun.insert(thread, begin.to_owned());
            return None;
        }
        if let Some((_, end)) = line.split_once(" resumed>").filter(|_| line.starts_with("<...")) {
            line = begun.remove(thread)? + end;
        }
        let (name, rest) = line.split_once('(')?;
        let number = numbers.entry((thread, name.to_owned())).or_default();
        *number += 1;
        let (arguments, result) = rest.rsplit_once(" = ")?;
        let handle = arguments.split_once('<').filter(|(digits, _)| digits.parse::<u32>().is_ok());
        let handle = handle.and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_owned());
        let paths = arguments.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        let (failed, reads) = (result.starts_with('-'), arguments.contains("O_RDONLY"));
        let counts = name != "fcntl" || arguments.contains("F_SETLK");
        Some((thread, Call { name: name.to_owned(), number: *number, handle, paths, failed, reads, counts }))
    };
    log.lines().filter_map(call).collect()
}
