//! Replaces values inside a record and leaves every other byte as it was.
//!
//! Re-serialising would change number spellings, escapes and key order, and some harnesses sign or
//! hash what they wrote. So a relocator borrows the values it wants to change from the line
//! (`&RawValue`), and their place in the line is the place to write.

use std::io::{self, Write};
use std::ops::Range;

use serde_json::value::RawValue;

use super::abridged::Abridged;

/// Replacements in one record.
#[derive(Debug, Default)]
pub struct Splices(Vec<(Range<usize>, String)>);

impl Splices {
    /// Forgets all replacements, to start with the next record.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether the record stays as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces `value`, which was borrowed from `record`, by the JSON text `json`.
    ///
    /// # Panics
    /// When `value` does not lie inside `record`: a bug of the caller.
    pub fn replace(&mut self, record: &[u8], value: &RawValue, json: String) {
        let start = (value.get().as_ptr() as usize).wrapping_sub(record.as_ptr() as usize);
        let end = start.wrapping_add(value.get().len());
        assert!(start <= end && end <= record.len(), "the value is borrowed from the record");
        self.0.push((start..end, json));
    }

    /// Replaces `value` if it is a JSON string for which `map` has another text.
    pub fn map_string(&mut self, record: &[u8], value: &RawValue, map: impl FnOnce(&str) -> Option<String>) {
        let Ok(text) = serde_json::from_str::<std::borrow::Cow<'_, str>>(value.get()) else { return };
        if let Some(new) = map(&text)
            && let Ok(json) = serde_json::to_string(&new)
        {
            self.replace(record, value, json);
        }
    }

    /// Where the replacements of an abridged record go in its file, in their order. A text that was
    /// left out is too long for anything that is replaced, and stays.
    pub fn places(&mut self, record: &Abridged) -> Vec<(Range<u64>, String)> {
        self.0.sort_by_key(|(range, _)| range.start);
        let place = |(range, json): (Range<usize>, String)| {
            let there = record.place(range.start)..record.place(range.end.checked_sub(1)?) + 1;
            (there.end - there.start == range.len() as u64).then_some((there, json))
        };
        self.0.drain(..).filter_map(place).collect()
    }

    /// Writes the record with its replacements.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn write(&mut self, record: &[u8], out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        self.0.sort_by_key(|(range, _)| range.start);
        let mut at = 0;
        for (range, json) in &self.0 {
            out.write_all(&record[at..range.start])?;
            out.write_all(json.as_bytes())?;
            at = range.end;
        }
        out.write_all(&record[at..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        cwd: &'a RawValue,
    }

    #[test]
    fn only_the_value_changes() {
        let line = br#"{ "n":1.0e400, "cwd" : "\/old\u002fx" ,"z":[26.0] }"#;
        let record: Record<'_> = serde_json::from_slice(line).expect("valid");
        let mut splices = Splices::default();
        splices.map_string(line, record.cwd, |cwd| Some(cwd.replace("/old", "/new \"q\"")));
        let mut out = Vec::new();
        splices.write(line, &mut out).expect("memory");
        assert_eq!(out, br#"{ "n":1.0e400, "cwd" : "/new \"q\"/x" ,"z":[26.0] }"#);
    }
}
