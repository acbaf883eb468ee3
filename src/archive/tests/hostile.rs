//! Archives that somebody made to hurt: each is refused, for its own reason, at once.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

use super::forge::{Entry, Forge, gzip, members};
use super::*;
use crate::archive::gzip::{MEMBER, deflate};
use crate::archive::layout::{MAX_END, MAX_MANIFEST};

/// Looks that the archive is refused for this reason, quickly, and says so in harmless text.
pub(super) fn refused(case: &str, bytes: &[u8], reason: &str) {
    let begun = Instant::now();
    let Some(text) = refusal(bytes) else { panic!("{case} is not refused") };
    assert!(begun.elapsed() < Duration::from_secs(4), "{case} took {:?}", begun.elapsed());
    assert!(text.contains(reason), "{case}: {text}");
    let harmless = |letter: char| {
        letter == '\n' || !(letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter))
    };
    assert!(text.chars().all(harmless), "{case}: {text:?}");
}

/// The same tar in our own form and as plain gzip.
pub(super) fn both(case: &str, tar: &[u8], reason: &str) {
    refused(case, &members(tar), reason);
    refused(&format!("{case}, recompressed"), &gzip(tar), reason);
}

fn changed(change: impl FnOnce(&mut Forge)) -> Vec<u8> {
    let mut forge = Forge::sample();
    change(&mut forge);
    forge.tar()
}

/// Puts an entry before the first file.
fn with(entry: Entry) -> Vec<u8> {
    changed(|forge| forge.entries.insert(2, entry))
}

/// Changes the header of the first file.
fn header(change: impl FnOnce(Entry) -> Entry) -> Vec<u8> {
    changed(|forge| forge.entries[2] = change(forge.entries[2].clone()))
}

/// Changes the manifest; the sums agree with it.
fn manifest(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut manifest = Forge::manifest();
    change(&mut manifest);
    Forge::of(&manifest).tar()
}

#[test]
fn nothing_but_regular_files() {
    for (kind, reason) in [
        (b'1', "a hard link"),
        (b'2', "a symbolic link"),
        (b'3', "a character device"),
        (b'4', "a block device"),
        (b'5', "a directory"),
        (b'6', "a named pipe"),
        (b'7', "a contiguous file"),
        (b'x', "a pax record"),
        (b'g', "a global pax record"),
        (b'L', "a GNU long name"),
        (b'K', "a GNU long name"),
        (b'S', "a sparse file"),
        (b'D', "a GNU directory list"),
        (b'M', "from another volume"),
        (b'\0', "a file of an old tar"),
        (b'Z', "of an unknown type"),
    ] {
        let name = format!("type {:?}", kind as char);
        both(&name, &with(Entry::new("extra", b"").kind(kind)), reason);
        both(&format!("{name} in place"), &header(|entry| entry.kind(kind)), reason);
        both(
            &format!("{name} at the end"),
            &changed(|forge| forge.entries.push(Entry::new("e", b"").kind(kind))),
            reason,
        );
        both(
            &format!("{name} first"),
            &changed(|forge| forge.entries.insert(0, Entry::new("e", b"").kind(kind))),
            reason,
        );
    }
    for target in [&b"/etc/passwd"[..], b"../../x", b"a"] {
        both("link in a file", &header(|entry| entry.set(157, target)), "names a link");
    }
}

#[test]
fn records_that_change_the_next_entry_are_not_read() {
    for record in [
        &b"12 size=512\n"[..],
        b"16 path=../evil\n",
        b"20 linkpath=/etc/x\n",
        b"999 path=x\n",
        b"11 size=-1\n",
        b"29 size=18446744073709551615\n",
        b"22 GNU.sparse.major=1\n",
        b"",
    ] {
        both("pax", &with(Entry::new("PaxHeaders/x", record).kind(b'x')), "a pax record");
        both("global pax", &with(Entry::new("PaxHeaders/x", record).kind(b'g')), "a global pax record");
    }
    let long = vec![b'A'; 8_000_000];
    both("huge pax", &with(Entry::new("p", &long).kind(b'x')), "a pax record");
    both("huge name", &with(Entry::new("p", &long).kind(b'L')), "a GNU long name");
}

