//! Archives that must be refused, each for its own reason, and odd ones that must not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use tempfile::TempDir;

use super::world::{World, changes};
use super::{for_each, generate, is_full, report};
use crate::support::tree::Node;

/// A line of `cases.json`.
#[derive(Debug, Deserialize)]
struct Case {
    file: String,
    group: String,
    about: String,
    /// What the refusal says; `None`: it is benign.
    reason: Option<String>,
}

struct Corpus {
    dir: TempDir,
    cases: Vec<Case>,
}

impl Corpus {
    /// All archives, made once.
    fn get() -> &'static Self {
        static CORPUS: OnceLock<Corpus> = OnceLock::new();
        CORPUS.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            generate(&[dir.path()]);
            let table = fs::read(dir.path().join("cases.json")).unwrap();
            Self { cases: serde_json::from_slice(&table).unwrap(), dir }
        })
    }

    fn path(&self, case: &Case) -> PathBuf {
        self.dir.path().join(&case.file)
    }

    fn hostile(&self) -> Vec<&Case> {
        self.cases.iter().filter(|case| case.reason.is_some()).collect()
    }

    /// Every hostile one, or one of seven of each group.
    fn sample(&self) -> Vec<&Case> {
        let all = self.hostile();
        let sampled = |(place, case): (usize, &&Case)| {
            let first = place == 0 || all[place - 1].group != case.group;
            is_full() || first || place % 11 == 0
        };
        all.iter().enumerate().filter(|item| sampled(*item)).map(|(_, case)| *case).collect()
    }
}

static COMMANDS: AtomicUsize = AtomicUsize::new(0);

/// Runs holdall on an archive, which it must refuse. The home is empty before and after.
fn refused(world: &World, case: &Case, arguments: &[&str], command: &std::process::Command) -> Vec<String> {
    let outside = world.outside();
    COMMANDS.fetch_add(1, Ordering::Relaxed);
    let (ended, mut wrong) = world.judged(command);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    if ended.status.code() != Some(4) {
        wrong.push(format!("exit code {:?}, not 4: {said}", ended.status.code()));
    }
    if !case.reason.as_deref().is_some_and(|reason| said.contains(reason)) {
        wrong.push(format!("does not say {:?}: {said}", case.reason));
    }
    let left = changes(&Default::default(), &world.tree());
    if !left.is_empty() {
        wrong.push(format!("in the home: {left:?}"));
    }
    if outside != world.outside() {
        wrong.push(format!("outside of the home: {:?}", changes(&outside, &world.outside())));
    }
    let started = world.started();
    if !started.is_empty() {
        wrong.push(format!("started {started:?}"));
    }
    wrong
        .iter()
        .map(|wrong| format!("{} ({}): {}: {wrong}", case.file, case.about, arguments.join(" ")))
        .collect()
}

fn holdall(world: &World, arguments: &[&str]) -> std::process::Command {
    world.command(Path::new(env!("CARGO_BIN_EXE_holdall")), arguments)
}

#[test]
fn every_hostile_archive_is_refused_for_its_reason() {
    let corpus = Corpus::get();
    let cases = corpus.hostile();
    assert!(cases.len() >= 500, "{} archives", cases.len());
    let before = COMMANDS.load(Ordering::Relaxed);
    let wrong = for_each(&cases, |world, case| {
        let path = corpus.path(case);
        let path = path.to_str().unwrap();
        let ways =
            [&["import", path][..], &["inspect", path], &["verify", path], &["--json", "import", path]];
        // What is refused at all is refused by all three; each looks at it from its own code.
        let odd = path.len() % 2;
        let ways = if is_full() { ways.to_vec() } else { vec![ways[0], ways[1 + odd]] };
        ways.iter().flat_map(|way| refused(world, case, way, &holdall(world, way))).collect()
    });
    report(&wrong);
    println!("{} hostile archives, {} commands", cases.len(), COMMANDS.load(Ordering::Relaxed) - before);
}

