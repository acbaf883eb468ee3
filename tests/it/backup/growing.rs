//! A home that grows from day to day, as people's homes do: sessions of all five programs go on, new
//! ones come, some are rewritten, some are removed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::cases::{self, Case};
use crate::support::tree;

/// Words that a conversation is made of.
const WORDS: [&str; 32] = [
    "the", "parser", "returns", "an", "error", "when", "file", "is", "empty", "so", "we", "should", "check",
    "its", "length", "first", "and", "add", "a", "test", "for", "that", "case", "which", "fails", "now",
    "because", "café", "buffer", "index", "commit", "漢字",
];

/// A home that grows.
pub struct Growing {
    home: PathBuf,
    state: u64,
    /// Sessions that are in it: recorded cases, and where their transcripts are.
    grown: Vec<(Case, Option<PathBuf>)>,
    /// Recorded cases that are still to come.
    coming: Vec<Case>,
}

impl Growing {
    /// The home on the first day: one session of each program.
    pub fn new(home: &Path) -> Self {
        let mut coming = Vec::new();
        for harness in ["claude", "codex", "gemini", "opencode", "kilo"] {
            let mut all = cases::of(harness);
            all.retain(|case| {
                ["chat", "subagent", "parallel3", "large", "edit", "image", "todo"]
                    .contains(&case.case.as_str())
            });
            all.sort_by_key(|case| case.case != "chat");
            coming.extend(all);
        }
        // One of each program first, then in turns.
        let rank = |case: &Case| (case.case != "chat", case.case.clone(), case.harness.clone());
        coming.sort_by_key(|case| std::cmp::Reverse(rank(case)));
        let mut growing = Self { home: home.to_owned(), state: 7, grown: Vec::new(), coming };
        for _ in 0..5 {
            growing.add();
        }
        growing
    }

    /// What one more day brings.
    pub fn day(&mut self, day: usize) {
        for place in 0..self.grown.len() {
            // Most sessions rest on most days.
            if (place + day).is_multiple_of(3) || place == day % 5 {
                self.go_on(place, day);
            }
        }
        if day.is_multiple_of(2) {
            self.add();
        }
        if day % 7 == 3 {
            self.rewrite(day);
        }
        if day % 11 == 5 {
            self.remove();
        }
    }

    /// The files of sessions that are in the home.
    fn transcripts(&self) -> Vec<PathBuf> {
        let is_transcript = |path: &PathBuf| {
            let text = path.to_string_lossy();
            text.ends_with(".jsonl")
                && (text.starts_with(".claude/projects/") && !text.contains("/subagents/")
                    || text.starts_with(".codex/sessions/")
                    || text.starts_with(".gemini/tmp/") && text.matches('/').count() == 4)
        };
        tree::read(&self.home).into_keys().filter(is_transcript).map(|path| self.home.join(path)).collect()
    }

    /// The next recorded session comes.
    fn add(&mut self) {
        let Some(case) = self.coming.pop() else { return };
        let registry = self.home.join(".gemini/projects.json");
        let known = fs::read(&registry).ok();
        case.unpack(&self.home);
        if let (Some(known), "gemini") = (known, case.harness.as_str()) {
            fs::write(&registry, known).unwrap();
        }
        let file = self.transcripts().into_iter().find(|path| {
            let of_case = |line: &str| line.contains(&case.id);
            fs::read_to_string(path).unwrap().lines().next().is_some_and(of_case)
                || path.to_string_lossy().contains(&case.id)
        });
        assert_eq!(file.is_none(), is_database(&case), "{}/{}", case.harness, case.case);
        self.grown.push((case, file));
    }

    /// Somebody says something in a session, and gets an answer.
    fn go_on(&mut self, place: usize, day: usize) {
        let (case, file) = self.grown[place].clone();
        let (said, answered) = (self.words(60), self.words(1500));
        match file {
            Some(file) => {
                let lines = records(&case.harness, &file, day, &said, &answered);
                let mut out = fs::OpenOptions::new().append(true).open(&file).unwrap();
                for line in lines {
                    writeln!(out, "{line}").unwrap();
                }
            }
            None => self.add_rows(&case, day, &said, &answered),
        }
    }

    fn database(&self, case: &Case) -> PathBuf {
        let name = format!(".local/share/{0}/{0}.db", case.harness);
        self.home.join(name)
    }

