//! The real programs are the judge: recorded sessions of each program, carried to a fresh home of
//! each program, must be offered by the target's own picker, resume there, and tell the target's
//! model exactly what the source's own resume tells its model.
//!
//! - [`agent`]: a program on a machine
//! - [`journey`]: one session on its way

pub mod agent;
pub mod journey;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use agent::{Agent, Machine};
use journey::Journey;

use crate::support::cases::{self, Case};
use crate::support::programs::{Claude, Gemini};

/// What each session is resumed with first.
pub const FIRST: &str = "What have we done so far?";

/// What it is resumed with after that.
pub const THANKS: [&str; 2] = ["Thank you. What is next?", "Thank you once more."];

/// One test for each pair.
macro_rules! pairs {
    ($($name:ident: $source:literal => $target:literal;)*) => {
        $(#[test]
        fn $name() {
            carry($source, $target);
        })*
    };
}

pairs! {
    claude_to_claude: "claude" => "claude";
    claude_to_codex: "claude" => "codex";
    claude_to_opencode: "claude" => "opencode";
    claude_to_kilo: "claude" => "kilo";
    claude_to_gemini: "claude" => "gemini";
    codex_to_claude: "codex" => "claude";
    codex_to_codex: "codex" => "codex";
    codex_to_opencode: "codex" => "opencode";
    codex_to_kilo: "codex" => "kilo";
    codex_to_gemini: "codex" => "gemini";
    opencode_to_claude: "opencode" => "claude";
    opencode_to_codex: "opencode" => "codex";
    opencode_to_opencode: "opencode" => "opencode";
    opencode_to_kilo: "opencode" => "kilo";
    opencode_to_gemini: "opencode" => "gemini";
    kilo_to_claude: "kilo" => "claude";
    kilo_to_codex: "kilo" => "codex";
    kilo_to_opencode: "kilo" => "opencode";
    kilo_to_kilo: "kilo" => "kilo";
    kilo_to_gemini: "kilo" => "gemini";
    gemini_to_claude: "gemini" => "claude";
    gemini_to_codex: "gemini" => "codex";
    gemini_to_opencode: "gemini" => "opencode";
    gemini_to_kilo: "gemini" => "kilo";
    gemini_to_gemini: "gemini" => "gemini";
}

/// The cases that tell most. They are all that is carried, but from a program to itself, and
/// between Claude Code and Codex.
const TELLING: &[&str] =
    &["compact", "image", "parallel3", "subagent", "user-shell", "interrupted", "large", "think"];

/// So many of them where Gemini CLI is the target, which takes long to start.
const TO_GEMINI: usize = 6;

fn chosen(source: &str, target: &str) -> Vec<Case> {
    let mut cases = cases::of(source);
    let all = source == target
        || [source, target] == ["claude", "codex"]
        || [source, target] == ["codex", "claude"];
    if !all {
        let telling = if target == "gemini" { &TELLING[..TO_GEMINI] } else { TELLING };
        cases.retain(|case| telling.contains(&case.case.as_str()));
    }
    assert!(cases.len() >= 5, "{source} has {} of the telling cases", cases.len());
    cases
}

/// Carries recorded sessions of `source` to `target`, and prints one row for each.
fn carry(source: &str, target: &str) {
    let begun = Instant::now();
    // Letters that Claude Code replaces in the names of its folders.
    let there = Machine::new("work/new.app_2 é");
    let mut agent = Agent::new(target, &there);
    let mut journeys = journey::carry(chosen(source, target), &there, target).expect("they arrive");
    check_listed(&mut journeys, &agent, &there, target);
    for journey in journeys.iter_mut().filter(|journey| !journey.id.is_empty()) {
        journey.resume(&mut agent, target);
        if target != "gemini" {
            journey.resume_again(&mut agent, 0);
        }
    }
    if target == "gemini" {
        // It cleans its store up at each start; a session that it takes for broken would go now.
        let gemini = Gemini::new(&there.home, &there.cwd);
        gemini.run("Something else entirely").expect("a session of its own");
        for n in 0..THANKS.len() {
            check_listed(&mut journeys, &agent, &there, target);
            for journey in journeys.iter_mut().filter(|journey| !journey.id.is_empty()) {
                journey.resume_again(&mut agent, n);
            }
        }
        let listed = agent.listed().expect("a list").expect("ids");
        let arrived = journeys.iter().filter(|journey| !journey.id.is_empty()).count();
        assert_eq!(listed.len(), arrived + 1, "sessions are doubled or lost: {listed:?}");
    }
    report(source, target, &journeys, begun.elapsed());
}

/// Asks the target's own picker for all of them.
pub fn check_listed(journeys: &mut [Journey], agent: &Agent<'_>, there: &Machine, target: &str) {
    let listed = agent.listed().map(|listed| listed.unwrap_or_else(|| on_screen(journeys, there)));
    for journey in journeys.iter_mut().filter(|journey| !journey.id.is_empty()) {
        match &listed {
            Ok(listed) => journey.check_listed(listed.contains(&journey.id), target),
            Err(error) => journey.problems.push(error.clone()),
        }
    }
}

/// Ids of the sessions that Claude Code's picker shows. It shows titles: one counts only for the one
/// session that may have it.
pub fn on_screen(journeys: &[Journey], there: &Machine) -> Vec<String> {
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
    shown.map(|(journey, _)| journey.id.clone()).collect()
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
