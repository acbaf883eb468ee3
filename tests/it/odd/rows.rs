//! What the rows of a database can hold that no program would write: every value arrives as it was, and
//! what is right beside it is read.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::cases::{self, Case};
use crate::support::programs::{Home, last_lines, run};

/// A session in a database, and a machine to carry it to.
struct World {
    harness: &'static str,
    case: Case,
    from: Home,
    to: Home,
    dir: TempDir,
}

impl World {
    fn new(harness: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| Home::at(dir.path().join(name)));
        let case = |name: &str| cases::of(harness).into_iter().find(|case| case.case == name).unwrap();
        case("chat").unpack(from.dir());
        case("think").unpack(to.dir());
        fs::create_dir_all(to.dir().join("app")).unwrap();
        Self { harness, case: case("chat"), from, to, dir }
    }

    fn database(&self, home: &Home) -> PathBuf {
        home.dir().join(format!(".local/share/{0}/{0}.db", self.harness))
    }

    /// Adds a message with one part, whose records are these SQL values.
    fn add(&self, number: usize, message: &str, part: &str) {
        let connection = Connection::open(self.database(&self.from)).unwrap();
        let (id, session) = (format!("msg_z{number:04}"), &self.case.id);
        let time = 1_795_300_000_000_i64 + number as i64;
        connection
            .execute_batch(&format!(
                "INSERT INTO message(id, session_id, time_created, time_updated, data)
                    VALUES('{id}', '{session}', {time}, {time}, {message});
                 INSERT INTO part(id, message_id, session_id, time_created, time_updated, data)
                    VALUES('prt_z{number:04}', '{id}', '{session}', {time}, {time}, {part});"
            ))
            .unwrap_or_else(|error| panic!("{part}: {error}"));
    }

    /// Every row of the session with the type of its value.
    fn rows(&self, home: &Home) -> Vec<(String, String, String)> {
        let connection = Connection::open(self.database(home)).unwrap();
        let mut rows = Vec::new();
        for table in ["message", "part"] {
            let sql = format!(
                "SELECT id, typeof(data), hex(CAST(data AS BLOB)) FROM {table} WHERE session_id = ?1 ORDER BY id"
            );
            let mut select = connection.prepare(&sql).unwrap();
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            rows.extend(select.query_map([&self.case.id], read).unwrap().map(|row| {
                let (id, kind, bytes): (String, String, String) = row.unwrap();
                // Only paths may differ, and those are in records of the program.
                (id.clone(), kind, if id.contains("_z") { bytes } else { String::new() })
            }));
        }
        rows
    }

    fn json(&self, home: &Home, args: &[&str]) -> (i32, Value) {
        let mut command = home.command(env!("CARGO_BIN_EXE_holdall").as_ref(), home.dir());
        command.env("PATH", "/usr/bin:/bin").arg("--json").args(args);
        let ended = run(&mut command, std::time::Duration::from_secs(120)).unwrap();
        let code = ended.status.code().unwrap_or_else(|| panic!("{args:?}: {}", ended.status));
        assert!(code != 101, "{args:?}: {}", ended.stderr);
        let document = serde_json::from_str(&ended.stdout);
        (code, document.unwrap_or_else(|_| panic!("{args:?}: {}", last_lines(&ended.stderr))))
    }

    #[track_caller]
    fn done(&self, home: &Home, args: &[&str]) -> Value {
        let (code, document) = self.json(home, args);
        assert_eq!(code, 0, "{} {args:?}: {document}", self.harness);
        document
    }

    /// Through every command. Each of `marks` is read.
    fn survives(&self, what: &str, marks: &[&str]) {
        let archive = self.dir.path().join("x.tar.gz").to_str().unwrap().to_owned();
        let check = |home: &Home, id: &str| {
            let shown = self.done(home, &["show", id]).to_string();
            for mark in marks {
                assert!(shown.contains(mark), "{}, {what}: {mark} is not read in {shown}", self.harness);
            }
        };
        self.done(&self.from, &["list", "--all"]);
        check(&self.from, &self.case.id);
        self.done(&self.from, &["export", &self.case.id, "--git", "none", "-o", &archive]);
        assert_eq!(self.done(&self.from, &["verify", &archive])["ok"], true);
        self.done(&self.from, &["inspect", &archive]);
        let map = format!("{}={}", cases::CWD, self.to.dir().join("app").display());
        let imported = self.done(&self.to, &["import", &archive, "--cwd-map", &map, "--no-confirm"]);
        assert_eq!(imported["sessions"][0]["action"], "create", "{what}: {imported}");
        check(&self.to, &self.case.id);
        let (code, found) = self.json(&self.from, &["doctor", "--no-confirm", "-H", self.harness]);
        assert!([0, 3].contains(&code), "{found}");
        let found = found.to_string();
        let arrived = self.rows(&self.to);
        for row in self.rows(&self.from) {
            // What no program can read is named; everything else arrives.
            let is_named = found.contains("opencode.damaged-row") && found.contains(&row.0);
            let arrives = arrived.iter().any(|other| same(&row, other));
            assert!(arrives || is_named, "{}, {what}: {row:?} is lost without a word: {found}", self.harness);
            assert!(!marks.iter().any(|mark| is_named && row.2.contains(&hex(mark))), "{row:?}");
        }
        let again = self.done(&self.to, &["import", &archive, "--cwd-map", &map, "--no-confirm"]);
        assert_eq!(again["sessions"][0]["reason"], "identical", "{what}: {again}");
        let other = self.done(&self.to, &["convert", &self.case.id, "--to", "claude", "--no-confirm"]);
        check(&self.to, other["sessions"][0]["target"]["id"].as_str().unwrap());
        self.done(&self.to, &["undo"]);
        self.done(&self.to, &["undo"]);
        assert_eq!(self.rows(&self.to), [], "{what}");
        fs::remove_file(archive).unwrap();
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

/// Whether two rows are one: the same value of the same type, to the byte but for the white space between
/// tokens.
fn same(one: &(String, String, String), other: &(String, String, String)) -> bool {
    one.0 == other.0 && one.1 == other.1 && tokens(&one.2) == tokens(&other.2)
}

/// A record without what JSON allows between its tokens; in a string every byte counts.
fn tokens(hex: &str) -> Vec<u8> {
    let bytes = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    let (mut in_string, mut escaped) = (false, false);
    bytes
        .filter(|byte| {
            let between = !in_string && b" \t\r\n".contains(byte);
            if !escaped && *byte == b'"' {
                in_string = !in_string;
            }
            escaped = in_string && !escaped && *byte == b'\\';
            !between
        })
        .collect()
}

/// A record of a user's message.
const SAID: &str = r#"'{"role":"user","time":{"created":1795300000000},"agent":"build","model":{"providerID":"fake","modelID":"fake-model"}}'"#;

/// A text part with more members in it.
fn part(more: &str) -> String {
    format!(r#"'{{"type":"text","text":"mark-8"{more}}}'"#)
}

fn each(check: impl Fn(&World)) {
    for harness in ["opencode", "kilo"] {
        check(&World::new(harness));
    }
}

#[test]
fn numbers_members_and_depth() {
    each(|world| {
        let deep = |depth: usize| format!(r#","odd":{}1{}"#, "[".repeat(depth), "]".repeat(depth));
        let odd = [
            r#","odd":1e400"#.to_owned(),
            r#","odd":-1E+999"#.to_owned(),
            r#","odd":[-0,-0.0,0.1e-999]"#.to_owned(),
            r#","odd":[9223372036854775807,9223372036854775808,18446744073709551616]"#.to_owned(),
            format!(r#","odd":{}"#, "9".repeat(2000)),
            r#","odd":1,"odd":{"a":1,"a":2}"#.to_owned(),
            deep(126),
            deep(127),
            deep(128),
            deep(900),
        ];
        for (number, more) in odd.iter().enumerate() {
            world.add(number, SAID, &part(more));
        }
        world.survives("numbers, members and depth", &["mark-8"]);
    });
}

#[test]
fn texts_and_white_space() {
    each(|world| {
        let texts = [
            r#"mark-8 \ud83d end"#,
            r#"mark-8 \ude00 end"#,
            r#"mark-8 \u0000 end"#,
            r#"mark-8 \u001b[31m\u0007\r\b\u202e end"#,
            "mark-8 \u{2028} end",
        ];
        for (number, text) in texts.iter().enumerate() {
            world.add(number, SAID, &format!(r#"'{{"type":"text","text":"{text}"}}'"#));
        }
        // Between members anything goes that is white space, also what would end a line of a file.
        for (number, space) in ["\n", "\r\n", "\n\n \t", " "].iter().enumerate() {
            let spaced =
                format!("'{space}{{{space}\"type\":{space}\"text\",\"text\":\"mark-9\"{space}}}{space}'");
            world.add(20 + number, SAID, &spaced);
        }
        world.survives("texts and white space", &["mark-8", "mark-9"]);
    });
}

/// Kilo's database refuses such rows itself: it looks into each record for an index.
#[test]
fn what_is_no_record() {
    let odd = [
        ("nothing", "''"),
        ("an end of a line", "char(10)"),
        ("no JSON", "'not JSON'"),
        ("half a record", r#"'{"type":"text","text":"half'"#),
        ("a number", "'7'"),
        ("a byte order mark", r#"char(65279) || '{"type":"text","text":"x"}'"#),
        ("a zero inside", r#"CAST(X'7b2261223a310022787d' AS TEXT)"#),
        (
            "bytes that are no UTF-8",
            r#"CAST(X'7b2274797065223a2274657874222c2274657874223a22fffe227d' AS TEXT)"#,
        ),
        ("bytes", r#"X'7b7d'"#),
        ("two records", r#"'{"type":"text","text":"x"}{"type":"text","text":"y"}'"#),
    ];
    for (name, value) in odd {
        let world = World::new("opencode");
        world.add(1, SAID, value);
        world.add(2, SAID, &part(""));
        world.survives(name, &["mark-8"]);
    }
}

#[test]
fn many_rows() {
    let world = World::new("opencode");
    let count = if std::env::var("HOLDALL_FULL").is_ok_and(|value| value == "1") { 200_000 } else { 10_000 };
    world.add(0, SAID, &part(""));
    let connection = Connection::open(world.database(&world.from)).unwrap();
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO part(id, message_id, session_id, time_created, time_updated, data)
                SELECT printf('prt_y%08d', i), 'msg_z0000', '{}', 1795300000000, 1795300000000,
                    '{{\"type\":\"text\",\"text\":\"one of many\"}}' FROM n",
            world.case.id
        ))
        .unwrap();
    drop(connection);
    world.survives("many rows", &["mark-8"]);
}
