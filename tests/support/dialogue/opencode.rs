//! Requests of opencode 1.18.33 and Kilo 7.7.9: OpenAI chat completions.

use serde_json::{Value, json};

use super::{Item, image, list, text_of};

/// What begins a turn in which the user, not the model, ran a command.
const USER_SHELL: &str = "The following tool was executed by the user";

/// What stands before the images of tool results, which the interface has no other place for.
const TOOL_MEDIA: &str = "Attached media from tool result:";

/// What stands before the summary of a compaction.
const SUMMARY_OF: &str = "What did we do so far?";

/// What the program says that it did when the user mentioned a file.
const MENTIONED: &str = "Called the Read tool with the following input";

/// What Kilo adds to a message when it sends it.
const OF_KILO: &[&str] = &["<environment_details>", "<system-reminder>\nThe active agent has changed from "];

/// The dialogue. What the interface does not carry, such as whether a call failed, is not known here.
pub fn read(body: &Value) -> Vec<Item> {
    let messages = list(&body["messages"]);
    let mut items = Vec::new();
    let mut i = 0;
    while let Some(message) = messages.get(i) {
        let next = messages.get(i + 1);
        match message["role"].as_str().unwrap_or_default() {
            "user" => match (only_text(message).as_deref(), next) {
                (Some(SUMMARY_OF), Some(summary)) if summary["role"] == "assistant" => {
                    items.push(Item::Summary(text_of(&summary["content"])));
                    i += 1;
                }
                (Some(USER_SHELL), Some(call)) if call["role"] == "assistant" => {
                    items.push(user_shell(call, messages.get(i + 2)));
                    i += 2;
                }
                _ => items.extend(user(message)),
            },
            "assistant" => items.extend(assistant(message)),
            "tool" => {
                let id = text_of(&message["tool_call_id"]);
                let text = parts(message).iter().map(|part| text_of(&part["text"])).collect::<Vec<_>>();
                items.push(Item::Result { id, text: text.join("\n"), failed: None });
            }
            _ => {}
        }
        i += 1;
    }
    items
}

/// The parts of a message; a plain string is one part.
fn parts(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        content => {
            let own = |part: &&Value| {
                let text = part["text"].as_str().unwrap_or_default().trim_start();
                !OF_KILO.iter().any(|mark| text.starts_with(mark))
            };
            list(content).iter().filter(own).cloned().collect()
        }
    }
}

/// The text of a message that is nothing but one text.
fn only_text(message: &Value) -> Option<String> {
    match parts(message).as_slice() {
        [part] => part["text"].as_str().map(str::to_owned),
        _ => None,
    }
}

fn user(message: &Value) -> Vec<Item> {
    let parts = parts(message);
    let of_tool = parts.first().is_some_and(|part| part["text"] == TOOL_MEDIA);
    let item = |part: &Value| match part["image_url"]["url"].as_str() {
        Some(url) => image(url.split_once(";base64,").map_or(url, |(_, data)| data)),
        None => said(&text_of(&part["text"])),
    };
    parts.iter().skip(usize::from(of_tool)).map(item).collect()
}

/// A text of the user, or of the program about a file that the user mentioned.
fn said(text: &str) -> Item {
    if let Some(input) = text.strip_prefix(MENTIONED) {
        let input: Value = serde_json::from_str(input.trim_start_matches(": ")).unwrap_or_default();
        return Item::Note(format!("{MENTIONED}\n{}", text_of(&input["filePath"])));
    }
    let file = text.strip_prefix("<path>").and_then(|rest| rest.split_once("<content>\n"));
    if let Some((_, content)) = file {
        let content = content.split("\n\n(End of file").next().unwrap_or(content);
        let lines = content.lines().map(|line| line.split_once(": ").map_or(line, |(_, line)| line));
        return Item::Note(lines.collect::<Vec<_>>().join("\n"));
    }
    Item::User(text.to_owned())
}

fn assistant(message: &Value) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(thought) = message["reasoning_content"].as_str().filter(|text| !text.is_empty()) {
        items.push(Item::Reasoning(thought.to_owned()));
    }
    items.extend(parts(message).iter().map(|part| Item::Assistant(text_of(&part["text"]))));
    items.extend(list(&message["tool_calls"]).iter().map(|call| {
        let arguments = text_of(&call["function"]["arguments"]);
        let args = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
        Item::Call { id: text_of(&call["id"]), name: text_of(&call["function"]["name"]), args }
    }));
    items
}

/// A command of the user and what it printed, in the words that other programs have for it.
fn user_shell(call: &Value, result: Option<&Value>) -> Item {
    let function = &call["tool_calls"][0]["function"];
    let input: Value = serde_json::from_str(&text_of(&function["arguments"])).unwrap_or_default();
    let output = result.map(|result| text_of(&result["content"])).unwrap_or_default();
    Item::Note(format!(
        "<user_shell_command>\n{}\n{output}\n</user_shell_command>",
        text_of(&input["command"])
    ))
}

#[test]
fn what_the_program_adds_is_no_dialogue() {
    let body = json!({"messages": [
        {"role": "system", "content": "You are …"},
        {"role": "user", "content": "What did we do so far?"},
        {"role": "assistant", "content": "A lot."},
        {"role": "user", "content": [
            {"type": "text", "text": "and now?"},
            {"type": "text", "text": "\n\n<environment_details>\nMessage time: now\n</environment_details>"},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "bash", "arguments": "{\"command\":\"ls\"}"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
        {"role": "user", "content": [
            {"type": "text", "text": "Attached media from tool result:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]},
        {"role": "user", "content": "The following tool was executed by the user"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "b", "type": "function", "function": {"name": "bash", "arguments": "{\"command\":\"cat f\"}"}},
        ]},
        {"role": "tool", "tool_call_id": "b", "content": "in f"},
        {"role": "user", "content": "<environment_context> leaked"},
    ]});
    let call = Item::Call { id: "a".into(), name: "bash".into(), args: json!({"command": "ls"}) };
    assert_eq!(
        super::read("opencode", &body),
        [
            Item::Summary("A lot.".into()),
            Item::User("and now?".into()),
            Item::Reasoning("hm".into()),
            call,
            Item::Result { id: "a".into(), text: "x".into(), failed: None },
            image("AAAA"),
            Item::Note("<user_shell_command>\ncat f\nin f\n</user_shell_command>".into()),
            Item::User("<environment_context> leaked".into()),
        ]
    );
}
