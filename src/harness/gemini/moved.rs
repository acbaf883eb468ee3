//! A session whose directory moves on this machine, and what Gemini CLI keeps for a directory.

use super::locate::{self, checkpoint_tag};
use super::place;
use super::projects::Project;
use crate::error::Result;
use crate::harness::common::directory::entries;
use crate::harness::{Companion, Layout, Target};
use crate::model::{FileMeta, Time};

/// Where a session goes that stays on this machine: as one that comes from another, but the file
/// changed when it did. The program itself goes by the times in it.
///
/// # Errors
/// As [`place::native`].
pub fn place(target: &Target<'_>, files: &[FileMeta]) -> Result<Layout> {
    let mut layout = place::native(target, files)?;
    if let (Some(transcript), Some(found)) = (layout.files.first_mut(), target.existing) {
        transcript.modified = Some(Time::from(found.modified));
    }
    Ok(layout)
}

/// The prompts that were typed there, for the arrow keys.
const PROMPTS: &str = "logs.json";

/// What was saved with `/chat save`, and the prompts. The marker of the directory stays: the program
/// looks at it when it is started there again.
///
/// # Errors
/// When the directory cannot be listed.
pub fn companions(target: &Target<'_>) -> Result<Vec<Companion>> {
    let Some(chats) = target.existing.and_then(|found| found.path.parent()) else { return Ok(Vec::new()) };
    let Some(old) = chats.parent() else { return Ok(Vec::new()) };
    let data = locate::data_dir(target.env);
    let project = Project::of(target)?;
    let follows = |name: &str| name == PROMPTS || checkpoint_tag(name).is_some();
    let found = entries(old)?.into_iter().filter(|entry| entry.is_file && follows(&entry.name));
    Ok(found.map(|entry| Companion { to: project.below(&data, &entry.name), from: entry.path }).collect())
}
