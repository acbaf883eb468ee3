//! What a manifest must be like, beyond its JSON.
//!
//! The writer keeps the same rules as the reader, so that no archive is written that would be
//! refused. Whatever the harness's adapters have to decide (is this id a UUID, may this path be
//! used) is not decided here: to this module ids and native paths are data.

use std::collections::HashSet;

use serde::Deserialize;

use super::layout::{self, FREE_WEIGHT, Limits, MANIFEST_RATIO, MAX_ENTRIES};
use super::manifest::{
    BundleFile, Carried, Continues, Grown, Manifest, Repo, SCHEMA, Session, Tool, VERSION, Version,
};
use super::series::Name;
use super::weight::weight;
use crate::error::{Error, Result};
use crate::git;
use crate::model::Role;

/// Most bytes of a session id.
const MAX_ID: usize = 256;

/// What a smaller manifest takes is no matter.
const WEIGHED: usize = 1 << 20;

/// Most bytes of a native path.
const MAX_PATH: usize = 4096;

/// Reads a manifest that may be of any version, and of any mind. `compressed` is the size of the
/// archive that it comes from.
///
/// # Errors
/// When it is not JSON, of another major version, breaks a rule of [`check`], or would take more
/// memory than an archive of this size can have any use for.
pub(super) fn parse(json: &[u8], compressed: u64, limits: Limits) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Probe {
        schema: String,
        version: Version,
        tool: Option<Tool>,
    }
    // The version comes first: of a manifest from the future nothing else need make sense.
    let probe: Probe =
        serde_json::from_slice(json).map_err(|error| damaged(format!("not a manifest: {error}")))?;
    if probe.version.major > VERSION.major {
        let Version { major, minor } = probe.version;
        let by = probe.tool.map(|tool| format!(" by {} {}", tool.name, tool.version)).unwrap_or_default();
        let message = format!(
            "the archive was written{by} in format {major}.{minor}, which this holdall does not know"
        );
        return Err(damaged(message.escape_debug().to_string()).hint("upgrade holdall"));
    }
    if probe.version.major < VERSION.major || probe.schema != SCHEMA {
        return Err(damaged(format!("its schema is {:?}, not {SCHEMA:?}", probe.schema)));
    }
    if json.len() > WEIGHED {
        let weight = weight(json).map_err(|error| damaged(format!("not a manifest: {error}")))?;
        if weight > FREE_WEIGHT.max(compressed.saturating_mul(MANIFEST_RATIO)) {
            return Err(damaged(format!("it declares more than an archive of {compressed} bytes can hold")));
        }
    }
    let mut manifest: Manifest =
        serde_json::from_slice(json).map_err(|error| damaged(format!("not a manifest: {error}")))?;
    check(&manifest, limits).map_err(damaged)?;
    redact(&mut manifest);
    Ok(manifest)
}

fn damaged(message: impl std::fmt::Display) -> Error {
    Error::archive(format!("{}: {message}", layout::MANIFEST))
}

/// Takes credentials out of all addresses of repositories.
pub(super) fn redact(manifest: &mut Manifest) {
    let recorded =
        manifest.sessions.iter_mut().filter_map(|session| session.head.git.as_mut()?.remote.as_mut());
    let known =
        manifest.repos.iter_mut().flat_map(|repo| repo.remotes.iter_mut().map(|remote| &mut remote.url));
    for url in recorded.chain(known) {
        *url = git::strip_credentials(url);
    }
}

/// Whether the manifest keeps the rules.
///
/// # Errors
/// Names the session and the rule that it breaks. The text has no control characters in it.
pub(super) fn check(manifest: &Manifest, limits: Limits) -> Result<(), String> {
    if manifest.sessions.is_empty() {
        return Err("it declares no session".to_owned());
    }
    let files: usize = manifest.sessions.iter().map(|session| session.files.len()).sum();
    if files.saturating_add(manifest.bundles.len()) > MAX_ENTRIES - 2 {
        return Err(format!("it declares more than {MAX_ENTRIES} entries"));
    }
    for url in manifest.repos.iter().flat_map(|repo| &repo.remotes).map(|remote| &remote.url) {
        check_url(url)?;
    }
    let (mut seen, mut total) = (HashSet::new(), 0_u64);
    for (index, session) in manifest.sessions.iter().enumerate() {
        let named = |reason: String| format!("session {} ({:?}): {reason}", index + 1, session.head.id);
        check_session(index + 1, session, manifest.repos.len()).map_err(named)?;
        if !seen.insert((&session.head.harness, &session.head.id)) {
            return Err(named("another session has the same id".to_owned()));
        }
        for file in &session.files {
            total = total.saturating_add(file.meta.size);
        }
        let elsewhere = session.continues.iter().flat_map(|continues| &continues.grown);
        let whole = elsewhere.fold(0_u64, |sum, grown| sum.saturating_add(grown.after));
        if whole > limits.max_size {
            return Err(named(format!("it continues {whole} bytes; the limit is {}", limits.max_size)));
        }
    }
    for bundle in &manifest.bundles {
        total = total.saturating_add(bundle.size);
    }
    check_bundles(&manifest.bundles, &manifest.repos)?;
    if total > limits.max_size {
        return Err(format!("it declares {total} bytes; the limit is {}", limits.max_size));
    }
    Ok(())
}

