//! `backup`

use super::args::BackupArgs;
use super::exit::Exit;
use super::ui::Ui;
use crate::env::Env;
use crate::error::{Error, Kind};

pub fn run(env: &Env, ui: &Ui, args: &BackupArgs) -> anyhow::Result<Exit> {
    let _ = (env, ui, args);
    Err(Error::new(Kind::Unsupported, "not built yet").into())
}
