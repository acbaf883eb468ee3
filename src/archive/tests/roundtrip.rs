//! What goes in comes out, in whatever way it is read.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use super::*;
use crate::archive::layout::Limits;
use crate::archive::manifest::{Manifest, Remote};
use crate::archive::reader::hex;
use crate::model::GitRef;
use crate::progress::Progress;

#[test]
fn sessions_come_out_as_they_went_in() {
    let sessions = samples();
    let (bytes, written) = export_on(2, &sessions, Vec::new(), 4).unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    assert_eq!(written.sha256, hex(&Sha256::digest(&bytes)));
    let archive = open(&bytes).unwrap();
    assert_eq!(*archive.manifest(), written.manifest);
    assert_eq!(verify(&archive), []);
    assert_holds(&archive, &sessions);
}

#[test]
fn a_file_and_a_pipe_are_the_same() {
    let sessions = samples();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&export(&sessions)).unwrap();
    let archive = Archive::open(file.path()).unwrap();
    assert_eq!(verify(&archive), []);
    assert_holds(&archive, &sessions);
}

#[test]
fn the_number_of_threads_does_not_show() {
    for level in [1, 4, 9] {
        let one = export_on(1, &samples(), Vec::new(), level).unwrap().0;
        for threads in [2, 3, 8] {
            assert!(export_on(threads, &samples(), Vec::new(), level).unwrap().0 == one);
        }
    }
}

#[test]
fn many_sessions_have_longer_numbers() {
    let sessions: Vec<Memory> = (0..10_050)
        .map(|number| {
            Memory::new("claude", &format!("id-{number}")).with(Role::Transcript, "x.jsonl", "{}\n")
        })
        .collect();
    let archive = open(&export(&sessions)).unwrap();
    assert_eq!(verify(&archive), []);
    assert_eq!(archive.manifest().sessions[9_998].files[0].name, "s/9999/0001-transcript.jsonl");
    assert_eq!(archive.manifest().sessions[9_999].files[0].name, "s/10000/0001-transcript.jsonl");
    assert_eq!(content(&archive, 10_049, 0).unwrap(), b"{}\n");
}

#[test]
fn files_can_be_read_from_any_offset() {
    let sessions = samples();
    let archive = open(&export(&sessions)).unwrap();
    let session = archive.session(1).unwrap();
    let expected = &sessions[1].contents[0];
    let mut reader = session.open(0).unwrap();
    for (start, length) in [(2_400_000, 5), (0, 3), (1_048_570, 40), (1_046_000, 1_060_000), (2_499_990, 10)]
    {
        reader.seek(SeekFrom::Start(start as u64)).unwrap();
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).unwrap();
        assert!(bytes == expected[start..start + length], "{start}");
        assert_eq!(reader.stream_position().unwrap(), (start + length) as u64);
    }
    assert_eq!(reader.seek(SeekFrom::End(-3)).unwrap(), 2_499_997);
    let mut rest = Vec::new();
    assert_eq!(reader.read_to_end(&mut rest).unwrap(), 3);
    assert_eq!(reader.seek(SeekFrom::End(10)).unwrap(), 2_500_010);
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
    assert!(reader.seek(SeekFrom::Current(-3_000_000)).is_err());
    assert_eq!(reader.read(&mut []).unwrap(), 0);
}

#[test]
fn threads_share_an_archive() {
    let sessions = samples();
    let archive = open(&export(&sessions)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| assert_holds(&archive, &sessions)));
        }
    });
}

