//! Looking again at what a finished task has left: its checks and measurements are made once more, its commands are
//! not. Knows tasks and the outside; writes nothing.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8Path;

use crate::attempt::{self, Job, Known};
use crate::check::{CheckSpec, Context, Finding, Timeline};
use crate::exec::How;
use crate::ids::{NeedIx, TaskIx};
use crate::ledger::event::CheckRecord;
use crate::ledger::store::Home;
use crate::ledger::{History, Outcome};
use crate::measure::{Measure, Measurement};
use crate::observed::{Observed, Probe};
use crate::pipeline::condition::{self, Condition};
use crate::pipeline::file::CaptureTable;
use crate::pipeline::template::Scope;
use crate::pipeline::{Plan, Task};
use crate::secrets::{Secret, Secrets};
use crate::wording;
use crate::world::{Ask, World};

/// Time limit of each check, measurement and captured value.
const LIMIT: Duration = Duration::from_secs(60);

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything that can be looked at again.
    All,
    /// What says more than that files are unchanged: the status compares files by itself.
    Outside,
}

/// What looking again at a task came to.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Findings. Measurements outside of their limits are among them.
    pub checks: Vec<CheckRecord>,
    /// Numbers.
    pub measurements: Vec<Measurement>,
}

impl Seen {
    /// True if something certainly does not hold any more.
    pub fn drifted(&self) -> bool {
        self.checks.iter().any(|c| matches!(c.finding, Finding::Unmet { .. }))
    }

    /// Findings that could not be had.
    pub fn untold(&self) -> impl Iterator<Item = &CheckRecord> {
        self.checks.iter().filter(|c| matches!(c.finding, Finding::Unknown { .. }))
    }
}

/// Why what a task found outside the repository can't be found again, as the end of a sentence; nothing if it can.
/// Its files can always be looked at.
pub fn hindrance(plan: &Plan, ix: TaskIx, history: &History) -> Option<String> {
    let task = plan.task(ix);
    match task.verify {
        Some(false) => return Some("its `verify` is false".to_owned()),
        None if !task.finally.is_empty() => return Some("it cleans up after itself".to_owned()),
        None if is_transient(task) => return Some("what it looked at was gone with its attempt".to_owned()),
        _ => {}
    }
    let below = plan.closure([ix]);
    let gone = plan.all().find(|b| below[b.0] && history.task(&plan.task(*b).id).torn_down)?;
    Some(match gone == ix {
        true => "what it had set up was taken down".to_owned(),
        false => format!("what `{}` had set up was taken down", plan.task(gone).id),
    })
}

/// True if there was something to look at and nothing of it is there any more.
fn is_transient(task: &Task) -> bool {
    let mut all = task.checks.iter().map(|c| c.transient).chain(task.measures.iter().map(|m| m.transient));
    let any = !task.checks.is_empty() || !task.measures.is_empty();
    any && all.all(|transient| transient)
}

/// The checks of a task that are made again.
fn checks(task: &Task, extent: Extent, hindered: bool) -> impl Iterator<Item = &CheckSpec> {
    task.checks.iter().filter(move |spec| {
        let check = &spec.check;
        check.is_repeatable()
            && !spec.transient
            && (!check.is_local() || extent == Extent::All)
            && (check.is_local() || !hindered)
    })
}

/// The measurements of a task that are made again. Numbers that were taken under a load, or while the commands ran,
/// would be other numbers now.
fn measures(task: &Task, extent: Extent, hindered: bool) -> impl Iterator<Item = &Measure> {
    let same = !hindered && task.checks.iter().all(|spec| spec.check.is_repeatable());
    task.measures.iter().filter(move |m| {
        m.is_repeatable() && !m.transient && same && (extent == Extent::All || m.subjects().is_empty())
    })
}

/// True if there is anything to look at.
pub fn has_something(task: &Task, extent: Extent, hindered: bool) -> bool {
    checks(task, extent, hindered).next().is_some() || measures(task, extent, hindered).next().is_some()
}

/// Prerequisites that looking again needs: those of the task, if it looks outside.
pub fn requires(task: &Task, hindered: bool) -> &[NeedIx] {
    let outside = checks(task, Extent::Outside, hindered).next().is_some()
        || measures(task, Extent::Outside, hindered).next().is_some();
    if outside { &task.requires } else { &[] }
}

