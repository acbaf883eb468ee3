//! `doctor`: each thing that can be wrong is found where it is and nowhere else, the real program
//! agrees that it is wrong, lists the session after `--fix`, and `undo` takes the repairs back.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::real::agent::Machine;
use crate::support::cases;
use crate::support::holdall::Holdall;
use crate::support::programs::{Claude, Codex, Gemini, Home, Opencode};
use crate::support::terminal::squeeze;

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Brings recorded sessions to a machine; returns their ids, in the order of the names.
pub fn bring(machine: &Machine, harness: &str, names: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let source = Home::at(dir.path().join("source"));
    let archive = dir.path().join("sessions.tar.gz");
    let cases: Vec<_> = names
        .iter()
        .map(|name| cases::of(harness).into_iter().find(|case| case.case == *name).unwrap())
        .collect();
    cases.iter().for_each(|case| case.unpack(source.dir()));
    let ids: Vec<String> = cases.iter().map(|case| case.id.clone()).collect();
    let mut export = vec!["export", "-o", archive.to_str().unwrap()];
    export.extend(ids.iter().map(String::as_str));
    Holdall::new(&source, source.dir()).done(&export).unwrap();
    let map = format!("{}={}", cases::CWD, machine.cwd.display());
    let holdall = Holdall::new(&machine.home, &machine.cwd).with_programs();
    holdall.done(&["import", archive.to_str().unwrap(), "--cwd-map", &map]).unwrap();
    ids
}

/// Runs it; returns the report, and checks the exit code.
fn doctor(machine: &Machine, more: &[&str]) -> Value {
    let holdall = Holdall::new(&machine.home, &machine.cwd).with_programs();
    let (report, code) = holdall.json(&[&["doctor"], more].concat()).unwrap();
    assert_eq!(report["schema"], "holdall.doctor/1");
    let bad = |row: &&Value| row["fixed"] == false && row["severity"] != "notice";
    let left = report["findings"].as_array().unwrap().iter().filter(bad).count();
    assert_eq!(code, if left > 0 { 3 } else { 0 }, "{report:#}");
    report
}

/// Code and session of each finding, sorted.
pub fn findings(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = report["findings"].as_array().unwrap();
    let mut found: Vec<_> = rows.iter().map(|row| (text(&row["code"]), text(&row["session"]))).collect();
    found.sort();
    found
}

/// The same of what was put right.
fn fixed(report: &Value) -> Vec<(String, String)> {
    let rows = report["findings"].as_array().unwrap().iter().filter(|row| row["fixed"] == true);
    findings(&json!({"findings": rows.collect::<Vec<_>>()}))
}

pub fn expected(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut list: Vec<_> = list.iter().map(|(code, id)| ((*code).to_owned(), (*id).to_owned())).collect();
    list.sort();
    list
}

fn undo(machine: &Machine, report: &Value) {
    let id = report["import_id"].as_str().expect("something was repaired");
    Holdall::new(&machine.home, &machine.cwd).done(&["undo", id]).unwrap();
}

/// The file of a session below a directory.
pub fn file_of(dir: &Path, id: &str) -> PathBuf {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.to_string_lossy().contains(id) && path.extension().is_some_and(|it| it == "jsonl")
            {
                return path;
            }
        }
    }
    panic!("no file of {id}");
}

pub fn edit(path: &Path, change: impl Fn(String) -> String) {
    fs::write(path, change(fs::read_to_string(path).unwrap())).unwrap();
}

pub fn append(path: &Path, bytes: &[u8]) {
    fs::write(path, [fs::read(path).unwrap(), bytes.to_vec()].concat()).unwrap();
}

pub fn move_to(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(from, to).unwrap();
}

