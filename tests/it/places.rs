//! Where a session may arrive: machines on which the program never ran, or has another model, and
//! directories of every kind. The real programs are asked, as in `real`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::real::agent::{Agent, Machine, oracle};
use crate::real::journey;
use crate::real::{FIRST, THANKS};
use crate::support::cases::{self, Case};
use crate::support::dialogue;
use crate::support::expect;
use crate::support::model::Model;
use crate::support::programs::{Claude, Codex, Gemini, KILO, OPENCODE, Opencode};

fn case(harness: &str, name: &str) -> Case {
    cases::of(harness).into_iter().find(|case| case.case == name).expect("it is recorded")
}

/// Carries a session to a machine where the program is configured but never ran; there it lists and
/// resumes it.
#[track_caller]
fn arrives(case: Case, target: &str, there: &Machine, what: &str) {
    match target {
        "claude" => drop(Claude::new(&there.home, &there.cwd)),
        "codex" => drop(Codex::new(&there.home, &there.cwd)),
        "gemini" => drop(Gemini::new(&there.home, &there.cwd)),
        _ => drop(Opencode::named(target, &there.home, &there.cwd)),
    }
    let mut journeys = journey::carry(vec![case], there, target).unwrap();
    let journey = &mut journeys[0];
    let mut agent = Agent::as_it_is(target, there);
    if journey.problems.is_empty() {
        match agent.listed() {
            Ok(Some(listed)) => journey.check_listed(listed.contains(&journey.id), target),
            Ok(None) => {}
            Err(error) => journey.problems.push(error),
        }
        journey.resume(&mut agent, target);
        journey.resume_again(&mut agent, 0);
    }
    assert!(journey.problems.is_empty(), "{target}, {what}: {:#?}", journey.problems);
}

#[test]
fn a_machine_where_the_program_never_ran() {
    for target in ["claude", "codex", "opencode", "kilo", "gemini"] {
        let source = if target == "claude" { "codex" } else { "claude" };
        arrives(case(source, "parallel3"), target, &Machine::new("src/app"), "never ran");
    }
}

fn git(machine: &Machine, args: &[&str]) {
    let mut command = machine.home.command(Path::new("git"), &machine.cwd);
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "dev").env(format!("GIT_{who}_EMAIL"), "dev@example.invalid");
    }
    assert!(command.args(args).status().expect("git starts").success(), "git {args:?}");
}

/// Directories of every kind, for the programs that look at more of one than its path.
fn directories(target: &str) {
    arrives(case("claude", "chat"), target, &Machine::without_git("plain"), "no repository");
    arrives(
        case("claude", "chat"),
        target,
        &Machine::without_git(".dots/we.ird_dir -x/ünï 漢字"),
        "odd name",
    );

    let there = Machine::new("with origin");
    git(&there, &["remote", "add", "origin", "git@example.invalid:Acme/App.git"]);
    arrives(case("claude", "chat"), target, &there, "a repository with an origin");

    let mut below = Machine::new("repo");
    git(&below, &["commit", "-q", "--allow-empty", "-m", "Begin"]);
    below.cwd.push("crates/inner");
    fs::create_dir_all(&below.cwd).unwrap();
    arrives(case("claude", "chat"), target, &below, "below the root of a repository with a commit");
}

#[test]
fn directories_of_opencode() {
    directories("opencode");
}

#[test]
fn directories_of_kilo() {
    directories("kilo");
}

#[test]
fn directories_of_gemini() {
    directories("gemini");
}

/// Imports a session for a program. Returns its id there.
fn import(case: &Case, target: &str, there: &Machine) -> String {
    let journeys = journey::carry(vec![case.clone()], there, target).unwrap();
    assert!(journeys[0].problems.is_empty(), "{target}: {:#?}", journeys[0].problems);
    journeys[0].id.clone()
}

/// A session whose model the target does not have is resumed with the target's.
#[test]
fn another_model_than_the_sessions() {
    for flavour in [&OPENCODE, &KILO] {
        for source in [case("claude", "think"), case(flavour.name, "think")] {
            let there = Machine::new("src/app");
            let program = Opencode::new(flavour, &there.home, &there.cwd).with_model("elsewhere/large-1.5");
            let id = import(&source, flavour.name, &there);
            let what = format!("{} -> {}", source.harness, flavour.name);
            let body = program.resume(&id, FIRST, None).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(body["model"], "large-1.5", "{what}");
            let mut told = dialogue::read(flavour.name, &body);
            dialogue::settle(&mut told, &program.outcomes(&id).unwrap());
            let said = oracle(&source).unwrap();
            expect::converted(&said, &told).unwrap_or_else(|problems| panic!("{what}: {problems:#?}"));
        }
    }
}

/// A server that runs during the import has the session at once, and goes on with it.
#[test]
fn a_running_server_sees_the_import() {
    for flavour in [&OPENCODE, &KILO] {
        let there = Machine::new("src/app");
        let program = Opencode::new(flavour, &there.home, &there.cwd);
        let model = Model::start(&there.cwd);
        let server = program.serve(&model).unwrap();
        let own = server.create().unwrap();
        server.say(&own, "A session of its own").unwrap();

        let source = case("claude", "parallel3");
        let id = import(&source, flavour.name, &there);
        let sessions = server.call("GET", "/session", &Value::Null).unwrap();
        let ids: Vec<&str> =
            sessions.as_array().unwrap().iter().filter_map(|session| session["id"].as_str()).collect();
        assert!(ids.contains(&id.as_str()) && ids.contains(&own.as_str()), "{}: {ids:?}", flavour.name);
        assert!(!server.messages(&id).unwrap().is_empty(), "{}: no messages", flavour.name);

        let said = oracle(&source).unwrap();
        let mut before = Vec::new();
        for prompt in [FIRST, THANKS[0]] {
            server.say(&id, prompt).unwrap();
            let requests = model.requests();
            let refused = requests.iter().find_map(|request| request.refused.as_ref());
            assert_eq!(refused, None, "{}", flavour.name);
            let mut told = dialogue::read(flavour.name, &requests.last().unwrap().body);
            dialogue::settle(&mut told, &program.outcomes(&id).unwrap());
            if before.is_empty() {
                expect::converted(&said, &told)
                    .unwrap_or_else(|problems| panic!("{}: {problems:#?}", flavour.name));
            } else {
                expect::continues(&before, &told).unwrap();
            }
            before = told;
        }
        server.say(&own, "And the other one still works").unwrap();
    }
}
