//! What `move` does with every recorded session, what it says, and what it refuses; without the real
//! programs, which [`crate::relocated`] asks.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::relocated::{rows, same, state_of};
use crate::support::cases::{self, CWD};
use crate::support::holdall::Holdall;
use crate::support::programs::Home;

/// A home with recorded sessions, whose folder is not there any more.
struct Scene {
    home: Home,
    _dir: TempDir,
}

impl Scene {
    fn new(harness: &str, chosen: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scene = Self { home: Home::at(dir.path().join("home")), _dir: dir };
        for case in cases::of(harness) {
            if chosen.is_empty() || chosen.contains(&case.case.as_str()) {
                case.unpack(scene.home.dir());
            }
        }
        fs::create_dir_all(scene.path("code/new")).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.dir().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn json(&self, args: &[&str]) -> (Value, i32) {
        Holdall::new(&self.home, &self.path("code")).json(args).unwrap()
    }

    fn done(&self, args: &[&str]) -> Value {
        Holdall::new(&self.home, &self.path("code")).done(args).unwrap()
    }

    /// The project folder of Claude Code for a directory of this home.
    fn project(&self, dir: &str) -> String {
        let name: String =
            self.text(dir).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!(".claude/projects/{name}")
    }
}

/// The folder that Claude Code has for [`CWD`].
const RECORDED: &str = ".claude/projects/-home-dev-src-app";

#[test]
fn every_recorded_session_follows_and_comes_back() {
    let mut moved = 0;
    for harness in ["claude", "codex", "opencode", "kilo", "gemini"] {
        let scene = Scene::new(harness, &[]);
        let before = state_of(scene.home.dir());
        let listed = |scene: &Scene, dir: &str| {
            let found = scene.done(&["list", "--all", "-H", harness, "--cwd", dir]);
            let mut ids: Vec<String> = found["sessions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|session| session["id"].as_str().unwrap().to_owned())
                .collect();
            ids.sort();
            ids
        };
        let there = listed(&scene, CWD);
        let report = scene.done(&["move", CWD, "new", "--yes"]);
        for row in rows(&report) {
            assert_eq!(row["action"], "move", "{harness}: {row:#}");
            assert_eq!(row["verified"], "read-back", "{harness}: {row:#}");
        }
        assert_eq!(rows(&report).len(), there.len(), "{harness}");
        assert_eq!(listed(&scene, &scene.text("code/new")), there, "{harness}");
        assert!(listed(&scene, CWD).is_empty(), "{harness}");
        moved += there.len();
        scene.done(&["undo"]);
        same(&before, &state_of(scene.home.dir()), harness);
    }
    println!("{moved} sessions moved and came back");
    assert!(moved >= 85, "{moved}");
}

#[test]
fn the_memory_of_a_project_follows_and_its_empty_folder_goes() {
    let scene = Scene::new("claude", &["chat", "subagent"]);
    scene.write(&format!("{RECORDED}/memory/MEMORY.md"), "remember");
    scene.write(&format!("{RECORDED}/memory/deep/topic.md"), "more");
    let before = state_of(scene.home.dir());
    scene.done(&["move", CWD, "new"]);
    let new = scene.project("code/new");
    assert_eq!(scene.read(&format!("{new}/memory/MEMORY.md")), "remember");
    assert_eq!(scene.read(&format!("{new}/memory/deep/topic.md")), "more");
    assert!(!scene.path(RECORDED).exists());
    scene.done(&["undo"]);
    same(&before, &state_of(scene.home.dir()), "the memory");
}

#[test]
fn memory_stays_where_another_session_needs_it_or_another_is_there() {
    // `app` and `ap.` would be two names; `src.app` and `src/app` are one for Claude Code.
    let scene = Scene::new("claude", &["chat"]);
    let other = "11111111-2222-4333-8444-555555555555";
    let text = scene.read(&format!("{RECORDED}/{}.jsonl", cases::of("claude")[0].id));
    let text = text.replace(CWD, "/home/dev/src.app").replace(&cases::of("claude")[0].id, other);
    scene.write(&format!("{RECORDED}/{other}.jsonl"), &text);
    scene.write(&format!("{RECORDED}/memory/MEMORY.md"), "of both");
    let report = scene.done(&["move", CWD, "new"]);
    assert_eq!(rows(&report).len(), 1, "{report:#}");
    assert_eq!(scene.read(&format!("{RECORDED}/memory/MEMORY.md")), "of both");
    assert_eq!(scene.read(&format!("{RECORDED}/{other}.jsonl")), text, "not one byte of the other");

    let scene = Scene::new("claude", &["chat"]);
    scene.write(&format!("{RECORDED}/memory/MEMORY.md"), "old");
    let new = format!("{}/memory/MEMORY.md", scene.project("code/new"));
    scene.write(&new, "new");
    let report = scene.done(&["move", CWD, "new"]);
    assert!(report["warnings"][0].as_str().unwrap().contains("stays"), "{report:#}");
    assert_eq!(scene.read(&new), "new");
    assert_eq!(scene.read(&format!("{RECORDED}/memory/MEMORY.md")), "old");
}

#[test]
fn a_session_in_use_stays_and_the_others_go() {
    let scene = Scene::new("claude", &["chat", "fail"]);
    let id = &cases::of("claude")[0].id;
    let process = std::process::id();
    scene.write(&format!(".claude/sessions/{process}.json"), &format!(r#"{{"sessionId":"{id}"}}"#));
    let (report, code) = scene.json(&["move", CWD, "new"]);
    assert_eq!(code, 3, "{report:#}");
    let live = rows(&report).iter().find(|row| row["source"]["id"] == id.as_str()).unwrap();
    assert_eq!(live["action"], "fail");
    assert!(live["reason"].as_str().unwrap().contains("it is in use"), "{live:#}");
    assert!(scene.path(&format!("{RECORDED}/{id}.jsonl")).exists());
    fs::remove_file(scene.path(&format!(".claude/sessions/{process}.json"))).unwrap();
    let report = scene.done(&["move", CWD, "new"]);
    assert_eq!(rows(&report).len(), 1, "the other one is there already");
}

#[test]
fn a_folder_is_not_moved_from_under_a_session_in_use() {
    let scene = Scene::new("claude", &["chat", "fail"]);
    scene.done(&["move", CWD, "new"]);
    let id = &cases::of("claude")[0].id;
    let process = std::process::id();
    scene.write(&format!(".claude/sessions/{process}.json"), &format!(r#"{{"sessionId":"{id}"}}"#));
    let before = state_of(scene.home.dir());
    let (error, code) = scene.json(&["move", "new", "newer", "--and-folder"]);
    assert_eq!(code, 1, "{error:#}");
    assert!(error["error"].as_str().unwrap().contains("1 of 2 could not follow"), "{error:#}");
    same(&before, &state_of(scene.home.dir()), "a refusal");
}

#[test]
fn the_folder_of_another_machine() {
    for (harness, json) in [("claude", true), ("codex", true), ("opencode", false)] {
        let scene = Scene::new(harness, &["chat"]);
        fs::create_dir(scene.path("code/new/app")).unwrap();
        let old = r"C:\Users\Me\src\app";
        if json {
            let tree = state_of(scene.home.dir());
            for path in tree.keys().filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
                let text = fs::read_to_string(scene.path(path.to_str().unwrap())).unwrap();
                let text = text.replace(CWD, &old.replace('\\', r"\\"));
                fs::write(scene.path(path.to_str().unwrap()), text).unwrap();
            }
        } else {
            let database = scene.path(".local/share/opencode/opencode.db");
            let connection = rusqlite::Connection::open(database).unwrap();
            connection.execute("UPDATE session SET directory = ?1", [old]).unwrap();
        }
        let report = scene.done(&["move", r"c:\users\me\SRC\", "new"]);
        assert_eq!(rows(&report).len(), 1, "{harness}: {report:#}");
        let there = scene.text("code/new/app");
        assert_eq!(rows(&report)[0]["target"]["cwd"], there.as_str(), "{harness}");
    }
}

#[test]
fn the_folder_itself_moves_and_comes_back() {
    let scene = Scene::new("claude", &["chat"]);
    fs::remove_dir(scene.path("code/new")).unwrap();
    scene.write("code/old/src/code", "of the user");
    scene.done(&["move", CWD, &scene.text("code/old")]);
    let before = state_of(scene.home.dir());
    let dry = scene.done(&["move", "old", "new", "--and-folder", "--dry-run"]);
    assert_eq!(dry["folder"], "would-move");
    same(&before, &state_of(scene.home.dir()), "a dry run");
    let report = scene.done(&["move", "old", "new", "--and-folder"]);
    assert_eq!((&report["schema"], &report["folder"]), (&"holdall.move/1".into(), &"moved".into()));
    assert_eq!(report["old"], scene.text("code/old").as_str());
    assert_eq!(scene.read("code/new/src/code"), "of the user");
    assert!(!scene.path("code/old").exists());
    let imports = scene.done(&["imports"]);
    assert_eq!(imports["imports"][0]["moved"]["folder"], true);
    let undone = scene.done(&["undo"]);
    assert_eq!(undone["folder"], scene.text("code/old").as_str());
    same(&before, &state_of(scene.home.dir()), "a folder that came back");
}

#[test]
fn opencode_finds_the_project_of_a_folder_that_is_not_there_yet() {
    let scene = Scene::new("opencode", &["chat"]);
    fs::remove_dir(scene.path("code/new")).unwrap();
    fs::create_dir_all(scene.path("code/old")).unwrap();
    let repository = git2::Repository::init(scene.path("code/old")).unwrap();
    repository.remote("origin", "https://host/team/app.git").unwrap();
    scene.done(&["move", CWD, "old"]);
    let project = |scene: &Scene| -> (String, String, String) {
        let database = scene.path(".local/share/opencode/opencode.db");
        let sql =
            "SELECT project_id, directory, worktree FROM session JOIN project ON project.id = project_id";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        rusqlite::Connection::open(database).unwrap().query_row(sql, [], row).unwrap()
    };
    let (id, directory, worktree) = project(&scene);
    assert_eq!((directory, worktree), (scene.text("code/old"), scene.text("code/old")));
    scene.done(&["move", "old", "new", "--and-folder"]);
    let (now, directory, _) = project(&scene);
    assert_eq!((now, directory), (id, scene.text("code/new")));
}

#[test]
fn another_copy_that_went_on_loses_nothing() {
    let scene = Scene::new("claude", &["chat"]);
    let id = cases::of("claude")[0].id.clone();
    let new = scene.project("code/new");
    scene.done(&["move", CWD, "new"]);
    let text = scene.read(&format!("{new}/{id}.jsonl"));
    scene.done(&["undo"]);
    let more = format!("{text}{{\"type\":\"summary\",\"summary\":\"more\"}}\n");
    scene.write(&format!("{new}/{id}.jsonl"), &more);
    let (report, code) = scene.json(&["move", CWD, "new"]);
    let reason = rows(&report)[0]["reason"].as_str().unwrap();
    assert!(code == 3 && reason.contains("has gone on"), "{reason}");
    assert_eq!(scene.read(&format!("{new}/{id}.jsonl")), more);
    scene.write(&format!("{new}/{id}.jsonl"), &text);
    scene.done(&["move", CWD, "new"]);
    assert!(!scene.path(RECORDED).exists());
}

#[test]
fn only_the_named_harness_follows() {
    let scene = Scene::new("claude", &["chat"]);
    cases::of("codex").into_iter().find(|case| case.case == "chat").unwrap().unpack(scene.home.dir());
    let report = scene.done(&["move", CWD, "new", "-H", "codex"]);
    assert_eq!((rows(&report).len(), &rows(&report)[0]["source"]["harness"]), (1, &"codex".into()));
    assert!(scene.path(RECORDED).exists());
}

#[test]
fn a_folder_without_sessions_is_an_error_with_advice() {
    let scene = Scene::new("claude", &["chat"]);
    let (error, code) = scene.json(&["move", "/home/dev/src/ap", "new"]);
    assert_eq!(code, 1);
    assert_eq!(error["error"], "no session is in /home/dev/src/ap or below it");
    assert_eq!(error["hints"][0], format!("1 session in {CWD}"));
    let (error, code) = scene.json(&["move", "/home/dev/src/app", "missing"]);
    assert_eq!(code, 1, "{error:#}");
    assert!(!scene.path(".local/state/holdall/imports").exists(), "nothing was begun");
}

#[test]
fn people_are_told() {
    let scene = Scene::new("claude", &["chat"]);
    let program = Path::new(env!("CARGO_BIN_EXE_holdall"));
    let run = |args: &[&str]| {
        let mut command = scene.home.command(program, &scene.path("code"));
        let done = command.env("PATH", "/usr/bin:/bin").args(args).output().unwrap();
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (dry, _) = run(&["move", CWD, "new", "--dry-run"]);
    assert!(dry.contains("Dry run: nothing is changed.") && dry.contains("would be moved"), "{dry}");
    let (done, talk) = run(&["move", CWD, "new"]);
    assert!(done.contains("moved: ") && done.contains("in ~/code/new  (was /home/dev/src/app)"), "{done}");
    assert!(done.contains("claude --resume"), "{done}");
    assert!(talk.contains("holdall undo"), "{talk}");
    let (again, _) = run(&["move", CWD, "new"]);
    assert_eq!(again, "Nothing to do.\n");
    let (history, _) = run(&["imports"]);
    assert!(
        history.contains(&format!("1 session moved from {CWD} to {}", scene.text("code/new"))),
        "{history}"
    );
}
