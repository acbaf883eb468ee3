//! A project folder moves and its sessions follow: the real program lists them at the new place and
//! goes on with the whole history, a neighbour with a similar name stays as it was, and `undo` takes
//! all of it back.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::real::agent::{Agent, Machine};
use crate::real::journey::{self, Journey};
use crate::real::{FIRST, check_listed};
use crate::support::cases;
use crate::support::database;
use crate::support::holdall::Holdall;
use crate::support::terminal::squeeze;
use crate::support::tree::{self, Node, Tree};

const OLD: &str = "work/my.app";
const NEW: &str = "work/new.app_2 é";
const SUB: &str = "pkg/core";
const NEIGHBOUR: &str = "work/my.app-2";

/// A home with sessions of one program in a folder, in a directory below it, and in a neighbour.
struct Scene {
    harness: &'static str,
    old: Machine,
    sub: Machine,
    neighbour: Machine,
    sessions: Vec<Journey>,
    below: Vec<Journey>,
    next: Vec<Journey>,
}

impl Scene {
    /// Sessions that the program has gone on with since they came there.
    fn new(harness: &'static str, old: Machine) -> Self {
        let sub = old.at(&format!("{OLD}/{SUB}"));
        let neighbour = old.at(NEIGHBOUR);
        drop(Agent::new(harness, &old));
        let carry = |names: &[&str], there: &Machine| {
            let mut cases = cases::of(harness);
            cases.retain(|case| names.contains(&case.case.as_str()));
            assert_eq!(cases.len(), names.len());
            let journeys = journey::carry(cases, there, harness).expect("they arrive");
            fs::remove_file(there.home.dir().join("sessions.tar.gz")).expect("they came in an archive");
            journeys
        };
        let mut scene = Self {
            harness,
            sessions: carry(&["subagent"], &old),
            below: carry(&["chat"], &sub),
            next: carry(&["fail"], &neighbour),
            old,
            sub,
            neighbour,
        };
        let places = [
            (&mut scene.sessions, &scene.old),
            (&mut scene.below, &scene.sub),
            (&mut scene.next, &scene.neighbour),
        ];
        for (journeys, there) in places {
            let mut agent = Agent::as_it_is(harness, there);
            for journey in journeys {
                journey.resume(&mut agent, harness);
                // The screen of Claude Code shows the last prompt.
                journey.titles.push(squeeze(FIRST));
            }
        }
        scene.check("at the beginning");
        scene
    }

    fn check(&self, when: &str) {
        for journey in self.sessions.iter().chain(&self.below).chain(&self.next) {
            assert!(journey.problems.is_empty(), "{} {when}: {:?}", journey.case.case, journey.problems);
        }
    }

    fn text(&self, path: &str) -> String {
        self.old.home.dir().join(path).to_str().expect("UTF-8").to_owned()
    }

    fn holdall(&self) -> Holdall<'_> {
        Holdall::new(&self.old.home, self.old.home.dir()).with_programs()
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.text(from), self.text(to)).expect("the folder can be renamed");
    }

    /// The program lists the sessions of `place`, and only those.
    fn is_listed(&mut self, place: &Machine, of: fn(&mut Self) -> &mut Vec<Journey>) {
        let harness = self.harness;
        let agent = Agent::as_it_is(harness, place);
        if harness == "claude" {
            // Its screen wants a directory that is trusted.
            drop(Agent::new(harness, place));
        }
        check_listed(of(self), &agent, place, harness);
    }
}

pub fn rows(report: &Value) -> &Vec<Value> {
    report["sessions"].as_array().expect("a report has sessions")
}

fn ids(report: &Value) -> Vec<String> {
    let mut ids: Vec<String> =
        rows(report).iter().map(|row| row["target"]["id"].as_str().expect("an id").to_owned()).collect();
    ids.sort_unstable();
    ids
}

fn ids_of(journeys: &[&Vec<Journey>]) -> Vec<String> {
    let mut ids: Vec<String> =
        journeys.iter().flat_map(|journeys| journeys.iter()).map(|journey| journey.id.clone()).collect();
    ids.sort_unstable();
    ids
}

fn changes(report: &Value) -> Vec<&Value> {
    rows(report).iter().map(|row| &row["changes"]).collect()
}

/// What is in a home, but for what holdall keeps and what programs keep of themselves. Databases are
/// read as texts.
pub fn state_of(home: &Path) -> Tree {
    let mut tree = tree::read_without(home, ".local/state");
    let own = [".cache", ".config", ".local/share/opencode/log", ".local/share/kilo/log"];
    tree.retain(|path, _| !own.iter().any(|own| path.starts_with(own)));
    let databases: Vec<_> = tree
        .keys()
        .filter(|path| path.extension().is_some_and(|end| end == "db" || end == "sqlite"))
        .cloned()
        .collect();
    for path in databases {
        if let Some(Node::File { bytes, .. }) = tree.get_mut(&path) {
            // Rows that came back have another place among the rows.
            let text = database::dump(&home.join(&path));
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            *bytes = lines.join("\n").into_bytes();
        }
    }
    tree.retain(|path, _| {
        !path.to_string_lossy().ends_with("-wal") && !path.to_string_lossy().ends_with("-shm")
    });
    tree
}

