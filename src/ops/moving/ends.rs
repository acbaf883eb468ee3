//! Where a folder was and where it is.

use std::path::{Component, Path, PathBuf};

use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::HARNESSES;
use crate::harness::common::files::real_path;
use crate::ops::import::destination::Destination;
use crate::place::PathMap;
use crate::place::flavour::Flavour;
use crate::txn::Moved;

/// The two ends of a move.
#[derive(Debug)]
pub struct Ends {
    /// Where the folder was, absolute, as the user spelled it.
    pub old: String,
    /// Where it is, absolute, links resolved.
    pub new: PathBuf,
    /// Whether it is at its old place until now, and moves together with the sessions.
    pub folder: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The old place in every way that a program may have written it down.
    spellings: Vec<String>,
    /// The new place as text.
    new_text: String,
}

impl Ends {
    /// Looks at both places.
    ///
    /// # Errors
    /// When one of them cannot be an end of this move; the error says what to do.
    pub fn find(env: &Env, old: &str, new: &str, and_folder: bool) -> Result<Self> {
        let old = old_place(env, old)?;
        let new = real_path(&plain(&env.cwd().join(expand(env, new)?)));
        let new_text = text(&new)?;
        if old == new_text {
            return Err(Error::usage(format!("{old} is where the folder is already"))
                .hint("OLD is where it was, NEW is where it is now"));
        }
        let is_here = Flavour::of(&old) == Some(Flavour::here());
        let real_old = if is_here { text(&real_path(Path::new(&old)))? } else { old.clone() };
        let mut ends = Self {
            spellings: vec![old.clone()],
            old,
            new,
            folder: and_folder,
            warnings: Vec::new(),
            new_text,
        };
        // A link from the old place to the new one is no other spelling of the old one.
        let leads_to_new = Flavour::here().below(&real_old, &ends.new_text).is_some();
        if real_old != ends.old && !leads_to_new {
            ends.spellings.push(real_old);
        }
        if and_folder {
            ends.check_both(env)?
        } else {
            ends.check_new()?
        }
        Ok(ends)
    }

    /// For a folder that was moved already: the new place has to be there.
    fn check_new(&mut self) -> Result<()> {
        let old = Path::new(&self.old);
        if self.new.is_dir() {
            if is_folder(old) {
                self.warnings.push(format!(
                    "{} is still there; its sessions now belong to {}",
                    self.old,
                    self.new.display()
                ));
            }
            return Ok(());
        }
        if self.new.exists() {
            return Err(not_a_folder(&self.new));
        }
        let missing = Error::new(Kind::NotFound, format!("{} does not exist", self.new.display()));
        Err(if is_folder(old) {
            missing.hint("move the folder there first, or let holdall do it with --and-folder")
        } else {
            missing.hint("NEW is the directory that the folder is now")
        })
    }

    /// For a folder that is to be moved: the old place has to be there, and the new one free.
    fn check_both(&self, env: &Env) -> Result<()> {
        let (old, new) = (Path::new(&self.old), self.new.as_path());
        let Ok(meta) = old.symlink_metadata() else {
            let error = Error::new(Kind::NotFound, format!("{} does not exist", self.old));
            return Err(if new.is_dir() {
                error.hint("if the folder was moved already, leave --and-folder out")
            } else {
                error.hint("--and-folder moves a folder of this machine")
            });
        };
        if meta.is_symlink() {
            let real = real_path(old);
            return Err(Error::new(Kind::Unsupported, format!("{} is a symbolic link", self.old))
                .hint(format!("name what it leads to, {}", real.display())));
        }
        if !meta.is_dir() {
            return Err(not_a_folder(old));
        }
        if new.symlink_metadata().is_ok() {
            let error = Error::new(Kind::Conflict, format!("{} is there already", new.display()));
            return Err(match old.file_name().filter(|_| new.is_dir()) {
                Some(name) => {
                    error.hint(format!("to put the folder in it, say {}", new.join(name).display()))
                }
                None => error,
            });
        }
        let real_old = real_path(old);
        if new.starts_with(&real_old) {
            return Err(Error::usage(format!("{} is inside {}", new.display(), self.old)));
        }
        let parent = new.parent().unwrap_or(new);
        if !parent.is_dir() {
            return Err(Error::new(Kind::NotFound, format!("{} does not exist", parent.display()))
                .hint("make it first"));
        }
        if !one_file_system(old, parent)? {
            let message = format!("{} and {} are on two file systems", self.old, parent.display());
            return Err(Error::new(Kind::Unsupported, message).hint(
                "copy the folder with your own tools (`mv`, `rsync -a`), then run this without --and-folder",
            ));
        }
        let stores = HARNESSES.iter().map(|harness| harness.data_dir(env)).chain([env.state_dir()]);
        match stores.into_iter().find(|store| real_path(store).starts_with(&real_old)) {
            Some(store) => Err(Error::new(
                Kind::Unsupported,
                format!("{} holds {}, which has to stay where it is", self.old, store.display()),
            )),
            None => Ok(()),
        }
    }

