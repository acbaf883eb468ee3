//! A disk that cannot read: an error is never taken for the end of a file or of a directory.
//!
//! Each read of each command fails once. Either the command says which file it was, or it did not
//! need it: then it does to the byte what it does on a sound disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::world::Operation::{Export, Replace, UndoReplace};
use super::world::Store::{self, Claude, Codex, Gemini, Opencode};
use super::world::{Scenario, World};
use crate::crash::points::{self, Point, for_each, naming, part};
use crate::crash::scratch;
use crate::crash::strace::{self, Call};

/// Of so many points one is run where not all are asked for.
const ONE_IN: usize = 13;

/// What comes of a command: what it prints, the home, and the archives.
type Outcome = (String, super::atoms::Atoms, Vec<Vec<u8>>);

fn outcome(world: &World, printed: &[u8]) -> Outcome {
    let mut files: Vec<_> = fs::read_dir(world.out()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let printed = String::from_utf8_lossy(printed).into_owned();
    (printed, world.atoms(), files.iter().map(|file| fs::read(file).unwrap()).collect())
}

fn command(scenario: Scenario, name: &str, root: &Path) -> Vec<String> {
    match name {
        "list" => ["list", "--all", "--subagents"].map(str::to_owned).to_vec(),
        _ => scenario.command(root),
    }
}

/// The reads of files below `root` that a number can name.
fn reads(world: &World, args: &[String]) -> Vec<Call> {
    let log = world.root.with_extension("log");
    let trace = format!("trace={}", strace::READS);
    let arguments = [strace::FAST, strace::WITH_FILES, "-o", log.to_str().unwrap(), "-e", &trace];
    let ended = world.traced(&arguments, args);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(log).unwrap();
    let mut seen = BTreeSet::new();
    let mut calls: Vec<Call> = strace::calls(&text).into_iter().map(|(_, call)| call).collect();
    calls.retain_mut(|call| {
        let is_first = seen.insert((call.name.clone(), call.number));
        // What is opened or looked at has a path, what is read a handle.
        call.handle = call.paths.first().filter(|path| path.starts_with('/')).cloned().or(call.handle.take());
        let ours = call.handle.as_deref().is_some_and(|file| Path::new(file).starts_with(&world.root));
        is_first && ours && !call.failed && (call.name != "openat" || call.reads)
    });
    calls
}

fn every_read(store: Store, scenario: Scenario, name: &str) {
    let dir = scratch();
    let root = dir.path().join("w");
    let world = World::prepared(&root, scenario);
    let calls = reads(&world, &command(scenario, name, &root));
    assert!(calls.len() > 3, "{name} of {store:?} reads: {calls:?}");
    let calls = part(&format!("{scenario:?} {name}"), calls, ONE_IN);
    for_each(&calls, |call, root| {
        let point = Point::new(call, "error=EIO");
        let file = Path::new(call.handle.as_deref().unwrap()).strip_prefix(&world.root).unwrap();
        naming(&format!("{name} of {scenario:?}, {} of {}", point.injection(), file.display()), || {
            let command = command(scenario, name, root);
            let undisturbed = World::prepared(root, scenario);
            let before = outcome(&undisturbed, b"");
            let wanted = undisturbed.run(&command);
            let wanted = outcome(&undisturbed, wanted.stdout.as_bytes());

            let world = World::prepared(root, scenario);
            let trace = format!("trace={}", point.call);
            let inject = format!("inject={}", point.injection());
            let arguments = [strace::FAST, "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let ended = world.output(&arguments, &command);
            let said = String::from_utf8_lossy(&ended.stderr);
            let code = ended.status.code().unwrap();
            let is = outcome(&world, &ended.stdout);
            // The name of an import is another one each time, and its time.
            if code == 0 && is.1 == wanted.1 && is.2 == wanted.2 && (name != "list" || is.0 == wanted.0) {
                return;
            }
            // Another thread may have made the call of this number.
            let told = format!("{said}{}", is.0);
            assert!(told.contains(world.root.to_str().unwrap()), "no file is named ({code}): {told}");
            assert!(code == 1 || code == 3 || name == "list" && code == 0, "{code}: {said}");
            if code == 1 {
                assert!(is.2 == before.2, "a failure, and an archive");
                assert!(is.1 == before.1 || said.contains("goes on with it"), "a failure, and a change");
            }
            world.done(&["list", "--all"]);
        });
    });
    points::tally(&format!("{name}, reading"), store.kind(), "EIO", calls.len());
}

#[test]
fn of_every_command() {
    for store in [Claude, Codex, Gemini, Opencode] {
        for (operation, name) in
            [(Export, "list"), (Export, "export"), (Replace, "import"), (UndoReplace, "undo")]
        {
            every_read(store, Scenario { store, operation }, name);
        }
    }
}
