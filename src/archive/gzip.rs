//! The gzip members that an archive is cut into.
//!
//! Each member holds exactly [`MEMBER`] bytes of the tar (the last one: what is left) and stands
//! alone, so any gzip reads them as one stream. The header has an extra field (RFC 1952, FEXTRA)
//! with one subfield, `HO`, that tells how long the member is, compressed and not. A reader can
//! therefore hop from header to header, knows in which member every byte of the tar is, and can
//! uncompress as many members at a time as it has cores. A checksum of the compressed bytes is there
//! too: deflate leaves up to seven bits at its end that mean nothing, and a change of them should
//! not go unseen either.
//!
//! ```text
//! 1f 8b 08 04  00 00 00 00  00 ff   gzip, deflate, FEXTRA, no time, no level, no system
//! 10 00 'H' 'O' 0c 00               16 bytes of extra: subfield HO of 12 bytes
//! u32 u32                           length of the whole member, length of its content; little-endian
//! u32                               CRC-32 of all that follows
//! …                                 deflate
//! u32 u32                           CRC-32 and length of the content; little-endian
//! ```

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// Bytes of the tar in each member but the last.
pub const MEMBER: usize = 1 << 20;

/// Bytes of a member's header.
pub const HEADER: usize = 28;

const TRAILER: usize = 8;

/// All of the header but the numbers. A reader wants it to the byte, so no flipped bit goes unseen.
const START: [u8; 16] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 16, 0, b'H', b'O', 12, 0];

/// No member is longer than this: what deflate cannot shrink is stored, at five bytes for every
/// 4 KiB or more.
const LONGEST: usize = MEMBER + MEMBER / 128;

/// Members that shrink more than this are stored instead, so that no archive of ours comes near
/// the ratio that a reader takes for a bomb.
const MAX_SHRINK: usize = 150;

/// How a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Members of ours.
    Members,
    /// Some gzip.
    Stream,
}

/// How a file begins, from its first bytes; `None`: not as a gzip file.
///
/// Only our extra field has 16 bytes. A member that has them and is not quite ours is a damaged
/// one of ours, not somebody else's.
pub(super) fn form(start: &[u8]) -> Option<Form> {
    match start {
        [0x1f, 0x8b, _, flags, _, _, _, _, _, _, 16, 0, ..] if flags & 4 != 0 => Some(Form::Members),
        [0x1f, 0x8b, ..] => Some(Form::Stream),
        _ => None,
    }
}

/// How long a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    /// From the first byte of its header to the last of its trailer.
    pub(super) whole: usize,
    /// Its content, uncompressed.
    pub(super) raw: usize,
}

/// Reads the header of a member.
///
/// # Errors
/// When it is not exactly as [`deflate`] writes it.
pub(super) fn parse_header(header: &[u8; HEADER]) -> Result<Lengths, &'static str> {
    if header[..2] != START[..2] {
        return Err("what stands there is not a gzip member");
    }
    if header[..START.len()] != START {
        return Err("the header of the gzip member is damaged");
    }
    let lengths = Lengths { whole: u32_at(header, 16), raw: u32_at(header, 20) };
    if !(HEADER + TRAILER + 1..=LONGEST).contains(&lengths.whole) || !(1..=MEMBER).contains(&lengths.raw) {
        return Err("the header of the gzip member gives impossible lengths");
    }
    Ok(lengths)
}

fn u32_at(bytes: &[u8], offset: usize) -> usize {
    let four = bytes[offset..offset + 4].try_into().expect("the range is four bytes long");
    u32::from_le_bytes(four) as usize
}

/// Compresses up to [`MEMBER`] bytes into a member. The same bytes and level give the same member.
pub(super) fn deflate(raw: &[u8], level: u32) -> Vec<u8> {
    debug_assert!((1..=MEMBER).contains(&raw.len()));
    let member = deflate_at(raw, level);
    // The quickest level makes noise longer; storing it costs next to nothing.
    let grew = member.len() > raw.len() + HEADER + TRAILER;
    if grew || raw.len() > member.len() * MAX_SHRINK { deflate_at(raw, 0) } else { member }
}

fn deflate_at(raw: &[u8], level: u32) -> Vec<u8> {
    let mut member = Vec::with_capacity(HEADER + raw.len() / 2 + 1024);
    member.extend_from_slice(&START);
    member.extend_from_slice(&[0; HEADER - START.len()]);
    let mut deflate = Compress::new(Compression::new(level), false);
    loop {
        let done = usize::try_from(deflate.total_in()).expect("it is at most raw.len()");
        let status = deflate
            .compress_vec(&raw[done..], &mut member, FlushCompress::Finish)
            .expect("deflate takes any input and is finished once");
        if status == Status::StreamEnd {
            break;
        }
        member.reserve(raw.len() / 4 + 1024);
    }
    let content_length = number(raw.len());
    member.extend_from_slice(&crc(raw));
    member.extend_from_slice(&content_length);
    let (whole, checksum) = (number(member.len()), crc(&member[HEADER..]));
    for (place, number) in [whole, content_length, checksum].iter().enumerate() {
        member[START.len() + place * 4..][..4].copy_from_slice(number);
    }
    member
}

