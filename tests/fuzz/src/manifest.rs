//! The manifest of an archive.

use holdall::archive::{Limits, Manifest};
use holdall::error::Kind;
use holdall::git::{strip_credentials, url};

/// Checks one input: the bytes of a manifest.
pub fn check(data: &[u8]) {
    let limits = Limits { max_size: 1 << 40 };
    let manifest = match Manifest::parse(data, data.len() as u64, limits) {
        Ok(manifest) => manifest,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Archive, "{error}");
            return;
        }
    };
    let printed = manifest.print();
    let again =
        Manifest::parse(&printed, printed.len() as u64, limits).expect("what was accepted is accepted again");
    assert_eq!(again, manifest, "it reads as it was printed");
    assert_eq!(again.print(), printed);

    let recorded = manifest.sessions.iter().filter_map(|session| session.head.git.as_ref()?.remote.as_ref());
    let known = manifest.repos.iter().flat_map(|repo| &repo.remotes).map(|remote| &remote.url);
    for address in recorded.chain(known) {
        assert_eq!(&strip_credentials(address), address, "no credentials are left");
        assert!(!url::runs_command(address), "{address:?} would run a command");
    }
    for session in &manifest.sessions {
        for text in [Some(&session.head.id), session.head.parent.as_ref()].into_iter().flatten() {
            assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?} is an id");
        }
        for file in &session.files {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
            assert!(
                file.name.len() <= 100 && file.name.bytes().all(plain),
                "{:?} is a name of ours",
                file.name
            );
            assert!(
                !file.name.split('/').any(|part| part.is_empty() || part.starts_with('.')),
                "{:?}",
                file.name
            );
        }
    }
}
