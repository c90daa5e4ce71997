//! What the ledger records, format 1.
//!
//! A record is one JSON object on one line, written with one call when it becomes true. Constraints: it is read
//! whole at every start, so the header says enough to pass over a record without reading its body; it is cut at
//! any byte by a crash, so a line is whole or worthless; people and other programs read it, so it is text.
//!
//! ```text
//! {"v":1,"seq":7,"prev":"<digest of line 6>","at":"<RFC 3339>","run":"<id>","kind":"task-ended","task":"T006","event":{...}}
//! ```
//!
//! Later records about a task stand before earlier ones. Records of an unknown kind, and unknown fields of known
//! ones, are kept on disk and passed over. `prev` chains each line to the one before it.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::check::Finding;
use crate::exec::Instance;
use crate::ids::Digest;
use crate::measure::Measurement;
use crate::observed::{Files, Probe};
use crate::pipeline::Definition;

/// The format that this program writes. Changelog: 1, the first.
pub const FORMAT: u32 = 1;

/// The part of a record that is always read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header<'a> {
    /// Format version of this record.
    pub v: u32,
    /// Position in the ledger, from 1.
    pub seq: u64,
    /// Digest of the line before, without its line feed; of nothing for the first.
    pub prev: Digest,
    /// When it became true.
    pub at: Timestamp,
    /// The run that wrote it.
    #[serde(borrow)]
    pub run: std::borrow::Cow<'a, str>,
    /// The kind of event, which says how to read `event`.
    #[serde(borrow)]
    pub kind: std::borrow::Cow<'a, str>,
    /// The task that it is about, if it is about one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub task: Option<std::borrow::Cow<'a, str>>,
    /// Where an imported record came from; absent in records made here.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<std::borrow::Cow<'a, str>>,
    /// The body.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

/// Something that became true.
#[derive(Debug, Clone)]
pub enum Event {
    /// A run began to do something.
    RunStarted(RunStarted),
    /// A run ended in order.
    RunEnded(RunEnded),
    /// A prerequisite was asked and its answer differs from the one on record.
    Probed(Probed),
    /// A fact was asked and its answer differs from the one on record.
    FactTold(FactTold),
    /// An attempt begins: written before its first child exists.
    TaskStarted(Box<TaskStarted>),
    /// An attempt ended.
    TaskEnded(Box<TaskEnded>),
    /// A run was asked for the task and left it undone.
    TaskLeft(TaskLeft),
    /// Somebody skipped a task.
    TaskSkipped(ByHand),
    /// Somebody forgot a task: what was recorded about it before no longer counts.
    TaskForgotten(ByHand),
    /// What a finished task had set up was taken down again.
    TornDown(TornDown),
    /// A finished task was looked at again, and it no longer holds.
    Drifted(Drifted),
    /// A finished task was looked at again, and it holds.
    Confirmed(Confirmed),
    /// The checks of a gate or a criterion were made, and their findings differ from those on record.
    Concluded(Concluded),
    /// Logs of older attempts were removed.
    LogsPruned(LogsPruned),
}

impl Event {
    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted(_) => "run-started",
            Self::RunEnded(_) => "run-ended",
            Self::Probed(_) => "probed",
            Self::FactTold(_) => "fact-told",
            Self::TaskStarted(_) => "task-started",
            Self::TaskEnded(_) => "task-ended",
            Self::TaskLeft(_) => "task-left",
            Self::TaskSkipped(_) => "task-skipped",
            Self::TaskForgotten(_) => "task-forgotten",
            Self::TornDown(_) => "torn-down",
            Self::Drifted(_) => "drifted",
            Self::Confirmed(_) => "confirmed",
            Self::Concluded(_) => "concluded",
            Self::LogsPruned(_) => "logs-pruned",
        }
    }

    /// The body as JSON.
    pub fn body(&self) -> serde_json::Result<Box<RawValue>> {
        use serde_json::value::to_raw_value;
        match self {
            Self::RunStarted(e) => to_raw_value(e),
            Self::RunEnded(e) => to_raw_value(e),
            Self::Probed(e) => to_raw_value(e),
            Self::FactTold(e) => to_raw_value(e),
            Self::TaskStarted(e) => to_raw_value(e),
            Self::TaskEnded(e) => to_raw_value(e),
            Self::TaskLeft(e) => to_raw_value(e),
            Self::TaskSkipped(e) | Self::TaskForgotten(e) => to_raw_value(e),
            Self::TornDown(e) => to_raw_value(e),
            Self::Drifted(e) => to_raw_value(e),
            Self::Confirmed(e) => to_raw_value(e),
            Self::Concluded(e) => to_raw_value(e),
            Self::LogsPruned(e) => to_raw_value(e),
        }
    }
}