pub(super) fn check_session(number: usize, session: &Session, repos: usize) -> Result<(), String> {
    let head = &session.head;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if head.harness.is_empty() || head.harness.len() > 64 || !head.harness.bytes().all(plain) {
        return Err(format!("{:?} is not the id of a harness", shortened(&head.harness)));
    }
    check_id(&head.id)?;
    head.parent.as_deref().map_or(Ok(()), check_id)?;
    head.git.iter().flat_map(|git| &git.remote).try_for_each(|url| check_url(url))?;
    if let Some(repo) = session.repo.filter(|repo| *repo >= repos) {
        return Err(format!("it belongs to repository {repo}, and there are only {repos}"));
    }
    if session.files.iter().filter(|file| file.meta.role == Role::Transcript).count() != 1 {
        return Err("it does not have exactly one transcript".to_owned());
    }
    for (index, file) in session.files.iter().enumerate() {
        let prefix = layout::file_prefix(number, index + 1);
        let rest = file.name.strip_prefix(&prefix).filter(|rest| !rest.is_empty() && !rest.contains('/'));
        if rest.is_none() || layout::check_name(file.name.as_bytes()).is_err() {
            return Err(format!("the file name {:?} is not {prefix}…", shortened(&file.name)));
        }
        let named = |reason: &str| Err(format!("{}: {reason}", file.name));
        if !is_hex(&file.sha256, 64) {
            return named("its sha256 is not 64 lower-case hexadecimal digits");
        }
        if file.meta.path.len() > MAX_PATH || file.meta.path.contains('\0') {
            return named("its native path has a NUL or more than 4096 bytes");
        }
    }
    session.continues.as_ref().map_or(Ok(()), |continues| check_continues(continues, session.files.len()))
}

/// What is said of an earlier archive is well-formed; whether that archive is there and right is for
/// whoever reads the session to say.
fn check_continues(continues: &Continues, files: usize) -> Result<(), String> {
    let Continues { archive, grown, kept } = continues;
    if Name::parse(archive).is_none() {
        return Err(format!("it continues {:?}, which is not the name of a backup", shortened(archive)));
    }
    let mut last = None;
    for Grown { file, sha256, .. } in grown {
        if *file >= files || last.is_some_and(|last| last >= *file) {
            return Err("the files that it continues are not in the order of its files".to_owned());
        }
        last = Some(*file);
        if !is_hex(sha256, 64) {
            return Err(
                "the sha256 of a file that it continues is not 64 lower-case hexadecimal digits".to_owned()
            );
        }
    }
    match kept {
        Some(kept) if !is_hex(&kept.sha256, 64) => {
            Err("the sha256 of what it keeps is not 64 lower-case hexadecimal digits".to_owned())
        }
        _ => Ok(()),
    }
}

/// There is a bundle for each repository of which something is carried, in their order, and no other.
fn check_bundles(bundles: &[BundleFile], repos: &[Repo]) -> Result<(), String> {
    let mut last = None;
    for bundle in bundles {
        let number = bundle.repo.saturating_add(1);
        let named = |reason: &str| Err(format!("the bundle of repository {number}: {reason}"));
        if bundle.repo >= repos.len() {
            return named(&format!("there are only {} repositories", repos.len()));
        }
        if last.is_some_and(|last| last >= bundle.repo) {
            return named("it is there twice, or not in the order of the repositories");
        }
        last = Some(bundle.repo);
        let name = layout::bundle_name(number);
        if bundle.name != name {
            return named(&format!("its name {:?} is not {name}", shortened(&bundle.name)));
        }
        if !is_hex(&bundle.sha256, 64) {
            return named("its sha256 is not 64 lower-case hexadecimal digits");
        }
    }
    for (index, repo) in repos.iter().enumerate() {
        let named = |reason: &str| Err(format!("repository {}: {reason}", index + 1));
        let has_bundle = bundles.binary_search_by_key(&index, |bundle| bundle.repo).is_ok();
        let Carried { needs, commits, work, .. } = repo.carried.clone().unwrap_or_default();
        if has_bundle != (commits > 0 || work.is_some()) {
            return named("what it says is carried and its bundle do not agree");
        }
        let is_commit = |id: &String| is_hex(id, 40) || is_hex(id, 64);
        if !needs.iter().chain(&work).chain(&repo.root_commit).all(is_commit) {
            return named("a commit is not 40 or 64 lower-case hexadecimal digits");
        }
    }
    Ok(())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
        return Err(format!(
            "{:?} is not a session id: empty, over {MAX_ID} bytes or with control characters",
            shortened(id)
        ));
    }
    Ok(())
}

fn check_url(url: &str) -> Result<(), String> {
    if git::url::runs_command(url) {
        return Err(format!("the remote {:?} would run a command", shortened(url)));
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
