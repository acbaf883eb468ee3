//! Writes the inputs that a fuzz run begins with: `seeds DIRECTORY`, made of the recorded sessions in
//! `fixtures`, a folder for each target.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use holdall::archive::manifest::SourceMachine;
use holdall::archive::{SessionInput, WriteOptions, write};
use holdall::env::Env;
use holdall::harness::{HARNESSES, NativeSession};
use holdall::model::Role;
use holdall::progress::Silent;

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// A longer input makes a fuzzer slow, and shows nothing that a shorter one does not.
const LONGEST: usize = 40 << 10;

fn main() -> Done {
    let out = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: seeds DIRECTORY")?);
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded");
    let mut small = Vec::new();
    let mut homes = Vec::new();
    for (index, harness) in HARNESSES.iter().enumerate() {
        for case in entries(&recorded.join(harness.info().id))? {
            let home = tempfile::tempdir()?;
            unpack(&case.join("home"), home.path())?;
            let env = Env::isolated(home.path());
            let mut all = Vec::new();
            harness.scan(&env, &mut |found| all.push(found))?;
            for found in all {
                let session = harness.open(&env, &found)?;
                let name = format!("{}-{}-{}", harness.info().id, name_of(&case), found.id);
                records(&out, index as u8, &name, &session)?;
                let size: u64 = session.payload.files().iter().map(|file| file.size).sum();
                if size < LONGEST as u64 / 2 && small.len() < 2 * (index + 1) {
                    small.push(session);
                }
            }
            // Payloads read their files when they are asked.
            homes.push(home);
        }
    }
    archives(&out, &small)?;
    texts(&out)
}

fn records(out: &Path, harness: u8, name: &str, session: &NativeSession) -> Done {
    let mut export: Option<Vec<u8>> = None;
    for (place, file) in session.payload.files().iter().enumerate() {
        let is_beside = file.path.ends_with("/session.json");
        if (file.role == Role::Attachment && !is_beside) || file.size > LONGEST as u64 {
            continue;
        }
        let mut content = Vec::new();
        session.payload.open(place)?.read_to_end(&mut content)?;
        // Into each of the others.
        let how = (place as u8 % 5) << 2 | u8::from(is_beside);
        seed(out, "record", &format!("{name}-{place}"), &[&[harness, how], content.as_slice()].concat())?;
        if file.path.ends_with("/messages.jsonl") && export.is_none() {
            let lines: Vec<String> = String::from_utf8(content)?.lines().map(str::to_owned).collect();
            export = Some(lines.join(",").into_bytes());
        } else if let (true, Some(messages)) = (is_beside, &export) {
            let whole: serde_json::Value = serde_json::from_slice(&content)?;
            let info = whole["info"].to_string();
            let document =
                [&[harness, 1], b"{\"info\":" as &[u8], info.as_bytes(), b",\"messages\":[", messages, b"]}"];
            seed(out, "record", &format!("{name}-export"), &document.concat())?;
        }
    }
    Ok(())
}

/// Small archives in all forms, and their manifests.
fn archives(out: &Path, sessions: &[NativeSession]) -> Done {
    for (number, pair) in sessions.chunks(2).enumerate() {
        let inputs: Vec<SessionInput<'_>> = pair
            .iter()
            .map(|session| SessionInput {
                head: session.head.clone(),
                repo: None,
                payload: &*session.payload,
                continues: None,
            })
            .collect();
        let source = SourceMachine { os: "linux".to_owned(), home: "/home/dev".to_owned() };
        let mut bytes = Vec::new();
        write(&mut bytes, &inputs, &[], &WriteOptions::new(source), &Silent)?;
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut tar)?;
        seed(out, "archive", &format!("file-{number}"), &[&[0], bytes.as_slice()].concat())?;
        seed(out, "archive", &format!("tar-{number}"), &[&[1], tar.as_slice()].concat())?;
        let archive = holdall::archive::Archive::read(&mut bytes.as_slice())?;
        let manifest = archive.manifest().print();
        seed(out, "manifest", &format!("written-{number}"), &manifest)?;
        let contents = [&[2], manifest.as_slice(), b"\xff{}\n\xffxyz\xff\xff0"].concat();
        seed(out, "archive", &format!("built-{number}"), &contents)?;
    }
    seed(out, "manifest", "everything", EVERYTHING.as_bytes())?;
    seed(
        out,
        "archive",
        "everything",
        &[&[2], EVERYTHING.as_bytes(), b"\xff{}\n\xffx\xff# v2 git bundle\n"].concat(),
    )
}