    /// Rows for what was said and answered, as opencode 1.18 writes them.
    fn add_rows(&mut self, case: &Case, day: usize, said: &str, answered: &str) {
        let database = Connection::open(self.database(case)).unwrap();
        let now = 1_796_000_000_000_i64 + day as i64 * 86_400_000 + (self.random() % 1_000_000) as i64;
        for (number, (role, text)) in [("user", said), ("assistant", answered)].into_iter().enumerate() {
            let at = now + number as i64;
            let message = format!("msg_{:012x}{:014}", at * 4096, self.random() % 100_000_000_000_000);
            let part = message.replace("msg_", "prt_");
            let data = json!({"role": role, "time": {"created": at}, "agent": "build"});
            let text = json!({"type": "text", "text": text});
            for (sql, id, data) in [
                (
                    "INSERT INTO message(id, session_id, time_created, time_updated, data) VALUES(?1, ?2, ?3, ?3, ?4)",
                    &message,
                    data,
                ),
                (
                    "INSERT INTO part(id, session_id, time_created, time_updated, data, message_id) VALUES(?1, ?2, ?3, ?3, ?4, ?5)",
                    &part,
                    text,
                ),
            ] {
                if id.starts_with("prt_") {
                    database.execute(sql, (id, &case.id, at, data.to_string(), &message)).unwrap();
                } else {
                    database.execute(sql, (id, &case.id, at, data.to_string())).unwrap();
                }
            }
        }
        database.execute("UPDATE session SET time_updated = ?2 WHERE id = ?1", (&case.id, now)).unwrap();
    }

    /// A program compacts a file, or an older text in it is another now.
    fn rewrite(&mut self, day: usize) {
        let files: Vec<PathBuf> = self.grown.iter().filter_map(|(_, file)| file.clone()).collect();
        let file = &files[day % files.len()];
        let text = fs::read_to_string(file).unwrap();
        let word = format!("word{day}");
        fs::write(file, text.replacen("parser", &word, 3)).unwrap();
    }

    /// A program removes a session.
    fn remove(&mut self) {
        let place = self.grown.iter().position(|(case, file)| file.is_some() && case.case != "chat");
        let Some((_, Some(file))) = place.map(|place| self.grown.remove(place)) else { return };
        fs::remove_file(file).unwrap();
    }

    fn words(&mut self, count: usize) -> String {
        let words = (0..count).map(|_| {
            let random = self.random();
            match random % 6 {
                0 => format!("{:x}", self.random() % 0xffff_ffff),
                _ => WORDS[(random >> 8) as usize % WORDS.len()].to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 11
    }
}

fn is_database(case: &Case) -> bool {
    matches!(case.harness.as_str(), "opencode" | "kilo")
}

/// The records of what was said and answered, in the form of those that are there.
fn records(harness: &str, file: &Path, day: usize, said: &str, answered: &str) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let time = format!("2026-12-{:02}T10:00:00.000Z", day % 28 + 1);
    match harness {
        "claude" => {
            let last = text.lines().rev().find(|line| line.contains("\"uuid\"")).expect("a record");
            let mut record: Value = serde_json::from_str(last).unwrap();
            let mut records = Vec::new();
            for (role, words) in [("user", said), ("assistant", answered)] {
                record["parentUuid"] = record["uuid"].take();
                record["uuid"] = uuid::Uuid::new_v4().to_string().into();
                record["type"] = role.into();
                record["timestamp"] = time.as_str().into();
                record["message"] = match role {
                    "user" => json!({"role": role, "content": words}),
                    _ => {
                        json!({"role": role, "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": words}]})
                    }
                };
                records.push(record.clone());
            }
            records
        }
        "codex" => [("user", "input_text", said), ("assistant", "output_text", answered)]
            .into_iter()
            .map(|(role, kind, words)| {
                let payload =
                    json!({"type": "message", "role": role, "content": [{"type": kind, "text": words}]});
                json!({"timestamp": time, "type": "response_item", "payload": payload})
            })
            .collect(),
        _ => {
            let id = || uuid::Uuid::new_v4().to_string();
            vec![
                json!({"id": id(), "timestamp": time, "type": "user", "content": [{"text": said}]}),
                json!({"id": id(), "timestamp": time, "type": "gemini", "content": answered, "thoughts": [],
                    "model": "gemini-2.5-pro"}),
                json!({"$set": {"lastUpdated": time}}),
            ]
        }
    }
}
