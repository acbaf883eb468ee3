//! What is where in an archive, and the limits that hold for it.
//!
//! An archive is a ustar, compressed with gzip. Its entries, in this order:
//!
//! ```text
//! manifest.json                 what the archive holds: crate::archive::manifest
//! SHA256SUMS                    the manifest and all files, for `sha256sum -c`
//! s/0001/0001-transcript.jsonl  file 1 of session 1
//! s/0001/0002-subagent.jsonl    file 2 of session 1
//! s/0002/…
//! r/0001/repository.bundle      the git bundle of repository 1, where one is carried
//! ```
//!
//! Entries are regular files with mode 0600 and no owner or time, named by us: native paths are
//! data in the manifest, so that no name in the tar can ever mean a place on somebody's disk. Two
//! blocks of zeros end the tar. Any gzip can read the compressed stream; `gzip.rs` says how
//! it is cut so that our reader can do it in parallel and from the middle.
//!
//! Changelog: 1.0, the first; 1.1, git bundles after the files of all sessions.

use std::fmt::Write as _;
use std::path::Path;

use super::manifest::Manifest;
use crate::model::{FileMeta, Role};

/// Name of the first entry.
pub const MANIFEST: &str = "manifest.json";

/// Name of the second entry.
pub const SUMS: &str = "SHA256SUMS";

/// Compression level when nobody chooses one: within 2 % of the size of level 6, in two thirds of
/// the time.
pub const DEFAULT_LEVEL: u32 = 4;

/// Bytes of a tar block.
pub const BLOCK: u64 = 512;

/// Bytes of the zeros that our writer puts at the end of the tar.
pub const END: u64 = 2 * BLOCK;

/// Most bytes of zeros that a reader takes at the end of the tar; other tools pad to 10 KiB.
pub const MAX_END: u64 = 1 << 20;

/// Most bytes of a manifest. A session needs about a kilobyte, so this is room for 200,000; the
/// point is that a hostile archive cannot make us read gigabytes before anything is checked.
pub const MAX_MANIFEST: u64 = 256 << 20;

/// A manifest up to this size is read whatever the size of its archive. A larger one is at most
/// [`MANIFEST_RATIO`] times as large as the whole archive is compressed.
pub const FREE_MANIFEST: u64 = 8 << 20;

/// What a manifest may take in memory, whatever the size of its archive; more than that is at most
/// [`MANIFEST_RATIO`] times the compressed archive.
pub const FREE_WEIGHT: u64 = 24 << 20;

/// See [`FREE_MANIFEST`]. Half of a manifest is checksums and ids, which no compression makes
/// smaller than half, and what they stand for is in the archive too.
pub const MANIFEST_RATIO: u64 = 20;

/// Most entries of an archive, the manifest and the sums included.
pub const MAX_ENTRIES: usize = 200_000;

/// Most bytes of an entry's name: what a ustar header holds without its prefix field.
pub const MAX_NAME: usize = 100;

/// An archive may hold this many times its compressed size. JSON shrinks 3 to 10 times; deflate
/// could do 1032 times, which only a bomb does.
pub const MAX_RATIO: u64 = 200;

/// Below this size, [`MAX_RATIO`] does not matter.
pub const FREE_SIZE: u64 = 64 << 20;

/// A file with more bytes than this is large: to read all of it takes so long that only those do who
/// need it. On two cores that is about half a second of the reader's time.
pub const LARGE: u64 = 64 << 20;

/// Limits that whoever opens an archive may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes that an archive may hold, uncompressed.
    pub max_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_size: 64 << 30 }
    }
}

impl Limits {
    /// Whether `raw` bytes may come out of `compressed` bytes.
    ///
    /// # Errors
    /// Names the limit that is broken.
    pub(super) fn check(self, raw: u64, compressed: u64) -> Result<(), String> {
        if raw > self.max_size {
            return Err(format!("the archive holds more than the limit of {} bytes", self.max_size));
        }
        if raw > FREE_SIZE.max(compressed.saturating_mul(MAX_RATIO)) {
            return Err(format!("the archive grows more than {MAX_RATIO} times when it is uncompressed"));
        }
        Ok(())
    }
}

/// Bytes that an entry of `size` bytes takes in the tar, with its header and padding.
pub(super) fn entry_length(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(BLOCK)?.checked_add(BLOCK)
}

/// What the name of file number `file` of session number `session` begins with; both count from 1.
pub(super) fn file_prefix(session: usize, file: usize) -> String {
    format!("s/{session:04}/{file:04}-")
}

/// The name of a file in the archive. Both numbers count from 1.
///
/// The extension of the native path is kept when it is plain, for whoever unpacks by hand.
pub(super) fn file_name(session: usize, file: usize, meta: &FileMeta) -> String {
    let mut name = file_prefix(session, file);
    name.push_str(match meta.role {
        Role::Transcript => "transcript",
        Role::Subagent => "subagent",
        Role::Attachment => "attachment",
    });
    let extension = Path::new(&meta.path).extension().and_then(|extension| extension.to_str());
    if let Some(extension) = extension.filter(|extension| is_plain(extension)) {
        name.push('.');
        name.push_str(&extension.to_ascii_lowercase());
    }
    name
}

/// The name of the git bundle of repository number `repo`, which counts from 1.
pub(super) fn bundle_name(repo: usize) -> String {
    format!("r/{repo:04}/repository.bundle")
}

