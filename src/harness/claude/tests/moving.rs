//! The same session in another place: only what the format declares may change.

use serde_json::Value;

use super::*;

/// A machine to move to, with a working directory on it.
struct There {
    _dir: tempfile::TempDir,
    env: Env,
    cwd: PathBuf,
    paths: PathMap,
    options: WriteOptions,
}

impl There {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        let home = dir.path().canonicalize().expect("exists");
        let cwd = home.join("src/new place");
        fs::create_dir_all(&cwd).expect("temp dir");
        let mut paths = PathMap::none();
        paths.add("/home/dev", home.to_str().expect("Unicode")).expect("absolute");
        Self { _dir: dir, env: Env::isolated(home), cwd, paths, options: WriteOptions::default() }
    }

    fn target<'a>(&'a self, source: &'a Head, id: &'a str) -> Target<'a> {
        Target {
            env: &self.env,
            id,
            cwd: &self.cwd,
            paths: &self.paths,
            source,
            options: &self.options,
            existing: None,
            still_at: None,
        }
    }
}

/// The file's bytes in its new place.
fn relocated(target: &Target<'_>, payload: &dyn Payload, file: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let meta = &payload.files()[file];
    Claude.relocate(target, meta, payload.open(file).expect("opens"), &mut out).expect("relocates");
    out
}

fn original(payload: &dyn Payload, file: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut payload.open(file).expect("opens"), &mut bytes).expect("readable");
    bytes
}

/// Takes the declared fields out of a record, and checks their values.
fn strip(record: &mut Value, check: &dyn Fn(&str, &str)) {
    let take = |value: &mut Value, name: &str| {
        if let Some(Value::String(text)) = value.as_object_mut().and_then(|fields| fields.remove(name)) {
            check(name, &text);
        }
    };
    for name in ["cwd", "sessionId", "session_id", "relocatedCwd"] {
        take(record, name);
    }
    if record["toolUseResult"].is_object() {
        take(&mut record["toolUseResult"], "persistedOutputPath");
    }
    if record["backup"].is_object() {
        take(&mut record["backup"], "realParentDir");
    }
    if let Some(backups) = record.pointer_mut("/snapshot/trackedFileBackups").and_then(Value::as_object_mut) {
        for backup in backups.values_mut() {
            take(backup, "realParentDir");
        }
    }
}

#[test]
fn only_declared_fields_change() {
    let there = There::new();
    let new_cwd = there.cwd.to_str().expect("Unicode");
    let new_id = "11111111-2222-4333-8444-555555555555";
    for (home, id) in HOMES.iter().flat_map(|home| [(home, None), (home, Some(new_id))]) {
        let env = recorded(home);
        for found in sessions(&env) {
            let session = Claude.open(&env, &found).expect("opens");
            let target = there.target(&session.head, id.unwrap_or(&found.id));
            for (index, file) in session.payload.files().iter().enumerate() {
                let (old, new) =
                    (original(&*session.payload, index), relocated(&target, &*session.payload, index));
                if file.role == Role::Attachment {
                    assert_eq!(old, new);
                    continue;
                }
                let (old, new) =
                    (String::from_utf8(old).expect("UTF-8"), String::from_utf8(new).expect("UTF-8"));
                assert_eq!(old.lines().count(), new.lines().count());
                for (old, new) in old.lines().zip(new.lines()) {
                    let [mut before, mut after]: [Value; 2] =
                        [old, new].map(|line| serde_json::from_str(line).expect("JSON"));
                    strip(&mut before, &|_, _| {});
                    strip(&mut after, &|name, value| match name {
                        // A branch of another session holds records of that one.
                        "sessionId" | "session_id" => {
                            assert!(value == target.id || value != found.id, "{value}")
                        }
                        "persistedOutputPath" => {
                            assert!(Path::new(value).starts_with(there.env.home()), "{value}");
                            assert!(value.contains(&format!("/{}/tool-results/", target.id)), "{value}");
                        }
                        _ => assert_eq!(value, new_cwd),
                    });
                    assert_eq!(before, after);
                    assert_eq!(before.to_string(), after.to_string(), "the order of fields stays");
                }
            }
        }
    }
}

