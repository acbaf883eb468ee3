//! What a path of another operating system looks like.
//!
//! Paths of a session are text of the machine it was recorded on; `std::path` only knows the
//! machine it runs on, so this module splits them itself.

/// How a path is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// `/home/me`
    Unix,
    /// `C:\Users\me` or `\\server\share`
    Windows,
}

impl Flavour {
    /// The flavour of an absolute path; `None` for a relative one.
    pub fn of(path: &str) -> Option<Self> {
        let bytes = path.as_bytes();
        match bytes {
            [b'/', ..] => Some(Self::Unix),
            // Without the name of a server it is no place.
            [b'\\', b'\\', server, ..] if !matches!(server, b'\\' | b'/') => Some(Self::Windows),
            [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic() => Some(Self::Windows),
            _ => None,
        }
    }

    /// The flavour of this machine.
    pub const fn here() -> Self {
        if cfg!(windows) { Self::Windows } else { Self::Unix }
    }

    /// The character between components.
    pub const fn separator(self) -> char {
        match self {
            Self::Unix => '/',
            Self::Windows => '\\',
        }
    }

    fn is_separator(self, byte: u8) -> bool {
        byte == b'/' || (self == Self::Windows && byte == b'\\')
    }

    fn same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Unix => one == other,
            Self::Windows => {
                one.len() == other.len()
                    && one.bytes().zip(other.bytes()).all(|(a, b)| {
                        a.eq_ignore_ascii_case(&b) || (self.is_separator(a) && self.is_separator(b))
                    })
            }
        }
    }

    /// What remains of `path` below `prefix`, in whole components: `""` when they are the same
    /// directory, `None` when `path` is not below `prefix`.
    pub fn below<'p>(self, path: &'p str, prefix: &str) -> Option<&'p str> {
        let prefix = self.trim(prefix);
        let (head, rest) = path.split_at_checked(prefix.len())?;
        if !self.same(head, prefix) {
            return None;
        }
        match rest.as_bytes() {
            [] => Some(""),
            [first, ..] if self.is_separator(*first) => {
                Some(rest[1..].trim_start_matches(|c: char| c.is_ascii() && self.is_separator(c as u8)))
            }
            _ => None,
        }
    }

    /// `path` without separators at its end (`/` itself becomes empty, which every absolute path
    /// is below).
    pub fn trim(self, path: &str) -> &str {
        path.trim_end_matches(|c: char| c.is_ascii() && self.is_separator(c as u8))
    }

    /// The last component.
    pub fn name(self, path: &str) -> Option<&str> {
        self.trim(path)
            .rsplit(|c: char| c.is_ascii() && self.is_separator(c as u8))
            .next()
            .filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Flavour::{Unix, Windows};
    use super::*;

    #[test]
    fn flavours() {
        assert_eq!(Flavour::of("/a"), Some(Unix));
        assert_eq!(Flavour::of(r"c:\a"), Some(Windows));
        assert_eq!(Flavour::of(r"\\server\share"), Some(Windows));
        assert_eq!(Flavour::of("a/b"), None);
        assert_eq!(Flavour::of(r"\\"), None);
        assert_eq!(Flavour::of(r"\\\x"), None);
    }

    #[test]
    fn below_takes_whole_components() {
        assert_eq!(Unix.below("/a/b", "/a"), Some("b"));
        assert_eq!(Unix.below("/a", "/a/"), Some(""));
        assert_eq!(Unix.below("/ab", "/a"), None);
        assert_eq!(Unix.below("/a", "/"), Some("a"));
        assert_eq!(Unix.below("/é", "/\u{e8}"), None);
        assert_eq!(Windows.below(r"C:\Users\Me\x", "c:/users"), Some(r"Me\x"));
        assert_eq!(Windows.below(r"C:\Users2", r"C:\Users"), None);
    }
}
