//! The sessions of this machine, and the head of one.

use rusqlite::OptionalExtension;

use super::super::flavour::Flavour;
use super::super::paths;
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
    let Some(path) = paths::database(flavour, env) else { return Ok(()) };
    let heads = match heads(flavour, env) {
        // The program began to write; from now on its locks are heeded.
        Err(error) if error.kind() == Kind::Busy => self::heads(flavour, env)?,
        heads => heads?,
    };
    let Some((heads, has_successor)) = heads else { return Ok(()) };
    for head in heads {
        let modified = head.updated.map_or(std::time::UNIX_EPOCH, Into::into);
        found(Found {
            id: head.id.clone(),
            path: path.clone(),
            bytes: None,
            modified,
            head: Some(head.into()),
        });
    }
    if has_successor {
        return Err(Error::new(Kind::Unsupported, store::successor(flavour, &path)));
    }
    Ok(())
}

fn heads(flavour: &Flavour, env: &Env) -> Result<Option<(Vec<Head>, bool)>> {
    let Some(path) = paths::database(flavour, env) else { return Ok(None) };
    let Some(store) = Store::open(flavour, &path)? else { return Ok(None) };
    let sql = store.select_heads();
    let rows: Vec<HeadRow> =
        store.query(|connection| connection.prepare(&sql)?.query_map([], HeadRow::read)?.collect())?;
    Ok(Some((rows.iter().map(|row| row.head(flavour)).collect(), store.has_successor)))
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
