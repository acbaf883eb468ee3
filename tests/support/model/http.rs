//! Just enough HTTP/1.1: one request for each connection, bodies by length or in chunks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A request with its body as the client meant it.
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
}

pub fn read(stream: &TcpStream) -> io::Result<Request> {
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (method, path) = (method.to_owned(), path.to_owned());

    let (mut length, mut chunked, mut encoding) = (0, false, String::new());
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "content-encoding" => encoding = value.to_ascii_lowercase(),
            "expect" => (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
    }

    let mut raw = Vec::new();
    if chunked {
        read_chunks(&mut input, &mut raw)?;
    } else {
        raw.resize(length, 0);
        input.read_exact(&mut raw)?;
    }
    Ok(Request { method, path, body: decode(raw, &encoding)? })
}

fn read_chunks(input: &mut impl BufRead, raw: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let start = raw.len();
        raw.resize(start + size, 0);
        input.read_exact(&mut raw[start..])?;
        input.read_line(&mut line)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn decode(raw: Vec<u8>, encoding: &str) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    match encoding {
        "gzip" => {
            flate2::read::MultiGzDecoder::new(&raw[..]).read_to_end(&mut body)?;
        }
        "zstd" => {
            ruzstd::decoding::StreamingDecoder::new(&raw[..])
                .map_err(|error| io::Error::other(error.to_string()))?
                .read_to_end(&mut body)?;
        }
        _ => return Ok(raw),
    }
    Ok(body)
}

/// Answers with a JSON document.
pub fn json(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let reason = if status == 200 { "OK" } else { "Refused" };
    write!(
        stream,
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

/// A stream of server-sent events; it ends when the connection closes.
pub struct Events<'a> {
    stream: &'a mut TcpStream,
}

impl<'a> Events<'a> {
    pub fn start(stream: &'a mut TcpStream) -> io::Result<Self> {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\nconnection: close\r\n\r\n",
        )?;
        Ok(Self { stream })
    }

    /// Sends `data`, whose `type` is also the name of the event; without it the event has no name.
    pub fn send(&mut self, data: &serde_json::Value) -> io::Result<()> {
        if let Some(name) = data["type"].as_str() {
            writeln!(self.stream, "event: {name}")?;
        }
        self.end(&data.to_string())
    }

    /// Sends what some providers end a stream with.
    pub fn end(&mut self, data: &str) -> io::Result<()> {
        write!(self.stream, "data: {data}\n\n")?;
        self.stream.flush()
    }
}
