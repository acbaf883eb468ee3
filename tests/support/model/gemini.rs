//! Gemini API: what it refuses, and how it answers.
//!
//! The refusals are those that users of the real API have reported; each quotes the API's words.

use std::collections::HashSet;
use std::io;
use std::net::TcpStream;

use serde_json::{Map, Value, json};

use super::http::{self, Events};
use super::scenario::{self, Say};
use super::{image_problem, seal, short_id};

const NOTHING: &[Value] = &[];

/// What the program puts in place of a signature that it did not keep; the API lets it pass.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// An answer in pieces.
    Stream,
    /// An answer at once.
    Generate,
    /// A number of tokens.
    Count,
}

/// Model and verb of `/v1beta/models/MODEL:VERB`.
pub fn route(path: &str) -> Option<(&str, Verb)> {
    let (model, verb) = path.strip_prefix("/v1beta/models/")?.split_once(':')?;
    let verb = match verb {
        "streamGenerateContent" => Verb::Stream,
        "generateContent" => Verb::Generate,
        "countTokens" => Verb::Count,
        _ => return None,
    };
    Some((model, verb))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(NOTHING, Vec::as_slice)
}

fn contents(body: &Value) -> &[Value] {
    list(&body["contents"])
}

fn has(content: &Value, kind: &str) -> bool {
    list(&content["parts"]).iter().any(|part| !part[kind].is_null())
}

/// Refuses what the real API is known to refuse.
///
/// With `forgive_repeats` a result that stands there again, word for word, counts once. The real API
/// refuses that too, but Gemini CLI 0.61 sends each result of its own sessions again when it resumes
/// one (google-gemini/gemini-cli#29365), so without it there would be nothing to compare with.
pub fn check(model: &str, body: &Value, forgive_repeats: bool) -> Result<(), String> {
    let contents = contents(body);
    let (Some(first), Some(last)) = (contents.first(), contents.last()) else {
        return Err("* GenerateContentRequest.contents: contents is not specified".into());
    };
    for (i, content) in contents.iter().enumerate() {
        let at = |problem: &str| format!("* GenerateContentRequest.contents[{i}].{problem}");
        if !matches!(content["role"].as_str(), Some("user" | "model")) {
            return Err("Please use a valid role: user, model.".into());
        }
        if list(&content["parts"]).is_empty() {
            return Err(at("parts: contents.parts must not be empty."));
        }
        for (k, part) in list(&content["parts"]).iter().enumerate() {
            check_part(part).map_err(|problem| at(&format!("parts[{k}].{problem}")))?;
        }
        let foreign = if content["role"] == "user" { "functionCall" } else { "functionResponse" };
        if has(content, foreign) {
            return Err(at(&format!("parts: {foreign} is not allowed in a turn of the {}", content["role"])));
        }
        // A call in a second turn of the model: google-gemini/gemini-cli#26956, continuedev/continue#11805.
        // Neighbours of one role that only hold text are taken; the program sends them itself.
        if has(content, "functionCall") && (i == 0 || contents[i - 1]["role"] == "model") {
            return Err(
                "Please ensure that function call turn comes immediately after a user turn or after a \
                        function response turn."
                    .into(),
            );
        }
    }
    if first["role"] != "user" {
        return Err("Please ensure that multiturn requests begin with a user turn.".into());
    }
    if last["role"] != "user" {
        return Err(
            "Please ensure that multiturn requests end with a user turn or a function response.".into()
        );
    }
    check_calls(contents, forgive_repeats)?;
    if model.starts_with("gemini-3") { check_signatures(contents) } else { Ok(()) }
}

