//! The git bundle of an archive: its objects, checked and brought into a repository.
//!
//! Of a bundle only the objects are used. Which of them means what says the manifest, by id: names
//! of references in a bundle are never looked at, so that they need not be believed. Before
//! anything comes into a repository of the user's, the objects are checked outside of it, as git
//! does with those that it is pushed: each by itself (`index-pack --strict` refuses `.git`, `..` and
//! the like in a directory), and that nothing they need is missing.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::TempDir;

use super::program::Git;
use crate::error::{Error, IoContext, Kind, Result};
use crate::interrupt::Watched;

/// First line of the version that is written and read.
const SIGNATURE: &str = "# v2 git bundle\n";

/// Most bytes of a line of the header, and of its lines together.
const MAX_HEADER: u64 = 1 << 20;

/// What `index-pack --strict` only warns of: flaws of old histories that are all over the world, and
/// that no program gets into trouble with. The hosts of repositories let them pass too.
const OLD_FLAWS: [&str; 12] = [
    "badEmail",
    "badTimezone",
    "badDateOverflow",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingTaggerEntry",
    "multipleAuthors",
    "nullSha1",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
];

/// A bundle in a temporary file without a name.
#[derive(Debug)]
pub struct Bundle {
    file: File,
    pack: u64,
}

impl Bundle {
    /// Copies a bundle, so that git can read it.
    ///
    /// # Errors
    /// [`Kind::Archive`] when it is no bundle of version 2; when there is no room.
    pub fn copy(source: &mut dyn Read) -> Result<Self> {
        let place = Path::new("a temporary copy of the git bundle");
        let mut file = tempfile::tempfile().at("make", place)?;
        std::io::copy(source, &mut Watched::new(&mut file)).at("write", place)?;
        file.flush().and_then(|()| file.rewind()).at("write", place)?;
        let pack = start_of_pack(&mut BufReader::new(&file))?;
        Ok(Self { file, pack })
    }

    /// Brings its objects into the repository at `root`; nothing there refers to them. With
    /// [`Outside::vars`] they stay outside.
    ///
    /// # Errors
    /// When they are damaged, not what git lets into a repository, or do not go with it.
    pub(super) fn index(&self, git: &Git, root: &Path, vars: &[(OsString, OsString)]) -> Result<()> {
        let place = Path::new("the git bundle");
        // The program gets the same open file, and goes on where it stands.
        (&self.file).seek(SeekFrom::Start(self.pack)).at("read", place)?;
        let file = self.file.try_clone().at("read", place)?;
        let strict: Vec<String> = OLD_FLAWS.iter().map(|flaw| format!("{flaw}=ignore")).collect();
        let strict = format!("--strict={}", strict.join(","));
        git.call(root, ["index-pack", "--stdin", "--fix-thin", &strict]).vars(vars).input(file).done()?;
        Ok(())
    }
}

/// The place of the pack, after the header and the empty line that ends it.
fn start_of_pack(input: &mut impl BufRead) -> Result<u64> {
    let refuse = |reason: &str| Error::archive(format!("the git bundle: {reason}"));
    let mut input = input.take(MAX_HEADER);
    let (mut length, mut line, mut first) = (0, Vec::new(), true);
    loop {
        line.clear();
        let got = input.read_until(b'\n', &mut line).at("read", Path::new("the git bundle"))?;
        length += got as u64;
        if first && line != SIGNATURE.as_bytes() {
            return Err(refuse("it is none of version 2"));
        }
        first = false;
        match line.as_slice() {
            b"\n" => return Ok(length),
            [.., b'\n'] => {}
            _ => return Err(refuse("its header does not end")),
        }
    }
}

/// A place for objects that belongs to no repository and sees those of one: what is in it goes when
/// it is dropped.
#[derive(Debug)]
pub(super) struct Outside {
    dir: TempDir,
    vars: Vec<(OsString, OsString)>,
}

impl Outside {
    /// A place that sees the objects of the repository at `root`.
    pub(super) fn of(git: &Git, root: &Path) -> Result<Self> {
        let dir = tempfile::tempdir().at("make", Path::new("a temporary directory"))?;
        let objects = root.join(git.ask(root, &["rev-parse", "--git-path", "objects"])?);
        let vars = vec![
            ("GIT_OBJECT_DIRECTORY".into(), dir.path().join("objects").into()),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES".into(), quoted(&objects)?),
        ];
        scratch_dir(&dir.path().join("objects"))?;
        Ok(Self { dir, vars })
    }

    /// The variables that let git work there.
    pub(super) fn vars(&self) -> &[(OsString, OsString)] {
        &self.vars
    }

    /// A file of its own.
    pub(super) fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

#[allow(clippy::disallowed_methods)] // In a temporary directory of ours.
fn scratch_dir(path: &Path) -> Result<()> {
    std::fs::create_dir(path).at("make", path)
}

/// A path for a list of paths, where a quote begins one in the form of C.
fn quoted(path: &Path) -> Result<OsString> {
    let text = path
        .to_str()
        .ok_or_else(|| Error::new(Kind::Unsupported, format!("{} is not UTF-8", path.display())))?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")).into())
}

/// Refuses when something is missing that `commits` need, in the repository at `root` or where
/// `vars` point to.
///
/// # Errors
/// Says what is missing.
pub(super) fn check_whole(
    git: &Git,
    root: &Path,
    vars: &[(OsString, OsString)],
    commits: &[&str],
) -> Result<()> {
    let arguments = ["rev-list", "--objects", "--quiet"].into_iter().chain(commits.iter().copied());
    let arguments = arguments.chain(["--not", "--all", "--"]);
    match git.call(root, arguments).vars(vars).done() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::archive(format!("the git bundle is not whole: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pack_begins_after_the_header() {
        let header = b"# v2 git bundle\n-1234 about\n5678 refs/heads/../x\n\nPACK";
        assert_eq!(start_of_pack(&mut &header[..]).ok(), Some(header.len() as u64 - 4));
        for damaged in
            [&b"# v3 git bundle\n\n"[..], b"", b"# v2 git bundle\n5678 refs/heads/x\n", b"# v2 git bundle"]
        {
            assert!(start_of_pack(&mut &damaged[..]).is_err());
        }
    }
}
