//! The state of every task, with its reasons: one pure function of the plan, the ledger and what was observed.
//!
//! | the last attempt | and | state |
//! |---|---|---|
//! | any | skipped by hand, or `when` is false | skipped |
//! | passed | nothing that it follows from has changed | done |
//! | passed | something has | stale |
//! | failed | | failed |
//! | has no end, or ended on a signal | | interrupted |
//! | none | a prerequisite of its own is not met | blocked |
//! | none | a task that it needs is not done | waiting |
//! | none | | ready |
//!
//! The decision and its explanation come from the same walk: a state is never found without its reasons.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::check::Finding;
use crate::ids::{Digest, NeedIx, TaskIx};
use crate::ledger::event::{CheckRecord, CommandRecord, Failure, FailureKind, TaskLeft, Tool};
use crate::ledger::{Attempt, History, Outcome, TaskHistory};
use crate::measure::Measurement;
use crate::observed::{Files, Observed, Probe, Unreadable, Verdict};
use crate::pipeline::condition;
use crate::pipeline::policy::Policy;
use crate::pipeline::{Gate, Plan, Task};
use crate::redact;
use crate::since::{Point, Since};
use crate::timings;
use crate::wording;

/// What a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The last attempt passed and nothing it stands on has changed.
    Done,
    /// It passed, and something that it follows from has changed since.
    Stale,
    /// A command, a check or the time limit failed in the last attempt.
    Failed,
    /// The last attempt has a start and no end.
    Interrupted,
    /// Not done, and a prerequisite of its own is not met.
    Blocked,
    /// Not done, and a task that it needs is not done.
    Waiting,
    /// Would run now.
    Ready,
    /// Its `when` is false, or somebody skipped it.
    Skipped,
}

/// Every state, in the order of the summary.
pub const STATES: &[State] = &[
    State::Done,
    State::Stale,
    State::Failed,
    State::Interrupted,
    State::Blocked,
    State::Waiting,
    State::Ready,
    State::Skipped,
];

impl State {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Skipped => "skipped",
        }
    }

    /// As it is shown in reports and lists.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Done => "✅",
            Self::Stale => "🔄",
            Self::Failed => "❌",
            Self::Interrupted => "⚠️",
            Self::Blocked => "⏸️",
            Self::Waiting => "⏳",
            Self::Ready => "▫️",
            Self::Skipped => "⏭️",
        }
    }

    /// True if what needs such a task can start.
    pub fn satisfies(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

/// Why a task is in its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Reason {
    /// A prerequisite is not met.
    Prerequisite {
        /// Its name.
        name: String,
        /// What asking for it came to.
        verdict: Verdict,
        /// Why, in words.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// What to do on this system.
        remedy: Option<String>,
    },
    /// A task that it needs is not done.
    Task {
        /// The task.
        name: String,
        /// Its state.
        state: State,
        /// From that task to the root, each with its state.
        chain: Vec<Link>,
        /// What is at the root, in words.
        root: String,
    },
    /// Something that its result follows from is not what it was.
    Changed(Change),
    /// What failed in the last attempt.
    Failure(#[serde(serialize_with = "failed_by", deserialize_with = "read_failed_by")] Failure),
    /// The last attempt was cut off.
    Interrupted {
        /// When it had begun.
        started: Timestamp,
        /// True if the run itself died; false if it was told to stop.
        died: bool,
    },
    /// Its `when` is false, or could not be told.
    Condition {
        /// Why, in words.
        why: String,
    },
    /// Somebody skipped it.
    Skipped {
        /// The reason that was given.
        reason: String,
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// It is running now.
    Running {
        /// Since when.
        since: Timestamp,
    },
}

/// A failure as a reason: `kind` is that of the reason, so the kind of failure is called `by`.
fn failed_by<S: Serializer>(failure: &Failure, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct By<'a> {
        by: FailureKind,
        what: &'a str,
        how: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    }
    By { by: failure.kind, what: &failure.what, how: &failure.how, hint: failure.hint.as_deref() }
        .serialize(s)
}

fn read_failed_by<'de, D: Deserializer<'de>>(d: D) -> Result<Failure, D::Error> {
    #[derive(Deserialize)]
    struct By {
        by: FailureKind,
        what: String,
        how: String,
        #[serde(default)]
        hint: Option<String>,
    }
    let By { by, what, how, hint } = By::deserialize(d)?;
    Ok(Failure { kind: by, what, how, hint })
}

/// A step of a chain of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The task.
    pub task: String,
    /// Its state.
    pub state: State,
}

/// What changed since a task passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Change {
    /// A key of its definition.
    Definition {
        /// The key.
        key: String,
    },
    /// A variable that it uses.
    Variable {
        /// Its name.
        name: String,
        /// The value then; like the one now not told of a secret.
        old: Option<String>,
        /// The value now.
        new: Option<String>,
    },
    /// A file that its commands depend on.
    Input(FileDiffers),
    /// A file that its commands depend on can't be looked at, so that nobody can tell whether it changed.
    Unreadable {
        /// The file, or the pattern whose files can't be listed.
        path: Utf8PathBuf,
        /// What went wrong, in words.
        why: String,
    },
    /// A file that it answers for or that its checks read.
    Artifact(FileDiffers),
    /// A tool that it uses.
    Tool {
        /// The prerequisite.
        name: String,
        /// The version then.
        old: Option<String>,
        /// The version now.
        new: Option<String>,
    },
    /// A task that it stands on.
    Dependency {
        /// The task.
        name: String,
        /// What became of it, in words.
        how: String,
    },
    /// It was looked at again and did not hold.
    Drift {
        /// What must hold.
        says: String,
        /// What was found.
        finding: String,
        /// When.
        at: Timestamp,
    },
}

/// A file that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiffers {
    /// The file.
    pub path: Utf8PathBuf,
    /// What became of it.
    pub how: FileChange,
    /// Digest of its content then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Digest>,
    /// Digest of its content now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Digest>,
}

