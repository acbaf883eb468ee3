//! A session as it was when one of the archives was made: which of its bytes are in which archive.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::shelf::{Shelf, not_the_one};
use crate::archive::manifest::{Continues, Grown, Session};
use crate::archive::series;
use crate::error::{Error, Result};
use crate::model::FileMeta;

/// Most archives that a session may be spread over. Each costs a millisecond or two when the session
/// is restored. A session that reaches it is stored whole again.
pub const LONGEST: usize = 512;

/// Bytes of a file, from their beginning in one archive on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The link of the chain that holds them: its place in [`State::links`].
    pub link: usize,
    /// The place of the file in the session there.
    pub file: usize,
    /// How many bytes of it.
    pub size: u64,
}

/// One file of a session.
#[derive(Debug, Clone)]
pub struct StateFile {
    /// What it is; with its whole size.
    pub meta: FileMeta,
    /// SHA-256 of all of it.
    pub sha256: String,
    /// Its bytes.
    pub parts: Vec<Part>,
}

/// A session as it was.
#[derive(Debug, Clone)]
pub struct State {
    /// The session in the archives that hold it, the newest first: (archive, session).
    pub links: Vec<(usize, usize)>,
    /// Its files.
    pub files: Vec<StateFile>,
}

impl Shelf {
    /// A session as it was when an archive was made.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::error::Kind::NotFound) when an archive that it leans on is not there;
    /// [`Kind::Archive`](crate::error::Kind::Archive) when one is another than the one it was made with.
    pub fn state(&self, link: (usize, usize)) -> Result<State> {
        let mut links = vec![link];
        let mut last = link;
        while let Some(base) = self.base(last)? {
            if links.len() == LONGEST {
                let label = &self.volumes()[link.0].label;
                return Err(Error::archive(format!(
                    "{label}: a session leans on more than {LONGEST} archives"
                )));
            }
            links.push(base);
            last = base;
        }
        let mut files = Vec::new();
        for (place, &link) in links.iter().enumerate().rev() {
            let earlier = links.get(place + 1).map_or("", |base| self.volumes()[base.0].label.as_str());
            let wrong = |reason: &str| not_the_one(&self.volumes()[link.0].label, earlier, reason);
            files = fold(files, self.session(link), place).map_err(|reason| wrong(&reason))?;
        }
        Ok(State { links, files })
    }
}

/// The files of a session, from those that it had in the archive before. `link` is the place of its
/// archive in the chain.
fn fold(earlier: Vec<StateFile>, session: &Session, link: usize) -> Result<Vec<StateFile>, String> {
    let whole = Continues { archive: String::new(), grown: Vec::new(), kept: None };
    let continues = session.continues.as_ref().unwrap_or(&whole);
    let grown: BTreeMap<usize, &Grown> = continues.grown.iter().map(|grown| (grown.file, grown)).collect();
    let mut before: HashMap<String, StateFile> = HashMap::new();
    let mut order = Vec::with_capacity(earlier.len());
    for file in earlier {
        order.push(file.meta.path.clone());
        before.insert(file.meta.path.clone(), file);
    }
    let mut now: BTreeMap<&str, StateFile> = BTreeMap::new();
    for (place, file) in session.files.iter().enumerate() {
        let own = Part { link, file: place, size: file.meta.size };
        let mut meta = file.meta.clone();
        let (sha256, parts) = match grown.get(&place) {
            None => (file.sha256.clone(), vec![own]),
            Some(Grown { after, sha256, .. }) => {
                let base = before.get(&meta.path).filter(|base| base.meta.size >= *after);
                let base =
                    base.ok_or_else(|| format!("it does not hold the first {after} bytes of {}", meta.path))?;
                meta.size = meta.size.checked_add(*after).ok_or("a file is too large")?;
                let mut parts = first(&base.parts, *after);
                parts.push(own);
                (sha256.clone(), parts)
            }
        };
        now.insert(&file.meta.path, StateFile { meta, sha256, parts });
    }
    let mut files = Vec::with_capacity(now.len());
    let mut kept = Vec::new();
    let gone: BTreeSet<&str> =
        continues.kept.iter().flat_map(|kept| &kept.gone).map(String::as_str).collect();
    for path in &order {
        if let Some(file) = now.remove(path.as_str()) {
            files.push(file);
        } else if continues.kept.is_some()
            && !gone.contains(path.as_str())
            && let Some(file) = before.remove(path)
        {
            kept.push((file.meta.path.clone(), file.meta.size, file.sha256.clone()));
            files.push(file);
        }
    }
    for file in &session.files {
        files.extend(now.remove(file.meta.path.as_str()));
    }
    let digest = series::digest(kept.iter().map(|(path, size, sum)| (path.as_str(), *size, sum.as_str())));
    if continues.kept.as_ref().is_some_and(|kept| kept.sha256 != digest) {
        return Err("its files are other ones".to_owned());
    }
    Ok(files)
}

