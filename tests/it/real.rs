//! The real programs are the judge: every recorded session, carried to a fresh home of each target,
//! must be offered by the target's own picker, resume there, and tell the target's model exactly
//! what the source's own resume tells its model.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cases::{self, Case};
use crate::support::dialogue::{self, Item};
use crate::support::expect;
use crate::support::holdall::Holdall;
use crate::support::programs::{Claude, Codex, Home};
use crate::support::terminal::squeeze;

const FIRST: &str = "What have we done so far?";
const SECOND: &str = "Thank you. What is next?";

#[test]
fn claude_to_codex() {
    carry("claude", "codex");
}

#[test]
fn codex_to_claude() {
    carry("codex", "claude");
}

#[test]
fn claude_to_claude() {
    carry("claude", "claude");
}

#[test]
fn codex_to_codex() {
    carry("codex", "codex");
}

/// Resumes a session in its program and reads what the model was told.
fn resume(harness: &str, at: &Machine, case: &Case, id: &str, prompt: &str) -> Result<Vec<Item>, String> {
    let body = match harness {
        "claude" => Claude::new(&at.home, &at.cwd).resume(id, prompt)?,
        _ => {
            let native = case.harness == harness;
            let model = case.model.as_deref().filter(|_| native);
            Codex::new(&at.home, &at.cwd).resume(id, prompt, model)?
        }
    };
    Ok(dialogue::read(harness, &body))
}

/// A home and a project directory in it.
struct Machine {
    home: Home,
    cwd: PathBuf,
    _dir: TempDir,
}

impl Machine {
    /// `project` is below the home; it becomes a git repository.
    fn new(project: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = Home::at(dir.path().join("home"));
        let cwd = home.dir().join(project);
        fs::create_dir_all(&cwd).expect("the home can be written");
        let git = home.command(Path::new("git"), &cwd).args(["init", "-q"]).status();
        assert!(git.expect("git starts").success());
        Self { home, cwd, _dir: dir }
    }
}

/// What the source's own program tells its model on resume. Asked once for each case.
fn oracle(case: &Case) -> Result<Vec<Item>, String> {
    type Answer = Arc<OnceLock<Result<Vec<Item>, String>>>;
    static ASKED: LazyLock<Mutex<HashMap<(String, String), Answer>>> = LazyLock::new(Mutex::default);
    let key = (case.harness.clone(), case.case.clone());
    let answer = Arc::clone(ASKED.lock().expect("no test panics with the lock").entry(key).or_default());
    let ask = || {
        let machine = Machine::new("src/app");
        case.unpack(machine.home.dir());
        resume(&case.harness, &machine, case, &case.id, FIRST)
    };
    answer.get_or_init(ask).clone()
}

/// One case on its way.
struct Journey {
    case: Case,
    said: Vec<Item>,
    /// Id at the target.
    id: String,
    /// Texts by which the target's picker may call it.
    titles: Vec<String>,
    problems: Vec<String>,
}

/// Carries every recorded session of `source` to `target`, and prints one row for each.
fn carry(source: &str, target: &str) {
    let begun = Instant::now();
    // Letters that Claude Code replaces in the names of its folders.
    let there = Machine::new("work/new.app_2 é");
    match target {
        "claude" => drop(Claude::new(&there.home, &there.cwd)),
        // Codex looks through its whole store only at its first start: be a machine where it has run.
        _ => drop(Codex::new(&there.home, &there.cwd).listed().expect("an empty list")),
    }
    let mut journeys: Vec<Journey> = cases::of(source)
        .into_iter()
        .map(|case| {
            let mut journey = Journey {
                case,
                said: Vec::new(),
                id: String::new(),
                titles: Vec::new(),
                problems: Vec::new(),
            };
            if let Err(problem) = journey.travel(&there, target) {
                journey.problems.push(problem);
            }
            journey
        })
        .collect();
    let listed = listed(target, &there, &journeys);
    for journey in journeys.iter_mut().filter(|journey| !journey.id.is_empty()) {
        // Sessions that the source's own picker hides stay hidden, when nothing but paths changes.
        let expected = journey.case.offered || source != target;
        match &listed {
            Ok(listed) if listed.contains(&journey.id) == expected => {}
            Ok(_) if expected => journey.problems.push(format!("{target} does not list it")),
            Ok(_) => journey.problems.push(format!("{target} lists it, {source} did not")),
            Err(error) => journey.problems.push(error.clone()),
        }
        if let Err(problems) = journey.resume_twice(&there, target) {
            journey.problems.extend(problems);
        }
    }
    report(source, target, &journeys, begun.elapsed());
}

