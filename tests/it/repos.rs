//! Repositories of imported sessions: found, cloned, and their unpushed and uncommitted work brought
//! back, judged by the real git. Two machines are two homes; archives are made by hand where their
//! content matters, as a stranger would make them.

mod journey;
mod world;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use world::{SESSION, World, git, git_fails, status};

use crate::support::tree;

/// The only repository of a report.
#[track_caller]
fn repo(report: &Value) -> &Value {
    let repos = report["repos"].as_array().expect("a report lists repositories");
    assert_eq!(repos.len(), 1, "{report}");
    &repos[0]
}

#[track_caller]
fn is(report: &Value, action: &str, work: &str) {
    let row = repo(report);
    assert_eq!((row["action"].as_str(), row["work"].as_str()), (Some(action), Some(work)), "{report:#}");
}

#[test]
fn a_clone_from_the_remote_is_as_the_source_was() {
    let world = World::new();
    let file = world.archive("unpushed");
    let before = tree::read(&world.source);
    let dry = world.import(&file, &["--clone", "--restore-work", "--dry-run"], 0);
    assert!(
        !world.there().exists() && tree::read(world.home.dir()).len() < 3,
        "the dry run changed something"
    );
    let report = world.import(&file, &["--clone", "--restore-work"], 0);
    is(&report, "clone", "applied");
    assert_eq!(dry["repos"], report["repos"], "the dry run said something else");
    assert_eq!(repo(&report)["branch"], "main");
    assert_eq!(repo(&report)["remote"], world.url().as_str());
    assert_eq!(status(&world.there()), status(&world.source));
    for args in
        [&["diff"][..], &["diff", "--cached"], &["log", "--format=%H %d"], &["config", "branch.main.merge"]]
    {
        let plain = |text: String| text.replace(", origin/HEAD", "");
        assert_eq!(plain(git(&world.there(), args)), plain(git(&world.source, args)), "git {args:?}");
    }
    let files = |root: &Path| {
        let mut files = tree::read_without(root, ".git");
        files.retain(|path, _| !path.starts_with("ignored.log"));
        files
    };
    assert_eq!(files(&world.source), files(&world.there()));
    assert_eq!(git(&world.there(), &["for-each-ref", "refs/holdall", "refs/heads/holdall"]), "");
    git(&world.there(), &["fsck", "--strict"]);
    assert_eq!(world.beside(&world.there()), ["app"], "something half-made is left");
    assert!(before == tree::read(&world.source), "the source was changed");
    assert_eq!(report["sessions"][0]["target"]["cwd"], world.there().to_str().unwrap());

    let once = tree::read_without(world.home.dir(), ".local/state/holdall");
    let again = world.import(&file, &["--clone", "--restore-work"], 0);
    is(&again, "found", "here");
    assert!(
        once == tree::read_without(world.home.dir(), ".local/state/holdall"),
        "the second import changed something"
    );

    let id = report["import_id"].as_str().unwrap();
    let undone = world.holdall(&["undo", id], 0);
    assert_eq!(undone["left"][0]["kind"], "clone");
    assert_eq!(undone["left"][0]["path"], world.there().to_str().unwrap());
    assert_eq!(undone["left"][1]["kind"], "work");
    assert_eq!(status(&world.there()), status(&world.source));
}

#[test]
fn a_clone_alone_has_the_commits_and_not_the_work() {
    let world = World::new();
    let report = world.import(&world.archive("unpushed"), &["--clone"], 0);
    is(&report, "clone", "not-asked");
    assert_eq!(git(&world.there(), &["rev-parse", "HEAD"]), git(&world.source, &["rev-parse", "HEAD"]));
    assert_eq!(git(&world.there(), &["status", "--porcelain"]), "");
    // And then the work, into the clone that was made.
    is(&world.import(&world.archive("unpushed"), &["--restore-work"], 0), "found", "applied");
    assert_eq!(status(&world.there()), status(&world.source));
}

#[test]
fn nothing_is_cloned_unasked() {
    let world = World::new();
    let report = world.import(&world.archive("unpushed"), &[], 0);
    is(&report, "missing", "not-asked");
    assert!(!world.there().exists());
    let report = world.import(&world.archive("unpushed"), &["--restore-work", "--on-conflict", "replace"], 3);
    is(&report, "missing", "failed");
}

