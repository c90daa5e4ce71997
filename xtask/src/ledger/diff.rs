//! What changed between the ends of two runs. Pure.
//!
//! A run attempts only what is not up to date, so what is compared is not what the two did but what was on record when
//! they ended: the last attempt at each task up to then, what was left undone, what was done by hand.

use std::collections::BTreeSet;

use serde::Serialize;

use super::chronicle::{AttemptStory, Chronicle};
use super::past::{self, Known, RunLine};
use crate::exec::Instance;
use crate::measure::unit::Unit;

/// A duration has changed if it is so many times as long, or as short, as before,
pub const NOTABLE_FACTOR: f64 = 1.5;

/// and by more than this, in milliseconds: short tasks vary by large factors.
pub const NOTABLE_MS: u64 = 1000;

/// What changed from one run to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// The run that is compared with.
    pub from: RunLine,
    /// The run that is compared.
    pub to: RunLine,
    /// Tasks whose state differs.
    pub states: Vec<StateChange>,
    /// Tasks that take notably longer or shorter to pass.
    pub durations: Vec<DurationChange>,
    /// Numbers that differ.
    pub measurements: Vec<NumberChange>,
}

/// A task whose state differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// The task.
    pub task: String,
    /// Its state then; nothing if it had not been asked for.
    pub before: Option<String>,
    /// Its state now.
    pub after: Option<String>,
    /// Why it is in that state, if it is not done.
    pub because: Option<String>,
}

/// A task that takes notably longer or shorter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DurationChange {
    /// The task.
    pub task: String,
    /// How long the last attempt took that had passed by then.
    pub before_ms: u64,
    /// And by now.
    pub after_ms: u64,
}

/// A number that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberChange {
    /// The task.
    pub task: String,
    /// What it is called.
    pub name: String,
    /// The unit.
    pub unit: Unit,
    /// The value then; nothing if it had not been measured.
    pub before: Option<f64>,
    /// The value now.
    pub after: Option<f64>,
    /// By how much it rose, in per cent; nothing if there was no value, or zero.
    pub percent: Option<f64>,
    /// Whether the value now keeps its limits.
    pub within_limits: Option<bool>,
}

impl Diff {
    /// True if there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty() && self.durations.is_empty() && self.measurements.is_empty()
    }
}

/// Compares what was on record at the ends of two runs, by their positions in [`Chronicle::runs`].
pub fn diff(chronicle: &Chronicle, from: usize, to: usize, holder: Option<&Instance>) -> Diff {
    let mut runs = past::runs(chronicle, holder);
    let (old, new) = (past::as_of(chronicle, from), past::as_of(chronicle, to));
    let mut out = Diff {
        from: runs[from].clone(),
        to: runs.swap_remove(to),
        states: Vec::new(),
        durations: Vec::new(),
        measurements: Vec::new(),
    };
    let nothing = Known::default();
    let tasks: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    for task in tasks {
        let (old, new) = (old.get(task).unwrap_or(&nothing), new.get(task).unwrap_or(&nothing));
        if old.state() != new.state() {
            out.states.push(StateChange {
                task: task.to_owned(),
                before: old.state().map(str::to_owned),
                after: new.state().map(str::to_owned),
                because: new.because(),
            });
        }
        let ms = |known: &Known<'_>| known.passed.and_then(AttemptStory::ms);
        if let (Some(before_ms), Some(after_ms)) = (ms(old), ms(new))
            && is_notable(before_ms, after_ms)
        {
            out.durations.push(DurationChange { task: task.to_owned(), before_ms, after_ms });
        }
        let names: BTreeSet<&str> = old.measured.keys().chain(new.measured.keys()).copied().collect();
        for name in names {
            out.measurements.extend(number(task, old, new, name));
        }
    }
    out
}

fn is_notable(before: u64, after: u64) -> bool {
    let (short, long) = (before.min(after), before.max(after));
    long - short > NOTABLE_MS && long as f64 > NOTABLE_FACTOR * short as f64
}

fn number(task: &str, old: &Known<'_>, new: &Known<'_>, name: &str) -> Option<NumberChange> {
    let (old, new) = (old.measured.get(name), new.measured.get(name));
    let unit = new.or(old)?.unit;
    // Numbers of another unit can't be compared.
    let before = old.filter(|m| m.unit == unit).map(|m| m.value);
    let after = new.map(|m| m.value);
    let percent = before.zip(after).filter(|(b, _)| *b != 0.0).map(|(b, a)| (a - b) / b.abs() * 100.0);
    let change = NumberChange {
        task: task.to_owned(),
        name: name.to_owned(),
        unit,
        before,
        after,
        percent,
        within_limits: new.map(|m| m.within_limits),
    };
    (before != after).then_some(change)
}

