//! What the order costs in which xtask starts tasks: its own schedule, compiled from its own source, on random graphs,
//! against a bound that no order can beat. README.md in the folder of this crate describes the graphs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::process::ExitCode;
use std::time::Duration;

use ids::TaskIx;
use numbers::{digits, median};
use pipeline::{Plan, Task};

#[path = "../numbers.rs"]
#[allow(dead_code, reason = "shared with the program beside this one")]
mod numbers;

#[path = "../../../xtask/src/schedule.rs"]
#[allow(dead_code, reason = "a simulation needs less than a run")]
mod schedule;

/// As much of `xtask::ids` as the schedule needs.
mod ids {
    /// A position in a plan.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct TaskIx(pub usize);
}

/// As much of `xtask::pipeline` as the schedule needs.
mod pipeline {
    use crate::ids::TaskIx;

    /// A task.
    #[derive(Debug, Default)]
    pub struct Task {
        pub needs: Vec<TaskIx>,
        pub locks: Vec<String>,
    }

    /// Tasks, in an order in which they could run.
    #[derive(Debug, Default)]
    pub struct Plan {
        pub tasks: Vec<Task>,
        pub order: Vec<TaskIx>,
    }

    impl Plan {
        pub fn task(&self, ix: TaskIx) -> &Task {
            &self.tasks[ix.0]
        }

        pub fn dependents(&self) -> Vec<Vec<TaskIx>> {
            let mut out = vec![vec![]; self.tasks.len()];
            for (i, task) in self.tasks.iter().enumerate() {
                task.needs.iter().for_each(|need| out[need.0].push(TaskIx(i)));
            }
            out
        }
    }
}

/// Graphs of each kind, size and distribution of durations.
const SEEDS: u64 = 20;

/// Numbers of tasks.
const SIZES: [usize; 3] = [50, 200, 1_000];

/// Tasks at the same time.
const WORKERS: [usize; 3] = [2, 4, 8];

/// Within how much of the bound a run should be.
const GOAL: f64 = 1.05;

/// SplitMix64: a few lines, the same everywhere.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Below `n`.
    fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// The logarithm has mean 0 and standard deviation 1: the longest of some hundreds lasts some twenty times the median.
    fn log_normal(&mut self) -> f64 {
        let (a, b) = (self.unit(), self.unit());
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()).exp()
    }

    /// Shape 1.5, at least 0.2: no variance, so a few tasks last as long as many others together.
    fn pareto(&mut self) -> f64 {
        0.2 * self.unit().powf(-1.0 / 1.5)
    }
}

#[derive(Clone, Copy)]
enum Graph {
    Layered,
    ErdosRenyi,
    ForkJoin,
    SeriesParallel,
    OutTree,
    InTree,
}

impl Graph {
    const ALL: [Self; 6] =
        [Self::Layered, Self::ErdosRenyi, Self::ForkJoin, Self::SeriesParallel, Self::OutTree, Self::InTree];

    fn name(self) -> &'static str {
        match self {
            Self::Layered => "layered",
            Self::ErdosRenyi => "Erdős–Rényi",
            Self::ForkJoin => "fork and join",
            Self::SeriesParallel => "series-parallel",
            Self::OutTree => "out-tree",
            Self::InTree => "in-tree",
        }
    }

    /// Pairs (before, after), before the smaller one.
    fn edges(self, n: usize, random: &mut Random) -> Vec<(usize, usize)> {
        let mut out = vec![];
        match self {
            Self::Layered => {
                let mut layers: Vec<std::ops::Range<usize>> = vec![];
                let widest = 2 * n.isqrt();
                while layers.last().map_or(0, |l| l.end) < n {
                    let from = layers.last().map_or(0, |l| l.end);
                    layers.push(from..(from + 1 + random.below(widest)).min(n));
                }
                for pair in layers.windows(2) {
                    for after in pair[1].clone() {
                        for _ in 0..=random.below(3) {
                            out.push((pair[0].start + random.below(pair[0].len()), after));
                        }
                    }
                }
            }
            Self::ErdosRenyi => {
                let chance = 4.0 / n as f64;
                for before in 0..n {
                    out.extend(
                        (before + 1..n).filter(|_| random.unit() <= chance).map(|after| (before, after)),
                    );
                }
            }
            Self::ForkJoin => {
                let mut at = 0;
                while at + 2 < n {
                    let width = (2 + random.below(16)).min(n - at - 2);
                    let join = at + width + 1;
                    out.extend((at + 1..join).flat_map(|task| [(at, task), (task, join)]));
                    at = join;
                }
            }
            Self::SeriesParallel => series_parallel(0, n, random, &mut out),
            Self::OutTree => out.extend((1..n).map(|child| (random.below(child).max(child / 8), child))),
            Self::InTree => {
                let mirrored: Vec<_> =
                    (1..n).map(|child| (random.below(child).max(child / 8), child)).collect();
                out.extend(mirrored.into_iter().map(|(parent, child)| (n - 1 - child, n - 1 - parent)));
            }
        }
        out
    }
}

