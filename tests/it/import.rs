//! What holds for every import, whichever sessions it brings: doing it twice changes nothing, undo
//! takes all of it back, and a dry run says exactly what would be done and does nothing.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cases;
use crate::support::holdall::Holdall;
use crate::support::programs::Home;
use crate::support::tree::{self, Tree};

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

    /// The home without holdall's own state. Compared with `assert!`: it is too long to print.
    fn tree(&self) -> Tree {
        tree::read_without(self.home.dir(), STATE)
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
        let once = arrival.tree();
        for session in sessions(&arrival.import(target, &[])) {
            assert_eq!(session["action"], "skip", "{session}");
            assert_eq!(session["reason"], "identical", "{session}");
        }
        assert!(once == arrival.tree(), "the second import to {target} changed something");
    });
}

/// Also of Codex, although nothing here configures the provider that the sessions name, and although forks
/// begin in the file of another session. (opencode and Kilo need a directory that is there.)
#[test]
fn what_never_left_is_identical() {
    for harness in ["claude", "codex", "gemini"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = Home::at(dir.path().join("home"));
        for case in cases::of(harness) {
            case.unpack(home.dir());
        }
        let file = dir.path().join("sessions.tar.gz").to_str().expect("UTF-8").to_owned();
        let done = |args: &[&str]| {
            let done = Holdall::new(&home, home.dir()).done(args);
            done.unwrap_or_else(|error| panic!("{harness}: {error}"))
        };
        done(&["export", "--all", "-o", &file]);
        let before = tree::read_without(home.dir(), STATE);
        for session in sessions(&done(&["import", &file])) {
            assert_eq!(session["reason"], "identical", "{harness}: {session}");
        }
        assert!(before == tree::read_without(home.dir(), STATE), "{harness}: the import changed something");
    }
}

#[test]
fn undo_takes_all_of_it_back() {
    for_each_pair(|arrival, target| {
        let before = arrival.tree();
        arrival.import(target, &[]);
        assert!(before != arrival.tree(), "the import to {target} did nothing");
        arrival.holdall(&["undo"]);
        assert!(before == arrival.tree(), "undo of {target} left something");
    });
}

#[test]
fn a_dry_run_says_what_the_import_does_and_does_nothing() {
    for_each_pair(|arrival, target| {
        let before = tree::read(arrival.home.dir());
        let mut dry = arrival.import(target, &["--dry-run"]);
        assert!(before == tree::read(arrival.home.dir()), "the dry run to {target} changed something");
        assert_eq!(dry["dry_run"], true);

        let mut real = arrival.import(target, &[]);
        assert_eq!(real["dry_run"], false);
        for report in [&mut dry, &mut real] {
            for field in ["dry_run", "import_id", "backup_dir"] {
                report.as_object_mut().expect("a report is an object").remove(field);
            }
        }
        assert_eq!(dry, real, "the dry run to {target} said something else");
    });
}

/// A session as it was exported twice: before and after it went on at its source.
struct Twice {
    id: String,
    before: String,
    after: String,
    dir: TempDir,
}

impl Twice {
    fn of(source: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = Home::at(dir.path().join("source"));
        let case = cases::of(source).into_iter().find(|case| case.case == "chat").expect("a recorded chat");
        case.unpack(home.dir());
        let export = |name: &str| {
            let file = dir.path().join(name).to_str().expect("UTF-8").to_owned();
            let done = Holdall::new(&home, home.dir()).done(&["export", &case.id, "-o", &file]);
            done.unwrap_or_else(|error| panic!("{error}"));
            file
        };
        let before = export("before.tar.gz");
        go_on(source, &home, "and then at the source");
        let after = export("after.tar.gz");
        Self { id: case.id, before, after, dir }
    }
}

/// Somebody says something more in the only session of a harness.
fn go_on(harness: &str, home: &Home, words: &str) {
    let is_transcript = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    let is_session =
        |path: &PathBuf| path.starts_with(".claude/projects") || path.starts_with(".codex/sessions");
    let files: Vec<PathBuf> =
        tree::read(home.dir()).into_keys().filter(is_transcript).filter(is_session).collect();
    let [file] = files.as_slice() else { panic!("not one session: {files:?}") };
    let path = home.dir().join(file);
    let mut text = fs::read_to_string(&path).expect("a transcript");
    let time = "2026-11-20T23:00:00.000Z";
    let record = if harness == "claude" {
        let last = text.lines().rev().find(|line| line.contains("\"uuid\"")).expect("a record");
        let mut record: Value = serde_json::from_str(last).expect("JSON");
        record["parentUuid"] = record["uuid"].take();
        record["uuid"] = "11111111-2222-4333-8444-555555555555".into();
        record["type"] = "user".into();
        record["message"] = json!({"role": "user", "content": words});
        record
    } else {
        let content = json!([{"type": "input_text", "text": words}]);
        let payload = json!({"type": "message", "role": "user", "content": content});
        json!({"timestamp": time, "type": "response_item", "payload": payload})
    };
    text.push_str(&record.to_string());
    text.push('\n');
    fs::write(&path, text).expect("the home can be written");
}

