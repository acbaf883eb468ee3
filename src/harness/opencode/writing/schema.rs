//! Databases that holdall can write into: those whose every migration it knows.
//!
//! Rows are not checked by the program when they come in, only when it reads them. So a database of
//! a version that was never tried is not written into.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::columns::SESSION;
use super::super::flavour::Flavour;
use crate::error::{Error, Kind, Result};
use crate::harness::common::sqlite::Snapshot;

/// The migrations of opencode 1.18.33.
const MIGRATIONS: [&str; 38] = [
    "20260127222353_familiar_lady_ursula",
    "20260211171708_add_project_commands",
    "20260213144116_wakeful_the_professor",
    "20260225215848_workspace",
    "20260227213759_add_session_workspace_id",
    "20260228203230_blue_harpoon",
    "20260303231226_add_workspace_fields",
    "20260309230000_move_org_to_state",
    "20260312043431_session_message_cursor",
    "20260323234822_events",
    "20260410174513_workspace-name",
    "20260413175956_chief_energizer",
    "20260423070820_add_icon_url_override",
    "20260427172553_slow_nightmare",
    "20260428004200_add_session_path",
    "20260501142318_next_venus",
    "20260504145000_add_sync_owner",
    "20260507164347_add_workspace_time",
    "20260510033149_session_usage",
    "20260511000411_data_migration_state",
    "20260511173437_session-metadata",
    "20260601010001_normalize_storage_paths",
    "20260601202201_amazing_prowler",
    "20260602002951_lowly_union_jack",
    "20260602182828_add_project_directories",
    "20260603001617_session_message_projection_indexes",
    "20260603040000_session_message_projection_order",
    "20260603141458_session_input_inbox",
    "20260603160727_jittery_ezekiel_stane",
    "20260604172448_event_sourced_session_input",
    "20260605003541_add_session_context_snapshot",
    "20260605042240_add_context_epoch_agent",
    "20260611035744_credential",
    "20260611192811_lush_chimera",
    "20260612174303_project_dir_strategy",
    "20260622142730_simplify_session_context_epoch",
    "20260622170816_reset_v2_session_state",
    "20260622202450_simplify_session_input",
];

/// The further ones of Kilo 7.7.9.
const KILO: [&str; 4] = [
    "20260714141136_session-message-legacy-writer-compat",
    "20260828074139_kilocode_board",
    "20260903104806_kilocode_board_reset",
    "20260907102000_kilocode_model_usage_index",
];

/// Tables with rows that belong to one session, and the column that names it. What refers to
/// another table's rows comes before it.
const OWNED: [(&str, &str); 12] = [
    ("kilo_board_message", "board_root_session_id"),
    ("kilo_board", "root_session_id"),
    ("part", "session_id"),
    ("message", "session_id"),
    ("todo", "session_id"),
    ("session_share", "session_id"),
    ("session_message", "session_id"),
    ("session_input", "session_id"),
    ("session_context_epoch", "session_id"),
    ("event", "aggregate_id"),
    ("event_sequence", "aggregate_id"),
    ("session", "id"),
];

/// The columns that are written.
pub const WRITTEN: [(&str, &[&str]); 5] = [
    ("project", &["id", "worktree", "vcs", "time_created", "time_updated", "sandboxes"]),
    ("session", &SESSION),
    ("message", &["id", "session_id", "time_created", "time_updated", "data"]),
    ("part", &["id", "message_id", "session_id", "time_created", "time_updated", "data"]),
    ("todo", &["session_id", "content", "status", "priority", "position", "time_created", "time_updated"]),
];

/// The tables with rows of one session, and the column that names it, in a database that the tested
/// version makes.
pub fn usual(flavour: &Flavour) -> Vec<(&'static str, &'static str)> {
    let is_there = |table: &str| flavour.info.id == "kilo" || !table.starts_with("kilo_");
    OWNED.into_iter().filter(|(table, _)| is_there(table)).collect()
}

/// The tables with rows of one session that are in the database, and the column that names it.
///
/// # Errors
/// When there is no database that holdall knows; the error says what the user can do.
pub fn owned(flavour: &Flavour, database: &Path) -> Result<Vec<(&'static str, &'static str)>> {
    let Some(snapshot) = Snapshot::open(database)? else {
        let message = format!("there is no database {}", database.display());
        return Err(Error::new(Kind::NotFound, message));
    };
    let tables: BTreeSet<String> = snapshot.tables()?.into_iter().collect();
    let name = flavour.info.name;
    let start = format!(
        "start {name} {} or later once, so that it updates its database, and import again",
        flavour.info.tested
    );
    if tables.contains("session_v2") {
        let message =
            format!("{} is a database of opencode 2, which this holdall does not write", database.display());
        return Err(Error::new(Kind::Unsupported, message).hint("nothing was changed"));
    }
    if let Some(unknown) = unknown(flavour, &snapshot, &tables)? {
        let message = format!(
            "{} is of a newer {name} than the one that this holdall was proven with ({}): it has the migration {unknown:?}",
            database.display(),
            flavour.info.tested
        );
        return Err(Error::new(Kind::Unsupported, message)
            .hint("nothing was changed")
            .hint("a newer holdall may know it"));
    }
    for (table, columns) in WRITTEN {
        let have = snapshot.columns(table)?;
        if let Some(missing) = columns.iter().find(|column| !have.iter().any(|own| own == *column)) {
            let message =
                format!("{} is of an older {name}: {table}.{missing} is not there", database.display());
            return Err(Error::new(Kind::Unsupported, message).hint(start));
        }
    }
    Ok(OWNED.into_iter().filter(|(table, _)| tables.contains(*table)).collect())
}

/// The first migration that is not known.
fn unknown(flavour: &Flavour, snapshot: &Snapshot, tables: &BTreeSet<String>) -> Result<Option<String>> {
    if !tables.contains("migration") {
        return Ok(None);
    }
    let is_known = |id: &str| MIGRATIONS.contains(&id) || (flavour.info.id == "kilo" && KILO.contains(&id));
    let read = || {
        let mut statement = snapshot.connection().prepare("SELECT id FROM migration ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get::<_, String>(0))?;
        ids.collect::<rusqlite::Result<Vec<_>>>()
    };
    let ids = read().map_err(|error| snapshot.error(error))?;
    snapshot.check()?;
    Ok(ids.into_iter().find(|id| !is_known(id)))
}
