//! Where sessions go on this machine.

use std::path::PathBuf;

use super::super::flavour::Flavour;
use super::super::paths::{self, MESSAGES, SESSION, TOOL_OUTPUT};
use super::children;
use super::models::{self, Models};
use super::project::{Project, real};
use super::session::Header;
use super::{ids, schema, store};
use crate::error::{Error, Kind, Result};
use crate::harness::{Growth, Layout, OutFile, OutRows, OutSource, Stored, Target};
use crate::model::rows::{Row, Scope, SharedRow};
use crate::model::{FileMeta, Role, Time};
use crate::place::shell::quoted;

/// Where a session that was the program's before goes.
///
/// # Errors
/// When a file is not one that this adapter packs, the directory is not there, or the database
/// cannot be written into.
pub fn native(flavour: &'static Flavour, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let mut builder = Builder::new(flavour, target)?;
    for (at, file) in files.iter().enumerate() {
        match Name::of(&file.path) {
            Some(Name::OfSession(id, name)) if id == target.source.id || file.agent.is_some() => {
                builder.file(&ids::moved(target, id), name, OutSource::Native(at));
            }
            Some(Name::ToolOutput) => builder.tool_output(file, at),
            _ => {
                let message = format!("{:?} is no file of a session of {}", file.path, flavour.info.name);
                return Err(Error::new(Kind::Unsupported, message));
            }
        }
    }
    builder.about_model_of_source();
    builder.finish(&target.source.id)
}

/// Where a session that another harness recorded goes.
///
/// # Errors
/// When a sub-agent's file does not say who it is, the directory is not there, or the database
/// cannot be written into.
pub fn converted(flavour: &'static Flavour, target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let mut builder = Builder::new(flavour, target)?;
    let mut has_model = true;
    for (at, file) in files.iter().enumerate() {
        match (file.role, &file.agent) {
            (Role::Attachment, _) => continue,
            (Role::Subagent, None) => {
                let message = format!("{:?} does not say whose conversation it is", file.path);
                return Err(Error::new(Kind::Unsupported, message));
            }
            (Role::Transcript | Role::Subagent, agent) => {
                let agent = agent.as_ref().filter(|_| file.role == Role::Subagent);
                let header = Header::new(flavour, target, agent)?;
                has_model = header.has_model();
                builder.file(&header.id, MESSAGES, OutSource::Converted(at));
                builder.file(&header.id, SESSION, OutSource::Text(header.file()));
            }
        }
    }
    if !has_model {
        builder.layout.warnings.push(format!(
            "no model is configured for {0} here, so the first `{0} run` in an imported session needs `-m \
             PROVIDER/MODEL`; the interactive program takes its own default",
            flavour.info.program
        ));
    }
    builder.finish(target.id)
}

/// What a file of a payload is.
#[derive(Debug, PartialEq, Eq)]
enum Name<'p> {
    /// A file of the session with this id.
    OfSession(&'p str, &'static str),
    /// A tool output that was too long for the transcript.
    ToolOutput,
}

impl<'p> Name<'p> {
    fn of(path: &'p str) -> Option<Self> {
        if let Some(name) = path.strip_prefix(TOOL_OUTPUT).and_then(|rest| rest.strip_prefix('/')) {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            let is_plain = !name.is_empty() && name.len() <= 128 && name.chars().all(plain);
            return is_plain.then_some(Self::ToolOutput);
        }
        let (id, name) = path.strip_prefix("session/")?.split_once('/')?;
        let name = [MESSAGES, SESSION].into_iter().find(|known| *known == name)?;
        ids::valid(id).then_some(Self::OfSession(id, name))
    }
}

struct Builder<'t> {
    flavour: &'static Flavour,
    target: &'t Target<'t>,
    data_dir: PathBuf,
    database: PathBuf,
    /// False: there is neither a database nor a program, and the sessions become documents.
    is_usable: bool,
    sessions: Vec<String>,
    layout: Layout,
}

impl<'t> Builder<'t> {
    fn new(flavour: &'static Flavour, target: &'t Target<'t>) -> Result<Self> {
        if !target.cwd.is_dir() && !target.options.is_coming(target.cwd) {
            let message = format!(
                "the directory {} is not there, and {} cannot resume in a directory that is not there",
                target.cwd.display(),
                flavour.info.name
            );
            return Err(Error::new(Kind::NotFound, message)
                .hint("create it, or name another one with --cwd-map OLD=NEW"));
        }
        let mut layout = Layout::default();
        if target.source.updated.is_some_and(|updated| updated > target.env.now()) {
            layout.warnings.push(format!(
                "the clock of this machine is behind that of a session's source; {} does not answer in such a session \
                 before that time has come",
                flavour.info.name
            ));
        }
        Ok(Self {
            flavour,
            target,
            data_dir: paths::data_dir(flavour, target.env),
            database: store::database(flavour, target.env)?,
            is_usable: store::is_usable(flavour, target.env),
            sessions: Vec::new(),
            layout,
        })
    }

