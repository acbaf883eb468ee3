//! The bytes of the bundle: a header of lines, an empty line, a pack.
//!
//! The form is git's own, `gitformat-bundle` version 2: `# v2 git bundle`, a line `-<commit>
//! <subject>` for each commit that must be there already, a line `<commit> <reference>` for each
//! reference.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Write};

use git2::{ObjectType, Oid, PackBuilder, Reference, Repository};
use sha2::{Digest, Sha256};

use super::history::History;
use super::stage::Stage;
use super::{Failure, unwritable};

/// Writes the bundle.
pub(super) fn write(
    repository: &Repository,
    history: &History,
    needs: &[Oid],
    work: Option<Oid>,
    sessions: &[&str],
    stage: &Stage<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut header = b"# v2 git bundle\n".to_vec();
    for id in needs {
        let commit = repository.find_commit(*id)?;
        let subject = commit.summary_bytes().unwrap_or_default();
        let subject: Vec<u8> = subject.iter().map(|byte| if *byte < b' ' { b' ' } else { *byte }).collect();
        line(&mut header, &format!("-{id}"), &subject);
    }
    if let Some(head) = history.head.filter(|_| history.commits > 0) {
        line(&mut header, &head.to_string(), &history.name);
    }
    if let Some(work) = work {
        let names: BTreeSet<String> = sessions.iter().map(|id| reference(id)).collect();
        names.iter().for_each(|name| line(&mut header, &work.to_string(), name.as_bytes()));
    }
    header.push(b'\n');
    let mut failed: Option<io::Error> = out.write_all(&header).err();

    let mut pack = repository.packbuilder()?;
    // With several threads the deltas depend on which is faster.
    pack.set_threads(1);
    if let Some(head) = history.head.filter(|_| history.commits > 0) {
        insert(repository, head, &history.needs, &mut pack)?;
    }
    for id in stage.objects() {
        pack.insert_object(*id, None)?;
    }
    if failed.is_none() {
        let packed = pack.foreach(|bytes| match out.write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        if failed.is_none() {
            packed?;
        }
    }
    match failed.or_else(|| out.flush().err()) {
        Some(error) => Err(unwritable(error).into()),
        None => Ok(()),
    }
}

/// Puts everything that the history of `head` has and that of `needs` has not.
///
/// Whoever unpacks the bundle has these commits, and perhaps no other branch of the remote: so nothing
/// else is taken for granted. Objects go in under their path, which `insert_walk` does not do for
/// trees: git compares those with one name, and a history packed without takes twice the room.
fn insert(
    repository: &Repository,
    head: Oid,
    needs: &[Oid],
    pack: &mut PackBuilder<'_>,
) -> Result<(), git2::Error> {
    let mut seen = HashSet::new();
    for id in needs {
        let tree = repository.find_commit(*id)?.tree_id();
        each_new(repository, tree, &mut seen, &mut |_, _| Ok(()))?;
    }
    let mut walk = repository.revwalk()?;
    walk.push(head)?;
    needs.iter().try_for_each(|id| walk.hide(*id))?;
    for id in walk {
        let commit = repository.find_commit(id?)?;
        pack.insert_object(commit.id(), None)?;
        each_new(repository, commit.tree_id(), &mut seen, &mut |id, path| pack.insert_object(id, path))?;
    }
    Ok(())
}

/// Calls `take` for each tree and blob of a tree, itself included, that was not seen before.
fn each_new(
    repository: &Repository,
    root: Oid,
    seen: &mut HashSet<Oid>,
    take: &mut dyn FnMut(Oid, Option<&str>) -> Result<(), git2::Error>,
) -> Result<(), git2::Error> {
    if !seen.insert(root) {
        return Ok(());
    }
    take(root, None)?;
    let mut open = vec![(root, String::new())];
    while let Some((id, directory)) = open.pop() {
        for entry in repository.find_tree(id)?.iter() {
            // The commit of a submodule is in another repository.
            if entry.kind() == Some(ObjectType::Commit) || !seen.insert(entry.id()) {
                continue;
            }
            let path = format!("{directory}{}", String::from_utf8_lossy(entry.name_bytes()));
            take(entry.id(), Some(&path))?;
            if entry.kind() == Some(ObjectType::Tree) {
                open.push((entry.id(), path + "/"));
            }
        }
    }
    Ok(())
}

fn line(header: &mut Vec<u8>, first: &str, rest: &[u8]) {
    header.extend_from_slice(first.as_bytes());
    header.push(b' ');
    header.extend_from_slice(rest);
    header.push(b'\n');
}

/// The reference for the uncommitted work of a session: its id, where git takes it as a name.
fn reference(session: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let name = format!("refs/holdall/{session}");
    let usable = session.bytes().all(plain) && session.len() <= 128 && !session.starts_with('-');
    if usable && Reference::is_valid_name(&name) {
        return name;
    }
    let digest = Sha256::digest(session.as_bytes());
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("refs/holdall/session-{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_references_that_git_takes() {
        for id in ["6a1f0c1e-7b1d-4b52-a9d8-000000000001", "ses_01JABC", "a.b"] {
            assert_eq!(reference(id), format!("refs/holdall/{id}"));
        }
        let mut names = BTreeSet::new();
        for id in
            ["", "..", "a..b", "a.lock", "a b", "a/b", "-x", "a\nb", "é", "@{", ".a", "a.", &"x".repeat(300)]
        {
            let name = reference(id);
            assert!(Reference::is_valid_name(&name) && name.starts_with("refs/holdall/session-"), "{name}");
            assert!(names.insert(name), "{id:?} has a name of its own");
        }
    }
}