/// Names of the facts that the checks and captures of tasks depend on.
pub fn facts<'p>(tasks: impl Iterator<Item = &'p Task>) -> Vec<String> {
    let mut out: Vec<String> = tasks
        .flat_map(|task| {
            let checks = task.checks.iter().filter_map(|spec| spec.when.as_ref());
            let captures = task.captures.iter().flat_map(|(_, all)| all).filter_map(|c| c.when.as_ref());
            checks.chain(captures).flat_map(Condition::facts)
        })
        .map(str::to_owned)
        .collect();
    out.sort();
    out.dedup();
    out
}

/// What looking again works with.
pub struct Again<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What is on record.
    pub history: &'a History,
    /// Facts and prerequisites as they are now.
    pub observed: &'a Observed,
    /// Where the pipeline keeps its things.
    pub home: &'a Home,
    /// The outside.
    pub world: &'a dyn World,
    /// What must not be shown. Looking again adds to it: captured values.
    pub secrets: &'a Secrets,
}

impl Again<'_> {
    /// Looks at several tasks, so many at the same time; the result has their order. `seen` is told of each as it is
    /// done.
    pub fn all(
        &self,
        tasks: &[TaskIx],
        extent: Extent,
        jobs: usize,
        seen: &(dyn Fn(TaskIx, &Seen) + Sync),
    ) -> Vec<Seen> {
        let next = AtomicUsize::new(0);
        let out = Mutex::new(vec![Seen::default(); tasks.len()]);
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(tasks.len()) {
                scope.spawn(|| {
                    while let Some((i, ix)) = {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        tasks.get(i).map(|ix| (i, *ix))
                    } {
                        let found = self.one(ix, extent);
                        seen(ix, &found);
                        out.lock().unwrap_or_else(PoisonError::into_inner)[i] = found;
                    }
                });
            }
        });
        out.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prerequisites of its own that are not met, so that it can't be looked at.
    pub fn lacks(&self, ix: TaskIx) -> Option<String> {
        let hindered = hindrance(self.plan, ix, self.history).is_some();
        requires(self.plan.task(ix), hindered).iter().find_map(|need| {
            let probe = self.observed.prerequisites.get(need.0).and_then(Option::as_ref);
            let verdict = match probe {
                Some(probe) if Probe::is_met(probe) => return None,
                Some(probe) => probe.verdict.name(),
                None => "not asked",
            };
            Some(format!("`{}` is {verdict}", self.plan.prerequisites[need.0].name))
        })
    }

    /// Looks at one task whose last attempt passed.
    fn one(&self, ix: TaskIx, extent: Extent) -> Seen {
        let task = self.plan.task(ix);
        let Some(last) = &self.history.task(&task.id).last else { return Seen::default() };
        let hindered = hindrance(self.plan, ix, self.history).is_some() || self.lacks(ix).is_some();
        let scratch = self.home.scratch(&last.started.attempt);
        let recorded = BTreeMap::new();
        let job = Job {
            plan: self.plan,
            task,
            run: &last.run,
            attempt: &last.started.attempt,
            log: Utf8Path::new(""),
            scratch: &scratch,
            recorded: &recorded,
            facts: &self.observed.facts,
            secrets: self.secrets,
        };
        let seen = match attempt::environment(&job, self.world) {
            Ok(env) => {
                let cwd = self.world.root().join(&task.cwd);
                let scope = Names { again: self, job: &job, env: &env, captured: RefCell::default() };
                let cx = Context {
                    world: self.world,
                    scope: &scope,
                    env: &env,
                    cwd: &cwd,
                    limit: LIMIT,
                    timeline: &NoTimeline,
                };
                self.look(task, extent, hindered, &cx)
            }
            Err(failure) => {
                let why = format!("{} {}", failure.what, failure.how);
                let unknown =
                    |says: String| CheckRecord { says, finding: Finding::Unknown { why: why.clone() } };
                let checks = checks(task, extent, hindered).map(|spec| unknown(spec.says()));
                Seen { checks: checks.collect(), measurements: Vec::new() }
            }
        };
        // Whatever asked for `${tmp}` was given a folder of the attempt's, which is over.
        let _ = std::fs::remove_dir_all(&scratch);
        self.secrets.veiled(seen)
    }

    fn look(&self, task: &Task, extent: Extent, hindered: bool, cx: &Context<'_>) -> Seen {
        let mut out = Seen::default();
        for spec in checks(task, extent, hindered) {
            let finding = match spec.when.as_ref().map(|when| self.evaluate(when)) {
                None | Some(condition::Outcome::Holds) => {
                    // What is looked at again is there or it is not: no time is given for it to appear.
                    spec.check.observe(cx)
                }
                Some(condition::Outcome::Fails(_)) => continue,
                Some(condition::Outcome::Unknown(why)) => Finding::Unknown { why },
            };
            out.checks.push(CheckRecord { says: spec.says(), finding });
        }
        for measure in measures(task, extent, hindered) {
            match measure.observe(cx) {
                Ok(m) => {
                    let finding = m.finding();
                    if !finding.is_met() {
                        out.checks.push(CheckRecord { says: measure.says(), finding });
                    }
                    out.measurements.push(m);
                }
                Err(finding) => out.checks.push(CheckRecord { says: measure.says(), finding }),
            }
        }
        out
    }

    fn evaluate(&self, when: &Condition) -> condition::Outcome {
        let fact = |name: &str| {
            self.observed.facts.get(name).cloned().unwrap_or_else(|| Err("it was not asked".to_owned()))
        };
        when.evaluate(&fact)
    }
}

