//! What is asked of the members of a record, whose values stay as they were spelled.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::value::RawValue;

pub use crate::harness::common::arguments::Members;

impl<'a> Members<'a> {
    /// The members of the object `json`; none when it is no object.
    pub fn of(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|_| Self(Vec::new()))
    }

    /// The value of a member that is there and not `null`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
        found.filter(|value| value.get() != "null")
    }

    /// The members of an object inside.
    pub fn inner(&self, name: &str) -> Self {
        self.get(name).map_or_else(|| Self(Vec::new()), |value| Self::of(value.get()))
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        #[derive(serde::Deserialize)]
        struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
        serde_json::from_str::<Text<'a>>(self.get(name)?.get()).ok().map(|text| text.0)
    }

    /// An integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        let value = self.get(name)?.get();
        // The program's own numbers come from JavaScript: 3.0 is an integer.
        value.parse().ok().or_else(|| value.parse::<f64>().ok().map(|value| value as i64))
    }

    /// Writes the members as an object, but for those named in `without`.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn write(&self, without: &[&str], out: &mut impl Write) -> io::Result<()> {
        let mut separator = "{";
        for (name, value) in self.0.iter().filter(|(name, _)| !without.contains(&&**name)) {
            out.write_all(separator.as_bytes())?;
            serde_json::to_writer(&mut *out, name)?;
            out.write_all(b":")?;
            out.write_all(value.get().as_bytes())?;
            separator = ",";
        }
        out.write_all(if separator == "{" { b"{}" } else { b"}" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_as_they_were() {
        let json = r#"{"b":1.0e400,"a":"\u00e9","id":"x","n":3.0,"z":null}"#;
        let members = Members::of(json);
        let mut out = Vec::new();
        members.write(&["id"], &mut out).expect("memory");
        assert_eq!(String::from_utf8_lossy(&out), r#"{"b":1.0e400,"a":"\u00e9","n":3.0,"z":null}"#);
        assert_eq!(members.text("a").as_deref(), Some("é"));
        assert_eq!(members.integer("n"), Some(3));
        assert!(members.get("z").is_none() && Members::of("[]").0.is_empty());
        let mut none = Vec::new();
        Members(Vec::new()).write(&[], &mut none).expect("memory");
        assert_eq!(none, b"{}");
    }
}
