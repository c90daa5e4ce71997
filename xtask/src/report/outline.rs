//! What every report says in the same words: sentences and groups that are computed from the status.
//!
//! Sentences are plain text that quotes names and commands with backticks. Formats escape them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::graph::{self, By, View};
use crate::measure::Measurement;
use crate::observed::Verdict;
use crate::plain;
use crate::status::{
    NextStep, PhaseRow, PrerequisiteRow, Reason, Row, STATES, Standing, State, Status, Summary,
};
use crate::wording::{self, list, plural, ranges};

/// The command that goes on when something has changed outside.
pub const RESUME: &str = "cargo xtask resume";

/// A report before it has a form.
#[derive(Debug, Serialize)]
pub struct Outline {
    /// The status in a phrase.
    pub headline: String,
    /// How it stands, in sentences.
    pub summary: Vec<String>,
    /// What is different from the report before, if there is one to compare with.
    pub changes: Vec<String>,
    /// Every phase with what is done in it.
    pub phases: Vec<Phase>,
    /// Tasks that failed.
    pub failed: Vec<Trouble>,
    /// Tasks that were cut off.
    pub interrupted: Vec<Trouble>,
    /// Tasks whose result no longer counts.
    pub stale: Vec<Trouble>,
    /// Phases in which tasks are blocked or waiting.
    pub blocked: Vec<BlockedPhase>,
    /// What to do, the most helpful first.
    pub steps: Vec<Step>,
    /// How many gates hold, in a sentence.
    pub gates_summary: String,
    /// The rules.
    pub gates: Vec<Item>,
    /// What is handed over, by group.
    pub deliverables: Vec<Group>,
    /// Risks from low to high, with those levels left out that have none.
    pub risks: Vec<RiskLevel>,
    /// What helps against risks that are not low; if all are, against those.
    pub mitigations: Vec<String>,
    /// What to do, in sentences.
    pub recommendations: Vec<String>,
    /// What success means and how it stands.
    pub criteria: Vec<Criterion>,
    /// The end, in sentences.
    pub conclusion: Vec<String>,
    /// How long the rest will take, if there is a rest.
    pub time_left: Option<String>,
    /// The tasks and what needs what, for mermaid; phases if there are more tasks than are drawn.
    pub graph: Option<String>,
    /// Why it shows less than all tasks, if it does.
    pub graph_note: Option<String>,
}

/// A phase and what is done in it.
#[derive(Debug, Serialize)]
pub struct Phase {
    /// From 1, in the order of the plan.
    pub number: usize,
    /// Its heading.
    pub title: String,
    /// The symbol of its least advanced state.
    pub symbol: &'static str,
    /// `COMPLETE`, or how much is done.
    pub progress: String,
    /// Its finished tasks.
    pub done: Vec<DoneTask>,
    /// The others, those with the same cause together.
    pub open: Vec<Fold>,
    /// Files that finished tasks answer for.
    pub artifacts: Vec<String>,
    /// Commands of the tasks that come next: everything that they stand on is done.
    pub ready_for: Vec<String>,
}

/// A finished task.
#[derive(Debug, Serialize)]
pub struct DoneTask {
    /// Its id.
    pub id: String,
    /// What it does.
    pub title: String,
    /// What it measured: `image size: 412 MB, at most 500 MB`.
    pub values: Vec<String>,
}

/// Tasks in the same state for the same cause.
#[derive(Debug, Serialize)]
pub struct Fold {
    /// Their state.
    pub state: State,
    /// Its symbol.
    pub symbol: &'static str,
    /// Their ids.
    pub ids: Vec<String>,
    /// The state and the cause.
    pub text: String,
}

/// A task that did not come to its end, or whose end no longer counts.
#[derive(Debug, Serialize)]
pub struct Trouble {
    /// Its id.
    pub id: String,
    /// What it does.
    pub title: String,
    /// The symbol of its state.
    pub symbol: &'static str,
    /// Why, in sentences without a full stop.
    pub because: Vec<String>,
    /// What to do, if it can be said.
    pub hint: Option<String>,
    /// The log of the last attempt.
    pub log: Option<String>,
    /// Counts the task's attempts.
    pub attempt: Option<u32>,
    /// When the last attempt began.
    pub started: Option<Timestamp>,
}

/// A phase in which tasks are blocked or waiting.
#[derive(Debug, Serialize)]
pub struct BlockedPhase {
    /// From 1, in the order of the plan.
    pub number: usize,
    /// Its heading.
    pub title: String,
    /// `2 blocked, 1 waiting`.
    pub counts: String,
    /// The tasks.
    pub tasks: Vec<BlockedTask>,
    /// What these tasks require themselves and is not met.
    pub prerequisites: Vec<Obstacle>,
    /// Since when the first of them has been left undone.
    pub since: Option<Timestamp>,
}

/// A task that is blocked or waiting.
#[derive(Debug, Serialize)]
pub struct BlockedTask {
    /// Its id.
    pub id: String,
    /// What it does.
    pub title: String,
    /// Its state.
    pub state: State,
    /// What it waits for beside its prerequisites: chains of tasks to the root, undecided conditions.
    pub waits: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where it is talked about: an http or https address.
    pub link: Option<String>,
}

