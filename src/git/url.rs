//! Addresses of repositories: taken apart, without their credentials, compared.

use std::path::Path;

/// The address without password, token or query.
///
/// Over HTTP the whole user part goes, because a token may stand there; over SSH the user stays,
/// because the address means nothing without it. Anything that is no URL stays as it is, but for
/// a password in `user:password@host:path`.
///
/// Doing it twice is doing it once, and an address that runs no command ([`runs_command`]) becomes
/// none that does.
pub fn strip_credentials(url: &str) -> String {
    let mut address = url;
    while let Some((_, rest)) = split_helper(address) {
        address = rest;
    }
    let helpers = &url[..url.len() - address.len()];
    // With something before its scheme git takes it for a host; whoever reads it sees a URL all the same.
    let scheme = address.find("://").map(|end| (scheme_start(&address[..end]), end));
    let (front, address) =
        address.split_at(scheme.filter(|(start, end)| start < end).map_or(0, |(start, _)| start));
    format!("{helpers}{}{}", strip_scp(front), strip_address(address))
}

/// [`strip_credentials`] of an address without a helper.
fn strip_address(url: &str) -> String {
    let Some((scheme, rest)) = split_scheme(url) else {
        return strip_scp(url);
    };
    let (user, mut host_and_path) = split_user(rest);
    // An `@` or `/` that a password should have written as %40 or %2f can leave a piece of it.
    while let (Some(_), shorter) = split_user(host_and_path) {
        host_and_path = shorter;
    }
    let ssh = is_ssh(scheme);
    let user = user.and_then(|user| user.split(':').next()).filter(|user| ssh && !user.is_empty());
    let host_and_path = if ssh { host_and_path } else { before(host_and_path, &['?', '#']) };
    match user {
        Some(user) => format!("{scheme}://{user}@{host_and_path}"),
        None => format!("{scheme}://{host_and_path}"),
    }
}

/// Whether git would start a program of the address's own choice, or take it for an option.
/// Such a one has no business in an archive.
pub fn runs_command(url: &str) -> bool {
    let mut url = url.trim_start();
    while let Some((helper, rest)) = split_helper(url) {
        if helper.starts_with('-') || ["ext", "fd"].iter().any(|name| helper.eq_ignore_ascii_case(name)) {
            return true;
        }
        url = rest.trim_start();
    }
    url.starts_with('-')
}

/// Schemes that git itself knows; any other would start a program `git-remote-…`.
const SCHEMES: [&str; 7] = ["https", "http", "ssh", "git", "git+ssh", "ssh+git", "file"];

/// Why git must not be given an address to clone from; `None` when it may.
pub fn refusal(url: &str) -> Option<&'static str> {
    let odd_host = |rest: &str| split_user(rest).1.starts_with('-') || rest.starts_with('-');
    if url.is_empty() || url.chars().any(char::is_control) || url.starts_with(char::is_whitespace) {
        return Some("it is no address");
    }
    if url.starts_with('-') || runs_command(url) {
        return Some("it would run a command");
    }
    if url.contains("::") && split_helper(url).is_some() {
        return Some("it needs a helper program of its own");
    }
    match split_scheme(url) {
        Some((scheme, rest)) if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => {
            odd_host(rest).then_some("its host would be taken for an option")
        }
        Some(_) => Some("git does not know its form by itself"),
        None => match split_scp(url) {
            Some((host, _)) => odd_host(host).then_some("its host would be taken for an option"),
            None if Path::new(url).is_absolute() => None,
            None => Some("it is a path of the machine that it comes from"),
        },
    }
}

/// Whether an address is a place on this machine, or on what it has mounted: a path, or `file://`.
pub fn is_local(url: &str) -> bool {
    match split_scheme(url) {
        Some((scheme, _)) => scheme.eq_ignore_ascii_case("file"),
        None => split_helper(url).is_none() && split_scp(url).is_none(),
    }
}

/// Whether a local address means the same in every directory of its machine.
pub(super) fn is_absolute(url: &str) -> bool {
    split_scheme(url).is_some()
        || url.starts_with(['/', '\\'])
        || url.get(1..3).is_some_and(|rest| rest.starts_with(':'))
}

/// What two addresses of one repository have in common: host and path, without scheme, user, port
/// and the `.git` at the end, in lower case (the big hosts do not tell case apart).
pub(super) fn identity(url: &str) -> String {
    let url = split_helper(url).map_or(url, |(_, rest)| rest);
    let (host, path) = match split_scheme(url) {
        Some(("file", rest)) => ("", rest),
        Some((_, rest)) => {
            let rest = split_user(rest).1;
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (host.split(':').next().unwrap_or(host), before(path, &['?', '#']))
        }
        None => split_scp(url)
            .map_or(("", url), |(host, path)| (host.rsplit_once('@').map_or(host, |(_, host)| host), path)),
    };
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let path = if host.is_empty() { path } else { path.trim_start_matches('/') };
    format!("{host}/{path}").to_lowercase()
}

