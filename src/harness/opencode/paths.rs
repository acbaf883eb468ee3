//! Where the store is, and how the files of a payload are called.
//!
//! opencode 1.18 follows the XDG rules on every system, Windows and macOS included.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::flavour::Flavour;
use crate::env::Env;

/// The directory of tool outputs that were too long for the transcript, below the data directory.
pub const TOOL_OUTPUT: &str = "tool-output";

/// `messages.jsonl` of a session: its conversation.
pub const MESSAGES: &str = "messages.jsonl";

/// `session.json` of a session: what is known of it beside its conversation.
pub const SESSION: &str = "session.json";

/// The data directory.
pub fn data_dir(flavour: &Flavour, env: &Env) -> PathBuf {
    env.dir("XDG_DATA_HOME", ".local/share").join(flavour.directory)
}

/// The database that the program uses on this machine, whether it exists or not. `None`: it keeps
/// its sessions in memory.
///
/// `OPENCODE_DB` names it, absolute or below the data directory. Builds of other channels call
/// theirs `opencode-<channel>.db`; where there is no other one, the newest of these is it.
pub fn database(flavour: &Flavour, env: &Env) -> Option<PathBuf> {
    let data_dir = data_dir(flavour, env);
    if let Some(name) = env.var(&format!("{}DB", flavour.variables)) {
        return (name != ":memory:").then(|| data_dir.join(name));
    }
    let usual = data_dir.join(flavour.database);
    if usual.try_exists().unwrap_or(true) {
        Some(usual)
    } else {
        Some(channel_database(flavour, &data_dir).unwrap_or(usual))
    }
}

fn channel_database(flavour: &Flavour, data_dir: &Path) -> Option<PathBuf> {
    let stem = flavour.database.strip_suffix(".db")?;
    let channel = |name: &str| {
        name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".db"))
    };
    let entries = fs::read_dir(data_dir).ok()?.flatten();
    let databases = entries.filter(|entry| entry.file_name().to_str().is_some_and(channel));
    let changed = |entry: &fs::DirEntry| {
        entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    databases.max_by_key(|entry| (changed(entry), entry.file_name())).map(|entry| entry.path())
}

/// The path of file `name` of session `id` in a payload.
pub fn of_session(id: &str, name: &str) -> String {
    format!("session/{id}/{name}")
}

#[cfg(test)]
mod tests {
    use super::super::flavour::{KILO, OPENCODE};
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // A directory of the test.
    fn the_database_is_the_one_that_the_program_uses() {
        let home = tempfile::tempdir().expect("a directory");
        let env = Env::isolated(home.path());
        let dir = home.path().join(".local/share/opencode");
        assert_eq!(database(&OPENCODE, &env), Some(dir.join("opencode.db")));
        assert_eq!(database(&KILO, &env), Some(home.path().join(".local/share/kilo/kilo.db")));
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("opencode-dev.db"), "").expect("a file");
        fs::write(dir.join("opencode-dev.db-wal"), "").expect("a file");
        assert_eq!(database(&OPENCODE, &env), Some(dir.join("opencode-dev.db")));
        fs::write(dir.join("opencode.db"), "").expect("a file");
        assert_eq!(database(&OPENCODE, &env), Some(dir.join("opencode.db")));
        let with = |value: &str| database(&OPENCODE, &env.clone().with_var("OPENCODE_DB", value));
        assert_eq!(with("opencode-dev.db"), Some(dir.join("opencode-dev.db")));
        assert_eq!(with("/x/y.db"), Some(PathBuf::from("/x/y.db")));
        assert_eq!(with(":memory:"), None);
        let moved = env.clone().with_var("XDG_DATA_HOME", "/data").with_var("KILO_DB", "k.db");
        assert_eq!(database(&KILO, &moved), Some(PathBuf::from("/data/kilo/k.db")));
    }
}
