//! x
use crate::support::{
    cases, dialogue,
    programs::{Claude, Codex, Home},
};
#[test]
fn oracle() {
    for h in ["claude", "codex"] {
        for case in cases::of(h) {
            let dir = tempfile::tempdir().unwrap();
            let home = Home::at(dir.path().join("home"));
            case.unpack(home.dir());
            let cwd = home.dir().join("src/app");
            std::fs::create_dir_all(&cwd).unwrap();
            let t = std::time::Instant::now();
            let p = "What have we done so far?";
            let r = if h == "claude" {
                Claude::new(&home, &cwd).resume(&case.id, p)
            } else {
                Codex::new(&home, &cwd).resume(&case.id, p)
            };
            println!("== {h}/{} {:?}", case.case, t.elapsed());
            match r {
                Ok(b) => {
                    for i in dialogue::read(h, &b) {
                        println!("   {i}")
                    }
                }
                Err(e) => println!("   ERR {e}"),
            }
        }
    }
}
