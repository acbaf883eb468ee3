//! The JSON Schema of the manifest.

use schemars::schema_for;

use super::manifest::Manifest;

/// JSON Schema (draft 2020-12) of `manifest.json`, indented, with a line end.
pub fn schema() -> String {
    let schema = schema_for!(Manifest);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_tells_what_every_field_means() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        assert_eq!(schema["title"], "Manifest");
        let properties = schema["properties"].as_object().unwrap();
        for field in ["schema", "version", "tool", "created", "source", "sessions", "repos", "bundles"] {
            assert!(properties.contains_key(field), "{field}");
        }
        let session = &schema["$defs"]["Session"]["properties"];
        for field in ["harness", "id", "cwd", "files", "repo"] {
            assert!(session[field]["description"].is_string(), "{field}: {session}");
        }
        // Fields of a newer minor version must pass.
        assert!(schema.get("additionalProperties").is_none());
    }
}
