//! Compressed rollouts. Codex can keep old threads as `.jsonl.zst`, and unpacks them to go on.

use std::io::{self, Read};

/// The unpacked content of `input`.
///
/// # Errors
/// When it is not compressed with Zstandard.
pub fn unpack<R: Read + 'static>(input: R) -> io::Result<Box<dyn Read>> {
    let decoder = ruzstd::decoding::StreamingDecoder::new(input).map_err(io::Error::other)?;
    Ok(Box::new(decoder))
}