impl Journey {
    /// From the recorded home into an archive, and from there to `there`.
    fn travel(&mut self, there: &Machine, target: &str) -> Result<(), String> {
        let case = &self.case;
        self.said = oracle(case).map_err(|error| format!("{} itself: {error}", case.harness))?;
        let here = Machine::new("src/app");
        case.unpack(here.home.dir());
        let file = there.home.dir().join(format!("{}.tar.gz", case.case));
        let file = file.to_str().expect("UTF-8");
        Holdall::new(&here.home, &here.cwd).done(&["export", &case.id, "-o", file])?;

        let cwd = there.cwd.to_str().expect("UTF-8");
        let map = format!("{}={cwd}", case.cwd);
        let holdall = Holdall::new(&there.home, &there.cwd).with_programs();
        let report = holdall.done(&["import", file, "--to", target, "--cwd-map", &map])?;
        let session = match report["sessions"].as_array().map(Vec::as_slice) {
            Some([session]) => session,
            _ => return Err(format!("the report does not hold one session: {report}")),
        };
        self.id = session["target"]["id"].as_str().unwrap_or_default().to_owned();
        self.titles = self.said.iter().filter_map(title).collect();
        self.titles.extend(session["source"]["title"].as_str().map(squeeze));
        self.problems.extend(check_report(session, target, cwd));
        // Codex can be asked without a model; it does not offer every session of its own.
        let askable = target == "codex" && (self.case.offered || self.case.harness != target);
        if askable && session["verified"] != "program" {
            self.problems.push(format!("report: verified is {}, not \"program\"", session["verified"]));
        }
        Ok(())
    }

    /// Resumes it, compares what the model is told with what was said, and resumes it again.
    fn resume_twice(&self, there: &Machine, target: &str) -> Result<(), Vec<String>> {
        let one = |error: String| vec![error];
        let first = resume(target, there, &self.case, &self.id, FIRST).map_err(one)?;
        if self.case.harness == target {
            expect::same(&self.said, &first).map_err(one)?;
        } else {
            expect::converted(&self.said, &first)?;
        }
        let second = resume(target, there, &self.case, &self.id, SECOND).map_err(one)?;
        expect::continues(&first, &second).map_err(|error| one(format!("second resume: {error}")))?;
        match &second[first.len()..] {
            [Item::Assistant(_), Item::User(prompt)] if prompt == SECOND => Ok(()),
            rest => Err(one(format!("second resume: after the first came {rest:?}"))),
        }
    }
}

/// A text by which a picker may call the session, as [`squeeze`] leaves it.
fn title(item: &Item) -> Option<String> {
    let Item::User(text) = item else { return None };
    (text != FIRST).then(|| squeeze(text).chars().take(30).collect())
}

/// What the report says must be true of every case.
fn check_report(session: &Value, target: &str, cwd: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut must = |what: &str, found: &Value, expected: Value| {
        if *found != expected {
            problems.push(format!("report: {what} is {found}, not {expected}"));
        }
    };
    must("action", &session["action"], "create".into());
    must("target.harness", &session["target"]["harness"], target.into());
    must("target.cwd", &session["target"]["cwd"], cwd.into());
    must("resume.cwd", &session["resume"]["cwd"], cwd.into());
    for kind in ["user", "assistant", "tool_calls", "tool_results", "images"] {
        must(&format!("fidelity.{kind}.dropped"), &session["fidelity"][kind]["dropped"], 0.into());
    }
    problems
}

/// Ids of the sessions that the target's own picker offers.
fn listed(target: &str, there: &Machine, journeys: &[Journey]) -> Result<Vec<String>, String> {
    if target == "codex" {
        return Codex::new(&there.home, &there.cwd).listed();
    }
    // The picker shows titles, not ids: a title counts only for the one session that may have it.
    let own = |journey: &Journey| -> Vec<String> {
        let others = journeys.iter().filter(|other| other.id != journey.id);
        let taken: Vec<&String> = others.flat_map(|other| &other.titles).collect();
        journey.titles.iter().filter(|title| !taken.contains(title)).cloned().collect()
    };
    let titles: Vec<Vec<String>> = journeys.iter().map(own).collect();
    let all_shown =
        |screen: &str| titles.iter().all(|titles| titles.iter().any(|title| screen.contains(title.as_str())));
    let screen = Claude::new(&there.home, &there.cwd).picker(Duration::from_secs(15), all_shown);
    let shown = journeys
        .iter()
        .zip(&titles)
        .filter(|(_, titles)| titles.iter().any(|title| screen.contains(title.as_str())));
    Ok(shown.map(|(journey, _)| journey.id.clone()).collect())
}

/// Prints the rows, past the test runner's capture, and fails when one is not ok.
fn report(source: &str, target: &str, journeys: &[Journey], took: Duration) {
    let mut rows = format!("\n{source} -> {target}\n");
    let mut details = String::new();
    let mut ok = 0;
    for journey in journeys {
        let name = &journey.case.case;
        let cell = match journey.problems.as_slice() {
            [] => {
                ok += 1;
                "ok".to_owned()
            }
            problems => {
                for problem in problems {
                    let _ = writeln!(details, "{source} -> {target}, {name}: {problem}");
                }
                let first: String = problems[0].chars().take(100).collect();
                format!("FAILED  {}", first.replace('\n', " "))
            }
        };
        let _ = writeln!(rows, "  {name:<14}{cell}");
    }
    let seconds = took.as_secs_f32();
    let _ = writeln!(rows, "  {ok} of {} ok in {seconds:.0} s", journeys.len());
    std::io::stderr().write_all(rows.as_bytes()).expect("stderr is open");
    assert!(ok == journeys.len(), "\n{details}");
}
