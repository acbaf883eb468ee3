//! One recorded session on its way to another machine or another program.

use serde_json::Value;

use super::agent::{Agent, Machine, oracle, unsaid};
use super::{FIRST, THANKS};
use crate::support::cases::Case;
use crate::support::dialogue::Item;
use crate::support::expect;
use crate::support::holdall::Holdall;
use crate::support::terminal::squeeze;

/// One case on its way.
pub struct Journey {
    /// The case.
    pub case: Case,
    /// What the source's program tells its model.
    said: Vec<Item>,
    /// What the target's program told its model last.
    told: Vec<Item>,
    /// Id at the target; empty when it did not arrive.
    pub id: String,
    /// Texts by which the target's picker may call it.
    pub titles: Vec<String>,
    /// What was wrong.
    pub problems: Vec<String>,
}

/// Carries cases of one program to `there`, all in one archive.
///
/// # Errors
/// When holdall fails, or does not report on each.
pub fn carry(cases: Vec<Case>, there: &Machine, target: &str) -> Result<Vec<Journey>, String> {
    let file = export(&cases, there)?;
    let cwd = there.cwd.to_str().expect("UTF-8");
    let map = format!("{}={cwd}", cases[0].cwd);
    let holdall = Holdall::new(&there.home, &there.cwd).with_programs();
    let report = holdall.done(&["import", &file, "--to", target, "--cwd-map", &map])?;
    let sessions = report["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    let begin = |case: Case| {
        let mut rows = sessions.iter().filter(|session| session["source"]["id"] == case.id.as_str());
        match (rows.next(), rows.next()) {
            (Some(session), None) => Ok(Journey::begin(case, session, target, cwd)),
            (row, _) => {
                Err(format!("{}: reported {} times", case.case, if row.is_some() { "many" } else { "no" }))
            }
        }
    };
    cases.into_iter().map(begin).collect()
}

impl Journey {
    /// A case that has arrived, as `session` reports.
    fn begin(case: Case, session: &Value, target: &str, cwd: &str) -> Self {
        let mut problems = check_report(session, target, cwd);
        let said = oracle(&case).unwrap_or_else(|error| {
            problems.push(format!("{} itself: {error}", case.harness));
            Vec::new()
        });
        let id = session["target"]["id"].as_str().unwrap_or_default().to_owned();
        let mut titles: Vec<String> = said.iter().filter_map(title).collect();
        titles.extend(session["source"]["title"].as_str().map(squeeze));
        // Claude Code and Gemini CLI cannot be asked without a model; Codex does not offer every
        // session of its own.
        let askable = match target {
            "codex" => case.offered || case.harness != target,
            "opencode" | "kilo" => true,
            _ => false,
        };
        if askable && session["verified"] != "program" {
            problems.push(format!("report: verified is {}, not \"program\"", session["verified"]));
        }
        Self { case, said, told: Vec::new(), id, titles, problems }
    }

    /// Resumes it for the first time and compares what the model is told with what was said.
    pub fn resume(&mut self, agent: &mut Agent<'_>, target: &str) {
        let told = match agent.resume(&self.case, &self.id, FIRST) {
            Ok(told) => told,
            Err(error) => return self.problems.push(error),
        };
        if self.case.harness == target {
            self.problems.extend(expect::same(&self.said, &told).err());
        } else {
            let said = [self.said.as_slice(), &unsaid(&self.case)].concat();
            self.problems.extend(expect::converted(&said, &told).err().into_iter().flatten());
        }
        self.told = told;
    }

    /// Resumes it for the `n`th time: nothing but the last question and its answer may be new.
    pub fn resume_again(&mut self, agent: &mut Agent<'_>, n: usize) {
        if self.told.is_empty() {
            return;
        }
        let prompt = THANKS[n];
        let told = match agent.resume(&self.case, &self.id, prompt) {
            Ok(told) => told,
            Err(error) => return self.problems.push(format!("resume number {}: {error}", n + 2)),
        };
        let problem = match expect::continues(&self.told, &told) {
            Err(error) => Some(error),
            Ok(()) => match &told[self.told.len()..] {
                [Item::Assistant(_), Item::User(said)] if said == prompt => None,
                rest => Some(format!("after the one before came {rest:?}")),
            },
        };
        self.problems.extend(problem.map(|problem| format!("resume number {}: {problem}", n + 2)));
        self.told = told;
    }

    /// Notes when the target's picker does not treat it as it should.
    pub fn check_listed(&mut self, is_listed: bool, target: &str) {
        // Sessions that the source's own picker hides stay hidden, when nothing but paths changes.
        let source = &self.case.harness;
        let expected = self.case.offered || source != target;
        match (is_listed, expected) {
            (false, true) => self.problems.push(format!("{target} does not list it")),
            (true, false) => self.problems.push(format!("{target} lists it, {source} did not")),
            _ => {}
        }
    }
}

/// Packs recorded sessions of one program; the archive is in the home of `there`.
///
/// # Errors
/// When holdall fails.
pub fn export(cases: &[Case], there: &Machine) -> Result<String, String> {
    let here = Machine::new("src/app");
    for case in cases {
        case.unpack(here.home.dir());
    }
    let file = there.home.dir().join("sessions.tar.gz");
    let file = file.to_str().expect("UTF-8").to_owned();
    let mut args = vec!["export", "-o", &file];
    args.extend(cases.iter().map(|case| case.id.as_str()));
    Holdall::new(&here.home, &here.cwd).done(&args)?;
    Ok(file)
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
