//! What goes along comes back as it was.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// Makes a bit of everything that can be uncommitted.
fn disorder(world: &World) {
    let root = world.root();
    // Staged, and changed again.
    world.put("docs/a.md", "one\nTWO\nthree\nfour\nfive\n");
    world.git(&["add", "docs/a.md"]);
    world.put("docs/a.md", "one\nTWO\nthree\nfour\nFIVE\n");
    // Changed, staged new, staged and gone, untracked.
    world.put("src/main.rs", "fn main() { loop {} }\n");
    world.put("src/staged.rs", "staged");
    world.put("src/fleeting.rs", "fleeting");
    world.git(&["add", "src/staged.rs", "src/fleeting.rs"]);
    fs::remove_file(root.join("src/fleeting.rs")).unwrap();
    world.put("untracked/a/b.txt", "b");
    world.put("target/ignored.o", "x");
    world.put("build.log", "x");
    // Deleted, staged and not; renamed; unstaged but kept.
    world.git(&["rm", "-q", "src/deep/er/lib.rs"]);
    fs::remove_file(root.join("src/second.rs")).unwrap();
    world.git(&["mv", "docs/b.md", "docs/renamed.md"]);
    world.git(&["rm", "-q", "--cached", "data.bin"]);
    // Modes and links.
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../run.sh", root.join("docs/link")).unwrap();
    symlink("no/such/place", root.join("dangling")).unwrap();
    // Names and contents.
    for name in ["with space.txt", "naïve ✓.txt", "new\nline.txt", "-dash", "tab\t\"quote\"", "back\\slash"]
    {
        world.put(name, name);
    }
    world.put("binary\u{1}.bin", "\0\u{7f}\r\n\0");
    world.put("empty", "");
}

#[test]
fn unpushed_commits_and_every_kind_of_change() {
    let world = World::new();
    disorder(&world);
    let (root, head) = (world.root(), world.git(&["rev-parse", "HEAD"]));
    let bundled = Bundled::of(&root.join("src"), &["6a1f", "ses_2"], &PARTLY);
    let carried = &bundled.carried;
    assert_eq!((carried.commits, &carried.left_out), (1, &vec![]));
    assert_eq!(carried.needs, [world.git(&["rev-parse", "HEAD^"])]);
    let header = String::from_utf8_lossy(&bundled.bytes);
    assert!(
        header
            .starts_with(&format!("# v2 git bundle\n-{} Second\n{head} refs/heads/main\n", carried.needs[0]))
    );

    let target = world.clone();
    let heads = bundled.restore(&target, Some("main"), Some(&head));
    assert_eq!(
        heads.keys().map(String::as_str).collect::<Vec<_>>(),
        ["refs/heads/main", "refs/holdall/6a1f", "refs/holdall/ses_2"]
    );
    assert_eq!(heads.get("refs/holdall/6a1f"), carried.work.as_ref());
    assert_same(&root, &target);
    assert!(status(&target).len() > 15, "{:?}", status(&target));
    assert!(!target.join("build.log").exists());

    // Whoever made it, and when, follows from the repository.
    let who = git(&target, &["log", "-1", "--format=%an <%ae> %at %ct", carried.work.as_ref().unwrap()]);
    assert_eq!(
        who,
        format!("holdall <holdall@localhost> {0} {0}", world.git(&["log", "-1", "--format=%ct"]))
    );
}

#[test]
fn the_whole_history_can_be_cloned_and_fetched() {
    let world = World::new();
    disorder(&world);
    let bundled = world.bundle(&WHOLLY);
    assert_eq!((bundled.carried.commits, bundled.carried.needs.len()), (3, 0));
    let target = world.dir.path().join("from-bundle");
    let file = bundled.save(&target);
    git(world.dir.path(), &["clone", "-q", "-b", "main", &file, "from-bundle"]);
    assert_eq!(git(&target, &["log", "--format=%H %s"]), world.git(&["log", "--format=%H %s"]));
    git(&target, &["fetch", "-q", &file, "refs/holdall/*:refs/holdall/*"]);
    assert_eq!(Some(git(&target, &["rev-parse", "refs/holdall/one"])), bundled.carried.work);
    fs::remove_file(&file).unwrap();
    bundled.restore(&target, Some("main"), Some(&world.git(&["rev-parse", "HEAD"])));
    assert_same(&world.root(), &target);
}

