//! What is told about an import.

use std::path::PathBuf;

use serde::Serialize;

use crate::model::Fidelity;

/// What `import --json` and `convert --json` print.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `holdall.import/1`
    pub schema: &'static str,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Names the import to `undo`; `None` when nothing was written.
    pub import_id: Option<String>,
    /// The archive; `None` for `convert`.
    pub archive: Option<String>,
    /// Where copies of what was replaced are; `None` when nothing was.
    pub backup_dir: Option<PathBuf>,
    /// The sessions, in the order of the archive.
    pub sessions: Vec<Row>,
    /// The repositories of the sessions, each once.
    pub repos: Vec<RepoRow>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether some session was left out for a conflict or could not be brought, or some repository
    /// or work that was asked for could not.
    pub fn is_partial(&self) -> bool {
        let failed = |row: &RepoRow| row.action == "failed" || row.work == "failed";
        self.repos.iter().any(failed)
            || self.sessions.iter().any(|row| match row.action {
                "skip" => row.reason.as_deref() != Some("identical"),
                action => action == "fail",
            })
    }
}

/// One session.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Where it comes from.
    pub source: Source,
    /// Where it goes.
    pub target: TargetRow,
    /// `create`, `update`, `replace`, `move`, `copy`, `skip` or `fail`.
    pub action: &'static str,
    /// Why, for `skip` and `fail`.
    pub reason: Option<String>,
    /// What a conversion kept, adapted and dropped.
    pub fidelity: Fidelity,
    /// What changes on disk.
    pub changes: Vec<Change>,
    /// How to go on with it; `None` when it is not there.
    pub resume: Option<ResumeRow>,
    /// How it is checked that the target can use it: `program` (the installed program lists it),
    /// `read-back` (it was read again from where it was put) or `no`. A dry run tells how the
    /// import would check.
    pub verified: &'static str,
}

/// One repository.
#[derive(Debug, Clone, Serialize)]
pub struct RepoRow {
    /// Its root at the source.
    pub root: String,
    /// The address of the remote that it is cloned from, or would be.
    pub remote: Option<String>,
    /// Its root here; `None` when it cannot be a directory of this machine.
    pub path: Option<PathBuf>,
    /// `found` (it is here), `clone` (from its remote), `clone-bundle` (from what the archive
    /// carries), `missing` (it is not here, and nobody asked to clone it) or `failed`.
    pub action: &'static str,
    /// The branch that is checked out; `None` when detached, and where there is no repository.
    pub branch: Option<String>,
    /// The commit that is checked out.
    pub commit: Option<String>,
    /// What becomes of unpushed commits and uncommitted work: `applied` (it is in the directory),
    /// `branch` (on a branch of its own), `here` (it was here before, or the commits came with the
    /// clone), `none` (there was nothing), `not-carried` (the archive does not have it), `not-asked`
    /// (it was not asked for) or `failed`.
    pub work: &'static str,
    /// The branch with the work, for `branch`.
    pub work_branch: Option<String>,
    /// Why it is so, where that needs to be said.
    pub reason: Option<String>,
}

/// A session at its source.
#[derive(Debug, Clone, Serialize)]
pub struct Source {
    /// Id of its harness.
    pub harness: String,
    /// Its id there.
    pub id: String,
    /// Its title.
    pub title: Option<String>,
    /// Its directory there.
    pub cwd: Option<String>,
}

/// A session at its target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetRow {
    /// Id of its harness; `None` when this program does not know the session's harness.
    pub harness: Option<&'static str>,
    /// Its id there.
    pub id: Option<String>,
    /// Its directory there.
    pub cwd: Option<PathBuf>,
    /// Its transcript there.
    pub path: Option<PathBuf>,
}

/// One change on disk.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// `create`, `replace`, `remove`, `append` (a line), `sqlite` (rows of a database) or `set` (a
    /// member of a JSON file).
    pub kind: &'static str,
    /// The file.
    pub path: PathBuf,
    /// How many bytes are written.
    pub bytes: u64,
}

/// A command that goes on with a session.
#[derive(Debug, Clone, Serialize)]
pub struct ResumeRow {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The directory to start it in.
    pub cwd: PathBuf,
}