/// Tasks `from..to` as two halves one after the other or beside each other, each made in the same way. What comes one
/// after the other is joined from all ends to all starts.
fn series_parallel(from: usize, to: usize, random: &mut Random, out: &mut Vec<(usize, usize)>) {
    fn build(
        from: usize,
        to: usize,
        random: &mut Random,
        out: &mut Vec<(usize, usize)>,
    ) -> (Vec<usize>, Vec<usize>) {
        if to - from == 1 {
            return (vec![from], vec![from]);
        }
        let middle = from + 1 + random.below(to - from - 1);
        let (mut starts, ends) = build(from, middle, random, out);
        let (later_starts, mut later_ends) = build(middle, to, random, out);
        if random.below(2) == 0 {
            out.extend(
                ends.iter().flat_map(|before| later_starts.iter().map(move |after| (*before, *after))),
            );
            (starts, later_ends)
        } else {
            starts.extend(later_starts);
            later_ends.extend(ends);
            (starts, later_ends)
        }
    }
    build(from, to, random, out);
}

fn plan(n: usize, edges: &[(usize, usize)]) -> Plan {
    let mut tasks: Vec<Task> = (0..n).map(|_| Task::default()).collect();
    for (before, after) in edges {
        tasks[*after].needs.push(TaskIx(*before));
    }
    for task in &mut tasks {
        task.needs.sort();
        task.needs.dedup();
    }
    Plan { tasks, order: (0..n).map(TaskIx).collect() }
}

/// The goal's bound: the longest chain, or all the work shared out evenly.
fn bound(plan: &Plan, durations: &[Duration], workers: usize) -> Duration {
    let longest = behind(plan, durations).into_iter().max().unwrap_or_default();
    let work: Duration = durations.iter().sum();
    longest.max(work / workers as u32)
}

/// A bound that no order can beat either, and that is nearer to what can be reached. Where all of what is left waits for
/// all of what was before, the parts add up. In each part: tasks that can't start before `r` and after which at least `q`
/// is left take their work, shared out evenly, between the two; and of one task more than there are workers, two come one
/// after the other.
fn sharp_bound(plan: &Plan, durations: &[Duration], workers: usize) -> Duration {
    let n = durations.len();
    let mut ancestors: Vec<Vec<bool>> = vec![];
    for task in &plan.tasks {
        let mut own = vec![false; n];
        for need in &task.needs {
            own[need.0] = true;
            ancestors[need.0].iter().zip(&mut own).for_each(|(theirs, own)| *own |= theirs);
        }
        ancestors.push(own);
    }
    // How many of the first tasks each one has among its ancestors without a gap.
    let all_before: Vec<usize> = ancestors.iter().map(|own| own.iter().take_while(|a| **a).count()).collect();
    let behind = behind(plan, durations);
    let mut total = Duration::ZERO;
    let mut from = 0;
    for to in 1..=n {
        if all_before[to..].iter().all(|known| *known >= to) {
            total += part_bound(plan, durations, &behind, workers, from..to);
            from = to;
        }
    }
    total
}

fn part_bound(
    plan: &Plan,
    durations: &[Duration],
    behind: &[Duration],
    workers: usize,
    part: std::ops::Range<usize>,
) -> Duration {
    let after_part = behind[part.end..].iter().max().copied().unwrap_or_default();
    let mut heads: Vec<Duration> = vec![];
    let mut tasks: Vec<(Duration, Duration, Duration)> = vec![];
    for i in part.clone() {
        let needs = plan.tasks[i].needs.iter().filter(|need| part.contains(&need.0));
        let head = needs.map(|need| heads[need.0 - part.start] + durations[need.0]).max().unwrap_or_default();
        heads.push(head);
        tasks.push((head, durations[i], behind[i] - durations[i] - after_part));
    }
    let mut best = tasks.iter().map(|(head, own, tail)| *head + *own + *tail).max().unwrap_or_default();
    tasks.sort_by_key(|(_, _, tail)| Reverse(*tail));
    let mut starts = heads;
    starts.sort();
    starts.dedup();
    for start in starts {
        let mut work = Duration::ZERO;
        let mut longest: BinaryHeap<Reverse<Duration>> = BinaryHeap::new();
        for (_, own, tail) in tasks.iter().filter(|(head, _, _)| *head >= start) {
            work += *own;
            best = best.max(start + *tail + work / workers as u32);
            longest.push(Reverse(*own));
            if longest.len() > workers + 1 {
                longest.pop();
            }
            if longest.len() == workers + 1 {
                let least = longest.pop().unwrap_or(Reverse(Duration::ZERO));
                let next = longest.peek().map_or(Duration::ZERO, |d| d.0);
                best = best.max(start + *tail + least.0 + next);
                longest.push(least);
            }
        }
    }
    best
}

