//! A run on a line of time: which attempts ran side by side, what released what, and which chain of them decided how
//! long it took. Pure.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::ledger::Outcome;
use crate::ledger::chronicle::{AttemptStory, RunStory};

/// A run on a line of time.
#[derive(Debug)]
pub struct Timeline<'a> {
    /// The attempts, in the order in which they began.
    pub bars: Vec<Bar<'a>>,
    /// How many lanes they need: as many as ran at the same time.
    pub n_lanes: usize,
    /// Milliseconds from the run's first record to its last.
    pub ms: u64,
    /// The chain of attempts, each needed by the next, that took longest: positions in `bars`.
    pub path: Vec<usize>,
    /// What the attempts of that chain took, in milliseconds.
    pub path_ms: u64,
}

/// An attempt on that line.
#[derive(Debug)]
pub struct Bar<'a> {
    /// The attempt.
    pub attempt: &'a AttemptStory,
    /// The lane, from 0.
    pub lane: usize,
    /// When it began, in milliseconds since the run began.
    pub from: u64,
    /// When it ended, likewise; the end of what is on record of the run if it has no end.
    pub to: u64,
    /// The attempt whose end released this one, the last that it needed: a position in [`Timeline::bars`].
    pub released_by: Option<usize>,
}

/// The line of a run.
pub fn timeline(run: &RunStory) -> Timeline<'_> {
    let since = |at: Timestamp| {
        u64::try_from(at.as_millisecond().saturating_sub(run.started.as_millisecond())).unwrap_or_default()
    };
    let end = since(run.ended.unwrap_or(run.last));
    let mut sorted: Vec<&AttemptStory> = run.attempts.iter().collect();
    // The clock may have been set back between two records.
    sorted.sort_by_key(|attempt| attempt.started);
    let mut bars: Vec<Bar<'_>> = Vec::with_capacity(sorted.len());
    // When each lane is free again.
    let mut lanes: Vec<u64> = Vec::new();
    // Where the last attempt that passed is, by task.
    let mut passed: HashMap<&str, usize> = HashMap::new();
    // What the longest chain up to an attempt takes, and the attempt before it in that chain.
    let mut chains: Vec<(u64, Option<usize>)> = Vec::new();
    for attempt in sorted {
        let from = since(attempt.started);
        let to = attempt.ended.map_or(end, since).max(from);
        let lane = lanes.iter().position(|free| *free <= from).unwrap_or_else(|| {
            lanes.push(0);
            lanes.len() - 1
        });
        lanes[lane] = to;
        let needed: Vec<usize> = attempt
            .start
            .needs
            .keys()
            .filter_map(|task| passed.get(task.as_str()).copied())
            .filter(|nth| bars[*nth].to <= from)
            .collect();
        let before = needed.iter().copied().max_by_key(|nth| (chains[*nth].0, std::cmp::Reverse(*nth)));
        chains.push((before.map_or(0, |nth| chains[nth].0) + (to - from), before));
        let released_by = needed.into_iter().max_by_key(|nth| (bars[*nth].to, std::cmp::Reverse(*nth)));
        if attempt.outcome() == Some(Outcome::Passed) {
            passed.insert(&attempt.task, bars.len());
        }
        bars.push(Bar { attempt, lane, from, to, released_by });
    }
    let last = (0..chains.len()).max_by_key(|nth| (chains[*nth].0, std::cmp::Reverse(*nth)));
    let mut path: Vec<usize> = std::iter::successors(last, |nth| chains[*nth].1).collect();
    path.reverse();
    Timeline { n_lanes: lanes.len(), ms: end, path, path_ms: last.map_or(0, |nth| chains[nth].0), bars }
}

