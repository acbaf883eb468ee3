//! Rows of a database that a harness shares between its sessions.
//!
//! Such a database is never copied or put in place as a whole: programs have it open, and it can be
//! gigabytes long. What a session has in it is one row document ([`crate::model::rows`]) in normal
//! form: every column of every row, tables in the order of the scope, rows in the order of their
//! keys. The same rows give the same bytes, so a document's hash tells what is there, before and
//! after, and whether a step was carried out.
//!
//! - [`database`]: opening one, and what is wrong when SQLite refuses
//! - [`schema`]: tables, keys, and who refers to whom
//! - [`document`]: rows to documents and back
//! - [`stage`]: what an adapter rendered, in normal form
//! - [`exchange`]: one document in the place of another, in one transaction
//! - [`step`]: the change of one session, forwards and back

mod database;
mod document;
mod exchange;
mod schema;
mod stage;
mod step;

pub(super) use database::Databases;
pub(super) use document::now;
pub(super) use exchange::missing;
pub(super) use schema::Schema;
pub(super) use stage::stage;
pub(super) use step::{back, back_up, forward, is_applied};
