//! The sessions to bring, from an archive or from a store on this machine.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::archive::Archive;
use crate::archive::manifest::Repo;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::git::{self, Bundle};
use crate::harness::NativeSession;
use crate::model::{Head, Payload};
use crate::ops::select::{self, Selected};

/// Sessions that are to be imported, and the machine they come from.
pub struct Incoming<'a> {
    /// The archive's file name; `None` for a conversion on this machine.
    pub archive: Option<String>,
    /// The home directory on the source machine.
    pub home: String,
    /// The sessions.
    pub sessions: Vec<Session<'a>>,
    /// Their repositories.
    pub repos: Vec<Repository<'a>>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// One session to bring.
pub struct Session<'a> {
    /// What is known of it.
    pub head: Cow<'a, Head>,
    /// Its repository, as it was at the source.
    pub repo: Option<Cow<'a, Repo>>,
    /// Its files.
    pub payload: Box<dyn Payload + 'a>,
    /// Why it cannot be brought: an archive that holds a part of it is missing. It has no files then.
    pub refused: Option<String>,
}

/// A repository that sessions belong to.
pub struct Repository<'a> {
    /// As it was at the source.
    pub repo: Cow<'a, Repo>,
    /// The places of its sessions in [`Incoming::sessions`].
    pub sessions: Vec<usize>,
    /// Where its git bundle is.
    pub bundle: Option<BundlePlace<'a>>,
}

/// The git bundle of an archive.
#[derive(Clone, Copy)]
pub struct BundlePlace<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// The place of the repository in its manifest.
    pub repo: usize,
}

impl<'a> Incoming<'a> {
    /// The sessions of an archive; `places` are their places in the manifest.
    ///
    /// # Errors
    /// When the archive does not hold what it declares.
    pub fn from_archive(archive: &'a Archive, name: String, places: &[usize]) -> Result<Self> {
        let manifest = archive.manifest();
        let mut sessions = Vec::with_capacity(places.len());
        let mut repos: BTreeMap<usize, Repository<'a>> = BTreeMap::new();
        for &place in places {
            let Some(session) = manifest.sessions.get(place) else { continue };
            let repo = session.repo.and_then(|repo| Some((repo, manifest.repos.get(repo)?)));
            if let Some((number, repo)) = repo {
                let carried = repo.carried.as_ref();
                let is_bundled = carried.is_some_and(|carried| carried.commits > 0 || carried.work.is_some());
                let bundle = is_bundled.then_some(BundlePlace { archive, repo: number });
                let known = repos.entry(number);
                let new = || Repository { repo: Cow::Borrowed(repo), sessions: Vec::new(), bundle };
                known.or_insert_with(new).sessions.push(sessions.len());
            }
            sessions.push(Session {
                head: Cow::Borrowed(&session.head),
                repo: repo.map(|(_, repo)| Cow::Borrowed(repo)),
                payload: Box::new(archive.session(place)?),
                refused: None,
            });
        }
        let (repos, home) = (repos.into_values().collect(), manifest.source.home.clone());
        Ok(Self { archive: Some(name), home, sessions, repos, warnings: Vec::new() })
    }

    /// Sessions of this machine. `repos`: look at the repositories of their directories too.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn from_here(env: &Env, chosen: &[Selected], repos: bool) -> Result<Self> {
        let mut warnings = Vec::new();
        let mut known: HashMap<String, Option<Repo>> = HashMap::new();
        let mut sessions = Vec::with_capacity(chosen.len());
        let chosen: Vec<&Selected> = chosen.iter().collect();
        for NativeSession { head, payload, notes } in select::open_all(env, &chosen)? {
            warnings
                .extend(notes.iter().map(|(_, _, detail)| format!("{}:{}: {detail}", head.harness, head.id)));
            let repo = match &head.cwd {
                Some(cwd) if repos => {
                    // A repository that cannot be read has no name to follow; the directory stays.
                    let look = || git::describe(Path::new(cwd)).ok().flatten();
                    known.entry(cwd.clone()).or_insert_with(look).clone().map(Cow::Owned)
                }
                _ => None,
            };
            sessions.push(Session { head: Cow::Owned(head), repo, payload, refused: None });
        }
        let mut repos: Vec<Repository<'a>> = Vec::new();
        for (place, session) in sessions.iter().enumerate() {
            let Some(repo) = &session.repo else { continue };
            match repos.iter_mut().find(|known| known.repo.root == repo.root) {
                Some(known) => known.sessions.push(place),
                None => repos.push(Repository { repo: repo.clone(), sessions: vec![place], bundle: None }),
            }
        }
        let home = env.home().to_string_lossy().into_owned();
        Ok(Self { archive: None, home, sessions, repos, warnings })
    }
}

impl BundlePlace<'_> {
    /// The bundle, as git can read it.
    ///
    /// # Errors
    /// When the archive does not hold it, or there is no room for a copy.
    pub fn copy(&self) -> Result<Bundle> {
        match self.archive.bundle(self.repo)? {
            Some(mut bundle) => Bundle::copy(&mut bundle),
            None => Err(Error::archive("the archive does not hold the git bundle that it declares")),
        }
    }
}

/// The places of the sessions that `wanted` names (ids, unique prefixes, `harness:id`); all of
/// them when it is empty.
///
/// # Errors
/// For an id that is unknown or ambiguous.
pub fn choose(archive: &Archive, wanted: &[String]) -> Result<Vec<usize>> {
    let heads: Vec<&Head> = archive.manifest().sessions.iter().map(|session| &session.head).collect();
    choose_among(&heads, wanted)
}

/// The places of the sessions with these heads that `wanted` names; all of them when it is empty.
///
/// # Errors
/// As [`choose`].
pub fn choose_among(sessions: &[&Head], wanted: &[String]) -> Result<Vec<usize>> {
    if wanted.is_empty() {
        return Ok((0..sessions.len()).collect());
    }
    let mut places = Vec::new();
    for wanted in wanted {
        let (harness, id) = match wanted.split_once(':') {
            Some((harness, id)) => (Some(harness), id),
            None => (None, wanted.as_str()),
        };
        let fits = |head: &Head, exact: bool| {
            harness.is_none_or(|harness| head.harness == harness)
                && if exact { head.id == id } else { id.len() >= 4 && head.id.starts_with(id) }
        };
        let find = |exact| -> Vec<usize> {
            (0..sessions.len()).filter(|&place| fits(sessions[place], exact)).collect()
        };
        let exact = find(true);
        let matches = if exact.is_empty() { find(false) } else { exact };
        match matches.as_slice() {
            [] => {
                return Err(Error::new(Kind::NotFound, format!("the archive has no session {wanted:?}"))
                    .hint("`holdall inspect FILE` shows what it holds"));
            }
            [one] => {
                if !places.contains(one) {
                    places.push(*one);
                }
            }
            several => {
                let mut error =
                    Error::usage(format!("{wanted:?} could be any of {} sessions", several.len()));
                for &place in several.iter().take(10) {
                    let head = sessions[place];
                    error = error.hint(format!("{}:{}", head.harness, head.id));
                }
                return Err(error);
            }
        }
    }
    places.sort_unstable();
    Ok(places)
}
