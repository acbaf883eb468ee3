//! From the store to a payload, and from a payload to events.
//!
//! [`scan`] lists the sessions of a [`store`], [`open`] gathers what belongs to one. Its files are
//! made while they are read ([`payload`], [`stream`]), of the rows of the [`database`]: of those of
//! a [`session`], and of [`record`]s. [`mod@read`] makes events of the messages, after a [`survey`]:
//! [`speak`] says what each part of a [`native`] record means.

mod database;
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

pub(super) use read::read;
pub(super) use scan::scan;

pub(super) fn in_file(flavour: &'static Flavour, env: &Env, path: &Path) -> Result<Option<Found>> {
    let _ = (flavour, env, path);
    Ok(None)
}

pub(super) fn head(flavour: &Flavour, found: &Found) -> Result<Option<Head>> {
    match &found.head {
        Some(head) => Ok(Some(Head::clone(head))),
        None => scan::head(flavour, found),
    }
}

pub(super) fn open_all(flavour: &Flavour, env: &Env, found: &[&Found]) -> Vec<Result<NativeSession>> {
    let data_dir = paths::data_dir(flavour, env);
    // One state of a database for all of its sessions.
    let mut databases: HashMap<PathBuf, Database> = HashMap::new();
    found
        .iter()
        .map(|found| {
            let database = match databases.get(&found.path) {
                Some(database) => database.clone(),
                None => {
                    let store = Store::open(flavour, &found.path)?.ok_or_else(|| {
                        let message = format!("{} has no sessions in it", found.path.display());
                        Error::new(Kind::NotFound, message)
                    })?;
                    databases.entry(found.path.clone()).or_insert(Database::new(store)).clone()
                }
            };
            open::open(flavour, &database, &data_dir, &found.id)
        })
        .collect()
}
