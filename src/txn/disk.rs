//! The few things that holdall does to a disk, each in one function. Nothing else in the crate
//! calls them, and no function here decides anything.

#![allow(clippy::disallowed_methods)] // The module that the ban points to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Error, IoContext, Kind, Result};

/// Up to this many files and directories are synced one by one; for more, one sync of the whole
/// file system is cheaper.
const FEW: usize = 32;

/// What the names of our own files begin with that are beside those of a harness.
pub(super) const OUR_NAMES: &str = ".holdall-";

/// What is at a path, the last component not followed.
pub(super) enum Found {
    Nothing,
    File(Metadata),
    /// Something that holdall never replaces: a symbolic link, a directory, a device.
    Other(&'static str),
}

/// Looks at a path without following a link in its last component.
pub(super) fn look(path: &Path) -> Result<Found> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => Ok(Found::File(meta)),
        Ok(meta) if meta.is_symlink() => Ok(Found::Other("a symbolic link")),
        Ok(meta) if meta.is_dir() => Ok(Found::Other("a directory")),
        Ok(_) => Ok(Found::Other("no regular file")),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Found::Nothing)
        }
        Err(error) => Err(error).at("look at", path),
    }
}

/// Whether anything has this name.
pub(super) fn exists(path: &Path) -> Result<bool> {
    Ok(!matches!(look(path)?, Found::Nothing))
}

/// What is known of what has this name, links followed; `None`: nothing has it.
fn known(path: &Path) -> Result<Option<Metadata>> {
    match path.metadata() {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).at("look at", path),
    }
}

/// Whether there is something, or it cannot be told.
pub(super) fn may_exist(path: &Path) -> bool {
    !matches!(known(path), Ok(None))
}

/// Whether there is a directory, or a link to one.
pub(super) fn is_dir(path: &Path) -> Result<bool> {
    Ok(known(path)?.is_some_and(|meta| meta.is_dir()))
}

/// Whether there is a regular file, or a link to one.
pub(super) fn is_file(path: &Path) -> Result<bool> {
    Ok(known(path)?.is_some_and(|meta| meta.is_file()))
}

/// The error for a target that is no regular file.
pub(super) fn not_a_file(path: &Path, what: &str) -> Error {
    Error::new(Kind::Conflict, format!("{} is {what}; holdall only changes regular files", path.display()))
}

/// Opens a new file for writing, mode 0600. It must not exist.
pub(super) fn create(path: &Path) -> io::Result<File> {
    private().write(true).create_new(true).open(path)
}

/// Opens a new file in `dir` for writing, mode 0600, that has no name until [`name`] gives it one.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn create_unnamed(dir: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    if !Path::new("/proc/self/fd").exists() {
        return Err(ErrorKind::Unsupported.into()); // Nothing to name it by.
    }
    match open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        // Kernels and file systems that do not know the flag see a directory opened for writing.
        Err(rustix::io::Errno::ISDIR) => Err(ErrorKind::Unsupported.into()),
        opened => Ok(File::from(opened?)),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn create_unnamed(_dir: &Path) -> io::Result<File> {
    Err(ErrorKind::Unsupported.into())
}

/// Gives a file from [`create_unnamed`] a name, which must be free.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn name(file: &File, name: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let handle = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(rustix::fs::CWD, handle, rustix::fs::CWD, name, rustix::fs::AtFlags::SYMLINK_FOLLOW)
        .map_err(io::Error::from)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn name(_file: &File, _name: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Opens a file of ours for writing from its beginning, mode 0600 if it is made now.
pub(super) fn create_or_empty(path: &Path) -> io::Result<File> {
    private().write(true).create(true).truncate(true).open(path)
}

/// Opens a file to read it and append to it; made with mode 0600 when missing.
pub(super) fn open_append(path: &Path) -> io::Result<File> {
    private().read(true).append(true).create(true).open(path)
}

/// Opens a regular file for reading; a symbolic link is refused.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    no_follow(&mut options);
    options.open(path)
}

