//! A session of the program for its new place: the path fields that the format declares, the
//! project, the ids when the session gets another one, and the model when it is not there.
//!
//! What the model was told stays as it is, paths in it too. Snapshots of files (`snapshot`, `hash`)
//! stay, although their objects are in another place: the program then cannot undo those changes,
//! and says so. A pending `revert` stays: the program drops what it hides when the user goes on.

use std::borrow::Cow;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::flavour::Flavour;
use super::super::paths::{self, MESSAGES, SESSION};
use super::document::Messages;
use super::members::Members;
use super::models::{self, Models};
use super::project::{Project, real};
use super::session::Header;
use super::{ids, store};
use crate::error::{Error, IoContext, Kind, Result};
use crate::harness::Target;
use crate::harness::common::jsonl::{Lines, MAX_LINE};
use crate::harness::common::splice::Splices;
use crate::harness::common::sqlite::{self, Snapshot};
use crate::model::FileMeta;
use crate::place::PathMap;

/// Writes file `file` for its new place.
///
/// # Errors
/// When reading or writing fails.
pub fn relocate(
    flavour: &'static Flavour,
    target: &Target<'_>,
    file: &FileMeta,
    input: impl Read + Seek,
    out: &mut dyn Write,
) -> Result<()> {
    match file.path.rsplit_once('/').map(|(_, name)| name) {
        Some(MESSAGES) => messages(flavour, target, file, input, out),
        Some(SESSION) => session(flavour, target, file, input, out),
        _ => copy(input, out).at("copy", Path::new(&file.path)),
    }
}

fn copy(mut input: impl Read, out: &mut dyn Write) -> io::Result<()> {
    io::copy(&mut input, out).map(drop)
}

fn messages(
    flavour: &'static Flavour,
    target: &Target<'_>,
    file: &FileMeta,
    input: impl Read + Seek,
    out: &mut dyn Write,
) -> Result<()> {
    let place = Path::new(&file.path);
    let mover = Mover::new(flavour, target, file);
    let header = if store::is_usable(flavour, target.env) {
        None
    } else {
        let mut header = Header::new(flavour, target, file.agent.as_ref())?;
        header.id.clone_from(&mover.new_id);
        Some(header)
    };
    let mut out = Messages::begin(out, &mover.new_id, header.as_ref())?;
    let mut lines = Lines::new(input, 0);
    let mut splices = Splices::default();
    while let Some(line) = lines.next_wanted(|_| true).at("read", place)? {
        if line.cut {
            let (length, most) = (line.length >> 20, MAX_LINE >> 20);
            let what =
                format!("a message has {length} MiB; the longest that goes into a database has {most} MiB");
            return Err(Error::new(Kind::Unsupported, what));
        }
        splices.clear();
        mover.message(line.bytes, &mut splices);
        out.message_by(|out| {
            splices.write(line.bytes, out)?;
            out.write_all(if line.complete { b"\n" } else { b"" })
        })?;
    }
    out.finish()
}

/// Knows what a record says here.
struct Mover<'t> {
    flavour: &'static Flavour,
    target: &'t Target<'t>,
    paths: PathMap,
    /// The directory of the session here.
    cwd: PathBuf,
    old_id: String,
    new_id: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    info: Fields<'a>,
    #[serde(borrow, default)]
    parts: Vec<Fields<'a>>,
}

/// The members that may change, of a message, of a part and of what is inside a part.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "sessionID")]
    session_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "messageID")]
    message_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "parentID")]
    parent_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tail_start_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    path: Option<&'a RawValue>,
    #[serde(borrow, default)]
    state: Option<&'a RawValue>,
}

/// `path` of an answer.
#[derive(Deserialize)]
pub(super) struct Paths<'a> {
    /// The directory that it was made in.
    #[serde(borrow, default)]
    pub cwd: Option<&'a RawValue>,
    /// The working tree that this is in.
    #[serde(borrow, default)]
    pub root: Option<&'a RawValue>,
}

impl<'t> Mover<'t> {
    fn new(flavour: &'static Flavour, target: &'t Target<'t>, file: &FileMeta) -> Self {
        let cwd = real(target.cwd);
        let mut paths = target.paths.clone();
        if let Some(old) = &target.source.cwd {
            // A relative directory maps nothing below it; the directory itself is compared as a whole.
            let _ = paths.add(old, &cwd.to_string_lossy());
        }
        let mut names = file.path.split('/').rev().skip(1);
        let old_id = names.next().unwrap_or_default().to_owned();
        let new_id = ids::moved(target, &old_id);
        Self { flavour, target, paths, cwd, old_id, new_id }
    }

