//! Writes sessions of any size without holding them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The session.
pub const ID: &str = "01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1";

const TIME: &str = "2026-03-04T05:06:07.000Z";
const LINE: &str = "a line of what some tool said, without an end of its own; ";

/// What is long.
#[derive(Clone, Copy)]
pub enum Long {
    /// Nothing.
    Nothing,
    /// The result of the call, in bytes.
    Result(usize),
    /// The session: it has more calls with results of some 20,000 bytes.
    Session(usize),
    /// The first record.
    First(usize),
}

/// A session that always has the same few records: `mark-1` … `mark-7`.
pub struct Forge {
    pub harness: &'static str,
    long: Long,
}

/// Writes `begin` and a text of about `length` bytes.
pub fn filler(out: &File, begin: &str, length: usize) {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    out.write_all(begin.as_bytes()).unwrap();
    text(&mut out, length);
    out.flush().unwrap();
}

fn text(out: &mut dyn Write, length: usize) {
    let block = LINE.repeat(1 + (64 << 10) / LINE.len());
    let mut left = length;
    while left > 0 {
        let now = left.min(block.len());
        out.write_all(&block.as_bytes()[..now]).unwrap();
        left -= now;
    }
}

impl Forge {
    pub fn new(harness: &'static str) -> Self {
        Self { harness, long: Long::Nothing }
    }

    pub fn long(&mut self, long: Long) {
        self.long = long;
    }

    /// Where the transcript lies in a home.
    pub fn transcript(&self, home: &Path) -> PathBuf {
        self.transcript_in(home, "/odd/place")
    }

    /// Where it lies when the session belongs to another directory.
    pub fn transcript_in(&self, home: &Path, cwd: &str) -> PathBuf {
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        match self.harness {
            "claude" => {
                let dir: String =
                    cwd.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                home.join(format!(".claude/projects/{dir}/{ID}.jsonl"))
            }
            "codex" => {
                home.join(format!(".codex/sessions/2026/03/04/rollout-2026-03-04T05-06-07-{ID}.jsonl"))
            }
            _ => {
                let slug = cwd.rsplit('/').next().unwrap();
                home.join(format!(".gemini/tmp/{slug}/chats/session-2026-03-04T05-06-{}.jsonl", &ID[..8]))
            }
        }
    }

    /// Writes the session into a home.
    pub fn make(&self, home: &Path) {
        let path = self.transcript(home);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if self.harness == "gemini" {
            fs::write(home.join(".gemini/tmp/place/.project_root"), "/odd/place").unwrap();
            fs::write(home.join(".gemini/projects.json"), r#"{"projects":{"/odd/place":"place"}}"#).unwrap();
        }
        self.write("/odd/place", &mut File::create(path).unwrap());
    }

    /// Writes the transcript of a session that belongs to `cwd`.
    pub fn write(&self, cwd: &str, file: &mut File) {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut number = 0;
        if self.harness != "claude" {
            self.header(&mut out, cwd);
        }
        for (kind, mark) in
            [("user", "mark-1"), ("assistant", "mark-2"), ("call", "mark-3"), ("result", "mark-4")]
        {
            let long = match (self.long, kind, self.harness) {
                (Long::Result(length), "result", _) => length,
                (Long::First(length), "user", "claude") => length,
                _ => 0,
            };
            self.record(&mut out, cwd, &mut number, kind, mark, long);
        }
        if let Long::Session(length) = self.long {
            for _ in 0..length / 20_000 {
                self.record(&mut out, cwd, &mut number, "call", "more", 0);
                self.record(&mut out, cwd, &mut number, "result", "more", 20_000);
            }
        }
        for (kind, mark) in [("assistant", "mark-5"), ("user", "mark-6"), ("assistant", "mark-7")] {
            self.record(&mut out, cwd, &mut number, kind, mark, 0);
        }
        out.write_all(self.last_line()).unwrap();
        out.flush().unwrap();
    }

    /// The last line, which is none of the conversation.
    pub fn last_line(&self) -> &'static [u8] {
        match self.harness {
            "claude" => b"{\"type\":\"mode\",\"mode\":\"normal\"}\n",
            "codex" => {
                b"{\"timestamp\":\"2026-03-04T05:06:07.000Z\",\"type\":\"event_msg\",\"payload\":{\"type\":\"token_count\"}}\n"
            }
            _ => b"{\"id\":\"info\",\"timestamp\":\"2026-03-04T05:06:07.000Z\",\"type\":\"info\",\"content\":\"x\"}\n",
        }
    }

