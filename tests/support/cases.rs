//! Recorded sessions: `fixtures/recorded/<harness>/<case>/`, made by `scripts/record`.
//!
//! `home/` is the home directory as the program left it, `case.json` says what it is. Paths of the
//! machine that recorded it read `/home/dev`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::database;

/// Where the programs worked when the sessions were recorded.
pub const CWD: &str = "/home/dev/src/app";

/// What `case.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// Id of the harness, as on holdall's command line.
    pub harness: String,
    /// Name of the case, unique in its harness.
    pub case: String,
    /// The session to carry.
    pub id: String,
    /// Where it was recorded.
    pub cwd: String,
    /// Version of the program.
    pub version: String,
    /// What is special about it.
    pub about: String,
    /// Whether the program's own picker offers it.
    pub offered: bool,
    /// The model that it needs; `None`: the one that the tests use anyway.
    pub model: Option<String>,
}

impl Case {
    /// Its folder below `root`.
    pub fn dir(&self, root: &Path) -> PathBuf {
        root.join(&self.harness).join(&self.case)
    }

    /// Copies the recorded home to `home`, where other cases may be already. Databases are made from
    /// the texts that were recorded.
    pub fn unpack(&self, home: &Path) {
        copy_tree(&self.dir(&root()).join("home"), home);
    }
}

/// The folder of all recorded sessions.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recorded")
}

/// Every case of a harness, by name.
///
/// # Panics
/// When there is none, or one cannot be read.
pub fn of(harness: &str) -> Vec<Case> {
    let dir = root().join(harness);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut cases: Vec<Case> = entries
        .map(|entry| {
            let file = entry.expect("a directory entry").path().join("case.json");
            let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .collect();
    assert!(!cases.is_empty(), "{} holds no recorded session: run scripts/record", dir.display());
    cases.sort_by(|a, b| a.case.cmp(&b.case));
    cases
}

/// Copies a folder with everything in it; a `.db.sql` becomes the database that it describes.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path = entry.expect("a directory entry").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else if path.to_string_lossy().ends_with(".db.sql") {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            database::load(&text, &target.with_extension(""));
        } else if path.ends_with("session_index.jsonl") && target.exists() {
            let (before, more) = (fs::read_to_string(&target), fs::read_to_string(&path));
            let all = before.expect("it was written") + &more.expect("it is a text");
            fs::write(&target, all).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        } else {
            fs::copy(&path, &target).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

/// A data directory of a harness with recorded sessions.
pub struct Store {
    /// What to call it in messages.
    pub name: String,
    dir: PathBuf,
    harness: &'static str,
}

impl Store {
    /// Every store of `claude` or `codex` in `fixtures/`: of each recorded case, and the older ones.
    pub fn all(harness: &'static str) -> Vec<Self> {
        let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(harness);
        let old =
            fs::read_dir(&old).expect("there are older ones").map(|entry| entry.expect("an entry").path());
        let old = old.filter(|dir| dir.is_dir() && !dir.ends_with("expected")).map(|dir| (dir.clone(), dir));
        let new = of(harness).into_iter().map(|case| case.dir(&root()));
        let new = new.map(|dir| (dir.clone(), dir.join("home").join(format!(".{harness}"))));
        let mut stores: Vec<Self> = old
            .chain(new)
            .map(|(dir, data)| {
                let name = dir.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("it is below");
                Self { name: name.to_string_lossy().into_owned(), dir: data, harness }
            })
            .collect();
        stores.sort_by(|a, b| a.name.cmp(&b.name));
        stores
    }

    /// Copies it to where its program looks for it in `home`.
    pub fn unpack(&self, home: &Path) {
        copy_tree(&self.dir, &home.join(format!(".{}", self.harness)));
    }
}