/// `` `path` changed ``.
impl fmt::Display for FileDiffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.how.name())
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChange {
    /// Its content is another.
    Changed,
    /// It was not there then.
    Added,
    /// It is not there now.
    Removed,
}

impl FileChange {
    fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Added => "is new",
            Self::Removed => "is gone",
        }
    }
}

/// One sentence without a full stop.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |v: &Option<String>| v.as_ref().map_or_else(|| "nothing".to_owned(), |v| format!("`{v}`"));
        match self {
            Self::Definition { key } => write!(f, "its `{key}` in pipeline.toml changed"),
            Self::Variable { name, old: None, new: None } => write!(f, "the variable `{name}` changed"),
            Self::Variable { name, old, new } => {
                write!(f, "the variable `{name}` changed from {} to {}", show(old), show(new))
            }
            Self::Input(file) => write!(f, "the input {file}"),
            Self::Unreadable { path, why } => write!(f, "the input `{path}` {why}"),
            Self::Artifact(file) => file.fmt(f),
            Self::Tool { name, old, new } => {
                write!(f, "the version of `{name}` changed from {} to {}", show(old), show(new))
            }
            Self::Dependency { name, how } => write!(f, "`{name}`, which it stands on, {how}"),
            Self::Drift { says, finding, .. } => write!(f, "it no longer holds that {says}: {finding}"),
        }
    }
}

/// One sentence without a full stop.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prerequisite { name, verdict, why, .. } => {
                write!(f, "`{name}`: {}", verdict.name())?;
                why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
            }
            Self::Task { name, state, chain, root } => {
                write!(f, "needs `{name}`, which is {}", state.name())?;
                let path: Vec<&str> = chain.iter().map(|l| l.task.as_str()).collect();
                match path.len() {
                    0 | 1 => write!(f, ": {root}"),
                    _ => write!(f, "; {}: {root}", path.join(" -> ")),
                }
            }
            Self::Changed(change) => change.fmt(f),
            Self::Failure(failure) => write!(f, "{}: {}", failure.what, failure.how),
            Self::Interrupted { died: true, .. } => f.write_str("the run died in the middle of it"),
            Self::Interrupted { died: false, .. } => {
                f.write_str("the run was told to stop in the middle of it")
            }
            Self::Condition { why } => f.write_str(why),
            Self::Skipped { reason, by, .. } => write!(f, "skipped by {by}: {reason}"),
            Self::Running { .. } => f.write_str("it is running now"),
        }
    }
}

/// The status of a whole pipeline: what every report is made of.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Format version of this shape.
    pub version: u32,
    /// Which pipeline.
    pub pipeline: PipelineHead,
    /// When the last evidence was recorded.
    pub as_of: Option<Timestamp>,
    /// When the outside was looked at, for what says how old something is; absent where a report is made from
    /// recorded evidence alone.
    #[serde(skip)]
    pub now: Option<Timestamp>,
    /// The branch at the last evidence.
    pub branch: Option<String>,
    /// The commit at the last evidence.
    pub revision: Option<String>,
    /// Where the ledger ended.
    pub evidence: Option<Point>,
    /// What is different from an earlier report, where one is compared with.
    #[serde(default)]
    pub since: Option<Since>,
    /// Counts by state.
    pub summary: Summary,
    /// Phases with their counts.
    pub phases: Vec<PhaseRow>,
    /// Tasks in the order of the plan.
    pub tasks: Vec<Row>,
    /// Prerequisites, most releasing first.
    pub prerequisites: Vec<PrerequisiteRow>,
    /// Rules.
    pub gates: Vec<GateRow>,
    /// What success means.
    pub criteria: Vec<CriterionRow>,
    /// What is handed over.
    pub deliverables: Vec<DeliverableRow>,
    /// What may go wrong.
    pub risks: Vec<RiskRow>,
    /// The remedies in the order in which they help most, and what each then releases.
    pub next: Vec<NextStep>,
    /// Time that the tasks left would take one after the other, from history and declared estimates, in milliseconds.
    pub left_ms: Option<u64>,
}

/// Format version of [`Status`] as JSON.
pub const VERSION: u32 = 1;

impl Status {
    /// How long ago something was, if it is known when now is.
    pub fn age(&self, at: Timestamp) -> Option<Duration> {
        Duration::try_from(self.now?.duration_since(at)).ok()
    }
}

/// Which pipeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PipelineHead {
    /// The id.
    pub id: String,
    /// The title.
    pub title: String,
}

/// Counts by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// All tasks.
    pub total: usize,
    /// Tasks that are done.
    pub done: usize,
    /// Tasks that are stale.
    pub stale: usize,
    /// Tasks that failed.
    pub failed: usize,
    /// Tasks that were interrupted.
    pub interrupted: usize,
    /// Tasks that are blocked.
    pub blocked: usize,
    /// Tasks that are waiting.
    pub waiting: usize,
    /// Tasks that are ready.
    pub ready: usize,
    /// Tasks that are skipped.
    pub skipped: usize,
}

impl Summary {
    /// Counts.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut out = Self::default();
        for row in rows {
            out.total += 1;
            *match row.state {
                State::Done => &mut out.done,
                State::Stale => &mut out.stale,
                State::Failed => &mut out.failed,
                State::Interrupted => &mut out.interrupted,
                State::Blocked => &mut out.blocked,
                State::Waiting => &mut out.waiting,
                State::Ready => &mut out.ready,
                State::Skipped => &mut out.skipped,
            } += 1;
        }
        out
    }

    /// The count of one state.
    pub fn count(&self, state: State) -> usize {
        match state {
            State::Done => self.done,
            State::Stale => self.stale,
            State::Failed => self.failed,
            State::Interrupted => self.interrupted,
            State::Blocked => self.blocked,
            State::Waiting => self.waiting,
            State::Ready => self.ready,
            State::Skipped => self.skipped,
        }
    }

    /// Done or skipped.
    pub fn settled(&self) -> usize {
        self.done + self.skipped
    }

    /// The least advanced state: what all of them together are shown as.
    pub fn state(&self) -> State {
        let worst_first = [
            State::Failed,
            State::Interrupted,
            State::Stale,
            State::Blocked,
            State::Waiting,
            State::Ready,
            State::Done,
        ];
        worst_first.into_iter().find(|state| self.count(*state) > 0).unwrap_or(State::Skipped)
    }
}