/// A prerequisite that is not met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// Its name.
    pub name: String,
    /// What asking for it came to.
    pub verdict: Verdict,
    /// Why.
    pub why: Option<String>,
    /// What to do on this system.
    pub remedy: Option<String>,
}

/// Something to do.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What, as an order.
    pub lead: String,
    /// Why.
    pub why: String,
    /// Why, and what it brings.
    pub detail: String,
    /// What mends it on this system, if that is declared.
    pub remedy: Option<String>,
    /// What to type: the remedy, then what goes on.
    pub commands: Vec<String>,
    /// Tasks that it releases.
    pub releases: Vec<String>,
    /// The commands of these tasks, each task under a comment with its title, ready to be copied.
    pub script: Vec<String>,
}

/// Something that holds, does not hold or can't be told yet.
#[derive(Debug, Serialize)]
pub struct Item {
    /// What.
    pub title: String,
    /// How it stands.
    pub standing: Standing,
    /// Its symbol.
    pub symbol: &'static str,
    /// Why it is not met.
    pub because: Vec<String>,
}

/// Deliverables under one heading.
#[derive(Debug, Serialize)]
pub struct Group {
    /// The heading; none for those without a group.
    pub name: Option<String>,
    /// What belongs to it.
    pub items: Vec<Item>,
}

/// Risks of one level.
#[derive(Debug, Serialize)]
pub struct RiskLevel {
    /// `Low`, `Medium` or `High`.
    pub name: &'static str,
    /// Its symbol.
    pub symbol: &'static str,
    /// The risks.
    pub risks: Vec<Risk>,
}

/// A risk.
#[derive(Debug, Serialize)]
pub struct Risk {
    /// What may go wrong.
    pub title: String,
    /// Why that level.
    pub because: Vec<String>,
}

/// A criterion.
#[derive(Debug, Serialize)]
pub struct Criterion {
    /// What is judged.
    pub title: String,
    /// The target.
    pub target: String,
    /// What was measured.
    pub values: Vec<String>,
    /// Its symbol.
    pub symbol: &'static str,
    /// `Met`, `Not met` or `Pending`, with the reason.
    pub text: String,
}

impl Outline {
    /// Everything that reports say about a status.
    pub fn of(status: &Status) -> Self {
        let find = Finder::new(status);
        let (graph, graph_note) = graph(status);
        Self {
            headline: headline(status),
            summary: summary(status),
            changes: changes(status),
            phases: status.phases.iter().enumerate().map(|(i, p)| phase(i + 1, p, &find)).collect(),
            failed: troubles(status, State::Failed),
            interrupted: troubles(status, State::Interrupted),
            stale: troubles(status, State::Stale),
            blocked: status
                .phases
                .iter()
                .enumerate()
                .filter_map(|(i, p)| blocked_phase(i + 1, p, &find))
                .collect(),
            steps: steps(status, &find),
            gates_summary: gates_summary(status),
            gates: status.gates.iter().map(|g| item(&g.title, g.standing, find.fold(&g.because))).collect(),
            deliverables: deliverables(status, &find),
            risks: risks(status, &find),
            mitigations: mitigations(status),
            recommendations: recommendations(status),
            criteria: criteria(status, &find),
            conclusion: conclusion(status, &find),
            time_left: time_left(status),
            graph,
            graph_note,
        }
    }
}

/// What GitHub draws of the tasks, and what is to be said about it.
fn graph(status: &Status) -> (Option<String>, Option<String>) {
    if status.tasks.is_empty() {
        return (None, None);
    }
    let drawn =
        |by| Some(graph::mermaid(status, View { by, focus: None })).filter(|drawn| graph::fits(drawn));
    let all = "`cargo xtask graph --format svg` draws them all";
    let tasks = plural(status.tasks.len(), "task");
    if let Some(by_task) = drawn(By::Task) {
        return (Some(by_task), None);
    }
    match drawn(By::Phase) {
        Some(by_phase) => {
            (Some(by_phase), Some(format!("The nodes are phases: GitHub does not draw {tasks}. {all}.")))
        }
        None => (None, Some(format!("GitHub draws neither {tasks} nor their phases. {all}."))),
    }
}

/// What is different from the report before, each kind in a phrase.
fn changes(status: &Status) -> Vec<String> {
    let Some(since) = &status.since else { return Vec::new() };
    let kinds = [
        ("newly done", &since.done),
        ("newly blocked", &since.blocked),
        ("released", &since.released),
        ("done then and not now", &since.regressed),
    ];
    let mut out: Vec<String> = kinds
        .iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(kind, ids)| format!("{kind}: {}", ranges(ids)))
        .collect();
    let ms = |ms| wording::duration(Duration::from_millis(ms));
    let slower: Vec<String> = since
        .slower
        .iter()
        .map(|s| format!("{} ({}, then {})", s.task, ms(s.new_ms), ms(s.old_ms)))
        .collect();
    if !slower.is_empty() {
        out.push(format!("slower: {}", slower.join(", ")));
    }
    if out.is_empty() {
        out.push("no task is in another state".to_owned());
    }
    out
}

