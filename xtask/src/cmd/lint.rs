//! `lint`, `schema`, `completions`: for authors of pipeline.toml.

use clap::CommandFactory as _;

use super::open;
use crate::cli::{Cli, Global};
use crate::failure::{Failure, exit};
use crate::pipeline::diagnostic::render;
use crate::pipeline::{file, policy};
use crate::ui::Ui;
use crate::wording;

/// Reads the file and says what is wrong with it.
pub fn lint(global: &Global, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let plan = &project.plan;
    let problems = policy::impossible(plan);
    if !problems.is_empty() {
        ui.say(render(&project.source, &problems, ui.stderr_colour()).trim_end());
        let n = wording::plural(problems.len(), "task");
        return Err(Failure::usage(format!("{n} of `{}` can never be done there", plan.id)));
    }
    super::warn_of_short_secrets(&project, ui);
    ui.say(&format!(
        "`{}` is fine: {} in {}, {}",
        plan.id,
        wording::plural(plan.tasks.len(), "task"),
        wording::plural(plan.phases.len(), "phase"),
        wording::plural(plan.prerequisites.len(), "prerequisite"),
    ));
    Ok(exit::DONE)
}

/// Prints the schema.
pub fn schema(ui: &Ui) -> Result<u8, Failure> {
    ui.data(&format!("{:#}\n", file::schema()));
    Ok(exit::DONE)
}

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell, ui: &Ui) -> Result<u8, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "xtask", &mut out);
    ui.data(&String::from_utf8_lossy(&out));
    Ok(exit::DONE)
}