/// `35 of 50 tasks done, 12 blocked and 3 waiting`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![format!("{} of {} done", self.done, wording::plural(self.total, "task"))];
        parts.extend(
            STATES[1..]
                .iter()
                .filter(|s| self.count(**s) > 0)
                .map(|s| format!("{} {}", self.count(*s), s.name())),
        );
        f.write_str(&wording::list(&parts))
    }
}

/// A phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseRow {
    /// The id.
    pub id: String,
    /// The heading.
    pub title: String,
    /// Counts by state.
    pub summary: Summary,
    /// Ids of its tasks.
    pub tasks: Vec<String>,
}

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The id.
    pub id: String,
    /// Id of its phase.
    pub phase: String,
    /// What it does.
    pub title: String,
    /// Its state.
    pub state: State,
    /// Why: its own causes first.
    pub because: Vec<Reason>,
    /// Tasks that it needs.
    pub needs: Vec<String>,
    /// Prerequisites that it requires.
    pub requires: Vec<String>,
    /// Files and folders that it answers for.
    pub artifacts: Vec<Utf8PathBuf>,
    /// Its commands, as a person would type them.
    pub commands: Vec<String>,
    /// Numbers of the last attempt that ended.
    pub measurements: Vec<Measurement>,
    /// The last attempt.
    pub attempt: Option<AttemptRow>,
    /// Since when the last runs have left it blocked or waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Timestamp>,
    /// What it means that it is blocked or waiting, in the profile in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The address where it is talked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// When it was last seen to hold: the end of the attempt that passed, or a later look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// True if a run was asked for it and left it undone.
    #[serde(skip)]
    pub left: bool,
    /// What dependents compare, if it is done.
    #[serde(skip)]
    pub result: Option<Digest>,
    /// What it set up was taken down again, so that nothing can stand on it without running it once more.
    #[serde(skip)]
    pub torn_down: bool,
    /// How long it will probably take.
    #[serde(skip)]
    pub expected: Option<Duration>,
}

/// An attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptRow {
    /// Its id.
    pub id: String,
    /// Counts the task's attempts, from 1.
    pub number: u32,
    /// Where it ran.
    pub place: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Duration in milliseconds.
    pub ms: Option<u64>,
    /// Its log, relative to the root.
    pub log: Utf8PathBuf,
    /// What ran.
    pub commands: Vec<CommandRecord>,
    /// What was checked.
    pub checks: Vec<CheckRecord>,
    /// Versions of tools.
    pub tools: BTreeMap<String, Tool>,
    /// The commit.
    pub revision: Option<String>,
}

/// A prerequisite.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrerequisiteRow {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub title: Option<String>,
    /// What asking for it came to; nothing if no task still needs it, so that it was not asked.
    pub verdict: Option<Verdict>,
    /// Why it is not met.
    pub why: Option<String>,
    /// Version found.
    pub version: Option<String>,
    /// Versions that will do.
    pub wanted: Option<String>,
    /// Where the program was found.
    pub path: Option<Utf8PathBuf>,
    /// Tasks that could be done if this alone became met: those that require it, and those that stand on them.
    pub releases: usize,
    /// Of these, tasks that require it themselves.
    pub releases_directly: usize,
    /// Unfinished tasks that can't be done without it, whatever else they lack.
    pub needed_by: usize,
    /// What to do on this system.
    pub remedy: Option<String>,
    /// True if the profile in use promises that it is met.
    pub promised: bool,
}

/// How a rule, criterion or deliverable stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Proved.
    Met,
    /// Disproved.
    Unmet,
    /// Not to be told yet.
    Pending,
}

impl Standing {
    /// As it is shown.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Met => "✅",
            Self::Unmet => "❌",
            Self::Pending => "⏸️",
        }
    }
}

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateRow {
    /// The rule.
    pub title: String,
    /// How it stands.
    pub standing: Standing,
    /// Why it is not met.
    pub because: Vec<String>,
    /// What was checked.
    pub checks: Vec<CheckRecord>,
}

/// A criterion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CriterionRow {
    /// What is judged.
    pub title: String,
    /// The target, for people.
    pub target: String,
    /// How it stands.
    pub standing: Standing,
    /// Measured values, for people.
    pub values: Vec<String>,
    /// Why it is not met.
    pub because: Vec<String>,
}

/// A deliverable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverableRow {
    /// Heading.
    pub group: Option<String>,
    /// What it is.
    pub title: String,
    /// How it stands.
    pub standing: Standing,
    /// Its files.
    pub files: Vec<Utf8PathBuf>,
    /// Why it is not met.
    pub because: Vec<String>,
}

/// A risk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RiskRow {
    /// What may go wrong.
    pub title: String,
    /// `low`, `medium` or `high`.
    pub level: String,
    /// Why that level.
    pub because: Vec<String>,
    /// What helps.
    pub mitigation: Option<String>,
}

/// A remedy and what it releases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NextStep {
    /// The prerequisite.
    pub prerequisite: String,
    /// What asking for it came to.
    pub verdict: Verdict,
    /// What to do on this system.
    pub remedy: Option<String>,
    /// Tasks that can be done once this and the steps before are met.
    pub releases: Vec<String>,
}

/// The status. `plan`, `history` and `observed` are all it depends on.
pub fn status(plan: &Plan, history: &History, observed: &Observed) -> Status {
    of_rows(plan, history, observed, rows(plan, history, observed))
}

