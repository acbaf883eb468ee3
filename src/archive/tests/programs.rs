//! Plain tools open our archives, and we open what plain tools compress again.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}");
        output.stdout
    })
}

fn unpacked(bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::File::create_new(dir.path().join("a.tar.gz")).unwrap().write_all(bytes).unwrap();
    run(dir.path(), "tar", &["xzf", "a.tar.gz"]);
    dir
}

#[test]
fn gzip_tar_and_sha256sum_are_enough() {
    let sessions = samples();
    let dir = unpacked(&export(&sessions));
    run(dir.path(), "gzip", &["-t", "a.tar.gz"]);
    let sums = run(dir.path(), "sha256sum", &["-c", "SHA256SUMS"]);
    let sums = String::from_utf8(sums).unwrap();
    assert_eq!(sums.lines().count(), 8);
    assert!(sums.lines().all(|line| line.ends_with(": OK")), "{sums}");
    let names = String::from_utf8(run(dir.path(), "tar", &["tzf", "a.tar.gz"])).unwrap();
    assert_eq!(
        names.lines().collect::<Vec<_>>(),
        [
            "manifest.json",
            "SHA256SUMS",
            "s/0001/0001-transcript.jsonl",
            "s/0001/0002-subagent.jsonl",
            "s/0001/0003-attachment",
            "s/0002/0001-transcript.jsonl",
            "s/0003/0001-transcript.jsonl",
            "s/0003/0002-attachment.txt",
            "s/0003/0003-attachment",
        ]
    );
    assert!(
        std::fs::read(dir.path().join("s/0002/0001-transcript.jsonl")).unwrap() == sessions[1].contents[0]
    );
}

#[test]
fn an_archive_may_be_compressed_again() {
    let sessions = samples();
    let tar = pipe("gzip", &["-dc"], &export(&sessions));
    for arguments in [&["-1c"][..], &["-9c"], &["-nc"]] {
        let archive = open(&pipe("gzip", arguments, &tar)).unwrap();
        assert_eq!(verify(&archive), []);
        assert_holds(&archive, &sessions);
    }
    // From a file, and with the name of the file in the gzip header.
    let dir = tempfile::tempdir().unwrap();
    std::fs::File::create_new(dir.path().join("a.tar")).unwrap().write_all(&tar).unwrap();
    run(dir.path(), "gzip", &["a.tar"]);
    let archive = Archive::open(&dir.path().join("a.tar.gz")).unwrap();
    assert_eq!(verify(&archive), []);
    assert_holds(&archive, &sessions);
}

#[test]
fn an_archive_may_be_packed_again_in_its_own_order() {
    let sessions = samples();
    let dir = unpacked(&export(&sessions));
    let names = String::from_utf8(run(dir.path(), "tar", &["tzf", "a.tar.gz"])).unwrap();
    let mut arguments = vec!["--format=ustar", "-czf", "b.tar.gz"];
    arguments.extend(names.lines());
    run(dir.path(), "tar", &arguments);
    let archive = Archive::open(&dir.path().join("b.tar.gz")).unwrap();
    assert_eq!(verify(&archive), []);
    assert_holds(&archive, &sessions);
}
