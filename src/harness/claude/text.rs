//! What the program writes into user rows: which texts are the user's, and which are not.
//!
//! Claude Code has no other place for what it tells the model than the user's turn. So a user row
//! may hold an injected reminder, the echo of a slash command, the output of `!cmd`, a report of a
//! background task, or the marker of an interruption. Each has a tag of its own.

use std::borrow::Cow;

const REMINDER: &str = "<system-reminder>";
const REMINDER_END: &str = "</system-reminder>";

/// What a text in a user row is.
#[derive(Debug, PartialEq, Eq)]
pub enum Spoken<'a> {
    /// The user's words.
    Words(Cow<'a, str>),
    /// Injected by the program, or nothing.
    Context,
    /// A slash command that the user typed, such as `/review src`.
    Command(String),
    /// What a slash command of the program itself printed.
    CommandOutput,
    /// A command line that the user ran by hand.
    Shell(&'a str),
    /// What that command printed.
    ShellOutput(String),
    /// A background task reported.
    Report(String),
    /// The user stopped the model.
    Interrupted(&'a str),
}

/// Tags at the beginning of texts that the program injects, and a placeholder of it.
const CONTEXT: &[&str] = &[
    "(no content)",
    "<local-command-caveat>",
    "<user-prompt-submit-hook>",
    "<session-start-hook>",
    "<post-tool-use-hook>",
    "<ide_opened_file>",
    "<ide_selection>",
    "<tick>",
];

/// What this text of a user row is.
pub fn classify(text: &str) -> Spoken<'_> {
    let trimmed = text.trim();
    let begins = |tags: &[&str]| tags.iter().any(|tag| trimmed.starts_with(tag));
    if begins(CONTEXT) {
        Spoken::Context
    } else if begins(&["<command-name>", "<command-message>", "<command-args>"]) {
        Spoken::Command(command(trimmed))
    } else if begins(&["<local-command-stdout>", "<local-command-stderr>"]) {
        Spoken::CommandOutput
    } else if begins(&["<bash-input>"]) {
        Spoken::Shell(between(trimmed, "bash-input").unwrap_or_default().trim())
    } else if begins(&["<bash-stdout>", "<bash-stderr>"]) {
        Spoken::ShellOutput(shell_output(trimmed))
    } else if begins(&["<task-notification>"]) {
        Spoken::Report(report(trimmed))
    } else if trimmed.starts_with("[Request interrupted") && trimmed.find(']') == Some(trimmed.len() - 1) {
        Spoken::Interrupted(trimmed)
    } else {
        match without_reminders(text) {
            words if words.trim().is_empty() => Spoken::Context,
            words => Spoken::Words(words),
        }
    }
}

/// The text without the reminders in it.
fn without_reminders(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once(REMINDER)
        && let Some((_, after)) = tail.split_once(REMINDER_END)
    {
        out.push_str(before);
        rest = after;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out.trim().to_owned())
}

/// A tool's output without the reminder that earlier versions stored at its end. One in its midst
/// is the tool's own output: people do read files about reminders.
pub fn without_last_reminder(text: &str) -> &str {
    let trimmed = text.trim_end();
    match trimmed.strip_suffix(REMINDER_END).and_then(|text| text.rsplit_once(REMINDER)) {
        Some((before, _)) => before.trim_end(),
        None => text,
    }
}

/// The exit code that begins the output of a failed command.
pub fn exit_code(text: &str) -> Option<i32> {
    let rest = text.strip_prefix("Exit code ")?;
    let digits = rest.split(['\n', ' ']).next()?;
    digits.parse().ok()
}

/// Whether a failed result says that the tool was stopped before it ended.
pub fn is_interruption(text: &str) -> bool {
    ["[Request interrupted", "[Tool call interrupted", "[Tool result missing", "[Agent call interrupted"]
        .iter()
        .any(|beginning| text.starts_with(beginning))
}

fn command(text: &str) -> String {
    let name = between(text, "command-name").or_else(|| between(text, "command-message")).unwrap_or_default();
    let arguments = between(text, "command-args").unwrap_or_default();
    format!("{} {}", name.trim(), arguments.trim()).trim_end().to_owned()
}

fn shell_output(text: &str) -> String {
    let [out, error] = ["bash-stdout", "bash-stderr"].map(|tag| between(text, tag).unwrap_or_default());
    match (out.is_empty(), error.is_empty()) {
        (false, false) => format!("{}\n{error}", out.trim_end_matches('\n')),
        (true, _) => error.to_owned(),
        (_, true) => out.to_owned(),
    }
}

fn report(text: &str) -> String {
    let told: Vec<&str> = ["summary", "result"]
        .iter()
        .filter_map(|tag| between(text, tag))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    if told.is_empty() {
        return between(text, "task-notification").unwrap_or(text).trim().to_owned();
    }
    told.join("\n\n")
}

/// What stands between `<tag>` and the last `</tag>`.
fn between<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    rest.rsplit_once(&format!("</{tag}>")).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_is_not_what_the_user_says() {
        let command = "<command-message>review</command-message>\n<command-name>/review</command-name>\n\
                       <command-args>src</command-args>";
        let shell = "<bash-stdout>one\n</bash-stdout><bash-stderr>two</bash-stderr>";
        let report = "<task-notification>\n<task-id>a1</task-id>\n<summary>done</summary>\n<result>42</result>\n\
                      </task-notification>";
        for (text, expected) in [
            ("plain", Spoken::Words("plain".into())),
            ("<div> is a tag", Spoken::Words("<div> is a tag".into())),
            ("[Request interrupted] by me", Spoken::Words("[Request interrupted] by me".into())),
            ("[Request interrupted by user]", Spoken::Interrupted("[Request interrupted by user]")),
            ("<system-reminder>x</system-reminder>", Spoken::Context),
            ("a\n<system-reminder>x</system-reminder>", Spoken::Words("a".into())),
            ("<system-reminder>open", Spoken::Words("<system-reminder>open".into())),
            ("<local-command-caveat>x</local-command-caveat>", Spoken::Context),
            ("<local-command-stdout></local-command-stdout>", Spoken::CommandOutput),
            (command, Spoken::Command("/review src".to_owned())),
            ("<bash-input>ls</bash-input>", Spoken::Shell("ls")),
            (shell, Spoken::ShellOutput("one\ntwo".to_owned())),
            (report, Spoken::Report("done\n\n42".to_owned())),
            (" \n", Spoken::Context),
        ] {
            assert_eq!(classify(text), expected, "{text}");
        }
    }

    #[test]
    fn tool_output_keeps_all_but_a_last_reminder() {
        assert_eq!(without_last_reminder("a\n\n<system-reminder>b</system-reminder>\n"), "a");
        let inside = "a <system-reminder>b</system-reminder> c";
        assert_eq!(without_last_reminder(inside), inside);
        assert_eq!(exit_code("Exit code 3\noops"), Some(3));
        assert_eq!(exit_code("Exit code 3"), Some(3));
        assert_eq!(exit_code("Exit codes"), None);
    }
}
