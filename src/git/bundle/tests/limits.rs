//! Work that is too large is refused before a byte of it is read.

use std::time::{Duration, Instant};

use super::*;

fn sparse(path: &Path, size: u64) {
    let file = fs::File::create_new(path).unwrap();
    file.set_len(size).unwrap();
}

#[test]
fn a_gigabyte_is_refused_at_once_and_said_how_to_go_on() {
    let world = World::new();
    let root = world.root();
    sparse(&root.join("big.img"), 1 << 30);
    sparse(&root.join("src/second.rs.bin"), 3 << 20);
    // A tracked file that has grown.
    let main = fs::OpenOptions::new().write(true).open(root.join("src/main.rs")).unwrap();
    main.set_len(1 << 30).unwrap();
    world.put("small.txt", "small");
    let (mut bytes, begun) = (Vec::new(), Instant::now());
    let error = write(&root, &["one"], &PARTLY, &mut bytes).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((error.kind(), bytes.len()), (Kind::Conflict, 0));
    let text = error.to_string();
    let expected = format!(
        "the uncommitted work in {}/ has 2 GiB in 4 files, and the limit is 100 MiB; the largest: big.img (1 GiB), \
         src/main.rs (1 GiB), src/second.rs.bin (3 MiB), small.txt (5 bytes)",
        root.display()
    );
    assert_eq!(text, expected);
    let hints = error.hints().join("\n");
    for advice in [".gitignore", "commit", "`--max-work 3G`", "`--git meta`"] {
        assert!(hints.contains(advice), "{hints}");
    }
}

#[test]
fn ignored_files_do_not_count_and_the_limit_can_be_moved() {
    let world = World::new();
    let root = world.root();
    sparse(&root.join("big.log"), 64 << 20);
    sparse(&root.join("new.bin"), 2 << 20);
    let limit = |max_work| Options { full: false, max_work };
    assert!(write(&root, &["one"], &limit((2 << 20) - 1), &mut Vec::new()).is_err());
    assert!(world.bundle(&limit(2 << 20)).carried.work.is_some());
    // Without work there is nothing to limit.
    fs::remove_file(root.join("new.bin")).unwrap();
    assert_eq!(world.bundle(&limit(0)).carried.commits, 1);
}

#[test]
fn what_is_staged_counts() {
    let world = World::new();
    let root = world.root();
    sparse(&root.join("staged.bin"), 3 << 20);
    world.git(&["add", "staged.bin"]);
    fs::remove_file(root.join("staged.bin")).unwrap();
    let error =
        write(&root, &["one"], &Options { full: false, max_work: 1 << 20 }, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("has 3 MiB in 1 file,"), "{error}");
}

/// Takes so many bytes, then none.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("no room"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_says_so() {
    let world = World::new();
    let length = world.bundle(&PARTLY).bytes.len();
    for room in [0, 100, length - 1] {
        let error = write(&world.root(), &["one"], &PARTLY, &mut Full(room)).unwrap_err();
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.to_string().contains("no room"), "{error}");
    }
}

/// Not a limit of size but of time: work grows with the files, not with their square.
#[test]
fn many_files_take_their_time_and_no_more() {
    let world = World::new();
    for number in 0..4_000 {
        world.put(&format!("many/{}/{number}.txt", number % 40), &number.to_string());
    }
    let begun = Instant::now();
    let carried = world.bundle(&PARTLY).carried;
    assert!(carried.work.is_some());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
