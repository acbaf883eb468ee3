//! A full disk: small file systems, filled up but for a rest that varies, or without inodes.
//!
//! Whatever fails says that space is missing and leaves everything as it was; when there is space
//! again, all of it works. The file systems are mounted in a mount namespace of their own, which ends
//! with the process that made it.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::crash::points::{is_full, naming, part, tally};
use crate::crash::scratch;
use crate::support::cases;
use crate::support::programs::{Ended, Home, run};
use crate::support::tree::{self, Tree};

/// The directory in which [`inside`] mounts.
const ROOT: &str = "HOLDALL_SMALL_DISKS";

/// So many rests are tried of each command on each disk; one in so many of them where not all are
/// asked for.
const RESTS: usize = 10;
const ONE_IN: usize = 5;

/// The signal of Linux for memory that cannot be had.
const SIGBUS: i32 = 7;

/// A small disk, and how much of it is left free at most.
#[derive(Debug, Clone, Copy)]
struct Disk {
    name: &'static str,
    /// Options of a `tmpfs`; `None`: ext4 in a file of 8 MiB.
    options: Option<&'static str>,
    /// At most so much is left: bytes, or files where it has few inodes.
    most: usize,
}

const DISKS: [Disk; 5] = [
    Disk { name: "tmpfs 64 KiB", options: Some("size=64k"), most: 48 << 10 },
    Disk { name: "tmpfs 1 MiB", options: Some("size=1m"), most: 640 << 10 },
    Disk { name: "tmpfs 8 MiB", options: Some("size=8m"), most: 640 << 10 },
    Disk { name: "ext4 8 MiB", options: None, most: 640 << 10 },
    Disk { name: "tmpfs without inodes", options: Some("size=8m,nr_inodes=64"), most: 22 },
];

impl Disk {
    fn lacks_inodes(self) -> bool {
        self.name.ends_with("inodes")
    }

    fn is_tiny(self) -> bool {
        self.most < 64 << 10 && !self.lacks_inodes()
    }

    /// Mounts it at `at`, empty.
    fn mount(self, at: &Path) {
        fs::create_dir_all(at).unwrap();
        let mut command = Command::new("mount");
        match self.options {
            Some(options) => command.args(["-t", "tmpfs", "-o", options, "none"]).arg(at),
            None => {
                let image = at.with_extension("image");
                fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
                done(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image));
                command.args(["-o", "loop"]).arg(&image).arg(at)
            }
        };
        done(&mut command);
    }

    /// Fills it, but for the rest of this number.
    fn fill(self, at: &Path, rest: usize) {
        let free = self.most * rest / (RESTS - 1);
        let filler = at.join("filler");
        if self.lacks_inodes() {
            fs::create_dir(&filler).unwrap();
            let made = (0..).take_while(|n| fs::File::create(filler.join(n.to_string())).is_ok()).count();
            (0..made.min(free)).for_each(|n| fs::remove_file(filler.join(n.to_string())).unwrap());
            return;
        }
        let mut file = fs::File::create(&filler).unwrap();
        let block = [7; 4 << 10];
        let mut length = 0;
        while let Ok(written) = file.write(&block) {
            length += written;
        }
        let length = length.saturating_sub(free) as u64;
        file.set_len(length).and_then(|()| file.sync_all()).unwrap();
    }

    fn free(self, at: &Path) {
        let filler = at.join("filler");
        if self.lacks_inodes() { fs::remove_dir_all(filler) } else { fs::remove_file(filler) }.unwrap();
    }
}

