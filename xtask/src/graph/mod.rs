//! The graph of tasks or of phases, coloured by state: for mermaid, for Graphviz, as a picture, for programs.
//!
//! [`Graph::of`] chooses what is drawn; every language draws the same nodes and arrows. A node is named by its
//! position in the plan and labels are escaped: no id or title can be taken for syntax.

mod dot;
mod layout;
mod mermaid;
mod svg;

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value as Json, json};

pub use self::dot::dot;
pub use self::mermaid::{fits, mermaid};
pub use self::svg::{Place, svg};
use crate::status::{STATES, State, Status, Summary};
use crate::wording;

/// What a node stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// A task; tasks stand in their phases.
    #[default]
    Task,
    /// A phase, in the state of its least advanced task.
    Phase,
}

/// What is drawn.
#[derive(Debug, Clone, Copy, Default)]
pub struct View<'a> {
    /// What a node stands for.
    pub by: By,
    /// Only this task, what it needs and what needs it, directly or not.
    pub focus: Option<&'a str>,
}

/// What is drawn, before it has a form.
#[derive(Debug)]
pub struct Graph<'a> {
    title: &'a str,
    view: View<'a>,
    /// Phases with tasks that are drawn; none if phases are the nodes.
    groups: Vec<Group<'a>>,
    nodes: Vec<Node<'a>>,
    /// From what is needed to what needs it, by position in `nodes`.
    edges: Vec<(usize, usize)>,
    /// Counts of the tasks that are drawn.
    summary: Summary,
}

/// A phase around its tasks.
#[derive(Debug)]
struct Group<'a> {
    title: &'a str,
    /// Its tasks that are drawn, by position in `nodes`.
    nodes: Vec<usize>,
}

#[derive(Debug)]
struct Node<'a> {
    /// Position in the plan, from 1.
    number: usize,
    id: &'a str,
    title: &'a str,
    /// The phase: of a task, or the node itself.
    phase: &'a str,
    state: State,
    /// The first reason of that state, if it has one.
    why: Option<String>,
    /// Counts of its tasks, if it is a phase.
    tasks: Option<Summary>,
    /// It is, or holds, the task that was asked for.
    focus: bool,
}

impl<'a> Graph<'a> {
    /// What is to be drawn of a status. A task that is not there has nothing around it.
    pub fn of(status: &'a Status, view: View<'a>) -> Self {
        let numbers: HashMap<&str, usize> =
            status.tasks.iter().enumerate().map(|(i, row)| (row.id.as_str(), i)).collect();
        let needs: Vec<Vec<usize>> = status
            .tasks
            .iter()
            .map(|row| row.needs.iter().filter_map(|need| numbers.get(need.as_str()).copied()).collect())
            .collect();
        let shown = match view.focus {
            Some(id) => around(&needs, numbers.get(id).copied()),
            None => vec![true; status.tasks.len()],
        };
        let mut graph = Self {
            title: &status.pipeline.title,
            view,
            groups: Vec::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
            summary: Summary::of(status.tasks.iter().zip(&shown).filter(|(_, s)| **s).map(|(row, _)| row)),
        };
        graph.fill(status, &needs, &shown);
        graph
    }

