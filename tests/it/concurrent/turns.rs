//! A real program is in the middle of a turn, as the model does not answer yet: its session is left alone
//! by every command that would change it and can be exported; other sessions are brought; and when the
//! model has answered, the program's session is whole.

use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdall::archive::Archive;
use holdall::model::Payload;
use serde_json::Value;

use super::{Ended, Runs, rounds, text};
use crate::real::agent::{Agent, Machine};
use crate::real::journey;
use crate::real::{FIRST, THANKS};
use crate::support::cases::{self, Case};
use crate::support::dialogue::Item;
use crate::support::expect;
use crate::support::model::Model;
use crate::support::model::scenario;
use crate::support::programs::{Claude, Codex, Gemini, Opencode, Origin};
use crate::support::tree;

/// A machine with two sessions in an archive, one of which is here too.
struct Scene {
    harness: &'static str,
    there: Machine,
    open: Case,
    other: Case,
    archive: String,
    import_id: String,
    runs: Runs,
}

impl Scene {
    fn new(harness: &'static str) -> Self {
        let there = Machine::new("src/app");
        drop(Agent::new(harness, &there));
        let case = |name: &str| cases::of(harness).into_iter().find(|case| case.case == name).unwrap();
        let (open, other) = (case("chat"), case("parallel3"));
        let archive = journey::export(&[open.clone(), other.clone()], &there).unwrap();
        let (runs, import_id) = (Runs::default(), String::new());
        let mut scene = Self { harness, there, open, other, archive, import_id, runs };
        let database = matches!(harness, "opencode" | "kilo");
        if database {
            // The program makes its database at its first start.
            let program = Opencode::named(harness, &scene.there.home, &scene.there.cwd);
            assert_eq!(program.listed().unwrap(), Vec::<String>::new());
        }
        let imported = scene.import(&["--session", &scene.open.id.clone()]);
        assert_eq!(imported.code, 0, "{harness}: {} {}", imported.document, imported.talk);
        scene.import_id = imported.document["import_id"].as_str().unwrap().to_owned();
        scene
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.runs.run(&self.there.home, args)
    }

    fn import(&self, more: &[&str]) -> Ended {
        let map = format!("{}={}", self.open.cwd, text(&self.there.cwd));
        let args = ["import", &self.archive, "--cwd-map", &map, "--no-confirm"];
        self.run(&[&args, more].concat())
    }

    /// One turn of the program in the open session.
    fn turn(&self, model: &Model, prompt: &str) -> Result<(), String> {
        let (home, cwd, id) = (&self.there.home, &self.there.cwd, self.open.id.as_str());
        match self.harness {
            "claude" => {
                let shown: String = scenario::plain_answer(prompt).chars().take(30).collect();
                Claude::new(home, cwd).talk_with(model, Some(id), &[], prompt, &shown)
            }
            "codex" => Codex::new(home, cwd).resume_with(model, id, prompt, None).map(drop),
            "gemini" => Gemini::new(home, cwd).resume_with(model, id, prompt, Origin::Own).map(drop),
            _ => {
                let server = Opencode::named(self.harness, home, cwd).serve(model)?;
                server.say(id, prompt).map(drop)
            }
        }
    }

    /// What the program tells its model when it goes on with the open session.
    fn told(&self, prompt: &str) -> Vec<Item> {
        let mut agent = Agent::as_it_is(self.harness, &self.there);
        agent
            .resume(&self.open, &self.open.id, prompt)
            .unwrap_or_else(|error| panic!("{}: {error}", self.harness))
    }

