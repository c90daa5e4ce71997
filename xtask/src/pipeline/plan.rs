//! The plan: a pipeline whose every reference is known to be right. Only [`resolve`](super::resolve) makes one, so
//! holding a plan means that ids exist, nothing is declared twice, and no task waits for itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::condition::Condition;
use super::file::{CaptureTable, HintTable, RemedyTable, Step, Versions};
use super::line::Line;
use super::policy::{Blocked, Policy};
use super::read::{Glob, OutsidePath, Pattern};
use super::template::Template;
use crate::check::CheckSpec;
use crate::ids::{Digest, NeedIx, PhaseIx, TaskIx};
use crate::measure::Measure;
use crate::observed::Verdict;
use crate::redact::MASK;

/// Time limit of a task that names none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Time limit of a question to a prerequisite or a fact that names none.
pub const DEFAULT_PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between TERM and KILL where a task names none.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// How many attempts of each task keep their logs, where the pipeline does not say.
pub const DEFAULT_KEEP: u64 = 10;

/// A whole pipeline.
#[derive(Debug)]
pub struct Plan {
    /// The id, which is also the command.
    pub id: String,
    /// Title of the report.
    pub title: String,
    /// The Markdown report that a run writes, relative to the root.
    pub report: Option<Utf8PathBuf>,
    /// The project's own template, relative to the root.
    pub template: Option<Utf8PathBuf>,
    /// How many attempts of each task keep their logs.
    pub keep: u64,
    /// Variables with their values.
    pub vars: BTreeMap<String, String>,
    /// Variables and environment variables whose values are masked everywhere.
    pub secret: Vec<String>,
    /// Prerequisites in the order of the file.
    pub prerequisites: Vec<Prerequisite>,
    /// Facts in the order of the file.
    pub facts: Vec<Fact>,
    /// Profiles in the order of the file.
    pub profiles: Vec<Profile>,
    /// The profile that is in use, by position.
    pub profile: Option<usize>,
    /// Phases in the order of the report.
    pub phases: Vec<Phase>,
    /// Tasks in the order of the report.
    pub tasks: Vec<Task>,
    /// The same tasks, each after everything that it needs.
    pub order: Vec<TaskIx>,
    /// Rules.
    pub gates: Vec<Gate>,
    /// What success means.
    pub criteria: Vec<Criterion>,
    /// What is handed over.
    pub deliverables: Vec<Deliverable>,
    /// What may go wrong.
    pub risks: Vec<Risk>,
}

/// Something outside the repository.
#[derive(Debug)]
pub struct Prerequisite {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub title: Option<String>,
    /// A program on PATH.
    pub program: Option<String>,
    /// Versions that will do.
    pub version: Option<Versions>,
    /// What tells the version.
    pub version_command: Option<Line>,
    /// Finds it.
    pub version_regex: Option<Pattern>,
    /// Must exit with 0.
    pub ready: Option<Line>,
    /// And print this.
    pub ready_regex: Option<Pattern>,
    /// Words for "no permission".
    pub denied: Option<Pattern>,
    /// An environment variable.
    pub variable: Option<String>,
    /// An address.
    pub tcp: Option<String>,
    /// Needed only where this is so.
    pub when: Option<Condition>,
    /// Asked only when these are met.
    pub requires: Vec<NeedIx>,
    /// Time limit of each question.
    pub timeout: Duration,
    /// What to look at while somebody waits for it.
    pub watch: Vec<OutsidePath>,
    /// What to do.
    pub remedy: Option<RemedyTable>,
    /// What to do where it is absent or has the wrong version.
    pub install: Option<RemedyTable>,
    /// What to do where this user may not use it.
    pub permit: Option<RemedyTable>,
}

impl Prerequisite {
    /// What to do about a verdict on the system that this runs on.
    pub fn remedy(&self, verdict: Verdict) -> Option<&str> {
        let own = match verdict {
            Verdict::Absent | Verdict::WrongVersion => self.install.as_ref(),
            Verdict::NoPermission => self.permit.as_ref(),
            Verdict::Met | Verdict::NotRunning | Verdict::CouldNotTell => None,
        };
        own.and_then(Self::here).or_else(|| self.remedy.as_ref().and_then(Self::here))
    }

    /// The line for this system.
    fn here(remedy: &RemedyTable) -> Option<&str> {
        let own = match std::env::consts::OS {
            "linux" => &remedy.linux,
            "macos" => &remedy.macos,
            "windows" => &remedy.windows,
            _ => &None,
        };
        own.as_deref().or(remedy.any.as_deref())
    }

    /// The range of versions that will do, as it is written.
    pub fn wanted(&self) -> Option<&str> {
        self.version.as_ref().map(|v| v.text.as_str())
    }
}

