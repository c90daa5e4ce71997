//! `log TASK`: what the commands of the last attempt printed.

use std::io::Read as _;

use serde_json::json;

use super::{find_task, history, open};
use crate::cli::{Global, LogArgs};
use crate::exec;
use crate::failure::{Failure, exit};
use crate::ui::Ui;

/// Prints it as it is, without secrets.
pub fn log(global: &Global, args: &LogArgs, ui: &Ui) -> Result<u8, Failure> {
    let project = open(global, ui)?;
    let history = history(&project, ui)?;
    let task = project.plan.task(find_task(&project.plan, &args.task)?);
    let Some(attempt) = &history.task(&task.id).last else {
        return Err(Failure::usage(format!("the task `{}` has not been tried yet", task.id))
            .hint(format!("`cargo xtask explain {}` says why", task.id)));
    };
    let recorded = &attempt.started.log;
    let Some(path) = project.home.recorded_log(recorded) else {
        let problem =
            anyhow::anyhow!("the ledger names `{recorded}` as the log, which is no log of this pipeline");
        return Err(Failure::ledger(problem));
    };
    let failed = |e| Failure::ledger(anyhow::anyhow!("failed to read the log `{path}`: {e}"));
    if args.json {
        let mut bytes = Vec::new();
        exec::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let value = json!({
            "version": crate::status::VERSION, "task": task.id, "attempt": attempt.started.attempt, "number": attempt.started.number,
            "outcome": attempt.outcome(), "path": attempt.started.log, "text": text,
        });
        ui.json(&value);
    } else {
        ui.copy(&mut exec::open(&path).map_err(failed)?).map_err(failed)?;
    }
    Ok(exit::DONE)
}
