//! A rollout of Codex for its new place: the path fields that the format declares, the ids when the
//! thread gets another one, and the model provider when it is not configured here.
//!
//! Codex 0.169: the directory of a thread stands in `session_meta`, in `thread_settings_applied`
//! (the last one decides where the program resumes) and in `turn_context`. `world_state` stays as
//! it is: it says what the model was told, and Codex tells the model of a directory only when it
//! differs from that.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Seek, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::config::Providers;
use super::record::{self, Kind};
use super::{locate, place};
use crate::error::{IoContext, Result};
use crate::harness::Target;
use crate::harness::common::copy::{self, Changes};
use crate::harness::common::splice::Splices;
use crate::model::FileMeta;
use crate::place::PathMap;

/// Writes the rollout for its new place. Every byte stays but for the fields that have to change.
///
/// # Errors
/// When reading or writing fails.
pub fn relocate(
    target: &Target<'_>,
    file: &FileMeta,
    input: impl Read + Seek,
    out: &mut dyn Write,
) -> Result<()> {
    copy::lines(input, out, &mut Mover::new(target, file)).at("copy", Path::new(&file.path))
}

/// Knows what a record says here.
struct Mover<'t> {
    target: &'t Target<'t>,
    paths: PathMap,
    providers: Providers,
    cwd: String,
    /// The id of the thread in this file, before and here.
    old_id: &'t str,
    new_id: String,
    /// The first line is still to come.
    is_first: bool,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    payload: Fields<'a>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thread_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parent_thread_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cwd: Option<&'a RawValue>,
    #[serde(borrow, default)]
    runtime_workspace_roots: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sandbox_policy: Option<&'a RawValue>,
    #[serde(borrow, default)]
    permission_profile: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_system_sandbox_policy: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model_provider: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model_provider_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thread_settings: Option<&'a RawValue>,
}

impl<'t> Mover<'t> {
    fn new(target: &'t Target<'t>, file: &'t FileMeta) -> Self {
        let cwd = place::cwd(target);
        let mut paths = target.paths.clone();
        if let Some(old) = &target.source.cwd {
            // A relative directory maps nothing below it; the directory itself is compared as a whole.
            let _ = paths.add(old, &cwd);
        }
        let (old_id, new_id) = match &file.agent {
            Some(agent) => (agent.id.as_str(), place::moved_child(target, &agent.id)),
            None => (target.source.id.as_str(), target.id.to_owned()),
        };
        let providers = Providers::of(&locate::home(target.env));
        Self { target, paths, providers, cwd, old_id, new_id, is_first: true }
    }

    fn is_copy(&self) -> bool {
        self.old_id != self.new_id
    }

    /// Whether a record of this kind may change.
    fn wants(&self, kind: &Kind<'_>) -> bool {
        match (&*kind.record, &*kind.payload) {
            ("session_meta" | "turn_context", _) | ("event_msg", "thread_settings_applied") => true,
            ("event_msg" | "token_usage_record", _) => self.is_copy(),
            _ => false,
        }
    }

    /// Changes the record that stands in a line.
    fn record<'a>(&self, line: &'a [u8], record: &'a [u8], splices: &mut Splices) {
        let Ok(Record { payload: fields }) = serde_json::from_slice::<Record<'a>>(record) else { return };
        // A fork by an old version has the first record of its parent in it: not this thread's.
        if fields.id.is_some_and(|id| text(id).is_some_and(|id| id != self.old_id)) {
            return;
        }
        self.paths(line, &fields, splices);
        if let Some(settings) = fields.thread_settings
            && let Ok(settings) = serde_json::from_str::<Fields<'a>>(settings.get())
        {
            self.paths(line, &settings, splices);
            // Codex 0.169 takes this for the provider of the thread, before that of the first record.
            self.provider(line, settings.model_provider_id, splices);
        }
        self.provider(line, fields.model_provider, splices);
        if self.is_copy() {
            self.ids(line, &fields, splices);
        }
    }

    fn provider(&self, line: &[u8], value: Option<&RawValue>, splices: &mut Splices) {
        if let Some(value) = value {
            splices.map_string(line, value, |name| {
                (!self.providers.has(name)).then(|| self.providers.effective.clone())
            });
        }
    }

    fn paths(&self, line: &[u8], fields: &Fields<'_>, splices: &mut Splices) {
        let values = [
            fields.cwd,
            fields.runtime_workspace_roots,
            fields.sandbox_policy,
            fields.permission_profile,
            fields.file_system_sandbox_policy,
        ];
        for value in values.into_iter().flatten() {
            each_text(value, &mut |value| splices.map_string(line, value, |path| self.path(path)));
        }
    }

    fn path(&self, old: &str) -> Option<String> {
        let new = if self.target.source.cwd.as_deref() == Some(old) {
            self.cwd.clone()
        } else {
            self.paths.map(old)?
        };
        (new != old).then_some(new)
    }

    fn ids(&self, line: &[u8], fields: &Fields<'_>, splices: &mut Splices) {
        let spawn = fields.source.and_then(|source| serde_json::from_str::<Spawned<'_>>(source.get()).ok());
        let parent = spawn.map(|source| source.subagent.thread_spawn.parent_thread_id);
        let values = [fields.id, fields.session_id, fields.thread_id, fields.parent_thread_id, parent];
        for value in values.into_iter().flatten() {
            splices.map_string(line, value, |id| {
                if id == self.target.source.id {
                    Some(self.target.id.to_owned())
                } else {
                    locate::is_uuid(id).then(|| place::moved_child(self.target, id))
                }
            });
        }
    }
}

impl Changes for Mover<'_> {
    fn may_change(&self, beginning: &[u8]) -> bool {
        // What does not begin as the program's records do is looked at more closely.
        record::quick(beginning).is_none_or(|kind| self.wants(&kind))
    }

    fn change(&mut self, line: &[u8], splices: &mut Splices) {
        let mut record = line;
        if std::mem::take(&mut self.is_first) {
            record = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if record::kind(record).is_some_and(|kind| self.wants(&kind)) {
            self.record(line, record, splices);
        }
    }
}

#[derive(Deserialize)]
struct Spawned<'a> {
    #[serde(borrow)]
    subagent: Spawn<'a>,
}

#[derive(Deserialize)]
struct Spawn<'a> {
    #[serde(borrow)]
    thread_spawn: Parent<'a>,
}

#[derive(Deserialize)]
struct Parent<'a> {
    #[serde(borrow)]
    parent_thread_id: &'a RawValue,
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok()
}

/// Calls `each` with every text in a JSON value.
fn each_text<'a>(value: &'a RawValue, each: &mut dyn FnMut(&'a RawValue)) {
    match value.get().as_bytes().first() {
        Some(b'"') => each(value),
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            values.into_iter().for_each(|value| each_text(value, each));
        }
        Some(b'{') => {
            let members: HashMap<Cow<'_, str>, &RawValue> =
                serde_json::from_str(value.get()).unwrap_or_default();
            members.into_values().for_each(|value| each_text(value, each));
        }
        _ => {}
    }
}
