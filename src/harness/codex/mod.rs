//! Codex.
/// Codex.
pub struct Codex;
