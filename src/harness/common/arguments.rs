//! The arguments of tool calls, on their way from one harness to another.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::tool::ToolName;

/// The arguments of a call under the names of another table's row, all others as they are. `None`
/// when they are no object, or two would get the same name.
pub fn rename(arguments: &str, from: &ToolName, to: &ToolName) -> Option<String> {
    let Members(members) = serde_json::from_str(arguments).ok()?;
    let mut names: Vec<&str> = Vec::with_capacity(members.len());
    let mut is_same = true;
    let mut json = String::with_capacity(arguments.len() + 16);
    for (native, value) in &members {
        let canonical =
            from.arguments.iter().find(|(name, _)| name == native).map(|(_, canonical)| canonical);
        let own = canonical.and_then(|canonical| to.arguments.iter().find(|(_, other)| other == canonical));
        let name = own.map_or(&**native, |(name, _)| name);
        if names.contains(&name) {
            return None;
        }
        json.push(if names.is_empty() { '{' } else { ',' });
        json.push_str(&serde_json::to_string(name).ok()?);
        json.push(':');
        json.push_str(value.get());
        names.push(name);
        is_same &= own.is_none_or(|(own, _)| own == native);
    }
    if is_same {
        return Some(arguments.to_owned());
    }
    json.push('}');
    Some(json)
}

/// The arguments as an object in one line, and whether they had to be put into one.
pub fn object(json: &str) -> (String, bool) {
    match serde_json::from_str::<&RawValue>(json) {
        // In valid JSON, line ends stand only between values: inside texts they are escaped.
        Ok(raw) => {
            let line = raw.get().replace(['\n', '\r'], " ");
            if line.starts_with('{') { (line, false) } else { (format!("{{\"input\":{line}}}"), true) }
        }
        Err(_) => (format!("{{\"input\":{}}}", serde_json::Value::from(json)), true),
    }
}

/// The members of an object in their order.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ToolKind;

    #[test]
    fn arguments_become_an_object_in_one_line() {
        assert_eq!(object("{\n\"a\":1}"), ("{ \"a\":1}".to_owned(), false));
        assert_eq!(object("[1]"), ("{\"input\":[1]}".to_owned(), true));
        assert_eq!(object("no \"json\""), ("{\"input\":\"no \\\"json\\\"\"}".to_owned(), true));
    }

    #[test]
    fn arguments_are_renamed_and_the_others_stay_as_they_are() {
        const fn row(argument: &'static [(&'static str, &'static str)]) -> ToolName {
            ToolName { native: "shell", kind: ToolKind::Shell, arguments: argument }
        }
        let (bash, own) = (row(&[("command", "command")]), &row(&[("cmd", "command")]));
        let arguments = r#"{"command" : "a\/b", "timeout":1e3, "x":[ 1 ]}"#;
        assert_eq!(
            rename(arguments, &bash, own).as_deref(),
            Some(r#"{"cmd":"a\/b","timeout":1e3,"x":[ 1 ]}"#)
        );
        assert_eq!(rename(r#"{"command":"a","cmd":"b"}"#, &bash, own), None);
        assert_eq!(rename("{}", &bash, own).as_deref(), Some("{}"));
        assert_eq!(rename("[]", &bash, own), None);
    }
}
