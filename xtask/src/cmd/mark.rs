//! `skip` and `forget`: what a person decides about a task, on record with who and why.

use super::{find_task, open};
use crate::cli::{ForgetArgs, Global, SkipArgs};
use crate::failure::{Failure, exit};
use crate::ledger::Event;
use crate::ledger::event::ByHand;
use crate::ui::Ui;
use crate::world::World;

/// Sets a task aside.
pub fn skip(global: &Global, args: &SkipArgs, ui: &Ui) -> Result<u8, Failure> {
    if args.reason.trim().is_empty() {
        return Err(
            Failure::usage("a skip needs a reason").hint("`--reason TEXT`: it is shown wherever the task is")
        );
    }
    mark(global, &args.task, Some(args.reason.trim().to_owned()), Event::TaskSkipped, ui)
}

/// Lets what is on record no longer count.
pub fn forget(global: &Global, args: &ForgetArgs, ui: &Ui) -> Result<u8, Failure> {
    mark(global, &args.task, args.reason.clone(), Event::TaskForgotten, ui)
}

fn mark(
    global: &Global,
    task: &str,
    reason: Option<String>,
    event: fn(ByHand) -> Event,
    ui: &Ui,
) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let id = project.plan.task(find_task(&project.plan, task)?).id.clone();
    let world = super::run::looking(&project);
    let event = event(ByHand { reason, by: user(&world) });
    let (ledger, _) = super::run::by_hand(&project, &world, ui)?;
    ledger.append(world.now(), Some(&id), &event).map_err(Failure::ledger)?;
    ledger.close().map_err(Failure::ledger)?;
    ui.say(&format!("{id}: {}", event.kind().trim_start_matches("task-")));
    Ok(exit::DONE)
}

/// The user as the system names them.
fn user(world: &dyn World) -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|n| world.variable(n).filter(|v| !v.is_empty()))
        .unwrap_or_else(|| "somebody".to_owned())
}
