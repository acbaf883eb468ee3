//! Sessions and records of any size, through every command, in little memory.
//!
//! A session is only ever carried, compared and converted record by record, and a record too long to
//! be held streams by. In CI the records have some 100 MiB and the sessions some 150; with
//! `HOLDALL_FULL=1` they have 512 MiB and 2 GiB. Build with `--release` for that.

#[path = "large/forge.rs"]
mod forge;
#[path = "large/rows.rs"]
mod rows;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::programs::Home;
use crate::support::usage::measured;
use forge::{Forge, ID, Long};

/// The most memory that any command may take whatever the size, in bytes.
const MOST: u64 = 64 << 20;

fn full() -> bool {
    std::env::var_os("HOLDALL_FULL").is_some_and(|value| value == "1")
}

/// A length in CI, and in the full run.
fn scaled(some: usize, all: usize) -> usize {
    if full() { all } else { some }
}

/// Homes in a directory that goes away.
struct World {
    forge: Forge,
    dir: tempfile::TempDir,
    peak: u64,
}

impl World {
    fn new(harness: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { forge: Forge::new(harness), dir, peak: 0 }
    }

    /// A path in the directory.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The transcript in a home.
    fn transcript(&self, home: &str) -> PathBuf {
        self.forge.transcript(&self.path(home))
    }

    /// Runs holdall in a home; what it took is printed and held against the limit. Its output.
    #[track_caller]
    fn run(&mut self, home: &str, args: &[&str], most: u64) -> (String, i32) {
        let (document, code, told) = self.ended(home, args, most);
        assert!(matches!(code, 0 | 3), "{args:?} ended with {code}: {told}");
        (document, code)
    }

    /// What a command says that must not succeed.
    #[track_caller]
    fn refused(&mut self, home: &str, args: &[&str]) -> String {
        let (_, code, told) = self.ended(home, args, MOST);
        assert!(code != 0, "{args:?} was done");
        told
    }

    #[track_caller]
    fn ended(&mut self, home: &str, args: &[&str], most: u64) -> (String, i32, String) {
        let home = Home::at(self.path(home));
        fs::create_dir_all(home.dir().join("src")).unwrap();
        let out = self.path("stdout");
        // Into a file: the document of a large session has no room here.
        let script = "out=$1; shift; exec \"$@\" > \"$out\"";
        let mut command = home.command("/bin/sh".as_ref(), &home.dir().join("src"));
        command.env("PATH", "/usr/bin:/bin").args(["-c", script, "sh"]).arg(&out);
        command.arg(env!("CARGO_BIN_EXE_holdall")).args(args);
        let (ended, usage) = measured(&command, Duration::from_secs(300)).unwrap();
        let code = ended.status.code().unwrap_or(-1);
        println!(
            "{:8} {:60} {:4} MiB {:6.2} s of CPU",
            self.forge.harness,
            args.iter().map(|arg| arg.rsplit('/').next().unwrap_or(arg)).collect::<Vec<_>>().join(" "),
            usage.peak >> 20,
            usage.cpu.as_secs_f64()
        );
        assert!(usage.peak <= most, "{args:?} took {} KiB", usage.peak >> 10);
        self.peak = self.peak.max(usage.peak);
        let document = if out.metadata().unwrap().len() < 1 << 20 {
            fs::read_to_string(out).unwrap()
        } else {
            String::new()
        };
        (document, code, ended.stderr)
    }

    #[track_caller]
    fn done(&mut self, home: &str, args: &[&str]) -> String {
        let (document, code) = self.run(home, args, MOST);
        assert_eq!(code, 0, "{args:?}: {document}");
        document
    }

    #[track_caller]
    fn json(&mut self, home: &str, args: &[&str]) -> Value {
        let document = self.done(home, &[&["--json"], args].concat());
        serde_json::from_str(&document).unwrap()
    }

