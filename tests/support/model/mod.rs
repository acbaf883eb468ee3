//! A fake model on 127.0.0.1 that speaks Anthropic Messages, OpenAI Responses, OpenAI chat completions
//! and the Gemini API.
//!
//! It keeps every request and answers from a script: `[[scenario:NAME]]` in the last prompt picks
//! one of [`scenario`], the tool results that follow the prompt pick the step. It refuses
//! what the real APIs refuse, so that a session that a provider would reject fails a test.

mod anthropic;
mod chat;
mod gemini;
mod http;
mod responses;
pub mod scenario;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A request for an answer (not for a token count or a list of models).
#[derive(Debug, Clone)]
pub struct Request {
    /// The body.
    pub body: Value,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
}

struct Shared {
    workdir: PathBuf,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
    forgives_repeats: AtomicBool,
    thinks: AtomicBool,
}

/// So long it thinks at most: a program that waits for its answer must come to an end.
const LONGEST_THOUGHT: Duration = Duration::from_secs(50);

/// A running server. It stops when dropped.
pub struct Model {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Model {
    /// Starts a server. Scenarios use files below `workdir`.
    pub fn start(workdir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback interface");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            workdir: workdir.to_owned(),
            requests: Mutex::default(),
            stopped: AtomicBool::new(false),
            forgives_repeats: AtomicBool::new(false),
            thinks: AtomicBool::new(false),
        });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let Ok(stream) = stream else { continue };
                    let shared = Arc::clone(&shared);
                    // A client that hangs up early is its own affair.
                    std::thread::spawn(move || drop(serve(&shared, stream)));
                }
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Takes a tool result that is sent again, word for word, which the Gemini API would refuse:
    /// Gemini CLI does that when it resumes a session of its own.
    pub fn forgive_repeats(&self) {
        self.shared.forgives_repeats.store(true, Ordering::SeqCst);
    }

    /// Lets it think before each answer, until it is told to speak.
    pub fn think(&self) {
        self.shared.thinks.store(true, Ordering::SeqCst);
    }

    /// Lets it answer.
    pub fn speak(&self) {
        self.shared.thinks.store(false, Ordering::SeqCst);
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no thread panics with the lock").clone()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            drop(thread.join());
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let request = http::read(&stream)?;
    let path = request.path.split('?').next().unwrap_or_default();
    if request.method != "POST" {
        return http::json(&mut stream, 200, r#"{"object":"list","data":[],"models":[],"has_more":false}"#);
    }
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return http::json(&mut stream, 400, r#"{"error":{"message":"the body is not JSON"}}"#);
    };
    let keep = |refused: Option<String>| {
        let request = Request { body: body.clone(), refused };
        shared.requests.lock().expect("no thread panics with the lock").push(request);
        let begun = Instant::now();
        while shared.thinks.load(Ordering::SeqCst) && begun.elapsed() < LONGEST_THOUGHT {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    if path.ends_with("/count_tokens") {
        let tokens = 1 + request.body.len() / 4;
        http::json(&mut stream, 200, &format!(r#"{{"input_tokens":{tokens}}}"#))
    } else if path.ends_with("/v1/messages") {
        let refused = anthropic::check(&body).err();
        keep(refused.clone());
        match refused {
            Some(reason) => http::json(&mut stream, 400, &anthropic::refusal(&reason)),
            None => anthropic::answer(&mut stream, &body, &shared.workdir),
        }
    } else if path.ends_with("/responses") {
        let refused = responses::check(&body).err();
        keep(refused.clone());
        match refused {
            Some(reason) => http::json(&mut stream, 400, &responses::refusal(&reason)),
            None => responses::answer(&mut stream, &body),
        }
    } else if path.ends_with("/chat/completions") {
        let refused = chat::check(&body).err();
        if refused.is_some() || !chat::is_aside(&body) {
            keep(refused.clone());
        }
        match refused {
            Some(reason) => http::json(&mut stream, 400, &chat::refusal(&reason)),
            None => chat::answer(&mut stream, &body, &shared.workdir),
        }
    } else if let Some((model, verb)) = gemini::route(path) {
        let forgive = shared.forgives_repeats.load(Ordering::SeqCst);
        let refused = gemini::check(model, &body, forgive).err().filter(|_| verb != gemini::Verb::Count);
        if verb != gemini::Verb::Count {
            keep(refused.clone());
        }
        match refused {
            Some(reason) => http::json(&mut stream, 400, &gemini::refusal(&reason)),
            None => gemini::answer(&mut stream, model, verb, &body),
        }
    } else {
        http::json(&mut stream, 404, r#"{"error":{"message":"not found"}}"#)
    }
}

/// What only the model can have made, such as a signature: it is taken back only with
/// exactly the text that it was made for.
fn seal(purpose: &str, text: &str) -> String {
    digest(&[purpose, text])
}

/// A short id that depends on nothing but what it names.
fn short_id(parts: &[&str]) -> String {
    digest(parts)[..20].to_owned()
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why this base64 text is not an image that the providers take.
fn image_problem(media_type: &str, data: &str) -> Option<String> {
    const LIMIT: usize = 5 * 1024 * 1024;
    let begins = match media_type {
        "image/png" => "iVBORw0KGgo",
        "image/jpeg" => "/9j/",
        "image/gif" => "R0lGOD",
        "image/webp" => "UklGR",
        other => return Some(format!("the media type {other:?} is not supported")),
    };
    if data.len() > LIMIT {
        Some(format!("image exceeds 5 MB maximum: {} bytes > {LIMIT} bytes", data.len()))
    } else if !data.len().is_multiple_of(4)
        || !data.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    {
        Some("the image is not base64".into())
    } else if !data.starts_with(begins) {
        Some(format!("Image does not match the provided media type {media_type}"))
    } else {
        None
    }
}

/// Whether `text` is one to `limit` characters of `[a-zA-Z0-9_-]`.
fn is_plain_name(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A request of two messages after the prompt.
    fn messages(assistant: Value, user: Value) -> Result<(), String> {
        anthropic::check(&json!({"messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [assistant]},
            {"role": "user", "content": [user]},
        ]}))
    }

    fn responses(items: &[Value]) -> Result<(), String> {
        responses::check(&json!({"input": items}))
    }

    #[test]
    fn strict_messages() {
        let call = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
        let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "x"});
        let text = |text: &str| json!({"type": "text", "text": text});
        let thinking = |mark: &str| json!({"type": "thinking", "thinking": "hm", "signature": mark});
        let image = |kind: &str, data: &str| json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}});
        let png = "iVBORw0KGgoA";

        assert_eq!(messages(call("a-1", "Bash", json!({})), result("a-1")), Ok(()));
        assert_eq!(messages(thinking(&seal("signature", "hm")), text("more")), Ok(()));
        assert_eq!(messages(text("ok"), image("image/png", png)), Ok(()));
        for (assistant, user) in [
            (call("a:1", "Bash", json!({})), result("a:1")),
            (call("a", "Ba.sh", json!({})), result("a")),
            (call("a", "Bash", json!("ls")), result("a")),
            (call("a", "Bash", json!({})), text("no result")),
            (text("no call"), result("a")),
            (text(" "), text("more")),
            (thinking("other"), text("more")),
            (json!({"type": "reasoning"}), text("more")),
            (text("ok"), json!({"type": "input_text", "text": "more"})),
            (text("ok"), image("image/png", "/9j/")),
            (text("ok"), image("image/png", &(png.to_owned() + &"A".repeat(6 << 20)))),
        ] {
            assert!(messages(assistant.clone(), user.clone()).is_err(), "{assistant} {user}");
        }
    }

    #[test]
    fn strict_responses() {
        let call = |name: &str, id: &str| json!({"type": "function_call", "name": name, "arguments": "{}", "call_id": id});
        let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "x"});
        let said = |role: &str, kind: &str| json!({"type": "message", "role": role, "content": [{"type": kind, "text": "x"}]});
        let long = "x".repeat(65);

        assert_eq!(responses(&[said("user", "input_text"), call("f", "a"), output("a")]), Ok(()));
        assert_eq!(responses(&[said("assistant", "output_text")]), Ok(()));
        for items in [
            vec![call("f.g", "a"), output("a")],
            vec![call("f", &long), output(&long)],
            vec![call("f", "a")],
            vec![output("a")],
            vec![output("a"), call("f", "a")],
            vec![said("assistant", "input_text")],
            vec![said("user", "output_text")],
            vec![said("user", "text")],
            vec![json!({"type": "tool_use"})],
            vec![json!({"type": "reasoning", "summary": [], "encrypted_content": "foreign"})],
            vec![json!({"type": "reasoning", "summary": []})],
        ] {
            assert!(responses(&items).is_err(), "{items:?}");
        }
    }

    #[test]
    fn strict_chat() {
        let chat = |messages: &[Value]| chat::check(&json!({ "messages": messages }));
        let said = |role: &str, content: Value| json!({"role": role, "content": content});
        let answer = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": ""});
        let call = |id: &str, name: &str, arguments: Value| {
            json!({"role": "assistant", "content": "",
            "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]})
        };
        let user = || said("user", "x".into());
        let image = |url: &str| json!([{"type": "image_url", "image_url": {"url": url}}]);
        let long = "x".repeat(41);

        assert_eq!(
            chat(&[said("system", "x".into()), user(), call("a", "f", "{}".into()), answer("a")]),
            Ok(())
        );
        assert_eq!(chat(&[said("user", image("data:image/png;base64,iVBORw0KGgoA"))]), Ok(()));
        for messages in [
            vec![],
            vec![user(), answer("a")],
            vec![user(), call("a", "f", "{}".into())],
            vec![user(), call("a", "f", "{}".into()), user(), answer("a")],
            vec![user(), call("a", "f", "{}".into()), answer("a"), answer("a")],
            vec![user(), call("a", "f", "{}".into()), answer("b")],
            vec![user(), call("a", "f", "{}".into()), answer("a"), call("a", "f", "{}".into()), answer("a")],
            vec![user(), call("a", "f.g", "{}".into()), answer("a")],
            vec![user(), call("a", "f", json!({})), answer("a")],
            vec![user(), call("a", "f", "ls".into()), answer("a")],
            vec![user(), call(&long, "f", "{}".into()), answer(&long)],
            vec![user(), said("assistant", Value::Null)],
            vec![user(), said("assistant", "".into())],
            vec![said("user", json!([]))],
            vec![said("user", json!([{"type": "text", "text": ""}]))],
            vec![said("user", image("file:///pic.png"))],
            vec![said("user", image("data:image/png;base64,/9j/"))],
            vec![user(), said("assistant", image("data:image/png;base64,iVBORw0KGgoA"))],
            vec![user(), said("model", "x".into())],
        ] {
            assert!(chat(&messages).is_err(), "{messages:?}");
        }
    }
}
