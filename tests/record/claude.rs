//! Claude Code's cases: typed into its terminal, as a user does.

use std::fs;

use crate::stage::Play::{By, Turn};
use crate::stage::{Recording, Stage};
use crate::support::model::scenario::{last_words, prompt};
use crate::support::programs::Claude;

/// All cases.
pub const CASES: &[Recording] = &[
    Recording::new("chat", "two turns of text, every width of UTF-8", By(chat)),
    Recording::new("fail", "a command that fails", Turn("Please build déploy for me", "fail")),
    Recording::new("edit", "a file written, edited and printed", Turn("Please write the notes", "edit")),
    Recording::new(
        "parallel2",
        "two calls in one answer",
        Turn("Please run a pair of commands", "parallel2"),
    ),
    Recording::new(
        "parallel3",
        "three calls in one answer, one fails",
        Turn("Please run a trio of commands", "parallel3"),
    ),
    Recording::new("think", "thinking with a signature", Turn("Please add two and two", "think")),
    Recording::new(
        "sealed",
        "thinking that only the provider can read",
        Turn("Please think in private", "sealed"),
    ),
    Recording::new("image", "an image that a tool returned", Turn("Please describe pic.png", "image")),
    Recording::new(
        "large",
        "output of 130 KB, kept in a file of its own",
        Turn("Please print a lot of text", "large"),
    ),
    Recording::new(
        "unknown-tool",
        "a call of a tool that does not exist",
        Turn("Please use a strange tool", "unknown"),
    ),
    Recording::new(
        "subagent",
        "a sub-agent with a transcript of its own",
        Turn("Please ask a helper", "agent"),
    ),
    Recording::new("compact", "compacted by the user, then one more turn", By(compact)),
    Recording::new("fork", "a copy of a session that went on by itself", By(fork)),
    Recording::new("rewind", "the second turn was taken back and asked again", By(rewind)),
    Recording::new("resumed", "three turns, each by a process of its own", By(resumed)),
    Recording::new("mention", "an image and a text file that the user mentioned", By(mention)),
    Recording::new("queued", "a prompt that was typed while the model worked", By(queued)),
    Recording::new("interrupted", "a command that the user interrupted", By(interrupted)),
    Recording::new("user-shell", "a command of the user (`!`), between two turns", By(user_shell)),
];

/// One turn in a new session.
pub fn turn(stage: &Stage, _: &Recording, text: &str, scenario: &str) -> Result<String, String> {
    start(stage, text, scenario)
}

fn start(stage: &Stage, text: &str, scenario: &str) -> Result<String, String> {
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(None, &[], &prompt(text, scenario), last_words(scenario))?;
    only(&claude)
}

/// The id of the only session.
fn only(claude: &Claude<'_>) -> Result<String, String> {
    match claude.transcripts().as_slice() {
        [file] => Ok(file.file_stem().unwrap_or_default().to_string_lossy().into_owned()),
        files => Err(format!("there are {} sessions", files.len())),
    }
}

fn chat(stage: &Stage) -> Result<String, String> {
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(None, &[], "Hello from the café: ß 漢字 🎉 \"quoted\" <b>", "You said")?;
    let id = only(&claude)?;
    claude.talk(Some(&id), &[], "A second question about the café", "A second question about the café”")?;
    Ok(id)
}

fn compact(stage: &Stage) -> Result<String, String> {
    let id = start(stage, "Please build it before compaction", "fail")?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(Some(&id), &[], "/compact", "Compacted")?;
    claude.talk(Some(&id), &[], "What comes after the compaction?", "What comes after the compaction?”")?;
    Ok(id)
}

fn fork(stage: &Stage) -> Result<String, String> {
    let id = start(stage, "Please start the trunk", "parallel2")?;
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
    let id = start(stage, "Please begin with this", "fail")?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(Some(&id), &[], "This turn is taken back", "This turn is taken back”")?;
    // Escape twice opens the list of turns, with the cursor below the last one.
    let (escape, up, enter, clear) = ("\u{1b}", "\u{1b}[A", "\r", "\u{15}");
    let keys = [escape, escape, up, enter, enter, clear, "This turn replaces it", enter];
    claude.type_in(Some(&id), &keys, "This turn replaces it”")?;
    Ok(id)
}

fn resumed(stage: &Stage) -> Result<String, String> {
    let id = start(stage, "Please start, I will be back", "parallel2")?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(Some(&id), &[], &prompt("I am back, try again", "fail"), last_words("fail"))?;
    claude.talk(Some(&id), &[], "And back once more", "And back once more”")?;
    Ok(id)
}

fn user_shell(stage: &Stage) -> Result<String, String> {
    fs::write(stage.project.join("greeting.txt"), "hello from a file\n")
        .map_err(|error| error.to_string())?;
    let claude = Claude::new(&stage.home, &stage.project);
    claude.talk(None, &[], "First a question in words", "First a question in words”")?;
    let id = only(&claude)?;
    claude.type_in(Some(&id), &["!", "cat greeting.txt", "\r"], "hello from a file")?;
    claude.talk(Some(&id), &[], "What did the command print?", "What did the command print?”")?;
    Ok(id)
}

fn mention(stage: &Stage) -> Result<String, String> {
    let claude = Claude::new(&stage.home, &stage.project);
    let prompt = "Please compare @pic.png and @README.md for me";
    claude.talk(None, &[], prompt, "You said")?;
    only(&claude)
}

fn queued(stage: &Stage) -> Result<String, String> {
    let claude = Claude::new(&stage.home, &stage.project);
    let begin = prompt("Please take your time", "slow");
    let keys = [&begin, "\r", "And think of the weather too", "\r"];
    claude.type_in(None, &keys, last_words("slow"))?;
    only(&claude)
}

fn interrupted(stage: &Stage) -> Result<String, String> {
    let claude = Claude::new(&stage.home, &stage.project);
    let begin = prompt("Please start what I will stop", "slow");
    claude.type_in(None, &[&begin, "\r", "", "\u{1b}"], "Interrupted")?;
    let id = only(&claude)?;
    claude.talk(Some(&id), &[], "Go on with something else", "Go on with something else”")?;
    Ok(id)
}
