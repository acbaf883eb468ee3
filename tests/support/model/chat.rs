//! OpenAI chat completions: what they refuse, and how they answer.

use std::collections::HashSet;
use std::io;
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use super::http::{self, Events};
use super::scenario::{self, Say};
use super::{image_problem, is_plain_name, short_id};

const NOTHING: &[Value] = &[];

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(NOTHING, Vec::as_slice)
}

/// Refuses what the real API is known to refuse, and what the servers that imitate it do.
pub fn check(body: &Value) -> Result<(), String> {
    let messages = list(&body["messages"]);
    if messages.is_empty() {
        return Err("Invalid 'messages': empty array. Expected an array with minimum length 1.".into());
    }
    let mut ids = HashSet::new();
    let mut open: Vec<String> = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let Some(at) = open.iter().position(|open| open == id) else {
                return Err(format!(
                    "messages[{i}]: messages with role 'tool' must be a response to a preceding message with \
                     'tool_calls': {id:?}"
                ));
            };
            open.remove(at);
        } else if let Some(id) = open.first() {
            return Err(format!(
                "messages[{i}]: An assistant message with 'tool_calls' must be followed by tool messages \
                 responding to each 'tool_call_id'. Not answered: {id}"
            ));
        }
        check_message(message, role).map_err(|problem| format!("Invalid 'messages[{i}]{problem}"))?;
        for call in list(&message["tool_calls"]) {
            let id = call["id"].as_str().unwrap_or_default().to_owned();
            if !ids.insert(id.clone()) {
                return Err(format!("messages[{i}]: two calls have the id {id}"));
            }
            open.push(id);
        }
    }
    match open.first() {
        Some(id) => Err(format!("No tool message answers the call {id}.")),
        None => Ok(()),
    }
}

/// The text continues `Invalid 'messages[N]`.
fn check_message(message: &Value, role: &str) -> Result<(), String> {
    let calls = &message["tool_calls"];
    match role {
        "system" | "developer" | "user" | "tool" if !calls.is_null() => {
            Err(format!(".tool_calls': not allowed for the role '{role}'."))
        }
        "system" | "developer" | "user" | "tool" => check_content(&message["content"], role),
        "assistant" => {
            if !calls.is_null() && list(calls).is_empty() {
                return Err(".tool_calls': empty array. Expected an array with minimum length 1.".into());
            }
            list(calls).iter().try_for_each(check_call)?;
            let content = &message["content"];
            // Next to calls it may be missing or empty; alone it is all that was said.
            if !list(calls).is_empty() && (content.is_null() || content == "") {
                return Ok(());
            }
            // The program of a real user answers with thoughts alone, which some servers take.
            let thought = message["reasoning_content"].as_str().is_some_and(|text| !text.is_empty());
            if thought && content == "" { Ok(()) } else { check_content(content, role) }
        }
        other => Err(format!(".role': Invalid value: '{other}'.")),
    }
}

fn check_content(content: &Value, role: &str) -> Result<(), String> {
    match content {
        // A command may print nothing.
        Value::String(text) if text.is_empty() && role != "tool" => Err(".content': empty.".into()),
        Value::String(_) => Ok(()),
        Value::Array(parts) if parts.is_empty() => {
            Err(".content': empty array. Expected an array with minimum length 1.".into())
        }
        Value::Array(parts) => parts.iter().try_for_each(|part| check_part(part, role)),
        _ => Err(".content': expected a string or an array of objects, got null.".into()),
    }
}

fn check_part(part: &Value, role: &str) -> Result<(), String> {
    match (part["type"].as_str().unwrap_or_default(), role) {
        ("text", _) if part["text"].as_str().is_some_and(|text| !text.is_empty()) => Ok(()),
        ("text", _) => Err(".content': a text part without text.".into()),
        ("image_url", "user") => {
            let url = part["image_url"]["url"].as_str().unwrap_or_default();
            match url.split_once(";base64,") {
                Some((head, data)) => {
                    let media_type = head.strip_prefix("data:").unwrap_or_default();
                    image_problem(media_type, data)
                        .map_or(Ok(()), |problem| Err(format!(".content.image_url': {problem}")))
                }
                None if url.starts_with("https://") => Ok(()),
                None => Err(".content.image_url': Expected a valid URL.".into()),
            }
        }
        ("file", "user") => Ok(()),
        (kind, role) => Err(format!(".content': Invalid value: '{kind}' in a message of the {role}.")),
    }
}

fn check_call(call: &Value) -> Result<(), String> {
    let id = call["id"].as_str().unwrap_or_default();
    let function = &call["function"];
    if id.is_empty() || id.len() > 40 {
        return Err(format!(
            ".tool_calls.id': string too long. Expected a string with maximum length 40, but got {id:?}."
        ));
    }
    if call["type"] != "function" {
        return Err(format!(".tool_calls.type': Invalid value: {}.", call["type"]));
    }
    if !is_plain_name(function["name"].as_str().unwrap_or_default(), 64) {
        return Err(format!(
            ".tool_calls.function.name': {} does not match the pattern '^[a-zA-Z0-9_-]+$', at most 64 long.",
            function["name"]
        ));
    }
    let Some(arguments) = function["arguments"].as_str() else {
        return Err(".tool_calls.function.arguments': expected a string.".into());
    };
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(".tool_calls.function.arguments': not a JSON object.".into()),
    }
}

