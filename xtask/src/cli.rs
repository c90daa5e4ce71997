//! The command line: words and their types, no behaviour.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

use crate::ci;
use crate::graph::By;
use crate::pipeline::read::Period;
use crate::ui::Colour;

/// Does what can be done of a declared plan on this machine, says what blocks the rest and what releases it, and
/// writes a status report that is made of evidence.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What every command can be told.
    #[command(flatten)]
    pub global: Global,
    /// What to do; without it, what there is.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command can be told.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The pipeline's file, in place of the nearest pipeline.toml from here upwards.
    #[arg(long, value_name = "PATH", global = true)]
    pub file: Option<Utf8PathBuf>,
    /// Sets a variable of the pipeline; stronger than `XTASK_VAR_name` in the environment.
    #[arg(long = "set", value_name = "NAME=VALUE", global = true)]
    pub set: Vec<String>,
    /// The profile to go by, one of [profile.NAME] in the pipeline's file.
    #[arg(long, value_name = "NAME", global = true)]
    pub profile: Option<String>,
    /// When to use colour.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub color: Colour,
    /// The service whose log this is: annotations, folds and a summary for it.
    #[arg(long, value_name = "SERVICE", value_enum, default_value_t, global = true)]
    pub ci: ci::Choice,
    /// Write down where the time goes, as a trace for <https://ui.perfetto.dev>.
    #[arg(long, value_name = "FILE", global = true)]
    pub timings: Option<Utf8PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Do what can be done and write the report; the pipeline's id is a short form of this
    Run(RunArgs),
    /// Go on with what is blocked, waiting, failed, interrupted or stale
    Resume(ResumeArgs),
    /// Show the state of every task; nothing is run or written
    Status(StatusArgs),
    /// Show the prerequisites: what is missing, what to do about it, what that releases
    Doctor(DoctorArgs),
    /// List phases and tasks as they are declared
    List(JsonArgs),
    /// Draw the tasks and what needs what
    Graph(GraphArgs),
    /// Say why a task is in its state, down to the root
    Explain(ExplainArgs),
    /// Print the log of a task's last attempt, also while it is written
    Log(LogArgs),
    /// Look again at what finished tasks have left; what no longer holds becomes stale
    Verify(VerifyArgs),
    /// Render a report from the evidence on record
    Report(ReportArgs),
    /// List the runs, or the attempts at a task
    History(HistoryArgs),
    /// Say what changed between two runs: states, durations, measurements
    Diff(DiffArgs),
    /// Check that the evidence is what was recorded
    Evidence(EvidenceArgs),
    /// Set a task aside by hand, with a reason that is kept
    Skip(SkipArgs),
    /// Let what is on record about a task no longer count; also ends a skip
    Forget(ForgetArgs),
    /// Look for mistakes in pipeline.toml
    Lint,
    /// Print the JSON Schema of pipeline.toml
    Schema,
    /// Test this program on this machine
    Selftest {
        /// What is tested.
        #[command(subcommand)]
        test: Selftest,
    },
    /// Print a completion script
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// The id of a pipeline, with the arguments of `run`
    #[command(external_subcommand)]
    Pipeline(Vec<String>),
}

/// What can be tested.
#[derive(Debug, Subcommand)]
pub enum Selftest {
    /// Send secrets through everything that writes or shows something, and look for what comes through
    Redaction,
    /// What the tasks of the test run: print variables, or words that name none, in every form
    #[command(hide = true)]
    Emit(EmitArgs),
}

/// What a task of the test prints.
#[derive(Debug, Clone, Args)]
pub struct EmitArgs {
    /// The variables; all of the test if none is named
    pub names: Vec<String>,
    /// As they are, nothing else
    #[arg(long)]
    pub bare: bool,
    /// So many characters before them, so that what cuts a line cuts a value
    #[arg(long, default_value_t = 0)]
    pub before: usize,
    /// Instead, copy the logs of these tasks as they are now into this file
    #[arg(long, value_name = "FILE")]
    pub copy_logs: Option<Utf8PathBuf>,
    /// The exit code
    #[arg(long, default_value_t = 0)]
    pub exit: u8,
}