/// A question to this machine.
#[derive(Debug)]
pub struct Fact {
    /// Its name.
    pub name: String,
    /// The command.
    pub run: Line,
    /// Takes a part of the output.
    pub regex: Option<Pattern>,
    /// Time limit.
    pub timeout: Duration,
}

/// A group of tasks.
#[derive(Debug)]
pub struct Phase {
    /// The id.
    pub id: String,
    /// The heading.
    pub title: String,
    /// Its tasks, in the order of the file.
    pub tasks: Vec<TaskIx>,
    /// What it means that one of them is blocked.
    pub blocked: Option<Blocked>,
}

/// A place where the pipeline runs.
#[derive(Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Prerequisites that are met there.
    pub promises: Vec<NeedIx>,
    /// What it means that a task is blocked, where nobody else says so.
    pub blocked: Option<Policy>,
}

/// A task.
#[derive(Debug)]
pub struct Task {
    /// The id.
    pub id: String,
    /// What it does.
    pub title: String,
    /// Its phase.
    pub phase: PhaseIx,
    /// Tasks that must be done first; those of needed phases included.
    pub needs: Vec<TaskIx>,
    /// Its own prerequisites and its phase's.
    pub requires: Vec<NeedIx>,
    /// Only if this is so.
    pub when: Option<Condition>,
    /// What its commands depend on.
    pub inputs: Vec<Glob>,
    /// The commands.
    pub run: Vec<Step>,
    /// Values taken from commands.
    pub captures: Vec<(String, Vec<CaptureTable>)>,
    /// What must hold.
    pub checks: Vec<CheckSpec>,
    /// Numbers to record.
    pub measures: Vec<Measure>,
    /// Runs whatever happened.
    pub finally: Vec<Step>,
    /// Runs at the end of the run.
    pub teardown: Vec<Step>,
    /// Files and folders that it answers for.
    pub artifacts: Vec<Utf8PathBuf>,
    /// Environment.
    pub env: Vec<(String, Template)>,
    /// Files with more of it.
    pub env_files: Vec<Utf8PathBuf>,
    /// Names in them that are no secrets.
    pub plain: Vec<String>,
    /// Names whose values are masked.
    pub secret: Vec<String>,
    /// Working directory, relative to the root.
    pub cwd: Utf8PathBuf,
    /// Time limit of one try.
    pub timeout: Duration,
    /// TERM, this long, KILL.
    pub grace: Duration,
    /// Tries after the first, and the pause before each.
    pub retry: (u64, Duration),
    /// Names of which only one task holds each at a time.
    pub locks: Vec<String>,
    /// Prerequisites to ask again.
    pub provides: Vec<NeedIx>,
    /// Never up to date.
    pub always: bool,
    /// Declared duration.
    pub estimate: Option<Duration>,
    /// What to do when it fails.
    pub hints: Vec<HintTable>,
    /// What it means that it is blocked.
    pub blocked: Option<Blocked>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The address where it is talked about.
    pub link: Option<String>,
    /// Whether its checks can be made again, if the file says so.
    pub verify: Option<bool>,
    /// What its result follows from.
    pub definition: Definition,
    /// The header of its table in the file.
    pub span: Range<usize>,
}

/// What a task's result follows from, apart from files, tools and other tasks. Kept by name, so that a change
/// can be named.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Definition {
    /// Digest of each key of the task's table.
    pub keys: BTreeMap<String, Digest>,
    /// Variables that it uses, with their values; of a secret one its [stand-in](crate::redact::stand_in).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
}

/// A rule for the whole.
#[derive(Debug)]
pub struct Gate {
    /// The rule.
    pub title: String,
    /// Proofs.
    pub checks: Vec<CheckSpec>,
    /// Tasks that must be done.
    pub tasks: Vec<TaskIx>,
    /// Without these the checks cannot be made.
    pub requires: Vec<NeedIx>,
}

/// What success means.
#[derive(Debug)]
pub struct Criterion {
    /// What is judged.
    pub title: String,
    /// The target, for people.
    pub target: String,
    /// Task and name of each measurement.
    pub measures: Vec<(TaskIx, String)>,
    /// Task and title of each check whose finding is shown.
    pub findings: Vec<(TaskIx, String)>,
    /// Tasks that must be done.
    pub tasks: Vec<TaskIx>,
    /// Proofs.
    pub checks: Vec<CheckSpec>,
}

/// What is handed over.
#[derive(Debug)]
pub struct Deliverable {
    /// Heading.
    pub group: Option<String>,
    /// What it is.
    pub title: String,
    /// Its files.
    pub files: Vec<Glob>,
    /// How many.
    pub count: Option<u64>,
    /// Tasks that must be done.
    pub tasks: Vec<TaskIx>,
}

