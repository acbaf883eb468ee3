//! The cases of opencode and Kilo: through the server that their own terminals talk to.

use std::fs;

use serde_json::{Value, json};

use crate::stage::Play::{By, Turn};
use crate::stage::{Recording, Stage};
use crate::support::model::Model;
use crate::support::model::scenario::prompt;
use crate::support::programs::{Flavour, KILO, OPENCODE, Opencode, Server};

/// All cases of opencode.
pub const OPENCODE_CASES: &[Recording] = &[
    Recording::new("chat", "two turns of text, every width of UTF-8", By(|stage| chat(&OPENCODE, stage))),
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
    Recording::new("think", "reasoning in plain text", Turn("Please add two and two", "think")),
    Recording::new(
        "image",
        "an image from the user and one that a tool returned",
        By(|stage| image(&OPENCODE, stage)),
    ),
    Recording::new("mention", "a text file that the user mentioned", By(|stage| mention(&OPENCODE, stage))),
    Recording::new(
        "large",
        "output of 130 KB, kept in a file of its own",
        Turn("Please print a lot of text", "large"),
    ),
    Recording::new("todo", "a list of things to do", Turn("Please plan the day", "todo")),
    Recording::new(
        "unknown-tool",
        "a call of a tool that does not exist",
        Turn("Please use a strange tool", "unknown"),
    ),
    Recording::new("missing", "a tool that failed", Turn("Please read what is not there", "missing")),
    Recording::new("subagent", "a sub-agent with a session of its own", Turn("Please ask a helper", "agent")),
    Recording::new(
        "compact",
        "compacted by the user, then one more turn",
        By(|stage| compact(&OPENCODE, stage)),
    ),
    Recording::new("fork", "a copy of a session that went on by itself", By(|stage| fork(&OPENCODE, stage))),
    Recording::new(
        "revert-pending",
        "the last turn was taken back, nothing came after",
        By(|stage| revert(&OPENCODE, stage, None)),
    ),
    Recording::new(
        "revert",
        "the second turn was taken back and asked again",
        By(|stage| revert(&OPENCODE, stage, Some("This turn replaces it"))),
    ),
    Recording::new(
        "resumed",
        "three turns, each by a process of its own",
        By(|stage| resumed(&OPENCODE, stage)),
    ),
    Recording::new(
        "interrupted",
        "a command that the user interrupted",
        By(|stage| interrupted(&OPENCODE, stage)),
    ),
    Recording::new(
        "user-shell",
        "a command of the user (`!`), between two turns",
        By(|stage| user_shell(&OPENCODE, stage)),
    ),
    Recording::new("run", "made by `opencode run`", By(|stage| run(&OPENCODE, stage))),
];

/// All cases of Kilo.
pub const KILO_CASES: &[Recording] = &[
    Recording::new("chat", "two turns of text, every width of UTF-8", By(|stage| chat(&KILO, stage))),
    Recording::new("fail", "a command that fails", Turn("Please build déploy for me", "fail")),
    Recording::new("edit", "a file written, edited and printed", Turn("Please write the notes", "edit")),
    Recording::new(
        "parallel3",
        "three calls in one answer, one fails",
        Turn("Please run a trio of commands", "parallel3"),
    ),
    Recording::new("think", "reasoning in plain text", Turn("Please add two and two", "think")),
    Recording::new(
        "image",
        "an image from the user and one that a tool returned",
        By(|stage| image(&KILO, stage)),
    ),
    Recording::new(
        "large",
        "output of 130 KB, kept in a file of its own",
        Turn("Please print a lot of text", "large"),
    ),
    Recording::new("todo", "a list of things to do", Turn("Please plan the day", "todo")),
    Recording::new("subagent", "a sub-agent with a session of its own", Turn("Please ask a helper", "agent")),
    Recording::new("compact", "compacted by the user, then one more turn", By(|stage| compact(&KILO, stage))),
    Recording::new(
        "revert-pending",
        "the last turn was taken back, nothing came after",
        By(|stage| revert(&KILO, stage, None)),
    ),
    Recording::new(
        "user-shell",
        "a command of the user (`!`), between two turns",
        By(|stage| user_shell(&KILO, stage)),
    ),
];

/// One turn in a new session of opencode.
pub fn opencode_turn(stage: &Stage, _: &Recording, text: &str, scenario: &str) -> Result<String, String> {
    play(&OPENCODE, stage, &[&prompt(text, scenario)])
}

/// One turn in a new session of Kilo.
pub fn kilo_turn(stage: &Stage, _: &Recording, text: &str, scenario: &str) -> Result<String, String> {
    play(&KILO, stage, &[&prompt(text, scenario)])
}

/// Does `play` with a running server.
fn with_server<T>(
    flavour: &'static Flavour,
    stage: &Stage,
    play: impl FnOnce(&Server) -> Result<T, String>,
) -> Result<T, String> {
    let model = Model::start(&stage.project);
    let program = Opencode::new(flavour, &stage.home, &stage.project);
    let played = play(&program.serve(&model)?)?;
    match model.requests().into_iter().find_map(|request| request.refused) {
        Some(reason) => Err(format!("refused: {reason}")),
        None => Ok(played),
    }
}

/// A new session with these prompts.
fn play(flavour: &'static Flavour, stage: &Stage, prompts: &[&str]) -> Result<String, String> {
    with_server(flavour, stage, |server| {
        let session = server.create()?;
        for prompt in prompts {
            server.say(&session, prompt)?;
        }
        titled(server, &session)?;
        Ok(session)
    })
}

