//! Runs an installed harness, with a time limit.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::env::Env;
use crate::error::{Error, IoContext, Kind, Result};

/// How a harness ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout, lossily as UTF-8.
    pub stdout: String,
}

/// Runs `program` with `arguments` in `cwd`, with the variables of `env`, `stdin` as its input,
/// and its stderr thrown away. It is ended when it takes longer than `limit`.
///
/// # Errors
/// When it cannot be started or takes too long.
pub fn run(
    env: &Env,
    program: &Path,
    arguments: &[&str],
    cwd: &Path,
    stdin: &str,
    limit: Duration,
) -> Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(cwd)
        .env_clear()
        .envs(env.vars())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .at("start", program)?;
    let input = child.stdin.take();
    let output = child.stdout.take();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut input) = input {
                // A program that ends early closes its input: that shows in its exit code.
                let _ = input.write_all(stdin.as_bytes());
            }
        });
        let reader = scope.spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut output) = output {
                let _ = output.read_to_end(&mut bytes);
            }
            bytes
        });
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().at("wait for", program)? {
                break status;
            }
            if started.elapsed() > limit {
                let _ = child.kill();
                let _ = child.wait();
                let message = format!("{} did not answer within {} s", program.display(), limit.as_secs());
                return Err(Error::new(Kind::Busy, message));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let stdout = String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned();
        Ok(Output { code: status.code(), stdout })
    })
}
