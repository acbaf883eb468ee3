//! The columns of a session.

/// Every column that is read and written, in the order in which a row is read. 1.18 has all of them;
/// 1.2 has none of those that were added later.
pub const SESSION: [&str; 29] = [
    "id",
    "parent_id",
    "directory",
    "title",
    "version",
    "model",
    "time_created",
    "time_updated",
    "slug",
    "project_id",
    "workspace_id",
    "path",
    "agent",
    "share_url",
    "summary_additions",
    "summary_deletions",
    "summary_files",
    "summary_diffs",
    "metadata",
    "cost",
    "tokens_input",
    "tokens_output",
    "tokens_reasoning",
    "tokens_cache_read",
    "tokens_cache_write",
    "revert",
    "permission",
    "time_compacting",
    "time_archived",
];

/// So many of them, from the first, are enough for a head.
pub const HEAD: usize = 8;