/// The position of the run that is meant: an id, the beginning of one, `last`, or `last~N` for the Nth before it. The
/// error says what is wrong, as a sentence.
pub fn find(chronicle: &Chronicle, name: &str) -> Result<usize, String> {
    let runs = &chronicle.runs;
    if let Some(back) = name.strip_prefix("last") {
        let back =
            if back.is_empty() { Some(0) } else { back.strip_prefix('~').and_then(|n| n.parse().ok()) };
        if let Some(back) = back {
            let position = runs.len().checked_sub(1).and_then(|last| last.checked_sub(back));
            return position.ok_or_else(|| match runs.len() {
                0 => "no run is on record".to_owned(),
                1 => format!("there is no run `{name}`: only one is on record"),
                n => format!("there is no run `{name}`: only {n} are on record"),
            });
        }
    }
    if let Some(whole) = runs.iter().position(|run| run.id == name) {
        return Ok(whole);
    }
    let mut meant = (0..runs.len()).filter(|at| !name.is_empty() && runs[*at].id.starts_with(name));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(format!("more than one run begins with `{name}`")),
        (None, _) => Err(format!("there is no run `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sample::Sample;

    /// Two runs; the second attempts only some of what the first did.
    fn two() -> Chronicle {
        Sample::empty()
            .run("0a1b", 1)
            .attempt("same", "x", "passed")
            .attempt("mended", "x", "failed")
            .attempt("broken", "x", "passed")
            .start("slow", "x")
            .end("passed", 2000, &[("size", 400e6), ("gone", 1.0), ("zero", 0.0)])
            .left("released", "blocked", "docker is absent")
            .left("left", "waiting", "needs released")
            .ended(1)
            .run("0a2c", 3)
            .attempt("mended", "x", "passed")
            .attempt("broken", "y", "failed")
            .start("slow", "y")
            .end("passed", 9000, &[("size", 600e6), ("new", 5.0), ("zero", 1.0)])
            .attempt("released", "x", "passed")
            .ended(1)
            .chronicle()
    }

    fn told(chronicle: &Chronicle, from: usize, to: usize) -> Vec<String> {
        let diff = diff(chronicle, from, to, None);
        let word = |state: &Option<String>| state.clone().unwrap_or_else(|| "-".to_owned());
        let states =
            diff.states.iter().map(|c| format!("{} {}->{}", c.task, word(&c.before), word(&c.after)));
        let durations =
            diff.durations.iter().map(|c| format!("{} {}->{} ms", c.task, c.before_ms, c.after_ms));
        let numbers = diff.measurements.iter().map(|c| {
            format!("{} {} {:?}->{:?} {:?}", c.task, c.name, c.before, c.after, c.percent.map(f64::round))
        });
        states.chain(durations).chain(numbers).collect()
    }

    #[test]
    fn what_is_compared_is_what_was_on_record_at_the_ends() {
        let chronicle = two();
        assert_eq!(
            told(&chronicle, 0, 1),
            [
                "broken done->failed",
                "mended failed->done",
                "released blocked->done",
                "slow 2000->9000 ms",
                "slow gone Some(1.0)->None None",
                "slow new None->Some(5.0) None",
                "slow size Some(400000000.0)->Some(600000000.0) Some(50.0)",
                "slow zero Some(0.0)->Some(1.0) None",
            ]
        );
        assert_eq!(told(&chronicle, 1, 0).len(), 8);
        assert!(diff(&chronicle, 1, 1, None).is_empty());
        let because: Vec<Option<String>> =
            diff(&chronicle, 0, 1, None).states.into_iter().map(|c| c.because).collect();
        assert_eq!(because, [Some("`make`: exit code 2".to_owned()), None, None]);
    }

    #[test]
    fn a_failure_says_nothing_of_how_long_it_takes_and_takes_no_number_away() {
        let sample =
            Sample::empty().run("a", 1).start("t", "x").end("passed", 60_000, &[("size", 1.0)]).ended(0);
        let sample = sample.run("b", 1).start("t", "x").end("failed", 10, &[]).ended(1);
        assert_eq!(told(&sample.chronicle(), 0, 1), ["t done->failed"]);
    }

    #[test]
    fn a_duration_has_to_change_by_a_factor_and_by_a_second() {
        let table = [
            (100, 1000, false),
            (1000, 2000, false),
            (1000, 2001, true),
            (2001, 1000, true),
            (10_000, 15_000, false),
            (10_000, 15_001, true),
            (0, 1001, true),
            (7, 7, false),
        ];
        for (before, after, notable) in table {
            assert_eq!(is_notable(before, after), notable, "{before} {after}");
        }
    }

    #[test]
    fn runs_are_named_by_id_or_from_the_last() {
        let chronicle = two();
        for (name, wanted) in [
            ("0a1b", Ok(0)),
            ("0a1", Ok(0)),
            ("0a2", Ok(1)),
            ("last", Ok(1)),
            ("last~1", Ok(0)),
            ("last~0", Ok(1)),
        ] {
            assert_eq!(find(&chronicle, name), wanted, "{name}");
        }
        for (name, wanted) in [
            ("0a", "more than one run begins with `0a`"),
            ("", "there is no run ``"),
            ("zz", "there is no run `zz`"),
            ("last~2", "there is no run `last~2`: only 2 are on record"),
            ("last~x", "there is no run `last~x`"),
        ] {
            assert_eq!(find(&chronicle, name), Err(wanted.to_owned()), "{name}");
        }
        assert_eq!(find(&Chronicle::default(), "last"), Err("no run is on record".to_owned()));
    }
}
