//! Time zones and clocks: what holdall prints and writes depends on neither, and a clock that is wrong
//! costs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cases;
use crate::support::programs::{Home, run};
use crate::support::tree::{self, Node};

/// Zones with offsets of half and quarter hours, beyond the date line, with daylight saving time.
const ZONES: [&str; 6] =
    ["UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "America/New_York", ":no/such/zone"];

/// Instants and the names that Codex gives its files by the local clock: of no hour, as New York leaves
/// it out that day, of an hour that comes twice, and of the leap second.
const STAMPS: [(&str, &str); 4] = [
    ("2026-03-08T02-30-00", "2026-03-08T07:30:00.000Z"),
    ("2026-11-01T01-30-00", "2026-11-01T05:30:00.000Z"),
    ("2026-11-01T01-30-01", "2026-11-01T06:30:00.000Z"),
    ("2016-12-31T18-59-60", "2016-12-31T23:59:60.000Z"),
];

/// A home with sessions of all programs.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        let from = world.home("from");
        for harness in ["claude", "codex", "opencode", "kilo", "gemini"] {
            let case = cases::of(harness).into_iter().find(|case| case.case == "chat").unwrap();
            case.unpack(from.dir());
        }
        for (number, (stamp, time)) in STAMPS.iter().enumerate() {
            let id = format!("01a1f8af-2ddb-7ea0-8e23-e348f0b16b{number:02}");
            let dir = from.dir().join(".codex/sessions").join(stamp[..10].replace('-', "/"));
            fs::create_dir_all(&dir).unwrap();
            let meta = format!(
                r#"{{"timestamp":"{time}","type":"session_meta","payload":{{"id":"{id}","timestamp":"{time}","cwd":"/home/dev/src/app","originator":"codex_cli_rs","cli_version":"0.125.0","source":"cli","model_provider":"openai"}}}}"#
            );
            let said = format!(
                r#"{{"timestamp":"{time}","type":"event_msg","payload":{{"type":"user_message","message":"at {time}"}}}}
{{"timestamp":"{time}","type":"response_item","payload":{{"type":"message","role":"user","content":[{{"type":"input_text","text":"at {time}"}}]}}}}"#
            );
            fs::write(dir.join(format!("rollout-{stamp}-{id}.jsonl")), format!("{meta}\n{said}\n")).unwrap();
        }
        world
    }

    fn home(&self, name: &str) -> Home {
        Home::at(self.dir.path().join(name))
    }

    fn command(&self, home: &Home, zone: &str, now: &str, args: &[&str]) -> Command {
        let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
        command.env("PATH", "/usr/bin:/bin").env("TZ", zone).env("HOLDALL_NOW", now).args(args);
        command
    }

    #[track_caller]
    fn done(&self, home: &Home, zone: &str, now: &str, args: &[&str]) -> String {
        let ended = run(&mut self.command(home, zone, now, args), Duration::from_secs(60)).unwrap();
        assert!(ended.status.success(), "{zone}, {now}, {args:?}: {} {}", ended.status, ended.stderr);
        ended.stdout
    }

    fn archive(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }
}

const NOW: &str = "2026-11-22T12:00:00Z";

/// Everything in a home, with the modification times that are not of this moment; what holdall keeps for
/// itself has ids by chance.
fn dated(home: &Home) -> BTreeMap<PathBuf, (Node, Option<SystemTime>)> {
    let tree = tree::read_without(home.dir(), ".local/state");
    tree.into_iter()
        .map(|(path, node)| {
            let modified = fs::symlink_metadata(home.dir().join(&path)).unwrap().modified().unwrap();
            let is_old = modified.elapsed().is_ok_and(|age| age > Duration::from_secs(3600));
            (path, (node, is_old.then_some(modified)))
        })
        .collect()
}

#[test]
fn all_zones_are_one() {
    let world = World::new();
    let from = world.home("from");
    let mut expected = None;
    for zone in ZONES {
        let archive = world.archive("x.tar.gz");
        let mut printed: Vec<String> = [
            &["--json", "list", "--all"][..],
            &["list", "--all"],
            &["list", "--all", "--since", "2026-11-01", "--until", "2026-11-02T00:00:00+05:45"],
            &["list", "--all", "--since", "30d"],
            &["show", "01a1f8af-2ddb-7ea0-8e23-e348f0b16b00"],
            &["--json", "show", "01a1f8af-2ddb-7ea0-8e23-e348f0b16b01"],
        ]
        .map(|args| world.done(&from, zone, NOW, args))
        .into();
        world.done(
            &from,
            zone,
            NOW,
            &["export", "-H", "claude", "-H", "codex", "-H", "gemini", "-o", &archive],
        );
        printed.push(world.done(&from, zone, NOW, &["--json", "inspect", &archive]).replace(&archive, ""));
        let bytes = fs::read(&archive).unwrap();

        // The same place for each, as directories are named after it.
        let to = world.home("to");
        let import = ["--json", "import", &archive, "--no-confirm"];
        let report: Value = serde_json::from_str(&world.done(&to, zone, NOW, &import)).unwrap();
        assert!(
            report["sessions"].as_array().unwrap().iter().all(|row| row["action"] == "create"),
            "{report}"
        );
        let claude = cases::of("claude").into_iter().find(|case| case.case == "chat").unwrap().id;
        world.done(&to, zone, NOW, &["convert", &claude, "--to", "codex", "--no-confirm"]);
        let arrived = dated(&to);
        fs::remove_dir_all(to.dir()).unwrap();
        fs::remove_file(&archive).unwrap();
        match &expected {
            None => expected = Some((printed, bytes, arrived)),
            Some((first, archive, home)) => {
                assert_eq!(&printed, first, "{zone}");
                assert!(&bytes == archive, "{zone}: another archive");
                let other: Vec<_> =
                    arrived.keys().filter(|path| arrived.get(*path) != home.get(*path)).collect();
                assert!(arrived == *home, "{zone}: other files arrive: {other:?}");
            }
        }
    }
}

