//! `doctor`: what is rarely wrong, each in a recorded session that was damaged for it. What the real
//! programs make of the common ones is in [`crate::doctor`].

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use rusqlite::Connection;
use serde_json::Value;

use crate::doctor::{DAY, append, bring, edit, expected, file_of, findings, gemini_home, move_to};
use crate::real::agent::Machine;
use crate::support::cases;
use crate::support::holdall::Holdall;
use crate::support::programs::{Claude, Codex, Opencode};

fn look(machine: &Machine) -> Value {
    Holdall::new(&machine.home, &machine.cwd).json(&["doctor", "--no-confirm"]).unwrap().0
}

/// A machine where these are found, and nothing else.
fn finds(machine: &Machine, list: &[(&str, &str)]) {
    let report = look(machine);
    assert_eq!(findings(&report), expected(list), "{report:#}");
}

#[test]
fn of_claude_code() {
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    let ids = bring(&machine, "claude", &["chat", "large", "edit"]);
    let projects = machine.home.dir().join(".claude/projects");
    let files: Vec<_> = ids.iter().map(|id| file_of(&projects, id)).collect();
    fs::write(&files[0], "").unwrap();
    let outputs = files[1].with_extension("").join("tool-results");
    fs::remove_dir_all(outputs).unwrap();
    append(&files[2], b"[1,2]\n\"x\"\n3\n4\n5\n");
    let odd = ("odd-record", ids[2].as_str());
    let list = [("claude.empty", ids[0].as_str()), ("missing-part", &ids[1]), odd, odd, odd, odd];
    finds(&machine, &list);
    let rows = look(&machine)["findings"].as_array().unwrap().clone();
    let told = |text: &str| rows.iter().any(|row| row["detail"].as_str().unwrap().contains(text));
    assert!(told("and 2 lines more"), "{rows:#?}");
}

#[test]
fn of_codex() {
    let machine = Machine::new("src/app");
    let codex = Codex::new(&machine.home, &machine.cwd);
    codex.listed().unwrap();
    let names = ["chat", "edit", "fail", "think", "image"];
    let ids = bring(&machine, "codex", &names);
    let home = machine.home.dir().join(".codex");
    let files: Vec<_> = ids.iter().map(|id| file_of(&home.join("sessions"), id)).collect();
    let index = home.join("state_5.sqlite");
    let change = |sql: &str, values: &[&str]| {
        Connection::open(&index).unwrap().execute(sql, rusqlite::params_from_iter(values)).unwrap();
    };
    let archived = home.join("archived_sessions").join(files[0].file_name().unwrap());
    move_to(&files[0], &archived);
    change(
        "UPDATE threads SET archived = 1, rollout_path = ?2 WHERE id = ?1",
        &[&ids[0], archived.to_str().unwrap()],
    );
    change("UPDATE threads SET preview = '' WHERE id = ?1", &[&ids[1]]);
    fs::remove_file(&files[2]).unwrap();
    let name = files[3].file_name().unwrap().to_str().unwrap().replace("2026-11-20T", "2026-11-19T");
    fs::copy(&files[3], files[3].with_file_name(name)).unwrap();
    edit(&files[4], |text| text.split_once('\n').unwrap().1.to_owned());
    let revert = cases::of("codex").into_iter().find(|case| case.case == "revert").unwrap();
    revert.unpack(machine.home.dir());
    let base = file_of(&home.join("sessions"), &format!("{}.jsonl", revert.id));
    fs::remove_file(base).unwrap();
    edit(&file_of(&home.join("sessions"), &revert.id), |text| {
        text.replace(cases::CWD, machine.cwd.to_str().unwrap())
    });
    finds(
        &machine,
        &[
            ("codex.archived", &ids[0]),
            ("codex.no-prompt", &ids[1]),
            ("codex.lost-file", &ids[2]),
            ("codex.twice", &ids[3]),
            ("codex.no-head", &ids[4]),
            ("codex.no-base", &revert.id),
            ("codex.not-indexed", &revert.id),
        ],
    );
    // Another directory for the index, so that nothing is known of what is listed.
    edit(&home.join("config.toml"), |text| format!("sqlite_home = \"elsewhere\"\n{text}"));
    let elsewhere = findings(&look(&machine));
    assert!(elsewhere.contains(&("codex.index-elsewhere".to_owned(), String::new())), "{elsewhere:?}");
    assert!(!elsewhere.iter().any(|(code, _)| code == "codex.not-indexed"), "{elsewhere:?}");
}

#[test]
fn of_databases() {
    let machine = Machine::without_git("src/app");
    drop(Opencode::named("opencode", &machine.home, &machine.cwd));
    bring(&machine, "opencode", &["chat", "edit"]);
    let database = machine.home.dir().join(".local/share/opencode/opencode.db");
    finds(&machine, &[]);
    let connection = Connection::open(&database).unwrap();
    connection.execute("INSERT INTO migration VALUES('20990101000000_from_the_future', 1)", []).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    finds(&machine, &[("opencode.unknown-schema", "")]);
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 8 * 4096].fill(0x5a);
    fs::write(&database, bytes).unwrap();
    let found = findings(&look(&machine));
    assert!(found.iter().any(|(code, _)| code == "damaged-database"), "{found:?}");
}

