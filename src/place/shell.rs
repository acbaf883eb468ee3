//! Words as a shell takes them: what is said to the user is pasted sometime.

use std::borrow::Cow;

/// The word for a POSIX shell: in quotes when it has anything that a shell, or its history, would
/// take for something else. Control characters stay; whoever writes it to a terminal escapes them.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        for plain in ["/home/me/a-b_c", "ses_1", "--cwd-map", "OLD=NEW", "a@b:c"] {
            assert_eq!(quoted(plain), plain);
        }
        for (word, said) in [
            ("", "''"),
            ("/a b", "'/a b'"),
            ("it's $(x)", r"'it'\''s $(x)'"),
            ("~root", "'~root'"),
            ("`x`", "'`x`'"),
            ("a;b", "'a;b'"),
            ("!x", "'!x'"),
        ] {
            assert_eq!(quoted(word), said);
        }
    }
}
