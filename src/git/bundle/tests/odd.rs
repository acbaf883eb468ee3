//! Repositories in unusual states: what can be carried is, and of the rest it is said that it is not.

use std::os::unix::fs::PermissionsExt;

use sha2::{Digest, Sha256};

use super::*;

/// Whether one of the sentences has both in it.
fn says(carried: &Carried, one: &str, other: &str) -> bool {
    carried.left_out.iter().any(|sentence| sentence.contains(one) && sentence.contains(other))
}

fn head(world: &World) -> String {
    world.git(&["rev-parse", "HEAD"])
}

#[test]
fn submodules_keep_the_commit_that_is_recorded() {
    let world = World::new();
    git(world.dir.path(), &["init", "-q", "-b", "main", "library"]);
    put(&world.dir.path().join("library/lib.c"), "int x;");
    let library = world.dir.path().join("library");
    git(&library, &["add", "."]);
    git(&library, &["commit", "-qm", "Library"]);
    world.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        "../library",
        "ext/library",
    ]);
    world.git(&["commit", "-qm", "With a submodule"]);
    world.put("ext/library/lib.c", "int changed;");
    world.put("docs/a.md", "changed");
    let bundled = world.bundle(&PARTLY);
    assert!(says(&bundled.carried, "ext/library: a submodule", "does not"), "{:?}", bundled.carried.left_out);
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&head(&world)));
    let work = bundled.carried.work.unwrap();
    let recorded = git(&library, &["rev-parse", "HEAD"]);
    assert_eq!(git(&target, &["rev-parse", &format!("{work}:ext/library")]), recorded);
    assert_eq!(git(&target, &["status", "--porcelain"]), " M docs/a.md");
}

#[test]
fn repositories_inside_are_named() {
    let world = World::new();
    world.git(&["init", "-q", "vendor/inner"]);
    world.put("vendor/inner/secret.txt", "of another repository");
    world.git(&["init", "-q", "one-more"]);
    world.put("one-more/x", "x");
    world.put("vendor/beside.txt", "of this one");
    let bundled = world.bundle(&PARTLY);
    for inner in ["vendor/inner", "one-more"] {
        assert!(says(&bundled.carried, inner, "a repository of its own"), "{:?}", bundled.carried.left_out);
    }
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&head(&world)));
    assert_eq!(fs::read(target.join("vendor/beside.txt")).unwrap(), b"of this one");
    assert!(!target.join("vendor/inner").exists());
}

#[test]
fn git_lfs_keeps_its_pointers() {
    let world = World::new();
    let content = b"\0 a large file ".repeat(1000);
    let sum: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sum}\nsize {}\n", content.len());
    world.put(".gitattributes", "*.psd filter=lfs diff=lfs merge=lfs -text\n*.idea filter=unknown\n");
    for name in ["same.psd", "other.psd", "size.psd"] {
        world.put(name, &pointer);
    }
    world.git(&["add", "."]);
    world.git(&["commit", "-qm", "With large files"]);
    world.git(&["push", "-q"]);
    // As after `git lfs install` and `git lfs pull`; nothing of it may be run.
    let trap = world.root().join(".git/trap");
    for command in ["clean", "smudge", "process"] {
        world.git(&["config", &format!("filter.lfs.{command}"), &format!("touch {}", trap.display())]);
    }
    let write_file = |name: &str, bytes: &[u8]| {
        fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(world.root().join(name))
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    for name in ["same.psd", "other.psd", "size.psd"] {
        write_file(name, &content);
    }
    let mut bytes = Vec::new();
    assert_eq!(
        write(&world.root(), &["one"], &PARTLY, &mut bytes).unwrap(),
        None,
        "all are as their pointers say"
    );

    let mut changed = content.clone();
    changed[500] ^= 1;
    write_file("other.psd", &changed);
    write_file("size.psd", b"shorter");
    world.put("new.psd", "a new large file");
    // A filter without a command is none.
    world.put("x.idea", "an idea");
    let bundled = world.bundle(&PARTLY);
    let left_out = &bundled.carried.left_out;
    assert!(says(&bundled.carried, "other.psd, size.psd: ", "travels as it was last staged"), "{left_out:?}");
    assert!(says(&bundled.carried, "new.psd: ", "through the filter \"lfs\""), "{left_out:?}");
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert!(!trap.exists());
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&head(&world)));
    assert_eq!(git(&target, &["status", "--porcelain"]), "?? x.idea");
}

