//! `opencode serve`: the program's HTTP interface, on the loopback interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};

use super::opencode::TURN;

const LIMIT: Duration = Duration::from_secs(120);

/// A running `opencode serve`. It is ended when dropped.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    pub(super) fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("the server does not start: {error}"))?;
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Goes on reading, or the server would wait for a reader one day.
            for line in output.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let mut server = Self { child, address: String::new() };
        while let Ok(line) = lines.recv_timeout(LIMIT) {
            if let Some((_, address)) = line.split_once("listening on http://") {
                server.address = address.trim().to_owned();
                return Ok(server);
            }
        }
        Err("the server does not say where it listens".into())
    }

    /// One request; the answer as JSON, or null when it has no body.
    ///
    /// # Errors
    /// When the server refuses it, or does not answer.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{method} {path}: {error}");
        let (status, text) = self.exchange(method, path, body).map_err(|error| failed(&error))?;
        if status != 200 && status != 204 {
            return Err(failed(&format!("{status} {text}")));
        }
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).map_err(|e| failed(&e)) }
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(TURN))?;
        let body = if method == "GET" { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut input = BufReader::new(stream);
        let mut line = String::new();
        input.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let (mut chunked, mut length) = (false, None);
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "transfer-encoding" => chunked = value.trim() == "chunked",
                "content-length" => length = value.trim().parse::<usize>().ok(),
                _ => {}
            }
        }
        let mut bytes = Vec::new();
        if chunked {
            loop {
                line.clear();
                input.read_line(&mut line)?;
                let size = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
                let start = bytes.len();
                bytes.resize(start + size, 0);
                input.read_exact(&mut bytes[start..])?;
                input.read_line(&mut line)?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = length {
            bytes.resize(length, 0);
            input.read_exact(&mut bytes)?;
        } else {
            input.read_to_end(&mut bytes)?;
        }
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A new session. Returns its id.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn create(&self) -> Result<String, String> {
        id_of(&self.call("POST", "/session", &json!({}))?)
    }

    /// One turn with these parts; returns the id of the answer when it is complete.
    ///
    /// # Errors
    /// When the server refuses it, or the answer is an error.
    pub fn turn(&self, session: &str, parts: Value) -> Result<String, String> {
        let reply = self.call("POST", &format!("/session/{session}/message"), &json!({ "parts": parts }))?;
        match &reply["info"]["error"] {
            Value::Null => id_of(&reply["info"]),
            error => Err(format!("the turn failed: {error}")),
        }
    }

    /// One turn of text.
    ///
    /// # Errors
    /// As [`Server::turn`].
    pub fn say(&self, session: &str, text: &str) -> Result<String, String> {
        self.turn(session, json!([{"type": "text", "text": text}]))
    }

    /// The messages of a session.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn messages(&self, session: &str) -> Result<Vec<Value>, String> {
        match self.call("GET", &format!("/session/{session}/message"), &Value::Null)? {
            Value::Array(messages) => Ok(messages),
            other => Err(format!("no messages: {other}")),
        }
    }
}

/// The id in an answer.
fn id_of(reply: &Value) -> Result<String, String> {
    reply["id"].as_str().map(str::to_owned).ok_or_else(|| format!("no id: {reply}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // Each turn is in the database when it has been answered.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
