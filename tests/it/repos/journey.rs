//! A session and its repository move to another machine, where the real programs go on.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::world::{World, git, status};
use crate::real::FIRST;
use crate::support::dialogue;
use crate::support::expect;
use crate::support::holdall::Holdall;
use crate::support::model::scenario;
use crate::support::programs::{Claude, Codex, Home, Opencode};
use crate::support::tree;

/// Records a session of Claude Code in a directory of the source, in which it leaves a file. Returns
/// its id.
fn record(here: &Home, cwd: &Path) -> String {
    let claude = Claude::new(here, cwd);
    let prompt = scenario::prompt("Take notes", "edit");
    claude.talk(None, &[], &prompt, "The notes are written and edited.").unwrap();
    let transcripts = claude.transcripts();
    assert_eq!(transcripts.len(), 1, "{transcripts:?}");
    transcripts[0].file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Exports it with its repository, of which nothing may change.
fn export(world: &World, here: &Home, id: &str, how: &str) -> String {
    let before = tree::read(&world.source);
    let file = world.dir.path().join(format!("{how}.tar.gz"));
    let file = file.to_str().unwrap().to_owned();
    let args = ["export", id, "--git", how, "-o", &file];
    Holdall::new(here, &world.source).done(&args).unwrap();
    assert!(before == tree::read(&world.source), "the export changed the source");
    file
}

/// Imports it with its repository, which must be as the source is. Returns the row of the session.
fn import(world: &World, there: &Home, file: &str, how: &str) -> Value {
    let holdall = Holdall::new(there, there.dir()).with_programs();
    let args = ["import", file, "--workspace-root", "code", "--clone", "--restore-work"];
    let report = holdall.done(&args).unwrap();
    let row = &report["repos"][0];
    assert_eq!((row["action"].as_str(), row["work"].as_str()), (Some(how), Some("applied")), "{report:#}");
    let root = there.dir().join("code/app");
    assert_eq!(row["path"], root.to_str().unwrap());
    let source = status(&world.source);
    let expected = source.lines().filter(|line| how == "clone" || !line.starts_with("# branch.ab"));
    assert_eq!(status(&root), expected.collect::<Vec<_>>().join("\n"));
    let session = &report["sessions"][0];
    assert_eq!(session["resume"]["cwd"], root.join("dir").to_str().unwrap());
    session.clone()
}

#[test]
fn claude_code_and_codex_go_on_where_the_work_was_left() {
    let world = World::new();
    let here = Home::at(world.source.ancestors().nth(2).unwrap());
    let cwd = world.source.join("dir");
    let id = record(&here, &cwd);
    assert!(cwd.join("notes.txt").exists());
    let file = export(&world, &here, &id, "bundle");
    let session = import(&world, &world.home, &file, "clone");
    assert_eq!(session["target"]["id"], id.as_str());

    let said = Claude::new(&here, &cwd).resume(&id, FIRST).unwrap();
    let said = dialogue::read("claude", &said);
    let there = world.there().join("dir");
    assert_eq!(fs::read(there.join("notes.txt")).unwrap(), fs::read(cwd.join("notes.txt")).unwrap());
    // Codex looks through its whole store only at its first start, and lists by provider.
    let codex = Codex::new(&world.home, &there);
    codex.listed().unwrap();
    let converted =
        Holdall::new(&world.home, &there).with_programs().done(&["convert", &id, "--to", "codex"]).unwrap();

    let told = Claude::new(&world.home, &there).resume(&id, FIRST).unwrap();
    expect::same(&said, &dialogue::read("claude", &told)).unwrap();

    let thread = converted["sessions"][0]["target"]["id"].as_str().unwrap();
    assert_eq!(converted["sessions"][0]["target"]["cwd"], there.to_str().unwrap());
    assert!(codex.listed().unwrap().contains(&thread.to_owned()), "Codex does not list {thread}");
    let told = codex.resume(thread, FIRST, None).unwrap();
    expect::converted(&said, &dialogue::read("codex", &told))
        .unwrap_or_else(|problems| panic!("{problems:#?}"));

    assert_eq!(status(&world.there()), status(&world.source));
    git(&world.there(), &["fsck", "--strict"]);

    // The remote is gone, and the archive has it all.
    let full = export(&world, &here, &id, "full");
    fs::rename(&world.remote, world.dir.path().join("gone.git")).unwrap();
    let third = Home::at(world.dir.path().join("third"));
    import(&world, &third, &full, "clone-bundle");
}

/// Some programs take no session for a directory that is not there: the clone comes first, and a dry
/// run knows that it will.
#[test]
fn a_program_that_wants_the_directory_finds_the_clone() {
    let world = World::new();
    let file = world.archive("unpushed");
    let holdall = Holdall::new(&world.home, world.home.dir()).with_programs();
    drop(Opencode::named("opencode", &world.home, world.home.dir()));
    let args = ["import", &file, "--to", "opencode", "--workspace-root", "code", "--clone"];
    let dry = holdall.done(&[&args[..], &["--dry-run"]].concat()).unwrap();
    assert!(!world.there().exists());
    let report = holdall.done(&args).unwrap();
    for report in [&dry, &report] {
        assert_eq!(report["sessions"][0]["action"], "create", "{report:#}");
        assert_eq!(report["sessions"][0]["target"]["cwd"], world.there().to_str().unwrap());
    }
    let id = report["sessions"][0]["target"]["id"].as_str().unwrap().to_owned();
    let listed = Opencode::named("opencode", &world.home, &world.there()).listed().unwrap();
    assert!(listed.contains(&id), "{id} is not in {listed:?}");
}