    fn is_copy(&self) -> bool {
        self.old_id != self.new_id
    }

    fn stays(&self) -> bool {
        self.target.source.cwd.as_deref().map(Path::new) == Some(&*self.cwd)
    }

    fn message<'a>(&self, line: &'a [u8], splices: &mut Splices) {
        if self.stays() && !self.is_copy() {
            return;
        }
        let Ok(Line { info, parts }) = serde_json::from_slice::<Line<'a>>(line) else { return };
        if let Some(path) = info.path.filter(|_| !self.stays()) {
            self.paths(line, path, splices);
        }
        if !self.is_copy() {
            return;
        }
        self.ids(line, &info, splices);
        for part in &parts {
            self.ids(line, part, splices);
            if let Some(state) = part.state {
                self.state(line, state, splices);
            }
        }
    }

    /// `path` of an answer: the directory it was made in, and the working tree that is in.
    fn paths<'a>(&self, line: &[u8], path: &'a RawValue, splices: &mut Splices) {
        let Ok(Paths { cwd, root }) = serde_json::from_str::<Paths<'a>>(path.get()) else { return };
        if let Some(cwd) = cwd {
            splices.map_string(line, cwd, |old| self.path(old));
        }
        if let Some(root) = root {
            splices.map_string(line, root, |old| {
                let cwd = self.target.source.cwd.as_deref()?;
                let is_above = crate::place::flavour::Flavour::of(old)
                    .is_some_and(|flavour| flavour.below(cwd, old).is_some());
                let new = if is_above {
                    let project = Project::of(self.flavour, &self.cwd);
                    project.worktree.to_string_lossy().into_owned()
                } else {
                    self.path(old)?
                };
                (new != old).then_some(new)
            });
        }
    }

    fn path(&self, old: &str) -> Option<String> {
        let new = if self.target.source.cwd.as_deref() == Some(old) {
            self.cwd.to_string_lossy().into_owned()
        } else {
            self.paths.map(old)?
        };
        (new != old).then_some(new)
    }

    fn ids(&self, line: &[u8], fields: &Fields<'_>, splices: &mut Splices) {
        for own in
            [fields.id, fields.message_id, fields.parent_id, fields.tail_start_id].into_iter().flatten()
        {
            splices.map_string(line, own, |old| Some(ids::copied(&self.new_id, old)));
        }
        if let Some(session) = fields.session_id {
            splices.map_string(line, session, |_| Some(self.new_id.clone()));
        }
    }

    /// The state of a call: images in its result are parts themselves, and a call that started a
    /// sub-agent names its session.
    fn state<'a>(&self, line: &[u8], state: &'a RawValue, splices: &mut Splices) {
        #[derive(Deserialize)]
        struct State<'a> {
            #[serde(borrow, default)]
            attachments: Vec<Fields<'a>>,
            #[serde(borrow, default)]
            metadata: Option<&'a RawValue>,
        }
        let Ok(State { attachments, metadata }) = serde_json::from_str::<State<'a>>(state.get()) else {
            return;
        };
        for attachment in &attachments {
            self.ids(line, attachment, splices);
        }
        let metadata = metadata.map_or(Members(Vec::new()), |metadata| Members::of(metadata.get()));
        for name in ["sessionId", "parentSessionId"] {
            if let Some(value) = metadata.get(name) {
                splices.map_string(line, value, |id| ids::valid(id).then(|| ids::moved(self.target, id)));
            }
        }
    }
}

fn session(
    flavour: &'static Flavour,
    target: &Target<'_>,
    file: &FileMeta,
    mut input: impl Read,
    out: &mut dyn Write,
) -> Result<()> {
    let place = Path::new(&file.path);
    let mut json = String::new();
    input.read_to_string(&mut json).at("read", place)?;
    let whole = Members::of(&json);
    let info = whole.inner("info");
    let mover = Mover::new(flavour, target, file);
    let mut bytes = b"{\"info\":".to_vec();
    let changes = changes(&mover, &info);
    write_changed(&info, &changes, &mut bytes).at("write", place)?;
    for (name, value) in whole.0.iter().filter(|(name, _)| name != "info") {
        bytes.push(b',');
        serde_json::to_writer(&mut bytes, name).map_err(io::Error::from).at("write", place)?;
        bytes.push(b':');
        bytes.extend_from_slice(value.get().as_bytes());
    }
    bytes.push(b'}');
    out.write_all(&bytes).at("write", place)
}

