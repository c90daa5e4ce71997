//! `verify`: looks again at what finished tasks have left, records what it finds, and renews the report.

use super::{Project, find_phase, find_task, open};
use crate::again::{self, Again, Extent, Seen};
use crate::cli::{Global, VerifyArgs};
use crate::drive;
use crate::exec::Instance;
use crate::failure::{Failure, exit};
use crate::ids::{NeedIx, TaskIx};
use crate::ledger::event::{Confirmed, Drifted, Event, RunEnded};
use crate::ledger::{Attempt, store};
use crate::observed::Observed;
use crate::probe;
use crate::status::{self, Change, Reason, Row, State};
use crate::ui::Ui;
use crate::view::{self, Again as Verdict, Verified};
use crate::world::{Remembered, World as _};

/// Looks, records, reports.
pub fn verify(global: &Global, args: &VerifyArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let plan = &project.plan;
    let named = named(&project, args)?;
    // Nothing that is remembered about files counts: their content is what is to be looked at.
    let world = super::run::looking_with(&project, Remembered::default());
    let (ledger, history) = super::run::by_hand(&project, &world, ui)?;
    let mut observed = Observed {
        at: Some(world.now()),
        prerequisites: vec![None; plan.prerequisites.len()],
        ..drive::recall(plan, &history, &world)
    };
    let rows = status::rows(plan, &history, &observed);
    let tasks: Vec<TaskIx> = plan.all().filter(|ix| named[ix.0] && finished(&rows[ix.0])).collect();
    let hindered: Vec<Option<String>> =
        tasks.iter().map(|ix| again::hindrance(plan, *ix, &history)).collect();
    let needs: Vec<NeedIx> = tasks
        .iter()
        .zip(&hindered)
        .flat_map(|(ix, why)| again::requires(plan.task(*ix), why.is_some()).to_vec())
        .collect();
    observed.prerequisites = probe::prerequisites(plan, &needs, &world);
    let facts = again::facts(tasks.iter().map(|ix| plan.task(*ix)));
    observed.facts.extend(probe::facts(plan, &facts, &world));
    let again = Again {
        plan,
        history: &history,
        observed: &observed,
        home: &project.home,
        world: &world,
        secrets: ui.secrets(),
    };
    let jobs =
        args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, std::num::NonZero::get);
    let found = again.all(&tasks, Extent::All, jobs, &|_, _| {});
    let mut out = Vec::new();
    for ((ix, why), seen) in tasks.iter().zip(hindered).zip(found) {
        let why = why.or_else(|| again.lacks(*ix));
        out.push(judge(plan.task(*ix).id.clone(), why, again.lacks(*ix).is_some(), seen));
    }
    let any = |verdict| out.iter().any(|v| v.verdict == verdict);
    let code = match () {
        () if any(Verdict::Drifted) => exit::FAILED,
        () if any(Verdict::Unknown) => exit::BLOCKED,
        () => exit::DONE,
    };
    let events: Vec<(&str, Event)> = tasks
        .iter()
        .zip(&out)
        .filter_map(|(ix, verified)| {
            let id = plan.task(*ix).id.as_str();
            Some((id, event(history.task(id).last.as_ref()?, verified)?))
        })
        .collect();
    let append = |task, event: &Event| ledger.append(world.now(), task, event).map_err(Failure::ledger);
    // A look that finds something is a run of its own: who, when, with which arguments.
    if !events.is_empty() {
        let arguments = plan.shown_arguments(std::env::args().skip(1));
        let started = drive::run_started(plan, Instance::current(), arguments, super::git(&project.root));
        append(None, &Event::RunStarted(started))?;
        for (task, event) in &events {
            append(Some(task), event)?;
        }
        append(None, &Event::RunEnded(RunEnded { exit: code }))?;
    }
    ledger.close().map_err(Failure::ledger)?;
    let history = store::read(&project.home).map_err(Failure::ledger)?;
    super::run::write_report(&project, &history, &world, ui)?;
    if args.json {
        let value = serde_json::json!({ "version": status::VERSION, "tasks": out });
        ui.json(&value);
    } else {
        ui.data(&view::verified(&out, ui.look()));
    }
    Ok(code)
}

/// The tasks that are asked for.
fn named(project: &Project, args: &VerifyArgs) -> Result<Vec<bool>, Failure> {
    let plan = &project.plan;
    let mut named = vec![args.task.is_empty() && args.phase.is_empty(); plan.tasks.len()];
    for id in &args.task {
        named[find_task(plan, id)?.0] = true;
    }
    for id in &args.phase {
        find_phase(plan, id)?.tasks.iter().for_each(|ix| named[ix.0] = true);
    }
    Ok(named)
}

/// Done, or stale for no other reason than an earlier look: a later one may find it whole again. That prerequisites
/// are not met keeps it from being done again, not from being looked at.
fn finished(row: &Row) -> bool {
    let drift = |reason: &Reason| {
        matches!(reason, Reason::Changed(Change::Drift { .. }) | Reason::Prerequisite { .. })
    };
    row.state == State::Done || (row.state == State::Stale && row.because.iter().all(drift))
}

fn judge(task: String, why: Option<String>, lacks: bool, seen: Seen) -> Verified {
    let verdict = match () {
        () if seen.drifted() => Verdict::Drifted,
        () if lacks || seen.untold().next().is_some() => Verdict::Unknown,
        () if seen.checks.is_empty() && seen.measurements.is_empty() => Verdict::LeftOut,
        () => Verdict::Holds,
    };
    Verified { task, verdict, why, checks: seen.checks, measurements: seen.measurements }
}

/// What goes on record about a look at a task's last attempt.
fn event(last: &Attempt, verified: &Verified) -> Option<Event> {
    let attempt = last.started.attempt.clone();
    let (checks, measurements) = (verified.checks.clone(), verified.measurements.clone());
    match verified.verdict {
        Verdict::Drifted => Some(Event::Drifted(Drifted { attempt, checks })),
        Verdict::Holds => Some(Event::Confirmed(Confirmed { attempt, checks, measurements })),
        Verdict::Unknown | Verdict::LeftOut => None,
    }
}
