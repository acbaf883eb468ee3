//! What holds for every import, whichever sessions it brings: doing it twice changes nothing, undo
//! takes all of it back, and a dry run says exactly what would be done and does nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::cases;
use crate::support::holdall::Holdall;
use crate::support::programs::Home;

/// holdall's own state, which an undone import leaves behind.
const STATE: &str = ".local/state/holdall";

/// All sessions that were recorded of `source`, in one archive, and a home to bring them to.
struct Arrival {
    home: Home,
    file: String,
    map: String,
    _dir: TempDir,
}

impl Arrival {
    fn of(source: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let here = Home::at(dir.path().join("here"));
        for case in cases::of(source) {
            case.unpack(here.dir());
        }
        let file = dir.path().join("sessions.tar.gz").to_str().expect("UTF-8").to_owned();
        let exported = Holdall::new(&here, here.dir()).done(&["export", "--all", "-o", &file]);
        let exported = exported.unwrap_or_else(|error| panic!("{error}"));
        let sessions = exported["sessions"].as_array().map_or(0, Vec::len);
        assert!(sessions >= cases::of(source).len(), "only {sessions} were exported: {exported}");

        let home = Home::at(dir.path().join("there"));
        let cwd = home.dir().join("work/app");
        fs::create_dir_all(&cwd).expect("the home can be written");
        let map = format!("{}={}", cases::CWD, cwd.display());
        Self { home, file, map, _dir: dir }
    }

    fn import(&self, target: &str, more: &[&str]) -> Value {
        let mut args = vec!["import", &self.file, "--to", target, "--cwd-map", &self.map];
        args.extend(more);
        self.holdall(&args)
    }

    fn holdall(&self, args: &[&str]) -> Value {
        let done = Holdall::new(&self.home, self.home.dir()).done(args);
        done.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Every file and folder below `dir` with its mode and content, but for `skipped`.
fn snapshot(dir: &Path, skipped: &str) -> BTreeMap<String, (u32, String)> {
    fn walk(root: &Path, dir: &Path, skipped: &str, found: &mut BTreeMap<String, (u32, String)>) {
        for entry in fs::read_dir(dir).expect("the home can be read") {
            let path = entry.expect("the home can be read").path();
            let name = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
            if name == skipped {
                continue;
            }
            let mode = path.symlink_metadata().expect("the home can be read").permissions().mode();
            let content = if path.is_dir() {
                walk(root, &path, skipped, found);
                "folder".to_owned()
            } else {
                format!("{:x?}", Sha256::digest(fs::read(&path).expect("the home can be read")))
            };
            // The folders above the skipped one belong to it.
            if !skipped.starts_with(&format!("{name}/")) || skipped.is_empty() {
                found.insert(name, (mode, content));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(dir, dir, skipped, &mut found);
    found
}

/// The sessions of a report.
fn sessions(report: &Value) -> &[Value] {
    let sessions = report["sessions"].as_array().expect("a report lists sessions");
    assert!(!sessions.is_empty(), "the report is empty: {report}");
    sessions
}

/// Runs `check` for each pair of harnesses.
fn for_each_pair(check: impl Fn(&Arrival, &str)) {
    for source in ["claude", "codex"] {
        for target in ["claude", "codex"] {
            check(&Arrival::of(source), target);
        }
    }
}

#[test]
fn importing_twice_changes_nothing() {
    for_each_pair(|arrival, target| {
        for session in sessions(&arrival.import(target, &[])) {
            assert_eq!(session["action"], "create", "{session}");
        }
        let once = snapshot(arrival.home.dir(), STATE);
        for session in sessions(&arrival.import(target, &[])) {
            assert_eq!(session["action"], "skip", "{session}");
            assert_eq!(session["reason"], "identical", "{session}");
        }
        assert_eq!(
            once,
            snapshot(arrival.home.dir(), STATE),
            "the second import to {target} changed something"
        );
    });
}

#[test]
fn undo_takes_all_of_it_back() {
    for_each_pair(|arrival, target| {
        let before = snapshot(arrival.home.dir(), STATE);
        arrival.import(target, &[]);
        assert_ne!(before, snapshot(arrival.home.dir(), STATE), "the import to {target} did nothing");
        arrival.holdall(&["undo"]);
        assert_eq!(before, snapshot(arrival.home.dir(), STATE), "undo of {target} left something");
    });
}

#[test]
fn a_dry_run_says_what_the_import_does_and_does_nothing() {
    for_each_pair(|arrival, target| {
        let before = snapshot(arrival.home.dir(), "");
        let mut dry = arrival.import(target, &["--dry-run"]);
        assert_eq!(before, snapshot(arrival.home.dir(), ""), "the dry run to {target} changed something");
        assert_eq!(dry["dry_run"], true);

        let mut real = arrival.import(target, &[]);
        assert_eq!(real["dry_run"], false);
        for report in [&mut dry, &mut real] {
            for field in ["dry_run", "import_id", "backup_dir"] {
                report.as_object_mut().expect("a report is an object").remove(field);
            }
            for session in report["sessions"].as_array_mut().expect("a report lists sessions") {
                // Nothing was written that could be verified.
                session.as_object_mut().expect("a session is an object").remove("verified");
            }
        }
        assert_eq!(dry, real, "the dry run to {target} said something else");
    });
}