/// The first `size` bytes of a file that consists of these parts.
fn first(parts: &[Part], mut size: u64) -> Vec<Part> {
    let mut first = Vec::new();
    for part in parts {
        let taken = part.size.min(size);
        if taken > 0 {
            first.push(Part { size: taken, ..*part });
        }
        size -= taken;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::manifest::{File, Kept};
    use crate::model::{Head, Role};

    fn sum(of: &str) -> String {
        format!("{:0>64}", of.len())
    }

    fn session(files: &[(&str, u64, &str)], continues: Option<Continues>) -> Session {
        let files = files.iter().map(|(path, size, sha256)| File {
            name: String::new(),
            sha256: (*sha256).to_owned(),
            meta: FileMeta {
                role: Role::Attachment,
                path: (*path).to_owned(),
                size: *size,
                modified: None,
                agent: None,
            },
        });
        Session { head: Head::default(), repo: None, files: files.collect(), continues }
    }

    fn grown(file: usize, after: u64) -> Grown {
        Grown { file, after, sha256: sum("whole") }
    }

    /// Path, size, and of each part its link and size.
    type Shown = (String, u64, Vec<(usize, u64)>);

    fn shown(files: &[StateFile]) -> Vec<Shown> {
        let parts = |file: &StateFile| file.parts.iter().map(|part| (part.link, part.size)).collect();
        files.iter().map(|file| (file.meta.path.clone(), file.meta.size, parts(file))).collect()
    }

    fn continues(grown: Vec<Grown>, kept: Option<&[(&str, u64, &str)]>, gone: &[&str]) -> Continues {
        let kept = kept.map(|files| Kept {
            sha256: series::digest(files.iter().copied()),
            gone: gone.iter().map(|path| (*path).to_owned()).collect(),
        });
        Continues { archive: String::new(), grown, kept }
    }

    #[test]
    fn files_grow_stay_come_and_go() {
        let first =
            fold(Vec::new(), &session(&[("a", 10, "x"), ("b", 5, "y"), ("c", 1, "z")], None), 2).unwrap();
        let more = continues(vec![grown(0, 10)], Some(&[("b", 5, "y")]), &["c"]);
        let second = fold(first.clone(), &session(&[("a", 4, "t"), ("d", 7, "n")], Some(more)), 1).unwrap();
        assert_eq!(
            shown(&second),
            [
                ("a".into(), 14, vec![(2, 10), (1, 4)]),
                ("b".into(), 5, vec![(2, 5)]),
                ("d".into(), 7, vec![(1, 7)])
            ]
        );
        // It goes on from the middle of what grew; all else is gone.
        let third =
            fold(second, &session(&[("a", 3, "u")], Some(continues(vec![grown(0, 12)], None, &[]))), 0);
        assert_eq!(shown(&third.unwrap()), [("a".into(), 15, vec![(2, 10), (1, 2), (0, 3)])]);
    }

    #[test]
    fn another_earlier_archive_is_seen() {
        let first = fold(Vec::new(), &session(&[("a", 10, "x"), ("b", 5, "y")], None), 1).unwrap();
        for (files, wrong) in [
            (&[("a", 1, "t")][..], continues(vec![grown(0, 11)], None, &[])),
            (&[("c", 1, "t")], continues(vec![grown(0, 1)], None, &[])),
            (&[("a", 1, "t")], continues(vec![grown(0, 10)], Some(&[("b", 5, "z")]), &[])),
            (&[("a", 1, "t")], continues(vec![], Some(&[]), &[])),
            (&[("a", u64::MAX, "t")], continues(vec![grown(0, 10)], None, &[])),
        ] {
            assert!(fold(first.clone(), &session(files, Some(wrong.clone())), 0).is_err(), "{wrong:?}");
        }
    }
}
