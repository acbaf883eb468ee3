//! What can be wrong with a store of Gemini CLI.
//!
//! Gemini CLI 0.61 lists the sessions of one directory of its store, which it finds for the directory
//! it is started in. At each start it deletes sessions of that one: those that were not updated for
//! `general.sessionRetention.maxAge` (30 days), those beyond `maxCount`, and those that it takes for
//! damaged, with every other file whose name ends with the same eight characters. A resume leaves
//! such a file beside the session that it resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use memchr::memmem;
use serde::Deserialize;

use super::native::{self, Any};
use super::{head, index, locate, place, projects};
use crate::env::Env;
use crate::error::Result;
use crate::harness::Found;
use crate::harness::common::directory::entries;
use crate::harness::diagnosis::{Checkup, Code, Finding, Form, Known, Mend, Part, Repair, SOON, Severity};
use crate::model::{Time, time};

const DOOMED: Code = Code {
    id: "gemini.doomed",
    severity: Severity::Error,
    means: "the session was resumed, and Gemini CLI deletes it at another start in its directory",
    fix: Some(
        "the session gets a name that Gemini CLI does not take for the remains of the resume, which go",
    ),
};
const UNLISTABLE: Code = Code {
    id: "gemini.unlistable",
    severity: Severity::Error,
    means: "Gemini CLI takes the file for damaged, does not list it, and deletes it at its next start in its directory",
    fix: None,
};
const DELETED_SOON: Code = Code {
    id: "gemini.deleted-soon",
    severity: Severity::Warning,
    means: "Gemini CLI deletes the session within a week, because of its age or because there are so many",
    fix: None,
};
const OTHER_FOLDER: Code = Code {
    id: "gemini.other-folder",
    severity: Severity::Warning,
    means: "the session is not in the folder where Gemini CLI looks for those of its directory",
    fix: Some("the session, with all that belongs to it, goes to the folder of its directory"),
};
const UNKNOWN_FOLDER: Code = Code {
    id: "gemini.unknown-folder",
    severity: Severity::Warning,
    means: "nothing says which directory the session belongs to, so it is listed nowhere",
    fix: None,
};
const BROKEN_REGISTRY: Code = Code {
    id: "gemini.broken-registry",
    severity: Severity::Warning,
    means: "projects.json is damaged or has a name that is none, so Gemini CLI forgets all that is in it",
    fix: None,
};

/// All kinds of findings.
pub static CODES: [Code; 6] =
    [DOOMED, UNLISTABLE, DELETED_SOON, OTHER_FOLDER, UNKNOWN_FOLDER, BROKEN_REGISTRY];

/// The first bytes of a file are enough to tell whether anything was said in it.
const ENOUGH: u64 = 1 << 20;
/// The time of the last update is looked for in so many bytes from the end, growing.
const TAILS: [u64; 3] = [64 << 10, 1 << 20, 16 << 20];

/// Looks for what is wrong.
///
/// # Errors
/// When a directory of the store cannot be read.
pub fn diagnose(checkup: &Checkup<'_>, report: &mut dyn FnMut(Finding)) -> Result<()> {
    let env = checkup.env;
    let data = locate::data_dir(env);
    if let Some(problem) = projects::problem(&data) {
        let advice =
            "put the name right, or remove the file: Gemini CLI finds most directories by their markers";
        report(Finding::new(&BROKEN_REGISTRY, problem).at(data.join("projects.json")).advise(advice));
    }
    let retention = Retention::of(&data);
    let mut serving = BTreeMap::new();
    let mut by_folder: BTreeMap<PathBuf, Vec<&Known>> = BTreeMap::new();
    for known in checkup.sessions {
        let folder = known.found.path.parent().map(Path::to_owned).unwrap_or_default();
        by_folder.entry(folder).or_default().push(known);
    }
    for project in entries(&data.join("tmp"))?.into_iter().filter(|entry| entry.is_dir) {
        let chats = project.path.join("chats");
        let known = by_folder.remove(&chats).unwrap_or_default();
        if let Some(retention) = &retention {
            folder(env, &chats, &known, report)?;
            retention.look(env, &known, report);
        }
        for known in known {
            listed(&data, &project.name, known, &mut serving, report);
        }
    }
    Ok(())
}

