//! OpenAI Responses: what it refuses, and how it answers.

use std::collections::HashSet;
use std::io;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::http::Events;
use super::scenario::{self, CodexCall, Say};
use super::{image_problem, is_plain_name, seal, short_id};

const NO_ITEMS: &[Value] = &[];

fn input(body: &Value) -> &[Value] {
    body["input"].as_array().map_or(NO_ITEMS, Vec::as_slice)
}

fn kind(item: &Value) -> &str {
    item["type"].as_str().unwrap_or("message")
}

/// Refuses what the real API is known to refuse.
pub fn check(body: &Value) -> Result<(), String> {
    let items = input(body);
    if items.is_empty() {
        return Err("One of \"input\" or \"previous_response_id\" must be provided.".into());
    }
    let (mut calls, mut outputs) = (HashSet::new(), HashSet::new());
    for (i, item) in items.iter().enumerate() {
        check_item(item).map_err(|reason| format!("Invalid 'input[{i}]{reason}"))?;
        let Some(call_id) = item["call_id"].as_str() else { continue };
        if kind(item).ends_with("_output") {
            if !calls.contains(call_id) {
                return Err(format!("No tool call found for function call output with call_id {call_id}."));
            }
            if !outputs.insert(call_id) {
                return Err(format!("Duplicate function call output with call_id {call_id}."));
            }
        } else if !calls.insert(call_id) {
            return Err(format!("Duplicate function call with call_id {call_id}."));
        }
    }
    match calls.iter().find(|id| !outputs.contains(*id)) {
        Some(id) => Err(format!("No tool output found for function call {id}.")),
        None => Ok(()),
    }
}

/// The text continues `Invalid 'input[N]`.
fn check_item(item: &Value) -> Result<(), String> {
    let prefix = match kind(item) {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fc",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctc",
        "local_shell_call" => "lsh",
        "web_search_call" => "ws",
        "agent_message"
        | "additional_tools"
        | "compaction"
        | "tool_search_call"
        | "tool_search_output"
        | "local_shell_call_output"
        | "image_generation_call" => "",
        other => return Err(format!(".type': Invalid value: '{other}'.")),
    };
    if let Some(id) = item["id"].as_str()
        && (!id.starts_with(prefix) || id.len() > 64)
    {
        return Err(format!(".id': '{id}'. Expected an ID that begins with '{prefix}'."));
    }
    if item["call_id"].as_str().is_some_and(|id| id.is_empty() || id.len() > 64) {
        return Err(".call_id': string too long. Expected a string with maximum length 64.".into());
    }
    match kind(item) {
        "message" => check_message(item),
        "reasoning" => check_reasoning(item),
        "function_call" if !is_plain_name(item["name"].as_str().unwrap_or_default(), 64) => {
            Err(".name': string does not match pattern. Expected '^[a-zA-Z0-9_-]+$'.".into())
        }
        "function_call" if !item["arguments"].is_string() => Err(".arguments': expected a string.".into()),
        "custom_tool_call" if !item["input"].is_string() => Err(".input': expected a string.".into()),
        "function_call_output" | "custom_tool_call_output" => match &item["output"] {
            Value::String(_) => Ok(()),
            Value::Array(parts) => parts.iter().try_for_each(|part| check_part(part, "user")),
            _ => Err(".output': expected a string or a list.".into()),
        },
        "compaction" if !is_sealed(item, "compaction") => {
            Err(".encrypted_content': invalid_encrypted_content".into())
        }
        _ => Ok(()),
    }
}

fn check_message(item: &Value) -> Result<(), String> {
    let role = item["role"].as_str().unwrap_or_default();
    if !matches!(role, "user" | "assistant" | "developer" | "system") {
        return Err(format!(".role': Invalid value: '{role}'."));
    }
    match &item["content"] {
        Value::String(_) => Ok(()),
        Value::Array(parts) if parts.is_empty() => Err(".content': array too short.".into()),
        Value::Array(parts) => parts.iter().try_for_each(|part| check_part(part, role)),
        _ => Err(".content': expected a string or a list.".into()),
    }
}

fn check_part(part: &Value, role: &str) -> Result<(), String> {
    let kind = part["type"].as_str().unwrap_or_default();
    match (role, kind) {
        ("assistant", "output_text" | "refusal") | ("user" | "developer" | "system", "input_text") => {
            let text = part["text"].as_str().or(part["refusal"].as_str());
            text.map(drop).ok_or_else(|| ".content': text is missing.".into())
        }
        ("user" | "developer" | "system", "input_file") => Ok(()),
        ("user" | "developer" | "system", "input_image") => {
            let url = part["image_url"].as_str().unwrap_or_default();
            let Some((head, data)) = url.split_once(";base64,") else {
                return if url.starts_with("https://") { Ok(()) } else { Err(".image_url': no URL.".into()) };
            };
            let media_type = head.strip_prefix("data:").unwrap_or_default();
            image_problem(media_type, data).map_or(Ok(()), |problem| Err(format!(".image_url': {problem}")))
        }
        _ => Err(format!(".content': Invalid value: '{kind}' in a message of the {role}.")),
    }
}

