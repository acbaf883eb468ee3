//! What can be wrong with a directory of backups, with the sessions, and with the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

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
    fs::write(&file, text.replace("question", "answer")).unwrap();
    other.backed_up(0, &[]);
    fs::copy(&other.archives()[0], &first).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let (ok, problems) = world.verified(&third);
    assert!(!ok && problems.contains(&name(&third)) && problems.contains("SHA-256"), "{problems}");
    assert!(!world.verified(&world.backups()).0);
    let home = Home::at(world.dir.path().join("refusing"));
    let before = tree::read(home.dir());
    for path in [&third, &world.backups()] {
        let ended = ended(holdall(&home, 9, &["import", path.to_str().unwrap()]));
        assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    }
    assert!(before == tree::read(home.dir()));
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