/// Looks for sessions that go because a file in their folder counts as damaged.
fn folder(env: &Env, chats: &Path, known: &[&Known], report: &mut dyn FnMut(Finding)) -> Result<()> {
    let listable: BTreeSet<&Path> =
        known.iter().filter(|known| known.head.is_some()).map(|known| known.found.path.as_path()).collect();
    let mut remains: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in entries(chats)?.into_iter().filter(|file| file.is_file && locate::is_session(&file.name)) {
        if listable.contains(file.path.as_path()) || is_listable(env, &file.path) {
            continue;
        }
        if has_content(&file.path) {
            let mut finding =
                Finding::new(&UNLISTABLE, "its first record is damaged or incomplete").at(&file.path);
            finding.session = id_of(&file.path);
            report(finding.advise("copy the file to another place before Gemini CLI is started there"));
        }
        if let Some(short) = short_id(&file.name) {
            remains.entry(short.to_owned()).or_default().push(file.path);
        }
    }
    for known in known.iter().filter(|known| known.head.is_some()) {
        let path = &known.found.path;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(stubs) = short_id(name).and_then(|short| remains.get(short)) else { continue };
        let detail = format!("what is left of a resume lies beside it: {}", shown(stubs));
        let mut finding = Finding::of(&DOOMED, known, detail);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "jsonl"));
        let to = path.with_file_name(format!("{stem}-{}.{extension}", place::other(&known.found.id)));
        // What holds anything is not taken away.
        let is_empty = |path: &PathBuf| !has_content(path) && id_of(path).as_deref() == Some(&known.found.id);
        if !to.exists() && stubs.iter().all(is_empty) {
            let mut mends = vec![Mend::Rename { from: path.clone(), to, modified: None }];
            mends.extend(stubs.iter().map(|path| Mend::Remove { path: path.clone() }));
            finding = finding.repair(Repair::Changes(mends));
        }
        report(finding.advise("`--fix` gives it a safe name; or save it with `holdall backup DIR`"));
    }
    Ok(())
}

fn shown(paths: &[PathBuf]) -> String {
    let names = paths.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy());
    names.collect::<Vec<_>>().join(", ")
}

/// The part of a name by which the program takes files for one session's.
fn short_id(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".jsonl").or_else(|| name.strip_suffix(".json"))?;
    stem.rsplit_once('-').map(|(_, short)| short).filter(|short| short.len() == 8)
}

fn is_listable(env: &Env, path: &Path) -> bool {
    let found = locate::in_store(path).ok().flatten();
    found.is_some_and(|found: Found| matches!(head::head(env, &found), Ok(Some(_))))
}

fn id_of(path: &Path) -> Option<String> {
    locate::in_store(path).ok().flatten().map(|found| found.id)
}

/// Whether a model answered in a file.
fn has_content(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(ENOUGH).read_to_end(&mut bytes));
    let has = |text: &[u8]| memmem::find(&bytes, text).is_some();
    read.is_ok() && (has(b"\"type\":\"gemini\"") || has(b"\"type\": \"gemini\""))
}