/// `helper::address`: git would run `git-remote-helper`.
fn split_helper(url: &str) -> Option<(&str, &str)> {
    let (helper, rest) = url.split_once("::")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'.');
    (!helper.is_empty() && helper.bytes().all(plain)).then_some((helper, rest))
}

fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    (!scheme.is_empty() && scheme_start(scheme) == 0).then_some((scheme, rest))
}

/// Where the scheme begins that `text` ends with.
fn scheme_start(text: &str) -> usize {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
    text.trim_end_matches(plain).len()
}

fn is_ssh(scheme: &str) -> bool {
    scheme.to_ascii_lowercase().split('+').any(|part| part == "ssh")
}

/// The user part, and what follows it.
///
/// It ends at the last `@` before the path. Where what stands before the path cannot be
/// `host:port`, a `/` of the password has cut it short, and it ends at the last `@` of all.
fn split_user(rest: &str) -> (Option<&str>, &str) {
    let authority = before(rest, &['/']);
    let at = authority.rfind('@').or_else(|| {
        let (host, port) = authority.rsplit_once(':').filter(|_| !is_ipv6(authority))?;
        let port = before(port, &['?', '#']);
        let odd_port = port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit());
        let odd_host = host.contains(':') && !is_ipv6(host);
        if odd_port || odd_host { rest.rfind('@') } else { None }
    });
    match at {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    }
}

/// Whether it is an address of IPv6 as a URL has it, in brackets. A password may have brackets too.
fn is_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

/// `[user@]host:path`: a colon, and no slash before it. One letter alone before it is a Windows drive.
fn split_scp(url: &str) -> Option<(&str, &str)> {
    let start = end_of_user(url).map_or(0, |at| at + 1);
    let colon = start + url[start..].find(':')?;
    let host = &url[start..colon];
    ((host.len() > 1 || start > 0) && !host.is_empty() && !host.contains(['/', '\\']))
        .then(|| (&url[..colon], &url[colon + 1..]))
}

/// The last `@` before the path, in an address without a scheme.
fn end_of_user(url: &str) -> Option<usize> {
    before(url, &['/', '\\']).rfind('@')
}

fn strip_scp(url: &str) -> String {
    let Some((user, host_and_path)) = end_of_user(url).map(|at| (&url[..at], &url[at + 1..])) else {
        return url.to_owned();
    };
    // The `@` stays when there is no name before it: without it the host could be an option or a helper.
    format!("{}@{host_and_path}", before(user, &[':']))
}

