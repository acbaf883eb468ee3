//! What comes from git: the header of a bundle, and addresses of repositories.
//!
//! The first byte of an input says which: a bundle; an address; or the parts of one with a password,
//! a line each.

use holdall::error::Kind;
use holdall::git::{Bundle, strip_credentials, url};

/// Checks one input.
pub fn check(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else { return };
    match (form % 3, std::str::from_utf8(rest)) {
        (0, _) => bundle(rest),
        (1, Ok(address)) => self::address(address),
        (_, Ok(parts)) => password(parts),
        _ => {}
    }
}

/// A bundle is accepted when it has the signature and an empty line ends its header within a megabyte.
fn bundle(data: &[u8]) {
    let header = &data[..data.len().min(1 << 20)];
    let is_bundle = header.starts_with(b"# v2 git bundle\n") && header.windows(2).any(|pair| pair == b"\n\n");
    match Bundle::copy(&mut &*data) {
        Ok(_) => assert!(is_bundle),
        Err(error) => {
            assert!(!is_bundle, "{error}");
            assert_eq!(error.kind(), Kind::Archive, "{error}");
        }
    }
}

fn address(address: &str) {
    let stripped = strip_credentials(address);
    assert_eq!(strip_credentials(&stripped), stripped, "a second time changes nothing");
    assert!(stripped.len() <= address.len(), "nothing is added");
    if !url::runs_command(address) {
        assert!(!url::runs_command(&stripped), "{stripped:?} would run a command");
    }
    if url::runs_command(address) {
        assert!(url::refusal(address).is_some(), "{address:?} runs a command, and git may have it");
    }
    if url::refusal(address).is_none() {
        assert!(!address.starts_with('-') && !address.chars().any(char::is_control));
    }
    url::is_local(address);
}

/// `scheme`, `user`, `password`, `host`, `path`, a line each: the password does not stay.
fn password(parts: &str) {
    let parts: Vec<&str> = parts.split('\n').collect();
    let [scheme, user, password, host, path] = parts[..] else { return };
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    // A user name ends where its password begins.
    let is_user = !user.contains([':', '/', '?', '#', '@', '\\']);
    let secret = "SECRET";
    let is_apart =
        [scheme, user, password, host, path].iter().all(|part| !part.to_uppercase().contains(secret));
    if !(is_scheme && is_host && is_user && is_apart) || password.contains(char::is_control) {
        return;
    }
    let address = format!("{scheme}://{user}:{secret}{password}@{host}/{path}");
    let stripped = strip_credentials(&address);
    assert!(!stripped.contains(secret), "{address:?} became {stripped:?}");
    assert_eq!(strip_credentials(&stripped), stripped);
}
