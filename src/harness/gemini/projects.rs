//! Which directory of the store belongs to which working directory.
//!
//! Gemini CLI 0.61 keeps the sessions of a working directory (exactly that one, links resolved) in
//! `tmp/<slug>`. It looks the slug up in `projects.json`; a file `.project_root` in `tmp/<slug>` and
//! `history/<slug>` says whose it is, and wins. Before 0.3 the directory was called after the hash of
//! the working directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{locate, text};
use crate::error::{Error, Kind, Result};
use crate::harness::common::directory::entries;
use crate::harness::{OutLine, Target};

/// The file that says whose a directory is.
const MARKER: &str = ".project_root";
/// Where slugs are directories.
const BASES: [&str; 2] = ["tmp", "history"];
/// A slug is made of at most so many bytes of the name of the working directory.
const LONGEST: usize = 64;

/// The registry.
#[derive(Debug, Default, Deserialize)]
struct Registry {
    projects: BTreeMap<String, String>,
}

impl Registry {
    /// One slug that is none makes the program forget all of them.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn read(data: &Path) -> Result<Self> {
        let bytes = content(&data.join("projects.json"))?.unwrap_or_default();
        let registry: Self = serde_json::from_slice(&bytes).unwrap_or_default();
        let all = registry.projects.values().all(|slug| is_slug(slug));
        Ok(if all { registry } else { Self::default() })
    }
}

/// What is in a file; `None`: there is none.
fn content(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => Ok(None),
            _ => Err(Error::io("read", path, error)),
        },
    }
}