#[test]
fn names_are_ours() {
    let long = [b'n'; 100];
    for (name, reason) in [
        (&b"../evil"[..], "leaves its directory"),
        (b"s/../../evil", "leaves its directory"),
        (b"./x", "leaves its directory"),
        (b"..", "leaves its directory"),
        (b"/etc/passwd", "is an absolute path"),
        (b"", "is empty"),
        (b"a//b", "has an empty component"),
        (b"a/", "has an empty component"),
        (b"C:\\evil", "has a character other than"),
        (b"..\\evil", "has a character other than"),
        (b"a:stream", "has a character other than"),
        (b"a\nb", "has a character other than"),
        (b"a\x1b[31mb", "has a character other than"),
        (b"\xff\xfe", "has a character other than"),
        ("\u{202e}exe.txt".as_bytes(), "has a character other than"),
        ("e\u{301}".as_bytes(), "has a character other than"),
        (b"~/.ssh/authorized_keys", "has a character other than"),
        (b"$HOME/x", "has a character other than"),
        (b".git/config", "begins with a dot or dash"),
        (b"-rf", "begins with a dot or dash"),
        (b"CON", "keeps for a device"),
        (b"s/nul.txt", "keeps for a device"),
        (b"com1", "keeps for a device"),
        (b"a.", "ends with a dot"),
        (b"a/a/a/a/a/a/a", "more than 6 components"),
        (b"S/0001/0001-TRANSCRIPT.JSONL", "stands where this one belongs"),
        (b"s/0001/0002-attachment.txt", "stands where this one belongs"),
        (&long, "stands where this one belongs"),
    ] {
        both(&format!("{name:?}"), &header(|entry| entry.name(name)), reason);
    }
    let mut hidden = [0; 100];
    hidden[..28].copy_from_slice(b"s/0001/0001-transcript.jsonl");
    hidden[50..57].copy_from_slice(b"../evil");
    both("name after NUL", &header(|entry| entry.set(0, &hidden)), "goes on after its end");
    both("prefix", &header(|entry| entry.set(345, b"../..")), "splits its name in two");
}

#[test]
fn headers_do_not_lie() {
    for (case, offset, bytes, reason) in [
        ("larger", 124, &b"00000000046\0"[..], "bytes in the tar and 37 in the manifest"),
        ("smaller", 124, b"00000000044\0", "bytes in the tar and 37 in the manifest"),
        ("nothing", 124, b"00000000000\0", "0 bytes in the tar and 37 in the manifest"),
        ("ten gigabytes", 124, b"77777777777\0", "in the tar and 37 in the manifest"),
        ("not octal", 124, b"zzzzzzzzzzz\0", "is not a number that can be true"),
        ("negative octal", 124, b"-0000000001\0", "is not a number that can be true"),
        ("no end", 124, b"000000000045", "is not a number that can be true"),
        ("two numbers", 124, b"0000045\x000001", "is not a number that can be true"),
        (
            "huge base-256",
            124,
            &[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "is not a number",
        ),
        ("negative base-256", 124, &[0xff; 12], "is not a number that can be true"),
        (
            "all 64 bits",
            124,
            &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "in the tar and 37",
        ),
        ("GNU magic", 257, b"ustar  \0", "not in the ustar form"),
        ("no magic", 257, &[0; 8], "not in the ustar form"),
        ("version", 263, b"01", "not in the ustar form"),
    ] {
        both(case, &header(|entry| entry.set(offset, bytes)), reason);
    }
    for sum in [&b"000000\0 "[..], b"777777\0 ", b"        ", b"-00001\0 "] {
        let tar = changed(|forge| forge.entries[2].header[148..156].copy_from_slice(sum));
        both("checksum", &tar, "the checksum of the tar header does not match");
    }
    // A base-256 number that is right is right.
    let honest = header(|entry| entry.set(124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 37]));
    assert_eq!(refusal(&members(&honest)), None);
}