fn check_reasoning(item: &Value) -> Result<(), String> {
    if !item["summary"].is_array() {
        return Err(".summary': missing required parameter.".into());
    }
    if item["encrypted_content"].is_null() {
        return Err(".id': items are not persisted when `store` is set to false.".into());
    }
    if !is_sealed(item, "reasoning") {
        return Err(".encrypted_content': invalid_encrypted_content".into());
    }
    Ok(())
}

/// Encrypted content carries what it was made for, so that it can be checked.
fn is_sealed(item: &Value, purpose: &str) -> bool {
    let content = item["encrypted_content"].as_str().unwrap_or_default();
    content.split_once('.').is_some_and(|(text, mark)| mark == seal(purpose, text))
}

fn sealed(purpose: &str, text: &str) -> String {
    let text = short_id(&[text]);
    format!("{text}.{}", seal(purpose, &text))
}

/// The body of a refusal.
pub fn refusal(reason: &str) -> String {
    json!({"error": {"message": reason, "type": "invalid_request_error", "param": "input"}}).to_string()
}

fn text_of(item: &Value) -> String {
    let parts = item["content"].as_array().map_or(NO_ITEMS, Vec::as_slice);
    let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n")
}

/// The last thing the user (or the agent above) said, and how many rounds of tool results followed.
fn prompt(items: &[Value]) -> (String, usize) {
    let said = |item: &Value| {
        let text = text_of(item);
        let by_user = kind(item) == "agent_message" || item["role"] == "user";
        (by_user && !text.contains("<environment_context>") && !text.contains("<subagent_notification>"))
            .then_some(text)
    };
    let last = items.iter().enumerate().rev().find_map(|(i, item)| said(item).map(|text| (i, text)));
    last.map_or_else(Default::default, |(i, text)| {
        let is_output = |item: &Value| kind(item).ends_with("_output");
        let after = &items[i + 1..];
        let rounds = after
            .iter()
            .enumerate()
            .filter(|(k, item)| is_output(item) && !after.get(k + 1).is_some_and(is_output));
        (text, rounds.count())
    })
}

fn answer_items(body: &Value) -> Vec<Value> {
    let items = input(body);
    let (prompt, rounds) = prompt(items);
    let seed = body["input"].to_string();
    let id = |prefix: &str, k: usize| format!("{prefix}_{}", short_id(&[&seed, &k.to_string()]));
    let message = |k: usize, text: &str| {
        json!({"type": "message", "id": id("msg", k), "role": "assistant",
               "content": [{"type": "output_text", "text": text, "annotations": []}]})
    };
    if scenario::wants_summary(&prompt) {
        return vec![message(0, scenario::SUMMARY)];
    }
    let steps = scenario::named(&prompt).map(scenario::steps).unwrap_or_default();
    let Some(says) = steps.get(rounds) else {
        return vec![message(0, &scenario::plain_answer(&prompt))];
    };
    let agents = agents(items);
    let said = says.iter().enumerate().map(|(k, say)| match say {
        Say::Text(text) => message(k, text),
        Say::Think(text) | Say::Sealed(text) => {
            let readable = matches!(say, Say::Think(_));
            let summary: Vec<Value> =
                readable.then(|| json!({"type": "summary_text", "text": text})).into_iter().collect();
            json!({"type": "reasoning", "id": id("rs", k), "summary": summary,
                   "encrypted_content": sealed("reasoning", text)})
        }
        call => match scenario::codex_call(call, &agents).expect("all that is left are calls") {
            CodexCall::Function(name, arguments, namespace) => {
                let mut item = json!({"type": "function_call", "id": id("fc", k), "name": name,
                    "arguments": arguments.to_string(), "call_id": id("call", k)});
                if let Some(namespace) = namespace {
                    item["namespace"] = namespace.into();
                }
                item
            }
            CodexCall::Custom(name, input) => json!({"type": "custom_tool_call", "id": id("ctc", k),
                "name": name, "input": input, "call_id": id("call", k), "status": "completed"}),
        },
    });
    said.collect()
}

/// The ids that `spawn_agent` returned.
fn agents(items: &[Value]) -> Vec<String> {
    let outputs = items.iter().filter_map(|item| item["output"].as_str());
    outputs
        .filter_map(|output| {
            serde_json::from_str::<Value>(output).ok()?["agent_id"].as_str().map(str::to_owned)
        })
        .collect()
}

/// Answers with a stream of events.
pub fn answer(stream: &mut TcpStream, body: &Value) -> io::Result<()> {
    let items = answer_items(body);
    let seed = body["input"].to_string();
    let response = format!("resp_{}", short_id(&[&seed]));
    let tokens = 1 + seed.len() / 4;
    let mut events = Events::start(stream)?;
    events.send(&json!({"type": "response.created", "response": {"id": response}}))?;
    for (index, item) in items.iter().enumerate() {
        events.send(&json!({"type": "response.output_item.added", "output_index": index, "item": item}))?;
        if kind(item) == "message" {
            events.send(&json!({"type": "response.output_text.delta", "item_id": item["id"],
                "output_index": index, "content_index": 0, "delta": item["content"][0]["text"]}))?;
        }
        events.send(&json!({"type": "response.output_item.done", "output_index": index, "item": item}))?;
    }
    let usage = json!({"input_tokens": tokens, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 20}, "total_tokens": tokens + 50});
    events.send(&json!({"type": "response.completed", "response": {"id": response, "usage": usage}}))
}