    fn file(&mut self, session: &str, name: &'static str, source: OutSource) {
        let is_conversation = name == MESSAGES;
        if is_conversation {
            self.sessions.push(session.to_owned());
        }
        let (path, stored) = match (self.is_usable, is_conversation) {
            (true, _) => (self.data_dir.join(paths::of_session(session, name)), Stored::Rows),
            (false, true) => (handover(self.target, session), Stored::File),
            // It is in the document.
            (false, false) => return,
        };
        let growth = if is_conversation { Growth::Append } else { Growth::Replace };
        self.layout.files.push(OutFile { path, source, growth, modified: None, stored });
    }

    fn tool_output(&mut self, file: &FileMeta, at: usize) {
        self.layout.files.push(OutFile {
            path: self.data_dir.join(&file.path),
            source: OutSource::Native(at),
            growth: Growth::Replace,
            modified: file.modified,
            stored: Stored::File,
        });
    }

    /// Says so when the session goes on with another model than at its source, or may have to.
    fn about_model_of_source(&mut self) {
        let Some(source) = &self.target.source.model else { return };
        let models = Models::of(self.flavour, self.target.env, self.target.cwd);
        let source = models::of_source(self.flavour.info.id, Some(source));
        if models.knows(&source.provider, &self.database) {
            return;
        }
        let program = self.flavour.info.program;
        self.layout.warnings.push(match models.default() {
            Some(model) => format!(
                "{program} is not known to have the provider {:?} here, so sessions that used it go on with {model}",
                source.provider
            ),
            None => format!(
                "{program} is not known to have the provider {:?} here; if it has not, `{program} run` in such a session \
                 needs `-m PROVIDER/MODEL`",
                source.provider
            ),
        });
    }

    /// `transcript` is the id of the session itself, among its files.
    fn finish(mut self, transcript: &str) -> Result<Layout> {
        // The transcript is the first file.
        let own = self.data_dir.join(paths::of_session(&ids::moved(self.target, transcript), MESSAGES));
        let handed = handover(self.target, self.target.id);
        self.layout.files.sort_by_key(|file| file.path != own && file.path != handed);
        if !self.is_usable {
            self.layout.handover = Some(self.advice());
            return Ok(self.layout);
        }
        let owned = match self.database.try_exists().unwrap_or(true) {
            true => schema::owned(self.flavour, &self.database)?,
            false => schema::usual(self.flavour),
        };
        let stale = match self.target.existing {
            Some(existing) => {
                let mut stale = children::of(&self.database, &existing.id)?;
                stale.retain(|id| !self.sessions.contains(id));
                stale
            }
            None => Vec::new(),
        };
        self.layout.rows = Some(OutRows {
            database: self.database,
            scope: scope(&owned, &self.sessions),
            replaced: if stale.is_empty() { Vec::new() } else { scope(&owned, &stale) },
            shared: vec![project(&Project::of(self.flavour, &real(self.target.cwd)), self.target)],
        });
        Ok(self.layout)
    }

    fn advice(&self) -> String {
        let Flavour { info, .. } = self.flavour;
        let file = handover(self.target, self.target.id);
        let others = self.sessions.len() - 1;
        let and = if others == 0 {
            String::new()
        } else {
            format!(" (and the same for {others} files of its sub-agents beside it)")
        };
        format!(
            "{name} is not installed and has no database here; install it, then run `cd {cwd} && {program} import \
             {file}`{and}",
            name = info.name,
            program = info.program,
            cwd = quoted(&self.target.cwd.to_string_lossy()),
            file = quoted(&file.to_string_lossy()),
        )
    }
}

/// The document for the program's own import.
fn handover(target: &Target<'_>, session: &str) -> PathBuf {
    target.env.state_dir().join("handover").join(format!("{session}.json"))
}

fn scope(owned: &[(&str, &str)], sessions: &[String]) -> Vec<Scope> {
    let scope = |(table, column): &(&str, &str)| Scope {
        table: (*table).to_owned(),
        column: (*column).to_owned(),
        values: sessions.to_vec(),
    };
    owned.iter().map(scope).collect()
}

/// The row of the target's project.
pub fn project(project: &Project, target: &Target<'_>) -> SharedRow {
    project_row(project, target.source.created.or(target.source.updated).unwrap_or_default())
}

/// The row of a project, which the program makes itself when it starts there.
pub fn project_row(project: &Project, began: Time) -> SharedRow {
    let began = began.timestamp_millis();
    let row = Row::new("project")
        .with("worktree", project.root().to_string_lossy().into_owned())
        .with("vcs", project.is_repository().then_some("git"))
        .with("id", project.id.clone())
        .with("time_created", began)
        .with("time_updated", began)
        .with("sandboxes", "[]");
    let used_by =
        ["session", "workspace", "permission"].map(|table| (table.to_owned(), "project_id".to_owned()));
    SharedRow { row, key: "id".to_owned(), used_by: used_by.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_taken() {
        assert_eq!(Name::of("session/ses_1/messages.jsonl"), Some(Name::OfSession("ses_1", MESSAGES)));
        assert_eq!(Name::of("session/ses_1/session.json"), Some(Name::OfSession("ses_1", SESSION)));
        assert_eq!(Name::of("tool-output/tool_1f8aX"), Some(Name::ToolOutput));
        for path in [
            "session/ses_1/other.json",
            "session/../messages.jsonl",
            "session/ses/../x/messages.jsonl",
            "tool-output/../../x",
            "tool-output/",
            "tool-output/.x",
            "opencode.db",
        ] {
            assert_eq!(Name::of(path), None, "{path}");
        }
    }
}