/// What may go wrong.
#[derive(Debug)]
pub struct Risk {
    /// What.
    pub title: String,
    /// Tasks that show that it does not.
    pub tasks: Vec<TaskIx>,
    /// What helps.
    pub mitigation: Option<String>,
}

impl Plan {
    /// A task by position.
    pub fn task(&self, ix: TaskIx) -> &Task {
        &self.tasks[ix.0]
    }

    /// A task by id.
    pub fn find(&self, id: &str) -> Option<TaskIx> {
        self.tasks.iter().position(|t| t.id == id).map(TaskIx)
    }

    /// Positions of all tasks in the order of the report.
    pub fn all(&self) -> impl Iterator<Item = TaskIx> + use<> {
        (0..self.tasks.len()).map(TaskIx)
    }

    /// The profile that is in use.
    pub fn active(&self) -> Option<&Profile> {
        self.profiles.get(self.profile?)
    }

    /// What it means that a task is blocked, as far as the task or its phase says so.
    pub fn own_policy(&self, ix: TaskIx) -> Option<Policy> {
        let profile = self.active().map(|p| p.name.as_str());
        let task = self.task(ix);
        let said = |blocked: &Option<Blocked>| blocked.as_ref().and_then(|b| b.under(profile));
        said(&task.blocked).or_else(|| said(&self.phases[task.phase.0].blocked))
    }

    /// The same for tasks and phases that do not say so.
    pub fn default_policy(&self) -> Policy {
        self.active().and_then(|p| p.blocked).unwrap_or(Policy::Warn)
    }

    /// True if the profile in use promises a prerequisite.
    pub fn promised(&self, need: NeedIx) -> bool {
        self.active().is_some_and(|p| p.promises.contains(&need))
    }

    /// A prerequisite and everything that it requires, in the order of the file.
    pub fn needed_for(&self, need: NeedIx) -> Vec<NeedIx> {
        let all = self.with_required(&[need]);
        (0..all.len()).filter(|i| all[*i]).map(NeedIx).collect()
    }

    /// Variables with their values; in place of a secret one a mask, however short it is.
    pub fn shown_vars(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = |name, value| if self.secret.contains(name) { MASK } else { value };
        self.vars.iter().map(move |(name, value)| (name.as_str(), shown(name, value.as_str())))
    }

    /// The arguments of a call as they may be recorded: what `--set` gives to a secret variable is left out.
    pub fn shown_arguments(&self, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
        let shown = |argument: String| {
            let (name, _) = argument.split_once('=').filter(|(name, _)| *name != "--set")?;
            self.secret.contains(&name.to_owned()).then(|| format!("{name}={MASK}"))
        };
        let hidden = |argument: String| match argument.strip_prefix("--set=") {
            Some(setting) => shown(setting.to_owned()).map(|setting| format!("--set={setting}")),
            None => shown(argument),
        };
        arguments.into_iter().map(|argument| hidden(argument.clone()).unwrap_or(argument)).collect()
    }

    /// Names that are compared with what is on record, each replaced by `shown`.
    pub fn rename(&mut self, shown: &dyn Fn(&str) -> String) {
        let again = |name: &mut String| *name = shown(name);
        for task in &mut self.tasks {
            task.measures.iter_mut().for_each(|m| again(&mut m.name));
            task.checks.iter_mut().filter_map(|c| c.title.as_mut()).for_each(again);
        }
        self.gates.iter_mut().for_each(|g| again(&mut g.title));
        for criterion in &mut self.criteria {
            again(&mut criterion.title);
            criterion.measures.iter_mut().chain(&mut criterion.findings).for_each(|(_, name)| again(name));
        }
    }

    /// `wanted` and everything that it stands on.
    pub fn closure(&self, wanted: impl IntoIterator<Item = TaskIx>) -> Vec<bool> {
        let mut seen = vec![false; self.tasks.len()];
        let mut stack: Vec<TaskIx> = wanted.into_iter().collect();
        while let Some(ix) = stack.pop() {
            if !std::mem::replace(&mut seen[ix.0], true) {
                stack.extend(&self.task(ix).needs);
            }
        }
        seen
    }

    /// These prerequisites and all that they require.
    pub fn with_required(&self, wanted: &[NeedIx]) -> Vec<bool> {
        let mut seen = vec![false; self.prerequisites.len()];
        let mut stack = wanted.to_vec();
        while let Some(need) = stack.pop() {
            if !std::mem::replace(&mut seen[need.0], true) {
                stack.extend(&self.prerequisites[need.0].requires);
            }
        }
        seen
    }

    /// For each task, those that need it directly.
    pub fn dependents(&self) -> Vec<Vec<TaskIx>> {
        let mut out = vec![Vec::new(); self.tasks.len()];
        for ix in self.all() {
            for need in &self.task(ix).needs {
                out[need.0].push(ix);
            }
        }
        out
    }
}
