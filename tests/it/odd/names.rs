//! Names of files and directories that are no plain words: what a session belongs to arrives under the
//! name that it has, and what cannot be a name here is refused by name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cases::{self, Case};
use crate::support::programs::{Home, run};
use crate::support::tree;

const HARNESSES: [&str; 5] = ["claude", "codex", "opencode", "kilo", "gemini"];

/// An archive with one session, and a machine for it.
struct World {
    harness: &'static str,
    case: Case,
    home: Home,
    archive: String,
    dir: TempDir,
}

fn case(harness: &str, name: &str) -> Case {
    cases::of(harness).into_iter().find(|case| case.case == name).expect("it is recorded")
}

impl World {
    fn new(harness: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let from = Home::at(dir.path().join("from"));
        case(harness, "chat").unpack(from.dir());
        let archive = dir.path().join("x.tar.gz").to_str().unwrap().to_owned();
        let home = Home::at(dir.path().join("home"));
        if ["opencode", "kilo"].contains(&harness) {
            // Its program has made the database.
            case(harness, "think").unpack(home.dir());
        }
        let world = Self { harness, case: case(harness, "chat"), home, archive, dir };
        world.done(&from, &["export", &world.case.id, "--git", "none", "-o", &world.archive]);
        world
    }

    fn run(&self, home: &Home, args: &[&str]) -> (i32, Value) {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        json(&mut command(home, home.dir(), &args))
    }

    #[track_caller]
    fn done(&self, home: &Home, args: &[&str]) -> Value {
        let (code, document) = self.run(home, args);
        assert_eq!(code, 0, "{} {args:?}: {document}", self.harness);
        document
    }

    /// Imports it into a directory of this machine, by a rule for the recorded one.
    fn import(&self, cwd: &str) -> (i32, Value) {
        let map = format!("{}={cwd}", cases::CWD);
        self.run(&self.home, &["import", &self.archive, "--no-confirm", "--cwd-map", &map])
    }
}

fn command(home: &Home, cwd: &Path, args: &[&OsStr]) -> Command {
    let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), cwd);
    command.env("PATH", "/usr/bin:/bin").arg("--json").args(args);
    command
}