/// The status in a phrase.
pub fn headline(status: &Status) -> String {
    let (s, unmet) = (&status.summary, unmet(status));
    match () {
        () if s.total == 0 => "No tasks".to_owned(),
        () if s.settled() == s.total && unmet > 0 => {
            format!("All tasks done - {} not met", plural(unmet, "target"))
        }
        () if s.settled() == s.total && s.skipped > 0 => {
            format!("Complete - {} skipped", plural(s.skipped, "task"))
        }
        () if s.settled() == s.total => "Complete".to_owned(),
        () if s.failed > 0 => format!("Failed - {}", counts(status)),
        () if s.settled() == 0 && status.as_of.is_none() => format!("Not started - {}", counts(status)),
        () => counts(status),
    }
}

/// `35 of 50 tasks done - 12 blocked, 3 waiting`.
fn counts(status: &Status) -> String {
    let s = &status.summary;
    let rest: Vec<String> = STATES[1..]
        .iter()
        .filter(|x| s.count(**x) > 0)
        .map(|x| format!("{} {}", s.count(*x), x.name()))
        .collect();
    let done = format!("{} of {} done", s.done, plural(s.total, "task"));
    if rest.is_empty() { done } else { format!("{done} - {}", rest.join(", ")) }
}

/// Gates and criteria that are disproved.
fn unmet(status: &Status) -> usize {
    let standings = status.gates.iter().map(|g| g.standing).chain(status.criteria.iter().map(|c| c.standing));
    standings.filter(|s| *s == Standing::Unmet).count()
}

/// The command that helps most now, and why.
pub fn next_command(status: &Status) -> Option<(String, String)> {
    let runnable = status.tasks.iter().filter(|r| can_run(r)).count();
    if runnable > 0 {
        return Some((run_command(status), format!("runs {}", plural(runnable, "task"))));
    }
    if let Some(row) = status.tasks.iter().find(|r| r.state == State::Failed) {
        return Some((format!("cargo xtask log {}", row.id), format!("says why `{}` failed", row.id)));
    }
    next_remedy(status)
}

/// The remedy that helps most, and why.
pub fn next_remedy(status: &Status) -> Option<(String, String)> {
    let step = status.next.first()?;
    let why = match step.releases.len() {
        0 => format!("`{}` {}", step.prerequisite, stands(Some(step.verdict))),
        n => format!("releases {}", plural(n, "task")),
    };
    Some(match &step.remedy {
        Some(remedy) => (remedy.clone(), format!("{why}; then `{RESUME}`")),
        None => ("cargo xtask doctor".to_owned(), why),
    })
}

/// `resume` leaves out what has never been tried.
fn run_command(status: &Status) -> String {
    match status.tasks.iter().any(|r| r.state == State::Ready && !is_running(r)) {
        true => format!("cargo xtask {}", status.pipeline.id),
        false => RESUME.to_owned(),
    }
}

/// True if nothing outside keeps it from being run now, and it has not been run or its result no longer counts.
fn can_run(row: &Row) -> bool {
    let held_up =
        |r: &Reason| matches!(r, Reason::Prerequisite { .. } | Reason::Task { .. } | Reason::Running { .. });
    matches!(row.state, State::Ready | State::Interrupted | State::Stale) && !row.because.iter().any(held_up)
}

fn is_running(row: &Row) -> bool {
    row.because.iter().any(|r| matches!(r, Reason::Running { .. }))
}

fn is_are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

fn summary(status: &Status) -> Vec<String> {
    let s = &status.summary;
    let mut out = vec![format!("{}.", s)];
    if status.as_of.is_none() {
        out.push("Nothing has been recorded yet.".to_owned());
    }
    out.extend(obstacles(status).map(|text| format!("{text}.")));
    for state in [State::Failed, State::Interrupted, State::Stale] {
        out.extend(status.tasks.iter().filter(|r| r.state == state).take(3).map(trouble_sentence));
        if s.count(state) > 3 {
            out.push(format!("{} more {} {}.", s.count(state) - 3, is_are(s.count(state) - 3), state.name()));
        }
    }
    out.extend(standings(&GATES, status.gates.iter().map(|g| g.standing)));
    out.extend(standings(&CRITERIA, status.criteria.iter().map(|c| c.standing)));
    out
}

/// `docker is not running and holds up 15 tasks` for each prerequisite that holds up any.
pub fn obstacles(status: &Status) -> impl Iterator<Item = String> {
    unmet_prerequisites(status)
        .filter(|p| p.needed_by > 0)
        .map(|p| format!("`{}` {} and holds up {}", p.name, stands(p.verdict), plural(p.needed_by, "task")))
}

/// A verdict as the end of a sentence.
pub fn stands(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Met) => "is met",
        Some(Verdict::Absent) => "is absent",
        Some(Verdict::WrongVersion) => "has the wrong version",
        Some(Verdict::NotRunning) => "is not running",
        Some(Verdict::NoPermission) => "gives no permission",
        Some(Verdict::CouldNotTell) => "could not be checked",
        None => "was not asked",
    }
}

fn unmet_prerequisites(status: &Status) -> impl Iterator<Item = &PrerequisiteRow> {
    status.prerequisites.iter().filter(|p| p.verdict.is_some_and(|v| v != Verdict::Met))
}

fn trouble_sentence(row: &Row) -> String {
    let because = row.because.first().map(|r| format!(": {r}")).unwrap_or_default();
    match row.state {
        State::Failed => format!("`{}` failed{because}.", row.id),
        State::Interrupted => format!("`{}` was interrupted{because}.", row.id),
        state => format!("`{}` is {}{because}.", row.id, state.name()),
    }
}

