//! Commands that are asked for their output, by checks and by measurements.

use std::time::Duration;

use super::{Context, Finding};
use crate::exec::How;
use crate::pipeline::line::{Line, quote_all};
use crate::wording;
use crate::world::{Answer, Ask};

/// Runs a command for its answer, with the task's environment and working directory. The error is a finding for
/// a command that gave none: not on PATH, not started, not in time, cancelled.
pub fn ask(line: &Line, timeout: Option<Duration>, cx: &Context<'_>) -> Result<Answer, Finding> {
    let filled = line.fill(cx.scope).map_err(Finding::unknown)?;
    let program = filled.argv.first().map_or("", String::as_str);
    if !program.contains('/') && cx.world.which(program).is_none() {
        return Err(Finding::unknown(format!("`{program}` is not on PATH")));
    }
    let limit = timeout.unwrap_or(cx.limit).min(cx.limit);
    let env = cx.env.iter().chain(&filled.env).cloned().collect();
    let answer = cx.world.ask(&Ask { argv: filled.argv.clone(), cwd: cx.cwd.to_owned(), env, limit });
    let shown = || wording::first_line(&quote_all(&filled.argv), 120);
    match &answer.how {
        How::TimedOut => {
            Err(Finding::unknown(format!("`{}` did not answer within {}", shown(), wording::duration(limit))))
        }
        How::Cancelled => Err(Finding::unknown("the run was cancelled")),
        How::NotStarted(why) => Err(Finding::unknown(format!("`{}` could not be started: {why}", shown()))),
        How::Exited(_) | How::Signaled(_) => Ok(answer),
    }
}

/// The standard output of a command that must succeed.
pub fn output(line: &Line, timeout: Option<Duration>, cx: &Context<'_>) -> Result<String, Finding> {
    let answer = ask(line, timeout, cx)?;
    expect_status(&answer, &[0], line)?;
    Ok(answer.stdout)
}

/// Checks how a command ended.
pub fn expect_status(answer: &Answer, wanted: &[u64], line: &Line) -> Result<(), Finding> {
    let found = match &answer.how {
        How::Exited(code) if wanted.iter().any(|wanted| u64::try_from(*code) == Ok(*wanted)) => return Ok(()),
        How::Exited(code) => format!("exit code {code}{}", said(answer)),
        How::Signaled(signal) => format!("an end by signal {signal}{}", said(answer)),
        other => format!("{other:?}"),
    };
    let codes: Vec<String> = wanted.iter().map(u64::to_string).collect();
    Err(Finding::unmet(format!("exit code {}", wording::either(&codes)), found, shown(line)))
}

/// What a failing command said last, which is mostly its reason.
fn said(answer: &Answer) -> String {
    let last = |text: &str| {
        text.trim().lines().last().map(|line| wording::first_line(line, 160)).filter(|line| !line.is_empty())
    };
    last(&answer.stderr)
        .or_else(|| last(&answer.stdout))
        .map_or_else(String::new, |line| format!(": `{line}`"))
}

/// A command as the place of a finding.
pub fn shown(line: &Line) -> String {
    format!("`{}`", wording::first_line(&line.to_string(), 120))
}