/// From front to end the next block is uncompressed while one is in use, however many read at once,
/// and damage is met where it is.
#[test]
fn long_files_are_read_ahead() {
    let file = |seed| lines(seed, 6_500_000);
    let session = |id: &str, seed| {
        Memory::new("codex", id).with(Role::Transcript, "a.jsonl", file(seed)).with(
            Role::Subagent,
            "b.jsonl",
            file(9),
        )
    };
    let sessions = [session("one", 1), session("two", 2)];
    let mut bytes = export(&sessions);
    let archive = open(&bytes).unwrap();
    rayon::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|_| assert_holds(&archive, &sessions));
        }
    });
    // Half-way, back, and on to the end.
    let session = archive.session(1).unwrap();
    let mut reader = session.open(0).unwrap();
    let mut read = vec![0; 4_000_000];
    reader.read_exact(&mut read).unwrap();
    reader.seek(SeekFrom::Start(2_500_000)).unwrap();
    read.truncate(2_500_000);
    reader.read_to_end(&mut read).unwrap();
    assert!(read == sessions[1].contents[0]);

    // About the middle of the first file's members.
    let at = bytes.len() / 8;
    bytes[at] ^= 4;
    let archive = open(&bytes).unwrap();
    for _ in 0..2 {
        let session = archive.session(0).unwrap();
        let error = session.open(0).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(
            error.to_string().starts_with("s/0001/0001-transcript.jsonl: the gzip member is damaged"),
            "{error}"
        );
        session.open(1).unwrap().read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn some_sessions_are_verified_alone() {
    let archive = open(&export(&samples())).unwrap();
    let read = Total::default();
    assert_eq!(archive.verify(Some(&[2, 0, 2]), &read).unwrap(), []);
    assert!(read.0.load(Ordering::SeqCst) < 2_500_000, "only what is needed is read");
    assert_eq!(archive.verify(Some(&[]), &Silent).unwrap(), []);
    assert_eq!(archive.verify(Some(&[3]), &Silent).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(archive.session(3).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(archive.session(0).unwrap().open(3).err().unwrap().kind(), Kind::NotFound);
}

#[derive(Default)]
struct Total(AtomicUsize);

impl Progress for Total {
    fn begin(&self, _task: &str, _total: u64) {}
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes as usize, Ordering::SeqCst);
    }
    fn end(&self) {}
}

#[derive(Default)]
struct Tasks(Mutex<Vec<(String, u64, u64)>>);

impl Progress for Tasks {
    fn begin(&self, task: &str, total: u64) {
        self.0.lock().unwrap().push((task.to_owned(), total, 0));
    }
    fn advance(&self, bytes: u64) {
        self.0.lock().unwrap().last_mut().unwrap().2 += bytes;
    }
    fn end(&self) {}
}

#[test]
fn progress_adds_up() {
    let (sessions, tasks) = (samples(), Tasks::default());
    let inputs: Vec<SessionInput<'_>> = sessions
        .iter()
        .map(|session| SessionInput {
            head: session.head.clone(),
            repo: None,
            payload: session,
            continues: None,
        })
        .collect();
    let mut out = Vec::new();
    crate::archive::write(&mut out, &inputs, &[], &WriteOptions::new(source()), &tasks).unwrap();
    open(&out).unwrap().verify(None, &tasks).unwrap();
    let tasks = tasks.0.into_inner().unwrap();
    let names: BTreeSet<&str> = tasks.iter().map(|task| task.0.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["checking", "packing", "reading"]));
    for (task, total, done) in &tasks {
        assert_eq!(total, done, "{task}");
        assert!(*done >= 2_950_000, "{task}");
    }
}

/// Gives other bytes each time that it is opened.
struct Restless(Memory, AtomicUsize);

impl Payload for Restless {
    fn files(&self) -> &[FileMeta] {
        self.0.files()
    }

    fn open(&self, index: usize) -> Result<Box<dyn ReadSeek + '_>> {
        let mut content = self.0.contents[index].clone();
        match self.1.fetch_add(1, Ordering::SeqCst) {
            0 => {}
            1 => content[3] ^= 1,
            2 => content.truncate(5),
            _ => content.push(b'x'),
        }
        Ok(Box::new(Cursor::new(content)))
    }
}

