//! A session for another harness: the same bytes each time, and none that its reader stumbles over.

use holdall::harness::Harness;
use holdall::model::{Fidelity, Notes, View, ids};

use super::{File, HERE, Session, THERE, at, head, reading};

/// Converts a transcript twice and reads what comes out.
pub fn check(session: &Session<'_>, to: &'static dyn Harness) {
    let (bytes, fidelity) = converted(session, to);
    let again = converted(session, to);
    assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&again.0), "it comes out the same");
    assert_eq!(fidelity, again.1);

    let written = Session::new(to, File::Transcript, &bytes);
    let payload = written.payload();
    for view in [View::Model, View::Full] {
        assert_eq!(
            reading::events(to, &payload, view).orphans,
            0,
            "every result that was written has its call"
        );
        let notes = to.read(&payload, 0, view, &mut |_: holdall::model::Event<'_>| Ok(()));
        whole(&notes.expect("bytes in memory can be read"));
    }
}

/// The transcript in the form of `to`.
pub fn converted(session: &Session<'_>, to: &'static dyn Harness) -> (Vec<u8>, Fidelity) {
    let source = head(session.harness, THERE);
    let id = to.id_from(ids::converted(&source.harness, &source.id, to.info().id, 0));
    let mut out = Vec::new();
    let fidelity = at(&source, &id, HERE, |target| {
        let mut writer = to.writer(target, None, &mut out).expect("it begins");
        session.harness.read(&session.payload(), 0, View::Full, &mut *writer).expect("memory can be read");
        writer.finish().expect("memory can be written")
    });
    (out, fidelity)
}

/// A reader has nothing to say against it.
fn whole(notes: &Notes) {
    for (code, _, detail) in notes.iter() {
        assert!(!code.starts_with("record."), "of what holdall wrote: {code}: {detail}");
    }
}
