//! What can be wrong with a store of Codex.
//!
//! Codex 0.169 lists threads from an index, `state_5.sqlite`. It looks through its folders once, when
//! it makes the index, and again when another program asks its server for a list; the list of `codex
//! resume` does not. A row that names a file which is gone hides the thread from that list, keeps
//! `codex resume ID` from finding it, and stays so: nothing of Codex puts it right.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::config::{self, Providers};
use super::head::Start;
use super::locate::{self, Rollout};
use super::segments::Chain;
use crate::env::Env;
use crate::error::Result;
use crate::harness::common::directory::entries;
use crate::harness::common::sqlite::{self, Snapshot};
use crate::harness::diagnosis::{Checkup, Code, Finding, Form, Known, Mend, Part, Repair, Severity};
use crate::model::rows::{Cell, Scope};
use crate::model::time;

/// The index of threads.
const INDEX: &str = "state_5.sqlite";

const NOT_INDEXED: Code = Code {
    id: "codex.not-indexed",
    severity: Severity::Warning,
    means: "the index has no row for the session, so `codex resume` does not list it",
    fix: Some("asks Codex for its list, which makes it look through its folders"),
};
const STALE_PATH: Code = Code {
    id: "codex.stale-path",
    severity: Severity::Error,
    means: "the index names a file that is not there: the session is neither listed nor resumed",
    fix: Some("the row gets the path of the file that is there"),
};
const LOST_FILE: Code = Code {
    id: "codex.lost-file",
    severity: Severity::Notice,
    means: "the index has a session of which no file is left",
    fix: None,
};
const ARCHIVED: Code = Code {
    id: "codex.archived",
    severity: Severity::Notice,
    means: "the session was archived, and Codex lists only the others",
    fix: None,
};
const PROVIDER_MISSING: Code = Code {
    id: "codex.provider-missing",
    severity: Severity::Warning,
    means: "the session's model provider is not configured: it is neither listed nor resumed",
    fix: None,
};
const OTHER_PROVIDER: Code = Code {
    id: "codex.other-provider",
    severity: Severity::Notice,
    means: "the session used another model provider than the current one, and Codex lists only those of the current one",
    fix: None,
};
const NON_INTERACTIVE: Code = Code {
    id: "codex.non-interactive",
    severity: Severity::Notice,
    means: "the session was not made in the terminal or an editor (`codex exec`, say), and Codex lists only such",
    fix: None,
};
const NO_PROMPT: Code = Code {
    id: "codex.no-prompt",
    severity: Severity::Notice,
    means: "nothing that the user said is recorded, and Codex lists no session without",
    fix: None,
};
const BAD_NAME: Code = Code {
    id: "codex.bad-name",
    severity: Severity::Warning,
    means: "a session lies under a name by which Codex does not know it: it is neither listed nor resumed",
    fix: Some("the file gets the name that Codex gives"),
};
const NO_HEAD: Code = Code {
    id: "codex.no-head",
    severity: Severity::Error,
    means: "the first record is missing or damaged, and Codex takes the file for no session",
    fix: None,
};
const NO_BASE: Code = Code {
    id: "codex.no-base",
    severity: Severity::Error,
    means: "the session continues another one whose file is not there: Codex cannot resume it",
    fix: None,
};
const TWICE: Code = Code {
    id: "codex.twice",
    severity: Severity::Warning,
    means: "two files have the session's id, and Codex goes on with only one of them",
    fix: None,
};
const INDEX_ELSEWHERE: Code = Code {
    id: "codex.index-elsewhere",
    severity: Severity::Notice,
    means: "there are two indexes, because Codex was told to keep its own in another directory: only that one counts",
    fix: None,
};

