//! A program on a machine: what it lists, and what it tells its model when it resumes a session.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use serde_json::Value;
use tempfile::TempDir;

use super::FIRST;
use crate::support::cases::{self, Case};
use crate::support::dialogue::{self, Item};
use crate::support::programs::{Claude, Codex, Gemini, Home, Opencode, Origin, Talk};
use crate::support::tree::{self, Node};

/// A home and a project directory in it.
pub struct Machine {
    /// The home.
    pub home: Home,
    /// The project.
    pub cwd: PathBuf,
    _dir: Arc<TempDir>,
}

impl Machine {
    /// `project` is below the home; it becomes a git repository.
    pub fn new(project: &str) -> Self {
        let machine = Self::without_git(project);
        let git = machine.home.command(Path::new("git"), &machine.cwd).args(["init", "-q"]).status();
        assert!(git.expect("git starts").success());
        machine
    }

    /// The same with a plain directory.
    pub fn without_git(project: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = Home::at(dir.path().join("home"));
        let cwd = home.dir().join(project);
        fs::create_dir_all(&cwd).expect("the home can be written");
        Self { home, cwd, _dir: Arc::new(dir) }
    }

    /// The same home with another project directory, which is made when it is missing.
    pub fn at(&self, project: &str) -> Self {
        let cwd = self.home.dir().join(project);
        fs::create_dir_all(&cwd).expect("the home can be written");
        Self { home: self.home.clone(), cwd, _dir: Arc::clone(&self._dir) }
    }
}

/// A program on a machine. What is expensive to start stays running until it is dropped.
pub struct Agent<'m> {
    harness: &'m str,
    machine: &'m Machine,
    talk: Option<Talk>,
    resumed: usize,
}

impl<'m> Agent<'m> {
    /// The program on a machine where it has run before.
    pub fn new(harness: &'m str, machine: &'m Machine) -> Self {
        let (home, cwd) = (&machine.home, &machine.cwd);
        match harness {
            "claude" => drop(Claude::new(home, cwd)),
            // Codex looks through its whole store only at its first start.
            "codex" => drop(Codex::new(home, cwd).listed().expect("an empty list")),
            "gemini" => drop(Gemini::new(home, cwd)),
            _ => drop(Opencode::named(harness, home, cwd)),
        }
        Self::as_it_is(harness, machine)
    }

    /// The program on a machine that is left as it is.
    pub fn as_it_is(harness: &'m str, machine: &'m Machine) -> Self {
        Self { harness, machine, talk: None, resumed: 0 }
    }

    /// Resumes a session and reads what the model was told. The session came from `case`.
    ///
    /// # Errors
    /// When the program did not resume it, or the provider would refuse the request.
    pub fn resume(&mut self, case: &Case, id: &str, prompt: &str) -> Result<Vec<Item>, String> {
        let (home, cwd) = (&self.machine.home, &self.machine.cwd);
        let native = case.harness == self.harness;
        let model = case.model.as_deref().filter(|_| native);
        let body = match self.harness {
            "claude" => Claude::new(home, cwd).resume(id, prompt)?,
            "codex" => Codex::new(home, cwd).resume(id, prompt, model)?,
            "gemini" => {
                let origin = if native { Origin::Own } else { Origin::Foreign };
                Gemini::new(home, cwd).resume(id, prompt, origin)?
            }
            _ => {
                // One start of its own, as a user does it; then the server that all its screens use.
                let program = Opencode::named(self.harness, home, cwd);
                self.resumed += 1;
                match &self.talk {
                    None if self.resumed == 1 => program.resume(id, prompt, model)?,
                    None => {
                        let (talk, body) = program.talk(id, prompt)?;
                        self.talk = Some(talk);
                        body
                    }
                    Some(talk) => talk.resume(id, prompt)?,
                }
            }
        };
        let mut items = dialogue::read(self.harness, &body);
        if matches!(self.harness, "opencode" | "kilo") {
            let outcomes = Opencode::named(self.harness, home, cwd).outcomes(id)?;
            dialogue::settle(&mut items, &outcomes);
        }
        Ok(items)
    }

    /// Ids of the sessions that its own picker offers. `None`: it shows no ids.
    ///
    /// # Errors
    /// When the program fails.
    pub fn listed(&self) -> Result<Option<Vec<String>>, String> {
        let (home, cwd) = (&self.machine.home, &self.machine.cwd);
        match self.harness {
            "claude" => Ok(None),
            "codex" => Codex::new(home, cwd).listed().map(Some),
            "gemini" => Gemini::new(home, cwd).listed().map(Some),
            _ => Opencode::named(self.harness, home, cwd).listed().map(Some),
        }
    }
}

/// What the source's own program tells its model on resume. Asked once for each case.
pub fn oracle(case: &Case) -> Result<Vec<Item>, String> {
    type Answers = HashMap<String, Result<Vec<Item>, String>>;
    type Asked = HashMap<(String, String), Arc<OnceLock<Answers>>>;
    static ASKED: LazyLock<Mutex<Asked>> = LazyLock::new(Mutex::default);
    // All sessions of opencode and Kilo fit into one database, and one program.
    let together = matches!(case.harness.as_str(), "opencode" | "kilo");
    let group = if together { String::new() } else { case.case.clone() };
    let key = (case.harness.clone(), group);
    let answers = Arc::clone(ASKED.lock().expect("no test panics with the lock").entry(key).or_default());
    let ask = || {
        let cases = if together { cases::of(&case.harness) } else { vec![case.clone()] };
        let machine = Machine::new("src/app");
        let mut agent = Agent::as_it_is(&case.harness, &machine);
        for case in &cases {
            case.unpack(machine.home.dir());
        }
        match case.harness.as_str() {
            "gemini" => Gemini::new(&machine.home, &machine.cwd).adopt(&case.cwd),
            "opencode" | "kilo" => Opencode::named(&case.harness, &machine.home, &machine.cwd).adopt(),
            _ => {}
        }
        let answer = |case: &Case| (case.case.clone(), agent.resume(case, &case.id, FIRST));
        cases.iter().map(answer).collect()
    };
    answers.get_or_init(ask)[&case.case].clone()
}

/// Thoughts that were recorded and that the source's program keeps to itself when it resumes: Gemini
/// CLI tells its model none. A target may tell them.
pub fn unsaid(case: &Case) -> Vec<Item> {
    if case.harness != "gemini" {
        return Vec::new();
    }
    let home = tempfile::tempdir().expect("a temporary directory");
    case.unpack(home.path());
    let files = tree::read(&home.path().join(".gemini/tmp"));
    let texts = files.into_values().filter_map(|node| match node {
        Node::File { bytes, .. } => String::from_utf8(bytes).ok(),
        _ => None,
    });
    let records: Vec<Value> = texts
        .flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>())
        .collect();
    let thoughts = records.iter().filter_map(|record: &Value| record["thoughts"].as_array()).flatten();
    thoughts
        .filter_map(|thought| thought["description"].as_str())
        .map(|text| Item::Reasoning(text.to_owned()))
        .collect()
}
