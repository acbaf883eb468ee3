//! What texts of a session mean: which are the program's, which are the user's.

use super::native::{Part, text};

/// Begins what a compaction left, since 0.1.
pub const SNAPSHOT: &str = "<state_snapshot>";
/// Ends it.
pub const SNAPSHOT_END: &str = "</state_snapshot>";
/// What the program lets the model answer to it.
pub const THANKS: &str = "Got it. Thanks for the additional context!";
/// The program tells its model of an `@` file between these.
const MENTION: &str = "\n--- Content from referenced files ---";
const MENTION_END: &str = "\n--- End of content ---";

/// Keeps a text of the user in the conversation that the program would take for a command: it has
/// no width, and JavaScript does not trim it.
pub const KEEPER: char = '\u{200b}';

/// Whether Gemini CLI 0.61 leaves a message of the user out when it resumes. `text` is all of its
/// content as one text.
pub fn is_ignored(text: &str) -> bool {
    let text = trim(text);
    text.is_empty() || text.starts_with(['/', '?']) || is_context(text)
}

/// Whether a text is one that the program gave its model, not the user.
pub fn is_context(text: &str) -> bool {
    let text = trim(text);
    text.starts_with("<session_context>") || text.starts_with("<hook_context>")
}

/// White space as JavaScript trims it: not all that Unicode has, but a byte order mark.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}')
}

/// All of a content as one text, as the program makes it to look at its beginning.
pub fn joined(parts: &[Part<'_>]) -> String {
    let mut all = String::new();
    for part in parts {
        let others = [
            (part.thought.is_some(), "[Thought]"),
            (part.file.is_some(), "[File Data]"),
            (part.call.is_some(), "[Function Call]"),
            (part.response.is_some(), "[Function Response]"),
            (part.inline.is_some(), "[Media]"),
        ];
        match others.iter().find(|(is, _)| *is) {
            Some((_, word)) => all.push_str(word),
            None => all.push_str(&text(part.text).unwrap_or_default()),
        }
    }
    all
}

/// What the user wrote, without what holdall put in front of it.
pub fn without_keeper(text: &str) -> &str {
    match text.strip_prefix(KEEPER) {
        Some(rest) if is_ignored(rest) => rest,
        _ => text,
    }
}

/// Tells parts that a message brought in from files from what the user wrote.
#[derive(Debug, Default)]
pub struct Mentions {
    inside: bool,
    /// Texts of files that were left out.
    pub left_out: u64,
}

impl Mentions {
    /// Whether the text is the user's own.
    pub fn is_own(&mut self, text: &str) -> bool {
        match text {
            MENTION => self.inside = true,
            MENTION_END => self.inside = false,
            _ if self.inside => self.left_out += 1,
            _ => return true,
        }
        false
    }
}

/// The summary in what a compaction left, `None` when it is none. `thanked`: the model thanked for it.
pub fn summary(text: &str, thanked: bool) -> Option<&str> {
    let all = text.trim();
    let start = all.find(SNAPSHOT)?;
    if start > 0 && !thanked && !all.starts_with("<scratchpad>") {
        return None;
    }
    let inside = &all[start + SNAPSHOT.len()..];
    Some(match inside.rfind(SNAPSHOT_END) {
        Some(end) if inside[end + SNAPSHOT_END.len()..].trim().is_empty() => inside[..end].trim(),
        _ => all,
    })
}

/// The exit code in the output of a shell command.
pub fn exit_code(output: &str) -> Option<i32> {
    let line = output.lines().rev().take(8).find_map(|line| line.strip_prefix("Exit Code: "))?;
    line.trim().parse().ok()
}

/// What the model is told when the user stopped it: the program itself tells it nothing.
pub const INTERRUPTED: &str = "[Request interrupted by user]";

const REPORT: &str = "<task-report>\n";
const REPORT_END: &str = "\n</task-report>";

/// What the model is told of a task in the background that reports: Gemini CLI has none of its own.
pub fn told_report(text: &str) -> String {
    format!("{REPORT}{text}{REPORT_END}")
}

/// The report in what the model was told.
pub fn report(text: &str) -> Option<&str> {
    text.strip_prefix(REPORT)?.strip_suffix(REPORT_END)
}

/// A command that the user ran by hand (`!cmd`), as the program tells its model: the command and
/// what it printed.
pub fn user_shell(text: &str) -> Option<(String, String)> {
    let rest = text.strip_prefix("I ran the following shell command:\n```sh\n")?;
    let (command, rest) = rest.split_once("\n```\n\nThis produced the following result:\n```\n")?;
    let output = rest.strip_suffix("\n```")?;
    Some((unescaped(command), unescaped(output)))
}

/// What the program tells its model of a command that the user ran by hand.
pub fn told_shell(command: &str, output: &str) -> String {
    format!(
        "I ran the following shell command:\n```sh\n{}\n```\n\nThis produced the following result:\n```\n{}\n```",
        escaped(command),
        escaped(output)
    )
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('`', r"\`")
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_leaves_out() {
        for ignored in
            ["", " \n", "/help", "  /x", "?", "\u{feff}/x", "<session_context>\nx", " <hook_context>"]
        {
            assert!(is_ignored(ignored), "{ignored:?}");
        }
        for kept in ["a /x", "\u{200b}/x", "\u{200b}", "<context>"] {
            assert!(!is_ignored(kept), "{kept:?}");
        }
        assert_eq!(without_keeper("\u{200b}/etc is odd"), "/etc is odd");
        assert_eq!(without_keeper("\u{200b}plain"), "\u{200b}plain");
    }

    #[test]
    fn summaries() {
        assert_eq!(summary("<state_snapshot>\n a \n</state_snapshot>", false), Some("a"));
        assert_eq!(
            summary("<scratchpad>x</scratchpad>\n<state_snapshot>a</state_snapshot>", false),
            Some("a")
        );
        let inside = "see <state_snapshot>a</state_snapshot> there";
        assert_eq!(summary(inside, false), None);
        assert_eq!(summary(inside, true), Some(inside));
        assert_eq!(summary("nothing", true), None);
    }

    #[test]
    fn a_command_by_hand_survives_its_wording() {
        let told = told_shell("echo `x` \\n", "a\\b\n`");
        assert_eq!(user_shell(&told), Some(("echo `x` \\n".into(), "a\\b\n`".into())));
        assert_eq!(user_shell("I ran the following shell command: ls"), None);
    }

    #[test]
    fn exit_codes() {
        assert_eq!(
            exit_code("Output: x\nExit Code: 3\nProcess Group PGID: 1\n</untrusted_context>"),
            Some(3)
        );
        assert_eq!(exit_code("x Exit Code: 3"), None);
    }
}