/// All kinds of findings.
pub static CODES: [Code; 13] = [
    NOT_INDEXED,
    STALE_PATH,
    LOST_FILE,
    ARCHIVED,
    PROVIDER_MISSING,
    OTHER_PROVIDER,
    NON_INTERACTIVE,
    NO_PROMPT,
    BAD_NAME,
    NO_HEAD,
    NO_BASE,
    TWICE,
    INDEX_ELSEWHERE,
];

/// Looks for what is wrong.
///
/// # Errors
/// When a directory of the store cannot be read.
pub fn diagnose(checkup: &Checkup<'_>, report: &mut dyn FnMut(Finding)) -> Result<()> {
    let home = locate::home(checkup.env);
    let files = Files::of(&home)?;
    for known in checkup.sessions {
        whole(&home, &files, known, report);
    }
    let misnamed = names(&home, &files, report)?;
    let Some(index) = index(checkup.env, &home, report) else { return Ok(()) };
    let snapshot = match Snapshot::open(&index) {
        // Damage of the database shows where all files are looked through.
        Ok(None) | Err(_) => return Ok(()),
        Ok(Some(snapshot)) => snapshot,
    };
    // A version with another index: nothing is known of what it lists.
    let Ok(rows) = rows(&snapshot) else { return Ok(()) };
    let providers = Providers::of(&home);
    for known in checkup.sessions {
        listed(&snapshot, &index, &rows, &providers, known, report);
    }
    for (id, row) in &rows.threads {
        let is_here = files.threads.contains_key(id) || misnamed.contains(id);
        if !is_here && !Path::new(&row.path).exists() {
            let mut finding = Finding::new(&LOST_FILE, format!("its file was {}", row.path)).at(&index);
            finding.session = Some(id.clone());
            report(
                finding
                    .advise("bring the file back from a backup, or let Codex forget the session")
                    .run(["codex", "delete", "--force", id]),
            );
        }
    }
    Ok(())
}

/// The rollouts of the store.
struct Files {
    threads: HashMap<String, Vec<Rollout>>,
}

impl Files {
    fn of(home: &Path) -> Result<Self> {
        let mut threads: HashMap<String, Vec<Rollout>> = HashMap::new();
        for rollout in locate::rollouts(home)? {
            threads.entry(rollout.name().thread.to_owned()).or_default().push(rollout);
        }
        Ok(Self { threads })
    }
}

/// Whether a session can be read at all.
fn whole(home: &Path, files: &Files, known: &Known, report: &mut dyn FnMut(Finding)) {
    if known.head.is_none() {
        let detail = "its first record, `session_meta`, is not there or damaged";
        report(Finding::of(&NO_HEAD, known, detail).advise("bring the file back from a backup"));
        return;
    }
    if let Err(error) = Chain::of(home, &known.found.path) {
        let finding = Finding::of(&NO_BASE, known, error.to_string());
        report(finding.advise("bring the other file back from a backup"));
    }
    // Segments of one thread continue each other, and a packed file gives way to the plain one.
    let mut plain: Vec<&Rollout> = files.threads.get(&known.found.id).into_iter().flatten().collect();
    plain.retain(|rollout| rollout.name().segment.is_none());
    let stems: HashSet<PathBuf> = plain.iter().map(|rollout| stem(&rollout.path)).collect();
    if stems.len() > 1 {
        let others = plain.iter().filter(|rollout| rollout.path != known.found.path);
        let others: Vec<String> = others.map(|rollout| rollout.path.display().to_string()).collect();
        let detail = format!("Codex goes on with this file; also there: {}", others.join(", "));
        report(
            Finding::of(&TWICE, known, detail).advise("move the files that are not wanted out of the folder"),
        );
    }
}

/// The path without the ending of a packed file.
fn stem(path: &Path) -> PathBuf {
    if locate::is_packed(path) { path.with_extension("") } else { path.to_owned() }
}

