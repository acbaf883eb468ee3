//! From the store to a payload, and from a payload to events.
//!
//! [`scan`] lists the sessions of a [`store`], [`open`] gathers what belongs to one. Its files are
//! made while they are read ([`payload`], [`stream`]), of the rows of the [`database`]: of those of
//! a [`session`], and of [`record`]s. A [`legacy`] tree of files and an [`exported`] file, read with
//! [`json`], give the same files, with a head from their [`info`]. [`agents`] ties sub-agents to calls.
//! [`mod@read`] makes events of the messages, after a [`survey`]:
//! [`speak`] says what each part of a [`native`] record means.

mod agents;
mod database;
mod exported;
mod info;
mod json;
mod legacy;
mod native;
mod open;
mod payload;
mod read;
mod record;
mod scan;
mod session;
mod speak;
mod store;
mod stream;
mod survey;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::flavour::Flavour;
use super::paths;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{Found, NativeSession};
use crate::model::Head;
use database::Database;
use store::Store;

pub(super) use exported::in_file;
pub(super) use read::read;
pub(super) use record::is_record;
pub(super) use scan::scan;

/// What a session is read from.
enum Place {
    /// A database.
    Database,
    /// A tree of files.
    Legacy,
    /// A file that the program exported.
    Exported,
}

fn place(data_dir: &Path, found: &Found) -> Place {
    match found.bytes {
        Some(_) => Place::Exported,
        None if legacy::is_in(data_dir, &found.path) => Place::Legacy,
        None => Place::Database,
    }
}

pub(super) fn head(flavour: &Flavour, env: &Env, found: &Found) -> Result<Option<Head>> {
    match (&found.head, place(&paths::data_dir(flavour, env), found)) {
        (Some(head), _) => Ok(Some(Head::clone(head))),
        (None, Place::Database) => scan::head(flavour, found),
        (None, Place::Legacy) => legacy::head(flavour, found),
        (None, Place::Exported) => exported::head(flavour, &found.path),
    }
}

pub(super) fn open_all(flavour: &Flavour, env: &Env, found: &[&Found]) -> Vec<Result<NativeSession>> {
    let data_dir = paths::data_dir(flavour, env);
    let mut stores = Stores::default();
    let open = |found: &&Found| match place(&data_dir, found) {
        Place::Database => open::open(flavour, &stores.database(flavour, &found.path)?, &data_dir, &found.id),
        Place::Legacy => legacy::open(flavour, found, stores.children(&data_dir)?),
        Place::Exported => exported::open(flavour, &found.path),
    };
    found.iter().map(open).collect()
}

/// What sessions that are opened together share.
#[derive(Default)]
struct Stores {
    /// Each in one state for all of its sessions.
    databases: HashMap<PathBuf, Database>,
    children: Option<legacy::Children>,
}

impl Stores {
    fn database(&mut self, flavour: &Flavour, path: &Path) -> Result<Database> {
        if let Some(database) = self.databases.get(path) {
            return Ok(database.clone());
        }
        let Some(store) = Store::open(flavour, path)? else {
            return Err(Error::new(Kind::NotFound, format!("{} has no sessions in it", path.display())));
        };
        let database = Database::new(store);
        self.databases.insert(path.to_owned(), database.clone());
        Ok(database)
    }

    fn children(&mut self, data_dir: &Path) -> Result<&legacy::Children> {
        match &mut self.children {
            Some(children) => Ok(children),
            none => Ok(none.insert(legacy::Children::search(data_dir)?)),
        }
    }
}