/// The same where the [`rows`] are known already.
pub fn of_rows(plan: &Plan, history: &History, observed: &Observed, tasks: Vec<Row>) -> Status {
    let forecast = Forecast::new(plan, observed, &tasks);
    let git = history.git();
    Status {
        version: VERSION,
        pipeline: PipelineHead { id: plan.id.clone(), title: plan.title.clone() },
        as_of: history.as_of,
        now: observed.at,
        branch: git.map(|g| g.branch.clone()),
        revision: git.and_then(|g| g.revision.clone()),
        evidence: Point::of(history),
        since: None,
        summary: Summary::of(&tasks),
        phases: plan
            .phases
            .iter()
            .map(|p| PhaseRow {
                id: p.id.clone(),
                title: p.title.clone(),
                summary: Summary::of(p.tasks.iter().map(|ix| &tasks[ix.0])),
                tasks: p.tasks.iter().map(|ix| tasks[ix.0].id.clone()).collect(),
            })
            .collect(),
        prerequisites: forecast.prerequisites(),
        next: forecast.next(),
        gates: plan.gates.iter().map(|g| gate(g, history, observed, plan, &tasks)).collect(),
        criteria: plan.criteria.iter().map(|c| criterion(c, history, &tasks)).collect(),
        deliverables: plan
            .deliverables
            .iter()
            .enumerate()
            .map(|(i, d)| deliverable(d, i, observed, &tasks))
            .collect(),
        risks: plan.risks.iter().map(|r| risk(r, &tasks)).collect(),
        left_ms: time_left(&tasks),
        tasks,
    }
}

/// States and reasons, without what only reports need.
pub fn rows(plan: &Plan, history: &History, observed: &Observed) -> Vec<Row> {
    let _span = timings::phase("find states");
    let mut rows: Vec<Option<Row>> = plan.tasks.iter().map(|_| None).collect();
    for ix in &plan.order {
        let row = row(plan, *ix, history, observed, &rows);
        rows[ix.0] = Some(row);
    }
    rows.into_iter().flatten().collect()
}

/// One task's state and reasons, given the rows of the tasks that it needs.
pub fn row(plan: &Plan, ix: TaskIx, history: &History, observed: &Observed, before: &[Option<Row>]) -> Row {
    let task = plan.task(ix);
    let past = history.task(&task.id);
    let needs: Vec<&Row> = task.needs.iter().filter_map(|n| before[n.0].as_ref()).collect();
    let (state, because) = decide(plan, ix, past, observed, &needs);
    let ended = past.last.as_ref().and_then(|a| a.ended.as_ref());
    Row {
        id: task.id.clone(),
        phase: plan.phases[task.phase.0].id.clone(),
        title: task.title.clone(),
        state,
        because,
        needs: needs.iter().map(|r| r.id.clone()).collect(),
        requires: task.requires.iter().map(|n| plan.prerequisites[n.0].name.clone()).collect(),
        artifacts: task.artifacts.clone(),
        commands: task.run.iter().map(|s| s.line.to_string()).collect(),
        measurements: ended.map(|(_, e)| e.measurements.clone()).unwrap_or_default(),
        attempt: past.last.as_ref().map(attempt_row),
        blocked_since: past.left_since.filter(|_| matches!(state, State::Blocked | State::Waiting)),
        policy: policy(plan, ix, state, observed, &needs),
        owner: task.owner.clone(),
        link: task.link.clone(),
        seen: past
            .confirmed
            .or_else(|| past.last.as_ref()?.ended.as_ref().map(|(at, _)| *at))
            .filter(|_| past.last.as_ref().is_some_and(|a| a.outcome() == Some(Outcome::Passed))),
        left: past.left.is_some(),
        result: (state == State::Done).then(|| ended.map(|(_, e)| e.result)).flatten(),
        torn_down: past.torn_down,
        expected: past.typical().or(task.estimate),
    }
}

fn attempt_row(a: &Attempt) -> AttemptRow {
    let ended = a.ended.as_ref();
    AttemptRow {
        id: a.started.attempt.clone(),
        number: a.started.number,
        place: a.started.place.clone(),
        started: a.started_at,
        ended: ended.map(|(at, _)| *at),
        outcome: a.outcome(),
        ms: ended.map(|(_, e)| e.ms),
        log: a.started.log.clone(),
        commands: ended.map(|(_, e)| e.commands.clone()).unwrap_or_default(),
        checks: ended.map(|(_, e)| e.checks.clone()).unwrap_or_default(),
        tools: a.started.tools.clone(),
        revision: a.started.git.as_ref().and_then(|g| g.revision.clone()),
    }
}