/// Each part is one thing, and has it.
fn check_part(part: &Value) -> Result<(), String> {
    const DATA: &[&str] = &[
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
    ];
    const BESIDE: &[&str] =
        &["thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"];
    let fields = part.as_object().ok_or("data: Invalid value")?;
    if let Some(name) = fields.keys().find(|name| !DATA.contains(&&***name) && !BESIDE.contains(&&***name)) {
        return Err(format!(
            "data: Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
        ));
    }
    let data: Vec<&str> =
        DATA.iter().copied().filter(|name| fields.get(*name).is_some_and(|value| !value.is_null())).collect();
    // An empty text counts as none: router-for-me/CLIProxyAPI#1292.
    let &[kind] = data.as_slice() else {
        return Err(match data.as_slice() {
            [] => "data: required oneof field 'data' must have one initialized field".into(),
            [first, second, ..] => {
                format!("oneof field 'data' is already set to {first}. Cannot set '{second}'")
            }
            [_] => unreachable!("one is taken above"),
        });
    };
    let value = &part[kind];
    match kind {
        "text" if value == "" => {
            Err("data: required oneof field 'data' must have one initialized field".into())
        }
        "text" if !value.is_string() => Err("text: Invalid value (TYPE_STRING)".into()),
        "inlineData" => check_inline(value),
        "functionCall" => check_function(value, "function_call", "args"),
        "functionResponse" => {
            check_function(value, "function_response", "response")?;
            if !value["response"].is_object() {
                return Err("function_response.response: Field required (TYPE_STRUCT)".into());
            }
            list(&value["parts"]).iter().try_for_each(|part| check_inline(&part["inlineData"]))
        }
        _ => Ok(()),
    }
}

fn check_inline(value: &Value) -> Result<(), String> {
    let kind = value["mimeType"].as_str().unwrap_or_default();
    let data = value["data"].as_str().unwrap_or_default();
    if kind == "image/gif" {
        // Claude Code and Codex may hold one.
        return Err("inline_data.mime_type: Unsupported MIME type: image/gif".into());
    }
    if kind.starts_with("image/") {
        return image_problem(kind, data).map_or(Ok(()), |problem| Err(format!("inline_data: {problem}")));
    }
    let known = ["audio/", "video/", "text/", "application/pdf"].iter().any(|known| kind.starts_with(known));
    if known && !data.is_empty() {
        Ok(())
    } else {
        Err(format!("inline_data.mime_type: Unsupported MIME type: {kind}"))
    }
}

