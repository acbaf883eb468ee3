//! What becomes of a recorded home: only session data, no path of the machine that recorded it, and
//! the programs' own long texts (system prompts, tool schemas) cut short.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::cases;

use crate::support::database;

/// What of a home is session data.
const KEPT: &[(&str, &[&str])] = &[
    ("claude", &[".claude/projects", ".claude/file-history", ".claude/tasks"]),
    ("codex", &[".codex/sessions", ".codex/archived_sessions", ".codex/session_index.jsonl"]),
    ("opencode", &[".local/share/opencode/tool-output"]),
    ("kilo", &[".local/share/kilo/tool-output"]),
    ("gemini", &[".gemini/tmp", ".gemini/history", ".gemini/projects.json"]),
];

/// A text of a program that is longer is cut.
const LONG: usize = 240;

/// Copies the session data of `harness` from `home` to `target`. Returns its size in bytes.
pub fn keep(harness: &str, home: &Path, target: &Path) -> u64 {
    let names = Names::of(home);
    let (_, kept) = KEPT.iter().find(|(id, _)| *id == harness).expect("a known harness");
    let files: u64 =
        kept.iter().map(|path| copy(harness, &names, &home.join(path), &target.join(path))).sum();
    files + keep_database(harness, &names, home, target)
}

/// The database of opencode or Kilo as text.
fn keep_database(harness: &str, names: &Names, home: &Path, target: &Path) -> u64 {
    let path = format!(".local/share/{harness}/{harness}.db");
    if !home.join(&path).exists() {
        return 0;
    }
    let text = names.neutral(&database::dump(&home.join(&path)));
    let file = target.join(path + ".sql");
    fs::create_dir_all(file.parent().expect("a file has a folder")).expect("the fixtures can be written");
    fs::write(file, &text).expect("the fixtures can be written");
    text.len() as u64
}

fn copy(harness: &str, names: &Names, from: &Path, to: &Path) -> u64 {
    if from.is_dir() {
        let entries = fs::read_dir(from).expect("the home can be read");
        let entries = entries.map(|entry| entry.expect("the home can be read").path());
        return entries
            .map(|path| {
                let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
                copy(harness, names, &path, &to.join(names.neutral(&name)))
            })
            .sum();
    }
    let Ok(bytes) = fs::read(from) else { return 0 };
    let bytes = match String::from_utf8(bytes) {
        Ok(text) if from.extension().is_some_and(|extension| extension == "jsonl") => {
            let lines = text.lines().map(|line| names.neutral(&short(harness, line)) + "\n");
            lines.collect::<String>().into_bytes()
        }
        Ok(text) => names.neutral(&text).into_bytes(),
        Err(error) => error.into_bytes(),
    };
    fs::create_dir_all(to.parent().expect("a file has a folder")).expect("the fixtures can be written");
    fs::write(to, &bytes).expect("the fixtures can be written");
    bytes.len() as u64
}

/// The names of this machine, and what they become.
struct Names(Vec<(String, String)>);

impl Names {
    fn of(home: &Path) -> Self {
        let home = home.to_str().expect("UTF-8").to_owned();
        // Claude Code names a project's folder after its path.
        let folder = |path: &str| path.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // Gemini CLI writes a hash of the project's path.
        let hash = |path: &str| {
            let hash = Sha256::digest(path.as_bytes());
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let mut names = vec![
            (hash(&format!("{home}/src/app")), hash(cases::CWD)),
            (folder(&home), folder("/home/dev")),
            (home, "/home/dev".to_owned()),
        ];
        if !kernel.trim().is_empty() {
            names.push((kernel.trim().to_owned(), "6.1.0".to_owned()));
        }
        // Claude Code keeps the output of background tasks in a folder named after the user's number.
        let user = rustix::process::getuid().as_raw();
        names.push((format!("/tmp/claude-{user}/"), "/tmp/claude-1000/".to_owned()));
        Self(names)
    }

    fn neutral(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

/// The line with the program's own long texts cut. What was said and done stays as it is.
fn short(harness: &str, line: &str) -> String {
    let Ok(mut row) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
    let own = match (harness, row["type"].as_str().unwrap_or_default()) {
        // Files that the user mentioned, and what was typed while the model worked, are conversation.
        ("claude", "attachment") => {
            row["attachment"]["type"] != "file" && row["attachment"]["type"] != "queued_command"
        }
        ("claude", "api-request-shape" | "api-request-blob") => true,
        ("codex", "session_meta" | "turn_context" | "world_state") => true,
        ("codex", "response_item") => {
            row["payload"]["role"] == "developer" || row["payload"]["type"] == "additional_tools"
        }
        _ => false,
    };
    if !own {
        return line.to_owned();
    }
    let before = line.len();
    cut(&mut row);
    let after = row.to_string();
    if after.len() < before { after } else { line.to_owned() }
}

fn cut(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > LONG => {
            let marked = text.trim_start().starts_with("<system-reminder>");
            let begin: String = text.chars().take(LONG / 2).collect();
            // Without its mark, context would look like something that the user said.
            *value = if marked {
                json!("<system-reminder>\n[trimmed]\n</system-reminder>")
            } else {
                json!(format!("{begin} [trimmed]"))
            };
        }
        Value::Array(items) => items.iter_mut().for_each(cut),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    // Schemas of the program's tools.
                    Value::Array(tools) if name == "tools" => tools.clear(),
                    _ => cut(value),
                }
            }
        }
        _ => {}
    }
}
