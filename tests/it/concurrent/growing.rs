//! Transcripts that a program writes to while they are exported: what is in the archive is what the
//! file held at one instant, up to the end of a line.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdall::archive::Archive;
use holdall::env::Env;
use holdall::model::Payload;
use holdall::ops::select::{self, Selection};
use tempfile::TempDir;

use super::{Runs, rounds, text};
use crate::support::cases::{self, Case};
use crate::support::programs::Home;
use crate::support::tree;

const HARNESSES: [&str; 3] = ["claude", "codex", "gemini"];

/// Lines that are there before anybody writes: an export takes a while.
const BASE: usize = 4000;

/// A home with one session in one file.
struct World {
    harness: &'static str,
    home: Home,
    case: Case,
    file: PathBuf,
    dir: TempDir,
}

impl World {
    fn new(harness: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let case = cases::of(harness).into_iter().find(|case| case.case == "chat").unwrap();
        case.unpack(home.dir());
        let is_transcript = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "jsonl")
                && text(path).contains(&case.id[..8])
        };
        let mut files: Vec<PathBuf> = tree::read(home.dir()).into_keys().filter(is_transcript).collect();
        assert_eq!(files.len(), 1, "{harness}: {files:?}");
        let file = home.dir().join(files.remove(0));
        let mut world = Self { harness, home, case, file, dir };
        let more = world.lines(0..BASE, "said before");
        world.append(&more);
        world
    }

    /// Records that the program might write, one a line.
    fn lines(&self, numbers: std::ops::Range<usize>, words: &str) -> Vec<u8> {
        numbers.map(|number| self.line(number, words)).collect::<String>().into_bytes()
    }

    fn line(&self, number: usize, words: &str) -> String {
        let id = &self.case.id;
        let words = format!("{words}, number {number}: {}", "ünïcödé 漢字 🎉 ".repeat(number % 7));
        let time = "2026-11-21T13:30:00.000Z";
        match self.harness {
            "claude" => format!(
                r#"{{"parentUuid":null,"isSidechain":false,"type":"user","uuid":"00000000-0000-4000-8000-{number:012}","timestamp":"{time}","cwd":"/home/dev/src/app","sessionId":"{id}","version":"2.1.329","entrypoint":"cli","message":{{"role":"user","content":"{words}"}}}}"#
            ),
            "codex" => format!(
                r#"{{"timestamp":"{time}","ordinal":{},"type":"event_msg","payload":{{"type":"user_message","message":"{words}"}}}}"#,
                number + 100
            ),
            _ => format!(
                r#"{{"id":"grown-{number}","timestamp":"{time}","type":"user","content":[{{"text":"{words}"}}]}}"#
            ),
        }
        .to_owned()
            + "\n"
    }

    fn append(&mut self, bytes: &[u8]) {
        File::options().append(true).open(&self.file).unwrap().write_all(bytes).unwrap();
    }

    fn archive(&self, name: &str) -> String {
        text(&self.dir.path().join(name))
    }

    fn export<'a>(&'a self, archive: &'a str) -> [&'a str; 6] {
        ["export", &self.case.id, "--git", "none", "-o", archive]
    }
}

/// The transcript in an archive with one session.
fn transcript(archive: &str) -> Vec<u8> {
    let archive = Archive::open(Path::new(archive)).unwrap();
    let session = archive.session(0).unwrap();
    let mut bytes = Vec::new();
    session.open(0).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Appends a line each millisecond until told to stop. At most instants the last line is torn: its second
/// half follows when the next line is due.
fn write_on(world: &World, stop: &AtomicBool) -> (usize, Duration) {
    let mut out = File::options().append(true).open(&world.file).unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_millis() as usize;
        while written < due {
            let line = world.line(BASE + written, "said meanwhile").into_bytes();
            // Anywhere, also inside of a character.
            let (head, tail) = line.split_at(1 + (written * 31) % (line.len() - 1));
            out.write_all(&[&rest, head].concat()).unwrap();
            rest = tail.to_vec();
            written += 1;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    out.write_all(&rest).unwrap();
    (written, begun.elapsed())
}

#[test]
fn what_is_exported_is_a_beginning_of_what_was_written() {
    let runs = Runs::default();
    for harness in HARNESSES {
        let world = World::new(harness);
        let stop = AtomicBool::new(false);
        let times = rounds(6, 20);
        let (exported, (written, took)) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| write_on(&world, &stop));
            let exported: Vec<Vec<u8>> = (0..times)
                .map(|round| {
                    let archive = world.archive(&format!("{round}.tar.gz"));
                    runs.done(&world.home, &world.export(&archive));
                    let verified = runs.done(&world.home, &["verify", &archive]);
                    assert_eq!(verified.document["ok"], true, "{}", verified.document);
                    let bytes = transcript(&archive);
                    fs::remove_file(archive).unwrap();
                    bytes
                })
                .collect();
            runs.done(&world.home, &["show", &world.case.id]);
            runs.done(&world.home, &["list", "--all", "--query", "said meanwhile"]);
            stop.store(true, Ordering::Relaxed);
            (exported, writer.join().unwrap())
        });
        let last = fs::read(&world.file).unwrap();
        let mut before = 0;
        for bytes in &exported {
            assert!(last.starts_with(bytes), "{harness}: it is no beginning of what was written");
            // All of a record but its line end may have been written.
            let at_end = bytes.ends_with(b"\n") || last.get(bytes.len()) == Some(&b'\n');
            assert!(at_end, "{harness}: it ends in the middle of a line");
            assert!(bytes.len() >= before, "{harness}: an earlier export had more");
            before = bytes.len();
        }
        let grown = exported.windows(2).filter(|pair| pair[0].len() < pair[1].len()).count();
        assert!(grown >= times / 2, "{harness}: it hardly grew, {grown} of {times}");
        let rate = written as f64 / took.as_secs_f64();
        assert!(rate > 500.0, "{harness}: {rate:.0} lines a second are too few");
        println!("{harness}: {times} exports while {rate:.0} lines a second were written");
    }
    println!("growing: {} runs of holdall", runs.count());
}

