//! A session whose directory moves on this machine, and what Claude Code keeps for a directory.

use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use super::locate::{data_dir, project_name};
use super::place;
use crate::error::Result;
use crate::harness::common::directory::entries;
use crate::harness::{Companion, Layout, Target};
use crate::model::{FileMeta, Role, Time};

/// Claude Code 2.1.329 deletes what was not changed for 30 days, some minutes after it starts. A
/// session that is so old that it may go soon is left a week.
const OLDEST: TimeDelta = TimeDelta::days(23);

/// Folders of auto-memory are not deep; an endless link would be.
const DEPTH: usize = 8;

/// Where a session goes that stays on this machine.
///
/// # Errors
/// As [`place::native`].
pub fn place(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let mut layout = place::native(target, files)?;
    let Some(found) = target.existing else { return Ok(layout) };
    // `claude --continue` takes the session that changed last.
    let changed = kept(Time::from(found.modified), target.env.now());
    for file in &mut layout.files {
        if let crate::harness::OutSource::Native(index) = file.source
            && files.get(index).is_some_and(|file| file.role == Role::Transcript)
        {
            file.modified = Some(changed);
        }
    }
    Ok(layout)
}

/// The time that a transcript gets: its own, unless it is so old that the program may soon delete it.
pub fn kept(changed: Time, now: Time) -> Time {
    let floor = now - OLDEST;
    if changed >= floor {
        return changed;
    }
    // A microsecond for each second: what was older stays older.
    floor + TimeDelta::microseconds(changed.timestamp().clamp(0, 1 << 31)) - TimeDelta::microseconds(1 << 31)
}

/// The memory that the program keeps for a directory.
///
/// # Errors
/// When it cannot be listed.
pub fn companions(target: &Target<'_>) -> Result<Vec<Companion>> {
    let Some(old) = target.existing.and_then(|found| found.path.parent()) else { return Ok(Vec::new()) };
    let new = data_dir(target.env).join("projects").join(project_name(target.cwd)?);
    let mut found = Vec::new();
    collect(&old.join("memory"), DEPTH, &mut found)?;
    let companion = |from: PathBuf| {
        let to = new.join(from.strip_prefix(old).ok()?);
        Some(Companion { from, to })
    };
    Ok(found.into_iter().filter_map(companion).collect())
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in entries(dir)? {
        if entry.is_dir && depth > 0 {
            collect(&entry.path, depth - 1, found)?;
        } else if entry.is_file {
            found.push(entry.path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time;

    #[test]
    fn old_sessions_keep_their_order_and_a_week() {
        let at = |text: &str| time::parse(text).expect("a time");
        let now = at("2026-11-21T12:00:00Z");
        let recent = at("2026-11-20T12:00:00.123Z");
        assert_eq!(kept(recent, now), recent);
        let times = ["2020-01-01T00:00:00Z", "2026-10-01T00:00:00Z", "2026-10-01T00:00:05Z"];
        let kept: Vec<Time> = times.iter().map(|text| kept(at(text), now)).collect();
        assert!(kept.is_sorted() && kept[0] < kept[1] && kept[1] < kept[2], "{kept:?}");
        assert!(kept.iter().all(|time| now - *time < TimeDelta::days(24)));
    }
}