fn before<'a>(text: &'a str, ends: &[char]) -> &'a str {
    &text[..text.find(ends).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        for (url, stripped) in [
            ("https://github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://user:pw@github.com/a/b.git", "https://github.com/a/b.git"),
            ("https://ghp_token@github.com/a/b", "https://github.com/a/b"),
            ("https://user:p@ss@github.com/a/b", "https://github.com/a/b"),
            ("https://user:p/a#s?s@github.com/a/b", "https://github.com/a/b"),
            ("https://user:@github.com:8443/a", "https://github.com:8443/a"),
            ("HTTPS://user:pw@github.com/a", "HTTPS://github.com/a"),
            ("https://github.com:8443/@scope/b", "https://github.com:8443/@scope/b"),
            ("https://host/a?private_token=x", "https://host/a"),
            ("https://[::1]/a@b", "https://[::1]/a@b"),
            ("ssh://git@host:22/a/b", "ssh://git@host:22/a/b"),
            ("ssh://git:pw@host/a/b", "ssh://git@host/a/b"),
            ("git+ssh://git:pw@host/a", "git+ssh://git@host/a"),
            ("ssh://:pw@host/a", "ssh://host/a"),
            ("git@github.com:a/b.git", "git@github.com:a/b.git"),
            ("git:pw@github.com:a/b.git", "git@github.com:a/b.git"),
            ("github.com:a/b.git", "github.com:a/b.git"),
            ("/srv/git/a@b:c.git", "/srv/git/a@b:c.git"),
            ("../a@b", "../a@b"),
            ("C:\\code\\a@b", "C:\\code\\a@b"),
            ("file:///srv/git/a", "file:///srv/git/a"),
            ("codecommit::us-east-1://profile@repo", "codecommit::us-east-1://repo"),
            ("helper::https://user:pw@host/a", "helper::https://host/a"),
            ("https://:pw]/x@host/a", "https://host/a"),
            ("https://user:pw]:22/x@host/a", "https://host/a"),
            ("https://[user:pw]/x@host/a", "https://host/a"),
            ("https://[::1]/a/b@c", "https://[::1]/a/b@c"),
            ("https://[::1]:8443/a/b@c", "https://[::1]:8443/a/b@c"),
            ("git:pw@host:a/b@c", "git@host:a/b@c"),
            ("git:pw@host/a", "git@host/a"),
            ("@https://user:pw@host/a", "@https://host/a"),
            (" https://user:pw@host/a", " https://host/a"),
            ("git:pw@https://user:pw@host/a", "git@https://host/a"),
            ("git:pw@://host", "git@://host"),
            (":pw@ext::sh -c id", "@ext::sh -c id"),
            (":pw@-oProxyCommand=id:a", "@-oProxyCommand=id:a"),
            ("", ""),
        ] {
            assert_eq!(strip_credentials(url), stripped, "{url}");
        }
    }

    #[test]
    fn one_repository_has_one_identity() {
        for url in [
            "https://github.com/Owner/Repo",
            "https://github.com/owner/repo.git",
            "https://user:pw@github.com/owner/repo/",
            "https://github.com:443/owner/repo",
            "git@github.com:owner/repo.git",
            "github.com:/owner/repo",
            "ssh://git@github.com:22/owner/repo.git",
            "git://github.com/owner/repo.git/",
        ] {
            assert_eq!(identity(url), "github.com/owner/repo", "{url}");
        }
        assert_eq!(identity("/srv/a.git"), identity("file:///srv/a.git"));
        assert_ne!(identity("/srv/a"), identity("/srv/b"));
        assert_ne!(identity("https://github.com/a/b"), identity("https://gitlab.com/a/b"));
    }

    #[test]
    fn addresses_that_run_something_are_known() {
        for url in
            ["ext::sh -c id", "EXT::sh", "fd::3", "--upload-pack=id", " -oProxyCommand=id", "x::ext::id"]
        {
            assert!(runs_command(url), "{url}");
        }
        for url in ["https://h/a::b", "git@h:a", "codecommit::eu://r", "/a-b", "C:\\ext::"] {
            assert!(!runs_command(url), "{url}");
        }
    }

    #[test]
    fn helpers_of_helpers_do_not_exhaust_the_stack() {
        let url = "a::".repeat(300_000);
        assert_eq!(strip_credentials(&url), url);
        assert!(!runs_command(&url));
        assert!(runs_command(&format!("{url}ext::sh")));
    }

    #[test]
    fn git_clones_from_addresses_only() {
        for url in [
            "https://h/a.git",
            "HTTPS://h:8443/a",
            "ssh://git@h:22/a",
            "git@h:a/b.git",
            "host:a",
            "git://h/a",
            "file:///srv/a b",
            "/srv/git/a.git",
            "https://[::1]/a",
        ] {
            assert_eq!(refusal(url), None, "{url}");
        }
        for url in [
            "",
            "ext::sh -c id",
            " ext::sh -c id",
            "fd::3",
            "-u",
            "--upload-pack=id",
            "https://h/a\n",
            "https://h/a\u{1b}[31m",
            "https://h/\0",
            "codecommit::eu://r",
            "gcrypt::https://h/a",
            "s3://bucket/a",
            "ssh://-oProxyCommand=id/a",
            "ssh://git@-oProxyCommand=id/a",
            "-oProxyCommand=id:a",
            "git@-oProxyCommand=id:a",
            "../a",
            "a.git",
            "~/a",
            "C:\\a",
        ] {
            assert!(refusal(url).is_some(), "{url}");
        }
    }

    #[test]
    fn places_on_this_machine_are_known() {
        for url in ["/srv/a.git", "../a", "a", "file:///srv/a", "FILE:///a", "C:\\a", "C:/a", "~/a"] {
            assert!(is_local(url), "{url}");
        }
        for url in ["https://h/a", "git@h:a", "host:a", "ssh://h/a", "codecommit::eu://r", "git://h/a"] {
            assert!(!is_local(url), "{url}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_password_never_stays(
            scheme in "(https|http|ftp|ssh|git\\+ssh|HTTPS|weird)",
            user in "[a-z]{0,5}",
            password in "SECRET[a-z0-9:@/#?%-]{0,8}[a-z]",
            host in "[a-z]{2,8}\\.[a-z]{2,3}",
            path in "[a-z@/]{0,9}",
        ) {
            let stripped = strip_credentials(&format!("{scheme}://{user}:{password}@{host}/{path}"));
            prop_assert!(!stripped.contains("SECRET"), "{}", stripped);
            prop_assert_eq!(&strip_credentials(&stripped), &stripped);
        }

        #[test]
        fn anything_is_taken_apart_without_a_panic(url in ".{0,40}") {
            identity(&url);
            runs_command(&url);
            refusal(&url);
            strip_credentials(&url);
        }
    }
}