/// Whether the program takes `slug` for one.
pub fn is_slug(slug: &str) -> bool {
    !slug.is_empty()
        && slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a directory is called after a hash.
pub fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What the program calls a project by: the hash of its directory.
pub fn hash(cwd: &str) -> String {
    Sha256::digest(cwd.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whose directory it is, as its markers say. The program trims what they say.
fn owner(data: &Path, base: &str, dir: &str) -> Result<Option<String>> {
    let bytes = content(&data.join(base).join(dir).join(MARKER))?.unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    Ok(Some(text.trim().to_owned()).filter(|owner| !owner.is_empty()))
}

/// Whether no marker says that a directory is another one's than that of `cwd`.
fn may_serve(data: &Path, slug: &str, cwd: &str) -> Result<bool> {
    for base in BASES {
        if owner(data, base, slug)?.is_some_and(|owner| !same(&owner, cwd)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The slug that the registry has for `cwd`, unless a marker says otherwise.
fn registered(registry: &Registry, data: &Path, cwd: &str) -> Result<Option<String>> {
    for (path, slug) in &registry.projects {
        if same(path, cwd) && may_serve(data, slug, cwd)? {
            return Ok(Some(slug.clone()));
        }
    }
    Ok(None)
}

/// The working directory of the project directory `tmp/<dir>`. `hints` are paths that it may be, from
/// its sessions.
///
/// # Errors
/// When what tells it is there and cannot be read.
pub fn cwd_of(data: &Path, dir: &str, hints: &[String]) -> Result<Option<String>> {
    for base in BASES {
        if let Some(owner) = owner(data, base, dir)? {
            return Ok(Some(owner));
        }
    }
    let registry = Registry::read(data)?;
    if let Some((cwd, _)) = registry.projects.iter().find(|(_, slug)| *slug == dir) {
        return Ok(Some(cwd.clone()));
    }
    if is_hash(dir) {
        let known = registry.projects.keys().cloned().chain(owners(data)?.into_values());
        if let Some(cwd) = hints.iter().cloned().chain(known).find(|cwd| hash(cwd) == dir) {
            return Ok(Some(cwd));
        }
    }
    Ok(hints.first().cloned())
}

/// All directories that say whose they are.
fn owners(data: &Path) -> Result<BTreeMap<String, String>> {
    let mut owners = BTreeMap::new();
    for base in BASES {
        for entry in entries(&data.join(base))? {
            if let Some(owner) = owner(data, base, &entry.name)? {
                owners.entry(entry.name).or_insert(owner);
            }
        }
    }
    Ok(owners)
}

/// The directory of the store that the program uses for `cwd`, a path as [`real_path`] gives it; `None`:
/// it would make a new one.
///
/// # Errors
/// When what tells it is there and cannot be read.
pub fn serving(data: &Path, cwd: &str) -> Result<Option<String>> {
    let registry = Registry::read(data)?;
    let owners = owners(data)?;
    if let Some(slug) = registered(&registry, data, cwd)? {
        return Ok(Some(slug));
    }
    if let Some((slug, _)) = owners.iter().find(|(_, owner)| same(owner, cwd)) {
        return Ok(Some(slug.clone()));
    }
    // A directory of the right name without a marker is taken for its own.
    let name = slugify(Path::new(cwd).file_name().and_then(|name| name.to_str()).unwrap_or_default());
    let is_free = !registry.projects.values().any(|taken| *taken == name) && !owners.contains_key(&name);
    Ok((is_free && data.join("tmp").join(&name).is_dir()).then_some(name))
}

/// What is wrong with the registry; `None`: nothing, or there is none.
pub fn problem(data: &Path) -> Option<String> {
    let bytes = fs::read(data.join("projects.json")).ok()?;
    match serde_json::from_slice::<Registry>(&bytes) {
        Err(error) => Some(format!("line {}, column {}: {error}", error.line(), error.column())),
        Ok(registry) => {
            let odd = registry.projects.values().find(|slug| !is_slug(slug))?;
            Some(format!("{odd:?} is no name that Gemini CLI gives"))
        }
    }
}

/// A project of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its working directory, as the program sees it.
    pub cwd: String,
    /// The name of its directory in the store.
    pub slug: String,
}

impl Project {
    /// The project of the target's directory: the one that is there, or a new one.
    ///
    /// A new slug ends with a part of the hash of the directory, so that it is the same for all
    /// sessions of one import, and that directories of the same name do not want the same one.
    ///
    /// # Errors
    /// When the path is not Unicode, or the registry or a marker cannot be read.
    pub fn of(target: &Target<'_>) -> Result<Self> {
        let cwd = real_path(target.cwd)?;
        let data = locate::data_dir(target.env);
        let registry = Registry::read(&data)?;
        let owners = owners(&data)?;
        if let Some(slug) = registered(&registry, &data, &cwd)? {
            return Ok(Self { slug, cwd });
        }
        if let Some((slug, _)) = owners.iter().find(|(slug, owner)| same(owner, &cwd) && is_slug(slug)) {
            return Ok(Self { slug: slug.clone(), cwd });
        }
        let hash = hash(&cwd);
        let free = |slug: &String| {
            !registry.projects.values().any(|taken| taken == slug)
                && owners.get(slug).is_none_or(|owner| same(owner, &cwd))
        };
        let name = slugify(Path::new(&cwd).file_name().and_then(|name| name.to_str()).unwrap_or_default());
        let slug = [8, 16, 64].iter().map(|length| format!("{name}-{}", &hash[..*length])).find(free);
        slug.map(|slug| Self { slug, cwd: cwd.clone() }).ok_or_else(|| {
            Error::new(
                Kind::Conflict,
                format!("Gemini CLI's registry has other directories under the names for {cwd}"),
            )
        })
    }

    /// The line that says whose the project's directory is. The program finds it by that, and makes
    /// the entry in its registry and the other marker itself when it starts.
    pub fn marker(&self, data: &Path) -> OutLine {
        // Other sessions of the project would be lost to the program without it.
        let keep_while = Some(self.below(data, "chats"));
        OutLine { path: self.below(data, MARKER), line: self.key(), lock: None, keep_while }
    }

    /// The program takes lower case on Windows.
    fn key(&self) -> String {
        if cfg!(windows) { self.cwd.to_lowercase() } else { self.cwd.clone() }
    }

    /// A path in the project's directory.
    pub fn below(&self, data: &Path, path: &str) -> PathBuf {
        let mut below = data.join("tmp").join(&self.slug);
        below.extend(path.split('/'));
        below
    }
}

fn same(one: &str, other: &str) -> bool {
    if cfg!(windows) { one.to_lowercase() == other.to_lowercase() } else { one == other }
}

/// The name of a directory as a part of a slug.
fn slugify(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_matches('-');
    let slug = slug[..slug.len().min(LONGEST)].trim_matches('-');
    if slug.is_empty() { "project".to_owned() } else { slug.to_owned() }
}

/// The path as the program sees it when it is started there: links resolved as far as it exists.
///
/// # Errors
/// When it is not Unicode, or ends with white space: the program (0.61) trims its markers, so it takes
/// such a directory for another one at each start, and never finds what it has there.
pub fn real_path(path: &Path) -> Result<String> {
    let real = crate::harness::common::files::real_path(path);
    let name = real.to_str().ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("{} is not Unicode, which Gemini CLI needs", real.display()))
    })?;
    if text::trim(name).len() != name.len() {
        let message = format!("{name:?} ends with white space, and Gemini CLI finds no session there again");
        return Err(Error::new(Kind::Unsupported, message)
            .hint("give it another name, or name another directory with --cwd-map"));
    }
    // Windows answers with its long form, which the program never shows.
    Ok(name.strip_prefix(r"\\?\").unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for (name, slug) in [
            ("My_Proj.X", "my-proj-x"),
            ("--a--b--", "a-b"),
            ("Ünï", "n"),
            ("世界", "project"),
            ("", "project"),
            ("a b", "a-b"),
        ] {
            assert_eq!(slugify(name), slug, "{name}");
            assert!(is_slug(&slugify(name)));
        }
        assert_eq!(slugify(&"x".repeat(300)).len(), LONGEST);
        assert!(!is_slug("Bad_Slug") && !is_slug(""));
    }

    #[test]
    fn hashes() {
        let hash = hash("/home/dev/src/Proj_One");
        assert_eq!(hash, "8802d5bf401f744ddb0d0417fdc7f5c32ffcd90ff987591dd476348e922328ef");
        assert!(is_hash(&hash) && !is_hash("proj-one"));
    }
}
