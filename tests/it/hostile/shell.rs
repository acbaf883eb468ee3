//! What a shell makes of the commands that holdall prints.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::unsafe_character;
use crate::support::programs::run;

/// The commands to go on with that a report in text form has.
pub fn commands(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("resume: "));
    lines.map(|line| line.trim_end_matches(" (it is in the program's own list)")).collect()
}

/// What is wrong with printed commands, where `report` says what they mean: a shell that they are
/// pasted into sees the words that are meant, and does nothing else.
pub fn misread(text: &str, report: &Value, dir: &Path) -> Vec<String> {
    let rows = report["sessions"].as_array().into_iter().flatten();
    let meant: Vec<&Value> = rows.map(|row| &row["resume"]).filter(|resume| resume.is_object()).collect();
    let printed = commands(text);
    if printed.len() != meant.len() {
        return vec![format!("{} commands are printed, and {} are meant", printed.len(), meant.len())];
    }
    let mut wrong = Vec::new();
    let mut script = String::new();
    for command in &printed {
        let Some((cd, resume)) = command.split_once(" && ") else {
            wrong.push(format!("no command: {command}"));
            continue;
        };
        script.push_str(&format!("printf '<%s>' {cd} {resume}; echo\n"));
    }
    let mut shell = Command::new("/bin/bash");
    // No program is found, so a word that is run is told about.
    shell.args(["--norc", "-c", &script]).current_dir(dir).env_clear().env("PATH", "/nowhere");
    let ended = run(&mut shell, Duration::from_secs(20)).unwrap();
    if !ended.stderr.is_empty() {
        wrong.push(format!("a shell says {}", ended.stderr));
    }
    let seen: Vec<&str> = ended.stdout.split_terminator(">\n").collect();
    if seen.len() != meant.len() {
        wrong.push(format!("a shell sees {} commands of {}: {}", seen.len(), meant.len(), ended.stdout));
    }
    for (seen, meant) in seen.iter().zip(meant) {
        let argv = meant["argv"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        let words: Vec<&str> = ["cd", meant["cwd"].as_str().unwrap()].into_iter().chain(argv).collect();
        let expected = format!("<{}", words.join("><"));
        // What a terminal must not get is printed as something else.
        if *seen != expected && unsafe_character(&expected).is_none() {
            wrong.push(format!("a shell reads {seen:?} instead of {expected:?}"));
        }
    }
    wrong
}

#[test]
fn a_command_that_is_misread_is_seen() {
    let report =
        serde_json::json!({"sessions": [{"resume": {"cwd": "/a b", "argv": ["codex", "resume", "x"]}}]});
    let dir = tempfile::tempdir().unwrap();
    let wrong = |text: &str| misread(text, &report, dir.path());
    assert_eq!(wrong("  resume: cd '/a b' && codex resume x"), [""; 0]);
    for bad in [
        "",
        "  resume: cd /a b && codex resume x",
        "resume: cd '/a b' && codex resume $(touch y)",
        "resume: cd '/a b' && codex resume x; y",
    ] {
        assert!(!wrong(bad).is_empty(), "{bad}");
    }
}
