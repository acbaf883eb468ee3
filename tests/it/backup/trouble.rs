//! What can be wrong with a directory of backups, with the sessions, and with the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use holdall::archive::manifest::{Continues, Grown, SourceMachine};
use holdall::archive::{self, SessionInput, WriteOptions};
use holdall::harness::common::files::{Files, Source};
use holdall::model::{FileMeta, Head, Role};
use holdall::progress::Silent;
use serde_json::Value;

use super::{World, ended, held, holdall, imported};
use crate::support::cases;
use crate::support::programs::Home;
use crate::support::tree;

/// A world with one session of Claude Code, and one of Codex that never changes.
fn world() -> (World, PathBuf) {
    let world = World::new();
    for harness in ["claude", "codex"] {
        let all = cases::of(harness);
        all.iter().find(|case| case.case == "chat").expect("a recorded chat").unpack(world.home.dir());
    }
    let projects = world.home.dir().join(".claude/projects");
    let is_transcript = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    let file = tree::read(&projects).into_keys().find(|path| is_transcript(&path)).expect("a transcript");
    (world, projects.join(file))
}

/// Somebody says something more.
fn go_on(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let last = text.lines().last().unwrap().to_owned();
    fs::write(file, format!("{text}{last}\n")).unwrap();
}

fn three_days() -> (World, PathBuf) {
    let (world, file) = world();
    for day in 0..3 {
        let report = world.backed_up(day, &[]);
        let states: Vec<&str> = report["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, if day == 0 { vec!["new", "new"] } else { vec!["grown"] });
        go_on(&file);
    }
    (world, file)
}

#[test]
fn nothing_new_is_no_archive_and_with_quiet_not_a_word() {
    let (world, file) = world();
    let dir = world.backups();
    let quiet = || ended(world.command(1, &["-q", "backup", dir.to_str().unwrap()]));
    for _ in 0..2 {
        let ended = quiet();
        assert!(ended.status.success());
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
        assert_eq!(world.archives().len(), 1);
    }
    // Bytes that the times of the file do not tell of are found when all is read.
    let (text, times) =
        (fs::read_to_string(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
    fs::write(&file, text.replace("question", "Question")).unwrap();
    fs::File::options().append(true).open(&file).unwrap().set_modified(times).unwrap();
    assert_eq!(world.backed_up(1, &["--checksum"])["sessions"][0]["state"], "changed");
    // An empty home is nothing new either.
    let empty = World::new();
    assert_eq!(empty.backed_up(0, &[])["archive"], Value::Null);
    assert!(empty.archives().is_empty());
}

#[test]
fn archives_are_private_and_their_names_never_go_back() {
    use std::os::unix::fs::PermissionsExt;
    let (world, file) = world();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    // The clock goes back from day 5 to day 2.
    for (day, name) in [
        (5, "holdall-20270106T030000Z.tar.gz"),
        (5, "holdall-20270106T030000Z-2.tar.gz"),
        (2, "holdall-20270106T030000Z-3.tar.gz"),
        (6, "holdall-20270107T030000Z.tar.gz"),
    ] {
        assert_eq!(world.backed_up(day, &[])["archive"], name);
        assert_eq!(mode(&world.backups().join(name)), 0o600);
        go_on(&file);
    }
    assert_eq!(mode(&world.backups()), 0o700);
    assert_eq!(world.archives().len(), 4, "nothing else is left in the directory");
    world.assert_verified(&world.backups());
}

#[test]
fn a_missing_archive_is_named_and_costs_only_what_leans_on_it() {
    let (world, file) = three_days();
    let [first, second, third] = world.archives().try_into().unwrap();
    let away = world.dir.path().join("away.tar.gz");
    fs::rename(&second, &away).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (ok, problems) = world.verified(&third);
    assert!(!ok && problems.contains(&name(&second)) && problems.contains(&name(&third)), "{problems}");
    let import = |path: &Path| {
        let home = Home::at(world.dir.path().join("other"));
        let ended = ended(holdall(&home, 9, &["--json", "import", path.to_str().unwrap()]));
        (ended.status.code().unwrap(), serde_json::from_str::<Value>(&ended.stdout).unwrap())
    };
    let (code, refused) = import(&third);
    assert_eq!(code, 4, "{refused}");
    assert!(refused["error"].to_string().contains(&name(&second)), "{refused}");
    assert!(refused["hints"].to_string().contains(&format!("put {}", name(&second))), "{refused}");
    // The other session is whole in the first one.
    let (code, report) = import(&world.backups());
    let actions: Vec<&str> =
        report["sessions"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!((code, actions), (3, vec!["fail", "create"]), "{report}");
    // The next run stores it whole again; all is well from then on.
    let report = world.backed_up(4, &[]);
    assert!(report["warnings"].to_string().contains(&name(&second)), "{report}");
    assert_eq!(report["sessions"][0]["state"], "changed");
    let archives = world.archives();
    world.assert_verified(archives.last().unwrap());
    let bytes = held(archives.last().unwrap()).into_values().next().unwrap();
    assert!(bytes == fs::read(&file).unwrap());
    assert_eq!(world.backed_up(5, &[])["warnings"].as_array().unwrap().len(), 0);
    // It comes back.
    fs::rename(&away, &second).unwrap();
    world.assert_verified(&world.backups());
    world.assert_verified(&first);
}

#[test]
fn a_pipe_cannot_bring_what_is_elsewhere() {
    let (world, _) = three_days();
    let [first, _, third] = world.archives().try_into().unwrap();
    for (archive, code) in [(first, 0), (third, 4)] {
        let home = Home::at(world.dir.path().join("piped"));
        let mut command = holdall(&home, 9, &["import", "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let bytes = fs::read(&archive).unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), &bytes);
        let output = child.wait_with_output().unwrap();
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{talk}");
        assert_eq!(talk.contains("not from a pipe"), code == 4, "{talk}");
    }
}

#[test]
fn another_archive_of_the_same_name_is_refused() {
    let (world, _) = three_days();
    let [first, _, third] = world.archives().try_into().unwrap();
    // The same sessions, but the one that grew is another.
    let (other, file) = self::world();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("question", "Question")).unwrap();
    other.backed_up(0, &[]);
    fs::copy(&other.archives()[0], &first).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (ok, problems) = world.verified(&third);
    assert!(!ok && problems.contains(&name(&third)) && problems.contains("SHA-256"), "{problems}");
    assert!(!world.verified(&world.backups()).0);
    let home = Home::at(world.dir.path().join("refusing"));
    let before = tree::read(home.dir());
    let import = |path: &Path| ended(holdall(&home, 9, &["--json", "import", path.to_str().unwrap()]));
    let refused = import(&third);
    assert_eq!(refused.status.code(), Some(4), "{}", refused.stderr);
    assert!(before == tree::read(home.dir()));
    // Of all that is there, what is right comes.
    let some = import(&world.backups());
    assert_eq!(some.status.code(), Some(3), "{}", some.stderr);
    let report: Value = serde_json::from_str(&some.stdout).unwrap();
    let actions: Vec<&str> =
        report["sessions"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["fail", "create"], "{report}");
}

#[test]
fn a_damaged_archive_is_not_leaned_on() {
    let (world, _) = three_days();
    let first = world.archives().remove(0);
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..whole.len() / 2]).unwrap();
    assert!(!world.verified(&world.backups()).0);
    let report = world.backed_up(5, &[]);
    assert!(report["warnings"].to_string().contains("is not used"), "{report}");
    assert_eq!(report["sessions"].as_array().unwrap().len(), 2, "both are stored whole again: {report}");
    let newest = world.archives().pop().unwrap();
    world.assert_verified(&newest);
    let home = world.dir.path().join("restored");
    assert!(!imported(&home, &newest, &[]).is_empty());
}

#[test]
fn other_files_in_the_directory_are_left_alone() {
    let (world, file) = world();
    fs::create_dir_all(world.backups()).unwrap();
    let foreign = ["notes.txt", "mine.tar.gz", "holdall-old.tar.gz", "holdall-20200101T000000Z.tar.gz"];
    for name in foreign {
        fs::write(world.backups().join(name), "not an archive").unwrap();
    }
    let report = world.backed_up(3, &["--keep", "1d"]);
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("holdall-old.tar.gz") && warnings.contains("holdall-20200101T000000Z"),
        "{warnings}"
    );
    go_on(&file);
    assert_eq!(world.backed_up(30, &["--keep", "1d"])["sessions"][0]["state"], "grown");
    for name in foreign {
        assert_eq!(fs::read_to_string(world.backups().join(name)).unwrap(), "not an archive");
    }
}

#[test]
fn with_keep_a_directory_stays_small_and_loses_no_last_copy() {
    const DAYS: usize = 24;
    let (world, file) = world();
    let mut removed = 0;
    let mut last_of_codex = Vec::new();
    for day in 0..DAYS {
        let report = world.backed_up(day, &["--keep", "5d"]);
        removed += report["removed"].as_array().unwrap().len();
        if day == 3 {
            last_of_codex =
                held(&world.archives()[0]).into_iter().filter(|(name, _)| name.0 == "codex").collect();
            fs::remove_dir_all(world.home.dir().join(".codex/sessions")).unwrap();
        }
        assert!(world.archives().len() <= 12, "day {day}: {:?}", world.archives());
        go_on(&file);
    }
    assert_eq!(removed + world.archives().len(), DAYS);
    assert!(removed > DAYS / 2, "{removed}");
    world.assert_verified(&world.backups());
    let all =
        holdall::ops::backup::restore::Restorable::of_dir(&world.backups(), String::new(), &[]).unwrap();
    let all = super::restored(&all);
    assert_eq!(last_of_codex.len(), 1);
    assert!(
        last_of_codex.iter().all(|(name, bytes)| all.get(name) == Some(bytes)),
        "the removed session is gone"
    );
    assert_eq!(all.len(), 2);
    // Each archive that stayed still restores.
    for archive in world.archives() {
        assert!(!held(&archive).is_empty());
    }
}

#[test]
fn two_runs_at_once_are_one_too_many() {
    let (world, _) = world();
    fs::create_dir_all(world.backups()).unwrap();
    let lock = fs::File::create(world.backups().join(".holdall-lock")).unwrap();
    lock.lock().unwrap();
    let (report, code) = world.backup(0, &[]);
    assert_eq!(code, 1, "{report}");
    assert!(report["error"].to_string().contains("under way"), "{report}");
    drop(lock);
    world.backed_up(0, &[]);
    assert_eq!(world.archives().len(), 1);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let (world, _) = world();
    fs::write(world.backups(), "a file").unwrap();
    let (report, code) = world.backup(0, &[]);
    assert_eq!((code, &report["schema"]), (1, &Value::from("holdall.error/1")), "{report}");
    assert!(report["error"].to_string().contains("backups"), "{report}");
}

#[test]
fn a_session_that_cannot_be_read_is_named_and_the_others_are_saved() {
    let (world, _) = world();
    let broken = "rollout-2026-11-20T15-02-22-01a1f97a-e389-73c0-b69d-08b9f1bd0000.jsonl.zst";
    fs::write(world.home.dir().join(".codex/sessions/2026/11/20").join(broken), "no zstd").unwrap();
    for (day, archive) in [(0, true), (1, false)] {
        let (report, code) = world.backup(day, &[]);
        assert_eq!(code, 3, "{report}");
        assert!(report["failed"].to_string().contains("01a1f97a-e389-73c0-b69d-08b9f1bd0000"), "{report}");
        assert_eq!(report["archive"].is_string(), archive, "{report}");
    }
    assert_eq!(held(&world.archives()[0]).len(), 2);
}

#[test]
fn killed_at_any_time_it_leaves_whole_archives_only() {
    let (world, file) = world();
    for round in 0..30_u64 {
        go_on(&file);
        let mut command = world.command(round as usize, &["backup", world.backups().to_str().unwrap()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(round * 1500));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    world.backed_up(40, &[]);
    for archive in world.archives() {
        let name = archive.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("holdall-") && name.ends_with(".tar.gz"), "{name} is left");
    }
    world.assert_verified(&world.backups());
    let last = held(world.archives().last().unwrap());
    let claude = last.into_iter().find(|(name, _)| name.0 == "claude").expect("it grew");
    assert!(claude.1 == fs::read(&file).unwrap());
}

#[test]
fn a_session_that_grows_while_it_is_read_is_cut_between_two_records() {
    let (world, file) = world();
    let line = fs::read_to_string(&file).unwrap().lines().last().unwrap().to_owned() + "\n";
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut out = fs::File::options().append(true).open(&file).unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // In two pieces, as a program may write it.
                for piece in [&line[..100], &line[100..]] {
                    std::io::Write::write_all(&mut out, piece.as_bytes()).unwrap();
                }
            }
        });
        for day in 0..8 {
            world.backed_up(day, &[]);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let all = fs::read(&file).unwrap();
    let archives = world.archives();
    assert_eq!(archives.len(), 8);
    for archive in archives {
        for ((harness, ..), bytes) in held(&archive) {
            assert!(harness != "claude" || (all.starts_with(&bytes) && bytes.ends_with(b"\n")));
        }
    }
    world.assert_verified(&world.backups());
}

/// Writes an archive whose only session goes on from `base`; refused by the writer when it may not.
fn forged(path: &Path, base: &str) -> Result<(), holdall::error::Error> {
    let head = Head {
        harness: "claude".into(),
        id: "8dd9110b-80ab-44ee-b4c8-56e3d33cde7e".into(),
        ..Head::default()
    };
    let mut payload = Files::default();
    let meta = |path: &str| FileMeta {
        role: Role::Transcript,
        path: path.into(),
        size: 2,
        modified: None,
        agent: None,
    };
    payload
        .push(meta("projects/-x/8dd9110b-80ab-44ee-b4c8-56e3d33cde7e.jsonl"), Source::Bytes(b"{}".to_vec()));
    let grown = vec![Grown { file: 0, after: 2, sha256: "0".repeat(64) }];
    let continues = Some(Continues { archive: base.into(), grown, kept: None });
    let input = SessionInput { head, repo: None, payload: &payload, continues };
    let options = WriteOptions::new(SourceMachine { os: "linux".into(), home: "/home/dev".into() });
    let mut out = fs::File::create(path).unwrap();
    archive::write(&mut out, &[input], &[], &options, &Silent).map(drop)
}

#[test]
fn an_archive_names_nothing_but_earlier_backups() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in [
        "../holdall-20260101T000000Z.tar.gz",
        "/etc/passwd",
        "other.tar.gz",
        "",
        "holdall-20260101T000000Z.tar.gz\n",
    ] {
        assert!(forged(&at("x.tar.gz"), name).is_err(), "{name:?}");
    }
    // In a circle, straight and around a corner.
    let [a, b] = ["holdall-20260101T000000Z.tar.gz", "holdall-20260102T000000Z.tar.gz"];
    for (first, second) in [(a, a), (b, a)] {
        forged(&at(a), first).unwrap();
        forged(&at(b), second).unwrap();
        let home = Home::at(dir.path().join("home"));
        for path in [&at(a), &at(b), &dir.path().to_owned()] {
            for command in ["verify", "import"] {
                let ended = ended(holdall(&home, 0, &[command, path.to_str().unwrap()]));
                assert_eq!(ended.status.code(), Some(4), "{command}: {}{}", ended.stdout, ended.stderr);
            }
        }
    }
}
