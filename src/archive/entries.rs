//! The entries of the tar: where each must be, and a reader of headers that takes nothing else.
//!
//! The manifest gives the size and order of everything, so it also gives the place of every header
//! in the tar. A reader therefore never follows what a header says: it looks whether the header
//! that it expects stands where it expects it. An entry that is missing, extra, out of order or of
//! another size cannot be overlooked, and no two readers can see two different archives in one file.

use std::ops::Range;

use super::layout::{self, BLOCK, MANIFEST, SUMS};
use super::manifest::Manifest;

/// What a tar header says that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The name; [`layout::check_name`] found nothing to say against it.
    pub(super) name: String,
    /// Bytes of content.
    pub(super) size: u64,
}

/// Why a tar header is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// All bytes are zero.
    #[error("the tar ends here")]
    End,
    /// The checksum is another.
    #[error("the checksum of the tar header does not match")]
    Checksum,
    /// Not a regular file.
    #[error("the entry {0} is {1}; an archive holds nothing but regular files")]
    Type(String, &'static str),
    /// Another magic.
    #[error("the header of the entry {0} is not in the ustar form")]
    Magic(String),
    /// The prefix field is in use.
    #[error("the header of the entry {0} splits its name in two")]
    Prefix(String),
    /// The link field is in use.
    #[error("the header of the entry {0} names a link")]
    Link(String),
    /// The name breaks a rule.
    #[error("the name {0} {1}")]
    Name(String, &'static str),
    /// The size is no number or too large a one.
    #[error("the size of the entry {0} is not a number that can be true")]
    Size(String),
}

/// Reads a tar header. Mode, owner and time are not looked at: they mean nothing here.
///
/// # Errors
/// When it is not the header of a regular file in plain ustar form.
pub(super) fn parse_header(header: &[u8; BLOCK as usize]) -> Result<Header, Refusal> {
    if header.iter().all(|byte| *byte == 0) {
        return Err(Refusal::End);
    }
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(place, byte)| if (148..156).contains(&place) { 32 } else { u64::from(*byte) })
        .sum();
    if octal(&header[148..156]) != Some(sum) {
        return Err(Refusal::Checksum);
    }
    let (name, rest) = until_nul(&header[..100]);
    let shown = || format!("{:?}", String::from_utf8_lossy(name));
    if let Some(kind) = odd_type(header[156]) {
        return Err(Refusal::Type(shown(), kind));
    }
    if &header[257..265] != b"ustar\x0000" {
        return Err(Refusal::Magic(shown()));
    }
    if header[345..500].iter().any(|byte| *byte != 0) {
        return Err(Refusal::Prefix(shown()));
    }
    if header[157..257].iter().any(|byte| *byte != 0) {
        return Err(Refusal::Link(shown()));
    }
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Refusal::Name(shown(), "goes on after its end"));
    }
    layout::check_name(name).map_err(|rule| Refusal::Name(shown(), rule))?;
    let size = size(&header[124..136]).ok_or_else(|| Refusal::Size(shown()))?;
    Ok(Header { name: String::from_utf8_lossy(name).into_owned(), size })
}

fn odd_type(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'0' => return None,
        b'\0' => "a file of an old tar",
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' => "a character device",
        b'4' => "a block device",
        b'5' => "a directory",
        b'6' => "a named pipe",
        b'7' => "a contiguous file",
        b'x' => "a pax record",
        b'g' => "a global pax record",
        b'L' | b'K' => "a GNU long name",
        b'S' => "a sparse file",
        b'D' => "a GNU directory list",
        b'M' => "the rest of a file from another volume",
        _ => "of an unknown type",
    })
}

fn until_nul(field: &[u8]) -> (&[u8], &[u8]) {
    field.split_at(field.iter().position(|byte| *byte == 0).unwrap_or(field.len()))
}

/// Octal digits, then nothing but NULs and spaces.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let (digits, rest) = field.split_at(digits);
    if digits.is_empty() || rest.is_empty() || rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| sum.checked_mul(8)?.checked_add(u64::from(digit - b'0')))
}

/// Octal, or base-256 for what octal cannot say: a first byte of 0x80, then 11 bytes, high to low.
fn size(field: &[u8]) -> Option<u64> {
    match field {
        [0x80, 0, 0, 0, low @ ..] => Some(u64::from_be_bytes(low.try_into().ok()?)),
        _ => octal(field),
    }
}

/// The header that our writer gives an entry.
pub(super) fn header(name: &str, size: u64) -> [u8; BLOCK as usize] {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).expect("names of ours are short and plain");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    *header.as_bytes()
}

/// Where an entry is in the tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte of its header.
    pub(super) start: u64,
    /// Bytes of its content.
    pub(super) size: u64,
}

impl Span {
    /// The bytes of its content.
    pub(super) fn content(self) -> Range<u64> {
        self.start + BLOCK..self.start + BLOCK + self.size
    }