fn behind(plan: &Plan, durations: &[Duration]) -> Vec<Duration> {
    schedule::remaining(plan, &vec![true; durations.len()], |ix| Some(durations[ix.0]))
}

/// How long a run lasts whose tasks are taken from xtask's own queue, as its loop does.
fn makespan(
    plan: &Plan,
    durations: &[Duration],
    known: impl Fn(TaskIx) -> Option<Duration>,
    workers: usize,
) -> Duration {
    let remaining = schedule::remaining(plan, &vec![true; durations.len()], known);
    let dependents = plan.dependents();
    let mut pending: Vec<usize> = plan.tasks.iter().map(|t| t.needs.len()).collect();
    let mut queue = schedule::Queue::default();
    for (i, n) in pending.iter().enumerate() {
        if *n == 0 {
            queue.push(TaskIx(i), remaining[i]);
        }
    }
    let mut running: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::new();
    let mut now = Duration::ZERO;
    loop {
        while running.len() < workers {
            let Some(ix) = queue.pop(plan) else { break };
            running.push(Reverse((now + durations[ix.0], ix.0)));
        }
        let Some(Reverse((end, i))) = running.pop() else { return now };
        now = end;
        queue.release(plan, TaskIx(i));
        for after in &dependents[i] {
            pending[after.0] -= 1;
            if pending[after.0] == 0 {
                queue.push(*after, remaining[after.0]);
            }
        }
    }
}

fn main() -> ExitCode {
    println!("Times of a run, of the goal's bound (of the sharper bound):\n");
    println!("| graphs | durations | workers | median | mean | largest | within 5 % |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let mut all = Found::default();
    let mut blind = Found::default();
    for graph in Graph::ALL {
        for (distribution, draw) in
            [("log-normal", Random::log_normal as fn(&mut Random) -> f64), ("Pareto", Random::pareto)]
        {
            for workers in WORKERS {
                let mut here = Found::default();
                for (n, seed) in SIZES.iter().flat_map(|n| (0..SEEDS).map(move |seed| (*n, seed))) {
                    let mut random = Random(seed);
                    let plan = plan(n, &graph.edges(n, &mut random));
                    let durations: Vec<Duration> =
                        (0..n).map(|_| Duration::from_secs_f64(draw(&mut random))).collect();
                    let bounds = (bound(&plan, &durations, workers), sharp_bound(&plan, &durations, workers));
                    let known = makespan(&plan, &durations, |ix| Some(durations[ix.0]), workers);
                    here.add(known, bounds);
                    all.add(known, bounds);
                    blind.add(makespan(&plan, &durations, |_| None, workers), bounds);
                }
                println!("| {} | {distribution} | {workers} | {} |", graph.name(), here.cells());
            }
        }
    }
    println!("| **all** | | | {} |", all.cells());
    println!("| all, as if no duration were known | | | {} |", blind.cells());
    ExitCode::SUCCESS
}

/// Times of runs, relative to the two bounds.
#[derive(Default)]
struct Found {
    plain: Vec<f64>,
    sharp: Vec<f64>,
}

impl Found {
    fn add(&mut self, time: Duration, (plain, sharp): (Duration, Duration)) {
        self.plain.push(time.as_secs_f64() / plain.as_secs_f64());
        self.sharp.push(time.as_secs_f64() / sharp.as_secs_f64());
    }

    fn cells(&self) -> String {
        let both = |of: fn(&[f64]) -> String| format!("{} ({})", of(&self.plain), of(&self.sharp));
        [
            both(|all| format!("{:.3}", median(all).unwrap_or(f64::NAN))),
            both(|all| format!("{:.3}", all.iter().sum::<f64>() / all.len() as f64)),
            both(|all| format!("{:.3}", numbers::extremes(all).1)),
            both(|all| {
                let within = all.iter().filter(|ratio| **ratio <= GOAL).count();
                format!("{} %", digits(within as f64 / all.len() as f64 * 100.0))
            }),
        ]
        .join(" | ")
    }
}
