use super::*;
use crate::txn::Moved;
use crate::txn::tests::recovery::crash_at;

/// A home with a project folder and sessions that follow it.
struct Project {
    machine: Machine,
    before: Snapshot,
}

impl Project {
    fn new() -> Self {
        let machine = Machine::new();
        machine.old("work/old/src/code", "of the user");
        for session in ["1", "2"] {
            machine.old(&format!("store/old/{session}"), "was here");
        }
        fs::set_permissions(machine.path("store/old"), fs::Permissions::from_mode(0o755)).unwrap();
        let before = machine.snapshot();
        Self { machine, before }
    }

    fn plans(&self) -> Vec<SessionPlan> {
        let plan = |session: &str| {
            let (old, new) = (format!("store/old/{session}"), format!("store/new/{session}"));
            plan(session, [create(self.machine.path(&new)), remove(self.machine.path(&old))])
        };
        vec![plan("1"), plan("2")]
    }

    fn meta(&self) -> Meta {
        let text = |name: &str| self.machine.path(name).to_str().unwrap().to_owned();
        let moved = Moved { old: text("work/old"), new: text("work/new"), folder: true };
        let tidied = vec![self.machine.path("store/old")];
        Meta { moved: Some(moved), tidied, ..meta(Time::UNIX_EPOCH) }
    }

    fn begin(&self) -> Transaction {
        let transaction =
            Transaction::begin(self.machine.state.path(), "A", self.meta(), self.plans()).unwrap();
        stage_all(&transaction, &self.plans());
        transaction
    }

    fn is_there(&self, name: &str) -> bool {
        self.machine.path(name).exists()
    }

    fn has_moved(&self) -> bool {
        let (old, new) = (self.is_there("work/old"), self.is_there("work/new/src/code"));
        assert!(old != new, "the folder is in one place");
        new
    }
}

#[test]
fn the_folder_moves_with_its_sessions_and_back() {
    let project = Project::new();
    let committed = project.begin().commit(&Silent).unwrap();
    assert_eq!(applied(&committed), [true, true]);
    assert!(project.has_moved() && !project.is_there("store/old"));
    assert_eq!(project.machine.imports()[0].moved, project.meta().moved);
    let report = project.machine.undo("A").unwrap();
    assert_eq!(report.folder, Some(project.machine.path("work/old")));
    assert_eq!(project.machine.snapshot(), project.before);
    let mode = project.machine.path("store/old").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn a_directory_that_holds_something_stays() {
    let project = Project::new();
    project.machine.old("store/old/other", "of somebody else");
    project.begin().commit(&Silent).unwrap();
    assert_eq!(project.machine.text("store/old/other"), "of somebody else");
}

#[test]
fn a_crash_leaves_a_move_that_is_finished() {
    for sessions in 0..=2 {
        for moved_before in [false, true] {
            let project = Project::new();
            crash_at(project.begin(), sessions);
            assert!(project.has_moved());
            if !moved_before && sessions == 0 {
                fs::rename(project.machine.path("work/new"), project.machine.path("work/old")).unwrap();
            }
            let recovered = project.machine.recover();
            assert_eq!(recovered[0].sessions, ["1", "2"]);
            assert!(project.has_moved() && project.is_there("store/new/2"));
            project.machine.undo("A").unwrap();
            assert_eq!(project.machine.snapshot(), project.before);
        }
    }
}

#[test]
fn what_appears_at_the_new_place_stops_all_of_it() {
    let project = Project::new();
    let transaction = project.begin();
    project.machine.old("work/new/theirs", "new");
    let mut before = project.machine.snapshot();
    before.retain(|path, _| !path.starts_with("store/new"));
    let committed = transaction.commit(&Silent).unwrap();
    for session in 0..2 {
        let error = failure(&committed, session).to_string();
        assert!(error.contains("work/new has appeared meanwhile"), "{error}");
    }
    assert_eq!(project.machine.snapshot(), before);
    assert!(project.machine.imports().is_empty() && project.machine.recover().is_empty());
}

#[test]
fn without_a_session_that_follows_the_folder_stays() {
    for failing in [&["1", "2"][..], &["1"]] {
        let project = Project::new();
        let transaction = project.begin();
        for session in failing {
            project.machine.old(&format!("store/new/{session}"), "appeared");
        }
        let committed = transaction.commit(&Silent).unwrap();
        assert_eq!(applied(&committed), [false, failing.len() == 1]);
        assert_eq!(project.has_moved(), failing.len() == 1);
        assert_eq!(project.machine.text("store/old/1"), "was here");
    }
}

#[test]
fn a_folder_that_cannot_go_back_needs_force() {
    let project = Project::new();
    project.begin().commit(&Silent).unwrap();
    project.machine.old("work/old/again", "new");
    let error = project.machine.undo("A").unwrap_err();
    assert!(error.to_string().contains("is there again"), "{error}");
    let report = super::super::undo(project.machine.state.path(), Some("A"), true).unwrap();
    assert!(report.folder.is_none() && report.sessions.iter().all(|session| session.failure.is_none()));
    assert!(project.is_there("work/new/src/code") && project.is_there("store/old/1"));

    // It is back already.
    let project = Project::new();
    project.begin().commit(&Silent).unwrap();
    fs::rename(project.machine.path("work/new"), project.machine.path("work/old")).unwrap();
    assert_eq!(project.machine.undo("A").unwrap().folder, None);
    assert_eq!(project.machine.snapshot(), project.before);
}
