//! The canonical session: what every harness has in common. No input or output happens here.
//!
//! - [`session`]: what is known of a session without reading it through
//! - [`event`]: the transcript, a stream of things that were said and done
//! - [`tool`]: the small vocabulary of tools
//! - [`payload`]: a session in its harness's own form
//! - [`fidelity`]: what a conversion kept, changed and dropped
//! - [`ids`]: identifiers that come out the same on every machine
//! - [`rows`]: rows of a database on their way
//! - [`time`]: instants, read and written as RFC 3339

pub mod event;
pub mod fidelity;
pub mod ids;
pub mod payload;
pub mod rows;
pub mod session;
pub mod time;
pub mod tool;

pub use event::{Event, EventKind, NoteKind, Opaque, Origin, Part, Sink, ToolStatus, View};
pub use fidelity::{Counts, Fidelity, Item, Notes};
pub use payload::{Agent, FileMeta, Payload, ReadSeek, Role};
pub use session::{GitRef, Head};
pub use time::Time;
pub use tool::ToolKind;