    /// The first byte after its padding.
    pub(super) fn end(self) -> u64 {
        self.content().end.next_multiple_of(BLOCK)
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// The manifest.
    Manifest,
    /// The checksums.
    Sums,
    /// A file of a session.
    File { session: usize, file: usize },
    /// A git bundle, by its place in the manifest's list.
    Bundle(usize),
}

/// Where every entry is in the tar: the manifest, the sums, the files of all sessions, then the
/// bundles.
#[derive(Debug)]
pub(super) struct Entries {
    spans: Vec<Span>,
    /// The first entry of each session.
    first: Vec<usize>,
    /// The first entry of a bundle.
    bundles: usize,
}

impl Entries {
    /// The places that follow from the manifest and its size in bytes; `None` when they are beyond
    /// all numbers.
    pub(super) fn new(manifest_size: u64, manifest: &Manifest) -> Option<Self> {
        let sums_line = |name: &str| 64 + 2 + name.len() as u64 + 1;
        let files = || {
            let files = manifest.sessions.iter().flat_map(|session| &session.files);
            let files = files.map(|file| (file.name.as_str(), file.meta.size));
            files.chain(manifest.bundles.iter().map(|bundle| (bundle.name.as_str(), bundle.size)))
        };
        let sums_size = sums_line(MANIFEST) + files().map(|(name, _)| sums_line(name)).sum::<u64>();
        let mut first = Vec::with_capacity(manifest.sessions.len());
        let mut entry = 2;
        for session in &manifest.sessions {
            first.push(entry);
            entry += session.files.len();
        }
        let bundles = entry;
        let mut spans = Vec::with_capacity(bundles + manifest.bundles.len());
        let mut start = 0_u64;
        for size in [manifest_size, sums_size].into_iter().chain(files().map(|(_, size)| size)) {
            spans.push(Span { start, size });
            start = start.checked_add(layout::entry_length(size)?)?;
        }
        start.checked_add(layout::MAX_END)?;
        Some(Self { spans, first, bundles })
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Where an entry is.
    pub(super) fn span(&self, entry: usize) -> Span {
        self.spans[entry]
    }

    /// Where the tar ends, but for its zeros.
    pub(super) fn end(&self) -> u64 {
        self.spans[self.spans.len() - 1].end()
    }

    /// The entries of a session.
    pub(super) fn of_session(&self, session: usize) -> Range<usize> {
        let end = self.first.get(session + 1).copied().unwrap_or(self.bundles);
        self.first[session]..end
    }

    /// The entry of a bundle, by its place in the manifest's list.
    pub(super) fn of_bundle(&self, bundle: usize) -> usize {
        self.bundles + bundle
    }

    /// What an entry is.
    pub(super) fn member(&self, entry: usize) -> Member {
        if let Some(bundle) = entry.checked_sub(self.bundles) {
            return Member::Bundle(bundle);
        }
        match self.first.partition_point(|first| *first <= entry).checked_sub(1) {
            Some(session) => Member::File { session, file: entry - self.first[session] },
            None if entry == 0 => Member::Manifest,
            None => Member::Sums,
        }
    }

    /// The entry that holds this byte of the tar; the last one for bytes after the end.
    pub(super) fn at(&self, offset: u64) -> usize {
        self.spans.partition_point(|span| span.start <= offset).saturating_sub(1)
    }

    /// The name of an entry.
    pub(super) fn name<'m>(&self, entry: usize, manifest: &'m Manifest) -> &'m str {
        match self.member(entry) {
            Member::File { session, file } => &manifest.sessions[session].files[file].name,
            Member::Bundle(bundle) => &manifest.bundles[bundle].name,
            Member::Manifest => MANIFEST,
            Member::Sums => SUMS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_headers_are_taken() {
        for size in [0, 1, 511, 512, (8 << 30) - 1, 8 << 30, 3 << 40, u64::MAX >> 1] {
            let parsed = parse_header(&header("s/0001/0001-transcript.jsonl", size)).unwrap();
            assert_eq!(parsed, Header { name: "s/0001/0001-transcript.jsonl".to_owned(), size });
        }
        let long = format!("s/{}", "a".repeat(98));
        assert_eq!(parse_header(&header(&long, 7)).unwrap().name, long);
    }

    #[test]
    fn sizes_from_eight_gibibytes_on_are_base_256() {
        assert_eq!(header("a", (8 << 30) - 1)[124..136], *b"77777777777\0");
        assert_eq!(header("a", 8 << 30)[124..136], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen_or_means_nothing() {
        let good = header("s/0001/0001-transcript.jsonl", 12345);
        let meaning = parse_header(&good).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(header) = parse_header(&bad) {
                assert_eq!(header, meaning, "bit {bit}");
                assert!((148..156).contains(&(bit / 8)), "bit {bit}");
            }
        }
    }

    #[test]
    fn numbers_are_read_strictly() {
        assert_eq!(octal(b"0000017\0"), Some(15));
        assert_eq!(octal(b"17 \0\0\0\0\0"), Some(15));
        for bad in [&b"       \0"[..], b"\0\0\0\0", b"0000018\0", b"-000001\0", b"00000017", b"7\x007\0"] {
            assert_eq!(octal(bad), None, "{bad:?}");
        }
        assert_eq!(size(b"\x80\0\0\0\0\0\0\0\0\0\0\x05"), Some(5));
        assert_eq!(size(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(size(&[0xff; 12]), None);
    }
}
