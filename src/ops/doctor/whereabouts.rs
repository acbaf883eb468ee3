//! Where a directory may be now that is not where sessions say: near where it was, where the home
//! keeps projects, and beside the directories of other sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::git::{Repo, find};
use crate::place::flavour::Flavour;

/// Most directories that are looked into.
const MOST: usize = 10_000;
/// Folders of the home in which people keep projects.
const USUAL: [&str; 16] = [
    "src",
    "code",
    "Code",
    "projects",
    "Projects",
    "dev",
    "Developer",
    "work",
    "workspace",
    "workspaces",
    "repos",
    "git",
    "github",
    "GitHub",
    "go/src",
    "Documents",
];

/// The directories near by.
#[derive(Debug, Default)]
pub struct Near {
    by_name: BTreeMap<String, Vec<PathBuf>>,
    repositories: Vec<PathBuf>,
}

/// Where a missing directory may be now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// What moved: the directory, or one above it.
    pub old: String,
    /// Where that is now.
    pub new: PathBuf,
}

/// What speaks for the candidates.
#[derive(Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// The same repository is there.
    Repository(Vec<Candidate>),
    /// A folder of the same name is there.
    Name(Vec<Candidate>),
    /// Nothing like it was found.
    Unknown,
}

impl Near {
    /// Looks around. `missing` are the directories that are searched for, `present` those of other
    /// sessions.
    pub fn look(home: &Path, missing: &[&str], present: &[&Path]) -> Self {
        let mut queue: VecDeque<(PathBuf, usize)> = VecDeque::new();
        let mut ask = |dir: &Path, depth: usize| queue.push_back((dir.to_owned(), depth));
        for dir in missing {
            // Not all of the file system, and not all homes.
            if let Some(near) = existing(Path::new(dir)).filter(|near| near.components().count() > 2) {
                ask(near, if near == home { 1 } else { 2 });
            }
        }
        USUAL.iter().for_each(|name| ask(&home.join(name), 3));
        ask(home, 1);
        for dir in present {
            ask(dir, 0);
            dir.parent()
                .filter(|parent| parent.components().count() > 2)
                .into_iter()
                .for_each(|dir| ask(dir, 1));
        }
        let mut near = Self::default();
        let mut seen: BTreeMap<PathBuf, usize> = BTreeMap::new();
        while let Some((dir, depth)) = queue.pop_front() {
            let known = seen.get(&dir).copied();
            if known.is_some_and(|known| known >= depth) || seen.len() >= MOST {
                continue;
            }
            if known.is_none() && !near.note(&dir) {
                continue;
            }
            seen.insert(dir.clone(), depth);
            if depth > 0 && !dir.join(".git").exists() {
                queue.extend(below(&dir).into_iter().map(|dir| (dir, depth - 1)));
            }
        }
        near
    }

    /// False when it is no directory.
    fn note(&mut self, dir: &Path) -> bool {
        if !dir.is_dir() {
            return false;
        }
        if let Some(name) = dir.file_name().and_then(|name| name.to_str()) {
            self.by_name.entry(name.to_owned()).or_default().push(dir.to_owned());
        }
        if dir.join(".git").exists() {
            self.repositories.push(dir.to_owned());
        }
        true
    }

    /// Where the directory may be. `recorded` is what sessions of it say of its repository.
    pub fn of(&self, dir: &str, recorded: &[Repo]) -> Whereabouts {
        // What is no absolute path anywhere is none that could be looked for, or given to a command.
        let steps = if Flavour::of(dir).is_some() { steps(dir) } else { Vec::new() };
        let clones = self
            .repositories
            .iter()
            .filter(|root| recorded.iter().any(|repo| find::is_at(repo, root).is_some()));
        let found: BTreeSet<Candidate> = clones.filter_map(|root| Self::moved_to(&steps, root)).collect();
        if !found.is_empty() {
            return Whereabouts::Repository(found.into_iter().collect());
        }
        let found: BTreeSet<Candidate> = steps
            .iter()
            .flat_map(|step| self.by_name.get(step.name).into_iter().flatten().map(move |dir| (step, dir)))
            .filter(|(step, dir)| step.is_in(dir))
            .map(|(step, dir)| Candidate { old: step.old.to_owned(), new: dir.clone() })
            .collect();
        // A folder that moved takes those in it along: what is below is told with it.
        let covered = |one: &Candidate| {
            found.iter().any(|other| {
                other.old.len() < one.old.len() && one.new.starts_with(&other.new) && one.new != other.new
            })
        };
        let found: Vec<Candidate> = found.iter().filter(|one| !covered(one)).cloned().collect();
        if found.is_empty() { Whereabouts::Unknown } else { Whereabouts::Name(found) }
    }