/// A manifest with every field that there is.
const EVERYTHING: &str = r##"{
"schema":"holdall.manifest/1","version":{"major":1,"minor":1},"tool":{"name":"holdall","version":"0.1.0"},
"created":"2026-11-20T12:00:00Z","source":{"os":"linux","home":"/home/dev"},
"sessions":[{"harness":"codex","id":"a","title":"T","cwd":"/home/dev/x","created":"2026-11-20T12:00:00.5Z","updated":"2026-11-20T12:00:01+02:00",
"model":"m","harness_version":"1","git":{"branch":"b","commit":"c","remote":"https://u:p@h/r.git"},"parent":"p","repo":0,
"files":[{"name":"s/0001/0001-transcript.jsonl","sha256":"0000000000000000000000000000000000000000000000000000000000000000","role":"transcript","path":"a/b.jsonl","size":3,"modified":"2026-11-20T12:00:00Z"},
{"name":"s/0001/0002-subagent.jsonl","sha256":"0000000000000000000000000000000000000000000000000000000000000000","role":"subagent","path":"c","size":1,"agent":{"id":"i","call_id":"c","kind":"k","title":"t"}}],
"continues":{"archive":"holdall-20261121T160000Z-2.tar.gz","grown":[{"file":0,"after":7,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],
"kept":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","gone":["x"]}}}],
"repos":[{"root":"/home/dev/x","worktree":false,"remotes":[{"name":"origin","url":"git@h:x.git"},{"name":"o","url":"helper::ssh://u:p@h/x"}],"branch":"main","commit":"0000000000000000000000000000000000000000",
"subject":"s","upstream":"origin/main","ahead":1,"behind":0,"modified":1,"untracked":2,"root_commit":"0000000000000000000000000000000000000000",
"carried":{"needs":["0000000000000000000000000000000000000000"],"commits":1,"work":"0000000000000000000000000000000000000000","left_out":["x"]}}],
"bundles":[{"repo":0,"name":"r/0001/repository.bundle","size":16,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}]}
"##;

/// Paths and addresses.
fn texts(out: &Path) -> Done {
    let paths = [
        "/home/dev/src/app\n/home/dev\t/Users/me",
        "/home/dev/src/app/\n/home/dev/src\t/x/\n/home\t/y\n/\t/root",
        "/ab\n/a\t/b",
        "C:\\Users\\me\\src\\app\nc:/users/ME\t/home/me",
        "/home/me/a/b\n/home/me\tD:\\me",
        "\\\\server\\share\\x\n\\\\server\\share\t\\\\other\\place",
        "\\\\?\\C:\\x y\n\\\\?\\C:\\\tD:\\",
        "/a//b/../c\n/a\t/a/b\n/a/b\t/c",
        "relative\n/a\t/b",
        "/\n/\t/",
        "C:\\\nC:\\\t/",
    ];
    for (number, text) in paths.iter().enumerate() {
        seed(out, "place", &format!("{number}"), text.as_bytes())?;
    }
    let addresses = [
        "https://user:pw@host:8443/a/b.git?x=y#z",
        "ssh://git:pw@host:22/a",
        "git@github.com:a/b.git",
        "git:pw@host:a",
        "helper::https://user:p@h/a",
        "ext::sh -c id",
        "x::fd::3",
        "-oProxyCommand=id:a",
        "ssh://git@-oProxyCommand=id/a",
        "C:\\code\\a@b",
        "/srv/git/a@b:c.git",
        "file:///srv/git/a",
        "https://[::1]:80/a@b",
        "../a",
    ];
    for (number, text) in addresses.iter().enumerate() {
        seed(out, "git", &format!("address-{number}"), &[&[1], text.as_bytes()].concat())?;
    }
    for (number, text) in
        ["https\nuser\npw@:/?#%2f\nhost.com\na/b@c", "git+ssh\n\n/x\nh\n@", "x\nu\n\nh\n"].iter().enumerate()
    {
        seed(out, "git", &format!("password-{number}"), &[&[2], text.as_bytes()].concat())?;
    }
    let header = b"# v2 git bundle\n-0123456789012345678901234567890123456789 about\n0123456789012345678901234567890123456789 refs/heads/x\n\nPACK";
    seed(out, "git", "bundle", &[&[0], header.as_slice()].concat())
}

fn seed(out: &Path, target: &str, name: &str, bytes: &[u8]) -> Done {
    let dir = out.join(target);
    fs::create_dir_all(&dir)?;
    Ok(fs::write(dir.join(name), bytes)?)
}

fn entries(dir: &Path) -> Done<Vec<PathBuf>> {
    let entries: Result<Vec<PathBuf>, _> =
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut entries = entries?;
    entries.sort();
    Ok(entries)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Copies a recorded home; a text of SQL becomes the database that it describes.
fn unpack(from: &Path, to: &Path) -> Done {
    fs::create_dir_all(to)?;
    for path in entries(from)? {
        let target = to.join(name_of(&path));
        if path.is_dir() {
            unpack(&path, &target)?;
        } else if name_of(&path).ends_with(".db.sql") {
            let sql = fs::read_to_string(&path)?;
            rusqlite::Connection::open(target.with_extension(""))?
                .execute_batch(&format!("PRAGMA foreign_keys=OFF; BEGIN;\n{sql}COMMIT;"))?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