fn decide(
    plan: &Plan,
    ix: TaskIx,
    past: &TaskHistory,
    observed: &Observed,
    needs: &[&Row],
) -> (State, Vec<Reason>) {
    let task = plan.task(ix);
    if let Some((skip, at)) = &past.skip {
        let reason = skip.reason.clone().unwrap_or_default();
        return (State::Skipped, vec![Reason::Skipped { reason, by: skip.by.clone(), at: *at }]);
    }
    let condition = task.when.as_ref().map_or(condition::Outcome::Holds, |when| {
        when.evaluate(&|name| {
            observed.facts.get(name).cloned().unwrap_or_else(|| Err("it was not asked".to_owned()))
        })
    });
    if let condition::Outcome::Fails(why) = condition {
        return (State::Skipped, vec![Reason::Condition { why }]);
    }
    let blocked = unmet(plan, task, observed);
    let waiting: Vec<Reason> = needs.iter().filter(|n| !n.state.satisfies()).map(|n| waits_for(n)).collect();
    let obstacles = || blocked.iter().chain(&waiting).cloned();
    match past.last.as_ref() {
        Some(last) => match last.ended.as_ref() {
            None if observed.holder.as_ref() == Some(&last.started.instance) => {
                (State::Ready, vec![Reason::Running { since: last.started_at }])
            }
            None => {
                let first = Reason::Interrupted { started: last.started_at, died: true };
                (State::Interrupted, std::iter::once(first).chain(obstacles()).collect())
            }
            Some((_, end)) => match end.outcome {
                Outcome::Interrupted => {
                    let first = Reason::Interrupted { started: last.started_at, died: false };
                    (State::Interrupted, std::iter::once(first).chain(obstacles()).collect())
                }
                Outcome::Failed => {
                    let failure = end.failure.clone().unwrap_or_else(|| Failure {
                        kind: FailureKind::Command,
                        what: "the attempt".to_owned(),
                        how: "failed".to_owned(),
                        hint: None,
                    });
                    (State::Failed, std::iter::once(Reason::Failure(failure)).chain(obstacles()).collect())
                }
                Outcome::Passed => {
                    let changes = changes(plan, ix, past, last, observed, needs);
                    if changes.is_empty() {
                        (State::Done, Vec::new())
                    } else {
                        let changes = changes.into_iter().map(Reason::Changed);
                        // That a dependency is not done is among the changes already.
                        (State::Stale, changes.chain(blocked.iter().cloned()).collect())
                    }
                }
            },
        },
        None => {
            let undecided = match condition {
                condition::Outcome::Unknown(why) if blocked.is_empty() => Some(Reason::Condition { why }),
                _ => None,
            };
            if !blocked.is_empty() || undecided.is_some() {
                (State::Blocked, undecided.into_iter().chain(obstacles()).collect())
            } else if !waiting.is_empty() {
                (State::Waiting, waiting)
            } else {
                (State::Ready, Vec::new())
            }
        }
    }
}

/// What it means that a task is in that state, if it is blocked or waiting. One that waits counts as what it waits
/// for, unless it or its phase says so itself; a promise that does not hold counts as a failure whatever is said.
fn policy(plan: &Plan, ix: TaskIx, state: State, observed: &Observed, needs: &[&Row]) -> Option<Policy> {
    let broken = |need: &NeedIx| {
        let probe = observed.prerequisites.get(need.0).and_then(Option::as_ref);
        plan.promised(*need) && !probe.is_some_and(Probe::is_met)
    };
    match state {
        State::Blocked if plan.task(ix).requires.iter().any(broken) => Some(Policy::Fail),
        State::Blocked => Some(plan.own_policy(ix).unwrap_or_else(|| plan.default_policy())),
        State::Waiting => {
            let behind = needs.iter().filter(|n| !n.state.satisfies()).map(|n| n.policy);
            let worst = behind.map(|policy| policy.unwrap_or_else(|| plan.default_policy())).max();
            plan.own_policy(ix).or(worst)
        }
        _ => None,
    }
}

/// The prerequisites of its own that are not met.
fn unmet(plan: &Plan, task: &Task, observed: &Observed) -> Vec<Reason> {
    task.requires
        .iter()
        .filter_map(|need| {
            let prerequisite = &plan.prerequisites[need.0];
            let (verdict, why) = match observed.prerequisites.get(need.0).and_then(Option::as_ref) {
                Some(probe) if probe.is_met() => return None,
                Some(probe) => (probe.verdict, probe.why.clone()),
                None => (Verdict::CouldNotTell, Some("it has not been asked yet".to_owned())),
            };
            let remedy = prerequisite.remedy(verdict).map(str::to_owned);
            Some(Reason::Prerequisite { name: prerequisite.name.clone(), verdict, why, remedy })
        })
        .collect()
}

/// That a needed task is not done, with the chain from there to the root.
fn waits_for(need: &Row) -> Reason {
    let mut chain = vec![Link { task: need.id.clone(), state: need.state }];
    let mut root = None;
    match need.because.first() {
        Some(Reason::Task { chain: rest, root: deeper, .. }) => {
            chain.extend(rest.iter().cloned());
            root = Some(deeper.clone());
        }
        Some(reason) => root = Some(reason.to_string()),
        None => {}
    }
    let root = root.unwrap_or_else(|| format!("`{}` is {}", need.id, need.state.name()));
    Reason::Task { name: need.id.clone(), state: need.state, chain, root }
}

fn changes(
    plan: &Plan,
    ix: TaskIx,
    past: &TaskHistory,
    last: &Attempt,
    observed: &Observed,
    needs: &[&Row],
) -> Vec<Change> {
    let task = plan.task(ix);
    let mut out = Vec::new();
    let (then, now) = (&last.started.definition, &task.definition);
    for key in then.keys.keys().chain(now.keys.keys().filter(|k| !then.keys.contains_key(*k))) {
        if then.keys.get(key) != now.keys.get(key) {
            out.push(Change::Definition { key: key.clone() });
        }
    }
    for name in then.vars.keys().chain(now.vars.keys().filter(|k| !then.vars.contains_key(*k))) {
        let (old, new) = (then.vars.get(name).cloned(), now.vars.get(name).cloned());
        let same = old.as_deref().zip(new.as_deref()).is_some_and(|(old, new)| redact::is_same(old, new));
        if !same {
            let secret = old.iter().chain(&new).any(|value| redact::is_stand_in(value));
            let [old, new] = [old, new].map(|value| value.filter(|_| !secret));
            out.push(Change::Variable { name: name.clone(), old, new });
        }
    }
    let ended = last.ended.as_ref();
    if let Some(view) = observed.files.get(ix.0).and_then(Option::as_ref) {
        let mut seen = Vec::new();
        let unreadable = |u: &Unreadable| Change::Unreadable { path: u.path.clone(), why: u.why.clone() };
        out.extend(view.unreadable.iter().map(unreadable));
        for file in differences(&last.started.inputs, &view.inputs) {
            seen.push(file.path.clone());
            if file.how == FileChange::Removed && !view.unreadable.is_empty() {
                // It may be among those that can't be looked at.
                continue;
            }
            out.push(Change::Input(file));
        }
        if let Some((_, end)) = ended {
            for file in differences(&end.subjects, &view.subjects) {
                if !seen.contains(&file.path) {
                    out.push(Change::Artifact(file));
                }
            }
        }
        for path in &view.missing {
            if !out.iter().any(|c| matches!(c, Change::Artifact(file) if file.path == *path)) {
                let how = FileChange::Removed;
                out.push(Change::Artifact(FileDiffers { path: path.clone(), how, old: None, new: None }));
            }
        }
    }
    for need in &task.requires {
        let name = &plan.prerequisites[need.0].name;
        let old = last.started.tools.get(name).and_then(|t| t.version.clone());
        let new = observed.versions.get(name).cloned();
        if new.is_some() && old.is_some() && new != old {
            out.push(Change::Tool { name: name.clone(), old, new });
        }
    }
    for need in needs {
        let recorded = last.started.needs.get(&need.id);
        let how = match (need.state, recorded) {
            (State::Skipped, _) => continue,
            (State::Done, Some(result)) if need.result.as_ref() == Some(result) => continue,
            (State::Done, Some(_)) => "was done again, with another result".to_owned(),
            (State::Done, None) => "was not needed then".to_owned(),
            (state, _) => match need.because.first() {
                // The whole of it stands with the task that it is about.
                Some(reason) => {
                    format!("is {}: {}", state.name(), wording::first_line(&reason.to_string(), 160))
                }
                None => format!("is {}", state.name()),
            },
        };
        out.push(Change::Dependency { name: need.id.clone(), how });
    }
    if let Some((drift, at)) = past.drift.as_ref().filter(|(d, _)| d.attempt == last.started.attempt) {
        for check in drift.checks.iter().filter(|c| !c.finding.is_met()) {
            out.push(Change::Drift { says: check.says.clone(), finding: check.finding.to_string(), at: *at });
        }
    }
    out
}

