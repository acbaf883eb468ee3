//! A directory as it is, to compare it with what it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is at a path: a directory, a link, or a file with its mode and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Directory,
    Link(PathBuf),
    File { mode: u32, bytes: Vec<u8> },
}

/// Everything below `dir`, by path relative to it. Nothing when `dir` is not there.
pub fn read(dir: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    collect(dir, dir, &mut nodes);
    nodes
}

fn collect(root: &Path, dir: &Path, nodes: &mut BTreeMap<PathBuf, Node>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        let meta = fs::symlink_metadata(&path).expect("it is there");
        let node = if meta.is_dir() {
            collect(root, &path, nodes);
            Node::Directory
        } else if meta.is_symlink() {
            Node::Link(fs::read_link(&path).expect("a link"))
        } else {
            Node::File { mode: meta.permissions().mode(), bytes: fs::read(&path).expect("a file") }
        };
        nodes.insert(path.strip_prefix(root).expect("below").to_owned(), node);
    }
}
