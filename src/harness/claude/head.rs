//! What a list shows of a session, from the first and the last 64 KiB of its transcript.
//!
//! Claude Code 2.1.329 looks at the same two stretches, and writes its state records again and
//! again so that the newest of each lies in the last one. Lines are told apart by how they begin;
//! only the few that matter are parsed.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use memchr::memmem;

use super::loose::{Flag, Text, record};
use super::native::Content;
use super::text::{Spoken, classify};
use crate::error::{IoContext, Result};
use crate::harness::common::repair::repair;
use crate::harness::common::stretch::Stretch;
use crate::harness::{Facts, Found, TitleFrom};
use crate::model::{GitRef, Head, Time, time};

/// How much is read at either end (Claude Code 2.1.329).
const STRETCH: u64 = 64 << 10;

/// The program cuts a prompt to this many characters when it makes a title of it.
const TITLE: usize = 200;

record! {
    /// A record as far as a list needs it.
    Line {
        /// The record type.
        "type" => kind: Text<'a>,
        /// Id of a chain row.
        "uuid" => uuid: Text<'a>,
        /// When.
        "timestamp" => timestamp: Text<'a>,
        /// The working directory at that time.
        "cwd" => cwd: Text<'a>,
        /// The program's version.
        "version" => version: Text<'a>,
        /// The branch; `HEAD` outside of repositories and when detached.
        "gitBranch" => branch: Text<'a>,
        /// Whether the row is a sub-agent's.
        "isSidechain" => sidechain: Flag,
        /// Whether the text was put there by the program.
        "isMeta" => meta: Flag,
        /// Whether the text is the summary of a compaction.
        "isCompactSummary" => summary_row: Flag,
        /// What was said.
        "message" => message: Message<'a>,
        /// Of `custom-title`: the name that the user gave.
        "customTitle" => custom_title: Text<'a>,
        /// Of `ai-title`: the name that a model gave.
        "aiTitle" => ai_title: Text<'a>,
        /// Of `summary`.
        "summary" => summary: Text<'a>,
        /// Of `last-prompt`.
        "lastPrompt" => last_prompt: Text<'a>,
        /// Of `relocated`: where the session belongs now.
        "relocatedCwd" => relocated: Text<'a>,
    }
}

record! {
    /// A message as far as a list needs it.
    Message {
        /// The model that said it.
        "model" => model: Text<'a>,
        /// What it says.
        "content" => content: Content<'a>,
    }
}

/// What the end of a transcript tells.
#[derive(Default)]
struct Tail {
    custom_title: Option<String>,
    ai_title: Option<String>,
    summary: Option<String>,
    last_prompt: Option<String>,
    relocated: Option<String>,
    updated: Option<Time>,
    model: Option<String>,
    version: Option<String>,
    branch: Option<String>,
    /// The working directory of the first row that was read there.
    cwd: Option<String>,
    rows: bool,
}

/// The head of the session whose transcript `found` is; `None` when it is no session.
///
/// # Errors
/// When the file cannot be read.
pub fn read(found: &Found) -> Result<Option<Head>> {
    Ok(facts(found)?.map(|facts| complete(found, facts)))
}

/// What the transcript tells of the session that it is; `None` when it is none.
///
/// # Errors
/// When the file cannot be read.
pub fn facts(found: &Found) -> Result<Option<Facts>> {
    let ends = Ends::read(&found.path)?;
    let Some((mut head, mut tail)) = both(found, &ends, false) else { return Ok(None) };
    // Of a whole file the tail knows every record.
    let named = |kind| ends.last().and_then(|_| named(ends.first(), kind));
    let custom = tail.custom_title.take();
    let title = if custom.is_some() { TitleFrom::Transcript } else { TitleFrom::TranscriptOrStore };
    head.title = shown(custom)
        .or_else(|| shown(named("custom-title")))
        .or_else(|| shown(tail.ai_title.take()))
        .or_else(|| shown(named("ai-title")))
        .or_else(|| shown(tail.summary.take()))
        .or_else(|| shown(tail.last_prompt.take()))
        .or_else(|| first_prompt(ends.first()));
    take(tail, found.modified, &mut head);
    Ok(Some(Facts { head, title }))
}

