//! `show`

use std::io::Write;

use super::args::ShowArgs;
use super::exit::Exit;
use super::json::Escaped;
use super::transcript::{Style, Transcript};
use super::ui::Ui;
use crate::env::Env;
use crate::error::Error;
use crate::model::View;
use crate::ops::select::Selected;
use crate::ops::show::{self, JsonViewer};

pub fn run(env: &Env, ui: &Ui, args: &ShowArgs) -> anyhow::Result<Exit> {
    if ui.json && args.markdown {
        return Err(Error::usage("--json and --markdown are two forms of the same thing: give one").into());
    }
    let selected = choose(env, ui, args)?;
    let view = if args.full { View::Full } else { View::Model };
    let notes = if ui.json {
        let out = std::io::BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
        let out = std::io::BufWriter::new(Escaped::new(out));
        let mut viewer = JsonViewer::begin(out, selected.clone())?;
        let notes = show::read(env, &selected, view, args.full, &mut viewer)?;
        viewer.end()?;
        notes
    } else {
        let style = if args.markdown { Style::Markdown } else { Style::Terminal };
        let mut viewer = Transcript::new(ui.out(), style, args.full);
        viewer.head(env, &selected)?;
        let notes = show::read(env, &selected, view, args.full, &mut viewer)?;
        viewer.end()?.flush()?;
        notes
    };
    for (code, count, detail) in notes.iter() {
        ui.note(format!("note: {} ({code}, {count})", super::text::line(detail)));
    }
    Ok(Exit::Done)
}

/// The one session that is asked for.
fn choose(env: &Env, ui: &Ui, args: &ShowArgs) -> anyhow::Result<Selected> {
    let selection = args.select.selection(env)?;
    if selection.is_open() {
        return Err(Error::usage("show needs a session").hint("`holdall list` shows their ids").into());
    }
    let mut warnings = Vec::new();
    let mut selected = selection.resolve(env, &mut warnings)?;
    ui.warn(&warnings);
    match selected.len() {
        1 => Ok(selected.remove(0)),
        0 => Err(Error::new(crate::error::Kind::NotFound, "no session matches")
            .hint("`holdall list --all` shows what is here")
            .into()),
        n => {
            let mut error = Error::usage(format!("{n} sessions match, and show shows one"));
            for one in selected.iter().take(10) {
                error = error.hint(format!(
                    "{}:{} {}",
                    one.head.harness,
                    one.head.id,
                    one.head.title.as_deref().unwrap_or("")
                ));
            }
            Err(error.into())
        }
    }
}
