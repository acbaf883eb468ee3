//! A session of the program in another place.

use super::*;
use crate::harness::Layout;

/// A machine, and a session on its way to it.
struct Way {
    env: Env,
    source: Head,
    paths: PathMap,
    options: WriteOptions,
    id: String,
    cwd: PathBuf,
}

impl Way {
    fn new(home: &Path) -> Self {
        let source = Head {
            harness: "gemini".into(),
            id: ID.into(),
            cwd: Some("/old/app".into()),
            created: time::parse("2026-11-20T11:08:11Z"),
            ..Head::default()
        };
        let mut paths = PathMap::none();
        paths.add("/old", "/new").expect("absolute");
        let (env, cwd) = (Env::isolated(home), PathBuf::from("/new/App.é"));
        Self { env, source, paths, options: WriteOptions::default(), id: ID.into(), cwd }
    }

    fn target(&self) -> Target<'_> {
        Target {
            env: &self.env,
            id: &self.id,
            cwd: &self.cwd,
            paths: &self.paths,
            source: &self.source,
            options: &self.options,
            existing: None,
            still_at: None,
        }
    }

    fn relocate(&self, path: &str, text: &str) -> String {
        let role = if path.contains("/chats/") { Role::Transcript } else { Role::Attachment };
        let meta = FileMeta { role, path: path.into(), size: text.len() as u64, modified: None, agent: None };
        let mut out = Vec::new();
        Gemini.relocate(&self.target(), &meta, Box::new(Cursor::new(text)), &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    }

    fn place(&self, files: &[FileMeta]) -> Result<Layout> {
        Gemini.place_native(&self.target(), files)
    }
}

const LOG: &str = "tmp/app/chats/session-2026-11-20T11-08-d5d96617.jsonl";

fn file(role: Role, path: &str) -> FileMeta {
    FileMeta { role, path: path.into(), size: 0, modified: None, agent: None }
}

#[test]
fn only_declared_fields_change() {
    let dir = tempfile::tempdir().expect("a directory");
    let way = Way::new(dir.path());
    let hash = super::super::projects::hash("/new/App.é");
    let message = r#"{"id":"a","type":"user","content":"/old/app \"projectHash\":\"x\"","n":26.0,"directories":["/old/app"]}"#;
    let set = r#"{"$set":{"directories":["/old/app","/old/lib","/x"],"messages":[{"id":"b","sessionId":"y","projectHash":"z"}]}}"#;
    let text =
        format!(r#"{{ "sessionId" : "{ID}" ,"projectHash":"x","directories":["/old/app/sub"],"z":1e3}}"#);
    let moved = way.relocate(LOG, &format!("{text}\n{message}\r\n{{broken\n{set}"));
    let expected = format!(
        "{{ \"sessionId\" : \"{ID}\" ,\"projectHash\":\"{hash}\",\"directories\":[\"/new/app/sub\"],\"z\":1e3}}\n{message}\r\n{{broken\n{}\n",
        set.replace(r#"["/old/app","/old/lib","/x"]"#, r#"["/new/App.é","/new/lib","/x"]"#)
    );
    assert_eq!(moved, expected);
    let output = "text of /old/app without line end";
    assert_eq!(way.relocate("tmp/app/tool-outputs/session-x/a.txt", output), output);
}

#[test]
fn a_copy_has_its_own_id() {
    let dir = tempfile::tempdir().expect("a directory");
    let way = Way { id: "other".into(), ..Way::new(dir.path()) };
    let text = format!(
        "{{\"sessionId\":\"{ID}\",\"projectHash\":\"x\"}}\n{{\"$set\":{{\"sessionId\":\"{ID}\"}}}}\n{{\"$set\":{{\"sessionId\":\"stays\"}}}}\n"
    );
    let moved = way.relocate(LOG, &text);
    assert!(
        !moved.contains(ID) && moved.matches("\"other\"").count() == 2 && moved.contains("stays"),
        "{moved}"
    );
}

#[test]
fn a_session_of_earlier_versions_becomes_a_line_of_a_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let way = Way::new(dir.path());
    let hash = super::super::projects::hash("/new/App.é");
    let path = "tmp/app/chats/session-2026-11-20T11-08-d5d96617.json";
    for hashed in ["  \"projectHash\": \"x\",\n", ""] {
        let text = format!(
            "{{\n  \"sessionId\": \"{ID}\",\n{hashed}  \"messages\": [\n{{\"id\":\"a\",\"type\":\"user\",\"content\":\"a\\nb\"}}\n]}}\n"
        );
        let moved = way.relocate(path, &text);
        assert_eq!(moved.matches('\n').count(), 1, "{moved}");
        let record: serde_json::Value = serde_json::from_str(&moved).expect("JSON");
        assert_eq!(record["projectHash"], hash.as_str());
        assert_eq!(Memory::transcript(moved).read(View::Full).0, "user: a\\nb\n");
    }
}

#[test]
fn what_is_no_session_any_more_keeps_every_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let way = Way::new(dir.path());
    let message = "{\"id\":\"a\",\"type\":\"user\",\"content\":\"a\"}\n";
    for text in [
        // The header is lost; whoever mends it needs the other lines as they are.
        format!("{{\"sessionId\":\"{ID}\",\"proj\n{message}{message}"),
        format!("{message}{message}"),
        "no JSON\nat all".to_owned(),
    ] {
        assert_eq!(way.relocate(LOG, &text), text);
    }
}