#[test]
fn work_alone_builds_on_the_commit_that_is_there() {
    let world = World::new();
    world.git(&["push", "-q"]);
    world.put("new.txt", "new");
    let head = world.git(&["rev-parse", "HEAD"]);
    let bundled = world.bundle(&PARTLY);
    assert_eq!((bundled.carried.commits, &bundled.carried.needs), (0, &vec![head.clone()]));
    let target = world.clone();
    let heads = bundled.restore(&target, Some("main"), Some(&head));
    assert_eq!(heads.into_keys().collect::<Vec<_>>(), ["refs/holdall/one"]);
    assert_same(&world.root(), &target);
    let parents = git(&target, &["log", "-1", "--format=%P", bundled.carried.work.as_ref().unwrap()]);
    assert_eq!(parents, head, "nothing is staged, so there is no commit of the index");
}

#[test]
fn what_is_clean_and_pushed_needs_no_bundle() {
    let world = World::new();
    world.git(&["push", "-q"]);
    // Files that were only touched are not changed.
    let main = fs::OpenOptions::new().write(true).open(world.root().join("src/main.rs")).unwrap();
    main.set_modified(main.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(9))
        .unwrap();
    world.put("x.log", "ignored");
    let mut bytes = Vec::new();
    assert_eq!(write(&world.root(), &["one"], &PARTLY, &mut bytes).unwrap(), None);
    assert_eq!(bytes, b"");
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(write(elsewhere.path(), &["one"], &WHOLLY, &mut bytes).unwrap(), None);
    assert_eq!(write(&elsewhere.path().join("none"), &["one"], &WHOLLY, &mut bytes).unwrap(), None);
}

#[test]
fn commits_alone_are_carried_without_work() {
    let world = World::new();
    let bundled = world.bundle(&PARTLY);
    assert_eq!((bundled.carried.commits, &bundled.carried.work), (1, &None));
    let target = world.clone();
    let heads = bundled.restore(&target, Some("main"), Some(&world.git(&["rev-parse", "HEAD"])));
    assert_eq!(heads.into_keys().collect::<Vec<_>>(), ["refs/heads/main"]);
    assert_same(&world.root(), &target);
}

#[test]
fn without_a_remote_everything_is_carried() {
    let world = World::without_remote();
    world.put("new.txt", "new");
    let bundled = world.bundle(&PARTLY);
    assert_eq!((bundled.carried.commits, bundled.carried.needs.len()), (2, 0));
    let target = world.dir.path().join("target");
    git(world.dir.path(), &["init", "-q", "-b", "main", "target"]);
    bundled.restore(&target, Some("main"), Some(&world.git(&["rev-parse", "HEAD"])));
    assert_same(&world.root(), &target);
}

#[test]
fn a_detached_head_travels_as_head() {
    let world = World::new();
    world.git(&["checkout", "-q", "--detach"]);
    world.put("docs/a.md", "changed");
    let bundled = world.bundle(&PARTLY);
    let target = world.clone();
    let heads = bundled.restore(&target, None, Some(&world.git(&["rev-parse", "HEAD"])));
    assert_eq!(heads.into_keys().collect::<Vec<_>>(), ["HEAD", "refs/holdall/one"]);
    assert_same(&world.root(), &target);
}

#[test]
fn a_repository_without_commits() {
    for staged in [false, true] {
        let world = World { dir: tempfile::tempdir().unwrap() };
        git(world.dir.path(), &["init", "-q", "-b", "main", "work"]);
        assert_eq!(world.bundle(&PARTLY).carried, Carried::default());
        world.put("a/staged.txt", "1");
        if staged {
            world.git(&["add", "."]);
        }
        world.put("a/untracked.txt", "2");
        let bundled = world.bundle(&PARTLY);
        assert_eq!((bundled.carried.commits, bundled.carried.needs.len()), (0, 0));
        let target = world.dir.path().join("target");
        git(world.dir.path(), &["init", "-q", "-b", "main", "target"]);
        bundled.restore(&target, None, None);
        assert_same(&world.root(), &target);
        let parents = git(&target, &["log", "-1", "--format=%P", bundled.carried.work.as_ref().unwrap()]);
        assert_eq!(parents.is_empty(), !staged);
    }
}

