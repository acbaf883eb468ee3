//! What the user may have meant when no session is in the folder that was named.

use std::collections::BTreeMap;

use super::ends::Ends;
use crate::error::{Error, Kind};
use crate::ops::select::Selected;
use crate::place::flavour::Flavour;

/// So many directories are named.
const NAMED: usize = 5;

/// The error for a folder without sessions. `others` are the sessions that there are.
pub fn nothing_there(ends: &Ends, others: &[Selected]) -> Error {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for cwd in others.iter().filter_map(|other| other.head.cwd.as_deref()) {
        *counts.entry(cwd).or_default() += 1;
    }
    let mut near: Vec<(u32, &str, usize)> =
        counts.into_iter().map(|(cwd, count)| (likeness(&ends.old, cwd), cwd, count)).collect();
    near.retain(|(likeness, ..)| *likeness > 0);
    near.sort_by(|a, b| (b.0, b.2, a.1).cmp(&(a.0, a.2, b.1)));
    let error = Error::new(Kind::NotFound, format!("no session is in {} or below it", ends.old));
    if near.is_empty() {
        return error.hint("`holdall list --all` shows the directories that there are sessions of");
    }
    near.into_iter().take(NAMED).fold(error, |error, (_, cwd, count)| {
        let sessions = if count == 1 { "session" } else { "sessions" };
        error.hint(format!("{count} {sessions} in {cwd}"))
    })
}

/// How much a directory is like the one that was named; 0: not at all.
fn likeness(wanted: &str, cwd: &str) -> u32 {
    let name = |path: &str| -> String {
        let name = Flavour::of(path).and_then(|flavour| flavour.name(path)).unwrap_or_default();
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (wanted_name, cwd_name) = (name(wanted), name(cwd));
    if wanted_name.is_empty() || cwd_name.is_empty() {
        return 0;
    }
    let shared = wanted.split(['/', '\\']).zip(cwd.split(['/', '\\'])).take_while(|(a, b)| a == b).count();
    let shared = u32::try_from(shared).unwrap_or(u32::MAX);
    let score = if wanted_name == cwd_name {
        300
    } else if cwd_name.contains(&wanted_name) || wanted_name.contains(&cwd_name) {
        200
    } else if edits(&wanted_name, &cwd_name) <= 2 {
        100
    } else {
        return 0;
    };
    score + shared.min(99)
}

/// How many letters have to be changed, added or removed.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, a) in one.chars().enumerate() {
        let mut above = row[0];
        row[0] = place + 1;
        for (at, b) in other.iter().enumerate() {
            let replaced = above + usize::from(a != *b);
            above = row[at + 1];
            row[at + 1] = replaced.min(above + 1).min(row[at] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_names_come_first() {
        let wanted = "/home/me/src/my-app";
        let like = |cwd: &str| likeness(wanted, cwd);
        assert!(like("/mnt/my_app") > like("/home/me/src/my-app-2"));
        assert!(like("/home/me/src/my-app-2") > like("/home/me/src/my-ap1"));
        assert!(like("/home/me/src/my-ap1") > 0);
        assert!(like(r"C:\Users\me\My-App") > like("/home/me/src/my-ap1"));
        assert_eq!(like("/home/me/src/other"), 0);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
