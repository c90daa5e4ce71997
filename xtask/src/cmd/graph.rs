//! `graph`: the tasks or phases and what needs what, coloured by state.

use super::{find_task, history, open};
use crate::cli::{Global, GraphArgs, GraphFormat};
use crate::drive;
use crate::failure::{Failure, exit};
use crate::graph::{self, Graph, Place, View};
use crate::status;
use crate::ui::Ui;

/// Draws from evidence: nothing is asked of the outside, so that the same evidence gives the same drawing.
pub fn graph(global: &Global, args: &GraphArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    if let Some(task) = &args.focus {
        find_task(&project.plan, task)?;
    }
    let history = history(&project, ui)?;
    let world = super::run::looking(&project);
    let status = status::status(&project.plan, &history, &drive::recall(&project.plan, &history, &world));
    // Before it is quoted for the language of the drawing.
    let status = ui.secrets().veiled(status);
    let view = View { by: args.by, focus: args.focus.as_deref() };
    if args.json {
        ui.json(&Graph::of(&status, view).json(status.version));
        return Ok(exit::DONE);
    }
    ui.data(&match args.format {
        GraphFormat::Mermaid => {
            let flowchart = graph::mermaid(&status, view);
            if !graph::fits(&flowchart) {
                ui.say("GitHub does not draw a mermaid graph of this size: take `--by phase`, `--focus TASK` or `--format svg`");
            }
            flowchart
        }
        GraphFormat::Dot => graph::dot(&status, view),
        GraphFormat::Svg => graph::svg(&status, view, Place::File),
    });
    Ok(exit::DONE)
}
