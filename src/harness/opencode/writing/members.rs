//! An object of JSON with its members in their order and their values as they were spelled.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of the object `json`; none when it is no object.
    pub fn of(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// The value of a member that is there and not `null`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
        found.filter(|value| value.get() != "null")
    }

    /// The members of an object inside.
    pub fn inner(&self, name: &str) -> Self {
        self.get(name).map(|value| Self::of(value.get())).unwrap_or_default()
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

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                #[derive(serde::Deserialize)]
                struct Name<'n>(#[serde(borrow)] Cow<'n, str>);
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
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
        Members::default().write(&[], &mut none).expect("memory");
        assert_eq!(none, b"{}");
    }
}