#[test]
fn a_session_that_changes_meanwhile_is_named() {
    for opened_before in [0, 2, 3] {
        let memory = Memory::new("codex", "id-1").with(Role::Transcript, "sessions/r.jsonl", lines(1, 5_000));
        let payload = Restless(memory, AtomicUsize::new(opened_before));
        let input =
            SessionInput { head: payload.0.head.clone(), repo: None, payload: &payload, continues: None };
        let error =
            crate::archive::write(&mut Vec::new(), &[input], &[], &WriteOptions::new(source()), &Silent)
                .unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        assert_eq!(error.to_string(), "codex:id-1: sessions/r.jsonl changed while it was exported");
    }
}

/// Takes so many bytes, then none.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("no room"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_says_so() {
    let sessions = vec![Memory::new("codex", "a").with(Role::Transcript, "x", lines(1, 30_000_000))];
    let length = export(&sessions).len();
    for room in [0, 100_000, length - 1] {
        let input = SessionInput {
            head: sessions[0].head.clone(),
            repo: None,
            payload: &sessions[0],
            continues: None,
        };
        let error =
            crate::archive::write(&mut Full(room), &[input], &[], &WriteOptions::new(source()), &Silent)
                .unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Io, "cannot write the archive: no room")
        );
    }
}

#[test]
fn what_would_be_refused_is_not_written() {
    let transcript = |id: &str| Memory::new("codex", id).with(Role::Transcript, "x", "{}");
    for (sessions, reason) in [
        (vec![], "there is no session to export"),
        (vec![transcript("a"), transcript("a")], "another session has the same id"),
        (vec![transcript("a\u{1b}[31m")], "is not a session id"),
        (vec![Memory::new("codex", "a")], "exactly one transcript"),
        (vec![transcript("a").with(Role::Transcript, "y", "")], "exactly one transcript"),
    ] {
        let text = error_text(export_on(1, &sessions, Vec::new(), 4));
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
    for level in [0, 10] {
        assert_eq!(export_on(1, &[transcript("a")], Vec::new(), level).unwrap_err().kind(), Kind::Usage);
    }
}

#[test]
fn credentials_do_not_travel() {
    let mut session = samples().remove(0);
    let remote = Some("https://ada:SECRET@host/x.git".to_owned());
    session.head.git = Some(GitRef { branch: None, commit: None, remote });
    let url = "https://SECRET@host/x.git".to_owned();
    let repo = Repo { remotes: vec![Remote { name: "origin".to_owned(), url }], ..Repo::default() };
    let (bytes, written) = export_on(2, &[session], vec![repo], 4).unwrap();
    let text = serde_json::to_string(&written.manifest).unwrap();
    assert!(!text.contains("SECRET"));
    let archive = open(&bytes).unwrap();
    assert_eq!(archive.manifest().repos[0].remotes[0].url, "https://host/x.git");
    assert_eq!(
        archive.manifest().sessions[0].head.git.as_ref().unwrap().remote.as_deref(),
        Some("https://host/x.git")
    );
}

#[test]
fn an_archive_that_is_too_large_for_the_limit_is_refused() {
    let bytes = export(&samples());
    let limits = |max_size| Limits { max_size };
    for max_size in [0, 1_000_000, 2_950_000, 2_955_000] {
        let error = Archive::read_within(&mut bytes.as_slice(), limits(max_size)).unwrap_err();
        assert_eq!(error.kind(), Kind::Archive);
        assert!(error.to_string().contains("limit"), "{error}");
    }
    Archive::read_within(&mut bytes.as_slice(), limits(3_000_000)).unwrap();
}

#[test]
fn the_manifest_reads_as_it_was_written() {
    let (_, written) = export_on(2, &samples(), vec![Repo::default()], 4).unwrap();
    let json = serde_json::to_string(&written.manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), written.manifest);
}

#[test]
fn paths_that_are_no_archives_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Archive::open(&dir.path().join("none")).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(Archive::open(dir.path()).unwrap_err().kind(), Kind::Usage);
}