#[test]
fn an_unreachable_remote_is_said_and_costs_no_session() {
    let world = World::new();
    fs::rename(&world.remote, world.dir.path().join("moved.git")).unwrap();
    let report = world.import(&world.archive("unpushed"), &["--clone", "--restore-work"], 3);
    is(&report, "failed", "failed");
    assert_eq!(report["sessions"][0]["action"], "create");
    let reason = repo(&report)["reason"].as_str().unwrap();
    assert!(reason.contains("cannot be cloned") && reason.contains("app.git"), "{reason}");
    assert!(reason.contains("import again"), "{reason}");
    assert!(!world.there().parent().unwrap().exists(), "a directory is left");
}

#[test]
fn what_the_archive_holds_whole_needs_no_remote() {
    for with_remote in [true, false] {
        let world = World::new();
        fs::rename(&world.remote, world.dir.path().join("moved.git")).unwrap();
        let file = world.archive_with("full", |repo| {
            if !with_remote {
                repo["remotes"] = json!([]);
                repo["upstream"] = Value::Null;
            }
        });
        let report = world.import(&file, &["--clone", "--restore-work"], 0);
        is(&report, "clone-bundle", "applied");
        // What the remote has cannot be known without it.
        let known = |root: &Path| {
            let told = status(root);
            told.lines()
                .filter(|line| !line.starts_with("# branch.ab"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (here, mut there) = (known(&world.there()), known(&world.source));
        if !with_remote {
            there.retain(|line| !line.starts_with("# branch.upstream"));
        }
        assert_eq!(here, there);
        let remotes = git(&world.there(), &["remote", "-v"]);
        assert_eq!(remotes.contains("app.git"), with_remote, "{remotes}");
        git(&world.there(), &["fsck", "--strict", "--full"]);
        is(&world.import(&file, &["--clone", "--restore-work"], 0), "found", "here");
    }
}

#[test]
fn a_detached_head_and_another_branch_come_back() {
    let world = World::new();
    git(&world.source, &["stash", "-q", "-u"]);
    git(&world.source, &["checkout", "-q", "-b", "topic/deep"]);
    git(&world.source, &["commit", "-q", "--allow-empty", "-m", "Topic"]);
    let report = world.import(&world.archive("unpushed"), &["--clone", "--restore-work"], 0);
    is(&report, "clone", "here");
    assert_eq!(status(&world.there()), status(&world.source));
    assert_eq!(git(&world.there(), &["branch", "--format=%(refname:short)"]), "topic/deep");

    let world = World::new();
    git(&world.source, &["checkout", "-q", "--detach"]);
    let report = world.import(&world.archive("unpushed"), &["--clone", "--restore-work"], 0);
    assert_eq!(repo(&report)["branch"], Value::Null);
    assert_eq!(status(&world.there()), status(&world.source));
}

#[test]
fn a_repository_without_a_commit_comes_back() {
    let world = World::unborn();
    let report = world.import(&world.archive("full"), &["--clone", "--restore-work"], 0);
    is(&report, "clone-bundle", "applied");
    assert_eq!(status(&world.there()), status(&world.source));
}

/// A clone of the remote at `there`, where somebody works.
fn cloned(world: &World, there: &Path) {
    let there = there.to_str().unwrap();
    git(world.dir.path(), &["clone", "-q", &world.url(), there]);
}

#[test]
fn a_clean_clone_at_the_same_commit_gets_the_work() {
    let world = World::new();
    let file = world.archive("pushed");
    // Somewhere below the workspace root, under another name, and with another spelling of the address.
    let there = world.workspace().join("team/tools/renamed");
    cloned(&world, &there);
    git(&there, &["remote", "set-url", "origin", world.remote.to_str().unwrap()]);
    fs::write(there.join("ignored.log"), "mine").unwrap();
    let before = tree::read(world.home.dir());
    let dry = world.import(&file, &["--clone", "--restore-work", "--dry-run"], 0);
    assert!(before == tree::read(world.home.dir()), "the dry run changed something");
    let report = world.import(&file, &["--clone", "--restore-work"], 0);
    is(&report, "found", "applied");
    assert_eq!(dry["repos"], report["repos"]);
    assert_eq!(repo(&report)["path"], there.to_str().unwrap());
    assert_eq!(report["sessions"][0]["target"]["cwd"], there.to_str().unwrap());
    assert_eq!(status(&there), status(&world.source));
    assert_eq!(fs::read_to_string(there.join("ignored.log")).unwrap(), "mine");
    is(&world.import(&file, &["--restore-work"], 0), "found", "here");
}

#[test]
fn changes_that_are_there_are_not_touched() {
    for (what, spoil) in [
        ("dirty", "echo mine > a.txt"),
        ("staged", "echo mine > b.txt && git add b.txt"),
        ("untracked", "echo mine > mine.txt"),
        ("another commit", "git commit -q --allow-empty -m Mine"),
        (
            "a merge",
            "git checkout -q -b side HEAD^ && git commit -q --allow-empty -m S && git checkout -q main && git merge -q --no-commit --no-ff side",
        ),
        // Ignored here, and a file of the work: git itself would overwrite it.
        ("in the way", "echo untracked.txt > .git/info/exclude && echo mine > untracked.txt"),
        ("a link in the way", "echo new > .git/info/exclude && ln -s /nowhere new"),
    ] {
        let world = World::new();
        let there = world.workspace().join("app");
        git(&world.source, &["push", "-q", "origin", "main"]);
        let file = world.archive("pushed");
        cloned(&world, &there);
        world::shell(&there, spoil);
        let (before, was) = (tree::read_without(&there, ".git"), status(&there));
        let dry = world.import(&file, &["--restore-work", "--dry-run"], 0);
        let report = world.import(&file, &["--clone", "--restore-work"], 0);
        is(&report, "found", "branch");
        assert_eq!(dry["repos"], report["repos"], "{what}");
        let branch = format!("holdall/{}", &SESSION[..8]);
        assert_eq!(repo(&report)["work_branch"], branch.as_str(), "{what}");
        assert!(repo(&report)["reason"].is_string(), "{what}");
        assert!(before == tree::read_without(&there, ".git"), "{what}: a file was changed");
        assert_eq!(was, status(&there), "{what}");
        let files = git(&there, &["ls-tree", "-r", "--name-only", &branch]);
        assert!(files.contains("untracked.txt") && files.contains("new/deep.txt"), "{what}: {files}");
        git(&there, &["fsck", "--strict"]);

        let refs = git(&there, &["for-each-ref"]);
        is(&world.import(&file, &["--restore-work"], 0), "found", "here");
        assert_eq!(refs, git(&there, &["for-each-ref"]), "{what}: the second import changed something");
        let undone = world.holdall(&["undo"], 0);
        assert_eq!(undone["left"][0]["branch"], branch.as_str(), "{what}: {undone}");
    }
}

#[test]
fn a_branch_of_that_name_stays_as_it_is() {
    let world = World::new();
    let there = world.workspace().join("app");
    cloned(&world, &there);
    let branch = format!("holdall/{}", &SESSION[..8]);
    git(&there, &["branch", &branch]);
    let report = world.import(&world.archive("unpushed"), &["--restore-work"], 0);
    assert_eq!(repo(&report)["work_branch"], format!("{branch}-2"));
    assert_eq!(git(&there, &["rev-parse", &branch]), git(&there, &["rev-parse", "HEAD"]));

    let world = World::new();
    let there = world.workspace().join("app");
    cloned(&world, &there);
    git(&there, &["branch", "holdall"]);
    let report = world.import(&world.archive("unpushed"), &["--restore-work"], 0);
    assert_eq!(repo(&report)["work_branch"], format!("holdall-{}", &SESSION[..8]));
}

#[test]
fn unpushed_commits_alone_come_on_a_branch() {
    let world = World::new();
    git(&world.source, &["stash", "-q", "-u"]);
    let there = world.workspace().join("app");
    cloned(&world, &there);
    let file = world.archive("unpushed");
    let report = world.import(&file, &["--restore-work"], 0);
    is(&report, "found", "branch");
    let branch = repo(&report)["work_branch"].as_str().unwrap();
    assert_eq!(git(&there, &["rev-parse", branch]), git(&world.source, &["rev-parse", "HEAD"]));
    is(&world.import(&file, &["--restore-work"], 0), "found", "here");
    git(&there, &["merge", "-q", "--ff-only", branch]);
    git(&there, &["branch", "-q", "-d", branch]);
    is(&world.import(&file, &["--restore-work"], 0), "found", "here");
}

#[test]
fn commits_that_are_missing_are_named() {
    let world = World::new();
    let file = world.archive("unpushed");
    let there = world.workspace().join("app");
    // A clone from long ago.
    cloned(&world, &there);
    git(&there, &["reset", "-q", "--hard", "HEAD^"]);
    git(&there, &["update-ref", "-d", "refs/remotes/origin/main"]);
    git(&there, &["update-ref", "-d", "refs/remotes/origin/HEAD"]);
    git(&there, &["reflog", "expire", "--expire=now", "--all"]);
    git(&there, &["gc", "-q", "--prune=now"]);
    let before = tree::read(&there);
    let report = world.import(&file, &["--restore-work"], 3);
    is(&report, "found", "failed");
    let reason = repo(&report)["reason"].as_str().unwrap();
    assert!(reason.contains("fetch --all"), "{reason}");
    assert!(before == tree::read(&there));
    git(&there, &["fetch", "-q", "--all"]);
    is(&world.import(&file, &["--restore-work"], 0), "found", "branch");
}

#[test]
fn a_locked_index_loses_nothing() {
    let world = World::new();
    let file = world.archive("pushed");
    let there = world.workspace().join("app");
    cloned(&world, &there);
    fs::write(there.join(".git/index.lock"), "").unwrap();
    let before = tree::read_without(&there, ".git");
    let report = world.import(&file, &["--restore-work"], 3);
    is(&report, "found", "failed");
    assert!(repo(&report)["reason"].as_str().unwrap().contains("index.lock"), "{report}");
    assert_eq!(report["sessions"][0]["action"], "create");
    assert!(before == tree::read_without(&there, ".git"));
    fs::remove_file(there.join(".git/index.lock")).unwrap();
    is(&world.import(&file, &["--restore-work"], 0), "found", "applied");
    assert_eq!(status(&there), status(&world.source));
}

#[test]
fn no_hook_runs_and_no_other_repository_is_touched() {
    let world = World::new();
    let file = world.archive("unpushed");
    let template = world.home.dir().join("template/hooks");
    fs::create_dir_all(&template).unwrap();
    let trap = world.dir.path().join("trap");
    for hook in ["post-checkout", "post-merge", "post-index-change", "reference-transaction", "pre-auto-gc"] {
        let path = template.join(hook);
        fs::write(&path, format!("#!/bin/sh\necho {hook} >> {}\n", trap.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = format!("[init]\n\ttemplateDir = {}\n", template.parent().unwrap().display());
    fs::write(world.home.dir().join(".gitconfig"), config).unwrap();
    let decoy = world.dir.path().join("decoy");
    git(world.dir.path(), &["init", "-q", decoy.to_str().unwrap()]);
    let before = tree::read(&decoy);
    // As in a hook or an alias of that repository.
    let vars = [
        ("GIT_DIR", decoy.join(".git")),
        ("GIT_INDEX_FILE", decoy.join(".git/index")),
        ("GIT_WORK_TREE", decoy.clone()),
    ];
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, path)| (*name, path.to_str().unwrap())).collect();
    let args = ["import", &file, "--workspace-root", world.workspace_text(), "--clone", "--restore-work"];
    let (report, code) = world.run(&args, &vars);
    assert_eq!(code, 0, "{report:#}");
    is(&report, "clone", "applied");
    assert!(world.there().join(".git/hooks/post-checkout").exists(), "the user's template was not used");
    assert!(!trap.exists(), "{}", fs::read_to_string(&trap).unwrap_or_default());
    assert!(before == tree::read(&decoy));
    assert_eq!(status(&world.there()), status(&world.source));
}

#[test]
fn without_git_the_sessions_come_and_it_is_said() {
    let world = World::new();
    let empty = world.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let file = world.archive("unpushed");
    let args = ["import", &file, "--workspace-root", world.workspace_text(), "--clone", "--restore-work"];
    for more in [&["--dry-run"][..], &[]] {
        let args = [&args[..], more].concat();
        let (report, code) = world.run(&args, &[("PATH", empty.to_str().unwrap())]);
        assert_eq!(code, 3, "{report:#}");
        is(&report, "failed", "failed");
        assert!(repo(&report)["reason"].as_str().unwrap().contains("git is not on PATH"), "{report}");
        assert_eq!(report["sessions"][0]["action"], "create");
    }
}

#[test]
fn linked_worktrees_and_submodules_are_named() {
    let world = World::new();
    let part = world.dir.path().join("part");
    git(world.dir.path(), &["init", "-q", part.to_str().unwrap()]);
    git(&part, &["commit", "-q", "--allow-empty", "-m", "Part"]);
    git(&world.source, &["stash", "-q", "-u"]);
    git(
        &world.source,
        &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", part.to_str().unwrap(), "part"],
    );
    fs::write(world.source.join(".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n").unwrap();
    git(&world.source, &["add", "."]);
    git(&world.source, &["commit", "-q", "-m", "Add a part"]);
    let file = world.archive_with("unpushed", |repo| repo["worktree"] = true.into());
    let report = world.import(&file, &["--clone", "--restore-work"], 0);
    is(&report, "clone", "here");
    let warnings = report["warnings"].to_string();
    for word in ["submodule update --init", "lfs pull", "linked worktree"] {
        assert!(warnings.contains(word), "{word}: {warnings}");
    }
}

#[test]
fn sessions_of_one_repository_share_it() {
    // The repository and a linked worktree of it, which is another entry of the archive.
    let world = World::new();
    let file = world.archive_with("unpushed", |repo| {
        let mut side = repo.clone();
        side["root"] = "/home/dev/src/app-side".into();
        side["worktree"] = true.into();
        side["carried"] = Value::Null;
        *repo = json!([repo, side]);
    });
    let report = world.import(&file, &["--clone", "--restore-work"], 0);
    let repos = report["repos"].as_array().unwrap();
    assert_eq!(repos[0]["action"], "clone", "{report:#}");
    assert_eq!(repos[1]["action"], "found", "{report:#}");
    assert_eq!(repos[0]["path"], repos[1]["path"]);
    assert_eq!(status(&world.there()), status(&world.source));
}

#[test]
fn ctrl_c_stops_a_clone_and_leaves_nothing() {
    let world = World::new();
    let file = world.archive_with("unpushed", |repo| {
        repo["remotes"] = json!([{"name": "origin", "url": "ssh://git@host.invalid/app.git"}]);
    });
    let args = ["import", &file, "--workspace-root", world.workspace_text(), "--clone"];
    let mut command = world.command(&args, &[("GIT_SSH_COMMAND", "sh -c 'exec sleep 300' --")]);
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !world.workspace().exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "no clone was begun");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    world::shell(world.dir.path(), &format!("kill -INT {}", child.id()));
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it did not stop");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(1));
    assert!(!world.workspace().exists(), "{:?}", world.beside(&world.there()));
    assert!(!world.home.dir().join(".claude").exists(), "a session came");
}

#[test]
fn hostile_remotes_are_never_given_to_git() {
    let world = World::new();
    let trap = world.dir.path().join("trap");
    for (url, refused) in [
        (format!("ext::sh -c 'touch {}'", trap.display()), true),
        (format!("--upload-pack=touch {}", trap.display()), true),
        (format!("x::ext::sh -c 'touch {}'", trap.display()), true),
        (format!("https://host.invalid/a\n--upload-pack=touch {}", trap.display()), false),
        (format!("ssh://-oProxyCommand=touch {}/a", trap.display()), false),
        (format!("-oProxyCommand=touch {}:a", trap.display()), true),
        ("../../other".to_owned(), false),
        ("gcrypt::https://host.invalid/a".to_owned(), false),
    ] {
        let file =
            world.archive_with("unpushed", |repo| repo["remotes"] = json!([{"name": "origin", "url": url}]));
        let args = ["import", &file, "--workspace-root", world.workspace_text(), "--clone", "--restore-work"];
        let (report, code) = world.run(&args, &[]);
        if refused {
            assert_eq!(code, 4, "{url}: {report:#}");
        } else {
            assert_eq!(code, 3, "{url}: {report:#}");
            is(&report, "failed", "failed");
            assert!(repo(&report)["reason"].as_str().unwrap().contains("is not cloned"), "{report:#}");
        }
        assert!(!trap.exists(), "{url}");
        assert!(!world.workspace().exists(), "{url}");
    }
    for name in ["--upload-pack=id", "a b", "../x", ""] {
        let file = world.archive_with("unpushed", |repo| {
            repo["remotes"] = json!([{"name": name, "url": world.url()}]);
        });
        let report = world.import(&file, &["--clone", "--on-conflict", "replace"], 3);
        assert_eq!(repo(&report)["action"], "failed", "{name:?}");
    }
}

#[test]
fn hostile_bundles_change_nothing() {
    let outside = |world: &World| world.dir.path().join("outside");
    for (what, make) in world::HOSTILE {
        let world = World::new();
        fs::create_dir(outside(&world)).unwrap();
        let there = world.workspace().join("app");
        cloned(&world, &there);
        git(&there, &["fetch", "-q", world.source.to_str().unwrap(), "main"]);
        git(&there, &["reset", "-q", "--hard", "FETCH_HEAD"]);
        let before = tree::read(&there);
        let file = make(&world);
        let args = ["import", &file, "--workspace-root", world.workspace_text(), "--restore-work"];
        let (report, code) = world.run(&args, &[]);
        assert_eq!(code, 3, "{what}: {report:#}");
        is(&report, "found", "failed");
        assert_eq!(report["sessions"][0]["action"], "create", "{what}");
        let after = tree::read(&there);
        let changed: Vec<_> = after.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(before == after, "{what}: {changed:?} changed: {report:#}");
        assert!(
            fs::read_dir(outside(&world)).unwrap().next().is_none(),
            "{what}: something was written outside"
        );
    }
}

#[test]
fn names_in_a_bundle_mean_nothing() {
    let world = World::new();
    let there = world.workspace().join("app");
    cloned(&world, &there);
    let file = world.archive_of_bundle("unpushed", |bundle| {
        let end = bundle.windows(2).position(|pair| pair == b"\n\n").unwrap();
        let header = String::from_utf8(bundle[..end].to_vec()).unwrap();
        let header = header.replace("refs/heads/main", "refs/heads/../../hooks/post-checkout");
        *bundle = [header.as_bytes(), &bundle[end..]].concat();
    });
    is(&world.import(&file, &["--restore-work"], 0), "found", "branch");
    assert!(!there.join(".git/hooks/post-checkout").exists());
    assert_eq!(git(&there, &["for-each-ref", "--format=%(refname)", "refs/heads"]).lines().count(), 2);
}

#[test]
fn a_link_out_of_the_tree_is_a_link_and_nothing_is_written_through_it() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, world.source.join("out")).unwrap();
    let there = world.workspace().join("app");
    cloned(&world, &there);
    git(&there, &["fetch", "-q", world.source.to_str().unwrap(), "main"]);
    git(&there, &["reset", "-q", "--hard", "FETCH_HEAD"]);
    is(&world.import(&world.archive("unpushed"), &["--restore-work"], 0), "found", "applied");
    assert_eq!(fs::read_link(there.join("out")).unwrap(), outside);
    assert!(fs::read_dir(&outside).unwrap().next().is_none());
}

#[test]
fn on_a_conflict_nothing_is_cloned_when_all_is_to_fail() {
    let world = World::new();
    let file = world.archive("unpushed");
    let args = ["import", &file, "--cwd-map", "/home/dev/src/app=elsewhere"];
    world.holdall(&args, 0);
    let transcripts = world.home.dir().join(".claude/projects");
    let before = tree::read(&transcripts);
    world::shell(&transcripts, "for file in */*.jsonl; do echo '{}' >> \"$file\"; done");
    let args =
        ["import", &file, "--workspace-root", world.workspace_text(), "--clone", "--on-conflict", "fail"];
    let (report, code) = world.run(&args, &[]);
    assert_eq!(code, 1, "{report:#}");
    assert!(!world.there().exists());
    world::shell(world.home.dir(), "rm -r .claude");
    world.holdall(&args, 0);
    assert!(world.there().exists() && !before.is_empty());
}

#[test]
fn convert_knows_neither_flag() {
    let world = World::new();
    for flag in ["--clone", "--restore-work"] {
        let (_, code) = world.run(&["convert", SESSION, "--to", "codex", flag], &[]);
        assert_eq!(code, 2);
    }
    assert!(git_fails(world.dir.path(), &["rev-parse", "--verify", "HEAD"]));
}
