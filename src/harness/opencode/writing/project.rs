//! The project that a directory belongs to: the sessions of one project are listed together.
//!
//! opencode 1.18: without a repository it is `global`. Else it is the hash of where the remote
//! `origin` is, else what an earlier start wrote into the git directory, else the first of the
//! sorted root commits, else `global`. Clones of one repository so have one project everywhere.

use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryOpenFlags, Sort};
use sha1_smol::Sha1;

use super::super::flavour::Flavour;

/// The project of directories without a repository.
pub const GLOBAL: &str = "global";

/// A project.
#[derive(Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// The root of the directory's working tree; `/` without a repository.
    pub worktree: PathBuf,
}

impl Project {
    /// The project of a directory.
    pub fn of(flavour: &Flavour, directory: &Path) -> Self {
        repository(flavour, directory).unwrap_or_else(|| Self {
            id: GLOBAL.to_owned(),
            worktree: directory.ancestors().last().unwrap_or(directory).to_owned(),
        })
    }

    /// Where a directory is below the working tree, with `/` between components.
    pub fn path(&self, directory: &Path) -> String {
        let below = directory.strip_prefix(&self.worktree).ok();
        let names = below.into_iter().flat_map(Path::components);
        names.map(|name| name.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    /// Whether it is that of a repository.
    pub fn is_repository(&self) -> bool {
        self.id != GLOBAL
    }

    /// The root that is written down for the project: all directories without commits share one.
    pub fn root(&self) -> &Path {
        if self.is_repository() {
            &self.worktree
        } else {
            self.worktree.ancestors().last().unwrap_or(&self.worktree)
        }
    }
}

/// A directory as the program writes it down, which asks the system where it is: without symbolic
/// links.
pub fn real(directory: &Path) -> PathBuf {
    // Windows answers in a form that no program shows.
    let asked = if cfg!(windows) { None } else { directory.canonicalize().ok() };
    asked.unwrap_or_else(|| directory.to_owned())
}

/// The project of the repository that a directory is in; `None` where git would find none.
fn repository(flavour: &Flavour, directory: &Path) -> Option<Project> {
    let top = directory.ancestors().find(|dir| dir.join(".git").exists())?;
    let no_search = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT;
    let none: [&Path; 0] = [];
    let repository = Repository::open_ext(top.join(".git"), no_search, none)
        .or_else(|_| Repository::open_ext(top, RepositoryOpenFlags::NO_SEARCH, none))
        .ok()?;
    let worktree = repository.workdir().unwrap_or(top);
    let id = of_origin(&repository)
        .or_else(|| of_earlier(flavour, &repository))
        .or_else(|| of_root(&repository))
        .unwrap_or_else(|| GLOBAL.to_owned());
    let worktree = worktree.components().collect();
    Some(Project { id, worktree })
}

fn of_origin(repository: &Repository) -> Option<String> {
    let remote = repository.find_remote("origin").ok()?;
    let place = place_of(remote.url().ok()?)?;
    Some(Sha1::from(format!("git-remote:{place}")).hexdigest())
}

fn of_earlier(flavour: &Flavour, repository: &Repository) -> Option<String> {
    let text = std::fs::read_to_string(repository.commondir().join(flavour.directory)).ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

fn of_root(repository: &Repository) -> Option<String> {
    let mut commits = repository.revwalk().ok()?;
    commits.set_sorting(Sort::NONE).ok()?;
    commits.push_head().ok()?;
    let is_root = |id: &git2::Oid| repository.find_commit(*id).is_ok_and(|commit| commit.parent_count() == 0);
    commits.flatten().filter(is_root).map(|id| id.to_string()).min()
}

/// `host/path` of a remote, the same for all ways to reach it; `None` for one on this machine.
fn place_of(url: &str) -> Option<String> {
    let url = url.trim();
    let (host, path) = match scheme(url) {
        Some(("file", _)) => return None,
        Some((_, rest)) => {
            // Only after slashes is a host.
            let rest = rest.strip_prefix("//")?;
            let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let end = if host.starts_with('[') { host.find(']')? + 1 } else { 0 };
            let host = &host[..end + host[end..].find(':').unwrap_or(host.len() - end)];
            let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
            (host, encoded(path))
        }
        None => {
            let (host, path) = url.split_once(':')?;
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            if host.contains(['/', '@']) || path.is_empty() {
                return None;
            }
            (host, path.to_owned())
        }
    };
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix(".git/").or_else(|| path.strip_suffix(".git")).unwrap_or(path);
    let path = path.trim_end_matches('/');
    (!host.is_empty() && !path.is_empty()).then(|| format!("{}/{path}", host.to_lowercase()))
}

/// The scheme of a URL and what is after its colon.
fn scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain);
    is_scheme.then_some((scheme, rest))
}

/// A path as a URL has it.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'\x21' | b'\x23'..=b'\x3b' | b'=' | b'\x40'..=b'\x5d' | b'_' | b'a'..=b'z' | b'|' | b'~' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_a_remote_are_one_place() {
        for (url, place) in [
            ("https://GitHub.com/org/repo.git", Some("github.com/org/repo")),
            ("https://user:secret@github.com:8443/org/repo/", Some("github.com/org/repo")),
            ("git@github.com:org/repo.git", Some("github.com/org/repo")),
            ("ssh://git@Host.example:22/org/repo.git/", Some("host.example/org/repo")),
            ("https://h/a b/\u{e9}.git", Some("h/a%20b/%C3%A9")),
            ("ssh://git@[::1]:22/x", Some("[::1]/x")),
            // A URL without a host, as the program sees it.
            ("github.com:org/repo", None),
            ("file:///srv/repo.git", None),
            ("/srv/repo.git", None),
            ("../repo", None),
            ("https://host", None),
            ("", None),
        ] {
            assert_eq!(place_of(url).as_deref(), place, "{url}");
        }
    }
}