/// What is done, and what of it is on the small disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// The archive is on it.
    Export,
    Backup,
    /// The home is on it.
    Import,
    Undo,
    /// Only holdall's own state is on it.
    ImportState,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Backup => "backup",
            Self::Import => "import",
            Self::Undo => "undo",
            Self::ImportState => "import, state",
        }
    }
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let dir = scratch();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "full::inside", "--nocapture", "--test-threads", "1"]);
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    command.env(ROOT, dir.path()).env("RUST_BACKTRACE", "0").env("PATH", path);
    let output = command.output().expect("this test needs unshare, of util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    if said.contains("cannot mount") {
        // Where changes are accepted, it has to run.
        assert!(std::env::var_os("HOLDALL_CI").is_none() && !is_full(), "small disks cannot be mounted here");
        eprintln!("skipped: mounting small disks needs root");
        return;
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// What that test runs in a mount namespace. Does nothing in a normal test run.
#[test]
fn inside() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else { return };
    let probe = root.join("probe");
    fs::create_dir(&probe).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&probe).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("cannot mount");
        return;
    }
    for disk in DISKS {
        let at = root.join("disk");
        disk.mount(&at);
        let works = [Work::Export, Work::Backup, Work::Import, Work::Undo, Work::ImportState];
        for harness in ["claude", "opencode"] {
            // A database takes more than the smallest disk has.
            if harness == "opencode" && disk.is_tiny() {
                continue;
            }
            for work in works {
                every_rest(disk, harness, work, &root, &at);
            }
        }
        done(Command::new("umount").arg(&at));
    }
}

fn every_rest(disk: Disk, harness: &'static str, work: Work, root: &Path, at: &Path) {
    let name = format!("{} {harness} {}", disk.name, work.name());
    let rests = part(&name, (0..RESTS).collect(), ONE_IN);
    let mut failures = 0;
    for rest in &rests {
        naming(&format!("{name} {rest}"), || {
            let case = Case::make(disk, harness, work, root, at);
            failures += usize::from(case.run(*rest));
        });
    }
    if is_full() {
        assert!((1..rests.len()).contains(&failures), "{name}: {failures} of {} failed", rests.len());
    }
    println!("{name}: {} cases, {failures} of them with a full disk", rests.len());
    tally(&format!("{}, full disk", work.name()), disk.name, "cases", rests.len());
}

struct Case {
    disk: Disk,
    work: Work,
    home: Home,
    at: PathBuf,
    archive: PathBuf,
    /// Whether the sessions are rows of a database.
    is_rows: bool,
    before: Tree,
}

impl Case {
    /// Empties the disk, and makes everything as it is before the command.
    fn make(disk: Disk, harness: &'static str, work: Work, root: &Path, at: &Path) -> Self {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        let names: &[&str] = if disk.is_tiny() { &["chat"] } else { &["chat", "large"] };
        let made = root.join(format!("{harness}-{}", names.len()));
        let archive = made.join("sessions.tar.gz");
        if !made.exists() {
            let from = Home::at(made.join("from"));
            let all = cases::of(harness);
            let wanted = |case: &&cases::Case| names.contains(&case.case.as_str());
            all.iter().filter(wanted).for_each(|case| case.unpack(from.dir()));
            let export = ["export", "--all", "-o", archive.to_str().unwrap()];
            expect(run(&mut holdall(&from, &export, None), LIMIT).unwrap(), 0);
            // A home into which the sessions can come.
            let to = Home::at(made.join("to"));
            fs::create_dir(to.dir().join("project")).unwrap();
            if harness == "opencode" {
                let fail = all.iter().find(|case| case.case == "fail").unwrap();
                fail.unpack(to.dir());
            }
        }
        let on_disk = matches!(work, Work::Import | Work::Undo);
        let home = if on_disk { at.join("home") } else { root.join("home") };
        let reads = matches!(work, Work::Export | Work::Backup);
        tree::copy(&made.join(if reads { "from" } else { "to" }), &home);
        let is_rows = harness == "opencode";
        let mut case = Self {
            disk,
            work,
            home: Home::at(home),
            at: at.to_owned(),
            archive,
            is_rows,
            before: Tree::new(),
        };
        if work == Work::Undo {
            case.before = case.tree();
            expect(case.command(&case.import()), 0);
        } else {
            case.before = case.tree();
        }
        case
    }

    fn state(&self) -> Option<PathBuf> {
        (self.work == Work::ImportState).then(|| self.at.join("state"))
    }

    /// The home, without holdall's state; a database as what it says.
    fn tree(&self) -> Tree {
        let mut tree = tree::read(self.home.dir());
        tree.retain(|path, _| {
            let name = path.to_str().unwrap();
            !path.starts_with(".local/state")
                && name != ".local"
                && !name.ends_with("-wal")
                && !name.ends_with("-shm")
        });
        for (path, node) in &mut tree {
            if path.extension().is_some_and(|end| end == "db")
                && let tree::Node::File { bytes, .. } = node
            {
                *bytes = crate::support::database::dump(&self.home.dir().join(path)).into_bytes();
            }
        }
        tree
    }

