//! A session that stays with its agent keeps every byte of it, but for the paths that the format
//! declares: over all recorded sessions, through the whole program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cases::Store;
use crate::support::holdall::Holdall;
use crate::support::programs::Home;
use crate::support::tree::{self, Node};

/// The directory that every recorded session was at or below.
const OLD: &str = "/home/dev";
/// Where it goes: with characters that JSON escapes, and Claude Code replaces in names.
const NEW: &str = "/srv/new \"dev\\é";

/// A file of a session: its bytes in the archive, and here.
struct File {
    name: String,
    packed: Vec<u8>,
    here: Vec<u8>,
    /// Whether it lies in the archive as it lay in the store: not a fork, whose beginning is in
    /// another file, nor a compressed one.
    as_in_store: bool,
}

/// Packs all sessions of a store and brings them to an empty home.
fn carry(harness: &'static str, store: &Store, more: &[&str]) -> (TempDir, Vec<File>) {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (Home::at(dir.path().join("from")), Home::at(dir.path().join("to")));
    store.unpack(from.dir());
    // Codex resumes only with a provider that it knows.
    let providers = "model_provider = \"fake\"\n[model_providers.fake]\nname = \"fake\"\n";
    fs::create_dir_all(to.dir().join(".codex")).unwrap();
    fs::write(to.dir().join(".codex/config.toml"), providers).unwrap();

    let archive = dir.path().join("all.tar.gz");
    let archive = archive.to_str().unwrap();
    let done = |home: &Home, args: &[&str]| {
        Holdall::new(home, home.dir()).done(args).unwrap_or_else(|error| panic!("{}: {error}", store.name))
    };
    done(&from, &["export", "--all", "-o", archive]);
    let report = done(&to, &[&["import", archive], more].concat());
    for session in report["sessions"].as_array().unwrap() {
        assert_eq!(session["action"], "create", "{}: {session}", store.name);
    }
    let packed = dir.path().join("packed");
    fs::create_dir(&packed).unwrap();
    let unpacked = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&packed).status();
    assert!(unpacked.unwrap().success());

    let here = tree::read(&to.dir().join(format!(".{harness}")));
    let manifest: Value = serde_json::from_slice(&fs::read(packed.join("manifest.json")).unwrap()).unwrap();
    let mut files = Vec::new();
    let mut taken = BTreeSet::new();
    for session in manifest["sessions"].as_array().unwrap() {
        for file in session["files"].as_array().unwrap() {
            let path = file["path"].as_str().unwrap();
            if path == "session_index.jsonl" {
                continue; // A line of a file that all sessions share.
            }
            let packed = fs::read(packed.join(file["name"].as_str().unwrap())).unwrap();
            let (place, here) = find(&here, path);
            assert!(taken.insert(place), "{}: {path} lies on another file", store.name);
            let stored = fs::read(from.dir().join(format!(".{harness}")).join(path));
            let as_in_store = stored.is_ok_and(|stored| stored == packed);
            let name = format!("{}: {path}", store.name);
            files.push(File { name, packed, here, as_in_store });
        }
    }
    assert!(!files.is_empty(), "{} holds no session", store.name);
    (dir, files)
}

/// The file that came from `path`; the project's folder may have another name.
fn find(tree: &BTreeMap<PathBuf, Node>, path: &str) -> (PathBuf, Vec<u8>) {
    let end = match path.strip_prefix("projects/") {
        Some(rest) => rest.split_once('/').unwrap().1,
        None => path,
    };
    let mut found = tree.iter().filter_map(|(place, node)| match node {
        Node::File { bytes, .. } if place.ends_with(end) => Some((place.clone(), bytes.clone())),
        _ => None,
    });
    let first = found.next().unwrap_or_else(|| panic!("{path} did not arrive"));
    assert!(found.next().is_none(), "{path} is there twice");
    first
}

/// Whether a session that moves may have another value at this place of a record.
fn is_declared(harness: &str, record: &Value, place: &str) -> bool {
    if harness == "claude" {
        return matches!(
            place,
            ".cwd" | ".relocatedCwd" | ".backup.realParentDir" | ".toolUseResult.persistedOutputPath"
        ) || (place.starts_with(".snapshot.trackedFileBackups.")
            && place.ends_with(".realParentDir"));
    }
    let place = match (record["type"].as_str().unwrap(), record["payload"]["type"].as_str()) {
        ("session_meta" | "turn_context", _) => place.strip_prefix(".payload"),
        ("event_msg", Some("thread_settings_applied")) => place.strip_prefix(".payload.thread_settings"),
        _ => None,
    };
    let fields = [
        ".runtime_workspace_roots[",
        ".sandbox_policy.",
        ".permission_profile.",
        ".file_system_sandbox_policy.",
    ];
    place.is_some_and(|place| place == ".cwd" || fields.iter().any(|field| place.starts_with(field)))
}