fn is_plain(extension: &str) -> bool {
    (1..=8).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a name may stand in an archive, on any system it may be unpacked on.
///
/// # Errors
/// Says which rule it breaks.
pub(super) fn check_name(name: &[u8]) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("is empty");
    }
    if name.len() > MAX_NAME {
        return Err("is longer than 100 bytes");
    }
    if name.starts_with(b"/") {
        return Err("is an absolute path");
    }
    let mut components = 0;
    for component in name.split(|byte| *byte == b'/') {
        components += 1;
        match component {
            b"" => return Err("has an empty component"),
            b"." | b".." => return Err("leaves its directory"),
            _ => {}
        }
        if component
            .iter()
            .any(|byte| !matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        {
            return Err("has a character other than A-Z a-z 0-9 . _ -");
        }
        if component.starts_with(b".") || component.starts_with(b"-") {
            return Err("has a component that begins with a dot or dash");
        }
        if component.ends_with(b".") {
            return Err("has a component that ends with a dot");
        }
        if is_device(component) {
            return Err("has a component that Windows keeps for a device");
        }
    }
    if components > 6 {
        return Err("has more than 6 components");
    }
    Ok(())
}

/// Windows opens the device for these names, whatever extension follows.
fn is_device(component: &[u8]) -> bool {
    let stem = component.split(|byte| *byte == b'.').next().unwrap_or_default().to_ascii_lowercase();
    match stem.as_slice() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

/// The content of `SHA256SUMS`: one line for the manifest, with the SHA-256 that is given, then
/// one for each file and each bundle.
pub(super) fn sums(manifest_sha256: &str, manifest: &Manifest) -> String {
    let mut text = format!("{manifest_sha256}  {MANIFEST}\n");
    let files = manifest.sessions.iter().flat_map(|session| &session.files);
    let files = files.map(|file| (&file.sha256, &file.name));
    for (sha256, name) in files.chain(manifest.bundles.iter().map(|bundle| (&bundle.sha256, &bundle.name))) {
        writeln!(text, "{sha256}  {name}").expect("a String takes all text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(role: Role, path: &str) -> FileMeta {
        FileMeta { role, path: path.to_owned(), size: 0, modified: None, agent: None }
    }

    #[test]
    fn native_paths_leave_nothing_but_a_plain_extension() {
        for (path, name) in [
            ("projects/-home-x/6a.jsonl", "s/0001/0002-attachment.jsonl"),
            ("a/b.JSON", "s/0001/0002-attachment.json"),
            ("a/b", "s/0001/0002-attachment"),
            ("a/b.", "s/0001/0002-attachment"),
            ("a/b.../../x", "s/0001/0002-attachment"),
            ("a/b.tool-output", "s/0001/0002-attachment"),
            ("a/b.ünï", "s/0001/0002-attachment"),
            ("a/b.0123456789", "s/0001/0002-attachment"),
        ] {
            assert_eq!(file_name(1, 2, &meta(Role::Attachment, path)), name, "{path}");
        }
        assert_eq!(file_name(12345, 1, &meta(Role::Transcript, "x.jsonl")), "s/12345/0001-transcript.jsonl");
    }

    #[test]
    fn our_own_names_keep_the_rules() {
        let name = file_name(usize::MAX, usize::MAX, &meta(Role::Attachment, "x.abcdefgh"));
        assert_eq!(check_name(name.as_bytes()), Ok(()));
        assert_eq!(check_name(bundle_name(usize::MAX).as_bytes()), Ok(()));
        assert_eq!(check_name(MANIFEST.as_bytes()), Ok(()));
        assert_eq!(check_name(SUMS.as_bytes()), Ok(()));
    }

    #[test]
    fn names_that_mean_something_elsewhere_are_refused() {
        let long = "a".repeat(101);
        let deep = "a/a/a/a/a/a/a";
        for name in [
            "",
            "/a",
            "a//b",
            "a/",
            "..",
            "a/../b",
            "./a",
            "C:evil",
            "a\\b",
            "a b",
            "a\nb",
            "a\u{1b}",
            "é",
            ".git",
            "-rf",
            "a.",
            "con",
            "NUL.txt",
            "a/com1.log",
            "lpt9",
            &long,
            deep,
        ] {
            assert!(check_name(name.as_bytes()).is_err(), "{name:?}");
        }
        for name in ["a", "com", "com10", "console.txt", "a/b/c/d/e/f", "a..b", "a-b_c.d"] {
            assert_eq!(check_name(name.as_bytes()), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn limits_name_what_they_refuse() {
        let limits = Limits { max_size: 1 << 30 };
        assert_eq!(limits.check(FREE_SIZE, 1), Ok(()));
        assert!(limits.check(FREE_SIZE + 1, 1).unwrap_err().contains("200 times"));
        assert!(limits.check((1 << 30) + 1, 1 << 30).unwrap_err().contains("1073741824 bytes"));
    }

    #[test]
    fn entry_lengths_do_not_overflow() {
        assert_eq!(entry_length(0), Some(512));
        assert_eq!(entry_length(1), Some(1024));
        assert_eq!(entry_length(512), Some(1024));
        assert_eq!(entry_length(u64::MAX), None);
        assert_eq!(entry_length(u64::MAX - 511), None);
    }
}