#[test]
fn the_tar_is_what_the_manifest_says_and_nothing_else() {
    type Change = fn(&mut Forge);
    let cases: [(&str, Change, &str); 24] = [
        ("file missing", |forge| drop(forge.entries.remove(3)), "stands where this one belongs"),
        ("last file missing", |forge| drop(forge.entries.pop()), "the tar ends where this entry belongs"),
        (
            "last file missing, padded",
            |forge| {
                forge.entries.pop();
                forge.tail = vec![0; 10240];
            },
            "the tar ends where this entry belongs",
        ),
        ("all files missing", |forge| forge.entries.truncate(2), "the tar ends where this entry belongs"),
        ("file extra", |forge| forge.entries.push(Entry::new("s/0003/0001-x", b"y")), "does not declare it"),
        (
            "file extra in the middle",
            |forge| forge.entries.insert(3, Entry::new("s/0009/x", b"")),
            "stands where this one",
        ),
        (
            "file twice",
            |forge| forge.entries.insert(3, forge.entries[2].clone()),
            "stands where this one belongs",
        ),
        ("order", |forge| forge.entries.swap(2, 4), "stands where this one belongs"),
        ("sums missing", |forge| drop(forge.entries.remove(1)), "stands where this one belongs"),
        ("sums last", |forge| forge.entries.rotate_left(1), "it begins with \"SHA256SUMS\""),
        (
            "sums of something else",
            |forge| forge.entries[1].content[0] ^= 1,
            "does not agree with the manifest",
        ),
        (
            "two manifests",
            |forge| forge.entries.insert(1, forge.entries[0].clone()),
            "stands where this one belongs",
        ),
        (
            "second manifest at the end",
            |forge| forge.entries.push(forge.entries[0].clone()),
            "does not declare it",
        ),
        ("manifest missing", |forge| drop(forge.entries.remove(0)), "it begins with \"SHA256SUMS\""),
        ("no entries", |forge| forge.entries.clear(), "the tar ends here"),
        ("no end", |forge| forge.tail.clear(), "the zeros that end the tar are missing"),
        ("one zero block", |forge| forge.tail.truncate(512), "the zeros that end the tar are missing"),
        ("crooked end", |forge| forge.tail.push(0), "something follows it that"),
        ("garbage after the end", |forge| forge.tail.extend([0x5a; 512]), "something follows the last entry"),
        (
            "entry after the end",
            |forge| {
                let hidden = Entry::new("hidden", b"");
                forge.tail.extend(hidden.header);
                forge.tail.extend([0; 1024]);
            },
            "does not declare it",
        ),
        (
            "entry after one zero block",
            |forge| {
                let hidden = Entry::new("hidden", b"");
                forge.tail.splice(512..512, hidden.header);
            },
            "does not declare it",
        ),
        ("long end", |forge| forge.tail.resize(MAX_END as usize + 512, 0), "something follows it that"),
        ("content changed", |forge| forge.entries[4].content[100] = b'y', "its SHA-256 is"),
        (
            "content in the padding",
            |forge| forge.entries[2].content.extend(b"hidden"),
            "between its end and the next entry",
        ),
    ];
    for (case, change, reason) in cases {
        both(case, &changed(change), reason);
    }
    both("not a tar", &b"hello world".repeat(100), "the checksum of the tar header does not match");
    both("less than a tar", b"hello", "ends too early");
    refused("nothing", &gzip(b""), "ends too early");
}

#[test]
fn gzip_is_whole() {
    let forge = Forge::sample();
    let (tar, good) = (forge.tar(), forge.gzip());
    let end = good.len();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    refused("checksum", &with(&|bytes| bytes[end - 8] ^= 1), "the compressed data is damaged");
    refused("length", &with(&|bytes| bytes[end - 4] ^= 1), "the compressed data is damaged");
    refused("cut", &with(&|bytes| bytes.truncate(end - 10)), "the archive is cut off");
    refused("garbage after", &with(&|bytes| bytes.extend(b"GARBAGE")), "something follows the gzip stream");
    refused("zeros after", &with(&|bytes| bytes.extend([0; 512])), "something follows the gzip stream");
    refused("one byte after", &with(&|bytes| bytes.push(0x1f)), "the archive is cut off");
    refused("method", &with(&|bytes| bytes[2] = 7), "the compressed data is damaged");
    refused("reserved flags", &with(&|bytes| bytes[3] = 0xe0), "");
    refused("second archive", &with(&|bytes| bytes.extend(&good)), "the manifest does not declare it");
    refused("zip", &with(&|bytes| bytes[..4].copy_from_slice(b"PK\x03\x04")), "it is not a gzip file");
    refused("zstd", b"\x28\xb5\x2f\xfd0123456789abcdef", "it is not a gzip file");
    refused("plain tar", &tar, "it is not a gzip file");
    refused("empty", b"", "it is empty");
    assert!(open(&tar).unwrap_err().hints().iter().any(|hint| hint.contains("gzip")));
}

