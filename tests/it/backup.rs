//! `holdall backup`: over a growing home, and whatever can be wrong with a directory of backups.

mod growing;
mod resumed;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use holdall::archive::Archive;
use holdall::ops::backup::restore::Restorable;
use holdall::progress::Silent;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::programs::{Ended, Home, run};
use crate::support::tree;
use growing::Growing;

/// A home and a directory of backups.
struct World {
    dir: TempDir,
    home: Home,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        Self { dir, home }
    }

    fn backups(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    /// The archives, the oldest first.
    fn archives(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> =
            fs::read_dir(self.backups()).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }

    /// holdall in this home, on the day of this number.
    fn command(&self, day: usize, args: &[&str]) -> Command {
        holdall(&self.home, day, args)
    }

    /// Backs up and returns the report.
    fn backup(&self, day: usize, more: &[&str]) -> (Value, i32) {
        let dir = self.backups();
        let mut args = vec!["--json", "backup", dir.to_str().unwrap()];
        args.extend(more);
        let ended = ended(self.command(day, &args));
        let code = ended.status.code().unwrap();
        (serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr)), code)
    }

    fn backed_up(&self, day: usize, more: &[&str]) -> Value {
        let (report, code) = self.backup(day, more);
        assert_eq!(code, 0, "day {day}: {report}");
        assert_eq!(report["schema"], "holdall.backup/1");
        report
    }

    /// `holdall verify` of the directory or an archive of it.
    fn verified(&self, path: &Path) -> (bool, String) {
        let ended = ended(self.command(0, &["--json", "verify", path.to_str().unwrap()]));
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(if report["ok"] == true { 0 } else { 4 }));
        (report["ok"] == true, report["problems"].to_string())
    }

    fn assert_verified(&self, path: &Path) {
        let (ok, problems) = self.verified(path);
        assert!(ok, "{}: {problems}", path.display());
    }
}

fn holdall(home: &Home, day: usize, args: &[&str]) -> Command {
    let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
    let now = format!("2027-{:02}-{:02}T03:00:00Z", 1 + day / 28, 1 + day % 28);
    command.env("PATH", "/usr/bin:/bin").env("HOLDALL_NOW", now).args(args);
    command
}

fn ended(mut command: Command) -> Ended {
    run(&mut command, Duration::from_secs(60)).unwrap()
}

/// The files of sessions, by harness, id and native path.
type Files = BTreeMap<(String, String, String), Vec<u8>>;

/// Every byte of every session of the home, as `export` packs it.
fn exported(world: &World, day: usize) -> Files {
    let file = world.dir.path().join(format!("export-{day}.tar.gz"));
    let ended = ended(world.command(day, &["export", "--all", "-o", file.to_str().unwrap()]));
    assert!(ended.status.success(), "{}", ended.stderr);
    let archive = Archive::open(&file).unwrap();
    let all: Vec<usize> = (0..archive.manifest().sessions.len()).collect();
    restored(&Restorable::of_archive(archive, Some(&file), String::new(), &all))
}

/// What an archive of the directory holds, with what it leans on.
fn held(archive: &Path) -> Files {
    let opened = Archive::open(archive).unwrap();
    let all: Vec<usize> = (0..opened.manifest().sessions.len()).collect();
    restored(&Restorable::of_archive(opened, Some(archive), String::new(), &all))
}

fn restored(restorable: &Restorable) -> Files {
    let mut files = Files::new();
    for session in restorable.incoming(&Silent).unwrap().sessions {
        assert_eq!(session.refused, None);
        for (place, meta) in session.payload.files().iter().enumerate() {
            let mut bytes = Vec::new();
            session.payload.open(place).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, meta.size);
            files.insert((session.head.harness.clone(), session.head.id.clone(), meta.path.clone()), bytes);
        }
    }
    files
}

/// What is new of `now` since `before`, in one piece: new files whole, of the others everything from
/// the first byte on that is another.
fn new_bytes(before: &Files, now: &Files) -> Vec<u8> {
    let mut new = Vec::new();
    for (name, bytes) in now {
        let known = before.get(name).map_or(&[][..], Vec::as_slice);
        let same = bytes.iter().zip(known).take_while(|(now, then)| now == then).count();
        new.extend_from_slice(&bytes[same..]);
    }
    new
}

fn compressed(bytes: &[u8]) -> u64 {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap().len() as u64
}

