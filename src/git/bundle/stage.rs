//! Git objects that exist in memory only, over those of the repository.

use std::collections::HashSet;

use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository};

/// Before all others.
const FIRST: i32 = 1000;

/// Gives the repository handle an object database that reads what the repository has and writes to
/// memory: the objects on the disk are an alternate, and nothing is ever written to one.
pub(super) fn memory_over(repository: &Repository) -> Result<Odb<'static>, git2::Error> {
    let odb = Odb::new()?;
    odb.add_new_mempack_backend(FIRST)?;
    let objects = repository.commondir().join("objects");
    let objects = objects.to_str().ok_or_else(|| git2::Error::from_str("its path is not UTF-8"))?;
    odb.add_disk_alternate(objects)?;
    repository.set_odb(&odb)?;
    Ok(odb)
}

/// Collects the objects that are to be carried besides commits.
pub(super) struct Stage<'o> {
    odb: &'o Odb<'static>,
    /// What whoever has the commit that is checked out has as well.
    base: HashSet<Oid>,
    seen: HashSet<Oid>,
    /// In the order of their coming.
    new: Vec<Oid>,
}

impl<'o> Stage<'o> {
    pub(super) fn new(odb: &'o Odb<'static>, base: HashSet<Oid>) -> Self {
        Self { odb, base, seen: HashSet::new(), new: Vec::new() }
    }

    /// Takes an object.
    pub(super) fn put(&mut self, kind: ObjectType, data: &[u8]) -> Result<Oid, git2::Error> {
        let id = Oid::hash_object(kind, data)?;
        // Writing an object that is there would renew the time of the file that it is in.
        if !self.odb.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
            self.odb.write(kind, data)?;
        }
        self.need(id);
        Ok(id)
    }

    /// Takes an object that is there already.
    pub(super) fn need(&mut self, id: Oid) {
        if !self.base.contains(&id) && self.seen.insert(id) {
            self.new.push(id);
        }
    }

    /// All objects, each once.
    pub(super) fn objects(&self) -> &[Oid] {
        &self.new
    }
}