#[test]
fn bytes_stay_where_nothing_changes() {
    let there = There::new();
    let cwd = there.cwd.to_str().expect("Unicode");
    let odd = format!(
        "\u{feff}{{ \"cwd\" : {cwd:?} , \"n\":1.0e400}}\r\n\n{{broken\r\n[]\n\0\0{{\"cwd\":\"/elsewhere\",\"x\":\"\\ud800\"}}\nno end"
    );
    let payload = Memory::transcript(odd.clone());
    let head = Head { id: ID.to_owned(), cwd: Some(cwd.to_owned()), ..Head::default() };
    assert_eq!(relocated(&there.target(&head, ID), &payload, 0), odd.as_bytes());

    // And only the value itself where something does.
    let head = Head { id: ID.to_owned(), cwd: Some("/elsewhere".to_owned()), ..Head::default() };
    let expected = odd.replace("\"/elsewhere\"", &format!("{cwd:?}"));
    assert_eq!(relocated(&there.target(&head, ID), &payload, 0), expected.as_bytes());
}

#[test]
fn directories_below_follow_and_others_stay() {
    let mut there = There::new();
    there.paths.add("/old/vendored", "/lib").expect("absolute");
    let new = there.cwd.to_str().expect("Unicode").to_owned();
    let head = Head { id: ID.to_owned(), cwd: Some("/old".to_owned()), ..Head::default() };
    let moved = |cwd: &str| {
        let payload = Memory::transcript(format!("{{\"cwd\":{cwd:?}}}"));
        let bytes = relocated(&there.target(&head, ID), &payload, 0);
        let value: Value = serde_json::from_slice(&bytes).expect("JSON");
        value["cwd"].as_str().expect("text").to_owned()
    };
    assert_eq!(moved("/old"), new);
    assert_eq!(moved("/old/sub"), format!("{new}/sub"));
    assert_eq!(moved("/old/vendored/x"), "/lib/x");
    assert_eq!(moved("/older"), "/older");
}

