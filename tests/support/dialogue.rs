//! A request to a model as a neutral list of what was said and done.
//!
//! Context that the program itself puts into a request is taken out, by nothing but that program's
//! own marks: context that leaked from another program stays, and shows as something the user said.

mod opencode;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// One thing that the model is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The user said it.
    User(String),
    /// The assistant said it.
    Assistant(String),
    /// The assistant thought it; empty when only the provider can read it.
    Reasoning(String),
    /// The assistant called a tool.
    Call { id: String, name: String, args: Value },
    /// A tool answered. Whether it failed is `None` where the program does not say so.
    Result { id: String, text: String, failed: Option<bool> },
    /// An image, from the user or inside the result before it: hash of its base64 text.
    Image(String),
    /// A compaction wrote it in place of what was said before.
    Summary(String),
    /// The user did something outside the dialogue, or a background task reported.
    Note(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| {
            let begin: String = text.chars().take(90).collect();
            format!("{begin:?}{}", if begin.len() < text.len() { "…" } else { "" })
        };
        match self {
            Self::User(text) => write!(f, "user {}", short(text)),
            Self::Assistant(text) => write!(f, "assistant {}", short(text)),
            Self::Reasoning(text) => write!(f, "reasoning {}", short(text)),
            Self::Call { id, name, args } => write!(f, "call {id} {name} {}", short(&args.to_string())),
            Self::Result { id, text, failed } => {
                write!(
                    f,
                    "result {id}{} {}",
                    if *failed == Some(true) { " (failed)" } else { "" },
                    short(text)
                )
            }
            Self::Image(hash) => write!(f, "image {}", &hash[..8]),
            Self::Summary(text) => write!(f, "summary {}", short(text)),
            Self::Note(text) => write!(f, "note {}", short(text)),
        }
    }
}

/// Notes which results failed, for programs whose requests do not say it: `outcomes` by call.
pub fn settle(items: &mut [Item], outcomes: &HashMap<String, Option<bool>>) {
    for item in items {
        if let Item::Result { id, failed, .. } = item {
            *failed = outcomes.get(id).copied().flatten();
        }
    }
}

/// What a request of this harness tells its model.
pub fn read(harness: &str, body: &Value) -> Vec<Item> {
    let items = match harness {
        "claude" => claude(body),
        "codex" => codex(body),
        "gemini" => gemini(body),
        "opencode" | "kilo" => opencode::read(body),
        other => panic!("no requests of {other} are known"),
    };
    items.into_iter().map(tidy).filter(|item| !is_empty(item)).collect()
}

/// Without the white space around a text, which no program keeps.
fn tidy(item: Item) -> Item {
    match item {
        Item::User(text) => Item::User(text.trim().to_owned()),
        Item::Assistant(text) => Item::Assistant(text.trim().to_owned()),
        Item::Reasoning(text) => Item::Reasoning(text.trim().to_owned()),
        Item::Summary(text) => Item::Summary(text.trim().to_owned()),
        Item::Note(text) => Item::Note(text.trim().to_owned()),
        Item::Result { id, text, failed } => Item::Result { id, text: text.trim().to_owned(), failed },
        other => other,
    }
}

