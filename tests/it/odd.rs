//! Transcripts that no program would write, or that it wrote while it crashed, through every
//! command: nothing panics, and no damage costs more than the damaged record.
//!
//! - [`rows`]: the same in the rows of a database
//! - [`names`]: names of files and directories
//! - [`clocks`]: time zones, and clocks that are wrong

mod clocks;
mod names;
mod rows;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::support::programs::Home;

const ID: &str = "01a1f8af-2ddb-7ea0-8e23-e348f0b16bb1";
const TIME: &str = "2026-03-04T05:06:07.000Z";

/// A record. Texts are JSON, quotes included, so that they can be what no `String` is.
#[derive(Clone)]
enum Record {
    User(Vec<u8>),
    Assistant(Vec<u8>),
    /// With these arguments.
    Call(Vec<u8>),
    Result(Vec<u8>),
    /// A line as it is.
    Line(Vec<u8>),
}

use Record::{Assistant, Call, Line, Result, User};

/// The JSON of a text.
fn text(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap()
}

/// A conversation that is in order; every record says another mark.
fn good() -> Vec<Record> {
    vec![
        User(text("mark-1")),
        Assistant(text("mark-2")),
        Call(br#"{"command":"mark-3"}"#.to_vec()),
        Result(text("mark-4")),
        Assistant(text("mark-5")),
        User(text("mark-6")),
        Assistant(text("mark-7")),
    ]
}

const GOOD: [&str; 7] = ["mark-1", "mark-2", "mark-3", "mark-4", "mark-5", "mark-6", "mark-7"];

/// The good conversation with others in the middle.
fn with(odd: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let mut records = good();
    records.splice(5..5, odd);
    records
}

/// The transcript of a harness: its lines, without their ends.
fn lines(harness: &str, records: &[Record], time: &str) -> Vec<Vec<u8>> {
    match harness {
        "claude" => claude(records, time),
        "codex" => codex(records, time),
        _ => gemini(records, time),
    }
}

fn gemini(records: &[Record], time: &str) -> Vec<Vec<u8>> {
    let mut lines = vec![
        format!(
            r#"{{"sessionId":"{ID}","projectHash":"e764912d664da615facf5d1c9fa008cddd8256fee3becf5af44d8d2e45f89d6b","startTime":"{time}","lastUpdated":"{time}","kind":"main"}}"#
        )
        .into_bytes(),
    ];
    for (number, record) in records.iter().enumerate() {
        let (kind, before, json, after) = match record {
            User(json) => ("user", r#"[{"text":"#, json, "}]"),
            Assistant(json) => ("gemini", "", json, ""),
            Call(json) => {
                let begin = r#"[{"functionCall":{"id":"call","name":"run_shell_command","args":"#;
                ("gemini", begin, json, "}}]")
            }
            Result(json) => {
                let begin =
                    r#"[{"functionResponse":{"id":"call","name":"run_shell_command","response":{"output":"#;
                ("user", begin, json, "}}}]")
            }
            Line(line) => {
                lines.push(line.clone());
                continue;
            }
        };
        let front =
            format!(r#"{{"id":"row-{number}","timestamp":"{time}","type":"{kind}","content":{before}"#);
        lines.push([front.as_bytes(), json, after.as_bytes(), b"}"].concat());
    }
    lines
}

fn claude(records: &[Record], time: &str) -> Vec<Vec<u8>> {
    let mut parent = "null".to_owned();
    let mut lines = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let (kind, before, json, after) = match record {
            User(json) => ("user", r#"{"role":"user","content":"#.to_owned(), json, "}"),
            Assistant(json) => {
                let id =
                    format!(r#"{{"id":"m{number}","role":"assistant","content":[{{"type":"text","text":"#);
                ("assistant", id, json, "}]}")
            }
            Call(json) => {
                let id = format!(
                    r#"{{"id":"m{number}","role":"assistant","content":[{{"type":"tool_use","id":"call","name":"Bash","input":"#
                );
                ("assistant", id, json, "}]}")
            }
            Result(json) => {
                let begin =
                    r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call","content":"#;
                ("user", begin.to_owned(), json, "}]}")
            }
            Line(line) => {
                lines.push(line.clone());
                continue;
            }
        };
        let front = format!(
            r#"{{"parentUuid":{parent},"isSidechain":false,"type":"{kind}","uuid":"row-{number}","timestamp":"{time}","cwd":"/odd/place","sessionId":"{ID}","version":"2.1.329","entrypoint":"cli","message":{before}"#
        );
        parent = format!("\"row-{number}\"");
        lines.push([front.as_bytes(), json, after.as_bytes(), b"}"].concat());
    }
    lines
}

fn codex(records: &[Record], time: &str) -> Vec<Vec<u8>> {
    let line = |kind: &str, parts: &[&[u8]]| {
        let front = format!(r#"{{"timestamp":"{time}","type":"{kind}","payload":"#);
        [front.as_bytes(), &parts.concat(), b"}"].concat()
    };
    let meta = format!(
        r#"{{"id":"{ID}","timestamp":"{time}","cwd":"/odd/place","originator":"codex_cli_rs","cli_version":"0.125.0","source":"cli","model_provider":"openai"}}"#
    );
    let mut lines = vec![line("session_meta", &[meta.as_bytes()])];
    for record in records {
        let (front, json, end): (&[u8], _, &[u8]) = match record {
            User(json) => {
                let event: &[u8] = br#"{"type":"user_message","message":"#;
                lines.push(line("event_msg", &[event, json, b"}"]));
                (
                    br#"{"type":"message","role":"user","content":[{"type":"input_text","text":"#,
                    json.clone(),
                    b"}]}",
                )
            }
            Assistant(json) => (
                br#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"#,
                json.clone(),
                b"}]}",
            ),
            Call(json) => (
                br#"{"type":"function_call","name":"shell_command","call_id":"call","arguments":"#,
                text(std::str::from_utf8(json).unwrap()),
                b"}",
            ),
            Result(json) => {
                (br#"{"type":"function_call_output","call_id":"call","output":"#, json.clone(), b"}")
            }
            Line(line) => {
                lines.push(line.clone());
                continue;
            }
        };
        lines.push(line("response_item", &[front, &json, end]));
    }
    lines
}

/// Each line with its end.
fn joined(lines: &[Vec<u8>], end: &[u8]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_slice(), end]).collect::<Vec<_>>().concat()
}

/// A home with one transcript.
struct World {
    harness: &'static str,
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
    /// Most memory that any command took, in KiB.
    peak: u64,
}

struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: String,
}

impl World {
    fn new(harness: &'static str, bytes: Vec<u8>) -> Self {
        let world = Self { harness, dir: tempfile::tempdir().unwrap(), bytes, peak: 0 };
        let path = world.transcript("from");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &world.bytes).unwrap();
        if harness == "gemini" {
            let dir = world.dir.path().join("from/.gemini");
            fs::write(dir.join("tmp/place/.project_root"), "/odd/place").unwrap();
            fs::write(dir.join("projects.json"), r#"{"projects":{"/odd/place":"place"}}"#).unwrap();
        }
        world
    }

    /// Where the transcript lies in a home.
    fn transcript(&self, home: &str) -> PathBuf {
        let path = match self.harness {
            "claude" => format!(".claude/projects/-odd-place/{ID}.jsonl"),
            "gemini" => format!(".gemini/tmp/place/chats/session-2026-03-04T05-06-{}.jsonl", &ID[..8]),
            _ => format!(".codex/sessions/2026/03/04/rollout-2026-03-04T05-06-07-{ID}.jsonl"),
        };
        self.dir.path().join(home).join(path)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs holdall; a panic or a signal fails the test.
    fn run(&mut self, home: &str, args: &[&str]) -> Ended {
        let home = Home::at(self.dir.path().join(home));
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        let mut command: Command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
        command.env("PATH", "/usr/bin:/bin").args(args).stdin(Stdio::null());
        if self.bytes.len() > 32 << 20 {
            // What is measured is the record, not how far other threads read ahead.
            command.env("RAYON_NUM_THREADS", "1");
        }
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let mut child = command.spawn().unwrap();
        let memory = format!("/proc/{}/status", child.id());
        let status = loop {
            // The kernel keeps the most memory that was in use; there is none to see at the end.
            let peak = fs::read_to_string(&memory).ok().and_then(|status| {
                let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
                line.split_whitespace().nth(1)?.parse().ok()
            });
            self.peak = self.peak.max(peak.unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let stderr = fs::read_to_string(err).unwrap();
        assert!(status.code() != Some(101) && status.signal().is_none(), "{args:?}: {status}\n{stderr}");
        Ended { status, stdout: fs::read(out).unwrap(), stderr }
    }

    /// Where the transcript is at home `same`.
    fn carried(&self) -> PathBuf {
        if self.harness != "gemini" {
            return self.transcript("same");
        }
        let projects = fs::read_dir(self.dir.path().join("same/.gemini/tmp")).unwrap();
        let chats = projects.map(|project| project.unwrap().path().join("chats"));
        let mut files = chats.flat_map(|chats| fs::read_dir(chats).unwrap()).map(|file| file.unwrap().path());
        files.next().expect("it arrived")
    }

    #[track_caller]
    fn done(&mut self, home: &str, args: &[&str]) -> Vec<u8> {
        let ended = self.run(home, args);
        assert!(ended.status.success(), "{args:?}: {}\n{}", ended.status, ended.stderr);
        ended.stdout
    }

    /// How often the session at `home` says each of the marks.
    fn says(&mut self, home: &str, id: &str, marks: &[&str]) -> Vec<usize> {
        self.done(home, &["show", id]);
        let shown = self.done(home, &["--json", "show", id]);
        let events = memchr::memmem::find(&shown, b"\"events\":[").expect("a session has events");
        let count = |mark: &&str| memchr::memmem::find_iter(&shown[events..], mark.as_bytes()).count();
        marks.iter().map(count).collect()
    }

    /// Every command; each good record, and each of `more`, is there once in the end.
    fn survives(&mut self, more: &[&str]) {
        let marks: Vec<&str> = GOOD.iter().chain(more).copied().collect();
        let once = vec![1; marks.len()];
        let listed = String::from_utf8(self.done("from", &["--json", "list", "--all"])).unwrap();
        assert!(listed.contains(ID), "it is not listed: {listed}");
        self.done("from", &["list", "--all", "--query", "MARK-6"]);
        assert_eq!(self.says("from", ID, &marks), once, "{marks:?}, read");
        self.done("from", &["--json", "show", ID, "--full"]);

        let archive = self.path("odd.tar.gz");
        self.done("from", &["export", "--all", "-o", &archive]);
        self.done("from", &["verify", &archive]);
        self.done("from", &["--json", "inspect", &archive]);

        let map = ["import", archive.as_str(), "--cwd-map", "/odd=/odd"];
        self.done("same", &map);
        // A last line without an end counts when it is whole.
        let complete = self.bytes.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        let is_whole = serde_json::from_slice::<serde::de::IgnoredAny>(&self.bytes[complete..]).is_ok();
        let expected = if is_whole { &self.bytes[..] } else { &self.bytes[..complete] };
        let mut carried = fs::read(self.carried()).unwrap();
        if self.harness == "gemini" {
            // A record for the program's clock, which does not count when it is carried on.
            let end = carried.len().min(expected.len());
            assert!(carried.len() < end + 200, "more was added than that: {}", carried.len() - end);
            carried.truncate(end);
        }
        assert!(
            carried == expected,
            "the transcript changed: {}",
            String::from_utf8_lossy(&carried[..carried.len().min(9_000)])
        );
        assert_eq!(self.says("same", ID, &marks), once, "{marks:?}, carried");

        let other = if self.harness == "claude" { "codex" } else { "claude" };
        for (home, args) in [
            ("other", vec!["--json", "import", &archive, "--to", other]),
            ("from", vec!["--json", "convert", ID, "--to", other]),
        ] {
            let report: serde_json::Value = serde_json::from_slice(&self.done(home, &args)).unwrap();
            let id = report["sessions"][0]["target"]["id"].as_str().unwrap();
            assert_eq!(self.says(home, id, &marks), once, "{marks:?}, converted");
        }
        self.done("other", &["undo"]);
    }
}

/// A case: its name, its bytes, and the marks that it says besides the good ones.
fn survive(harness: &'static str, name: &str, bytes: Vec<u8>, more: &[&str]) {
    println!("{harness}: {name}");
    World::new(harness, bytes).survives(more);
}

fn for_both(check: impl Fn(&'static str)) {
    check("claude");
    check("codex");
}

/// Every harness whose sessions are lines of a file.
fn for_each(check: impl Fn(&'static str)) {
    for_both(&check);
    check("gemini");
}

#[test]
fn line_ends_and_marks_of_other_editors() {
    for_each(|harness| {
        let good = lines(harness, &good(), TIME);
        let unix = joined(&good, b"\n");
        survive(harness, "as it should be", unix.clone(), &[]);
        // Gemini CLI does not list such a session, and so nothing else does.
        if harness != "gemini" {
            survive(harness, "byte order mark", [b"\xef\xbb\xbf", &unix[..]].concat(), &[]);
        }
        survive(harness, "no end of the last line", unix[..unix.len() - 1].to_vec(), &[]);
        survive(harness, "carriage returns", joined(&good, b"\r\n"), &[]);
        survive(harness, "empty lines", joined(&good, b"\n\n \n"), &[]);
        let spaced: Vec<Vec<u8>> = good.iter().map(|line| [b"  ", &line[..], b"\t "].concat()).collect();
        survive(harness, "spaces", joined(&spaced, b"\n"), &[]);
    });
}

#[test]
fn torn_and_broken_lines() {
    for_each(|harness| {
        let good = lines(harness, &good(), TIME);
        let unix = joined(&good, b"\n");
        let torn = &good[good.len() - 1][..60];
        survive(harness, "torn end", [&unix[..], torn].concat(), &[]);
        survive(harness, "torn inside of a character", [&unix[..], b"{\"a\":\"\xf0\x9f"].concat(), &[]);
        let broken =
            [&b"{"[..], b"not JSON", b"[]", b"null", b"7", b"\"text\"", b"}{", b"{\"type\":7}", torn];
        let broken = broken.map(|line| Line(line.to_vec()));
        survive(harness, "broken lines", joined(&lines(harness, &with(broken), TIME), b"\n"), &[]);
        let zeros = [&[0; 512][..], b"\0{\"type\":\"x\"}\0"].map(|line| Line(line.to_vec()));
        survive(harness, "lines of zeros", joined(&lines(harness, &with(zeros), TIME), b"\n"), &[]);
    });
}

#[test]
fn records_of_the_future() {
    for_each(|harness| {
        let unknown = [
            r#"{"type":"teleport","payload":{"type":"x"},"message":{"role":"user","content":"gone"}}"#
                .to_owned(),
            format!(
                r#"{{"timestamp":"{TIME}","type":"response_item","payload":{{"type":"hologram","text":"gone"}}}}"#
            ),
            format!(
                r#"{{"timestamp":"{TIME}","type":"event_msg","payload":{{"type":"hologram","text":"gone"}}}}"#
            ),
            format!(r#"{{"timestamp":"{TIME}","type":"system","subtype":"hologram","content":"gone"}}"#),
        ];
        let unknown = unknown.map(|line| Line(line.into_bytes()));
        survive(harness, "unknown kinds", joined(&lines(harness, &with(unknown), TIME), b"\n"), &[]);
    });
}

#[test]
fn text_that_is_no_text() {
    for_each(|harness| {
        let texts: [(&str, &[u8]); 6] = [
            ("half a surrogate pair", br#""mark-8 \ud83d end""#),
            ("the other half", br#""mark-8 \ude00 end""#),
            ("zeros", br#""mark-8 \u0000 end""#),
            ("bytes that are no UTF-8", b"\"mark-8 \xff\xfe end\""),
            ("a surrogate in UTF-8", b"\"mark-8 \xed\xa0\xbd end\""),
            ("control characters", br#""mark-8 \u001b[31m\u0007\r\b\u202e end""#),
        ];
        for (name, odd) in texts {
            let odd = odd.to_vec();
            for odd in [Assistant(odd.clone()), User(odd)] {
                survive(harness, name, joined(&lines(harness, &with([odd]), TIME), b"\n"), &["mark-8"]);
            }
        }
    });
}

#[test]
fn numbers_and_members_that_parsers_disagree_about() {
    for_each(|harness| {
        let plain = lines(harness, &good(), TIME);
        let front = |front: &str| {
            let bent = |line: &Vec<u8>| [b"{", front.as_bytes(), &line[1..]].concat();
            joined(&plain.iter().map(bent).collect::<Vec<_>>(), b"\n")
        };
        survive(harness, "1e400", front(r#""a":1e400,"b":-1E+999,"c":[1e400,0.1e-999],"#), &[]);
        let large =
            r#""a":-0,"b":-0.0,"c":9223372036854775807,"d":9223372036854775808,"e":18446744073709551616,"#;
        survive(harness, "numbers at the end of a range", front(large), &[]);
        survive(harness, "long numbers", front(&format!(r#""a":{},"b":-0,"#, "9".repeat(5000))), &[]);
        survive(harness, "doubled members nobody reads", front(r#""a":1,"a":2,"a":{"a":1,"a":2},"#), &[]);
        let call = Call(br#"{"command":"mark-3","n":1e400,"n":2,"x":99999999999999999999}"#.to_vec());
        let mut records = good();
        records[2] = call;
        survive(harness, "numbers of a call", joined(&lines(harness, &records, TIME), b"\n"), &[]);
        if harness == "claude" {
            // The program's parser takes the last one; Codex's refuses the record.
            survive(harness, "doubled members", front(r#""type":"system","message":7,"uuid":{},"#), &[]);
        }
    });
}

#[test]
fn times_that_are_out_of_range() {
    for_each(|harness| {
        for time in [
            "0000-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999Z",
            "2262-04-12T00:00:00Z",
            "9999-12-31T23:59:59.999Z",
            "2026-03-04T05:06:07.123456789+14:00",
        ] {
            survive(harness, time, joined(&lines(harness, &good(), time), b"\n"), &[]);
        }
    });
}

#[test]
fn depth() {
    for_each(|harness| {
        let deep = |inside: &str| [&"[".repeat(10_000), inside, &"]".repeat(10_000)].concat();
        let record = format!(r#"{{"timestamp":"{TIME}","type":"deep","payload":{}}}"#, deep("1"));
        let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        let odd = [record, objects].map(|line| Line(line.into_bytes()));
        survive(harness, "deep records", joined(&lines(harness, &with(odd), TIME), b"\n"), &[]);
        let mut records = good();
        records[2] = Call(format!(r#"{{"command":{}}}"#, deep("\"mark-3\"")).into_bytes());
        for depth in [127, 128, 129] {
            let record = format!(
                r#"{{"timestamp":"{TIME}","type":"deep","payload":{}1{}}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            );
            let odd = [Line(record.into_bytes())];
            survive(harness, "as deep as parsers go", joined(&lines(harness, &with(odd), TIME), b"\n"), &[]);
        }
        survive(harness, "deep arguments", joined(&lines(harness, &records, TIME), b"\n"), &[]);
    });
}

/// Most KiB of memory that a record of 64 MB may take: the record, and its text unescaped and handed on.
const MOST: u64 = 240 << 10;

#[test]
fn a_result_of_64_megabytes() {
    for_both(|harness| {
        let mut records = good();
        // Escaped by hand: the code of a test is not optimised.
        let long =
            [&b"a line of some output\\n".repeat((64 << 20) / 23)[..], b"mark-4\\n\\\"end\\\""].concat();
        records[3] = Result([b"\"", &long[..], b"\""].concat());
        let mut world = World::new(harness, joined(&lines(harness, &records, TIME), b"\n"));
        let other = if harness == "claude" { "codex" } else { "claude" };
        let archive = world.path("odd.tar.gz");
        world.done("from", &["list", "--query", "mark-6"]);
        assert_eq!(world.says("from", ID, &GOOD), [1; 7]);
        world.done("from", &["export", "--all", "-o", &archive]);
        world.done("same", &["import", &archive, "--cwd-map", "/odd=/odd"]);
        assert!(fs::read(world.transcript("same")).unwrap() == world.bytes);
        let report = world.done("other", &["--json", "import", &archive, "--to", other]);
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let shown =
            world.done("other", &["--json", "show", report["sessions"][0]["target"]["id"].as_str().unwrap()]);
        let at = memchr::memmem::find(&shown, b"a line of some output").unwrap();
        assert!(shown[at..].starts_with(&long), "it arrives whole");
        println!("{harness}: 64 MB take {} MiB", world.peak >> 10);
        assert!(world.peak < MOST, "{} KiB", world.peak);
    });
}

/// What is no session is not listed, and is in nobody's way.
#[test]
fn nothing_to_read() {
    for_each(|harness| {
        for bytes in
            [&b""[..], b"\n", b"\n\n\r\n \n", b"\xef\xbb\xbf", b"{}\n", b"\0\0\0\0", b"[[[[", b"text\n"]
        {
            let mut world = World::new(harness, bytes.to_vec());
            let listed = world.done("from", &["--json", "list", "--all"]);
            assert!(!String::from_utf8_lossy(&listed).contains(ID), "{bytes:?} is listed");
            for args in [
                &["show", ID][..],
                &["--json", "show", ID, "--full"],
                &["export", ID, "-o", "x.tar.gz"],
                &["export", "--all", "-o", "y.tar.gz"],
                &["convert", ID, "--to", if harness == "claude" { "codex" } else { "claude" }],
            ] {
                let ended = world.run("from", args);
                assert!(!ended.status.success(), "{args:?} with {bytes:?}");
                assert!(ended.stderr.contains("error:"), "{}", ended.stderr);
            }
        }
    });
}

/// What is wrong is told with the line and the byte where, and what is right around it is there.
#[test]
fn trouble_is_named_with_its_line_and_offset() {
    for_each(|harness| {
        let good = lines(harness, &good(), TIME);
        let broken: [(&str, &[u8]); 5] = [
            ("half a record", b"{\"type\":\"user\",\"mess"),
            ("no JSON", b"not JSON"),
            ("a zero in the middle", b"{\"type\":\"x\",\0\"a\":1}"),
            ("zeros", &[0; 64]),
            ("two records on a line", b"{\"type\":\"x\"}{\"type\":\"y\"}"),
        ];
        for (name, line) in broken {
            let mut all = good.clone();
            all.insert(3, line.to_vec());
            let bytes = joined(&all, b"\n");
            let offset = joined(&all[..3], b"\n").len();
            let mut world = World::new(harness, bytes);
            let found = world.run("from", &["--json", "doctor", "--no-confirm", "-H", harness]);
            let told = String::from_utf8(found.stdout).unwrap();
            assert!(told.contains(&format!("line 4, at byte {offset}:")), "{harness}, {name}: {told}");
            world.survives(&[]);
        }
        // The end of a file that a program was killed at.
        let torn = [&joined(&good, b"\n")[..], &good[good.len() - 1][..40]].concat();
        let offset = joined(&good, b"\n").len();
        let mut world = World::new(harness, torn);
        let found = world.run("from", &["--json", "doctor", "--no-confirm", "-H", harness]);
        let told = String::from_utf8(found.stdout).unwrap();
        let place = format!("line {}, at byte {offset}", good.len() + 1);
        assert!(told.contains(&place) || told.contains(&format!("byte {offset}")), "{harness}: {told}");
    });
}

/// So many records that nothing may be quadratic, or keep them all.
#[test]
fn a_million_lines() {
    for_each(|harness| {
        let count =
            if std::env::var("HOLDALL_FULL").is_ok_and(|value| value == "1") { 1_000_000 } else { 60_000 };
        let mut all = lines(harness, &good(), TIME);
        let filler = all.len() - 2;
        let line = match harness {
            "claude" => br#"{"type":"mode","mode":"normal"}"#.to_vec(),
            "codex" => format!(r#"{{"timestamp":"{TIME}","type":"event_msg","payload":{{"type":"token_count","info":null}}}}"#).into_bytes(),
            _ => format!(r#"{{"$set":{{"lastUpdated":"{TIME}"}}}}"#).into_bytes(),
        };
        all.splice(filler..filler, std::iter::repeat_n(line, count));
        let mut world = World::new(harness, joined(&all, b"\n"));
        world.survives(&[]);
        println!("{harness}: {count} lines take {} MiB", world.peak >> 10);
        assert!(world.peak < 100 << 10, "{harness}: {} KiB", world.peak);
    });
}
