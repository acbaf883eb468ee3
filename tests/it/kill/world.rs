//! A home with a store, an archive beside it, and a command that is disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use super::atoms::Atoms;
use crate::crash::points::Point;
use crate::crash::strace::{self, Call};
use crate::support::cases;
use crate::support::programs::{Ended, Home, run};
use crate::support::tree;

/// Whose store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Claude,
    Codex,
    Gemini,
    Opencode,
}

impl Store {
    pub fn id(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
        }
    }

    /// How the table of counts calls it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Claude => "claude: JSONL",
            Self::Codex => "codex: JSONL + index",
            Self::Gemini => "gemini: JSON + registry",
            Self::Opencode => "opencode: SQLite",
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An archive where none is.
    Export,
    /// An archive in the place of another one.
    ExportOver,
    /// The first archive of a directory.
    Backup,
    /// One more of it, after the sessions have grown.
    BackupAgain,
    New,
    /// Sessions of Claude Code come to another program.
    Convert,
    /// What is there is the beginning of what comes.
    Update,
    /// What is there is something else.
    Replace,
    /// The folder is elsewhere already, the sessions follow.
    Move,
    MoveFolder,
    UndoReplace,
    UndoFolder,
}

impl Operation {
    /// How the table of counts calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Export | Self::ExportOver => "export",
            Self::Backup | Self::BackupAgain => "backup",
            Self::New | Self::Convert => "import new",
            Self::Update => "import update",
            Self::Replace => "import replace",
            Self::Move => "move",
            Self::MoveFolder => "move --and-folder",
            Self::UndoReplace => "undo",
            Self::UndoFolder => "undo of a move",
        }
    }

    pub fn is_undo(self) -> bool {
        self.undoes().is_some()
    }

    /// What is taken back.
    fn undoes(self) -> Option<Self> {
        match self {
            Self::UndoReplace => Some(Self::Replace),
            Self::UndoFolder => Some(Self::MoveFolder),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    pub store: Store,
    pub operation: Operation,
}

impl Scenario {
    /// The command, where the world is at `root`.
    pub fn command(self, root: &Path) -> Vec<String> {
        let map = format!("/home/dev/src/app={}", root.join("home/project").display());
        let text = |path: &str| root.join(path).to_str().unwrap().to_owned();
        let words: Vec<&str> = match self.operation {
            Operation::Export => vec!["export", "--all", "-o", "out/sessions.tar.gz"],
            Operation::ExportOver => vec!["export", "--all", "--force", "-o", "out/sessions.tar.gz"],
            Operation::Backup | Operation::BackupAgain => vec!["backup", "out"],
            Operation::New => vec!["import", "../sessions.tar.gz", "--cwd-map", &map],
            Operation::Convert => {
                vec!["import", "../sessions.tar.gz", "--to", self.store.id(), "--cwd-map", &map]
            }
            Operation::Update => {
                vec!["import", "../sessions.tar.gz", "--on-conflict", "update", "--cwd-map", &map]
            }
            Operation::Replace => {
                vec!["import", "../sessions.tar.gz", "--on-conflict", "replace", "--cwd-map", &map]
            }
            Operation::Move => vec!["move", "project", "moved"],
            Operation::MoveFolder => vec!["move", "project", "moved", "--and-folder"],
            Operation::UndoReplace | Operation::UndoFolder => vec!["undo"],
        };
        let absolute = |word: &str| match word {
            "project" | "moved" => text(&format!("home/{word}")),
            "out" | "out/sessions.tar.gz" => text(word),
            word => word.to_owned(),
        };
        words.into_iter().map(absolute).collect()
    }
}

/// How a command ended that was disturbed.
#[derive(Debug)]
pub struct End {
    /// `None`: killed.
    pub code: Option<i32>,
    /// What it said.
    pub said: String,
}

/// The calls of a command.
pub struct Recorded {
    /// All that change something, in their order.
    pub in_order: Vec<Call>,
    /// Those that a number can name.
    pub points: Vec<Call>,
    /// The others: strace counts for each thread, and another thread has made one of the same name
    /// and number before.
    pub shadowed: usize,
}

pub struct World {
    pub root: PathBuf,
    pub home: Home,
    pub scenario: Scenario,
}

impl World {
    fn at(root: &Path, scenario: Scenario) -> Self {
        Self { root: root.to_owned(), home: Home::at(root.join("home")), scenario }
    }

    /// The world as it is before the scenario's command, at `root`; made once there, then copied.
    pub fn prepared(root: &Path, scenario: Scenario) -> Self {
        let saved = root.with_extension("saved");
        if !saved.exists() {
            Self::make(root, scenario);
            fs::rename(root, &saved).unwrap();
        }
        tree::copy(&saved, root);
        Self::at(root, scenario)
    }

    /// The world after a kill in the middle of the command; made once at `root`, then copied.
    pub fn crashed(root: &Path, scenario: Scenario, crash: &Point) -> Self {
        let saved = root.with_extension("crashed");
        if !saved.exists() {
            let world = Self::prepared(root, scenario);
            assert_eq!(world.disturbed(crash, &scenario.command(root)).code, None);
            fs::rename(root, &saved).unwrap();
        }
        tree::copy(&saved, root);
        Self::at(root, scenario)
    }

    fn make(root: &Path, scenario: Scenario) {
        let _ = fs::remove_dir_all(root);
        let Scenario { store, operation } = scenario;
        let basis = operation.undoes().unwrap_or(operation);
        let world = Self::at(root, scenario);
        let from = Home::at(root.join("from"));
        let (source, names): (&str, &[&str]) = match (basis, store) {
            (Operation::Convert, _) => ("claude", &["chat", "parallel3", "subagent"]),
            (_, Store::Claude) => ("claude", &["chat", "large", "subagent"]),
            (_, store) => (store.id(), &["chat", "parallel2"]),
        };
        unpack(source, names, from.dir());
        let export = ["export", "--all", "-o", "../sessions.tar.gz"];
        let exported = run(&mut holdall(&from, &export), Duration::from_secs(60)).unwrap();
        assert!(exported.status.success(), "{exported:?}");
        fs::remove_dir_all(root.join("from")).unwrap();

        // A neighbour that nothing may touch.
        unpack(store.id(), &["fail"], world.home.dir());
        if basis == Operation::Convert {
            // Without a line end: somebody else is writing it, or was killed.
            let index = world.home.dir().join(".codex/session_index.jsonl");
            fs::write(index, "{\"id\":\"other\",\"thread_name\":\"other\"}").unwrap();
        }
        let project = world.home.dir().join("project");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("readme"), "of the user\n").unwrap();
        fs::create_dir(root.join("out")).unwrap();
        if ![Operation::New, Operation::Convert].contains(&basis) {
            world.done(&Scenario { store, operation: Operation::New }.command(root));
            fs::remove_dir_all(world.home.dir().join(".local/state")).unwrap();
        }
        match basis {
            Operation::Update => world.age(false),
            Operation::Replace => world.age(true),
            Operation::Move => fs::rename(&project, world.home.dir().join("moved")).unwrap(),
            Operation::ExportOver => fs::write(root.join("out/sessions.tar.gz"), "old").unwrap(),
            Operation::BackupAgain => {
                world.done(&scenario.command(root));
                world.age(true);
            }
            _ => {}
        }
        if operation.is_undo() {
            world.done(&Scenario { store, operation: basis }.command(root));
        }
    }

    /// Makes the imported sessions older than they are in the archive; `otherwise`: and lets them go
    /// another way.
    fn age(&self, otherwise: bool) {
        if self.scenario.store == Store::Opencode {
            let database = self.home.dir().join(".local/share/opencode/opencode.db");
            let last = "SELECT max(id) FROM message GROUP BY session_id";
            let change = if otherwise {
                "UPDATE part SET data = replace(data, 'e', 'E')
                 WHERE id IN (SELECT min(id) FROM part WHERE data LIKE '%\"text\"%' GROUP BY session_id)"
                    .to_owned()
            } else {
                format!(
                    "DELETE FROM part WHERE message_id IN ({last}); DELETE FROM message WHERE id IN ({last})"
                )
            };
            Connection::open(database).unwrap().execute_batch(&change).unwrap();
            return;
        }
        for path in tree::read(self.home.dir()).into_keys() {
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.ends_with(".jsonl") || name == "session_index.jsonl" {
                continue;
            }
            let file = self.home.dir().join(&path);
            let text = fs::read_to_string(&file).unwrap();
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.truncate(lines.len() - 3.min(lines.len() / 2));
            if otherwise {
                lines.push("{\"type\":\"mode\",\"mode\":\"went another way\"}\n");
            }
            fs::write(file, lines.concat()).unwrap();
        }
    }

    pub fn state(&self) -> PathBuf {
        self.home.dir().join(".local/state/holdall")
    }

    pub fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    /// Everything in the home but holdall's own state.
    pub fn atoms(&self) -> Atoms {
        Atoms::of_home(self.home.dir(), &self.state())
    }

    /// What names each session of the home that is in it now: its id, and those of its sub-agents.
    pub fn sessions(&self) -> Vec<Vec<String>> {
        let listed: Value =
            serde_json::from_str(&self.done(&["--json", "list", "--all", "--subagents"])).unwrap();
        let mut families = BTreeMap::<String, BTreeSet<String>>::new();
        for session in listed["sessions"].as_array().unwrap() {
            let id = session["id"].as_str().unwrap();
            let head = session["parent"].as_str().unwrap_or(id);
            // In the names of Gemini's files is the beginning of it.
            let own = if self.scenario.store == Store::Gemini { &id[..8] } else { id };
            families.entry(head.to_owned()).or_default().insert(own.to_owned());
        }
        families.into_values().map(|ids| ids.into_iter().collect()).collect()
    }

    pub fn run<S: AsRef<str>>(&self, args: &[S]) -> Ended {
        run(&mut holdall(&self.home, args), Duration::from_secs(60)).unwrap()
    }

    #[track_caller]
    pub fn done<S: AsRef<str>>(&self, args: &[S]) -> String {
        let ended = self.run(args);
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        assert!(ended.status.success(), "{args:?}: {}\n{}", ended.status, ended.stderr);
        ended.stdout
    }

    /// Runs a command under strace with these arguments.
    pub fn traced<S: AsRef<str>>(&self, arguments: &[&str], args: &[S]) -> End {
        let ended = self.output(arguments, args);
        let said = String::from_utf8_lossy(&[ended.stderr, ended.stdout].concat()).into_owned();
        assert!(
            ended.status.code().is_some() || ended.status.signal() == Some(9),
            "{}: {said}",
            ended.status
        );
        End { code: ended.status.code(), said }
    }

    pub fn output<S: AsRef<str>>(&self, arguments: &[&str], args: &[S]) -> std::process::Output {
        let mut command = self.home.command(Path::new("strace"), self.home.dir());
        command.args(strace::ARGUMENTS).args(arguments).arg(env!("CARGO_BIN_EXE_holdall"));
        settings(&mut command).args(args.iter().map(AsRef::as_ref)).stdin(Stdio::null());
        command.output().expect("these tests need strace: apt install strace")
    }

    /// Runs a command that something happens to.
    pub fn disturbed<S: AsRef<str>>(&self, point: &Point, args: &[S]) -> End {
        let trace = format!("trace={}", point.call);
        let inject = format!("inject={}", point.injection());
        let mut arguments = vec!["-o", "/dev/null", "-e", &trace, "-e", &inject];
        if !point.kills() {
            arguments.push(strace::FAST);
        }
        self.traced(&arguments, args)
    }

    /// The calls of a command that change something, or that could.
    pub fn record<S: AsRef<str>>(&self, args: &[S]) -> Recorded {
        let log = self.root.with_extension("log");
        let trace = format!("trace={}", strace::CALLS);
        let ended =
            self.traced(&[strace::FAST, strace::WITH_FILES, "-o", log.to_str().unwrap(), "-e", &trace], args);
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        let text = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        let mut seen = BTreeSet::new();
        let mut recorded = Recorded { in_order: Vec::new(), points: Vec::new(), shadowed: 0 };
        for (_, call) in strace::calls(&text) {
            let is_first = seen.insert((call.name.clone(), call.number));
            // What it says to the user is not among the points.
            let talks = call.handle.as_deref().is_some_and(|file| file.starts_with("pipe:"));
            if call.reads || talks || !call.counts {
                continue;
            }
            recorded.in_order.push(call.clone());
            if is_first {
                recorded.points.push(call);
            } else {
                recorded.shadowed += 1;
            }
        }
        recorded
    }
}

/// Copies recorded sessions to a home.
fn unpack(harness: &str, names: &[&str], home: &Path) {
    let all = cases::of(harness);
    let chosen: Vec<_> = all.iter().filter(|case| names.contains(&case.case.as_str())).collect();
    assert_eq!(chosen.len(), names.len());
    chosen.iter().for_each(|case| case.unpack(home));
}

/// holdall with one worker thread, so that the calls come in the same order every time.
fn holdall<S: AsRef<str>>(home: &Home, args: &[S]) -> Command {
    let mut command = home.command(Path::new(env!("CARGO_BIN_EXE_holdall")), home.dir());
    settings(&mut command).args(args.iter().map(AsRef::as_ref));
    command
}

fn settings(command: &mut Command) -> &mut Command {
    let now = "2027-01-02T00:00:00Z";
    command.env("PATH", "/usr/bin:/bin").env("RAYON_NUM_THREADS", "1").env("HOLDALL_NOW", now)
}