pub fn same(before: &Tree, after: &Tree, what: &str) {
    for (path, node) in before {
        match after.get(path) {
            None => panic!("{what}: {} is gone", path.display()),
            Some(now) if now != node => {
                if let (Node::File { bytes: a, .. }, Node::File { bytes: b, .. }) = (node, now) {
                    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
                    let line = a.lines().zip(b.lines()).find(|(a, b)| a != b);
                    panic!("{what}: {} has changed: {line:?}", path.display());
                }
                panic!("{what}: {} was {node:?} and is {now:?}", path.display());
            }
            Some(_) => {}
        }
    }
    let more: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(more.is_empty(), "{what}: new are {more:?}");
}

/// The whole story of one program.
fn follow(harness: &'static str, old: Machine) {
    let mut scene = Scene::new(harness, old);
    let home = scene.old.home.dir().to_owned();
    scene.rename(OLD, NEW);
    let (new, new_sub) = (scene.old.at(NEW), scene.old.at(&format!("{NEW}/{SUB}")));
    let (old_text, new_text) = (scene.text(OLD), scene.text(NEW));
    let moving = |scene: &Scene, more: &[&str]| {
        let args = [&["move", old_text.as_str(), &new_text], more].concat();
        scene.holdall().done(&args).expect("they can move")
    };

    // The program has been started at the new place, and looked in vain.
    let found =
        if harness == "claude" { None } else { Agent::as_it_is(harness, &new).listed().expect("a list") };
    println!("{harness} by itself lists {found:?} of {:?}", ids_of(&[&scene.sessions]));
    if ["codex", "gemini"].contains(&harness) {
        assert_eq!(found, Some(Vec::new()), "there would be nothing to do");
    }

    let before = state_of(&home);
    let dry = moving(&scene, &["--dry-run"]);
    same(&before, &state_of(&home), "a dry run");
    let moved = moving(&scene, &["--no-confirm"]);
    assert_eq!(changes(&dry), changes(&moved), "a dry run says what is done");
    let of_neighbour = &scene.next[0].id;
    assert_eq!(ids(&moved), ids_of(&[&scene.sessions, &scene.below]), "{of_neighbour} stays: {moved:#}");
    scene.holdall().done(&["undo"]).expect("it is taken back");
    same(&before, &state_of(&home), "a move that was taken back");

    let moved = moving(&scene, &[]);
    let can_be_asked = ["codex", "opencode", "kilo"].contains(&harness);
    for row in moved["sessions"].as_array().unwrap() {
        assert!(!can_be_asked || row["verified"] == "program", "{row:#}");
    }
    assert_eq!(ids(&moving(&scene, &[])), Vec::<String>::new(), "there is nothing left to do");
    scene.is_listed(&new, |scene| &mut scene.sessions);
    scene.check("in the list of the new place");

    // Listing is no change, but for Gemini CLI, which writes a title into the session.
    let undo = if harness == "gemini" { vec!["undo", "--force"] } else { vec!["undo"] };
    scene.holdall().done(&undo).expect("it is taken back");
    scene.rename(NEW, OLD);
    scene.is_listed(&scene.old.at(OLD), |scene| &mut scene.sessions);
    scene.check("in the list of the old place");

    scene.rename(OLD, NEW);
    moving(&scene, &[]);
    scene.is_listed(&new_sub, |scene| &mut scene.below);
    let places =
        [(&mut scene.sessions, &new), (&mut scene.below, &new_sub), (&mut scene.next, &scene.neighbour)];
    for (journeys, there) in places {
        let mut agent = Agent::as_it_is(harness, there);
        journeys.iter_mut().for_each(|journey| journey.resume_again(&mut agent, 0));
    }
    scene.check("after the move");
}

#[test]
fn claude_sessions_follow() {
    follow("claude", Machine::new(OLD));
}

#[test]
fn codex_threads_follow() {
    follow("codex", Machine::new(OLD));
}

#[test]
fn opencode_sessions_follow() {
    let old = Machine::new(OLD);
    let git = ["remote", "add", "origin", "git@host:team/app.git"];
    let done = old.home.command(Path::new("git"), &old.cwd).args(git).status();
    assert!(done.expect("git starts").success());
    follow("opencode", old);
}

#[test]
fn kilo_sessions_follow() {
    follow("kilo", Machine::without_git(OLD));
}

#[test]
fn gemini_sessions_follow() {
    follow("gemini", Machine::new(OLD));
}