/// Names as google-gemini/gemini-cli#7869 has them; colons are allowed since (kaitranntt/ccs#25).
fn check_function(value: &Value, field: &str, data: &str) -> Result<(), String> {
    let name = value["name"].as_str().unwrap_or_default();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if name.is_empty() {
        return Err(format!("{field}.name: Name cannot be empty."));
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if !begins || !name.chars().all(inner) || name.len() > 64 {
        return Err(format!(
            "{field}.name: [FIELD_INVALID] Invalid function name {name}. Must start with a letter or an \
             underscore. Must be a-z, A-Z, 0-9, or contain underscores (_), dots (.), colons (:), or dashes \
             (-), with a maximum length of 64."
        ));
    }
    match &value[data] {
        Value::Null | Value::Object(_) => Ok(()),
        _ => Err(format!("{field}.{data}: Invalid value (type.googleapis.com/google.protobuf.Struct)")),
    }
}

/// Calls and results belong together: right after each other, as many of the one as of the other
/// (google-gemini/gemini-cli#3814, langchain-ai/langchain#27799, and many more), under the same ids
/// and names.
fn check_calls(contents: &[Value], forgive_repeats: bool) -> Result<(), String> {
    let mut ids = HashSet::new();
    for (i, content) in contents.iter().enumerate() {
        let before = i.checked_sub(1).map_or(NOTHING, |i| list(&contents[i]["parts"]));
        let calls: Vec<&Value> =
            before.iter().map(|part| &part["functionCall"]).filter(|call| !call.is_null()).collect();
        let mut results: Vec<&Value> = list(&content["parts"])
            .iter()
            .map(|part| &part["functionResponse"])
            .filter(|result| !result.is_null())
            .collect();
        if forgive_repeats {
            let mut seen = Vec::new();
            results.retain(|result| {
                let is_new = !seen.contains(result);
                seen.push(*result);
                is_new
            });
        }
        if calls.is_empty() && !results.is_empty() {
            return Err(
                "Please ensure that function response turn comes immediately after a function call turn."
                    .into(),
            );
        }
        if calls.len() != results.len() {
            return Err(format!(
                "Please ensure that the number of function response parts is equal to the number of function \
                 call parts of the function call turn. [contents[{i}]: {} responses, {} calls]",
                results.len(),
                calls.len()
            ));
        }
        // Joouis/agent-maestro#251.
        let named = |value: &Value| (value["id"].clone(), value["name"].clone());
        let unanswered = |call: &&&Value| !results.iter().any(|result| named(result) == named(call));
        if let Some(call) = calls.iter().find(unanswered) {
            return Err(format!("contents[{i}]: no function response has the id and name of {call}"));
        }
        for call in calls {
            if let Some(id) = call["id"].as_str()
                && !ids.insert(id)
            {
                return Err(format!("contents[{i}]: two function calls have the id {id}"));
            }
        }
    }
    Ok(())
}

/// Since Gemini 3 the first call of each step of the turn that runs needs a signature
/// (earendil-works/pi#473, langgenius/dify#29187); older turns are not checked.
fn check_signatures(contents: &[Value]) -> Result<(), String> {
    let begins_turn = |content: &Value| content["role"] == "user" && !has(content, "functionResponse");
    let begin = contents.iter().rposition(begins_turn).unwrap_or_default();
    for content in &contents[begin..] {
        let Some(part) = list(&content["parts"]).iter().find(|part| !part["functionCall"].is_null()) else {
            continue;
        };
        let call = &part["functionCall"];
        match part["thoughtSignature"].as_str() {
            None => {
                return Err(format!(
                    "Function call is missing a thought_signature in functionCall parts. function call \
                     `default_api:{}`",
                    call["name"].as_str().unwrap_or_default()
                ));
            }
            Some(mark) if mark != NO_SIGNATURE && mark != signature(call) => {
                return Err("Thought signature is not valid".into());
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn signature(call: &Value) -> String {
    seal("thought signature", &json!([call["name"], call["args"]]).to_string())
}

/// The body of a refusal.
pub fn refusal(reason: &str) -> String {
    json!({"error": {"code": 400, "message": reason, "status": "INVALID_ARGUMENT"}}).to_string()
}

/// The last thing the user said, and how many answers followed it.
fn prompt(contents: &[Value]) -> (String, usize) {
    let said = |content: &Value| {
        let texts = list(&content["parts"]).iter().filter_map(|part| part["text"].as_str());
        // What the program says in the user's name.
        let own = ["<session_context>", "I ran the following shell command:"];
        let texts: Vec<&str> = texts.filter(|text| !own.iter().any(|own| text.starts_with(own))).collect();
        let by_user = content["role"] == "user" && !has(content, "functionResponse");
        (by_user && !texts.is_empty()).then(|| texts.join("\n"))
    };
    let last = contents.iter().enumerate().rev().find_map(|(i, content)| said(content).map(|text| (i, text)));
    last.map_or_else(Default::default, |(i, text)| {
        let answers = contents[i + 1..].iter().filter(|content| content["role"] == "model");
        (text, answers.count())
    })
}

fn answer_parts(body: &Value) -> Vec<Value> {
    let contents = contents(body);
    let (prompt, answers) = prompt(contents);
    let text = |text: &str| vec![json!({"text": text})];
    if scenario::wants_summary(&prompt) {
        return text(&format!("<state_snapshot>\n{}\n</state_snapshot>", scenario::SUMMARY));
    }
    let config = &body["generationConfig"];
    if config["responseMimeType"] == "application/json" {
        // Who speaks next, which model to take, what the session is about.
        let answers = json!({"next_speaker": "user", "model_choice": "flash", "reasoning": "a test",
            "complexity_score": 1, "complexity_reasoning": "a test", "title": "A test", "result": "ok",
            "summary": "A test"});
        return text(&answers.to_string());
    }
    let tools: Vec<&Value> =
        list(&body["tools"]).iter().flat_map(|tool| list(&tool["functionDeclarations"])).collect();
    if tools.is_empty() {
        return text("A test");
    }
    let steps = scenario::named(&prompt).map(scenario::steps).unwrap_or_default();
    let seed = body["contents"].to_string();
    let said = steps.iter().map(|says| {
        let parts =
            says.iter().enumerate().filter_map(|(k, say)| said(say, &short_id(&[&seed, &k.to_string()])));
        parts.collect::<Vec<Value>>()
    });
    let said = said.filter(|parts| !parts.is_empty()).nth(answers);
    let mut parts = said.unwrap_or_else(|| text(&scenario::plain_answer(&prompt)));
    // A sub-agent ends with a call.
    if tools.iter().any(|tool| tool["name"] == "complete_task")
        && let [only] = parts.as_mut_slice()
        && let Some(report) = only["text"].as_str()
    {
        let args = json!({"result": {"response": report}});
        *only = json!({"functionCall": {"id": short_id(&[&seed]), "name": "complete_task", "args": args}});
    }
    parts
}

fn said(say: &Say, id: &str) -> Option<Value> {
    Some(match say {
        Say::Text(text) => json!({"text": text}),
        Say::Think(text) => json!({"text": format!("**Thinking it over**\n\n{text}"), "thought": true}),
        call => {
            let (name, args) = scenario::gemini_call(call)?;
            let call = json!({"id": id, "name": name, "args": args});
            json!({"thoughtSignature": signature(&call), "functionCall": call})
        }
    })
}

/// Answers, streamed or not, as the path asks.
pub fn answer(stream: &mut TcpStream, model: &str, verb: Verb, body: &Value) -> io::Result<()> {
    let tokens = 1 + body.to_string().len() / 4;
    if verb == Verb::Count {
        return http::json(stream, 200, &json!({"totalTokens": tokens}).to_string());
    }
    let parts = answer_parts(body);
    let piece = |parts: &[Value], last: bool| {
        let mut candidate = Map::new();
        candidate.insert("content".into(), json!({"role": "model", "parts": parts}));
        candidate.insert("index".into(), 0.into());
        if last {
            candidate.insert("finishReason".into(), "STOP".into());
        }
        json!({"candidates": [candidate], "modelVersion": model,
            "usageMetadata": {"promptTokenCount": tokens, "candidatesTokenCount": 20,
                              "thoughtsTokenCount": 5, "totalTokenCount": tokens + 25}})
    };
    if verb == Verb::Generate {
        return http::json(stream, 200, &piece(&parts, true).to_string());
    }
    let mut events = Events::start(stream)?;
    parts
        .iter()
        .enumerate()
        .try_for_each(|(k, part)| events.send(&piece(std::slice::from_ref(part), k + 1 == parts.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: &str, parts: Value) -> Value {
        json!({"role": role, "parts": parts})
    }

    fn call(id: &str, name: &str) -> Value {
        json!({"functionCall": {"id": id, "name": name, "args": {}}})
    }

    fn result(id: &str, name: &str) -> Value {
        json!({"functionResponse": {"id": id, "name": name, "response": {"output": "x"}}})
    }

    fn text(text: &str) -> Value {
        json!({"text": text})
    }

    /// A request with these parts of the model and of the user after the prompt.
    fn request(model: Value, user: Value) -> Value {
        json!({"contents": [turn("user", json!([text("hello")])), turn("model", model), turn("user", user)]})
    }

    #[test]
    fn what_the_api_takes() {
        let png = json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgoA"}});
        for (model, user) in [
            (json!([text("ok")]), json!([text("more"), png])),
            (
                json!([text("ok"), call("a", "f"), call("b", "g")]),
                json!([result("b", "g"), result("a", "f")]),
            ),
            (json!([call("a", "mcp__server.x:y-z")]), json!([result("a", "mcp__server.x:y-z"), png])),
        ] {
            assert_eq!(check("gemini-2.5-flash", &request(model, user), false), Ok(()));
        }
    }

    #[test]
    fn what_the_api_refuses() {
        let long = "f".repeat(65);
        for (model, user) in [
            (json!([]), json!([text("more")])),
            (json!([text("")]), json!([text("more")])),
            (json!([{}]), json!([text("more")])),
            (json!([{"text": "a", "functionCall": {"name": "f"}}]), json!([result("a", "f")])),
            (json!([{"type": "text", "text": "a"}]), json!([text("more")])),
            (json!([text("ok")]), json!([result("a", "f")])),
            (json!([call("a", "f")]), json!([text("no result")])),
            (json!([call("a", "f")]), json!([result("a", "f"), result("a", "f")])),
            (json!([call("a", "f"), call("b", "f")]), json!([result("a", "f")])),
            (json!([call("a", "f")]), json!([result("b", "f")])),
            (json!([call("a", "f")]), json!([result("a", "g")])),
            (json!([call("a", "f"), call("a", "f")]), json!([result("a", "f"), result("a", "f")])),
            (json!([call("a", "a b")]), json!([result("a", "a b")])),
            (json!([call("a", "1f")]), json!([result("a", "1f")])),
            (json!([call("a", "")]), json!([result("a", "")])),
            (json!([call("a", &long)]), json!([result("a", &long)])),
            (json!([result("a", "f")]), json!([text("more")])),
            (json!([text("ok")]), json!([call("a", "f")])),
            (json!([text("ok")]), json!([{"inlineData": {"mimeType": "image/gif", "data": "R0lGODlh"}}])),
            (json!([text("ok")]), json!([{"inlineData": {"mimeType": "image/png", "data": "/9j/"}}])),
            (json!([{"functionCall": {"id": "a", "name": "f", "args": "text"}}]), json!([result("a", "f")])),
            (
                json!([call("a", "f")]),
                json!([{"functionResponse": {"id": "a", "name": "f", "response": "text"}}]),
            ),
        ] {
            let body = request(model, user);
            assert!(check("gemini-2.5-flash", &body, false).is_err(), "{body}");
        }
        let hello = turn("user", json!([text("hello")]));
        let answer = turn("model", json!([text("ok")]));
        for contents in [
            json!([]),
            json!([answer, hello]),
            json!([hello, answer]),
            json!([
                hello,
                answer,
                turn("model", json!([call("a", "f")])),
                turn("user", json!([result("a", "f")]))
            ]),
            json!([
                hello,
                turn("model", json!([call("a", "f"), call("b", "f")])),
                turn("user", json!([result("a", "f")])),
                turn("user", json!([result("b", "f")]))
            ]),
            json!([hello, turn("assistant", json!([text("ok")])), hello]),
            json!([turn("model", json!([call("a", "f")])), turn("user", json!([result("a", "f")]))]),
        ] {
            let body = json!({"contents": contents});
            assert!(check("gemini-2.5-flash", &body, false).is_err(), "{body}");
        }
    }

    #[test]
    fn repeats_are_forgiven_only_word_for_word() {
        let answered = |results: Value| request(json!([call("a", "f")]), results);
        let other = json!({"functionResponse": {"id": "a", "name": "f", "response": {"output": "y"}}});
        let twice = answered(json!([result("a", "f"), result("a", "f")]));
        assert_eq!(check("gemini-2.5-flash", &twice, true), Ok(()));
        assert!(check("gemini-2.5-flash", &answered(json!([result("a", "f"), other])), true).is_err());
    }

    #[test]
    fn gemini_3_wants_signatures_in_the_turn_that_runs() {
        let signed = |mark: &str| json!({"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": mark});
        let answered = |call: Value| request(json!([call]), json!([result("a", "f")]));
        let mark = signature(&call("a", "f")["functionCall"]);
        for call in [signed(NO_SIGNATURE), signed(&mark)] {
            assert_eq!(check("gemini-3-pro", &answered(call), false), Ok(()));
        }
        for call in [signed("other"), call("a", "f")] {
            assert!(check("gemini-3-pro", &answered(call), false).is_err());
        }
    }
}