/// A member and its new value; `None`: it goes.
type Change = (&'static str, Option<String>);

fn changes(mover: &Mover<'_>, info: &Members<'_>) -> Vec<Change> {
    let Mover { flavour, target, new_id, .. } = mover;
    let text = |text: &str| serde_json::to_string(text).ok();
    let directory = directory(mover, info);
    let project = Project::of(flavour, &directory);
    let mut changes = vec![
        ("id", text(new_id)),
        ("projectID", text(&project.id)),
        ("directory", text(&directory.to_string_lossy())),
    ];
    if !mover.stays() || info.get("path").is_some() {
        changes.push(("path", text(&project.path(&directory))));
    }
    if let Some(parent) = info.text("parentID").filter(|id| ids::valid(id)) {
        changes.push(("parentID", text(&ids::moved(target, &parent))));
    }
    // Both mean something only where they were made.
    let there = Kept::of(mover, info);
    if info.inner("share").text("url").as_deref() != there.share.as_deref() {
        changes.push(("share", None));
    }
    if info.text("workspaceID").as_deref() != there.workspace.as_deref() {
        changes.push(("workspaceID", None));
    }
    if mover.is_copy() && info.get("revert").is_some() {
        changes.push(("revert", reverted(&info.inner("revert"), new_id)));
    }
    if let Some(provider) = info.inner("model").text("providerID") {
        let models = Models::of(flavour, target.env, target.cwd);
        let known = paths::database(flavour, target.env).is_none_or(|path| models.knows(&provider, &path));
        if let (false, Some(models::Model { provider, model })) = (known, models.default()) {
            let model = serde_json::json!({"id": model, "providerID": provider});
            changes.push(("model", Some(model.to_string())));
        }
    }
    changes
}

/// The directory of the session here. A sub-agent may have worked somewhere else than its parent.
fn directory(mover: &Mover<'_>, info: &Members<'_>) -> PathBuf {
    let here = &*mover.cwd;
    let old = info.text("directory").unwrap_or_default();
    let Some(other) = mover.path(&old).map(PathBuf::from).filter(|other| other != here && other.is_dir())
    else {
        return here.to_owned();
    };
    // The rows hold one project.
    let is_same = Project::of(mover.flavour, &other).id == Project::of(mover.flavour, here).id;
    if is_same { other } else { here.to_owned() }
}

/// `revert` with the ids of the copy.
fn reverted(revert: &Members<'_>, session: &str) -> Option<String> {
    let id = |name: &'static str| {
        let copied = ids::copied(session, &revert.text(name)?);
        Some((name, serde_json::to_string(&copied).ok()))
    };
    let mut bytes = Vec::new();
    let changes: Vec<Change> = ["messageID", "partID"].into_iter().filter_map(id).collect();
    write_changed(revert, &changes, &mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// What the session that is here has of the things that mean something only where they were made.
#[derive(Default)]
struct Kept {
    share: Option<String>,
    workspace: Option<String>,
}

impl Kept {
    fn of(mover: &Mover<'_>, info: &Members<'_>) -> Self {
        let asks = info.get("share").is_some() || info.get("workspaceID").is_some();
        let found = mover.target.existing.filter(|_| asks);
        // What cannot be read is not there.
        found.and_then(|found| Self::read(&found.path, &mover.new_id).ok().flatten()).unwrap_or_default()
    }

    fn read(database: &Path, id: &str) -> Result<Option<Self>> {
        let Some(snapshot) = Snapshot::open(database)? else { return Ok(None) };
        let sql = "SELECT share_url, workspace_id FROM session WHERE id = ?1";
        let row = snapshot.connection().query_row(sql, [id], |row| {
            Ok(Self { share: sqlite::text(row, 0)?, workspace: sqlite::text(row, 1)? })
        });
        row.map(Some).map_err(|error| snapshot.error(error))
    }
}

/// Writes the object with its changes; what is new comes at its place in the program's own order.
fn write_changed(members: &Members<'_>, changes: &[Change], out: &mut Vec<u8>) -> io::Result<()> {
    let change = |name: &str| changes.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_deref());
    let mut texts: Vec<(Cow<'_, str>, &str)> = Vec::with_capacity(members.0.len() + 1);
    for (name, value) in &members.0 {
        match change(name) {
            Some(Some(new)) => texts.push((name.clone(), new)),
            Some(None) => {}
            None => texts.push((name.clone(), value.get())),
        }
        if name == "directory"
            && !members.0.iter().any(|(name, _)| name == "path")
            && let Some(Some(path)) = change("path")
        {
            texts.push((Cow::Borrowed("path"), path));
        }
    }
    let mut separator = b'{';
    for (name, value) in texts {
        out.push(separator);
        serde_json::to_writer(&mut *out, &name)?;
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
        separator = b',';
    }
    out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
    Ok(())
}
