//! A database that a program commits to while holdall reads it and writes into it: what is read is what
//! was there after one commit, and the program never waits for long.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdall::archive::Archive;
use holdall::model::Payload;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Ended, Runs, rounds, text};
use crate::support::cases::{self, Case};
use crate::support::database;
use crate::support::programs::{Home, run};
use crate::support::tree;

/// What opencode waits for others before it gives up.
const BUSY: Duration = Duration::from_secs(5);

/// A home with one session of opencode.
struct World {
    home: Home,
    case: Case,
    dir: TempDir,
}

fn case(name: &str) -> Case {
    cases::of("opencode").into_iter().find(|case| case.case == name).expect("it is recorded")
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        let case = case("chat");
        case.unpack(home.dir());
        let world = Self { home, case, dir };
        let connection = world.connection();
        // As the program begins each of its answers with a list of things to do.
        connection.execute("DELETE FROM todo", []).unwrap();
        connection.execute("UPDATE session SET title = '0'", []).unwrap();
        world
    }

    fn database(&self) -> PathBuf {
        database_in(&self.home)
    }

    /// As the program opens it.
    fn connection(&self) -> Connection {
        let connection =
            Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        connection.busy_timeout(BUSY).unwrap();
        connection.pragma_update(None, "synchronous", "normal").unwrap();
        connection
    }

    fn archive(&self, name: &str) -> String {
        text(&self.dir.path().join(name))
    }

    fn export<'a>(&'a self, archive: &'a str) -> [&'a str; 6] {
        ["export", &self.case.id, "--git", "none", "-o", archive]
    }
}

fn database_in(home: &Home) -> PathBuf {
    home.dir().join(".local/share/opencode/opencode.db")
}

/// Commit number `number`: a message with two parts, something to do, and a title with that number.
fn commit(connection: &Connection, session: &str, number: usize) -> rusqlite::Result<()> {
    let transaction =
        rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
    let (id, time) = (format!("msg_z{number:08}"), 1_795_300_000_000_i64 + number as i64);
    let said = json!({"role": "user", "time": {"created": time}, "agent": "build",
        "model": {"providerID": "fake", "modelID": "fake-model"}});
    transaction
        .prepare_cached("INSERT INTO message(id, session_id, time_created, time_updated, data) VALUES(?1, ?2, ?3, ?3, ?4)")?
        .execute((&id, session, time, said.to_string()))?;
    for part in ["first", "second"] {
        let data =
            json!({"type": "text", "text": format!("{part} of {number}, {}", "漢字 ".repeat(number % 20))});
        transaction
            .prepare_cached("INSERT INTO part(id, message_id, session_id, time_created, time_updated, data) VALUES(?1, ?2, ?3, ?4, ?4, ?5)")?
            .execute((format!("prt_z{number:08}{part}"), &id, session, time, data.to_string()))?;
    }
    transaction
        .prepare_cached("INSERT INTO todo(session_id, content, status, priority, position, time_created, time_updated) VALUES(?1, ?2, 'pending', 'low', ?3, ?4, ?4)")?
        .execute((session, format!("thing {number}"), number as i64, time))?;
    transaction
        .prepare_cached("UPDATE session SET title = ?2, time_updated = ?3 WHERE id = ?1")?
        .execute((session, number.to_string(), time))?;
    transaction.commit()
}

/// What a writer saw.
#[derive(Debug, Default)]
struct Writer {
    commits: usize,
    longest: Duration,
}

/// Commits each millisecond while `holdall` is at work, until it is `over`; from number 1 on. Brings the
/// log into the database from time to time.
fn write_on(world: &World, at_work: &AtomicBool, over: &AtomicBool) -> Writer {
    let connection = world.connection();
    let mut writer = Writer::default();
    while !over.load(Ordering::Relaxed) {
        let before = Instant::now();
        if at_work.load(Ordering::Relaxed) {
            commit(&connection, &world.case.id, writer.commits + 1)
                .expect("nothing stands in the program's way");
            writer.longest = writer.longest.max(before.elapsed());
            writer.commits += 1;
            if writer.commits.is_multiple_of(32) {
                let mode = if writer.commits.is_multiple_of(64) { "TRUNCATE" } else { "PASSIVE" };
                connection
                    .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i64>(0))
                    .expect("the log can be brought in");
            }
        }
        std::thread::sleep(Duration::from_millis(1).saturating_sub(before.elapsed()));
    }
    writer
}

/// Runs `work` beside a writer, which writes whenever `work` says that it is at work.
fn beside_a_writer<T>(world: &World, work: impl FnOnce(&AtomicBool) -> T) -> (T, Writer) {
    let (at_work, over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_on(world, &at_work, &over));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&at_work)));
        over.store(true, Ordering::Relaxed);
        let writer = writer.join().expect("the writer saw no error");
        (done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), writer)
    })
}