    /// Every command that only carries, compares or looks through.
    fn carried(&mut self) {
        let (archive, backup) = (self.path("a.tar.gz"), self.path("backup"));
        let (archive, backup) = (archive.to_str().unwrap(), backup.to_str().unwrap());
        assert!(self.done("from", &["list", "--all"]).contains(&ID[..8]));
        self.done("from", &["list", "--all", "--query", "mark-6"]);
        self.done("from", &["show", ID]);
        self.done("from", &["export", "--all", "-o", archive]);
        self.done("from", &["verify", archive]);
        self.json("from", &["inspect", archive]);
        self.json("same", &["import", archive]);
        assert!(same(&self.transcript("from"), &self.transcript("same")), "the same bytes");
        let again = self.json("same", &["import", archive, "--on-conflict", "update"]);
        assert_eq!(again["sessions"][0]["action"], "skip", "{again}");
        // A copy that ends earlier is continued.
        let whole = self.transcript("from").metadata().unwrap().len();
        let here = fs::File::options().write(true).open(self.transcript("same")).unwrap();
        here.set_len(whole - self.forge.last_line().len() as u64).unwrap();
        let update = self.json("same", &["import", archive, "--on-conflict", "update"]);
        assert_eq!(update["sessions"][0]["action"], "update", "{update}");
        assert!(same(&self.transcript("from"), &self.transcript("same")), "the same bytes");
        self.run("from", &["doctor"], MOST);
        self.done("from", &["backup", backup]);
        fs::remove_dir_all(self.path("same")).unwrap();
        fs::remove_dir_all(backup).unwrap();
    }

    /// Into another directory: only what names it changes.
    fn moved(&mut self) {
        let (archive, home) = (self.path("a.tar.gz"), self.path("mapped"));
        self.json("mapped", &["import", archive.to_str().unwrap(), "--cwd-map", "/odd=/another"]);
        let there = self.forge.transcript_in(&home, "/another/place");
        let mut expected = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        self.forge.write("/another/place", expected.as_file_mut());
        assert!(same(expected.path(), &there), "nothing but the directory changed");
        fs::remove_dir_all(home).unwrap();
        let (new, archive) = (self.path("new"), self.path("a.tar.gz"));
        fs::create_dir(&new).unwrap();
        let new = new.canonicalize().unwrap();
        self.json("from", &["move", "/odd/place", new.to_str().unwrap()]);
        let mut expected = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        self.forge.write(new.to_str().unwrap(), expected.as_file_mut());
        let there = self.forge.transcript_in(&self.path("from"), new.to_str().unwrap());
        assert!(same(expected.path(), &there), "nothing but the directory changed");
        self.done("from", &["undo"]);
        fs::remove_file(archive).unwrap();
    }

    /// Into every other harness that needs no database: all other records arrive, and the long one is
    /// named.
    fn converted(&mut self, marks: &[&str], is_named: bool) {
        let archive = self.path("a.tar.gz");
        for to in ["claude", "codex", "gemini"] {
            if to == self.forge.harness {
                continue;
            }
            let report = self.json("other", &["import", archive.to_str().unwrap(), "--to", to]);
            let notes = report["sessions"][0]["fidelity"]["notes"].as_array().unwrap();
            let named = notes.iter().find(|note| note["code"] == "record.too-long");
            assert_eq!(named.is_some(), is_named, "{notes:?}");
            if let Some(note) = named {
                assert!(note["detail"].as_str().unwrap().contains("is carried as it is"), "{note}");
            }
            let id = report["sessions"][0]["target"]["id"].as_str().unwrap();
            let shown = self.done("other", &["--json", "show", id]);
            if is_named {
                let events = &shown[shown.find("\"events\":[").unwrap()..];
                let count = |mark: &&str| events.matches(*mark).count();
                assert_eq!(
                    marks.iter().map(count).collect::<Vec<_>>(),
                    vec![1; marks.len()],
                    "{marks:?}, {to}"
                );
            }
        }
        fs::remove_dir_all(self.path("other")).unwrap();
    }
}

/// What holdall puts behind a session of Gemini CLI, so that the program does not delete it as old.
const TRAILER: &[u8] = b"{\"$set\":{\"lastUpdated\":null}}\n";

