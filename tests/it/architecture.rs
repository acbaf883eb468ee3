//! The house rules that no compiler checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which top-level modules each may use. Every module may use `env`, `error`, `interrupt` and `progress`.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("model", &[]),
    ("place", &["model"]),
    ("git", &["place"]),
    ("archive", &["model", "git"]),
    ("txn", &["model"]),
    ("harness", &["model", "place"]),
    ("ops", &["archive", "git", "harness", "model", "place", "txn"]),
    ("cli", &["archive", "git", "harness", "model", "ops", "place", "txn"]),
    ("env", &["model"]),
    ("error", &[]),
    ("progress", &[]),
    ("interrupt", &[]),
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The top-level modules that a source file names with `crate::`.
fn used(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.match_indices("crate::").map(move |(at, word)| &line[at + word.len()..]))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_use_only_those_below_them() {
    let src = root().join("src");
    let mut wrong = Vec::new();
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let top = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if matches!(top, "lib" | "main") {
            continue;
        }
        let (_, allowed) = ALLOWED.iter().find(|(name, _)| *name == top).expect("a module without a rule");
        for name in used(&fs::read_to_string(&path).unwrap()) {
            let common = ["env", "error", "interrupt", "progress", top].contains(&name.as_str());
            if !common && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} uses {name}", relative.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_test_module_is_in_the_binary() {
    let main = fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for path in sources(&root().join("tests/it")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name != "main" && path.parent().unwrap().ends_with("it") {
            assert!(main.contains(&format!("mod {name};")), "tests/it/{name}.rs is not in main.rs");
        }
    }
}

#[test]
fn the_binary_holds_no_network_client() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in
        ["openssl", "openssl-sys", "rustls", "native-tls", "reqwest", "hyper", "ureq", "curl", "libssh2-sys"]
    {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name} is in the dependency tree");
    }
}

#[test]
fn every_harness_has_a_row_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for harness in holdall::harness::HARNESSES {
        let info = harness.info();
        assert!(
            readme.contains(info.name) && readme.contains(info.tested),
            "{} is missing in README.md",
            info.name
        );
    }
}
