//! What has been, told from the chronicle: runs and what they came to, the attempts at a task, and what every task was
//! at the end of a run. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::Serialize;

use super::chronicle::{AttemptStory, Chronicle, Deed, RunStory};
use super::event::{Failure, Git, Outcome};
use crate::exec::Instance;
use crate::ids::Digest;
use crate::measure::Measurement;

/// Whether a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunEnd {
    /// It ended in order; its exit code says how.
    Ended,
    /// It is under way.
    Running,
    /// It has no end: it was killed, or could not write it.
    Killed,
}

/// A run in a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunLine {
    /// Its id.
    pub id: String,
    /// When its first record was made.
    pub started: Timestamp,
    /// When it ended in order.
    pub ended: Option<Timestamp>,
    /// How long it took, in milliseconds, if it ended.
    pub ms: Option<u64>,
    /// Whether it ended.
    pub state: RunEnd,
    /// Its exit code.
    pub exit: Option<u8>,
    /// Attempts that passed.
    pub passed: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Attempts that were told to stop or died with the run.
    pub interrupted: usize,
    /// Attempts under way.
    pub running: usize,
    /// Tasks that runs had been asked for and that were left undone, as of its end.
    pub left: usize,
    /// The arguments of the call.
    pub arguments: Vec<String>,
    /// Version of the program.
    pub xtask: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// The system.
    pub os: Option<String>,
    /// The repository's state.
    pub git: Option<Git>,
}

/// An attempt in a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptLine {
    /// Counts the task's attempts, from 1.
    pub number: u32,
    /// Its id.
    pub attempt: String,
    /// The run that made it.
    pub run: String,
    /// Where it ran.
    pub place: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Duration in milliseconds.
    pub ms: Option<u64>,
    /// `passed`, `failed`, `interrupted`, `running`.
    pub outcome: &'static str,
    /// How often it was tried.
    pub tries: Option<u32>,
    /// What failed.
    pub failure: Option<Failure>,
    /// What was measured.
    pub measurements: Vec<Measurement>,
    /// Digest of all that it began from.
    pub fingerprint: Digest,
    /// True if attempts that began from the same failed and passed.
    pub flaky: bool,
    /// Its log, relative to the root.
    pub log: Utf8PathBuf,
    /// The log was removed, on record.
    pub pruned: bool,
    /// The repository's state.
    pub git: Option<Git>,
}

/// Tasks that have failed and passed from the same beginnings: definition, inputs, needed results and tool versions
/// were equal, and the outcome was not. A try that failed before the one that passed counts too.
pub fn flaky(chronicle: &Chronicle) -> BTreeSet<String> {
    beginnings(chronicle).into_iter().map(|(task, _)| task.to_owned()).collect()
}

/// Tasks with the fingerprints from which they failed and passed.
fn beginnings(chronicle: &Chronicle) -> HashSet<(&str, Digest)> {
    let mut seen: HashMap<(&str, Digest), (bool, bool)> = HashMap::new();
    for attempt in chronicle.runs.iter().flat_map(|run| &run.attempts) {
        let (failed, passed) = seen.entry((&attempt.task, attempt.fingerprint)).or_default();
        *passed |= attempt.outcome() == Some(Outcome::Passed);
        *failed |= attempt.outcome() == Some(Outcome::Failed);
        *failed |= attempt.end.as_ref().is_some_and(|end| end.tries > 1);
    }
    seen.into_iter().filter(|(_, both)| *both == (true, true)).map(|(key, _)| key).collect()
}

/// Every run, the oldest first. `holder` is who runs the pipeline just now.
pub fn runs(chronicle: &Chronicle, holder: Option<&Instance>) -> Vec<RunLine> {
    let mut walk = Walk::new(chronicle);
    let mut out = Vec::new();
    for run in &chronicle.runs {
        walk.pass(run);
        let left = walk.tasks.values().filter(|task| task.is_left()).count();
        out.push(line(run, left, holder));
    }
    out
}

fn is_live(run: &RunStory, holder: Option<&Instance>) -> bool {
    run.ended.is_none() && run.head.as_ref().is_some_and(|head| Some(&head.instance) == holder)
}