/// Whether a file holds the bytes of another, and behind them at the most the trailer.
fn same(one: &std::path::Path, other: &std::path::Path) -> bool {
    use std::io::Read;
    let (mut one, mut other) = (fs::File::open(one).unwrap(), fs::File::open(other).unwrap());
    let more = other.metadata().unwrap().len().checked_sub(one.metadata().unwrap().len());
    if !more.is_some_and(|more| more == 0 || more == TRAILER.len() as u64) {
        return false;
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let got = one.read(&mut a).unwrap();
        if got == 0 {
            let mut rest = Vec::new();
            other.read_to_end(&mut rest).unwrap();
            return rest.is_empty() || rest == TRAILER;
        }
        other.read_exact(&mut b[..got]).unwrap();
        if a[..got] != b[..got] {
            return false;
        }
    }
}

const OTHERS: [&str; 6] = ["mark-1", "mark-2", "mark-3", "mark-5", "mark-6", "mark-7"];

/// One record longer than can be converted, in the midst of a session.
fn long_record(harness: &'static str) {
    let mut world = World::new(harness);
    world.forge.long(Long::Result(scaled(100 << 20, 512 << 20)));
    world.forge.make(&world.path("from"));
    world.carried();
    world.converted(&OTHERS, true);
    world.moved();
}

#[test]
fn a_record_longer_than_the_memory_of_claude() {
    long_record("claude");
}

#[test]
fn a_record_longer_than_the_memory_of_codex() {
    long_record("codex");
}

#[test]
fn a_record_longer_than_the_memory_of_gemini() {
    long_record("gemini");
}

/// Many records, none of them long.
#[test]
fn a_session_longer_than_the_memory() {
    for harness in if full() { vec!["claude", "codex", "gemini"] } else { vec!["codex"] } {
        let mut world = World::new(harness);
        world.forge.long(Long::Session(scaled(150 << 20, 2 << 30)));
        world.forge.make(&world.path("from"));
        world.carried();
        world.converted(&[], false);
        world.moved();
    }
}

/// The first record, which says where the session belongs, and the last one, which may be torn.
#[test]
fn the_ends_of_a_session_may_be_long() {
    let length = scaled(12 << 20, 512 << 20);
    for harness in ["claude", "codex", "gemini"] {
        let mut world = World::new(harness);
        world.forge.long(Long::First(length));
        world.forge.make(&world.path("from"));
        let listed = world.json("from", &["list", "--all"]);
        assert_eq!(listed["sessions"][0]["cwd"], "/odd/place", "{listed}");
        let archive = world.path("a.tar.gz");
        world.done("from", &["export", "--all", "-o", archive.to_str().unwrap()]);
        world.moved();

        // A last record without an end is left where it is; all before it is carried.
        let mut world = World::new(harness);
        world.forge.make(&world.path("from"));
        let whole = fs::read(world.transcript("from")).unwrap();
        let torn = fs::File::options().append(true).open(world.transcript("from")).unwrap();
        forge::filler(
            &torn,
            "{\"timestamp\":\"2026-03-04T05:06:07.000Z\",\"type\":\"torn\",\"text\":\"",
            length,
        );
        let archive = world.path("a.tar.gz");
        world.done("from", &["list", "--all", "--query", "mark-6"]);
        world.done("from", &["export", "--all", "-o", archive.to_str().unwrap()]);
        world.json("same", &["import", archive.to_str().unwrap()]);
        assert!(fs::read(world.transcript("same")).unwrap().starts_with(&whole), "{harness}");
        assert!(world.transcript("same").metadata().unwrap().len() < whole.len() as u64 + 1000);
        world.run("from", &["doctor"], MOST);
    }
}

/// Nothing but a text that never ends is no session, and costs no memory to find out.
#[test]
fn a_line_without_an_end() {
    for harness in ["claude", "codex", "gemini"] {
        let mut world = World::new(harness);
        let path = world.transcript("from");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        forge::filler(&fs::File::create(path).unwrap(), "{\"text\":\"", scaled(12 << 20, 512 << 20));
        assert!(!world.done("from", &["list", "--all"]).contains(&ID[..8]));
        world.run("from", &["doctor"], MOST);
    }
}
