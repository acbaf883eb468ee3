//! Data on its way to stdout: buffered, and without colours when it goes to no terminal.

use std::io::{self, BufWriter, Stdout, Write};

use anstream::adapter::StripBytes;
use anstream::{AutoStream, ColorChoice};

/// So much is written at once. A list of thousands of rows is a few calls of the system.
const CHUNK: usize = 64 << 10;

/// Takes text with colours.
pub struct Out(Kind);

enum Kind {
    /// As it is, or as the terminal takes it.
    Styled(BufWriter<AutoStream<Stdout>>),
    /// What is left of it without the colours.
    Plain(BufWriter<Stdout>, StripBytes),
}

impl Out {
    /// Writes to stdout.
    pub fn new() -> Self {
        let stdout = io::stdout();
        Self(match AutoStream::choice(&stdout) {
            // The stream writes what is between two colours by itself, so it has to come first.
            ColorChoice::Never => Kind::Plain(BufWriter::with_capacity(CHUNK, stdout), StripBytes::new()),
            _ => Kind::Styled(BufWriter::with_capacity(CHUNK, anstream::stdout())),
        })
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Styled(out) => out.write(bytes),
            Kind::Plain(out, strip) => {
                strip.strip_next(bytes).try_for_each(|text| out.write_all(text))?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Styled(out) => out.flush(),
            Kind::Plain(out, _) => out.flush(),
        }
    }
}
