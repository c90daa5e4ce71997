//! Which of the tasks that could start does so next. Pure: it knows times and locks, not what a task does.

use std::collections::BinaryHeap;
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
            out[ix.0] = behind.saturating_add(expected(*ix).unwrap_or(UNKNOWN));
        }
    }
    out
}

/// Tasks that could start, the one with the most behind it first; of equals, the first of the file.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<(Duration, std::cmp::Reverse<TaskIx>)>,
    held: Vec<String>,
}

impl Queue {
    /// Adds a task that could start.
    pub fn push(&mut self, ix: TaskIx, remaining: Duration) {
        self.heap.push((remaining, std::cmp::Reverse(ix)));
    }

    /// Takes the next task whose locks are free, and takes its locks.
    pub fn pop(&mut self, plan: &Plan) -> Option<TaskIx> {
        let mut passed_over = Vec::new();
        let found = loop {
            let Some(entry) = self.heap.pop() else { break None };
            let ix = entry.1.0;
            if plan.task(ix).locks.iter().any(|l| self.held.contains(l)) {
                passed_over.push(entry);
            } else {
                break Some(ix);
            }
        };
        self.heap.extend(passed_over);
        if let Some(ix) = found {
            self.held.extend(plan.task(ix).locks.iter().cloned());
        }
        found
    }

    /// Gives the locks of a task back.
    pub fn release(&mut self, plan: &Plan, ix: TaskIx) {
        for lock in &plan.task(ix).locks {
            if let Some(at) = self.held.iter().position(|l| l == lock) {
                self.held.swap_remove(at);
            }
        }
    }

    /// Forgets every task that could start.
    pub fn clear(&mut self) {
        self.heap.clear();
    }
}