/// Calls `each` with the place and both values of every text.
fn texts<'v>(old: &'v Value, new: &'v Value, place: &str, each: &mut dyn FnMut(&str, &'v str, &'v str)) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            assert!(old.keys().eq(new.keys()), "{place}");
            old.iter().for_each(|(key, old)| texts(old, &new[key], &format!("{place}.{key}"), each));
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{place}");
            let pairs = old.iter().zip(new).enumerate();
            pairs.for_each(|(at, (old, new))| texts(old, new, &format!("{place}[{at}]"), each));
        }
        (Value::String(old), Value::String(new)) => each(place, old, new),
        (old, new) => assert_eq!(old, new, "{place}"),
    }
}

/// Compares line by line; returns how often each declared place has another value. `moved`: also
/// none of them may still be what it was.
fn compare(harness: &str, file: &File, moved: bool) -> BTreeMap<String, usize> {
    let mut changes = BTreeMap::new();
    if Path::new(&file.name).extension().is_none_or(|end| end != "jsonl") {
        assert!(file.packed == file.here, "{} is no transcript and has changed", file.name);
        return changes;
    }
    let lines = |bytes| -> Vec<&[u8]> { <[u8]>::split_inclusive(bytes, |byte| *byte == b'\n').collect() };
    let (old, new) = (lines(&file.packed), lines(&file.here));
    assert_eq!(old.len(), new.len(), "{}", file.name);
    for (number, (old, new)) in old.into_iter().zip(new).enumerate() {
        let name = format!("{} line {}", file.name, number + 1);
        let (Ok(record), Ok(other)) = (serde_json::from_slice::<Value>(old), serde_json::from_slice(new))
        else {
            assert!(old == new, "{name} is broken and has changed");
            continue;
        };
        let mut back = String::from_utf8(new.to_vec()).unwrap();
        texts(&record, &other, "", &mut |place, was, is| {
            let declared = is_declared(harness, &record, place);
            if was == is {
                let stayed = was == OLD || was.starts_with(&format!("{OLD}/"));
                assert!(!(moved && declared && stayed), "{name}: {place} is still {was:?}");
                return;
            }
            assert!(declared, "{name}: {place} was {was:?} and is {is:?}");
            let json = |text: &str| serde_json::to_string(text).unwrap();
            back = back.replace(&json(is), &json(was));
            *changes.entry(place.rsplit('.').next().unwrap().to_owned()).or_default() += 1;
        });
        assert!(back.as_bytes() == old, "{name}: more than values changed");
    }
    changes
}

/// Every file of every store, and how often each declared place changed in all.
fn all(harness: &'static str, more: &[&str], moved: bool) -> BTreeMap<String, usize> {
    let mut changes = BTreeMap::new();
    let mut otherwise = BTreeSet::new();
    for store in Store::all(harness) {
        let (_dir, files) = carry(harness, &store, more);
        for file in &files {
            if !file.as_in_store {
                otherwise.insert(store.name.clone());
            }
            for (place, count) in compare(harness, file, moved) {
                *changes.entry(place).or_default() += count;
            }
        }
    }
    // Codex: forks and reverts, which begin in another file, and a compressed one.
    let known = ["codex/chain", "codex/fork", "codex/packed", "codex/revert"];
    let known = |name: &String| known.iter().any(|known| name.ends_with(known));
    assert!(otherwise.iter().all(known), "not packed as they are: {otherwise:?}");
    changes
}

#[test]
fn without_a_new_directory_every_byte_stays() {
    assert_eq!(all("codex", &[], false), BTreeMap::new());
    // The output of a tool lies in the data directory, and that is another one here.
    let changes = all("claude", &[], false);
    assert!(changes.keys().eq(["persistedOutputPath"]), "{changes:?}");
}

#[test]
fn with_a_new_directory_only_the_declared_paths_change() {
    let map = format!("{OLD}={NEW}");
    for harness in ["claude", "codex"] {
        let changes = all(harness, &["--cwd-map", &map], true);
        println!("{harness}: {changes:?}");
        assert!(changes["cwd"] > 100, "{changes:?}");
    }
}