/// How a sentence names things that stand or fall.
struct Words {
    one: &'static str,
    many: &'static str,
    holds: [&'static str; 2],
    fails: [&'static str; 2],
}

const GATES: Words =
    Words { one: "gate", many: "gates", holds: ["holds", "hold"], fails: ["does not hold", "do not hold"] };
const CRITERIA: Words = Words {
    one: "success criterion",
    many: "success criteria",
    holds: ["is met", "are met"],
    fails: ["is not met", "are not met"],
};

/// `6 of 8 gates hold, 1 does not hold, 1 can't be told yet.`
fn standings(words: &Words, all: impl Iterator<Item = Standing>) -> Option<String> {
    let all: Vec<Standing> = all.collect();
    let count = |standing| all.iter().filter(|s| **s == standing).count();
    let (met, unmet, pending) = (count(Standing::Met), count(Standing::Unmet), count(Standing::Pending));
    let number = |n: usize| usize::from(n != 1);
    Some(match all.as_slice() {
        [] => return None,
        [Standing::Met] => format!("The one {} {}.", words.one, words.holds[0]),
        [Standing::Unmet] => format!("The one {} {}.", words.one, words.fails[0]),
        [Standing::Pending] => format!("The one {} can't be told yet.", words.one),
        all if met == all.len() => format!("All {met} {} {}.", words.many, words.holds[1]),
        all => {
            let mut parts =
                vec![format!("{met} of {} {} {}", all.len(), words.many, words.holds[number(met)])];
            if unmet > 0 {
                parts.push(format!("{unmet} {}", words.fails[number(unmet)]));
            }
            if pending > 0 {
                parts.push(format!("{pending} can't be told yet"));
            }
            format!("{}.", parts.join(", "))
        }
    })
}

fn gates_summary(status: &Status) -> String {
    standings(&GATES, status.gates.iter().map(|g| g.standing))
        .unwrap_or_else(|| "None are declared.".to_owned())
}

/// Rows by id.
struct Finder<'a> {
    status: &'a Status,
    rows: HashMap<&'a str, &'a Row>,
}

impl<'a> Finder<'a> {
    fn new(status: &'a Status) -> Self {
        Self { status, rows: status.tasks.iter().map(|r| (r.id.as_str(), r)).collect() }
    }

    fn row(&self, id: &str) -> Option<&'a Row> {
        self.rows.get(id).copied()
    }

    fn rows<'b>(&'b self, phase: &'b PhaseRow) -> impl Iterator<Item = &'a Row> + 'b {
        phase.tasks.iter().filter_map(|id| self.row(id))
    }

    /// What a task waits for, said once for each cause: `T006, T007 (docker: not running)`. `show` names a chain.
    fn waits(&self, row: &Row, show: impl Fn(&[&str]) -> String) -> Vec<String> {
        let mut out: Vec<(String, Vec<String>)> = Vec::new();
        for reason in &row.because {
            let Reason::Task { name, chain, root, .. } = reason else { continue };
            let mut path = crate::status::path(chain);
            if path.is_empty() {
                path.push(name);
            }
            let causes = self.row(path[path.len() - 1]).map(own_causes).unwrap_or_default();
            let cause = if causes.is_empty() { root.clone() } else { causes.join(", ") };
            let shown = show(&path);
            match out.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, paths)) if paths.contains(&shown) => {}
                Some((_, paths)) => paths.push(shown),
                None => out.push((cause, vec![shown])),
            }
        }
        out.into_iter().map(|(cause, paths)| format!("{} ({cause})", paths.join(", "))).collect()
    }

    /// True if a prerequisite stands before it, its own or that of a task at the root.
    fn is_held_up(&self, row: &Row) -> bool {
        row.because.iter().any(|reason| match reason {
            Reason::Prerequisite { .. } => true,
            Reason::Task { chain, .. } => {
                chain.last().and_then(|link| self.row(&link.task)).is_some_and(|root| {
                    root.because.iter().any(|reason| matches!(reason, Reason::Prerequisite { .. }))
                })
            }
            _ => false,
        })
    }

    /// The same reasons with `T006 is blocked, T007 is blocked, T008 is blocked` said once: `T006-T008 are blocked`.
    fn fold(&self, because: &[String]) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut open: Vec<(State, Vec<&str>)> = Vec::new();
        for text in because {
            match self.open_task(text) {
                Some(row) => match open.iter_mut().find(|(state, _)| *state == row.state) {
                    Some((_, ids)) => ids.push(&row.id),
                    None => open.push((row.state, vec![&row.id])),
                },
                None => out.push(text.clone()),
            }
        }
        out.extend(
            open.iter().map(|(state, ids)| format!("{} {} {}", ranges(ids), is_are(ids.len()), state.name())),
        );
        out
    }

    /// The task, if the reason is nothing but that it is in the state in which it is.
    fn open_task(&self, reason: &str) -> Option<&'a Row> {
        let (id, state) = reason.split_once(" is ")?;
        self.row(id).filter(|row| row.state.name() == state)
    }
}

