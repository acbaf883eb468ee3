//! A directory as it is, to compare it with what it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is at a path: a directory or a file with its mode, or a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Directory { mode: u32 },
    Link(PathBuf),
    File { mode: u32, bytes: Vec<u8> },
}

/// Everything below a directory, by path relative to it.
pub type Tree = BTreeMap<PathBuf, Node>;

/// Everything below `dir`. Nothing when `dir` is not there.
pub fn read(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    collect(dir, dir, &mut tree);
    tree
}

/// The same without `place` and the directories above it.
pub fn read_without(dir: &Path, place: &str) -> Tree {
    let place = Path::new(place);
    let mut tree = read(dir);
    tree.retain(|path, _| !path.starts_with(place) && !place.starts_with(path));
    tree
}

fn collect(root: &Path, dir: &Path, tree: &mut Tree) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        let meta = fs::symlink_metadata(&path).expect("it is there");
        let mode = meta.permissions().mode();
        let node = if meta.is_dir() {
            collect(root, &path, tree);
            Node::Directory { mode }
        } else if meta.is_symlink() {
            Node::Link(fs::read_link(&path).expect("a link"))
        } else {
            Node::File { mode, bytes: fs::read(&path).expect("a file") }
        };
        tree.insert(path.strip_prefix(root).expect("below").to_owned(), node);
    }
}

/// Makes `to` an exact copy of the directory `from`: modes and times of files, modes of directories,
/// links as they are. What is at `to` goes.
pub fn copy(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    copy_into(from, to);
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("it can be read") {
        let path = entry.expect("a directory entry").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        let meta = fs::symlink_metadata(&path).expect("it is there");
        if meta.is_dir() {
            copy_into(&path, &target);
        } else if meta.is_symlink() {
            let link = fs::read_link(&path).expect("a link");
            std::os::unix::fs::symlink(link, &target).expect("a link can be made");
        } else {
            fs::copy(&path, &target).expect("a file can be copied");
            let modified = meta.modified().expect("Unix keeps it");
            let file = fs::File::open(&target).expect("it was made");
            file.set_modified(modified).expect("its owner may");
        }
    }
    let mode = fs::symlink_metadata(from).expect("it is there").permissions();
    fs::set_permissions(to, mode).expect("its owner may");
}
