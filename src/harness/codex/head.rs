//! The head of a thread, from bounded reads at the beginning and the end of its file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::meta::Meta;
use super::native::{Line, TurnContext, UiEvent};
use super::segments::Chain;
use super::{filter, index, locate, packed, record};
use crate::error::{IoContext, Result};
use crate::harness::common::stretch::Stretch;
use crate::harness::{Facts, Found, TitleFrom};
use crate::model::{Head, Time, time};

/// The first record and the first prompt are looked for in so many bytes, growing.
const HEAD: usize = 32 << 10;
const HEAD_LIMIT: usize = 256 << 10;
/// The last record is looked for in so many bytes, growing.
const TAIL: usize = 16 << 10;
const TAIL_LIMIT: usize = 1 << 20;
/// A title is one line of at most so many characters.
const TITLE: usize = 200;

/// The head of a thread; `None`: the file is no rollout.
///
/// # Errors
/// When it cannot be read.
pub fn head(home: &Path, found: &Found) -> Result<Option<Head>> {
    facts(found)?.map(|facts| complete(home, found, facts)).transpose()
}

/// What the file of a thread tells; `None`: it is no rollout.
///
/// # Errors
/// When it cannot be read.
pub fn facts(found: &Found) -> Result<Option<Facts>> {
    let mut start = Start::open(&found.path)?;
    let Some(meta) = start.meta()? else { return Ok(None) };
    // A fork or revert begins with the turns of another file.
    let (title, from) = match meta.base {
        Some(_) => (None, TitleFrom::Elsewhere),
        None => (start.prompt()?, TitleFrom::TranscriptOrStore),
    };
    let end = End::read(found, Some(&start))?;
    let model = end.model.or_else(|| last_model(&start.bytes));
    let head = Head {
        harness: super::INFO.id.to_owned(),
        id: found.id.clone(),
        title,
        parent: parent(&meta),
        cwd: meta.cwd,
        created: meta.created,
        updated: end.updated.or_else(|| Some(time::to_millis(found.modified.into()))),
        model,
        harness_version: meta.version,
        git: meta.git,
    };
    Ok(Some(Facts { head, title: from }))
}

/// The head of a thread, with the name that the index gives it, or the prompt that it begins with.
///
/// # Errors
/// When the index or the file cannot be read.
pub fn complete(home: &Path, found: &Found, Facts { mut head, title }: Facts) -> Result<Head> {
    if let Some(name) = index::line(home, &found.id)?.as_deref().and_then(index::name) {
        head.title = Some(name);
    } else if title == TitleFrom::Elsewhere {
        head.title = first_prompt(home, found)?;
    }
    Ok(head)
}

/// The thread that a sub-agent belongs to. Reviews and the like do not say; they are nobody's own
/// session either.
fn parent(meta: &Meta) -> Option<String> {
    let root = meta.session_id.as_ref().filter(|root| **root != meta.id);
    if !meta.subagent && meta.parent.is_none() {
        return None;
    }
    meta.parent.as_ref().or(root).cloned().or_else(|| Some(meta.id.clone()))
}

/// What Codex shows for a thread without a name: its first prompt, in one line. That of a fork or revert
/// is in the file that it continues.
fn first_prompt(home: &Path, found: &Found) -> Result<Option<String>> {
    let chain = Chain::of(home, &found.path).ok();
    if let Some(first) = chain.as_ref().and_then(Chain::first)
        && let Some(title) = Start::open(first)?.prompt()?
    {
        return Ok(Some(title));
    }
    Start::open(&found.path)?.prompt()
}

/// The beginning of a file.
pub struct Start {
    input: Input,
    path: PathBuf,
    bytes: Stretch,
    ended: bool,
}

enum Input {
    /// A compressed file.
    Packed(Box<dyn Read>),
    /// A file, and its size.
    Plain(u64, File),
}

impl Start {
    /// Opens a rollout, compressed or not.
    ///
    /// # Errors
    /// When it cannot be opened, or is not compressed as its name says.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).at("open", path)?;
        let input = if locate::is_packed(path) {
            Input::Packed(packed::unpack(file).at("unpack", path)?)
        } else {
            Input::Plain(file.metadata().at("look at", path)?.len(), file)
        };
        Ok(Self { input, path: path.to_owned(), bytes: Stretch::default(), ended: false })
    }

    /// Reads on until there are `length` bytes, or all.
    fn fill(&mut self, length: usize) -> Result<()> {
        let old = self.bytes.len();
        if self.ended || length <= old {
            return Ok(());
        }
        let wanted = length - old;
        match &mut self.input {
            Input::Packed(input) => {
                let got = self.bytes.fill(wanted, |buffer, _| input.read(buffer)).at("read", &self.path)?;
                self.ended = got < wanted;
            }
            Input::Plain(size, file) => {
                let left = usize::try_from(size.saturating_sub(old as u64)).unwrap_or(usize::MAX);
                // Where the beginning and the end meet, one read of more than there is does for both.
                let wanted = if left <= wanted + TAIL { left + 1 } else { wanted };
                let got = self.bytes.add(file, old as u64, wanted.min(left)).at("read", &self.path)?;
                self.ended = got < wanted;
            }
        }
        Ok(())
    }

    /// The first record.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn meta(&mut self) -> Result<Option<Meta>> {
        self.fill(HEAD)?;
        loop {
            let mut cut = false;
            for (line, whole) in lines(&self.bytes) {
                match Meta::read(line) {
                    Some(_) if !whole && !self.ended && self.bytes.len() < HEAD_LIMIT => cut = true,
                    Some(meta) => return Ok(Some(meta)),
                    None => continue,
                }
                break;
            }
            if !cut {
                return Ok(None);
            }
            self.fill(self.bytes.len() * 2)?;
        }
    }

    /// The first prompt that an event tells of, as a title.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn prompt(&mut self) -> Result<Option<String>> {
        let mut from = 0;
        let mut length = HEAD;
        loop {
            self.fill(length)?;
            let searched = memchr::memrchr(b'\n', &self.bytes).map_or(0, |newline| newline + 1);
            if let Some(title) = find_prompt(&self.bytes[from.min(searched)..searched]) {
                return Ok(Some(title));
            }
            if self.ended || length >= HEAD_LIMIT {
                return Ok(None);
            }
            from = searched;
            length *= 2;
        }
    }
}