/// Opens a lock file; made with mode 0600 when missing.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    private().read(true).write(true).create(true).truncate(false).open(path)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    no_follow(&mut options);
    options
}

fn no_follow(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        let flag = rustix::fs::OFlags::NOFOLLOW.bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flag.cast_signed());
    }
    #[cfg(not(unix))]
    let _ = options;
}

/// Makes one directory, mode 0700. `false`: it was there.
pub(super) fn make_dir(path: &Path) -> io::Result<bool> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is any file in a directory, or in one below it, that is not ours. A directory that is
/// not there holds nothing; one that cannot be read may hold something.
pub(super) fn holds_something(dir: &Path) -> bool {
    let counts = |entry: std::fs::DirEntry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(OUR_NAMES.as_bytes());
        if is_dir { holds_something(&entry.path()) } else { !is_ours }
    };
    match dir.read_dir() {
        Ok(mut entries) => entries.any(|entry| entry.map_or(true, counts)),
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// The directories above `path` that do not exist, the uppermost first.
pub(super) fn missing_parents(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> =
        path.ancestors().skip(1).take_while(|dir| !may_exist(dir)).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Makes `path` and all that is missing above it. `made` gets what it made, the uppermost first,
/// also when it fails half-way.
pub(super) fn make_dirs(path: &Path, made: &mut impl Extend<PathBuf>) -> Result<()> {
    for dir in missing_parents(&path.join("x")) {
        if make_dir(&dir).at("make the directory", &dir)? {
            made.extend([dir]);
        }
    }
    Ok(())
}

/// Gives `from` the name `to`, which must be free (`AlreadyExists` otherwise).
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_exclusive(from, to) {
        Err(error) if not_supported(&error) => {}
        done => return done,
    }
    match std::fs::hard_link(from, to) {
        Err(error) if not_supported(&error) => {}
        Ok(()) => return std::fs::remove_file(from),
        Err(error) => return Err(error),
    }
    // A file system with neither, such as FAT: what is left is to look first.
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

/// Gives the directory `from` the name `to`, which must be free (`AlreadyExists` otherwise).
pub(super) fn rename_folder(from: &Path, to: &Path) -> io::Result<()> {
    match rename_exclusive(from, to) {
        Err(error) if not_supported(&error) => {}
        done => return done,
    }
    if to.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_exclusive(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_exclusive(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Whether the file system (and not the state of the file) is the reason: NFS answers EINVAL to a
/// rename with flags, FAT answers EPERM to a hard link.
pub(super) fn not_supported(error: &io::Error) -> bool {
    use ErrorKind::{InvalidInput, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | TooManyLinks | Unsupported)
}

/// Gives `from` the name `to`; what had that name is gone.
pub(super) fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Gives the file a second name, which must be free.
pub(super) fn link(file: &Path, name: &Path) -> io::Result<()> {
    std::fs::hard_link(file, name)
}

/// Whether both names are of one file.
pub(super) fn same_file(a: &Metadata, b: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        a.dev() == b.dev() && a.ino() == b.ino()
    }
    #[cfg(not(unix))]
    {
        let _ = (a, b);
        false
    }
}

/// Removes a file. `false`: it was not there.
pub(super) fn remove(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error).at("remove", path),
    }
}

/// Removes a directory if it is there and empty.
pub(super) fn remove_if_empty(path: &Path) -> bool {
    std::fs::remove_dir(path).is_ok()
}

/// Removes a directory of holdall's own with all that is in it.
pub(super) fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

/// Sets the modification time, in nanoseconds since 1970.
pub(super) fn set_modified(file: &File, nanos: i64) -> io::Result<()> {
    let offset = Duration::from_nanos(nanos.unsigned_abs());
    let base = SystemTime::UNIX_EPOCH;
    let time = if nanos < 0 { base.checked_sub(offset) } else { base.checked_add(offset) };
    match time {
        Some(time) => file.set_times(FileTimes::new().set_modified(time)),
        None => Err(ErrorKind::InvalidInput.into()),
    }
}

/// The modification time, in nanoseconds since 1970 (0 where the system keeps none).
pub(super) fn modified(meta: &Metadata) -> i64 {
    let Ok(time) = meta.modified() else { return 0 };
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

/// The permission bits (0 where the system has none).
pub(super) fn mode(meta: &Metadata) -> u32 {
    #[cfg(unix)]
    {
        std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777
    }
    #[cfg(not(unix))]
    {
        let _ = meta;
        0
    }
}

/// Sets the permission bits of a directory, as [`mode`] gave them.
pub(super) fn set_mode_of_dir(dir: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (dir, mode);
        Ok(())
    }
}

/// Sets the permission bits, as [`mode`] gave them.
pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, mode);
        Ok(())
    }
}

