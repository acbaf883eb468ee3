//! Where messages are written to: lines of `messages.jsonl`, or the one document that the program's
//! own `import` takes, for a machine where it has no database and is not installed.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::session::Header;
use crate::error::{IoContext, Result};

/// Messages on their way.
pub struct Messages<'a> {
    out: BufWriter<&'a mut dyn Write>,
    session: String,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One line each.
    Lines,
    /// Elements of an array, none yet.
    EmptyArray,
    /// Elements of an array.
    Array,
}

impl<'a> Messages<'a> {
    /// Begins the messages of a session; with its header, they become one document.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(out: &'a mut dyn Write, session: &str, document: Option<&Header>) -> Result<Self> {
        let form = if document.is_some() { Form::EmptyArray } else { Form::Lines };
        let out = BufWriter::with_capacity(64 << 10, out);
        let mut messages = Self { out, session: session.to_owned(), form };
        if let Some(header) = document {
            let info = serde_json::to_string(&header.info()).unwrap_or_default();
            messages.write(format!("{{\"info\":{info},\"messages\":[").as_bytes())?;
        }
        Ok(messages)
    }

    /// Writes a message, a line with its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn message(&mut self, line: &[u8]) -> Result<()> {
        self.message_by(|out| out.write_all(line))
    }

    /// Lets `write` write a message, a line with its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn message_by(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        match self.form {
            Form::Lines => {}
            Form::EmptyArray => self.form = Form::Array,
            Form::Array => self.write(b",")?,
        }
        write(&mut self.out).at("write", Path::new(&self.session))
    }

    /// Writes the end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        if self.form != Form::Lines {
            self.write(b"]}\n")?;
        }
        self.out.flush().at("write", Path::new(&self.session))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).at("write", Path::new(&self.session))
    }
}
