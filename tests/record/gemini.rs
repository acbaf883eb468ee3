//! Gemini CLI's cases: by prompts without a terminal where that is enough, typed where it is not.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::stage::Play::{By, Turn};
use crate::stage::{Recording, Stage};
use crate::support::model::scenario::{last_words, prompt};
use crate::support::programs::{Gemini, Origin};

/// All cases.
pub const CASES: &[Recording] = &[
    Recording::new(
        "chat",
        "two turns of text by two processes in one minute, every width of UTF-8",
        By(chat),
    ),
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
    Recording::new("think", "thoughts with a subject", Turn("Please add two and two", "think")),
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
        "tool-error",
        "a tool that answers with an error",
        Turn("Please read missing.txt", "missing"),
    ),
    Recording::new(
        "subagent",
        "a sub-agent with a transcript of its own",
        Turn("Please ask a helper", "agent"),
    ),
    Recording::new("mention", "an image and a text file that the user mentioned", By(mention)),
    Recording::new("resumed", "three turns, each by a process of its own in another minute", By(resumed)),
    Recording::new("compact", "compacted by the user, then one more turn", By(compact)),
    Recording::new("rewind", "the second turn was taken back and asked again", By(rewind)),
    Recording::new("queued", "a prompt that was typed while the model worked", By(queued)),
    Recording::new("interrupted", "a command that the user interrupted", By(interrupted)),
    Recording::new("user-shell", "a command of the user (`!`), between two turns", By(user_shell)),
    Recording::new("checkpoint", "saved by `/chat save`, then one more turn", By(checkpoint)),
];

/// One turn in a new session.
pub fn turn(stage: &Stage, _: &Recording, text: &str, scenario: &str) -> Result<String, String> {
    gemini(stage).run(&prompt(text, scenario))
}

fn gemini(stage: &Stage) -> Gemini<'_> {
    Gemini::new(&stage.home, &stage.project)
}

/// A line that is typed, and a part of the answer.
fn line(text: &str, shown: &str) -> (String, String) {
    (format!("{text}\r"), shown.to_owned())
}

/// A line without a scenario.
fn question(text: &str) -> (String, String) {
    line(text, &format!("{}”", text.trim_start_matches('\u{15}')))
}

/// Plays lines in a new session. Returns its id.
fn typed(stage: &Stage, lines: &[(String, String)]) -> Result<String, String> {
    let gemini = gemini(stage);
    let lines: Vec<(&str, &str)> = lines.iter().map(|(keys, shown)| (&**keys, &**shown)).collect();
    gemini.type_in(None, &lines)?;
    match gemini.transcripts().as_slice() {
        [file] => {
            let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
            let id = text.split('"').skip_while(|word| *word != "sessionId").nth(2);
            id.map(str::to_owned).ok_or_else(|| "the session has no id".into())
        }
        files => Err(format!("there are {} sessions: {files:?}", files.len())),
    }
}

fn chat(stage: &Stage) -> Result<String, String> {
    // The second process writes into the first one's file only within the same minute.
    wait_for_second(|second| second < 40);
    let id = gemini(stage).run("Hello from the café: ß 漢字 🎉 \"quoted\" <b>")?;
    gemini(stage).resume(&id, "A second question about the café", Origin::Own)?;
    Ok(id)
}

fn mention(stage: &Stage) -> Result<String, String> {
    gemini(stage).run("Please compare @pic.png and @README.md for me")
}

fn resumed(stage: &Stage) -> Result<String, String> {
    let id = gemini(stage).run(&prompt("Please start, I will be back", "parallel2"))?;
    for prompt in [prompt("I am back, try again", "fail"), "And back once more".into()] {
        wait_for_second(|second| second > 55);
        wait_for_second(|second| second < 5);
        gemini(stage).resume(&id, &prompt, Origin::Own)?;
    }
    Ok(id)
}

/// Waits for a second of the minute: the program names its files after the minute.
fn wait_for_second(wanted: fn(u64) -> bool) {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    while !wanted(now() % 60) {
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn compact(stage: &Stage) -> Result<String, String> {
    typed(
        stage,
        &[
            line(&prompt("Please build it before compaction", "fail"), last_words("fail")),
            line("/compress", "compressed"),
            question("What comes after the compaction?"),
        ],
    )
}

fn rewind(stage: &Stage) -> Result<String, String> {
    typed(
        stage,
        &[
            line(&prompt("Please begin with this", "fail"), last_words("fail")),
            question("This turn is taken back"),
            line("/rewind", "Stay at current position"),
            // The turn above the cursor, and then the first choice: only the conversation.
            line("\u{1b}[A", "Rewind conversation"),
            line("", "Rewind"),
            // The old text is in the input line.
            question("\u{15}This turn replaces it"),
        ],
    )
}

fn queued(stage: &Stage) -> Result<String, String> {
    typed(
        stage,
        &[
            line(&prompt("Please take your time", "slow"), "begun"),
            line("And think of the weather too", "And think of the weather too”"),
        ],
    )
}

fn interrupted(stage: &Stage) -> Result<String, String> {
    typed(
        stage,
        &[
            line(&prompt("Please start what I will stop", "slow"), "begun"),
            ("\u{1b}".into(), "cancelled".into()),
            question("Go on with something else"),
        ],
    )
}

fn user_shell(stage: &Stage) -> Result<String, String> {
    fs::write(stage.project.join("greeting.txt"), "hello from a file\n")
        .map_err(|error| error.to_string())?;
    typed(
        stage,
        &[
            question("First a question in words"),
            ("!".into(), "shell mode".into()),
            line("cat greeting.txt", "hello from a file"),
            ("\u{1b}".into(), "Type your message".into()),
            question("What did the command print?"),
        ],
    )
}

fn checkpoint(stage: &Stage) -> Result<String, String> {
    typed(
        stage,
        &[
            line(&prompt("Please begin what I will save", "parallel2"), last_words("parallel2")),
            line("/chat save first try", "saved"),
            question("What comes after the checkpoint?"),
        ],
    )
}