/// The steps of a scale for so many milliseconds: at most about eight, of a size that clocks have too.
pub fn steps(ms: u64) -> Vec<u64> {
    const SIZES: &[u64] = &[
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000,
        300_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 28_800_000, 86_400_000,
    ];
    let size = SIZES.iter().copied().find(|size| ms / size <= 8);
    let size = size.unwrap_or_else(|| (ms / 8).div_ceil(86_400_000) * 86_400_000);
    (1..=ms / size.max(1)).map(|n| n * size).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ids::Digest;
    use crate::ledger::chronicle::chronicle;

    /// An attempt: the task, what it needs, when it began and ended in seconds, whether it passed.
    type Given<'t> = (&'t str, &'t [&'t str], i64, Option<i64>, bool);

    fn run(attempts: &[Given<'_>]) -> RunStory {
        let at = |second: i64| Timestamp::from_second(1_769_508_000 + second).expect("a time");
        let mut records = vec![(0, "run-started", None, json!({}))];
        for (task, needs, from, to, passed) in attempts {
            let id = format!("{task}@{from}");
            let needs: serde_json::Map<_, _> =
                needs.iter().map(|need| ((*need).to_owned(), json!(Digest::of(b"")))).collect();
            let instance = json!({ "host": "host", "boot": "boot", "pid": 1, "started": "1" });
            let start = json!({
                "attempt": id, "number": 1, "place": "local", "instance": instance, "log": "log", "needs": needs,
                "definition": { "keys": {} },
            });
            records.push((*from, "task-started", Some(*task), start));
            if let Some(to) = to {
                let outcome = if *passed { "passed" } else { "failed" };
                let end = json!({
                    "attempt": id, "outcome": outcome, "tries": 1, "ms": (to - from) * 1000, "result": Digest::of(b""),
                });
                records.push((*to, "task-ended", Some(*task), end));
            }
        }
        records.sort_by_key(|(second, kind, ..)| (*second, *kind == "task-started"));
        let last = records.last().map_or(0, |(second, ..)| *second);
        records.push((last, "run-ended", None, json!({ "exit": 0 })));
        let prev = Digest::of(b"");
        let lines: String = records
            .iter()
            .map(|(second, kind, task, event)| {
                let record = json!({
                    "v": 1, "seq": 1, "prev": prev, "at": at(*second), "run": "r", "kind": kind, "task": task, "event": event,
                });
                format!("{record}\n")
            })
            .collect();
        chronicle(lines.as_bytes()).runs.remove(0)
    }

    /// `a 0 0-2`: the task, its lane, from when to when; then what released it.
    fn told(timeline: &Timeline<'_>) -> Vec<String> {
        let name = |nth: usize| timeline.bars[nth].attempt.task.as_str();
        let bar = |bar: &Bar<'_>| {
            let by = bar.released_by.map(|nth| format!(" by {}", name(nth))).unwrap_or_default();
            format!("{} {} {}-{}{by}", bar.attempt.task, bar.lane, bar.from / 1000, bar.to / 1000)
        };
        timeline.bars.iter().map(bar).collect()
    }

    fn path(timeline: &Timeline<'_>) -> String {
        timeline
            .path
            .iter()
            .map(|nth| timeline.bars[*nth].attempt.task.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_ended_last_released_what_needed_it() {
        let run = run(&[
            ("a", &[], 0, Some(2), true),
            ("b", &[], 0, Some(5), true),
            ("c", &["a"], 2, Some(3), true),
            ("d", &["a", "b"], 5, Some(9), true),
            ("e", &["zz"], 9, Some(10), true),
        ]);
        let timeline = timeline(&run);
        assert_eq!(told(&timeline), ["a 0 0-2", "b 1 0-5", "c 0 2-3 by a", "d 0 5-9 by b", "e 0 9-10"]);
        assert_eq!((timeline.n_lanes, timeline.ms), (2, 10_000));
        assert_eq!((path(&timeline).as_str(), timeline.path_ms), ("b d", 9_000));
    }

    #[test]
    fn the_path_is_the_longest_chain_not_the_last_end() {
        let run = run(&[
            ("long", &[], 0, Some(6), true),
            ("short", &[], 0, Some(1), true),
            ("after", &["long"], 6, Some(8), true),
            // It waited for a worker, and for nothing that it needs.
            ("late", &["short"], 8, Some(10), true),
        ]);
        let timeline = timeline(&run);
        assert_eq!((path(&timeline).as_str(), timeline.path_ms), ("long after", 8_000));
    }

    #[test]
    fn only_what_passed_before_releases() {
        let run = run(&[
            ("a", &[], 0, Some(2), false),
            ("b", &["a"], 3, Some(4), true),
            ("a", &[], 5, Some(6), true),
            ("b", &["a"], 6, None, true),
            ("c", &["b"], 7, Some(8), true),
        ]);
        let timeline = timeline(&run);
        assert_eq!(told(&timeline), ["a 0 0-2", "b 0 3-4", "a 0 5-6", "b 0 6-8 by a", "c 1 7-8 by b"]);
    }

    #[test]
    fn nothing_is_a_timeline_too() {
        let run = run(&[]);
        let timeline = timeline(&run);
        assert_eq!(
            (timeline.bars.len(), timeline.n_lanes, timeline.ms, path(&timeline).as_str()),
            (0, 0, 0, "")
        );
    }

    #[test]
    fn scales_have_steps_of_a_known_size() {
        assert_eq!(steps(0), [0; 0]);
        assert_eq!(steps(4_600), [1_000, 2_000, 3_000, 4_000]);
        assert_eq!(steps(95_000), [20_000, 40_000, 60_000, 80_000]);
        let days = steps(86_400_000 * 100);
        assert_eq!((days.len(), days[0]), (7, 86_400_000 * 13));
    }

    proptest! {
        #[test]
        fn bars_of_a_lane_never_overlap(given in proptest::collection::vec((0_i64..60, 0_i64..30), 1..40)) {
            let given: Vec<Given<'_>> =
                given.iter().map(|(from, ms)| ("a", &[] as &[&str], *from, Some(from + ms), true)).collect();
            let run = run(&given);
            let timeline = timeline(&run);
            for (n, a) in timeline.bars.iter().enumerate() {
                prop_assert!(a.lane < timeline.n_lanes);
                for b in timeline.bars[n + 1..].iter().filter(|b| b.lane == a.lane) {
                    prop_assert!(a.to <= b.from, "{a:?} {b:?}");
                }
            }
        }

        #[test]
        fn a_scale_is_short_and_within_what_it_measures(ms in 0_u64..1 << 40) {
            let steps = steps(ms);
            prop_assert!(steps.len() <= 8 && steps.iter().all(|step| *step <= ms), "{steps:?}");
        }
    }
}