/// The head of the session, with the title in the file beside the transcript.
pub fn complete(found: &Found, Facts { mut head, title }: Facts) -> Head {
    if title != TitleFrom::Transcript {
        head.title = shown(title_file(&found.path)).or(head.title);
    }
    head
}

/// A title that has something to show.
fn shown(title: Option<String>) -> Option<String> {
    title.filter(|title| !title.trim().is_empty())
}

/// The head of a sub-agent's transcript. Its title comes from elsewhere.
///
/// # Errors
/// When the file cannot be read.
pub fn read_agent(found: &Found) -> Result<Option<Head>> {
    let ends = Ends::read(&found.path)?;
    let Some((mut head, tail)) = both(found, &ends, true) else { return Ok(None) };
    take(tail, found.modified, &mut head);
    Ok(Some(head))
}

/// What the beginning and the end tell; `None` when they are of no session, or of one of a
/// sub-agent where none is wanted.
fn both(found: &Found, ends: &Ends, agent: bool) -> Option<(Head, Tail)> {
    let mut head = Head { harness: "claude".to_owned(), id: found.id.clone(), ..Head::default() };
    let begin = beginning(ends.first(), &mut head);
    let tail = ending(ends.last().unwrap_or(ends.first()), ends.last().is_none());
    match begin {
        Begin::Sidechain if !agent => None,
        Begin::Nothing if !tail.rows => None,
        _ => Some((head, tail)),
    }
}

fn take(tail: Tail, modified: SystemTime, head: &mut Head) {
    head.cwd = tail.relocated.or(head.cwd.take()).or(tail.cwd);
    head.updated = tail.updated.or_else(|| Some(time::to_millis(DateTime::<Utc>::from(modified))));
    head.model = tail.model;
    head.harness_version = tail.version.or(head.harness_version.take());
    let recorded = head.git.take().and_then(|git| git.branch);
    let branch = tail.branch.or(recorded).filter(|branch| !branch.is_empty() && branch != "HEAD");
    head.git = branch.map(|branch| GitRef { branch: Some(branch), ..GitRef::default() });
}

/// The first stretch of a transcript, and the last one when it is longer than that.
struct Ends {
    /// The whole of a file in which the stretches meet; of a longer one, both behind each other.
    bytes: Stretch,
}

impl Ends {
    fn read(path: &Path) -> Result<Self> {
        const BOTH: u64 = 2 * STRETCH;
        let file = File::open(path).at("open", path)?;
        let length = file.metadata().at("read", path)?.len();
        let once = if length <= BOTH { length } else { STRETCH };
        let mut bytes = Stretch::of(&file, 0, once as usize).at("read", path)?;
        if length > BOTH {
            bytes.add(&file, length - STRETCH, STRETCH as usize).at("read", path)?;
        }
        Ok(Self { bytes })
    }

    fn first(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(STRETCH as usize)]
    }

    fn last(&self) -> Option<&[u8]> {
        let from = self.bytes.len().checked_sub(STRETCH as usize).filter(|from| *from > 0)?;
        Some(&self.bytes[from..])
    }
}

#[derive(PartialEq, Eq)]
enum Begin {
    Session,
    Sidechain,
    Nothing,
}

/// The lines of a stretch; the last may be cut.
fn lines(stretch: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', stretch).chain([stretch.len()]);
    let mut from = 0;
    ends.map(move |end| &stretch[std::mem::replace(&mut from, end + 1)..end])
}

