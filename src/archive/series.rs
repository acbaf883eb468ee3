//! Archives that continue each other: those of a backup directory.
//!
//! A later archive of the series holds only what is new of a session, and says in which earlier one
//! the rest is ([`Continues`](super::manifest::Continues)). It names it by its file name and means
//! the file of that name beside itself, so the name is all that must never be anything else: it has
//! one form, and no part of it can be a path. Names are ordered, and an archive continues only those
//! before it, so that no series can go in a circle.

use std::fmt;

use chrono::NaiveDateTime;
use sha2::{Digest, Sha256};

use super::reader::hex;
use crate::model::Time;

const PREFIX: &str = "holdall-";
const SUFFIX: &str = ".tar.gz";
const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// Most archives of one second.
const MOST: u32 = 9999;

/// The file name of an archive of a series: `holdall-20261121T160000Z.tar.gz`, or
/// `holdall-20261121T160000Z-2.tar.gz` for the second one of the same second. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    time: NaiveDateTime,
    number: u32,
}

impl Name {
    /// The name that is written this way; `None` for everything else.
    pub fn parse(text: &str) -> Option<Self> {
        let stem = text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (stamp, number) = match stem.split_once('-') {
            Some((stamp, number)) => (stamp, number.parse().ok().filter(|n| (2..=MOST).contains(n))?),
            None => (stem, 1),
        };
        let name = Self { time: NaiveDateTime::parse_from_str(stamp, STAMP).ok()?, number };
        // One name has one spelling: no leading zeros, signs or spaces.
        (name.to_string() == text).then_some(name)
    }

    /// The name for an archive that is made at `now` and comes after `last`, whatever the clock did
    /// in between. `None` when there is none left in the second of `last`.
    pub fn next(now: Time, last: Option<Self>) -> Option<Self> {
        // Names have whole seconds.
        let now = Self::parse(&Self { time: now.naive_utc(), number: 1 }.to_string())?;
        match last {
            Some(last) if last >= now => {
                (last.number < MOST).then_some(Self { time: last.time, number: last.number + 1 })
            }
            _ => Some(now),
        }
    }

    /// When the archive was made, to the second.
    pub fn time(self) -> Time {
        self.time.and_utc()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.time.format(STAMP))?;
        if self.number > 1 {
            write!(f, "-{}", self.number)?;
        }
        f.write_str(SUFFIX)
    }
}

/// One SHA-256 for many files, whatever their order: each with its path, size in bytes and own
/// SHA-256. It is taken of one line for each file, sorted by path:
/// `<sha256> <size> <length of the path in bytes>:<path>`.
pub fn digest<'f>(files: impl Iterator<Item = (&'f str, u64, &'f str)>) -> String {
    let mut files: Vec<_> = files.collect();
    files.sort_unstable();
    let mut hash = Sha256::new();
    for (path, size, sha256) in files {
        hash.update(format!("{sha256} {size} {}:{path}\n", path.len()));
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time;

    #[test]
    fn a_name_has_one_spelling() {
        for good in ["holdall-20261121T160000Z.tar.gz", "holdall-20261121T160000Z-2.tar.gz"] {
            assert_eq!(Name::parse(good).expect("a name").to_string(), good);
        }
        for bad in [
            "",
            "holdall-.tar.gz",
            "holdall-20261121T160000Z.tar.gz/",
            "../holdall-20261121T160000Z.tar.gz",
            "/holdall-20261121T160000Z.tar.gz",
            "holdall-20261121T160000Z-1.tar.gz",
            "holdall-20261121T160000Z-02.tar.gz",
            "holdall-20261121T160000Z-+2.tar.gz",
            "holdall-20261121T160000Z-2-3.tar.gz",
            "holdall-20261121T160000Z-10000.tar.gz",
            "holdall-20261321T160000Z.tar.gz",
            "holdall-20261121T160061Z.tar.gz",
            "holdall-2026112 T160000Z.tar.gz",
            "holdall-+2026112T160000Z.tar.gz",
            "holdall-20261121T160000Z.tar.gz\0",
            "Holdall-20261121T160000Z.tar.gz",
        ] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_never_go_back_even_if_the_clock_does() {
        let at = |text| time::parse(text).expect("a time");
        let next = |now, last: &str| Name::next(at(now), Name::parse(last)).expect("a name").to_string();
        let first = Name::next(at("2026-11-21T16:00:00.750Z"), None).expect("a name").to_string();
        assert_eq!(first, "holdall-20261121T160000Z.tar.gz");
        assert_eq!(next("2026-11-21T16:00:00.900Z", &first), "holdall-20261121T160000Z-2.tar.gz");
        assert_eq!(
            next("2026-11-20T00:00:00Z", "holdall-20261121T160000Z-9.tar.gz"),
            "holdall-20261121T160000Z-10.tar.gz"
        );
        assert_eq!(
            next("2026-11-21T16:00:01Z", "holdall-20261121T160000Z-9.tar.gz"),
            "holdall-20261121T160001Z.tar.gz"
        );
        assert_eq!(
            Name::next(at("2026-11-20T00:00:00Z"), Name::parse("holdall-20261121T160000Z-9999.tar.gz")),
            None
        );
        let [nine, ten] =
            ["holdall-20261121T160000Z-9.tar.gz", "holdall-20261121T160000Z-10.tar.gz"].map(Name::parse);
        assert!(nine < ten);
    }

    #[test]
    fn a_digest_tells_everything_apart() {
        let of = |files: &[(&str, u64, &str)]| digest(files.iter().copied());
        let one = of(&[("a", 1, "x"), ("b", 2, "y")]);
        assert_eq!(one, of(&[("b", 2, "y"), ("a", 1, "x")]));
        for other in
            [&[("a", 1, "x")][..], &[("a", 2, "x"), ("b", 2, "y")], &[("a", 1, "y"), ("b", 2, "x")], &[]]
        {
            assert_ne!(one, of(other));
        }
        assert_ne!(of(&[("a\nx 2 1:b", 1, "x")]), of(&[("a", 1, "x"), ("b", 2, "x")]));
    }
}