/// What happens to a transcript while it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// The program cuts it off, in the middle of a line.
    Truncated,
    /// Another, longer version gets its name.
    Replaced,
    /// Another, longer version is written into the same file.
    Rewritten,
    Deleted,
}

impl Fate {
    fn befall(self, world: &World, other: &[u8]) {
        let file = &world.file;
        match self {
            Self::Truncated => {
                let open = File::options().write(true).open(file).unwrap();
                open.set_len(open.metadata().unwrap().len() / 2 + 7).unwrap();
            }
            Self::Replaced => {
                let beside = world.dir.path().join("other");
                fs::write(&beside, other).unwrap();
                fs::rename(beside, file).unwrap();
            }
            Self::Rewritten => fs::write(file, other).unwrap(),
            Self::Deleted => fs::remove_file(file).unwrap(),
        }
    }
}

/// Whether these bytes are the file as it was afterwards, up to the end of a line. One that is written anew
/// has every beginning of it for a while.
fn is_state_of(fate: Fate, bytes: &[u8], after: &[u8]) -> bool {
    let whole = &after[..after.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)];
    bytes.ends_with(b"\n") && (bytes == whole || fate == Fate::Rewritten && whole.starts_with(bytes))
}

fn suffers(fate: Fate) {
    let runs = Runs::default();
    let (mut old, mut new, mut refused) = (0, 0, 0);
    for harness in HARNESSES {
        let world = World::new(harness);
        let before = fs::read(&world.file).unwrap();
        let first = before.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let other = [&before[..first], &world.lines(0..BASE + 2500, "said anew, in other words")].concat();
        let archive = world.archive("x.tar.gz");
        let begun = Instant::now();
        runs.done(&world.home, &world.export(&archive));
        let usual = begun.elapsed();
        fs::remove_file(&archive).unwrap();
        let times = rounds(5, 14);
        for round in 0..times {
            fs::write(&world.file, &before).unwrap();
            let ended = std::thread::scope(|scope| {
                let running = scope.spawn(|| runs.run(&world.home, &world.export(&archive)));
                std::thread::sleep(usual.mul_f64(round as f64 / times as f64));
                fate.befall(&world, &other);
                running.join().unwrap()
            });
            let after = fs::read(&world.file).unwrap_or_default();
            if ended.code == 0 {
                let bytes = transcript(&archive);
                if bytes == before {
                    old += 1;
                } else if is_state_of(fate, &bytes, &after) {
                    new += 1;
                } else {
                    panic!("{harness}, {fate:?}, round {round}: {} bytes of no state of it", bytes.len());
                }
                assert_eq!(runs.done(&world.home, &["verify", &archive]).document["ok"], true);
                fs::remove_file(&archive).unwrap();
            } else {
                assert_eq!(ended.code, 1, "{harness}, {fate:?}: {}", ended.document);
                let error = ended.error();
                let is_named = error.contains(&world.case.id) || error.contains(&text(&world.file));
                assert!(is_named, "{harness}, {fate:?}: {error}");
                assert!(!Path::new(&archive).exists(), "{harness}, {fate:?}: half an archive is there");
                refused += 1;
            }
        }
    }
    println!(
        "{fate:?}: {old} exports of the old state, {new} of the new one, {refused} refused; {} runs of holdall",
        runs.count()
    );
    assert!(fate == Fate::Deleted || new > 0);
}

#[test]
fn a_transcript_that_is_cut_off() {
    suffers(Fate::Truncated);
}

#[test]
fn a_transcript_that_is_replaced() {
    suffers(Fate::Replaced);
}

#[test]
fn a_transcript_that_is_written_anew() {
    suffers(Fate::Rewritten);
}

/// Between finding it and opening it.
#[test]
fn a_transcript_that_has_just_been_emptied() {
    for harness in HARNESSES {
        let world = World::new(harness);
        let env = Env::isolated(world.home.dir());
        let selection = Selection { ids: vec![world.case.id.clone()], ..Selection::default() };
        let chosen = selection.resolve(&env, &mut Vec::new()).unwrap();
        fs::write(&world.file, "").unwrap();
        let error =
            select::open_all(&env, &chosen.iter().collect::<Vec<_>>()).err().expect("it has no record");
        assert!(error.to_string().contains(&world.case.id), "{harness}: {error}");
    }
}

#[test]
fn a_transcript_that_goes_away() {
    suffers(Fate::Deleted);
}