/// Waits for the title, which another request to the model makes meanwhile.
fn titled(server: &Server, session: &str) -> Result<(), String> {
    for _ in 0..100 {
        let info = server.call("GET", &format!("/session/{session}"), &Value::Null)?;
        if info["title"].as_str().is_some_and(|title| title.starts_with("About ")) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Err("the session got no title".into())
}

fn chat(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    let hello = "Hello from the café: ß 漢字 🎉 \"quoted\" <b>";
    play(flavour, stage, &[hello, "A second question about the café"])
}

fn run(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    let program = Opencode::new(flavour, &stage.home, &stage.project);
    program.run(&prompt("Please work in a script", "parallel2"), &["--title", "A script's session"])
}

/// A file as the terminal attaches it.
fn attached(stage: &Stage, name: &str, mime: &str) -> Value {
    let path = stage.project.join(name);
    let source = json!({"type": "file", "path": name, "text": {"value": format!("@{name}"), "start": 0, "end": name.len() + 1}});
    json!({"type": "file", "mime": mime, "filename": name, "url": format!("file://{}", path.display()), "source": source})
}

fn image(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    with_server(flavour, stage, |server| {
        let session = server.create()?;
        let text = prompt("Please describe @pic.png", "image");
        let parts = json!([{"type": "text", "text": text}, attached(stage, "pic.png", "image/png")]);
        server.turn(&session, parts)?;
        titled(server, &session)?;
        Ok(session)
    })
}

fn mention(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    with_server(flavour, stage, |server| {
        let session = server.create()?;
        let text = "Please explain @README.md to me";
        let parts = json!([{"type": "text", "text": text}, attached(stage, "README.md", "text/plain")]);
        server.turn(&session, parts)?;
        titled(server, &session)?;
        Ok(session)
    })
}

fn compact(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    with_server(flavour, stage, |server| {
        let session = server.create()?;
        server.say(&session, &prompt("Please build it before compaction", "fail"))?;
        let model = json!({"providerID": "fake", "modelID": "fake-model"});
        server.call("POST", &format!("/session/{session}/summarize"), &model)?;
        server.say(&session, "What comes after the compaction?")?;
        titled(server, &session)?;
        Ok(session)
    })
}

fn fork(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    with_server(flavour, stage, |server| {
        let trunk = server.create()?;
        server.say(&trunk, &prompt("Please start the trunk", "parallel2"))?;
        titled(server, &trunk)?;
        let branch = server.call("POST", &format!("/session/{trunk}/fork"), &json!({}))?;
        let branch = branch["id"].as_str().ok_or_else(|| format!("no fork: {branch}"))?.to_owned();
        server.say(&branch, "This is the branch")?;
        server.say(&trunk, "The trunk goes on without the branch")?;
        Ok(branch)
    })
}

/// Takes the second turn back; `then` is asked in its place.
fn revert(flavour: &'static Flavour, stage: &Stage, then: Option<&str>) -> Result<String, String> {
    with_server(flavour, stage, |server| {
        let session = server.create()?;
        server.say(&session, &prompt("Please begin with this", "fail"))?;
        server.say(&session, "This turn is taken back")?;
        titled(server, &session)?;
        let messages = server.messages(&session)?;
        let prompts = messages.iter().filter(|message| message["info"]["role"] == "user");
        let last = prompts.last().ok_or("there is no prompt")?["info"]["id"].clone();
        server.call("POST", &format!("/session/{session}/revert"), &json!({"messageID": last}))?;
        if let Some(text) = then {
            server.say(&session, text)?;
        }
        Ok(session)
    })
}

fn resumed(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    let session = play(flavour, stage, &[&prompt("Please start, I will be back", "parallel2")])?;
    for prompt in [prompt("I am back, try again", "fail"), "And back once more".into()] {
        with_server(flavour, stage, |server| server.say(&session, &prompt))?;
    }
    Ok(session)
}

fn user_shell(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    fs::write(stage.project.join("greeting.txt"), "hello from a file\n")
        .map_err(|error| error.to_string())?;
    with_server(flavour, stage, |server| {
        let session = server.create()?;
        server.say(&session, "First a question in words")?;
        let command = json!({"agent": if flavour.name == "kilo" { "code" } else { "build" }, "command": "cat greeting.txt"});
        server.call("POST", &format!("/session/{session}/shell"), &command)?;
        server.say(&session, "What did the command print?")?;
        titled(server, &session)?;
        Ok(session)
    })
}

fn interrupted(flavour: &'static Flavour, stage: &Stage) -> Result<String, String> {
    with_server(flavour, stage, |server| {
        let session = server.create()?;
        let text = prompt("Please start what I will stop", "slow");
        let parts = json!({"parts": [{"type": "text", "text": text}]});
        server.call("POST", &format!("/session/{session}/prompt_async"), &parts)?;
        let begun = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let messages = server.messages(&session).unwrap_or_default();
            messages.iter().any(|message| message["parts"].to_string().contains("begun\\n"))
        });
        if !begun {
            return Err("the command did not begin".into());
        }
        server.call("POST", &format!("/session/{session}/abort"), &json!({}))?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        server.say(&session, "Go on with something else")?;
        titled(server, &session)?;
        Ok(session)
    })
}
