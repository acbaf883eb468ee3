//! Anthropic Messages: what it refuses, and how it answers.

use std::collections::HashSet;
use std::io;
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use super::http::{self, Events};
use super::scenario::{self, Say};
use super::{image_problem, is_plain_name, seal, short_id};

const NO_BLOCKS: &[Value] = &[];

/// The blocks of a message; a plain string is one text block.
fn blocks(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        content => content.as_array().cloned().unwrap_or_default(),
    }
}

/// The messages as the API sees them: neighbours of one role are one message.
fn merged(body: &Value) -> Vec<(String, Vec<Value>)> {
    let mut merged: Vec<(String, Vec<Value>)> = Vec::new();
    for message in body["messages"].as_array().map_or(NO_BLOCKS, Vec::as_slice) {
        let role = message["role"].as_str().unwrap_or_default();
        match merged.last_mut() {
            Some((last, content)) if last == role => content.extend(blocks(message)),
            _ => merged.push((role.to_owned(), blocks(message))),
        }
    }
    merged
}

/// Refuses what the real API is known to refuse.
pub fn check(body: &Value) -> Result<(), String> {
    let messages = merged(body);
    match (messages.first(), messages.last()) {
        (None, _) => return Err("messages: at least one message is required".into()),
        (Some((role, _)), _) if role != "user" => {
            return Err("messages: first message must use the \"user\" role".into());
        }
        (_, Some((role, _))) if role != "user" => {
            return Err("messages: the conversation must end with a user message".into());
        }
        _ => {}
    }
    let mut ids = HashSet::new();
    let mut open: Vec<String> = Vec::new();
    for (i, (role, content)) in messages.iter().enumerate() {
        let at = |k: usize| format!("messages.{i}.content.{k}");
        if content.is_empty() {
            return Err(format!("messages.{i}: content must not be empty"));
        }
        let mut answered = HashSet::new();
        let mut calls = Vec::new();
        for (k, block) in content.iter().enumerate() {
            let kind = block["type"].as_str().unwrap_or_default();
            match (role.as_str(), kind) {
                ("user" | "assistant", "text") => check_text(block).map_err(|e| format!("{}: {e}", at(k)))?,
                ("user", "image") => check_image(block).map_err(|e| format!("{}: {e}", at(k)))?,
                ("user", "document") => {}
                ("user", "tool_result") => {
                    let id = block["tool_use_id"].as_str().unwrap_or_default();
                    if !open.iter().any(|open| open == id) {
                        return Err(format!(
                            "{}: unexpected `tool_use_id` found in `tool_result` blocks: {id}",
                            at(k)
                        ));
                    }
                    if !answered.insert(id.to_owned()) {
                        return Err(format!("{}: each tool_use must have a single result: {id}", at(k)));
                    }
                    check_result(block).map_err(|e| format!("{}: {e}", at(k)))?;
                }
                ("assistant", "thinking") => check_thinking(block).map_err(|e| format!("{}: {e}", at(k)))?,
                ("assistant", "redacted_thinking") => {
                    if !block["data"].as_str().is_some_and(|data| data.starts_with("redacted")) {
                        return Err(format!("{}: Invalid `data` in `redacted_thinking` block", at(k)));
                    }
                }
                ("assistant", "tool_use") => {
                    check_call(block).map_err(|e| format!("{}.tool_use.{e}", at(k)))?;
                    let id = block["id"].as_str().unwrap_or_default().to_owned();
                    if !ids.insert(id.clone()) {
                        return Err(format!("{}: `tool_use` ids must be unique: {id}", at(k)));
                    }
                    calls.push(id);
                }
                ("user" | "assistant", _) => {
                    return Err(format!(
                        "{}: Input tag '{kind}' does not match any of the expected tags",
                        at(k)
                    ));
                }
                _ => return Err(format!("messages.{i}.role: Input should be 'user' or 'assistant'")),
            }
        }
        if let Some(id) = open.iter().find(|id| !answered.contains(*id)) {
            return Err(format!(
                "messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
            ));
        }
        open = calls;
    }
    Ok(())
}

fn check_text(block: &Value) -> Result<(), String> {
    match block["text"].as_str() {
        None => Err("text: Field required".into()),
        Some(text) if text.trim().is_empty() => {
            Err("text content blocks must contain non-whitespace text".into())
        }
        Some(_) => Ok(()),
    }
}

fn check_image(block: &Value) -> Result<(), String> {
    let source = &block["source"];
    match source["type"].as_str() {
        Some("base64") => {
            let media_type = source["media_type"].as_str().unwrap_or_default();
            let data = source["data"].as_str().unwrap_or_default();
            image_problem(media_type, data).map_or(Ok(()), Err)
        }
        Some("url") => Ok(()),
        other => Err(format!("image.source: unknown type {other:?}")),
    }
}

fn check_result(block: &Value) -> Result<(), String> {
    let content = match &block["content"] {
        Value::Null | Value::String(_) => return Ok(()),
        Value::Array(content) => content,
        _ => return Err("tool_result.content: must be text or a list".into()),
    };
    for part in content {
        match part["type"].as_str().unwrap_or_default() {
            "text" => check_text(part)?,
            "image" => check_image(part)?,
            "document" | "search_result" | "tool_reference" => {}
            other => return Err(format!("tool_result.content: Input tag '{other}' is not expected")),
        }
    }
    if block["is_error"] == true && content.iter().any(|part| part["type"] != "text") {
        return Err("all content must be type \"text\" if `is_error` is true".into());
    }
    Ok(())
}

