//! Which of the tasks that could start does so next. Pure: it knows times and locks, not what a task does.

use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::ids::TaskIx;
use crate::pipeline::Plan;

/// What a task of unknown duration is taken to last: long enough that a chain of them counts.
const UNKNOWN: Duration = Duration::from_secs(1);

/// For each task, how long it and the longest chain of tasks behind it will take: what starts first should be what
/// the end waits for. Tasks not in `among` count for nothing.
pub fn remaining(
    plan: &Plan,
    among: &[bool],
    expected: impl Fn(TaskIx) -> Option<Duration>,
) -> Vec<Duration> {
    let dependents = plan.dependents();
    let mut out = vec![Duration::ZERO; plan.tasks.len()];
    for ix in plan.order.iter().rev() {
        if among[ix.0] {
            let behind = dependents[ix.0].iter().map(|d| out[d.0]).max().unwrap_or_default();
            out[ix.0] = behind + expected(*ix).unwrap_or(UNKNOWN);
        }
    }
    out
}

/// A task that could start; the largest is next: the one with the most behind it, and of equals the first of the file.
type Entry = (Duration, std::cmp::Reverse<TaskIx>);

/// Tasks that could start, the one with the most behind it first; of equals, the first of the file.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Entry>,
    held: Vec<String>,
    /// Tasks that were passed over, by a lock that was held. Of those with a lock that is free, at least one with as much
    /// behind it is in the heap: so a thousand tasks with the same lock are not looked at each time one of them ends.
    passed_over: HashMap<String, BinaryHeap<Entry>>,
}

impl Queue {
    /// Adds a task that could start.
    pub fn push(&mut self, ix: TaskIx, remaining: Duration) {
        self.heap.push((remaining, std::cmp::Reverse(ix)));
    }

    /// Takes the next task whose locks are free, and takes its locks.
    pub fn pop(&mut self, plan: &Plan) -> Option<TaskIx> {
        while let Some(entry) = self.heap.pop() {
            let ix = entry.1.0;
            let locks = &plan.task(ix).locks;
            let Some(held) = locks.iter().find(|lock| self.held.contains(lock)) else {
                self.held.extend(locks.iter().cloned());
                return Some(ix);
            };
            self.passed_over.entry(held.clone()).or_default().push(entry);
            for lock in locks {
                self.recall(lock);
            }
        }
        None
    }

    /// Gives the locks of a task back.
    pub fn release(&mut self, plan: &Plan, ix: TaskIx) {
        for lock in &plan.task(ix).locks {
            if let Some(at) = self.held.iter().position(|l| l == lock) {
                self.held.swap_remove(at);
            }
            self.recall(lock);
        }
    }

    /// Looks at the best of those that waited for a lock again, if it is free.
    fn recall(&mut self, lock: &String) {
        if !self.held.contains(lock) {
            self.heap.extend(self.passed_over.get_mut(lock).and_then(BinaryHeap::pop));
        }
    }

    /// Forgets every task that could start.
    pub fn clear(&mut self) {
        self.heap.clear();
        self.passed_over.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::resolve;

    /// Tasks `t0`, `t1`, ... with the rest of their tables.
    fn plan(tasks: &[String]) -> Plan {
        let mut text =
            "[pipeline]\nid = \"p\"\ntitle = \"P\"\n[[phase]]\nid = \"a\"\ntitle = \"A\"\n".to_owned();
        for (i, rest) in tasks.iter().enumerate() {
            text.push_str(&format!("[[phase.task]]\nid = \"t{i}\"\ntitle = \"T\"\nrun = \"true\"\n{rest}\n"));
        }
        resolve(&text, &BTreeMap::new()).expect("a plan")
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn what_the_end_waits_for_comes_first() {
        let plan = plan(&["", "needs = [\"t0\"]", "", "needs = [\"t2\"]"].map(str::to_owned));
        let durations = [Some(seconds(2)), Some(seconds(3)), None, Some(seconds(9))];
        let all = remaining(&plan, &[true; 4], |ix| durations[ix.0]);
        assert_eq!(all, [5, 3, 10, 9].map(seconds), "an unknown duration counts for a second");
        let some = remaining(&plan, &[true, false, true, true], |ix| durations[ix.0]);
        assert_eq!(some, [2, 0, 10, 9].map(seconds), "what is not to run counts for nothing");
        let mut queue = Queue::default();
        for ix in [0, 2] {
            queue.push(TaskIx(ix), all[ix]);
        }
        queue.push(TaskIx(3), all[2]);
        let order: Vec<usize> = std::iter::from_fn(|| queue.pop(&plan)).map(|ix| ix.0).collect();
        assert_eq!(order, [2, 3, 0], "of equals the first of the file");
    }

    proptest! {
        /// The oracle looks at everything each time.
        #[test]
        fn the_best_task_whose_locks_are_free_is_taken(
            locks in prop::collection::vec((prop::collection::btree_set(0..4_u8, 0..3), 0..5_u64), 1..12),
            steps in prop::collection::vec(prop::option::of(0..12_usize), 1..60),
        ) {
            let tables: Vec<String> =
                locks.iter().map(|(names, _)| {
                    let names: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
                    format!("lock = [{}]", names.join(", "))
                }).collect();
            let plan = plan(&tables);
            let mut queue = Queue::default();
            let mut open: Vec<usize> = (0..locks.len()).collect();
            let mut running: Vec<usize> = Vec::new();
            for i in &open {
                queue.push(TaskIx(*i), seconds(locks[*i].1));
            }
            for step in steps {
                if let Some(at) = step {
                    if at < running.len() {
                        queue.release(&plan, TaskIx(running.remove(at)));
                    }
                    continue;
                }
                let is_free = |i: &usize| running.iter().all(|r| locks[*r].0.is_disjoint(&locks[*i].0));
                let best = open.iter().copied().filter(is_free).max_by_key(|i| (locks[*i].1, std::cmp::Reverse(*i)));
                prop_assert_eq!(queue.pop(&plan).map(|ix| ix.0), best);
                open.retain(|i| Some(*i) != best);
                running.extend(best);
            }
        }
    }
}
