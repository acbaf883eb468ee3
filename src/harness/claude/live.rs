//! Whether a running program has a session open.

use std::fs;
use std::path::Path;

use super::locate::data_dir;
use super::loose::{Text, record};
use crate::env::Env;
use crate::error::Result;
use crate::harness::Found;
use crate::harness::common::directory::entries;

record! {
    /// What a running program says of itself, in `sessions/<pid>.json`.
    Running {
        /// The session that it has open.
        "sessionId" => session: Text<'a>,
        /// When the process started, as the kernel counts.
        "procStart" => start: Text<'a>,
    }
}

/// Why the session must not be touched: some process has it open.
///
/// The program removes its file when it ends; after a crash the file stays, and the number may be
/// that of another process by now. So the start time counts too, where the system tells it.
///
/// # Errors
/// When the directory of the markers cannot be read.
pub fn live(env: &Env, found: &Found) -> Result<Option<String>> {
    for entry in entries(&data_dir(env).join("sessions"))? {
        let Some(pid) = entry.name.strip_suffix(".json").and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(bytes) = fs::read(&entry.path) else { continue };
        let Ok(running) = serde_json::from_slice::<Running<'_>>(&bytes) else { continue };
        if running.session.is(&found.id) && is_running(pid, running.start.get()) {
            return Ok(Some(format!("Claude Code has it open (process {pid})")));
        }
    }
    Ok(None)
}

#[cfg(target_os = "linux")]
fn is_running(pid: u32, start: Option<&str>) -> bool {
    let Ok(stat) = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")) else {
        return false;
    };
    match (start, start_of(&stat)) {
        (Some(recorded), Some(actual)) => recorded == actual,
        _ => true,
    }
}

/// Field 22 of `/proc/<pid>/stat`: when the process started. The second field, the name in
/// parentheses, may hold anything.
#[cfg(target_os = "linux")]
fn start_of(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_running(pid: u32, _start: Option<&str>) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Not permitted to ask is an answer: it runs.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_running(_pid: u32, _start: Option<&str>) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "7 (a) 1 b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 0 0";
        assert_eq!(start_of(stat), Some("4711"));
    }
}