/// All files of sessions that an import of `file` puts into an empty home.
fn imported(root: &Path, file: &Path, only: &[String]) -> tree::Tree {
    let _ = fs::remove_dir_all(root);
    let home = Home::at(root);
    fs::create_dir_all(root.join("src/app")).unwrap();
    let mut args = vec!["--json", "import", file.to_str().unwrap(), "--cwd-map", "/home/dev=~"];
    for id in only {
        args.extend(["--session", id]);
    }
    let ended = ended(holdall(&home, 330, &args));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{args:?}: {ended:?}"));
    for session in report["sessions"].as_array().unwrap() {
        // Without the program there is no database; the session is handed over as a document.
        let handed_over = session["reason"].as_str().is_some_and(|reason| reason.contains("import"));
        assert!(session["action"] == "create" || handed_over, "{session}");
    }
    let mut tree = tree::read_without(root, ".local/state");
    tree.retain(|path, _| !path.starts_with(".local/state"));
    tree
}

#[test]
fn thirty_days_of_a_growing_home() {
    const DAYS: usize = 30;
    let world = World::new();
    let mut growing = Growing::new(world.home.dir());
    let mut before = Files::new();
    let mut new_data = 0;
    let mut days: Vec<(PathBuf, Files)> = Vec::new();
    for day in 0..DAYS {
        if day > 0 {
            growing.day(day);
        }
        let report = world.backed_up(day, &[]);
        let archive = world.backups().join(report["archive"].as_str().expect("something is new every day"));
        let now = exported(&world, day);
        // It has every session that is not as it was, and no other.
        let of = |files: &Files, key: &(String, String, String)| {
            let own = files.iter().filter(|(other, _)| (&other.0, &other.1) == (&key.0, &key.1));
            own.map(|(name, bytes)| (name.clone(), bytes.clone())).collect::<Files>()
        };
        let expected: Files = now
            .keys()
            .filter(|key| of(&now, key) != of(&before, key))
            .map(|key| (key.clone(), now[key].clone()))
            .collect();
        assert!(held(&archive) == expected, "day {day}: it does not hold what changed");
        new_data += compressed(&new_bytes(&before, &now));
        assert_eq!(world.backed_up(day, &[])["archive"], Value::Null, "day {day}: nothing is new");
        days.push((archive, expected));
        before = now;
    }
    let archives = world.archives();
    assert_eq!(archives.len(), DAYS);
    let total: u64 = archives.iter().map(|path| path.metadata().unwrap().len()).sum();
    println!("{total} bytes for {new_data} of new data: {:.3}", total as f64 / new_data as f64);
    assert!(total * 10 <= new_data * 12, "{total} bytes for {new_data} of new data");

    world.assert_verified(&world.backups());
    let homes = world.dir.path().join("homes");
    for (day, (archive, files)) in days.iter().enumerate() {
        world.assert_verified(archive);
        assert!(held(archive) == *files, "day {day}");
        unpacks(archive);
        // What it brings into an empty home is what an export of that day would have brought.
        let ids: Vec<String> = files.keys().map(|(harness, id, _)| format!("{harness}:{id}")).collect();
        let export = world.dir.path().join(format!("export-{day}.tar.gz"));
        let (from_export, from_backup) = (imported(&homes, &export, &ids), imported(&homes, archive, &[]));
        assert!(!from_backup.is_empty() && from_backup == from_export, "day {day}");
    }

    // All of them together: what is there now, and what was removed as it was last.
    let mut last = Files::new();
    for (_, files) in &days {
        let keys: Vec<_> = files.keys().map(|(harness, id, _)| (harness, id)).collect();
        last.retain(|(harness, id, _), _| !keys.contains(&(harness, id)));
        last.extend(files.clone());
    }
    let all = Restorable::of_dir(&world.backups(), String::new(), &[]).unwrap();
    assert!(restored(&all) == last);
    assert!(before.iter().all(|(name, bytes)| last.get(name) == Some(bytes)));
    assert!(last.len() > before.len(), "removed sessions are still there");
}

/// Plain tools unpack and check an archive.
fn unpacks(archive: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let script = "tar xzf \"$1\" && sha256sum --quiet -c SHA256SUMS";
    let mut command = Command::new("sh");
    command.current_dir(dir.path()).args(["-c", script, "sh"]).arg(archive);
    let ended = ended(command);
    assert!(ended.status.success(), "{}", ended.stderr);
}