#[test]
fn merges_need_each_side_that_the_remote_has() {
    let world = World::new();
    world.git(&["checkout", "-q", "-b", "side", "HEAD~2"]);
    world.put("side.txt", "side");
    world.git(&["add", "."]);
    world.git(&["commit", "-qm", "Side"]);
    world.git(&["push", "-q", "origin", "side"]);
    world.git(&["checkout", "-q", "main"]);
    world.git(&["merge", "-q", "-m", "Merge", "side"]);
    // A reference that leads nowhere, as `git remote prune` can leave it.
    world.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone"]);
    let bundled = world.bundle(&PARTLY);
    assert_eq!(bundled.carried.commits, 2);
    let mut expected = [world.git(&["rev-parse", "side"]), world.git(&["rev-parse", "HEAD^^"])];
    let mut needs = bundled.carried.needs.clone();
    (needs.sort(), expected.sort());
    assert_eq!(needs, expected);
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&world.git(&["rev-parse", "HEAD"])));
    assert_same(&world.root(), &target);
}

/// A file of another branch of the remote is not taken for granted: whoever has the commits that the
/// bundle names need not have that branch.
#[test]
fn nothing_is_needed_but_the_commits_that_are_named() {
    let world = World::new();
    world.git(&["checkout", "-q", "-b", "other", "HEAD^"]);
    world.put("shared.txt", "the same content on two branches");
    world.git(&["add", "."]);
    world.git(&["commit", "-qm", "Other"]);
    world.git(&["push", "-q", "origin", "other"]);
    world.git(&["checkout", "-q", "main"]);
    world.put("mine.txt", "the same content on two branches");
    world.git(&["add", "."]);
    world.git(&["commit", "-qm", "Mine"]);
    world.put("again.txt", "the same content on two branches");
    let bundled = world.bundle(&PARTLY);
    let target = world.dir.path().join("target");
    git(world.dir.path(), &["clone", "-q", "--single-branch", "-b", "main", "remote.git", "target"]);
    bundled.restore(&target, Some("main"), Some(&world.git(&["rev-parse", "HEAD"])));
    assert_same(&world.root(), &target);
}

#[test]
fn a_linked_worktree_is_a_repository_of_its_own() {
    let world = World::new();
    world.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
    let side = world.root().with_file_name("side");
    put(&side.join("side.txt"), "1");
    git(&side, &["add", "."]);
    put(&side.join("side.txt"), "2");
    world.put("main.txt", "of the other one");
    let bundled = Bundled::of(&side, &["one"], &PARTLY);
    let target = world.clone();
    let heads = bundled.restore(&target, Some("side"), Some(&git(&side, &["rev-parse", "HEAD"])));
    assert_eq!(heads.into_keys().collect::<Vec<_>>(), ["refs/heads/side", "refs/holdall/one"]);
    assert_same(&side, &target);
}

#[test]
fn files_and_directories_change_places() {
    let world = World::new();
    let root = world.root();
    fs::remove_dir_all(root.join("docs")).unwrap();
    world.put("docs", "a file now");
    fs::remove_file(root.join("run.sh")).unwrap();
    world.put("run.sh/inside", "a directory now");
    fs::remove_dir_all(root.join("src/deep")).unwrap();
    symlink("../run.sh", root.join("src/deep")).unwrap();
    fs::remove_file(root.join("data.bin")).unwrap();
    symlink("docs", root.join("data.bin")).unwrap();
    let bundled = world.bundle(&PARTLY);
    let target = world.clone();
    bundled.restore(&target, Some("main"), Some(&world.git(&["rev-parse", "HEAD"])));
    assert_same(&root, &target);
}

#[test]
fn objects_that_are_in_packs_and_elsewhere_are_not_touched() {
    let world = World::new();
    world.put("src/main.rs", "changed");
    let stash = world.git(&["stash", "create"]);
    world.git(&["stash", "store", &stash]);
    disorder(&world);
    // What is to be stored is there already: as loose objects, and in packs.
    world.git(&["add", "--all"]);
    world.git(&["reset", "-q"]);
    world.git(&["add", "docs/a.md"]);
    let loose = world.bundle(&PARTLY);
    world.git(&["gc", "-q"]);
    let packed = world.bundle(&PARTLY);
    assert_eq!(loose.carried, packed.carried);
    assert_eq!(packed.carried.left_out, ["stashed changes do not travel"]);
    // A repository that borrows its objects from another.
    git(world.dir.path(), &["clone", "-q", "--shared", "work", "borrower"]);
    let borrower = world.dir.path().join("borrower");
    git(&borrower, &["remote", "remove", "origin"]);
    put(&borrower.join("docs/a.md"), "changed");
    let bundled = Bundled::of(&borrower, &["one"], &PARTLY);
    let target = world.dir.path().join("target");
    git(world.dir.path(), &["init", "-q", "-b", "main", "target"]);
    bundled.restore(&target, Some("main"), Some(&git(&borrower, &["rev-parse", "HEAD"])));
    assert_same(&borrower, &target);
}