#[test]
fn a_hostile_archive_in_a_pipe_is_refused() {
    let corpus = Corpus::get();
    let cases = corpus.sample();
    let wrong = for_each(&cases, |world, case| {
        // The words of the script are the archive, the command and the program.
        let script = "cat \"$1\" | \"$0\" \"$2\" -";
        let holdall = env!("CARGO_BIN_EXE_holdall");
        let path = corpus.path(case);
        ["import", "verify"]
            .into_iter()
            .flat_map(|what| {
                let words = ["-c", script, holdall, path.to_str().unwrap(), what];
                let mut command = world.command(Path::new("/bin/sh"), &words);
                command.env("PATH", "/usr/bin:/bin");
                refused(world, case, &[what, "-"], &command)
            })
            .collect()
    });
    report(&wrong);
    println!("{} hostile archives in a pipe, {} commands", cases.len(), cases.len() * 2);
}

#[test]
fn a_hostile_archive_in_a_directory_of_backups_is_named_and_brings_nothing() {
    let corpus = Corpus::get();
    let cases = corpus.sample();
    let benign = corpus.dir.path().join("benign-good.tar.gz");
    let good = {
        let world = World::new();
        world.holdall(&["import", "--no-confirm", benign.to_str().unwrap()]);
        conversations(&world)
    };
    assert_eq!(good.len(), 2);
    let wrong = for_each(&cases, |world, case| {
        let backups = tempfile::tempdir().unwrap();
        fs::copy(&benign, backups.path().join("holdall-20261120T160000Z.tar.gz")).unwrap();
        fs::copy(corpus.path(case), backups.path().join("holdall-20261121T160000Z.tar.gz")).unwrap();
        let dir = backups.path().to_str().unwrap();
        let mut wrong = refused(world, case, &["verify", "DIR"], &holdall(world, &["verify", dir]));
        let outside = world.outside();
        // What is whole comes, from the earlier archive or this one; all else does not.
        let (ended, more) = world.holdall(&["import", "--no-confirm", dir]);
        wrong.extend(more);
        if !matches!(ended.status.code(), Some(0 | 3 | 4)) {
            wrong.push(format!("{}: the directory is not imported: {}", case.file, ended.stderr));
        }
        let odd: Vec<_> = conversations(world).into_iter().filter(|found| !good.contains(found)).collect();
        if !odd.is_empty() || outside != world.outside() || !world.started().is_empty() {
            wrong.push(format!("{}: brought {odd:?}", case.file));
        }
        world.clear();
        wrong
    });
    report(&wrong);
    println!("{} hostile archives in a directory of backups, {} commands", cases.len(), cases.len() * 2);
}

/// What is in the stores of a home: where, and what it says, without the name of the home.
fn conversations(world: &World) -> Vec<(PathBuf, String)> {
    let home = world.home().to_string_lossy().into_owned();
    let slug = home.replace(['/', '.'], "-");
    let files = world.tree().into_iter().filter_map(|(path, node)| match node {
        Node::File { bytes, .. } if path.extension().is_some_and(|end| end == "jsonl") => Some((path, bytes)),
        _ => None,
    });
    files
        .map(|(path, bytes)| {
            let path = path.to_string_lossy().replace(&slug, "HOME");
            (PathBuf::from(path), String::from_utf8_lossy(&bytes).replace(&home, "HOME"))
        })
        .collect()
}

#[test]
fn odd_archives_that_are_right_are_taken() {
    let corpus = Corpus::get();
    let cases: Vec<&Case> = corpus.cases.iter().filter(|case| case.reason.is_none()).collect();
    assert!(cases.len() >= 12, "{} archives", cases.len());
    let wrong = for_each(&cases, |world, case| {
        let path = corpus.path(case);
        let (path, outside) = (path.to_str().unwrap(), world.outside());
        let mut wrong = Vec::new();
        for way in [&["verify", path][..], &["inspect", path], &["--json", "import", "--no-confirm", path]] {
            let (ended, more) = world.holdall(way);
            wrong.extend(more);
            if ended.status.code() != Some(0) {
                wrong.push(format!("{}: {:?}: {}", way[0], ended.status.code(), ended.stderr));
            }
        }
        let transcripts =
            world.tree().into_keys().filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
        if transcripts.count() != 2 {
            wrong.push("did not bring two transcripts".to_owned());
        }
        if outside != world.outside() || !world.started().is_empty() {
            wrong.push(format!("outside of the home: {:?}", changes(&outside, &world.outside())));
        }
        world.clear();
        wrong.iter().map(|wrong| format!("{} ({}): {wrong}", case.file, case.about)).collect()
    });
    report(&wrong);
    println!("{} odd archives that are right, {} commands", cases.len(), cases.len() * 3);
}
