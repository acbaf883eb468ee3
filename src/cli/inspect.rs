//! `inspect` and `verify`

use std::io::Write;
use std::path::Path;

use super::args::FileArgs;
use super::exit::Exit;
use super::text;
use super::ui::{BAD, FAINT, GOOD, STRONG, Ui, WARNING};
use crate::archive::manifest::Repo;
use crate::model::Role;
use crate::ops::backup::overview;
use crate::ops::inspect::{self as ops, Inspection};

pub fn inspect(ui: &Ui, args: &FileArgs) -> anyhow::Result<Exit> {
    if args.file.is_dir() {
        return overview(ui, &args.file);
    }
    let inspection = ops::inspect(&args.file, &mut std::io::stdin(), &ui.progress())?;
    if ui.json {
        ui.print_json(&inspection)?;
    } else {
        print(ui, &inspection, &args.file)?;
    }
    Ok(Exit::Done)
}

/// A directory of backups.
fn overview(ui: &Ui, dir: &Path) -> anyhow::Result<Exit> {
    let overview = overview::overview(dir)?;
    ui.warn(&overview.warnings);
    if ui.json {
        ui.print_json(&overview)?;
        return Ok(Exit::Done);
    }
    for row in &overview.archives {
        let sessions = text::count(row.sessions, "session");
        let line = format!("{}  {sessions}, {}", row.archive, text::size(row.bytes));
        let leans = match row.continues.len() {
            0 => String::new(),
            n => format!(" · continues {}", text::count(n, "archive")),
        };
        ui.print(format!("{}{FAINT}{leans}{FAINT:#}", text::line(&line)))?;
    }
    let bytes: u64 = overview.archives.iter().map(|row| row.bytes).sum();
    ui.print(format!(
        "{STRONG}{}{STRONG:#} in {}, {}; `holdall import {}` brings the last state of each back",
        text::count(overview.sessions, "session"),
        text::count(overview.archives.len(), "archive"),
        text::size(bytes),
        text::line(&dir.to_string_lossy())
    ))?;
    Ok(Exit::Done)
}

fn print(ui: &Ui, inspection: &Inspection, file: &Path) -> std::io::Result<()> {
    let Inspection { manifest, verified } = inspection;
    let mut out = ui.out();
    let files: usize = manifest.sessions.iter().map(|session| session.files.len()).sum();
    let bundles: u64 = manifest.bundles.iter().map(|bundle| bundle.size).sum();
    let bytes: u64 =
        manifest.sessions.iter().flat_map(|session| &session.files).map(|file| file.meta.size).sum();
    let (style, word) = if *verified { (GOOD, "verified") } else { (WARNING, "not verified") };
    writeln!(
        out,
        "{style}{word}{style:#}: {} in {}, {}{}",
        text::count(manifest.sessions.len(), "session"),
        text::count(files, "file"),
        text::size(bytes),
        match manifest.bundles.len() {
            0 => String::new(),
            n => format!(", and {}, {}", text::count(n, "git bundle"), text::size(bundles)),
        }
    )?;
    if !verified {
        let file = file.to_string_lossy();
        let file = text::line(&file);
        writeln!(
            out,
            "{file} is large, so only its structure was checked; `holdall verify {file}` reads all of it"
        )?;
    }
    writeln!(
        out,
        "{FAINT}format {}.{}, written by {} {} on {}, home {}{}{FAINT:#}",
        manifest.version.major,
        manifest.version.minor,
        text::line(&manifest.tool.name),
        text::line(&manifest.tool.version),
        text::line(&manifest.source.os),
        text::line(&manifest.source.home),
        manifest.created.map(|time| format!(", {}", crate::model::time::rfc3339(time))).unwrap_or_default(),
    )?;
    for session in &manifest.sessions {
        let head = &session.head;
        writeln!(
            out,
            "\n{STRONG}{}{STRONG:#}\n  {} {}",
            text::line(head.title.as_deref().unwrap_or("(no title)")),
            text::line(&head.harness),
            text::line(&head.id)
        )?;
        let mut facts = Vec::new();
        facts.extend(head.cwd.clone());
        facts.extend(head.model.clone());
        facts.extend(head.updated.map(|time| time.format("%Y-%m-%d %H:%M UTC").to_string()));
        let size: u64 = session.files.iter().map(|file| file.meta.size).sum();
        let agents = session.files.iter().filter(|file| file.meta.role == Role::Subagent).count();
        facts.push(format!("{} in {}", text::size(size), text::count(session.files.len(), "file")));
        if agents > 0 {
            facts.push(text::count(agents, "sub-agent"));
        }
        if let Some(continues) = &session.continues {
            let before: u64 = continues.grown.iter().map(|grown| grown.after).sum();
            facts.push(format!("continues {} of {}", text::size(before), continues.archive));
        }
        writeln!(out, "  {FAINT}{}{FAINT:#}", text::line(&facts.join(" · ")))?;
        if let Some(repo) = session.repo.and_then(|repo| manifest.repos.get(repo)) {
            writeln!(out, "  {FAINT}{}{FAINT:#}", text::line(&describe(repo)))?;
            for reason in repo.carried.iter().flat_map(|carried| &carried.left_out) {
                writeln!(out, "  {FAINT}not carried: {}{FAINT:#}", text::line(reason))?;
            }
        }
        if ui.verbose {
            for file in &session.files {
                let line = format!("{}  {}  {}", file.name, text::size(file.meta.size), file.meta.path);
                writeln!(out, "    {FAINT}{}{FAINT:#}", text::line(&line))?;
            }
        }
    }
    out.flush()
}

/// A repository in one line.
fn describe(repo: &Repo) -> String {
    let mut facts = vec![format!("git {}", repo.root)];
    facts.extend(repo.branch.clone());
    if let Some(commit) = &repo.commit {
        let short: String = commit.chars().take(9).collect();
        facts.push(format!("{short} {}", repo.subject.as_deref().unwrap_or("")));
    }
    match (repo.ahead, repo.behind) {
        (Some(0), Some(0)) | (None, _) | (_, None) => {}
        (Some(ahead), Some(behind)) => facts.push(format!("{ahead} ahead, {behind} behind")),
    }
    let carried = repo.carried.as_ref();
    facts.extend(text::carried(repo).map(|what| format!("carries {what}")));
    if repo.changed() > 0 && carried.is_none_or(|carried| carried.work.is_none()) {
        facts.push(format!("{} changed, {} untracked files stayed there", repo.modified, repo.untracked));
    }
    facts.extend(repo.remotes.first().map(|remote| remote.url.clone()));
    facts.join(" · ")
}

pub fn verify(ui: &Ui, args: &FileArgs) -> anyhow::Result<Exit> {
    let verification = ops::verify(&args.file, &mut std::io::stdin(), &ui.progress())?;
    if ui.json {
        ui.print_json(&verification)?;
    } else if verification.ok {
        ui.print(format!(
            "{GOOD}ok{GOOD:#}: every checksum of {} is right",
            text::line(&ops::name(&args.file))
        ))?;
    } else {
        for problem in &verification.problems {
            ui.print(format!(
                "{BAD}{}{BAD:#}: {}",
                text::line(&problem.entry),
                text::line(&problem.problem)
            ))?;
        }
    }
    Ok(if verification.ok { Exit::Done } else { Exit::Refused })
}
