//! What is told about a run of `doctor`.

use std::path::PathBuf;

use serde::Serialize;

use super::Found;
use super::codes::INTERRUPTED;
use super::repair::Fixed;
use crate::harness::diagnosis::{Code, Finding, Severity};
use crate::model::Time;
use crate::txn::{Recovered, Recovery};

/// What `doctor --json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `holdall.doctor/1`
    pub schema: &'static str,
    /// Repairs were asked for.
    pub fixed: bool,
    /// Names what was changed, for `undo`; `None` when nothing of ours was.
    pub import_id: Option<String>,
    /// What was found: harness by harness, the worst first.
    pub findings: Vec<Row>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// One finding.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its kind; [`super::codes`] has all of them.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Id of the harness that it is about; `holdall` for holdall's own.
    pub harness: &'static str,
    /// The session that it is about.
    pub session: Option<String>,
    /// That session's title. Untrusted.
    pub title: Option<String>,
    /// The file or directory that it is about.
    pub path: Option<PathBuf>,
    /// What was found, in plain words.
    pub detail: String,
    /// When something will happen.
    pub date: Option<Time>,
    /// What the user can do.
    pub advice: Option<String>,
    /// The command that does it: program and arguments.
    pub command: Option<Vec<String>>,
    /// `--fix` can put it right.
    pub fixable: bool,
    /// `--fix` has put it right.
    pub fixed: bool,
}

impl Report {
    /// The report of a run.
    pub fn new(
        fix: bool,
        recovered: Vec<Recovered>,
        found: Vec<Found>,
        fixed: Fixed,
        mut warnings: Vec<String>,
    ) -> Self {
        let mut findings: Vec<Row> = recovered.into_iter().map(|one| row_of(one, &mut warnings)).collect();
        findings.extend(found.into_iter().zip(fixed.done).map(|(found, done)| Row::new(found, done)));
        // Within one kind as they were found: session by session, in the order of a file.
        findings.sort_by(|a, b| {
            (place(a.harness), a.severity, a.code).cmp(&(place(b.harness), b.severity, b.code))
        });
        Self { schema: "holdall.doctor/1", fixed: fix, import_id: fixed.import_id, findings, warnings }
    }

    /// Whether something is left that is worse than a notice.
    pub fn is_left(&self) -> bool {
        self.findings.iter().any(|row| !row.fixed && row.severity != Severity::Notice)
    }
}

/// The order of the list of harnesses; holdall itself comes first.
fn place(harness: &str) -> usize {
    let known = crate::harness::HARNESSES.iter().position(|known| known.info().id == harness);
    known.map_or(0, |place| place + 1)
}

impl Row {
    fn new(Found { harness, finding }: Found, done: bool) -> Self {
        let Finding { code, session, title, path, detail, date, advice, command, repair } = finding;
        let Code { id, severity, .. } = *code;
        let fixable = repair.is_some() || *code == INTERRUPTED;
        let harness = harness.map_or("holdall", |harness| harness.info().id);
        Self {
            code: id,
            severity,
            harness,
            session,
            title,
            path,
            detail,
            date,
            advice,
            command,
            fixable,
            fixed: done,
        }
    }
}

/// An import that was finished or taken back just now.
fn row_of(recovered: Recovered, warnings: &mut Vec<String>) -> Row {
    let what = match recovered.how {
        Recovery::ImportFinished => "was interrupted and is complete now",
        Recovery::ImportDiscarded => "was interrupted before it changed anything; its leftovers are gone",
        Recovery::UndoFinished => "was being taken back; that is complete now",
        Recovery::UndoDiscarded => "is in place: taking it back was interrupted before it changed anything",
    };
    let left = recovered.failed.iter().map(|(label, error)| format!("{label} was left as it was: {error}"));
    warnings.extend(left);
    let saved = recovered.saved.iter();
    warnings.extend(saved.map(|saved| {
        format!("{} was continued since; what it held is kept in {}", saved.label, saved.copy.display())
    }));
    let finding = Finding::new(&INTERRUPTED, format!("import {} {what}", recovered.import_id));
    Row::new(Found { harness: None, finding }, true)
}