fn phase(number: usize, phase: &PhaseRow, find: &Finder<'_>) -> Phase {
    let done: Vec<&Row> = find.rows(phase).filter(|r| r.state == State::Done).collect();
    let mut artifacts: Vec<String> = Vec::new();
    for path in done.iter().flat_map(|r| &r.artifacts).map(ToString::to_string) {
        if !artifacts.contains(&path) {
            artifacts.push(path);
        }
    }
    let (symbol, progress) = progress(phase);
    Phase {
        number,
        title: phase.title.clone(),
        symbol,
        progress,
        done: done.iter().map(|r| done_task(r)).collect(),
        open: folds(find.rows(phase).filter(|r| r.state != State::Done), find),
        artifacts,
        ready_for: find.rows(phase).filter(|r| comes_next(r, find)).flat_map(|r| by_hand(r, find)).collect(),
    }
}

fn done_task(row: &Row) -> DoneTask {
    let value = |m: &Measurement| match m.limits() {
        Some(limits) => format!("{}: {}, {limits}", m.name, m.show()),
        None => format!("{}: {}", m.name, m.show()),
    };
    let values = row.measurements.iter().map(value).collect();
    DoneTask { id: row.id.clone(), title: row.title.clone(), values }
}

fn progress(phase: &PhaseRow) -> (&'static str, String) {
    let s = &phase.summary;
    if s.settled() == s.total {
        return (State::Done.symbol(), "COMPLETE".to_owned());
    }
    (s.state().symbol(), format!("{}/{} done", s.done, s.total))
}

/// True if nothing but prerequisites, if anything, stands before it.
fn comes_next(row: &Row, find: &Finder<'_>) -> bool {
    matches!(row.state, State::Blocked | State::Ready)
        && row.needs.iter().all(|id| find.row(id).is_none_or(|need| need.state.satisfies()))
}

fn folds<'a>(rows: impl Iterator<Item = &'a Row>, find: &Finder<'_>) -> Vec<Fold> {
    let mut out: Vec<Fold> = Vec::new();
    for row in rows {
        let text = cause(row, find);
        match out.iter_mut().find(|f| f.state == row.state && f.text == text) {
            Some(fold) => fold.ids.push(row.id.clone()),
            None => out.push(Fold {
                state: row.state,
                symbol: row.state.symbol(),
                ids: vec![row.id.clone()],
                text,
            }),
        }
    }
    out
}

/// The state of a task with its cause, in the words that tasks with the same cause share.
fn cause(row: &Row, find: &Finder<'_>) -> String {
    let name = row.state.name();
    match row.state {
        State::Blocked => match own_causes(row) {
            causes if causes.is_empty() => name.to_owned(),
            causes => format!("{name} ({})", causes.join(", ")),
        },
        State::Waiting => match find.waits(row, |chain| chain[chain.len() - 1..].join("")) {
            waits if waits.is_empty() => name.to_owned(),
            waits => format!("{name} for {}", waits.join(" and ")),
        },
        State::Ready if is_running(row) => format!("{}: running now", row.title),
        State::Ready => "ready to run".to_owned(),
        State::Skipped => match row.because.first() {
            Some(reason @ Reason::Skipped { .. }) => format!("{} ({reason})", row.title),
            Some(reason) => format!("{} (skipped: {reason})", row.title),
            None => format!("{} (skipped)", row.title),
        },
        _ => match row.because.first() {
            Some(reason) => format!("{name} ({reason})"),
            None => name.to_owned(),
        },
    }
}

/// What a task lacks itself, by verdict: `docker, helm: absent`. What could not be told is passed over where
/// something definite is known, which is most often why it could not be told.
pub fn own_causes(row: &Row) -> Vec<String> {
    let mut conditions = Vec::new();
    let mut lacks: Vec<(Verdict, Vec<String>)> = Vec::new();
    for reason in &row.because {
        match reason {
            Reason::Condition { why } => conditions.push(why.clone()),
            Reason::Prerequisite { name, verdict, .. } => {
                match lacks.iter_mut().find(|(v, _)| v == verdict) {
                    Some((_, names)) => names.push(format!("`{name}`")),
                    None => lacks.push((*verdict, vec![format!("`{name}`")])),
                }
            }
            _ => {}
        }
    }
    if lacks.len() > 1 {
        lacks.retain(|(verdict, _)| *verdict != Verdict::CouldNotTell);
    }
    let lacks = lacks.iter().map(|(verdict, names)| format!("{}: {}", names.join(", "), verdict.name()));
    conditions.into_iter().chain(lacks).collect()
}

fn troubles(status: &Status, state: State) -> Vec<Trouble> {
    status.tasks.iter().filter(|r| r.state == state).map(trouble).collect()
}

fn trouble(row: &Row) -> Trouble {
    let hint = row.because.iter().find_map(|reason| match reason {
        Reason::Failure(failure) => failure.hint.clone(),
        _ => None,
    });
    let attempt = row.attempt.as_ref();
    Trouble {
        id: row.id.clone(),
        title: row.title.clone(),
        symbol: row.state.symbol(),
        because: row.because.iter().map(ToString::to_string).collect(),
        hint,
        log: attempt.map(|a| a.log.to_string()),
        attempt: attempt.map(|a| a.number),
        started: attempt.map(|a| a.started),
    }
}