/// The lines of a beginning, and whether each is whole.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let newline = memchr::memchr(b'\n', rest);
        let (line, later) = rest.split_at(newline.unwrap_or(rest.len()));
        rest = later.get(1..).unwrap_or_default();
        Some((line, newline.is_some()))
    })
}

/// Parses only the lines of the two events that tell of a prompt.
fn find_prompt(bytes: &[u8]) -> Option<String> {
    lines(bytes).find_map(|(line, _)| prompt_of(line))
}

fn prompt_of(line: &[u8]) -> Option<String> {
    let kind = record::kind_among(line, &[b"\"user_message\"", b"\"UserMessage\""])?;
    if !matches!((&*kind.payload, &*kind.item), ("user_message", _) | ("item_completed", "UserMessage")) {
        return None;
    }
    let mut fixed = Vec::new();
    let event = record::parse::<Line<'_, UiEvent<'_>>>(line, &mut fixed)?.payload;
    let text = event.item.and_then(|item| item.user_text());
    let text = text.as_deref().or(event.message.as_deref())?;
    title(filter::request(text))
}

fn title(text: &str) -> Option<String> {
    let mut title = String::new();
    for word in text.split_whitespace() {
        if !title.is_empty() {
            title.push(' ');
        }
        title.push_str(word);
        if title.len() > TITLE * 4 {
            break;
        }
    }
    if let Some((at, _)) = title.char_indices().nth(TITLE) {
        title.truncate(at);
        title.push('…');
    }
    (!title.is_empty()).then_some(title)
}

/// The time of the last record, as far as the end of the file tells.
///
/// # Errors
/// When it cannot be read.
pub fn last_time(found: &Found) -> Result<Option<Time>> {
    End::read(found, None).map(|end| end.updated)
}

/// What the end of a file tells.
#[derive(Default)]
struct End {
    updated: Option<Time>,
    model: Option<String>,
}

impl End {
    /// A compressed file tells nothing without unpacking all of it.
    fn read(found: &Found, start: Option<&Start>) -> Result<Self> {
        if locate::is_packed(&found.path) {
            return Ok(Self::default());
        }
        if let Some(start) = start.filter(|start| start.ended) {
            return Ok(Self::of(&start.bytes));
        }
        let opened;
        let (size, file) = match start.map(|start| &start.input) {
            Some(Input::Plain(size, file)) => (*size, file),
            _ => {
                opened = File::open(&found.path).at("open", &found.path)?;
                (opened.metadata().at("look at", &found.path)?.len(), &opened)
            }
        };
        let mut length = TAIL;
        loop {
            let wanted = length.min(usize::try_from(size).unwrap_or(usize::MAX));
            let bytes = Stretch::of(file, size - wanted as u64, wanted).at("read", &found.path)?;
            let end = Self::of(&bytes);
            if end.updated.is_some() || length >= TAIL_LIMIT || wanted < length {
                return Ok(end);
            }
            length *= 8;
        }
    }

    fn of(bytes: &[u8]) -> Self {
        let mut end = bytes.len();
        let mut updated = None;
        while updated.is_none() && end > 0 {
            let start = memchr::memrchr(b'\n', &bytes[..end - 1]).map_or(0, |newline| newline + 1);
            updated = record::timestamp(&bytes[start..end]).and_then(time::parse);
            end = start;
        }
        Self { updated, model: last_model(bytes) }
    }
}

/// The model of the last turn in `bytes`.
fn last_model(bytes: &[u8]) -> Option<String> {
    let is_turn = |line: &[u8]| {
        record::kind_among(line, &[b"\"turn_context\""]).is_some_and(|kind| kind.record == "turn_context")
    };
    // Searching forward is many times faster than searching backward.
    let turns: Vec<&[u8]> = lines(bytes).map(|(line, _)| line).filter(|line| is_turn(line)).collect();
    turns.into_iter().rev().find_map(|line| {
        let mut fixed = Vec::new();
        let turn = record::parse::<Line<'_, TurnContext<'_>>>(line, &mut fixed)?.payload;
        turn.model.map(|model| model.0.into_owned())
    })
}
