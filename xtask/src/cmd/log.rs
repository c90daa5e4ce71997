//! `log TASK`: what the commands of the last attempt printed, also while they print it.

use std::fs::{self, File};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::{Project, find_task, history, open};
use crate::cli::{Global, LogArgs};
use crate::exec::{Follow, Instance};
use crate::failure::{Failure, exit};
use crate::ledger::store;
use crate::pipeline::Task;
use crate::ui::Ui;
use crate::world::World as _;

/// Between two looks at the ledger and at the log.
const PAUSE: Duration = Duration::from_millis(100);

/// Prints it without secrets.
pub fn log(global: &Global, args: &LogArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let task = project.plan.task(find_task(&project.plan, &args.task)?);
    if args.follow {
        return follow(&project, task, ui);
    }
    let Some(attempt) = &history.task(&task.id).last else { return Err(not_tried(task)) };
    let path = place(&project, &attempt.started.log)?;
    if args.json {
        let bytes = fs::read(&path).map_err(|e| unread(&path, &e))?;
        let text = String::from_utf8_lossy(&bytes);
        let value = json!({
            "version": crate::status::VERSION, "task": task.id, "attempt": attempt.started.attempt, "number": attempt.started.number,
            "outcome": attempt.outcome(), "path": attempt.started.log, "text": text,
        });
        ui.json(&value);
    } else {
        let mut file = File::open(&path).map_err(|e| unread(&path, &e))?;
        ui.copy(&mut file).map_err(|e| unread(&path, &e))?;
    }
    Ok(exit::DONE)
}

/// Prints the log of the attempt that the run under way makes, as it is written; without such a run, that of the last
/// attempt.
fn follow(project: &Project, task: &Task, ui: &Ui) -> Result<u8, Failure> {
    // Ends this process at a signal.
    let world = super::run::looking(project);
    let ledger = project.home.ledger();
    let mut printer = ui.printer();
    let mut followed: Option<(String, Follow)> = None;
    let mut awaited: Option<Instance> = None;
    let mut read = None;
    loop {
        // In this order: what a run records before it ends is there when it is seen to have ended.
        let running = project.home.running();
        let stamp = world.stamp(&ledger);
        let history = match read.take() {
            Some((history, of)) if of == stamp => history,
            _ => store::read(&project.home).map_err(Failure::ledger)?,
        };
        let last = history.task(&task.id).last.as_ref();
        // What an earlier run has left is of no interest while there is one that may try it again.
        let last = last.filter(|last| {
            running.as_ref().or(awaited.as_ref()).is_none_or(|run| *run == last.started.instance)
        });
        let Some(last) = last else {
            match (running, &awaited) {
                (Some(run), None) => {
                    ui.say(&format!("waiting for `{}` to start", task.id));
                    awaited = Some(run);
                }
                (Some(_), Some(_)) => {}
                (None, Some(_)) => {
                    ui.say(&format!("the run ended without `{}`", task.id));
                    return Ok(exit::DONE);
                }
                (None, None) => return Err(not_tried(task)),
            }
            read = Some((history, stamp));
            std::thread::sleep(PAUSE);
            continue;
        };
        let path = place(project, &last.started.log)?;
        let is_over = last.ended.is_some() || running.is_none();
        let mut is_read = true;
        let mut give = |bytes: &[u8]| is_read &= printer.print(bytes);
        let mut follow = match followed.take() {
            Some((attempt, follow)) if attempt == last.started.attempt => follow,
            before => {
                if let Some((_, before)) = before {
                    // It ended, and the next attempt began, since the last look.
                    let _ = before.rest(&mut give);
                }
                Follow::new(&path, ui.secrets())
            }
        };
        if is_over {
            if !path.exists() {
                return Err(unread(&path, &std::io::ErrorKind::NotFound.into()));
            }
            follow.rest(&mut give).map_err(|e| unread(&path, &e))?;
            printer.finish();
            if last.ended.is_none() {
                ui.say("the run was killed");
            }
            return Ok(exit::DONE);
        }
        follow.more(&mut give).map_err(|e| unread(&path, &e))?;
        if !is_read {
            return Ok(exit::DONE);
        }
        followed = Some((last.started.attempt.clone(), follow));
        read = Some((history, stamp));
        std::thread::sleep(PAUSE);
    }
}

fn not_tried(task: &Task) -> Failure {
    Failure::usage(format!("the task `{}` has not been tried yet", task.id))
        .hint(format!("`cargo xtask explain {}` says why", task.id))
}

fn unread(path: &Utf8Path, error: &std::io::Error) -> Failure {
    Failure::ledger(anyhow::anyhow!("failed to read the log `{path}`: {error}"))
}

/// Where a log is that the ledger names.
fn place(project: &Project, recorded: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    project.home.recorded_log(recorded).ok_or_else(|| {
        let problem =
            anyhow::anyhow!("the ledger names `{recorded}` as the log, which is no log of this pipeline");
        Failure::ledger(problem)
    })
}