/// Says that `length` bytes of a file are not needed in memory: pages that are on the disk go, and the
/// others begin to be written. Elsewhere than on Linux nothing happens.
pub(super) fn release(file: &File, from: u64, length: u64) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(length) = std::num::NonZeroU64::new(length) {
        // Advice; a file system that does not take it has nothing to gain.
        let _ = rustix::fs::fadvise(file, from, Some(length), rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (file, from, length);
}

/// Makes a directory's names durable.
pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(()); // Windows has no handle to sync a directory by.
    }
    match File::open(dir).and_then(|file| file.sync_all()) {
        // Some network file systems cannot sync a directory, and keep no names back either.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        // It was made and removed again within this import.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.at("sync", dir),
    }
}

/// Makes the bytes of these files and the names in these directories durable.
pub(super) fn sync_all(files: &[PathBuf], dirs: &BTreeSet<PathBuf>) -> Result<()> {
    if files.len() + dirs.len() > FEW && sync_file_systems(files, dirs)? {
        return Ok(());
    }
    for file in files {
        // Windows only syncs what may be written.
        let handle = OpenOptions::new().read(true).write(cfg!(windows)).open(file);
        handle.and_then(|handle| handle.sync_all()).at("sync", file)?;
    }
    dirs.iter().try_for_each(|dir| sync_dir(dir))
}

/// Syncs each file system once. `false`: this operating system cannot.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_file_systems(files: &[PathBuf], dirs: &BTreeSet<PathBuf>) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parents = files.iter().filter_map(|file| file.parent()).collect::<BTreeSet<_>>();
    let mut systems = BTreeMap::new();
    for dir in dirs.iter().map(PathBuf::as_path).chain(parents) {
        match dir.metadata() {
            Ok(meta) => systems.entry(meta.dev()).or_insert(dir),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).at("look at", dir),
        };
    }
    for dir in systems.into_values() {
        let handle = File::open(dir).at("open", dir)?;
        rustix::fs::syncfs(handle).map_err(io::Error::from).at("sync the file system of", dir)?;
    }
    Ok(true)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_file_systems(_files: &[PathBuf], _dirs: &BTreeSet<PathBuf>) -> Result<bool> {
    Ok(false)
}

/// Whether the disk (or the user's share of it) is full.
pub(super) fn is_full(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// Adds what the user can do about a full disk. `state` says what became of the change.
pub(super) fn advise(error: Error, state: &str) -> Error {
    if is_full(&error) { error.hint(format!("free some space; {state}")) } else { error }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_may_hold_something() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(!holds_something(&at("nothing")));
        std::fs::create_dir(at("empty")).unwrap();
        std::fs::write(at("empty").join(".holdall-A-0.tmp"), "ours").unwrap();
        assert!(!holds_something(&at("empty")));
        // A link to itself: the kernel refuses it, also to root.
        std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
        assert!(holds_something(&at("loop")));
    }
}
