//! The archive reader.
//!
//! Checksums keep a mutated archive from getting anywhere, so the first byte says what the rest is:
//! the file itself; a tar, whose header checksums are made right and that is compressed in both
//! forms; or a manifest and the contents of its files, of which such a tar is built.

use std::io::{Read, Write};

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use holdall::archive::{Archive, Limits, Problem, hex};
use holdall::error::{Error, Kind};
use holdall::progress::Silent;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// More than an input can ask for without being a bomb.
const LIMITS: Limits = Limits { max_size: 8 << 20 };

/// Separates the manifest and the contents in an input of the third form. In no JSON text.
const SEPARATOR: u8 = 0xff;

const BLOCK: usize = 512;

/// What came out of an archive that was not refused.
#[derive(Debug, PartialEq)]
struct Taken {
    manifest: String,
    problems: Vec<Problem>,
    /// The files of each session, and the bundles; `None`: it could not be read.
    contents: Vec<Option<Vec<u8>>>,
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else { return };
    match form % 3 {
        0 => {
            let first = taken(rest);
            assert_eq!(first, taken(rest), "an archive says the same each time");
        }
        1 => both(&with_checksums(rest.to_vec())),
        _ => both(&built(rest)),
    }
}

/// Reads a tar in both forms. That it is cut into members must not change what it means.
fn both(tar: &[u8]) {
    let (members, stream) = (taken(&members(tar)), taken(&gzip(tar)));
    assert_eq!(members, stream, "both forms say the same");
}

/// Opens, verifies and reads everything; `None` when the archive is refused.
fn taken(bytes: &[u8]) -> Option<Taken> {
    let archive = match Archive::read_within(&mut &*bytes, LIMITS) {
        Ok(archive) => archive,
        Err(error) => {
            refused(&error);
            return None;
        }
    };
    let problems = archive.verify(None, &Silent).expect("all sessions can be verified");
    let manifest = archive.manifest();
    let mut contents = Vec::new();
    let mut files = manifest.sessions.iter().flat_map(|session| &session.files);
    for index in 0..manifest.sessions.len() {
        let session = archive.session(index).expect("it is in the manifest");
        for place in 0..manifest.sessions[index].files.len() {
            let content = session.read_all(place);
            let file = files.next().expect("as many as were counted");
            if problems.is_empty() {
                let content = content.as_ref().expect("what has no problem can be read");
                assert_eq!(content.len() as u64, file.meta.size, "{}", file.name);
                assert_eq!(hex(&Sha256::digest(content)), file.sha256, "{}", file.name);
            }
            contents.push(content);
        }
    }
    for repo in 0..manifest.repos.len() {
        if let Ok(Some(mut bundle)) = archive.bundle(repo) {
            let mut content = Vec::new();
            contents.push(bundle.read_to_end(&mut content).ok().map(|_| content));
        }
    }
    Some(Taken { manifest: format!("{manifest:?}"), problems, contents })
}

/// An archive is refused as such, never for a reason that would blame the machine.
fn refused(error: &Error) {
    assert_eq!(error.kind(), Kind::Archive, "{error}");
}

trait ReadAll {
    fn read_all(&self, file: usize) -> Option<Vec<u8>>;
}

impl ReadAll for holdall::archive::ArchivedSession<'_> {
    fn read_all(&self, file: usize) -> Option<Vec<u8>> {
        use holdall::model::Payload;
        let mut content = Vec::new();
        self.open(file).ok()?.read_to_end(&mut content).ok()?;
        Some(content)
    }
}

/// Makes the checksum right in everything that looks like a header.
fn with_checksums(mut tar: Vec<u8>) -> Vec<u8> {
    for block in tar.chunks_exact_mut(BLOCK).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    tar
}

/// A tar of a manifest and contents, with sizes and checksums that agree.
fn built(data: &[u8]) -> Vec<u8> {
    let mut parts = data.split(|byte| *byte == SEPARATOR);
    let mut manifest = parts.next().unwrap_or_default().to_vec();
    let mut files = Vec::new();
    if let Ok(mut json) = serde_json::from_slice::<Value>(&manifest) {
        let Value::Object(members) = &mut json else { return Vec::new() };
        let mut declared: Vec<&mut Value> = Vec::new();
        for (name, value) in members {
            match (name.as_str(), value) {
                ("sessions", Value::Array(sessions)) => {
                    for session in sessions {
                        declared.extend(
                            session.get_mut("files").and_then(Value::as_array_mut).into_iter().flatten(),
                        );
                    }
                }
                ("bundles", Value::Array(bundles)) => declared.extend(bundles),
                _ => {}
            }
        }
        for file in declared {
            let content = parts.next().unwrap_or_default();
            let Value::Object(file) = file else { continue };
            file.insert("size".to_owned(), content.len().into());
            file.insert("sha256".to_owned(), hex(&Sha256::digest(content)).into());
            let name = file.get("name").and_then(Value::as_str).unwrap_or_default();
            files.push((name.to_owned(), content.to_vec()));
        }
        manifest = json.to_string().into_bytes();
    }
    let mut sums = format!("{}  manifest.json\n", hex(&Sha256::digest(&manifest)));
    for (name, content) in &files {
        sums.push_str(&format!("{}  {name}\n", hex(&Sha256::digest(content))));
    }
    let mut tar = Vec::new();
    entry(&mut tar, "manifest.json", &manifest);
    entry(&mut tar, "SHA256SUMS", sums.as_bytes());
    for (name, content) in &files {
        entry(&mut tar, name, content);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    with_checksums(tar)
}

/// An entry with a header as holdall writes it.
fn entry(tar: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut header = [0; BLOCK];
    let name = &name.as_bytes()[..name.len().min(100)];
    header[..name.len()].copy_from_slice(name);
    for (offset, text) in [(100, "0000600\0"), (108, "0000000\0"), (116, "0000000\0"), (136, "00000000000\0")]
    {
        header[offset..offset + text.len()].copy_from_slice(text.as_bytes());
    }
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// A tar as holdall compresses it: see the format in `src/archive/gzip.rs`.
fn members(tar: &[u8]) -> Vec<u8> {
    const START: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 16, 0, b'H', b'O', 12, 0];
    let mut bytes = Vec::new();
    for part in tar.chunks(1 << 20) {
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflate.write_all(part).expect("memory");
        let mut rest = deflate.finish().expect("memory");
        rest.extend_from_slice(&crc(part).to_le_bytes());
        rest.extend_from_slice(&(part.len() as u32).to_le_bytes());
        let whole = START.len() + 12 + rest.len();
        bytes.extend_from_slice(&START);
        bytes.extend_from_slice(&(whole as u32).to_le_bytes());
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc(&rest).to_le_bytes());
        bytes.extend_from_slice(&rest);
    }
    bytes
}

/// A tar as any gzip compresses it.
fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).expect("memory");
    encoder.finish().expect("memory")
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