    /// Which directory became `root`: the one of its name, else the uppermost that fits.
    fn moved_to(steps: &[Step<'_>], root: &Path) -> Option<Candidate> {
        let name = root.file_name().and_then(|name| name.to_str());
        let fits = |step: &&Step<'_>| step.is_in(root);
        let step = steps.iter().filter(fits).find(|step| Some(step.name) == name);
        let step = step.or_else(|| steps.iter().find(fits))?;
        Some(Candidate { old: step.old.to_owned(), new: root.to_owned() })
    }
}

/// A directory that may have moved, above or at a missing one. A path can have thousands, so nothing is
/// copied.
#[derive(Debug)]
struct Step<'d> {
    old: &'d str,
    name: &'d str,
    /// From it to the missing one.
    rest: &'d str,
    separators: &'static [char],
}

impl Step<'_> {
    fn is_in(&self, dir: &Path) -> bool {
        let mut path = dir.to_owned();
        path.extend(self.rest.split(self.separators).filter(|piece| !piece.is_empty()));
        path.to_str() != Some(self.old) && path.is_dir()
    }
}

/// The missing directory and those above it that are missing too, the uppermost first. Of a path of
/// another system nothing is here, so only the last two count.
fn steps(dir: &str) -> Vec<Step<'_>> {
    let is_own = Flavour::of(dir) == Some(Flavour::here());
    let there = existing(Path::new(dir)).filter(|_| is_own).map_or(0, |there| there.as_os_str().len());
    let separators: &[char] = if Flavour::of(dir) == Some(Flavour::Windows) { &['/', '\\'] } else { &['/'] };
    let mut steps = Vec::new();
    let mut at = 0;
    let pieces: Vec<&str> = dir.split(separators).collect();
    // No harness writes a directory down like that.
    if pieces.iter().any(|piece| matches!(*piece, "." | "..")) {
        return steps;
    }
    let last_empty = pieces.iter().rposition(|piece| piece.is_empty());
    for (place, name) in pieces.iter().copied().enumerate() {
        at += name.len() + usize::from(place > 0);
        let is_plain = last_empty.is_none_or(|empty| empty < place);
        let is_near = if is_own { at > there } else { pieces.len() - place <= 2 };
        if is_plain && is_near {
            let rest = dir.get(at + 1..).unwrap_or_default();
            steps.push(Step { old: &dir[..at], name, rest, separators });
        }
    }
    steps
}

/// The nearest directory above that is there.
fn existing(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|dir| dir.is_absolute() && dir.is_dir())
}

/// The directories in a directory, but hidden ones and links.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = entries
        .filter(|entry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir()) && !find::is_passed_by(&entry.file_name())
        })
        .map(|entry| entry.path())
        .collect();
    dirs.sort_unstable();
    dirs
}

#[cfg(all(test, unix))]
#[allow(clippy::disallowed_methods)] // Directories of the tests.
mod tests {
    use super::*;

    fn home(dirs: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path().canonicalize().expect("it is there").join("u/home");
        dirs.iter().for_each(|name| fs::create_dir_all(home.join(name)).expect("a directory"));
        (dir, home)
    }

    fn names(home: &Path, dirs: &[&str], missing: &str) -> Vec<(String, String)> {
        let missing = home.join(missing);
        let missing = missing.to_str().expect("UTF-8");
        let present: Vec<PathBuf> = dirs.iter().map(|dir| home.join(dir)).collect();
        let present: Vec<&Path> = present.iter().map(PathBuf::as_path).collect();
        let short = |path: &str| path.replace(&format!("{}/", home.display()), "");
        match Near::look(home, &[missing], &present).of(missing, &[]) {
            Whereabouts::Name(found) => {
                found.iter().map(|one| (short(&one.old), short(&one.new.to_string_lossy()))).collect()
            }
            Whereabouts::Unknown => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_folder_of_the_same_name_near_by() {
        let (_dir, home) = home(&["src/old", "code/team/app/sub", "x/y/z/app", "src/node_modules/app"]);
        let found = names(&home, &[], "src/old/app/sub");
        assert_eq!(found, [("src/old/app".to_owned(), "code/team/app".to_owned())]);
        assert_eq!(names(&home, &["x/y/z/other"], "src/app").len(), 2);
        assert!(names(&home, &[], "src/nothing").is_empty());
    }

    #[test]
    fn a_folder_above_moved_with_all_in_it() {
        let (_dir, home) = home(&["code/team/app/sub"]);
        let found = names(&home, &[], "src/team/app");
        assert_eq!(found, [("src/team".to_owned(), "code/team".to_owned())]);
    }

    #[test]
    fn a_path_of_thousands_of_parts() {
        let dir = format!("/nowhere{}", "/d".repeat(4000));
        let steps = steps(&dir);
        assert_eq!(steps.len(), 4001);
        assert!(steps.iter().all(|step| dir.len() == step.old.len() + "/".len() + step.rest.len()
            || step.rest.is_empty() && step.old == dir));
        assert_eq!((steps[0].name, steps[4000].name), ("nowhere", "d"));
    }

    #[test]
    fn paths_of_other_systems() {
        let steps = steps(r"C:\Users\me\src\app");
        let olds: Vec<&str> = steps.iter().map(|step| step.old).collect();
        assert_eq!(olds, [r"C:\Users\me\src", r"C:\Users\me\src\app"]);
        assert_eq!(steps[0].rest, "app");
        assert!(super::steps("/a/../b").is_empty());
    }
}
