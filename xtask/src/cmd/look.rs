//! `status`, `doctor`, `explain`: looking without running or writing anything.

use super::{Project, find_prerequisite, find_task, history, open};
use crate::cli::{DoctorArgs, ExplainArgs, Global};
use crate::drive;
use crate::failure::{Failure, exit};
use crate::ledger::History;
use crate::status::{self, Status};
use crate::ui::Ui;
use crate::view;

/// The status as it is now: prerequisites are asked, files are looked at.
fn now(project: &Project, history: &History, ui: &Ui) -> Status {
    let world = super::run::looking(project);
    let all = vec![true; project.plan.tasks.len()];
    let observed = drive::look(&project.plan, history, &world, &all, &project.home);
    ui.secrets().veiled(status::status(&project.plan, history, &observed))
}

/// `status`
pub fn status(global: &Global, json: bool, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let status = now(&project, &history, ui);
    if json {
        ui.exactly(&super::report::json(&status)?);
    } else {
        ui.data(&view::status(&status, ui.look()));
    }
    Ok(exit::DONE)
}

/// `doctor`: asks for every prerequisite, also those that no unfinished task needs.
pub fn doctor(global: &Global, args: &DoctorArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let world = super::run::looking(&project);
    let all = vec![true; project.plan.tasks.len()];
    let mut observed = drive::look(&project.plan, &history, &world, &all, &project.home);
    let rest: Vec<crate::ids::NeedIx> = (0..observed.prerequisites.len())
        .filter(|i| observed.prerequisites[*i].is_none())
        .map(crate::ids::NeedIx)
        .collect();
    for (i, probe) in crate::probe::prerequisites(&project.plan, &rest, &world).into_iter().enumerate() {
        if observed.prerequisites[i].is_none() {
            observed.prerequisites[i] = probe;
        }
    }
    let (plan, rows) = (&project.plan, status::rows(&project.plan, &history, &observed));
    let assumed = match args.assume.is_empty() {
        true => None,
        false => {
            let names: Result<Vec<_>, _> =
                args.assume.iter().map(|name| find_prerequisite(plan, name)).collect();
            Some(ui.secrets().veiled(status::assume(plan, &observed, &rows, &names?)))
        }
    };
    let status = ui.secrets().veiled(status::status(plan, &history, &observed));
    if args.json {
        let mut value = serde_json::json!({
            "version": status.version, "pipeline": status.pipeline, "prerequisites": status.prerequisites, "next": status.next,
        });
        if let Some(assumed) = &assumed {
            value["assumed"] = serde_json::json!(assumed);
        }
        ui.json(&value);
    } else if let Some(assumed) = &assumed {
        ui.data(&view::assumed(&status, assumed, ui.look()));
    } else {
        ui.data(&view::doctor(&status, ui.look()));
    }
    let unmet = status
        .prerequisites
        .iter()
        .any(|p| p.needed_by > 0 && p.verdict.is_some_and(|v| v != crate::observed::Verdict::Met));
    Ok(if unmet { exit::BLOCKED } else { exit::DONE })
}

/// `explain TASK`
pub fn explain(global: &Global, args: &ExplainArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let ix = find_task(&project.plan, &args.task)?;
    let status = now(&project, &history, ui);
    let row = &status.tasks[ix.0];
    if args.json {
        ui.json(&view::explain_json(&status, row));
    } else {
        ui.data(&view::explain(&status, row, ui.look()));
    }
    Ok(exit::DONE)
}