    fn fill(&mut self, status: &'a Status, needs: &[Vec<usize>], shown: &[bool]) {
        let phases: HashMap<&str, usize> =
            status.phases.iter().enumerate().map(|(i, phase)| (phase.id.as_str(), i)).collect();
        let mut of_phase: Vec<Vec<usize>> = vec![Vec::new(); status.phases.len()];
        for (i, row) in status.tasks.iter().enumerate().filter(|(i, _)| shown[*i]) {
            if let Some(phase) = phases.get(row.phase.as_str()) {
                of_phase[*phase].push(i);
            }
        }
        // The node of each task.
        let mut nodes: Vec<Option<usize>> = vec![None; status.tasks.len()];
        for (p, tasks) in of_phase.iter().enumerate().filter(|(_, tasks)| !tasks.is_empty()) {
            let phase = &status.phases[p];
            let has_focus = |i: &usize| Some(status.tasks[*i].id.as_str()) == self.view.focus;
            let first = self.nodes.len();
            match self.view.by {
                By::Task => {
                    for (at, i) in tasks.iter().enumerate() {
                        let row = &status.tasks[*i];
                        nodes[*i] = Some(first + at);
                        self.nodes.push(Node {
                            number: i + 1,
                            id: &row.id,
                            title: &row.title,
                            phase: &row.phase,
                            state: row.state,
                            why: row.because.first().map(ToString::to_string),
                            tasks: None,
                            focus: has_focus(i),
                        });
                    }
                    self.groups
                        .push(Group { title: &phase.title, nodes: (first..self.nodes.len()).collect() });
                }
                By::Phase => {
                    tasks.iter().for_each(|i| nodes[*i] = Some(first));
                    let rows = || tasks.iter().map(|i| &status.tasks[*i]);
                    let summary = Summary::of(rows());
                    let state = summary.state();
                    let reason = |row: &crate::status::Row| {
                        row.because.first().map(|reason| format!("{}: {reason}", row.id))
                    };
                    self.nodes.push(Node {
                        number: p + 1,
                        id: &phase.id,
                        title: &phase.title,
                        phase: &phase.id,
                        state,
                        why: rows().find(|row| row.state == state).and_then(reason),
                        tasks: Some(summary),
                        focus: tasks.iter().any(has_focus),
                    });
                }
            }
        }
        let all = needs.iter().enumerate().flat_map(|(to, from)| from.iter().map(move |from| (*from, to)));
        let drawn = all.filter_map(|(from, to)| Some((nodes[from]?, nodes[to]?)));
        self.edges = match self.view.by {
            By::Task => drawn.collect(),
            By::Phase => drawn.filter(|(from, to)| from != to).collect::<BTreeSet<_>>().into_iter().collect(),
        };
    }

    /// Nodes and arrows, as `graph --json` prints them.
    pub fn json(&self, version: u32) -> Json {
        let nodes: Vec<Json> = self
            .nodes
            .iter()
            .map(|n| {
                let mut node = json!({ "id": n.id, "title": n.title, "phase": n.phase, "state": n.state });
                if let Some(tasks) = n.tasks {
                    node["tasks"] = json!(tasks);
                }
                node
            })
            .collect();
        let id = |node: usize| self.nodes[node].id;
        let edges: Vec<Json> =
            self.edges.iter().map(|(from, to)| json!({ "from": id(*from), "to": id(*to) })).collect();
        json!({ "version": version, "focus": self.view.focus, "nodes": nodes, "edges": edges })
    }

    /// States that occur, in the order of the summary, with how many tasks are in them.
    fn used(&self) -> impl Iterator<Item = (State, usize)> {
        STATES.iter().map(|state| (*state, self.summary.count(*state))).filter(|(_, n)| *n > 0)
    }
}

impl Node<'_> {
    /// `5 of 7 tasks done and 2 blocked`, if it is a phase.
    fn counts(&self) -> Option<String> {
        self.tasks.map(|tasks| tasks.to_string())
    }
}

/// A task, what it needs and what needs it, directly or not.
fn around(needs: &[Vec<usize>], focus: Option<usize>) -> Vec<bool> {
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (to, from) in needs.iter().enumerate().flat_map(|(to, all)| all.iter().map(move |from| (to, *from))) {
        needed_by[from].push(to);
    }
    let mut shown = vec![false; needs.len()];
    for next in [needs, needed_by.as_slice()] {
        let mut seen = vec![false; needs.len()];
        let mut todo: Vec<usize> = focus.into_iter().collect();
        while let Some(i) = todo.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                shown[i] = true;
                todo.extend(&next[i]);
            }
        }
    }
    shown
}

/// Fill, border and text of a state. Dark text on a light ground reads in light and dark themes alike.
fn colours(state: State) -> (&'static str, &'static str, &'static str) {
    match state {
        State::Done => ("#d1f0d9", "#1a7f37", "#0b3d1a"),
        State::Stale => ("#ead9ff", "#8250df", "#3b1a6e"),
        State::Failed => ("#ffd8d3", "#cf222e", "#5c0d14"),
        State::Interrupted => ("#ffe0c2", "#bc4c00", "#521f00"),
        State::Blocked => ("#fff2b8", "#9a6700", "#4a3200"),
        State::Waiting => ("#fbf5dc", "#b8a35a", "#4d4420"),
        State::Ready => ("#d6ebff", "#0969da", "#06305f"),
        State::Skipped => ("#eaeef2", "#8c959f", "#3d444d"),
    }
}

