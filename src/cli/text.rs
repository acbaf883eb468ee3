//! Untrusted text made safe for a terminal; times and sizes as people read them.

use std::borrow::Cow;

use chrono::{Duration, NaiveDate, NaiveTime};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::archive::manifest::Repo;
use crate::model::{Time, time};
pub use crate::place::shell::quoted;

/// Whether a character could do something to a terminal, or hide what a text says: control
/// characters, and the marks that reorder or hide text. The joiners inside emoji and words do neither.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line of untrusted text: white space becomes a space, everything unsafe a visible escape.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => clean.push(' '),
            c if is_unsafe(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// Untrusted text of several lines: line ends and tabs stay.
pub fn block(text: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| is_unsafe(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            c if is_unsafe(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// Cuts a line to `width` columns, with `…` where something is missing.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = used + c.width().unwrap_or(0);
        if next > width.saturating_sub(1) {
            break;
        }
        used = next;
        end = at + c.len_utf8();
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

/// Cuts title and directory so that both fit: the directory gets at most two fifths.
pub fn share(title: &str, dir: &str, columns: Option<usize>) -> (String, String) {
    let Some(columns) = columns else { return (title.to_owned(), dir.to_owned()) };
    let for_dir = dir.width().min(columns * 2 / 5);
    let title = cut(title, columns.saturating_sub(for_dir + 3)).into_owned();
    let left = columns.saturating_sub(title.width() + 3);
    (title, cut_front(dir, left))
}

/// Cuts a path at its front: its end tells more.
fn cut_front(path: &str, width: usize) -> String {
    if path.width() <= width {
        return path.to_owned();
    }
    let mut start = 0;
    while path[start..].width() + 1 > width {
        let Some(c) = path[start..].chars().next() else { break };
        start += c.len_utf8();
    }
    format!("…{}", &path[start..])
}

/// How long ago, in a word or two.
pub fn ago(then: Time, now: Time) -> String {
    let seconds = (now - then).num_seconds();
    match seconds {
        ..0 => then.format("%Y-%m-%d").to_string(),
        0..60 => "just now".to_owned(),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        86_400..2_592_000 => format!("{}d ago", seconds / 86_400),
        _ => then.format("%Y-%m-%d").to_string(),
    }
}

/// A size, in the unit that fits.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `1 session`, `2 sessions`.
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// What of a repository travels, such as `2 commits and 3 changed files`; `None` when nothing does.
pub fn carried(repo: &Repo) -> Option<String> {
    let carried = repo.carried.as_ref()?;
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let commits = (carried.commits > 0).then(|| count(number(carried.commits), "commit"));
    let files = carried.work.as_ref().map(|_| match repo.changed() {
        // What was counted differs from what was found: too many files, or none but staged ones.
        0 => "uncommitted work".to_owned(),
        files => count(number(files), "changed file"),
    });
    match (commits, files) {
        (Some(commits), Some(files)) => Some(format!("{commits} and {files}")),
        (commits, files) => commits.or(files),
    }
}

/// A path below the home directory, with `~` for it.
pub fn fold_home(path: &str, home: &str) -> String {
    match path.strip_prefix(home) {
        Some("") => "~".to_owned(),
        Some(rest) if rest.starts_with('/') => format!("~{rest}"),
        _ => path.to_owned(),
    }
}

/// Reads `7d`, `12h`, `30m`, `2w`, a date (midnight UTC) or RFC 3339.
pub fn parse_when(text: &str, now: Time) -> Option<Time> {
    if let Some(time) = time::parse(text) {
        return Some(time);
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Some(date.and_time(NaiveTime::MIN).and_utc());
    }
    let unit = text.chars().next_back()?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|number| *number >= 0)?;
    let back = match unit {
        'm' => Duration::try_minutes(number),
        'h' => Duration::try_hours(number),
        'd' => Duration::try_days(number),
        'w' => Duration::try_weeks(number),
        _ => None,
    }?;
    now.checked_sub_signed(back)
}

/// Reads a size: bytes, or with K, M, G or T so many times 1024; `B` or `iB` may follow.
///
/// # Errors
/// When it is no size; the text is for clap.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.len() - lower.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim_start().trim_end_matches('b').trim_end_matches('i') {
        "" if !unit.contains('i') => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => 64,
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1_u64.checked_shl(shift)?));
    size.ok_or_else(|| "expected a size such as 500M or 1G".to_owned())
}

/// Reads `OLD=NEW`.
///
/// # Errors
/// When there is no `=` or a side is empty; the text is for clap.
pub fn parse_rule(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("expected OLD=NEW, two directories".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unsafe_reaches_the_terminal() {
        assert_eq!(line("a\x1b[31mb\nc\u{202e}d"), "a\\u{1b}[31mb c\\u{202e}d");
        assert_eq!(block("a\r\nb\tc\rd\x07"), "a\nb\tc\\u{d}d\\u{7}");
        assert_eq!(line("plain é 漢字 👩\u{200d}👧"), "plain é 漢字 👩\u{200d}👧");
    }

    #[test]
    fn cut_counts_columns() {
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("abcd", 0), "…");
    }

    #[test]
    fn whens() {
        let now = time::parse("2026-11-20T12:00:00Z").expect("a time");
        let when = |text| parse_when(text, now).map(time::rfc3339);
        assert_eq!(when("7d").as_deref(), Some("2026-11-13T12:00:00.000Z"));
        assert_eq!(when("12h").as_deref(), Some("2026-11-20T00:00:00.000Z"));
        assert_eq!(when("2026-11-01").as_deref(), Some("2026-11-01T00:00:00.000Z"));
        assert_eq!(when("2026-11-01T01:00:00+01:00").as_deref(), Some("2026-11-01T00:00:00.000Z"));
        for bad in ["", "d", "-1d", "7y", "soon", "99999999999999999d", "7é"] {
            assert_eq!(when(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512b", 512),
            ("1k", 1024),
            ("500M", 500 << 20),
            ("1G", 1 << 30),
            ("1 GiB", 1 << 30),
            ("2tb", 2 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "-1", "1.5G", "1X", "1i", "99999999999G", "1GG", "1bib", "ten"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_ages() {
        assert_eq!(
            (size(999), size(1000), size(12_345), size(999_999)),
            ("999 B".into(), "1.0 kB".into(), "12 kB".into(), "1.0 MB".into())
        );
        let now = time::parse("2026-11-20T12:00:00Z").expect("a time");
        let at = |text| ago(time::parse(text).expect("a time"), now);
        assert_eq!(at("2026-11-20T11:59:30Z"), "just now");
        assert_eq!(at("2026-11-20T09:00:00Z"), "3h ago");
        assert_eq!(at("2026-11-17T09:00:00Z"), "3d ago");
        assert_eq!(at("2026-01-17T09:00:00Z"), "2026-01-17");
    }

    #[test]
    fn long_titles_and_paths_share_the_line() {
        assert_eq!(share("short", "~/a", Some(40)), ("short".into(), "~/a".into()));
        let (title, dir) = share(&"t".repeat(100), &"/very/long".repeat(10), Some(50));
        assert_eq!((title.chars().count(), dir.chars().count()), (27, 20));
        assert!(title.ends_with('…') && dir.starts_with('…'));
    }
}
