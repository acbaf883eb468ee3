//! A file of the user's that appears whole or not at all: the archive.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use super::disk;
use crate::error::{Error, IoContext, Kind, Result};

/// Writes a file, mode 0600, under the name `path` once it is complete and durable. `force`
/// replaces a file of that name.
///
/// On Linux the file has no name while it is written, so a kill leaves nothing behind, but for one
/// between the two steps of a replacement. What an earlier run left in the directory is removed.
///
/// # Errors
/// [`Kind::Conflict`] when there is something at `path` that must not be replaced; what `render`
/// returns; [`Kind::Io`] when the disk refuses. There is no new file then, and what was at `path`
/// is still there, or with `force` its complete replacement.
pub fn export_file(
    path: &Path,
    force: bool,
    render: &mut dyn FnMut(&mut (dyn Write + Send)) -> Result<()>,
) -> Result<()> {
    check(path, force)?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    sweep(dir);
    let written = match disk::create_unnamed(dir) {
        Ok(file) => write(&file, path, render).and_then(|()| give_name(&file, dir, path, force)),
        Err(error) if disk::not_supported(&error) => write_named(dir, path, force, render),
        Err(error) => Err(error).at("write", path),
    };
    written.map_err(|error| disk::advise(error, "no file was written"))?;
    disk::sync_dir(dir).map_err(|error| {
        if force {
            let state = format!(
                "{} is the new file, but it is not sure that it still is when the machine fails now",
                path.display()
            );
            return if disk::is_full(&error) { disk::advise(error, &state) } else { error.hint(state) };
        }
        let _ = disk::remove(path);
        disk::advise(error, "no file was written")
    })
}

fn check(path: &Path, force: bool) -> Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at("look at", path),
        Ok(meta) if !meta.is_file() && !meta.is_symlink() => {
            Err(Error::new(Kind::Conflict, format!("{} is no regular file", path.display()))
                .hint("`-o -` writes to standard output"))
        }
        Ok(_) if !force => Err(exists(path)),
        Ok(_) => Ok(()),
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Kind::Conflict, format!("{} exists already", path.display())).hint("--force replaces it")
}

fn write(
    file: &File,
    path: &Path,
    render: &mut dyn FnMut(&mut (dyn Write + Send)) -> Result<()>,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, file);
    render(&mut out)?;
    out.flush().and_then(|()| file.sync_all()).at("write", path)
}

fn give_name(file: &File, dir: &Path, path: &Path, force: bool) -> Result<()> {
    match disk::name(file, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && force => {
            // A file without a name can only get a free one.
            let temp = dir.join(temp_name());
            file.lock().at("lock", path)?;
            disk::name(file, &temp).at("write", path)?;
            disk::rename_over(&temp, path).at("replace", path).inspect_err(|_| {
                let _ = disk::remove(&temp);
            })
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
        done => done.at("write", path),
    }
}

const TEMP_END: &str = ".tmp";

/// A name for a file that has no other yet. Whoever writes it holds its lock.
fn temp_name() -> String {
    format!("{}{}{TEMP_END}", disk::OUR_NAMES, uuid::Uuid::new_v4())
}

fn is_temp_name(name: &str) -> bool {
    let middle = name.strip_prefix(disk::OUR_NAMES).and_then(|rest| rest.strip_suffix(TEMP_END));
    middle.is_some_and(|middle| uuid::Uuid::try_parse(middle).is_ok())
}

/// Removes what runs left that were killed: nobody holds its lock. What cannot be removed is in
/// nobody's way.
fn sweep(dir: &Path) {
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_temp_name)
            && let Ok(file) = disk::open(&entry.path())
            && file.try_lock().is_ok()
        {
            let _ = disk::remove(&entry.path());
        }
    }
}

/// For file systems and systems that know no file without a name.
fn write_named(
    dir: &Path,
    path: &Path,
    force: bool,
    render: &mut dyn FnMut(&mut (dyn Write + Send)) -> Result<()>,
) -> Result<()> {
    let temp =
        tempfile::Builder::new().prefix(&temp_name()).rand_bytes(0).tempfile_in(dir).at("write", path)?;
    temp.as_file().lock().at("lock", path)?;
    write(temp.as_file(), path, render)?;
    let named = if force { temp.persist(path) } else { temp.persist_noclobber(path) };
    match named.map_err(|refused| refused.error) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
        named => named.map(|_| ()).at("write", path),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Tests play the user.
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn text(text: &'static str) -> impl FnMut(&mut (dyn Write + Send)) -> Result<()> {
        move |out| out.write_all(text.as_bytes()).map_err(|error| Error::io("write", Path::new("out"), error))
    }

    #[test]
    fn writes_a_private_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.gz");
        export_file(&path, false, &mut text("one")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(names(dir.path()), ["a.tar.gz"]);
        #[cfg(unix)]
        assert_eq!(disk::mode(&path.metadata().unwrap()), 0o600);
    }

    #[test]
    fn replaces_only_with_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar.gz");
        export_file(&path, true, &mut text("one")).unwrap();
        let error = export_file(&path, false, &mut text("two")).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        export_file(&path, true, &mut text("two")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(dir.path()), ["a.tar.gz"]);
    }

    #[test]
    fn a_file_that_appears_meanwhile_stays() {
        for named in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.tar.gz");
            let mut render = |out: &mut (dyn Write + Send)| {
                std::fs::write(&path, "theirs").unwrap();
                text("ours")(out)
            };
            let error = if named {
                write_named(dir.path(), &path, false, &mut render).unwrap_err()
            } else {
                export_file(&path, false, &mut render).unwrap_err()
            };
            assert_eq!(error.kind(), Kind::Conflict);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
            assert_eq!(names(dir.path()), ["a.tar.gz"]);
        }
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        for named in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.tar.gz");
            std::fs::write(&path, "old").unwrap();
            let mut render = |out: &mut (dyn Write + Send)| {
                text("half")(out)?;
                Err(Error::archive("a session changed"))
            };
            let error = if named {
                write_named(dir.path(), &path, true, &mut render).unwrap_err()
            } else {
                export_file(&path, true, &mut render).unwrap_err()
            };
            assert_eq!(error.kind(), Kind::Archive);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
            assert_eq!(names(dir.path()), ["a.tar.gz"]);
        }
    }

    #[test]
    fn what_a_killed_run_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (left, held) = (temp_name(), temp_name());
        let others = [".holdall-A-0.tmp", ".holdall-lock", ".holdall-mine.tmp", "a.tmp"];
        for name in [&left, &held].into_iter().map(String::as_str).chain(others) {
            std::fs::write(at(name), "half").unwrap();
        }
        let holder = File::open(at(&held)).unwrap();
        holder.lock().unwrap();
        export_file(&at("a.tar.gz"), false, &mut text("one")).unwrap();
        let mut expected: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
        expected.extend([held, "a.tar.gz".to_owned()]);
        expected.sort();
        assert_eq!(names(dir.path()), expected);
    }

    #[test]
    fn a_device_or_directory_is_never_replaced() {
        let error = export_file(Path::new("/dev/null"), true, &mut text("x")).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(export_file(dir.path(), true, &mut text("x")).unwrap_err().kind(), Kind::Conflict);
    }
}
