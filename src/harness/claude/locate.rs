//! Where the sessions are.
//!
//! Claude Code keeps a directory for each working directory below `projects`, and in it one
//! transcript for each session. It has no index: its own list is made by looking at the files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use unicode_normalization::UnicodeNormalization;

use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::common::directory::entries;
use crate::harness::common::files;
use crate::harness::{Found, Stamp};

/// Longer names of project directories are cut and get a hash (Claude Code 2.1.329).
const LONGEST: usize = 200;

/// The data directory: `$CLAUDE_CONFIG_DIR`, default `~/.claude`.
pub fn data_dir(env: &Env) -> PathBuf {
    env.dir("CLAUDE_CONFIG_DIR", ".claude")
}

/// Whether `id` is a session id: the form of a UUID, in any case. The program neither lists nor
/// resumes a transcript whose file name is anything else.
pub fn valid_id(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Delivers every session, from directory entries alone. Links are not followed.
///
/// # Errors
/// When a directory or file cannot be looked at; after all that can be was delivered.
pub fn scan(env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
    let mut projects = entries(&data_dir(env).join("projects"))?;
    projects.retain(|project| project.is_dir);
    let looked: Vec<_> = projects.into_par_iter().map(|project| sessions(&project.path)).collect();
    let mut refused = None;
    for session in looked.into_iter().flat_map(|project| project.unwrap_or_else(|error| vec![Err(error)])) {
        match session {
            Ok(session) => found(session),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The sessions of a project, and those files that cannot be looked at.
fn sessions(project: &Path) -> Result<Vec<Result<Found>>> {
    let mut sessions = Vec::new();
    for file in entries(project)? {
        let Some(id) = file.name.strip_suffix(".jsonl").filter(|id| valid_id(id)) else { continue };
        if !file.is_file {
            continue;
        }
        let id = id.to_owned();
        sessions.push(match file.metadata().and_then(|meta| Ok((meta.modified()?, meta))) {
            Ok((modified, meta)) => {
                let (bytes, stamp) = (Some(meta.len()), Stamp::of(&meta));
                Ok(Found { id, path: file.path, bytes, modified, head: None, stamp })
            }
            // A file that went away meanwhile is no error.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => Err(Error::io("look at", &file.path, error)),
        });
    }
    Ok(sessions)
}

/// Whether the name of the project directory allows that the session belongs to `dir` or below.
/// `dir` is asked for as it is: whoever means a link asks for what it leads to as well.
pub fn may_be_in(found: &Found, dir: &Path) -> bool {
    let Some(project) = found.path.parent().and_then(Path::file_name).and_then(|name| name.to_str()) else {
        return true;
    };
    // Earlier versions kept some of the characters that are now replaced.
    let project: String = project.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let Some(dir) = dir.to_str() else { return true };
    // On a Mac the name is made of the composed form, elsewhere of the path as it is.
    [dir.to_owned(), dir.nfc().collect()].iter().any(|dir| {
        let name = flatten(dir);
        let wanted = name.trim_end_matches('-');
        project.starts_with(wanted.get(..LONGEST).unwrap_or(wanted))
    })
}

/// The name of the project directory of a working directory on this machine.
///
/// Lossy by nature: `a-b` and `a_b` share one. So it is never decoded; a session's directory is
/// read from its rows.
///
/// # Errors
/// When the path is not Unicode.
pub fn project_name(cwd: &Path) -> Result<String> {
    Ok(encode(&real_path(cwd)?))
}

/// Claude Code 2.1.329: every UTF-16 unit that is no ASCII letter or digit becomes `-`; what is
/// longer than 200 is cut and gets the hash of the whole path.
fn encode(path: &str) -> String {
    let name = flatten(path);
    if name.len() <= LONGEST {
        return name;
    }
    let hash =
        path.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    format!("{}-{}", &name[..LONGEST], base36(hash.unsigned_abs()))
}

fn flatten(path: &str) -> String {
    let unit = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte),
        _ => '-',
    };
    path.encode_utf16().map(unit).collect()
}

fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).expect("a remainder of 36 is a digit in base 36"));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// The path as the program sees it when it is started there: links resolved as far as the path
/// exists, and on a Mac in composed Unicode form. Elsewhere two forms of a name are two directories,
/// and the program (2.1.329) keeps the one that it was started in.
///
/// # Errors
/// When the path is not Unicode.
pub fn real_path(path: &Path) -> Result<String> {
    let real = files::real_path(path);
    let text = real.to_str().ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("{} is not Unicode, which Claude Code needs", real.display()))
    })?;
    // Windows answers with its long form, which the program never shows.
    let text = text.strip_prefix(r"\\?\").unwrap_or(text);
    Ok(if cfg!(target_os = "macos") { text.nfc().collect() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn ids_are_uuids() {
        assert!(valid_id("bcc7990e-f6f3-4a02-a55d-952d54107259"));
        assert!(valid_id("BCC7990E-F6F3-4A02-A55D-952D54107259"));
        for id in [
            "",
            "bcc7990ef6f34a02a55d952d54107259",
            "bcc7990e-f6f3-4a02-a55d-952d5410725/",
            "../../../../../../../../../../../etc",
        ] {
            assert!(!valid_id(id), "{id}");
        }
    }

    #[test]
    fn project_names() {
        assert_eq!(encode("/home/dev/p.x_y/Ü"), "-home-dev-p-x-y--");
        assert_eq!(encode("/a 😀b"), "-a---b");
        assert_eq!(encode(r"C:\Users\me"), "C--Users-me");
        let exactly = format!("/{}", "x".repeat(199));
        assert_eq!(encode(&exactly), format!("-{}", "x".repeat(199)));
        let longer = format!("/{}", "x".repeat(200));
        assert_eq!(encode(&longer), format!("-{}-d0i18x", "x".repeat(199)));
    }

    #[test]
    fn links_are_resolved_as_far_as_the_path_exists() {
        let dir = tempfile::tempdir().expect("temp dir");
        let real = fs::canonicalize(dir.path()).expect("exists");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&real, real.join("link")).expect("link");
            let got = real_path(&real.join("link/not/there")).expect("Unicode");
            assert_eq!(Path::new(&got), real.join("not/there"));
        }
        assert_eq!(Path::new(&real_path(&real.join("x/../y")).expect("Unicode")), real.join("y"));
        let name = if cfg!(target_os = "macos") { "\u{e9}" } else { "e\u{301}" };
        let got = real_path(&real.join("e\u{301}")).expect("Unicode");
        assert_eq!(Path::new(&got), real.join(name));
    }

    #[test]
    fn a_session_may_be_below_a_directory() {
        let found = |project: &str| Found {
            id: String::new(),
            path: Path::new("/d/projects").join(project).join("x.jsonl"),
            bytes: None,
            modified: std::time::SystemTime::UNIX_EPOCH,
            head: None,
            stamp: None,
        };
        let dir = Path::new("/no/such.dir/p_1");
        for (project, may) in [
            ("-no-such-dir-p-1", true),
            ("-no-such-dir-p-1-below", true),
            ("-no-such.dir-p_1", true),
            ("-no-such-dir-p", false),
            ("-no-other", false),
        ] {
            assert_eq!(may_be_in(&found(project), dir), may, "{project}");
        }
        assert!(may_be_in(&found("-anything"), Path::new("/")));
        for project in ["-no-e-", "-no--"] {
            assert!(may_be_in(&found(project), Path::new("/no/e\u{301}")), "{project}");
        }
    }
}
