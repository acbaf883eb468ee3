//! From the store to a payload, and from a payload to events.

use std::path::{Path, PathBuf};

use super::flavour::Flavour;
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::harness::{Found, NativeSession};
use crate::model::{Head, Notes, Payload, Sink, View};

pub(super) fn data_dir(flavour: &Flavour, env: &Env) -> PathBuf {
    env.dir("XDG_DATA_HOME", ".local/share").join(flavour.directory)
}

pub(super) fn scan(flavour: &'static Flavour, env: &Env, found: &mut dyn FnMut(Found)) -> Result<()> {
    let _ = (flavour, env, found);
    Ok(())
}

pub(super) fn in_file(flavour: &'static Flavour, env: &Env, path: &Path) -> Result<Option<Found>> {
    let _ = (flavour, env, path);
    Ok(None)
}

pub(super) fn head(flavour: &'static Flavour, env: &Env, found: &Found) -> Result<Option<Head>> {
    let _ = (flavour, env, found);
    Ok(None)
}

pub(super) fn open(flavour: &'static Flavour, env: &Env, found: &Found) -> Result<NativeSession> {
    let _ = (flavour, env, found);
    Err(Error::new(Kind::Unsupported, "reading is not there yet"))
}

pub(super) fn open_all(flavour: &'static Flavour, env: &Env, found: &[&Found]) -> Vec<Result<NativeSession>> {
    found.iter().map(|found| open(flavour, env, found)).collect()
}

pub(super) fn read(payload: &dyn Payload, file: usize, view: View, sink: &mut dyn Sink) -> Result<Notes> {
    let _ = (payload, file, view, sink);
    Err(Error::new(Kind::Unsupported, "reading is not there yet"))
}