fn json(command: &mut Command) -> (i32, Value) {
    let ended = run(command, Duration::from_secs(60)).unwrap();
    let code = ended.status.code().unwrap_or_else(|| panic!("{command:?}: {}", ended.status));
    assert!(code != 101, "{command:?}: {}", ended.stderr);
    let plain = |text: &str| !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t');
    assert!(plain(&ended.stderr), "{command:?}: {:?}", ended.stderr);
    (code, serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{command:?}: {}", ended.stderr)))
}

/// Names that a directory of this machine can have.
fn directories() -> Vec<String> {
    vec![
        "with space".to_owned(),
        " before and after ".to_owned(),
        "tab\there".to_owned(),
        "quo\"te'd \\ and `$(id)` ; & | * ? [a] {b} <c>".to_owned(),
        "-rf".to_owned(),
        ".hidden/..odd".to_owned(),
        "ends with a dot.".to_owned(),
        "ünï 漢字 🎉 \u{200d}".to_owned(),
        "nfd e\u{301} a\u{308}".to_owned(),
        "\u{202e}gnp.exe".to_owned(),
        "\u{1b}[31mred\u{7}".to_owned(),
        "%41 #frag ?query".to_owned(),
        "C:\\Users\\me".to_owned(),
        "CON".to_owned(),
        "n".repeat(255),
        format!("{}/deep", "é".repeat(127)),
        (0..12).map(|_| "quite/a/long/way/down").collect::<Vec<_>>().join("/"),
    ]
}

#[test]
fn directories_of_sessions() {
    for harness in HARNESSES {
        let world = World::new(harness);
        let before = tree::read_without(world.home.dir(), ".local");
        for (number, name) in directories().into_iter().enumerate() {
            let root = world.home.dir().join(format!("d{number}"));
            let cwd = root.join(&name);
            fs::create_dir_all(&cwd).unwrap();
            let cwd = cwd.to_str().unwrap();
            let (code, imported) = world.import(cwd);
            let row = &imported["sessions"][0];
            if harness == "gemini" && name.ends_with(' ') {
                // The program itself would never find it there again.
                assert_eq!((code, &row["action"]), (3, &"fail".into()), "{name:?}: {imported}");
                assert!(row["reason"].as_str().unwrap().contains("--cwd-map"), "{row}");
                fs::remove_dir_all(root).unwrap();
                let after = tree::read_without(world.home.dir(), ".local");
                assert!(after == before, "{harness}, {name:?}: something is left");
                continue;
            }
            assert_eq!((code, &row["action"]), (0, &"create".into()), "{harness}, {name:?}: {imported}");
            assert_eq!(row["target"]["cwd"], cwd, "{harness}");
            let listed = world.done(&world.home, &["list", "--cwd", cwd]);
            assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1), "{harness}, {name:?}: {listed}");
            assert_eq!(listed["sessions"][0]["cwd"], cwd, "{harness}");
            let (code, again) = world.import(cwd);
            assert_eq!(
                (code, &again["sessions"][0]["reason"]),
                (0, &"identical".into()),
                "{harness}, {name:?}"
            );

            let moved = root.join("moved");
            fs::create_dir(&moved).unwrap();
            let ended = world.done(&world.home, &["move", cwd, moved.to_str().unwrap(), "--no-confirm"]);
            assert_eq!(ended["sessions"][0]["action"], "move", "{harness}, {name:?}: {ended}");
            world.done(&world.home, &["undo"]);
            world.done(&world.home, &["undo"]);
            fs::remove_dir_all(root).unwrap();
            let after = tree::read_without(world.home.dir(), ".local");
            assert!(after == before, "{harness}, {name:?}: something is left");
        }
    }
    println!("{} directories for {} harnesses", directories().len(), HARNESSES.len());
}

/// What cannot be a directory here costs only the session, and says what to do.
#[test]
fn directories_of_other_systems() {
    for harness in HARNESSES {
        let world = World::new(harness);
        for cwd in [r"C:\Users\me\app", r"\\server\share\app", r"\\?\C:\Users\me\app"] {
            let (code, refused) = world.import(cwd);
            assert_eq!(code, 2, "{harness}, {cwd:?}: {refused}");
            assert!(refused["error"].as_str().unwrap().contains("no path of this machine"), "{refused}");
        }
        let (code, imported) = world.import("/two\nlines");
        let row = &imported["sessions"][0];
        assert_eq!((code, &row["action"]), (3, &"fail".into()), "{harness}: {imported}");
        assert!(row["reason"].as_str().unwrap().contains("--cwd-map"), "{harness}: {row}");
    }
}

/// A session of Claude Code or Codex that was recorded on Windows or a Mac.
fn recorded_in(harness: &str, home: &Home, cwd: &str) -> String {
    let case = case(harness, "chat");
    case.unpack(home.dir());
    let is_transcript = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    let file = tree::read(home.dir()).into_keys().find(is_transcript).unwrap();
    let text = fs::read_to_string(home.dir().join(&file)).unwrap();
    let quoted = serde_json::to_string(cwd).unwrap();
    fs::write(home.dir().join(file), text.replace(cases::CWD, &quoted[1..quoted.len() - 1])).unwrap();
    case.id
}