#[test]
fn members_are_whole() {
    let forge = Forge::sample();
    let (tar, good) = (forge.tar(), forge.members());
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let whole = u32::try_from(good.len()).unwrap();
    refused("id", &with(&|bytes| bytes[12] = b'X'), "the header of the gzip member is damaged");
    refused("time", &with(&|bytes| bytes[4] = 1), "the header of the gzip member is damaged");
    refused("system", &with(&|bytes| bytes[9] = 3), "the header of the gzip member is damaged");
    let length =
        |at: usize, number: u32| with(&|bytes| bytes[at..at + 4].copy_from_slice(&number.to_le_bytes()));
    refused("longer", &length(16, whole + 1), "the archive is cut off");
    refused("shorter", &length(16, whole - 1), "the archive is cut off");
    refused("much shorter", &length(16, whole - 100), "what stands there is not a gzip member");
    refused("no length", &length(16, 0), "impossible lengths");
    refused("huge", &length(16, u32::MAX), "impossible lengths");
    refused("content longer", &length(20, tar.len() as u32 + 512), "does not hold as much as it says");
    refused("content shorter", &length(20, tar.len() as u32 - 512), "does not end where it says");
    refused("no content", &length(20, 0), "impossible lengths");
    refused("huge content", &length(20, MEMBER as u32 + 1), "impossible lengths");
    refused(
        "garbage after",
        &with(&|bytes| bytes.extend([7; 100])),
        "what stands there is not a gzip member",
    );
    refused("zeros after", &with(&|bytes| bytes.extend([0; 8])), "the archive is cut off");
    refused(
        "plain gzip after",
        &with(&|bytes| bytes.extend(gzip(&lines(1, 500)))),
        "the header of the gzip member is damaged",
    );
    refused(
        "second archive",
        &with(&|bytes| bytes.extend(&good)),
        "another gzip member follows the last one",
    );
    let short: Vec<u8> = tar.chunks(512).flat_map(|part| deflate(part, 4)).collect();
    refused("short members", &short, "another gzip member follows the last one");
}

#[test]
fn bombs_do_not_go_off() {
    let zeros = vec![0; MEMBER];
    let stream = |front: &[u8], parts: usize| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
        encoder.write_all(front).unwrap();
        (0..parts).for_each(|_| encoder.write_all(&zeros).unwrap());
        encoder.finish().unwrap()
    };
    let front = Entry::new("bomb", b"").set(124, b"40000000000\0").header;
    refused("zeros", &stream(&[], 256), "the tar ends here");
    refused("a file of zeros", &stream(&front, 256), "it begins with \"bomb\"");
    refused("zeros after the end", &stream(&Forge::sample().tar(), 256), "grows more than 200 times");
    let mut large = Entry::new("manifest.json", b"");
    large = large.set(124, format!("{:011o}\0", MAX_MANIFEST + 1).as_bytes());
    refused("manifest of 256 MiB", &stream(&large.header, 1), "more than the limit of 268435456");
    both("manifest of 256 MiB", &large.header, "more than the limit of 268435456");
    large = large.set(124, format!("{MAX_MANIFEST:011o}\0").as_bytes());
    refused("manifest of zeros", &stream(&large.header, 256), "grows more than 200 times");

    // Members as our writer would not make them: 1 MiB of zeros in a kilobyte.
    let dense = |level| {
        let mut deflated = flate2::Compress::new(Compression::new(level), false);
        let mut out = Vec::with_capacity(1 << 16);
        deflated.compress_vec(&zeros, &mut out, flate2::FlushCompress::Finish).unwrap();
        let stored = deflate(&zeros, 4);
        let mut member = stored[..28].to_vec();
        member.extend(out);
        member.extend(&stored[stored.len() - 8..]);
        let length = u32::try_from(member.len()).unwrap();
        member[16..20].copy_from_slice(&length.to_le_bytes());
        member
    };
    refused("members of zeros", &dense(9).repeat(100), "grows more than 200 times");

    let mut many = Forge::sample();
    many.entries.extend((0..100_000).map(|number| Entry::new(&format!("d/{number}"), b"")));
    refused("100,000 entries", &many.members(), "something follows it that");
}

