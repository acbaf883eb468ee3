//! What has to hold for every input, whoever made it. Each target takes bytes, makes of them what its
//! part of holdall reads, and checks more than that nothing panics:
//!
//! - [`archive`]: an archive is accepted or refused, whole, and says the same whenever and in
//!   whichever form it is read
//! - [`manifest`]: what is read of a manifest is printed and read again as the same
//! - [`record`]: sessions of every harness are read, moved and converted
//! - [`place`]: paths of any machine under prefix rules
//! - [`git`]: the header of a git bundle; addresses keep no password and get no teeth
//!
//! libFuzzer calls them with inputs that it makes up (`scripts/fuzz`), a test of holdall with those
//! in `fixtures/fuzz`.

pub mod archive;
pub mod git;
pub mod manifest;
pub mod place;
pub mod record;

/// Checks one input, and panics when it finds something.
pub type Check = fn(&[u8]);

/// Each target with its name, which is that of its folder in `fixtures/fuzz` too.
pub const TARGETS: [(&str, Check); 5] = [
    ("archive", archive::check),
    ("manifest", manifest::check),
    ("record", record::check),
    ("place", place::check),
    ("git", git::check),
];