/// Looks for rollouts under names that Codex does not know; returns the sessions that they are of.
fn names(home: &Path, files: &Files, report: &mut dyn FnMut(Finding)) -> Result<HashSet<String>> {
    let mut sessions = HashSet::new();
    let mut folders = vec![home.join(locate::SESSIONS), home.join(locate::ARCHIVED)];
    while let Some(folder) = folders.pop() {
        // Three levels of dates, and one to spare; a link is not followed.
        let depth = folder.strip_prefix(home).map_or(0, |below| below.components().count());
        for entry in entries(&folder)? {
            if entry.is_dir && depth <= 4 {
                folders.push(entry.path);
            } else if entry.is_file
                && entry.name.ends_with(".jsonl")
                && locate::Name::parse(&entry.name).is_none()
            {
                let Some(finding) = misnamed(home, files, &entry.path) else { continue };
                sessions.extend(finding.session.clone());
                report(finding);
            }
        }
    }
    Ok(sessions)
}

fn misnamed(home: &Path, files: &Files, path: &Path) -> Option<Finding> {
    let meta = Start::open(path).ok()?.meta().ok()??;
    let modified = fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok()?;
    let created = meta.created.unwrap_or_else(|| time::to_millis(modified.into()));
    let to = home.join(super::place::dated_path(created, &meta.id));
    let mut finding =
        Finding::new(&BAD_NAME, "Codex knows sessions by names such as rollout-<time>-<id>.jsonl").at(path);
    finding.session = Some(meta.id.clone());
    if files.threads.contains_key(&meta.id) || to.exists() {
        return Some(finding.advise("a session of its id is there already: compare the two files"));
    }
    let rename = Mend::Rename { from: path.to_owned(), to: to.clone(), modified: None };
    Some(finding.advise(format!("rename it to {}", to.display())).repair(Repair::Changes(vec![rename])))
}

/// Where the index is; `None`: nowhere.
fn index(env: &Env, home: &Path, report: &mut dyn FnMut(Finding)) -> Option<PathBuf> {
    let (dir, by) = config::index_dir(env, home);
    let unused = home.join(INDEX);
    let index = dir.join(INDEX);
    if let Some(by) = by.filter(|_| index != unused && unused.is_file()) {
        let detail = format!("{by} names {}, so nobody reads this one", dir.display());
        report(Finding::new(&INDEX_ELSEWHERE, detail).at(&unused).advise(format!(
            "if sessions are missing in the list, take {by} away, or let Codex list them once by their ids"
        )));
    }
    index.is_file().then_some(index)
}

/// What the index says of threads.
struct Rows {
    threads: BTreeMap<String, Row>,
    /// Codex has looked through its folders since it made the index.
    is_filled: bool,
}

struct Row {
    path: String,
    archived: bool,
    source: String,
    provider: String,
    preview: String,
}

fn rows(snapshot: &Snapshot) -> Result<Rows> {
    let read = || {
        let connection = snapshot.connection();
        let sql = "SELECT id, rollout_path, source, model_provider, preview, archived FROM threads";
        let mut statement = connection.prepare(sql)?;
        let mut found = statement.query([])?;
        let mut threads = BTreeMap::new();
        while let Some(row) = found.next()? {
            let text = |column| sqlite::text(row, column).map(Option::unwrap_or_default);
            let archived = row.get::<_, Option<i64>>(5)?.unwrap_or_default() != 0;
            let (path, source, provider, preview) = (text(1)?, text(2)?, text(3)?, text(4)?);
            threads.insert(text(0)?, Row { path, archived, source, provider, preview });
        }
        let sql = "SELECT status = 'complete' FROM backfill_state";
        let is_filled = connection.query_row(sql, [], |row| row.get(0)).unwrap_or(!threads.is_empty());
        Ok(Rows { threads, is_filled })
    };
    let rows = read().map_err(|error| snapshot.error(error))?;
    snapshot.check()?;
    Ok(rows)
}

