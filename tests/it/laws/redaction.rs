//! Addresses of repositories keep no password.

use holdall::git::{strip_credentials, url};
use proptest::prelude::*;

use super::config;
use crate::fuzz::targets::git;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_password_is_in_no_form_of_an_address(
        form in 0..5_usize,
        scheme in "(https|http|ftp|ssh|git\\+ssh|HTTPS|weird)",
        helper in "[a-z]{0,4}",
        user in "[a-z]{0,5}",
        password in "SECRET[a-z0-9:@#?%!$-]{0,8}",
        host in "[a-z]{2,8}(\\.[a-z]{2,3})?",
        path in "[a-z]{1,4}(/[a-z@.]{1,5}){0,3}",
    ) {
        let address = match form {
            0 => format!("{scheme}://{user}:{password}@{host}/{path}"),
            1 => format!("{user}:{password}@{host}:{path}"),
            2 => format!("{user}:{password}@{host}/{path}"),
            3 => format!("{helper}::{scheme}://{user}:{password}@{host}/{path}"),
            _ => format!(" '{scheme}://{user}:{password}@{host}/{path}"),
        };
        let stripped = strip_credentials(&address);
        prop_assert!(!stripped.contains("SECRET"), "{} became {}", address, stripped);
        prop_assert!(stripped.contains(&host), "{} became {}", address, stripped);
    }

    #[test]
    fn redaction_is_idempotent_and_gives_no_address_teeth(address in "[a-z:@/\\\\?#. -]{0,30}|.{0,40}|(ext|fd|a|-o|https)?(::|:|@|://)[a-z@:/-]{0,20}") {
        git::check(&[b"\x01", address.as_bytes()].concat());
        prop_assert!(url::refusal(&address).is_some() || !url::runs_command(&address));
    }

    #[test]
    fn an_address_without_credentials_stays(
        form in 0..4_usize,
        host in "[a-z]{2,8}\\.[a-z]{2,3}",
        path in "[a-z]{1,4}(/[a-z.]{1,5}){0,3}",
    ) {
        let address = match form {
            0 => format!("https://{host}/{path}"),
            1 => format!("git@{host}:{path}"),
            2 => format!("ssh://git@{host}:22/{path}"),
            _ => format!("/{path}"),
        };
        prop_assert_eq!(strip_credentials(&address), address);
    }
}