    /// Whether a session of this directory follows.
    pub fn holds(&self, cwd: &str) -> bool {
        let is_in = |dir: &str| Flavour::of(dir).is_some_and(|flavour| flavour.below(cwd, dir).is_some());
        // The new place may be below the old one, and what is there has arrived.
        self.spellings.iter().any(|old| is_in(old)) && !is_in(&self.new_text)
    }

    /// Where a session of this directory goes.
    ///
    /// # Errors
    /// When it cannot be a directory of this machine.
    pub fn destination(&self, cwd: &str) -> Result<Destination> {
        let mut paths = PathMap::none();
        for old in &self.spellings {
            paths.add(old, &self.new_text)?;
        }
        let new = paths.map(cwd).filter(|new| !new.contains(['\0', '\n', '\r'])).ok_or_else(|| {
            Error::new(Kind::Unsupported, format!("{cwd:?} cannot be a directory on this machine"))
        })?;
        Ok(Destination { cwd: PathBuf::from(new), paths })
    }

    /// Where the files of a session's directory are until the folder is moved.
    pub fn still_at(&self, cwd: &str) -> Option<PathBuf> {
        let below = |old: &String| Flavour::of(old)?.below(cwd, old);
        let rest = self.spellings.iter().find_map(below).filter(|_| self.folder)?;
        let old = Path::new(&self.old);
        Some(if rest.is_empty() { old.to_owned() } else { old.join(rest) })
    }

    /// What the journal keeps of it.
    pub fn moved(&self) -> Moved {
        Moved { old: self.old.clone(), new: self.new_text.clone(), folder: self.folder }
    }
}

/// The folder that a session of this directory is in.
pub fn of<'e>(ends: &'e [Ends], cwd: Option<&str>) -> Option<&'e Ends> {
    cwd.and_then(|cwd| ends.iter().find(|ends| ends.holds(cwd)))
}

/// Where the folder was.
fn old_place(env: &Env, given: &str) -> Result<String> {
    if given.is_empty() {
        return Err(Error::usage("OLD is empty"));
    }
    let old = match Flavour::of(given) {
        Some(flavour) if flavour != Flavour::here() => flavour.trim(given).to_owned(),
        _ => text(&plain(&env.cwd().join(expand(env, given)?)))?,
    };
    let is_root = Flavour::of(&old).is_none_or(|flavour| flavour.trim(&old).is_empty());
    if is_root || old.len() == 2 && old.ends_with(':') {
        return Err(Error::usage(format!("{given:?} is no project folder")));
    }
    Ok(old)
}

/// `~` is the home directory.
fn expand(env: &Env, given: &str) -> Result<PathBuf> {
    if given.is_empty() {
        return Err(Error::usage("NEW is empty"));
    }
    Ok(match given.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with(std::path::is_separator) => {
            env.home().join(rest.trim_start_matches(std::path::is_separator))
        }
        _ => PathBuf::from(given),
    })
}

/// The path without `.` and `..`. What is not there any more cannot be asked what `..` means.
fn plain(path: &Path) -> PathBuf {
    if path.components().any(|part| part == Component::ParentDir)
        && let Ok(real) = path.canonicalize()
    {
        return real;
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let message = format!("{} is not UTF-8, and sessions record directories as text", path.display());
        Error::new(Kind::Unsupported, message)
    })
}

/// Whether a folder is there; not one that a link leads to.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

fn not_a_folder(path: &Path) -> Error {
    Error::new(Kind::Unsupported, format!("{} is not a directory", path.display()))
}

#[cfg(unix)]
fn one_file_system(one: &Path, other: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| path.metadata().map(|meta| meta.dev()).at("look at", path);
    Ok(device(one)? == device(other)?)
}

/// Elsewhere the rename itself tells.
#[cfg(not(unix))]
fn one_file_system(_one: &Path, _other: &Path) -> Result<bool> {
    Ok(true)
}