/// A run began to do something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunStarted {
    /// Id of the pipeline.
    pub pipeline: String,
    /// Version of this program.
    pub xtask: String,
    /// Who.
    pub instance: Instance,
    /// `linux`, `macos`, ...
    pub os: String,
    /// The arguments, without the program.
    pub arguments: Vec<String>,
    /// The profile in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The repository's state, if it is in git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// State of the git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The branch; `HEAD` if none.
    pub branch: String,
    /// The commit; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// True if tracked files differ from the commit.
    pub dirty: bool,
}

/// A run ended in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunEnded {
    /// Its exit code.
    pub exit: u8,
}

/// A prerequisite was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Its name.
    pub prerequisite: String,
    /// The answer.
    #[serde(flatten)]
    pub probe: Probe,
}

/// A fact was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactTold {
    /// Its name.
    pub fact: String,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// An attempt begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskStarted {
    /// Id of the attempt, unique across machines.
    pub attempt: String,
    /// Counts the task's attempts, from 1.
    pub number: u32,
    /// Where it runs; `local` for this machine.
    pub place: String,
    /// Who runs it.
    pub instance: Instance,
    /// What it is about to do.
    pub definition: Definition,
    /// The files that its commands depend on, as they are before it starts.
    #[serde(default, skip_serializing_if = "Files::is_empty")]
    pub inputs: Files,
    /// The results that it stands on, by task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, Digest>,
    /// Versions of its prerequisites.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, Tool>,
    /// Names, not values, of the environment variables that it sets, also of those from environment files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Its log, relative to the root.
    pub log: Utf8PathBuf,
    /// The repository's state, if it is in git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// A tool as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The version, if it could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Utf8PathBuf>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every command, check and limit held.
    Passed,
    /// One did not.
    Failed,
    /// The run was told to stop.
    Interrupted,
}

/// An attempt ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskEnded {
    /// The attempt.
    pub attempt: String,
    /// How.
    pub outcome: Outcome,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How often it was tried.
    pub tries: u32,
    /// Duration in milliseconds.
    pub ms: u64,
    /// What ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandRecord>,
    /// What was checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRecord>,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// Its artifacts and the files that its checks read, as they are afterwards.
    #[serde(default, skip_serializing_if = "Files::is_empty")]
    pub subjects: Files,
    /// Digest of all that the result follows from: what dependents compare.
    pub result: Digest,
    /// Digest of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// What made an attempt fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed.
    pub kind: FailureKind,
    /// The command, check or measurement, in backticks where it is one.
    pub what: String,
    /// How: "exit code 2", "expected ..., found ...".
    pub how: String,
    /// What to do, if it can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// A command ended with something else than 0, or could not be started.
    Command,
    /// A check did not hold.
    Check,
    /// A number is outside its limits or could not be had.
    Measurement,
    /// A value could not be captured.
    Capture,
    /// The time limit passed.
    Timeout,
    /// An artifact is not there.
    Artifact,
    /// Its environment could not be prepared.
    Environment,
}

/// A command that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// As a person would type it, with secrets masked.
    pub command: String,
    /// The program and its arguments as they were started, with secrets masked; nothing in records of older versions,
    /// and if a secret lies across several words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Where it ran, relative to the root; `.` is the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Utf8PathBuf>,
    /// `run`, `finally` or `capture`.
    pub part: String,
    /// Name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// "exit code 0", "signal 9", "time limit", ...
    pub ended: String,
    /// Duration in milliseconds.
    pub ms: u64,
}

/// A check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// What must hold.
    pub says: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A run was asked for the task and left it undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLeft {
    /// The state in which it was left.
    pub state: String,
    /// Why, in words.
    pub because: Vec<String>,
}

/// Something done by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By whom, as the system names the user.
    pub by: String,
}

/// What a task had set up was taken down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TornDown {
    /// The attempt.
    pub attempt: String,
    /// What ran.
    pub commands: Vec<CommandRecord>,
    /// The log of these commands, relative to the root; nothing if it could not be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Utf8PathBuf>,
    /// Digest of that log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A finished task no longer holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Drifted {
    /// The attempt that had passed.
    pub attempt: String,
    /// What was found now.
    pub checks: Vec<CheckRecord>,
}

/// A finished task still holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Confirmed {
    /// The attempt that had passed.
    pub attempt: String,
    /// What was found now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckRecord>,
    /// What was measured now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
}

/// Findings of a gate or a criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concluded {
    /// `gate` or `criterion`.
    pub about: String,
    /// Its title.
    pub title: String,
    /// Digest of what the checks say and of the files that they read.
    pub stands_on: Digest,
    /// What was found.
    pub checks: Vec<CheckRecord>,
}

/// Logs of older attempts were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsPruned {
    /// How many attempts of each task keep theirs.
    pub keep: u64,
    /// The logs, relative to the root.
    pub logs: Vec<Utf8PathBuf>,
}