/// When the program deletes sessions by their age and number.
struct Retention {
    age: Option<TimeDelta>,
    count: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    general: General,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct General {
    #[serde(default)]
    session_retention: Setting,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Setting {
    enabled: bool,
    max_age: Option<String>,
    max_count: Option<f64>,
    min_retention: Option<String>,
}

impl Default for Setting {
    fn default() -> Self {
        Self { enabled: true, max_age: Some("30d".to_owned()), max_count: None, min_retention: None }
    }
}

impl Retention {
    /// What the user's settings say; `None`: nothing is deleted.
    fn of(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(data.join("settings.json")).unwrap_or_default();
        let settings = serde_json::from_str::<Settings>(&text);
        Self::from(settings.map(|settings| settings.general.session_retention).unwrap_or_default())
    }

    fn from(setting: Setting) -> Option<Self> {
        if !setting.enabled {
            return None;
        }
        let least = setting.min_retention.as_deref().and_then(period).unwrap_or(TimeDelta::days(1));
        let age = match &setting.max_age {
            // What cannot be read, or is too short, turns it off.
            Some(text) => Some(period(text).filter(|age| *age >= least)?),
            None => None,
        };
        let count = match setting.max_count {
            Some(count) if count < 1.0 => return None,
            count => count.map(|count| count as usize),
        };
        (age.is_some() || count.is_some()).then_some(Self { age, count })
    }

    /// Looks at the sessions of one folder.
    fn look(&self, env: &Env, known: &[&Known], report: &mut dyn FnMut(Finding)) {
        let mut sessions: Vec<(Time, &Known)> = known
            .iter()
            .filter(|known| known.head.is_some())
            .map(|known| (updated(&known.found).unwrap_or_else(|| env.now()), *known))
            .collect();
        sessions.sort_by_key(|(updated, _)| std::cmp::Reverse(*updated));
        let advice =
            "`holdall backup DIR` keeps it; or set general.sessionRetention in settings.json, or resume it";
        for (place, (updated, known)) in sessions.into_iter().enumerate() {
            let date = self.age.and_then(|age| updated.checked_add_signed(age));
            let finding = if self.count.is_some_and(|count| place >= count) {
                let count = self.count.unwrap_or_default();
                let detail = format!("{count} newer ones are in its folder, and no more are kept");
                Finding::of(&DELETED_SOON, known, detail).on(env.now())
            } else if let Some(date) = date.filter(|date| date.signed_duration_since(env.now()) <= SOON) {
                let when = if date <= env.now() { "at its next start there" } else { "then" };
                let days = self.age.unwrap_or_default().num_days();
                let detail = format!("Gemini CLI deletes it {when} (after {days} days without an update)");
                Finding::of(&DELETED_SOON, known, detail).on(time::to_millis(date))
            } else {
                continue;
            };
            report(finding.advise(advice));
        }
    }
}

/// `12h`, `30d`, `2w`, `1m`.
fn period(text: &str) -> Option<TimeDelta> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number.parse().ok().filter(|number| *number > 0 && *number < 100_000)?;
    match unit {
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        "w" => TimeDelta::try_weeks(number),
        "m" => TimeDelta::try_days(number * 30),
        _ => None,
    }
}

/// When the program thinks that the session was updated; `None`: now.
fn updated(found: &Found) -> Option<Time> {
    let moment = |value: Any<'_>| native::text(value).and_then(|text| time::parse(&text));
    if found.path.extension().is_some_and(|extension| extension == "json") {
        let file = File::open(&found.path).ok()?;
        let index = index::index(Box::new(file), &found.path.to_string_lossy()).ok()?;
        return index.text("lastUpdated").and_then(|text| time::parse(&text));
    }
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Line<'a> {
        #[serde(borrow)]
        session_id: Any<'a>,
        #[serde(borrow)]
        last_updated: Any<'a>,
        #[serde(borrow, rename = "$set")]
        set: Any<'a>,
    }
    for tail in TAILS {
        let bytes = tail_of(&found.path, tail).ok()?;
        let mut end = bytes.len();
        while let Some(at) = memmem::rfind(&bytes[..end], b"\"lastUpdated\"") {
            let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
            let stop = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |newline| at + newline);
            let mut fixed = Vec::new();
            if let Some(line) = native::parse::<Line<'_>>(&bytes[start..stop], &mut fixed) {
                let set = native::object::<Line<'_>>(line.set);
                let is_set = set.as_ref().is_some_and(|set| {
                    set.last_updated.is_some() || bytes[start..stop].ends_with(b"\"lastUpdated\":null}}")
                });
                if is_set {
                    return set.and_then(|set| moment(set.last_updated));
                }
                if native::text(line.session_id).is_some() {
                    return moment(line.last_updated);
                }
            }
            end = start;
        }
        if bytes.len() < tail as usize {
            break;
        }
    }
    None
}

