//! stdout for data, stderr for talk, progress.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use inquire::error::InquireResult;
use inquire::{Confirm, InquireError};
use serde::Serialize;

use super::args::{Color, Global};
use super::json;
use super::out::Out;
use super::text;
use crate::error::{Error, Kind};
use crate::progress::Progress;

/// Titles and headings.
pub const STRONG: Style = Style::new().bold();
/// Less important text.
pub const FAINT: Style = Style::new().dimmed();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What needs attention.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// What failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What the user said.
pub const USER: Style = AnsiColor::Cyan.on_default().bold();

/// The terminal, or what stands for it.
pub struct Ui {
    /// One JSON document on stdout.
    pub json: bool,
    /// Every change and remark.
    pub verbose: bool,
    /// Only data, warnings and errors.
    pub quiet: bool,
}

impl Ui {
    /// As the flags say.
    pub fn new(global: &Global) -> Self {
        match global.color {
            // anstream's own default honours NO_COLOR and CLICOLOR.
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
        Self { json: global.json, verbose: global.verbose, quiet: global.quiet }
    }

    /// Whether a person reads stdout.
    pub fn is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Whether a person can be asked.
    pub fn can_ask(&self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// How wide the terminal is; `None` when stdout is none.
    pub fn columns(&self) -> Option<usize> {
        const USUAL: usize = 80;
        const NARROWEST: usize = 40;
        if !self.is_terminal() {
            return None;
        }
        let columns = terminal_size::terminal_size().map_or(USUAL, |(width, _)| usize::from(width.0));
        // Some terminals say that they have no columns at all.
        Some(if columns == 0 { USUAL } else { columns.max(NARROWEST) })
    }

    /// What the user answered; `None` when they did not want to.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn answer<T>(&self, asked: InquireResult<Option<T>>) -> anyhow::Result<Option<T>> {
        match asked {
            Err(InquireError::OperationInterrupted) => Ok(None),
            other => Ok(other?),
        }
    }

    /// Asks whether what was shown is to be done.
    ///
    /// # Errors
    /// Says `otherwise` when it is not; when the terminal cannot be used.
    pub fn go_ahead(&self, otherwise: &'static str) -> anyhow::Result<()> {
        let asked = Confirm::new("Go ahead?").with_default(true).prompt_skippable();
        match self.answer(asked)? {
            Some(true) => Ok(()),
            _ => Err(Error::new(Kind::NotFound, otherwise).into()),
        }
    }

    /// Data, buffered; colours go away when stdout is no terminal.
    pub fn out(&self) -> Out {
        Out::new()
    }

    /// One line of data.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn print(&self, line: impl std::fmt::Display) -> std::io::Result<()> {
        writeln!(anstream::stdout(), "{line}")
    }

    /// The one JSON document.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn print_json(&self, document: &impl Serialize) -> anyhow::Result<()> {
        let mut out = std::io::BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
        json::write(&mut out, document)?;
        out.write_all(b"\n")?;
        out.flush()?;
        Ok(())
    }

    /// The same for `{"schema": …, NAME: [rows]}` with many rows.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn print_json_rows<T>(&self, schema: &str, name: &str, rows: &[T]) -> anyhow::Result<()>
    where
        T: Serialize + Sync,
    {
        let mut out = std::io::stdout();
        json::write_rows(&mut out, schema, name, rows)?;
        out.flush()?;
        Ok(())
    }

    /// One line of talk.
    pub fn note(&self, line: impl std::fmt::Display) {
        if !self.quiet {
            // stderr may be closed; there is nobody to tell.
            let _ = writeln!(anstream::stderr(), "{line}");
        }
    }

    /// Things the user should know.
    pub fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            let _ = writeln!(anstream::stderr(), "{WARNING}warning:{WARNING:#} {}", text::line(warning));
        }
    }

    /// Warnings, without those that the user has seen.
    pub fn warn_of_more(&self, warnings: &[String], seen: &[String]) {
        let new = warnings.iter().filter(|warning| !seen.contains(warning));
        self.warn(&new.cloned().collect::<Vec<String>>());
    }

    /// Tells the user about an error: the message, then what to do. With `--json` the one document
    /// on stdout says the same.
    ///
    /// # Errors
    /// When stdout is closed.
    pub fn complain(&self, error: &anyhow::Error) -> anyhow::Result<()> {
        let hints = error.downcast_ref::<Error>().map(Error::hints).unwrap_or_default();
        let mut out = anstream::stderr();
        // stderr may be closed; the exit code still tells.
        let _ = writeln!(out, "{BAD}error:{BAD:#} {}", text::line(&error.to_string()));
        for hint in hints {
            let _ = writeln!(out, "  {FAINT}→{FAINT:#} {}", text::line(hint));
        }
        if self.json {
            #[derive(Serialize)]
            struct Failure<'a> {
                schema: &'static str,
                error: String,
                hints: &'a [String],
            }
            self.print_json(&Failure { schema: "holdall.error/1", error: error.to_string(), hints })?;
        }
        Ok(())
    }

    /// A progress bar that appears when the work takes longer than half a second.
    pub fn progress(&self) -> Bar {
        Bar { current: Arc::default(), hidden: self.quiet || self.json || !std::io::stderr().is_terminal() }
    }
}

/// A progress bar on stderr.
pub struct Bar {
    /// The piece of work that goes on.
    current: Arc<Mutex<Option<ProgressBar>>>,
    hidden: bool,
}

const PATIENCE: Duration = Duration::from_millis(500);

impl Progress for Bar {
    fn begin(&self, task: &str, total: u64) {
        if self.hidden {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let style = if total > 0 {
            "{msg} {bar:28} {decimal_bytes}/{decimal_total_bytes}  {eta}"
        } else {
            "{msg} {spinner} {decimal_bytes}"
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(task.to_owned());
        if let Ok(mut current) = self.current.lock() {
            *current = Some(bar.clone());
        }
        // Not when something advances: a long session may be read for a while before it does.
        let current = Arc::clone(&self.current);
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            let Ok(current) = current.lock() else { return };
            if current.is_some() && !bar.is_finished() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(PATIENCE / 4);
            }
        });
    }

    fn tell(&self, task: &str) {
        if !self.hidden {
            // stderr may be closed; there is nobody to tell.
            let _ = writeln!(anstream::stderr(), "{FAINT}{}{FAINT:#}", text::line(task));
        }
    }

    fn advance(&self, bytes: u64) {
        if let Ok(current) = self.current.lock()
            && let Some(bar) = current.as_ref()
        {
            bar.inc(bytes);
        }
    }

    fn end(&self) {
        if let Ok(mut current) = self.current.lock()
            && let Some(bar) = current.take()
        {
            bar.finish_and_clear();
        }
    }
}