/// The body of a refusal.
pub fn refusal(reason: &str) -> String {
    json!({"error": {"message": reason, "type": "invalid_request_error", "param": "messages", "code": null}})
        .to_string()
}

/// Text of a message, without what programs add to it when they send it.
fn text_of(message: &Value) -> String {
    let content = &message["content"];
    let parts = list(content).iter().filter_map(|part| part["text"].as_str());
    let texts: Vec<&str> = content.as_str().into_iter().chain(parts).collect();
    let own = |text: &&&str| {
        !["<environment_details>", "<system-reminder>", "Attached media from tool result:"]
            .iter()
            .any(|mark| text.trim_start().starts_with(mark))
    };
    texts.iter().filter(own).copied().collect::<Vec<_>>().join("\n")
}

/// Whether it is about the conversation, such as its title, and no part of it.
pub fn is_aside(body: &Value) -> bool {
    list(&body["messages"])
        .iter()
        .take(2)
        .any(|message| message["role"] == "system" && text_of(message).contains("You are a title generator"))
}

/// The last thing the user said, and how many answers followed it.
fn prompt(body: &Value) -> (String, usize) {
    let messages = list(&body["messages"]);
    let said = |message: &Value| (message["role"] == "user").then(|| text_of(message));
    let last =
        messages.iter().enumerate().rev().find_map(|(i, message)| {
            said(message).filter(|text| !text.trim().is_empty()).map(|text| (i, text))
        });
    last.map_or_else(Default::default, |(i, text)| {
        let answers = messages[i + 1..].iter().filter(|message| message["role"] == "assistant").count();
        (text, answers)
    })
}

/// What the model says: the reasoning, the text, and the calls (id, name, arguments).
#[derive(Default)]
struct Answer {
    thought: String,
    text: String,
    calls: Vec<(String, &'static str, String)>,
}

fn plan(body: &Value, workdir: &Path) -> Answer {
    let (prompt, answers) = prompt(body);
    let text = |text: String| Answer { text, ..Answer::default() };
    if is_aside(body) {
        // Kilo asks in the message that also holds the prompts, with numbers.
        let (_, prompt) = prompt.split_once("oldest to newest:\n1. ").unwrap_or(("", &prompt));
        let begin: String = prompt.trim().trim_matches('"').chars().take(24).collect();
        return text(format!("About {begin}"));
    }
    if scenario::wants_summary(&prompt) {
        return text(scenario::SUMMARY.to_owned());
    }
    let seed = body["messages"].to_string();
    let steps = scenario::named(&prompt).map(scenario::steps).unwrap_or_default();
    let steps = steps.iter().filter_map(|says| {
        let mut answer = Answer::default();
        for (k, say) in says.iter().enumerate() {
            match say {
                Say::Text(text) => answer.text.push_str(text),
                Say::Think(text) => answer.thought.push_str(text),
                call => {
                    let Some((name, input)) = scenario::opencode_call(call, workdir) else { continue };
                    let id = format!("call_{}", short_id(&[&seed, &k.to_string()]));
                    answer.calls.push((id, name, input.to_string()));
                }
            }
        }
        let says_nothing = answer.text.is_empty() && answer.calls.is_empty();
        (!says_nothing).then_some(answer)
    });
    steps.into_iter().nth(answers).unwrap_or_else(|| text(scenario::plain_answer(&prompt)))
}

/// Answers, streamed or not, as the request asks.
pub fn answer(stream: &mut TcpStream, body: &Value, workdir: &Path) -> io::Result<()> {
    let Answer { thought, text, calls } = plan(body, workdir);
    let seed = body["messages"].to_string();
    let prompt_tokens = 1 + seed.len() / 4;
    let usage =
        json!({"prompt_tokens": prompt_tokens, "completion_tokens": 20, "total_tokens": prompt_tokens + 20});
    let calls: Vec<Value> = calls
        .into_iter()
        .enumerate()
        .map(|(index, (id, name, arguments))| {
            json!({"index": index, "id": id, "type": "function",
                   "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    let id = format!("chatcmpl-{}", short_id(&[&seed]));
    if body["stream"] != true {
        let mut message = json!({"role": "assistant", "content": text});
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": reason});
        let reply = json!({"id": id, "object": "chat.completion", "created": 1, "model": body["model"],
                           "choices": [choice], "usage": usage});
        return http::json(stream, 200, &reply.to_string());
    }
    let mut events = Events::start(stream)?;
    let mut send = |choices: Value, usage: &Value| {
        events
            .send(&json!({"id": id, "object": "chat.completion.chunk", "created": 1, "model": body["model"],
                            "choices": choices, "usage": usage}))
    };
    let mut delta = |delta: Value, reason: Value| {
        send(json!([{"index": 0, "delta": delta, "finish_reason": reason}]), &Value::Null)
    };
    delta(json!({"role": "assistant", "content": ""}), Value::Null)?;
    if !thought.is_empty() {
        delta(json!({"reasoning_content": thought}), Value::Null)?;
    }
    if !text.is_empty() {
        delta(json!({"content": text}), Value::Null)?;
    }
    for call in calls {
        delta(json!({"tool_calls": [call]}), Value::Null)?;
    }
    delta(json!({}), reason.into())?;
    send(json!([]), &usage)?;
    events.end("[DONE]")
}