#[test]
fn a_clock_that_is_wrong() {
    for now in [
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2038-01-19T03:14:08Z",
        "2106-02-07T06:28:16Z",
        "2262-04-11T23:47:17Z",
        "9999-12-31T23:59:59Z",
    ] {
        let world = World::new();
        let (from, to) = (world.home("from"), world.home("to"));
        let archive = world.archive("x.tar.gz");
        let done = |home: &Home, args: &[&str]| world.done(home, "UTC", now, args);
        done(&from, &["list", "--all"]);
        done(&from, &["list", "--all", "--since", "7d"]);
        done(&from, &["export", "-H", "claude", "-H", "codex", "-H", "gemini", "-o", &archive]);
        done(&to, &["import", &archive, "--no-confirm"]);
        let claude = cases::of("claude").into_iter().find(|case| case.case == "chat").unwrap().id;
        for target in ["codex", "gemini"] {
            done(&to, &["convert", &claude, "--to", target, "--no-confirm"]);
        }
        let imports: Value = serde_json::from_str(&done(&to, &["--json", "imports"])).unwrap();
        let ids: Vec<&str> = imports["imports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|import| import["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), 3, "{now}: {imports}");
        ids.iter().for_each(|id| drop(done(&to, &["undo", id])));
        let left = tree::read_without(to.dir(), ".local/state");
        assert!(!left.values().any(|node| matches!(node, Node::File { .. })), "{now}: {:?}", left.keys());
        let backups = world.archive("backups");
        done(&from, &["backup", &backups]);
        done(&from, &["backup", &backups]);
        assert_eq!(fs::read_dir(&backups).unwrap().count(), 1, "{now}: nothing was new");
        done(&from, &["verify", &backups]);
    }
}

/// A clock that was set back does not let a later import be taken for an earlier one.
#[test]
fn a_clock_that_goes_back() {
    let world = World::new();
    let (from, to) = (world.home("from"), world.home("to"));
    let archives: Vec<String> = ["claude", "codex"]
        .map(|harness| {
            let archive = world.archive(harness);
            world.done(&from, "UTC", NOW, &["export", "-H", harness, "-o", &archive]);
            archive
        })
        .into();
    world.done(&to, "UTC", "2038-01-19T03:14:08Z", &["import", &archives[0], "--no-confirm"]);
    world.done(&to, "UTC", NOW, &["import", &archives[1], "--no-confirm"]);
    let undone: Value = serde_json::from_str(&world.done(&to, "UTC", NOW, &["--json", "undo"])).unwrap();
    let first = undone["sessions"][0]["session"].as_str().unwrap().to_owned();
    let undone: Value = serde_json::from_str(&world.done(&to, "UTC", NOW, &["--json", "undo"])).unwrap();
    assert!(undone["sessions"][0]["session"].as_str() != Some(&first));
    let left = tree::read_without(to.dir(), ".local/state");
    assert!(!left.values().any(|node| matches!(node, Node::File { .. })), "{:?}", left.keys());
}

#[test]
fn files_of_the_future_and_of_before_1970() {
    let world = World::new();
    let from = world.home("from");
    let transcripts: Vec<PathBuf> = tree::read(from.dir())
        .into_keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| from.dir().join(path))
        .collect();
    let expected = world.done(&from, "UTC", NOW, &["--json", "list", "--all"]);
    let count = serde_json::from_str::<Value>(&expected).unwrap()["sessions"].as_array().unwrap().len();
    for seconds in [4_294_967_296_i64, 7_000_000_000, 253_402_300_800, -1, -86_400 * 365] {
        let shift = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let time = if seconds < 0 { epoch - shift } else { epoch + shift };
        for path in &transcripts {
            // Not every file system has room for the year 10000.
            let _ = fs::File::options().write(true).open(path).unwrap().set_modified(time);
        }
        let listed: Value =
            serde_json::from_str(&world.done(&from, "UTC", NOW, &["--json", "list", "--all"])).unwrap();
        assert_eq!(listed["sessions"].as_array().unwrap().len(), count, "{seconds}");
        world.done(&from, "UTC", NOW, &["list", "--all"]);
        world.done(&from, "UTC", NOW, &["list", "--all", "-n", "3"]);
        let archive = world.archive("x.tar.gz");
        world.done(
            &from,
            "UTC",
            NOW,
            &["export", "-H", "claude", "-H", "codex", "-H", "gemini", "-o", &archive],
        );
        let to = world.home("to");
        world.done(&to, "UTC", NOW, &["import", &archive, "--no-confirm"]);
        world.done(&to, "UTC", NOW, &["undo"]);
        fs::remove_dir_all(to.dir()).unwrap();
        fs::remove_file(archive).unwrap();
    }
}