/// The names that a task's checks know: those of its attempt, and captured values, which are asked for anew.
struct Names<'a> {
    again: &'a Again<'a>,
    job: &'a Job<'a>,
    env: &'a [(String, String)],
    captured: RefCell<HashMap<String, Result<String, String>>>,
}

impl Names<'_> {
    fn capture(&self, name: &str, tables: &[CaptureTable]) -> Result<String, String> {
        let table = tables.iter().find(|table| {
            let holds = |when| self.again.evaluate(when) == condition::Outcome::Holds;
            table.when.as_ref().is_none_or(holds)
        });
        let table = table.ok_or("none of its conditions holds")?;
        let filled = table.run.fill(self)?;
        let text = table.run.to_string();
        let answer = self.again.world.ask(&Ask {
            argv: filled.argv,
            cwd: self.job.task.cwd.clone(),
            env: self.env.iter().cloned().chain(filled.env).collect(),
            limit: LIMIT,
        });
        if answer.how != How::Exited(0) {
            let said = wording::first_line(&answer.stderr, 200);
            let colon = if said.is_empty() { "" } else { ": " };
            return Err(format!("`{text}`: {}{colon}{said}", attempt::describe(&answer.how)));
        }
        let value = table.extract(&answer.stdout, &text);
        if table.secret.0 {
            self.again.secrets.learn(value.iter().map(|value| Secret::captured(name, value)));
        }
        value
    }
}

impl Scope for Names<'_> {
    fn value(&self, name: &str) -> Result<String, String> {
        let Some((_, tables)) = self.job.task.captures.iter().find(|(n, _)| n == name) else {
            return Known { run: self.job.run, scratch: self.job.scratch }.value(name);
        };
        if let Some(known) = self.captured.borrow().get(name) {
            return known.clone();
        }
        // Taken while the value is asked for, so that a value that needs itself is an error, not a loop.
        self.captured.borrow_mut().insert(name.to_owned(), Err(format!("`${{{name}}}` needs itself")));
        let value = self.capture(name, tables).map_err(|why| format!("no value for `${{{name}}}`: {why}"));
        self.captured.borrow_mut().insert(name.to_owned(), value.clone());
        value
    }
}

/// Outside an attempt there are no times and no measurements.
pub struct NoTimeline;

impl Timeline for NoTimeline {
    fn step(&self, _: &str) -> Option<Duration> {
        None
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn recorded(&self, _: &str, _: &str) -> Option<f64> {
        None
    }
}

/// True if a task's last attempt passed, so that there is something to look at again.
pub fn passed(history: &History, task: &Task) -> bool {
    history.task(&task.id).last.as_ref().is_some_and(|a| a.outcome() == Some(Outcome::Passed))
}