#[test]
fn sessions_of_other_systems() {
    // Where it was recorded, the rule, and where it comes to below the new folder.
    let table = [
        (r"C:\Users\me\src\app", r"C:\Users\me", "src/app"),
        (r"C:\Users\me\src\app", r"c:/users/ME", "src/app"),
        (r"C:/Users/me/src/app", r"C:\Users\me", "src/app"),
        (r"\\server\share\src\app", r"\\server\share", "src/app"),
        (r"\\wsl$\Debian\home\me\app", r"\\wsl$\Debian\home\me", "app"),
        (r"\\?\C:\Users\me\app", r"\\?\C:\Users\me", "app"),
        ("/private/var/me/app", "/private/var/me", "app"),
        (
            "/Users/me/Library/Mobile Documents/com~apple~CloudDocs/app",
            "/Users/me",
            "Library/Mobile Documents/com~apple~CloudDocs/app",
        ),
    ];
    for harness in ["claude", "codex"] {
        for (cwd, old, below) in table {
            let dir = tempfile::tempdir().unwrap();
            let [from, to] = ["from", "to"].map(|name| Home::at(dir.path().join(name)));
            let id = recorded_in(harness, &from, cwd);
            let archive = dir.path().join("x.tar.gz").to_str().unwrap().to_owned();
            let args = |args: &[&str]| args.iter().map(OsStr::new).map(OsStr::to_owned).collect::<Vec<_>>();
            let done = |home: &Home, words: &[&str]| {
                let words = args(words);
                let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
                let (code, document) = json(&mut command(home, home.dir(), &words));
                assert_eq!(code, 0, "{harness}, {cwd}: {document}");
                document
            };
            let listed = done(&from, &["list", "--all"]);
            assert_eq!(listed["sessions"][0]["cwd"], cwd, "{harness}");
            done(&from, &["export", &id, "--git", "none", "-o", &archive]);
            // Without a rule a path of Windows is none of this machine.
            if cwd.contains(':') || cwd.starts_with('\\') {
                let words = args(&["import", &archive, "--no-confirm"]);
                let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
                let (code, refused) = json(&mut command(&to, to.dir(), &words));
                assert_eq!((code, &refused["sessions"][0]["action"]), (3, &"fail".into()), "{refused}");
            }
            let target = to.dir().join("new").join(below);
            fs::create_dir_all(&target).unwrap();
            let map = format!("{old}={}", to.dir().join("new").display());
            let imported = done(&to, &["import", &archive, "--no-confirm", "--cwd-map", &map]);
            assert_eq!(
                imported["sessions"][0]["target"]["cwd"],
                target.to_str().unwrap(),
                "{harness}, {cwd}"
            );
            let listed = done(&to, &["list", "--cwd", target.to_str().unwrap()]);
            assert_eq!(listed["sessions"][0]["cwd"], target.to_str().unwrap(), "{harness}, {cwd}");
            // And back to where it came from, as far as this machine can tell.
            let back = dir.path().join("back.tar.gz").to_str().unwrap().to_owned();
            done(&to, &["export", &id, "--git", "none", "-o", &back]);
            done(&to, &["verify", &back]);
        }
    }
}

/// The home is reached through a link, as `/home` often is, and `/tmp` on a Mac.
#[test]
fn a_home_behind_a_link() {
    for harness in HARNESSES {
        let world = World::new(harness);
        let real = world.home.dir().join("src/app");
        fs::create_dir_all(&real).unwrap();
        let link = world.dir.path().join("link");
        symlink(world.home.dir(), &link).unwrap();
        let through = |args: &[&str]| {
            let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
            let mut command = command(&world.home, &link.join("src/app"), &args);
            command.env("HOME", &link);
            for (name, dir) in [
                ("XDG_CONFIG_HOME", ".config"),
                ("XDG_DATA_HOME", ".local/share"),
                ("XDG_STATE_HOME", ".local/state"),
            ] {
                command.env(name, link.join(dir));
            }
            json(&mut command)
        };
        let before = tree::read_without(world.home.dir(), ".local");
        let map = format!("{}=~/src/app", cases::CWD);
        let (code, imported) = through(&["import", &world.archive, "--no-confirm", "--cwd-map", &map]);
        assert_eq!(
            (code, &imported["sessions"][0]["action"]),
            (0, &"create".into()),
            "{harness}: {imported}"
        );
        for dir in [real.to_str().unwrap(), link.join("src/app").to_str().unwrap(), "."] {
            let (code, listed) = through(&["list", "--cwd", dir]);
            assert_eq!(
                (code, listed["sessions"].as_array().map(Vec::len)),
                (0, Some(1)),
                "{harness}, {dir}: {listed}"
            );
        }
        assert_eq!(world.import(real.to_str().unwrap()).1["sessions"][0]["reason"], "identical", "{harness}");
        assert_eq!(through(&["undo"]).0, 0);
        assert!(tree::read_without(world.home.dir(), ".local") == before, "{harness}");
    }
}

