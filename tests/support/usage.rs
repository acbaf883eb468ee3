//! What a command cost, as the kernel counted it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::programs::{Ended, run};

/// What a command used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Bytes of memory at its peak, of the largest process.
    pub peak: u64,
    /// Time on the processors, in its own code and in the kernel's.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
}

/// Runs a command to its end, with no other environment than the one it was given, and tells what it
/// used.
///
/// GNU time starts it: a child that this process forked would count this process's memory as its own.
///
/// # Errors
/// When it does not start, does not end in time, or was not measured.
pub fn measured(command: &Command, limit: Duration) -> Result<(Ended, Usage), String> {
    let report = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["--quiet", "--format", "%M %U %S %e", "--output"]).arg(report.path());
    timed.arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        timed.current_dir(dir);
    }
    timed.env_clear();
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = run(&mut timed, limit)?;
    let usage = parse(report.path()).ok_or("GNU time (Debian's package `time`) told nothing")?;
    Ok((ended, usage))
}

fn parse(report: &Path) -> Option<Usage> {
    let text = std::fs::read_to_string(report).ok()?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [kibibytes, user, system, wall] = numbers[..] else { return None };
    Some(Usage {
        peak: (kibibytes * 1024.0) as u64,
        cpu: Duration::from_secs_f64(user + system),
        wall: Duration::from_secs_f64(wall),
    })
}