fn differences(then: &Files, now: &Files) -> Vec<FileDiffers> {
    let differs = |path: &Utf8PathBuf, how, old: Option<Digest>, new: Option<Digest>| FileDiffers {
        path: path.clone(),
        how,
        old,
        new,
    };
    let mut out = Vec::new();
    for (path, old) in then {
        match (*old, now.get(path).copied().flatten()) {
            (old, new) if old == new => {}
            (Some(_), None) => out.push(differs(path, FileChange::Removed, *old, None)),
            (None, new) => out.push(differs(path, FileChange::Added, None, new)),
            (_, new) => out.push(differs(path, FileChange::Changed, *old, new)),
        }
    }
    out.extend(
        now.iter()
            .filter(|(path, new)| new.is_some() && !then.contains_key(*path))
            .map(|(path, new)| differs(path, FileChange::Added, None, *new)),
    );
    out
}

/// Tasks that could be done if these prerequisites were met and no others: those of the `open` ones that need nothing
/// but what is satisfied or could be done as well.
pub fn doable(
    plan: &Plan,
    met: &[bool],
    open: impl Fn(TaskIx) -> bool,
    satisfied: impl Fn(TaskIx) -> bool,
) -> Vec<bool> {
    let mut out = vec![false; plan.tasks.len()];
    for ix in &plan.order {
        let task = plan.task(*ix);
        let required = plan.with_required(&task.requires);
        out[ix.0] = open(*ix)
            && required.iter().zip(met).all(|(required, met)| !required || *met)
            && task.needs.iter().all(|n| satisfied(*n) || out[n.0]);
    }
    out
}

/// What would be done if prerequisites became met.
struct Forecast<'a> {
    plan: &'a Plan,
    rows: &'a [Row],
    probes: Vec<Option<&'a Probe>>,
}

impl<'a> Forecast<'a> {
    fn new(plan: &'a Plan, observed: &'a Observed, rows: &'a [Row]) -> Self {
        let probes = (0..plan.prerequisites.len())
            .map(|i| observed.prerequisites.get(i).and_then(Option::as_ref))
            .collect();
        Self { plan, rows, probes }
    }

    fn met(&self) -> Vec<bool> {
        self.probes.iter().map(|p| p.is_some_and(Probe::is_met)).collect()
    }

    /// Unfinished tasks that could be done with these prerequisites. A failed task holds up what stands on it: no
    /// prerequisite mends it.
    fn doable(&self, met: &[bool]) -> Vec<bool> {
        let state = |ix: TaskIx| self.rows[ix.0].state;
        let open = |ix| !state(ix).satisfies() && state(ix) != State::Failed;
        doable(self.plan, met, open, |ix| state(ix).satisfies())
    }

    fn requires(&self, task: usize, need: usize) -> bool {
        self.plan.with_required(&self.plan.tasks[task].requires)[need]
    }

