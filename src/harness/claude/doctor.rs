//! What can be wrong with a store of Claude Code.
//!
//! Claude Code 2.1.329 has no index: it lists the transcripts of the project directory that belongs
//! to the directory it is started in, and looks only at the first and the last 64 KiB of each. It
//! deletes a transcript, and all that belongs to it, when its file has not changed for
//! `cleanupPeriodDays` (30 by default); it looks for such once a day, some minutes after a start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::locate::{data_dir, project_name, valid_id};
use super::moved::kept as kept_time;
use crate::env::Env;
use crate::error::Result;
use crate::harness::common::directory::entries;
use crate::harness::diagnosis::{
    Checkup, Code, Finding, Form, Known, Mend, Part, Remark, Repair, SOON, Severity,
};
use crate::model::time;

/// How much Claude Code 2.1.329 looks at, at either end.
const STRETCH: u64 = 64 << 10;
/// How long transcripts are kept when the settings say nothing.
const KEPT_DAYS: i64 = 30;
/// A configuration that is larger is not looked at.
const LARGEST: u64 = 64 << 20;

const HIDDEN: Code = Code {
    id: "claude.hidden-entrypoint",
    severity: Severity::Notice,
    means: "the session was made by `claude -p` or the SDK, which the list of `claude --resume` leaves out",
    fix: None,
};
const WRONG_FOLDER: Code = Code {
    id: "claude.wrong-folder",
    severity: Severity::Warning,
    means: "the transcript is not in the project folder of its directory, so it is not listed there",
    fix: Some("the session, with all that belongs to it, goes to the folder of its directory"),
};
const SIDECHAIN: Code = Code {
    id: "claude.sidechain",
    severity: Severity::Warning,
    means: "what the transcript begins with is a sub-agent's, and the list leaves such out",
    fix: None,
};
const EMPTY: Code = Code {
    id: "claude.empty",
    severity: Severity::Notice,
    means: "nothing was said in the transcript: it is listed as \"(session)\"",
    fix: None,
};
const BAD_NAME: Code = Code {
    id: "claude.bad-name",
    severity: Severity::Warning,
    means: "a transcript lies under a name that is no session id: it is neither listed nor resumed",
    fix: Some("the file gets the name that its records have"),
};
const TWICE: Code = Code {
    id: "claude.twice",
    severity: Severity::Warning,
    means: "two project folders have a session of the same id: from a third directory neither is resumed",
    fix: None,
};
const DELETED_SOON: Code = Code {
    id: "claude.deleted-soon",
    severity: Severity::Warning,
    means: "Claude Code deletes the session within a week, because nothing was said in it for so long",
    fix: None,
};
const BROKEN_CONFIG: Code = Code {
    id: "claude.broken-config",
    severity: Severity::Warning,
    means: "a configuration file is no JSON; Claude Code sets it aside and starts anew",
    fix: None,
};

/// All kinds of findings.
pub static CODES: [Code; 8] =
    [HIDDEN, WRONG_FOLDER, SIDECHAIN, EMPTY, BAD_NAME, TWICE, DELETED_SOON, BROKEN_CONFIG];

/// Looks for what is wrong.
///
/// # Errors
/// When a directory of the store cannot be read.
pub fn diagnose(checkup: &Checkup<'_>, report: &mut dyn FnMut(Finding)) -> Result<()> {
    let env = checkup.env;
    configurations(env, report);
    let limit = kept(env);
    let mut places: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for known in checkup.sessions {
        places.entry(&known.found.id).or_default().push(&known.found.path);
        look(known, report);
        if let Some(limit) = limit {
            deletion(env, limit, known, report);
        }
    }
    for known in checkup.sessions {
        let same = &places[known.found.id.as_str()];
        if same.len() > 1 && same[0] == known.found.path {
            let others: Vec<String> = same[1..].iter().map(|path| path.display().to_string()).collect();
            let detail = format!("also in {}", others.join(", "));
            let advice = "keep the one that you want to go on with, and move the other out of the folder";
            report(Finding::of(&TWICE, known, detail).advise(advice));
        }
    }
    let ids: BTreeSet<&str> = places.into_keys().collect();
    names(env, &ids, report)
}

