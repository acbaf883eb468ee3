//! Prefix rules for paths of any machine.
//!
//! An input is lines: the first is a path, each other one a rule, old and new path with a tab between.

use holdall::place::PathMap;
use holdall::place::flavour::Flavour;

/// Checks one input.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let path = lines.next().unwrap_or_default();
    let mut map = PathMap::none();
    let mut rules = Vec::new();
    for line in lines {
        let Some((old, new)) = line.split_once('\t') else { continue };
        let is_rule = map.add(old, new).is_ok();
        assert_eq!(is_rule, Flavour::of(old).is_some() && Flavour::of(new).is_some(), "rules are absolute");
        if is_rule {
            rules.push((old, new));
        }
    }
    let mapped = map.map(path);
    let Some(flavour) = Flavour::of(path) else {
        assert_eq!(mapped, None, "a relative path stays");
        return;
    };

    // The rules that fit, by their components.
    let fits = |rule: &&(&str, &str)| Flavour::of(rule.0) == Some(flavour) && is_below(flavour, path, rule.0);
    let fitting: Vec<_> = rules.iter().filter(fits).collect();
    match &mapped {
        None => assert!(fitting.is_empty(), "{path:?} is below {fitting:?}"),
        Some(mapped) => {
            assert!(!fitting.is_empty(), "{path:?} became {mapped:?} without a rule");
            let below = |(_, new): &&&(&str, &str)| {
                Flavour::of(new).is_some_and(|flavour| is_below(flavour, mapped, new))
            };
            assert!(fitting.iter().any(|rule| below(&rule)), "{mapped:?} is below no target of {fitting:?}");
        }
    }

    // Where no rule leads to where another begins, a second time changes nothing.
    let apart = |one: &str, other: &str| match (Flavour::of(one), Flavour::of(other)) {
        (Some(a), Some(b)) if a == b => !is_below(a, one, other) && !is_below(a, other, one),
        _ => true,
    };
    if rules.iter().all(|(_, new)| rules.iter().all(|(old, _)| apart(old, new))) {
        assert_eq!(mapped.as_deref().and_then(|mapped| map.map(mapped)), None, "it is idempotent");
    }

    // A single rule between machines of one kind can be turned around.
    if let ([(old, new)], Some(mapped)) = (rules.as_slice(), &mapped)
        && Flavour::of(old) == Flavour::of(new)
    {
        let mut back = PathMap::none();
        back.add(new, old).expect("both are absolute");
        let there_again = back.map(mapped).expect("it is below the target");
        assert_eq!(map.map(&there_again).as_ref(), Some(mapped), "there and back and there");
    }
    names(flavour, path);
}

/// Whether a path is a prefix or below it, component by component.
fn is_below(flavour: Flavour, path: &str, prefix: &str) -> bool {
    let (path, prefix) = (components(flavour, path), components(flavour, prefix));
    path.len() >= prefix.len() && path.iter().zip(&prefix).all(|(one, other)| same(flavour, one, other))
}

fn same(flavour: Flavour, one: &str, other: &str) -> bool {
    match flavour {
        Flavour::Unix => one == other,
        Flavour::Windows => one.eq_ignore_ascii_case(other),
    }
}

fn components(flavour: Flavour, path: &str) -> Vec<&str> {
    let is_separator = |c: char| c == '/' || (flavour == Flavour::Windows && c == '\\');
    path.trim_end_matches(is_separator).split(is_separator).collect()
}

/// The last component is one, and the path is below what is before it.
fn names(flavour: Flavour, path: &str) {
    if let Some(name) = flavour.name(path) {
        assert!(!name.contains(flavour.separator()) && flavour.trim(path).ends_with(name));
        assert_eq!(flavour.below(path, path), Some(""));
    }
}