#[test]
fn a_shallow_clone_carries_what_came_after_its_cut() {
    let world = World::new();
    world.git(&["push", "-q"]);
    let url = format!("file://{}", world.dir.path().join("remote.git").display());
    git(world.dir.path(), &["clone", "-q", "--depth", "2", &url, "shallow"]);
    let shallow = world.dir.path().join("shallow");
    put(&shallow.join("more.txt"), "more");
    git(&shallow, &["add", "."]);
    git(&shallow, &["commit", "-qm", "More"]);
    put(&shallow.join("docs/a.md"), "changed");
    let commit = git(&shallow, &["rev-parse", "HEAD"]);
    for (options, commits) in [(PARTLY, 1), (WHOLLY, 2)] {
        let bundled = Bundled::of(&shallow, &["one"], &options);
        assert_eq!(bundled.carried.commits, commits);
        assert_eq!(bundled.carried.needs, [git(&shallow, &["rev-parse", &format!("HEAD~{commits}")])]);
        assert!(says(&bundled.carried, "the clone is shallow", "does not travel"));
        let target = world.dir.path().join(format!("target-{commits}"));
        git(world.dir.path(), &["clone", "-q", "remote.git", target.to_str().unwrap()]);
        bundled.restore(&target, Some("main"), Some(&commit));
        assert_same(&shallow, &target);
    }
    // At the cut itself there is no commit to carry.
    git(&shallow, &["checkout", "-qf", "--detach", "HEAD~2"]);
    put(&shallow.join("docs/a.md"), "changed");
    let carried = Bundled::of(&shallow, &["one"], &WHOLLY).carried;
    assert_eq!((carried.commits, carried.needs.len(), carried.work.is_some()), (0, 1, true));
}

#[test]
fn line_ends_are_stored_as_git_would() {
    let world = World::new();
    let settings = [("core.autocrlf", "true")];
    // Before the setting, so that the index has Windows line ends.
    world.put("always.txt", "a\r\nb\r\n");
    world.put(
        ".gitattributes",
        "*.raw -text\n*.unix text eol=lf\n*.dos text eol=crlf\n*.id ident\n*.auto text=auto\n",
    );
    world.git(&["add", "."]);
    world.git(&["commit", "-qm", "Line ends"]);
    for (name, value) in settings {
        world.git(&["config", name, value]);
    }
    for (name, content) in [
        ("always.txt", "a\r\nb\r\nc\r\n"),
        ("src/main.rs", "fn main() {\r\n}\r\n"),
        ("new.txt", "1\r\n2\r\n"),
        ("new.raw", "1\r\n2\n3\r"),
        ("new.unix", "1\n2\n"),
        ("new.dos", "1\r\n2\r\n"),
        ("new.id", "$Id: 0123456789abcdef $\r\n"),
        ("new.auto", "1\r\n"),
        ("mixed.bin", "\0\r\n\0"),
    ] {
        world.put(name, content);
    }
    let bundled = world.bundle(&PARTLY);
    assert_eq!(bundled.carried.left_out, Vec::<String>::new());
    let work = bundled.carried.work.clone().unwrap();
    let target = world.clone();
    for (name, value) in settings {
        git(&target, &["config", name, value]);
    }
    bundled.restore(&target, Some("main"), Some(&head(&world)));
    assert_eq!(status(&world.root()), status(&target));
    // What git itself would have stored.
    world.git(&["-c", "core.safecrlf=false", "add", "--all"]);
    assert_eq!(world.git(&["write-tree"]), git(&target, &["rev-parse", &format!("{work}^{{tree}}")]));
}

#[test]
fn what_git_itself_refuses_is_named() {
    let world = World::new();
    world.git(&["config", "core.autocrlf", "input"]);
    world.git(&["config", "core.safecrlf", "true"]);
    world.put("dos.txt", "1\r\n2\r\n");
    world.put("good.txt", "1\n");
    let bundled = world.bundle(&PARTLY);
    assert!(says(&bundled.carried, "dos.txt: git cannot take it", "CRLF"), "{:?}", bundled.carried.left_out);
    assert!(bundled.carried.work.is_some());

    world.put(".gitattributes", "*.u16 working-tree-encoding=UTF-16\n");
    world.put("text.u16", "\u{feff}x");
    let carried = world.bundle(&PARTLY).carried;
    assert!(says(&carried, "text.u16: ", "the encoding \"UTF-16\""), "{:?}", carried.left_out);
}

#[test]
fn a_merge_with_conflicts_is_carried_as_its_files_are() {
    let world = World::new();
    world.git(&["checkout", "-q", "-b", "side"]);
    world.put("docs/a.md", "theirs\n");
    world.git(&["commit", "-qam", "Theirs"]);
    world.git(&["checkout", "-q", "main"]);
    world.put("docs/a.md", "ours\n");
    world.git(&["commit", "-qam", "Ours"]);
    let merge = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@b", "merge", "-q", "side"])
        .current_dir(world.root())
        .output()
        .unwrap();
    assert!(!merge.status.success());
    let bundled = world.bundle(&PARTLY);
    assert!(says(&bundled.carried, "a merge is under way", ""), "{:?}", bundled.carried.left_out);
    assert!(says(&bundled.carried, "docs/a.md: a conflict", ""), "{:?}", bundled.carried.left_out);
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&head(&world)));
    assert_eq!(files(&world.root()), files(&target));
    assert!(fs::read_to_string(target.join("docs/a.md")).unwrap().contains("<<<<<<<"));
    assert_eq!(git(&target, &["status", "--porcelain"]), " M docs/a.md");
}