/// How many commits an archive with the session holds. Panics when it is none but parts of some.
fn commits_in(archive: &str) -> usize {
    let opened = Archive::open(Path::new(archive)).unwrap();
    let session = opened.session(0).unwrap();
    let read = |place: usize| {
        let mut bytes = String::new();
        session.open(place).unwrap().read_to_string(&mut bytes).unwrap();
        bytes
    };
    let messages = read(0);
    let mut numbers = BTreeSet::new();
    for line in messages.lines().filter(|line| line.contains("msg_z")) {
        let message: Value = serde_json::from_str(line).unwrap();
        let number: usize = message["info"]["id"].as_str().unwrap()[5..].parse().unwrap();
        assert_eq!(message["parts"].as_array().unwrap().len(), 2, "half of commit {number}");
        numbers.insert(number);
    }
    let count = numbers.len();
    assert!(numbers.into_iter().eq(1..=count), "commits are missing");
    let info: Value = serde_json::from_str(&read(1)).unwrap();
    assert_eq!(info["todos"].as_array().unwrap().len(), count, "the list is of another commit");
    assert_eq!(info["info"]["title"], count.to_string(), "the title is of another commit");
    count
}

/// What is wrong with a database, by SQLite's own check.
fn assert_sound(database: &Path) {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    connection.busy_timeout(BUSY).unwrap();
    let found: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    let orphans: i64 =
        connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(orphans, 0);
}

#[test]
fn what_is_exported_was_there_after_one_commit() {
    let runs = Runs::default();
    let (mut exports, mut states, mut commits, mut longest) = (0, 0, 0, Duration::ZERO);
    // A fresh database for each twenty of them: one that grows all the time is slow to read.
    while exports < rounds(20, 100) {
        let world = World::new();
        let (seen, writer) = beside_a_writer(&world, |at_work| {
            let mut seen = Vec::new();
            for round in 0..20 {
                let archive = world.archive("x.tar.gz");
                at_work.store(true, Ordering::Relaxed);
                runs.done(&world.home, &world.export(&archive));
                at_work.store(false, Ordering::Relaxed);
                seen.push(commits_in(&archive));
                if round % 10 == 0 {
                    assert_eq!(runs.done(&world.home, &["verify", &archive]).document["ok"], true);
                }
                fs::remove_file(archive).unwrap();
            }
            seen
        });
        assert!(seen.is_sorted(), "{seen:?}");
        let different: BTreeSet<&usize> = seen.iter().collect();
        assert!(different.len() * 2 > seen.len(), "hardly anything was written meanwhile: {seen:?}");
        assert!(writer.longest < BUSY, "{writer:?}");
        assert_sound(&world.database());
        exports += seen.len();
        states += different.len();
        commits += writer.commits;
        longest = longest.max(writer.longest);
    }
    println!(
        "{exports} exports saw {states} states of {commits} commits; the writer's longest wait {longest:.0?}; {} \
         runs of holdall",
        runs.count()
    );
}

/// The rows of the writer's session, as text.
fn dumped(world: &World) -> String {
    database::dump(&world.database())
}

#[test]
fn a_program_can_write_while_sessions_are_imported_and_taken_back() {
    let (runs, world) = (Runs::default(), World::new());
    let archive = {
        let dir = tempfile::tempdir().unwrap();
        let from = Home::at(dir.path().join("from"));
        for name in ["parallel3", "todo", "large"] {
            case(name).unpack(from.dir());
        }
        let archive = world.archive("three.tar.gz");
        runs.done(&from, &["export", "--all", "--git", "none", "-o", &archive]);
        archive
    };
    let cwd = world.home.dir().join("src/app");
    fs::create_dir_all(&cwd).unwrap();
    let map = format!("/home/dev/src/app={}", text(&cwd));
    let import = ["import", archive.as_str(), "--cwd-map", &map, "--no-confirm"];
    let times = rounds(6, 50);
    let ((), writer) = beside_a_writer(&world, |at_work| {
        at_work.store(true, Ordering::Relaxed);
        for _ in 0..times {
            let imported = runs.done(&world.home, &import);
            let rows = imported.document["sessions"].as_array().unwrap();
            assert!(rows.len() == 3 && rows.iter().all(|row| row["action"] == "create"), "{rows:?}");
            runs.done(&world.home, &["undo"]);
        }
        runs.done(&world.home, &import);
    });
    assert!(writer.longest < BUSY, "{writer:?}");
    assert_sound(&world.database());
    let text = dumped(&world);
    for number in 1..=writer.commits {
        assert!(text.contains(&format!("msg_z{number:08}")), "commit {number} is lost");
    }
    runs.done(&world.home, &["undo"]);
    let left: Vec<String> = ["parallel3", "todo", "large"].map(|name| case(name).id).into();
    assert!(!left.iter().any(|id| dumped(&world).contains(id.as_str())), "the undo left something");
    println!(
        "{} imports and undos beside {} commits; the writer's longest wait {:.0?}; {} runs of holdall",
        2 * (times + 1),
        writer.commits,
        writer.longest,
        runs.count()
    );
}

/// Copies the database and what lies beside it, in the state of this moment, to a home of its own.
fn copied(world: &World, name: &str, beside: &[&str]) -> Home {
    let home = Home::at(world.dir.path().join(name));
    let to = database_in(&home);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    for suffix in [""].iter().chain(beside) {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", text(path)));
        fs::copy(with(&world.database()), with(&to)).unwrap();
    }
    home
}

