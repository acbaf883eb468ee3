//! Archives and sessions that somebody made to hurt, through the real binary.
//!
//! `src/archive/tests` judges the reader in its own process; here the program is judged as a whole:
//! what it says, what it takes, what it leaves on the disk and what it starts. `scripts/hostile`
//! makes the archives, which are described in its `cases.json`.
//!
//! - [`archives`]: archives that must be refused
//! - [`sessions`]: hostile sessions in archives that are valid
//! - [`world`]: a home with a canary beside it and traps on `PATH`
//!
//! In CI every archive is tried, and one of fourteen hostile sessions; `HOLDALL_FULL=1` tries all, everywhere.

mod archives;
mod sessions;
mod shell;
mod world;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::programs::run;
use world::World;

/// Whether everything is to be tried that there is.
fn is_full() -> bool {
    std::env::var_os("HOLDALL_FULL").is_some_and(|value| value == "1")
}

/// Runs the generator.
fn generate(arguments: &[&Path]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/hostile");
    let mut command = Command::new(script);
    command.args(arguments);
    let ended = run(&mut command, Duration::from_secs(120))
        .unwrap_or_else(|error| panic!("{error}: it needs python3, which scripts/test installs"));
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
}

/// Does `work` for each of `items`, on four machines at a time, and collects what was wrong.
fn for_each<T: Sync>(items: &[T], work: impl Fn(&World, &T) -> Vec<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let one = || {
        let (world, mut wrong) = (World::new(), Vec::new());
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(work(&world, item));
        }
        wrong
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Fails with the first of what was wrong.
fn report(wrong: &[String]) {
    let shown: Vec<&str> = wrong.iter().take(40).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), shown.join("\n"));
}

/// The first character that may do something to a terminal, or hide what is said.
fn unsafe_character(text: &str) -> Option<char> {
    text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    })
}
