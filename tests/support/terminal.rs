//! A terminal for a program that wants one, through `script(1)`.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program that runs in a terminal of 160 columns and 200 rows. It is ended when dropped.
pub struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts `command` with its environment, directory and arguments.
    pub fn open(command: &Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<String> = words.map(quote).collect();
        let line = format!("stty cols 160 rows 200; exec {}", line.join(" "));
        let mut script = Command::new("script");
        if cfg!(target_os = "macos") {
            script.args(["-q", "/dev/null", "sh", "-c", &line]);
        } else {
            script.args(["-qefc", &line, "/dev/null"]);
        }
        script.env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                script.env(name, value);
            }
        }
        if let Some(dir) = command.get_current_dir() {
            script.current_dir(dir);
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = script.spawn().expect("script(1) starts");
        let keys = child.stdin.take();
        let mut output = child.stdout.take().expect("stdout is piped");
        let screen: Arc<Mutex<Vec<u8>>> = Arc::default();
        std::thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut buffer = [0; 8192];
                while let Ok(read @ 1..) = output.read(&mut buffer) {
                    screen.lock().expect("no thread panics with the lock").extend(&buffer[..read]);
                }
            }
        });
        Self { child, keys, screen }
    }

    /// Everything that was printed, without control sequences and white space: programs move the
    /// cursor where they could print a space.
    pub fn text(&self) -> String {
        let bytes = self.screen.lock().expect("no thread panics with the lock").clone();
        squeeze(&plain(&String::from_utf8_lossy(&bytes)))
    }

    /// Waits until the text satisfies `done`. `false`: it did not within `limit`.
    pub fn wait(&self, limit: Duration, done: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if done(&self.text()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// Types.
    pub fn send(&mut self, keys: &str) {
        if let Some(stdin) = &mut self.keys {
            // A program that has ended already needs no keys.
            drop(stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush()));
        }
    }

    /// Presses Ctrl-C twice, as a user does to leave, and waits for the end.
    pub fn leave(mut self) {
        for _ in 0..2 {
            self.send("\u{3}");
            std::thread::sleep(Duration::from_millis(150));
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // `script` hangs up on its child when it ends.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn quote(word: &OsStr) -> String {
    format!("'{}'", word.to_str().expect("the tests use UTF-8 only").replace('\'', r"'\''"))
}

/// `text` without white space.
pub fn squeeze(text: &str) -> String {
    text.split_whitespace().collect()
}

/// `text` without terminal control sequences.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(if c.is_control() { ' ' } else { c });
            continue;
        }
        match chars.next() {
            Some('[') => {
                chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            Some(']') => {
                let mut last = ' ';
                chars.find(|&c| {
                    let end = c == '\u{7}' || (last == '\u{1b}' && c == '\\');
                    last = c;
                    end
                });
            }
            Some('(' | ')') => {
                chars.next();
            }
            _ => {}
        }
    }
    plain
}

#[test]
fn control_sequences_and_spaces_do_not_count() {
    let printed = "\u{1b}]0;title\u{7}\u{1b}[1mA\u{1b}[0m\u{1b}[3Cb \r\nc\u{1b}]8;;x\u{1b}\\d";
    assert_eq!(squeeze(&plain(printed)), "Abcd");
}
