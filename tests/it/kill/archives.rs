//! What is disturbed while it writes an archive: there is a whole one or none, and the old one stays
//! until the new one is whole.

use std::fs;
use std::path::PathBuf;

use super::world::Operation::{Backup, BackupAgain, Export, ExportOver};
use super::world::Store::{self, Claude, Codex, Gemini, Opencode};
use super::world::{End, Operation, Scenario, World};
use crate::crash::order::check_archive;
use crate::crash::points::{self, Point, for_each, naming, part};
use crate::crash::scratch;

/// Of so many points one is run where not all are asked for.
const ONE_IN: usize = 5;

fn archives(world: &World) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(world.out()).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn every_call(store: Store, operation: Operation) {
    let scenario = Scenario { store, operation };
    let dir = scratch();
    let root = dir.path().join("w");
    let world = World::prepared(&root, scenario);
    let old = archives(&world);
    let all = world.record(&scenario.command(&root));
    let new: Vec<PathBuf> = archives(&world).into_iter().filter(|path| !old.contains(path)).collect();
    let archive = new.first().or(old.first()).expect("there is an archive");
    naming(&format!("{scenario:?}"), || check_archive(&all.in_order, archive));
    points::tally(operation.name(), store.kind(), "order", 1);
    let points = part(&format!("{scenario:?}"), points::of(&all.points, false), ONE_IN);
    for_each(&points, |point, root| {
        naming(&format!("{scenario:?}, {}", point.injection()), || {
            let world = World::prepared(root, scenario);
            let home = world.atoms();
            let before: Vec<(PathBuf, Vec<u8>)> =
                archives(&world).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
            let ended = world.disturbed(point, &scenario.command(root));
            assert_eq!(ended.code.is_none(), point.kills(), "{ended:?}");
            check(&world, scenario, point, &ended, &before);
            assert!(world.atoms() == home, "it reads only");
        });
    });
    points::count(operation.name(), store.kind(), &points);
    println!("{scenario:?}: {} points", points.len());
}

fn check(world: &World, scenario: Scenario, point: &Point, ended: &End, before: &[(PathBuf, Vec<u8>)]) {
    assert!(ended.code.is_none_or(|code| [0, 1, 3].contains(&code)), "{ended:?}");
    let backs_up = matches!(scenario.operation, Backup | BackupAgain);
    let there = archives(world);
    let mut new = 0;
    for path in &there {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(".holdall-") {
            // The lock of a run that was killed, or might not remove it; or the new archive, about to get
            // the name of the old.
            let lock = backs_up && name == ".holdall-lock" && (point.kills() || point.call == "unlink");
            let about_to = point.kills() && (backs_up || point.call == "rename");
            assert!(lock || about_to, "{name} is left: {ended:?}");
            continue;
        }
        if before.iter().any(|(old, bytes)| old == path && *bytes == fs::read(path).unwrap()) {
            continue;
        }
        new += 1;
        world.done(&["verify", path.to_str().unwrap()]);
    }
    for (old, _) in before {
        assert!(there.contains(old), "{} is gone", old.display());
    }
    assert!(ended.code != Some(0) || new == 1, "it says that it is done");
    let untold = ended.said.contains("is not sure");
    assert!(ended.code != Some(1) || new == 0 || untold, "it says that it failed: {}", ended.said);
    // And then it works; a backup that finds nothing new makes none.
    if !backs_up {
        let mut again = Scenario { operation: ExportOver, ..scenario }.command(&world.root);
        again.truncate(5);
        world.done(&again);
    } else {
        world.done(&scenario.command(&world.root));
    }
    super::no_leftovers(world);
    for archive in archives(world) {
        world.done(&["verify", archive.to_str().unwrap()]);
    }
}

#[test]
fn export() {
    for store in [Claude, Codex, Gemini, Opencode] {
        every_call(store, Export);
    }
    every_call(Claude, ExportOver);
}

#[test]
fn backup() {
    every_call(Claude, Backup);
    every_call(Codex, BackupAgain);
    every_call(Gemini, Backup);
    every_call(Opencode, BackupAgain);
}
