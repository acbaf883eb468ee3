//! What a user sees when something is wrong: one clear message, the right exit code, nothing changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cases;
use crate::support::programs::{Ended, Home, run};
use crate::support::tree;

const LIMIT: Duration = Duration::from_secs(60);

/// A home with every recorded Claude Code session, an archive of them, and an empty home.
struct Setup {
    dir: TempDir,
    from: Home,
    to: Home,
    archive: PathBuf,
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let from = Home::at(dir.path().join("from"));
        let to = Home::at(dir.path().join("to"));
        for case in cases::of("claude") {
            case.unpack(from.dir());
        }
        let archive = dir.path().join("all.tar.gz");
        let setup = Self { dir, from, to, archive };
        let file = setup.archive.to_str().unwrap();
        setup.run(&setup.from, &["export", "--all", "-o", file]).must_end_with(0);
        setup
    }

    fn run(&self, home: &Home, args: &[&str]) -> Outcome {
        let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
        command.env("PATH", "/usr/bin:/bin").args(args);
        Outcome::of(&mut command)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An archive made from the good one.
    fn bent(&self, name: &str, bend: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = fs::read(&self.archive).unwrap();
        bend(&mut bytes);
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The archive's contents with another manifest, packed by other programs.
    fn repacked(&self, name: &str, manifest: impl FnOnce(&mut Value)) -> String {
        let dir = self.path(&format!("{name}.d"));
        fs::create_dir(&dir).unwrap();
        shell(&dir, &format!("tar xzf {}", self.archive.display()));
        let path = dir.join("manifest.json");
        let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        manifest(&mut json);
        fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
        let out = self.path(name);
        let sums = "sha256sum manifest.json s/*/* > SHA256SUMS";
        let members = "manifest.json SHA256SUMS $(ls s/*/* | sort)";
        shell(&dir, &format!("{sums} && tar --format=ustar -cf - {members} | gzip > {}", out.display()));
        out.to_str().unwrap().to_owned()
    }
}

fn shell(dir: &Path, script: &str) {
    let status = Command::new("sh").current_dir(dir).args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

struct Outcome {
    ended: Ended,
}

impl Outcome {
    fn of(command: &mut Command) -> Self {
        Self { ended: run(command, LIMIT).unwrap() }
    }

    #[track_caller]
    fn must_end_with(self, code: i32) -> Self {
        let Ended { status, stdout, stderr } = &self.ended;
        assert_eq!(status.code(), Some(code), "\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// Exactly one error, without a control character, that holds all of `words`.
    #[track_caller]
    fn must_say(self, words: &[&str]) -> Self {
        let said = &self.ended.stderr;
        assert_eq!(said.lines().filter(|line| line.starts_with("error:")).count(), 1, "{said}");
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in: {said}");
        }
        self
    }
}

#[test]
fn refused_archives_change_nothing() {
    let setup = Setup::new();
    let size = fs::metadata(&setup.archive).unwrap().len() as usize;
    let before = tree::read(setup.to.dir());
    let text = setup.path("notes.txt");
    fs::write(&text, "just a text").unwrap();
    let files = [
        (text.to_str().unwrap().to_owned(), vec!["notes.txt"]),
        (setup.bent("empty", |bytes| bytes.clear()), vec!["empty"]),
        (setup.bent("short", |bytes| bytes.truncate(size / 2)), vec!["short"]),
        (setup.bent("torn-end", |bytes| bytes.truncate(size - 1)), vec!["torn-end"]),
        (setup.bent("trailing", |bytes| bytes.extend(b"more")), vec!["trailing"]),
        (setup.bent("flipped", |bytes| bytes[size * 2 / 3] ^= 1), vec!["damaged"]),
        (
            setup.repacked("newer", |json| json["version"]["major"] = 2.into()),
            vec!["format 2.1", "upgrade holdall"],
        ),
        (setup.repacked("liar", |json| json["sessions"][0]["files"][0]["size"] = 1.into()), vec!["s/0001/"]),
    ];
    for (file, words) in files {
        for command in [&["import"][..], &["import", "--dry-run"], &["inspect"]] {
            let args: Vec<&str> = command.iter().copied().chain([file.as_str()]).collect();
            setup.run(&setup.to, &args).must_end_with(4).must_say(&words);
        }
        setup.run(&setup.to, &["verify", &file]).must_end_with(4);
    }
    assert_eq!(tree::read(setup.to.dir()), before);
}

/// Of a large file `inspect` looks at what tells it what is there, and says so; `verify` and `import`
/// look at all.
#[test]
fn a_large_archive_is_inspected_without_being_read() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    let project = home.dir().join(".claude/projects/-home-dev-p");
    fs::create_dir_all(&project).unwrap();
    let id = "5f7a8f0e-3a51-4b0e-9d52-6a1c2b3d4e5f";
    let transcript = project.join(format!("{id}.jsonl"));
    // What shrinks as much as this is stored as it is, which is quick.
    let texts = ["first", &"-".repeat(66 << 20), "last"];
    let lines = texts.map(|text| {
        let place = format!(r#""sessionId":"{id}","uuid":"{id}","parentUuid":null,"cwd":"/home/dev/p""#);
        let message = format!(r#""message":{{"role":"user","content":"{text}"}}"#);
        format!(r#"{{"type":"user",{place},"timestamp":"2026-11-01T10:00:00.000Z",{message}}}"#) + "\n"
    });
    fs::write(&transcript, lines.concat()).unwrap();
    let archive = dir.path().join("large.tar.gz");
    let file = archive.to_str().unwrap();
    let holdall = |args: &[&str]| {
        Outcome::of(home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir()).args(args))
    };
    holdall(&["export", id, "-o", file]).must_end_with(0);
    let size = fs::metadata(&archive).unwrap().len();
    assert!(size > 64 << 20, "{size}");
    fs::remove_file(&transcript).unwrap();

    let inspected = |verified: bool, from: &[&str]| {
        let found = holdall(from).must_end_with(0).ended.stdout;
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!(found["verified"], verified);
        assert_eq!(found["sessions"][0]["id"], id);
    };
    inspected(false, &["--json", "inspect", file]);
    let told = holdall(&["inspect", file]).must_end_with(0).ended.stdout;
    assert!(told.starts_with("not verified: 1 session in 1 file"), "{told}");
    assert!(told.contains(&format!("`holdall verify {file}` reads all of it")), "{told}");
    let piped = format!("cat {file} | {} --json inspect -", env!("CARGO_BIN_EXE_holdall"));
    let piped = Outcome::of(home.command(Path::new("sh"), home.dir()).args(["-c", &piped]));
    let piped: Value = serde_json::from_str(&piped.must_end_with(0).ended.stdout).unwrap();
    assert_eq!(piped["verified"], true);

    // Damage in the middle of the session is for those to find who read it.
    let flip = |at: u64| {
        use std::os::unix::fs::FileExt;
        let file = fs::File::options().read(true).write(true).open(&archive).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    };
    flip(size / 2);
    inspected(false, &["--json", "inspect", file]);
    let before = tree::read(home.dir());
    holdall(&["verify", file]).must_end_with(4);
    holdall(&["import", file, "--yes"]).must_end_with(4).must_say(&["s/0001/0001-transcript.jsonl"]);
    assert_eq!(tree::read(home.dir()), before);
    flip(size / 2);
    // Damage in the structure is not: in the first member, in the last one, in the length.
    for at in [100, size - 100] {
        flip(at);
        holdall(&["inspect", file]).must_end_with(4);
        flip(at);
    }
    fs::File::options().write(true).open(&archive).unwrap().set_len(size - 1).unwrap();
    holdall(&["inspect", file]).must_end_with(4).must_say(&["cut off"]);
}

#[test]
fn other_programs_archives_are_read_too() {
    let setup = Setup::new();
    let again = setup.repacked("again.tar.gz", |_| {});
    setup.run(&setup.to, &["verify", &again]).must_end_with(0);
    let mut pipe = setup.to.command(Path::new("sh"), setup.to.dir());
    let script = format!("cat {} | {} inspect -", again, env!("CARGO_BIN_EXE_holdall"));
    Outcome::of(pipe.args(["-c", &script])).must_end_with(0);
}

#[test]
fn what_is_named_must_be_there() {
    let setup = Setup::new();
    let archive = setup.archive.to_str().unwrap();
    let new = setup.path("new.tar.gz");
    let new = new.to_str().unwrap();
    let before = tree::read(setup.from.dir());
    let cases: [(&[&str], i32, &[&str]); 13] = [
        (&["show", "00000000-0000-4000-8000-000000000000"], 1, &["00000000-0000"]),
        (&["show", "abc"], 2, &["too short"]),
        (&["show"], 2, &["needs a session"]),
        (&["show", "--all"], 2, &["show needs a session"]),
        (&["export", "-o", new], 2, &["which sessions"]),
        (&["export", "--query", "no such words", "-o", new], 1, &["no session"]),
        (&["export", "--all", "-o", archive], 1, &["exists", "--force"]),
        (&["export", "--all", "--since", "soon", "-o", new], 2, &["--since", "soon"]),
        (&["convert", "--to", "codex"], 2, &["which sessions"]),
        (&["import", "/no/such/file.tar.gz"], 1, &["/no/such/file.tar.gz"]),
        (&["import", archive, "--session", "nonesuch"], 1, &["nonesuch"]),
        (&["import", archive, "--cwd-map", "relative=/x"], 2, &["relative"]),
        (&["undo"], 1, &["import"]),
    ];
    for (args, code, words) in cases {
        setup.run(&setup.from, args).must_end_with(code).must_say(words);
    }
    for args in
        [&["import", archive, "--to", "nonesuch"][..], &["list", "-H", "nonesuch"], &["nonesuch"], &[]]
    {
        setup.run(&setup.from, args).must_end_with(2);
    }
    assert_eq!(tree::read(setup.from.dir()), before);
}

#[test]
fn an_ambiguous_prefix_lists_what_it_could_be() {
    let setup = Setup::new();
    let project = setup.from.dir().join(".claude/projects/-home-dev-src-app");
    let name = |digit: char| format!("aaaaaaaa-0000-4000-8000-00000000000{digit}");
    for digit in ['1', '2'] {
        let row = format!(
            r#"{{"type":"user","uuid":"u{digit}","parentUuid":null,"timestamp":"2026-01-01T00:00:00Z","cwd":"/x","sessionId":"{}","message":{{"role":"user","content":"hi"}}}}"#,
            name(digit)
        );
        fs::write(project.join(format!("{}.jsonl", name(digit))), row + "\n").unwrap();
    }
    setup.run(&setup.from, &["show", "aaaa"]).must_end_with(2).must_say(&[&name('1'), &name('2')]);
    setup.run(&setup.from, &["show", &format!("claude:{}", name('1'))]).must_end_with(0);
}

#[test]
fn a_subagent_is_shown_with_the_session_that_started_it() {
    let setup = Setup::new();
    let listed = setup.run(&setup.from, &["--json", "list", "--all", "--subagents"]).must_end_with(0);
    let listed: Value = serde_json::from_str(&listed.ended.stdout).unwrap();
    let agent = listed["sessions"].as_array().unwrap().iter().find(|row| row["parent"].is_string()).unwrap();
    let (id, parent) = (agent["id"].as_str().unwrap(), agent["parent"].as_str().unwrap());
    setup.run(&setup.from, &["show", id]).must_end_with(1).must_say(&["sub-agent", parent, "--full"]);
    let shown = setup.run(&setup.from, &["show", parent, "--full"]).must_end_with(0).ended.stdout;
    assert!(shown.contains("Sub-agent"), "{shown}");
}

#[test]
fn a_directory_that_does_not_exist_is_reported() {
    let setup = Setup::new();
    let archive = setup.archive.to_str().unwrap();
    let args = ["import", archive, "--cwd-map", "/home/dev/src/app=/no/such/dir"];
    let outcome = setup.run(&setup.to, &args).must_end_with(0);
    assert!(outcome.ended.stderr.contains("/no/such/dir does not exist"), "{}", outcome.ended.stderr);
}

#[test]
fn every_listed_id_names_its_session() {
    let setup = Setup::new();
    // Sub-agents that Codex keeps as threads of their own begin like their parents, and are not listed.
    for case in cases::of("codex") {
        case.unpack(setup.from.dir());
    }
    let list = setup.run(&setup.from, &["list", "--all"]).must_end_with(0).ended.stdout;
    let ids: Vec<&str> = list.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(ids.len() > 20, "{list}");
    let again: Vec<&str> = std::iter::once("list").chain(ids).collect();
    setup.run(&setup.from, &again).must_end_with(0);
}

/// A restored backup may have files that all changed at once, or in another order.
#[test]
fn the_newest_is_the_one_with_the_last_activity() {
    let setup = Setup::new();
    let files = tree::read(setup.from.dir());
    let transcripts = files.keys().filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    for (place, path) in transcripts.enumerate() {
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000 + place as u64);
        let file = fs::File::options().append(true).open(setup.from.dir().join(path)).unwrap();
        file.set_modified(time).unwrap();
    }
    let ids = |args: &[&str]| -> Vec<Value> {
        let list = setup.run(&setup.from, args).must_end_with(0).ended.stdout;
        let list: Value = serde_json::from_str(&list).unwrap();
        list["sessions"].as_array().unwrap().iter().map(|session| session["id"].clone()).collect()
    };
    let all = ids(&["--json", "list", "--all"]);
    assert!(all.len() > 17, "no second batch");
    assert_eq!(ids(&["--json", "list", "-n", "3"]), all[..3]);
}

#[test]
fn json_is_one_document_also_for_errors() {
    let setup = Setup::new();
    let archive = setup.archive.to_str().unwrap();
    let cases: [(&[&str], &str); 8] = [
        (&["list"], "holdall.list/1"),
        (&["harnesses"], "holdall.harnesses/1"),
        (&["verify", archive], "holdall.verify/1"),
        (&["inspect", archive], "holdall.manifest/1"),
        (&["imports"], "holdall.imports/1"),
        (&["import", archive, "--dry-run"], "holdall.import/1"),
        (&["undo"], "holdall.error/1"),
        (&["show", "zzzz"], "holdall.error/1"),
    ];
    for (args, schema) in cases {
        let args: Vec<&str> = std::iter::once("--json").chain(args.iter().copied()).collect();
        let outcome = setup.run(&setup.from, &args);
        let json: Value = serde_json::from_str(&outcome.ended.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", outcome.ended.stdout));
        assert_eq!(json["schema"], schema, "{args:?}");
    }
}

#[test]
fn every_command_has_help_and_the_generated_texts_are_whole() {
    let setup = Setup::new();
    let help = setup.run(&setup.to, &["--help"]).must_end_with(0).ended.stdout;
    for line in
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty())
    {
        let command = line.split_whitespace().next().unwrap();
        setup.run(&setup.to, &[command, "--help"]).must_end_with(0);
        let man = setup.run(&setup.to, &["man"]).must_end_with(0).ended.stdout;
        assert!(
            man.contains(&format!("HOLDALL {}", command.to_uppercase())),
            "{command} is not in the manual"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = setup.run(&setup.to, &["completions", shell]).must_end_with(0).ended.stdout;
        assert!(script.contains("on-conflict") && script.contains("codex"), "{shell}");
    }
    let schema: Value =
        serde_json::from_str(&setup.run(&setup.to, &["schema"]).must_end_with(0).ended.stdout).unwrap();
    assert!(schema["properties"]["sessions"].is_object());
}

/// Modes mean nothing to root, so root steps down first.
#[cfg(unix)]
#[test]
fn a_read_only_home_is_an_error_and_stays_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::new();
    let home = setup.to.dir().to_owned();
    // Everybody may come by to the archive and to the binary.
    let binary = setup.path("holdall");
    fs::copy(env!("CARGO_BIN_EXE_holdall"), &binary).unwrap();
    fs::set_permissions(setup.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&setup.archive, fs::Permissions::from_mode(0o644)).unwrap();
    let set_mode = |mode| fs::set_permissions(&home, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o555);
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let mut command = if is_root {
        let mut command = setup.to.command(Path::new("setpriv"), &home);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
        command
    } else {
        setup.to.command(&binary, &home)
    };
    Outcome::of(command.arg("import").arg(&setup.archive)).must_end_with(1).must_say(&["denied"]);
    set_mode(0o755);
    assert_eq!(tree::read(&home).len(), 0);
}

/// A file system of half a megabyte needs root; elsewhere there is nothing to mount.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let setup = Setup::new();
    let small = setup.path("small");
    fs::create_dir(&small).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "none"]).arg(&small).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: mounting needs root");
        return;
    }
    let home = Home::at(small.join("home"));
    let import = setup.run(&home, &["import", setup.archive.to_str().unwrap()]);
    let export = setup.path("small/out.tar.gz");
    fs::write(small.join("filler"), vec![7; 480 << 10]).unwrap();
    let after_import = tree::read(&home.dir().join(".claude"));
    let exported = setup.run(&setup.from, &["export", "--all", "-o", export.to_str().unwrap()]);
    let left = export.exists();
    fs::remove_file(small.join("filler")).unwrap();
    let again = setup.run(&home, &["list", "--all"]);
    let status = Command::new("umount").arg(&small).status();
    assert!(status.is_ok_and(|status| status.success()));
    import.must_end_with(1).must_say(&["space"]);
    assert_eq!(after_import.len(), 0, "{after_import:?}");
    exported.must_end_with(1).must_say(&["space"]);
    assert!(!left, "half an archive is left");
    again.must_end_with(0);
}
