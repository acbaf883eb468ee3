//! Every command and flag. The help texts here are the reference manual.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::text;
use crate::error::{Error, Result};
use crate::harness::HARNESSES;
use crate::model::Time;
use crate::ops;
use crate::ops::import::OnConflict;
use crate::ops::select::Selection;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "holdall",
    version,
    about = "Carries coding-agent sessions to another machine, or into another harness",
    long_about = long_about(),
    after_help = "Exit codes: 0 done; 1 failed, nothing half-written is left; 2 wrong usage; 3 done, but some \
        sessions (or their repositories) were skipped for a conflict or could not be brought, or doctor leaves \
        something to do; 4 the archive was refused.",
    propagate_version = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Print exactly one JSON document on stdout; all talk goes to stderr
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Print no notes and no progress, only data, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Print more: every change, every remark
    #[arg(short, long, global = true, help_heading = "Output")]
    pub verbose: bool,
    /// Colours; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every supported harness: whether it is here, its version, its sessions
    Harnesses,
    /// List sessions: those of this directory if there are any, else the newest of all
    List(ListArgs),
    /// Show one session as a readable transcript
    Show(ShowArgs),
    /// Pack sessions into a portable archive
    Export(ExportArgs),
    /// Show what an archive holds, after verifying it
    ///
    /// Of an archive file that is larger than 64 MiB only the structure is verified (the manifest, its checksum, the
    /// place and length of everything), so that it is shown at once; `verify` reads all of it, and so does `import`.
    Inspect(FileArgs),
    /// Check structure, limits and every checksum of an archive
    Verify(FileArgs),
    /// Bring the sessions of an archive into a harness on this machine
    Import(ImportArgs),
    /// Bring sessions of this machine into another harness
    Convert(ConvertArgs),
    /// Take an import back, from its journal and backups
    ///
    /// Repositories that it cloned, and work that it brought into one, stay and are named: deleting them is never
    /// safe.
    Undo(UndoArgs),
    /// Show every import, with its sessions and whether it was undone
    Imports,
    /// Let the sessions follow a project folder that was moved or renamed
    Move(MoveArgs),
    /// Find what is wrong with the sessions here, and repair what can be repaired safely
    #[command(after_long_help = crate::ops::doctor::codes::table())]
    Doctor(DoctorArgs),
    /// Save every session that changed since the last backup there
    Backup(BackupArgs),
    /// Print the JSON Schema of an archive's manifest
    Schema,
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
    /// Run the main job on sample sessions in a scratch home; touches nothing else
    Demo(DemoArgs),
}

impl Command {
    /// Whether it reads sessions of this machine, so that an import that was killed in the middle
    /// has to be finished first.
    pub fn looks_at_the_machine(&self) -> bool {
        match self {
            Self::Import(args) => !args.place.run.dry_run,
            Self::Convert(args) => !args.place.run.dry_run,
            Self::Move(args) => !args.run.dry_run,
            Self::Backup(_)
            | Self::List(_)
            | Self::Show(_)
            | Self::Export(_)
            | Self::Undo(_)
            | Self::Imports => true,
            _ => false,
        }
    }

    /// Whether it changes sessions of this machine.
    pub fn changes_the_machine(&self) -> bool {
        matches!(self, Self::Import(_) | Self::Convert(_) | Self::Move(_) | Self::Doctor(_) | Self::Undo(_))
    }
}

fn long_about() -> String {
    let names: Vec<&str> = HARNESSES.iter().map(|harness| harness.info().name).collect();
    format!(
        "Carries coding-agent sessions to another machine, or into another harness. A harness is the program \
         that runs the agent: {}.\n\n\
         `export` packs sessions into a portable .tar.gz. `import` brings them into the same harness on \
         another machine, or into a different one, as native sessions that it lists itself and resumes \
         with the whole history.",
        names.join(", ")
    )
}

fn harness_ids() -> PossibleValuesParser {
    PossibleValuesParser::new(HARNESSES.iter().map(|harness| harness.info().id))
}

/// Which sessions.
#[derive(Debug, Default, Args)]
pub struct SelectArgs {
    /// Ids: full, a unique prefix of at least 4 characters, HARNESS:ID, or the path of a file that a
    /// harness's own export wrote
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Only sessions of this harness (repeatable)
    #[arg(short = 'H', long, value_name = "NAME", value_parser = harness_ids(), help_heading = "Which sessions")]
    pub harness: Vec<String>,
    /// Only sessions whose working directory is DIR or below it
    #[arg(long, value_name = "DIR", help_heading = "Which sessions")]
    pub cwd: Option<PathBuf>,
    /// Only sessions with TEXT in title, directory or anything the user said
    #[arg(long, value_name = "TEXT", help_heading = "Which sessions")]
    pub query: Option<String>,
    /// Only sessions with activity since WHEN: 7d, 12h, 2026-11-01 (midnight UTC) or RFC 3339
    #[arg(long, value_name = "WHEN", help_heading = "Which sessions")]
    pub since: Option<String>,
    /// Only sessions without activity after WHEN
    #[arg(long, value_name = "WHEN", help_heading = "Which sessions")]
    pub until: Option<String>,
    /// Only the newest N after the filters
    #[arg(short = 'n', long, value_name = "N", help_heading = "Which sessions")]
    pub limit: Option<usize>,
    /// All sessions: no default filter
    #[arg(long, help_heading = "Which sessions")]
    pub all: bool,
}

