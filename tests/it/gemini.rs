//! Gemini CLI deletes sessions when it starts: what a resume seems to have damaged, and what is old.
//! What holdall brings must outlive that, and be found from the directory that it belongs to.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::cases::{self, Case};
use crate::support::holdall::Holdall;
use crate::support::programs::{Gemini, Home, Origin};
use crate::support::tree;

/// A directory whose name Gemini CLI changes in every way that it has.
const NAME: &str = "My_Proj.X é 世";
const OLD: &str = "0b4a9d1c-5c51-4e0b-8a35-f2a4b7d3e901";

/// A home with recorded sessions of Claude Code in it.
fn home(dir: &Path) -> Home {
    let home = Home::at(dir.join("home"));
    for case in cases::of("claude").into_iter().filter(|case| CASES.contains(&case.case.as_str())) {
        case.unpack(home.dir());
    }
    home
}

const CASES: [&str; 2] = ["parallel2", "fail"];

fn cases() -> Vec<Case> {
    cases::of("claude").into_iter().filter(|case| CASES.contains(&case.case.as_str())).collect()
}

fn below(home: &Home, path: &str) -> PathBuf {
    let dir = home.dir().join(path);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// An archive with a session that Gemini CLI itself would delete at once: it is years old.
fn old_session(dir: &Path) -> String {
    let home = Home::at(dir.join("old"));
    let chats = below(&home, ".gemini/tmp/app/chats");
    fs::write(chats.parent().unwrap().join(".project_root"), "/old/app").unwrap();
    let time = "2020-02-03T04:05:06.000Z";
    let records = [
        format!(
            r#"{{"sessionId":"{OLD}","projectHash":"x","startTime":"{time}","lastUpdated":"{time}","kind":"main"}}"#
        ),
        format!(
            r#"{{"id":"a","timestamp":"{time}","type":"user","content":[{{"text":"an old question"}}]}}"#
        ),
        format!(r#"{{"id":"b","timestamp":"{time}","type":"gemini","content":"an old answer"}}"#),
        format!(r#"{{"$set":{{"lastUpdated":"{time}"}}}}"#),
    ];
    fs::write(chats.join("session-2020-02-03T04-05-0b4a9d1c.jsonl"), records.join("\n") + "\n").unwrap();
    let archive = dir.join("old.tar.gz").to_str().unwrap().to_owned();
    Holdall::new(&home, home.dir()).done(&["export", "--all", "-o", &archive]).unwrap();
    archive
}

/// Converts a session of Claude Code; returns what the report says of it.
fn convert(home: &Home, case: &Case, cwd: &Path) -> Value {
    let map = format!("{}={}", case.cwd, cwd.to_str().unwrap());
    let report =
        Holdall::new(home, home.dir()).done(&["convert", &case.id, "--to", "gemini", "--cwd-map", &map]);
    report.unwrap()["sessions"][0].clone()
}

fn import(home: &Home, archive: &str, cwd: &Path) -> Value {
    let map = format!("/old/app={}", cwd.to_str().unwrap());
    // A session that is skipped is no success to the exit code.
    let (report, _) = Holdall::new(home, home.dir()).json(&["import", archive, "--cwd-map", &map]).unwrap();
    report["sessions"][0].clone().clone()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// How often a text stands in what the model was told.
fn count(body: &Value, part: &str) -> usize {
    body["contents"].to_string().matches(part).count()
}

#[test]
fn sessions_outlive_resumes_other_starts_and_their_age() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(dir.path());
    let (cwd, other) = (below(&home, &format!("work/{NAME}")), below(&home, &format!("else/{NAME}")));
    // Gemini CLI has run here before, in a directory of the same name.
    Gemini::new(&home, &other).run("hello").unwrap();
    let registry = home.dir().join(".gemini/projects.json");
    let registered: Value = serde_json::from_slice(&fs::read(&registry).unwrap()).unwrap();

    let archive = old_session(dir.path());
    assert_eq!(import(&home, &archive, &cwd)["action"], "create");
    assert_eq!(import(&home, &archive, &cwd)["reason"], "identical");
    let mut sessions =
        vec![(OLD.to_owned(), Origin::Own, vec![("an old question", 1), ("an old answer", 1)])];
    for case in cases() {
        let session = convert(&home, &case, &cwd);
        assert_eq!(session["action"], "create", "{session}");
        assert_eq!(convert(&home, &case, &cwd)["reason"], "identical");
        let calls = if case.case == "parallel2" { 2 } else { 1 };
        let expected = vec![("\"functionCall\"", calls), ("\"functionResponse\"", calls)];
        sessions.push((text(&session, "/target/id").to_owned(), Origin::Foreign, expected));
    }

    let gemini = Gemini::new(&home, &cwd);
    let all_listed = |when: &str| {
        let listed = gemini.listed().unwrap();
        for (id, ..) in &sessions {
            assert!(listed.contains(id), "{when}: {id} is not in {listed:?}");
        }
    };
    all_listed("after the import");
    for round in ["first", "second", "third"] {
        for (id, origin, expected) in &sessions {
            let body = gemini.resume(id, &format!("the {round} prompt"), *origin).unwrap();
            for (part, times) in expected {
                assert_eq!(count(&body, part), *times, "{round} resume of {id}: {part}");
            }
        }
        gemini.run("something else").unwrap();
        all_listed(round);
    }
    // What was registered still is, and the new directory has a place of its own.
    let now: Value = serde_json::from_slice(&fs::read(&registry).unwrap()).unwrap();
    for (path, slug) in registered["projects"].as_object().unwrap() {
        assert_eq!(now["projects"][path], *slug);
    }
    let slug = text(&now["projects"], &format!("/{}", cwd.to_str().unwrap().replace('/', "~1")));
    assert!(
        !slug.is_empty()
            && now["projects"].as_object().unwrap().values().filter(|it| *it == slug).count() == 1
    );
    // Here goes on what came: nothing is lost by importing again.
    assert_eq!(import(&home, &archive, &cwd)["reason"], "newer-here");
}

#[test]
fn a_home_where_it_never_ran_is_enough_and_can_be_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(dir.path());
    let (real, other) = (below(&home, &format!("work/{NAME}")), below(&home, &format!("else/{NAME}")));
    let link = home.dir().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let before = tree::read_without(home.dir(), ".local");
    let [first, second] = <[Case; 2]>::try_from(cases()).unwrap();
    // The program sees where the link leads. Directories of one name do not get into each other's way.
    let linked = convert(&home, &first, &link);
    let elsewhere = convert(&home, &second, &other);
    let undo = || Holdall::new(&home, home.dir()).done(&["undo"]).unwrap();
    undo();
    undo();
    assert_eq!(tree::read_without(home.dir(), ".local"), before);

    let ids = [convert(&home, &first, &link), convert(&home, &second, &other)].map(|session| {
        assert_eq!(session["action"], "create");
        text(&session, "/target/id").to_owned()
    });
    assert_eq!(ids, [&linked, &elsewhere].map(|session| text(session, "/target/id")));
    assert_eq!(Gemini::new(&home, &real).listed().unwrap(), ids[..1]);
    assert_eq!(Gemini::new(&home, &other).listed().unwrap(), ids[1..]);
}

#[test]
fn undo_leaves_a_project_that_has_other_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(dir.path());
    let cwd = below(&home, &format!("work/{NAME}"));
    let sessions: Vec<Value> = cases().iter().map(|case| convert(&home, case, &cwd)).collect();
    let imports = Holdall::new(&home, home.dir()).done(&["imports"]).unwrap();
    // The first one, which made the project's directory: the list begins with the newest.
    let first = imports["imports"].as_array().unwrap().last().unwrap();
    Holdall::new(&home, home.dir()).done(&["undo", text(first, "/id")]).unwrap();
    let there: Vec<&Value> =
        sessions.iter().filter(|session| Path::new(text(session, "/target/path")).exists()).collect();
    let [left] = there.as_slice() else { panic!("one session is left of {sessions:?}") };
    assert_eq!(Gemini::new(&home, &cwd).listed().unwrap(), [text(left, "/target/id")]);
}
