//! `list`, and what is shown when nothing is asked: what there is.

use std::collections::BTreeMap;

use clap::CommandFactory as _;
use serde_json::json;

use super::{locate, open};
use crate::cli::{Cli, Global};
use crate::failure::{Failure, exit};
use crate::ui::Ui;
use crate::view;
use crate::wording;

/// No command: what the pipeline is called, and the commands.
pub fn overview(global: &Global, ui: &Ui) -> Result<u8, Failure> {
    let mut text = String::new();
    if locate(global).is_ok() {
        let project = open(global, ui)?;
        let plan = &project.plan;
        text = format!(
            "{}{} in {}\n\n",
            view::wrap(&format!("{}: {}", plan.id, plan.title), 0, ui.look().width),
            wording::plural(plan.tasks.len(), "task"),
            wording::plural(plan.phases.len(), "phase")
        );
        text.push_str(&format!("cargo xtask {:<10} do what can be done, and write the report\n\n", plan.id));
    }
    text.push_str(&Cli::command().render_help().to_string());
    ui.data(&text);
    Ok(exit::DONE)
}

/// `list`
pub fn list(global: &Global, as_json: bool, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let plan = &project.plan;
    if as_json {
        let tasks: Vec<_> = plan
            .tasks
            .iter()
            .map(|t| {
                json!({
                    "id": t.id, "title": t.title, "phase": plan.phases[t.phase.0].id,
                    "needs": t.needs.iter().map(|n| &plan.task(*n).id).collect::<Vec<_>>(),
                    "requires": t.requires.iter().map(|n| &plan.prerequisites[n.0].name).collect::<Vec<_>>(),
                    "run": t.run.iter().map(|s| s.line.to_string()).collect::<Vec<_>>(),
                    "checks": t.checks.iter().map(crate::check::CheckSpec::says).collect::<Vec<_>>(),
                    "measures": t.measures.iter().map(|m| &m.name).collect::<Vec<_>>(),
                    "artifacts": t.artifacts,
                })
            })
            .collect();
        let phases: Vec<_> = plan.phases.iter().map(|p| json!({ "id": p.id, "title": p.title })).collect();
        let vars: BTreeMap<&str, &str> = plan.shown_vars().collect();
        let value = json!({
            "version": crate::status::VERSION, "pipeline": { "id": plan.id, "title": plan.title },
            "phases": phases, "tasks": tasks, "vars": vars,
        });
        ui.json(&value);
        return Ok(exit::DONE);
    }
    ui.data(&view::list(plan, ui.look()));
    Ok(exit::DONE)
}
