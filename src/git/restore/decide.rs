//! Where carried commits and work go, by what is there.

/// What is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Situation {
    /// There is uncommitted work to bring, not only commits.
    pub(super) has_work: bool,
    /// The recorded commit is checked out.
    pub(super) at_commit: bool,
    /// Nothing is changed, staged or untracked.
    pub(super) clean: bool,
    /// Why the directory must be left alone in any case.
    pub(super) busy: Option<&'static str>,
    /// The directory holds the work already.
    pub(super) holds_work: bool,
    /// A file or directory that is where the work has one.
    pub(super) obstacle: Option<String>,
    /// A reference keeps what is to be brought.
    pub(super) reachable: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is all there.
    Here,
    /// Into the directory and index.
    Apply,
    /// On a branch, for this reason; `None` when there is nothing but commits.
    Branch(Option<String>),
}

pub(super) fn decide(situation: &Situation) -> Decision {
    if situation.holds_work || situation.reachable {
        return Decision::Here;
    }
    if !situation.has_work {
        return Decision::Branch(None);
    }
    let reason = if !situation.at_commit {
        "another commit is checked out there"
    } else if let Some(busy) = situation.busy {
        busy
    } else if !situation.clean {
        "there are changes that are not committed"
    } else if let Some(path) = &situation.obstacle {
        return Decision::Branch(Some(format!("{path} is in the way")));
    } else {
        return Decision::Apply;
    };
    Decision::Branch(Some(reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_into_a_clean_directory_at_its_commit_only() {
        let clean = Situation { has_work: true, at_commit: true, clean: true, ..Situation::default() };
        assert_eq!(decide(&clean), Decision::Apply);
        for other in [
            Situation { at_commit: false, ..clean.clone() },
            Situation { clean: false, ..clean.clone() },
            Situation { busy: Some("a merge"), ..clean.clone() },
            Situation { obstacle: Some("file".into()), ..clean.clone() },
        ] {
            assert!(matches!(decide(&other), Decision::Branch(Some(_))), "{other:?}");
        }
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let there = Situation { has_work: true, at_commit: true, holds_work: true, ..Situation::default() };
        assert_eq!(decide(&there), Decision::Here);
        assert_eq!(decide(&Situation { reachable: true, ..Situation::default() }), Decision::Here);
        assert_eq!(
            decide(&Situation { has_work: true, reachable: true, ..Situation::default() }),
            Decision::Here
        );
    }

    #[test]
    fn commits_alone_get_a_branch_without_a_reason() {
        assert_eq!(decide(&Situation { clean: true, ..Situation::default() }), Decision::Branch(None));
    }
}