#[test]
fn what_is_only_intended_to_be_added_is_untracked_there() {
    let world = World::new();
    world.put("intended.txt", "content");
    world.put("intended-empty.txt", "");
    world.git(&["add", "--intent-to-add", "intended.txt", "intended-empty.txt"]);
    let bundled = world.bundle(&PARTLY);
    assert!(says(&bundled.carried, "intended-empty.txt, intended.txt: ", "--intent-to-add"));
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&head(&world)));
    assert_eq!(git(&target, &["status", "--porcelain"]), "?? intended-empty.txt\n?? intended.txt");
    assert_eq!(fs::read(target.join("intended.txt")).unwrap(), b"content");
}

#[test]
fn files_that_are_not_checked_out_are_not_deleted() {
    let world = World::new();
    world.git(&["sparse-checkout", "set", "--no-cone", "/src/"]);
    assert!(!world.root().join("docs").exists());
    world.put("src/main.rs", "changed");
    let bundled = world.bundle(&PARTLY);
    assert!(says(&bundled.carried, "the checkout is sparse", "files"), "{:?}", bundled.carried.left_out);
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&head(&world)));
    assert_eq!(git(&target, &["status", "--porcelain"]), " M src/main.rs");

    let world = World::new();
    world.git(&["update-index", "--assume-unchanged", "docs/a.md"]);
    world.put("docs/a.md", "changed, but git is not to look");
    let carried = world.bundle(&PARTLY).carried;
    assert!(says(&carried, "take 1 file for unchanged", ""), "{:?}", carried.left_out);
    assert_eq!(carried.work, None);
}

#[test]
fn what_is_no_file_or_cannot_be_read_is_named() {
    let world = World::new();
    let root = world.root();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("src/socket")).unwrap();
    let _ignored = std::os::unix::net::UnixListener::bind(root.join("ignored.log")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    world.put("closed.txt", "closed");
    world.put("docs/a.md", "closed too");
    for path in ["closed.txt", "docs/a.md"] {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(0)).unwrap();
    }
    let carried = world.bundle(&PARTLY).carried;
    assert!(says(&carried, "pipe, src/socket: a socket, pipe or device", ""), "{:?}", carried.left_out);
    // Root reads everything.
    if fs::File::open(root.join("closed.txt")).is_err() {
        assert!(says(&carried, "closed.txt: ", "git cannot take it"), "{:?}", carried.left_out);
        assert!(says(&carried, "docs/a.md: ", "as it was last staged"), "{:?}", carried.left_out);
    }
}

#[test]
fn whoever_hides_untracked_files_does_not_carry_them() {
    let world = World::new();
    world.git(&["config", "status.showUntrackedFiles", "no"]);
    world.put("new.txt", "new");
    let carried = world.bundle(&PARTLY).carried;
    assert_eq!(carried.work, None);
    assert!(says(&carried, "not to show untracked files", "do not travel"));
}

#[test]
fn a_bare_repository_has_commits_only() {
    let world = World::new();
    git(world.dir.path(), &["clone", "-q", "--bare", "work", "bare.git"]);
    let bundled = Bundled::of(&world.dir.path().join("bare.git"), &["one"], &PARTLY);
    assert_eq!((bundled.carried.commits, bundled.carried.work), (3, None));
}

#[test]
fn nothing_is_run() {
    let world = World::new();
    let trap = world.root().join(".git/trap");
    let command = format!("touch {}", trap.display());
    for key in
        ["core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.external"]
    {
        world.git(&["config", key, &command]);
    }
    for hook in ["pre-commit", "post-index-change", "reference-transaction"] {
        let path = world.root().join(".git/hooks").join(hook);
        put(&path, &format!("#!/bin/sh\n{command}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    put(&world.root().join(".git/info/attributes"), "*.rs filter=trap diff=trap\n");
    world.put("src/main.rs", "changed");
    world.put("docs/a.md", "changed");
    let carried = world.bundle(&PARTLY).carried;
    assert!(carried.work.is_some() && says(&carried, "src/main.rs", "which holdall does not run"));
    assert!(!trap.exists());
}

#[test]
fn a_damaged_repository_is_an_error() {
    let world = World::new();
    let id = head(&world);
    let object = world.root().join(".git/objects").join(&id[..2]).join(&id[2..]);
    fs::set_permissions(&object, fs::Permissions::from_mode(0o600)).unwrap();
    put(&object, "garbage");
    let error = write(&world.root(), &["one"], &PARTLY, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("cannot be read"), "{error}");
}