fn blocked_phase(number: usize, phase: &PhaseRow, find: &Finder<'_>) -> Option<BlockedPhase> {
    let rows: Vec<&Row> =
        find.rows(phase).filter(|r| matches!(r.state, State::Blocked | State::Waiting)).collect();
    if rows.is_empty() {
        return None;
    }
    let mut prerequisites: Vec<Obstacle> = Vec::new();
    for obstacle in rows.iter().flat_map(|r| &r.because).filter_map(obstacle) {
        if !prerequisites.contains(&obstacle) {
            prerequisites.push(obstacle);
        }
    }
    Some(BlockedPhase {
        number,
        title: phase.title.clone(),
        counts: counts_of(&rows),
        tasks: rows.iter().map(|r| blocked_task(r, find)).collect(),
        prerequisites,
        since: rows.iter().filter_map(|r| r.blocked_since).min(),
    })
}

fn counts_of(rows: &[&Row]) -> String {
    let summary = Summary::of(rows.iter().copied());
    let counted = STATES
        .iter()
        .filter(|s| summary.count(**s) > 0)
        .map(|s| format!("{} {}", summary.count(*s), s.name()));
    counted.collect::<Vec<String>>().join(", ")
}

fn obstacle(reason: &Reason) -> Option<Obstacle> {
    let Reason::Prerequisite { name, verdict, why, remedy } = reason else { return None };
    Some(Obstacle { name: name.clone(), verdict: *verdict, why: why.clone(), remedy: remedy.clone() })
}

fn blocked_task(row: &Row, find: &Finder<'_>) -> BlockedTask {
    let mut waits: Vec<String> = row
        .because
        .iter()
        .filter_map(|reason| match reason {
            Reason::Condition { why } => Some(why.clone()),
            _ => None,
        })
        .collect();
    if row.state == State::Waiting {
        waits.extend(
            find.waits(row, |chain| chain.join(" → ")).iter().map(|chain| format!("waits for {chain}")),
        );
    } else if row.because.iter().any(|r| matches!(r, Reason::Task { .. })) {
        waits.push(format!("also needs {}", needed(row)));
    }
    let waits = (!waits.is_empty()).then(|| waits.join("; "));
    BlockedTask {
        id: row.id.clone(),
        title: row.title.clone(),
        state: row.state,
        waits,
        owner: row.owner.clone(),
        link: row.link.clone(),
    }
}

/// Ids of the tasks that it needs and that are not done.
pub fn needed(row: &Row) -> String {
    let ids = row.because.iter().filter_map(|reason| match reason {
        Reason::Task { name, .. } => Some(name.as_str()),
        _ => None,
    });
    ranges(&ids.collect::<Vec<_>>())
}

fn steps(status: &Status, find: &Finder<'_>) -> Vec<Step> {
    let runnable = runnable_step(status);
    let remedies = status.next.iter().map(|next| remedy_step(next, find));
    let failed = status.tasks.iter().filter(|r| r.state == State::Failed).map(mend_step);
    runnable.into_iter().chain(remedies).chain(failed).collect()
}

/// What needs nothing but to be run.
fn runnable_step(status: &Status) -> Option<Step> {
    let rows: Vec<&Row> = status.tasks.iter().filter(|r| can_run(r)).collect();
    if rows.is_empty() {
        return None;
    }
    let parts: Vec<String> = [State::Ready, State::Interrupted, State::Stale]
        .iter()
        .filter_map(|state| {
            let ids: Vec<&str> = rows.iter().filter(|r| r.state == *state).map(|r| r.id.as_str()).collect();
            (!ids.is_empty()).then(|| format!("{} {} {}", ranges(&ids), is_are(ids.len()), state.name()))
        })
        .collect();
    Some(Step {
        lead: format!("Run {}", plural(rows.len(), "task")),
        why: parts.join("; "),
        detail: parts.join("; "),
        remedy: None,
        commands: vec![run_command(status)],
        releases: rows.iter().map(|r| r.id.clone()).collect(),
        script: Vec::new(),
    })
}

fn remedy_step(next: &NextStep, find: &Finder<'_>) -> Step {
    let row = find.status.prerequisites.iter().find(|p| p.name == next.prerequisite);
    let gain = match next.releases.len() {
        0 => "the steps below need it".to_owned(),
        n => format!("releases {}: {}", plural(n, "task"), ranges(&next.releases)),
    };
    let mut state = next.verdict.name().to_owned();
    if let Some(why) = row.and_then(|row| row.why.as_ref()) {
        state = format!("{state}: {why}");
    }
    if next.remedy.is_none() {
        state.push_str("; no remedy is declared");
    }
    Step {
        lead: order(next, row),
        detail: format!("{state}; {gain}"),
        why: state,
        remedy: next.remedy.clone(),
        commands: next.remedy.iter().cloned().chain([RESUME.to_owned()]).collect(),
        releases: next.releases.clone(),
        script: script(&next.releases, find),
    }
}

/// The commands of tasks, each task under a comment. A title is cut to its one line: what comes after a line feed
/// would be a command.
fn script(ids: &[String], find: &Finder<'_>) -> Vec<String> {
    let rows = ids.iter().filter_map(|id| find.row(id)).filter(|row| !row.commands.is_empty());
    rows.flat_map(|row| {
        let comment = format!("# {}: {}", row.id, plain::line(&row.title));
        std::iter::once(comment).chain(by_hand(row, find))
    })
    .collect()
}

/// The commands of a task where they can be copied as they stand. Those with a `$` have places that only a run
/// fills, and typed by hand they would do something else; then it is the command that runs the task.
fn by_hand(row: &Row, find: &Finder<'_>) -> Vec<String> {
    if row.commands.iter().any(|command| command.contains('$')) {
        return vec![format!("cargo xtask {} --task {}", find.status.pipeline.id, row.id)];
    }
    row.commands.clone()
}

