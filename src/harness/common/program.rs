//! Runs an installed harness, with a time limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
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
    let mut child = start(env, program, arguments, cwd)?;
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
                return Err(too_slow(program, limit));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let stdout = String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned();
        Ok(Output { code: status.code(), stdout })
    })
}

/// What to do after a line that the program wrote.
#[derive(Debug)]
pub enum Next {
    /// Wait for the next line.
    Wait,
    /// Write these lines to its input.
    Say(String),
    /// All is known: its input is closed, and it is ended if that does not end it.
    Stop,
}

/// Talks to `program` line by line: writes `opening`, then calls `answer` with each line of its
/// stdout. Its input stays open, because a server ends with it. It runs in `cwd` with the
/// variables of `env`; its stderr is thrown away.
///
/// # Errors
/// When it cannot be started, ends before `answer` says [`Next::Stop`], or takes longer than
/// `limit` for the whole conversation.
pub fn converse(
    env: &Env,
    program: &Path,
    arguments: &[&str],
    cwd: &Path,
    opening: &str,
    limit: Duration,
    answer: &mut dyn FnMut(&str) -> Next,
) -> Result<()> {
    let mut child = start(env, program, arguments, cwd)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::new(Kind::Io, format!("{} has no input and output", program.display())));
    };
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    let until = Instant::now() + limit;
    let mut say = opening.to_owned();
    let outcome = loop {
        // A program that ended shows in its output, which ends too.
        let _ = input.write_all(say.as_bytes()).and_then(|()| input.flush());
        say.clear();
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => match answer(&line) {
                Next::Wait => {}
                Next::Say(more) => say = more,
                Next::Stop => break Ok(()),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => break Err(too_slow(program, limit)),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let message = format!("{} ended before it answered", program.display());
                break Err(Error::new(Kind::Io, message));
            }
        }
    };
    drop(input);
    end(&mut child);
    outcome
}

/// Gives a program a moment to end by itself, then ends it.
fn end(child: &mut Child) {
    let patience = Instant::now() + Duration::from_secs(2);
    while Instant::now() < patience {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn start(env: &Env, program: &Path, arguments: &[&str], cwd: &Path) -> Result<Child> {
    Command::new(program)
        .args(arguments)
        .current_dir(cwd)
        .env_clear()
        .envs(env.vars())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .at("start", program)
}

fn too_slow(program: &Path, limit: Duration) -> Error {
    let message = format!("{} did not answer within {} s", program.display(), limit.as_secs());
    Error::new(Kind::Busy, message)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn talk(script: &str, answer: &mut dyn FnMut(&str) -> Next) -> Result<()> {
        let env = Env::isolated("/");
        let limit = Duration::from_millis(500);
        converse(&env, Path::new("/bin/sh"), &["-c", script], Path::new("/"), "one\n", limit, answer)
    }

    #[test]
    fn a_conversation_goes_line_by_line() {
        let mut heard = Vec::new();
        talk("while read line; do echo \"got $line\"; done", &mut |line| {
            heard.push(line.to_owned());
            if heard.len() < 3 { Next::Say(format!("{}\n", heard.len())) } else { Next::Stop }
        })
        .expect("it answers");
        assert_eq!(heard, ["got one", "got 1", "got 2"]);
    }

    #[test]
    fn a_program_that_ends_or_hangs_is_an_error() {
        let ended = talk("exit 0", &mut |_| Next::Wait).expect_err("it said nothing");
        assert!(ended.to_string().contains("ended before"), "{ended}");
        let hung = talk("exec sleep 5", &mut |_| Next::Wait).expect_err("it said nothing");
        assert!(hung.to_string().contains("did not answer"), "{hung}");
    }
}