fn line(run: &RunStory, left: usize, holder: Option<&Instance>) -> RunLine {
    let is_live = is_live(run, holder);
    let count = |outcome| run.attempts.iter().filter(|a| a.outcome() == outcome).count();
    let endless = count(None);
    let state = match run.ended {
        Some(_) => RunEnd::Ended,
        None if is_live => RunEnd::Running,
        None => RunEnd::Killed,
    };
    let head = run.head.as_ref();
    RunLine {
        id: run.id.clone(),
        started: run.started,
        ended: run.ended,
        ms: run.ended.map(|ended| millis(run.started, ended)),
        state,
        exit: run.exit,
        passed: count(Some(Outcome::Passed)),
        failed: count(Some(Outcome::Failed)),
        interrupted: count(Some(Outcome::Interrupted)) + if is_live { 0 } else { endless },
        running: if is_live { endless } else { 0 },
        left,
        arguments: head.map(|h| h.arguments.clone()).unwrap_or_default(),
        xtask: head.map(|h| h.xtask.clone()),
        host: head.map(|h| h.instance.host.clone()),
        os: head.map(|h| h.os.clone()),
        git: head.and_then(|h| h.git.clone()),
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond().saturating_sub(from.as_millisecond())).unwrap_or_default()
}

/// The attempts at a task, the oldest first.
pub fn attempts(chronicle: &Chronicle, task: &str, holder: Option<&Instance>) -> Vec<AttemptLine> {
    let beginnings = beginnings(chronicle);
    let mut out = Vec::new();
    for run in &chronicle.runs {
        let is_live = is_live(run, holder);
        for attempt in run.attempts.iter().filter(|a| a.task == task) {
            let outcome = match attempt.outcome() {
                Some(Outcome::Passed) => "passed",
                Some(Outcome::Failed) => "failed",
                None if is_live => "running",
                Some(Outcome::Interrupted) | None => "interrupted",
            };
            out.push(AttemptLine {
                number: attempt.start.number,
                attempt: attempt.start.attempt.clone(),
                run: run.id.clone(),
                place: attempt.start.place.clone(),
                started: attempt.started,
                ended: attempt.ended,
                ms: attempt.ms(),
                outcome,
                tries: attempt.end.as_ref().map(|end| end.tries),
                failure: attempt.failure().cloned(),
                measurements: attempt.measurements().to_vec(),
                fingerprint: attempt.fingerprint,
                flaky: beginnings.contains(&(task, attempt.fingerprint)),
                log: attempt.start.log.clone(),
                pruned: chronicle.pruned.contains(&attempt.start.log),
                git: attempt.start.git.clone(),
            });
        }
    }
    out
}

/// What is on record about a task at some time.
#[derive(Debug, Clone, Default)]
pub struct Known<'c> {
    /// The last attempt.
    pub attempt: Option<&'c AttemptStory>,
    /// The last attempt that passed.
    pub passed: Option<&'c AttemptStory>,
    /// What was measured last, by name.
    pub measured: BTreeMap<&'c str, &'c Measurement>,
    /// State in which it was left undone, and why.
    pub left: Option<(&'c str, Option<&'c str>)>,
    /// Why it was skipped by hand.
    pub skipped: Option<&'c str>,
    /// What was found when it no longer held.
    pub drifted: Option<&'c str>,
}

impl Known<'_> {
    /// The state, as far as records tell; nothing if the task was never asked for.
    pub fn state(&self) -> Option<&str> {
        if self.skipped.is_some() {
            return Some("skipped");
        }
        if let Some((state, _)) = self.left {
            return Some(state);
        }
        match self.attempt?.outcome() {
            Some(Outcome::Passed) if self.drifted.is_some() => Some("stale"),
            Some(Outcome::Passed) => Some("done"),
            Some(Outcome::Failed) => Some("failed"),
            Some(Outcome::Interrupted) | None => Some("interrupted"),
        }
    }

    /// Why it is in that state, in words.
    pub fn because(&self) -> Option<String> {
        match self.state()? {
            "skipped" => self.skipped.map(str::to_owned),
            "stale" => self.drifted.map(str::to_owned),
            "failed" => self.attempt?.failure().map(|f| format!("{}: {}", f.what, f.how)),
            _ => self.left.and_then(|(_, why)| why.map(str::to_owned)),
        }
    }

    fn is_left(&self) -> bool {
        self.left.is_some() && self.skipped.is_none()
    }
}