/// What to do about a prerequisite, as an order.
fn order(next: &NextStep, row: Option<&PrerequisiteRow>) -> String {
    let name = format!("`{}`", next.prerequisite);
    match next.verdict {
        Verdict::Met => format!("Use {name}"),
        Verdict::Absent => format!("Provide {name}"),
        Verdict::NotRunning => format!("Start {name}"),
        Verdict::NoPermission => format!("Get permission to use {name}"),
        Verdict::CouldNotTell => format!("See to {name}"),
        Verdict::WrongVersion => match row.map(|r| (r.version.as_ref(), r.wanted.as_ref())) {
            Some((Some(found), Some(wanted))) => {
                format!("Change the version of {name} from {found} to {wanted}")
            }
            Some((None, Some(wanted))) => format!("Change the version of {name} to {wanted}"),
            _ => format!("Change the version of {name}"),
        },
    }
}

fn mend_step(row: &Row) -> Step {
    let detail = row.because.first().map_or_else(|| "it failed".to_owned(), ToString::to_string);
    Step {
        lead: format!("Mend `{}`", row.id),
        why: detail.clone(),
        detail,
        remedy: None,
        commands: vec![format!("cargo xtask log {}", row.id), RESUME.to_owned()],
        releases: vec![row.id.clone()],
        script: Vec::new(),
    }
}

fn item(title: &str, standing: Standing, because: Vec<String>) -> Item {
    let because = if standing == Standing::Met { Vec::new() } else { because };
    Item { title: title.to_owned(), standing, symbol: standing.symbol(), because }
}

fn deliverables(status: &Status, find: &Finder<'_>) -> Vec<Group> {
    let mut out: Vec<Group> = Vec::new();
    for row in &status.deliverables {
        let item = item(&row.title, row.standing, find.fold(&row.because));
        match out.iter_mut().find(|g| g.name == row.group) {
            Some(group) => group.items.push(item),
            None => out.push(Group { name: row.group.clone(), items: vec![item] }),
        }
    }
    out
}

const LEVELS: &[(&str, &str, &str)] =
    &[("low", "Low", "✅"), ("medium", "Medium", "⚠️"), ("high", "High", "❌")];

fn risks(status: &Status, find: &Finder<'_>) -> Vec<RiskLevel> {
    let of = |level: &str| -> Vec<Risk> {
        let rows = status.risks.iter().filter(|r| r.level == level);
        rows.map(|r| Risk { title: r.title.clone(), because: find.fold(&r.because) }).collect()
    };
    let all = LEVELS.iter().map(|(level, name, symbol)| RiskLevel { name, symbol, risks: of(level) });
    all.filter(|level| !level.risks.is_empty()).collect()
}

fn mitigations(status: &Status) -> Vec<String> {
    let all_low = status.risks.iter().all(|r| r.level == "low");
    let mut out: Vec<String> = Vec::new();
    for text in
        status.risks.iter().filter(|r| all_low || r.level != "low").filter_map(|r| r.mitigation.as_ref())
    {
        if !out.contains(text) {
            out.push(text.clone());
        }
    }
    out
}

fn recommendations(status: &Status) -> Vec<String> {
    let mut out = Vec::new();
    for row in status.tasks.iter().filter(|r| r.state == State::Failed) {
        let log = row.attempt.as_ref().map(|a| format!(" (log: `{}`)", a.log)).unwrap_or_default();
        out.push(format!("Find out why `{}` failed{log}, mend it, and run `{RESUME}`.", row.id));
    }
    let runnable: Vec<&str> = status.tasks.iter().filter(|r| can_run(r)).map(|r| r.id.as_str()).collect();
    if !runnable.is_empty() {
        out.push(format!("Run {} with `{}`.", ranges(&runnable), run_command(status)));
    }
    let find = |name: &str| status.prerequisites.iter().find(|p| p.name == name);
    out.extend(status.next.iter().map(|next| {
        let gain = match next.releases.len() {
            0 => "the next steps need it".to_owned(),
            n => format!("it releases {} ({})", plural(n, "task"), ranges(&next.releases)),
        };
        format!("{}: {gain}.", order(next, find(&next.prerequisite)))
    }));
    out.extend(
        status
            .gates
            .iter()
            .filter(|g| g.standing == Standing::Unmet)
            .map(|g| format!("Make the gate \"{}\" hold.", g.title)),
    );
    out.extend(
        status
            .criteria
            .iter()
            .filter(|c| c.standing == Standing::Unmet)
            .map(|c| format!("Bring \"{}\" to its target, {}.", c.title, c.target)),
    );
    if status.summary.total > 0 && status.summary.settled() == status.summary.total {
        out.push("Run `cargo xtask verify` now and then: it finds results that no longer hold, without running any task.".to_owned());
    }
    out
}

fn criteria(status: &Status, find: &Finder<'_>) -> Vec<Criterion> {
    let text = |standing: Standing, because: &[String]| {
        let name = match standing {
            Standing::Met => return "Met".to_owned(),
            Standing::Unmet => "Not met",
            Standing::Pending => "Pending",
        };
        match find.fold(because) {
            because if because.is_empty() => name.to_owned(),
            because => format!("{name}: {}", because.join("; ")),
        }
    };
    status
        .criteria
        .iter()
        .map(|c| Criterion {
            title: c.title.clone(),
            target: c.target.clone(),
            values: c.values.clone(),
            symbol: c.standing.symbol(),
            text: text(c.standing, &c.because),
        })
        .collect()
}