fn tail_of(path: &Path, length: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(length)))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the program finds the session in its directory. `serving` keeps which folder serves which
/// directory.
fn listed(
    data: &Path,
    folder: &str,
    known: &Known,
    serving: &mut BTreeMap<String, Option<String>>,
    report: &mut dyn FnMut(Finding),
) {
    let Some(head) = &known.head else { return };
    let Some(cwd) = head.cwd.as_deref() else {
        let detail = format!("neither a marker nor the registry says whose {folder} is");
        let advice = "start Gemini CLI in its directory once, and copy the file to the folder that it makes";
        report(Finding::of(&UNKNOWN_FOLDER, known, detail).advise(advice));
        return;
    };
    // Where there is no directory, nothing can be listed; that is told apart.
    if !Path::new(cwd).is_dir() {
        return;
    }
    let Ok(cwd) = projects::real_path(Path::new(cwd)) else { return };
    let serving = serving.entry(cwd.clone()).or_insert_with(|| projects::serving(data, &cwd).ok().flatten());
    if serving.as_deref() == Some(folder) || (serving.is_none() && projects::is_hash(folder)) {
        return;
    }
    let detail = match serving {
        Some(serving) => format!("for {cwd} Gemini CLI looks in {serving}, not in {folder}"),
        None => format!("for {cwd} Gemini CLI would make a new folder, and not look in {folder}"),
    };
    report(
        Finding::of(&OTHER_FOLDER, known, detail)
            .advise("`--fix` brings it there")
            .repair(Repair::Again { replaces: true }),
    );
}

/// The files that are looked through for damage.
///
/// # Errors
/// When a directory cannot be read.
pub fn parts(checkup: &Checkup<'_>) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (at, known) in checkup.sessions.iter().enumerate() {
        let part = |path: PathBuf| {
            let is_log = path.extension().is_some_and(|extension| extension == "jsonl");
            Part { path, form: if is_log { Form::Lines } else { Form::Document }, session: Some(at) }
        };
        parts.push(part(known.found.path.clone()));
        // An id may be any text; only a plain one is the name of a directory.
        if let Some(chats) = known.found.path.parent().filter(|_| locate::valid_id(&known.found.id)) {
            let agents = entries(&chats.join(&known.found.id))?;
            parts.extend(agents.into_iter().filter(|file| file.is_file).map(|file| part(file.path)));
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_retention() {
        let of = |json: &str| {
            Retention::from(serde_json::from_str(json).expect("JSON"))
                .map(|it| (it.age.map(|age| age.num_days()), it.count))
        };
        assert_eq!(of("{}"), Some((Some(30), None)));
        assert_eq!(of(r#"{"maxAge":"2w","maxCount":5}"#), Some((Some(14), Some(5))));
        for off in [r#"{"enabled":false}"#, r#"{"maxAge":"0d"}"#, r#"{"maxAge":"12h"}"#, r#"{"maxCount":0}"#]
        {
            assert_eq!(of(off), None, "{off}");
        }
        assert_eq!(of(r#"{"maxAge":"12h","minRetention":"1h"}"#), Some((Some(0), None)));
    }

    #[test]
    fn names_that_are_one_session() {
        assert_eq!(short_id("session-2026-11-21T13-24-42a679ed.jsonl"), Some("42a679ed"));
        assert_eq!(short_id("session-2026-11-21T13-24-42a679ed-12345678.json"), Some("12345678"));
        assert_eq!(short_id("session-x-123.json"), None);
    }
}