#[test]
fn manifests_keep_the_rules() {
    let session = "sessions";
    type Change = Box<dyn FnOnce(&mut Value)>;
    let set = |pointer: &'static str, value: Value| -> Change {
        Box::new(move |manifest| *manifest.pointer_mut(pointer).unwrap() = value)
    };
    let file = "/sessions/0/files/0";
    let sha = |text: &str| json!(text);
    let cases: Vec<(&str, Change, &str)> = vec![
        ("major + 1", set("/version/major", json!(2)), "in format 2.0, which this holdall does not know"),
        ("major 0", set("/version/major", json!(0)), "its schema is"),
        ("major -1", set("/version/major", json!(-1)), "not a manifest"),
        ("schema", set("/schema", json!("holdall.manifest/9")), "its schema is"),
        ("schema number", set("/schema", json!(1)), "not a manifest"),
        ("tool", set("/tool", json!("holdall")), "not a manifest"),
        ("source", set("/source", json!(null)), "not a manifest"),
        ("home", set("/source/home", json!([])), "not a manifest"),
        ("sessions object", set("/sessions", json!({})), "not a manifest"),
        ("no sessions", set("/sessions", json!([])), "it declares no session"),
        ("session null", set("/sessions/0", json!(null)), "not a manifest"),
        ("harness null", set("/sessions/0/harness", json!(null)), "not a manifest"),
        ("harness path", set("/sessions/0/harness", json!("../x")), "is not the id of a harness"),
        ("harness empty", set("/sessions/0/harness", json!("")), "is not the id of a harness"),
        ("id empty", set("/sessions/0/id", json!("")), "is not a session id"),
        ("id NUL", set("/sessions/0/id", json!("a\0b")), "is not a session id"),
        ("id escape", set("/sessions/0/id", json!("a\u{1b}[31m")), "is not a session id"),
        ("id long", set("/sessions/0/id", json!("i".repeat(4096))), "is not a session id"),
        ("id twice", set("/sessions/1/id", json!("a")), "another session has the same id"),
        ("parent", set("/sessions/0/parent", json!("a\nb")), "is not a session id"),
        ("created", set("/sessions/0/created", json!("yesterday")), "not a manifest"),
        ("created number", set("/sessions/0/created", json!(1e300)), "not a manifest"),
        ("repo beyond", set("/sessions/0/repo", json!(1)), "there are only 1"),
        ("repo negative", set("/sessions/0/repo", json!(-1)), "not a manifest"),
        ("repo 2^63", set("/sessions/0/repo", json!(1_u64 << 63)), "there are only 1"),
        ("no transcript", set("/sessions/0/files/0/role", json!("attachment")), "exactly one transcript"),
        ("two transcripts", set("/sessions/0/files/1/role", json!("transcript")), "exactly one transcript"),
        ("no files", set("/sessions/0/files", json!([])), "exactly one transcript"),
        ("unknown role", set("/sessions/0/files/0/role", json!("program")), "not a manifest"),
        ("name up", set("/sessions/0/files/0/name", json!("../evil")), "is not s/0001/0001-"),
        (
            "name of another",
            set("/sessions/0/files/0/name", json!("s/0001/0002-attachment.txt")),
            "is not s/0001/0001-",
        ),
        (
            "name beyond",
            set("/sessions/0/files/0/name", json!("s/0001/0001-a/../../../x")),
            "is not s/0001/0001-",
        ),
        ("name escape", set("/sessions/0/files/0/name", json!("s/0001/0001-\u{1b}")), "is not s/0001/0001-"),
        (
            "name long",
            set("/sessions/0/files/0/name", json!(format!("s/0001/0001-{}", "x".repeat(89)))),
            "is not s/0001",
        ),
        ("name bare", set("/sessions/0/files/0/name", json!("s/0001/0001-")), "is not s/0001/0001-"),
        (
            "sha upper",
            set("/sessions/0/files/0/sha256", sha(&"A".repeat(64))),
            "64 lower-case hexadecimal digits",
        ),
        (
            "sha short",
            set("/sessions/0/files/0/sha256", sha(&"a".repeat(63))),
            "64 lower-case hexadecimal digits",
        ),
        (
            "sha other",
            set("/sessions/0/files/0/sha256", sha(&"a".repeat(64))),
            "does not agree with the manifest",
        ),
        (
            "size other",
            set("/sessions/0/files/0/size", json!(38)),
            "37 bytes in the tar and 38 in the manifest",
        ),
        (
            "size more",
            set("/sessions/0/files/0/size", json!(5_000_000)),
            "37 bytes in the tar and 5000000 in the manifest",
        ),
        ("size negative", set("/sessions/0/files/0/size", json!(-1)), "not a manifest"),
        ("size 2^63", set("/sessions/0/files/0/size", json!(1_u64 << 63)), "the limit is"),
        ("size 2^64", set("/sessions/0/files/0/size", json!(u64::MAX)), "the limit is"),
        ("size half", set("/sessions/0/files/0/size", json!(0.5)), "not a manifest"),
        ("path NUL", set("/sessions/0/files/0/path", json!("a\0b")), "its native path"),
        ("path long", set("/sessions/0/files/0/path", json!("p".repeat(5000))), "its native path"),
        ("remote runs", set("/repos/0/remotes/0/url", json!("ext::sh -c id")), "would run a command"),
        ("remote option", set("/repos/0/remotes/0/url", json!("--upload-pack=id")), "would run a command"),
        (
            "git remote runs",
            set("/sessions/0/git", json!({"branch": null, "commit": null, "remote": "ext::id"})),
            "would run",
        ),
        ("ahead", set("/repos/0/ahead", json!("many")), "not a manifest"),
    ];
    assert!(cases.len() >= 48);
    for (case, change, reason) in cases {
        refused(case, &members(&manifest(change)), reason);
    }
    assert!(Forge::manifest().pointer(file).is_some() && Forge::manifest()[session].is_array());
    let upgrade = open(&members(&manifest(set("/version/major", json!(2))))).unwrap_err();
    assert_eq!(upgrade.hints(), ["upgrade holdall"]);
}

