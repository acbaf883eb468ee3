//! The use cases. Each takes an [`Env`](crate::env::Env) and options and returns a report that
//! serialises to the JSON of the command line's contract; none of them prints.
//!
//! - [`select`]: which sessions a command is about
//! - [`list`], [`show`]: look at sessions; [`heads`]: what lists keep for each other
//! - [`export`], [`inspect`]: make an archive, look into one
//! - [`import`]: plan and carry out an import, from an archive or straight from another harness
//! - [`backup`]: all sessions into a directory, only what is new each time
//! - [`moving`]: let sessions follow a project folder
//! - [`journal`]: past imports, and taking one back
//! - [`doctor`]: what is wrong, and repairing it
//! - [`harnesses`]: what is supported and what is here

pub mod backup;
pub mod doctor;
pub mod export;
pub mod harnesses;
pub mod heads;
pub mod import;
pub mod inspect;
pub mod journal;
pub mod list;
pub mod moving;
pub mod select;
pub mod show;
