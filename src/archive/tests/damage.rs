//! An archive that lost or changed something is never taken for a whole one.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::*;
use crate::archive::gzip::{HEADER, parse_header};

/// `(start, end, raw start, raw end)` of each gzip member.
fn members(bytes: &[u8]) -> Vec<(usize, usize, usize, usize)> {
    let (mut members, mut at, mut raw) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let lengths = parse_header(bytes[at..at + HEADER].try_into().unwrap()).unwrap();
        members.push((at, at + lengths.whole, raw, raw + lengths.raw));
        at += lengths.whole;
        raw += lengths.raw;
    }
    members
}

/// `(name, start, end)` of each entry, by the tar crate.
fn entries(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let mut tar = tar::Archive::new(MultiGzDecoder::new(bytes));
    tar.entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let start = entry.raw_header_position() as usize;
            let end = (entry.raw_file_position() + entry.size()) as usize;
            (entry.path().unwrap().to_str().unwrap().to_owned(), start, end.next_multiple_of(512))
        })
        .collect()
}

#[test]
fn every_flipped_bit_is_seen_and_the_entry_named() {
    let bytes = export(&samples());
    let (members, entries) = (members(&bytes), entries(&bytes));
    assert!(members.len() >= 3 && entries.len() == 9);
    // Spread over the file, and all of the bytes that frame the second member.
    let spread = (0..220).map(|step| step * (bytes.len() * 8 - 1) / 219);
    let frame = (members[1].0 - 8) * 8..(members[1].0 + HEADER + 2) * 8;
    for bit in spread.chain(frame) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Some(text) = refusal(&damaged) else { panic!("bit {bit} is not seen") };
        let &(.., start, end) = members.iter().find(|member| member.1 > bit / 8).unwrap();
        let held: Vec<&str> = entries
            .iter()
            .filter(|entry| entry.1 < end && entry.2 > start)
            .map(|entry| entry.0.as_str())
            .collect();
        // The first member holds the manifest; without it no other entry has a name.
        let named = text.lines().all(|line| held.iter().any(|name| line.starts_with(&format!("{name}: "))));
        let front = start == 0 && text.starts_with("not an archive of holdall");
        assert!(named || front, "bit {bit} of {held:?}: {text}");
        assert!(front || text.contains(" of the archive)"), "no offset: {text}");
    }
}

#[test]
fn a_damaged_member_costs_only_what_it_holds() {
    let sessions = samples();
    let bytes = export(&sessions);
    let members = members(&bytes);
    let mut damaged = bytes.clone();
    damaged[members[1].0 + 5_000] ^= 0x10;
    let archive = open(&damaged).unwrap();
    let problems = verify(&archive);
    assert_eq!(
        problems.iter().map(|problem| problem.entry.as_str()).collect::<Vec<_>>(),
        ["s/0002/0001-transcript.jsonl"]
    );
    assert!(problems[0].problem.contains(&format!("byte {} of the archive", members[1].0)), "{problems:?}");
    assert_eq!(archive.verify(Some(&[0, 2]), &Silent).unwrap(), []);
    assert!(content(&archive, 0, 0).unwrap() == sessions[0].contents[0]);
    assert!(content(&archive, 2, 1).unwrap() == sessions[2].contents[1]);
    let error = content(&archive, 1, 0).unwrap_err();
    assert_eq!(error.kind(), Kind::Archive);
    assert!(error.to_string().starts_with("s/0002/0001-transcript.jsonl: "), "{error}");
}

#[test]
fn every_wrong_sum_is_reported() {
    let mut forge = super::forge::Forge::sample();
    forge.entries[2].content[0] ^= 1;
    forge.entries[4].content[10] ^= 1;
    let problems = verify(&open(&forge.members()).unwrap());
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|problem| problem.problem.contains("SHA-256")), "{problems:?}");
}

#[test]
fn every_cut_is_seen() {
    let bytes = export(&samples());
    let members = members(&bytes);
    let mut cuts =
        vec![0, 1, 2, 9, 10, 15, 16, 23, 24, 25, bytes.len() - 1, bytes.len() - 8, bytes.len() - 9];
    for (start, end, ..) in &members {
        cuts.extend([
            *start,
            start + 1,
            start + 12,
            start + HEADER,
            start + HEADER + 1,
            end - 9,
            end - 8,
            end - 1,
        ]);
    }
    cuts.extend((0..60).map(|step| step * bytes.len() / 60));
    for cut in cuts.into_iter().filter(|cut| *cut < bytes.len()) {
        let text = error_text(open(&bytes[..cut]));
        let told = text.contains("cut off") || text.contains("ends before") || text.contains("it is");
        assert!(told, "cut at {cut}: {text:?}");
        assert!(cut < members[0].1 || text.starts_with("s/"), "cut at {cut} names no entry: {text}");
    }
}

#[test]
fn every_cut_of_a_recompressed_archive_is_seen() {
    let mut tar = Vec::new();
    MultiGzDecoder::new(export(&samples()).as_slice()).read_to_end(&mut tar).unwrap();
    let bytes = super::forge::gzip(&tar);
    for step in 0..100 {
        let cut = step * bytes.len() / 100;
        let text = error_text(open(&bytes[..cut]));
        assert!(text.contains("cut off") || text.contains("it is"), "cut at {cut}: {text:?}");
    }
    let text = error_text(open(&bytes[..bytes.len() / 2]));
    assert!(text.starts_with("s/0002/0001-transcript.jsonl: the archive is cut off (byte"), "{text}");
}

#[test]
fn every_flipped_bit_of_a_recompressed_archive_is_seen() {
    let mut tar = Vec::new();
    let sessions = [Memory::new("codex", "a").with(Role::Transcript, "x", lines(9, 60_000))];
    MultiGzDecoder::new(export(&sessions).as_slice()).read_to_end(&mut tar).unwrap();
    let bytes = super::forge::gzip(&tar);
    // The time, level and system in a plain gzip header mean nothing.
    for bit in (80..bytes.len() * 8).step_by(bytes.len() * 8 / 200) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(refusal(&damaged).is_some(), "bit {bit}");
    }
}

#[test]
fn every_cut_of_the_tar_is_seen() {
    let tar = super::forge::Forge::sample().tar();
    for cut in
        (0..tar.len()).step_by(512).flat_map(|cut| [cut, cut + 1, cut + 511]).filter(|cut| *cut < tar.len())
    {
        assert!(refusal(&super::forge::members(&tar[..cut])).is_some(), "cut at {cut}");
        assert!(refusal(&super::forge::gzip(&tar[..cut])).is_some(), "cut at {cut}");
    }
}
