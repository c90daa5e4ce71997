//! `graph`: the tasks and what needs what, coloured by state.

use serde_json::json;

use super::{history, open};
use crate::cli::{Global, GraphArgs, GraphFormat};
use crate::drive;
use crate::failure::{Failure, exit};
use crate::graph;
use crate::status;
use crate::ui::Ui;

/// Draws from evidence: nothing is asked of the outside, so that the same evidence gives the same drawing.
pub fn graph(global: &Global, args: &GraphArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let world = super::run::looking(&project);
    let status = status::status(&project.plan, &history, &drive::recall(&project.plan, &history, &world));
    // Before it is quoted for the language of the drawing.
    let status = ui.secrets().veiled(status);
    if args.json {
        let nodes: Vec<_> = status
            .tasks
            .iter()
            .map(|t| json!({ "id": t.id, "title": t.title, "phase": t.phase, "state": t.state }))
            .collect();
        let edges: Vec<_> = status
            .tasks
            .iter()
            .flat_map(|t| t.needs.iter().map(|n| json!({ "from": n, "to": t.id })))
            .collect();
        ui.json(&json!({ "version": status.version, "nodes": nodes, "edges": edges }));
    } else {
        ui.data(&match args.format {
            GraphFormat::Mermaid => graph::mermaid(&status),
            GraphFormat::Dot => graph::dot(&status),
        });
    }
    Ok(exit::DONE)
}
