//! Copies the lines of a file with some of their values changed, however long they are.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::abridged::Abridged;
use super::jsonl::{BEGINNING, HELD};
use super::splice::Splices;

const CHUNK: usize = 256 << 10;

/// Says what changes in a record.
pub trait Changes {
    /// Whether a record may change, from its beginning.
    fn may_change(&self, beginning: &[u8]) -> bool {
        let _ = beginning;
        true
    }

    /// Puts what changes in `line`, a line with its end, into `splices`. Of a long line the long
    /// texts are left out.
    fn change(&mut self, line: &[u8], splices: &mut Splices);
}

/// Copies all lines of `input`. Memory: a few megabytes; a longer line is read twice.
///
/// # Errors
/// What `input` and `out` return, and when a long record has so many members that what changes in it
/// cannot be found.
pub fn lines(
    mut input: impl Read + Seek,
    out: &mut (impl Write + ?Sized),
    changes: &mut dyn Changes,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut splices = Splices::default();
    // What is before `written` has been written, what is before `start` has been looked at.
    let (mut written, mut start, mut end) = (0, 0, 0);
    // Offset of the buffer's first byte.
    let mut base = 0_u64;
    loop {
        let mut scanned = start;
        while let Some(at) = memchr::memchr(b'\n', &buffer[scanned..end]) {
            scanned += at + 1;
            line(&buffer, start..scanned, &mut written, changes, &mut splices, out)?;
            start = scanned;
        }
        out.write_all(&buffer[written..start])?;
        if end - start > HELD {
            let from = base + start as u64;
            base = long(&mut input, &buffer[start..end], from, changes, &mut splices, out)?;
            input.seek(SeekFrom::Start(base))?;
            (start, end) = (0, 0);
        } else {
            buffer.copy_within(start..end, 0);
            base += start as u64;
            (end, start) = (end - start, 0);
        }
        written = 0;
        if end == buffer.len() {
            let length = buffer.len() * 2;
            buffer.reserve_exact(length - buffer.len());
            buffer.resize(length, 0);
        }
        match input.read(&mut buffer[end..]) {
            Ok(0) => break,
            Ok(count) => end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if end > 0 {
        line(&buffer, 0..end, &mut written, changes, &mut splices, out)?;
    }
    out.write_all(&buffer[written..end])
}

/// Writes a line that changes; the others wait in the buffer, to be written together.
fn line(
    buffer: &[u8],
    place: Range<usize>,
    written: &mut usize,
    changes: &mut dyn Changes,
    splices: &mut Splices,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let line = &buffer[place.clone()];
    splices.clear();
    changes.change(line, splices);
    if !splices.is_empty() {
        out.write_all(&buffer[*written..place.start])?;
        splices.write(line, out)?;
        *written = place.end;
    }
    Ok(())
}

/// Copies the line at `from`, of which `held` was read; returns where it ends.
fn long(
    input: &mut (impl Read + Seek),
    held: &[u8],
    from: u64,
    changes: &mut dyn Changes,
    splices: &mut Splices,
    out: &mut (impl Write + ?Sized),
) -> io::Result<u64> {
    splices.clear();
    let mut places = Vec::new();
    if changes.may_change(&held[..BEGINNING]) {
        input.seek(SeekFrom::Start(from))?;
        let record = Abridged::read(Line { input: &mut *input, ended: false }, from)?;
        if record.is_emptied() {
            let message = format!("the record at byte {from} has too many members to find its paths");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        changes.change(record.json(), splices);
        places = splices.places(&record);
    }
    input.seek(SeekFrom::Start(from))?;
    let mut places = places.into_iter().peekable();
    let mut at = from;
    let mut input = Line { input, ended: false };
    let mut buffer = vec![0; CHUNK];
    // Up to where the old values were passed over.
    let mut passed = from;
    loop {
        let got = match input.read(&mut buffer) {
            Ok(0) => return Ok(at),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = at + got as u64;
        loop {
            let next = places.peek().map_or(end, |(place, _)| place.start.min(end));
            let begin = passed.clamp(at, end);
            out.write_all(&buffer[(begin - at) as usize..(next.max(begin) - at) as usize])?;
            passed = passed.max(next);
            match places.next_if(|(place, _)| place.start < end) {
                Some((place, json)) => {
                    out.write_all(json.as_bytes())?;
                    passed = place.end;
                }
                None => break,
            }
        }
        at = end;
    }
}

/// The rest of a line, with its end. Some of what follows it may be read along, and is lost.
struct Line<R> {
    input: R,
    ended: bool,
}

impl<R: Read> Read for Line<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let got = self.input.read(buffer)?;
        match memchr::memchr(b'\n', &buffer[..got]) {
            Some(at) => {
                self.ended = true;
                Ok(at + 1)
            }
            None => Ok(got),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::value::RawValue;

    /// Gives every `cwd` a name as long as the record asks for.
    struct Renamed;

    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        cwd: &'a RawValue,
        #[serde(borrow, default)]
        inner: Option<Box<Record<'a>>>,
    }

    impl Changes for Renamed {
        fn may_change(&self, beginning: &[u8]) -> bool {
            beginning[0] == b'{'
        }

        fn change(&mut self, line: &[u8], splices: &mut Splices) {
            let mut record = serde_json::from_slice::<Record<'_>>(line).ok().map(Box::new);
            while let Some(one) = record {
                splices.map_string(line, one.cwd, |cwd| {
                    cwd.strip_prefix("/old").map(|rest| format!("/the/new{rest}"))
                });
                record = one.inner;
            }
        }
    }

    fn copied(text: &str) -> String {
        let mut out = Vec::new();
        lines(io::Cursor::new(text.as_bytes()), &mut out, &mut Renamed).expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn values_change_wherever_they_stand_in_a_line_of_any_length() {
        let fill = |length: usize| "a \\\"word\\\" ".repeat(length / 11);
        for length in [20, CHUNK, HELD - 200, HELD, HELD + 100, HELD * 3] {
            let fill = fill(length);
            let record = format!(
                r#"{{"a":"{fill}","cwd":"/old","inner":{{"cwd":"/old/x","z":["{fill}"]}},"cwd2":"/old"}}"#
            );
            let text = format!("{record}\n{{\"cwd\":\"/old\"}}\n[{record}]\n{record}\r\n\n{record}");
            let new = record.replace("\"cwd\":\"/old", "\"cwd\":\"/the/new");
            let wanted = format!("{new}\n{{\"cwd\":\"/the/new\"}}\n[{record}]\n{new}\r\n\n{new}");
            assert!(copied(&text) == wanted, "{length}");
            // What is too long to be a path stays as it is.
            let path = format!("{{\"cwd\":\"/old{fill}\",\"inner\":null}}");
            assert!(fill.len() < HELD || copied(&path) == path, "{length}");
            // What ends too early stays as it is.
            let torn = &record[..record.len() - 2];
            assert!(
                copied(torn) == torn && copied(&format!("{torn}\nx")) == format!("{torn}\nx"),
                "{length}"
            );
        }
    }

    #[test]
    fn a_record_whose_paths_cannot_be_found_is_no_success() {
        let text = format!("{{{}\"cwd\":\"/old\"}}\n", "\"a\":1,".repeat(HELD / 2));
        let copied = lines(io::Cursor::new(text.as_bytes()), &mut io::sink(), &mut Renamed);
        assert!(copied.expect_err("refused").to_string().contains("too many members"));
    }
}