fn conclusion(status: &Status, find: &Finder<'_>) -> Vec<String> {
    let s = &status.summary;
    let left = s.total - s.settled();
    if s.total == 0 {
        return vec!["There is nothing to do.".to_owned()];
    }
    if left == 0 {
        let unmet = unmet(status);
        let verdict = match unmet {
            0 => "nothing that was checked speaks against it".to_owned(),
            n => format!("{} {} not met", plural(n, "target"), is_are(n)),
        };
        let done = if s.skipped > 0 { "done or skipped" } else { "done" };
        return vec![format!("Every task is {done}, and {verdict}.")];
    }
    let mut out = vec![format!("{} of {} {} left.", left, plural(s.total, "task"), is_are(left))];
    let by: Vec<String> =
        unmet_prerequisites(status).filter(|p| p.needed_by > 0).map(|p| format!("`{}`", p.name)).collect();
    let held = status.tasks.iter().filter(|row| find.is_held_up(row)).count();
    if held > 0 && !by.is_empty() {
        let who = if held == left { "All of them".to_owned() } else { format!("{held} of them") };
        out.push(format!("{who} {} held up by {}.", is_are(held), list(&by)));
    }
    if s.failed > 0 {
        out.push(format!(
            "{} to be mended first.",
            if s.failed == 1 { "1 failed and has" } else { "Those that failed have" }
        ));
    }
    out
}

fn time_left(status: &Status) -> Option<String> {
    let left = status.summary.total - status.summary.settled();
    (left > 0).then(|| match status.left_ms {
        Some(ms) => format!("{}, one task after the other", wording::duration(Duration::from_millis(ms))),
        None => "not known, as no durations are recorded or declared".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// Chains of so many tasks, each in so many phases.
    fn chained(tasks: usize, phases: usize) -> Outline {
        let ids: Vec<String> = (0..tasks).map(|i| format!("T{i:04}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let names: Vec<String> = (0..phases).map(|i| format!("phase {i}")).collect();
        let parts: Vec<(&str, &[&str])> =
            names.iter().map(String::as_str).zip(ids.chunks(tasks.div_ceil(phases))).collect();
        let needs: Vec<(&str, &str)> = ids.windows(2).map(|pair| (pair[1], pair[0])).collect();
        Outline::of(&sample::shaped(&parts, &needs))
    }

    #[test]
    fn a_graph_that_github_does_not_draw_is_one_of_phases_and_says_so() {
        let small = chained(300, 3);
        assert!(
            small.graph.is_some_and(|graph| graph.contains("t299 --> t300")) && small.graph_note.is_none()
        );
        let large = chained(600, 3);
        let (graph, note) = (large.graph.expect("a graph"), large.graph_note.expect("a note"));
        assert!(graph.contains("  p2 --> p3\n") && !graph.contains("t1"), "{graph}");
        assert!(note.starts_with("The nodes are phases: GitHub does not draw 600 tasks."), "{note}");
        let huge = chained(600, 600);
        assert_eq!(huge.graph, None);
        assert!(huge.graph_note.is_some_and(|note| note.starts_with("GitHub draws neither 600 tasks nor")));
        assert_eq!(
            (Outline::of(&sample::empty()).graph, Outline::of(&sample::empty()).graph_note),
            (None, None)
        );
    }

    #[test]
    fn the_headline_follows_the_counts() {
        assert_eq!(headline(&sample::empty()), "No tasks");
        assert_eq!(headline(&sample::complete()), "Complete");
        assert_eq!(headline(&sample::fresh()), "Not started - 0 of 2 tasks done - 1 blocked, 1 ready");
        assert!(headline(&sample::rich()).starts_with("Failed - 2 of 14 tasks done - "));
        let mut unmet = sample::complete();
        unmet.gates[0].standing = Standing::Unmet;
        assert_eq!(headline(&unmet), "All tasks done - 1 target not met");
    }

    #[test]
    fn standings_agree_in_number() {
        use Standing::{Met, Pending, Unmet};
        let say = |all: &[Standing]| standings(&GATES, all.iter().copied());
        let table = [
            (&[] as &[Standing], None),
            (&[Met], Some("The one gate holds.")),
            (&[Pending], Some("The one gate can't be told yet.")),
            (&[Met, Met], Some("All 2 gates hold.")),
            (&[Met, Unmet, Unmet, Pending], Some("1 of 4 gates holds, 2 do not hold, 1 can't be told yet.")),
        ];
        for (all, text) in table {
            assert_eq!(say(all).as_deref(), text);
        }
    }

    #[test]
    fn reasons_that_only_name_open_tasks_are_folded() {
        let status = sample::rich();
        let find = Finder::new(&status);
        let because =
            ["T006 is blocked", "T007 is blocked", "x is odd", "T999 is blocked", "T008 is waiting"]
                .map(str::to_owned);
        assert_eq!(
            find.fold(&because),
            ["x is odd", "T999 is blocked", "T006, T007 are blocked", "T008 is waiting"]
        );
    }
}
