//! Which logs are kept, and which may go. Pure.

use std::collections::{HashMap, HashSet};

use camino::Utf8PathBuf;

use super::chronicle::{AttemptStory, Chronicle};
use super::event::Outcome;

/// Logs of attempts that are older than the last `keep` of their task, the oldest first. The last attempt and the last
/// one that passed keep theirs in any case: the one says how it is, the other how it should be. What was set up by an
/// attempt and taken down again is logged apart; those logs go with that of the attempt.
pub fn outdated(chronicle: &Chronicle, keep: u64) -> Vec<Utf8PathBuf> {
    let mut tasks: HashMap<&str, Vec<&AttemptStory>> = HashMap::new();
    let attempts = || chronicle.runs.iter().flat_map(|run| &run.attempts);
    for attempt in attempts() {
        tasks.entry(&attempt.task).or_default().push(attempt);
    }
    let mut kept = HashSet::new();
    for attempts in tasks.values() {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX).max(1);
        let last = attempts.iter().rev().take(keep);
        let passed = attempts.iter().rfind(|a| a.outcome() == Some(Outcome::Passed));
        kept.extend(last.chain(passed).flat_map(|a| a.logs()));
    }
    let mut seen = HashSet::new();
    let outdated = attempts().flat_map(AttemptStory::logs);
    outdated.filter(|log| !kept.contains(*log) && seen.insert(*log)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::sample::Sample;

    /// A ledger of attempts: the task, and `+` if it passed, `-` if it failed, `!` if it did not end, with `~` if it
    /// was cleaned up after. The log of the third attempt at `t` is `t-3`, that of its cleaning up `t-3~`.
    fn attempts(all: &[(&str, &str)]) -> Chronicle {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut sample = Sample::empty().run("r", 1);
        for (task, how) in all {
            let number = numbers.entry(task).or_default();
            *number += 1;
            sample = match how.as_bytes()[0] {
                b'+' => sample.attempt(task, "x", "passed"),
                b'-' => sample.attempt(task, "x", "failed"),
                _ => sample.start(task, "x"),
            };
            if how.ends_with('~') {
                sample = sample.torn_down(&format!("{task}-{number}~"));
            }
        }
        sample.chronicle()
    }

    fn gone(all: &[(&str, &str)], keep: u64) -> String {
        outdated(&attempts(all), keep).iter().map(|log| log.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_last_attempts_and_the_last_that_passed_keep_their_logs() {
        let (t, u) = ("t", "u");
        assert_eq!(gone(&[], 1), "");
        assert_eq!(gone(&[(t, "+"), (t, "+"), (t, "+")], 2), "t-1");
        assert_eq!(gone(&[(t, "+"), (t, "+"), (t, "+")], 3), "");
        assert_eq!(gone(&[(t, "+"), (t, "+"), (t, "-"), (t, "-"), (t, "-")], 2), "t-1 t-3");
        assert_eq!(gone(&[(t, "+"), (t, "-"), (t, "!")], 1), "t-2");
        // Each task for itself, in whatever order they came.
        assert_eq!(gone(&[(t, "+"), (u, "+"), (t, "+"), (u, "-")], 1), "t-1");
        // None at all is not to be had.
        assert_eq!(gone(&[(t, "+"), (t, "-")], 0), "");
    }

    #[test]
    fn logs_of_cleaning_up_go_with_their_attempt() {
        assert_eq!(gone(&[("t", "+~"), ("t", "+~"), ("t", "+")], 2), "t-1 t-1~");
    }

    proptest! {
        #[test]
        fn what_is_kept_is_never_less_than_the_rule_says(
            all in prop::collection::vec((0_u8..3, 0_u8..3), 0..40),
            keep in 0_u64..6,
        ) {
            let names = ["a", "b", "c"];
            let hows = ["+", "-", "!"];
            let all: Vec<(&str, &str)> = all.iter().map(|(t, h)| (names[usize::from(*t)], hows[usize::from(*h)])).collect();
            let gone: HashSet<String> = outdated(&attempts(&all), keep).into_iter().map(|log| log.to_string()).collect();
            for name in names {
                let own = all.iter().filter(|(task, _)| *task == name);
                let own: Vec<(usize, &str)> = own.enumerate().map(|(i, (_, how))| (i + 1, *how)).collect();
                let last = own.iter().rev().take(keep.max(1) as usize);
                let passed = own.iter().rfind(|(_, how)| *how == "+");
                let must: Vec<usize> = last.chain(passed).map(|(n, _)| *n).collect();
                for (n, _) in own {
                    prop_assert_eq!(gone.contains(&format!("{name}-{n}")), !must.contains(&n));
                }
            }
        }
    }
}