/// What a drawing is of, in words.
fn caption(graph: &Graph<'_>) -> String {
    let what = match graph.view.by {
        By::Task => wording::plural(graph.nodes.len(), "task"),
        By::Phase => wording::plural(graph.nodes.len(), "phase"),
    };
    match graph.view.focus {
        None => what,
        Some(task) => format!("{what}: {task}, what it needs and what needs it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn ids<'a>(graph: &Graph<'a>) -> Vec<&'a str> {
        graph.nodes.iter().map(|node| node.id).collect()
    }

    fn edges<'a>(graph: &Graph<'a>) -> Vec<(&'a str, &'a str)> {
        graph.edges.iter().map(|(from, to)| (graph.nodes[*from].id, graph.nodes[*to].id)).collect()
    }

    #[test]
    fn a_focus_shows_what_it_stands_on_and_what_stands_on_it() {
        let edges_of = [("b", "a"), ("c", "b"), ("d", "c"), ("c", "x"), ("y", "x"), ("y", "b")];
        let status = sample::shaped(&[("one", &["a", "b", "x"]), ("two", &["c", "d", "y", "z"])], &edges_of);
        let focus = |by, task| Graph::of(&status, View { by, focus: Some(task) });
        assert_eq!(ids(&focus(By::Task, "c")), ["a", "b", "x", "c", "d"]);
        assert_eq!(ids(&focus(By::Task, "a")), ["a", "b", "c", "d", "y"]);
        assert_eq!(edges(&focus(By::Task, "d")), [("a", "b"), ("b", "c"), ("x", "c"), ("c", "d")]);
        assert_eq!(ids(&focus(By::Task, "z")), ["z"]);
        assert_eq!(ids(&focus(By::Phase, "x")), ["one", "two"]);
        assert_eq!(focus(By::Phase, "x").summary.total, 4);
        assert_eq!(ids(&focus(By::Task, "nobody")), [""; 0]);
        let marked = focus(By::Task, "c").nodes.iter().filter(|n| n.focus).map(|n| n.id).collect::<Vec<_>>();
        assert_eq!(marked, ["c"]);
        let marked = focus(By::Phase, "c").nodes.iter().filter(|n| n.focus).map(|n| n.id).collect::<Vec<_>>();
        assert_eq!(marked, ["two"]);
    }

    #[test]
    fn phases_stand_for_their_tasks() {
        let status = sample::rich();
        let graph = Graph::of(&status, View { by: By::Phase, focus: None });
        assert_eq!(ids(&graph), ["setup", "containers", "deploy", "polish"]);
        let states: Vec<State> = graph.nodes.iter().map(|node| node.state).collect();
        assert_eq!(states, [State::Done, State::Blocked, State::Failed, State::Blocked]);
        assert_eq!(
            graph.nodes[1].why.as_deref(),
            Some("T006: `docker`: not running (Cannot connect to the Docker daemon)")
        );
        // Needs within a phase are no arrows, needs between two phases are one.
        let both_ways = [("b", "a"), ("c", "b"), ("d", "a"), ("x", "d")];
        let status = sample::shaped(&[("one", &["a", "b", "x"]), ("two", &["c", "d"])], &both_ways);
        let graph = Graph::of(&status, View { by: By::Phase, focus: None });
        assert_eq!(edges(&graph), [("one", "two"), ("two", "one")]);
    }

    #[test]
    fn programs_get_the_same_nodes_and_arrows() {
        let status = sample::shaped(&[("one", &["a", "b"]), ("two", &["c"])], &[("b", "a"), ("c", "b")]);
        let by_task = Graph::of(&status, View { by: By::Task, focus: Some("c") }).json(1);
        assert_eq!(by_task["focus"], "c");
        assert_eq!(by_task["edges"], json!([{ "from": "a", "to": "b" }, { "from": "b", "to": "c" }]));
        let by_phase = Graph::of(&status, View { by: By::Phase, focus: None }).json(1);
        assert_eq!(by_phase["focus"], Json::Null);
        assert_eq!(by_phase["nodes"][0]["tasks"]["total"], 2);
        assert_eq!(by_phase["edges"], json!([{ "from": "one", "to": "two" }]));
    }
}