/// Gives a session of Claude Code a name that the picker shows.
fn name(path: &Path, title: &str) {
    let id = path.file_stem().unwrap().to_str().unwrap();
    let record = json!({"type": "custom-title", "customTitle": title, "sessionId": id});
    // The program looks for the record as it writes it: its type first.
    let rest = record.to_string();
    append(
        path,
        format!(
            "{}\n",
            rest.replace(r#""type":"custom-title","#, "")
                .replacen('{', r#"{"type":"custom-title","#, 1)
                .replace(r#","type":"custom-title"}"#, "}")
        )
        .as_bytes(),
    );
}

/// Which of the names the picker of Claude Code shows.
fn shown(machine: &Machine, names: &[&str]) -> Vec<String> {
    let claude = Claude::new(&machine.home, &machine.cwd);
    let marker = squeeze("T0 plain");
    let screen = claude.picker(Duration::from_secs(20), |screen| {
        if !screen.contains(&marker) {
            return false;
        }
        // The list is drawn at once.
        std::thread::sleep(Duration::from_millis(500));
        true
    });
    names.iter().filter(|name| screen.contains(&squeeze(name))).map(|name| (*name).to_owned()).collect()
}

/// Everything that was recorded, where it belongs: only what is truly so is found.
#[test]
fn healthy_homes() {
    let all = |harness: &str| cases::of(harness).into_iter().map(|case| case.case).collect::<Vec<_>>();
    let id =
        |harness: &str, name: &str| cases::of(harness).into_iter().find(|case| case.case == name).unwrap().id;
    let machine = Machine::without_git("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    Codex::new(&machine.home, &machine.cwd).listed().unwrap();
    drop(Opencode::named("opencode", &machine.home, &machine.cwd));
    for harness in ["claude", "codex", "opencode"] {
        let names = all(harness);
        bring(&machine, harness, &names.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let names = all("gemini");
    gemini_home(&machine, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let truly = [
        ("codex.non-interactive", id("codex", "exec")),
        // The recording ends between the resume and the start that would have deleted it.
        ("gemini.doomed", id("gemini", "resumed")),
    ];
    let truly: Vec<(&str, &str)> = truly.iter().map(|(code, id)| (*code, id.as_str())).collect();
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&truly));
}

#[test]
fn claude_code() {
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    let ids = bring(&machine, "claude", &["chat", "edit", "fail", "think", "parallel2", "image", "large"]);
    assert_eq!(findings(&doctor(&machine, &[])), expected(&[]));

    let projects = machine.home.dir().join(".claude/projects");
    let files: Vec<PathBuf> = ids.iter().map(|id| file_of(&projects, id)).collect();
    let names = ["T0 plain", "T1 wrong folder", "T2 sdk", "T3 sidechain", "T4 bad name", "T5 damaged"];
    files.iter().zip(names).for_each(|(file, title)| name(file, title));
    move_to(&files[1], &projects.join("-somewhere-else").join(files[1].file_name().unwrap()));
    edit(&files[2], |text| text.replace(r#""entrypoint":"cli""#, r#""entrypoint":"sdk-cli""#));
    edit(&files[3], |text| text.replace(r#""isSidechain":false"#, r#""isSidechain":true"#));
    move_to(&files[4], &files[4].with_file_name("copy-of-it.jsonl"));
    edit(&files[5], |text| {
        let at = text.find('\n').unwrap() + 1;
        format!("{}{{\"type\":\"user\",\n{}", &text[..at], &text[at..])
    });
    append(&files[5], b"\0\0\0\0\n{\"type\":\"user\",\"uuid\":\"cut o");
    let old = SystemTime::now() - 25 * DAY;
    File::options().write(true).open(&files[6]).unwrap().set_modified(old).unwrap();
    assert_eq!(shown(&machine, &names), ["T0 plain", "T5 damaged"]);

    let found = doctor(&machine, &[]);
    let all = [
        ("claude.wrong-folder", ids[1].as_str()),
        ("claude.hidden-entrypoint", &ids[2]),
        ("claude.sidechain", &ids[3]),
        ("claude.bad-name", &ids[4]),
        ("damaged-record", &ids[5]),
        ("nul-bytes", &ids[5]),
        ("torn-record", &ids[5]),
        ("claude.deleted-soon", &ids[6]),
    ];
    assert_eq!(findings(&found), expected(&all), "{found:#}");
    let row = |code: &str| {
        let rows = found["findings"].as_array().unwrap();
        rows.iter().find(|row| row["code"] == code).unwrap().clone()
    };
    let first = fs::read_to_string(&files[5]).unwrap().find('\n').unwrap() + 1;
    let detail = row("damaged-record")["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with(&format!("line 2, at byte {first}: ")), "{detail}");
    let date = chrono::DateTime::parse_from_rfc3339(row("claude.deleted-soon")["date"].as_str().unwrap());
    let left = date.unwrap().signed_duration_since(chrono::DateTime::<chrono::Utc>::from(SystemTime::now()));
    assert_eq!(left.num_hours(), 5 * 24 - 1, "30 days after the last change");

    let report = doctor(&machine, &["--fix"]);
    assert_eq!(fixed(&report), expected(&[all[0], all[3]]), "{report:#}");
    assert_eq!(shown(&machine, &names), ["T0 plain", "T1 wrong folder", "T4 bad name", "T5 damaged"]);
    let left: Vec<_> = all.iter().filter(|one| ![all[0], all[3]].contains(one)).copied().collect();
    assert_eq!(findings(&doctor(&machine, &["--fix"])), expected(&left));
    undo(&machine, &report);
    assert_eq!(findings(&doctor(&machine, &[])), expected(&all));
}

#[test]
fn claude_code_and_its_settings() {
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    let ids = bring(&machine, "claude", &["chat", "edit"]);
    let projects = machine.home.dir().join(".claude/projects");
    let settings = machine.home.dir().join(".claude/settings.json");
    let old = SystemTime::now() - 25 * DAY;
    File::options().write(true).open(file_of(&projects, &ids[0])).unwrap().set_modified(old).unwrap();
    fs::write(&settings, r#"{"cleanupPeriodDays": 365}"#).unwrap();
    assert_eq!(findings(&doctor(&machine, &[])), expected(&[]));
    fs::write(&settings, r#"{"cleanupPeriodDays": 20}"#).unwrap();
    assert_eq!(findings(&doctor(&machine, &[])), expected(&[("claude.deleted-soon", &ids[0])]));
    // Claude Code deletes nothing while it cannot read them.
    fs::write(&settings, "{").unwrap();
    assert_eq!(findings(&doctor(&machine, &[])), expected(&[("claude.broken-config", "")]));
    fs::write(&settings, "{}").unwrap();
    let twin = projects.join("-another").join(format!("{}.jsonl", ids[1]));
    fs::create_dir_all(twin.parent().unwrap()).unwrap();
    fs::copy(file_of(&projects, &ids[1]), twin).unwrap();
    let found = findings(&doctor(&machine, &[]));
    assert!(found.contains(&("claude.twice".to_owned(), ids[1].clone())), "{found:?}");
}

#[test]
fn codex() {
    let machine = Machine::new("src/app");
    let codex = Codex::new(&machine.home, &machine.cwd);
    // Codex looks through its whole store only at its first start.
    codex.listed().unwrap();
    let ids = bring(&machine, "codex", &["chat", "edit", "fail", "think", "exec", "subagent"]);
    let notices = [("codex.non-interactive", ids[4].as_str())];
    assert_eq!(findings(&doctor(&machine, &[])), expected(&notices));

    let sessions = machine.home.dir().join(".codex/sessions");
    let files: Vec<PathBuf> = ids[..4].iter().map(|id| file_of(&sessions, id)).collect();
    move_to(&files[0], &sessions.join("2026/11/01").join(files[0].file_name().unwrap()));
    move_to(&files[1], &files[1].with_file_name(format!("{}.jsonl", ids[1])));
    let new = cases::of("codex").into_iter().find(|case| case.case == "parallel2").unwrap();
    new.unpack(machine.home.dir());
    edit(&file_of(&sessions, &new.id), |text| text.replace(cases::CWD, machine.cwd.to_str().unwrap()));
    let before = codex.listed().unwrap();
    assert!(![&ids[0], &ids[1], &new.id].iter().any(|id| before.contains(id)), "{before:?}");
    assert!(before.contains(&ids[3]) && !before.contains(&ids[4]), "{before:?}");

    let wrong = [
        ("codex.stale-path", ids[0].as_str()),
        ("codex.bad-name", &ids[1]),
        ("codex.not-indexed", &new.id),
        notices[0],
    ];
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&wrong));
    // Without asking Codex, one of them stays.
    let report = doctor(&machine, &["--fix", "--no-confirm"]);
    assert_eq!(fixed(&report), expected(&wrong[..2]), "{report:#}");
    undo(&machine, &report);
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&wrong));
    let report = doctor(&machine, &["--fix"]);
    assert_eq!(fixed(&report), expected(&wrong[..3]), "{report:#}");
    let after = codex.listed().unwrap();
    assert!([&ids[0], &ids[1], &ids[2], &ids[3], &new.id].iter().all(|id| after.contains(id)), "{after:?}");
    codex.resume(&ids[0], "Go on, please.", None).unwrap();
    assert_eq!(findings(&doctor(&machine, &[])), expected(&notices));
}

#[test]
fn codex_and_its_providers() {
    let machine = Machine::new("src/app");
    let codex = Codex::new(&machine.home, &machine.cwd);
    let ids = bring(&machine, "codex", &["chat", "edit", "fail"]);
    let sessions = machine.home.dir().join(".codex/sessions");
    for (id, provider) in [(&ids[0], "gone"), (&ids[1], "openai")] {
        edit(&file_of(&sessions, id), |text| {
            let text =
                text.replace(r#""model_provider":"fake""#, &format!(r#""model_provider":"{provider}""#));
            text.replace(r#""model_provider_id":"fake""#, &format!(r#""model_provider_id":"{provider}""#))
        });
    }
    fs::remove_file(machine.home.dir().join(".codex/state_5.sqlite")).unwrap();
    assert_eq!(codex.listed().unwrap(), [ids[2].clone()]);
    let wrong = [("codex.provider-missing", ids[0].as_str()), ("codex.other-provider", &ids[1])];
    assert_eq!(findings(&doctor(&machine, &[])), expected(&wrong));
    assert!(codex.resume(&ids[0], "Go on, please.", None).is_err());
}

#[test]
fn opencode() {
    family("opencode");
}

#[test]
fn kilo() {
    family("kilo");
}

fn family(harness: &str) {
    let machine = Machine::without_git("src/app");
    let program = Opencode::named(harness, &machine.home, &machine.cwd);
    let ids = bring(&machine, harness, &["chat", "edit", "fail", "subagent"]);
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&[]));

    let data = machine.home.dir().join(".local/share").join(harness);
    let database = data.join(format!("{harness}.db"));
    let change = |sql: &str, values: &[&str]| {
        let connection = Connection::open(&database).unwrap();
        connection.execute(sql, rusqlite::params_from_iter(values)).unwrap();
    };
    change(
        "INSERT INTO project(id, worktree, vcs, time_created, time_updated, sandboxes) VALUES('lost', ?1, 'git', 1, 1, '[]')",
        &["/nowhere"],
    );
    change("UPDATE session SET project_id = 'lost', path = '' WHERE id = ?1 OR parent_id = ?1", &[&ids[3]]);
    change("UPDATE session SET parent_id = 'ses_gone' WHERE id = ?1", &[&ids[0]]);
    change("UPDATE session SET model = ?2 WHERE id = ?1", &[&ids[1], r#"{"providerID":"gone","id":"x"}"#]);
    let legacy = legacy_session(&data, &machine.cwd);
    let before = program.listed().unwrap();
    assert!(![&ids[0], &ids[3], &legacy].iter().any(|id| before.contains(id)), "{before:?}");

    let wrong = [
        ("opencode.other-project", ids[3].as_str()),
        ("opencode.lost-parent", &ids[0]),
        ("opencode.legacy", &legacy),
        ("opencode.provider-off", &ids[1]),
    ];
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&wrong));
    let report = doctor(&machine, &["--fix", "--no-confirm"]);
    assert_eq!(fixed(&report), expected(&wrong[..3]), "{report:#}");
    let after = program.listed().unwrap();
    assert!([&ids[0], &ids[1], &ids[3], &legacy].iter().all(|id| after.contains(id)), "{after:?}");
    program.resume(&legacy, "Go on, please.", None).unwrap();
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&wrong[3..]));
}

#[test]
fn opencode_repairs_are_taken_back() {
    let machine = Machine::without_git("src/app");
    let program = Opencode::named("opencode", &machine.home, &machine.cwd);
    let ids = bring(&machine, "opencode", &["chat", "edit"]);
    let data = machine.home.dir().join(".local/share/opencode");
    let database = data.join("opencode.db");
    let connection = Connection::open(&database).unwrap();
    connection.execute("UPDATE session SET parent_id = 'ses_gone' WHERE id = ?1", [&ids[0]]).unwrap();
    connection.execute("UPDATE part SET data = '{\"type\":' WHERE rowid = (SELECT min(rowid) FROM part WHERE session_id = ?1)", [&ids[1]]).unwrap();
    drop(connection);
    let legacy = legacy_session(&data, &machine.cwd);
    let wrong = [
        ("opencode.lost-parent", ids[0].as_str()),
        ("opencode.damaged-row", &ids[1]),
        ("opencode.legacy", &legacy),
    ];
    let report = doctor(&machine, &["--fix"]);
    assert_eq!(findings(&report), expected(&wrong), "{report:#}");
    assert!(program.listed().unwrap().contains(&legacy));
    undo(&machine, &report);
    assert_eq!(findings(&doctor(&machine, &[])), expected(&wrong));
    assert!(!program.listed().unwrap().contains(&legacy));
}

/// A session as opencode 1.1 kept it.
fn legacy_session(data: &Path, cwd: &Path) -> String {
    let id = "ses_0123456789abLegacySession1";
    let time = json!({"created": 1_795_000_000_000_u64, "updated": 1_795_000_000_000_u64});
    let (user, part) = ("msg_0123456789abLegacyMessage1", "prt_0123456789abLegacyPart0001");
    let storage = data.join("storage");
    let write = |path: &str, record: Value| {
        let path = storage.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, record.to_string()).unwrap();
    };
    write(
        &format!("session/global/{id}.json"),
        json!({"id": id, "slug": "old-one", "version": "1.1.65", "projectID": "global", "directory": cwd,
            "title": "From an earlier version", "time": time}),
    );
    write(
        &format!("message/{id}/{user}.json"),
        json!({"id": user, "sessionID": id, "role": "user", "time": {"created": 1_795_000_000_000_u64},
            "agent": "build", "model": {"providerID": "fake", "modelID": "fake-model"}}),
    );
    write(
        &format!("part/{user}/{part}.json"),
        json!({"id": part, "sessionID": id, "messageID": user, "type": "text", "text": "an old question"}),
    );
    id.to_owned()
}

/// The recorded home of Gemini CLI with its directory where this machine has it.
pub fn gemini_home(machine: &Machine, names: &[&str]) -> Vec<String> {
    let all = cases::of("gemini");
    let cases = names.iter().map(|name| all.iter().find(|case| case.case == *name).unwrap());
    let ids = cases.map(|case| {
        case.unpack(machine.home.dir());
        case.id.clone()
    });
    let ids = ids.collect();
    let mut dirs = vec![machine.home.dir().join(".gemini")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                fs::write(&path, text.replace(cases::CWD, machine.cwd.to_str().unwrap())).unwrap();
            }
        }
    }
    ids
}

#[test]
fn gemini() {
    let machine = Machine::new("src/app");
    let ids = gemini_home(&machine, &["chat", "edit", "resumed"]);
    let gemini = Gemini::new(&machine.home, &machine.cwd);
    let chats = machine.home.dir().join(".gemini/tmp/app/chats");
    append(&file_of(&chats, &ids[0][..8]), b"{\"id\":\"torn\",\"times");
    let wrong = [("gemini.doomed", ids[2].as_str()), ("torn-record", &ids[0])];
    assert_eq!(findings(&doctor(&machine, &[])), expected(&wrong));
    let report = doctor(&machine, &["--fix"]);
    assert_eq!(fixed(&report), expected(&wrong), "{report:#}");
    assert_eq!(findings(&doctor(&machine, &[])), expected(&[]));
    undo(&machine, &report);
    assert_eq!(findings(&doctor(&machine, &[])), expected(&wrong));
    doctor(&machine, &["--fix"]);
    // It would have gone at the first of these.
    for _ in 0..2 {
        let listed = gemini.listed().unwrap();
        assert!(ids.iter().all(|id| listed.contains(id)), "{listed:?}");
    }
}

#[test]
fn gemini_lost_folders() {
    let machine = Machine::new("src/app");
    let ids = gemini_home(&machine, &["chat", "edit"]);
    let gemini = Gemini::new(&machine.home, &machine.cwd);
    let data = machine.home.dir().join(".gemini");
    let chats = data.join("tmp/app/chats");
    // A folder that nothing says whose it is; the session itself knows its directory.
    move_to(
        &file_of(&chats, &ids[0][..8]),
        &data.join("tmp/old-name/chats/session-2026-11-21T13-24-a5b0088f.jsonl"),
    );
    let wrong = [("gemini.other-folder", ids[0].as_str())];
    assert_eq!(findings(&doctor(&machine, &[])), expected(&wrong));
    assert_eq!(gemini.listed().unwrap(), [ids[1].clone()]);
    let report = doctor(&machine, &["--fix"]);
    assert_eq!(fixed(&report), expected(&wrong), "{report:#}");
    assert!(ids.iter().all(|id| gemini.listed().unwrap().contains(id)));
    assert_eq!(findings(&doctor(&machine, &[])), expected(&[]));
    // A registry with a name that is none.
    edit(&data.join("projects.json"), |text| text.replacen("\"app\"", "\"Bad_Name\"", 1));
    assert_eq!(findings(&doctor(&machine, &[])), expected(&[("gemini.broken-registry", "")]));
}

#[test]
fn a_folder_that_was_renamed() {
    let machine = Machine::new("src/app");
    let codex = Codex::new(&machine.home, &machine.cwd);
    codex.listed().unwrap();
    let claude = bring(&machine, "claude", &["chat"]);
    let ids = bring(&machine, "codex", &["chat", "edit"]);
    let git = |args: &[&str]| {
        let name = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"];
        let output = Command::new("git").args(name).args(args).current_dir(&machine.cwd).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let sessions = machine.home.dir().join(".codex/sessions");
    edit(&file_of(&sessions, &ids[0]), |text| {
        let (first, rest) = text.split_once('\n').unwrap();
        let mut record: Value = serde_json::from_str(first).unwrap();
        record["payload"]["git"] = json!({"commit_hash": commit, "branch": "main"});
        format!("{record}\n{rest}")
    });
    let new = machine.home.dir().join("code/renamed");
    move_to(&machine.cwd, &new);
    let there = machine.at("code/renamed");
    let report = doctor(&there, &["--no-confirm"]);
    let gone =
        [("directory-gone", ids[0].as_str()), ("directory-gone", &ids[1]), ("directory-gone", &claude[0])];
    assert_eq!(findings(&report), expected(&gone));
    let command = json!(["holdall", "move", machine.cwd, new]);
    assert!(report["findings"].as_array().unwrap().iter().all(|row| row["command"] == command), "{report:#}");
    assert!(codex_in(&there).listed().unwrap().is_empty());
    let report = doctor(&there, &["--fix", "--no-confirm"]);
    assert_eq!(fixed(&report), expected(&gone), "{report:#}");
    let listed = codex_in(&there).listed().unwrap();
    assert!(ids.iter().all(|id| listed.contains(id)), "{listed:?}");
    assert_eq!(findings(&doctor(&there, &["--no-confirm"])), expected(&[]));
    undo(&there, &report);
    assert_eq!(findings(&doctor(&there, &["--no-confirm"])), expected(&gone));
}

fn codex_in(machine: &Machine) -> Codex<'_> {
    Codex::new(&machine.home, &machine.cwd)
}

#[test]
fn what_holdall_left() {
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    let ids = bring(&machine, "claude", &["chat"]);
    let transcript = file_of(&machine.home.dir().join(".claude/projects"), &ids[0]);
    let left = transcript.with_file_name(".holdall-20200101T000000Z-abcd-0.new");
    fs::write(&left, "half").unwrap();
    let imports = machine.home.dir().join(".local/state/holdall/imports");
    let journal = fs::read_dir(imports).unwrap().flatten().next().unwrap().path().join("journal.json");
    edit(&journal, |text| {
        text.replacen(r#""state":"done""#, r#""state":"prepared""#, 1).replacen(
            r#""state": "done""#,
            r#""state": "prepared""#,
            1,
        )
    });
    let wrong = [("interrupted-import", ""), ("leftover", "")];
    let before = fs::read(&journal).unwrap();
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&wrong));
    assert_eq!(fs::read(&journal).unwrap(), before, "only looked at");
    let report = doctor(&machine, &["--fix", "--no-confirm"]);
    assert_eq!(fixed(&report), expected(&wrong), "{report:#}");
    assert!(!left.exists() && transcript.exists());
    assert_eq!(findings(&doctor(&machine, &["--no-confirm"])), expected(&[]));
    undo(&machine, &report);
    assert_eq!(fs::read_to_string(&left).unwrap(), "half");
}

#[test]
fn nothing_unsafe_reaches_the_terminal() {
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    let ids = bring(&machine, "claude", &["chat"]);
    let transcript = file_of(&machine.home.dir().join(".claude/projects"), &ids[0]);
    name(&transcript, "evil \u{1b}]0;owned\u{7} \u{202e}title");
    edit(&transcript, |text| text.replace(machine.cwd.to_str().unwrap(), r"/gone/\u001b[31m\u0007dir"));
    let run = |args: &[&str]| {
        let mut command = machine.home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), &machine.cwd);
        let output = command.env("PATH", "/usr/bin:/bin").args(args).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, stdout, stderr) = run(&["--color", "never", "doctor"]);
    assert_eq!(code, 3);
    assert!(stdout.contains("directory-gone") && stdout.contains("evil"), "{stdout}");
    let odd = |text: &str| text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    assert!(!odd(&stdout) && !odd(&stderr), "{stdout}{stderr}");
    // Nothing but findings with -q; one line on a healthy machine.
    assert_eq!(run(&["-q", "doctor", "-H", "codex"]), (0, String::new(), String::new()));
    let (code, stdout, stderr) = run(&["doctor", "-H", "codex"]);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (0, "", 1), "{stderr}");
    let help = run(&["doctor", "--help"]).1;
    assert!(["codex.stale-path", "directory-gone", "gemini.doomed"].iter().all(|code| help.contains(code)));
}
