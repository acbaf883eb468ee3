//! Whether a turn of a session is running.
//!
//! opencode 1.18 marks it nowhere: the database is shared by all its processes and is open whenever
//! one runs. So a session counts as in use when its last answer has no end and a process has the
//! database open; where processes cannot be seen, when the answer is a few minutes old at most.

use std::path::Path;
use std::time::Duration;

use rusqlite::OptionalExtension;
use serde::Deserialize;

use crate::env::Env;
use crate::error::Result;
use crate::harness::common::sqlite::Snapshot;
use crate::model::time;

/// An answer takes no longer to show a sign of life.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Why the session must not be touched; `None`: no turn is running.
///
/// # Errors
/// When the database cannot be read.
pub fn live(env: &Env, database: &Path, id: &str, name: &str) -> Result<Option<String>> {
    let Some(snapshot) = Snapshot::open(database)? else { return Ok(None) };
    let sql = "SELECT data, max(time_updated, time_created) FROM message WHERE session_id = ?1 \
               ORDER BY time_created DESC, id DESC LIMIT 1";
    let last = snapshot
        .connection()
        .query_row(sql, [id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
        .optional()
        .map_err(|error| snapshot.error(error))?;
    drop(snapshot);
    let Some((data, changed)) = last else { return Ok(None) };
    let is_recent = time::from_millis(changed).is_none_or(|changed| {
        let age = env.now().signed_duration_since(changed);
        age.to_std().is_ok_and(|age| age < PATIENCE)
    });
    if !is_unfinished(&data, is_recent) {
        return Ok(None);
    }
    Ok(match holder(database) {
        Some(Some(process)) => {
            Some(format!("its last answer has no end, and process {process} has {name}'s database open"))
        }
        Some(None) => None,
        None => is_recent.then(|| format!("its last answer has no end, so {name} may be at work in it")),
    })
}

/// Whether a turn may go on after this message, the last one.
fn is_unfinished(data: &str, is_recent: bool) -> bool {
    #[derive(Deserialize)]
    struct Last {
        role: String,
        #[serde(default)]
        time: Times,
        #[serde(default)]
        error: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        finish: Option<String>,
    }
    #[derive(Deserialize, Default)]
    struct Times {
        #[serde(default)]
        completed: Option<f64>,
    }
    let Ok(last) = serde_json::from_str::<Last>(data) else { return false };
    match last.role.as_str() {
        // A prompt that never got an answer is no sign of one.
        "user" => is_recent,
        _ if last.error.is_some() => false,
        // Another answer follows when tools were called.
        _ => last.time.completed.is_none() || (is_recent && last.finish.as_deref() == Some("tool-calls")),
    }
}

/// A process that has the database open: `Some(None)` when there is none, `None` when processes
/// cannot be seen.
fn holder(database: &Path) -> Option<Option<String>> {
    let database = database.canonicalize().ok()?;
    // The file itself may be closed while its log is open.
    let mut log = database.clone().into_os_string();
    log.push("-wal");
    let mut processes = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let process = entry.file_name().into_string().ok()?;
        process.bytes().all(|byte| byte.is_ascii_digit()).then_some((entry.path(), process))
    });
    let has_open = |dir: &Path| {
        let open = std::fs::read_dir(dir.join("fd")).into_iter().flatten().flatten();
        let mut files = open.filter_map(|file| std::fs::read_link(file.path()).ok());
        files.any(|file| file == database || file.as_os_str() == log)
    };
    // holdall itself reads the database at this moment.
    let own = std::process::id().to_string();
    Some(processes.find(|(dir, process)| *process != own && has_open(dir)).map(|(_, process)| process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_an_end_is_unfinished() {
        for (data, old, recent) in [
            (r#"{"role":"assistant","time":{"created":1,"completed":2},"finish":"stop"}"#, false, false),
            (r#"{"role":"assistant","time":{"created":1,"completed":2},"finish":"tool-calls"}"#, false, true),
            (r#"{"role":"assistant","time":{"created":1}}"#, true, true),
            (r#"{"role":"assistant","time":{"created":1},"error":{"name":"x"}}"#, false, false),
            (r#"{"role":"user","time":{"created":1}}"#, false, true),
            ("no JSON", false, false),
        ] {
            assert_eq!((is_unfinished(data, false), is_unfinished(data, true)), (old, recent), "{data}");
        }
    }
}
