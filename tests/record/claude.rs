//! Claude Code's cases: typed into its terminal, as a user does.

use std::fs;

use crate::stage::{Recording, Stage};
use crate::support::model::scenario::prompt;
use crate::support::programs::Claude;

/// All cases.
pub const CASES: &[Recording] = &[
    Recording { case: "chat", about: "two turns of text, every width of UTF-8", play: chat },
    Recording {
        case: "fail",
        about: "a command that fails",
        play: |stage| play(stage, "Please build déploy for me", "fail", "failed with exit code 3"),
    },
    Recording {
        case: "edit",
        about: "a file written, edited and printed; file history",
        play: |stage| play(stage, "Please write the notes", "edit", "written and edited"),
    },
    Recording {
        case: "parallel2",
        about: "two calls in one answer",
        play: |stage| play(stage, "Please run a pair of commands", "parallel2", "Both commands are done"),
    },
    Recording {
        case: "parallel3",
        about: "three calls in one answer, one fails",
        play: |stage| play(stage, "Please run a trio of commands", "parallel3", "One of the three failed"),
    },
    Recording {
        case: "think",
        about: "thinking with a signature, before a call and before text",
        play: |stage| play(stage, "Please add two and two", "think", "The sum is four"),
    },
    Recording {
        case: "sealed",
        about: "thinking that only the provider can read",
        play: |stage| play(stage, "Please think in private", "sealed", "thought about it in private"),
    },
    Recording {
        case: "image",
        about: "an image that a tool returned",
        play: |stage| play(stage, "Please describe pic.png", "image", "A small red square"),
    },
    Recording {
        case: "large",
        about: "output of 130 KB, kept in a file of its own",
        play: |stage| play(stage, "Please print a lot of text", "large", "a lot of text"),
    },
    Recording {
        case: "unknown-tool",
        about: "a call of a tool that does not exist",
        play: |stage| play(stage, "Please use a strange tool", "unknown", "That tool does not exist"),
    },
    Recording {
        case: "subagent",
        about: "a sub-agent with a transcript of its own",
        play: |stage| play(stage, "Please ask a helper", "agent", "The sub-agent has reported"),
    },
    Recording { case: "compact", about: "compacted by the user, then one more turn", play: compact },
    Recording { case: "fork", about: "a copy of a session that went on by itself", play: fork },
    Recording { case: "rewind", about: "the first answer was discarded and asked again", play: rewind },
    Recording { case: "resumed", about: "three turns, each by a process of its own", play: resumed },
    Recording {
        case: "shell-mode",
        about: "a command of the user (`!`), between two turns",
        play: shell_mode,
    },
];

/// The id of the only session.
fn only(claude: &Claude<'_>) -> Result<String, String> {
    match claude.transcripts().as_slice() {
        [file] => Ok(file.file_stem().unwrap_or_default().to_string_lossy().into_owned()),
        files => Err(format!("there are {} sessions", files.len())),
    }
}

fn play(stage: &Stage, text: &str, scenario: &str, shown: &str) -> Result<String, String> {
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(None, &[], &prompt(text, scenario), shown)?;
    only(&claude)
}

fn chat(stage: &Stage) -> Result<String, String> {
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(None, &[], "Hello from the café: ß 漢字 🎉 \"quoted\" <b>", "You said")?;
    let id = only(&claude)?;
    claude.talk(Some(&id), &[], "A second question about the café", "A second question about the café”")?;
    Ok(id)
}

fn compact(stage: &Stage) -> Result<String, String> {
    let id = play(stage, "Please build it before compaction", "fail", "failed with exit code 3")?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(Some(&id), &[], "/compact", "Compacted")?;
    claude.talk(Some(&id), &[], "What comes after the compaction?", "What comes after the compaction?”")?;
    Ok(id)
}

fn fork(stage: &Stage) -> Result<String, String> {
    let id = play(stage, "Please start the trunk", "parallel2", "Both commands are done")?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(Some(&id), &["--fork-session"], "This is the branch", "This is the branch”")?;
    let files = claude.transcripts();
    let copies: Vec<_> = files.iter().filter(|file| !file.to_string_lossy().contains(&id)).collect();
    match copies.as_slice() {
        [copy] => Ok(copy.file_stem().unwrap_or_default().to_string_lossy().into_owned()),
        _ => Err(format!("there are {} sessions", files.len())),
    }
}

fn rewind(stage: &Stage) -> Result<String, String> {
    let id = play(stage, "Please begin with this", "fail", "failed with exit code 3")?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(Some(&id), &[], "This turn is taken back", "This turn is taken back”")?;
    // Escape twice opens the list of turns, with the cursor below the last one.
    let (escape, up, enter, clear) = ("\u{1b}", "\u{1b}[A", "\r", "\u{15}");
    let keys = [escape, escape, up, enter, enter, clear, "This turn replaces it", enter];
    claude.type_in(&id, &keys, "This turn replaces it”")?;
    Ok(id)
}

fn resumed(stage: &Stage) -> Result<String, String> {
    let id = play(stage, "Please start, I will be back", "parallel2", "Both commands are done")?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(Some(&id), &[], &prompt("I am back, try again", "fail"), "failed with exit code 3")?;
    claude.talk(Some(&id), &[], "And back once more", "And back once more”")?;
    Ok(id)
}

fn shell_mode(stage: &Stage) -> Result<String, String> {
    fs::write(stage.project.join("greeting.txt"), "hello from a file\n")
        .map_err(|error| error.to_string())?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(None, &[], "First a question in words", "First a question in words”")?;
    let id = only(&claude)?;
    claude.type_in(&id, &["!", "cat greeting.txt", "\r"], "hello from a file")?;
    claude.talk(Some(&id), &[], "What did the command print?", "What did the command print?”")?;
    Ok(id)
}