/// Looks at one session.
fn look(known: &Known, report: &mut dyn FnMut(Finding)) {
    let found = &known.found;
    let Ok(ends) = Ends::read(&found.path) else { return };
    let Some(head) = &known.head else {
        report(match ends.has(b"\"isSidechain\":true") {
            true => Finding::of(&SIDECHAIN, known, "its records say that they are a sub-agent's"),
            false => Finding::of(&EMPTY, known, "there is no conversation in it"),
        });
        return;
    };
    if let Some(entrypoint) = ends.first("entrypoint")
        && matches!(entrypoint.as_str(), "sdk-cli" | "sdk-ts" | "sdk-py")
    {
        let finding = Finding::of(&HIDDEN, known, format!("it was made by {entrypoint}"));
        report(finding.advise("it can be resumed by its id").run(["claude", "--resume", &found.id]));
        return;
    }
    let folder = found.path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let (Some(folder), Some(cwd)) = (folder, head.cwd.as_deref().map(Path::new)) else { return };
    let is_there = cwd.is_absolute() && cwd.is_dir();
    let belongs = |dir: &str| project_name(Path::new(dir)).is_ok_and(|name| name == folder);
    // A session that was resumed or forked elsewhere has rows of both directories.
    if !is_there || ends.all("cwd").iter().any(|dir| belongs(dir)) || belongs(&cwd.to_string_lossy()) {
        return;
    }
    let Ok(right) = project_name(cwd) else { return };
    let detail = format!("it is in {folder}, but belongs to {}, which is {right}", cwd.display());
    let mut finding = Finding::of(&WRONG_FOLDER, known, detail);
    let taken = found
        .path
        .parent()
        .and_then(Path::parent)
        .is_some_and(|projects| projects.join(&right).join(format!("{}.jsonl", found.id)).exists());
    if !taken {
        finding = finding.repair(Repair::Again { replaces: true });
    }
    report(finding.advise(format!("it is listed in the folder of {}", cwd.display())));
}

/// Whether Claude Code deletes the session soon.
fn deletion(env: &Env, limit: TimeDelta, known: &Known, report: &mut dyn FnMut(Finding)) {
    let changed = DateTime::<Utc>::from(known.found.modified);
    let Some(date) = changed.checked_add_signed(limit).map(time::to_millis) else { return };
    if date.signed_duration_since(env.now()) > SOON || is_desktops(&known.found.path) {
        return;
    }
    let when = if date <= env.now() { "at its next start" } else { "then" };
    let days = limit.num_days();
    let detail =
        format!("it did not change for long enough: Claude Code deletes it {when} (after {days} days)");
    let advice =
        "`holdall backup DIR` keeps it; or set \"cleanupPeriodDays\" in settings.json higher, or resume it";
    report(Finding::of(&DELETED_SOON, known, detail).on(date).advise(advice));
}

/// Whether the desktop program wrote it, whose transcripts are kept.
fn is_desktops(path: &Path) -> bool {
    let Ok(ends) = Ends::read(path) else { return false };
    ends.all("entrypoint").iter().any(|entrypoint| entrypoint.contains("desktop"))
}

/// How long transcripts are kept; `None`: nothing is deleted, because the settings cannot be read or
/// say something that is not allowed.
fn kept(env: &Env) -> Option<TimeDelta> {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(rename = "cleanupPeriodDays", default)]
        days: Option<f64>,
    }
    let path = data_dir(env).join("settings.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(_) => return TimeDelta::try_days(KEPT_DAYS),
    };
    let settings: Settings = serde_json::from_slice(&text).ok()?;
    let days = settings.days.unwrap_or(KEPT_DAYS as f64);
    if days >= 1.0 && days.fract() == 0.0 { TimeDelta::try_days(days.min(1e6) as i64) } else { None }
}

/// Looks whether the configuration can be read.
fn configurations(env: &Env, report: &mut dyn FnMut(Finding)) {
    let data = data_dir(env);
    let main = match env.var("CLAUDE_CONFIG_DIR") {
        Some(_) => data.join(".claude.json"),
        None => env.home().join(".claude.json"),
    };
    for path in [main, data.join("settings.json")] {
        let Ok(meta) = fs::metadata(&path) else { continue };
        let Ok(bytes) = fs::read(&path) else { continue };
        if meta.len() > LARGEST {
            continue;
        }
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&bytes) {
            let detail = format!("line {}, column {}: {error}", error.line(), error.column());
            let advice = format!("{} may have an older one", data.join("backups").display());
            report(Finding::new(&BROKEN_CONFIG, detail).at(&path).advise(advice));
        }
    }
}