/// How to run.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Only the tasks of this phase, and what they need
    #[arg(long, value_name = "PHASE")]
    pub phase: Vec<String>,
    /// Only this task, and what it needs
    #[arg(long, value_name = "TASK")]
    pub task: Vec<String>,
    /// How many tasks run at the same time [default: the number of cores]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Show what would run and what would not; nothing is run or written
    #[arg(long)]
    pub dry_run: bool,
    /// Also run what is up to date
    #[arg(long)]
    pub force: bool,
    /// Start nothing more after the first failure
    #[arg(long)]
    pub fail_fast: bool,
    /// Exit with 0 if nothing failed, even if something is blocked or waiting
    #[arg(long)]
    pub blocked_ok: bool,
    /// Show the log of this task while it is written
    #[arg(long, value_name = "TASK", conflicts_with = "dry_run")]
    pub follow: Option<String>,
    /// Print the status as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// How to resume.
#[derive(Debug, Clone, Default, Args)]
pub struct ResumeArgs {
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Wait for what is missing, and go on as it appears: at most so long (90s, 10m, 2h), or without end
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = duration, conflicts_with = "dry_run")]
    pub wait: Option<Option<Duration>>,
}

/// A duration as in pipeline.toml.
fn duration(text: &str) -> Result<Duration, String> {
    let period = Period::parse(text).map(|period| period.0);
    period.ok_or_else(|| "write a number and a unit, such as 90s, 10m or 2h".to_owned())
}

/// Options of commands that look.
#[derive(Debug, Clone, Args)]
pub struct JsonArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Show what would be released if these prerequisites were met
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub assume: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Only the tasks of this phase
    #[arg(long, value_name = "PHASE")]
    pub phase: Vec<String>,
    /// Only this task
    #[arg(long, value_name = "TASK")]
    pub task: Vec<String>,
    /// How many tasks are looked at at the same time [default: the number of cores]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `graph`.
#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    /// The language of the drawing
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    /// What a node is
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub by: By,
    /// Only this task, what it needs and what needs it, directly or not
    #[arg(long, value_name = "TASK")]
    pub focus: Option<String>,
    /// As JSON: nodes and edges
    #[arg(long)]
    pub json: bool,
}

/// Languages of a drawing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// Mermaid, which GitHub and GitLab draw in Markdown.
    #[default]
    Mermaid,
    /// The language of Graphviz.
    Dot,
    /// A picture.
    Svg,
}

/// Options of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The task
    pub task: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `log`.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// The task
    pub task: String,
    /// Go on until the attempt ends; while a run is under way, wait for its attempt to begin
    #[arg(long)]
    pub follow: bool,
    /// As JSON: where it is and what is in it
    #[arg(long, conflicts_with = "follow")]
    pub json: bool,
}

/// Options of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The format
    #[arg(long, value_name = "FORMAT", default_value = "markdown", value_parser = clap::builder::PossibleValuesParser::new(crate::report::names()))]
    pub format: String,
    /// Where to write it, in place of stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<Utf8PathBuf>,
    /// Write nothing; exit with 1 and show the difference if the file (`--out`, or the pipeline's `report`) says
    /// something else than the evidence
    #[arg(long)]
    pub check: bool,
    /// Go by evidence that was exported with `--format json`, not by the ledger
    #[arg(long, value_name = "FILE")]
    pub from: Option<Utf8PathBuf>,
}

/// Options of `history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// The task whose attempts are listed, in place of the runs
    pub task: Option<String>,
    /// Only what began since then: a duration such as `12h` or `3d`, or a date, in UTC
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `diff`.
#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    /// The run that is compared with: an id, the beginning of one, `last`, or `last~N` for the Nth before it
    #[arg(default_value = "last~1")]
    pub from: String,
    /// The run that is compared
    #[arg(default_value = "last")]
    pub to: String,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What to do with the evidence.
#[derive(Debug, Clone, Args)]
pub struct EvidenceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: EvidenceCommand,
}

/// What can be done with the evidence.
#[derive(Debug, Clone, Subcommand)]
pub enum EvidenceCommand {
    /// Find records and logs that were edited, removed or reordered; exits with 1 if there are any
    Verify(EvidenceVerifyArgs),
}

/// Options of `evidence verify`.
#[derive(Debug, Clone, Args)]
pub struct EvidenceVerifyArgs {
    /// A digest of the last record that was noted earlier: the chain must still contain it
    #[arg(long, value_name = "DIGEST")]
    pub head: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `skip`.
#[derive(Debug, Clone, Args)]
pub struct SkipArgs {
    /// The task
    pub task: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Options of `forget`.
#[derive(Debug, Clone, Args)]
pub struct ForgetArgs {
    /// The task
    pub task: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// The arguments that follow the id of a pipeline.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
pub struct PipelineCall {
    /// What every command can be told.
    #[command(flatten)]
    pub global: Global,
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
}