#[cfg(all(test, unix))]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::fs;

    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn with(dirs: &[&str]) -> Self {
            let home = Self(tempfile::tempdir().expect("a directory"));
            dirs.iter().for_each(|dir| fs::create_dir_all(home.dir().join(dir)).expect("a folder"));
            home
        }

        fn dir(&self) -> PathBuf {
            self.0.path().canonicalize().expect("it is there")
        }

        fn find(&self, old: &str, new: &str, and_folder: bool) -> Result<Ends> {
            let env = Env::isolated(self.dir()).with_cwd(self.dir().join("code"));
            Ends::find(&env, old, new, and_folder)
        }

        fn refusal(&self, old: &str, new: &str, and_folder: bool) -> String {
            let error = self.find(old, new, and_folder).expect_err("it is refused");
            let hints = error.hints().join("; ");
            format!("{error} [{hints}]").replace(self.dir().to_str().expect("UTF-8"), "HOME")
        }
    }

    #[test]
    fn whole_components_of_every_spelling_follow() {
        let home = Home::with(&["code/new", "real/old"]);
        std::os::unix::fs::symlink(home.dir().join("real"), home.dir().join("link")).expect("a link");
        let at = |path: &str| home.dir().join(path).to_string_lossy().into_owned();
        let ends = home.find("~/link/old", "new", false).expect("both can be ends");
        for (cwd, holds) in [
            ("link/old", true),
            ("real/old", true),
            ("real/old/sub", true),
            ("real/older", false),
            ("real", false),
            ("code/new", false),
        ] {
            assert_eq!(ends.holds(&at(cwd)), holds, "{cwd}");
        }
        let gone = home.find("gone/./x/../old", "./new", false).expect("OLD may be gone");
        assert_eq!(gone.old, at("code/gone/old"));
        let to = gone.destination(&at("code/gone/old/a/b")).expect("a place").cwd;
        assert_eq!(to, home.dir().join("code/new/a/b"));
    }

    #[test]
    fn a_link_that_was_left_at_the_old_place_leads_nowhere_else() {
        let home = Home::with(&["code/new"]);
        let old = home.dir().join("code/old");
        std::os::unix::fs::symlink(home.dir().join("code/new"), &old).expect("a link");
        let ends = home.find("old", "new", false).expect("OLD is another path");
        assert!(ends.holds(old.to_str().expect("UTF-8")) && ends.warnings.is_empty());
        assert!(!ends.holds(home.dir().join("code/new").to_str().expect("UTF-8")));
    }

    #[test]
    fn the_old_place_may_be_of_another_machine() {
        let home = Home::with(&["code/new"]);
        let ends = home.find(r"C:\Users\Me\app\", "new", false).expect("text is enough");
        assert!(ends.holds(r"c:\users\me\APP\src") && !ends.holds(r"C:\Users\Me\app2"));
        let to = ends.destination(r"C:\Users\Me\app\src\x").expect("a place").cwd;
        assert_eq!(to, home.dir().join("code/new/src/x"));
    }

    #[test]
    fn what_was_moved_into_itself_moves_once() {
        let home = Home::with(&["code/old/inner"]);
        let ends = home.find("old", "old/inner", false).expect("a folder may have become a part");
        let at = |path: &str| home.dir().join(path).to_string_lossy().into_owned();
        assert!(ends.holds(&at("code/old/x")) && !ends.holds(&at("code/old/inner/x")));
    }

    #[test]
    fn ends_that_cannot_be() {
        let home = Home::with(&["code/old/in", "code/there", ".codex"]);
        fs::write(home.dir().join("code/file"), "").expect("a file");
        std::os::unix::fs::symlink("old", home.dir().join("code/link")).expect("a link");
        for (old, new, and_folder, says) in [
            ("old", "old", false, "HOME/code/old is where the folder is already"),
            ("gone", "missing", false, "HOME/code/missing does not exist [NEW is"),
            ("old", "missing", false, "--and-folder"),
            ("old", "file", false, "HOME/code/file is not a directory"),
            ("/", "there", false, "no project folder"),
            ("", "there", false, "OLD is empty"),
            ("gone", "missing", true, "HOME/code/gone does not exist"),
            ("gone", "there", true, "leave --and-folder out"),
            ("old", "there", true, "there already [to put the folder in it, say HOME/code/there/old]"),
            ("old", "old/in/new", true, "is inside"),
            ("old", "no/such/new", true, "HOME/code/no/such does not exist [make it first]"),
            ("link", "x", true, "symbolic link [name what it leads to, HOME/code/old]"),
            ("file", "x", true, "not a directory"),
            ("~", "~/../elsewhere", true, "which has to stay where it is"),
        ] {
            let refusal = home.refusal(old, new, and_folder);
            assert!(refusal.contains(says), "{old} {new}: {refusal}");
        }
        assert!(home.find("old", "there/new", true).expect("this can be").folder);
    }
}