/// Takes what the first rows tell.
fn beginning(first: &[u8], head: &mut Head) -> Begin {
    let mut begin = Begin::Nothing;
    for bytes in lines(first) {
        with_line(bytes, |line| {
            head.created = head.created.or_else(|| line.timestamp.get().and_then(time::parse));
            if !is_row(line) {
                return;
            }
            if begin == Begin::Nothing {
                begin = if line.sidechain.0 { Begin::Sidechain } else { Begin::Session };
                head.harness_version = owned(&line.version);
                head.git =
                    owned(&line.branch).map(|branch| GitRef { branch: Some(branch), ..GitRef::default() });
            }
            head.cwd = head.cwd.take().or_else(|| owned(&line.cwd));
        });
        if head.cwd.is_some() && head.created.is_some() && begin != Begin::Nothing {
            return begin;
        }
    }
    if begin == Begin::Nothing && memmem::find(first, b"\"parentUuid\":").is_some() {
        // The first row is longer than the stretch.
        let sidechain = memmem::find(first, b"\"isSidechain\":true").is_some();
        begin = if sidechain { Begin::Sidechain } else { Begin::Session };
        head.cwd = head.cwd.take().or_else(|| string_after(first, b"\"cwd\":\""));
        head.created = head.created.or_else(|| time::parse(&string_after(first, b"\"timestamp\":\"")?));
    }
    begin
}

/// Takes what the last records tell, from the last one on.
fn ending(last: &[u8], whole: bool) -> Tail {
    let mut tail = Tail::default();
    let from = if whole { 0 } else { memchr::memchr(b'\n', last).map_or(last.len(), |at| at + 1) };
    // The program writes the directory of a row behind its message, which may be all that came before.
    let mark = b"\"cwd\":\"";
    tail.cwd = memmem::rfind(&last[..from], mark).and_then(|at| string_after(&last[at..from], mark));
    let mut rest = &last[from..];
    while !rest.is_empty() {
        let at = memchr::memrchr(b'\n', rest).map_or(0, |at| at + 1);
        let line = &rest[at..];
        rest = &rest[..at.saturating_sub(1)];
        let wanted = match begins_as(line) {
            Some(b"custom-title") => tail.custom_title.is_none(),
            Some(b"ai-title") => tail.ai_title.is_none(),
            Some(b"summary") => tail.summary.is_none(),
            Some(b"last-prompt") => tail.last_prompt.is_none(),
            Some(b"relocated") => tail.relocated.is_none(),
            Some(b"user" | b"assistant" | b"system" | b"attachment") => !tail.knows_rows(),
            None => !(tail.knows_rows() && line.starts_with(ROW)),
            Some(_) => false,
        };
        if wanted {
            with_line(line, |line| tail.take(line));
        }
    }
    tail
}

/// How the program begins a chain row.
const ROW: &[u8] = br#"{"parentUuid":"#;