/// Looks for transcripts under names that are no ids.
fn names(env: &Env, ids: &BTreeSet<&str>, report: &mut dyn FnMut(Finding)) -> Result<()> {
    for project in entries(&data_dir(env).join("projects"))?.into_iter().filter(|entry| entry.is_dir) {
        for file in entries(&project.path)?.into_iter().filter(|entry| entry.is_file) {
            let Some(stem) = file.name.strip_suffix(".jsonl") else { continue };
            // Earlier versions kept the transcripts of sub-agents here.
            if valid_id(stem) || stem.starts_with("agent-") {
                continue;
            }
            let Ok(ends) = Ends::read(&file.path) else { continue };
            let Some(id) = ends.first("sessionId").filter(|id| valid_id(id)) else { continue };
            let mut finding =
                Finding::new(&BAD_NAME, format!("its records are of the session {id}")).at(&file.path);
            finding.session = Some(id.clone());
            let to = project.path.join(format!("{id}.jsonl"));
            report(if ids.contains(id.as_str()) || to.exists() {
                finding.advise("a session of this id is there already: compare the two files")
            } else {
                // Under its right name it counts among those that are deleted for their age.
                let changed = fs::metadata(&file.path).and_then(|meta| meta.modified());
                let modified = changed.ok().map(|changed| kept_time(changed.into(), env.now()));
                let rename = Mend::Rename { from: file.path, to: to.clone(), modified };
                finding.advise(format!("rename it to {}", to.display())).repair(Repair::Changes(vec![rename]))
            });
        }
    }
    Ok(())
}

/// The first and the last stretch of a file.
struct Ends(Vec<u8>);

impl Ends {
    fn read(path: &Path) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(length.min(2 * STRETCH) as usize);
        (&mut file).take(STRETCH).read_to_end(&mut bytes)?;
        if length > STRETCH {
            bytes.push(b'\n');
            file.seek(SeekFrom::Start(length.saturating_sub(STRETCH).max(STRETCH)))?;
            file.take(STRETCH).read_to_end(&mut bytes)?;
        }
        Ok(Self(bytes))
    }

    fn has(&self, text: &[u8]) -> bool {
        memmem::find(&self.0, text).is_some()
    }

    /// The values of a member, as the program finds them: by its name alone, wherever it stands.
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = String> + 'a {
        let mark = format!("\"{name}\":\"");
        let length = mark.len();
        let finder = memmem::Finder::new(mark.as_bytes()).into_owned();
        let mut at = 0;
        std::iter::from_fn(move || {
            let begin = at + finder.find(&self.0[at..])? + length;
            at = begin;
            let mut texts = serde_json::Deserializer::from_slice(&self.0[begin - 1..]).into_iter::<String>();
            Some(texts.next().and_then(std::result::Result::ok).unwrap_or_default())
        })
    }

    fn first(&self, name: &str) -> Option<String> {
        self.values(name).find(|value| !value.is_empty())
    }

    fn all(&self, name: &str) -> BTreeSet<String> {
        self.values(name).filter(|value| !value.is_empty()).collect()
    }
}

/// The files that are looked through for damage.
///
/// # Errors
/// When a directory cannot be read.
pub fn parts(checkup: &Checkup<'_>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (at, known) in checkup.sessions.iter().enumerate() {
        let lines = |path: PathBuf| Part { path, form: Form::Lines, session: Some(at) };
        parts.push(lines(known.found.path.clone()));
        let agents = entries(&known.found.path.with_extension("").join("subagents"))?;
        let is_transcript = |name: &str| name.ends_with(".jsonl");
        parts
            .extend(agents.into_iter().filter(|file| is_transcript(&file.name)).map(|file| lines(file.path)));
    }
    Ok(parts)
}

/// The output of a tool that was too long for the row: the row names its file. In a home that was
/// copied the name is an old one, and the file lies beside the transcript.
pub fn remark(part: &Part, line: &[u8]) -> Remark {
    const MARK: &[u8] = b"\"persistedOutputPath\":\"";
    let named = memmem::find(line, MARK).map(|at| &line[at + MARK.len() - 1..]);
    let path = named.and_then(|json| {
        serde_json::Deserializer::from_slice(json).into_iter::<String>().next()?.ok().map(PathBuf::from)
    });
    let is_beside = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        part.path.with_extension("").join("tool-results").join(name).is_file()
    };
    Remark { needs: path.filter(|path| path.is_absolute() && !is_beside(path)), wrong: None }
}