#[test]
fn of_gemini() {
    let machine = Machine::new("src/app");
    let ids = gemini_home(&machine, &["chat", "edit", "fail", "think"]);
    let data = machine.home.dir().join(".gemini");
    let chats = data.join("tmp/app/chats");
    finds(&machine, &[]);
    let ago = |days: u32| {
        let time = chrono::DateTime::<chrono::Utc>::from(SystemTime::now() - DAY * days);
        format!("{{\"$set\":{{\"lastUpdated\":\"{}\"}}}}\n", time.to_rfc3339())
    };
    append(&file_of(&chats, &ids[0][..8]), ago(25).as_bytes());
    edit(&file_of(&chats, &ids[1][..8]), |text| text.replacen("\"projectHash\"", "\"projectHush\"", 1));
    let nowhere = data.join("tmp").join("0".repeat(64)).join("chats/session-2026-11-21T13-00-00000000.jsonl");
    move_to(&file_of(&chats, &ids[2][..8]), &nowhere);
    edit(&nowhere, |text| {
        let text = text.replace("**Workspace Directories:**", "**Other:**");
        text.replace("\"directories\"", "\"nothing\"")
    });
    finds(
        &machine,
        &[
            ("gemini.deleted-soon", &ids[0]),
            ("gemini.unlistable", &ids[1]),
            ("gemini.unknown-folder", &ids[2]),
        ],
    );
    // What was moved by holdall counts as of today; with the retention turned off nothing goes.
    append(&file_of(&chats, &ids[0][..8]), b"{\"$set\":{\"lastUpdated\":null}}\n");
    let still = findings(&look(&machine));
    assert!(!still.iter().any(|(code, _)| code == "gemini.deleted-soon"), "{still:?}");
    fs::write(data.join("settings.json"), r#"{"general":{"sessionRetention":{"maxCount":1}}}"#).unwrap();
    let counted = findings(&look(&machine));
    assert!(counted.contains(&("gemini.deleted-soon".to_owned(), ids[3].clone())), "{counted:?}");
    fs::write(data.join("settings.json"), r#"{"general":{"sessionRetention":{"enabled":false}}}"#).unwrap();
    finds(&machine, &[("gemini.unknown-folder", &ids[2])]);
}

#[test]
fn of_the_machine() {
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    bring(&machine, "claude", &["chat"]);
    let bin = machine.home.dir().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let program = bin.join("claude");
    fs::write(&program, "#!/bin/sh\necho '2.9.0 (Claude Code)'\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = machine.home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), &machine.cwd);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).args(["--json", "doctor"]);
    let report: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(findings(&report), expected(&[("other-version", "")]));
    assert!(report["findings"][0]["detail"].as_str().unwrap().contains("2.9.0 is newer"), "{report:#}");
    let imports = machine.home.dir().join(".local/state/holdall/imports");
    let journal = fs::read_dir(imports).unwrap().flatten().next().unwrap().path().join("journal.json");
    fs::write(journal, "{").unwrap();
    finds(&machine, &[("broken-journal", "")]);
}

/// What is found of a session, among whatever else.
#[track_caller]
fn finds_of(report: &Value, code: &str, id: &str) {
    let found = findings(report);
    assert!(found.contains(&(code.to_owned(), id.to_owned())), "no {code} of {id}: {report:#}");
}

#[test]
fn a_record_that_is_too_long_to_be_looked_at() {
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    let ids = bring(&machine, "claude", &["chat"]);
    let file = file_of(&machine.home.dir().join(".claude/projects"), &ids[0]);
    let mut record = b"{\"type\":\"system\",\"content\":\"".to_vec();
    record.resize(97 << 20, b'x');
    record.extend(b"\"}\n");
    append(&file, &record);
    finds_of(&look(&machine), "long-record", &ids[0]);
}

#[test]
fn a_document_that_is_cut_off() {
    let machine = Machine::new("src/app");
    gemini_home(&machine, &["chat"]);
    let chats = machine.home.dir().join(".gemini/tmp/app/chats");
    let id = "0badcafe-0000-4000-8000-000000000001";
    let text = format!(
        "{{\"sessionId\":\"{id}\",\"projectHash\":\"x\",\"startTime\":\"2026-11-21T10:00:00.000Z\",\
         \"lastUpdated\":\"2026-11-21T10:00:00.000Z\",\"messages\":[{{\"id\":\"1\",\"type\":\"user\""
    );
    fs::write(chats.join("session-2026-11-21T10-00-0badcafe.json"), text).unwrap();
    finds_of(&look(&machine), "damaged-document", id);
}

/// Modes mean nothing to root, and all files are its own, so root steps down first. Nobody else can
/// have files of another user without it.
#[test]
fn files_of_another_user_and_files_that_cannot_be_read() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let machine = Machine::new("src/app");
    drop(Claude::new(&machine.home, &machine.cwd));
    let ids = bring(&machine, "claude", &["chat", "edit"]);
    let top = machine.home.dir().parent().unwrap();
    let binary = top.join("holdall");
    fs::copy(env!("CARGO_BIN_EXE_holdall"), &binary).unwrap();
    fs::set_permissions(top, fs::Permissions::from_mode(0o755)).unwrap();
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(machine.home.dir()).status();
    assert!(opened.unwrap().success());
    let projects = machine.home.dir().join(".claude/projects");
    append(&file_of(&projects, &ids[0]), b"[1,2]\n");
    let closed = file_of(&projects, &ids[1]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let mut command = if is_root {
        let mut command = machine.home.command(Path::new("setpriv"), &machine.cwd);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
        command
    } else {
        machine.home.command(&binary, &machine.cwd)
    };
    let output = command.args(["--json", "doctor", "--no-confirm"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    finds_of(&report, "unreadable", "");
    assert!(report.to_string().contains(&format!("cannot open {}", closed.display())), "{report:#}");
    finds_of(&report, "odd-record", &ids[0]);
    if is_root {
        finds_of(&report, "foreign-owner", "");
    }
    assert_eq!(output.status.code(), Some(3));
}
