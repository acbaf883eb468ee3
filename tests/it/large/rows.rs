//! Records of a database, and of files that a harness exports, that are too long to be carried: they
//! are refused in plain words before they are read, and nothing else is.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use super::{MOST, World, forge, scaled};
use crate::support::cases;

/// A recorded session of opencode in a home, and its id.
fn store() -> (World, String) {
    let world = World::new("opencode");
    let home = world.path("from");
    fs::create_dir_all(&home).unwrap();
    let case = cases::of("opencode").into_iter().find(|case| case.case == "chat").unwrap();
    case.unpack(&home);
    (world, case.id)
}

#[test]
fn a_value_longer_than_the_memory_of_opencode() {
    let (mut world, id) = store();
    let length = scaled(100 << 20, 512 << 20);
    let database = world.path("from").join(".local/share/opencode/opencode.db");
    let rows = Connection::open(&database).unwrap();
    let sql = "UPDATE part SET data = json_object('type', 'text', 'text', replace(hex(zeroblob(?1)), '00', 'x x ')) \
        WHERE id = (SELECT id FROM part WHERE session_id = ?2 ORDER BY id LIMIT 1)";
    assert_eq!(rows.execute(sql, (i64::try_from(length / 4).unwrap(), &id)).unwrap(), 1);
    drop(rows);
    let archive = world.path("a.tar.gz");
    assert!(world.done("from", &["--json", "list", "--all"]).contains(&id));
    for args in [
        &["show", &id][..],
        &["export", &id, "-o", archive.to_str().unwrap()],
        &["convert", &id, "--to", "codex"],
    ] {
        let told = world.refused("from", args);
        assert!(told.contains("MiB; the longest that can be carried has 96 MiB"), "{args:?}: {told}");
    }
    world.run("from", &["list", "--all", "--query", "nowhere"], MOST);
    world.run("from", &["doctor"], MOST);
}

#[test]
fn an_exported_message_longer_than_the_memory() {
    let (mut world, id) = store();
    let info: Value = serde_json::json!({
        "id": id, "projectID": "global", "directory": "/odd/place", "title": "long", "version": "1.18.0",
        "slug": "long", "time": {"created": 1_772_600_000_000_u64, "updated": 1_772_600_000_000_u64},
    });
    let path = world.path("long.json");
    let file = fs::File::create(&path).unwrap();
    let begin = format!(
        "{{\"info\":{info},\"messages\":[{{\"info\":{{\"id\":\"msg_1\",\"role\":\"user\"}},\"parts\":[{{\"id\":\"prt_1\",\"type\":\"text\",\"text\":\""
    );
    forge::filler(&file, &begin, scaled(100 << 20, 512 << 20));
    std::io::Write::write_all(&mut &file, b"\"}]}]}").unwrap();
    let told = world.refused("from", &["show", path.to_str().unwrap()]);
    assert!(told.contains("MiB; the longest that can be carried has 96 MiB"), "{told}");
}
