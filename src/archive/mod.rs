//! The portable file, format 1: a gzip'd ustar with the manifest first.
//!
//! - [`layout`]: what is where in an archive, and the limits that hold for it
//! - [`manifest`]: what an archive declares about itself
//! - [`writer`]: writes one
//! - [`reader`]: opens one and reads single sessions from it
//! - [`series`]: archives that continue each other
//! - [`verify`]: checks every byte and says what is wrong where
//! - [`mod@schema`]: the manifest's JSON Schema
//!
//! Inside: `gzip` (the members that the stream is cut into), `pipeline` (work in parallel, results
//! in order), `entries` (tar headers and their places), `rules` (what a manifest must be like),
//! `weight` (what one would take in memory), `store` (the tar from any offset), `stream` (archives
//! that somebody compressed again).

mod entries;
mod gzip;
pub mod layout;
pub mod manifest;
mod pipeline;
pub mod reader;
mod rules;
pub mod schema;
pub mod series;
mod store;
mod stream;
#[cfg(test)]
mod tests;
pub mod verify;
mod weight;
pub mod writer;

pub use layout::Limits;
pub use manifest::Manifest;
pub use reader::{Archive, ArchivedSession, hex};
pub use schema::schema;
pub use stream::temporary;
pub use verify::Problem;
pub use writer::{RepoInput, SessionInput, WriteOptions, Written, check, write};