/// Bytes that are no text, in names of the store, of the directory that holdall is started in, of an
/// archive and of the home.
#[test]
fn names_that_are_no_text() {
    let odd = OsStr::from_bytes(b"odd \xff\xfe name");
    for harness in HARNESSES {
        let world = World::new(harness);
        let cwd = world.home.dir().join("app");
        fs::create_dir_all(&cwd).unwrap();
        assert_eq!(world.import(cwd.to_str().unwrap()).0, 0);
        let sessions = |document: &Value| document["sessions"].as_array().map(Vec::len);
        let count = sessions(&world.done(&world.home, &["list", "--all"]));

        // Beside every file and folder of the store lies one with such a name.
        let places: Vec<PathBuf> = tree::read(world.home.dir())
            .into_iter()
            .filter(|(_, node)| matches!(node, tree::Node::Directory { .. }))
            .map(|(path, _)| world.home.dir().join(path))
            .collect();
        for place in &places {
            let name = [odd.as_bytes(), b".jsonl"].concat();
            fs::write(place.join(OsStr::from_bytes(&name)), "{}\n").unwrap();
            fs::create_dir(place.join(OsStr::from_bytes(b"\xf0\x9f dir"))).unwrap();
        }
        assert_eq!(sessions(&world.done(&world.home, &["list", "--all"])), count, "{harness}");
        world.done(&world.home, &["show", &world.case.id]);
        let (code, found) = world.run(&world.home, &["doctor", "--no-confirm"]);
        assert!([0, 3].contains(&code), "{harness}: {found}");

        // Started in such a directory, with an archive of such a name.
        let there = world.home.dir().join("app").join(odd);
        fs::create_dir(&there).unwrap();
        let archive = OsStr::from_bytes(b"arch\xffive.tar.gz");
        let in_there = |args: &[&OsStr]| json(&mut command(&world.home, &there, args));
        let id = OsStr::new(&world.case.id);
        let (code, exported) =
            in_there(&["export".as_ref(), id, "--git".as_ref(), "none".as_ref(), "-o".as_ref(), archive]);
        assert_eq!(code, 0, "{harness}: {exported}");
        assert_eq!(in_there(&["verify".as_ref(), archive]).0, 0);
        assert_eq!(in_there(&["inspect".as_ref(), archive]).0, 0);
        let (code, listed) = in_there(&["list".as_ref()]);
        assert_eq!(code, 0, "{harness}: {listed}");
        let (code, again) = in_there(&["import".as_ref(), archive, "--no-confirm".as_ref()]);
        assert_eq!((code, &again["sessions"][0]["reason"]), (0, &"identical".into()), "{harness}: {again}");

        // A session cannot come to where no text can name its directory.
        let before = tree::read(world.home.dir());
        let map = [cases::CWD.as_bytes(), b"=", there.as_os_str().as_bytes()].concat();
        let (code, _) = {
            let map = OsStr::from_bytes(&map);
            let mut command =
                command(&world.home, &there, &["import".as_ref(), archive, "--cwd-map".as_ref(), map]);
            let ended = run(&mut command, Duration::from_secs(60)).unwrap();
            (ended.status.code().unwrap(), ended.stderr)
        };
        assert!(code == 1 || code == 2, "{harness}: {code}");
        assert!(tree::read(world.home.dir()) == before, "{harness}");
    }
}