fn number(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a member is little longer than 1 MiB").to_le_bytes()
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// Uncompresses a member into the `raw` bytes that its header announced.
///
/// # Errors
/// Says what is wrong with it; every byte counts, the trailer included.
pub(super) fn inflate(member: &[u8], raw: usize) -> Result<Vec<u8>, &'static str> {
    let (deflated, trailer) = member
        .split_at_checked(member.len().wrapping_sub(TRAILER))
        .filter(|(rest, _)| rest.len() > HEADER)
        .map(|(rest, trailer)| (&rest[HEADER..], trailer))
        .ok_or("the gzip member is too short")?;
    if crc(&member[HEADER..]) != member[HEADER - 4..HEADER] {
        return Err("the gzip member is damaged: its checksum does not match");
    }
    let mut content = Vec::with_capacity(raw);
    let mut inflate = Decompress::new(false);
    let status = inflate
        .decompress_vec(deflated, &mut content, FlushDecompress::Finish)
        .map_err(|_| "the gzip member is not deflate")?;
    if status != Status::StreamEnd || inflate.total_in() != deflated.len() as u64 {
        return Err("the gzip member does not end where it says");
    }
    if content.len() != raw || u32_at(trailer, 4) != raw {
        return Err("the gzip member does not hold as much as it says");
    }
    if crc(&content) != trailer[..4] {
        return Err("the checksum of what the gzip member holds does not match");
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    const ENDS: &str = "the gzip member does not end where it says";
    const HOLDS: &str = "the gzip member does not hold as much as it says";

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .take(length)
        .collect()
    }

    fn lengths(member: &[u8]) -> Lengths {
        parse_header(member[..HEADER].try_into().unwrap()).unwrap()
    }

    #[test]
    fn any_gzip_reads_a_member() {
        for raw in [b"x".to_vec(), b"hello ".repeat(10_000), noise(MEMBER), vec![0; MEMBER]] {
            for level in [1, 4, 9] {
                let member = deflate(&raw, level);
                let mut content = Vec::new();
                MultiGzDecoder::new(member.as_slice()).read_to_end(&mut content).unwrap();
                assert!(content == raw);
                assert_eq!(lengths(&member), Lengths { whole: member.len(), raw: raw.len() });
                assert!(inflate(&member, raw.len()).unwrap() == raw);
            }
        }
    }

    #[test]
    fn nothing_shrinks_so_much_that_it_looks_like_a_bomb() {
        let member = deflate(&vec![0; MEMBER], 9);
        assert!(member.len() > MEMBER, "{}", member.len());
        assert!(member.len() <= LONGEST);
    }

    #[test]
    fn every_flipped_bit_of_a_member_is_seen() {
        let raw = b"one line of a session, and another one\n".repeat(20);
        let member = deflate(&raw, 4);
        for bit in 0..member.len() * 8 {
            let mut damaged = member.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let seen = match form(&damaged) {
                None => true,
                Some(Form::Stream) => {
                    MultiGzDecoder::new(damaged.as_slice()).read_to_end(&mut Vec::new()).is_err()
                }
                Some(Form::Members) => match parse_header(damaged[..HEADER].try_into().unwrap()) {
                    Ok(lengths) => lengths.whole != member.len() || inflate(&damaged, lengths.raw).is_err(),
                    Err(_) => true,
                },
            };
            assert!(seen, "bit {bit}");
        }
    }

    #[test]
    fn a_damaged_extra_field_does_not_make_a_member_somebody_elses() {
        let mut member = deflate(b"x", 4);
        member[13] = b'P';
        assert_eq!(form(&member), Some(Form::Members));
        assert!(parse_header(member[..HEADER].try_into().unwrap()).is_err());
        assert_eq!(form(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]), Some(Form::Stream));
        assert_eq!(form(b"PK\x03\x04"), None);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let member = deflate(b"hello", 4);
        for raw in [4, 6] {
            assert_eq!(inflate(&member, raw), Err(if raw == 4 { ENDS } else { HOLDS }));
        }
        assert!(inflate(&member[..10], 5).is_err());
        assert!(inflate(b"", 5).is_err());
        for (change, reason) in [
            (&(|member: &mut Vec<u8>| member.insert(member.len() - 8, 0)) as &dyn Fn(&mut Vec<u8>), ENDS),
            (&|member| member.truncate(member.len() - 1), ENDS),
            (&|member| *member.last_mut().unwrap() = 1, HOLDS),
            (&|member| member[HEADER] = 7, "the gzip member is not deflate"),
        ] {
            let mut forged = member.clone();
            change(&mut forged);
            let checksum = crc(&forged[HEADER..]);
            assert!(inflate(&forged, 5).unwrap_err().contains("checksum"));
            forged[HEADER - 4..HEADER].copy_from_slice(&checksum);
            assert_eq!(inflate(&forged, 5), Err(reason));
        }
    }
}
