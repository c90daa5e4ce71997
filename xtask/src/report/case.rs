//! A task as a test case: what formats of test results have in common.
//!
//! Such formats know passed, failed and left out, and say one of them for every case. What is blocked, waiting or stale
//! is left out: it did not fail, and a pass that no longer counts is none.

use jiff::Timestamp;

use crate::ledger::event::FailureKind;
use crate::plain;
use crate::report::Options;
use crate::status::{Reason, Row, State, Status};

/// What a case came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The task is done.
    Passed,
    /// It ran, and something did not hold.
    Failed,
    /// It could not run, or not to its end.
    Error,
    /// It is not done and did not fail.
    LeftOut,
}

/// A task as a test case. Every text is harmless to show.
#[derive(Debug)]
pub struct Case<'a> {
    /// The task.
    pub row: &'a Row,
    /// What it came to.
    pub came: Came,
    /// The id and the title.
    pub name: String,
    /// Its state; of a failure, what failed: `command`, `check`, ...
    pub kind: String,
    /// Why, in a line; empty if it passed.
    pub message: String,
    /// Why, in full: reasons, remedies, what checks found, where the log is; empty if it passed.
    pub details: Vec<String>,
    /// The last lines of its log, if they belong to what it came to.
    pub output: Vec<String>,
    /// Milliseconds that the attempt took which it came from.
    pub ms: Option<u64>,
}

impl<'a> Case<'a> {
    /// A task as a test case.
    pub fn of(row: &'a Row, options: &Options) -> Self {
        let failure = row.because.iter().find_map(|reason| match reason {
            Reason::Failure(failure) => Some(failure.kind),
            _ => None,
        });
        let came = match row.state {
            State::Done => Came::Passed,
            State::Failed if failure == Some(FailureKind::Environment) => Came::Error,
            State::Failed => Came::Failed,
            State::Interrupted => Came::Error,
            State::Stale | State::Blocked | State::Waiting | State::Ready | State::Skipped => Came::LeftOut,
        };
        let kind = failure.filter(|_| row.state == State::Failed);
        let kind = kind.and_then(|kind| serde_json::to_value(kind).ok()?.as_str().map(str::to_owned));
        let ran = came != Came::LeftOut;
        let tails = options.past.as_ref().map(|past| &past.tails).filter(|_| ran);
        Self {
            row,
            came,
            name: line(&format!("{} {}", row.id, row.title)),
            kind: kind.unwrap_or_else(|| row.state.name().to_owned()),
            message: if came == Came::Passed { String::new() } else { message(row) },
            details: if came == Came::Passed { Vec::new() } else { details(row) },
            output: tails
                .and_then(|tails| tails.get(&row.id))
                .map(|tail| tail.iter().map(|line| output(line)).collect())
                .unwrap_or_default(),
            ms: row.attempt.as_ref().filter(|_| ran).and_then(|attempt| attempt.ms),
        }
    }
}

/// `blocked: docker: not running; needs T004, which is failed`
fn message(row: &Row) -> String {
    let because: Vec<String> = row.because.iter().map(|reason| line(&reason.to_string())).collect();
    match row.state {
        State::Failed | State::Interrupted => because.join("; "),
        state if because.is_empty() => state.name().to_owned(),
        // A reason that was given by hand says so itself.
        state if because[0].starts_with(state.name()) => because.join("; "),
        state => format!("{}: {}", state.name(), because.join("; ")),
    }
}

fn details(row: &Row) -> Vec<String> {
    let mut out = Vec::new();
    for reason in &row.because {
        out.push(line(&reason.to_string()));
        match reason {
            Reason::Prerequisite { remedy: Some(remedy), .. } => {
                out.extend(labelled("remedy", remedy));
            }
            Reason::Failure(failure) => {
                out.extend(failure.hint.iter().flat_map(|hint| labelled("hint", hint)));
            }
            _ => {}
        }
    }
    let Some(attempt) = &row.attempt else { return out };
    if matches!(row.state, State::Failed | State::Interrupted) {
        let unmet = attempt.checks.iter().filter(|check| !check.finding.is_met());
        out.extend(unmet.map(|check| line(&format!("not ok: {}: {}", check.says, check.finding))));
        out.push(line(&format!("log: {} (attempt {})", attempt.log, attempt.number)));
    }
    out
}

/// `remedy: first line`, further lines below it.
fn labelled(label: &str, text: &str) -> Vec<String> {
    let text = plain::block(text);
    format!("{label}: {}", without_noncharacters(&text)).lines().map(str::to_owned).collect()
}

/// A line of text from outside that XML and terminals take as nothing but text.
pub fn line(text: &str) -> String {
    without_noncharacters(&plain::line(text))
}

/// The same with its spaces kept.
fn output(text: &str) -> String {
    without_noncharacters(&plain::block(text))
}

/// XML 1.0 (2.2, Char) has no place for these two, not even escaped. Control characters are gone already.
fn without_noncharacters(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "")
}

/// When the first attempt of some tasks began and the last one ended.
pub fn span<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> (Option<Timestamp>, Option<Timestamp>) {
    let attempts = rows.filter_map(|row| row.attempt.as_ref());
    let began = attempts.clone().map(|attempt| attempt.started).min();
    (began, attempts.filter_map(|attempt| attempt.ended).max())
}

/// The tasks of each phase, as cases.
pub fn by_phase<'a>(
    status: &'a Status,
    options: &Options,
) -> Vec<(&'a crate::status::PhaseRow, Vec<Case<'a>>)> {
    let of = |id: &str| -> Vec<Case<'a>> {
        status.tasks.iter().filter(|row| row.phase == id).map(|row| Case::of(row, options)).collect()
    };
    status.phases.iter().map(|phase| (phase, of(&phase.id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_state_comes_to_something() {
        let status = sample::rich();
        let cases: Vec<Case<'_>> =
            status.tasks.iter().map(|row| Case::of(row, &Options::default())).collect();
        let came = |state: State| {
            let mut all: Vec<Came> =
                cases.iter().filter(|case| case.row.state == state).map(|case| case.came).collect();
            all.dedup();
            all
        };
        for (state, wanted) in [
            (State::Done, Came::Passed),
            (State::Failed, Came::Failed),
            (State::Interrupted, Came::Error),
            (State::Stale, Came::LeftOut),
            (State::Blocked, Came::LeftOut),
            (State::Waiting, Came::LeftOut),
            (State::Ready, Came::LeftOut),
            (State::Skipped, Came::LeftOut),
        ] {
            assert_eq!(came(state), [wanted], "{}", state.name());
        }
        for case in cases {
            assert_eq!(case.message.is_empty(), case.came == Came::Passed, "{}", case.name);
            assert!(case.ms.is_none() || case.came != Came::LeftOut, "{}", case.name);
        }
    }

    #[test]
    fn an_environment_that_cannot_be_prepared_is_an_error() {
        let mut status = sample::rich();
        let row = status.tasks.iter_mut().find(|row| row.state == State::Failed).expect("a failed task");
        let Reason::Failure(failure) = &mut row.because[0] else { panic!("{:?}", row.because) };
        failure.kind = FailureKind::Environment;
        let case = Case::of(row, &Options::default());
        assert_eq!((case.came, case.kind.as_str()), (Came::Error, "environment"));
    }
}
