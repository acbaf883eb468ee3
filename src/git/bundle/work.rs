//! The commits that hold the uncommitted work.
//!
//! One has the working directory for its tree, as `git stash` makes it: its first parent is the
//! commit that is checked out, its second, where something is staged, a commit of the index. From
//! the three trees `git status` can be restored as it was.

use git2::{Commit, ObjectType, Odb, Oid};

use super::content::Content;
use super::stage::Stage;
use super::survey::State;
use super::trees::{self, Entry, LINK};
use super::unseen::LeftOut;
use super::{Bundle, Failure};

/// Who made the commits: whoever reads `git log` shall not take them for somebody's work.
const WHO: &str = "holdall <holdall@localhost>";

/// Puts the work into the stage and returns its commit; `None` when nothing is uncommitted.
pub(super) fn commit(
    bundle: &Bundle<'_>,
    state: &Option<State>,
    head: Option<Oid>,
    stage: &mut Stage<'_>,
    left_out: &mut LeftOut,
) -> Result<Option<Oid>, Failure> {
    let Some(state) = state else { return Ok(None) };
    let head = head.map(|id| bundle.user.find_commit(id)).transpose()?;
    let committed = match &head {
        Some(commit) => Some(commit.tree_id()),
        // As if a commit without files was there.
        None => Some(Oid::hash_object(ObjectType::Tree, &[])?),
    };
    let staged = trees::write(&state.index, stage)?;
    let odb = Odb::new()?;
    let content = Content::new(bundle.user, bundle.filter, &odb, state.attributes.clone())?;
    let mut files = state.index.clone();
    for change in &state.changes {
        let Some(mode) = change.mode else {
            files.remove(&change.path);
            continue;
        };
        let put = if mode == LINK {
            content.link(&change.path, stage)
        } else {
            content.file(&change.path, change.tracked, stage)
        };
        match put {
            Ok(id) => {
                files.insert(change.path.clone(), Entry { mode, id });
            }
            Err(error) => {
                let otherwise =
                    if change.tracked.is_some() { "; it travels as it was last staged" } else { "" };
                left_out.path(&change.path, format!("git cannot take it ({}){otherwise}", error.message()));
            }
        }
    }
    let work = trees::write(&files, stage)?;
    let is_staged = Some(staged) != committed;
    if !is_staged && Some(work) == committed {
        return Ok(None);
    }
    let time = head.as_ref().map_or(0, |commit| commit.time().seconds().max(0));
    let mut parents: Vec<Oid> = head.iter().map(Commit::id).collect();
    if is_staged {
        let index = object(staged, &parents, time, "The index, kept by holdall");
        parents.push(stage.put(ObjectType::Commit, &index)?);
    }
    let work = object(work, &parents, time, "Uncommitted work, kept by holdall");
    Ok(Some(stage.put(ObjectType::Commit, &work)?))
}

/// A commit object. Its time is that of the commit it builds on, so that one state of a repository
/// has one form.
fn object(tree: Oid, parents: &[Oid], time: i64, message: &str) -> Vec<u8> {
    let parents: String = parents.iter().map(|id| format!("parent {id}\n")).collect();
    format!("tree {tree}\n{parents}author {WHO} {time} +0000\ncommitter {WHO} {time} +0000\n\n{message}\n")
        .into_bytes()
}