fn check_thinking(block: &Value) -> Result<(), String> {
    let text = block["thinking"].as_str().ok_or("thinking.thinking: Field required")?;
    let signature = block["signature"].as_str().ok_or("thinking.signature: Field required")?;
    if signature != seal("signature", text) {
        return Err("Invalid `signature` in `thinking` block".into());
    }
    Ok(())
}

fn check_call(block: &Value) -> Result<(), String> {
    if !is_plain_name(block["id"].as_str().unwrap_or_default(), usize::MAX) {
        return Err("id: String should match pattern '^[a-zA-Z0-9_-]+$'".into());
    }
    if !is_plain_name(block["name"].as_str().unwrap_or_default(), 128) {
        return Err("name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'".into());
    }
    if !block["input"].is_object() {
        return Err("input: Input should be a valid dictionary".into());
    }
    Ok(())
}

/// The body of a refusal.
pub fn refusal(reason: &str) -> String {
    json!({"type": "error", "error": {"type": "invalid_request_error", "message": reason}}).to_string()
}

/// The last thing the user said, and how many answers followed it.
fn prompt(body: &Value) -> (String, usize) {
    let messages = merged(body);
    let last = messages.iter().enumerate().rev().find_map(|(i, (role, content))| {
        let text = content.iter().rev().filter_map(|block| block["text"].as_str());
        let mut said = text.filter(|text| !text.trim_start().starts_with("<system-reminder>"));
        (role == "user").then(|| said.next()).flatten().map(|text| (i, text.to_owned()))
    });
    last.map_or_else(Default::default, |(i, text)| {
        let answers = messages[i + 1..].iter().filter(|(role, _)| role == "assistant").count();
        (text, answers)
    })
}

fn answer_blocks(body: &Value, workdir: &Path) -> Vec<Value> {
    let (prompt, answers) = prompt(body);
    let text = |text: &str| vec![json!({"type": "text", "text": text})];
    let format = body.get("output_config").map_or(&body["output_format"], |config| &config["format"]);
    if format.to_string().contains("title") {
        let begin: String = prompt.chars().take(24).collect();
        return text(&json!({"title": format!("About {begin}")}).to_string());
    }
    if scenario::wants_summary(&prompt) {
        return text(&format!("<summary>\n{}\n</summary>", scenario::SUMMARY));
    }
    let seed = body["messages"].to_string();
    let steps = scenario::named(&prompt).map(scenario::steps).unwrap_or_default();
    let said = steps.iter().enumerate().map(|(step, says)| {
        let blocks = says.iter().enumerate().filter_map(|(k, say)| {
            let id = format!("toolu_{}", short_id(&[&seed, &step.to_string(), &k.to_string()]));
            said(say, id, workdir)
        });
        blocks.collect::<Vec<Value>>()
    });
    said.filter(|blocks| !blocks.is_empty())
        .nth(answers)
        .unwrap_or_else(|| text(&scenario::plain_answer(&prompt)))
}

fn said(say: &Say, id: String, workdir: &Path) -> Option<Value> {
    Some(match say {
        Say::Text(text) => json!({"type": "text", "text": text}),
        Say::Think(text) => {
            json!({"type": "thinking", "thinking": text, "signature": seal("signature", text)})
        }
        Say::Sealed(text) => {
            json!({"type": "redacted_thinking", "data": format!("redacted{}", seal("redacted", text))})
        }
        call => {
            let (name, input) = scenario::claude_call(call, workdir)?;
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    })
}

/// Answers, streamed or not, as the request asks.
pub fn answer(stream: &mut TcpStream, body: &Value, workdir: &Path) -> io::Result<()> {
    let content = answer_blocks(body, workdir);
    let calls = content.iter().any(|block| block["type"] == "tool_use");
    let stop = if calls { "tool_use" } else { "end_turn" };
    let seed = body["messages"].to_string();
    let mut message = json!({
        "id": format!("msg_{}", short_id(&[&seed])), "type": "message", "role": "assistant",
        "model": body["model"], "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 1 + seed.len() / 4, "output_tokens": 20,
                  "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
    });
    if body["stream"] != true {
        message["content"] = Value::Array(content);
        message["stop_reason"] = stop.into();
        return http::json(stream, 200, &message.to_string());
    }
    let mut events = Events::start(stream)?;
    events.send(&json!({"type": "message_start", "message": message}))?;
    for (index, block) in content.iter().enumerate() {
        let begin = match block["type"].as_str().unwrap_or_default() {
            "text" => json!({"type": "text", "text": ""}),
            "thinking" => json!({"type": "thinking", "thinking": "", "signature": ""}),
            "tool_use" => json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}),
            _ => block.clone(),
        };
        let deltas = match block["type"].as_str().unwrap_or_default() {
            "text" => vec![json!({"type": "text_delta", "text": block["text"]})],
            "thinking" => vec![
                json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                json!({"type": "signature_delta", "signature": block["signature"]}),
            ],
            "tool_use" => {
                vec![json!({"type": "input_json_delta", "partial_json": block["input"].to_string()})]
            }
            _ => Vec::new(),
        };
        events.send(&json!({"type": "content_block_start", "index": index, "content_block": begin}))?;
        for delta in deltas {
            events.send(&json!({"type": "content_block_delta", "index": index, "delta": delta}))?;
        }
        events.send(&json!({"type": "content_block_stop", "index": index}))?;
    }
    let end = json!({"stop_reason": stop, "stop_sequence": null});
    events.send(&json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 20}}))?;
    events.send(&json!({"type": "message_stop"}))
}
