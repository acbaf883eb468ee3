//! Which directory each session goes to.
//!
//! The user's rules come first, then the place of the repository for sessions of one, then the source
//! home is taken for the home here. What remains stays as it is, if it can be a directory
//! of this machine at all.

use std::path::{Path, PathBuf};

use crate::archive::manifest::Repo;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::model::Head;
use crate::place::PathMap;
use crate::place::flavour::Flavour;
use crate::place::shell::quoted;

/// The directory of one session, and how all its paths follow.
pub struct Destination {
    /// Absolute, in the form of this machine.
    pub cwd: PathBuf,
    /// The rules that led there.
    pub paths: PathMap,
}

/// The rules of one import.
pub struct Rules {
    user: Vec<(String, String)>,
    workspace_root: Option<PathBuf>,
    source_home: String,
    home: String,
}

impl Rules {
    /// Prepares the rules.
    ///
    /// # Errors
    /// When one of the user's rules is not about absolute paths.
    pub fn new(
        env: &Env,
        source_home: &str,
        user: &[(String, String)],
        workspace_root: Option<&Path>,
    ) -> Result<Self> {
        let home = text(env.home())?;
        let mut rules = Vec::with_capacity(user.len());
        for (old, new) in user {
            if Flavour::of(new).is_some_and(|flavour| flavour != Flavour::here()) {
                return Err(Error::usage(format!(
                    "--cwd-map {old}={new}: {new:?} is no path of this machine"
                ))
                .hint("the new directory is one that is here"));
            }
            let new = match new.strip_prefix('~') {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    text(&absolute(env.home(), rest.trim_start_matches('/')))?
                }
                _ => text(&absolute(env.cwd(), new))?,
            };
            // `~` on the source side is the source's home.
            let old = match old.strip_prefix('~') {
                Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
                    format!("{source_home}{rest}")
                }
                _ => old.clone(),
            };
            PathMap::none()
                .add(&old, &new)
                .map_err(|error| error.context(format!("--cwd-map {old}={new}")))?;
            rules.push((old, new));
        }
        let workspace_root = workspace_root.map(|root| env.cwd().join(root));
        Ok(Self { user: rules, workspace_root, source_home: source_home.to_owned(), home })
    }

    /// The user's rules that fit none of these directories.
    pub fn unused<'a>(&self, cwds: impl Iterator<Item = &'a str> + Clone) -> Vec<&(String, String)> {
        let fits = |old: &str, new: &str| {
            let mut map = PathMap::none();
            map.add(old, new).is_ok() && cwds.clone().any(|cwd| map.map(cwd).is_some())
        };
        self.user.iter().filter(|(old, new)| !fits(old, new)).collect()
    }

    /// The directory of the user's choice for repositories, absolute.
    pub fn workspace_root(&self) -> Option<&Path> {
        self.workspace_root.as_deref()
    }

    /// Where one of the user's rules sends a path of the source.
    pub fn by_user(&self, path: &str) -> Option<PathBuf> {
        let mut paths = PathMap::none();
        for (old, new) in self.user.iter().filter(|_| !climbs(path)) {
            paths.add(old, new).ok()?;
        }
        paths.map(path).and_then(|mapped| here(&mapped))
    }

    /// Where a path of the source is by the user's rules, or else by the two homes; `None` when it
    /// cannot be a directory of this machine.
    pub fn by_home(&self, path: &str) -> Option<PathBuf> {
        let mut paths = PathMap::none();
        if Flavour::of(&self.source_home).is_some() {
            paths.add(&self.source_home, &self.home).ok()?;
        }
        let by_home = || here(paths.map(path).as_deref().unwrap_or(path)).filter(|_| !climbs(path));
        self.by_user(path).or_else(by_home)
    }

    /// Where this session goes. `repository`: the root of its repository at the source, and where
    /// that is on this machine.
    ///
    /// # Errors
    /// When its directory cannot be one of this machine (a Windows path on Unix, say).
    pub fn destination(
        &self,
        head: &Head,
        repository: Option<(&str, &Path)>,
        warnings: &mut Vec<String>,
    ) -> Result<Destination> {
        let mut paths = PathMap::none();
        for (old, new) in &self.user {
            paths.add(old, new)?;
        }
        let cwd = head.cwd.as_deref();
        let by_user = cwd.is_some_and(|cwd| paths.map(cwd).is_some());
        if let (Some((root, target)), false) = (repository, by_user) {
            paths.add(root, &text(target)?)?;
        }
        if Flavour::of(&self.source_home).is_some() && self.source_home != self.home {
            paths.add(&self.source_home, &self.home)?;
        }
        let Some(cwd) = cwd else {
            warnings
                .push(format!("{}:{} records no directory; it goes to {}", head.harness, head.id, self.home));
            return Ok(Destination { cwd: PathBuf::from(&self.home), paths });
        };
        let mapped = paths.map(cwd).unwrap_or_else(|| cwd.to_owned());
        // A rule of the user's for just this directory says where it goes, whatever it is called.
        let by_name = self
            .user
            .iter()
            .any(|(old, _)| Flavour::of(cwd).is_some_and(|flavour| flavour.below(cwd, old) == Some("")));
        match here(&mapped).filter(|_| by_name || !climbs(cwd)) {
            Some(cwd) => Ok(Destination { cwd, paths }),
            None => Err(Error::new(
                Kind::Unsupported,
                format!("{mapped:?} cannot be a directory on this machine"),
            )
            .hint(format!("give it one with --cwd-map {}=DIR", quoted(cwd)))),
        }
    }
}

/// Whether a path of the source goes up again: below a rule's directory it would be somewhere else.
fn climbs(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part == "..")
}