#[test]
fn every_file_goes_to_the_project_of_its_new_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let way = Way::new(dir.path());
    let agent = FileMeta {
        agent: Some(crate::model::Agent { id: "468e1356".into(), ..crate::model::Agent::default() }),
        ..file(Role::Subagent, &format!("tmp/app/chats/{ID}/468e1356.jsonl"))
    };
    let files = [
        file(Role::Attachment, &format!("tmp/app/tool-outputs/session-{ID}/run__1.txt")),
        agent,
        file(Role::Transcript, LOG),
        file(Role::Attachment, "tmp/app/tool-outputs/session-468e1356/x.txt"),
        file(Role::Attachment, &format!("tmp/app/{ID}/plans/deep/plan é.md")),
    ];
    let layout = way.place(&files).expect("places");
    let data = dir.path().join(".gemini");
    let below =
        |path: &Path| path.strip_prefix(&data).expect("in the store").to_str().expect("UTF-8").to_owned();
    let paths: Vec<String> = layout.files.iter().map(|file| below(&file.path)).collect();
    insta::assert_snapshot!(paths.join("\n"), @r"
    tmp/app-0443d1d7/chats/session-2026-11-20T11-08-d5d96617-e0da670a.jsonl
    tmp/app-0443d1d7/tool-outputs/session-d5d96617-6724-4228-ad6a-90e3e7b02999/run__1.txt
    tmp/app-0443d1d7/chats/d5d96617-6724-4228-ad6a-90e3e7b02999/468e1356.jsonl
    tmp/app-0443d1d7/tool-outputs/session-468e1356/x.txt
    tmp/app-0443d1d7/d5d96617-6724-4228-ad6a-90e3e7b02999/plans/deep/plan é.md
    ");
    // Only the session itself is in danger of being deleted for its age.
    let trailers: Vec<bool> = layout.files.iter().map(|file| !Gemini.trailer(file).is_empty()).collect();
    assert_eq!(trailers, [true, false, false, false, false]);
    let [marker] = layout.lines.as_slice() else { panic!("one marker: {:?}", layout.lines) };
    assert_eq!(
        (below(&marker.path).as_str(), marker.line.as_str()),
        ("tmp/app-0443d1d7/.project_root", "/new/App.é")
    );
    assert_eq!(marker.keep_while.as_deref(), layout.files[0].path.parent());
}

#[test]
fn no_path_of_an_archive_leads_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let way = Way::new(dir.path());
    for path in [
        "tmp/../x/chats/session-a.jsonl",
        "../tmp/app/chats/session-a.jsonl",
        "/tmp/app/chats/session-a.jsonl",
        "tmp/app/chats/session-a.txt",
        "settings.json",
        "projects.json",
    ] {
        assert!(way.place(&[file(Role::Transcript, path)]).is_err(), "{path}");
    }
    for path in [
        "tmp/app/tool-outputs/session-../x",
        "tmp/app/tool-outputs/session-other/x",
        &format!("tmp/app/tool-outputs/session-{ID}/.."),
        &format!("tmp/app/tool-outputs/session-{ID}/a\\b"),
        &format!("tmp/app/{ID}/plans/../../x"),
        &format!("tmp/app/{ID}/plans/.hidden"),
        &format!("tmp/app/{ID}/other/x"),
    ] {
        let files = [file(Role::Transcript, LOG), file(Role::Attachment, path)];
        assert!(way.place(&files).is_err(), "{path}");
    }
}

#[test]
fn the_project_that_is_there_is_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let way = Way::new(dir.path());
    let slug = |way: &Way| {
        let layout = way.place(&[file(Role::Transcript, LOG)]).expect("places");
        let project = layout.files[0].path.ancestors().nth(2).expect("a project").to_owned();
        project.file_name().expect("a name").to_str().expect("UTF-8").to_owned()
    };
    let unknown = slug(&way);
    assert!(unknown.starts_with("app-") && unknown.len() == 12, "{unknown}");
    // Another directory of the same name has another one.
    assert_ne!(slug(&Way { cwd: PathBuf::from("/elsewhere/App.é"), ..Way::new(dir.path()) }), unknown);
    let registry = |text: &str| lay(dir.path(), ".gemini/projects.json", text);
    registry(r#"{"projects":{"/new/App.é":"registered","/x":"y"}}"#);
    assert_eq!(slug(&way), "registered");
    // One slug that is none makes the program forget all of them.
    registry(r#"{"projects":{"/new/App.é":"registered","/x":"Bad_Slug"}}"#);
    assert_eq!(slug(&way), unknown);
    // Markers win.
    registry(r#"{"projects":{"/new/App.é":"registered"}}"#);
    lay(dir.path(), ".gemini/history/registered/.project_root", "/somebody/else\n");
    assert_eq!(slug(&way), unknown);
    lay(dir.path(), ".gemini/tmp/mine/.project_root", "/new/App.é\n");
    assert_eq!(slug(&way), "mine");
    fs::remove_dir_all(dir.path().join(".gemini/tmp/mine")).expect("removable");
    lay(dir.path(), &format!(".gemini/tmp/{unknown}/.project_root"), "/somebody/else");
    let other = slug(&way);
    assert!(other.starts_with(&unknown) && other.len() > unknown.len(), "{other}");
}