/// A database that a program which was killed has left: everything is in its log.
fn with_a_log(world: &World, commits: usize) -> Connection {
    let connection = world.connection();
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    (1..=commits).for_each(|number| commit(&connection, &world.case.id, number).unwrap());
    connection
}

#[test]
fn a_log_without_its_index_is_read_and_left_as_it_is() {
    let (runs, world) = (Runs::default(), World::new());
    let running = with_a_log(&world, 40);
    let home = copied(&world, "copy", &["-wal"]);
    let log = fs::read(format!("{}-wal", text(&database_in(&home)))).unwrap();
    let archive = world.archive("x.tar.gz");
    runs.done(&home, &world.export(&archive));
    assert_eq!(commits_in(&archive), 40);
    assert!(fs::read(format!("{}-wal", text(&database_in(&home)))).unwrap() == log, "the log was touched");
    drop(running);
}

/// Runs a command where one directory cannot be written by anybody. `None`: the system does not let us.
fn on_read_only(dir: &Path, command: &Command) -> Option<Ended> {
    let script = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@""#;
    let mut alone = Command::new("unshare");
    alone.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(dir);
    alone.arg(command.get_program()).args(command.get_args());
    alone.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    alone.current_dir(command.get_current_dir().unwrap());
    let ended = run(&mut alone, Duration::from_secs(60)).ok()?;
    let document = serde_json::from_str(&ended.stdout).ok()?;
    Some(Ended { code: ended.status.code()?, document, talk: ended.stderr })
}

#[test]
fn a_left_over_log_on_a_disk_that_cannot_be_written_is_read() {
    let world = World::new();
    let running = with_a_log(&world, 40);
    for beside in [&["-wal"][..], &["-wal", "-shm"]] {
        let home = copied(&world, &format!("copy{}", beside.len()), beside);
        let archive = world.archive(&format!("{}.tar.gz", beside.len()));
        let before = tree::read(home.dir());
        let command = super::holdall(&home, &world.export(&archive));
        let Some(ended) = on_read_only(database_in(&home).parent().unwrap(), &command) else {
            println!("SKIPPED: no mount in a namespace of our own is allowed here");
            return;
        };
        assert_eq!(ended.code, 0, "{} {}", ended.document, ended.talk);
        assert_eq!(commits_in(&archive), 40, "with {beside:?}");
        assert!(tree::read(home.dir()) == before);
    }
    drop(running);
}

#[test]
fn what_a_killed_program_had_not_committed_is_not_read() {
    let (runs, world) = (Runs::default(), World::new());
    let connection = world.connection();
    connection.query_row("PRAGMA journal_mode = delete", [], |row| row.get::<_, String>(0)).unwrap();
    (1..=20).for_each(|number| commit(&connection, &world.case.id, number).unwrap());
    // Pages reach the database before the end of the transaction, as in one that is large.
    connection.execute_batch("PRAGMA cache_size = 5; BEGIN IMMEDIATE").unwrap();
    connection.execute("UPDATE session SET title = 'torn'", []).unwrap();
    connection.execute("UPDATE part SET data = data || ' '", []).unwrap();
    connection.execute("DELETE FROM todo", []).unwrap();
    connection.cache_flush().unwrap();
    let home = copied(&world, "copy", &["-journal"]);
    let before = tree::read(home.dir());
    let archive = world.archive("x.tar.gz");
    let ended = runs.run(&home, &world.export(&archive));
    if ended.code == 0 {
        assert_eq!(commits_in(&archive), 20);
    } else {
        assert_eq!(ended.code, 1, "{}", ended.document);
        let told = format!("{} {}", ended.error(), ended.talk);
        assert!(told.contains("opencode.db") && told.contains("start that program once"), "{told}");
        assert!(tree::read(home.dir()) == before, "it was changed");
    }
    // The program itself takes back what was not committed; then all is as it was.
    let program = Connection::open(database_in(&home)).unwrap();
    let title: String = program.query_row("SELECT title FROM session", [], |row| row.get(0)).unwrap();
    assert_eq!(title, "20");
    drop(program);
    let _ = fs::remove_file(&archive);
    runs.done(&home, &world.export(&archive));
    assert_eq!(commits_in(&archive), 20);
    connection.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_database_that_is_held_alone_is_named() {
    let (runs, world) = (Runs::default(), World::new());
    let holder = world.connection();
    holder.query_row("PRAGMA journal_mode = delete", [], |row| row.get::<_, String>(0)).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE; UPDATE session SET title = 'held'").unwrap();
    holder.cache_flush().unwrap();
    let archive = world.archive("x.tar.gz");
    let begun = Instant::now();
    let ended = runs.run(&world.home, &world.export(&archive));
    assert_eq!(ended.code, 1, "{}", ended.document);
    let told = format!("{} {}", ended.error(), ended.talk);
    assert!(told.contains("locked by another program"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(40), "it waited for {:?}", begun.elapsed());
    assert!(!Path::new(&archive).exists());
    holder.execute_batch("ROLLBACK").unwrap();
    runs.done(&world.home, &world.export(&archive));
}