    /// What a command says of a session.
    fn row<'e>(&self, ended: &'e Ended, case: &Case) -> &'e Value {
        let rows = ended.document["sessions"].as_array().unwrap_or_else(|| panic!("{}", ended.document));
        rows.iter().find(|row| row["source"]["id"] == case.id.as_str()).expect("it is in the report")
    }

    #[track_caller]
    fn assert_in_use(&self, ended: &Ended) {
        let row = self.row(ended, &self.open);
        assert_eq!((ended.code, &row["action"]), (3, &"fail".into()), "{}: {row}", self.harness);
        assert!(row["reason"].as_str().unwrap().contains("in use"), "{}: {row}", self.harness);
    }

    /// The transcript in an archive with the open session alone.
    fn packed(&self, archive: &Path) -> Vec<u8> {
        let opened = Archive::open(archive).unwrap();
        let mut bytes = Vec::new();
        opened.session(0).unwrap().open(0).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn export(&self, name: &str) -> Vec<u8> {
        let archive = self.there.home.dir().join(name);
        let ended = self.run(&["export", &self.open.id, "--git", "none", "-o", &text(&archive)]);
        assert_eq!(ended.code, 0, "{}: {} {}", self.harness, ended.document, ended.talk);
        let bytes = self.packed(&archive);
        fs::remove_file(archive).unwrap();
        bytes
    }

    /// Everything that could hurt the session whose turn is not over.
    fn disturb(&self) -> Vec<u8> {
        let exported = self.export("during.tar.gz");
        let imported = self.import(&["--on-conflict", "replace"]);
        self.assert_in_use(&imported);
        assert_eq!(self.row(&imported, &self.other)["action"], "create", "{}", imported.document);

        for args in [&["undo", &self.import_id][..], &["undo", &self.import_id, "--force"]] {
            let undone = self.run(args);
            assert_eq!(undone.code, 1, "{}: {}", self.harness, undone.document);
            assert!(undone.error().contains("in use"), "{}: {}", self.harness, undone.document);
        }

        let moved_to = self.there.at("src/moved").cwd;
        let moved = self.run(&["move", &text(&self.there.cwd), &text(&moved_to), "--no-confirm"]);
        self.assert_in_use(&moved);
        // Of Gemini CLI only its directory is known, and whoever is in it counts as open.
        let follows = if self.harness == "gemini" { "fail" } else { "move" };
        assert_eq!(self.row(&moved, &self.other)["action"], follows, "{}", moved.document);
        if let Some(id) = moved.document["import_id"].as_str() {
            assert_eq!(self.run(&["undo", id]).code, 0);
        }
        exported
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(45);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The ids of messages in what opencode's rows were exported to.
fn ids(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let id = |line: &[u8]| {
        serde_json::from_slice::<Value>(line).unwrap()["info"]["id"].as_str().unwrap().to_owned()
    };
    lines.map(id).collect()
}

fn in_a_turn(harness: &'static str) {
    let scene = Scene::new(harness);
    let before = scene.told(FIRST);
    let model = Model::start(&scene.there.cwd);
    model.forgive_repeats();
    model.think();
    let prompt = THANKS[0];
    let during = std::thread::scope(|scope| {
        let turn = scope.spawn(|| scene.turn(&model, prompt));
        let done = catch_unwind(AssertUnwindSafe(|| {
            wait_for("the request", || {
                model.requests().iter().any(|request| request.body.to_string().contains(prompt))
            });
            scene.disturb()
        }));
        model.speak();
        let turn = turn.join().expect("the turn ends");
        let during = done.unwrap_or_else(|panic| resume_unwind(panic));
        turn.unwrap_or_else(|error| panic!("{harness}: the turn failed: {error}"));
        during
    });

    let after = scene.export("after.tar.gz");
    if matches!(harness, "opencode" | "kilo") {
        assert!(during != after, "{harness}: the answer is in what was exported before it was given");
        let (during, after) = (ids(&during), ids(&after));
        assert!(after.starts_with(&during), "{harness}: {during:?} {after:?}");
    } else {
        assert!(after.starts_with(&during), "{harness}: what was exported was never there");
        assert!(during.ends_with(b"\n") && during.len() < after.len(), "{harness}: {} bytes", during.len());
    }
    let told = scene.told(THANKS[1]);
    expect::continues(&before, &told).unwrap_or_else(|error| panic!("{harness}: {error}"));
    let said = told.iter().filter(|item| matches!(item, Item::User(text) if text == prompt)).count();
    assert_eq!(said, 1, "{harness}: the prompt of that turn: {told:#?}");
    let left = tree::read(scene.there.home.dir()).into_keys();
    let left: Vec<PathBuf> = left.filter(|path| path.to_string_lossy().contains(".holdall-")).collect();
    assert_eq!(left, Vec::<PathBuf>::new());

    // It went on, so the import is not simply taken back now either.
    let undone = scene.run(&["undo", &scene.import_id]);
    assert_eq!(undone.code, 1, "{harness}: {}", undone.document);
    assert!(undone.error().contains("continued since"), "{harness}: {}", undone.document);
    println!("{harness}: {} runs of holdall beside a turn", scene.runs.count());
}

#[test]
fn claude_code_is_left_alone() {
    in_a_turn("claude");
}

#[test]
fn codex_is_left_alone() {
    in_a_turn("codex");
}

#[test]
fn opencode_is_left_alone() {
    in_a_turn("opencode");
}

#[test]
fn kilo_is_left_alone() {
    // It is opencode's code; it is asked when everything is.
    (0..rounds(0, 1)).for_each(|_| in_a_turn("kilo"));
}

#[test]
fn gemini_cli_is_left_alone() {
    in_a_turn("gemini");
}
