//! What git has to be told when a folder moves that is tied to others by absolute paths.

use std::fs;
use std::path::Path;

/// Advice for a folder that is `now` here and will be `new`; `None`: it stands alone.
///
/// A repository names its linked worktrees in `.git/worktrees`, and each of them names the repository
/// in its file `.git`, usually with absolute paths.
pub fn advice(now: &Path, new: &Path) -> Option<String> {
    let git = now.join(".git");
    let has_worktrees = || fs::read_dir(git.join("worktrees")).is_ok_and(|mut all| all.next().is_some());
    let is_worktree = || {
        let link = fs::read_to_string(&git).unwrap_or_default();
        link.strip_prefix("gitdir:").is_some_and(|dir| Path::new(dir.trim()).is_absolute())
    };
    (has_worktrees() || is_worktree()).then(|| {
        format!("{} has linked git worktrees or is one: run `git worktree repair` in it", new.display())
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_needs_a_repair() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let advises = |name: &str| advice(&path(name), Path::new("/new")).is_some();
        fs::create_dir_all(path("plain/.git/worktrees")).expect("a folder");
        fs::create_dir_all(path("main/.git/worktrees/linked")).expect("a folder");
        for (name, link) in [("linked", "/repo/.git/worktrees/linked"), ("module", "../.git/modules/module")]
        {
            fs::create_dir(path(name)).expect("a folder");
            fs::write(path(name).join(".git"), format!("gitdir: {link}\n")).expect("a file");
        }
        assert!(advises("main") && advises("linked"));
        assert!(!advises("plain") && !advises("module") && !advises("none"));
    }
}