    fn header(&self, out: &mut dyn Write, cwd: &str) {
        let long = if let Long::First(length) = self.long { length } else { 0 };
        if self.harness == "codex" {
            write!(
                out,
                r#"{{"timestamp":"{TIME}","type":"session_meta","payload":{{"id":"{ID}","timestamp":"{TIME}","cwd":"{cwd}","originator":"codex_cli_rs","cli_version":"0.125.0","source":"cli","model_provider":"openai","base_instructions":{{"text":""#
            )
            .unwrap();
            text(out, long);
            out.write_all(b"\"}}}\n").unwrap();
            return;
        }
        use sha2::Digest;
        let hash: String =
            sha2::Sha256::digest(cwd.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        write!(
            out,
            r#"{{"sessionId":"{ID}","projectHash":"{hash}","startTime":"{TIME}","lastUpdated":"{TIME}","kind":"main","#
        )
        .unwrap();
        if long > 0 {
            out.write_all(b"\"note\":\"").unwrap();
            text(out, long);
            out.write_all(b"\",").unwrap();
        }
        writeln!(out, r#""directories":["{cwd}"]}}"#).unwrap();
    }

    fn record(&self, out: &mut dyn Write, cwd: &str, number: &mut u32, kind: &str, mark: &str, long: usize) {
        *number += 1;
        let n = *number;
        let call = if kind == "result" { n - 1 } else { n };
        let role = if matches!(kind, "user" | "result") { "user" } else { "assistant" };
        let (front, back) = match self.harness {
            "claude" => {
                let parent = if n == 1 { "null".to_owned() } else { format!("\"row-{}\"", n - 1) };
                let (front, back) = match kind {
                    "user" => (r#"{"role":"user","content":""#.to_owned(), r#""}"#),
                    "assistant" => (
                        format!(r#"{{"id":"m{n}","role":"assistant","content":[{{"type":"text","text":""#),
                        r#""}]}"#,
                    ),
                    "call" => (
                        format!(
                            r#"{{"id":"m{n}","role":"assistant","content":[{{"type":"tool_use","id":"c{call}","name":"Bash","input":{{"command":""#
                        ),
                        r#""}}]}"#,
                    ),
                    _ => (
                        format!(
                            r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"c{call}","content":""#
                        ),
                        r#""}]}"#,
                    ),
                };
                (
                    format!(
                        r#"{{"parentUuid":{parent},"isSidechain":false,"type":"{role}","message":{front}"#
                    ),
                    format!(
                        r#"{back},"uuid":"row-{n}","timestamp":"{TIME}","cwd":"{cwd}","sessionId":"{ID}","version":"2.1.329"}}"#
                    ),
                )
            }
            "codex" => {
                if kind == "user" {
                    writeln!(
                        out,
                        r#"{{"timestamp":"{TIME}","type":"event_msg","payload":{{"type":"user_message","message":"{mark} "}}}}"#
                    )
                    .unwrap();
                }
                let (front, back) = match kind {
                    "user" => (
                        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":""#
                            .to_owned(),
                        r#""}]}"#,
                    ),
                    "assistant" => (
                        r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":""#
                            .to_owned(),
                        r#""}]}"#,
                    ),
                    "call" => (
                        format!(
                            r#"{{"type":"function_call","name":"shell_command","call_id":"c{call}","arguments":"{{\"command\":\""#
                        ),
                        r#"\"}"}"#,
                    ),
                    _ => (
                        format!(r#"{{"type":"function_call_output","call_id":"c{call}","output":""#),
                        r#""}"#,
                    ),
                };
                (
                    format!(r#"{{"timestamp":"{TIME}","type":"response_item","payload":{front}"#),
                    format!("{back}}}"),
                )
            }
            _ => {
                let (front, back) = match kind {
                    "user" | "assistant" => (r#"[{"text":""#.to_owned(), r#""}]"#),
                    "call" => (
                        format!(
                            r#"[{{"functionCall":{{"id":"c{call}","name":"run_shell_command","args":{{"command":""#
                        ),
                        r#""}}}]"#,
                    ),
                    _ => (
                        format!(
                            r#"[{{"functionResponse":{{"id":"c{call}","name":"run_shell_command","response":{{"output":""#
                        ),
                        r#""}}}]"#,
                    ),
                };
                let role = if role == "user" { "user" } else { "gemini" };
                (
                    format!(r#"{{"id":"{n}","timestamp":"{TIME}","type":"{role}","content":{front}"#),
                    format!("{back}}}"),
                )
            }
        };
        out.write_all(front.as_bytes()).unwrap();
        out.write_all(mark.as_bytes()).unwrap();
        out.write_all(b" ").unwrap();
        text(out, long);
        out.write_all(back.as_bytes()).unwrap();
        out.write_all(b"\n").unwrap();
    }
}
