//! What is declared, and what a run would do with it.

use std::fmt::Write as _;

use super::{Look, wrap};
use crate::ids::TaskIx;
use crate::pipeline::Plan;
use crate::plain;
use crate::status::{Row, Status};
use crate::wording::{plural, ranges};

/// Phases and tasks as they are declared.
pub fn list<'a>(plan: &Plan, look: impl Into<Look<'a>>) -> String {
    let look = look.into();
    let mut out = String::new();
    for phase in &plan.phases {
        out.push_str(&wrap(&format!("{} ({})", phase.title, phase.id), 0, look.width));
        for task in phase.tasks.iter().map(|ix| plan.task(*ix)) {
            let needs: Vec<&str> = task.needs.iter().map(|n| plan.task(*n).id.as_str()).collect();
            let requires: Vec<&str> =
                task.requires.iter().map(|n| plan.prerequisites[n.0].name.as_str()).collect();
            let mut notes = Vec::new();
            if !needs.is_empty() {
                notes.push(format!("needs {}", ranges(&needs)));
            }
            if !requires.is_empty() {
                notes.push(format!("requires {}", requires.join(", ")));
            }
            let notes = if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join("; ")) };
            out.push_str(&wrap(&format!("{} {}{notes}", task.id, task.title), 2, look.width));
        }
    }
    out
}

/// The tasks that would run, each with its commands, and those that would be left, each with the reason.
pub fn dry_run<'a>(
    plan: &Plan,
    status: &Status,
    runs: &[TaskIx],
    left: &[&Row],
    look: impl Into<Look<'a>>,
) -> String {
    let look = look.into();
    let mut out = String::new();
    let _ = writeln!(out, "would run {}:", plural(runs.len(), "task"));
    for ix in runs {
        let (task, row) = (plan.task(*ix), &status.tasks[ix.0]);
        let why = row.because.first().map(|reason| format!(" ({}: {reason})", row.state.name()));
        let text = format!("{} {}{}", task.id, task.title, why.unwrap_or_default());
        out.push_str(&wrap(&text, 2, look.width));
        for step in &task.run {
            let _ = writeln!(out, "      $ {}", plain::line(&step.line.to_string()));
        }
    }
    if !left.is_empty() {
        let _ = writeln!(out, "would leave {}:", plural(left.len(), "task"));
    }
    for row in left {
        let why: Vec<String> = row.because.iter().map(ToString::to_string).collect();
        let text = format!("{} {} is {}: {}", row.id, row.title, row.state.name(), why.join("; "));
        out.push_str(&wrap(&text, 2, look.width));
    }
    out
}
