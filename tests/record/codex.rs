//! Codex's cases: through its app server, as its editor extension does.

use serde_json::{Value, json};

use crate::stage::Play::{By, Turn};
use crate::stage::{Recording, Stage};
use crate::support::model::Model;
use crate::support::model::scenario::prompt;
use crate::support::programs::{AppServer, Codex};

/// All cases.
pub const CASES: &[Recording] = &[
    Recording::new("chat", "two turns of text, every width of UTF-8", By(chat)),
    Recording::new("fail", "a command that fails", Turn("Please build déploy for me", "fail")),
    Recording::new("edit", "a file added, patched and printed", Turn("Please write the notes", "edit")),
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
    Recording::new(
        "think",
        "a summary of reasoning, with encrypted content",
        Turn("Please add two and two", "think"),
    ),
    Recording::new(
        "sealed",
        "reasoning that only the provider can read",
        Turn("Please think in private", "sealed"),
    ),
    Recording::new("image", "an image from the user and one that a tool returned", By(image)),
    Recording::new("large", "output of 130 KB", Turn("Please print a lot of text", "large")),
    Recording::new(
        "unknown-tool",
        "a call of a tool that does not exist",
        Turn("Please use a strange tool", "unknown"),
    ),
    Recording {
        model: Some("gpt-5.6-sol"),
        ..Recording::new("code-mode", "tools called from JavaScript", Turn("Please run some code", "code"))
    },
    Recording::new("subagent", "a sub-agent with a thread of its own", Turn("Please ask a helper", "agent")),
    Recording::new("compact", "compacted by the user, then one more turn", By(compact)),
    Recording::new("fork", "a thread that points into another one", By(fork)),
    Recording::new("revert", "the second turn was taken back and asked again", By(revert)),
    Recording::new("resumed", "three turns, each by a process of its own", By(resumed)),
    Recording::new("user-shell", "a command of the user (`!`), between two turns", By(user_shell)),
    Recording::new("interrupted", "a command that the user interrupted", By(interrupted)),
    Recording { offered: false, ..Recording::new("exec", "made by `codex exec`", By(exec)) },
];

/// One turn in a new thread.
pub fn turn(stage: &Stage, recording: &Recording, text: &str, scenario: &str) -> Result<String, String> {
    let options = recording.model.map_or(json!({}), |model| json!({"model": model}));
    play(stage, options, &[&prompt(text, scenario)])
}

fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

/// Does `play` with a running app server.
fn with_server<T>(
    stage: &Stage,
    play: impl FnOnce(&mut AppServer) -> Result<T, String>,
) -> Result<T, String> {
    let codex = Codex::new(&stage.home, &stage.project);
    let model = Model::start(&stage.project);
    let played = play(&mut codex.app_server(&model))?;
    match model.requests().into_iter().find_map(|request| request.refused) {
        Some(reason) => Err(format!("refused: {reason}")),
        None => Ok(played),
    }
}

fn start(server: &mut AppServer, stage: &Stage, mut options: Value) -> Result<String, String> {
    options["cwd"] = json!(stage.project);
    let reply = server.call("thread/start", options)?;
    reply["thread"]["id"].as_str().map(str::to_owned).ok_or_else(|| format!("no thread: {reply}"))
}

fn play(stage: &Stage, options: Value, prompts: &[&str]) -> Result<String, String> {
    with_server(stage, |server| {
        let thread = start(server, stage, options)?;
        for prompt in prompts {
            server.turn(&thread, text(prompt))?;
        }
        Ok(thread)
    })
}

fn chat(stage: &Stage) -> Result<String, String> {
    let hello = "Hello from the café: ß 漢字 🎉 \"quoted\" <b>";
    play(stage, json!({}), &[hello, "A second question about the café"])
}

fn exec(stage: &Stage) -> Result<String, String> {
    Codex::new(&stage.home, &stage.project).exec(&prompt("Please work in a script", "parallel2"))
}

fn image(stage: &Stage) -> Result<String, String> {
    with_server(stage, |server| {
        let thread = start(server, stage, json!({}))?;
        let prompt = prompt("Please describe the picture", "image");
        let picture = stage.project.join("pic.png");
        server.turn(
            &thread,
            json!([{"type": "text", "text": prompt}, {"type": "localImage", "path": picture}]),
        )?;
        Ok(thread)
    })
}

fn compact(stage: &Stage) -> Result<String, String> {
    with_server(stage, |server| {
        let thread = start(server, stage, json!({}))?;
        server.turn(&thread, text(&prompt("Please build it before compaction", "fail")))?;
        server.call("thread/compact/start", json!({"threadId": thread}))?;
        server.turn_end(&thread)?;
        server.turn(&thread, text("What comes after the compaction?"))?;
        Ok(thread)
    })
}

fn fork(stage: &Stage) -> Result<String, String> {
    with_server(stage, |server| {
        let trunk = start(server, stage, json!({}))?;
        server.turn(&trunk, text(&prompt("Please start the trunk", "parallel2")))?;
        let reply = server.call("thread/fork", json!({"threadId": trunk}))?;
        let branch = reply["thread"]["id"].as_str().ok_or_else(|| format!("no fork: {reply}"))?.to_owned();
        server.turn(&branch, text("This is the branch"))?;
        server.turn(&trunk, text("The trunk goes on without the branch"))?;
        Ok(branch)
    })
}

fn revert(stage: &Stage) -> Result<String, String> {
    with_server(stage, |server| {
        let thread = start(server, stage, json!({}))?;
        server.turn(&thread, text(&prompt("Please begin with this", "fail")))?;
        let turn = server.turn(&thread, text("This turn is taken back"))?;
        server.call("thread/revert", json!({"threadId": thread, "beforeTurnId": turn}))?;
        server.turn(&thread, text("This turn replaces it"))?;
        Ok(thread)
    })
}

fn resumed(stage: &Stage) -> Result<String, String> {
    let thread = play(stage, json!({}), &[&prompt("Please start, I will be back", "parallel2")])?;
    for prompt in [prompt("I am back, try again", "fail"), "And back once more".into()] {
        with_server(stage, |server| {
            server.call("thread/resume", json!({"threadId": thread}))?;
            server.turn(&thread, text(&prompt))
        })?;
    }
    Ok(thread)
}

fn user_shell(stage: &Stage) -> Result<String, String> {
    with_server(stage, |server| {
        let thread = start(server, stage, json!({}))?;
        server.turn(&thread, text("First a question in words"))?;
        server.call(
            "thread/shellCommand",
            json!({"threadId": thread, "command": "echo hello from a command"}),
        )?;
        server.turn_end(&thread)?;
        server.turn(&thread, text("What did the command print?"))?;
        Ok(thread)
    })
}

fn interrupted(stage: &Stage) -> Result<String, String> {
    with_server(stage, |server| {
        let thread = start(server, stage, json!({}))?;
        let input = text(&prompt("Please start what I will stop", "slow"));
        let reply = server.call("turn/start", json!({"threadId": thread, "input": input}))?;
        server.wait("item/started", |params| params["item"]["type"] == "commandExecution")?;
        server.call("turn/interrupt", json!({"threadId": thread, "turnId": reply["turn"]["id"]}))?;
        server.turn_end(&thread)?;
        server.turn(&thread, text("Go on with something else"))?;
        Ok(thread)
    })
}