/// What is on record about every task at the end of the run with this position in [`Chronicle::runs`].
pub fn as_of(chronicle: &Chronicle, run: usize) -> BTreeMap<&str, Known<'_>> {
    let mut walk = Walk::new(chronicle);
    chronicle.runs.iter().take(run + 1).for_each(|run| walk.pass(run));
    walk.tasks
}

/// Takes in one run after the other, and between them what was done by hand.
struct Walk<'c> {
    tasks: BTreeMap<&'c str, Known<'c>>,
    deeds: std::iter::Peekable<std::slice::Iter<'c, Deed>>,
    n_runs: usize,
}

impl<'c> Walk<'c> {
    fn new(chronicle: &'c Chronicle) -> Self {
        Self { tasks: BTreeMap::new(), deeds: chronicle.by_hand.iter().peekable(), n_runs: 0 }
    }

    fn pass(&mut self, run: &'c RunStory) {
        while let Some(deed) = self.deeds.next_if(|deed| deed.n_runs <= self.n_runs) {
            let known = self.tasks.entry(&deed.task).or_default();
            match deed.kind.as_str() {
                "task-skipped" => known.skipped = Some(deed.what.reason.as_deref().unwrap_or_default()),
                _ => *known = Known::default(),
            }
        }
        self.n_runs += 1;
        // A run looks again at what is finished before it starts anything, and says last what it leaves.
        for task in &run.confirmed {
            self.tasks.entry(task).or_default().drifted = None;
        }
        for (task, drift) in &run.drifted {
            let says = drift.checks.iter().find(|check| !check.finding.is_met());
            self.tasks.entry(task).or_default().drifted = Some(says.map_or("", |check| &check.says));
        }
        for attempt in &run.attempts {
            let known = self.tasks.entry(&attempt.task).or_default();
            known.attempt = Some(attempt);
            (known.left, known.drifted) = (None, None);
            if attempt.outcome() == Some(Outcome::Passed) {
                known.passed = Some(attempt);
                known.measured.clear();
            }
            known.measured.extend(attempt.measurements().iter().map(|m| (m.name.as_str(), m)));
        }
        for (task, left) in &run.left {
            let why = left.because.first().map(String::as_str);
            self.tasks.entry(task).or_default().left = Some((&left.state, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sample::Sample;

    fn marks(sample: &Sample) -> Vec<String> {
        flaky(&sample.chronicle()).into_iter().collect()
    }

    #[test]
    fn a_task_is_flaky_if_the_same_beginnings_came_out_differently() {
        let run = || Sample::empty().run("r1", 1);
        assert_eq!(marks(&run().attempt("a", "x", "failed").attempt("a", "x", "passed")), ["a"]);
        assert_eq!(
            marks(&run().attempt("a", "x", "passed").ended(0).run("r2", 2).attempt("a", "x", "failed")),
            ["a"]
        );
        // Something was changed in between; it was told to stop; another task failed; only failures.
        assert_eq!(marks(&run().attempt("a", "x", "failed").attempt("a", "y", "passed")), [""; 0]);
        assert_eq!(marks(&run().attempt("a", "x", "interrupted").attempt("a", "x", "passed")), [""; 0]);
        assert_eq!(marks(&run().start("a", "x").attempt("a", "x", "passed")), [""; 0]);
        assert_eq!(marks(&run().attempt("b", "x", "failed").attempt("a", "x", "passed")), [""; 0]);
        assert_eq!(marks(&run().attempt("a", "x", "failed").attempt("a", "x", "failed")), [""; 0]);
        // A try that failed before the one that passed.
        assert_eq!(marks(&run().start("a", "x").end_after(2, "passed", 1, &[])), ["a"]);
        assert_eq!(marks(&run().start("a", "x").end_after(3, "failed", 1, &[])), [""; 0]);
    }

    #[test]
    fn attempts_from_the_flaky_beginning_are_marked_and_no_others() {
        let sample = Sample::empty()
            .run("r1", 1)
            .attempt("a", "x", "failed")
            .attempt("a", "x", "passed")
            .attempt("a", "y", "passed")
            .pruned(&["a-1"]);
        let all = attempts(&sample.chronicle(), "a", None);
        let told: Vec<(u32, bool, bool)> = all.iter().map(|a| (a.number, a.flaky, a.pruned)).collect();
        assert_eq!(told, [(1, true, true), (2, true, false), (3, false, false)]);
    }

    #[test]
    fn a_run_says_what_it_came_to() {
        let chronicle = Sample::empty()
            .run("r1", 1)
            .attempt("a", "x", "passed")
            .attempt("b", "x", "failed")
            .left("c", "blocked", "docker is absent")
            .left("d", "waiting", "needs c")
            .ended(1)
            .run("r2", 2)
            .attempt("b", "x", "passed")
            .ended(3)
            .by_hand("skipped", "c")
            .run("r3", 3)
            .start("d", "x")
            .run("r4", 4)
            .start("d", "x")
            .chronicle();
        let alive = chronicle.runs[3].head.as_ref().map(|head| head.instance.clone());
        let told: Vec<String> = runs(&chronicle, alive.as_ref())
            .iter()
            .map(|r| {
                format!(
                    "{} {:?} {:?} {:?}: {} {} {} {} {}",
                    r.id, r.state, r.exit, r.ms, r.passed, r.failed, r.interrupted, r.running, r.left
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "r1 Ended Some(1) Some(420000): 1 1 0 0 2",
                // Nothing new was recorded of what is left, and it is left all the same.
                "r2 Ended Some(3) Some(180000): 1 0 0 0 2",
                "r3 Killed None None: 0 0 1 0 0",
                "r4 Running None None: 0 0 0 1 0",
            ]
        );
        assert_eq!(runs(&chronicle, None)[3].state, RunEnd::Killed);
        let outcomes =
            |holder| attempts(&chronicle, "d", holder).iter().map(|a| a.outcome).collect::<Vec<_>>();
        assert_eq!(outcomes(alive.as_ref()), ["interrupted", "running"]);
        assert_eq!(outcomes(None), ["interrupted", "interrupted"]);
    }

    /// The states of all tasks at the end of each run.
    fn states(sample: &Sample) -> Vec<String> {
        let chronicle = sample.chronicle();
        let told = |at: usize| {
            let known = as_of(&chronicle, at);
            let word = |(task, k): (&&str, &Known<'_>)| format!("{task}={}", k.state().unwrap_or("-"));
            known.iter().map(word).collect::<Vec<_>>().join(" ")
        };
        (0..chronicle.runs.len()).map(told).collect()
    }

    #[test]
    fn what_is_on_record_at_the_end_of_each_run() {
        let sample = Sample::empty()
            .run("r1", 1)
            .attempt("a", "x", "passed")
            .left("b", "blocked", "docker is absent")
            .ended(3)
            .run("r2", 2)
            .drifted("a")
            .attempt("b", "x", "failed")
            .ended(1)
            .by_hand("skipped", "b")
            .run("r3", 3)
            .drifted("a")
            .attempt("a", "x", "passed")
            .ended(0)
            .run("v1", 1)
            .drifted("a")
            .ended(1)
            .run("v2", 1)
            .confirmed("a")
            .ended(0)
            .by_hand("forgotten", "b")
            .by_hand("forgotten", "a")
            .run("r4", 4)
            .start("b", "x");
        assert_eq!(
            states(&sample),
            [
                "a=done b=blocked",
                "a=stale b=failed",
                "a=done b=skipped",
                "a=stale b=skipped",
                "a=done b=skipped",
                "a=- b=interrupted"
            ]
        );
    }
}
