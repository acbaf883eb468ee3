//! The bytes of the bundle: a header of lines, an empty line, a pack.
//!
//! The form is git's own, `gitformat-bundle` version 2: `# v2 git bundle`, a line `-<commit>
//! <subject>` for each commit that must be there already, a line `<commit> <reference>` for each
//! reference.

use std::collections::BTreeSet;
use std::io::{self, Write};

use git2::{Oid, Reference, Repository};
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
        let mut walk = repository.revwalk()?;
        walk.push(head)?;
        // Nothing but these: whoever unpacks has these, and perhaps no other branch of the remote.
        history.needs.iter().try_for_each(|id| walk.hide(*id))?;
        pack.insert_walk(&mut walk)?;
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