/// Whether Codex lists a session, and why not.
fn listed(
    snapshot: &Snapshot,
    index: &Path,
    rows: &Rows,
    providers: &Providers,
    known: &Known,
    report: &mut dyn FnMut(Finding),
) {
    let Some(head) = known.head.as_ref().filter(|head| head.parent.is_none()) else { return };
    let id = &known.found.id;
    let resume = ["codex", "resume", id];
    let Some(row) = rows.threads.get(id) else {
        if rows.is_filled {
            let finding = Finding::of(&NOT_INDEXED, known, "Codex does not know of it yet");
            let advice = "`--fix` lets Codex look for it; opened by its id it is listed from then on";
            report(finding.advise(advice).run(resume).repair(Repair::Ask));
        }
        return;
    };
    if !Path::new(&row.path).exists() {
        let detail = format!("the index says that it is {}", row.path);
        let mut finding = Finding::of(&STALE_PATH, known, detail);
        finding.repair = repoint(snapshot, index, known);
        report(finding.advise("`--fix` puts the path right in the index"));
        return;
    }
    if row.archived || known.found.path.iter().any(|part| part == locate::ARCHIVED) {
        let finding = Finding::of(&ARCHIVED, known, "it lies among the archived sessions");
        report(finding.run(["codex", "unarchive", id]));
        return;
    }
    if !providers.has(&row.provider) {
        let detail =
            format!("it needs the provider {:?}, which {} does not have", row.provider, "config.toml");
        let advice = format!("configure [model_providers.{}] again", row.provider);
        report(Finding::of(&PROVIDER_MISSING, known, detail).advise(advice));
        return;
    }
    if row.preview.is_empty() {
        report(Finding::of(&NO_PROMPT, known, "it has no prompt to show").run(resume));
    } else if !matches!(row.source.as_str(), "cli" | "vscode") {
        let by = head.harness_version.as_deref().unwrap_or("Codex");
        let detail = format!("it was made by {} ({by})", source(&row.source));
        let advice = "`codex resume --include-non-interactive` lists it";
        report(Finding::of(&NON_INTERACTIVE, known, detail).advise(advice).run(resume));
    } else if row.provider != providers.effective {
        let detail = format!("it used {:?}; the current one is {:?}", row.provider, providers.effective);
        report(Finding::of(&OTHER_PROVIDER, known, detail).run(resume));
    }
}

fn source(text: &str) -> String {
    if text == "exec" { "`codex exec`".to_owned() } else { format!("{text:?}") }
}

/// The row of a session with the path of the file that is there.
fn repoint(snapshot: &Snapshot, index: &Path, known: &Known) -> Option<Repair> {
    let id = &known.found.id;
    let mut row = snapshot.row("threads", "id", id).ok()??;
    let path = known.found.path.to_str()?.to_owned();
    row.values.insert("rollout_path".into(), Cell::Text(path.into()));
    let scope = Scope { table: "threads".to_owned(), column: "id".to_owned(), values: vec![id.clone()] };
    let mend =
        Mend::Rows { database: index.to_owned(), scope: vec![scope], rows: vec![row], shared: Vec::new() };
    Some(Repair::Changes(vec![mend]))
}

/// The files that are looked through for damage.
///
/// # Errors
/// When a directory cannot be read.
pub fn parts(checkup: &Checkup<'_>) -> Result<Vec<Part>> {
    let home = locate::home(checkup.env);
    let sessions: HashMap<&str, usize> =
        checkup.sessions.iter().enumerate().map(|(at, known)| (known.found.id.as_str(), at)).collect();
    let mut parts = Vec::new();
    for rollout in locate::rollouts(&home)? {
        if !rollout.name().packed {
            let session = sessions.get(rollout.name().thread).copied();
            parts.push(Part { form: Form::Lines, session, path: rollout.path });
        }
    }
    let (dir, _) = config::index_dir(checkup.env, &home);
    let index = dir.join(INDEX);
    if index.is_file() {
        parts.push(Part { path: index, form: Form::Database, session: None });
    }
    Ok(parts)
}
