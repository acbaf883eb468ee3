//! The inputs of the fuzz targets that reached something new, once more. `scripts/fuzz` makes them.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
pub mod targets;

/// Runs one target over its folder; says which input it was that failed.
fn replay(target: &str) {
    let (_, check) = targets::TARGETS.iter().find(|(name, _)| *name == target).expect("it is in the list");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let checked = std::panic::catch_unwind(|| check(&input));
        assert!(checked.is_ok(), "{} {}", target, path.display());
        count += 1;
    }
    println!("{target}: {count} inputs");
    assert!(count >= 10, "{} holds only {count} inputs: run scripts/fuzz --keep", dir.display());
}

#[test]
fn archives_that_were_found() {
    replay("archive");
}

#[test]
fn manifests_that_were_found() {
    replay("manifest");
}

#[test]
fn records_that_were_found() {
    replay("record");
}

#[test]
fn places_that_were_found() {
    replay("place");
}

#[test]
fn addresses_that_were_found() {
    replay("git");
}

#[test]
fn every_target_has_a_test_and_a_program() {
    let here = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz.rs")).unwrap();
    for (name, _) in targets::TARGETS {
        assert!(here.contains(&format!("replay(\"{name}\");")), "{name} is not replayed");
        let program = format!("tests/fuzz/targets/{name}.rs");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&program).is_file(), "{program}");
    }
}
