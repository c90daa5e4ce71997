//! What looking again at finished tasks came to.

use serde::Serialize;

use super::{Look, mark, marked, style, unquoted, wrap};
use crate::ledger::event::CheckRecord;
use crate::measure::Measurement;
use crate::status::State;
use crate::wording::{list, plural};

/// What looking again at a task came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Holds,
    /// Something does not hold any more.
    Drifted,
    /// Something could not be told.
    Unknown,
    /// There is nothing to look at again but files, and those the status compares by itself.
    LeftOut,
}

impl Verdict {
    /// In a count: `3 hold`.
    fn counted(self, n: usize) -> String {
        match self {
            Self::Holds if n == 1 => "1 holds".to_owned(),
            Self::Holds => format!("{n} hold"),
            Self::Drifted => format!("{n} drifted"),
            Self::Unknown => format!("{n} could not be told"),
            Self::LeftOut => format!("{n} left out"),
        }
    }
}

/// One task.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// The task.
    pub task: String,
    /// What looking again at it came to.
    pub verdict: Verdict,
    /// Why a part of it was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Findings.
    pub checks: Vec<CheckRecord>,
    /// Numbers.
    pub measurements: Vec<Measurement>,
}

/// A line for each task, what was expected and found where it does not hold, and the counts.
pub fn verified<'a>(tasks: &[Verified], look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let mut out = String::new();
    for task in tasks {
        let (state, sign) = match task.verdict {
            Verdict::Holds => (State::Done, mark(State::Done)),
            Verdict::Drifted => (State::Stale, mark(State::Stale)),
            Verdict::Unknown => (State::Blocked, "?"),
            Verdict::LeftOut => (State::Skipped, "-"),
        };
        let mut about = Vec::new();
        if !task.checks.is_empty() {
            about.push(plural(task.checks.len(), "check"));
        }
        about.extend(task.measurements.iter().map(|m| format!("{} {}", m.name, m.show())));
        let part = if task.verdict == Verdict::LeftOut { "left out" } else { "no more than that" };
        about.extend(task.why.iter().map(|why| format!("{part}: {why}")));
        let line = unquoted(&format!("{} {}", task.task, about.join("; ")));
        out.push_str(&marked(&look.paint(style(state), sign), &line, look.width));
        for check in task.checks.iter().filter(|c| !c.finding.is_met()) {
            out.push_str(&wrap(&unquoted(&format!("{}: {}", check.says, check.finding)), 4, look.width));
        }
    }
    let verdicts = [Verdict::Holds, Verdict::Drifted, Verdict::Unknown, Verdict::LeftOut];
    let counts: Vec<String> = verdicts
        .iter()
        .map(|v| (*v, tasks.iter().filter(|t| t.verdict == *v).count()))
        .filter(|(_, n)| *n > 0)
        .map(|(v, n)| v.counted(n))
        .collect();
    let line = match tasks.is_empty() {
        true => "no finished task to look at".to_owned(),
        false => format!("{}: {}", plural(tasks.len(), "finished task"), list(&counts)),
    };
    for line in wrap(&line, 0, look.width).lines() {
        out.push_str(&format!("{}\n", look.bold(line)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Finding;

    #[test]
    fn what_drifted_stands_with_expected_and_found() {
        let check = |says: &str, finding| CheckRecord { says: says.to_owned(), finding };
        let task = |id: &str, verdict, why: Option<&str>, checks| Verified {
            task: id.to_owned(),
            verdict,
            why: why.map(str::to_owned),
            checks,
            measurements: Vec::new(),
        };
        let met = || check("`a` is there", Finding::met());
        let tasks = [
            task("A", Verdict::Holds, None, vec![met()]),
            task(
                "B",
                Verdict::Drifted,
                None,
                vec![
                    met(),
                    check(
                        "the image `x` is there",
                        Finding::unmet("exit code 0", "exit code 1", "`docker image inspect x`"),
                    ),
                ],
            ),
            task(
                "C",
                Verdict::Unknown,
                Some("`docker` is absent"),
                vec![check("`b` answers", Finding::unknown("no"))],
            ),
            task("D", Verdict::LeftOut, Some("it cleans up after itself"), Vec::new()),
        ];
        insta::assert_snapshot!(verified(&tasks, false), @r"
        ✓ A 1 check
        ↻ B 2 checks
            the image x is there: expected exit code 0, found exit code 1 (docker image
              inspect x)
        ? C 1 check; no more than that: docker is absent
            b answers: could not tell: no
        - D left out: it cleans up after itself
        4 finished tasks: 1 holds, 1 drifted, 1 could not be told and 1 left out
        ");
        assert_eq!(verified(&[], false), "no finished task to look at\n");
    }
}