#[test]
fn manifests_are_json() {
    let good = serde_json::to_string(&Forge::manifest()).unwrap();
    let nested = format!("\"x\":{}{},\"harness\":", "[".repeat(10_000), "]".repeat(10_000));
    let deep = good.replacen("\"harness\":", &nested, 1);
    let twice = good.replacen("\"harness\":", "\"harness\":\"x\",\"harness\":", 1);
    for (case, text) in [
        ("empty", String::new()),
        ("null", "null".to_owned()),
        ("cut", good[..good.len() / 2].to_owned()),
        ("two", format!("{good}{good}")),
        ("deep", deep),
        ("key twice", good.replacen("\"schema\":", "\"schema\":\"x\",\"schema\":", 1)),
        ("key of a session twice", twice),
        ("not a number", good.replacen("\"size\":37", "\"size\":NaN", 1)),
        ("beyond all numbers", good.replacen("\"size\":37", "\"size\":1e400", 1)),
        ("not UTF-8", String::new()),
    ] {
        let mut json = text.into_bytes();
        if case == "not UTF-8" {
            json = good.clone().into_bytes();
            let place = json.windows(4).position(|part| part == b"main").unwrap();
            json[place] = 0xff;
        }
        refused(case, &Forge::of_json(json).members(), "manifest.json: not a manifest");
    }
}

#[test]
fn what_is_only_unusual_is_taken() {
    let sample = Forge::sample();
    let tar = sample.tar();
    // Mode, owner and time mean nothing here.
    let odd = header(|entry| {
        entry.set(100, b"0004755\0").set(108, b"0001750\0").set(136, b"14000000000\0").set(265, b"root")
    });
    // A newer minor version, with fields of its own everywhere.
    let newer = manifest(|manifest| {
        manifest["version"]["minor"] = json!(7);
        for pointer in ["", "/version", "/tool", "/source", "/sessions/0", "/sessions/0/files/0", "/repos/0"]
        {
            manifest.pointer_mut(pointer).unwrap()["future"] = json!({"deep": [1, 2, {"x": null}]});
        }
    });
    // Texts are data, whatever is in them.
    let texts = manifest(|manifest| {
        manifest["sessions"][0]["title"] = json!("\u{1b}[31m\u{202e}\0\n");
        manifest["sessions"][0]["cwd"] = json!("$(id)\n~/\\\\server\\share");
        manifest["sessions"][0]["files"][0]["path"] = json!("../../../etc/passwd");
        manifest["sessions"][0]["id"] = json!("../../evil");
    });
    let padded = changed(|forge| forge.tail = vec![0; 9 * 512]);
    for tar in [&tar, &odd, &newer, &texts, &padded] {
        assert_eq!(refusal(&members(tar)), None);
        assert_eq!(refusal(&gzip(tar)), None);
    }
    let (one, two) = tar.split_at(700);
    assert_eq!(refusal(&[gzip(one), gzip(two)].concat()), None, "several plain members");
    assert_eq!(refusal(&[gzip(b"").repeat(20_000), gzip(&tar)].concat()), None, "many empty members");
    let mut named =
        GzBuilder::new().filename("../../evil").comment("c").write(Vec::new(), Compression::new(6));
    named.write_all(&tar).unwrap();
    assert_eq!(refusal(&named.finish().unwrap()), None, "a name in the gzip header");
}
