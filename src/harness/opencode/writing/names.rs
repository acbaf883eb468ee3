//! Names of tools and ids of calls that every provider takes: `[A-Za-z0-9_-]`, at most 64 of them
//! for a name and 40 for an id (OpenAI's chat completions). opencode
//! passes on what the database says, and a provider refuses the whole history for one bad name.

use std::borrow::Cow;
use std::collections::HashSet;

const LONGEST_NAME: usize = 64;
const LONGEST_ID: usize = 40;

/// The ids that were given to calls.
#[derive(Debug, Default)]
pub struct Names {
    used: HashSet<String>,
}

impl Names {
    /// An id for the next call, like `source` and unlike all others.
    pub fn call(&mut self, source: &str) -> String {
        let clean = plain(source, "call", LONGEST_ID);
        let mut id = clean.clone().into_owned();
        let mut number = 1;
        while !self.used.insert(id.clone()) {
            number += 1;
            let suffix = format!("-{number}");
            id = clean.clone().into_owned();
            id.truncate(LONGEST_ID - suffix.len());
            id.push_str(&suffix);
        }
        id
    }
}

/// The name to write for a tool.
pub fn tool(source: &str) -> Cow<'_, str> {
    plain(source, "tool", LONGEST_NAME)
}

fn plain<'t>(text: &'t str, otherwise: &'static str, longest: usize) -> Cow<'t, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match text {
        "" => Cow::Borrowed(otherwise),
        text if text.len() <= longest && text.chars().all(is_plain) => Cow::Borrowed(text),
        text => {
            let plain = text.chars().map(|c| if is_plain(c) { c } else { '_' });
            // Two long ids may differ only in their ends.
            Cow::Owned(plain.skip(text.chars().count().saturating_sub(longest)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_short_and_unique() {
        let mut names = Names::default();
        assert_eq!(names.call("toolu_1"), "toolu_1");
        assert_eq!(names.call("toolu_1"), "toolu_1-2");
        assert_eq!(names.call("a b/c"), "a_b_c");
        let long = "x".repeat(70);
        assert_eq!(names.call(&format!("{long}1")).len(), 40);
        let second = names.call(&format!("{long}1"));
        assert!(second.len() == 40 && second.ends_with("-2"), "{second}");
        assert_eq!(names.call(""), "call");
    }

    #[test]
    fn names_of_tools() {
        assert_eq!(tool("Read"), "Read");
        assert_eq!(tool("mcp server/tool.name"), "mcp_server_tool_name");
    }
}
