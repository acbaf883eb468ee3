//! The real program goes on with a session that was put together out of several archives.

use crate::real::agent::{Agent, Machine};
use crate::real::journey::export;
use crate::real::{FIRST, THANKS};
use crate::support::cases;
use crate::support::dialogue::Item;
use crate::support::expect;
use crate::support::holdall::Holdall;

/// The program itself adds to a session between two backups; the second archive, which holds only
/// that, restores the session on another machine, where the program goes on with all of it.
fn resumes(harness: &str) {
    let case = cases::of(harness).into_iter().find(|case| case.case == "chat").expect("a recorded chat");
    let here = Machine::new("src/app");
    let mut agent = Agent::new(harness, &here);
    let file = export(std::slice::from_ref(&case), &here).unwrap();
    let holdall = Holdall::new(&here.home, &here.cwd).with_programs();
    let map = format!("{}={}", case.cwd, here.cwd.display());
    holdall.done(&["import", &file, "--cwd-map", &map]).unwrap();
    let dir = here.home.dir().join("backups");
    let backup = || holdall.done(&["backup", dir.to_str().unwrap()]).unwrap();
    let first = backup();
    assert_eq!(first["sessions"][0]["state"], "new", "{first}");
    agent.resume(&case, &case.id, FIRST).unwrap();
    let second = backup();
    let archive = dir.join(second["archive"].as_str().expect("the program has added something"));
    assert_eq!(second["sessions"][0]["state"], "grown", "{second}");
    let told_here = agent.resume(&case, &case.id, THANKS[0]).unwrap();

    let there = Machine::new("work/app");
    let mut agent = Agent::new(harness, &there);
    let map = format!("{}={}", here.cwd.display(), there.cwd.display());
    let holdall = Holdall::new(&there.home, &there.cwd).with_programs();
    let report = holdall.done(&["import", archive.to_str().unwrap(), "--cwd-map", &map]).unwrap();
    assert_eq!(report["sessions"][0]["action"], "create", "{report}");
    let told_there = agent.resume(&case, &case.id, THANKS[0]).unwrap();
    expect::same(&told_here, &told_there).unwrap_or_else(|problem| panic!("{harness}: {problem}"));
    let said = |words: &str| told_there.iter().filter(|item| **item == Item::User(words.to_owned())).count();
    assert_eq!((said(FIRST), said(THANKS[0])), (1, 1), "{harness}");
    if let Some(listed) = agent.listed().unwrap() {
        assert!(listed.contains(&case.id), "{harness} lists {listed:?}");
    }
}

/// One test for each program.
macro_rules! programs {
    ($($name:ident: $harness:literal;)*) => {
        $(#[test]
        fn $name() {
            resumes($harness);
        })*
    };
}

programs! {
    claude_goes_on: "claude";
    codex_goes_on: "codex";
    opencode_goes_on: "opencode";
    gemini_goes_on: "gemini";
}
