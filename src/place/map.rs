//! Prefix rules, home folding, workspace roots.

use super::flavour::Flavour;
use crate::error::{Error, Result};

/// Prefix rules for paths, longest prefix first, whole components only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathMap {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    old: String,
    /// Without separators at its end, so that a root has only what is before them.
    new: String,
    /// Of the old path.
    flavour: Flavour,
    /// Of the new one.
    target: Flavour,
}

impl PathMap {
    /// No rules: every path stays.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds the rule `old` → `new`. Of two rules for one prefix the first stays.
    ///
    /// # Errors
    /// When `old` or `new` is not absolute.
    pub fn add(&mut self, old: &str, new: &str) -> Result<()> {
        let flavour = Flavour::of(old).ok_or_else(|| {
            Error::usage(format!("{old:?} is not an absolute path, so no session's directory begins with it"))
        })?;
        let Some(target) = Flavour::of(new) else {
            return Err(Error::usage(format!("{new:?} is not an absolute path")));
        };
        let rule =
            Rule { old: flavour.trim(old).to_owned(), new: target.trim(new).to_owned(), flavour, target };
        if self.rules.iter().any(|other| other.old == rule.old) {
            return Ok(());
        }
        let place = self.rules.partition_point(|other| other.old.len() >= rule.old.len());
        self.rules.insert(place, rule);
        Ok(())
    }

    /// The rule for a path of the source machine, applied; `None` when no rule fits.
    pub fn map(&self, path: &str) -> Option<String> {
        let flavour = Flavour::of(path)?;
        self.rules.iter().filter(|rule| rule.flavour == flavour).find_map(|rule| {
            let rest = flavour.below(path, &rule.old)?;
            Some(rule.apply(rest))
        })
    }
}

impl Rule {
    fn apply(&self, rest: &str) -> String {
        let separator = self.target.separator();
        if rest.is_empty() {
            let is_drive = self.target == Flavour::Windows && self.new.ends_with(':');
            let is_root = self.new.is_empty() || is_drive;
            return if is_root { format!("{}{separator}", self.new) } else { self.new.clone() };
        }
        let rest = if self.flavour == Flavour::Windows && self.target == Flavour::Unix {
            rest.replace('\\', "/")
        } else if self.flavour == Flavour::Unix && self.target == Flavour::Windows {
            rest.replace('/', "\\")
        } else {
            rest.to_owned()
        };
        format!("{}{separator}{rest}", self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rules: &[(&str, &str)]) -> PathMap {
        let mut map = PathMap::none();
        for (old, new) in rules {
            map.add(old, new).expect("absolute");
        }
        map
    }

    #[test]
    fn the_longest_prefix_wins_and_components_are_whole() {
        let map = map(&[("/a", "/x"), ("/a/b", "/y/"), ("/", "/root")]);
        assert_eq!(map.map("/a/c").as_deref(), Some("/x/c"));
        assert_eq!(map.map("/a/b/c").as_deref(), Some("/y/c"));
        assert_eq!(map.map("/a/b").as_deref(), Some("/y"));
        assert_eq!(map.map("/ab").as_deref(), Some("/root/ab"));
        assert_eq!(map.map("relative"), None);
    }

    #[test]
    fn windows_to_unix_and_back() {
        let there = map(&[(r"C:\Users\me", "/home/me")]);
        assert_eq!(there.map(r"c:\users\ME\src\x").as_deref(), Some("/home/me/src/x"));
        let back = map(&[("/home/me", r"D:\me")]);
        assert_eq!(back.map("/home/me/src/x").as_deref(), Some(r"D:\me\src\x"));
    }

    #[test]
    fn a_root_stays_a_root() {
        let drive = map(&[(r"C:\x", r"D:\")]);
        assert_eq!(drive.map(r"C:\x").as_deref(), Some(r"D:\"));
        assert_eq!(drive.map(r"C:\x\y").as_deref(), Some(r"D:\y"));
        assert_eq!(map(&[("/x", r"D:\")]).map("/x/y/z").as_deref(), Some(r"D:\y\z"));
        assert_eq!(map(&[(r"C:\x", r"\\?\D:\")]).map(r"C:\x").as_deref(), Some(r"\\?\D:\"));
        assert_eq!(map(&[(r"C:\", "/")]).map("c:/y").as_deref(), Some("/y"));
        assert_eq!(map(&[("/x", "/")]).map("/x").as_deref(), Some("/"));
    }

    #[test]
    fn relative_rules_are_refused() {
        assert!(PathMap::none().add("a", "/b").is_err());
        assert!(PathMap::none().add("/a", "b").is_err());
    }
}