fn is_empty(item: &Item) -> bool {
    matches!(item, Item::User(text) | Item::Assistant(text) | Item::Note(text) if text.is_empty())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An image by its base64 text.
pub fn image(base64: &str) -> Item {
    let hash = Sha256::digest(base64.as_bytes());
    Item::Image(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Claude Code 2.1.329.
fn claude(body: &Value) -> Vec<Item> {
    let mut items = Vec::new();
    for message in list(&body["messages"]) {
        let by_user = message["role"] == "user";
        // What came while a tool ran is sent inside its result, but was said after it.
        let mut later = Vec::new();
        let one = [serde_json::json!({"type": "text", "text": message["content"]})];
        let blocks = if message["content"].is_string() { &one } else { list(&message["content"]) };
        for block in blocks {
            match block["type"].as_str().unwrap_or_default() {
                "text" if by_user => items.extend(claude_user(&text_of(&block["text"]))),
                // The program puts it where an answer is missing.
                "text" if block["text"] == "No response requested." => {}
                "text" => items.push(Item::Assistant(text_of(&block["text"]))),
                "thinking" => items.push(Item::Reasoning(text_of(&block["thinking"]))),
                "redacted_thinking" => items.push(Item::Reasoning(String::new())),
                "image" => items.push(image(&text_of(&block["source"]["data"]))),
                "tool_use" => items.push(Item::Call {
                    id: text_of(&block["id"]),
                    name: text_of(&block["name"]),
                    args: block["input"].clone(),
                }),
                "tool_result" => {
                    let (text, images) = content(&block["content"]);
                    let (text, said) = split_reminders(&text);
                    later.extend(said);
                    let failed = Some(block["is_error"] == true);
                    items.push(Item::Result { id: text_of(&block["tool_use_id"]), text, failed });
                    items.extend(images);
                }
                other => items.push(Item::User(format!("unknown block {other}"))),
            }
        }
        items.extend(later);
    }
    items
}

/// A text block of a user message.
fn claude_user(text: &str) -> Vec<Item> {
    let (text, mut items) = split_reminders(text);
    let begins = |marks: &[&str]| marks.iter().any(|mark| text.trim_start().starts_with(mark));
    if begins(&["<local-command-caveat>", "(no content)"]) {
    } else if begins(&["This session is being continued from a previous conversation"]) {
        items.push(Item::Summary(text));
    } else if begins(&[
        "<command-name>",
        "<local-command-stdout>",
        "<local-command-stderr>",
        "<bash-input>",
        "<bash-stdout>",
        "<bash-stderr>",
        "<task-notification>",
        "[Request interrupted by user",
    ]) {
        items.push(Item::Note(text));
    } else {
        items.push(Item::User(text));
    }
    items
}

/// Claude Code marks what it adds by itself, also inside tool results. Some of that comes from the
/// user or from a background task, and is told from the rest by how it begins.
fn split_reminders(text: &str) -> (String, Vec<Item>) {
    const BEGIN: &str = "<system-reminder>";
    const END: &str = "</system-reminder>";
    let mut rest = text;
    let mut kept = String::new();
    let mut said = Vec::new();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        kept.push_str(before);
        let (reminder, after) = after.split_once(END).unwrap_or((after, ""));
        said.extend(reminder_item(reminder.trim()));
        rest = after;
    }
    (kept + rest, said)
}

fn reminder_item(reminder: &str) -> Option<Item> {
    if let Some(prompt) = reminder.strip_prefix("The user sent a new message while you were working:") {
        let prompt = prompt.split("\n\nThis is how Claude Code surfaces messages").next()?;
        return Some(Item::User(prompt.to_owned()));
    }
    if let Some(file) = reminder.strip_prefix("Result of calling the Read tool:") {
        // A file that the user mentioned, with numbered lines.
        let lines = file.lines().map(|line| line.split_once('\t').map_or(line, |(_, line)| line));
        return Some(Item::Note(lines.collect::<Vec<_>>().join("\n")));
    }
    between(reminder, "<task-notification>", "</task-notification>")
        .first()
        .map(|report| Item::Note((*report).to_owned()))
}

/// What stands between two marks, each time that both are there.
pub fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let parts = text.split(begin).skip(1);
    parts.filter_map(|part| part.split_once(end).map(|(inside, _)| inside)).collect()
}

/// Codex 0.169.0.
fn codex(body: &Value) -> Vec<Item> {
    let mut items = Vec::new();
    for item in list(&body["input"]) {
        match item["type"].as_str().unwrap_or("message") {
            "message" => match item["role"].as_str().unwrap_or_default() {
                "user" => items.extend(list(&item["content"]).iter().filter_map(codex_user)),
                "assistant" => {
                    items.extend(
                        list(&item["content"]).iter().map(|part| Item::Assistant(text_of(&part["text"]))),
                    );
                }
                _ => {}
            },
            "reasoning" => {
                let texts: Vec<&str> =
                    list(&item["summary"]).iter().filter_map(|p| p["text"].as_str()).collect();
                items.push(Item::Reasoning(texts.join("\n")));
            }
            "function_call" => {
                let arguments = text_of(&item["arguments"]);
                let args = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
                items.push(Item::Call { id: text_of(&item["call_id"]), name: text_of(&item["name"]), args });
            }
            "custom_tool_call" => items.push(Item::Call {
                id: text_of(&item["call_id"]),
                name: text_of(&item["name"]),
                args: item["input"].clone(),
            }),
            "function_call_output" | "custom_tool_call_output" => {
                let (text, images) = content(&item["output"]);
                let failed = Some(looks_failed(&text));
                items.push(Item::Result { id: text_of(&item["call_id"]), text, failed });
                items.extend(images);
            }
            "compaction" => items.push(Item::Summary(String::new())),
            "additional_tools" => {}
            other => items.push(Item::User(format!("unknown item {other}"))),
        }
    }
    items
}

/// A part of a user message; `None` is Codex's own context.
fn codex_user(part: &Value) -> Option<Item> {
    if let Some(url) = part["image_url"].as_str() {
        return Some(image(url.split_once(";base64,").map_or(url, |(_, data)| data)));
    }
    let text = text_of(&part["text"]);
    let begins = |marks: &[&str]| marks.iter().any(|mark| text.trim_start().starts_with(mark));
    if begins(&[
        "# AGENTS.md instructions for ",
        "<user_instructions>",
        "<environment_context>",
        "<skill>",
        "<permissions instructions>",
        "<collaboration_mode>",
        "<model_switch>",
        "<skills_instructions>",
        "<multi_agent_mode>",
        // Around an image.
        "<image name=",
        "</image>",
    ]) {
        None
    } else if begins(&["Another language model started to solve this problem"]) {
        Some(Item::Summary(text))
    } else if begins(&["<user_shell_command>", "<subagent_notification>", "<turn_aborted>"]) {
        Some(Item::Note(text))
    } else {
        Some(Item::User(text))
    }
}

/// Gemini CLI 0.61. The system instruction is a field of its own, so all contents are conversation.
fn gemini(body: &Value) -> Vec<Item> {
    let mut items = Vec::new();
    for content in list(&body["contents"]) {
        let by_user = content["role"] == "user";
        // On resume the program sends the results of its own sessions again, with their images.
        let mut repeats = false;
        // The texts of mentioned files stand between two marks.
        let mut mentioned = false;
        for part in list(&content["parts"]) {
            let (call, result) = (&part["functionCall"], &part["functionResponse"]);
            let text = part["text"].as_str().unwrap_or_default();
            if !call.is_null() {
                let (id, name) = (text_of(&call["id"]), text_of(&call["name"]));
                items.push(Item::Call { id, name, args: call["args"].clone() });
            } else if !result.is_null() {
                let item = gemini_result(result);
                repeats = items.contains(&item);
                if !repeats {
                    items.push(item);
                    let parts = list(&result["parts"]).iter();
                    items.extend(parts.filter_map(|part| part["inlineData"]["data"].as_str()).map(image));
                }
            } else if let Some(data) = part["inlineData"]["data"].as_str() {
                items.extend((!repeats).then(|| image(data)));
            } else if part["thought"] == true {
                items.push(Item::Reasoning(text.to_owned()));
            } else if text == "\n--- Content from referenced files ---" || text == "\n--- End of content ---"
            {
                mentioned = text.contains("Content from");
            } else if mentioned {
                let is_name = text.starts_with("\nContent from @");
                items.extend((!is_name).then(|| Item::Note(text.to_owned())));
            } else if by_user {
                items.extend(gemini_user(text));
            } else if !is_by_gemini(text, items.last()) {
                items.push(Item::Assistant(text.to_owned()));
            }
        }
    }
    items
}

/// Whether the program says it in the model's name: where an answer is missing, or after a summary.
fn is_by_gemini(text: &str, before: Option<&Item>) -> bool {
    text == "[The previous response was interrupted before it completed.]"
        || (text == "Got it. Thanks for the additional context!" && matches!(before, Some(Item::Summary(_))))
}

fn gemini_result(result: &Value) -> Item {
    let response = &result["response"];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (failed, text) = match (&response["error"], &response["output"]) {
        (Value::Null, Value::Null) => (false, text(response)),
        (Value::Null, output) => {
            // The shell's answer ends with what became of the command.
            let text = text(output);
            let code = |line: &str| line.strip_prefix("Exit Code: ")?.trim().parse::<i32>().ok();
            let failed = text.starts_with("<untrusted_context>")
                && text.lines().any(|line| code(line).is_some_and(|code| code != 0));
            (failed || looks_failed(&text), text)
        }
        (error, _) => (true, text(error)),
    };
    Item::Result { id: text_of(&result["id"]), text, failed: Some(failed) }
}

/// A text of a turn of the user; `None` is the program's own context.
fn gemini_user(text: &str) -> Option<Item> {
    let begins = |marks: &[&str]| marks.iter().any(|mark| text.trim_start().starts_with(mark));
    if begins(&["<session_context>", "<hook_context>"]) {
        None
    } else if begins(&["<state_snapshot>"]) {
        Some(Item::Summary(text.to_owned()))
    } else if begins(&[
        "I ran the following shell command:",
        "[Request interrupted by user",
        // The program has no form for the report of a background task: this one is holdall's.
        "<task-report>",
    ]) {
        Some(Item::Note(text.to_owned()))
    } else {
        Some(Item::User(text.to_owned()))
    }
}

/// Text and images of a tool result.
fn content(content: &Value) -> (String, Vec<Item>) {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    if let Some(text) = content.as_str() {
        texts.push(text);
    }
    for part in list(content) {
        if let Some(text) = part["text"].as_str() {
            texts.push(text);
        } else if let Some(data) = part["source"]["data"].as_str() {
            images.push(image(data));
        } else if let Some(url) = part["image_url"].as_str() {
            images.push(image(url.split_once(";base64,").map_or(url, |(_, data)| data)));
        }
    }
    (texts.join("\n"), images)
}

/// Codex has no flag for a failed call; its model reads it in the text.
fn looks_failed(text: &str) -> bool {
    let code = |line: &str| {
        let code = line.strip_prefix("Process exited with code ").or(line.strip_prefix("Exit code: "));
        code.or(line.strip_prefix("Exit code "))?.trim().parse::<i32>().ok()
    };
    let begins = ["Error", "error:", "unsupported call", "<tool_use_error>", "aborted", "failed"];
    begins.iter().any(|begin| text.trim_start().starts_with(begin))
        || text
            .lines()
            .take(6)
            .any(|line| line == "aborted by user" || code(line).is_some_and(|code| code != 0))
}
