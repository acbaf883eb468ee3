//! How a tool call went. Codex has no flag for it in what the model sees: the exit code stands in
//! the text, in the event beside it, or nowhere.

use crate::model::ToolStatus;

/// What the events beside a call say of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The exit code of the command.
    pub exit_code: Option<i32>,
    /// Whether the call failed.
    pub failed: Option<bool>,
}

/// Beginnings of outputs that tell of a failure, 0.60 to 0.169.
const FAILURES: [&str; 14] = [
    "Error:",
    "error:",
    "unsupported call",
    "unsupported custom tool call",
    "apply_patch verification failed",
    "apply_patch handler received",
    "exec_command failed",
    "write_stdin failed",
    "failed to parse function arguments",
    "execution error",
    "tool call error",
    "Script failed",
    "exec command rejected by user",
    "<tool_use_error>",
];

/// The status and exit code of the call whose output begins with `text`.
pub fn judge(text: &str, recorded: Recorded) -> (ToolStatus, Option<i32>) {
    if is_interrupted(text) {
        return (ToolStatus::Interrupted, None);
    }
    let exit_code = recorded.exit_code.or_else(|| exit_code(text));
    let failed = match (exit_code, recorded.failed) {
        (Some(code), _) => code != 0,
        (None, Some(failed)) => failed,
        (None, None) => begins_with_failure(text),
    };
    (if failed { ToolStatus::Error } else { ToolStatus::Ok }, exit_code)
}

/// Whether an output begins like those of Codex's tools that failed.
fn begins_with_failure(text: &str) -> bool {
    FAILURES.iter().any(|known| text.starts_with(known))
}

/// The exit code in the text of an output.
pub fn exit_code(text: &str) -> Option<i32> {
    if text.starts_with('{') {
        // `{"output":…,"metadata":{"exit_code":N,"duration_seconds":…}}`, the `shell` tool to 0.125.
        let at = text.rfind("\"metadata\":{\"exit_code\":")?;
        let digits = &text[at + "\"metadata\":{\"exit_code\":".len()..];
        return digits.split([',', '}']).next()?.trim().parse().ok();
    }
    // Chunk ID, Wall time, exit code, token count, in any order, then `Output:`.
    text.lines().take(6).take_while(|line| *line != "Output:").find_map(|line| {
        // Without the colon it is how Claude Code says it.
        let known = ["Process exited with code ", "Exit code: ", "Exit code "];
        known.iter().find_map(|known| line.strip_prefix(known))?.trim().parse().ok()
    })
}

/// Whether a model that reads `text` sees that the call failed.
pub fn shows_failure(text: &str) -> bool {
    let begins = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    begins("error")
        || begins("failed")
        || begins_with_failure(text)
        || is_interrupted(text)
        || exit_code(text).is_some_and(|code| code != 0)
}

fn is_interrupted(text: &str) -> bool {
    let text = text.trim_end();
    text == "aborted"
        || text.starts_with("aborted by user after")
        || (text.ends_with("aborted by user") && text.lines().count() <= 3)
}

#[cfg(test)]
mod tests {
    use super::ToolStatus::{Error, Interrupted, Ok};
    use super::*;

    #[test]
    fn outputs_of_every_era() {
        let none = Recorded::default();
        for (text, expected) in [
            (
                "Chunk ID: 1\nWall time: 0.0 seconds\nProcess exited with code 3\nOriginal token count: 2\nOutput:\nx",
                (Error, Some(3)),
            ),
            (
                "Chunk ID: 1\nWall time: 0.0 seconds\nProcess exited with code 0\nOutput:\nError: x",
                (Ok, Some(0)),
            ),
            ("Exit code: 0\nWall time: 0 seconds\nOutput:\nSuccess", (Ok, Some(0))),
            ("Wall time: 1 s\nOutput:\nExit code: 7", (Ok, None)),
            (r#"{"output":"hi\n","metadata":{"exit_code":2,"duration_seconds":0.0}}"#, (Error, Some(2))),
            ("{\"output\":1}", (Ok, None)),
            ("unsupported call: x", (Error, None)),
            ("Error: nope", (Error, None)),
            ("Wall time: 2.9 seconds\naborted by user", (Interrupted, None)),
            ("aborted", (Interrupted, None)),
            ("Exit code 3\nboom", (Error, Some(3))),
            ("Exit code lists", (Ok, None)),
            ("", (Ok, None)),
        ] {
            assert_eq!(judge(text, none), expected, "{text}");
        }
    }

    #[test]
    fn what_a_model_takes_for_a_failure() {
        for (text, shows) in [
            ("ERROR nope", true),
            ("Exit code 3\nx", true),
            ("Wall time: 0.2 seconds\naborted by user", true),
            ("Exit code: 0\nx", false),
            ("boom", false),
        ] {
            assert_eq!(shows_failure(text), shows, "{text}");
        }
    }

    #[test]
    fn events_know_better_than_the_text() {
        let exit = |exit_code| Recorded { exit_code: Some(exit_code), failed: None };
        assert_eq!(judge("Error: printed", exit(0)), (Ok, Some(0)));
        assert_eq!(judge("fine", exit(1)), (Error, Some(1)));
        assert_eq!(judge("fine", Recorded { exit_code: None, failed: Some(true) }), (Error, None));
    }
}