    fn prerequisites(&self) -> Vec<PrerequisiteRow> {
        let met = self.met();
        let now = self.doable(&met);
        let mut out: Vec<PrerequisiteRow> = self
            .plan
            .prerequisites
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let probe = self.probes[i];
                let mut with = met.clone();
                with[i] = true;
                let released: Vec<usize> = match probe {
                    Some(probe) if !probe.is_met() => self
                        .doable(&with)
                        .iter()
                        .enumerate()
                        .filter(|(t, can)| **can && !now[*t])
                        .map(|(t, _)| t)
                        .collect(),
                    _ => Vec::new(),
                };
                let direct: Vec<TaskIx> = (0..self.rows.len())
                    .filter(|t| !self.rows[*t].state.satisfies() && self.requires(*t, i))
                    .map(TaskIx)
                    .collect();
                PrerequisiteRow {
                    name: p.name.clone(),
                    title: p.title.clone(),
                    verdict: probe.map(|p| p.verdict),
                    why: probe.and_then(|p| p.why.clone()),
                    version: probe.and_then(|p| p.version.clone()),
                    wanted: p.wanted().map(str::to_owned),
                    path: probe.and_then(|p| p.path.clone()),
                    releases: released.len(),
                    releases_directly: released.iter().filter(|t| self.requires(**t, i)).count(),
                    needed_by: self.standing_on(&direct),
                    remedy: p.remedy(probe.map_or(Verdict::CouldNotTell, |p| p.verdict)).map(str::to_owned),
                    promised: self.plan.promised(NeedIx(i)),
                }
            })
            .collect();
        // Unmet before met before not asked; then the most releasing, the most needed, the order of the file.
        let rank = |row: &PrerequisiteRow| match row.verdict {
            Some(Verdict::Met) => 1,
            Some(_) => 0,
            None => 2,
        };
        out.sort_by(|a, b| {
            rank(a).cmp(&rank(b)).then(b.releases.cmp(&a.releases)).then(b.needed_by.cmp(&a.needed_by))
        });
        out
    }

    /// How many unfinished tasks these are, with all that stand on them.
    fn standing_on(&self, direct: &[TaskIx]) -> usize {
        let mut stands = vec![false; self.rows.len()];
        for ix in direct {
            stands[ix.0] = true;
        }
        for ix in &self.plan.order {
            if self.plan.task(*ix).needs.iter().any(|n| stands[n.0]) && !self.rows[ix.0].state.satisfies() {
                stands[ix.0] = true;
            }
        }
        stands.iter().filter(|s| **s).count()
    }

    /// The order in which remedies help most. A remedy that releases nothing by itself still stands where the ones
    /// after it need it.
    fn next(&self) -> Vec<NextStep> {
        let mut met = self.met();
        let mut open: Vec<usize> = (0..met.len())
            .filter(|i| {
                self.probes[*i].is_some_and(|p| !p.is_met())
                    && (0..self.rows.len()).any(|t| !self.rows[t].state.satisfies() && self.requires(t, *i))
            })
            .collect();
        let mut out = Vec::new();
        let mut done = self.doable(&met);
        while !open.is_empty() {
            let gain = |i: usize, met: &[bool]| {
                let mut with = met.to_vec();
                with[i] = true;
                self.doable(&with).iter().zip(&done).filter(|(can, before)| **can && !**before).count()
            };
            let needed = |i: usize| {
                (0..self.rows.len())
                    .filter(|t| !self.rows[*t].state.satisfies() && self.requires(*t, i))
                    .count()
            };
            // What another open one requires comes before it.
            let free = |i: usize| !self.plan.prerequisites[i].requires.iter().any(|r| open.contains(&r.0));
            let Some(best) = open
                .iter()
                .copied()
                .filter(|i| free(*i))
                .max_by_key(|i| (gain(*i, &met), needed(*i), std::cmp::Reverse(*i)))
            else {
                break;
            };
            met[best] = true;
            let after = self.doable(&met);
            let releases = (0..self.rows.len())
                .filter(|t| after[*t] && !done[*t])
                .map(|t| self.rows[t].id.clone())
                .collect();
            done = after;
            open.retain(|i| *i != best);
            let prerequisite = &self.plan.prerequisites[best];
            let verdict = self.probes[best].map_or(Verdict::CouldNotTell, |p| p.verdict);
            out.push(NextStep {
                prerequisite: prerequisite.name.clone(),
                verdict,
                remedy: prerequisite.remedy(verdict).map(str::to_owned),
                releases,
            });
        }
        out
    }
}

/// What would be if prerequisites were met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assumed {
    /// The prerequisites, with those that they require.
    pub prerequisites: Vec<String>,
    /// Tasks that could be done then and can't be done now.
    pub releases: Vec<String>,
    /// Unfinished tasks that still could not be done, each with what it lacks.
    pub remains: Vec<Remains>,
}

/// A task that something else holds up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remains {
    /// The task.
    pub task: String,
    /// Prerequisites that it or what it needs lacks.
    pub lacks: Vec<String>,
    /// Failed tasks that hold it up; itself, if it failed.
    pub failed: Vec<String>,
}

/// What would be released if `names` were met, and what would not.
pub fn assume(plan: &Plan, observed: &Observed, rows: &[Row], needs: &[NeedIx]) -> Assumed {
    let forecast = Forecast::new(plan, observed, rows);
    let mut all: Vec<NeedIx> = needs.iter().flat_map(|need| plan.needed_for(*need)).collect();
    all.sort();
    all.dedup();
    let before = forecast.met();
    let mut met = before.clone();
    all.iter().for_each(|need| met[need.0] = true);
    let (now, then) = (forecast.doable(&before), forecast.doable(&met));
    let remains = plan
        .all()
        .filter(|ix| !rows[ix.0].state.satisfies() && !then[ix.0])
        .map(|ix| {
            let mut behind = plan.closure([ix]);
            plan.all().filter(|b| rows[b.0].state.satisfies()).for_each(|b| behind[b.0] = false);
            let mut lacks: Vec<NeedIx> = plan
                .all()
                .filter(|b| behind[b.0])
                .flat_map(|b| plan.task(b).requires.iter().flat_map(|need| plan.needed_for(*need)))
                .filter(|need| !met[need.0])
                .collect();
            lacks.sort();
            lacks.dedup();
            let failed = plan.all().filter(|b| behind[b.0] && rows[b.0].state == State::Failed);
            Remains {
                task: rows[ix.0].id.clone(),
                lacks: lacks.iter().map(|need| plan.prerequisites[need.0].name.clone()).collect(),
                failed: failed.map(|b| rows[b.0].id.clone()).collect(),
            }
        })
        .collect();
    Assumed {
        prerequisites: all.iter().map(|need| plan.prerequisites[need.0].name.clone()).collect(),
        releases: plan.all().filter(|ix| then[ix.0] && !now[ix.0]).map(|ix| rows[ix.0].id.clone()).collect(),
        remains,
    }
}

/// What keeps tasks from proving something, in words; empty if all are done.
fn open_tasks(tasks: &[TaskIx], rows: &[Row]) -> Vec<String> {
    tasks
        .iter()
        .map(|ix| &rows[ix.0])
        .filter(|r| r.state != State::Done)
        .map(|r| format!("{} is {}", r.id, r.state.name()))
        .collect()
}

