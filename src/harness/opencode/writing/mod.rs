//! From events or a payload to rows of the store.
//!
//! - [`ids`]: ids in the program's shape; [`names`]: names that every provider takes
//! - [`store`], [`schema`], [`children`]: the database, whether it can be written into, what is in it
//! - [`project`]: the project of a directory; [`models`]: the model that a session goes on with
//! - [`place`]: where sessions go
//! - [`write`], [`message`], [`calls`], [`record`], [`session`]: a converted session
//! - [`relocate`]: a session of the program itself; [`members`]: its records, as they were spelled
//! - [`moved`]: a session whose directory moves on this machine
//! - [`document`]: lines, or one document for the program's own import
//! - [`rows`]: files of a payload as rows
//! - [`live`], [`confirm`]: what the program does, and says

pub mod calls;
pub mod children;
pub mod confirm;
pub mod document;
pub mod ids;
pub mod live;
pub mod members;
pub mod message;
pub mod models;
pub mod moved;
pub mod names;
pub mod place;
pub mod project;
pub mod record;
pub mod relocate;
pub mod rows;
pub mod schema;
pub mod session;
pub mod store;
pub mod write;

#[cfg(test)]
mod tests;
