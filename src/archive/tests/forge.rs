//! Makes archives that our writer would not.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::archive::entries::header;
use crate::archive::gzip::{MEMBER, deflate};
use crate::archive::reader::hex;

/// An entry, byte for byte.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) header: [u8; 512],
    pub(super) content: Vec<u8>,
}

impl Entry {
    pub(super) fn new(name: &str, content: &[u8]) -> Self {
        Self { header: header(name, content.len() as u64), content: content.to_vec() }
    }

    /// Puts bytes into the header and makes its checksum right again.
    pub(super) fn set(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.header[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.header[148..156].fill(b' ');
        let sum: u32 = self.header.iter().map(|byte| u32::from(*byte)).sum();
        self.header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self
    }

    pub(super) fn kind(self, kind: u8) -> Self {
        self.set(156, &[kind])
    }

    /// Replaces the name field.
    pub(super) fn name(self, name: &[u8]) -> Self {
        let mut field = [0; 100];
        field[..name.len()].copy_from_slice(name);
        self.set(0, &field)
    }
}

/// An archive in the making.
#[derive(Debug, Clone)]
pub(super) struct Forge {
    pub(super) entries: Vec<Entry>,
    /// What follows the last entry.
    pub(super) tail: Vec<u8>,
}

impl Forge {
    /// A good archive: manifest, sums, and four files of two sessions.
    pub(super) fn sample() -> Self {
        Self::of(&Self::manifest())
    }

    const FILES: [(&'static str, &'static [u8]); 4] = [
        ("s/0001/0001-transcript.jsonl", b"{\"type\":\"user\"}\n{\"type\":\"assistant\"}\n"),
        ("s/0001/0002-attachment.txt", b"some output"),
        ("s/0002/0001-transcript.jsonl", &[b'x'; 512]),
        ("s/0002/0002-attachment", b""),
    ];

    /// Its manifest, to be changed.
    pub(super) fn manifest() -> Value {
        let file = |index: usize, role: &str| {
            let (name, content) = Self::FILES[index];
            serde_json::json!({
                "name": name, "sha256": hex(&Sha256::digest(content)),
                "role": role, "path": "a/b.jsonl", "size": content.len(),
            })
        };
        let session = |id: &str, files: [Value; 2]| {
            serde_json::json!({
                "harness": "codex", "id": id, "title": null, "cwd": "/home/ada/x", "created": null, "updated": null,
                "model": null, "git": null, "parent": null, "repo": 0, "files": files,
            })
        };
        serde_json::json!({
            "schema": "holdall.manifest/1", "version": {"major": 1, "minor": 0},
            "tool": {"name": "holdall", "version": "0.1.0"}, "source": {"os": "linux", "home": "/home/ada"},
            "sessions": [
                session("a", [file(0, "transcript"), file(1, "attachment")]),
                session("b", [file(2, "transcript"), file(3, "attachment")]),
            ],
            "repos": [{
                "root": "/home/ada/x", "worktree": false, "remotes": [{"name": "origin", "url": "git@host:x.git"}],
                "branch": "main", "commit": null, "subject": null, "upstream": null, "ahead": null, "behind": null,
                "modified": 0, "untracked": 0,
            }],
        })
    }

    /// An archive with this manifest and sums that agree with it.
    pub(super) fn of(manifest: &Value) -> Self {
        Self::of_json(serde_json::to_vec(manifest).unwrap())
    }

    /// An archive with this text for a manifest.
    pub(super) fn of_json(json: Vec<u8>) -> Self {
        Self::with_more(json, &[])
    }

    /// An archive with these files after those of the sessions.
    pub(super) fn with_more(json: Vec<u8>, more: &[(&str, &[u8])]) -> Self {
        let mut sums = format!("{}  manifest.json\n", hex(&Sha256::digest(&json)));
        let files: Vec<(&str, &[u8])> = Self::FILES.iter().chain(more).copied().collect();
        for (name, content) in &files {
            sums.push_str(&format!("{}  {name}\n", hex(&Sha256::digest(content))));
        }
        let mut entries = vec![Entry::new("manifest.json", &json), Entry::new("SHA256SUMS", sums.as_bytes())];
        entries.extend(files.iter().map(|(name, content)| Entry::new(name, content)));
        Self { entries, tail: vec![0; 1024] }
    }

    /// The tar.
    pub(super) fn tar(&self) -> Vec<u8> {
        let mut tar = Vec::new();
        for entry in &self.entries {
            tar.extend_from_slice(&entry.header);
            tar.extend_from_slice(&entry.content);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.extend_from_slice(&self.tail);
        tar
    }

    /// The archive in our own form.
    pub(super) fn members(&self) -> Vec<u8> {
        members(&self.tar())
    }

    /// The archive as plain gzip would make it.
    pub(super) fn gzip(&self) -> Vec<u8> {
        gzip(&self.tar())
    }
}

/// Cuts a tar into members of ours.
pub(super) fn members(tar: &[u8]) -> Vec<u8> {
    tar.chunks(MEMBER).flat_map(|part| deflate(part, 4)).collect()
}

/// Compresses as one gzip member.
pub(super) fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_sample_is_good() {
    assert_eq!(refusal(&Forge::sample().members()), None);
    assert_eq!(refusal(&Forge::sample().gzip()), None);
}
