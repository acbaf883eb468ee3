//! Whether a running program may have a session open.
//!
//! Gemini CLI 0.61 has no locks and no markers: it appends to a session's file whenever something is
//! said. What can be known on Linux is whether it runs in the session's directory at all, and that is
//! taken for an answer: it may be another session that it has open, but to change a file under it
//! would lose what it says next. Elsewhere nothing can be known.

use std::path::Path;

use crate::error::Result;
use crate::harness::Found;

/// Why the session must not be touched; `None`: nothing is known of anybody who has it open.
///
/// # Errors
/// Never: what cannot be read is not there.
pub fn live(found: &Found) -> Result<Option<String>> {
    let Some(cwd) = super::checkpoint::owner(&found.path) else { return Ok(None) };
    Ok(running_in(Path::new(&cwd)).map(|pid| format!("Gemini CLI runs in {cwd} (process {pid})")))
}

#[cfg(target_os = "linux")]
fn running_in(cwd: &Path) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let dir = entry.path();
        if std::fs::read_link(dir.join("cwd")).ok()? != cwd {
            return None;
        }
        is_program(&std::fs::read(dir.join("cmdline")).ok()?).then_some(pid)
    })
}

#[cfg(not(target_os = "linux"))]
fn running_in(_cwd: &Path) -> Option<u32> {
    None
}

/// Whether a command line (its words end with NUL) is the program: a script that node runs.
#[cfg(target_os = "linux")]
fn is_program(command: &[u8]) -> bool {
    let mut words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let is_node = words.next().is_some_and(|word| word.rsplit('/').next() == Some("node"));
    is_node
        && words.find(|word| !word.starts_with('-')).is_some_and(|script| {
            script.rsplit('/').next() == Some("gemini") || script.contains("/@google/gemini-cli/")
        })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_a_script_of_node() {
        for (command, is) in [
            ("/usr/bin/node\0/usr/local/bin/gemini\0--resume\0x\0", true),
            ("node\0--no-warnings\0/x/node_modules/@google/gemini-cli/bundle/gemini.js\0", true),
            ("/usr/bin/node\0server.js\0gemini\0", false),
            ("vim\0gemini\0", false),
            ("", false),
        ] {
            assert_eq!(is_program(command.as_bytes()), is, "{command:?}");
        }
    }
}
