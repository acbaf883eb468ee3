//! Instants. All of holdall's times are UTC and are written as RFC 3339 with milliseconds, the
//! form that Claude Code and Codex both write themselves.

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};

/// An instant in UTC.
pub type Time = DateTime<Utc>;

/// Reads RFC 3339, with any offset and any number of fraction digits.
pub fn parse(text: &str) -> Option<Time> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// Writes RFC 3339 with milliseconds and `Z`.
pub fn rfc3339(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An instant from milliseconds since 1970; `None` outside chrono's range.
pub fn from_millis(millis: i64) -> Option<Time> {
    Utc.timestamp_millis_opt(millis).single()
}

/// Cut to the millisecond, so that an instant survives being written and read.
pub fn to_millis(time: Time) -> Time {
    from_millis(time.timestamp_millis()).unwrap_or(time)
}
