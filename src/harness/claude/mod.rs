//! Claude Code.
/// Claude Code.
pub struct Claude;