fn conclude(
    about: &str,
    title: &str,
    checks: usize,
    history: &History,
) -> (Option<bool>, Vec<String>, Vec<CheckRecord>) {
    if checks == 0 {
        return (Some(true), Vec::new(), Vec::new());
    }
    let Some(found) = history.conclusions.get(&(about.to_owned(), title.to_owned())) else {
        return (None, vec!["not checked yet".to_owned()], Vec::new());
    };
    let bad: Vec<String> = found
        .checks
        .iter()
        .filter(|c| !c.finding.is_met())
        .map(|c| format!("{}: {}", c.says, c.finding))
        .collect();
    let unknown = found.checks.iter().all(|c| !matches!(c.finding, Finding::Unmet { .. })) && !bad.is_empty();
    let verdict = if unknown { None } else { Some(bad.is_empty()) };
    (verdict, bad, found.checks.clone())
}

fn stand(verdict: Option<bool>, open: &[String], failed: bool) -> Standing {
    match verdict {
        Some(false) => Standing::Unmet,
        _ if failed => Standing::Unmet,
        Some(true) if open.is_empty() => Standing::Met,
        _ => Standing::Pending,
    }
}

fn any_failed(tasks: &[TaskIx], rows: &[Row]) -> bool {
    tasks.iter().any(|ix| rows[ix.0].state == State::Failed)
}

fn gate(g: &Gate, history: &History, observed: &Observed, plan: &Plan, rows: &[Row]) -> GateRow {
    let (verdict, mut because, checks) = conclude("gate", &g.title, g.checks.len(), history);
    let open = open_tasks(&g.tasks, rows);
    if verdict.is_none() {
        because.extend(g.requires.iter().filter_map(|n| {
            let probe = observed.prerequisites.get(n.0)?.as_ref().filter(|p| !p.is_met())?;
            Some(format!("`{}`: {}", plan.prerequisites[n.0].name, probe.verdict.name()))
        }));
    }
    let standing = stand(verdict, &open, any_failed(&g.tasks, rows));
    because.extend(open);
    GateRow { title: g.title.clone(), standing, because, checks }
}

fn criterion(c: &crate::pipeline::plan::Criterion, history: &History, rows: &[Row]) -> CriterionRow {
    let (verdict, mut because, _) = conclude("criterion", &c.title, c.checks.len(), history);
    let tasks: Vec<TaskIx> =
        c.tasks.iter().copied().chain(c.measures.iter().chain(&c.findings).map(|(t, _)| *t)).collect();
    let mut values = Vec::new();
    let mut exceeded = false;
    for (ix, name) in &c.measures {
        if let Some(m) = rows[ix.0].measurements.iter().find(|m| m.name == *name) {
            values.push(if c.measures.len() == 1 { m.show() } else { format!("{}: {}", m.name, m.show()) });
            if !m.within_limits {
                exceeded = true;
                because.push(format!("{} is {}", m.name, m.show()));
            }
        }
    }
    for (ix, title) in &c.findings {
        let checks = rows[ix.0].attempt.as_ref().map_or(&[][..], |a| &a.checks);
        if let Some(Finding::Met { found: Some(found) }) =
            checks.iter().find(|k| k.says == *title).map(|k| &k.finding)
        {
            values.push(found.clone());
        }
    }
    let mut open: Vec<String> = Vec::new();
    for text in open_tasks(&tasks, rows) {
        if !open.contains(&text) {
            open.push(text);
        }
    }
    let standing = if exceeded { Standing::Unmet } else { stand(verdict, &open, any_failed(&tasks, rows)) };
    because.extend(open);
    CriterionRow { title: c.title.clone(), target: c.target.clone(), standing, values, because }
}

fn deliverable(
    d: &crate::pipeline::plan::Deliverable,
    at: usize,
    observed: &Observed,
    rows: &[Row],
) -> DeliverableRow {
    let files = observed.deliverables.get(at).cloned().unwrap_or_default();
    let mut because = Vec::new();
    let enough = d.files.is_empty() || d.count.map_or(!files.is_empty(), |n| files.len() as u64 == n);
    if !enough {
        let wanted =
            d.count.map_or_else(|| "at least one file".to_owned(), |n| wording::plural(n as usize, "file"));
        let patterns: Vec<String> = d.files.iter().map(|g| format!("`{}`", g.pattern)).collect();
        because.push(format!(
            "expected {wanted} matching {}, found {}",
            wording::list(&patterns),
            files.len()
        ));
    }
    let open = open_tasks(&d.tasks, rows);
    let standing = stand(Some(enough), &open, any_failed(&d.tasks, rows));
    because.extend(open);
    DeliverableRow { group: d.group.clone(), title: d.title.clone(), standing, files, because }
}

fn risk(r: &crate::pipeline::plan::Risk, rows: &[Row]) -> RiskRow {
    let open = open_tasks(&r.tasks, rows);
    let level = if any_failed(&r.tasks, rows) {
        "high"
    } else if open.is_empty() {
        "low"
    } else {
        "medium"
    };
    RiskRow {
        title: r.title.clone(),
        level: level.to_owned(),
        because: open,
        mitigation: r.mitigation.clone(),
    }
}

fn time_left(rows: &[Row]) -> Option<u64> {
    let open: Vec<&Row> = rows.iter().filter(|r| !r.state.satisfies()).collect();
    let known: Vec<Duration> = open.iter().filter_map(|r| r.expected).collect();
    (!known.is_empty()).then(|| known.iter().sum::<Duration>().as_millis() as u64)
}

/// The words under which a task that is left undone is put on record.
pub fn left(row: &Row) -> TaskLeft {
    TaskLeft {
        state: row.state.name().to_owned(),
        because: row.because.iter().map(ToString::to_string).collect(),
    }
}
