//! Makes a JSON record readable that a strict parser refuses for its text alone.
//!
//! Some harnesses cut text in the middle of a character: the record then has half of a surrogate
//! pair (`\ud83d`) or bytes that are no UTF-8. JavaScript reads both, `serde_json` neither. One
//! character must not cost a whole record.

use std::borrow::Cow;

/// `record` with U+FFFD in place of every lone surrogate and every byte that is no UTF-8; `None`
/// when it has neither, so that the record is broken for some other reason.
pub fn repair(record: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(record);
    let mut changed = matches!(text, Cow::Owned(_));
    let mut bytes = text.into_owned().into_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let escape = at + found;
        match unit(&bytes, escape) {
            Some(0xD800..=0xDBFF) if matches!(unit(&bytes, escape + 6), Some(0xDC00..=0xDFFF)) => {
                at = escape + 12
            }
            Some(0xD800..=0xDFFF) => {
                bytes[escape + 2..escape + 6].copy_from_slice(b"fffd");
                changed = true;
                at = escape + 6;
            }
            Some(_) => at = escape + 6,
            None => at = (escape + 2).min(bytes.len()),
        }
    }
    changed.then_some(bytes)
}

/// The UTF-16 code unit of the escape at `at`: `\u` and four hexadecimal digits.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(record: &[u8]) -> Option<String> {
        repair(record).map(|bytes| serde_json::from_slice(&bytes).expect("readable"))
    }

    #[test]
    fn lone_surrogates_and_stray_bytes_are_replaced() {
        assert_eq!(text(br#""a\ud83d b""#).as_deref(), Some("a\u{fffd} b"));
        assert_eq!(text(br#""\udc00\ud83d\ude00\ud83d""#).as_deref(), Some("\u{fffd}\u{1f600}\u{fffd}"));
        assert_eq!(text(b"\"\xff\\\\ud83d\"").as_deref(), Some("\u{fffd}\\ud83d"));
    }

    #[test]
    fn a_sound_record_is_left_alone() {
        assert_eq!(repair(r#""\ud83d\ude00 \\ud83d \u00e9 é""#.as_bytes()), None);
        assert_eq!(repair(b"{\"cut"), None);
        assert_eq!(repair(b"\\"), None);
    }
}