/// The type of a record that begins with its type, as all state records of the program do.
fn begins_as(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(br#"{"type":""#)?;
    rest.get(..rest.len().min(64))?.split(|byte| *byte == b'"').next()
}

impl Tail {
    /// Whether rows can tell nothing more.
    fn knows_rows(&self) -> bool {
        self.updated.is_some() && self.model.is_some()
    }

    /// Takes a record; what a later one told stays.
    fn take(&mut self, line: &Line<'_>) {
        let (place, value) = match line.kind.get() {
            Some("custom-title") => (&mut self.custom_title, &line.custom_title),
            Some("ai-title") => (&mut self.ai_title, &line.ai_title),
            Some("summary") => (&mut self.summary, &line.summary),
            Some("last-prompt") => (&mut self.last_prompt, &line.last_prompt),
            Some("relocated") => (&mut self.relocated, &line.relocated),
            _ if is_row(line) => return self.take_row(line),
            _ => return,
        };
        if place.is_none() {
            *place = owned(value);
        }
    }

    fn take_row(&mut self, line: &Line<'_>) {
        self.rows = true;
        self.cwd = owned(&line.cwd).or(self.cwd.take());
        self.updated = self.updated.or_else(|| line.timestamp.get().and_then(time::parse));
        for (place, value) in [
            (&mut self.version, &line.version),
            (&mut self.branch, &line.branch),
            (&mut self.model, &line.message.model),
        ] {
            // The program names no model when it speaks itself.
            if place.is_none() && !value.is("<synthetic>") {
                *place = owned(value);
            }
        }
    }
}

fn owned(text: &Text<'_>) -> Option<String> {
    text.get().map(str::to_owned)
}

fn is_row(line: &Line<'_>) -> bool {
    line.uuid.0.is_some() && matches!(line.kind.get(), Some("user" | "assistant" | "system" | "attachment"))
}

fn with_line(bytes: &[u8], take: impl FnOnce(&Line<'_>)) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    if bytes.is_empty() {
        return;
    }
    if let Ok(line) = serde_json::from_slice(bytes) {
        take(&line);
    } else if let Some(bytes) = repair(bytes)
        && let Ok(line) = serde_json::from_slice(&bytes)
    {
        take(&line);
    }
}

/// The string value that begins behind `mark`, in a record that is cut off.
fn string_after(bytes: &[u8], mark: &[u8]) -> Option<String> {
    let at = memmem::find(bytes, mark)? + mark.len() - 1;
    let mut texts = serde_json::Deserializer::from_slice(&bytes[at..]).into_iter::<String>();
    texts.next()?.ok()
}

/// The title in the first stretch; written there by programs that do not write it again.
fn named(first: &[u8], kind: &str) -> Option<String> {
    let mark = format!("{{\"type\":\"{kind}\"");
    memmem::find(first, mark.as_bytes())?;
    let mut title = None;
    for bytes in lines(first).filter(|bytes| bytes.starts_with(mark.as_bytes())) {
        with_line(bytes, |line| {
            title = owned(&line.custom_title).or_else(|| owned(&line.ai_title)).or(title.take())
        });
    }
    title
}

/// The title in the file beside the transcript (Claude Code 2.1.329).
fn title_file(transcript: &Path) -> Option<String> {
    let path = transcript.with_extension("").join("custom-title.json");
    let size = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
    if size > STRETCH {
        return None;
    }
    let bytes = fs::read(&path).ok()?;
    let mut title = None;
    with_line(&bytes, |line| title = owned(&line.custom_title));
    title
}

/// The first thing the user said, as a title.
fn first_prompt(first: &[u8]) -> Option<String> {
    let mut title = None;
    let mut command = None;
    for bytes in lines(first) {
        if memmem::find(bytes, b"\"user\"").is_none() {
            continue;
        }
        with_line(bytes, |line| {
            if !line.kind.is("user") || line.meta.0 || line.summary_row.0 {
                return;
            }
            match &line.message.content {
                Content::Nothing => {}
                Content::Text(text) => title = prompt(text, &mut command),
                Content::Blocks(blocks) if blocks.iter().any(|block| block.kind.is("tool_result")) => {}
                Content::Blocks(blocks) => {
                    title = blocks.iter().find_map(|block| prompt(block.text.get()?, &mut command));
                }
            }
        });
        if title.is_some() {
            return title;
        }
    }
    command
}

/// A prompt as a title, by the rules of Claude Code 2.1.329. Of a slash command it is the name, and
/// only if nothing better follows.
fn prompt(text: &str, command: &mut Option<String>) -> Option<String> {
    match classify(text) {
        Spoken::Shell(line) => Some(format!("! {line}")),
        Spoken::Command(line) => {
            command.get_or_insert_with(|| line.split(' ').next().unwrap_or_default().to_owned());
            None
        }
        Spoken::Words(text) => {
            let text = text.trim().replace('\n', " ");
            let mut letters = text.strip_prefix('<').unwrap_or_default().chars();
            if letters.next().is_some_and(|letter| letter.is_ascii_lowercase()) {
                return None;
            }
            match text.char_indices().nth(TITLE) {
                Some((end, _)) => Some(format!("{}\u{2026}", text[..end].trim_end())),
                None => Some(text),
            }
        }
        _ => None,
    }
}