    fn import(&self) -> Vec<String> {
        let map = format!("/home/dev/src/app={}", self.home.dir().join("project").display());
        ["import", self.archive.to_str().unwrap(), "--cwd-map", &map].map(str::to_owned).to_vec()
    }

    fn args(&self) -> Vec<String> {
        let out = |name: &str| self.at.join(name).to_str().unwrap().to_owned();
        match self.work {
            Work::Export => ["export", "--all", "-o", &out("out.tar.gz")].map(str::to_owned).to_vec(),
            Work::Backup => ["backup", &out("backups")].map(str::to_owned).to_vec(),
            Work::Import | Work::ImportState => self.import(),
            Work::Undo => vec!["undo".to_owned()],
        }
    }

    fn command(&self, args: &[String]) -> Ended {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(&mut holdall(&self.home, &args, self.state().as_deref()), LIMIT).unwrap()
    }

    /// Fills the disk, runs the command, frees the disk, runs it again. Returns whether it failed.
    fn run(&self, rest: usize) -> bool {
        let start = self.tree();
        self.disk.fill(&self.at, rest);
        let ended = self.command(&self.args());
        let code = ended.status.code();
        // SQLite shares memory through a file that it can only extend in whole pages: where blocks are smaller,
        // as on this ext4, the system stops any program that writes to a page without all of its blocks.
        let is_stopped = ended.status.signal() == Some(SIGBUS) && self.is_rows;
        assert!(code.is_some() || is_stopped, "{}: {}", ended.status, ended.stderr);
        let archives = self.archives();
        self.disk.free(&self.at);
        if let Some(code @ 1..) = code {
            let names_it = ended.stderr.contains("space") || ended.stdout.contains("space");
            assert!([1, 3].contains(&code) && names_it, "{code}: {ended:?}");
            assert!(archives.is_empty(), "a failure, and {archives:?}");
        }
        // The next start.
        expect(self.command(&["list".to_owned(), "--all".to_owned()]), 0);
        let is_ours = |path: &PathBuf| path.to_string_lossy().contains(".holdall-");
        let left: Vec<PathBuf> =
            tree::read(&self.at).into_keys().chain(tree::read(self.home.dir()).into_keys()).collect();
        let left: Vec<&PathBuf> = left.iter().filter(|path| is_ours(path)).collect();
        assert!(left.is_empty(), "{left:?} is left");
        let goes_on = ended.stderr.contains("goes on with it");
        let is_as_before = self.tree() == start;
        if code.is_some_and(|code| code != 0) && !goes_on {
            assert!(is_as_before, "it failed, and something has changed: {}", ended.stderr);
        }
        if code == Some(1) && !goes_on || code == Some(3) || is_stopped && is_as_before {
            expect(self.command(&self.args()), 0);
        }
        match self.work {
            Work::Export | Work::Backup => {
                for archive in self.archives() {
                    expect(self.command(&["verify".to_owned(), archive.to_str().unwrap().to_owned()]), 0);
                }
                assert_eq!(self.archives().len(), 1);
                assert!(self.tree() == start, "it reads only");
            }
            Work::Import | Work::ImportState => {
                assert!(self.tree() != self.before, "the sessions are there");
                expect(self.command(&["undo".to_owned()]), 0);
                assert!(self.tree() == self.before, "the undo brings back everything");
            }
            Work::Undo => assert!(self.tree() == self.before, "the undo brings back everything"),
        }
        code != Some(0)
    }

    fn archives(&self) -> Vec<PathBuf> {
        let all = tree::read(&self.at).into_keys();
        all.filter(|path| path.to_str().unwrap().ends_with(".tar.gz"))
            .map(|path| self.at.join(path))
            .collect()
    }
}

const LIMIT: Duration = Duration::from_secs(60);

fn holdall(home: &Home, args: &[&str], state: Option<&Path>) -> Command {
    let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
    command.env("PATH", "/usr/bin:/bin").args(args);
    if let Some(state) = state {
        command.env("XDG_STATE_HOME", state);
    }
    command
}

#[track_caller]
fn expect(ended: Ended, code: i32) {
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
