//! The sessions of this machine, and the head of one.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use rusqlite::OptionalExtension;

use super::super::flavour::Flavour;
use super::super::paths;
use super::legacy;
use super::session::HeadRow;
use super::store::{self, Store};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::Found;
use crate::model::Head;

/// Delivers every session, with its head: one query.
///
/// # Errors
/// When the database cannot be read, and, after all that can be read were delivered, when the next
/// generation of the program has sessions in it as well.
pub fn scan(flavour: &Flavour, env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
    let database = match heads(flavour, env) {
        // The program began to write; from now on its locks are heeded.
        Err(error) if error.kind() == Kind::Busy => heads(flavour, env)?,
        heads => heads?,
    };
    let data_dir = paths::data_dir(flavour, env);
    let mut legacy = Vec::new();
    legacy::scan(&data_dir, &mut |session| legacy.push(session))?;
    let mut known = HashSet::new();
    let mut successor = None;
    if let Some(Heads { path, heads, has_successor }) = database {
        if !legacy.is_empty() {
            known.extend(heads.iter().map(|head| head.id.clone()));
        }
        for head in heads {
            let modified = head.updated.map_or(UNIX_EPOCH, Into::into);
            let (id, path) = (head.id.clone(), path.clone());
            found(Found { id, path, bytes: None, modified, head: Some(head.into()), stamp: None });
        }
        successor = has_successor.then_some(path);
    }
    // A session that lies in two trees was copied by 1.0; it reads the newer one, which comes first.
    for session in legacy {
        if known.insert(session.id.clone()) {
            found(session);
        }
    }
    match successor {
        Some(path) => Err(Error::new(Kind::Unsupported, store::successor(flavour, &path))
            .hint("the sessions that it took over can be listed, exported and converted; nothing is written into it")),
        None => Ok(()),
    }
}

/// The sessions of a database.
struct Heads {
    path: PathBuf,
    heads: Vec<Head>,
    has_successor: bool,
}

fn heads(flavour: &Flavour, env: &Env) -> Result<Option<Heads>> {
    let Some(path) = paths::database(flavour, env) else { return Ok(None) };
    let Some(store) = Store::open(flavour, &path)? else { return Ok(None) };
    let sql = store.select_heads();
    let heads = store.query(|connection| {
        let head = |row: &rusqlite::Row<'_>| HeadRow::read(row).map(|row| row.head(flavour));
        connection.prepare(&sql)?.query_map([], head)?.collect()
    })?;
    Ok(Some(Heads { path, heads, has_successor: store.has_successor }))
}

/// The head of one session of a database.
///
/// # Errors
/// When the database cannot be read.
pub fn head(flavour: &Flavour, found: &Found) -> Result<Option<Head>> {
    let Some(store) = Store::open(flavour, &found.path)? else { return Ok(None) };
    let sql = format!("{} WHERE id = ?1", store.select_heads());
    let row = store.query(|connection| connection.query_row(&sql, [&found.id], HeadRow::read).optional())?;
    Ok(row.map(|row| row.head(flavour)))
}