impl SelectArgs {
    /// The choice that these arguments make.
    ///
    /// # Errors
    /// When a time cannot be read.
    pub fn selection(&self, env: &crate::env::Env) -> Result<Selection> {
        let when = |flag: &str, text: &Option<String>| -> Result<Option<Time>> {
            let Some(text) = text else { return Ok(None) };
            text::parse_when(text, env.now()).map(Some).ok_or_else(|| {
                Error::usage(format!("--{flag} {text:?} is no time"))
                    .hint("give 7d, 12h, 2026-11-01 or 2026-11-01T12:00:00Z")
            })
        };
        Ok(Selection {
            ids: self.ids.clone(),
            harnesses: self.harness.clone(),
            cwd: self.cwd.as_ref().map(|dir| plain(&env.cwd().join(dir))),
            query: self.query.clone(),
            since: when("since", &self.since)?,
            until: when("until", &self.until)?,
            limit: self.limit,
            subagents: false,
        })
    }
}

/// The path without `.` components; `..` stays, only the file system knows what it means.
fn plain(path: &std::path::Path) -> PathBuf {
    let has_parent = path.components().any(|part| part == std::path::Component::ParentDir);
    if has_parent {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    } else {
        path.components().collect()
    }
}

/// Flags of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which sessions.
    #[command(flatten)]
    pub select: SelectArgs,
    /// List sub-agent sessions too; otherwise they travel with their parent unseen
    #[arg(long)]
    pub subagents: bool,
}

/// Flags of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which session.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Print Markdown
    #[arg(long)]
    pub markdown: bool,
    /// Print everything: tool calls and results in full, what a compaction replaced, sub-agents
    #[arg(long)]
    pub full: bool,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which sessions; without any, a picker opens on a terminal.
    #[command(flatten)]
    pub select: SelectArgs,
    /// The archive to write; `-` streams it to stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Overwrite FILE
    #[arg(long)]
    pub force: bool,
    /// What to carry of the repositories
    #[arg(long, value_name = "WHAT", default_value = "meta")]
    pub git: Git,
    /// Most uncommitted work of one repository that --git bundle and --git full carry, such as 500M or 1G;
    /// it is held in memory meanwhile
    #[arg(long, value_name = "SIZE", default_value = "100M", value_parser = text::parse_size)]
    pub max_work: u64,
    /// Leave the sub-agents' own conversations out
    #[arg(long)]
    pub no_subagents: bool,
    /// Compression: 1 is fast, 9 is small
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub level: u32,
    /// Record WHEN as the time of the export; without it the same sessions give the same bytes
    #[arg(long, value_name = "WHEN")]
    pub created: Option<String>,
}

/// What to carry of repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Git {
    /// Nothing.
    None,
    /// Remotes (without credentials), branch, commit, ahead and behind, counts of changed files.
    Meta,
    /// Also, as a git bundle, the commits of the branch that no remote has and the work that is not
    /// committed: changed, staged and untracked files, but no ignored ones.
    Bundle,
    /// Also, as a git bundle, the whole history of the branch and the work that is not committed.
    Full,
}

impl From<Git> for ops::export::Git {
    fn from(git: Git) -> Self {
        match git {
            Git::None => Self::None,
            Git::Meta => Self::Meta,
            Git::Bundle => Self::Bundle,
            Git::Full => Self::Full,
        }
    }
}

/// An archive.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The archive, or a directory of backups; `-` reads stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Flags of `import` and `convert`.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Sessions below OLD go below NEW (repeatable, the longest OLD wins; `~` is the home directory,
    /// in OLD that of the source); without a rule that fits, the home there becomes the home here
    #[arg(long, value_name = "OLD=NEW", value_parser = text::parse_rule, action = ArgAction::Append)]
    pub cwd_map: Vec<(String, String)>,
    /// A session of a git repository goes to the clone of it that is here (at its mapped directory or below DIR,
    /// recognised by remote or history), or else to DIR/<repository name>, when no --cwd-map rule fits
    #[arg(long, value_name = "DIR")]
    pub workspace_root: Option<PathBuf>,
    /// What to do with a session that is here already with other content
    #[arg(long, value_name = "POLICY", default_value = "skip")]
    pub on_conflict: Conflict,
    /// Record this model in converted sessions instead of the source's (opencode, Kilo: PROVIDER/MODEL)
    #[arg(long, value_name = "M")]
    pub model: Option<String>,
    /// How to go about it.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Flags of whatever changes sessions.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Change nothing; print the report that the real run would print
    #[arg(long)]
    pub dry_run: bool,
    /// Keep no copies of what is replaced; `undo` cannot bring it back then
    #[arg(long)]
    pub no_backup: bool,
    /// Do not start the programs to let them index and list the sessions
    #[arg(long)]
    pub no_confirm: bool,
    /// Do not show what would happen and ask first, as is done on a terminal
    #[arg(short, long)]
    pub yes: bool,
}