#[test]
fn a_record_of_any_length_moves() {
    let there = There::new();
    let head = Head { id: ID.to_owned(), cwd: Some("/old".to_owned()), ..Head::default() };
    let fill = "/old \\\"cwd\\\":\\\"/old\\\" ".repeat(crate::harness::common::jsonl::HELD / 20);
    let output = format!("/home/.claude/projects/-old/{ID}/tool-results/x.txt");
    let rows = [
        format!(
            r#"{{"cwd":"/old","sessionId":"{ID}","message":{{"content":"{fill}","cwd":"/old"}},"uuid":"1"}}"#
        ),
        format!(
            r#"{{"message":"{fill}","toolUseResult":{{"stdout":"{fill}","persistedOutputPath":"{output}"}},"cwd":"/old/sub"}}"#
        ),
        format!(
            r#"{{"type":"file-history-snapshot","a":"{fill}","snapshot":{{"trackedFileBackups":{{"x":{{"realParentDir":"/old"}}}}}}}}"#
        ),
        // Torn, and no JSON: the program skips it too.
        format!(r#"{{"cwd":"/old","a":"{fill}"#),
    ];
    let text = rows.join("\n") + "\n{\"cwd\":\"/old\"}\n";
    let new = relocated(&there.target(&head, ID), &Memory::transcript(text.clone().into_bytes()), 0);
    let cwd = there.cwd.to_str().expect("Unicode");
    let data = there.env.home().join(".claude/projects");
    let folder = data.join(super::super::locate::project_name(&there.cwd).expect("Unicode"));
    let moved = folder.join(ID).join("tool-results/x.txt");
    let wanted = text
        .replace("{\"cwd\":\"/old\",\"sessionId", &format!("{{\"cwd\":\"{cwd}\",\"sessionId"))
        .replace("\"cwd\":\"/old/sub\"}", &format!("\"cwd\":\"{cwd}/sub\"}}"))
        .replace("\"realParentDir\":\"/old\"", &format!("\"realParentDir\":\"{cwd}\""))
        .replace(&output, moved.to_str().expect("Unicode"))
        .replace("\n{\"cwd\":\"/old\"}", &format!("\n{{\"cwd\":\"{cwd}\"}}"));
    assert!(new == wanted.as_bytes());
}

#[test]
fn files_go_to_the_directory_of_the_new_place() {
    let there = There::new();
    let env = recorded("v2.1.329-interactive");
    let found = sessions(&env).into_iter().find(|found| found.id.starts_with("9869aa15")).expect("recorded");
    let session = Claude.open(&env, &found).expect("opens");
    let copy = "11111111-2222-4333-8444-555555555555";
    let layout =
        Claude.place_native(&there.target(&session.head, copy), session.payload.files()).expect("places");
    let data = there.env.home().join(".claude");
    let project = super::super::locate::project_name(&there.cwd).expect("Unicode");
    let paths: Vec<String> = layout
        .files
        .iter()
        .map(|file| {
            let below = file.path.strip_prefix(&data).expect("in the store").to_str().expect("Unicode");
            below.replace(&project, "PROJECT").replace(copy, "ID")
        })
        .collect();
    assert_eq!(
        paths,
        [
            "projects/PROJECT/ID.jsonl",
            "projects/PROJECT/ID/custom-title.json",
            "projects/PROJECT/ID/subagents/agent-a5ad592100c3e53b1.jsonl",
            "projects/PROJECT/ID/subagents/agent-a5ad592100c3e53b1.meta.json",
            "file-history/ID/5a2bbe39bdaeb500@v2",
            "file-history/ID/81f8475c960d27d7@v1",
            "file-history/ID/81f8475c960d27d7@v2",
            "file-history/ID/81f8475c960d27d7@v3",
            "file-history/ID/81f8475c960d27d7@v4",
        ]
    );
    assert_eq!(layout.files[0].source, OutSource::Native(0));
    assert_eq!(layout.files[0].modified, None, "the program deletes transcripts with an old time");
    assert!(layout.files[4].modified.is_some());
}

#[test]
fn paths_of_no_known_form_are_refused() {
    let there = There::new();
    let head = Head { id: ID.to_owned(), ..Head::default() };
    let other = "11111111-2222-4333-8444-555555555555";
    for path in [
        "".to_owned(),
        format!("{ID}.jsonl"),
        format!("/projects/-p/{ID}.jsonl"),
        format!("projects/../{ID}.jsonl"),
        format!("projects/-p/../{ID}.jsonl"),
        format!("projects/-p\\..\\x/{ID}.jsonl"),
        format!("projects/NUL.x/{ID}.jsonl"),
        format!("projects/-p/{other}.jsonl"),
        "projects/-p/settings.jsonl".to_owned(),
        format!("projects/-p/{ID}/tool-results/.."),
        format!("projects/-p/{ID}/tool-results/a/b"),
        format!("projects/-p/{ID}/tool-results/.hidden"),
        format!("projects/-p/{ID}/subagents/../../x.jsonl"),
        format!("projects/-p/{ID}/resume-head.jsonl"),
        format!("tasks/{ID}/a:b"),
        "settings.json".to_owned(),
    ] {
        let role = if path.ends_with(&format!("/{ID}.jsonl")) { Role::Transcript } else { Role::Attachment };
        let file = FileMeta { role, path: path.clone(), size: 0, modified: None, agent: None };
        assert!(Claude.place_native(&there.target(&head, ID), &[file]).is_err(), "{path}");
    }
}