/// A path that can be a directory of this machine.
fn here(path: &str) -> Option<PathBuf> {
    let is_here = Flavour::of(path) == Some(Flavour::here()) && !path.contains(['\0', '\n', '\r']);
    is_here.then(|| PathBuf::from(path))
}

/// The repository's name: the last component of its first remote's URL, else of its directory.
/// `None` when that could not be a directory name.
pub fn repository_name(repo: &Repo) -> Option<String> {
    let remote = repo.remotes.iter().find(|remote| remote.name == "origin").or(repo.remotes.first());
    let from_url = remote.map(|remote| {
        let url = remote.url.trim_end_matches('/');
        url.rsplit(['/', ':', '\\']).next().unwrap_or(url).trim_end_matches(".git").to_owned()
    });
    let from_root =
        || Flavour::of(&repo.root).and_then(|flavour| flavour.name(&repo.root)).map(str::to_owned);
    from_url.filter(|name| is_name(name)).or_else(|| from_root().filter(|name| is_name(name)))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['.', '-'])
        && !name.contains(|c: char| c.is_control() || matches!(c, '/' | '\\' | ':'))
}

fn absolute(base: &Path, path: &str) -> PathBuf {
    // `components` takes out `.` and doubled separators; `..` stays: only the file system knows
    // what it means.
    base.join(path).components().collect()
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(
            Kind::Unsupported,
            format!("{} is not UTF-8, and sessions record directories as text", path.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::manifest::Remote;

    fn head(cwd: &str) -> Head {
        Head { harness: "claude".into(), id: "x".into(), cwd: Some(cwd.into()), ..Head::default() }
    }

    fn rules(user: &[(&str, &str)], root: Option<&str>) -> Rules {
        let env = Env::isolated("/home/new").with_cwd("/home/new/here");
        let user: Vec<_> = user.iter().map(|(old, new)| (old.to_string(), new.to_string())).collect();
        Rules::new(&env, "/Users/old", &user, root.map(Path::new)).expect("absolute rules")
    }

    fn go(rules: &Rules, cwd: &str, repository: Option<(&str, &str)>) -> String {
        let repository = repository.map(|(root, target)| (root, Path::new(target)));
        let destination = rules.destination(&head(cwd), repository, &mut Vec::new()).expect("a directory");
        destination.cwd.to_string_lossy().into_owned()
    }

    #[test]
    fn the_home_follows_unless_a_rule_fits() {
        let rules = rules(&[("/Users/old/src", "~/code"), ("/srv", "sub/../dir")], None);
        assert_eq!(go(&rules, "/Users/old/doc", None), "/home/new/doc");
        assert_eq!(go(&rules, "/Users/old/src/app", None), "/home/new/code/app");
        assert_eq!(go(&rules, "/srv/x", None), "/home/new/here/sub/../dir/x");
        assert_eq!(go(&rules, "/Users/older", None), "/Users/older");
        assert_eq!(rules.by_home("/Users/old/doc"), Some("/home/new/doc".into()));
        assert_eq!(rules.by_home("/Users/old/src/app"), Some("/home/new/code/app".into()));
        assert_eq!(rules.by_user("/Users/old/doc"), None);
        assert_eq!(rules.by_home(r"C:\x"), None);
    }

    #[test]
    fn the_directory_follows_its_repository_and_rules_win() {
        let rules = rules(&[("/Users/old/src/app/sub", "/elsewhere")], Some("/w"));
        let repository = Some(("/Users/old/src/app", "/w/name"));
        assert_eq!(go(&rules, "/Users/old/src/app/lib", repository), "/w/name/lib");
        assert_eq!(go(&rules, "/Users/old/src/app/sub/x", repository), "/elsewhere/x");
        assert_eq!(go(&rules, "/Users/old/plain", None), "/home/new/plain");
    }

    #[test]
    fn a_hostile_remote_names_no_directory() {
        for url in ["https://host/..", "ext::sh -c x:..", "host:.git", ""] {
            let repo = Repo {
                root: "/r/app".into(),
                remotes: vec![Remote { name: "origin".into(), url: url.into() }],
                ..Repo::default()
            };
            assert_eq!(repository_name(&repo).as_deref(), Some("app"), "{url}");
        }
    }

    #[test]
    fn a_directory_that_goes_up_leads_nowhere() {
        let rules = rules(&[("/Users/old/src", "~/code"), ("/Users/old/../x", "~/x")], Some("/w"));
        for cwd in ["/Users/old/src/../../../etc", "/Users/old/..", "/srv/../etc"] {
            let error = rules.destination(&head(cwd), None, &mut Vec::new()).err().expect("refused");
            assert!(error.to_string().contains("cannot be a directory"), "{error}");
            assert_eq!((rules.by_user(cwd), rules.by_home(cwd)), (None, None));
        }
        assert_eq!(go(&rules, "/Users/old/../x", None), "/home/new/x");
        assert_eq!(go(&rules, "/Users/old/src/..app", None), "/home/new/code/..app");
    }

    #[test]
    fn a_hint_can_be_pasted() {
        let rules = rules(&[], None);
        let error = rules.destination(&head("$(touch x)"), None, &mut Vec::new()).err().expect("refused");
        assert_eq!(error.hints(), ["give it one with --cwd-map '$(touch x)'=DIR"]);
    }

    #[test]
    fn a_directory_of_another_system_needs_a_rule() {
        let rules = rules(&[], None);
        let error = rules.destination(&head(r"C:\x"), None, &mut Vec::new()).err().expect("refused");
        assert_eq!(error.kind(), Kind::Unsupported);
    }
}