#[test]
fn a_conflict_ends_as_the_policy_says_and_undo_takes_it_back() {
    // Which side went on since, the policy, what becomes of it.
    let table = [
        ("nobody", "fail", "skip", "identical"),
        ("source", "skip", "skip", "exists"),
        ("source", "update", "update", ""),
        ("source", "replace", "replace", ""),
        ("source", "copy", "copy", ""),
        ("here", "update", "skip", "newer-here"),
        ("here", "replace", "replace", ""),
        ("both", "update", "skip", "diverged"),
        ("both", "copy", "copy", ""),
    ];
    for source in ["claude", "codex"] {
        let twice = Twice::of(source);
        for target in ["claude", "codex"] {
            for (place, (who, policy, action, reason)) in table.iter().enumerate() {
                let case = format!("{source} to {target}, {who} went on, {policy}");
                let home = Home::at(twice.dir.path().join(format!("{target}-{place}")));
                let import = |args: &[&str]| {
                    let args: Vec<&str> = ["import", "--to", target].iter().chain(args).copied().collect();
                    Holdall::new(&home, home.dir()).json(&args).unwrap_or_else(|error| panic!("{error}"))
                };
                import(&[&twice.before]);
                if ["here", "both"].contains(who) {
                    go_on(target, &home, "and then here");
                }
                let file = if ["source", "both"].contains(who) { &twice.after } else { &twice.before };
                let before = tree::read_without(home.dir(), STATE);
                let (report, code) = import(&[file, "--on-conflict", policy]);
                let session = &sessions(&report)[0];
                assert_eq!(session["action"], *action, "{case}: {session}");
                assert_eq!(session["reason"].as_str().unwrap_or(""), *reason, "{case}");
                let is_conflict = *action == "skip" && *reason != "identical";
                assert_eq!(code, if is_conflict { 3 } else { 0 }, "{case}");
                if *action != "skip" {
                    let undone = Holdall::new(&home, home.dir()).done(&["undo"]);
                    undone.unwrap_or_else(|error| panic!("{case}: {error}"));
                }
                assert!(before == tree::read_without(home.dir(), STATE), "{case}: something is left");
            }
        }
    }
}

#[test]
fn with_fail_one_conflict_stops_everything() {
    let twice = Twice::of("claude");
    let home = Home::at(twice.dir.path().join("here"));
    let holdall = Holdall::new(&home, home.dir());
    holdall.done(&["import", &twice.before]).unwrap();
    let before = tree::read(home.dir());
    let (refused, code) = holdall.json(&["import", &twice.after, "--on-conflict", "fail"]).unwrap();
    assert_eq!((code, &refused["schema"]), (1, &json!("holdall.error/1")), "{refused}");
    assert!(refused["hints"].to_string().contains(&twice.id), "{refused}");
    assert!(before == tree::read(home.dir()), "something was imported");
}

/// Codex keeps the names of all threads in one file.
#[test]
fn replacing_a_session_keeps_the_names_of_the_others() {
    let twice = Twice::of("codex");
    let home = Home::at(twice.dir.path().join("here"));
    let holdall = Holdall::new(&home, home.dir());
    holdall.done(&["import", &twice.before]).unwrap();
    let names = home.dir().join(".codex/session_index.jsonl");
    let line = |id: &str| json!({"id": id, "thread_name": "mine", "updated_at": "2026-11-20T15:00:00Z"});
    let text = format!("{}\n{}\n", line("01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1"), line(&twice.id));
    fs::write(&names, &text).unwrap();
    let report = holdall.done(&["import", &twice.after, "--on-conflict", "replace"]).unwrap();
    assert_eq!(sessions(&report)[0]["action"], "replace", "{report}");
    assert!(fs::read_to_string(&names).unwrap().starts_with(&text));
}

#[test]
fn an_import_is_not_undone_under_a_running_program() {
    let twice = Twice::of("claude");
    let home = Home::at(twice.dir.path().join("here"));
    let holdall = Holdall::new(&home, home.dir());
    holdall.done(&["import", &twice.before]).unwrap();
    let running = home.dir().join(".claude/sessions");
    fs::create_dir_all(&running).unwrap();
    let pid = std::process::id();
    let marker = running.join(format!("{pid}.json"));
    fs::write(&marker, json!({"pid": pid, "sessionId": twice.id}).to_string()).unwrap();
    let before = tree::read(home.dir());
    for args in [&["undo"][..], &["undo", "--force"]] {
        let (refused, code) = holdall.json(args).unwrap();
        assert_eq!(code, 1, "{refused}");
        assert!(refused["error"].to_string().contains("in use"), "{refused}");
    }
    assert!(before == tree::read(home.dir()));
    fs::remove_file(&marker).unwrap();
    holdall.done(&["undo"]).unwrap();
}

#[test]
fn a_rule_that_fits_nothing_is_named() {
    let twice = Twice::of("claude");
    let home = Home::at(twice.dir.path().join("here"));
    let rules = ["--cwd-map", "/home/dev/scr=/x", "--cwd-map", "/home/dev=~"];
    let args: Vec<&str> = ["import", "--dry-run", &twice.before].into_iter().chain(rules).collect();
    let report = Holdall::new(&home, home.dir()).done(&args).unwrap();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("/home/dev/scr=/x") && !warnings.contains("/home/dev="), "{warnings}");
}

#[test]
fn a_workspace_root_holds_for_conversions_too() {
    let twice = Twice::of("claude");
    let home = Home::at(twice.dir.path().join("here"));
    let repo = home.dir().join("old/app");
    fs::create_dir_all(&repo).unwrap();
    let init = std::process::Command::new("git").args(["init", "-q"]).arg(&repo).status().unwrap();
    assert!(init.success());
    let holdall = Holdall::new(&home, home.dir());
    let map = format!("{}=~/old/app", cases::CWD);
    holdall.done(&["import", &twice.before, "--cwd-map", &map]).unwrap();
    let args = ["convert", &twice.id, "--to", "codex", "--workspace-root", "new"];
    let report = holdall.done(&args).unwrap();
    let cwd = sessions(&report)[0]["target"]["cwd"].as_str().unwrap().to_owned();
    assert_eq!(cwd, home.dir().join("new/app").to_str().unwrap());
}