#[test]
fn a_home_whose_name_is_no_text() {
    let dir = tempfile::tempdir().unwrap();
    for harness in ["claude", "codex", "gemini"] {
        let world = World::new(harness);
        let home = dir.path().join(OsStr::from_bytes(b"ho\xffme")).join(harness);
        fs::create_dir_all(home.join("app")).unwrap();
        let home = Home::at(home);
        let args = ["import", &world.archive, "--no-confirm"].map(OsStr::new);
        let (code, refused) = json(&mut command(&home, home.dir(), &args));
        // Sessions name their directories as text, so nothing can come here; and nothing does.
        assert!(code == 1 || code == 3, "{harness}: {refused}");
        let left = tree::read(home.dir())
            .into_keys()
            .filter(|path| !path.starts_with(".local") && !path.starts_with("app"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "{harness}");
        let (code, listed) = json(&mut command(&home, home.dir(), &["list".as_ref(), "--all".as_ref()]));
        assert_eq!(code, 0, "{harness}: {listed}");
    }
}

/// A file system on which `A` and `a` are one name. `None`: this system makes us none.
fn without_case(dir: &Path) -> Option<Mounted> {
    let image = dir.join("image");
    fs::File::create(&image).ok()?.set_len(64 << 20).ok()?;
    let place = dir.join("mounted");
    fs::create_dir(&place).ok()?;
    let done = |command: &mut Command| {
        run(command, Duration::from_secs(30)).is_ok_and(|ended| ended.status.success())
    };
    let ext4 =
        done(Command::new("mkfs.ext4").args(["-q", "-O", "casefold", "-E", "encoding=utf8"]).arg(&image))
            && done(Command::new("mount").args(["-o", "loop"]).args([&image, &place]));
    if ext4 {
        let mounted = Mounted(place.clone());
        let folded = place.join("folded");
        fs::create_dir(&folded).ok()?;
        return done(Command::new("chattr").arg("+F").arg(&folded)).then_some(mounted);
    }
    // A sparse file: next to nothing of it is written.
    fs::File::options().write(true).open(&image).ok()?.set_len(400 << 20).ok()?;
    let made = done(Command::new("mkfs.xfs").args(["-q", "-f", "-n", "version=ci"]).arg(&image))
        || done(Command::new("mkfs.vfat").arg(&image));
    let mounted = made && done(Command::new("mount").args(["-o", "loop"]).args([&image, &place]));
    mounted.then(|| Mounted(place.clone())).filter(|_| fs::create_dir(place.join("folded")).is_ok())
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// Two sessions that differ in nothing but the case of a letter never become one.
#[test]
fn a_disk_that_does_not_know_case() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mounted) = without_case(dir.path()) else {
        println!("SKIPPED: no file system without case can be mounted here");
        return;
    };
    for harness in ["claude", "codex", "gemini"] {
        let world = World::new(harness);
        let home = Home::at(mounted.0.join("folded").join(harness));
        for cwd in ["App", "app"] {
            fs::create_dir_all(home.dir().join(cwd)).unwrap();
        }
        let import = |cwd: &str| {
            let map = format!("{}={}", cases::CWD, home.dir().join(cwd).display());
            world.run(&home, &["import", &world.archive, "--no-confirm", "--cwd-map", &map])
        };
        let (code, imported) = import("App");
        assert_eq!(
            (code, &imported["sessions"][0]["action"]),
            (0, &"create".into()),
            "{harness}: {imported}"
        );
        let (code, again) = import("app");
        assert!(code == 0 || code == 3, "{harness}: {again}");
        assert!(again["sessions"][0]["action"] == "skip", "{harness}: {again}");
        assert_eq!(
            world.done(&home, &["list", "--all"])["sessions"].as_array().map(Vec::len),
            Some(1),
            "{harness}"
        );
        world.done(&home, &["undo"]);
        let left = tree::read_without(home.dir(), ".local");
        assert!(
            !left.values().any(|node| matches!(node, tree::Node::File { .. })),
            "{harness}: {:?}",
            left.keys()
        );
    }
}