/// What to do with a session that is here already with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Conflict {
    /// Leave what is here
    Skip,
    /// Take the incoming session if it continues the one here, so that nothing gets lost; else skip
    Update,
    /// Take the incoming session, after a backup
    Replace,
    /// Keep both: the incoming session gets a new id
    Copy,
    /// Import nothing at all
    Fail,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Skip => Self::Skip,
            Conflict::Update => Self::Update,
            Conflict::Replace => Self::Replace,
            Conflict::Copy => Self::Copy,
            Conflict::Fail => Self::Fail,
        }
    }
}

/// Flags of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The archive, or a directory of backups; `-` reads stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The harness to import into; default: each session's own
    #[arg(long, value_name = "HARNESS", value_parser = harness_ids())]
    pub to: Option<String>,
    /// Only this session of the archive (repeatable): id, unique prefix or HARNESS:ID
    #[arg(long, value_name = "ID")]
    pub session: Vec<String>,
    /// Clone repositories that are not here: from their remote with your own git, or from what the archive
    /// carries; exit code 3 when one could not be had
    #[arg(long)]
    pub clone: bool,
    /// Bring carried commits and uncommitted work back: into the directory where nothing is changed there and the
    /// same commit is checked out, else on a branch holdall/…; never touches what is there. Exit code 3 when some
    /// could not be brought
    #[arg(long)]
    pub restore_work: bool,
    /// Where it goes.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Which sessions.
    #[command(flatten)]
    pub select: SelectArgs,
    /// The harness to bring them into
    #[arg(long, value_name = "HARNESS", value_parser = harness_ids())]
    pub to: String,
    /// Where they go.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The import to take back; default: the last one
    #[arg(value_name = "IMPORT_ID")]
    pub import_id: Option<String>,
    /// Also where a session was continued since; what was added is kept with the import's backups
    #[arg(long)]
    pub force: bool,
}

/// Flags of `move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Where the folder was; sessions of directories below it follow too. It need not be there any more, and
    /// may be a path of another machine that the sessions were copied from, such as C:\Users\me\app
    #[arg(value_name = "OLD")]
    pub old: String,
    /// Where it is now, or will be with --and-folder
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Move the folder itself too, by one rename: OLD and NEW are on one file system, and no session of it is
    /// in use
    #[arg(long)]
    pub and_folder: bool,
    /// Only sessions of this harness (repeatable)
    #[arg(short = 'H', long, value_name = "NAME", value_parser = harness_ids())]
    pub harness: Vec<String>,
    /// How to go about it.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Only this harness (repeatable)
    #[arg(short = 'H', long, value_name = "NAME", value_parser = harness_ids())]
    pub harness: Vec<String>,
    /// Repair what can be repaired safely, with backups; `undo` takes it back
    #[arg(long)]
    pub fix: bool,
    /// Start no program: neither for its version, nor, with --fix, to let it index what it does not list
    #[arg(long)]
    pub no_confirm: bool,
}

/// Flags of `backup`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Each run makes one archive, DIR/holdall-<time>.tar.gz, or none when nothing is new. It holds the sessions that \
changed; of a conversation that got longer, only what was added. The rest is in earlier archives of DIR, so keep \
them together.\n\n\
`holdall import DIR` brings the last state of every session back, also of those that a program has deleted since. \
`holdall import DIR/holdall-<time>.tar.gz` brings back what that run saved, as it was then. `holdall verify DIR` \
checks everything.\n\n\
With --keep, archives older than AGE go as soon as no newer one leans on them and no session has its last copy in \
them: a session that changed is stored whole again instead of leaning on an old archive, and last copies are carried \
over into the new archive now and then. The last copy of a session is never removed.\n\n\
For cron: --quiet prints nothing but warnings and errors. Exit codes: 0 done, or nothing new; 1 failed, such as \
when another backup into DIR is under way; 3 done, but some sessions could not be read; they are named.")]
pub struct BackupArgs {
    /// Where the backups are; made when it is missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Only sessions of this harness (repeatable)
    #[arg(short = 'H', long, value_name = "NAME", value_parser = harness_ids())]
    pub harness: Vec<String>,
    /// Remove backups that are older than AGE (30d, 12h) and hold nothing that newer ones do not
    #[arg(long, value_name = "AGE")]
    pub keep: Option<String>,
    /// Compression: 1 is fast, 9 is small
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub level: u32,
    /// Read every session; without it, files whose inode, size and times are as they were count as unchanged
    #[arg(long)]
    pub checksum: bool,
}

/// Flags of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the scratch home and print where it is
    #[arg(long)]
    pub keep: bool,
}
