//! Paths under prefix rules.

use holdall::place::PathMap;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::config;
use crate::fuzz::targets::place;

fn component() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{1,2}", 1 => "[A-Za-z0-9 ._\u{e9}-]{1,6}"]
}

/// An absolute path of Linux or macOS, of up to four components.
fn unix() -> impl Strategy<Value = String> {
    vec(component(), 0..5).prop_map(|parts| format!("/{}", parts.join("/")))
}

/// An absolute path of Windows.
fn windows() -> impl Strategy<Value = String> {
    ("[cD]", vec(component(), 0..5)).prop_map(|(drive, parts)| format!("{drive}:\\{}", parts.join("\\")))
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![3 => unix(), 1 => windows()]
}

fn map(rules: impl IntoIterator<Item = (String, String)>) -> PathMap {
    let mut map = PathMap::none();
    for (old, new) in rules {
        map.add(&old, &new).expect("both are absolute");
    }
    map
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_map_does_what_its_rules_say(path in path(), rules in vec((path(), path()), 0..4)) {
        let rules: Vec<String> = rules.iter().map(|(old, new)| format!("{old}\t{new}")).collect();
        place::check(format!("{path}\n{}", rules.join("\n")).as_bytes());
    }

    #[test]
    fn a_map_is_idempotent(below in vec(component(), 0..3), rules in btree_map("[a-m]{1,3}", "[n-z]{1,3}", 1..4)) {
        let paths: Vec<String> =
            rules.keys().map(|old| format!("/{old}/{}", below.join("/")).trim_end_matches('/').to_owned()).collect();
        let map = map(rules.iter().map(|(old, new)| (format!("/{old}"), format!("/{new}"))));
        for path in paths {
            let once = map.map(&path).expect("a rule fits");
            prop_assert_eq!(map.map(&once).unwrap_or_else(|| once.clone()), once);
        }
    }

    #[test]
    fn a_rule_fits_whole_components_only(old in unix(), new in path(), more in "[a-z0-9._ -]{1,4}", rest in component()) {
        prop_assume!(old != "/");
        let map = map([(old.clone(), new)]);
        prop_assert_eq!(map.map(&format!("{old}{more}")), None);
        prop_assert_eq!(map.map(&format!("{old}{more}/{rest}")), None);
        let below = map.map(&format!("{old}/{more}{rest}"));
        prop_assert!(below.is_some());
    }

    #[test]
    fn a_map_that_is_one_to_one_can_be_turned_around(
        path in unix(),
        rules in btree_map("[a-m]{1,3}", "[n-z]{1,3}", 1..4),
        below in vec(component(), 0..3),
    ) {
        let mut targets: Vec<&String> = rules.values().collect();
        targets.sort();
        targets.dedup();
        prop_assume!(targets.len() == rules.len());
        let there = map(rules.iter().map(|(old, new)| (format!("/h/{old}"), format!("/h/{new}"))));
        let back = map(rules.iter().map(|(old, new)| (format!("/h/{new}"), format!("/h/{old}"))));
        for old in rules.keys() {
            let path = std::iter::once(format!("/h/{old}")).chain(below.clone()).collect::<Vec<_>>().join("/");
            let mapped = there.map(&path).expect("a rule fits");
            prop_assert_eq!(back.map(&mapped), Some(path));
        }
        if let Some(mapped) = there.map(&path) {
            prop_assert_eq!(back.map(&mapped), Some(path));
        }
    }

    #[test]
    fn windows_to_unix_and_back_is_where_it_was(root in windows(), home in unix(), below in vec(component(), 0..4)) {
        prop_assume!(home != "/");
        let path = [root.trim_end_matches('\\')].into_iter().chain(below.iter().map(String::as_str));
        let path = path.collect::<Vec<_>>().join("\\");
        prop_assume!(path.len() > 2);
        let (there, back) = (map([(root.clone(), home.clone())]), map([(home, root)]));
        prop_assert_eq!(back.map(&there.map(&path).expect("it is below")), Some(path));
    }
}
