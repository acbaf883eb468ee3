//! Names of tools and ids of calls that OpenAI's API takes: `[A-Za-z0-9_-]{1,64}`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::filter::digest;

const LENGTH: usize = 64;

/// The calls of one transcript, under the ids that they are written with.
#[derive(Debug, Default)]
pub struct Names {
    open: HashMap<String, Call>,
    used: HashSet<u64>,
    renamed: HashSet<u64>,
    unanswered: u64,
}

/// A call that was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// Whether its input is free text, which decides the form of its output.
    pub custom: bool,
}

impl Names {
    /// A call begins; the id to write it with.
    pub fn begin(&mut self, source: &str, custom: bool) -> String {
        let mut id = clean(source, "call").into_owned();
        let mut number = 1;
        while !self.used.insert(digest(&id)) {
            number += 1;
            let suffix = format!("-{number}");
            id = clean(source, "call").into_owned();
            id.truncate(LENGTH - suffix.len());
            id.push_str(&suffix);
        }
        let call = Call { id: id.clone(), custom };
        self.unanswered += u64::from(self.open.insert(source.to_owned(), call).is_some());
        id
    }

    /// A call has its result.
    pub fn end(&mut self, source: &str) -> Option<Call> {
        self.open.remove(source)
    }

    /// All calls so far are out of the model's sight.
    pub fn forget(&mut self) {
        self.open.clear();
        self.unanswered = 0;
    }

    /// Calls without a result.
    pub fn open(&self) -> u64 {
        self.unanswered + self.open.len() as u64
    }

    /// The name to write a tool with.
    pub fn tool<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        let own = clean(name, "tool");
        if own != name {
            self.renamed.insert(digest(name));
        }
        own
    }

    /// Tools that could not keep their name.
    pub fn renamed(&self) -> u64 {
        self.renamed.len() as u64
    }
}

fn clean<'t>(text: &'t str, otherwise: &'t str) -> Cow<'t, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match text {
        "" => Cow::Borrowed(otherwise),
        text if text.len() <= LENGTH && text.chars().all(is_plain) => Cow::Borrowed(text),
        text => {
            let plain = text.chars().map(|c| if is_plain(c) { c } else { '_' });
            // Two long ids may differ only in their ends.
            let count = text.chars().count();
            Cow::Owned(plain.skip(count.saturating_sub(LENGTH)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_short_and_unique() {
        let mut names = Names::default();
        assert_eq!(names.begin("toolu_1", false), "toolu_1");
        assert_eq!(names.end("toolu_1"), Some(Call { id: "toolu_1".into(), custom: false }));
        assert_eq!(names.begin("toolu_1", false), "toolu_1-2");
        assert_eq!(names.begin("a b/c", true), "a_b_c");
        assert_eq!(names.begin("a_b_c", true), "a_b_c-2");
        assert_eq!(names.end("a b/c").map(|call| call.id).as_deref(), Some("a_b_c"));
        let long = "x".repeat(70);
        assert_eq!(names.begin(&format!("{long}1"), false).len(), 64);
        let second = names.begin(&format!("{long}1"), false);
        assert!(second.len() == 64 && second.ends_with("-2"), "{second}");
        assert_eq!(names.begin("", false), "call");
        assert_eq!(names.open(), 5);
    }

    #[test]
    fn names_of_tools() {
        let mut names = Names::default();
        assert_eq!(names.tool("Read"), "Read");
        assert_eq!(names.tool("mcp__s__do.it"), "mcp__s__do_it");
        assert_eq!(names.tool("é"), "_");
        assert_eq!(names.renamed(), 2);
    }
}
